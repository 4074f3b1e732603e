//! The front for SockJS with a core and connections that read no socket.

use crate::base::hash::Keyed;
use crate::base::ids::ListenerKind;
use crate::base::slab::{ConnKey, PendingKey};
use crate::base::ticks::Span;
use crate::call::pending::{AfterCommands, PendingKind};
use crate::call::protocol::{ClientState, OtherClient};
use crate::conn::phase::Phase;
use crate::core::tests::rig::Rig;
use crate::protocol::native::envelope::CloseCode;
use crate::request::Request;
use crate::sockjs::SockjsFront;
use crate::sockjs::limits::CALLS_WAITING_MAX;
use crate::turn::hook::{Hook, HookVerdict};
use crate::turn::input::Effect;
use crate::turn::timer::Timer;
use crate::turn::todo::Todo;

/// The front, and a core of its own.
struct Pipes {
    rig: Rig,
    front: SockjsFront,
}

const TESTS: &[(&str, &str)] = &[("ENCKE_SOCKJS_TEST", "1")];
const BACKEND: &[(&str, &str)] = &[("ENCKE_PIPE_HOOK", "http://127.0.0.1:9/")];
const HERE: &str = "/u/alice/sockjs/0/abc";

impl Pipes {
    fn new(vars: &[(&str, &str)]) -> Self {
        Self { rig: Rig::new(vars), front: SockjsFront::new(Keyed::new((1, 2))) }
    }

    /// Sends a request on a connection of its own.
    fn post(&mut self, path: &str, body: &str) -> ConnKey {
        self.post_with("Origin: http://localhost", path, body)
    }

    /// The same with another header.
    fn post_with(&mut self, header: &str, path: &str, body: &str) -> ConnKey {
        let conn = self.rig.connect();
        let lines = format!("POST {path} HTTP/1.1\n{header}\nContent-Length: {}", body.len());
        let (Request::Sockjs(asked), reply) = self.rig.ask(ListenerKind::Public, &lines) else {
            panic!("{path} is no request for SockJS");
        };
        let pending = self.front.request(&mut self.rig.core, conn, *asked, reply, body.as_bytes());
        if let Some(pending) = pending {
            self.settle(pending);
        }
        self.carry_out();
        conn
    }

    /// The status and the body of a whole response, which the client gets.
    fn answer(&mut self, conn: ConnKey) -> (u16, String) {
        let heard = self.rig.heard(conn);
        self.rig.core.on_written(conn, 0);
        self.carry_out();
        let (head, body) = heard.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no response: {heard:?}"));
        (head[9..12].parse().expect("a status"), body.to_owned())
    }

    fn poll(&mut self, path: &str) -> String {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let conn = self.post(&format!("{path}/xhr?{query}"), "");
        self.answer(conn).1
    }

    fn send(&mut self, path: &str, body: &str) -> u16 {
        let conn = self.post(&format!("{path}/xhr_send"), body);
        self.answer(conn).0
    }

    /// Responds to a pending request that has all of its answers.
    fn settle(&mut self, pending: PendingKey) {
        let kind = self.rig.settled(pending);
        let conn = kind.conn();
        let Some(Phase::Waiting(queue)) = self.rig.core.conns.get_mut(conn).map(|conn| &mut conn.phase)
        else {
            return;
        };
        let reply = queue.remove(0).reply;
        self.rig.core.conns[conn].phase = Phase::Idle;
        match kind {
            PendingKind::Commands { answers, then: AfterCommands::Tell(key, sent), .. } => {
                self.rig.core.answer_sent((conn, &reply), (key, &sent), &answers);
            }
            PendingKind::Strings { sent: Some(sent), outcome, .. } => {
                self.rig.core.answer_strings_request((conn, &reply), &sent, outcome);
            }
            other => panic!("not for SockJS: {other:?}"),
        }
    }

