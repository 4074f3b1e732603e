//! Connects: how long the server holds them, what ends a hold, their answers, and the lifetime of a
//! session.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Client, array, events, handshake, only, post, request, unknown};
use crate::client::Conn;
use crate::node::{Node, await_that};

const NOW: Duration = Duration::from_millis(60);

/// Sessions end half a second after the answer to their last connect.
const BRIEF: [(&str, &str); 2] = [("ENCKE_SESSION_GRACE", "500ms"), ("ENCKE_HEARTBEAT", "100ms")];

fn at_once() -> Value {
    json!({"advice": {"timeout": 0}})
}

#[test]
fn a_connect_is_held_as_long_as_its_client_wants_and_no_longer_than_the_server_does() {
    let node = Node::start(&[("ENCKE_POLL_HOLD", "1s")]);
    let mut client = Client::begin(&node, "/bayeux", &json!({}));
    for timeout in [json!(0), json!(50), json!(1e9), json!("soon"), json!(-1), json!(null), json!([0])] {
        let answers = client.connect(&json!({"advice": {"timeout": timeout}}));
        assert_eq!((answers.len(), &answers[0]["successful"]), (1, &json!(true)), "{timeout}");
    }
    for advice in [json!(null), json!(7), json!([]), json!("none")] {
        assert_eq!(client.connect(&json!({"advice": advice})).len(), 1);
    }
}

#[test]
fn an_answer_to_a_connect_has_all_advice_each_time_and_no_client_id_of_others() {
    let node = Node::start(&[("ENCKE_POLL_HOLD", "20s"), ("ENCKE_SESSION_GRACE", "40s")]);
    let mut client = Client::begin(&node, "/bayeux", &json!({}));
    for _ in 0..2 {
        let answers = client.connect(&at_once());
        let advice = json!({"reconnect": "retry", "interval": 0, "timeout": 20_000, "maxInterval": 40_000});
        assert_eq!(
            answers,
            [json!({"id": "7", "channel": "/meta/connect", "successful": true, "advice": advice})]
        );
    }
}

#[test]
fn what_a_connect_calls_its_type_does_not_matter() {
    let node = Node::start(&[]);
    let mut client = Client::begin(&node, "/bayeux", &json!({}));
    for kind in [json!("websocket"), json!("callback-polling"), json!("zork"), json!(7), json!(null)] {
        let answers = client.connect(&json!({"connectionType": kind, "advice": {"timeout": 0}}));
        assert_eq!(answers[0]["successful"], true, "{kind}");
    }
}

#[test]
fn an_id_is_repeated_as_it_is_and_left_out_where_there_was_none() {
    let node = Node::start(&[]);
    let mut client = Client::begin(&node, "/bayeux", &json!({}));
    for id in [json!("a-b.c/d"), json!("7"), json!(7), json!(-1.5), json!("")] {
        for channel in ["/meta/subscribe", "/meta/unsubscribe", "/c", "/service/x", "/meta/zork"] {
            let answer = client.ask(channel, &json!({"id": id, "subscription": "/c", "data": 1}));
            assert_eq!((&answer["id"], &answer["channel"]), (&id, &json!(channel)));
            assert!(answer["successful"].is_boolean() && answer.get("data").is_none(), "{answer}");
            assert_eq!(answer["successful"] == false, answer["error"].is_string(), "{answer}");
        }
        assert_eq!(client.connect(&json!({"id": id, "advice": {"timeout": 0}}))[0]["id"], id);
    }
    for id in [json!(null), json!([1]), json!({}), json!(true)] {
        assert!(client.ask("/c", &json!({"id": id, "data": 1})).get("id").is_none());
    }
}

