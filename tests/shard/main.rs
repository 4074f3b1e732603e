//! One shard, driven directly on a clock that the test sets: behaviour that depends on the time of
//! day, or on minutes.
//!
//! Tests over sockets would have to wait for it, and the simulation has only one wall clock.

mod bayeux;
mod cost;
mod order;
mod places;
mod polls;
mod positions;
mod sessions;

use std::io::IoSlice;
use std::sync::Arc;

use encke::auth::gate::Keys;
use encke::base::ids::{ListenerKind, ShardId};
use encke::base::slab::ConnKey;
use encke::base::ticks::{Span, Tick};
use encke::config::Config;
use encke::shard::{Identity, Input, Shard};
use encke::turn::input::Effect;
use encke::turn::mail::Mail;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

const SECRET: &str = "a secret that is long enough for HMAC";

/// The key of the hash that gives homes.
const HOME_KEY: (u64, u64) = (1, 2);

/// The start of the test's clock, in seconds since 1970.
const START: u64 = 1_700_000_000;

struct Rig {
    shard: Shard,
    now: Tick,
    /// Seconds since 1970 at zero of the clock.
    zero: u64,
    closed: Vec<ConnKey>,
    /// Mail that the shard has sent to others.
    mail: Vec<Mail>,
}

impl Rig {
    fn new(vars: &[(&str, &str)]) -> Self {
        Self::of_shards(1, vars)
    }

    /// The first of `shards` shards.
    fn of_shards(shards: u8, vars: &[(&str, &str)]) -> Self {
        let config = Config::from_vars(vars.iter().copied()).expect("a configuration");
        let keys = Keys::new(&config, None).expect("its keys");
        let identity = Identity {
            id: ShardId(0),
            shards,
            home_key: HOME_KEY,
            seed: [7; 32],
            unix_ms_at_zero: START * 1000,
        };
        let shard = Shard::new(Tick::ZERO, Arc::new(config), Arc::new(keys), identity);
        Self { shard, now: Tick::ZERO, zero: START, closed: Vec::new(), mail: Vec::new() }
    }

    fn unix(&self) -> u64 {
        self.zero + self.now.as_millis() / 1000
    }

    /// Moves the wall clock by so many seconds, forwards or back.
    fn step_wall(&mut self, seconds: i64) {
        self.zero = self.zero.checked_add_signed(seconds).expect("after 1970");
        self.give(Input::Wall { unix_ms_at_zero: self.zero * 1000 });
        self.turn();
    }

    fn give(&mut self, input: Input<'_>) {
        self.shard.handle(self.now, input);
        while let Some(effect) = self.shard.poll_effect() {
            match effect {
                Effect::Close(conn) => self.closed.push(conn),
                Effect::Mail { mail, .. } => self.mail.push(mail),
                _ => {}
            }
        }
    }

    /// Runs turns until nothing is due.
    fn turn(&mut self) {
        loop {
            self.give(Input::EndTurn);
            if self.shard.next_deadline().is_none_or(|due| due > self.now) {
                return;
            }
            self.give(Input::Expire);
        }
    }

    fn pass(&mut self, span: Span) {
        self.now = self.now + span;
        self.turn();
    }

    fn connect(&mut self, listener: ListenerKind) -> ConnKey {
        let peer = "127.0.0.1:9".parse().ok();
        self.shard.accept(self.now, listener, peer).expect("there is room")
    }

    /// Sends bytes; returns everything that the shard writes at once.
    fn say(&mut self, conn: ConnKey, bytes: &str) -> String {
        self.give(Input::Bytes { conn, bytes: bytes.as_bytes() });
        self.turn();
        self.heard(conn)
    }

    fn heard(&mut self, conn: ConnKey) -> String {
        let mut all = Vec::new();
        while let Some(outbox) = self.shard.outbox(conn).filter(|outbox| !outbox.is_empty()) {
            let mut slices = [IoSlice::new(&[]); 8];
            let used = outbox.slices(&mut slices);
            let bytes: Vec<u8> = slices[..used].iter().flat_map(|slice| slice.iter().copied()).collect();
            all.extend_from_slice(&bytes);
            self.give(Input::Written { conn, bytes: bytes.len() });
        }
        String::from_utf8_lossy(&all).into_owned()
    }

