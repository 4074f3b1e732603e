//! Bayeux on the wire: every rule of the specification that clients may depend on.

mod carried;
mod channels;
mod client;
mod cookies;
mod crowds;
mod extended;
mod framed;
mod hooks;
mod order;
mod repeats;
mod rounds;
mod table;
mod to_session;

use std::time::Duration;

use serde_json::{Value, json};

use self::client::{Client, array, events, handshake, only, own, post, request, unknown};
use crate::client::Conn;
use crate::node::Node;
use crate::socket::{Socket, TEXT};
use crate::tokens::{SECRET, token};

#[test]
fn a_handshake_says_all_that_it_must() {
    let node = Node::start(&[]);
    for path in ["/bayeux", "/cometd", "/cometd/handshake", "/u/alice/bayeux", "/u/alice/bayeux/handshake/x"]
    {
        let response = post(&mut node.connect(), path, "", &handshake(&json!({"ack": true})));
        let answer = only(&response);
        assert_eq!(answer["id"], "h1");
        assert_eq!(answer["channel"], "/meta/handshake");
        assert_eq!((&answer["successful"], &answer["version"]), (&json!(true), &json!("1.0")));
        assert_eq!(
            answer["supportedConnectionTypes"],
            json!(["websocket", "long-polling", "cross-origin-long-polling", "callback-polling"])
        );
        assert_eq!(answer["ext"]["ack"], true);
        let advice = json!({"reconnect": "retry", "interval": 0, "timeout": 55_000, "maxInterval": 90_000});
        assert_eq!(answer["advice"], advice);
    }
    assert_eq!(node.sessions("alice").len(), 2);
}

#[test]
fn a_handshake_that_lacks_something_fails_without_a_session_and_says_what() {
    let node = Node::start(&[]);
    let mut conn = node.connect();
    for (member, value, error) in [
        ("version", Value::Null, "400:version:version_missing"),
        ("supportedConnectionTypes", Value::Null, "400:supportedConnectionTypes:connection_types_missing"),
        ("supportedConnectionTypes", json!(["flash"]), "301:"),
    ] {
        let mut message = handshake(&json!({}));
        message[member] = value;
        let answer = only(&post(&mut conn, "/bayeux", "", &message));
        assert_eq!(answer["successful"], false);
        assert!(answer["error"].as_str().unwrap().starts_with(error), "{answer}");
        assert!(answer.get("clientId").is_none() && answer.get("ext").is_none());
        assert_eq!((&answer["id"], &answer["advice"]["reconnect"]), (&json!("h1"), &json!("none")));
    }
    assert_eq!(node.metric("encke_sessions"), 0);
}

#[test]
fn what_comes_with_a_handshake_is_passed_over() {
    let node = Node::start(&[]);
    let both = json!([handshake(&json!({})), {"id": "2", "channel": "/c", "data": 1}]);
    assert_eq!(only(&post(&mut node.connect(), "/bayeux", "", &both))["id"], "h1");
}

#[test]
fn a_connect_is_held_until_something_comes() {
    let node = Node::start(&[]);
    let mut client = Client::begin(&node, "/cometd", &json!({}));
    let subscribed = client.ask("/meta/subscribe", &json!({"subscription": ["/chat/*", "/x"]}));
    assert_eq!(subscribed["subscription"], json!(["/chat/*", "/x"]));
    client.request_connect(&json!({"connectionType": "long-polling"}));
    client.connects.assert_silent(Duration::from_millis(100));
    node.publish("/chat/1", &json!({"b": 1.0, "a": null}));
    let answers = client.connected();
    assert_eq!((&own(&answers)["id"], &own(&answers)["channel"]), (&json!("7"), &json!("/meta/connect")));
    assert_eq!(own(&answers)["advice"]["reconnect"], "retry");
    assert_eq!(events(&answers), [json!({"channel": "/chat/1", "data": {"b": 1.0, "a": null}})]);
}

#[test]
fn a_publish_reaches_its_publisher_and_a_native_client_and_has_neither_id_nor_client_id() {
    let node = Node::start(&[]);
    let mut client = Client::begin(&node, "/u/bob/bayeux", &json!({}));
    let mut native = node.connect();
    native.request("GET", "/u/carol/stream?channels=/c", &[], b"");
    assert_eq!(native.head().status, 200);
    assert!(crate::client::lossy(&native.chunk().unwrap()).contains("\"open\""));
    client.ask("/meta/subscribe", &json!({"subscription": "/c"}));
    let answer = client.ask("/c", &json!({"data": {"text": "hi"}, "id": 12}));
    assert_eq!(answer, json!({"id": 12, "channel": "/c", "successful": true}));
    let answers = client.connect(&json!({}));
    assert_eq!(events(&answers)[0], json!({"channel": "/c", "data": {"text": "hi"}, "ext": {"from": "bob"}}));
    let envelope: Value = serde_json::from_slice(&native.chunk().unwrap()).unwrap();
    assert_eq!((&envelope["from"], &envelope["data"]["text"]), (&json!("bob"), &json!("hi")));
}

