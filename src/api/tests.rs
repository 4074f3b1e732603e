//! Backends' publishes and operators' questions, with a core and connections that read no socket.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::api::Api;
use crate::api::limits::SESSIONS_ENDED_PER_TURN;
use crate::auth::gate::Keys;
use crate::base::ids::ShardId;
use crate::base::slab::PendingKey;
use crate::call::pending::{PendingKind, answer_json};
use crate::core::tests::rig::{Rig, code, name, user};
use crate::protocol::Protocol;
use crate::request::publish_key::{KeyScope, PublishKey, ResponseShape};
use crate::request::question::Question;
use crate::request::reply::Reply;
use crate::request::{Content, Publish, PublishTo};
use crate::transport::{Coding, Dialect, Form, Framing, TransportId};
use crate::turn::inquiry::InquiryPart;
use crate::turn::mail::Mail;
use crate::turn::timer::NodePhase;
use crate::wire::refusal::Refusal;

/// A backend's request whose body names the channels.
fn publish(rig: &mut Rig, content: Content, body: &str) -> Result<PendingKey, Refusal> {
    publish_with(rig, None, content, body)
}

fn publish_with(
    rig: &mut Rig,
    key: Option<&str>,
    content: Content,
    body: &str,
) -> Result<PendingKey, Refusal> {
    let conn = rig.connect();
    let key = key.map(|text| PublishKey::new(KeyScope::Backend, text).expect("a key"));
    rig.core.publish(conn, &Publish { to: PublishTo::Named, content, key }, body.as_bytes())
}

/// A request for the personal channel of alice.
fn publish_to_alice(rig: &mut Rig, content: Content, body: &[u8]) -> Result<PendingKey, Refusal> {
    let conn = rig.connect();
    rig.core.publish(conn, &Publish { to: PublishTo::User(user("alice")), content, key: None }, body)
}

/// The answers to a request, all of which are there.
fn answers(rig: &mut Rig, pending: PendingKey) -> (ResponseShape, Vec<Value>) {
    let PendingKind::Publish { shape, answers, .. } = rig.settled(pending) else { panic!("no publish") };
    (
        shape,
        answers.iter().map(|answer| serde_json::from_slice(&answer_json(answer)).expect("JSON")).collect(),
    )
}

/// The code of an answer that is an error, or nothing.
fn errors(answers: &[Value]) -> Vec<&str> {
    answers.iter().map(|answer| answer["error"]["code"].as_str().unwrap_or_default()).collect()
}

/// The envelopes that a session has not had.
fn owed(rig: &Rig, session: crate::base::slab::SessionKey) -> Vec<Value> {
    let (coding, framing) = (Coding::Identity, Framing::Length);
    let (transport, dialect) = (TransportId::longpoll(), Dialect::default());
    let form = Form { transport, dialect, protocol: Protocol::Native, coding, framing };
    let (frames, _) = rig.core.collect(session, form, 100_000);
    frames.iter().map(|encoded| serde_json::from_slice(&encoded.frame).expect("JSON")).collect()
}

// ---- publishes ----

