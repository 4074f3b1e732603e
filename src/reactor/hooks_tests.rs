//! The pool against a real backend: threads, sockets, and a shard's mailbox.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, mpsc},
    thread,
};

use super::super::mailbox::{Mailbox, Sleep, mailbox};
use super::*;
use crate::base::{slab::Slab, ticks::Span};

/// How long a test waits for an event.
const PATIENCE: Duration = Duration::from_secs(20);

/// A request to the backend.
struct BackendRequest {
    /// The number of its connection, from 0.
    conn: usize,
    /// In lower case.
    head: String,
    body: Vec<u8>,
}

type BackendReply = dyn Fn(&BackendRequest) -> Vec<u8> + Send + Sync;

/// A server that answers each request with the bytes that `reply` makes, and reports the requests.
/// It keeps every connection until the client closes it, so an answer that is cut short stays
/// incomplete.
fn backend(
    reply: impl Fn(&BackendRequest) -> Vec<u8> + Send + Sync + 'static,
) -> (String, mpsc::Receiver<BackendRequest>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook?x=1", listener.local_addr().unwrap());
    let (requests, asked) = mpsc::channel();
    let reply: Arc<BackendReply> = Arc::new(reply);
    thread::spawn(move || {
        for (conn, stream) in listener.incoming().enumerate() {
            let (requests, reply) = (requests.clone(), Arc::clone(&reply));
            thread::spawn(move || serve(conn, stream.unwrap(), &*reply, &requests));
        }
    });
    (url, asked)
}

fn serve(conn: usize, stream: TcpStream, reply: &BackendReply, requests: &mpsc::Sender<BackendRequest>) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let head = head.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
        let mut body = vec![0; length.parse().unwrap()];
        reader.read_exact(&mut body).unwrap();
        let asked = BackendRequest { conn, head, body };
        let bytes = reply(&asked);
        requests.send(asked).unwrap_or_default();
        reader.get_mut().write_all(&bytes).unwrap_or_default();
    }
}

fn response(status: u16, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} So\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn hook_answer(status: u16, body: &str) -> HookAnswer {
    HookAnswer::Response { status, body: body.as_bytes().to_vec() }
}

/// A pool with its threads, and the mailbox of shard 1, which calls. The mailbox of shard 0 stays
/// empty.
struct HooksRig {
    hooks: Hooks,
    mailbox: Mailbox<Letter>,
    rings: mpsc::Receiver<()>,
    other: Mailbox<Letter>,
    pending: Slab<PendingKey, ()>,
}

impl HooksRig {
    /// A pool whose service hook is `url`.
    fn new(url: &str, change: impl FnOnce(&mut Config)) -> Self {
        let (rig, callers) = Self::idle(url, change);
        for caller in callers {
            thread::spawn(move || caller.run());
        }
        rig
    }

    /// The same without its threads.
    fn idle(url: &str, change: impl FnOnce(&mut Config)) -> (Self, Vec<HookCaller>) {
        let mut config =
            Config::from_vars([("ENCKE_SERVICE_HOOK", url), ("ENCKE_HOOK_TIMEOUT", "20s")]).unwrap();
        change(&mut config);
        let (bell, rings) = mpsc::channel();
        let (to_other, other) = mailbox(mpsc::channel().0);
        let (sender, mailbox) = mailbox(bell);
        let (hooks, callers) = hooks(&config, &Postbox::new(vec![to_other, sender], 100)).unwrap();
        (Self { hooks, mailbox, rings, other, pending: Slab::default() }, callers)
    }

    /// Shard 1 asks the service hook.
    fn ask(&mut self, body: &str) -> Result<PendingKey, HookAnswer> {
        let pending = self.pending.insert(());
        self.hooks.call(ShardId(1), pending, Hook::Service, body.into()).map(|()| pending)
    }

    /// The next answer in its mailbox.
    fn answer(&mut self) -> (PendingKey, HookAnswer) {
        loop {
            match self.mailbox.take() {
                Some(Letter::Hooked { pending, answer }) => return (pending, answer),
                Some(_) => panic!("a letter that is no answer"),
                None if self.mailbox.before_sleep() == Sleep::Refused => {}
                None => {
                    self.rings.recv_timeout(PATIENCE).expect("an answer comes");
                    self.mailbox.after_sleep();
                }
            }
        }
    }

    fn ask_and_wait(&mut self) -> HookAnswer {
        let pending = self.ask("{}").unwrap();
        let (answered, answer) = self.answer();
        assert_eq!(answered, pending);
        answer
    }