#[test]
fn overlapping_patterns_bring_an_event_once_and_none_after_they_are_left() {
    let node = Node::start(&[]);
    let mut client = Client::begin(&node, "/bayeux", &json!({}));
    client.ask("/meta/subscribe", &json!({"subscription": ["/a/*", "/a/**", "/**", "/a/b"]}));
    node.publish("/a/b", &json!(1));
    assert_eq!(client.connect(&json!({})).len(), 2);
    let left =
        client.ask("/meta/unsubscribe", &json!({"subscription": ["/a/*", "/a/**", "/**", "/a/b", "/never"]}));
    assert_eq!(left["successful"], true);
    node.publish("/a/b", &json!(2));
    assert_eq!(client.connect(&json!({"advice": {"timeout": 0}})).len(), 1);
}

#[test]
fn a_list_of_which_one_is_refused_changes_nothing() {
    let node = Node::start(&[]);
    let mut client = Client::begin(&node, "/bayeux", &json!({}));
    for (bad, code) in [("/meta/connect", "403"), ("a", "403"), ("/u/other", "403"), ("/x//y", "403")] {
        let list = json!(["/ok", bad]);
        let answer = client.ask("/meta/subscribe", &json!({"subscription": list}));
        assert_eq!((&answer["successful"], &answer["subscription"]), (&json!(false), &list));
        assert!(answer["error"].as_str().unwrap().starts_with(code), "{answer}");
    }
    for nothing in [json!({}), json!({"subscription": null}), json!({"subscription": []})] {
        assert_eq!(client.ask("/meta/subscribe", &nothing)["error"], "403::subscription_missing");
    }
    node.publish("/ok", &json!(1));
    assert_eq!(client.connect(&json!({"advice": {"timeout": 0}})).len(), 1);
}

#[test]
fn publishes_that_cannot_be_are_refused_by_name() {
    let node = Node::start(&[]);
    let mut client = Client::begin(&node, "/bayeux", &json!({}));
    for (channel, error) in [
        ("/c/*", "405:/c/*:"),
        ("c", "405:c:"),
        ("/meta/zork", "404:/meta/zork:"),
        ("?/c", "405:?/c:"),
        ("/service/x", "404::no_service_hook"),
    ] {
        let answer = client.ask(channel, &json!({"data": 1}));
        assert!(answer["error"].as_str().unwrap().starts_with(error), "{answer}");
        assert_eq!((&answer["id"], &answer["channel"]), (&json!("7"), &json!(channel)));
    }
    assert_eq!(client.ask("/c", &json!({}))["error"], "400:/c:data_missing");
    assert_eq!(client.ask("/c", &json!({"data": null}))["successful"], true);
}

#[test]
fn a_batch_is_carried_out_in_order_and_its_connect_is_not_held() {
    let node = Node::start(&[]);
    let mut client = Client::begin(&node, "/bayeux", &json!({}));
    let batch = json!([
        client.message("/meta/subscribe", &json!({"id": "1", "subscription": "/c"})),
        client.message("/meta/connect", &json!({"id": "2"})),
        client.message("/c", &json!({"id": "3", "data": 1})),
        client.message("/c", &json!({"id": "4", "data": 2})),
        {"id": "5"},
        7,
    ]);
    let answers = array(&post(&mut client.others, "/bayeux", &client.cookie, &batch));
    let ids: Vec<_> = answers.iter().map(|answer| answer["id"].as_str().unwrap_or("-")).collect();
    assert_eq!(ids, ["-", "-", "1", "3", "4", "5", "-", "2"]);
    assert_eq!((&answers[0]["data"], &answers[1]["data"]), (&json!(1), &json!(2)));
}