#[test]
fn what_is_not_known_or_null_is_passed_over() {
    let node = Node::start(&[]);
    let mut client = Client::begin(&node, "/bayeux", &json!({}));
    let odd = json!({
        "zork": {"a": 1}, "timestamp": "yesterday", "ext": {"unknown": [1]}, "advice": null, "version": 7,
        "subscription": "/c", "data": null, "successful": true, "error": "e",
    });
    for channel in ["/meta/subscribe", "/c", "/meta/unsubscribe"] {
        assert_eq!(client.ask(channel, &odd)["successful"], true);
    }
    for ext in [json!(null), json!(7), json!([]), json!({"ack": {}, "timesync": 1, "token": 2})] {
        assert_eq!(client.ask("/c", &json!({"data": 1, "ext": ext}))["successful"], true);
    }
}

#[test]
fn what_came_between_handshake_and_first_connect_comes_with_it() {
    let node = Node::start(&[]);
    let mut client = Client::handshake(&node, "/u/alice/bayeux", &json!({}));
    assert_eq!(client.ask("/meta/subscribe", &json!({"subscription": "/c"}))["successful"], true);
    node.publish("/c", &json!(1));
    node.tell("alice", &json!(2));
    let data: Vec<_> =
        events(&client.connect(&json!({}))).iter().map(|event| event["data"].clone()).collect();
    assert_eq!(data, [json!(1), json!(2)]);
}

#[test]
fn a_second_handshake_makes_another_session_and_leaves_the_first() {
    let node = Node::start(&[]);
    let mut client = Client::begin(&node, "/u/alice/bayeux", &json!({}));
    let again = post(&mut client.others, "/u/alice/bayeux", &client.cookie, &handshake(&json!({})));
    assert!(again.head.header("set-cookie").is_none(), "the browser is known");
    assert_ne!(only(&again)["clientId"], json!(client.id));
    assert_eq!(client.connect(&at_once())[0]["successful"], true);
    assert_eq!(node.sessions("alice").len(), 2);
}

#[test]
fn no_event_comes_with_a_handshake_or_anything_but_a_connect() {
    let node = Node::start(&[]);
    let mut client = Client::begin(&node, "/u/alice/bayeux", &json!({}));
    node.tell("alice", &json!(1));
    only(&post(&mut client.others, "/u/alice/bayeux", &client.cookie, &handshake(&json!({}))));
    client.ask("/c", &json!({"data": 1}));
    client.ask("/meta/subscribe", &json!({"subscription": "/c"}));
    assert_eq!(client.connect(&json!({})).len(), 2);
}

#[test]
fn a_session_without_a_connect_ends_and_one_that_holds_one_does_not() {
    let node = Node::start(&BRIEF);
    let mut held = Client::begin(&node, "/u/held/bayeux", &json!({}));
    let mut gone = Client::begin(&node, "/u/gone/bayeux", &json!({}));
    held.request_connect(&json!({}));
    gone.ask("/meta/subscribe", &json!({"subscription": "/c"}));
    node.await_sessions("gone", <[Value]>::is_empty);
    unknown(&gone.connect(&json!({}))[0]);
    // It began earlier, and would have ended by now.
    node.tell("held", &json!("still there"));
    assert_eq!(held.connected()[0]["data"], "still there");
    // Its time runs from here.
    node.await_sessions("held", <[Value]>::is_empty);
    assert_eq!(node.metric("encke_sessions"), 0);
}

#[test]
fn the_interval_that_a_client_names_is_waited_for() {
    let node = Node::start(&BRIEF);
    let mut patient = Client::begin(&node, "/u/patient/bayeux", &json!({}));
    patient.connect(&json!({"advice": {"timeout": 0, "interval": 500}}));
    let _hasty = Client::begin(&node, "/u/hasty/bayeux", &json!({}));
    node.await_sessions("hasty", <[Value]>::is_empty);
    assert_eq!(node.sessions("patient").len(), 1, "it is older, and lives longer");
    node.await_sessions("patient", <[Value]>::is_empty);
}

