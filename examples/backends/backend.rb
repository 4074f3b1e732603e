# A backend in Ruby 3, without gems: ruby backend.rb publish alice hi | token alice | place alice | hook 8090
require "base64"
require "erb"
require "json"
require "net/http"
require "openssl"
require "socket"
require "zlib"

def publish(user, text)
  url = URI("#{ENV.fetch("API_URL")}/u/#{ERB::Util.url_encode(user)}/publish")
  headers = { "Authorization" => "Bearer #{ENV.fetch("ENCKE_API_KEY")}", "Content-Type" => "application/json" }
  answer = Net::HTTP.post(url, { text: text }.to_json, headers)
  puts answer.body
  exit 1 unless answer.is_a?(Net::HTTPSuccess)
end

def token(user)
  claims = { sub: user, exp: Time.now.to_i + 3600, channels: { "/chat/**" => "rw", "/news/**" => "rw" } }
  parts = [{ alg: "HS256", typ: "JWT" }, claims]
  message = parts.map { |part| Base64.urlsafe_encode64(part.to_json, padding: false) }.join(".")
  signature = OpenSSL::HMAC.digest("SHA256", ENV.fetch("ENCKE_TOKEN_KEY"), message)
  puts "#{message}.#{Base64.urlsafe_encode64(signature, padding: false)}"
end

# The slot of a user, and its home and deputy among up to 100 nodes.
def place(user)
  slot = Zlib.crc32(user) % 16_384
  nodes = ENV.fetch("NODE_NAMES").split(",").sort_by { |node| OpenSSL::Digest::SHA256.digest("#{node}/#{slot}")[0, 8] }
  puts [slot, *nodes.last(2).reverse].join(" ")
end

# What a framework's route would do; Ruby has no HTTP server of its own.
def hook(port)
  Socket.tcp_server_loop("127.0.0.1", port) do |socket, _|
    head = socket.gets("\r\n\r\n") or next
    event = JSON.parse(socket.read(head[/^content-length: *(\d+)/i, 1].to_i))
    denied = event["event"] == "publish" && event["channel"].start_with?("/news/") && event["user"] != "editor"
    body = (event["event"] == "service" ? { data: { asked: event["data"] } } : {}).to_json
    status = denied ? "403 Forbidden" : "200 OK"
    socket.write "HTTP/1.1 #{status}\r\nContent-Length: #{body.bytesize}\r\nConnection: close\r\n\r\n#{body}"
  ensure
    socket.close
  end
end

send(*ARGV)
