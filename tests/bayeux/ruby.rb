# Ruby's faye against a server that runs: ruby.rb long-polling|websocket URL
# Says "subscribed", "heard N" for each message of /room/1, the first of which it publishes itself, and at the word "end" on
# its standard input by what transport it was, when its session has ended.
require 'eventmachine'
require 'faye'

kind, url = ARGV
$stdout.sync = true
say = ->(text) { puts text }

# The word on the standard input ends it.
class Words < EM::Connection
  def initialize(heard) = @heard = heard
  def receive_data(_) = @heard.call
end

EM.run do
  client = Faye::Client.new(url, retry: 0.5)
  client.disable('websocket') if kind == 'long-polling'
  subscription = client.subscribe('/room/1') { |data| say.call("heard #{data}") }
  subscription.errback { |error| abort("not subscribed: #{error}") }
  subscription.callback do
    say.call('subscribed')
    client.publish('/room/1', 1).errback { |error| abort("not published: #{error}") }
  end
  ending = lambda do
    used = client.instance_variable_get(:@dispatcher).connection_type
    client.disconnect.callback do
      say.call("by #{used}")
      EM.stop
    end
  end
  EM.attach($stdin, Words, ending)
  EM.add_timer(20) { abort('too late') }
end
