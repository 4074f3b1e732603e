//! Bayeux messages, in each form of a request: the bounds hold, a decoded message that is encoded
//! again, alone or in an array, decodes the same, and every answer is JSON that repeats the
//! message's id unchanged.
#![no_main]

use std::collections::HashMap;

use encke::base::ticks::Span;
use encke::protocol::Wrap;
use encke::protocol::bayeux::answer::{Advice, BayeuxAnswer, MultipleClients, event};
use encke::protocol::bayeux::fault::FaultCause;
use encke::protocol::bayeux::message::{Ask, BayeuxHead, BayeuxMessage, Limits, decode, decode_form};
use encke::protocol::bayeux::stamp::Stamp;
use encke::protocol::native::envelope::{self, Encoding};
use encke::wire::json::{check, escape_into};
use encke::wire::refusal::Refusal;
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;

const LIMITS: Limits = Limits { messages: 12, depth: 24, names: 5 };

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let mut messages = Vec::new();
    // JSON in a body, in a query, or on a socket is the same; a form is not.
    let result = match kind % 2 {
        0 => decode(bytes, &LIMITS, &mut messages),
        _ => decode_form(bytes, &LIMITS, &mut messages),
    };
    if kind % 2 == 0 {
        check_slow_path(bytes, &result, &messages);
    }
    if let Err(refusal) = result {
        assert!((400..500).contains(&refusal.status()) && !refusal.reason.is_empty());
        return;
    }
    assert!(messages.len() <= LIMITS.messages);
    if kind % 2 == 0 {
        wrapped(bytes, &messages);
    }
    messages.iter().for_each(answered);
    messages.iter().for_each(spelled_anew);
});

/// A line break makes the decoder use its slow path for each message, which changes nothing.
fn check_slow_path(bytes: &[u8], result: &Result<(), Refusal>, messages: &[BayeuxMessage]) {
    let mut again = Vec::new();
    let anew = decode(&[bytes, b"\n"].concat(), &LIMITS, &mut again);
    match (result, anew) {
        (Ok(()), Ok(())) => assert_eq!(again, messages),
        (Err(one), Err(other)) => assert_eq!(one.code, other.code),
        (one, other) => panic!("{one:?} became {other:?}"),
    }
}

/// A lone object is an array of one.
fn wrapped(bytes: &[u8], messages: &[BayeuxMessage]) {
    if bytes.trim_ascii_start().first() == Some(&b'{') {
        assert_eq!(messages.len(), 1);
        let mut again = Vec::new();
        decode(&[b"[", bytes, b"]"].concat(), &Limits { depth: LIMITS.depth + 1, ..LIMITS }, &mut again)
            .expect("an array of it");
        assert_eq!(again, messages);
    }
}

fn fields(json: &[u8]) -> HashMap<String, Box<RawValue>> {
    check(json, 64).expect("JSON");
    serde_json::from_slice(json).expect("an object")
}

/// Every answer repeats the message's id and channel.
fn answered(message: &BayeuxMessage) {
    let fault = match &message.ask {
        Ask::Nonsense(fault) => fault.clone(),
        Ask::Subscribe(Err(misnamed)) | Ask::Unsubscribe(Err(misnamed)) => misnamed.fault.clone(),
        Ask::Publish(None) => FaultCause::NoData { channel: &message.head.channel }.into(),
        _ => FaultCause::SessionUnknown.into(),
    };
    let retry = Advice::Retry {
        timeout: Span::from_secs(1),
        max_interval: Span::ZERO,
        clients: MultipleClients::Several,
    };
    for (outcome, advice) in [(Ok(()), retry), (Err(&fault), Advice::Handshake(Span::from_secs(1)))] {
        let mut answer = BayeuxAnswer::to(&message.head, outcome).with_advice(advice);
        if let Ask::Subscribe(Ok(names)) | Ask::Unsubscribe(Ok(names)) = &message.ask {
            assert!((1..=LIMITS.names).contains(&names.names.len()));
        }
        if let Some(json) = message.ask.subscription() {
            answer = answer.with("subscription", json);
        }
        let sent = fields(&answer.finish());
        assert_eq!(sent.get("id").map(|id| id.get()), message.head.id.as_deref());
        let channel =
            sent.get("channel").map(|name| serde_json::from_str::<String>(name.get()).expect("a string"));
        assert_eq!(channel.unwrap_or_default(), *message.head.channel);
        assert_eq!(sent["successful"].get(), if outcome.is_ok() { "true" } else { "false" });
        assert!(!sent.contains_key("data") && sent.contains_key("advice"));
    }
}

/// A decoded message that is encoded as a client would decodes the same.
fn spelled_anew(message: &BayeuxMessage) {
    let BayeuxMessage { head: BayeuxHead { channel, id, stamp }, client, ask, token: _, ext } = message;
    let more = match ask {
        Ask::Publish(Some(data)) => {
            delivered(channel, data);
            format!(",\"data\":{data}")
        }
        Ask::Subscribe(Ok(names)) | Ask::Unsubscribe(Ok(names)) => {
            format!(",\"subscription\":{}", names.json)
        }
        Ask::Publish(None) | Ask::Disconnect => String::new(),
        // Their members are decoded leniently, and may lose information.
        Ask::Handshake { .. }
        | Ask::Connect(_)
        | Ask::Subscribe(Err(_))
        | Ask::Unsubscribe(Err(_))
        | Ask::Nonsense(_) => return,
    };
    let mut json = b"{\"channel\":".to_vec();
    escape_into(channel, &mut json);
    json.extend(id.iter().flat_map(|id| format!(",\"id\":{id}").into_bytes()));
    if let Some(client) = client {
        json.extend_from_slice(b",\"clientId\":");
        escape_into(client, &mut json);
    }
    json.extend(ext.iter().flat_map(|ext| format!(",\"ext\":{ext}").into_bytes()));
    if *stamp != Stamp::Unasked {
        json.extend_from_slice(b",\"timestamp\":\"now\"");
    }
    json.extend_from_slice(more.as_bytes());
    json.push(b'}');
    let mut again = Vec::new();
    decode(&json, &LIMITS, &mut again).expect("it was read once");
    assert_eq!(again, std::slice::from_ref(message));
}

/// An event has its publish's payload, byte for byte, and no member of an answer.
fn delivered(channel: &str, data: &str) {
    assert!(!data.contains(['\r', '\n']));
    let message = envelope::Message {
        channel: channel.into(),
        from: Some("a\"b".into()),
        data: data.into(),
        encoding: Encoding::Json,
    };
    let mut json = Vec::new();
    event(&message, Wrap::Item, &mut json);
    let sent = fields(&json);
    assert_eq!(sent["data"].get(), data.trim());
    assert!(!sent.contains_key("successful") && !sent.contains_key("id") && !sent.contains_key("clientId"));
}