#[test]
fn the_items_of_a_body_are_answered_each_in_its_place() {
    let (good, bad) = (r#"{"channel":"/a","data":1}"#, r#"{"channel":"a","data":1}"#);
    for (content, body, shape, expected) in [
        (Content::Json, good.to_owned(), ResponseShape::Single, &[""][..]),
        (Content::Form, bad.to_owned(), ResponseShape::Single, &["bad-channel"]),
        (Content::Json, format!("[{good},{bad},{good}]"), ResponseShape::Array, &["", "bad-channel", ""]),
        (Content::Json, "[]".to_owned(), ResponseShape::Array, &[]),
        (
            Content::Lines,
            format!("{good}\n\n {bad} \r\n{good}\n"),
            ResponseShape::Lines,
            &["", "bad-channel", ""],
        ),
        (Content::Lines, format!("{good}\n{{"), ResponseShape::Lines, &["", "bad-json"]),
    ] {
        let mut rig = Rig::new(&[]);
        let pending = publish(&mut rig, content, &body).expect("a body");
        let (answered, answers) = answers(&mut rig, pending);
        assert_eq!((answered, errors(&answers)), (shape, expected.to_vec()), "{body}");
    }
}

#[test]
fn an_item_names_exactly_one_addressee() {
    for (item, expected) in [
        (json!({ "channel": "/a", "data": null }), ""),
        (json!({ "user": "a/b", "data": 1 }), ""),
        (json!({ "channel": "/u/alice", "data": 1, "key": "k" }), ""),
        (json!({ "data": 1 }), "bad-message"),
        (json!({ "channel": "/a" }), "bad-message"),
        (json!({ "channel": "/a", "user": "alice", "data": 1 }), "bad-message"),
        (json!({ "session": "s", "data": 1 }), "bad-message"),
        (json!({ "channel": "/a", "data": 1, "from": "bob" }), "bad-message"),
        (json!({ "channel": "/a/**", "data": 1 }), "bad-channel"),
        (json!({ "channel": "/meta/a", "data": 1 }), "reserved"),
        (json!({ "user": "", "data": 1 }), "bad-channel"),
        (json!({ "channel": "/a", "data": 1, "key": "" }), "bad-key"),
        (json!({ "session": "s", "channel": "/a", "data": 1 }), "bad-channel"),
        (json!({ "session": "s", "channel": "/service/a", "data": 1 }), "unknown-session"),
    ] {
        let mut rig = Rig::new(&[]);
        let pending = publish(&mut rig, Content::Json, &item.to_string()).expect("a body");
        assert_eq!(errors(&answers(&mut rig, pending).1), [expected], "{item}");
    }
}

#[test]
fn an_invalid_body_publishes_nothing() {
    let item = r#"{"channel":"/a","data":1}"#;
    for (content, body, expected) in [
        (Content::Json, "{".to_owned(), "bad-json"),
        (Content::Text, item.to_owned(), "bad-content-type"),
        (Content::Bytes, item.to_owned(), "bad-content-type"),
        (Content::Json, format!("[{item},{item},{item}]"), "too-many-messages"),
        (Content::Lines, format!("{item}\n{item}\n{item}"), "too-many-messages"),
    ] {
        let mut rig = Rig::new(&[("ENCKE_BATCH", "2")]);
        assert_eq!(code(publish(&mut rig, content, &body)), expected, "{body}");
        assert_eq!(rig.core.hub.head(), 0, "{body}");
        assert!(rig.core.pending.is_empty(), "{body}");
    }
}

#[test]
fn a_users_url_takes_a_payload_of_any_type() {
    for (content, body, outcome) in [
        (Content::Json, &b"{\"a\": 1}"[..], Ok((json!({ "a": 1 }), Value::Null))),
        (Content::Text, b"say \"hi\"\n", Ok((json!("say \"hi\"\n"), Value::Null))),
        (Content::Bytes, b"\x00\xff", Ok((json!("AP8="), json!("base64")))),
        (Content::Json, b"hi", Err("bad-json")),
        (Content::Text, b"\xff", Err("bad-text")),
        (Content::Text, &[b'x'; 2000], Err("message-too-large")),
    ] {
        let mut rig = Rig::new(&[("ENCKE_MESSAGE_BYTES", "1KiB")]);
        let session = rig.session("alice");
        let pending = publish_to_alice(&mut rig, content, body).expect("answered");
        let (shape, answers) = answers(&mut rig, pending);
        assert_eq!(shape, ResponseShape::Single);
        match outcome {
            Ok((data, encoding)) => {
                assert_eq!(answers[0]["sessions"], json!(1));
                let owed = owed(&rig, session);
                assert_eq!((&owed[0]["data"], &owed[0]["encoding"]), (&data, &encoding));
            }
            Err(expected) => assert_eq!(errors(&answers), [expected]),
        }
    }
}

#[test]
fn the_items_for_one_shard_go_in_one_letter() {
    let mut rig = Rig::of_shards(2, &[]);
    let (away, here) = (rig.channel_at(false), rig.channel_at(true));
    let items = [&away, &here, &away].map(|channel| json!({ "channel": channel, "data": 1 }));
    let pending = publish(&mut rig, Content::Json, &json!(items).to_string()).expect("a body");
    let mail = rig.mail();
    let [(ShardId(1), Mail::Publish { batch, .. })] = &*mail else { panic!("one letter, not {mail:?}") };
    assert_eq!(batch.iter().map(|outgoing| outgoing.item).collect::<Vec<_>>(), [0, 2]);
    let missing = rig.core.pending.get(pending).map(|request| request.missing);
    assert_eq!(missing, Some(2), "the other one is answered");
    let refused = |item| (item, Err(crate::wire::refusal::Refused::Mailbox.into()));
    rig.core.published(pending, vec![refused(2), refused(0)]);
    assert_eq!(errors(&answers(&mut rig, pending).1), ["busy", "", "busy"]);
}

#[test]
fn a_repeat_with_the_same_key_gets_the_first_position() {
    let one = r#"{"channel":"/a","data":1}"#.to_owned();
    let other = r#"{"channel":"/a","data":2}"#.to_owned();
    let keyed = r#"{"channel":"/a","data":1,"key":"own"}"#.to_owned();
    let both = format!("[{one},{one}]");
    for (key, first, second, repeats, expected) in [
        (Some("k"), &one, &one, true, &[""][..]),
        (Some("k"), &one, &other, false, &["key-reused"]),
        (None, &one, &one, false, &[""]),
        (None, &keyed, &keyed, true, &[""]),
        (Some("k"), &both, &both, true, &["", ""]),
        // The key of a request with several messages names each by its place.
        (Some("k"), &one, &both, false, &["", ""]),
    ] {
        let mut rig = Rig::new(&[]);
        let [first, second] = [first, second].map(|body| {
            let pending = publish_with(&mut rig, key, Content::Json, body).expect("a body");
            answers(&mut rig, pending).1
        });
        assert_eq!(errors(&second), expected, "{second:?}");
        assert_eq!(first == second, repeats, "{first:?} {second:?}");
    }
}

#[test]
fn a_message_for_one_session_reaches_no_other_of_its_user() {
    let mut rig = Rig::new(&[]);
    let (addressee, other) = (rig.session("alice"), rig.session("alice"));
    let id = rig.core.session_id(addressee).to_string();
    let item = json!({ "session": id, "channel": "/service/x", "data": 7 }).to_string();
    let pending = publish(&mut rig, Content::Json, &item).expect("a body");
    assert_eq!(answers(&mut rig, pending).1[0]["sessions"], json!(1));
    assert_eq!(owed(&rig, addressee)[0]["data"], json!(7));
    assert_eq!(owed(&rig, other), Vec::<Value>::new());
}

// ---- questions ----

/// What a question is answered with: the status, and the body.
fn asked(rig: &mut Rig, api: &mut Api, question: Question) -> (u16, String) {
    let conn = rig.connect();
    let pending = api.ask(&mut rig.core, conn, question);
    reported(rig, pending)
}

fn reported(rig: &mut Rig, pending: PendingKey) -> (u16, String) {
    let PendingKind::Inquiry { inquiry, answers, .. } = rig.settled(pending) else { panic!("no question") };
    let (bytes, _) = rig.core.report(&Reply::closing(), inquiry, answers);
    let text = String::from_utf8(bytes).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").expect("a response");
    (head[9..12].parse().expect("a status"), body.to_owned())
}

fn value(rig: &mut Rig, api: &mut Api, question: Question) -> Value {
    let (status, body) = asked(rig, api, question);
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).expect("JSON")
}

