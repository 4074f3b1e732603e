//! A message to one user of many, through the whole shard. The unit is one message, published and
//! delivered.
//!
//! A thousand users have a stream; the others have a detached session. The cost must not grow with
//! their number, except for cache misses, which instruction counts do not show.

use crate::rig::{Rig, get, payload, post};
use crate::suite::{Pass, Suite, size};

/// All benchmarks of this file.
pub(crate) fn all(suite: &mut Suite) {
    for (name, known) in
        [("of 1000 sessions", size(1_000, 100)), ("of 1000000 sessions", size(1_000_000, 1_000))]
    {
        let attached = size(1_000, 100);
        suite.bench(
            ("unicast", name),
            Pass::Elements(attached),
            || Users::new(known, attached),
            |users| {
                for request in &users.requests {
                    users.rig.publish(request);
                    // The message, and the publisher's answer.
                    assert_eq!(users.rig.turn().writes, 2);
                }
            },
        );
    }
}

/// A shard that knows many users.
struct Users {
    rig: Rig,
    /// A publish to each user with a stream.
    requests: Vec<Vec<u8>>,
}

impl Users {
    /// Knows `known` users; every `known / attached`-th has a stream.
    fn new(known: usize, attached: usize) -> Self {
        let (mut rig, mut requests) = (Rig::new(), Vec::with_capacity(attached));
        let visitor = rig.connect();
        let body = payload(100);
        for i in 0..known {
            if i % (known / attached) == 0 {
                let conn = rig.connect();
                rig.say(conn, &get(&format!("/u/u{i}/sse")));
                requests.push(post(&format!("/u/u{i}/publish"), "application/json", &body));
            } else {
                let request = format!("GET /u/u{i}/poll HTTP/1.1\r\nHost: a\r\n\r\n");
                rig.say(visitor, request.as_bytes());
            }
            assert_eq!(rig.turn().writes, 1, "the session is made");
        }
        Self { rig, requests }
    }
}
