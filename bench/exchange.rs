//! Requests for messages, through the whole shard: polls that are held and answered, streams that
//! open and break.
//!
//! The unit is one poll (its request, its wait, its answer), over the native protocol or Bayeux, or
//! one stream (accepted, opened, broken, its session detached). The session is created once; a
//! stream resumes it.

use std::io::IoSlice;

use encke::base::slab::ConnKey;

use crate::rig::{Rig, get, payload, post, send};
use crate::suite::{Pass, Suite, size};

/// All benchmarks of this file.
pub(crate) fn all(suite: &mut Suite) {
    let count = size(1_000, 20);
    let publish =
        post("/publish", "application/json", &format!(r#"{{"channel":"/c","data":{}}}"#, payload(100)));
    suite.bench(
        ("exchange", "held poll"),
        Pass::Elements(count),
        || Pollers::new(count),
        |pollers| {
            pollers.poll();
            pollers.rig.publish(&publish);
            // The polls' answers, and the publisher's.
            assert_eq!(pollers.rig.turn().writes, count + 1);
        },
    );
    suite.bench(
        ("exchange", "held connect"),
        Pass::Elements(count),
        || Pollers::of_bayeux(count),
        |pollers| {
            pollers.poll();
            pollers.rig.publish(&publish);
            assert_eq!(pollers.rig.turn().writes, count + 1);
        },
    );
    suite.bench(
        ("exchange", "stream opens and breaks"),
        Pass::Elements(count),
        || Pollers::new(count),
        |pollers| {
            for i in 0..count {
                let conn = pollers.rig.connect();
                pollers.rig.say(conn, &pollers.streams[i]);
                assert_eq!(pollers.rig.turn().writes, 1);
                pollers.rig.break_off(conn);
            }
        },
    );
}

/// Browsers with one held poll each.
struct Pollers {
    rig: Rig,
    conns: Vec<ConnKey>,
    polls: Vec<Vec<u8>>,
    streams: Vec<Vec<u8>>,
}

impl Pollers {
    fn new(count: usize) -> Self {
        let mut rig = Rig::new();
        let (mut conns, mut polls, mut streams) = (Vec::new(), Vec::new(), Vec::new());
        for i in 0..count {
            let conn = rig.connect();
            rig.say(conn, &get(&format!("/u/u{i}/longpoll?channels=/c")));
            let mut session = String::new();
            rig.turn_with(|_, answer| session = header(answer, "Encke-Session: "));
            conns.push(conn);
            polls.push(get(&format!("/u/u{i}/longpoll?session={session}")));
            streams.push(get(&format!("/u/u{i}/sse?session={session}")));
        }
        Self { rig, conns, polls, streams }
    }

    /// The same, for Bayeux clients after handshake, subscription and first connect.
    fn of_bayeux(count: usize) -> Self {
        let mut rig = Rig::new();
        let (mut conns, mut polls) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let conn = rig.connect();
            rig.say(conn, &send("/bayeux", "", HANDSHAKE));
            let (mut cookie, mut client) = (String::new(), String::new());
            rig.turn_with(|_, answer| {
                let set = header(answer, "Set-Cookie: ");
                set.split(';').next().unwrap_or_default().clone_into(&mut cookie);
                client = behind(answer, "\"clientId\":\"");
            });
            let say = |message: &str| send("/bayeux", &cookie, &message.replace("CLIENT", &client));
            for message in [SUBSCRIBE, CONNECT] {
                rig.say(conn, &say(message));
                assert_eq!(rig.turn().writes, 1, "neither is held");
            }
            conns.push(conn);
            polls.push(say(CONNECT));
        }
        Self { rig, conns, polls, streams: Vec::new() }
    }

    fn poll(&mut self) {
        for (&conn, request) in self.conns.iter().zip(&self.polls) {
            self.rig.say(conn, request);
        }
        assert_eq!(self.rig.turn().writes, 0, "nothing waits, so all are held");
    }
}

const HANDSHAKE: &str =
    r#"[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"],"id":"1"}]"#;
const SUBSCRIBE: &str = r#"[{"channel":"/meta/subscribe","clientId":"CLIENT","subscription":"/c","id":"2"}]"#;
const CONNECT: &str =
    r#"[{"channel":"/meta/connect","clientId":"CLIENT","connectionType":"long-polling","id":"3"}]"#;

/// The value of a header in a response.
fn header(answer: &[IoSlice<'_>], name: &str) -> String {
    let text = text(answer);
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    value.expect("the response has the header").to_owned()
}

/// The text after `before` in a response, up to the next quotation mark.
fn behind(answer: &[IoSlice<'_>], before: &str) -> String {
    let text = text(answer);
    let value = text.split_once(before).and_then(|(_, rest)| rest.split('"').next());
    value.expect("the response has it").to_owned()
}

fn text(answer: &[IoSlice<'_>]) -> String {
    let bytes: Vec<u8> = answer.iter().flat_map(|slice| slice.iter().copied()).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