fn channels(prefix: &str, limit: usize) -> Question {
    Question::Channels { prefix: prefix.into(), limit }
}

fn channel(text: &str) -> Question {
    Question::Channel { name: name(text) }
}

#[test]
fn the_report_on_a_user_describes_each_session() {
    let (mut rig, mut api) = (Rig::new(&[]), Api::default());
    let (conn, (open, reply)) = (rig.connect(), rig.open("/u/alice/sse?channels=/a&presence=1"));
    rig.core.open(conn, &open, reply);
    rig.session("alice");
    rig.session("bob");
    rig.publish("/a", "1");
    let report = value(&mut rig, &mut api, Question::User { channel: user("alice").channel });
    assert_eq!(report["user"], json!("alice"));
    let [stream, detached] = &*report["sessions"].as_array().expect("a list").clone() else {
        panic!("two sessions, not {report}");
    };
    assert_eq!((&stream["attached"], &detached["attached"]), (&json!(true), &json!(false)));
    assert_eq!((&stream["transport"], &stream["level"]), (&json!("sse"), &json!(true)));
    assert_eq!((&stream["peer"], &detached["peer"]), (&json!("192.0.2.1:9"), &Value::Null));
    assert_eq!(stream["channels"], json!(["/u/alice", "/a"]), "hidden channels are left out");
    assert_eq!(stream["queued_bytes"], json!(rig.heard(conn).len()));
}

