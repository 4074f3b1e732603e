//! The commands of one client take effect in order, whichever shards they touch.
//!
//! Each test uses so many channels that some have their home on the client's shard, some on that of
//! another session with the channel, and some on neither.

use serde_json::{Value, json};

use crate::client::Conn;
use crate::down::Down;
use crate::node::Node;
use crate::socket::Socket;
use crate::xmlsocket;

const CHANNELS: usize = 12;

/// Nodes of two and of four shards, with a session of another home that has all channels of a
/// story.
fn nodes() -> impl Iterator<Item = (Node, Vec<Down>)> {
    ["2", "4"].into_iter().map(|shards| {
        let node = Node::start(&[("ENCKE_SHARDS", shards), xmlsocket::ON]);
        let all: Vec<_> = (0..CHANNELS).map(channel).collect();
        let keepers = ["ann", "bea", "cid"].map(|user| {
            let mut keeper = Down::open(&node, &format!("/u/{user}/sse?channels={}", all.join(",")));
            keeper.opened();
            keeper
        });
        (node, keepers.into())
    })
}

fn channel(n: usize) -> String {
    format!("/t/{n}/x")
}

/// Ways to subscribe to a channel: by its name, and by patterns.
fn names(n: usize) -> [String; 3] {
    [channel(n), format!("/t/{n}/*"), format!("/t/{n}/**")]
}

/// A client that must not get what it publishes before it subscribes, nor what it publishes between
/// unsubscribing and subscribing again.
fn story(channel: &str, name: &str) -> Vec<Value> {
    let publish = |data: &str| json!({"publish": channel, "data": data});
    vec![
        publish("before"),
        json!({"subscribe": name}),
        publish("in"),
        publish("and in"),
        json!({"unsubscribe": name}),
        publish("after"),
        json!({"subscribe": name}),
        publish("again"),
        json!({"unsubscribe": name}),
    ]
}

/// What it must get.
const WANTED: [&str; 3] = ["in", "and in", "again"];

/// The data of the messages up to the last one of the story.
fn until_end(node: &Node, user: &str, mut next: impl FnMut() -> Value) -> Vec<Value> {
    node.tell(user, &json!("end"));
    let mut got = Vec::new();
    loop {
        let envelope = next();
        if envelope["data"] == "end" {
            return got;
        }
        if envelope["id"].is_string() {
            got.push(envelope["data"].clone());
        }
        assert!(envelope["error"].is_null(), "{envelope}");
    }
}

/// Plays the story for each channel and each way to subscribe; `play` returns what the client got.
fn plays(mut play: impl FnMut(&Node, &[Value]) -> Vec<Value>) {
    for (node, _keepers) in nodes() {
        for n in 0..CHANNELS {
            let name = &names(n)[n % 3];
            let got = play(&node, &story(&channel(n), name));
            assert_eq!(got, WANTED, "{name}");
        }
    }
}

#[test]
fn a_batch_by_send_takes_effect_in_its_order() {
    plays(|node, story| {
        let mut down = Down::open(node, "/u/alice/sse");
        down.opened();
        node.send("alice", &down.session(), &json!(story));
        until_end(node, "alice", || down.expect())
    });
}

#[test]
fn requests_that_follow_each_other_on_one_connection_take_effect_in_their_order() {
    plays(|node, story| {
        let mut down = Down::open(node, "/u/alice/stream");
        down.opened();
        let target = format!("/u/alice/send?session={}", down.session());
        let mut conn = node.connect();
        for command in story {
            conn.request("POST", &target, &[], command.to_string().as_bytes());
        }
        for _ in story {
            assert_eq!(conn.response().status, 200);
        }
        until_end(node, "alice", || down.expect())
    });
}

#[test]
fn a_batch_up_a_websocket_takes_effect_in_its_order() {
    plays(|node, story| {
        let mut socket = Socket::open(node, "/u/alice/ws");
        socket.opened();
        socket.ask(&json!(story));
        let answers: Vec<_> = (0..story.len()).map(|_| answer(|| socket.json())).collect();
        assert!(answers.iter().all(|(_, answer)| answer["ok"].is_object()), "{answers:?}");
        let before = answers.into_iter().flat_map(|(before, _)| before).collect::<Vec<_>>();
        [before, until_end(node, "alice", || socket.json())].concat()
    });
}

#[test]
fn messages_up_a_websocket_take_effect_in_their_order() {
    plays(|node, story| {
        let mut socket = Socket::open(node, "/u/alice/ws");
        socket.opened();
        for command in story {
            socket.ask(command);
        }
        let answers: Vec<_> = (0..story.len()).map(|_| answer(|| socket.json())).collect();
        let before = answers.into_iter().flat_map(|(before, _)| before).collect::<Vec<_>>();
        [before, until_end(node, "alice", || socket.json())].concat()
    });
}