#[test]
fn a_second_connect_ends_the_first_without_events() {
    let node = Node::start(&[]);
    let mut client = Client::begin(&node, "/bayeux", &json!({}));
    client.request_connect(&json!({"id": "old"}));
    client.connects.assert_silent(Duration::from_millis(50));
    let mut second = node.connect();
    let message = client.message("/meta/connect", &json!({"id": "new"}));
    request(&mut second, "/bayeux", &client.cookie, &message);
    let first = client.connected();
    assert_eq!((first.len(), &first[0]["id"], &first[0]["successful"]), (1, &json!("old"), &json!(true)));
    client.ask("/meta/disconnect", &json!({}));
    let ended = array(&second.response());
    assert_eq!((&ended[0]["id"], &ended[0]["advice"]["reconnect"]), (&json!("new"), &json!("none")));
}

#[test]
fn a_client_that_left_during_a_held_connect_loses_nothing() {
    let node = Node::start(&[]);
    let mut client = Client::begin(&node, "/u/alice/bayeux", &json!({}));
    client.request_connect(&json!({}));
    client.connects.assert_silent(Duration::from_millis(50));
    client.connects = node.connect();
    node.await_sessions("alice", |sessions| sessions.len() == 1 && sessions[0]["attached"] == false);
    node.tell("alice", &json!("kept"));
    assert_eq!(client.connect(&json!({}))[0]["data"], "kept");
}

#[test]
fn what_was_not_acknowledged_comes_again_under_a_new_number() {
    let node = Node::start(&[]);
    let mut client = Client::handshake(&node, "/bayeux", &json!({"ack": true}));
    let ack = |answers: &[Value]| own(answers)["ext"]["ack"].as_u64().unwrap();
    let first = ack(&client.connect(&json!({"ext": {"ack": 0}})));
    client.ask("/meta/subscribe", &json!({"subscription": "/c"}));
    node.publish("/c", &json!(1));
    let lost = client.connect(&json!({"ext": {"ack": first}}));
    assert_eq!((lost.len(), ack(&lost)), (2, first + 1));
    node.publish("/c", &json!(2));
    let again = client.connect(&json!({"ext": {"ack": first}}));
    let data: Vec<_> = events(&again).iter().map(|event| event["data"].as_u64().unwrap()).collect();
    assert_eq!((data, ack(&again)), (vec![1, 2], first + 2));
    client.request_connect(&json!({"ext": {"ack": first + 2}}));
    client.connects.assert_silent(Duration::from_millis(50));
    node.publish("/c", &json!(3));
    assert_eq!(events(&client.connected())[0]["data"], 3);
}

#[test]
fn a_session_that_is_over_or_anothers_is_unknown() {
    let node = Node::start(&[]);
    let mut client = Client::begin(&node, "/bayeux", &json!({}));
    let message = client.message("/meta/connect", &json!({}));
    for cookie in ["", "BAYEUX_BROWSER=stolen"] {
        unknown(&only(&post(&mut node.connect(), "/bayeux", cookie, &message)));
    }
    unknown(&only(&post(&mut node.connect(), "/bayeux", "", &json!({"channel": "/meta/connect"}))));
    assert_eq!(client.ask("/meta/disconnect", &json!({}))["successful"], true);
    unknown(&client.ask("/meta/disconnect", &json!({})));
    unknown(&client.ask("/c", &json!({"data": 1})));
}

#[test]
fn a_client_without_cookies_is_trusted_where_that_is_configured() {
    let node = Node::start(&[("ENCKE_BAYEUX_TRUST", "1")]);
    let client = Client::begin(&node, "/bayeux", &json!({}));
    let message = client.message("/meta/connect", &json!({"advice": {"timeout": 0}}));
    assert_eq!(only(&post(&mut node.connect(), "/bayeux", "", &message))["successful"], true);
}

#[test]
fn a_second_client_of_a_browser_holds_no_connection() {
    let node = Node::start(&[]);
    let mut first = Client::begin(&node, "/u/alice/bayeux", &json!({}));
    let mut conn = node.connect();
    let answer = only(&post(&mut conn, "/u/alice/bayeux", &first.cookie, &handshake(&json!({}))));
    let second = json!({"channel": "/meta/connect", "clientId": answer["clientId"]});
    let cookie = first.cookie.clone();
    let connect = |conn: &mut Conn| only(&post(conn, "/u/alice/bayeux", &cookie, &second));
    connect(&mut conn);
    let message = first.message("/meta/connect", &json!({}));
    request(&mut first.connects, "/u/alice/bayeux", &cookie, &message);
    first.connects.assert_silent(Duration::from_millis(50));
    let advice = connect(&mut conn)["advice"].clone();
    assert_eq!((&advice["multiple-clients"], &advice["interval"]), (&json!(true), &json!(2000)));
    first.ask("/meta/disconnect", &json!({}));
    request(&mut conn, "/u/alice/bayeux", &first.cookie, &second);
    conn.assert_silent(Duration::from_millis(50));
}

