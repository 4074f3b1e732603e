//! The private listener: single publishes and batches, sessions, channels, and the operators'
//! queries.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::client::Conn;
use crate::down::Down;
use crate::node::Node;

#[test]
fn a_publish_says_how_many_sessions_it_reached() {
    let node = Node::start(&[]);
    assert_eq!(node.api("POST", "/u/alice/publish", "1").json()["sessions"], 0);
    let mut first = Down::open(&node, "/u/alice/sse");
    first.opened();
    assert_eq!(node.api("POST", "/u/alice/publish", "2").json()["sessions"], 1);
    let mut second = Down::open(&node, "/u/alice/stream");
    second.opened();
    assert_eq!(node.api("POST", "/u/alice/publish", "3").json()["sessions"], 2);
    assert_eq!([first.data(), first.data(), second.data()], [2, 3, 3]);
    let by_user = json!({"user": "alice", "data": 4}).to_string();
    assert_eq!(node.api("POST", "/publish", &by_user).json()["sessions"], 2);
    assert_eq!([first.data(), second.data()], [4, 4]);
}

#[test]
fn a_user_nobody_has_ever_seen_can_be_published_to() {
    let node = Node::start(&[("ENCKE_SHARDS", "4")]);
    for n in 0..8 {
        let answer = node.api("POST", &format!("/u/nobody{n}/publish"), "{}");
        assert_eq!((answer.status, &answer.json()["sessions"]), (200, &json!(0)));
        assert_eq!(node.sessions(&format!("nobody{n}")).len(), 0);
    }
}

/// Ten messages whose homes are spread over the shards; the sixth is invalid.
fn batch() -> Vec<Value> {
    let mut items: Vec<Value> =
        (0..10).map(|n| json!({"channel": format!("/batch/{n}"), "data": n})).collect();
    items[5] = json!({"channel": "batch", "data": 5});
    items
}

fn assert_batch(answers: &[Value], down: &mut Down) {
    assert_eq!(answers.len(), 10);
    for (n, answer) in answers.iter().enumerate() {
        if n == 5 {
            assert_eq!(answer["error"]["code"], "bad-channel");
        } else {
            assert!(answer["id"].is_string(), "{answer}");
        }
    }
    let mut received: Vec<_> = (0..9).map(|_| down.data().as_u64().unwrap()).collect();
    received.sort_unstable();
    assert_eq!(received, [0, 1, 2, 3, 4, 6, 7, 8, 9]);
}

#[test]
fn an_array_is_answered_item_by_item_and_an_invalid_one_is_refused_alone() {
    let node = Node::start(&[("ENCKE_SHARDS", "4")]);
    let mut down = Down::open(&node, "/u/alice/stream?channels=/batch/*");
    down.opened();
    let answer = node.api("POST", "/publish", &Value::from(batch()).to_string());
    assert_eq!(answer.status, 200);
    assert_batch(answer.json().as_array().unwrap(), &mut down);
    assert_eq!(node.api("POST", "/publish", "[]").json(), json!([]));
}

#[test]
fn lines_are_answered_line_by_line() {
    let node = Node::start(&[("ENCKE_SHARDS", "4")]);
    let mut down = Down::open(&node, "/u/alice/stream?channels=/batch/*");
    down.opened();
    let lines: Vec<String> = batch().iter().map(Value::to_string).collect();
    let body = format!("{}\n\r\n", lines.join("\n"));
    let headers = [("Content-Type", "application/x-ndjson")];
    let answer = node.connect_api().ask("POST", "/publish", &headers, body.as_bytes());
    assert_eq!(answer.status, 200);
    let answers: Vec<Value> =
        answer.text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_batch(&answers, &mut down);
}

#[test]
fn an_invalid_line_is_refused_alone() {
    let node = Node::start(&[]);
    let body = "{\"user\":\"a\",\"data\":1}\n{\"user\":\n{\"user\":\"a\",\"data\":3}";
    let headers = [("Content-Type", "application/x-ndjson")];
    let answer = node.connect_api().ask("POST", "/publish", &headers, body.as_bytes());
    let answers: Vec<Value> =
        answer.text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(answers[0]["id"].is_string() && answers[2]["id"].is_string(), "{answers:?}");
    assert_eq!(answers[1]["error"]["code"], "bad-json");
}

