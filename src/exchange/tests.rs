//! Responses and their sessions, with a core and connections that read no socket.

use serde_json::json;

use crate::base::slab::{ConnKey, SessionKey};
use crate::base::ticks::Span;
use crate::call::queue::Since;
use crate::config::ProxyHeader;
use crate::conn::phase::{Conn, Intake, Phase, Then};
use crate::core::tests::rig::{Rig, grant};
use crate::protocol::native::envelope::CloseCode;
use crate::session::Link;
use crate::transport::{Dialect, Through};
use crate::turn::input::Effect;
use crate::turn::timer::{NodePhase, Timer};
use crate::turn::todo::Leaving;
use crate::turn::todo::Todo;
use crate::wire::http::Scanned;
use crate::wire::websocket::Past;

/// Opens a response by a request of its own: the connection, and what it says so far.
fn opened(rig: &mut Rig, target: &str) -> (ConnKey, String) {
    let (conn, (open, reply)) = (rig.connect(), rig.open(target));
    rig.core.open(conn, &open, reply);
    let heard = rig.heard(conn);
    (conn, heard)
}

/// The session of a response, by the header that names it.
fn named(heard: &str) -> String {
    let line = heard.lines().find_map(|line| line.strip_prefix("Encke-Session: "));
    line.unwrap_or_else(|| panic!("no session: {heard}")).to_owned()
}

/// The position up to which a poll has brought its session.
fn position(heard: &str) -> String {
    let line = heard.lines().find_map(|line| line.strip_prefix("Encke-Position: "));
    line.unwrap_or_else(|| panic!("no position: {heard}")).to_owned()
}

fn key(rig: &Rig, id: &str) -> Option<SessionKey> {
    let id: crate::request::session_id::SessionId = id.parse().expect("an id");
    rig.core.sessions.get(id.key).filter(|session| session.nonce == id.nonce).map(|_| id.key)
}

/// Whether a connection was closed by the effects so far.
fn is_closed(rig: &mut Rig, conn: ConnKey) -> bool {
    rig.effects().iter().any(|effect| matches!(effect, Effect::Close(closed) if *closed == conn))
}

// ---- which session ----

