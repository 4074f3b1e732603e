//! Finds the examples of a document, runs them, and compares what they print with what the document says.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use super::node::Node;

/// One command and what it prints.
#[derive(Debug, PartialEq)]
struct Example {
    command: String,
    /// Whether it stays open while the next ones run.
    open: bool,
    output: VecDeque<String>,
}

/// Runs all examples of `document`, which must be `count_min` or more.
pub(crate) fn play(document: &str, count_min: usize) {
    let examples = examples(document);
    assert!(examples.len() >= count_min, "only {} examples are found", examples.len());
    let node = Node::start();
    let (mut names, mut open) = (Names::default(), Vec::new());
    for example in examples {
        let command = loop {
            match names.in_command(&example.command) {
                Ok(command) => break command,
                Err(unknown) => settle_one(&mut open, &mut names, &unknown),
            }
        };
        let command = command.replace("127.0.0.1:8080", &node.public).replace("127.0.0.1:8081", &node.api);
        let mut running = Running::start(&example, &command);
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

/// Takes one more line of an open example, in the hope that it shows the `unknown` name.
fn settle_one(open: &mut [Running], names: &mut Names, unknown: &str) {
    let running = open.iter_mut().find(|running| !running.expected.is_empty());
    let running = running.unwrap_or_else(|| panic!("{unknown} is used before any output shows it"));
    running.settle_line(names);
}

fn examples(document: &str) -> Vec<Example> {
    let mut found: Vec<Example> = Vec::new();
    let mut fence: Option<bool> = None;
    for line in document.lines() {
        match (fence, line) {
            (None, "```console") => fence = Some(false),
            (None, "```console open") => fence = Some(true),
            (Some(_), "```") => fence = None,
            (Some(open), _) => match (line.strip_prefix("$ "), found.last_mut()) {
                (Some(command), _) => {
                    found.push(Example { command: command.to_owned(), open, output: VecDeque::new() });
                }
                (None, Some(last)) if last.command.ends_with('\\') => {
                    last.command.push('\n');
                    last.command.push_str(line);
                }
                (None, Some(last)) if !line.is_empty() => last.output.push_back(line.to_owned()),
                (None, Some(_)) => {}
                (None, None) => panic!("an example begins without a command: {line}"),
            },
            (None, _) => {}
        }
    }
    found
}

/// A command that was started.
struct Running {
    command: String,
    process: Child,
    lines: Receiver<String>,
    /// What it has not printed yet.
    expected: VecDeque<String>,
}

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

impl Running {
    fn start(example: &Example, command: &str) -> Self {
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
        Self { command: command.to_owned(), process, lines, expected: example.output.clone() }
    }

    /// Compares one line.
    fn settle_line(&mut self, names: &mut Names) {
        let Some(expected) = self.expected.pop_front() else { return };
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) if names.agree(&expected, line.trim_end()) => {}
            Ok(line) => panic!("{}\nprints   {line}\nand not  {expected}", self.command),
            Err(reason) => panic!("{}\ndoes not print  {expected}\n({reason})", self.command),
        }
    }

    fn settle(&mut self, names: &mut Names) {
        while !self.expected.is_empty() {
            self.settle_line(names);
        }
    }

    /// Waits until the session is there, if the example shows that it is told.
    fn settle_open(&mut self, names: &mut Names) {
        let opens = self.expected.iter().position(|line| line.contains("{\"open\":"));
        (0..opens.map_or(0, |at| at + 1)).for_each(|_| self.settle_line(names));
    }

    /// Nothing more is printed, and the command ends.
    fn ends(&mut self) {
        if let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            panic!("{}\nalso prints  {line}", self.command);
        }
        let _ = self.process.wait();
    }

    /// Nothing more was printed so far.
    fn is_silent(&self) {
        if let Ok(line) = self.lines.try_recv() {
            panic!("{}\nalso prints  {line}", self.command);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Which real session ids and epochs those of the document stand for.
#[derive(Default)]
struct Names {
    real: HashMap<String, String>,
    written: HashMap<String, String>,
}

/// The epoch that documents use for one of another node. It stands for itself.
const FOREIGN: &str = "zzzzzzzz";

impl Names {
    /// Whether a line is what the document says, with names exchanged throughout.
    fn agree(&mut self, written: &str, real: &str) -> bool {
        let (written, real) = (pieces(written), pieces(real));
        written.len() == real.len()
            && written.iter().zip(real).all(|(written, real)| self.same(written, real))
    }

    fn same(&mut self, written: &str, real: &str) -> bool {
        match (split(written), split(real)) {
            (Some((FOREIGN, _)), _) | (None, None) => written == real,
            (Some((name, rest)), Some((to, real_rest))) if rest == real_rest => {
                let known = self.real.entry(name.to_owned()).or_insert_with(|| to.to_owned()) == to;
                known && self.written.entry(to.to_owned()).or_insert_with(|| name.to_owned()) == name
            }
            _ => false,
        }
    }

    /// A command with the real names; or the name that is not known yet.
    fn in_command(&self, command: &str) -> Result<String, String> {
        let real = |piece: &str| match split(piece) {
            None | Some((FOREIGN, _)) => Ok(piece.to_owned()),
            Some((name, rest)) => {
                self.real.get(name).map(|real| format!("{real}{rest}")).ok_or(name.to_owned())
            }
        };
        pieces(command).into_iter().map(real).collect()
    }
}

/// Runs of letters, digits and dashes, and what stands between them.
fn pieces(text: &str) -> Vec<&str> {
    let in_word = |c: char| c.is_ascii_alphanumeric() || c == '-';
    text.as_bytes()
        .chunk_by(|a, b| in_word(char::from(*a)) == in_word(char::from(*b)))
        .fold((Vec::new(), 0), |(mut pieces, start), chunk| {
            pieces.push(&text[start..start + chunk.len()]);
            (pieces, start + chunk.len())
        })
        .0
}

/// The name in a session id (all of it) or in a position (its epoch), and the rest.
fn split(piece: &str) -> Option<(&str, &str)> {
    let is_base32 = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if piece.len() == 40 && piece.starts_with('s') && is_base32(piece) {
        return Some((piece, ""));
    }
    let (epoch, n) = piece.split_once('-')?;
    let is_position =
        epoch.len() == 8 && is_base32(epoch) && !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit());
    is_position.then(|| piece.split_at(epoch.len()))
}

#[test]
fn an_example_is_commands_with_their_output() {
    let text = "x\n```console open\n$ a \\\n  b\none\n\ntwo\n```\n$ no\n```sh\n$ no\n```\n```console\n$ c\n$ d\n```\n";
    let example = |command: &str, open, output: &[&str]| Example {
        command: command.to_owned(),
        open,
        output: output.iter().map(ToString::to_string).collect(),
    };
    let expected =
        [example("a \\\n  b", true, &["one", "two"]), example("c", false, &[]), example("d", false, &[])];
    assert_eq!(examples(text), expected);
}

#[test]
fn a_name_stands_for_one_other_name_throughout() {
    let mut names = Names::default();
    assert!(names.agree(r#"{"id":"aaaaaaaa-1"}"#, r#"{"id":"bbbbbbbb-1"}"#));
    assert!(names.agree("aaaaaaaa-2", "bbbbbbbb-2"));
    for (written, real) in [
        ("aaaaaaaa-1", "bbbbbbbb-2"),
        ("aaaaaaaa-1", "cccccccc-1"),
        ("dddddddd-1", "bbbbbbbb-1"),
        ("zzzzzzzz-1", "bbbbbbbb-1"),
        ("a b", "a c"),
        ("a", "a b"),
    ] {
        assert!(!names.agree(written, real), "{written} is taken for {real}");
    }
    assert_eq!(names.in_command("curl 'u?since=aaaaaaaa-7'"), Ok("curl 'u?since=bbbbbbbb-7'".to_owned()));
    assert_eq!(names.in_command("eeeeeeee-7"), Err("eeeeeeee".to_owned()));
}
