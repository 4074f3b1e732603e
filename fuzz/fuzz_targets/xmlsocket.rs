//! Random input on an XMLSocket, in pieces of any size: the shard keeps its invariants, and buffers
//! no more than it may.
#![no_main]

use std::sync::Arc;

use encke::auth::gate::Keys;
use encke::base::ids::{ListenerKind, ShardId};
use encke::base::ticks::Tick;
use encke::config::Config;
use encke::shard::{Identity, Input, Shard};
use encke::turn::input::Effect;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let identity =
        Identity { id: ShardId(0), shards: 1, home_key: (1, 2), seed: [7; 32], unix_ms_at_zero: 0 };
    let mut shard = Shard::new(Tick::ZERO, Arc::new(Config::default()), Arc::new(Keys::open()), identity);
    let Ok(conn) = shard.accept(Tick::ZERO, ListenerKind::XmlSocket, None) else { return };
    let size = bytes.first().map_or(1, |&size| usize::from(size % 32) + 1);
    for piece in bytes.chunks(size) {
        if shard.outbox(conn).is_none() {
            break;
        }
        shard.handle(Tick::ZERO, Input::Bytes { conn, bytes: piece });
        shard.handle(Tick::ZERO, Input::EndTurn);
        while let Some(effect) = shard.poll_effect() {
            assert!(!matches!(effect, Effect::HandOff { .. }), "there is one shard alone");
        }
        let waits = shard.outbox(conn).map_or(0, |outbox| outbox.len());
        if waits > 0 {
            shard.handle(Tick::ZERO, Input::Written { conn, bytes: waits });
        }
        shard.check_invariants();
    }
});