#[test]
fn a_request_is_given_the_session_that_it_names_or_one_of_its_own() {
    for (query, of, is_same) in [
        ("session=ID", "alice", true),
        ("session=ID&since=HERE", "alice", true),
        ("session=ID&since=zzzzzzzz-1", "alice", true),
        ("session=ID", "bob", false),
        ("session=nonsense", "alice", false),
        ("session=", "alice", false),
        ("", "alice", false),
        ("since=zzzzzzzz-1", "alice", false),
    ] {
        let mut rig = Rig::new(&[]);
        let (_, first) = opened(&mut rig, "/u/alice/poll");
        let query = query.replace("ID", &named(&first)).replace("HERE", &position(&first));
        let (_, second) = opened(&mut rig, &format!("/u/{of}/poll?{query}"));
        assert_eq!(named(&first) == named(&second), is_same, "{query}");
        assert_eq!(second.contains(r#""open""#), !is_same, "{query}: {second}");
    }
}

#[test]
fn a_position_alone_finds_the_session_that_asked_for_the_same() {
    for (first, second, is_same) in [
        ("channels=/a", "channels=/a", true),
        ("channels=/a,/b", "channels=/b,/a", true),
        ("channels=/a", "channels=/b", false),
        ("channels=/a", "channels=/a,/b", false),
        ("channels=/a,/b", "channels=/a", false),
        ("channels=/a", "channels=/a&presence=1", false),
        ("channels=/a", "channels=/a&conflate=500", false),
    ] {
        let mut rig = Rig::new(&[]);
        let (_, before) = opened(&mut rig, &format!("/u/alice/poll?{first}"));
        let (_, after) = opened(&mut rig, &format!("/u/alice/poll?{second}&since={}", position(&before)));
        assert_eq!(named(&before) == named(&after), is_same, "{first} {second}");
    }
}

#[test]
fn a_session_that_was_named_by_its_id_is_not_found_by_a_position() {
    let mut rig = Rig::new(&[]);
    let (_, first) = opened(&mut rig, "/u/alice/poll");
    opened(&mut rig, &format!("/u/alice/poll?session={}", named(&first)));
    let (_, other) = opened(&mut rig, &format!("/u/alice/poll?since={}", position(&first)));
    assert_ne!(named(&first), named(&other));
}

#[test]
fn a_position_of_another_run_is_reported_as_a_gap() {
    for (since, gap) in [("HERE", false), ("zzzzzzzz-1", true), ("nonsense", true)] {
        let mut rig = Rig::new(&[]);
        let (_, first) = opened(&mut rig, "/u/alice/poll");
        let since = since.replace("HERE", &position(&first));
        let (_, second) = opened(&mut rig, &format!("/u/alice/poll?session={}&since={since}", named(&first)));
        assert_eq!(second.contains(r#""gap""#), gap, "{since}: {second}");
    }
}

#[test]
fn a_new_response_replaces_the_one_before_and_says_so() {
    for transport in ["sse", "stream", "ws", "longpoll"] {
        let mut rig = Rig::new(&[]);
        let (_, first) = opened(&mut rig, "/u/alice/poll");
        let target = format!("/u/alice/{transport}?session={}", named(&first));
        let (old, _) = opened(&mut rig, &target);
        let (new, _) = opened(&mut rig, &target);
        let text = rig.heard(old);
        assert!(text.contains(r#""code":"replaced""#), "{transport}: {text}");
        let session = key(&rig, &named(&first)).expect("it lives");
        assert_eq!(rig.core.sessions[session].link.conn(), Some(new), "{transport}");
    }
}

#[test]
fn a_session_that_two_clients_take_from_each_other_is_split() {
    let mut rig = Rig::new(&[]);
    let (_, first) = opened(&mut rig, "/u/alice/sse?channels=/a");
    let target = format!("/u/alice/sse?session={}", named(&first));
    let mut takeovers = 0;
    let apart = loop {
        let (_, heard) = opened(&mut rig, &target);
        takeovers += 1;
        if named(&heard) != named(&first) {
            break heard;
        }
        rig.pass(Span::from_secs(3));
    };
    assert_eq!(takeovers, 5, "each has taken it from the other twice");
    assert!(apart.contains(r#""instead":"#) && apart.contains(&named(&first)), "{apart}");
    let own = key(&rig, &named(&apart)).expect("a session");
    assert_eq!(rig.subscribed(own), ["/u/alice", "/a"], "with the same channels");
}

// ---- how sessions come and go ----

#[test]
fn a_refused_request_makes_no_session() {
    for (vars, target, refusal) in [
        (&[("ENCKE_SESSIONS", "1")][..], "/u/alice/sse", "too-many-sessions"),
        (&[("ENCKE_SESSIONS_PER_ADDRESS", "1")], "/u/alice/sse", "too-many-from-address"),
        (&[("ENCKE_SESSIONS_PER_ADDRESS", "1")], "/u/alice/sse", "ENCKE_SESSIONS_PER_ADDRESS"),
        (&[("ENCKE_SESSIONS_PER_ADDRESS", "1")], "/u/alice/sse", "ENCKE_PROXY_PROTOCOL"),
        (&[("ENCKE_CHANNELS", "2")], "/u/alice/sse?channels=/a,/b,/c", "too-many-channels"),
        (&[], "/u/alice/jsonp?callback=a-b", "bad-callback"),
        (&[], "/u/alice/sse?pad=much", "bad-pad"),
    ] {
        let mut rig = Rig::new(vars);
        if vars.iter().any(|(name, _)| name.contains("SESSIONS")) {
            opened(&mut rig, "/u/alice/sse");
        }
        let before = (rig.core.sessions.len(), rig.core.addresses.total());
        let (_, heard) = opened(&mut rig, target);
        assert!(heard.contains(refusal), "{target}: {heard}");
        assert_eq!((rig.core.sessions.len(), rig.core.addresses.total()), before, "{target}");
    }
}

#[test]
fn one_session_too_many_ends_the_least_recently_used_one() {
    let mut rig = Rig::new(&[("ENCKE_SESSIONS_PER_USER", "3")]);
    let (stream, streaming) = opened(&mut rig, "/u/alice/sse");
    let polls: Vec<_> = (0..2)
        .map(|_| {
            rig.pass(Span::from_secs(1));
            named(&opened(&mut rig, "/u/alice/poll").1)
        })
        .collect();
    for (gone, stays) in [(&polls[0], &polls[1]), (&polls[1], &named(&streaming))] {
        rig.pass(Span::from_secs(1));
        opened(&mut rig, "/u/alice/sse");
        assert!(key(&rig, gone).is_none() && key(&rig, stays).is_some());
    }
    opened(&mut rig, "/u/alice/sse");
    assert!(rig.heard(stream).contains(r#""code":"too-many-sessions""#), "the oldest stream is next");
}

#[test]
fn the_end_of_a_session_leaves_nothing_behind() {
    let mut rig = Rig::new(&[("ENCKE_SESSIONS_PER_ADDRESS", "9")]);
    let (conn, heard) = opened(&mut rig, "/u/alice/sse?channels=/a,/b/*&presence=0&last=2");
    let session = key(&rig, &named(&heard)).expect("a session");
    rig.core.end_session(session, CloseCode::Ended);
    assert!(rig.heard(conn).contains(r#""code":"ended""#));
    assert_eq!((rig.core.sessions.len(), rig.core.addresses.total()), (0, 0));
    let left: Vec<_> = rig.core.hub.channels().filter(|(_, at)| !at.subscribers.is_empty()).collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(rig.core.cx.metrics.attached.iter().sum::<u64>(), 0);
    rig.core.end_session(session, CloseCode::Ended);
}

#[test]
fn a_session_ends_after_its_grace_or_with_its_token() {
    for (transport, expires, passed, ends) in [
        ("poll", None, 89, false),
        ("poll", None, 90, true),
        ("sse", None, 900, false),
        ("sse", Some(100), 99, false),
        ("sse", Some(100), 100, true),
        ("poll", Some(10), 10, true),
    ] {
        let mut rig = Rig::new(&[("ENCKE_SESSION_GRACE", "90s")]);
        let (conn, (mut open, reply)) = (rig.connect(), rig.open(&format!("/u/alice/{transport}")));
        if let Some(at) = expires {
            open.grant = grant(&json!({ "sub": "alice", "exp": at }));
        }
        rig.core.open(conn, &open, reply);
        let id = named(&rig.heard(conn));
        let session = key(&rig, &id).expect("a session");
        rig.pass(Span::from_secs(passed));
        rig.core.on_timer(Timer::Session(session));
        assert_eq!(key(&rig, &id).is_none(), ends, "{transport} {expires:?} {passed}");
        let is_told = rig.heard(conn).contains(r#""code":"expired""#);
        assert_eq!(is_told, ends && transport == "sse", "{transport} {expires:?} {passed}");
    }
}

#[test]
fn a_lost_connection_detaches_only_the_session_that_it_still_has() {
    let mut rig = Rig::new(&[]);
    let (old, first) = opened(&mut rig, "/u/alice/sse");
    let session = key(&rig, &named(&first)).expect("a session");
    let (new, _) = opened(&mut rig, &format!("/u/alice/sse?session={}", named(&first)));
    rig.core.leave_session(old, session, None, Leaving::Lost);
    assert_eq!(rig.core.sessions[session].link.conn(), Some(new), "it was taken over before");
    rig.core.leave_session(new, session, None, Leaving::Lost);
    assert_eq!(rig.core.sessions[session].link, Link::Detached);
}

// ---- events of connections ----

/// A phase, and what the test calls it.
fn phases() -> Vec<(&'static str, Phase)> {
    let socket = || {
        let (dialect, subprotocol) = (Dialect::default(), crate::call::protocol::Subprotocol::Native);
        Box::new(crate::conn::socket::Socket::new(Through::Upgrade, dialect, Past::None, subprotocol))
    };
    vec![
        ("silent", Phase::Silent { header: ProxyHeader::Unread, network: None }),
        ("preface", Phase::Preface(ProxyHeader::Demanded)),
        ("greeting", Phase::Greeting { scanned: 0 }),
        ("idle", Phase::Idle),
        ("head", Phase::Head { scanned: Scanned::default() }),
        ("unbound", Phase::Unbound(socket())),
        ("closing", Phase::Closing(socket())),
        ("flushing", Phase::Flushing(Then::Next)),
        ("lingering", Phase::Lingering),
    ]
}

/// What has become of a connection in each phase, after `event`.
fn outcomes(event: impl Fn(&mut Rig, ConnKey)) -> Vec<(&'static str, &'static str)> {
    let outcome = |(name, phase): (&'static str, Phase)| {
        let mut rig = Rig::new(&[]);
        let conn = rig.connect();
        rig.core.conns[conn].phase = phase;
        event(&mut rig, conn);
        let outcome = match rig.core.conns.get(conn) {
            None => "closed",
            Some(Conn { phase: Phase::Flushing(Then::Close) | Phase::Lingering, .. }) => "closing",
            Some(_) => "open",
        };
        (name, outcome)
    };
    phases().into_iter().map(outcome).collect()
}

#[test]
fn the_end_of_input_closes_a_connection_that_is_owed_no_answer() {
    let ended = outcomes(|rig, conn| rig.core.ended(conn));
    let expected = [
        ("silent", "closed"),
        ("preface", "closed"),
        ("greeting", "closed"),
        ("idle", "closed"),
        ("head", "closed"),
        ("unbound", "closed"),
        ("closing", "closed"),
        ("flushing", "open"),
        ("lingering", "closed"),
    ];
    assert_eq!(ended, expected);
}

#[test]
fn every_phase_that_waits_for_a_client_times_out() {
    let late = outcomes(|rig, conn| {
        let due = rig.core.cx.now + Span::from_secs(1);
        rig.core.conns[conn].alarm.set(&mut rig.core.cx.wheel, due, Timer::Conn(conn));
        rig.pass(Span::from_secs(1));
        rig.core.on_timer(Timer::Conn(conn));
    });
    let expected = [
        ("silent", "closed"),
        ("preface", "closed"),
        ("greeting", "closing"),
        ("idle", "closed"),
        ("head", "closing"),
        ("unbound", "closing"),
        ("closing", "closing"),
        ("flushing", "closed"),
        ("lingering", "closed"),
    ];
    assert_eq!(late, expected);
}

#[test]
fn a_drain_closes_idle_connections_and_lets_others_finish() {
    let drained = outcomes(|rig, _| {
        let by = rig.core.cx.now + Span::from_secs(10);
        rig.core.drain(by);
    });
    let expected = [
        ("silent", "closed"),
        ("preface", "closed"),
        ("greeting", "closed"),
        ("idle", "closed"),
        ("head", "open"),
        ("unbound", "closing"),
        ("closing", "open"),
        ("flushing", "closing"),
        ("lingering", "closing"),
    ];
    assert_eq!(drained, expected);
}

#[test]
fn a_drain_tells_each_client_when_to_come_back_and_is_done_when_all_have_gone() {
    let mut rig = Rig::new(&[]);
    let (stream, heard) = opened(&mut rig, "/u/alice/sse");
    let before = named(&opened(&mut rig, "/u/alice/poll").1);
    let (poll, _) = opened(&mut rig, &format!("/u/alice/longpoll?session={before}"));
    let by = rig.core.cx.now + Span::from_secs(10);
    rig.core.drain(by);
    for conn in [stream, poll] {
        assert!(rig.heard(conn).contains(r#""close":{"code":"drain","reconnect":true"#), "{heard}");
    }
    let (_, late) = opened(&mut rig, "/u/bob/sse");
    assert!(late.starts_with("HTTP/1.1 200") && late.contains(r#""drain""#), "{late}");
    assert!(matches!(rig.core.cx.life, NodePhase::Draining { .. }));
    for conn in rig.core.conns.keys() {
        rig.core.check_drained();
        assert!(!rig.effects().iter().any(|effect| matches!(effect, Effect::Drained)));
        rig.core.conns.close(&mut rig.core.cx, conn);
    }
    rig.core.check_drained();
    assert!(rig.effects().iter().any(|effect| matches!(effect, Effect::Drained)));
}

#[test]
fn a_silent_stream_gets_a_heartbeat_and_a_stuck_one_is_closed() {
    for (reads, outcome) in [(true, false), (false, true)] {
        let mut rig = Rig::new(&[]);
        let (conn, (open, reply)) = (rig.connect(), rig.open("/u/alice/sse"));
        rig.core.open(conn, &open, reply);
        if reads {
            rig.heard(conn);
        }
        let due = rig.core.conns[conn].alarm.due().expect("a deadline");
        rig.pass(due.since(rig.core.cx.now).max(rig.core.cx.config.write_timeout));
        rig.core.on_timer(Timer::Conn(conn));
        assert_eq!(is_closed(&mut rig, conn), outcome);
        if reads {
            assert_ne!(rig.heard(conn), "");
        }
    }
}

#[test]
fn a_long_stream_gets_recycle_once() {
    let mut rig = Rig::new(&[("ENCKE_RECYCLE_BYTES", "64KiB")]);
    let (conn, _) = opened(&mut rig, "/u/alice/sse?channels=/a");
    let data = json!("x".repeat(8000)).to_string();
    let mut recycles = 0;
    for _ in 0..12 {
        rig.publish("/a", &data);
        let heard = rig.core.conns[conn].outbox.len();
        rig.core.on_written(conn, heard);
        recycles += rig.heard(conn).matches(r#""code":"recycle""#).count();
    }
    assert_eq!(recycles, 1);
    assert_eq!(rig.core.cx.metrics.recycled, 1);
    let session = rig.core.conns[conn].session();
    assert!(session.is_some(), "it goes on until the next response takes over");
}

#[test]
fn a_stream_catches_up_when_its_outbox_has_room() {
    let mut rig = Rig::new(&[("ENCKE_OUTBOX_BYTES", "4KiB")]);
    let (conn, heard) = opened(&mut rig, "/u/alice/sse?channels=/a");
    let session = key(&rig, &named(&heard)).expect("a session");
    let data = json!("x".repeat(1500)).to_string();
    for _ in 0..5 {
        rig.publish("/a", &data);
    }
    assert_eq!(rig.core.sessions[session].link, Link::Behind(conn));
    let mut count = 0;
    while !rig.core.conns[conn].outbox.is_empty() {
        count += rig.heard(conn).matches("xxx\"").count();
        rig.core.on_written(conn, 0);
    }
    assert_eq!(count, 5, "each once");
    assert_eq!(rig.core.sessions[session].link, Link::Level(conn));
}

#[test]
fn a_half_closed_poll_is_answered_at_once() {
    let mut rig = Rig::new(&[]);
    let id = named(&opened(&mut rig, "/u/alice/poll?channels=/a").1);
    let (conn, _) = opened(&mut rig, &format!("/u/alice/longpoll?session={id}"));
    assert!(matches!(rig.core.conns[conn].phase, Phase::Parked(_)));
    rig.core.ended(conn);
    assert_eq!(rig.core.conns[conn].intake, Intake::Ended);
    assert_eq!(rig.body(conn), json!([]));
}

#[test]
fn a_broken_response_queues_that_its_session_detaches() {
    let mut rig = Rig::new(&[]);
    let (conn, heard) = opened(&mut rig, "/u/alice/sse");
    let session = key(&rig, &named(&heard)).expect("a session");
    rig.todos();
    rig.core.broken(conn);
    assert_eq!(rig.todos(), [Todo::Left { conn, session, behind: None, leaving: Leaving::Lost }]);
}

#[test]
fn a_position_counts_only_in_the_run_that_gave_it() {
    let mut rig = Rig::new(&[]);
    rig.publish("/a", "1");
    let head = rig.core.hub.head();
    let at = |n| rig.core.hub.position(n).to_string();
    for (text, since) in [
        (None, Since::Unspecified),
        (Some(at(0)), Since::Here(0)),
        (Some(at(head)), Since::Here(head)),
        (Some(at(head + 1)), Since::Elsewhere(at(head + 1).into())),
        (Some("zzzzzzzz-1".to_owned()), Since::Elsewhere("zzzzzzzz-1".into())),
        (Some("nonsense".to_owned()), Since::Elsewhere("nonsense".into())),
    ] {
        assert_eq!(rig.core.since(text.as_deref()), since, "{text:?}");
    }
}

#[test]
fn a_request_cannot_add_channels_beyond_the_limit_of_a_session() {
    let mut rig = Rig::new(&[("ENCKE_SUBSCRIPTIONS", "2")]);
    let id = named(&opened(&mut rig, "/u/alice/poll?channels=/a,/b").1);
    let (_, heard) = opened(&mut rig, &format!("/u/alice/sse?session={id}&channels=/c"));
    assert!(heard.contains("too-many-subscriptions"), "{heard}");
    let session = key(&rig, &id).expect("it lives");
    assert_eq!(rig.subscribed(session), ["/u/alice", "/a", "/b"]);
}