#[test]
fn whatever_ends_a_hold_another_client_of_the_browser_may_hold_one_after_it() {
    let node = Node::start(&[("ENCKE_POLL_HOLD", "2s"), ("ENCKE_SESSION_GRACE", "30s")]);
    let mut first = Client::begin(&node, "/u/alice/bayeux", &json!({}));
    let mut second = node.connect();
    let answer = only(&post(&mut second, "/u/alice/bayeux", &first.cookie, &handshake(&json!({}))));
    let connect = json!({"channel": "/meta/connect", "clientId": answer["clientId"]});
    let quick = json!({"channel": "/meta/connect", "clientId": answer["clientId"], "advice": {"timeout": 0}});
    let cookie = first.cookie.clone();
    let is_crowded = |conn: &mut Conn| {
        let answer = only(&post(conn, "/u/alice/bayeux", &cookie, &quick));
        assert_eq!(answer["advice"]["reconnect"], "retry");
        answer["advice"]["multiple-clients"] == true
    };
    let attached = |node: &Node, count: usize| {
        let are = |sessions: &[Value]| sessions.iter().filter(|at| at["attached"] == true).count() == count;
        node.await_sessions("alice", are);
    };
    assert!(!is_crowded(&mut second));
    // An event.
    first.request_connect(&json!({}));
    attached(&node, 1);
    assert!(is_crowded(&mut second));
    node.tell("alice", &json!(1));
    assert_eq!(first.connected().len(), 2);
    assert_eq!(array(&post(&mut second, "/u/alice/bayeux", &cookie, &quick)).len(), 2, "it has its own");
    // The hold's end.
    first.request_connect(&json!({}));
    attached(&node, 1);
    assert!(is_crowded(&mut second));
    assert_eq!(first.connected().len(), 1);
    assert!(!is_crowded(&mut second));
    // The connection's end.
    first.request_connect(&json!({}));
    attached(&node, 1);
    first.connects = node.connect();
    await_that(|| (!is_crowded(&mut second)).then_some(()));
    // Another connect of its own.
    first.request_connect(&json!({}));
    attached(&node, 1);
    let quickly = first.message("/meta/connect", &at_once());
    only(&post(&mut first.others, "/u/alice/bayeux", &cookie, &quickly));
    assert_eq!(first.connected().len(), 1);
    assert!(!is_crowded(&mut second));
    // The session's end.
    first.request_connect(&json!({}));
    attached(&node, 1);
    first.ask("/meta/disconnect", &json!({}));
    assert_eq!(first.connected()[0]["advice"], json!({"reconnect": "none"}));
    request(&mut second, "/u/alice/bayeux", &cookie, &connect);
    second.assert_silent(NOW);
}

#[test]
fn a_connect_before_a_disconnect_in_one_batch_is_advised_not_to_reconnect() {
    let node = Node::start(&[("ENCKE_SHARDS", "2")]);
    let goodbye = |id: &Value| {
        json!([
            {"id": "1", "channel": "/meta/connect", "clientId": id, "connectionType": "long-polling"},
            {"id": "2", "channel": "/meta/disconnect", "clientId": id},
        ])
    };
    let is_over = |answers: &[Value]| {
        assert_eq!(answers.len(), 2, "{answers:?}");
        assert_eq!(
            (&answers[0]["id"], &answers[0]["successful"]),
            (&json!("1"), &json!(true)),
            "{answers:?}"
        );
        assert_eq!(answers[0]["advice"], json!({"reconnect": "none"}));
        assert_eq!((&answers[1]["id"], &answers[1]["successful"]), (&json!("2"), &json!(true)));
    };
    let mut client = Client::begin(&node, "/u/alice/bayeux", &json!({}));
    let batch = goodbye(&json!(client.id));
    is_over(&array(&post(&mut client.others, &client.path, &client.cookie, &batch)));
    let mut socket = crate::socket::Socket::open(&node, "/u/alice/bayeux");
    let id = socket.ask(&handshake(&json!({}))).json()[0]["clientId"].clone();
    is_over(socket.ask(&goodbye(&id)).json().as_array().unwrap());
    assert_eq!(node.sessions("alice").len(), 0);
}
