//! The core without connections: detached sessions, channels, letters to other shards.

pub(crate) mod rig;

use serde_json::json;

use crate::base::ids::ShardId;
use crate::base::slab::{SessionKey, Slab};
use crate::base::ticks::{Span, Tick};
use crate::config::Config;
use crate::core::Core;
use crate::core::tests::rig::{Rig, grant};
use crate::protocol::Protocol;
use crate::protocol::native::envelope::CloseCode;
use crate::session::Link;
use crate::transport::{Coding, Dialect, Form, Framing, TransportId};
use crate::turn::mail::Mail;
use crate::turn::todo::Todo;

/// A shard whose logs hold two messages.
fn forgetful(shards: u8) -> Rig {
    Rig::of_shards(shards, &[("ENCKE_CHANNEL_MESSAGES", "2")])
}

/// What a session has not received, as lines.
fn owed_lines(core: &Core, key: SessionKey) -> String {
    let form = Form {
        transport: TransportId::longpoll(),
        dialect: Dialect::default(),
        protocol: Protocol::Native,
        coding: Coding::Identity,
        framing: Framing::Length,
    };
    let (frames, _) = core.collect(key, form, 10_000);
    frames.iter().map(|encoded| String::from_utf8_lossy(&encoded.frame).into_owned()).collect()
}

#[test]
fn what_a_session_without_a_connection_misses_waits_in_its_logs() {
    let mut rig = forgetful(1);
    let key = rig.session("alice");
    rig.subscribe(key, "/news");
    rig.publish("/news", "1");
    rig.publish("/other", "2");
    rig.publish("/u/alice", "3");
    let lines = owed_lines(&rig.core, key);
    assert!(lines.contains("\"data\":1") && lines.contains("\"data\":3"), "{lines}");
    assert!(!lines.contains("\"data\":2"), "{lines}");
    assert!(rig.core.unreported_gap(key).is_none(), "nothing was dropped");
    assert!(rig.core.cx.effects.is_empty(), "there is nobody to write to, and no other shard");
}

#[test]
fn a_log_that_dropped_what_a_session_lacks_owes_it_a_gap() {
    let mut rig = forgetful(1);
    let key = rig.session("alice");
    rig.subscribe(key, "/news");
    let before = rig.core.hub.position(rig.core.sessions[key].cursor).to_string();
    for data in ["1", "2", "3"] {
        rig.publish("/news", data);
        // Within the grace nothing is dropped for the number alone.
        rig.pass(rig.core.cx.config.session_grace);
    }
    let gap = rig.core.unreported_gap(key).expect("the first message is gone");
    assert_eq!(*gap.from, *before);
    let (json, _) = rig.core.gap_json(key, &gap);
    assert!(String::from_utf8_lossy(&json).contains("\"gap\""));
    assert!(rig.core.unreported_gap(key).is_none(), "it is told once");
    assert!(owed_lines(&rig.core, key).contains("\"data\":2"), "what is left comes after it");
}

#[test]
fn the_home_of_a_channel_learns_of_its_first_subscriber_here() {
    let mut rig = forgetful(2);
    let (first, second) = (rig.session("alice"), rig.session("alice"));
    let (away, here) = (rig.channel_at(false), rig.channel_at(true));
    for (key, channel) in [(first, &away), (second, &away), (first, &here)] {
        rig.subscribe(key, channel);
    }
    let sent = rig.mail();
    let [(ShardId(1), Mail::Interest { channel })] = &*sent else {
        panic!("one letter to the other shard, and not {sent:?}");
    };
    assert_eq!(**channel, *away);
}

#[test]
fn a_session_that_loses_its_response_lives_on_for_the_grace() {
    let mut rig = forgetful(1);
    let key = rig.session("alice");
    let grace = rig.core.cx.config.session_grace;
    assert_eq!(rig.core.sessions[key].alarm.due(), Some(Tick::ZERO + grace));
    rig.core.detach_session(key);
    assert_eq!(rig.core.sessions[key].link, Link::Detached);
    assert!(rig.core.cx.todos.is_empty(), "no front wants to know of a native client");
    assert!(!rig.core.is_over(key));
    let code = CloseCode::Ended;
    rig.core.cx.todos.push_back(Todo::End { session: key, code });
    assert!(rig.core.is_over(key), "its end is to come in this turn");
}

#[test]
fn a_session_ends_with_its_grant_or_after_the_grace_whichever_comes_first() {
    let conn = Slab::default().insert(());
    let grace = Config::default().session_grace.as_millis() / 1000;
    for (link, expires, ends) in [
        (Link::Detached, None, Some(grace)),
        (Link::Detached, Some(grace - 1), Some(grace - 1)),
        (Link::Detached, Some(grace + 1), Some(grace)),
        (Link::Level(conn), None, None),
        (Link::Level(conn), Some(grace + 1), Some(grace + 1)),
        (Link::Parked(conn), Some(1), Some(1)),
    ] {
        let mut rig = Rig::new(&[]);
        let key = rig.session("alice");
        let claims = expires.map_or(json!({ "sub": "alice" }), |at| json!({ "sub": "alice", "exp": at }));
        rig.core.sessions[key].grant = grant(&claims);
        rig.core.sessions[key].link = link;
        rig.core.arm_session(key);
        let due = ends.map(|seconds| Tick::ZERO + Span::from_secs(seconds));
        assert_eq!(rig.core.sessions[key].alarm.due(), due, "{link:?} {expires:?}");
    }
}