#[test]
fn a_message_that_makes_no_sense_is_refused_with_what_would() {
    let node = Node::start(&[]);
    let mut api = node.connect_api();
    let cases = [
        ("/publish", r#"{"data":1}"#, 400, "bad-message"),
        ("/publish", r#"{"channel":"/a","user":"b","data":1}"#, 400, "bad-message"),
        ("/publish", r#"{"channel":"/a"}"#, 400, "bad-message"),
        ("/publish", r#"{"channel":"/a","data":1,"ttl":5}"#, 400, "bad-message"),
        ("/publish", r#"{"user":"","data":1}"#, 400, ""),
        ("/publish", "7", 400, "bad-message"),
        ("/publish", "", 400, "bad-json"),
        ("/u/alice/publish", "", 400, "bad-json"),
        ("/u/alice/publish", "nope", 400, "bad-json"),
        ("/u/alice/publish", "1 2", 400, "bad-json"),
    ];
    for (target, body, status, code) in cases {
        let answer = api.ask("POST", target, &[], body.as_bytes());
        let found = answer.error();
        assert_eq!(answer.status, status, "{body}");
        assert!(code.is_empty() || found == code, "{body}: {found}");
    }
    let text = [("Content-Type", "text/plain")];
    assert_eq!(api.ask("POST", "/publish", &text, b"hello").status, 415);
}

#[test]
fn a_users_sessions_are_shown_and_ended() {
    let node = Node::start(&[]);
    let mut down = Down::open(&node, "/u/alice/sse?channels=/chat/a,/chat/*");
    down.opened();
    let parked = node.get("/u/alice/longpoll").header("encke-session").unwrap().to_owned();
    let mut conn = node.connect();
    conn.request("GET", &format!("/u/alice/longpoll?session={parked}"), &[], b"");
    let sessions = node.await_sessions("alice", |all| all.iter().all(|one| one["attached"] == true));
    assert_eq!(sessions.len(), 2);
    let of = |id: &str| sessions.iter().find(|one| one["session"] == id).unwrap();
    let streaming = of(&down.session());
    assert_eq!(streaming["transport"], "sse");
    assert_eq!(streaming["peer"], down.conn.local.unwrap().to_string());
    let mut channels: Vec<_> =
        streaming["channels"].as_array().unwrap().iter().map(Value::to_string).collect();
    channels.sort();
    assert_eq!(channels, ["\"/chat/*\"", "\"/chat/a\"", "\"/u/alice\""]);
    assert_eq!(of(&parked)["transport"], "longpoll");
    assert_eq!(node.api("DELETE", "/u/alice", "").json(), json!({"ended": 2}));
    assert_eq!(down.closed(), json!({"code": "ended", "reconnect": false, "after": 0}));
    assert_eq!(conn.response().envelopes()[0]["close"]["code"], "ended");
    assert_eq!(node.sessions("alice").len(), 0);
    assert_eq!(node.api("DELETE", "/u/alice", "").json(), json!({"ended": 0}));
}

#[test]
fn channels_are_listed_and_one_is_shown() {
    let node = Node::start(&[("ENCKE_SHARDS", "4")]);
    let users = ["alice", "bob", "carol", "dave"];
    let mut downs: Vec<Down> =
        users.iter().map(|user| Down::open(&node, &format!("/u/{user}/sse?channels=/chat/room1"))).collect();
    for down in &mut downs {
        down.opened();
    }
    for n in 0..3 {
        node.publish("/chat/room1", &json!(n));
        node.publish(&format!("/other/{n}"), &json!(n));
    }
    let one = node.api("GET", "/channel?name=/chat/room1", "").json();
    assert_eq!(one["subscribers"], 4, "{one}");
    let mut shown: Vec<_> = one["users"].as_array().unwrap().clone();
    shown.sort_by_key(Value::to_string);
    assert_eq!(shown, users);
    let data: Vec<_> = one["messages"].as_array().unwrap().iter().map(|message| &message["data"]).collect();
    assert_eq!(data, [0, 1, 2]);
    let list = node.api("GET", "/channels?prefix=/other", "").json();
    let names: Vec<_> = list["channels"].as_array().unwrap().iter().map(|one| &one["channel"]).collect();
    assert_eq!(names, ["/other/0", "/other/1", "/other/2"]);
    let list = node.api("GET", "/channels?limit=1&prefix=/chat", "").json();
    assert_eq!(
        list["channels"],
        json!([{"channel": "/chat/room1", "subscribers": 4, "messages": 3, "bytes": list["channels"][0]["bytes"]}])
    );
    assert_eq!(node.api("GET", "/channels?limit=2", "").json()["more"], true);
    for limit in ["0", "x", "-1", "10001"] {
        assert_eq!(node.api("GET", &format!("/channels?limit={limit}"), "").status, 400);
    }
    assert_eq!(node.api("GET", "/channel", "").error(), "no-channel");
    assert_eq!(node.api("GET", "/channel?name=/nobody/home", "").json()["subscribers"], 0);
}

/// The samples of an exposition page, each of which must be well-formed and belong to a declared
/// metric.
fn samples(text: &str) -> BTreeMap<String, i64> {
    let (mut types, mut samples) = (BTreeMap::new(), BTreeMap::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} is declared twice");
        } else if !line.starts_with("# HELP ") {
            let (name, value) = line.rsplit_once(' ').expect("a sample");
            let bare = name.split('{').next().unwrap();
            assert_eq!(name.contains('{'), name.ends_with("\"}"), "{line}");
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| bare.strip_suffix(end));
            let kind = types
                .get(bare)
                .or_else(|| types.get(family?))
                .unwrap_or_else(|| panic!("undeclared: {line}"));
            assert_eq!(kind == "counter", bare.ends_with("_total"), "{line}");
            let value: f64 = value.parse().expect("a number");
            assert!(samples.insert(name.to_owned(), value as i64).is_none(), "{name} stands twice");
        }
    }
    assert!(text.ends_with('\n'));
    samples
}

#[test]
fn metrics_are_well_formed_and_move() {
    let node = Node::start(&[("ENCKE_SHARDS", "1")]);
    let page = |node: &Node| {
        let page = node.api("GET", "/metrics", "");
        assert_eq!(page.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
        samples(page.text())
    };
    let before = page(&node);
    let mut down = Down::open(&node, "/u/alice/sse?channels=/chat/a");
    down.opened();
    for n in 0..3 {
        node.publish("/chat/a", &json!(n));
        assert_eq!(down.data(), n);
    }
    node.get("/nope");
    let after = page(&node);
    let moved = |name: &str| after[name] - before.get(name).copied().unwrap_or(0);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(after[&format!("encke_info{{version=\"{version}\"}}")], 1);
    assert_eq!(after["encke_connections{door=\"public\"}"], 1);
    assert_eq!(after["encke_responses{transport=\"sse\"}"], 1);
    assert_eq!(moved("encke_responses_total{transport=\"sse\"}"), 1);
    assert_eq!(moved("encke_sessions"), 1);
    assert_eq!(moved("encke_channels"), 2);
    assert_eq!(moved("encke_messages_in_total"), 3);
    assert_eq!(moved("encke_messages_out_total"), 3);
    assert_eq!(moved("encke_refusals_total{cause=\"not-found\"}"), 1);
    assert_eq!(moved("encke_log_messages"), 3);
    for name in
        ["encke_log_bytes", "encke_bytes_total{direction=\"in\"}", "encke_bytes_total{direction=\"out\"}"]
    {
        assert!(moved(name) > 0, "{name}");
    }
    let buckets: Vec<u64> =
        page_buckets(&node).iter().map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect();
    assert!(buckets.is_sorted() && *buckets.last().unwrap() > 0, "{buckets:?}");
    drop(down);
    node.await_sessions("alice", |all| all[0]["attached"] == false);
    let last = page(&node);
    assert_eq!(last["encke_responses{transport=\"sse\"}"], 0);
    assert_eq!(last["encke_connections{door=\"public\"}"], 0);
}

fn page_buckets(node: &Node) -> Vec<String> {
    let page = node.api("GET", "/metrics", "");
    let lines = page.text().lines().filter(|line| line.starts_with("encke_turn_seconds_bucket{"));
    lines.map(str::to_owned).collect()
}

#[test]
fn health_and_readiness_are_answered_on_both_listeners() {
    let node = Node::start(&[("ENCKE_API_KEY", KEY)]);
    assert_eq!(node.get("/health").json(), json!({"status": "ok"}));
    // Without the key, because a health check has none.
    assert_eq!(node.api("GET", "/health", "").status, 200);
    let ready = node.api("GET", "/ready", "");
    assert_eq!((ready.status, &ready.json()["ready"]), (200, &json!(true)));
}

const KEY: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn the_api_key_is_asked_for_once_it_is_set() {
    let node = Node::start(&[("ENCKE_API_KEY", KEY)]);
    let bearer = format!("Bearer {KEY}");
    let calls = [
        ("POST", "/u/alice/publish"),
        ("POST", "/publish"),
        ("GET", "/metrics"),
        ("GET", "/channels"),
        ("DELETE", "/u/alice"),
        ("GET", "/u/alice"),
    ];
    let mut api: Conn = node.connect_api();
    for (method, target) in calls {
        let body = if method == "POST" { &b"{\"user\":\"a\",\"data\":1}"[..] } else { b"" };
        let refused = api.ask(method, target, &[], body);
        assert_eq!((refused.status, refused.error()), (401, "no-api-key".into()), "{target}");
        assert_eq!(refused.header("www-authenticate"), Some("Bearer realm=\"encke-api\""));
        let refused = api.ask(method, target, &[("Authorization", "Bearer wrong")], body);
        assert_eq!((refused.status, refused.error()), (401, "bad-api-key".into()), "{target}");
        assert!(refused.header("www-authenticate").unwrap().contains("invalid_token"));
        assert_eq!(api.ask(method, target, &[("Authorization", &bearer)], body).status, 200, "{target}");
        assert_eq!(api.ask(method, target, &[("X-Api-Key", KEY)], body).status, 200, "{target}");
    }
}

#[test]
fn the_api_may_be_on_a_unix_socket() {
    let path = std::env::temp_dir().join(format!("encke-test-{}.sock", std::process::id()));
    let listen = format!("unix:{}", path.display());
    // A stale socket file is replaced.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let mut node = Node::start(&[("ENCKE_API_LISTEN", &listen), ("ENCKE_DRAIN", "500ms")]);
    assert_eq!(node.api, listen);
    let mut down = Down::open(&node, "/u/alice/sse");
    down.opened();
    let mut api = node.connect_api();
    for n in 0..3 {
        let answer = api.ask("POST", "/u/alice/publish", &[], n.to_string().as_bytes());
        assert_eq!(answer.json()["sessions"], 1);
        assert_eq!(down.data(), n);
    }
    node.signal("TERM");
    assert!(node.exit().success());
    assert!(!path.exists(), "the socket's file is taken away");
}

#[test]
fn the_public_listener_has_nothing_of_the_private_one() {
    let node = Node::start(&[]);
    let mut conn = node.connect();
    for target in
        ["/metrics", "/ready", "/channels", "/channel?name=/a", "/publish", "/u/alice", "/u/alice/publish"]
    {
        assert_eq!(conn.ask("GET", target, &[], b"").status, 404, "{target}");
        assert_eq!(conn.ask("POST", target, &[], b"{\"user\":\"a\",\"data\":1}").status, 404, "{target}");
        assert_eq!(conn.ask("DELETE", target, &[], b"").status, 404, "{target}");
    }
    for target in ["/u/alice/sse", "/u/alice/send", "/start.js"] {
        assert_eq!(node.api("GET", target, "").status, 404, "{target}");
    }
}
