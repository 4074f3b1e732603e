//! Foreign pages: those that do not identify themselves, those whose name points to this machine,
//! and refusals that name the setting that would allow them.

use serde_json::json;

use crate::node::Node;

const CHROME: (&str, &str) =
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/120.0 Safari/537.36");
const COOKIE: (&str, &str) = ("Cookie", "a=b");

const HANDSHAKE: &str = "%5B%7B%22channel%22%3A%22%2Fmeta%2Fhandshake%22%2C%22version%22%3A%221.0%22%2C\
    %22supportedConnectionTypes%22%3A%5B%22callback-polling%22%5D%7D%5D";

/// All that an element of a page, or a link, can request.
fn embeddable() -> Vec<String> {
    let bayeux =
        ["bayeux", "cometd", "u/alice/bayeux"].map(|path| format!("/{path}?jsonp=f&message={HANDSHAKE}"));
    let message = "message=%7B%22publish%22%3A%22%2Fc%22%2C%22data%22%3A1%7D";
    let native = [
        "jsonp?callback=f".to_owned(),
        format!("jsonp?callback=f&{message}"),
        "frame".into(),
        "htmlfile".into(),
        "multipart".into(),
        "sse".into(),
        "stream".into(),
        "poll".into(),
        "longpoll".into(),
    ];
    native.into_iter().map(|call| format!("/u/alice/{call}")).chain(bayeux).collect()
}

/// The refusal of a page, if it is refused.
fn refusal(node: &Node, target: &str, headers: &[(&str, &str)]) -> Option<String> {
    let mut conn = node.connect();
    conn.request("GET", target, headers, b"");
    let head = conn.head();
    if head.header("content-length").is_none() {
        assert_eq!(head.status, 200, "{target}");
        return None;
    }
    let body = conn.take(head.header("content-length").unwrap().parse().unwrap());
    let text = String::from_utf8(body).unwrap();
    // A script sees no status.
    text.contains("-refused\"").then_some(text)
}

#[test]
fn what_any_page_could_have_sent_without_a_sign_is_refused_and_does_nothing() {
    let node = Node::start(&[]);
    for target in embeddable() {
        // Programs may send cookies with requests that no page can use.
        let is_used = !["/sse", "/stream", "/poll", "/longpoll"].iter().any(|call| target.ends_with(call));
        if !is_used {
            assert_eq!(refusal(&node, &target, &[COOKIE]), None, "{target}");
        }
        for sign in [CHROME, COOKIE].into_iter().take(if is_used { 2 } else { 1 }) {
            let reason = refusal(&node, &target, &[sign]).unwrap_or_else(|| panic!("{target} {sign:?}"));
            assert!(reason.contains("Referer") && reason.contains("ENCKE_ORIGINS"), "{reason}");
        }
        for program in
            [("User-Agent", "curl/8.5.0"), ("User-Agent", "python-requests/2.31"), ("Accept", "*/*")]
        {
            assert_eq!(refusal(&node, &target, &[program]), None, "{target} {program:?}");
        }
        let node_fetch = [("Sec-Fetch-Mode", "cors"), ("User-Agent", "node"), ("Accept-Language", "*")];
        assert_eq!(refusal(&node, &target, &node_fetch), None, "{target}");
        for own in [
            ("Referer", "http://localhost/page"),
            ("Sec-Fetch-Site", "same-origin"),
            ("Sec-Fetch-Site", "none"),
        ] {
            assert_eq!(refusal(&node, &target, &[CHROME, COOKIE, own]), None, "{target} {own:?}");
        }
        assert_eq!(
            refusal(&node, &target, &[CHROME, COOKIE, ("X-Requested-With", "XMLHttpRequest")]),
            None,
            "{target}"
        );
        let foreign =
            [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "no-cors"), ("Sec-Fetch-Dest", "script")];
        let reason = refusal(&node, &target, &foreign).expect(&target);
        assert!(reason.contains("Referer"), "{reason}");
    }
    let published = node.api("GET", "/channel?name=/c", "").json();
    assert_eq!(
        published["messages"].as_array().map_or(0, Vec::len),
        8,
        "those of pages did nothing: {published}"
    );
}