#[test]
fn a_list_of_channels_is_sorted_and_omits_private_ones() {
    let (mut rig, mut api) = (Rig::new(&[]), Api::default());
    let alice = rig.session("alice");
    for channel in ["/b/2", "/b/1", "/a"] {
        rig.subscribe(alice, channel);
        rig.publish(channel, "1");
    }
    let id = rig.core.session_id(alice);
    rig.core.make_private(id.key);
    for (prefix, limit, listed, more) in [
        ("", 10, &["/a", "/b/1", "/b/2", "/u/alice"][..], false),
        ("", 4, &["/a", "/b/1", "/b/2", "/u/alice"], false),
        ("", 3, &["/a", "/b/1", "/b/2"], false),
        ("/b/", 10, &["/b/1", "/b/2"], false),
        ("/c", 10, &[], false),
    ] {
        let report = value(&mut rig, &mut api, channels(prefix, limit));
        let names: Vec<_> = report["channels"].as_array().expect("a list").iter().collect();
        let names: Vec<_> = names.iter().filter_map(|channel| channel["channel"].as_str()).collect();
        assert_eq!((names, &report["more"]), (listed.to_vec(), &json!(more)), "{prefix} {limit}");
    }
    let report = value(&mut rig, &mut api, channels("/a", 1));
    assert_eq!(report["channels"][0]["subscribers"], json!(1));
    assert_eq!(report["channels"][0]["messages"], json!(1));
}

#[test]
fn the_report_on_a_channel_has_its_users_and_newest_messages() {
    let (mut rig, mut api) = (Rig::new(&[]), Api::default());
    for of in ["bob", "alice", "bob"] {
        let session = rig.session(of);
        rig.subscribe(session, "/a");
    }
    (1..=3).for_each(|n| rig.publish("/a", &n.to_string()));
    let report = value(&mut rig, &mut api, channel("/a"));
    assert_eq!((&report["channel"], &report["subscribers"]), (&json!("/a"), &json!(3)));
    assert_eq!(report["users"], json!(["alice", "bob"]), "each once");
    let data: Vec<_> =
        report["messages"].as_array().expect("a list").iter().map(|one| &one["data"]).collect();
    assert_eq!(data, [1, 2, 3]);
    let report = value(&mut rig, &mut api, channel("/nobody"));
    assert_eq!(report, json!({ "channel": "/nobody", "subscribers": 0, "users": [], "messages": [] }));
}

