//! The extensions: acknowledgement and clocks.

use serde_json::{Value, json};

use super::{Client, array, events, own, post, unknown};
use crate::node::Node;
use crate::socket::Socket;

fn ack(answers: &[Value]) -> u64 {
    own(answers)["ext"]["ack"].as_u64().expect("the number of a batch")
}

fn data(answers: &[Value]) -> Vec<u64> {
    events(answers).iter().map(|event| event["data"].as_u64().expect("a number")).collect()
}

fn at_once(seen: Option<u64>) -> Value {
    match seen {
        Some(seen) => json!({"advice": {"timeout": 0}, "ext": {"ack": seen}}),
        None => json!({"advice": {"timeout": 0}}),
    }
}

#[test]
fn a_client_that_did_not_request_numbers_gets_none() {
    let node = Node::start(&[]);
    for ext in [json!({}), json!({"ack": false}), json!({"ack": null}), json!(null)] {
        let mut client = Client::handshake(&node, "/bayeux", &ext);
        assert!(client.connect(&at_once(Some(0)))[0].get("ext").is_none());
    }
    for ext in [json!({"ack": true}), json!({"ack": {"enabled": true}})] {
        let mut client = Client::handshake(&node, "/bayeux", &ext);
        assert_eq!(ack(&client.connect(&at_once(Some(0)))), 1, "each session begins anew");
    }
}

#[test]
fn numbers_grow_and_what_is_not_acknowledged_comes_again_at_once_before_what_is_new() {
    let node = Node::start(&[]);
    let mut client = Client::handshake(&node, "/bayeux", &json!({"ack": true}));
    client.ask("/meta/subscribe", &json!({"subscription": "/c"}));
    let first = ack(&client.connect(&at_once(Some(0))));
    for n in 1..=3 {
        node.publish("/c", &json!(n));
        // Without advice: if no event were owed, this connect would be held.
        let answers = client.connect(&json!({"ext": {"ack": first}}));
        assert_eq!(data(&answers), (1..=n).collect::<Vec<_>>());
        assert_eq!(ack(&answers), first + n);
    }
    // A connect without a number acknowledges nothing, and no event is repeated.
    assert!(data(&client.connect(&at_once(None))).is_empty());
    assert_eq!(data(&client.connect(&at_once(Some(first)))), [1, 2, 3]);
    // A number in the future counts as the newest.
    assert!(data(&client.connect(&at_once(Some(1_000_000)))).is_empty());
    node.publish("/c", &json!(4));
    assert_eq!(data(&client.connect(&at_once(Some(1_000_000)))), [4]);
}

/// A connect that its client has given up may arrive after its successor, and may arrive twice.
#[test]
fn a_connect_with_an_old_number_takes_nothing_back_and_loses_nothing() {
    let node = Node::start(&[]);
    let mut client = Client::handshake(&node, "/bayeux", &json!({"ack": true}));
    client.ask("/meta/subscribe", &json!({"subscription": "/c"}));
    let first = ack(&client.connect(&at_once(Some(0))));
    node.publish("/c", &json!(1));
    let seen = client.connect(&at_once(Some(first)));
    assert_eq!(data(&seen), [1]);
    // The client does not read the answers to these two.
    client.connect(&at_once(Some(first)));
    client.connect(&at_once(Some(0)));
    assert!(data(&client.connect(&at_once(Some(ack(&seen))))).is_empty());
    node.publish("/c", &json!(2));
    client.connect(&at_once(Some(first)));
    client.connect(&at_once(Some(0)));
    assert_eq!(data(&client.connect(&at_once(Some(ack(&seen))))), [2]);
}

/// The same with connects on a socket.
#[test]
fn on_a_socket_too_an_old_number_takes_nothing_back() {
    let node = Node::start(&[("ENCKE_BAYEUX_TRUST", "1")]);
    let mut client = Client::handshake(&node, "/bayeux", &json!({"ack": true}));
    client.ask("/meta/subscribe", &json!({"subscription": "/c"}));
    let first = ack(&client.connect(&at_once(Some(0))));
    node.publish("/c", &json!(1));
    let seen = client.connect(&at_once(Some(first)));
    let mut socket = Socket::open(&node, "/bayeux");
    for (acked, brings) in [(first, vec![1]), (0, vec![1]), (ack(&seen), vec![]), (first, vec![])] {
        socket.ask(&client.message("/meta/connect", &at_once(Some(acked))));
        let answers = socket.json();
        assert_eq!(data(answers.as_array().unwrap()), brings, "after {acked}");
    }
}

#[test]
fn a_number_below_the_first_acknowledges_nothing() {
    let node = Node::start(&[]);
    let mut client = Client::handshake(&node, "/bayeux", &json!({"ack": true}));
    client.ask("/meta/subscribe", &json!({"subscription": "/c"}));
    node.publish("/c", &json!(1));
    for below in [json!(-1), json!(0), json!(-1e300), json!(-0.5)] {
        let connect = json!({"advice": {"timeout": 0}, "ext": {"ack": below}});
        assert_eq!(data(&client.connect(&connect)), [1], "{below}");
    }
}

#[test]
fn with_acknowledgement_no_event_comes_with_other_answers() {
    let node = Node::start(&[]);
    let mut client = Client::handshake(&node, "/bayeux", &json!({"ack": true}));
    let first = ack(&client.connect(&at_once(Some(0))));
    client.ask("/meta/subscribe", &json!({"subscription": "/c"}));
    let batch = json!([client.message("/c", &json!({"data": 1})), client.message("/c", &json!({"data": 2}))]);
    assert_eq!(array(&post(&mut client.others, "/bayeux", &client.cookie, &batch)).len(), 2);
    assert_eq!(data(&client.connect(&at_once(Some(first)))), [1, 2]);
}

