//! Finds the examples of a document, runs them, and compares their output with the document.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use super::names::Names;
use super::node::Node;
use super::socket::Socket;

/// The command or connection, and the lines that follow.
#[derive(Debug, PartialEq)]
struct Example {
    start: Start,
    /// Whether it stays open while the next ones run.
    open: bool,
    lines: VecDeque<String>,
}

/// The kind of an example.
#[derive(Clone, Debug, PartialEq)]
enum Start {
    /// A command, which prints the lines.
    Command(String),
    /// A connection to this URL, over which the lines go up and down.
    Dialogue(String),
}

impl Start {
    fn text(&self) -> &str {
        match self {
            Self::Command(text) | Self::Dialogue(text) => text,
        }
    }
}

/// Runs all examples of `document`, which must be `count_min` or more, on a node with these
/// `variables`.
pub(crate) fn play(document: &str, count_min: usize, variables: &[(&str, &str)]) {
    let examples = examples(document);
    assert!(examples.len() >= count_min, "only {} examples are found", examples.len());
    let node = Node::start(variables);
    let (mut names, mut open) = (Names::default(), Vec::new());
    for example in examples {
        let text = loop {
            match names.in_command(example.start.text()) {
                Ok(text) => break text,
                Err(unknown) => settle_one(&mut open, &mut names, &unknown),
            }
        };
        let text = text.replace("127.0.0.1:8080", &node.public).replace("127.0.0.1:8081", &node.api);
        let text = text.replace("127.0.0.1:8082", &node.xmlsocket);
        let mut running = Running::start(&example, text);
        if example.open {
            running.settle_open(&mut names);
            open.push(running);
        } else {
            running.settle(&mut names);
            running.ends();
        }
    }
    for running in &mut open {
        running.settle(&mut names);
        running.is_silent();
    }
    drop(node);
}

/// Takes one more line of an open example, which may show the `unknown` name.
fn settle_one(open: &mut [Running], names: &mut Names, unknown: &str) {
    let running = open.iter_mut().find(|running| !running.expected.is_empty());
    let running = running.unwrap_or_else(|| panic!("{unknown} is used before any output shows it"));
    running.settle_line(names);
}

/// The content of a fenced block.
#[derive(Clone, Copy)]
enum Fence {
    Console { open: bool },
    Socket { open: bool },
}

fn examples(document: &str) -> Vec<Example> {
    let mut found: Vec<Example> = Vec::new();
    let mut fence: Option<Fence> = None;
    for line in document.lines() {
        match (fence, line) {
            (None, "```console") => fence = Some(Fence::Console { open: false }),
            (None, "```console open") => fence = Some(Fence::Console { open: true }),
            (None, "```socket") => fence = Some(Fence::Socket { open: false }),
            (None, "```socket open") => fence = Some(Fence::Socket { open: true }),
            (None, _) | (Some(_), "") => {}
            (Some(_), "```") => fence = None,
            (Some(Fence::Console { open }), _) => console_line(line, open, &mut found),
            (Some(Fence::Socket { open }), _) if line.starts_with(['<', '>']) => {
                let dialogue = found.last_mut().filter(|example| example.open == open);
                dialogue.expect("a dialogue begins with its URL").lines.push_back(line.to_owned());
            }
            (Some(Fence::Socket { open }), _) => {
                found.push(Example { start: Start::Dialogue(line.to_owned()), open, lines: VecDeque::new() });
            }
        }
    }
    found
}

fn console_line(line: &str, open: bool, found: &mut Vec<Example>) {
    if let Some(command) = line.strip_prefix("$ ") {
        let start = Start::Command(command.to_owned());
        return found.push(Example { start, open, lines: VecDeque::new() });
    }
    let Some(Example { start: Start::Command(command), lines, .. }) = found.last_mut() else {
        panic!("an example begins without a command: {line}");
    };
    if let Some(more) = line.strip_prefix("> ") {
        command.push('\n');
        command.push_str(more);
    } else if command.ends_with('\\') {
        command.push('\n');
        command.push_str(line);
    } else {
        lines.push_back(line.to_owned());
    }
}

/// A running example.
struct Running {
    text: String,
    party: Party,
    /// Lines that are not received or sent yet.
    expected: VecDeque<String>,
}

/// The source of the lines.
enum Party {
    Program { process: Child, lines: Receiver<String> },
    Socket(Socket),
}