#[test]
fn scripts_forms_and_bare_objects_are_understood() {
    let node = Node::start(&[("ENCKE_BAYEUX_TRUST", "1")]);
    let mut client = Client::begin(&node, "/bayeux", &json!({}));
    client.ask("/meta/subscribe", &json!({"subscription": "/c"}));
    node.publish("/c", &json!("</script>\u{2028}"));
    let message = client.message("/meta/connect", &json!({})).to_string().replace('"', "%22");
    let response = node.get(&format!("/bayeux?jsonp=_cometd.p_0&message={message}"));
    assert_eq!(response.head.header("content-type"), Some("text/javascript; charset=utf-8"));
    assert!(response.text().starts_with("/**/_cometd.p_0([{"), "{}", response.text());
    assert!(response.text().contains("\\u003c/script>\\u2028"), "{}", response.text());
    let message = |n: u8| client.message("/c", &json!({"id": n, "data": n})).to_string().replace('"', "%22");
    let body = format!("message={}&message=[{},{}]", message(1), message(2), message(3));
    // The second type is what Faye sends from a page of another origin.
    for content_type in ["application/x-www-form-urlencoded", "text/plain;charset=UTF-8"] {
        let form = [("Content-Type", content_type)];
        let answers = array(&node.connect().ask("POST", "/bayeux", &form, body.as_bytes()));
        assert_eq!(
            answers.iter().map(|answer| answer["id"].as_u64().unwrap()).collect::<Vec<_>>(),
            [1, 2, 3]
        );
    }
    for (target, status) in [("/bayeux?jsonp=a-b&message=[]", 400), ("/bayeux", 400)] {
        assert_eq!(node.get(target).status, status);
    }
    for (body, status) in [("zork", 400), ("[{]", 400), ("[]", 200)] {
        assert_eq!(node.connect().ask("POST", "/bayeux", &[], body.as_bytes()).status, status);
    }
    assert_eq!(node.connect().ask("PUT", "/bayeux", &[], b"[]").status, 405);
}

#[test]
fn events_go_down_a_socket_beside_the_connect_that_it_holds() {
    let node = Node::start(&[]);
    let mut socket = Socket::open(&node, "/cometd");
    let answer = socket.ask(&json!([handshake(&json!({}))])).json()[0].clone();
    let id = answer["clientId"].clone();
    let ask = |socket: &mut Socket, channel: &str, more: Value| {
        let mut message = json!({"id": "9", "channel": channel, "clientId": id});
        message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        socket.ask(&json!([message]));
    };
    ask(&mut socket, "/meta/connect", json!({}));
    assert_eq!(socket.json()[0]["successful"], true);
    ask(&mut socket, "/meta/connect", json!({"id": "held"}));
    ask(&mut socket, "/meta/subscribe", json!({"subscription": "/c"}));
    assert_eq!(socket.json()[0]["subscription"], "/c");
    node.publish("/c", &json!([1]));
    assert_eq!(socket.json(), json!([{"channel": "/c", "data": [1]}]));
    socket.send(TEXT, b" [ ] ");
    assert_eq!(socket.json(), json!([]));
    ask(&mut socket, "/meta/disconnect", json!({}));
    let (held, ended) = (socket.json(), socket.json());
    assert_eq!((&held[0]["id"], &held[0]["advice"]["reconnect"]), (&json!("held"), &json!("none")));
    assert_eq!(ended[0]["successful"], true);
    ask(&mut socket, "/meta/connect", json!({}));
    unknown(&socket.json()[0]);
}

#[test]
fn on_a_socket_too_events_come_with_connects_where_they_are_acknowledged() {
    let node = Node::start(&[]);
    let mut socket = Socket::open(&node, "/cometd");
    let answer = socket.ask(&handshake(&json!({"ack": true}))).json()[0].clone();
    let message = |channel: &str, ack: u64| json!({"id": "9", "channel": channel, "clientId": answer["clientId"], "subscription": "/c", "ext": {"ack": ack}});
    assert_eq!(socket.ask(&message("/meta/connect", 0)).json()[0]["ext"]["ack"], 1);
    socket.ask(&message("/meta/connect", 1));
    assert_eq!(socket.ask(&message("/meta/subscribe", 1)).json()[0]["successful"], true);
    node.publish("/c", &json!(1));
    let answers = socket.json();
    assert_eq!((&answers[0]["ext"]["ack"], &answers[1]["data"]), (&json!(2), &json!(1)));
    // The answer is lost with the socket; the next socket sends the same cookie.
    let cookie = socket.head.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    drop(socket);
    node.publish("/c", &json!(2));
    let mut again = Socket::open_with(&node, "/cometd", &[("Cookie", &cookie)]);
    let answers = again.ask(&message("/meta/connect", 1)).json();
    assert_eq!((&answers[0]["ext"]["ack"], &answers[0]["successful"]), (&json!(3), &json!(true)));
    assert_eq!((&answers[1]["data"], &answers[2]["data"]), (&json!(1), &json!(2)));
}

