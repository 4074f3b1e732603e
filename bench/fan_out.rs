//! A message to all subscribers of a channel, through the whole shard: from the publisher's bytes
//! to the last outbox drained, without sockets. The unit is one delivery.
//!
//! The remaining cost of a delivery is the shard's; it must not grow with the number of streams,
//! nor with the number of their other subscriptions. In a burst the pending bytes of a stream go
//! out in few writes.

use crate::rig::{Rig, get, payload, post};
use crate::suite::{Pass, Suite, size};

/// All benchmarks of this file.
pub(crate) fn all(suite: &mut Suite) {
    for (full, small) in [(1_000, 50), (10_000, 100)] {
        let count = size(full, small);
        paced(suite, &format!("{full} streams"), count, 1);
    }
    paced(suite, "1000 streams of 100 channels", size(1_000, 20), 100);
    let count = size(1_000, 20);
    let item = format!("{{\"channel\":\"/c/0\",\"data\":{}}}\n", payload(100));
    let burst = post("/publish", "application/x-ndjson", &item.repeat(BURST));
    let pass = Pass::Elements(count * BURST);
    suite.bench(
        ("fan-out", "100 messages at once to 1000 streams"),
        pass,
        || streams(count, 1),
        |rig| {
            rig.publish(&burst);
            let written = rig.turn();
            assert!(written.bytes > count * BURST * 100 && written.writes <= count * 2 + 1, "{written:?}");
        },
    );
}

/// One message a turn.
fn paced(suite: &mut Suite, name: &str, count: usize, channels: usize) {
    let request =
        post("/publish", "application/json", &format!(r#"{{"channel":"/c/0","data":{}}}"#, payload(100)));
    suite.bench(
        ("fan-out", name),
        Pass::Elements(count),
        || streams(count, channels),
        |rig| {
            rig.publish(&request);
            // One for each stream, and the publisher's answer.
            assert_eq!(rig.turn().writes, count + 1);
        },
    );
}

/// A shard with `count` streams of a user each, subscribed to `/c/0` and others.
fn streams(count: usize, channels: usize) -> Rig {
    let mut rig = Rig::new();
    let names: Vec<String> = (0..channels).map(|i| format!("/c/{i}")).collect();
    let names = names.join(",");
    for i in 0..count {
        let conn = rig.connect();
        rig.say(conn, &get(&format!("/u/u{i}/sse?channels={names}")));
        assert_eq!(rig.turn().writes, 1, "the stream opens");
    }
    rig
}

/// Messages of one request.
const BURST: usize = 100;
