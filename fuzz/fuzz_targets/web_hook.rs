//! Web hooks: whatever Bayeux clients send, the call to the backend is JSON with their payloads
//! unchanged; and every answer is accepted or refused.
#![no_main]

use encke::protocol::bayeux::hook::{Event, HookQuestion, reply};
use encke::protocol::bayeux::message::{Ask, Limits, BayeuxMessage, decode};
use encke::wire::json::check;
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits { messages: 20, depth: 32, names: 5 };

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Some(data)) = reply(bytes, LIMITS.depth) {
        check(data.as_bytes(), LIMITS.depth).expect("what a service says is JSON");
    }
    let mut messages = Vec::new();
    if decode(bytes, &LIMITS, &mut messages).is_ok() {
        messages.iter().for_each(asked);
    }
});

fn asked(BayeuxMessage { head, client, ask, ext, .. }: &BayeuxMessage) {
    let names: Vec<_> = match ask {
        Ask::Subscribe(Ok(names)) => names.names.iter().map(String::as_str).collect(),
        _ => Vec::new(),
    };
    let event = match ask {
        Ask::Publish(Some(data)) => Event::Publish { channel: &head.channel, data },
        Ask::Subscribe(Ok(_)) => Event::Subscribe { channels: &names },
        Ask::Handshake { .. } => Event::Handshake,
        _ => return,
    };
    let question = HookQuestion { event, user: None, session: client.as_deref(), ext: ext.as_deref() };
    let question = question.encode();
    check(&question, LIMITS.depth + 1).expect("a question is JSON");
    if let Ask::Publish(Some(data)) = ask {
        assert!(question.windows(data.len()).any(|part| part == data.as_bytes()), "a payload is untouched");
    }
}
