//! Answers that are lost on the way: what was owed in them is owed until the client shows that it got it.

use std::fmt::Write as _;

use serde_json::json;

use crate::client::lossy;
use crate::node::Node;
use crate::socket::Socket;

/// Every way to ask over HTTP; the same question in each of them.
const WAYS: [&str; 9] =
    ["poll", "longpoll", "jsonp", "stream", "sse", "frame", "htmlfile", "multipart", "ws"];

/// With several shards, most of these are at home on another one than their reader.
const CHANNELS: [&str; 5] = ["/news/a", "/news/b", "/news/c", "/news/d", "/news/e"];

/// What a client reads, up to `sentinel`. The server knows nothing of how far that is.
fn ask(node: &Node, way: &str, channel: &str, since: &str, more: &str, sentinel: &str) -> String {
    let mut target = format!("/u/bob/{way}?channels={channel}{more}");
    if way == "jsonp" {
        target += "&callback=f";
    }
    // Half of them as an EventSource says it.
    let by_header = way.len() % 2 == 1;
    let headers = [("Last-Event-ID", since)];
    let headers = if by_header { &headers[..] } else { &[] };
    if !by_header {
        write!(target, "&since={since}").unwrap();
    }
    let mut conn = if way == "ws" {
        Socket::open_with(node, &target, headers).conn
    } else {
        let mut conn = node.connect();
        conn.request("GET", &target, headers, b"");
        conn
    };
    let mut got = Vec::new();
    while !lossy(&got).contains(sentinel) {
        got.extend(conn.some());
    }
    lossy(&got)
}

/// A user's position, and after it a message in `channel`, which nobody on the user's shard has asked for yet, and one to the user.
fn left_behind(node: &Node, channel: &str) -> String {
    let first = node.get("/u/bob/poll");
    let since = first.header("encke-position").unwrap().to_owned();
    node.api("DELETE", "/u/bob", "");
    node.tell("bob", &json!("between"));
    node.publish(channel, &json!("missed"));
    node.tell("bob", &json!("sentinel"));
    since
}

/// Whether a gap from `since` is told.
fn tells_gap(text: &str, since: &str) -> bool {
    text.contains("\"gap\"") && text.contains(&format!("\"from\":\"{since}\""))
}

#[test]
fn the_same_question_gets_the_same_gap_however_often_it_is_asked_and_by_whatever_transport() {
    let node = Node::start(&[("ENCKE_SHARDS", "4")]);
    for channel in CHANNELS {
        let since = left_behind(&node, channel);
        for way in WAYS.iter().chain(&WAYS) {
            let got = ask(&node, way, channel, &since, "", "\"sentinel\"");
            // At home on the user's shard it is still there; else it is not known whether it is.
            assert!(got.contains("\"missed\"") || tells_gap(&got, &since), "{channel} by {way}: {got}");
        }
        node.api("DELETE", "/u/bob", "");
    }
}

#[test]
fn a_session_that_is_named_owes_the_gap_as_well() {
    let node = Node::start(&[("ENCKE_SHARDS", "4")]);
    for channel in CHANNELS {
        for way in WAYS {
            let since = left_behind(&node, channel);
            let first = node.get(&format!("/u/bob/longpoll?channels={channel}&since={since}"));
            let session = first.header("encke-session").unwrap().to_owned();
            for _ in 0..3 {
                let more = format!("&session={session}");
                let got = ask(&node, way, channel, &since, &more, "\"sentinel\"");
                assert!(got.contains("\"missed\"") || tells_gap(&got, &since), "{channel} by {way}: {got}");
            }
            node.api("DELETE", "/u/bob", "");
        }
    }
}

