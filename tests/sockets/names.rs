//! Names in URLs: users whose ids proxies change, and parameters that are close to a known one.

use serde_json::json;

use crate::node::Node;
use crate::socket::Socket;
use crate::tokens::token;

#[test]
fn the_query_can_name_a_user_whose_id_a_path_cannot_carry_through_proxies() {
    let node = Node::start(&[]);
    for (id, escaped) in
        [("a/b", "a%2Fb"), (".", "."), ("..", ".."), ("a b+c", "a%20b%2Bc"), ("-", "-"), ("é%", "%C3%A9%25")]
    {
        let mut conn = node.connect();
        for call in ["poll", "longpoll", "jsonp", "sse", "stream", "frame", "htmlfile", "multipart"] {
            let mut conn = node.connect();
            conn.request("GET", &format!("/u/-/{call}?callback=f&user={escaped}"), &[], b"");
            assert_eq!(conn.head().status, 200, "{id} {call}");
        }
        let first = conn.ask("GET", &format!("/u/-/poll?user={escaped}"), &[], b"");
        let session = first.header("encke-session").unwrap().to_owned();
        let mut socket = Socket::open(&node, &format!("/u/-/ws?user={escaped}"));
        socket.opened();
        let sent = node.api("POST", &format!("/u/-/publish?user={escaped}"), "1").json();
        assert!(sent["sessions"].as_u64() >= Some(2), "{id}: {sent}");
        assert_eq!(socket.json()["data"], 1);
        let polled = conn.ask("GET", &format!("/u/-/poll?user={escaped}&session={session}"), &[], b"");
        let polled = polled.text();
        assert!(polled.contains("\"data\":1"), "{id}: {polled}");
        let pinged = conn.ask("POST", &format!("/u/-/send?user={escaped}"), &[], b"{\"ping\":1}");
        assert_eq!(pinged.json(), json!({"ok": {"ping": 1}}));
        let seen = node.api("GET", &format!("/u/-?user={escaped}"), "").json();
        assert!(seen["sessions"].as_array().is_some_and(|all| all.len() >= 2), "{id}: {seen}");
        let path = if id.starts_with('.') { id.replace('.', "%2E") } else { escaped.to_owned() };
        let by_path = node.api("GET", &format!("/u/{path}"), "").json();
        let ids = |all: &serde_json::Value| -> Vec<_> {
            all["sessions"].as_array().into_iter().flatten().map(|one| one["session"].clone()).collect()
        };
        assert_eq!((&by_path["user"], ids(&by_path)), (&json!(id), ids(&seen)), "the same user: {id}");
        let ended = node.api("DELETE", &format!("/u/-?user={escaped}"), "").json();
        assert!(ended["ended"].as_u64() >= Some(2), "{id}: {ended}");
    }
    let nobody = node.connect().ask("GET", "/u/-/poll?user=", &[], b"");
    assert_eq!((nobody.status, nobody.error()), (400, "bad-user".into()));
    let plain = node.api("POST", "/u/-/publish", "1").json();
    assert_eq!(plain["sessions"], 0, "without it the path names the user, as ever");
}

#[test]
fn a_token_is_for_the_user_that_the_query_names() {
    let node = Node::start(&[("ENCKE_TOKEN_KEY", crate::tokens::SECRET)]);
    let good = token(&json!({"sub": "a/b"}));
    let ask = |target: String| node.connect().ask("GET", &target, &[], b"").status;
    assert_eq!(ask(format!("/u/-/poll?user=a%2Fb&token={good}")), 200);
    assert_eq!(ask(format!("/u/-/poll?user=a&token={good}")), 403);
    assert_eq!(ask(format!("/u/-/poll?token={good}")), 403);
    assert_eq!(
        ask(format!("/u/a/poll?user=a%2Fb&token={good}")),
        403,
        "the path has the word, unless it is a dash"
    );
}

#[test]
fn the_error_for_a_path_that_a_proxy_decoded_names_the_query() {
    let node = Node::start(&[]);
    for target in ["/u/a/b/poll", "/u/a/poll/poll", "/u/poll", "/poll"] {
        let refused = node.get(target);
        assert_eq!((refused.status, refused.error()), (404, "not-found".into()), "{target}");
        let reason = refused.json()["error"]["reason"].as_str().unwrap().to_owned();
        assert!(reason.contains("%2F") && reason.contains("/u/-/sse?user="), "{reason}");
    }
    let refused = node.api("POST", "/u/a/b/publish", "1");
    assert!(refused.json()["error"]["reason"].as_str().unwrap().contains("/u/-/"), "{}", refused.text());
}

#[test]
fn a_parameter_that_is_nearly_right_is_refused_and_what_is_foreign_passes() {
    let node = Node::start(&[]);
    let calls = ["poll", "longpoll", "jsonp", "sse", "stream", "frame", "htmlfile", "multipart", "ws"];
    for (wrong, right) in
        [("channel", "channels"), ("Channels", "channels"), ("sesion", "session"), ("tokn", "token")]
    {
        for call in calls {
            let refused = node.get(&format!("/u/alice/{call}?callback=f&{wrong}=/a"));
            let text = refused.text();
            assert!(
                text.contains("bad-query") && text.contains(wrong) && text.contains(right),
                "{call}: {text}"
            );
            assert!(refused.status == 400 || call == "jsonp", "{call}");
        }
        let refused = node.connect().ask("POST", &format!("/u/alice/send?{wrong}=x"), &[], b"{\"ping\":1}");
        assert_eq!((refused.status, refused.error()), (400, "bad-query".into()));
    }
    for target in ["/channels?prefx=/a", "/channels?Limit=1", "/channel?name=/c&limits=3"] {
        let refused = node.api("GET", target, "");
        assert_eq!((refused.status, refused.error()), (400, "bad-query".into()), "{target}");
    }
    let refused = node.connect().ask("GET", "/bayeux?jsonp=f&mesage=%5B%5D", &[], b"");
    let refused = refused.text();
    assert!(refused.contains("bad-query") && refused.contains("message"), "{refused}");
    for foreign in [
        "_=1",
        "t=1",
        "ts=1",
        "cb=1",
        "nocache=1",
        "rand=0.5",
        "1700000000",
        "utm_source=x",
        "EIO=4",
        "jsoncallback=f",
        "access_token=x",
        "lang=en",
        "version=2",
    ] {
        assert_eq!(node.get(&format!("/u/alice/poll?channels=/a&{foreign}")).status, 200, "{foreign}");
        assert_eq!(node.get(&format!("/bayeux?jsonp=f&message=%5B%5D&{foreign}")).status, 200, "{foreign}");
        assert_eq!(node.api("GET", &format!("/channels?{foreign}"), "").status, 200, "{foreign}");
    }
}