/// Far longer than any example takes.
const PATIENCE: Duration = Duration::from_secs(20);

impl Running {
    fn start(example: &Example, text: String) -> Self {
        let party = match example.start {
            Start::Command(_) => Party::run(&text),
            Start::Dialogue(_) => Party::Socket(Socket::open(&text, PATIENCE)),
        };
        Self { text, party, expected: example.lines.clone() }
    }

    /// Sends one line, or compares a received one.
    fn settle_line(&mut self, names: &mut Names) {
        let Some(expected) = self.expected.pop_front() else { return };
        let came = match &mut self.party {
            Party::Program { lines, .. } => lines.recv_timeout(PATIENCE).map_err(|reason| reason.to_string()),
            Party::Socket(socket) if expected.starts_with('>') => return say(socket, &expected, names),
            Party::Socket(socket) => Ok(socket.receive()),
        };
        match came {
            Ok(line) if names.agree(&expected, line.trim_end()) => {}
            Ok(line) => panic!("{}\nprints   {line}\nand not  {expected}", self.text),
            Err(reason) => panic!("{}\ndoes not print  {expected}\n({reason})", self.text),
        }
    }

    fn settle(&mut self, names: &mut Names) {
        while !self.expected.is_empty() {
            self.settle_line(names);
        }
    }

    /// Waits until the session is there, if the example shows its id.
    fn settle_open(&mut self, names: &mut Names) {
        let shows = |line: &String| line.contains("{\"open\":") || line.contains("Encke-Session: ");
        let shown = self.expected.iter().position(shows);
        (0..shown.map_or(0, |at| at + 1)).for_each(|_| self.settle_line(names));
    }

    /// No more lines follow, and it ends.
    fn ends(&mut self) {
        let more = match &mut self.party {
            Party::Program { process, lines } => match lines.recv_timeout(PATIENCE) {
                Ok(line) => Some(line),
                Err(_) => process.wait().err().map(|error| error.to_string()),
            },
            Party::Socket(socket) => socket.end().err(),
        };
        assert!(more.is_none(), "{}\nalso prints  {}", self.text, more.unwrap_or_default());
    }

    /// No more lines have arrived so far.
    fn is_silent(&mut self) {
        let silent = match &mut self.party {
            Party::Program { lines, .. } => lines.try_recv().is_err(),
            Party::Socket(socket) => socket.is_silent(),
        };
        assert!(silent, "{}\nprints more than it should", self.text);
    }
}

/// Sends a line, with the real names in place of the document's.
fn say(socket: &mut Socket, line: &str, names: &Names) {
    let line = names.in_command(line).unwrap_or_else(|name| panic!("{line}: {name} is not known yet"));
    match (line.strip_prefix("> "), line.strip_prefix(">> ")) {
        (Some(message), _) => socket.send(message),
        (None, Some(record)) => socket.send_record(record),
        (None, None) => panic!("{line} is neither a message nor a record"),
    }
}

impl Party {
    fn run(command: &str) -> Self {
        let mut process = Command::new("bash")
            .args(["-c", command])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("bash is there");
        let output = BufReader::new(process.stdout.take().expect("its output is piped"));
        let (sender, lines) = channel();
        thread::spawn(move || {
            let lines = output.lines().map_while(Result::ok).filter(|line| !line.trim().is_empty());
            lines.map_while(|line| sender.send(line).ok()).for_each(drop);
        });
        Self::Program { process, lines }
    }
}

impl Drop for Party {
    fn drop(&mut self) {
        if let Self::Program { process, .. } = self {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

#[test]
fn an_example_is_commands_with_their_output() {
    let text = "x\n```console open\n$ a \\\n  b\none\n\ntwo\n```\n$ no\n```sh\n$ no\n```\n```console\n$ c\n> d\n$ e\n```\n\
                ```socket\nws://f\n< g\n> h\n```\n";
    let example = |start, open, lines: &[&str]| Example {
        start,
        open,
        lines: lines.iter().map(ToString::to_string).collect(),
    };
    let command = |text: &str| Start::Command(text.to_owned());
    let expected = [
        example(command("a \\\n  b"), true, &["one", "two"]),
        example(command("c\nd"), false, &[]),
        example(command("e"), false, &[]),
        example(Start::Dialogue("ws://f".to_owned()), false, &["< g", "> h"]),
    ];
    assert_eq!(examples(text), expected);
}
