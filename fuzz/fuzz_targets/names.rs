//! Names that clients send: channels, positions and session ids have one spelling each, and read back as they are written.
#![no_main]

use encke::base::position::Position;
use encke::shard::channel_name::ChannelName;
use encke::shard::session::SessionId;
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
                let pattern =
                    ChannelName::parse(candidate.spell(&mut spelled)).expect("a candidate is a pattern");
                assert!(pattern.matches(&name), "{pattern:?} does not match {name:?}");
            }
        }
        Err(bad) => assert!(!bad.to_string().is_empty()),
    }
});