/// The answers and events of a batch that subscribes, connects and publishes, each as the word
/// `event` or its channel: over a request, as the call of a script's function, and on a socket.
fn orders(node: &Node, ext: &Value) -> [Vec<String>; 3] {
    ["request", "script", "socket"].map(|way| {
        let mut client = Client::handshake(node, "/bayeux", ext);
        client.connect(&at_once(None));
        let batch = json!([
            client.message("/meta/subscribe", &json!({"subscription": "/c"})),
            client.message("/meta/connect", &json!({})),
            client.message("/c", &json!({"data": 1})),
        ]);
        let count = 4;
        let messages = match way {
            "request" => array(&post(&mut client.others, "/bayeux", &client.cookie, &batch)),
            "script" => {
                let target = format!("/bayeux?jsonp=f&message={}", batch.to_string().replace('"', "%22"));
                let script = node.get(&target).text().to_owned();
                let json = script.strip_prefix("/**/f(").and_then(|rest| rest.trim_end().strip_suffix(");"));
                serde_json::from_str(json.unwrap_or_else(|| panic!("{script}"))).unwrap()
            }
            _ => {
                let mut socket = Socket::open_with(node, "/bayeux", &[("Cookie", &client.cookie)]);
                socket.ask(&batch);
                let mut messages = Vec::new();
                while messages.len() < count {
                    messages.extend(socket.json().as_array().unwrap().clone());
                }
                messages
            }
        };
        assert_eq!(messages.len(), count, "{messages:?}");
        let is_event = |message: &Value| message.get("data").is_some();
        messages
            .iter()
            .map(|message| {
                if is_event(message) { "event" } else { message["channel"].as_str().unwrap() }.to_owned()
            })
            .collect()
    })
}

#[test]
fn an_answer_that_numbers_events_comes_before_them_and_any_other_after_them() {
    let node = Node::start(&[("ENCKE_BAYEUX_TRUST", "1")]);
    let of_batch = ["/meta/connect", "/meta/subscribe", "/c", "event"];
    // On a socket the answer to the connect is separate.
    let of_socket = ["/meta/subscribe", "/c", "/meta/connect", "event"];
    assert_eq!(orders(&node, &json!({"ack": true})), [of_batch, of_batch, of_socket]);
    let of_batch = ["event", "/meta/subscribe", "/c", "/meta/connect"];
    let of_socket = ["/meta/subscribe", "/c", "event", "/meta/connect"];
    assert_eq!(orders(&node, &json!({})), [of_batch, of_batch, of_socket]);
}

#[test]
fn what_is_not_acknowledged_is_bounded_and_beyond_that_the_session_ends() {
    let bounds = [("ENCKE_CHANNEL_BYTES", "4KiB"), ("ENCKE_MESSAGE_BYTES", "1KiB")];
    let node = Node::start(&bounds);
    let mut client = Client::handshake(&node, "/u/alice/bayeux", &json!({"ack": true}));
    let first = ack(&client.connect(&at_once(Some(0))));
    for _ in 0..20 {
        node.tell("alice", &json!("x".repeat(900)));
    }
    unknown(&client.connect(&at_once(Some(first)))[0]);
    assert!(node.sessions("alice").is_empty());
}

#[test]
fn clocks_are_compared_at_handshakes_and_at_connects() {
    let node = Node::start(&[("ENCKE_POLL_HOLD", "1s")]);
    let clock = json!({"timesync": {"tc": 1_000, "l": 3, "o": 5}});
    let mut client = Client::begin(&node, "/bayeux", &clock);
    let holds = |answer: &Value, least: i64| {
        let timesync = &answer["ext"]["timesync"];
        let [tc, ts, p, a] = ["tc", "ts", "p", "a"].map(|name| timesync[name].as_i64().expect("a number"));
        assert_eq!((tc, a), (1_000, 1_000 + 3 + 5 - ts), "{answer}");
        assert!(ts > 1_700_000_000_000 && p >= least, "{answer}");
    };
    holds(&client.connect(&json!({"ext": clock, "advice": {"timeout": 0}}))[0], 0);
    holds(&client.connect(&json!({"ext": clock, "advice": {"timeout": 200}}))[0], 100);
    for ext in [json!({"timesync": {}}), json!({"timesync": 7}), json!({})] {
        assert!(client.connect(&json!({"ext": ext, "advice": {"timeout": 0}}))[0].get("ext").is_none());
    }
}

#[test]
fn a_message_with_a_timestamp_gets_one() {
    let node = Node::start(&[]);
    let mut client = Client::begin(&node, "/bayeux", &json!({}));
    let stamp = json!({"timestamp": "Sat, 21 Nov 2026 16:20:00 GMT", "data": 1, "subscription": "/c", "advice": {"timeout": 0}});
    for channel in ["/meta/subscribe", "/other", "/meta/connect", "/meta/zork"] {
        let answer = client.ask(channel, &stamp);
        let stamp = answer["timestamp"].as_str().expect("a time");
        assert!(stamp.len() == 29 && stamp.ends_with(" GMT") && stamp.contains(" 20"), "{stamp}");
        let unstamped =
            client.ask(channel, &json!({"data": 1, "subscription": "/c", "advice": {"timeout": 0}}));
        assert!(unstamped.get("timestamp").is_none());
    }
    node.publish("/c", &json!(2));
    assert_eq!(
        events(&client.connect(&stamp)),
        [json!({"channel": "/c", "data": 2})],
        "events are the same for all"
    );
}
