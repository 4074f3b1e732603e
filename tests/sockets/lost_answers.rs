//! Answers that get lost: the server owes their content until the client's position shows that it
//! has it.

use std::fmt::Write as _;

use serde_json::json;

use crate::client::lossy;
use crate::node::{Node, await_that};
use crate::socket::Socket;

/// Every transport over HTTP, for the same request.
const WAYS: [&str; 9] =
    ["poll", "longpoll", "jsonp", "stream", "sse", "frame", "htmlfile", "multipart", "ws"];

/// With several shards, most of these have another home than their reader.
const CHANNELS: [&str; 5] = ["/news/a", "/news/b", "/news/c", "/news/d", "/news/e"];

/// What a client reads, up to `sentinel`. The server does not know how far that is.
fn ask(node: &Node, way: &str, channel: &str, since: &str, more: &str, sentinel: &str) -> String {
    let mut target = format!("/u/bob/{way}?channels={channel}{more}");
    if way == "jsonp" {
        target += "&callback=f";
    }
    // Half of them as an EventSource sends it.
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

/// A user's position, and two later messages: one in `channel`, which no session on the user's
/// shard has requested yet, and one to the user.
fn left_behind(node: &Node, channel: &str) -> String {
    let first = node.get("/u/bob/poll");
    let since = first.header("encke-position").unwrap().to_owned();
    node.api("DELETE", "/u/bob", "");
    node.tell("bob", &json!("between"));
    node.publish(channel, &json!("missed"));
    node.tell("bob", &json!("sentinel"));
    since
}

/// Whether the text has a gap from `since`.
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
            // If its home is the user's shard, the message is still there; else the shard cannot
            // know.
            assert!(got.contains("\"missed\"") || tells_gap(&got, &since), "{channel} by {way}: {got}");
        }
        node.api("DELETE", "/u/bob", "");
    }
}

/// A client may have had some of these, and would get them again under new ids.
#[test]
fn a_position_brings_no_recent_messages_after_the_gap() {
    let node = Node::start(&[("ENCKE_SHARDS", "4")]);
    for way in WAYS {
        for channel in CHANNELS.map(|channel| format!("{channel}/{way}")) {
            let since = left_behind(&node, &channel);
            for _ in 0..2 {
                let mut got = ask(&node, way, &channel, &since, "&last=5", "\"sentinel\"");
                // The other shard's answer has arrived by now.
                let second = ask(&node, way, &channel, &since, "&last=5", "\"sentinel\"");
                got += &second;
                let has_gap = tells_gap(&got, &since);
                assert!(has_gap != got.contains("\"missed\""), "{channel} by {way}: {got}");
            }
            node.api("DELETE", "/u/bob", "");
        }
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
            // The answer waits for other shards, whose answers about the channel's content arrive
            // before.
            let commands = CHANNELS.map(|other| json!({"publish": format!("{other}/x"), "data": 1}));
            let answer = node.connect().ask("POST", &target, &[], json!(commands).to_string().as_bytes());
            let got = answer.text();
            assert!(got.contains("\"missed\"") || tells_gap(got, &since), "{channel}: {got}");
        }
        node.api("DELETE", "/u/bob", "");
    }
}

#[test]
fn a_confirmed_gap_is_not_repeated() {
    let node = Node::start(&[("ENCKE_SHARDS", "4")]);
    for channel in CHANNELS {
        let since = left_behind(&node, channel);
        let mut answer = node.get(&format!("/u/bob/longpoll?channels={channel}&since={since}"));
        for n in 0..3 {
            let (session, at) =
                (answer.header("encke-session").unwrap(), answer.header("encke-position").unwrap());
            let more = if n == 1 { format!("&session={session}") } else { String::new() };
            node.publish(channel, &json!(n));
            let next = node.get(&format!("/u/bob/longpoll?channels={channel}&since={at}{more}"));
            let envelopes = next.envelopes();
            assert_eq!(envelopes.last().unwrap()["data"], n, "{channel}: {envelopes:?}");
            assert!(!next.text().contains("\"gap\""), "{channel}: {envelopes:?}");
            answer = next;
        }
        node.api("DELETE", "/u/bob", "");
    }
}

