//! Channels across shards: all subscribers see one order, and messages published after a
//! subscription arrive.

use serde_json::{Value, json};

use crate::down::Down;
use crate::node::Node;

const USERS: [&str; 8] = ["alice", "bob", "carol", "dave", "eve", "frank", "grace", "heidi"];

#[test]
fn all_subscribers_of_a_channel_see_one_order() {
    let node = Node::start(&[("ENCKE_SHARDS", "4")]);
    let mut downs: Vec<Down> = USERS
        .iter()
        .map(|user| Down::open(&node, &format!("/u/{user}/stream?channels=/chat/room1,/chat/*")))
        .collect();
    for down in &mut downs {
        down.opened();
    }
    let mut publishers: Vec<_> = (0..3).map(|_| node.connect_api()).collect();
    for n in 0..20 {
        for (of, conn) in publishers.iter_mut().enumerate() {
            let body = json!({"channel": "/chat/room1", "data": [of, n]}).to_string();
            conn.request("POST", "/publish", &[], body.as_bytes());
        }
    }
    for conn in &mut publishers {
        for _ in 0..20 {
            assert_eq!(conn.response().status, 200);
        }
    }
    let orders: Vec<Vec<Value>> =
        downs.iter_mut().map(|down| (0..60).map(|_| down.data()).collect()).collect();
    for order in &orders {
        assert_eq!(*order, orders[0]);
        for of in 0..3 {
            let own: Vec<_> = order.iter().filter(|data| data[0] == of).map(|data| data[1].clone()).collect();
            assert_eq!(own, (0..20).map(|n| json!(n)).collect::<Vec<_>>());
        }
    }
}

#[test]
fn what_is_published_after_the_answer_to_subscribe_arrives() {
    let node = Node::start(&[("ENCKE_SHARDS", "4")]);
    for round in 0..5 {
        for user in USERS {
            let mut down = Down::open(&node, &format!("/u/{user}/stream"));
            down.opened();
            let channel = format!("/round/{round}/{user}");
            node.send(user, &down.session(), &json!({"subscribe": channel}));
            node.publish(&channel, &json!(round));
            assert_eq!(down.data(), round);
            let pattern = format!("/other/{user}/**");
            node.send(user, &down.session(), &json!([{"subscribe": pattern}, {"unsubscribe": channel}]));
            node.publish(&channel, &json!("not wanted any more"));
            node.publish(&format!("/other/{user}/a/b"), &json!("deep"));
            assert_eq!(down.data(), "deep");
        }
    }
}

#[test]
fn what_is_published_after_open_arrives() {
    let node = Node::start(&[("ENCKE_SHARDS", "4")]);
    for (n, user) in USERS.iter().enumerate() {
        let mut down = Down::open(&node, &format!("/u/{user}/sse?channels=/news/{n},/wide/**"));
        down.opened();
        node.publish(&format!("/news/{n}"), &json!(n));
        assert_eq!(down.data(), n);
        node.publish(&format!("/wide/{n}/x"), &json!(n));
        assert_eq!(down.data(), n);
    }
}

#[test]
fn a_pattern_matches_as_many_segments_as_it_says() {
    let node = Node::start(&[]);
    let mut one = Down::open(&node, "/u/alice/stream?channels=/chat/*");
    let mut deep = Down::open(&node, "/u/bob/stream?channels=/chat/**");
    one.opened();
    deep.opened();
    for channel in ["/chat", "/chat/a/b", "/chatter/a", "/chat/a", "/chat/b/c/d", "/chat/z"] {
        node.publish(channel, &json!(channel));
    }
    assert_eq!([one.data(), one.data()], ["/chat/a", "/chat/z"]);
    let mut all: Vec<_> = (0..4).map(|_| deep.data().as_str().unwrap().to_owned()).collect();
    all.sort();
    assert_eq!(all, ["/chat/a", "/chat/a/b", "/chat/b/c/d", "/chat/z"]);
}

#[test]
fn a_personal_channel_is_nobody_elses() {
    let node = Node::start(&[]);
    for query in ["channels=/u/alice", "channels=/u/*", "channels=/u/**"] {
        let refused = node.get(&format!("/u/bob/poll?{query}"));
        assert_eq!(refused.status, 403, "{query}: {:?}", String::from_utf8_lossy(&refused.body));
    }
    let mut bob = Down::open(&node, "/u/bob/sse?channels=/**");
    let open = bob.opened();
    let session = open["session"].as_str().unwrap();
    let answers = node.send("bob", session, &json!([{"subscribe": "/u/alice"}, {"subscribe": "/u/*"}]));
    assert_eq!(answers[0]["error"]["code"], "forbidden", "{answers}");
    assert_eq!(answers[1]["error"]["code"], "forbidden", "{answers}");
    node.tell("alice", &json!("secret"));
    node.publish("/open/a", &json!("for all"));
    assert_eq!(bob.data(), "for all");
    for reserved in ["/meta/x", "/service/x", "/meta/**"] {
        assert_eq!(node.get(&format!("/u/bob/poll?channels={reserved}")).status, 403, "{reserved}");
        let body = json!({"channel": reserved, "data": 1}).to_string();
        assert!([400, 403].contains(&node.api("POST", "/publish", &body).status), "{reserved}");
    }
}

#[test]
fn bad_names_are_refused_with_what_is_allowed() {
    let node = Node::start(&[]);
    let long = format!("/{}", "a".repeat(255));
    let deep = "/a".repeat(17);
    let names = [
        "chat", "/", "//", "/a//b", "/a/", "/a/*/b", "/**/a", "/a*", "/a%20b", "/a%3Fb", "/%C3%A9", &long,
        &deep,
    ];
    let mut conn = node.connect();
    for name in names {
        let refused = conn.ask("GET", &format!("/u/alice/poll?channels={name}"), &[], b"");
        assert_eq!((refused.status, refused.error()), (400, "bad-channel".into()), "{name}");
    }
    let mut api = node.connect_api();
    for name in ["chat", "", "/", "/a//b", "/a/*/b", "/a b", "/é", "/a\u{0}", &long, &deep, "/chat/*"] {
        let body = json!({"channel": name, "data": 1}).to_string();
        let refused = api.ask("POST", "/publish", &[], body.as_bytes());
        assert_eq!((refused.status, refused.error()), (400, "bad-channel".into()), "{name}");
        assert_eq!(api.ask("GET", "/channel?name=%2Fok", &[], b"").status, 200);
    }
}
