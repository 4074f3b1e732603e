//! A node under test: the real binary with only the given variables, its log, and its ports.
//!
//! It is killed when it goes out of scope. If it has exited by itself before, it has panicked, and
//! fails its test.

use std::cell::RefCell;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Conn, Response};

/// Longer than any test takes on a busy machine; only failures wait for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// Lines of a log that a test may leave unread: more than any test writes unintentionally.
const LINES_MAX: usize = 100_000;

/// A running node.
pub(crate) struct Node {
    child: Child,
    pub(crate) public: SocketAddr,
    /// As the node announces it: an address, or `unix:PATH`.
    pub(crate) api: String,
    lines: Receiver<String>,
    seen: RefCell<Vec<String>>,
    ended: bool,
}

impl Node {
    /// A node with two shards, and these variables.
    pub(crate) fn start(vars: &[(&str, &str)]) -> Self {
        Self::run(Command::new(BINARY), vars)
    }

    /// A node whose log is read only while the test looks for a line.
    pub(crate) fn start_unread(vars: &[(&str, &str)]) -> Self {
        Self::run_read_by(Command::new(BINARY), vars, sync_channel(1))
    }

    /// A node started by a shell after a command, such as `ulimit -n 64`.
    pub(crate) fn start_after(shell: &str, vars: &[(&str, &str)]) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{shell}; exec \"$0\""), BINARY]);
        Self::run(command, vars)
    }

    fn run(command: Command, vars: &[(&str, &str)]) -> Self {
        Self::run_read_by(command, vars, sync_channel(LINES_MAX))
    }

    fn run_read_by(
        mut command: Command,
        vars: &[(&str, &str)],
        (sender, lines): (SyncSender<String>, Receiver<String>),
    ) -> Self {
        command.env_clear().envs(DEFAULTS).envs(vars.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let stderr = child.stderr.take().expect("it was asked for");
        thread::spawn(move || {
            BufReader::new(stderr).lines().map_while(Result::ok).all(|line| sender.send(line).is_ok())
        });
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut node = Self {
            child,
            public: nowhere,
            api: String::new(),
            lines,
            seen: RefCell::default(),
            ended: false,
        };
        let line = node.log_line(|line| line.contains("listening public="));
        let field = |name: &str| {
            let (_, rest) = line.split_once(name).expect("the line names it");
            rest.split_whitespace().next().expect("and says what").to_owned()
        };
        let public = field("public=");
        node.public = public.split(',').next().expect("one").parse().expect("an address");
        node.api = field("api=");
        node
    }

    /// The first line of the log, past or future, for which the function holds.
    pub(crate) fn log_line(&self, is_it: impl Fn(&str) -> bool) -> String {
        if let Some(line) = self.seen.borrow().iter().find(|line| is_it(line)) {
            return line.clone();
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    self.seen.borrow_mut().push(line.clone());
                    if is_it(&line) {
                        return line;
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("no such line in the log:\n{}", self.seen.borrow().join("\n"))
                }
            }
        }
    }

    /// The lines of the log so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.seen.borrow_mut().extend(self.lines.try_iter());
        self.seen.borrow().clone()
    }

    /// The address of the listener for XMLSocket.
    pub(crate) fn xmlsocket(&self) -> SocketAddr {
        let line = self.log_line(|line| line.contains(" xmlsocket="));
        let address = line.rsplit(" xmlsocket=").next().and_then(|rest| rest.split_whitespace().next());
        address.expect("it says which").parse().expect("an address")
    }

    /// Lowers the running process's limit of descriptors.
    pub(crate) fn limit_descriptors(&self, most: u64) {
        let set = format!("prlimit --pid {} --nofile={most}:", self.child.id());
        let status = Command::new("sh").args(["-c", &set]).status().expect("there is a shell");
        assert!(status.success(), "{set}");
    }

    /// Sends the process a signal, by name.
    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &kill]).status().expect("there is a shell");
        assert!(status.success(), "{kill}");
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the process to end; it has closed its log by then.
    pub(crate) fn exit(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.seen.borrow_mut().push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("the node does not exit"),
            }
        }
        self.ended = true;
        self.child.wait().expect("it has run")
    }

    /// A connection to the public listener.
    pub(crate) fn connect(&self) -> Conn {
        Conn::to(self.public)
    }

    /// A connection to the private listener.
    pub(crate) fn connect_api(&self) -> Conn {
        match self.api.strip_prefix("unix:") {
            Some(path) => Conn::to_unix(path),
            None => Conn::to(self.api.parse().expect("an address")),
        }
    }

    /// One `GET` to the public listener.
    pub(crate) fn get(&self, target: &str) -> Response {
        self.connect().ask("GET", target, &[], b"")
    }

    /// One request to the private listener.
    pub(crate) fn api(&self, method: &str, target: &str, body: &str) -> Response {
        self.connect_api().ask(method, target, &[], body.as_bytes())
    }

    /// Publishes to a user; returns the message's position.
    pub(crate) fn tell(&self, user: &str, data: &Value) -> String {
        let answer = self.api("POST", &format!("/u/{user}/publish"), &data.to_string());
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["id"].as_str().expect("a position").to_owned()
    }

    /// Publishes to a channel; returns the message's position.
    pub(crate) fn publish(&self, channel: &str, data: &Value) -> String {
        let answer = self.api("POST", "/publish", &json!({"channel": channel, "data": data}).to_string());
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["id"].as_str().expect("a position").to_owned()
    }

    /// Sends commands of a session; returns the answers.
    pub(crate) fn send(&self, user: &str, session: &str, commands: &Value) -> Value {
        let target = format!("/u/{user}/send?session={session}");
        let answer = self.connect().ask("POST", &target, &[], commands.to_string().as_bytes());
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// A user's sessions as the private API shows them.
    pub(crate) fn sessions(&self, user: &str) -> Vec<Value> {
        let answer = self.api("GET", &format!("/u/{user}"), "");
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["sessions"].as_array().expect("a list").clone()
    }

    /// Repeats the request until the function holds for the user's sessions.
    pub(crate) fn await_sessions(&self, user: &str, are_they: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        await_that(|| Some(self.sessions(user)).filter(|sessions| are_they(sessions)))
    }

    /// The sum of a metric's samples, with or without labels. All metrics but durations are whole
    /// numbers.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        self.api("GET", "/metrics", "").metric(name)
    }

    /// Repeats the request until a metric has at least this value.
    pub(crate) fn await_metric(&self, name: &str, least: u64) {
        await_that(|| (self.metric(name) >= least).then_some(()));
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let died = !self.ended && self.child.try_wait().is_ok_and(|status| status.is_some());
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            for line in self.log() {
                eprintln!("| {line}");
            }
        } else if died {
            panic!("the node has died:\n{}", self.log().join("\n"));
        }
    }
}

/// Repeats a function until it returns a value. The functions make requests, each of which waits
/// for the node, so this does not spin.
pub(crate) fn await_that<T>(mut answer: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = answer() {
            return answer;
        }
        assert!(Instant::now() < deadline, "it does not come about");
        thread::yield_now();
    }
}

const BINARY: &str = env!("CARGO_BIN_EXE_encke");

const DEFAULTS: [(&str, &str); 3] =
    [("ENCKE_LISTEN", "127.0.0.1:0"), ("ENCKE_API_LISTEN", "127.0.0.1:0"), ("ENCKE_SHARDS", "2")];