    /// Asks once; the call must fail with words that hold `reason`.
    fn must_fail(&mut self, reason: &str) {
        match self.ask_and_wait() {
            HookAnswer::Failed(words) => assert!(words.contains(reason), "{words}"),
            answer @ HookAnswer::Response { .. } => panic!("{answer:?}"),
        }
    }
}

#[test]
fn a_call_posts_json_and_its_answer_reaches_the_caller() {
    let (url, asked) = backend(|_| response(200, r#"{"data":1}"#));
    let mut rig = HooksRig::new(&url, |_| {});
    let pending = rig.ask(r#"{"event":"service"}"#).unwrap();
    assert_eq!(rig.answer(), (pending, hook_answer(200, r#"{"data":1}"#)));
    assert!(rig.other.take().is_none());
    let asked = asked.recv_timeout(PATIENCE).unwrap();
    assert!(asked.head.starts_with("post /hook?x=1 http/1.1\r\n"), "{}", asked.head);
    assert!(asked.head.contains("\r\ncontent-type: application/json\r\n"), "{}", asked.head);
    assert!(asked.head.contains("\r\nhost: 127.0.0.1:"), "{}", asked.head);
    assert_eq!(asked.body, br#"{"event":"service"}"#);
}

#[test]
fn every_status_comes_as_it_is_and_no_redirect_is_followed() {
    for status in [200, 202, 302, 307, 401, 403, 404, 500, 503] {
        let (url, asked) = backend(move |_| {
            let to_itself = "Location: /elsewhere\r\nContent-Length: 0\r\n\r\n";
            format!("HTTP/1.1 {status} So\r\n{to_itself}").into_bytes()
        });
        let answer = HooksRig::new(&url, |_| {}).ask_and_wait();
        match status {
            // The client library reports such a redirect of a POST as a separate error.
            307 => assert_eq!(answer.verdict(), HookVerdict::Unavailable),
            _ => assert_eq!(answer, hook_answer(status, "")),
        }
        assert_eq!(asked.try_iter().count(), 1, "{status}");
    }
}

#[test]
fn calls_that_follow_each_other_share_a_connection() {
    let (url, asked) = backend(|_| response(200, "{}"));
    let mut rig = HooksRig::new(&url, |_| {});
    for _ in 0..20 {
        assert_eq!(rig.ask_and_wait(), hook_answer(200, "{}"));
    }
    assert!(asked.try_iter().all(|asked| asked.conn == 0));
}

#[test]
fn a_backend_that_does_not_finish_its_answer_is_given_up() {
    for begun in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nnine"] {
        let (url, _asked) = backend(|_| begun.into());
        let mut rig = HooksRig::new(&url, |config| config.hook_timeout = Span::from_millis(200));
        rig.must_fail("ENCKE_HOOK_TIMEOUT");
    }
}

#[test]
fn a_backend_that_is_not_there_fails_the_call() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    HooksRig::new(&format!("http://{address}/"), |_| {}).must_fail("refused");
}

#[test]
fn what_is_no_http_fails_the_call() {
    let (url, _asked) = backend(|_| b"hello, who is there?\r\n\r\n".to_vec());
    HooksRig::new(&url, |_| {}).must_fail("");
}

#[test]
fn a_body_may_be_as_long_as_the_bound_and_not_a_byte_longer() {
    let chunked = |body: &str| {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).into_bytes()
    };
    for body in ["12345678", "123456789"] {
        for bytes in [response(200, body), chunked(body)] {
            let (url, _asked) = backend(move |_| bytes.clone());
            let mut rig = HooksRig::new(&url, |config| config.body_bytes = 8);
            match body.len() {
                8 => assert_eq!(rig.ask_and_wait(), hook_answer(200, body)),
                _ => rig.must_fail("ENCKE_BODY_BYTES"),
            }
        }
    }
}

#[test]
fn beyond_the_queue_a_call_fails_at_once_and_the_others_do_not_suffer() {
    let (open, gate) = bounded::<()>(0);
    let (url, asked) = backend(move |asked| {
        // Held until the test opens, which is when it drops its end.
        assert!(gate.recv().is_err());
        response(200, std::str::from_utf8(&asked.body).unwrap())
    });
    let mut rig = HooksRig::new(&url, |config| (config.hook_concurrency, config.hook_queue) = (1, 2));
    let first = rig.ask("1").unwrap();
    // The only thread has taken it once the queue has room for two more.
    while !rig.hooks.calls.is_empty() {
        thread::yield_now();
    }
    let (second, third) = (rig.ask("2").unwrap(), rig.ask("3").unwrap());
    for _ in 0..3 {
        let Err(HookAnswer::Failed(words)) = rig.ask("4") else { panic!("the queue has a bound") };
        assert!(words.contains("ENCKE_HOOK_QUEUE"), "{words}");
    }
    drop(open);
    for (pending, body) in [(first, "1"), (second, "2"), (third, "3")] {
        assert_eq!(rig.answer(), (pending, hook_answer(200, body)));
    }
    assert_eq!(asked.try_iter().count(), 3);
}

#[test]
fn no_more_calls_are_out_than_allowed_and_no_fewer() {
    let (enter, inside) = bounded(16);
    let (open, gate) = bounded::<()>(0);
    let (url, _asked) = backend(move |_| {
        enter.send(()).unwrap();
        assert!(gate.recv().is_err());
        response(200, "")
    });
    let mut rig = HooksRig::new(&url, |config| config.hook_concurrency = 3);
    for _ in 0..8 {
        rig.ask("{}").unwrap();
    }
    for _ in 0..3 {
        inside.recv_timeout(PATIENCE).expect("three are out at once");
    }
    // The waiting calls are still in the queue: no thread is left to take them.
    assert_eq!(rig.hooks.calls.len(), 5);
    drop(open);
    for _ in 0..8 {
        assert_eq!(rig.answer().1, hook_answer(200, ""));
    }
}

#[test]
fn a_call_whose_time_ran_out_in_the_queue_is_never_made() {
    let (url, asked) = backend(|_| response(200, ""));
    let (mut rig, mut callers) = HooksRig::idle(&url, |config| config.hook_timeout = Span::ZERO);
    rig.ask("{}").unwrap();
    let caller = callers.pop().unwrap();
    let call = caller.calls.recv().unwrap();
    assert!(matches!(caller.answer(&call), HookAnswer::Failed(words) if words.contains("queue")));
    let later = HookCall { by: Instant::now() + PATIENCE, ..call };
    assert_eq!(caller.answer(&later), hook_answer(200, ""), "with time left it is");
    assert_eq!(asked.try_iter().count(), 1);
}

#[test]
fn a_connection_that_the_backend_has_closed_is_not_used_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut rig = HooksRig::new(&format!("http://{}/", listener.local_addr().unwrap()), |_| {});
    for _ in 0..3 {
        let pending = rig.ask("{}").unwrap();
        let (stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream);
        let mut asked = String::new();
        while !asked.ends_with("\r\n\r\n") {
            reader.read_line(&mut asked).unwrap();
        }
        reader.read_exact(&mut [0; 2]).unwrap();
        reader.get_mut().write_all(&response(200, "")).unwrap();
        assert_eq!(rig.answer(), (pending, hook_answer(200, "")));
        // Closed here, while it waits for the next call.
    }
}

#[test]
fn a_hook_that_is_not_set_fails_and_without_any_there_are_no_threads() {
    let mut rig = HooksRig::new("http://127.0.0.1:9/", |_| {});
    let pending = rig.pending.insert(());
    let asked = rig.hooks.call(ShardId(1), pending, Hook::Policy, Vec::new());
    assert!(matches!(asked, Err(HookAnswer::Failed(_))));
    let (hooks, callers) = hooks(&Config::default(), &Postbox::new(Vec::new(), 1)).unwrap();
    assert!(callers.is_empty());
    assert!(matches!(hooks.call(ShardId(0), pending, Hook::Service, Vec::new()), Err(HookAnswer::Failed(_))));
}

#[test]
fn the_threads_end_with_the_last_possible_caller() {
    let (url, _asked) = backend(|_| response(200, ""));
    let mut rig = HooksRig::new(&url, |_| {});
    let another = rig.hooks.clone();
    rig.ask_and_wait();
    let HooksRig { hooks, mailbox, rings, .. } = rig;
    drop((hooks, mailbox));
    // The bell is in the postbox of each thread, so it is gone when all of them are. It may have
    // rung.
    let rung = rings.try_iter().count();
    assert!(rung <= 1 && rings.try_recv() == Err(mpsc::TryRecvError::Empty), "one is left who could ask");
    drop(another);
    let end = std::iter::repeat_with(|| rings.recv_timeout(PATIENCE)).find_map(Result::err);
    assert_eq!(end, Some(mpsc::RecvTimeoutError::Disconnected));
}
