//! Bayeux: whatever comes, each message is answered by JSON that repeats what it must, and is put to the backend byte for byte.
#![no_main]

use encke::protocol::bayeux::answer::{Advice, Answer, Fault};
use encke::protocol::bayeux::hook::{Event, Question, reply};
use encke::protocol::bayeux::message::{Ask, Limits, Message, decode};
use encke::wire::json::check;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const LIMITS: Limits = Limits { messages: 20, depth: 32, names: 5 };

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Some(data)) = reply(bytes, LIMITS.depth) {
        check(data.as_bytes(), LIMITS.depth).expect("what a service says is JSON");
    }
    let mut messages = Vec::new();
    let Ok(()) = decode(bytes, &LIMITS, &mut messages) else { return };
    assert!(messages.len() <= LIMITS.messages);
    messages.iter().for_each(answered);
});

fn answered(message: &Message) {
    let Message { head, ask, ext, .. } = message;
    let mut answer = Answer::to(head, Err(&Fault::session_unknown())).with_advice(Advice::Handshake);
    if let Some(subscription) = ask.subscription() {
        answer = answer.with("subscription", subscription);
    }
    let answer: Value = serde_json::from_slice(&answer.finish()).expect("an answer is JSON");
    assert_eq!(answer.get("channel").and_then(Value::as_str).unwrap_or_default(), &*head.channel);
    assert_eq!(answer.get("id").is_some(), head.id.is_some());
    let (Ask::Publish(Some(_)) | Ask::Subscribe(Ok(_)) | Ask::Handshake { .. }) = ask else { return };
    let names: Vec<_> = match ask {
        Ask::Subscribe(Ok(names)) => names.names.iter().map(String::as_str).collect(),
        _ => Vec::new(),
    };
    assert!(names.len() <= LIMITS.names);
    let event = match ask {
        Ask::Publish(Some(data)) => Event::Publish { channel: &head.channel, data },
        Ask::Subscribe(_) => Event::Subscribe { channels: &names },
        _ => Event::Handshake,
    };
    let question = Question { event, user: None, session: message.client.as_deref(), ext: ext.as_deref() };
    let question = question.encode();
    check(&question, LIMITS.depth + 1).expect("a question is JSON");
    if let Ask::Publish(Some(data)) = ask {
        assert!(question.windows(data.len()).any(|part| part == data.as_bytes()), "a payload is untouched");
    }
}