#[test]
fn any_page_is_let_in_where_any_may() {
    let node = Node::start(&[("ENCKE_ORIGINS", "*")]);
    for target in embeddable() {
        assert_eq!(refusal(&node, &target, &[CHROME, COOKIE]), None, "{target}");
        let foreign =
            [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "no-cors"), ("Sec-Fetch-Dest", "script")];
        assert_eq!(refusal(&node, &target, &foreign), None, "{target}");
        for origin in
            ["null", "file://", "", "app://-", "chrome-extension://abcdef", "file:///android_asset/x.html"]
        {
            let mut conn = node.connect();
            let headers = [("Origin", origin), ("Sec-Fetch-Site", "cross-site")];
            conn.request("GET", &target, &headers, b"");
            let head = conn.head();
            assert_eq!(
                (head.status, head.header("access-control-allow-origin")),
                (200, Some(origin)),
                "{target}"
            );
        }
    }
}

#[test]
fn programs_with_cookies_and_pages_with_sockets_are_not_concerned() {
    let node = Node::start(&[]);
    let mut conn = node.connect();
    let typed = ("Content-Type", "application/json");
    let hand = json!([{"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["long-polling"]}]);
    let answer = conn.ask("POST", "/bayeux", &[COOKIE, typed], hand.to_string().as_bytes());
    assert_eq!(answer.json()[0]["successful"], true);
    assert_eq!(conn.ask("POST", "/u/alice/send", &[COOKIE], b"{\"ping\":1}").status, 200);
    crate::socket::Socket::open_with(&node, "/u/alice/ws", &[COOKIE, CHROME]);
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let refused = conn.ask("POST", "/u/alice/longpoll", &[CHROME, form], b"message=%7B%22ping%22%3A1%7D");
    assert_eq!((refused.status, refused.error()), (403, "origin-refused".into()));
    let node_fetch = [("Sec-Fetch-Mode", "cors"), ("User-Agent", "node"), typed];
    assert_eq!(node.connect_api().ask("POST", "/u/alice/publish", &node_fetch, b"1").status, 200);
    for target in ["/", "/encke.js", "/health", "/demo/", "/start.js"] {
        assert_eq!(conn.ask("GET", target, &[CHROME, COOKIE], b"").status, 200, "{target}");
    }
}

/// A request with this `Host`.
fn called(node: &Node, line: &str, host: &str, more: &str) -> (u16, String) {
    let mut conn = node.connect();
    let host = if host.is_empty() { String::new() } else { format!("Host: {host}\r\n") };
    conn.send(format!("{line}\r\n{host}Connection: close\r\n{more}\r\n"));
    let head = conn.head();
    let length = head.header("content-length").and_then(|length| length.parse().ok());
    let body = length.map_or_else(Vec::new, |length| conn.take(length));
    (head.status, String::from_utf8_lossy(&body).into_owned())
}

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[test]
fn a_foreign_host_name_is_refused_on_every_url_of_a_node_that_only_loopback_protects() {
    let node = Node::start(&[]);
    let own = "Origin: http://evil.example:8080\r\nX-Forwarded-Host: localhost\r\n";
    let body = |text: &str| {
        format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{text}", text.len())
    };
    for host in
        ["evil.example:8080", "EVIL.example:8080", "evil.example.:8080", "127.0.0.1.evil.example:8080"]
    {
        let refused = |line: &str, more: &str| {
            let (status, body) = called(&node, line, host, more);
            assert!(status == 403 || body.starts_with("/**/f("), "{line} {host}: {status} {body}");
            assert!(body.contains("host-refused") && body.contains("ENCKE_HOSTS="), "{line} {host}: {body}");
        };
        for target in embeddable().iter().map(String::as_str).chain(["/", "/demo/", "/encke.js", "/nothing"])
        {
            refused(&format!("GET {target} HTTP/1.1"), "");
            refused(&format!("GET {target} HTTP/1.1"), own);
            refused(&format!("GET {target} HTTP/1.0"), "");
        }
        refused("GET /u/alice/ws HTTP/1.1", &[UPGRADE, own].concat());
        refused("GET /bayeux HTTP/1.1", &[UPGRADE, own].concat());
        refused("OPTIONS /u/alice/send HTTP/1.1", own);
        refused(&format!("GET http://{host}/u/alice/poll HTTP/1.1"), own);
        for path in ["/u/alice/send", "/u/alice/longpoll", "/bayeux", "/cometd"] {
            let publish = body("[{\"publish\":\"/c\",\"data\":1}]");
            refused(
                &format!("POST {path} HTTP/1.1"),
                &[own, publish.strip_suffix("\r\n").unwrap_or(&publish)].concat(),
            );
        }
    }
    let (status, text) = called(&node, "GET http://evil.example/u/alice/poll HTTP/1.0", "", "");
    assert!(status == 403 && text.contains("host-refused"), "an absolute target is a host, too: {text}");
    for line in ["GET /health HTTP/1.1", "OPTIONS * HTTP/1.1"] {
        let (status, _) = called(&node, line, "balancer.example", "");
        assert!(status < 300, "balancers ask by any name, and are told nothing: {line} {status}");
    }
    for host in [
        "",
        "localhost",
        "LOCALHOST:1",
        "localhost.",
        "a.localhost",
        "encke",
        "127.0.0.1:9",
        "[::1]:9",
        "192.0.2.1",
    ] {
        let version = if host.is_empty() { "1.0" } else { "1.1" };
        assert_eq!(called(&node, &format!("GET /u/alice/poll HTTP/{version}"), host, "").0, 200, "{host}");
    }
}

#[test]
fn names_that_are_listed_and_nodes_with_a_key_are_called_as_they_like() {
    let node = Node::start(&[("ENCKE_HOSTS", "push.example.com,*.app.example")]);
    for host in ["push.example.com", "PUSH.example.com.:443", "a.app.example:8080"] {
        let origin = format!("Origin: https://{}\r\n", host.to_lowercase());
        assert_eq!(called(&node, "GET /u/alice/poll HTTP/1.1", host, &origin).0, 200, "{host}");
    }
    assert_eq!(called(&node, "GET /u/alice/poll HTTP/1.1", "app.example", "").0, 403);
    let listed = Node::start(&[("ENCKE_ORIGINS", "http://shop.example,https://*.app.example:8443")]);
    for host in ["shop.example:8080", "a.app.example"] {
        assert_eq!(
            called(&listed, "GET /u/alice/poll HTTP/1.1", host, "").0,
            200,
            "its pages may connect: {host}"
        );
    }
    assert_eq!(called(&listed, "GET /u/alice/poll HTTP/1.1", "a.shop.example", "").0, 403);
    let secret = ("ENCKE_TOKEN_KEY", "0123456789abcdef0123456789abcdef");
    assert_eq!(called(&Node::start(&[secret]), "GET /u/alice/poll HTTP/1.1", "any.example", "").0, 401);
    for open in [("ENCKE_HOSTS", "*"), ("ENCKE_ORIGINS", "*")] {
        assert_eq!(called(&Node::start(&[open]), "GET /u/alice/poll HTTP/1.1", "any.example", "").0, 200);
    }
    let mut api = node.connect_api();
    api.send("GET /metrics HTTP/1.1\r\nHost: push.example.com\r\n\r\n");
    assert_eq!(api.response().status, 200, "the private listener has the same names");
}

#[test]
fn links_from_anywhere_open_and_nothing_of_a_users_does() {
    let node = Node::start(&[]);
    let link = [
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Dest", "document"),
        ("Sec-Fetch-User", "?1"),
        CHROME,
    ];
    let referred = [&link[..], &[("Referer", "https://wiki.example/")]].concat();
    let old = [CHROME, ("Referer", "http://wiki.example/")];
    let mut conn = node.connect();
    for headers in [&link[..], &referred, &old] {
        for (target, status) in
            [("/", 200), ("/demo/", 200), ("/demo/chat", 200), ("/health", 200), ("/docs/", 404)]
        {
            let answer = conn.ask("GET", target, headers, b"");
            assert_eq!(answer.status, status, "{target}");
            assert_eq!(answer.header("access-control-allow-origin"), None, "{target}");
        }
        let moved = conn.ask("GET", "/demo", headers, b"");
        assert_eq!((moved.status, moved.header("location")), (301, Some("demo/")));
        for target in embeddable() {
            assert!(refusal(&node, &target, headers).is_some(), "{target}");
        }
        assert_eq!(conn.ask("POST", "/", headers, b"x").status, 403);
    }
}

#[test]
fn a_refusal_names_the_value_that_would_let_the_page_in_and_is_logged_once() {
    let node = Node::start(&[("ENCKE_ORIGINS", "https://app.example"), ("ENCKE_SHARDS", "2")]);
    for (origin, value) in [
        ("https://evil.example", "https://evil.example"),
        ("null", "null"),
        ("file:///x", "file://"),
        ("odd", "*"),
    ] {
        for user in ["alice", "bob", "carol", "dave"] {
            let refused = node.connect().ask("GET", &format!("/u/{user}/poll"), &[("Origin", origin)], b"");
            assert_eq!((refused.status, refused.error()), (403, "origin-refused".into()));
            let reason = refused.json()["error"]["reason"].as_str().unwrap().to_owned();
            assert!(reason.contains(&format!("ENCKE_ORIGINS={value} ")), "{reason}");
        }
    }
    let marker = [("Origin", "https://last.example")];
    node.connect().ask("GET", "/u/alice/poll", &marker, b"");
    node.log_line(|line| line.contains("last.example"));
    let log = node.log();
    for origin in ["https://evil.example", "null", "file:///x", "odd"] {
        let lines =
            log.iter().filter(|line| line.contains("WARN") && line.contains(&format!("pages of {origin} ")));
        assert_eq!(lines.count(), 1, "{origin}");
    }
}

#[test]
fn a_page_on_another_port_gets_a_cookie_and_one_of_another_site_the_reason_why_not() {
    let hand = json!([{"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["long-polling"]}]);
    let hand = hand.to_string();
    let cases = [
        ("http://192.0.2.10:3000", "192.0.2.10:8080", "", "SameSite=Lax"),
        ("http://localhost:3000", "localhost:8080", "", "SameSite=Lax"),
        ("http://app.example", "push.app.example", "", "SameSite=Lax"),
        ("https://app.example", "push.example", "", "SameSite=None; Secure"),
        ("http://app.example", "push.example", "X-Forwarded-Proto: https\r\n", "SameSite=None; Secure"),
    ];
    let node = Node::start(&[("ENCKE_ORIGINS", "*"), ("ENCKE_HOSTS", "*")]);
    for (origin, host, more, site) in cases {
        let mut conn = node.connect();
        let head = format!("Host: {host}\r\nOrigin: {origin}\r\n{more}");
        let typed = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", hand.len());
        conn.send(format!("POST /bayeux HTTP/1.1\r\n{head}{typed}\r\n{hand}"));
        let answer = conn.response();
        assert_eq!(
            (answer.json()[0]["successful"].as_bool(), answer.json()[0].get("hint")),
            (Some(true), None)
        );
        let mut socket = node.connect();
        socket.send(format!("GET /bayeux HTTP/1.1\r\n{head}{UPGRADE}\r\n"));
        let opened = socket.head();
        for cookie in [answer.header("set-cookie").unwrap(), opened.header("set-cookie").unwrap()] {
            assert!(cookie.ends_with(site), "{origin} {host}: {cookie}");
        }
    }
    let mut conn = node.connect();
    let typed = [("Content-Type", "application/json"), ("Origin", "http://other.example")];
    let answer = conn.ask("POST", "/bayeux", &typed, hand.as_bytes()).json();
    let hint = answer[0]["hint"].as_str().unwrap_or_default().to_owned();
    assert!(hint.contains("https") && hint.contains("token"), "{answer}");
}