#[test]
fn a_question_to_all_shards_adds_up_their_answers() {
    let (mut rig, mut api) = (Rig::of_shards(2, &[]), Api::default());
    let here = rig.channel_at(true);
    let session = rig.session("alice");
    rig.subscribe(session, &here);
    rig.publish(&here, "1");
    rig.effects();
    let conn = rig.connect();
    let pending = api.ask(&mut rig.core, conn, channels("/c/", 2));
    let mail = rig.mail();
    let [(ShardId(1), Mail::Ask { pending: asked, question: Question::Channels { .. } })] = &*mail else {
        panic!("one question, not {mail:?}");
    };
    assert_eq!(*asked, pending);
    let of = |channel: &str| json!({ "channel": channel, "subscribers": 2, "messages": 0, "bytes": 0 });
    let others = json!([of("/c/x"), of(&here), of("/c/y")]);
    rig.core.on_inquiry_answer(pending, InquiryPart::Json(others));
    let report: Value = serde_json::from_str(&reported(&mut rig, pending).1).expect("JSON");
    assert_eq!(report["channels"][0]["channel"], json!(here));
    assert_eq!(report["channels"][0]["subscribers"], json!(3));
    assert_eq!(report["channels"][0]["messages"], json!(1));
    assert_eq!(report["channels"].as_array().map(Vec::len), Some(2));
    assert_eq!(report["more"], json!(true));
}

#[test]
fn a_question_about_a_user_goes_to_the_users_home_only() {
    let (mut rig, mut api) = (Rig::of_shards(2, &[]), Api::default());
    let (here, away) = (rig.user_at(true), rig.user_at(false));
    let conn = rig.connect();
    api.ask(&mut rig.core, conn, Question::User { channel: here.channel });
    assert!(rig.mail().is_empty());
    api.ask(&mut rig.core, conn, Question::EndUser { channel: away.channel });
    let mail = rig.mail();
    assert!(matches!(&*mail, [(ShardId(1), Mail::Ask { question: Question::EndUser { .. }, .. })]));
}

#[test]
fn very_many_sessions_of_a_user_end_over_several_turns() {
    let vars = [("ENCKE_SESSIONS_PER_USER", "100000"), ("ENCKE_CHANNELS", "100000")];
    let (mut rig, mut api) = (Rig::new(&vars), Api::default());
    let count = 2 * SESSIONS_ENDED_PER_TURN + 1;
    for _ in 0..count {
        rig.session("alice");
    }
    let bystander = rig.session("bob");
    let report = value(&mut rig, &mut api, Question::EndUser { channel: user("alice").channel });
    assert_eq!(report, json!({ "ended": count }));
    for left in [SESSIONS_ENDED_PER_TURN + 1, 1, 0] {
        assert_eq!((rig.core.sessions.len(), api.is_behind()), (left + 1, left > 0));
        api.end_some(&mut rig.core);
    }
    assert!(rig.core.sessions.get(bystander).is_some());
}

#[test]
fn a_node_is_not_ready_while_it_drains_is_congested_or_lacks_keys() {
    for (life, congested, awaits_keys, expected, part) in [
        (NodePhase::Serving, 0, false, 200, r#""ready":true"#),
        (NodePhase::Leaving, 0, false, 503, r#""draining":true"#),
        (NodePhase::Serving, 0b110, false, 503, r#""congested_shards":2"#),
        (NodePhase::Serving, 0, true, 503, r#""token_keys":"unreachable"#),
    ] {
        let (mut rig, mut api) = (Rig::new(&[]), Api::default());
        (rig.core.cx.life, rig.core.cx.congested) = (life, congested);
        if awaits_keys {
            let keys = Keys::open().with_fetched(&rig.core.cx.config, Err("unreachable"));
            rig.core.cx.keys = Arc::new(keys);
        }
        let (status, body) = asked(&mut rig, &mut api, Question::Ready);
        assert!(status == expected && body.contains(part), "{status} {body}");
    }
}

#[test]
fn metrics_count_sessions_and_messages() {
    let (mut rig, mut api) = (Rig::new(&[]), Api::default());
    rig.session("alice");
    rig.session("bob");
    rig.publish("/a", "1");
    let (status, body) = asked(&mut rig, &mut api, Question::Metrics);
    assert_eq!(status, 200);
    for line in ["encke_sessions 2", "encke_messages_in_total 1"] {
        assert!(body.lines().any(|at| at == line), "{line} is not in {body}");
    }
}
