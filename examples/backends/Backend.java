// A backend in Java 17 or newer with Jackson: java -cp 'jackson/*' Backend.java publish alice hi | token alice | place alice | hook 8090
import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.net.httpserver.HttpServer;
import java.net.*;
import java.net.http.*;
import java.security.MessageDigest;
import java.util.*;
import java.util.zip.CRC32;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

class Backend {
    static final ObjectMapper JSON = new ObjectMapper();

    static void publish(String user, String text) throws Exception {
        var path = "/u/" + URLEncoder.encode(user, "UTF-8").replace("+", "%20") + "/publish";
        var request = HttpRequest.newBuilder(URI.create(System.getenv("API_URL") + path)).version(HttpClient.Version.HTTP_1_1)
            .header("Authorization", "Bearer " + System.getenv("ENCKE_API_KEY")).header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(JSON.writeValueAsString(Map.of("text", text)))).build();
        System.out.println(HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString()).body());
    }

    static void token(String user) throws Exception {
        var channels = Map.of("/chat/**", "rw", "/news/**", "rw");
        var claims = Map.of("sub", user, "exp", System.currentTimeMillis() / 1000 + 3600, "channels", channels);
        var encoder = Base64.getUrlEncoder().withoutPadding();
        var header = encoder.encodeToString(JSON.writeValueAsBytes(Map.of("alg", "HS256", "typ", "JWT")));
        var message = header + "." + encoder.encodeToString(JSON.writeValueAsBytes(claims));
        var mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(System.getenv("ENCKE_TOKEN_KEY").getBytes("UTF-8"), "HmacSHA256"));
        System.out.println(message + "." + encoder.encodeToString(mac.doFinal(message.getBytes("UTF-8"))));
    }

    /** The slot of a user, and its home and deputy among up to 100 nodes. */
    static void place(String user) throws Exception {
        var sum = new CRC32();
        sum.update(user.getBytes("UTF-8"));
        var slot = sum.getValue() % 16384;
        var ranks = new TreeMap<byte[], String>((a, b) -> Arrays.compareUnsigned(b, 0, 8, a, 0, 8));
        for (var node : System.getenv("NODE_NAMES").split(",")) {
            ranks.put(MessageDigest.getInstance("SHA-256").digest((node + "/" + slot).getBytes("UTF-8")), node);
        }
        System.out.println(slot + " " + String.join(" ", ranks.values().stream().limit(2).toList()));
    }

    static void hook(String port) throws Exception {
        var server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(port)), 0);
        server.createContext("/", exchange -> {
            var event = JSON.readTree(exchange.getRequestBody());
            var kind = event.get("event").asText();
            var news = kind.equals("publish") && event.get("channel").asText().startsWith("/news/");
            var denied = news && !event.get("user").asText().equals("editor");
            var body = JSON.writeValueAsBytes(kind.equals("service") ? Map.of("data", Map.of("asked", event.get("data"))) : Map.of());
            exchange.sendResponseHeaders(denied ? 403 : 200, body.length);
            exchange.getResponseBody().write(body);
            exchange.close();
        });
        server.start();
    }

    public static void main(String[] args) throws Exception {
        switch (args[0]) {
            case "publish" -> publish(args[1], args[2]);
            case "token" -> token(args[1]);
            case "place" -> place(args[1]);
            case "hook" -> hook(args[1]);
        }
    }
}