/// A client that reconnects after the channel's log began, while its history is under way or just
/// after, has missed nothing.
#[test]
fn a_client_from_before_the_log_began_gets_no_gap_for_its_history() {
    let node = Node::start(&[("ENCKE_SHARDS", "4")]);
    for channel in CHANNELS {
        (0..5).for_each(|n| _ = node.publish(channel, &json!(n)));
        let first = node.get(&format!("/u/bob/longpoll?channels={channel}"));
        let since = first.header("encke-position").unwrap().to_owned();
        // The server takes this for the same client; that session has the channel, and its history
        // is here.
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
        // The first two sessions have a connection by now, so a third one is created.
        let got = ask(&node, "stream", channel, &since, "", "\"new\"");
        assert!(!got.contains("\"gap\"") && got.contains("\"resumed\":true"), "{channel}: {got}");
        drop(busy);
        node.api("DELETE", "/u/bob", "");
    }
}

/// The answer to a `subscribe` with a position does not change when it is repeated.
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

/// A page of bob's with `m1` and `m2` of `channels`, whose session was resumed by its id once;
/// returns its position.
fn page(node: &Node, channels: &str) -> String {
    let first = node.get(&format!("/u/bob/poll?channels={channels}"));
    let (session, at) = (first.header("encke-session").unwrap(), first.header("encke-position").unwrap());
    for data in ["m1", "m2"] {
        node.publish("/a/1", &json!(data));
    }
    let target = format!("/u/bob/poll?session={session}&since={at}&channels={channels}");
    let second = node.get(&target);
    assert!(second.text().contains("\"m1\"") && second.text().contains("\"m2\""), "{}", second.text());
    second.header("encke-position").unwrap().to_owned()
}

/// Another page's session has them too, under other ids, since it requested recent messages.
#[test]
fn a_position_alone_brings_nothing_of_another_pages_history() {
    for shards in ["1", "4"] {
        let node = Node::start(&[("ENCKE_SHARDS", shards)]);
        for (channels, last) in [("/a/*", ""), ("/a/*", "&last=2"), ("/a/1", ""), ("/a/1", "&last=2")] {
            for way in WAYS {
                let at = page(&node, channels);
                let other = node.get(&format!("/u/bob/longpoll?channels={channels}&last=2"));
                let session = other.header("encke-session").unwrap();
                // The other shard's answer has arrived by now.
                let got =
                    other.text().to_owned() + node.get(&format!("/u/bob/poll?session={session}x")).text();
                node.tell("bob", &json!("sentinel"));
                let read = ask(&node, way, channels, &at, last, "\"sentinel\"");
                let twice = read.contains("\"m1\"") || read.contains("\"m2\"");
                assert!(!twice, "{channels}{last} by {way}, after {got}: {read}");
                assert!(!read.contains("\"gap\""), "{channels}{last} by {way}: {read}");
                node.api("DELETE", "/u/bob", "");
            }
        }
    }
}

/// The server owes it to the page that requested it, which repeats the same request.
#[test]
fn history_that_was_lost_on_the_way_comes_again_to_the_page_that_asked_for_it() {
    for (shards, way) in ["1", "4"].iter().flat_map(|shards| WAYS.map(|way| (shards, way))) {
        let node = Node::start(&[("ENCKE_SHARDS", shards)]);
        for data in ["m1", "m2"] {
            node.publish("/a/1", &json!(data));
        }
        let first = node.get("/u/bob/longpoll?channels=/a/*&last=2");
        let at = first.envelopes()[0]["open"]["position"].as_str().unwrap().to_owned();
        // Other shards may answer a moment later.
        await_that(|| {
            let seen = node.get(&format!("/u/bob/poll?channels=/a/*&last=2&since={at}"));
            assert!(!seen.text().contains("\"gap\""), "{}", seen.text());
            seen.text().contains("\"m2\"").then_some(())
        });
        for _ in 0..2 {
            let read = ask(&node, way, "/a/*", &at, "&last=2", "\"m2\"");
            assert!(read.contains("\"m1\"") && !read.contains("\"gap\""), "by {way}: {read}");
            node.await_sessions("bob", |all| all.len() == 1 && all[0]["attached"] == false);
        }
    }
}

/// A page with a different request may be another one: it gets no history, but a gap.
#[test]
fn a_request_that_may_have_missed_history_gets_a_gap_each_time() {
    for way in WAYS {
        let node = Node::start(&[("ENCKE_SHARDS", "1")]);
        for data in ["m1", "m2"] {
            node.publish("/a/1", &json!(data));
        }
        let first = node.get("/u/bob/longpoll?channels=/a/*&last=2");
        let at = first.envelopes()[0]["open"]["position"].as_str().unwrap().to_owned();
        node.tell("bob", &json!("sentinel"));
        for _ in 0..3 {
            let read = ask(&node, way, "/a/*", &at, "", "\"sentinel\"");
            assert!(!read.contains("\"m1\"") && tells_gap(&read, &at), "by {way}: {read}");
        }
    }
}

