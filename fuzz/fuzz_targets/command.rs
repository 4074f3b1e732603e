//! Commands: each is decoded or refused with a reason, and a payload keeps its value.
#![no_main]

use encke::protocol::native::command::{Command, BatchShape, decode, error};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    const BATCH_MAX: usize = 20;
    let Ok(batch) = decode(bytes, BATCH_MAX, 32) else { return };
    assert!(batch.commands.len() <= BATCH_MAX);
    assert!(batch.shape == BatchShape::Array || batch.commands.len() == 1);
    for command in batch.commands {
        match command {
            Ok(Command::Publish { data, .. } | Command::Ping { token: data }) => {
                assert!(!data.contains(['\r', '\n']));
                encke::wire::json::check(data.as_bytes(), 64).expect("a payload is JSON");
            }
            Ok(_) => {}
            Err(refusal) => {
                let mut text = Vec::new();
                error(&refusal, &mut text);
                serde_json::from_slice::<Value>(&text).expect("a refusal is JSON");
            }
        }
    }
});