    /// Carries out what is left to do, and answers the polls that wake.
    fn carry_out(&mut self) {
        for key in std::mem::take(&mut self.rig.core.waking) {
            self.rig.core.answer_woken(key);
        }
        while let Some(todo) = self.rig.core.cx.todos.pop_front() {
            let core = &mut self.rig.core;
            match todo {
                Todo::Left { conn, session, behind, leaving } => {
                    core.leave_session(conn, session, behind, leaving);
                }
                Todo::Departed => match core.departed.pop_front() {
                    Some((key, ClientState::Other(client), code)) => match *client {
                        OtherClient::Sockjs(pipe) => self.front.departed(core, key, *pipe, code),
                        other @ (OtherClient::Bayeux(_) | OtherClient::Bytes) => {
                            panic!("who departed? {other:?}")
                        }
                    },
                    other => panic!("who departed? {other:?}"),
                },
                Todo::End { session, code } => core.end_session(session, code),
                Todo::EndStream(conn) => core.conns.end_stream(&mut core.cx, conn),
                Todo::CatchUp(session) => core.catch_up(session),
                Todo::Front(session) => core.tick(session),
                Todo::Reread(_) | Todo::Detached(_) => {}
                other @ (Todo::MoveUp { .. }
                | Todo::Continue(_)
                | Todo::Room(_)
                | Todo::StreamCommand
                | Todo::Text
                | Todo::StreamDue(_)) => {
                    panic!("not for SockJS: {other:?}")
                }
            }
        }
        self.front.check(&self.rig.core);
    }

    /// The bodies of the hook's calls since the last look, with their keys.
    fn calls(&mut self) -> Vec<(PendingKey, String)> {
        let call = |effect| match effect {
            Effect::Hook { pending, hook: Hook::Pipe, body } => {
                Some((pending, String::from_utf8(body).expect("JSON")))
            }
            _ => None,
        };
        self.rig.effects().into_iter().filter_map(call).collect()
    }

    /// The backend answers a call.
    fn take(&mut self, pending: PendingKey, body: &str) {
        let Some(PendingKind::Strings { session, .. }) =
            self.rig.core.pending.get(pending).map(|request| &request.kind)
        else {
            panic!("no call");
        };
        let session = *session;
        self.rig.core.on_backend_answer(pending, session, HookVerdict::Taken(body.as_bytes()));
        self.settle(pending);
        self.carry_out();
    }
}