#[test]
fn messages_and_batches_up_an_xmlsocket_take_effect_in_their_order() {
    let mut batched = false;
    plays(|node, story| {
        let mut conn = xmlsocket::connect(node);
        let greeting = xmlsocket::greet(&mut conn, &json!({"user": "alice"}));
        assert!(greeting["open"].is_object(), "{greeting}");
        batched = !batched;
        if batched {
            conn.send(format!("{}\0", json!(story)));
        } else {
            let messages: Vec<_> = story.iter().map(|command| format!("{command}\0")).collect();
            conn.send(messages.concat());
        }
        let answers: Vec<_> = (0..story.len()).map(|_| answer(|| xmlsocket::next(&mut conn))).collect();
        let before = answers.into_iter().flat_map(|(before, _)| before).collect::<Vec<_>>();
        [before, until_end(node, "alice", || xmlsocket::next(&mut conn))].concat()
    });
}

/// The next answer to a command, and the data of the messages before it.
fn answer(mut next: impl FnMut() -> Value) -> (Vec<Value>, Value) {
    let mut before = Vec::new();
    loop {
        let envelope = next();
        if !envelope["id"].is_string() {
            return (before, envelope);
        }
        before.push(envelope["data"].clone());
    }
}

/// Publishes to channels with homes on several shards.
fn volley() -> Vec<Value> {
    (0..3 * CHANNELS).map(|n| json!({"publish": channel(n % CHANNELS), "data": n})).collect()
}

#[test]
fn publishes_of_one_client_to_several_channels_reach_everybody_in_their_order() {
    for (node, keepers) in nodes() {
        let mut watchers: Vec<_> = ["alice", "dan", "eve", "flo"]
            .map(|user| (user, Down::open(&node, &format!("/u/{user}/sse?channels=/t/**"))))
            .into();
        for (_, down) in &mut watchers {
            down.opened();
        }
        let mut socket = Socket::open(&node, "/u/gus/ws");
        socket.opened();
        let volley = volley();
        for way in ["one message", "a message each"] {
            if way == "one message" {
                socket.ask(&json!(volley));
            } else {
                for command in &volley {
                    socket.ask(command);
                }
            }
            for _ in &volley {
                assert!(socket.json()["ok"].is_object());
            }
            let wanted: Vec<Value> = (0..volley.len()).map(|n| json!(n)).collect();
            for (user, down) in &mut watchers {
                assert_eq!(until_end(&node, user, || down.expect()), wanted, "{user}, {way}");
            }
        }
        drop(keepers);
    }
}

#[test]
fn what_was_received_is_carried_out_though_its_connection_is_gone() {
    for (node, _keepers) in nodes() {
        let mut down = Down::open(&node, "/u/alice/sse?channels=/t/**");
        down.opened();
        let body = json!(volley()).to_string();
        let mut conn: Conn = node.connect();
        conn.request("POST", "/u/bob/send", &[], body.as_bytes());
        drop(conn);
        for n in 0..volley().len() {
            assert_eq!(down.data(), n);
        }
    }
}

#[test]
fn a_command_for_a_session_that_the_one_before_has_ended_is_refused() {
    let node = Node::start(&[]);
    for command in [
        json!({"subscribe": "/a"}),
        json!({"subscribe": "/a", "presence": true}),
        json!({"unsubscribe": "/a"}),
        json!({"ack": "x-1"}),
        json!({"close": true}),
    ] {
        let mut down = Down::open(&node, "/u/alice/sse?channels=/a");
        down.opened();
        let answers = node.send("alice", &down.session(), &json!([{"close": true}, command, {"ping": 1}]));
        assert_eq!(answers[1]["error"]["code"], "unknown-session", "{command}");
        assert_eq!(answers[2], json!({"ok": {"ping": 1}}));
    }
}

#[test]
fn a_session_is_closed_up_its_socket_behind_publishes_and_all_are_answered() {
    for (node, _keepers) in nodes() {
        let mut socket = Socket::open(&node, "/u/alice/ws");
        socket.opened();
        let mut commands = volley();
        commands.push(json!({"close": true}));
        socket.ask(&json!(commands));
        for _ in 0..volley().len() {
            assert!(socket.json()["ok"]["publish"].is_string());
        }
        assert_eq!(socket.json(), json!({"ok": {"close": true}}));
        assert_eq!(socket.json()["close"]["code"], "closed");
        assert_eq!(node.sessions("alice").len(), 0);
    }
}

#[test]
fn what_is_published_before_a_channel_is_left_answers_a_held_poll() {
    for (node, _keepers) in nodes() {
        for n in 0..CHANNELS {
            let mut conn = node.connect();
            let opened =
                conn.ask("GET", &format!("/u/alice/longpoll?channels={}", names(n)[n % 3]), &[], b"");
            let session = opened.header("encke-session").unwrap().to_owned();
            conn.request("GET", &format!("/u/alice/longpoll?session={session}"), &[], b"");
            node.await_sessions("alice", |all| all.iter().any(|one| one["attached"] == true));
            let commands = json!([
                {"publish": channel(n), "data": "in"},
                {"unsubscribe": names(n)[n % 3]},
                {"publish": channel(n), "data": "after"},
                {"close": true},
            ]);
            node.send("alice", &session, &commands);
            let got = conn.response().envelopes();
            assert_eq!((got.len(), &got[0]["data"]), (1, &json!("in")), "{got:?}");
        }
    }
}