    fn get(&mut self, listener: ListenerKind, target: &str) -> String {
        let conn = self.connect(listener);
        self.say(conn, &format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    }

    /// Sends a request with a body; returns its connection, and the bytes written so far.
    fn request(&mut self, target: &str, body: &Value) -> (ConnKey, String) {
        let conn = self.connect(ListenerKind::Public);
        let response = self.say(conn, &post(target, body));
        (conn, response)
    }

    fn with_token(&mut self, path: &str, claims: &Value) -> String {
        let token = token(claims);
        let separator = if path.contains('?') { '&' } else { '?' };
        self.get(ListenerKind::Public, &format!("{path}{separator}token={token}"))
    }
}

/// A POST request with JSON.
fn post(target: &str, body: &Value) -> String {
    let body = body.to_string();
    let head = "Host: localhost\r\nContent-Type: application/json";
    format!("POST {target} HTTP/1.1\r\n{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn token(claims: &Value) -> String {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    encode(&Header::default(), claims, &key).expect("it can be signed")
}

fn status(answer: &str) -> &str {
    answer.get(9..12).unwrap_or(answer)
}

const HOUR: i64 = 3600;

fn with_tokens() -> Rig {
    Rig::new(&[("ENCKE_TOKEN_KEY", SECRET), ("ENCKE_API_KEY", KEY)])
}

#[test]
fn tokens_are_judged_by_the_wall_clock_as_it_is_now() {
    for step in [HOUR, -HOUR, 30 * 365 * 24 * HOUR] {
        let mut rig = with_tokens();
        let before = rig.unix();
        assert_eq!(
            status(&rig.with_token("/u/alice/poll", &json!({"sub": "alice", "exp": before + 60}))),
            "200"
        );
        rig.step_wall(step);
        let now = rig.unix();
        for (claims, expected, code) in [
            (json!({"sub": "alice", "nbf": now, "exp": now + 60}), "200", ""),
            (json!({"sub": "alice", "exp": now - 1}), "401", "token-expired"),
            (json!({"sub": "alice", "nbf": now + 120}), "401", "not valid yet"),
        ] {
            let answer = rig.with_token("/u/alice/poll", &claims);
            assert!(status(&answer) == expected && answer.contains(code), "{step} {claims}: {answer}");
        }
    }
}

#[test]
fn a_clock_step_closes_responses_whose_token_it_ends_and_no_others() {
    let mut rig = with_tokens();
    let exp = rig.unix() + 1800;
    let open = |rig: &mut Rig, path: &str, exp: Option<u64>| {
        let mut claims = json!({"sub": "alice"});
        if let Some(exp) = exp {
            claims["exp"] = exp.into();
        }
        let conn = rig.connect(ListenerKind::Public);
        let request = format!("GET {path}?token={} HTTP/1.1\r\nHost: localhost\r\n\r\n", token(&claims));
        assert_eq!(status(&rig.say(conn, &request)), "200");
        conn
    };
    let ending: Vec<ConnKey> = ["/u/alice/stream", "/u/alice/sse", "/u/alice/multipart", "/u/alice/frame"]
        .into_iter()
        .map(|path| open(&mut rig, path, Some(exp)))
        .collect();
    let longer = open(&mut rig, "/u/alice/stream", Some(exp + 7200));
    let forever = open(&mut rig, "/u/alice/stream", None);
    rig.step_wall(HOUR);
    for conn in ending {
        let text = rig.heard(conn);
        assert!(text.contains(r#""expired""#), "{text}");
    }
    for conn in [longer, forever] {
        assert_eq!(rig.heard(conn), "");
    }
    // The later session ends by the new time, too.
    rig.pass(Span::from_secs(5395));
    assert!(!rig.heard(longer).contains("expired"));
    rig.pass(Span::from_secs(10));
    assert!(rig.heard(longer).contains(r#""expired""#));
    assert!(!rig.heard(forever).contains("expired"));
}

#[test]
fn a_clock_step_back_ends_no_session_early_and_timers_go_on() {
    let mut rig = with_tokens();
    let conn = rig.connect(ListenerKind::Public);
    let exp = rig.unix() + 600;
    let request = format!(
        "GET /u/alice/stream?token={} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        token(&json!({"sub": "alice", "exp": exp}))
    );
    rig.say(conn, &request);
    rig.step_wall(-HOUR);
    rig.pass(Span::from_secs(30));
    assert_eq!(rig.heard(conn), "1\r\n\n\r\n", "a heartbeat, as ever");
    rig.pass(Span::from_secs(700));
    assert!(!rig.heard(conn).contains("expired"));
    rig.pass(Span::from_secs(3600));
    assert!(rig.heard(conn).contains(r#""expired""#));
}

/// More sessions than one turn visits.
#[test]
fn a_clock_step_reaches_any_number_of_responses() {
    let mut rig = Rig::new(&[
        ("ENCKE_TOKEN_KEY", SECRET),
        ("ENCKE_SESSIONS_PER_USER", "100000"),
        ("ENCKE_CHANNELS", "100000"),
    ]);
    let exp = rig.unix() + 1800;
    let request = format!(
        "GET /u/alice/stream?token={} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        token(&json!({"sub": "alice", "exp": exp}))
    );
    let conns: Vec<ConnKey> = (0..5000)
        .map(|_| {
            let conn = rig.connect(ListenerKind::Public);
            rig.give(Input::Bytes { conn, bytes: request.as_bytes() });
            rig.give(Input::EndTurn);
            assert_eq!(status(&rig.heard(conn)), "200");
            conn
        })
        .collect();
    rig.step_wall(HOUR);
    for conn in conns {
        assert!(rig.heard(conn).contains(r#""expired""#));
    }
}

#[test]
fn a_lame_duck_serves_as_ever_and_fails_health_checks() {
    let mut rig = Rig::new(&[]);
    let stream = rig.connect(ListenerKind::Public);
    rig.say(stream, "GET /u/alice/stream HTTP/1.1\r\nHost: localhost\r\n\r\n");
    rig.give(Input::Leave);
    for (listener, target) in [
        (ListenerKind::Public, "/health"),
        (ListenerKind::Private, "/health"),
        (ListenerKind::Private, "/ready"),
    ] {
        assert_eq!(status(&rig.get(listener, target)), "503", "{target}");
        for method in ["HEAD", "OPTIONS"] {
            let conn = rig.connect(listener);
            let answer = rig.say(conn, &format!("{method} {target} HTTP/1.0\r\n\r\n"));
            assert_eq!(status(&answer), "503", "{method} {target}");
        }
    }
    assert_eq!(status(&rig.get(ListenerKind::Public, "/u/bob/poll")), "200");
    let opened = rig.get(ListenerKind::Public, "/u/bob/sse");
    assert!(
        status(&opened) == "200" && opened.contains(r#""open""#) && !opened.contains("drain"),
        "{opened}"
    );
    let held = rig.connect(ListenerKind::Public);
    let first = rig.say(held, "GET /u/carol/longpoll HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(first.contains(r#""open""#), "{first}");
    let backend = rig.connect(ListenerKind::Private);
    let publish = "POST /u/alice/publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n1";
    assert_eq!(status(&rig.say(backend, publish)), "200");
    assert!(rig.heard(stream).contains(r#""data":1"#));
    // The drain follows as usual.
    rig.give(Input::Drain { by: rig.now + Span::from_secs(10) });
    rig.turn();
    assert!(rig.heard(stream).contains(r#""drain""#));
}

#[test]
fn health_checks_are_answered_as_balancers_send_them() {
    let mut rig = Rig::new(&[]);
    let checks = [
        "OPTIONS / HTTP/1.0\r\n\r\n",
        "OPTIONS * HTTP/1.0\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        "OPTIONS /health HTTP/1.0\r\n\r\n",
        "OPTIONS /health HTTP/1.1\r\nHost: 10.0.0.7:8080\r\nUser-Agent: probe\r\n\r\n",
        "HEAD /health HTTP/1.0\r\n\r\n",
        "HEAD / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: 10.0.0.7\r\nConnection: close\r\n\r\n",
        "GET /health HTTP/1.0\r\n\r\n",
    ];
    for check in checks {
        for listener in [ListenerKind::Public, ListenerKind::Private] {
            let conn = rig.connect(listener);
            let answer = rig.say(conn, check);
            assert_eq!(status(&answer), "200", "{listener:?} {check}: {answer}");
            let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
            assert!(!check.starts_with("HEAD") || body.is_empty(), "{head}");
        }
    }
    // A preflight is not a health check.
    let conn = rig.connect(ListenerKind::Public);
    let preflight =
        "OPTIONS * HTTP/1.1\r\nHost: x\r\nOrigin: http://x\r\nAccess-Control-Request-Method: GET\r\n\r\n";
    assert_eq!(status(&rig.say(conn, preflight)), "204");
}

/// Health checks do not need the private listener's key.
#[test]
fn health_checks_need_no_key() {
    let mut rig = with_tokens();
    for check in ["OPTIONS / HTTP/1.0", "OPTIONS * HTTP/1.0", "GET /health HTTP/1.0", "HEAD /ready HTTP/1.0"]
    {
        let conn = rig.connect(ListenerKind::Private);
        assert_eq!(status(&rig.say(conn, &format!("{check}\r\n\r\n"))), "200", "{check}");
    }
}

const KEY: &str = "the-key-of-the-backends";

fn publish_with(key: &str) -> String {
    format!(
        "POST /u/alice/publish HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\nContent-Length: 1\r\n\r\n1"
    )
}

#[test]
fn a_wrong_api_key_is_refused_late_and_a_right_one_never_waits() {
    let mut rig = with_tokens();
    let wrong = rig.connect(ListenerKind::Private);
    // A request that is pipelined behind the refusal waits.
    assert_eq!(rig.say(wrong, &(publish_with("wrong-wrong-wrong") + &publish_with(KEY))), "");
    let right = rig.connect(ListenerKind::Private);
    assert_eq!(status(&rig.say(right, &publish_with(KEY))), "200");
    let without = rig.get(ListenerKind::Private, "/metrics");
    assert_eq!(status(&without), "401", "no key is no guess");
    rig.pass(Span::from_millis(900));
    assert_eq!(rig.heard(wrong), "");
    rig.pass(Span::from_millis(200));
    let answers = rig.heard(wrong);
    assert_eq!(status(&answers), "401");
    assert!(answers.contains("bad-api-key") && answers.contains("HTTP/1.1 200"), "{answers}");
}

#[test]
fn guessing_on_many_connections_is_no_faster_and_locks_nobody_out() {
    let mut rig = with_tokens();
    let guesses: Vec<ConnKey> = (0..1000)
        .map(|_| {
            let conn = rig.connect(ListenerKind::Private);
            assert_eq!(rig.say(conn, &publish_with("wrong-wrong-wrong")), "");
            conn
        })
        .collect();
    assert_eq!(rig.closed.len(), 1000 - 16, "the oldest went without an answer");
    let right = rig.connect(ListenerKind::Private);
    assert_eq!(status(&rig.say(right, &publish_with(KEY))), "200");
    rig.pass(Span::from_secs(2));
    let answered = guesses.iter().filter(|conn| status(&rig.heard(**conn)) == "401").count();
    assert_eq!(answered, 16);
    // A guess whose connection breaks leaves no state.
    let gone = rig.connect(ListenerKind::Private);
    rig.say(gone, &publish_with("wrong-wrong-wrong"));
    rig.give(Input::Broken { conn: gone });
    rig.pass(Span::from_secs(2));
    assert_eq!(status(&rig.say(right, &publish_with(KEY))), "200");
}