#[test]
fn a_session_opens_gets_its_strings_and_is_kept_alive() {
    let mut pipes = Pipes::new(TESTS);
    assert_eq!(pipes.poll("/echo/0/abc"), "o\n");
    assert_eq!(pipes.send("/echo/0/abc", r#"["a","b"]"#), 204);
    assert_eq!(pipes.poll("/echo/0/abc"), "a[\"a\",\"b\"]\n");
    let held = pipes.post("/echo/0/abc/xhr", "");
    assert_eq!(pipes.rig.heard(held), "");
    pipes.rig.pass(Span::from_secs(25));
    pipes.rig.core.on_timer(Timer::Conn(held));
    assert_eq!(pipes.answer(held).1, "h\n");
    assert_eq!(pipes.send("/echo/0/other", r#"["a"]"#), 404);
    assert_eq!(pipes.send("/echo/0/abc", "[1]"), 500);
}

#[test]
fn commands_and_messages_come_down_in_one_order() {
    let mut pipes = Pipes::new(&[]);
    assert_eq!(pipes.poll(HERE), "o\n");
    assert!(pipes.poll(HERE).starts_with(r#"a["{\"open\":{\"session\":"#));
    assert_eq!(pipes.send(HERE, r#"["{\"subscribe\":\"/a\"}"]"#), 204);
    pipes.rig.publish("/a", "1");
    assert_eq!(pipes.send(HERE, r#"["{\"ping\":2}","nonsense"]"#), 204);
    let strings = pipes.poll(HERE);
    let strings: Vec<String> = serde_json::from_str(strings[1..].trim_end()).expect("an array");
    let starts = [r#"{"ok":{"subscribe":"/a""#, r#"{"id":"#, r#"{"ok":{"ping":2}}"#, r#"{"error":"#];
    assert_eq!(strings.len(), starts.len(), "{strings:?}");
    for (string, start) in strings.iter().zip(starts) {
        assert!(string.starts_with(start), "{string}");
    }
}

#[test]
fn a_second_response_is_turned_away_and_the_first_stays() {
    let mut pipes = Pipes::new(TESTS);
    pipes.poll("/echo/0/abc");
    let held = pipes.post("/echo/0/abc/xhr", "");
    assert_eq!(pipes.poll("/echo/0/abc"), "c[2010,\"Another connection still open\"]\n");
    pipes.send("/echo/0/abc", r#"["a"]"#);
    assert_eq!(pipes.answer(held).1, "a[\"a\"]\n");
}

#[test]
fn an_end_between_two_polls_is_reported_until_the_session_would_be_forgotten() {
    for (code, frame) in [
        (CloseCode::Closed, "c[1000,\"Normal closure\"]\n"),
        (CloseCode::Expired, "c[3000,\"expired\"]\n"),
        (CloseCode::TooManySessions, "c[3000,\"too-many-sessions\"]\n"),
        // As if it had never been: its client has not come back in time.
        (CloseCode::Ended, "o\n"),
    ] {
        let mut pipes = Pipes::new(TESTS);
        pipes.poll("/echo/0/abc");
        let (_, key) = pipes.front.sessions.iter().next().expect("a session");
        let key = *key;
        pipes.rig.core.end_session(key, code);
        pipes.carry_out();
        assert_eq!(pipes.poll("/echo/0/abc"), frame);
        if code != CloseCode::Ended {
            assert_eq!(pipes.send("/echo/0/abc", r#"["a"]"#), 204, "it does not know yet");
            pipes.rig.pass(Span::from_secs(5));
            assert_eq!(pipes.poll("/echo/0/abc"), "o\n");
        }
    }
}

#[test]
fn a_connection_that_breaks_ends_its_session() {
    for path in ["xhr", "xhr_streaming"] {
        let mut pipes = Pipes::new(TESTS);
        pipes.poll("/echo/0/abc");
        let conn = pipes.post(&format!("/echo/0/abc/{path}"), "");
        pipes.rig.core.broken(conn);
        pipes.carry_out();
        assert_eq!(pipes.send("/echo/0/abc", r#"["a"]"#), 404, "{path}");
        assert_eq!(pipes.poll("/echo/0/abc"), "o\n", "{path}");
    }
}

#[test]
fn a_stream_ends_after_its_bytes_and_its_session_goes_on() {
    let mut pipes = Pipes::new(TESTS);
    let stream = pipes.post("/echo/0/abc/xhr_streaming", "");
    for sent in 1..=31 {
        assert!(
            pipes.rig.core.conns.get(stream).is_some_and(|conn| matches!(conn.phase, Phase::Streaming(_)))
        );
        pipes.send("/echo/0/abc", &format!("[\"{}\"]", "x".repeat(128)));
        let heard = pipes.rig.heard(stream);
        assert_eq!(heard.ends_with("\r\n0\r\n\r\n"), sent == 31, "{sent}: {heard}");
    }
    pipes.rig.core.on_written(stream, 0);
    pipes.carry_out();
    pipes.send("/echo/0/abc", r#"["next"]"#);
    assert_eq!(pipes.poll("/echo/0/abc"), "a[\"next\"]\n");
}

#[test]
fn a_client_gets_all_strings_before_the_end() {
    // Each poll has room for one of them.
    let mut pipes = Pipes::new(&[BACKEND, &[("ENCKE_OUTBOX_BYTES", "4KiB")]].concat());
    let path = "/u/alice/pipe/0/abc";
    pipes.poll(path);
    pipes.post(&format!("{path}/xhr_send"), r#"["go"]"#);
    let (pending, _) = pipes.calls().remove(0);
    let texts: Vec<String> = ["a", "b", "c"].map(|letter| letter.repeat(8000)).into();
    let reply = serde_json::json!({ "strings": texts, "close": { "code": 3001, "reason": "done" } });
    pipes.take(pending, &reply.to_string());
    assert_eq!(pipes.send(path, r#"["late"]"#), 204);
    assert!(pipes.calls().is_empty(), "a session that ends takes no strings");
    for text in texts {
        assert_eq!(pipes.poll(path), format!("a[\"{text}\"]\n"));
    }
    assert_eq!(pipes.poll(path), "c[3001,\"done\"]\n");
}

#[test]
fn a_backend_gets_one_call_of_a_session_at_a_time() {
    let mut pipes = Pipes::new(BACKEND);
    let path = "/u/alice/pipe/0/abc";
    pipes.poll(path);
    for text in ["1", "2", "3"] {
        pipes.post(&format!("{path}/xhr_send"), &format!("[\"{text}\"]"));
    }
    for text in ["1", "2", "3"] {
        let calls = pipes.calls();
        let [(pending, body)] = &calls[..] else { panic!("{calls:?}") };
        assert!(body.contains(&format!("\"strings\":[\"{text}\"]")), "{body}");
        pipes.take(*pending, "");
    }
    assert!(pipes.calls().is_empty());
}

#[test]
fn a_session_that_floods_its_backend_is_refused_and_what_it_sent_before_still_goes_there() {
    let mut pipes = Pipes::new(BACKEND);
    let path = "/u/alice/pipe/0/abc";
    pipes.poll(path);
    for _ in 0..=CALLS_WAITING_MAX {
        pipes.post(&format!("{path}/xhr_send"), r#"["x"]"#);
    }
    assert_eq!(pipes.send(path, r#"["x"]"#), 503);
    assert_eq!(pipes.calls().len(), 1);
    let (_, key) = pipes.front.sessions.iter().next().expect("a session");
    let key = *key;
    pipes.rig.core.end_session(key, CloseCode::Ended);
    pipes.carry_out();
    assert_eq!(pipes.calls().len(), CALLS_WAITING_MAX);
}

#[test]
fn a_test_service_gives_no_channels() {
    let mut pipes = Pipes::new(TESTS);
    pipes.poll("/echo/0/abc?channels=/secret&last=5");
    let (_, key) = pipes.front.sessions.iter().next().expect("a session");
    assert_eq!(pipes.rig.subscribed(*key), ["/u/sockjs-abc"]);
}

#[test]
fn a_refused_session_lets_the_page_read_why() {
    let mut pipes = Pipes::new(&[("ENCKE_SESSIONS", "1")]);
    pipes.poll("/u/alice/sockjs/0/abc");
    let conn = pipes.post("/u/bob/sockjs/0/abc/xhr", "");
    let heard = pipes.rig.heard(conn);
    for part in
        ["503 ", "Access-Control-Allow-Origin: http://localhost\r\n", "too-many-sessions", "Retry-After: "]
    {
        assert!(heard.contains(part), "{part}: {heard}");
    }
}

#[test]
fn strings_of_an_answer_that_was_not_written_come_with_the_next() {
    let mut pipes = Pipes::new(TESTS);
    let path = "/echo/0/abc";
    pipes.poll(path);
    pipes.send(path, r#"["a","b"]"#);
    let lost = pipes.post("/echo/0/abc/xhr", "");
    pipes.send(path, r#"["c"]"#);
    assert_eq!(pipes.poll(path), "c[2010,\"Another connection still open\"]\n");
    pipes.rig.core.broken(lost);
    pipes.carry_out();
    assert_eq!(pipes.poll(path), "a[\"a\",\"b\",\"c\"]\n");
    let held = pipes.post("/echo/0/abc/xhr", "");
    assert_eq!(pipes.rig.heard(held), "", "they do not come twice");
}

#[test]
fn a_session_ends_only_after_the_answer_that_is_being_written() {
    let mut pipes = Pipes::new(BACKEND);
    let path = "/u/alice/pipe/0/abc";
    pipes.poll(path);
    pipes.post(&format!("{path}/xhr_send"), r#"["go"]"#);
    let (pending, _) = pipes.calls().remove(0);
    let (_, key) = pipes.front.sessions.iter().next().expect("a session");
    let key = *key;
    pipes.rig.core.tell_strings(key, vec!["a".to_owned()]);
    let lost = pipes.post(&format!("{path}/xhr"), "");
    pipes.take(pending, r#"{"close":{"code":3001,"reason":"done"}}"#);
    pipes.rig.core.broken(lost);
    pipes.carry_out();
    assert_eq!(pipes.poll(path), "a[\"a\"]\n");
    assert_eq!(pipes.poll(path), "c[3001,\"done\"]\n");
}

#[test]
fn a_session_whose_first_answer_was_not_written_is_opened_anew() {
    let mut pipes = Pipes::new(TESTS);
    let lost = pipes.post("/echo/0/abc/xhr", "");
    pipes.rig.core.broken(lost);
    pipes.carry_out();
    assert_eq!(pipes.poll("/echo/0/abc"), "o\n");
    assert_eq!(pipes.send("/echo/0/abc", r#"["a"]"#), 204);
    assert_eq!(pipes.poll("/echo/0/abc"), "a[\"a\"]\n");
}

#[test]
fn only_streams_ask_proxies_not_to_collect_them() {
    let mut pipes = Pipes::new(TESTS);
    let heads = ["xhr", "xhr_streaming"].map(|leaf| {
        let conn = pipes.post(&format!("/echo/0/{leaf}/{leaf}"), "");
        pipes.rig.heard(conn).contains("\r\nX-Accel-Buffering: no\r\n")
    });
    assert_eq!(heads, [false, true]);
}

#[test]
fn a_stream_whose_end_was_not_written_ends_its_session() {
    let mut pipes = Pipes::new(TESTS);
    let path = "/echo/0/abc";
    pipes.poll(path);
    pipes.send(path, &format!("[\"{}\"]", "x".repeat(5000)));
    let lost = pipes.post("/echo/0/abc/xhr_streaming", "");
    assert_eq!(pipes.poll(path), "c[2010,\"Another connection still open\"]\n");
    pipes.rig.core.broken(lost);
    pipes.carry_out();
    assert_eq!(pipes.poll(path), "o\n", "a session that the client knows to be new");
}

#[test]
fn a_position_alone_neither_finds_a_page_nor_misses_its_answers() {
    let mut pipes = Pipes::new(&[]);
    pipes.poll(&format!("{HERE}?channels=/a"));
    let since = pipes.rig.core.hub.position(pipes.rig.core.hub.head());
    pipes.send(HERE, r#"["{\"ping\":1}"]"#);
    assert!(pipes.poll(HERE).contains("ping"));
    let key = *pipes.front.sessions.values().next().expect("a session");
    let own = pipes.rig.core.session_id(key).to_string();
    for since in [since, pipes.rig.core.hub.position(pipes.rig.core.hub.head())] {
        let (open, reply) = pipes.rig.open(&format!("/u/alice/poll?channels=/a&since={since}"));
        let conn = pipes.rig.connect();
        pipes.rig.core.open(conn, &open, reply);
        let heard = pipes.rig.heard(conn);
        assert!(!heard.contains(&own) && !heard.contains(r#""gap""#), "{since}: {heard}");
    }
}

#[test]
fn a_stream_that_a_drain_ends_lets_its_session_go() {
    let mut pipes = Pipes::new(TESTS);
    let stream = pipes.post("/echo/0/abc/xhr_streaming", "");
    let by = pipes.rig.core.cx.now + Span::from_secs(5);
    pipes.rig.core.drain(by);
    pipes.carry_out();
    assert!(pipes.rig.heard(stream).contains("c[1012,"), "it is told");
    assert_eq!(pipes.rig.core.cx.metrics.attached.iter().sum::<u64>(), 0, "and has no response any more");
}

#[test]
fn the_newest_value_of_a_conflated_channel_comes_with_the_next_poll() {
    let mut pipes = Pipes::new(&[]);
    pipes.poll(HERE);
    pipes.send(HERE, r#"["{\"subscribe\":\"/a\",\"conflate\":1000}"]"#);
    pipes.poll(HERE);
    for value in ["1", "2", "3"] {
        pipes.rig.publish("/a", value);
    }
    pipes.rig.pass(Span::from_secs(2));
    let strings = pipes.poll(HERE);
    assert!(strings.contains(r#"\"data\":3}"#) && !strings.contains(r#"\"data\":2}"#), "{strings}");
}

#[test]
fn a_session_belongs_to_the_browser_that_keeps_its_cookie() {
    let mut pipes = Pipes::new(&[("ENCKE_SOCKJS_COOKIE", "1")]);
    let poll = "/u/alice/sockjs/0/abc/xhr";
    let first = pipes.post_with("X: y", poll, "");
    let heard = pipes.rig.heard(first);
    pipes.rig.core.on_written(first, 0);
    pipes.carry_out();
    let (_, rest) = heard.split_once("Set-Cookie: JSESSIONID=").expect("a cookie");
    let (cookie, attributes) = rest.split_once("; ").expect("attributes");
    assert!(cookie.len() > 20 && attributes.starts_with("Path=/; HttpOnly\r\n"), "{heard}");
    let own = format!("Cookie: JSESSIONID={cookie}");
    let asks = [own.as_str(), "Cookie: JSESSIONID=other", "X: y", own.as_str()];
    let statuses = asks.map(|header| {
        let conn = pipes.post_with(header, &format!("{poll}_send"), "[]");
        pipes.answer(conn).0
    });
    assert_eq!(statuses, [204, 404, 404, 204]);
    let thief = pipes.post_with("X: y", poll, "");
    assert_eq!(pipes.answer(thief), (404, "404 Error: Page not found\n".to_owned()));
    let own = pipes.post_with(&own, poll, "");
    assert!(pipes.answer(own).1.starts_with("a["));
}