#[test]
fn a_session_moves_between_polls_and_sockets_whatever_shard_they_come_in_at() {
    let node = Node::start(&[("ENCKE_SHARDS", "4"), ("ENCKE_BAYEUX_TRUST", "1")]);
    for _ in 0..8 {
        let mut client = Client::begin(&node, "/bayeux", &json!({}));
        client.ask("/meta/subscribe", &json!({"subscription": "/c"}));
        let mut socket = Socket::open(&node, "/bayeux");
        socket.ask(&client.message("/meta/connect", &json!({"id": "1", "advice": {"timeout": 0}})));
        assert_eq!(socket.json()[0]["successful"], true);
        client.request_connect(&json!({}));
        client.connects.assert_silent(Duration::from_millis(20));
        node.publish("/c", &json!("moved"));
        assert_eq!(client.connected()[0]["data"], "moved");
        client.ask("/meta/disconnect", &json!({}));
    }
}

#[test]
fn a_token_decides_who_may_handshake_and_for_what() {
    let node = Node::start(&[("ENCKE_TOKEN_KEY", SECRET)]);
    let denied = only(&post(&mut node.connect(), "/bayeux", "", &handshake(&json!({}))));
    assert!(denied["error"].as_str().unwrap().starts_with("403::handshake_denied"), "{denied}");
    assert_eq!(denied["advice"]["reconnect"], "none");
    let alice = token(&json!({"sub": "alice", "channels": {"/r": "r", "/w": "w"}}));
    let mut client = Client::begin(&node, "/bayeux", &json!({"token": alice}));
    assert_eq!(node.sessions("alice").len(), 1);
    assert_eq!(client.ask("/meta/subscribe", &json!({"subscription": "/r"}))["successful"], true);
    assert_eq!(
        client.ask("/meta/subscribe", &json!({"subscription": "/w"}))["error"],
        "403:/w:subscribe_denied"
    );
    assert_eq!(client.ask("/w", &json!({"data": 1}))["successful"], true);
    assert_eq!(client.ask("/r", &json!({"data": 1}))["error"], "403:/r:publish_denied");
    let bob = only(&post(&mut node.connect(), "/u/bob/bayeux", "", &handshake(&json!({"token": alice}))));
    assert!(bob["error"].as_str().unwrap().starts_with("403::handshake_denied"), "{bob}");
    // A client with the token needs no cookie.
    let message =
        client.message("/meta/connect", &json!({"advice": {"timeout": 0}, "ext": {"token": alice}}));
    assert_eq!(only(&post(&mut node.connect(), "/bayeux", "", &message))["successful"], true);
}

#[test]
fn lists_and_depths_have_bounds() {
    let node = Node::start(&[("ENCKE_BATCH", "3"), ("ENCKE_SUBSCRIPTIONS", "2"), ("ENCKE_JSON_DEPTH", "4")]);
    let mut client = Client::begin(&node, "/bayeux", &json!({}));
    let four = json!([{}, {}, {}, {}]);
    assert_eq!(post(&mut client.others, "/bayeux", "", &four).status, 413);
    let deep = client.message("/c", &json!({"data": [[[[[[1]]]]]]}));
    assert_eq!(post(&mut client.others, "/bayeux", "", &deep).status, 400);
    let many = client.ask("/meta/subscribe", &json!({"subscription": ["/a", "/b", "/c"]}));
    assert!(many["error"].as_str().unwrap().starts_with("413:"), "{many}");
    client.ask("/meta/subscribe", &json!({"subscription": "/a"}));
    let one_more = client.ask("/meta/subscribe", &json!({"subscription": ["/b", "/c"]}));
    assert!(one_more["error"].as_str().unwrap().starts_with("429:"), "{one_more}");
    node.publish("/b", &json!(1));
    assert_eq!(client.connect(&json!({"advice": {"timeout": 0}})).len(), 1);
}