#[test]
fn commands_that_come_along_take_nothing_from_what_is_owed() {
    let node = Node::start(&[("ENCKE_SHARDS", "4")]);
    for channel in CHANNELS {
        let since = left_behind(&node, channel);
        for _ in 0..3 {
            let target = format!("/u/bob/longpoll?channels={channel}&since={since}");
            // The answer waits for other shards, and theirs to the question of what the channel holds comes before.
            let commands = CHANNELS.map(|other| json!({"publish": format!("{other}/x"), "data": 1}));
            let answer = node.connect().ask("POST", &target, &[], json!(commands).to_string().as_bytes());
            let got = answer.text();
            assert!(got.contains("\"missed\"") || tells_gap(got, &since), "{channel}: {got}");
        }
        node.api("DELETE", "/u/bob", "");
    }
}

#[test]
fn whoever_shows_that_the_gap_arrived_is_not_told_of_it_again() {
    let node = Node::start(&[("ENCKE_SHARDS", "4")]);
    for channel in CHANNELS {
        let since = left_behind(&node, channel);
        let mut told = node.get(&format!("/u/bob/longpoll?channels={channel}&since={since}"));
        for n in 0..3 {
            let (session, at) =
                (told.header("encke-session").unwrap(), told.header("encke-position").unwrap());
            let more = if n == 1 { format!("&session={session}") } else { String::new() };
            node.publish(channel, &json!(n));
            let next = node.get(&format!("/u/bob/longpoll?channels={channel}&since={at}{more}"));
            let envelopes = next.envelopes();
            assert_eq!(envelopes.last().unwrap()["data"], n, "{channel}: {envelopes:?}");
            assert!(!next.text().contains("\"gap\""), "{channel}: {envelopes:?}");
            told = next;
        }
        node.api("DELETE", "/u/bob", "");
    }
}

/// A client that comes back after the channel's log began, while its history is still on its way or just after, has missed nothing.
#[test]
fn whoever_was_there_when_the_log_began_is_told_of_no_gap_for_its_history() {
    let node = Node::start(&[("ENCKE_SHARDS", "4")]);
    for channel in CHANNELS {
        (0..5).for_each(|n| _ = node.publish(channel, &json!(n)));
        let first = node.get(&format!("/u/bob/longpoll?channels={channel}"));
        let since = first.header("encke-position").unwrap().to_owned();
        // The server takes this for the same client's; that has the channel, and its history is here.
        let other = node.get(&format!("/u/bob/longpoll?channels={channel}"));
        assert!(other.envelopes()[0]["open"].is_object());
        node.publish(channel, &json!("new"));
        let busy: Vec<_> = (0..2)
            .map(|_| {
                let mut down = node.connect();
                down.request("GET", &format!("/u/bob/sse?channels={channel}&since={since}"), &[], b"");
                let mut got = Vec::new();
                while !lossy(&got).contains("\"new\"") {
                    got.extend(down.some());
                }
                assert!(!lossy(&got).contains("\"gap\""), "{channel}: {}", lossy(&got));
                down
            })
            .collect();
        // The first two sessions have a connection by now, and a third one is made.
        let got = ask(&node, "stream", channel, &since, "", "\"new\"");
        assert!(!got.contains("\"gap\"") && got.contains("\"resumed\":true"), "{channel}: {got}");
        drop(busy);
        node.api("DELETE", "/u/bob", "");
    }
}

/// What a `subscribe` with a position is answered does not change by asking.
#[test]
fn a_subscription_that_could_not_be_honoured_is_not_the_second_time_either() {
    let node = Node::start(&[("ENCKE_SHARDS", "4")]);
    for channel in CHANNELS {
        let since = left_behind(&node, channel);
        let session = node.get("/u/bob/longpoll").header("encke-session").unwrap().to_owned();
        let asked = json!({"subscribe": channel, "since": since});
        let answers: Vec<_> =
            (0..3).map(|_| node.send("bob", &session, &asked)["ok"]["resumed"].clone()).collect();
        assert!(answers.iter().all(|one| *one == answers[0] && one.is_boolean()), "{channel}: {answers:?}");
        node.api("DELETE", "/u/bob", "");
    }
}
