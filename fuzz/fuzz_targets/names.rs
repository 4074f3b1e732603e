//! Names from clients: channels, positions and session ids have one canonical form each, and parse
//! back from it.
#![no_main]

use encke::base::position::Position;
use encke::request::session_id::SessionId;
use encke::wire::channel_name::{ChannelName, NAME_BYTES_MAX};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(position) = text.parse::<Position>() {
        assert_eq!(position.to_string().parse(), Ok(position));
    }
    if let Ok(session) = text.parse::<SessionId>() {
        assert_eq!(session.to_string(), text);
    }
    match ChannelName::parse(text) {
        Ok(name) => {
            assert_eq!(ChannelName::parse(name.as_str()), Ok(name.clone()), "a second pass changes it");
            let mut spelled = String::new();
            for candidate in name.candidates() {
                match ChannelName::parse(candidate.spell(&mut spelled)) {
                    Ok(pattern) => assert!(pattern.matches(&name), "{pattern:?} does not match {name:?}"),
                    // `**` for a last segment of one byte: no client can have subscribed to that.
                    Err(_) => assert!(spelled.len() > NAME_BYTES_MAX, "{spelled} is no pattern"),
                }
            }
        }
        Err(bad) => assert!(!bad.to_string().is_empty()),
    }
});