#[test]
fn a_session_of_other_options_is_not_taken_up_by_a_position() {
    let node = Node::start(&[("ENCKE_SHARDS", "1")]);
    for (made, asked) in
        [("&conflate=60000", ""), ("", "&conflate=60000"), ("&conflate=60000", "&conflate=50000")]
    {
        for way in WAYS {
            let first = node.get(&format!("/u/bob/longpoll?channels=/t{made}"));
            let (session, at) =
                (first.header("encke-session").unwrap(), first.header("encke-position").unwrap());
            for n in 1..=3 {
                node.publish("/t", &json!(n));
            }
            node.tell("bob", &json!("sentinel"));
            let read = ask(&node, way, "/t", at, asked, "\"sentinel\"");
            let sessions = node.sessions("bob");
            assert!(
                sessions.len() == 2 && sessions.iter().any(|one| one["session"] == *session),
                "{way}: {read}"
            );
            if asked.is_empty() {
                assert!([1, 2, 3].iter().all(|n| read.contains(&format!("\"data\":{n}"))), "{way}: {read}");
            }
            node.api("DELETE", "/u/bob", "");
        }
    }
}

/// Commands have changed the session since the position, so a position alone does not resume it; no
/// other session has the history that they requested.
#[test]
fn history_that_a_command_asked_for_is_not_lost_in_silence_by_a_position_alone() {
    for shards in ["1", "4"] {
        let node = Node::start(&[("ENCKE_SHARDS", shards)]);
        let before = node.get("/u/bob/poll").header("encke-position").unwrap().to_owned();
        // A position after which other shards' messages arrived shows nothing of them.
        node.tell("bob", &json!("between"));
        for data in ["m1", "m2"] {
            node.publish("/a/1", &json!(data));
        }
        let (recent, all) = (json!({"last": 2}), json!({"since": before}));
        // Further commands of the batch, of which the client does not know yet.
        let more = [json!([]), json!([{"unsubscribe": "/b"}]), json!([{"subscribe": "/c"}])];
        for way in WAYS {
            for (channel, options) in [("/a/1", &recent), ("/a/*", &recent), ("/a/1", &all)] {
                for more in &more {
                    node.api("DELETE", "/u/bob", "");
                    let first = node.get("/u/bob/longpoll?channels=/b");
                    let session = first.header("encke-session").unwrap();
                    let at = first.header("encke-position").unwrap();
                    let mut command = options.clone();
                    command["subscribe"] = json!(channel);
                    let mut commands = vec![command];
                    commands.extend(more.as_array().unwrap().clone());
                    let answers = node.send("bob", session, &json!(commands));
                    if answers[0]["ok"]["resumed"] == false {
                        // The gap was reported there.
                        continue;
                    }
                    node.tell("bob", &json!("sentinel"));
                    // Messages of other shards may arrive a moment later.
                    for _ in 0..2 {
                        await_that(|| {
                            let read = ask(&node, way, &format!("/b,{channel}"), at, "", "\"sentinel\"");
                            let comes = read.contains("\"m1\"") && read.contains("\"m2\"");
                            (comes || tells_gap(&read, at)).then_some(())
                        });
                    }
                }
            }
        }
    }
}

/// The same without any history: the logs bring everything that is promised.
#[test]
fn channels_that_a_command_added_give_no_reason_for_a_gap() {
    let node = Node::start(&[("ENCKE_SHARDS", "1")]);
    for way in WAYS {
        node.api("DELETE", "/u/bob", "");
        let first = node.get("/u/bob/longpoll?channels=/b");
        let (session, at) = (first.header("encke-session").unwrap(), first.header("encke-position").unwrap());
        node.send("bob", session, &json!([{"subscribe": "/a/1"}, {"unsubscribe": "/b"}]));
        node.publish("/a/1", &json!("new"));
        node.tell("bob", &json!("sentinel"));
        let read = ask(&node, way, "/b,/a/1", at, "", "\"sentinel\"");
        assert!(read.contains("\"new\"") && !read.contains("\"gap\""), "{way}: {read}");
    }
}
