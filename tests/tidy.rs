//! Reads the source and checks what the compiler cannot: the imports between layers, the place of
//! sockets, the length of files, the completeness of lists.
//!
//! It looks at lines of text, not at syntax: a rule that needs more than that belongs in a lint.
//! Each rule is proved able to fail by a sample that breaks it.

mod tidy {
    mod codes;
    pub(crate) mod layers;
    mod limits;
    mod names;
    mod protocols;
}

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::tidy::layers;

/// A source file: its path from the top of the tree, and its text.
struct Source {
    path: String,
    text: String,
}

/// Longest file. Near this it is two ideas.
const LINES_MAX: usize = 500;

/// Widest comment line, in columns. `rustfmt` does not wrap comments.
const COMMENT_COLUMNS_MAX: usize = 100;

/// Longest room of those that make up a shard, in lines. Beyond this it is two rooms.
const ROOM_LINES_MAX: usize = 3_000;

/// Longest `shard`, in lines: what is left to it is the turn, and which front an input is for.
const SHARD_LINES_MAX: usize = 1_500;

/// The rooms that make up a shard, besides `shard` itself.
const ROOMS: [&str; 11] =
    ["request", "turn", "call", "conn", "session", "core", "answer", "exchange", "native", "bayeux", "api"];

/// Modules that may touch sockets.
const OUTER: [&str; 5] = ["reactor", "server", "cli", "logging", "main"];

/// What opens a socket.
const SOCKETS: [&str; 8] = [
    "TcpListener",
    "TcpStream",
    "UdpSocket",
    "UnixListener",
    "UnixStream",
    "ToSocketAddrs",
    "mio::",
    "socket2::",
];

const SLEEPS: [&str; 4] = ["thread::sleep", "time::sleep", "sleep(Duration", "park_timeout"];

const UNFINISHED: [&str; 3] = ["dbg!", "todo!", "unimplemented!"];

// ---- the rules ----

#[test]
fn imports_point_left() {
    let found: Vec<String> = sources("src").iter().flat_map(imports_to_the_right).collect();
    assert_none(&found);
}

#[test]
fn sockets_live_in_the_reactor() {
    let inner = sources("src").into_iter().filter(|source| !OUTER.contains(&source.module()));
    assert_none(&inner.flat_map(|source| source.lines_with(&SOCKETS)).collect::<Vec<_>>());
}

#[test]
fn nothing_is_left_unfinished() {
    let found: Vec<String> = rust().iter().flat_map(|source| source.lines_with(&UNFINISHED)).collect();
    assert_none(&found);
}

#[test]
fn nothing_sleeps() {
    let found: Vec<String> = rust().iter().flat_map(|source| source.lines_with(&SLEEPS)).collect();
    assert_none(&found);
}

#[test]
fn no_file_is_two_ideas() {
    let mut all = rust();
    all.extend(scripts());
    let found: Vec<String> = all
        .iter()
        .map(|source| (&source.path, source.text.lines().count()))
        .filter(|(_, lines)| *lines > LINES_MAX)
        .map(|(path, lines)| format!("{path}: {lines} lines"))
        .collect();
    assert_none(&found);
}

#[test]
fn no_room_is_two_rooms() {
    for room in ROOMS {
        assert!(!is_two_rooms(&sources(&format!("src/{room}")), ROOM_LINES_MAX), "src/{room}");
    }
    assert!(!is_two_rooms(&sources("src/shard"), SHARD_LINES_MAX), "src/shard");
}

#[test]
fn a_room_that_is_too_long_or_gone_is_found() {
    let lines = |path: &str, count: usize| sample(path, &"//\n".repeat(count));
    let tests = [lines("src/conn/tests.rs", 9), lines("src/conn/tests/rig.rs", 9)];
    let code = [lines("src/conn/mod.rs", 2), lines("src/conn/phase.rs", 2)];
    let room: Vec<Source> = code.into_iter().chain(tests).collect();
    assert!(is_two_rooms(&room, 3) && !is_two_rooms(&room, 4));
    assert!(is_two_rooms(&[], 4), "a room without files");
}

#[test]
fn comments_are_narrow() {
    let found: Vec<String> = rust().iter().flat_map(Source::wide_comments).collect();
    assert_none(&found);
}

#[test]
fn every_file_says_what_it_is_for() {
    let mut found: Vec<String> =
        rust().iter().filter(|source| !source.opens_with_doc()).map(|source| source.path.clone()).collect();
    // What is built of the sources says so itself.
    let is_built = |source: &&Source| source.path.starts_with("client/encke");
    let client = client();
    let written = client.iter().filter(|source| !is_built(source));
    found.extend(written.filter(|source| !source.text.starts_with("/**")).map(|source| source.path.clone()));
    assert_none(&found);
}

#[test]
fn nothing_names_the_machine_it_was_written_on() {
    let mut found = Vec::new();
    for dir in ["src", "tests", "client", "docs", "scripts", "fuzz", "bench", "loadtest", "examples", ".ci"] {
        for source in files(&root().join(dir), &["rs", "js", "mjs", "md", "toml", "html", "css", "sh", ""]) {
            found.extend(source.all_lines_with(&["/work/", "/tmp/wt", "/root/"]));
        }
    }
    assert_none(&found);
}

#[test]
fn every_transport_has_a_row_and_every_row_a_file() {
    let registry = read("src/transport/mod.rs");
    let table = between(&registry, "pub static REGISTRY", "];").expect("src/transport/mod.rs has a REGISTRY");
    let rows = table.split_once("= [").map(|(_, rows)| rows).unwrap_or_default();
    let files: Vec<String> = fs::read_dir(root().join("src/transport"))
        .expect("src/transport is there")
        .filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_owned()))
        .filter(|stem| !["mod", "tests", "shared"].contains(&stem.as_str()))
        .collect();
    let missing: Vec<&String> = files.iter().filter(|stem| !rows.contains(&format!("&{stem}::"))).collect();
    assert!(missing.is_empty(), "no row for {missing:?}");
    // A file may have several rows.
    let stems: BTreeSet<&str> = rows.split('&').filter_map(|row| Some(row.split_once("::")?.0)).collect();
    assert_eq!(stems.len(), files.len(), "rows and files");
}

#[test]
fn every_dependency_says_why_it_is_there() {
    let reasons = read("docs/DEPENDENCIES.md");
    let named: Vec<&str> = reasons.lines().filter_map(|line| between(line, "| `", "` |")).collect();
    let used: BTreeSet<String> = manifests().iter().flat_map(|path| dependencies(&read(path))).collect();
    assert!(!used.is_empty());
    let missing: Vec<&String> = used.iter().filter(|name| !named.contains(&name.as_str())).collect();
    assert!(missing.is_empty(), "docs/DEPENDENCIES.md has no line for {missing:?}");
    let stale: Vec<&&str> = named.iter().filter(|name| !used.iter().any(|used| used == *name)).collect();
    assert!(stale.is_empty(), "docs/DEPENDENCIES.md has a line for {stale:?}, which no manifest does");
}

#[test]
fn every_fuzz_target_is_built() {
    let dir = root().join("fuzz/fuzz_targets");
    if !dir.exists() {
        return;
    }
    let manifest = read("fuzz/Cargo.toml");
    let found: Vec<String> = files(&dir, &["rs"])
        .iter()
        .filter_map(|source| source.path.rsplit('/').next().map(str::to_owned))
        .filter(|name| !manifest.contains(&format!("path = \"fuzz_targets/{name}\"")))
        .collect();
    assert_none(&found);
}

// ---- the rules can fail ----

fn sample(path: &str, text: &str) -> Source {
    Source { path: path.to_owned(), text: text.to_owned() }
}

#[test]
fn an_import_to_the_right_is_found() {
    let broken = |path: &str, text: &str| !imports_to_the_right(&sample(path, text)).is_empty();
    assert!(broken("src/wire/http/head.rs", "use crate::hub;"));
    assert!(broken("src/hub/log.rs", "use crate::turn::mail;"));
    assert!(broken("src/auth/grant.rs", "use crate::transport;"));
    assert!(broken("src/protocol/mod.rs", "use crate::{base::ticks, transport::Form};"));
    assert!(broken("src/base/slab.rs", "fn f() -> crate::server::Node {}"));
    assert!(broken("src/config/mod.rs", "use crate::wire::json;"), "neighbours do not know each other");
    assert!(broken("src/shard/mod.rs", "use crate::cli;"));
    assert!(broken("src/base/mod.rs", "use crate::{\n    base::ticks,\n    shard,\n};"));
    assert!(!broken(
        "src/shard/mod.rs",
        "use crate::{\n    base::{slab, ticks},\n    wire,\n};\nfn server() {}"
    ));
    assert!(!broken("src/shard/mod.rs", "use crate::{base::ticks::{Span, Tick}, transport, hub::log};"));
    assert!(broken("src/conn/mod.rs", "use crate::session::Link;"), "rooms of one layer");
    assert!(broken("src/native/mod.rs", "use crate::bayeux::BayeuxFront;"), "fronts");
    assert!(!broken("src/wire/json.rs", "//! Used by [`crate::shard`]."));
    assert!(!broken("src/main.rs", "use crate::server;"));
}

#[test]
fn a_forbidden_word_is_found_where_it_is_code() {
    let lines = |text: &str, words: &[&str]| sample("src/shard/mod.rs", text).lines_with(words).len();
    assert_eq!(lines("use std::net::{IpAddr, TcpStream};", &SOCKETS), 1);
    assert_eq!(lines("let all = TcpStreams::new();", &SOCKETS), 0);
    assert_eq!(lines("// A TcpStream would do it, too.", &SOCKETS), 0);
    assert_eq!(lines("    todo!()", &UNFINISHED), 1);
    assert_eq!(lines("std::thread::sleep(a_while)", &SLEEPS), 1);
}

#[test]
fn a_wide_comment_is_found() {
    let wide = |text: &str| sample("src/base/slab.rs", text).wide_comments().len();
    let (fits, too_wide) = ("é".repeat(COMMENT_COLUMNS_MAX - 4), "x".repeat(COMMENT_COLUMNS_MAX - 3));
    assert_eq!(wide(&format!("//! {fits}\n/// {fits}\n    // short")), 0);
    assert_eq!(wide(&format!("//! {too_wide}")), 1);
    assert_eq!(wide(&format!("/// {too_wide}\n")), 1);
    assert_eq!(wide(&format!("    // {fits}")), 1, "the indentation counts");
    assert_eq!(wide(&format!("let url = \"https://{too_wide}\";")), 0, "rustfmt bounds code");
}

#[test]
fn every_section_of_dependencies_is_read() {
    let manifest = r#"
[package]
name = "x"
[dependencies]
a-b = "1"
c = { version = "2", features = ["f"] }

[dev-dependencies]
d = "3"
[lints.rust]
e = 1
"#;
    assert_eq!(dependencies(manifest), ["a-b", "c", "d"]);
}

// ---- reading ----

impl Source {
    /// The module of the crate that the file belongs to.
    fn module(&self) -> &str {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs")
    }

    /// Whether the file holds tests, or serves them.
    fn is_test(&self) -> bool {
        self.path.ends_with("tests.rs") || self.path.contains("/tests/")
    }

    fn opens_with_doc(&self) -> bool {
        // A program may begin with its interpreter or its crate's attributes.
        let first = self.text.lines().find(|line| !line.starts_with("#!"));
        first.is_some_and(|line| line.starts_with("//!"))
    }

    /// All lines with their ends; those that are comments are empty.
    fn code_lines(&self) -> impl Iterator<Item = &str> {
        self.text
            .split_inclusive('\n')
            .map(|line| if line.trim_start().starts_with("//") { "\n" } else { line })
    }

    /// Lines of code, numbered, without comments.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let numbered = self.text.lines().enumerate().map(|(i, line)| (i + 1, line));
        numbered.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    fn lines_with(&self, words: &[&str]) -> Vec<String> {
        let bad = self.code().filter(|(_, line)| words.iter().any(|word| has_word(line, word)));
        bad.map(|(n, line)| format!("{}:{n}: {}", self.path, line.trim())).collect()
    }

    /// Lines that are comments and wider than they may be.
    fn wide_comments(&self) -> Vec<String> {
        let numbered = self.text.lines().enumerate();
        let comments = numbered.filter(|(_, line)| line.trim_start().starts_with("//"));
        let wide = comments.filter(|(_, line)| line.chars().count() > COMMENT_COLUMNS_MAX);
        wide.map(|(i, line)| format!("{}:{}: {} columns", self.path, i + 1, line.chars().count())).collect()
    }

    fn all_lines_with(&self, texts: &[&str]) -> Vec<String> {
        let numbered = self.text.lines().enumerate();
        let bad = numbered.filter(|(_, line)| texts.iter().any(|text| line.contains(text)));
        bad.map(|(i, line)| format!("{}:{}: {}", self.path, i + 1, line.trim())).collect()
    }
}

/// Whether the files of a room are too long together, or there are none. Tests do not count.
fn is_two_rooms(files: &[Source], lines_max: usize) -> bool {
    let counted = files.iter().filter(|source| !source.is_test());
    let lines: usize = counted.map(|source| source.text.lines().count()).sum();
    !(1..=lines_max).contains(&lines)
}

fn imports_to_the_right(source: &Source) -> Vec<String> {
    let own = source.module();
    let Some(rank) = layers::rank(own) else { return Vec::new() };
    let mut found = Vec::new();
    // A list may go over several lines, so the code is read as one text.
    let code: String = source.code_lines().collect();
    for (at, name) in named_modules(&code) {
        let allowed = name == own || layers::rank(name).is_some_and(|other| other < rank);
        // A capital letter is an item at the crate's top, not a module.
        if !allowed && name.starts_with(|c: char| c.is_ascii_lowercase()) {
            let line = code[..at].matches('\n').count() + 1;
            found.push(format!("{}:{line}: {own} imports {name}", source.path));
        }
    }
    found
}

/// The modules that code names by `crate::a` or `crate::{a::b, c}`, and where.
fn named_modules(code: &str) -> Vec<(usize, &str)> {
    let mut names = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let found = match rest.strip_prefix('{') {
            Some(list) => top_level(list),
            None => first_name(rest).into_iter().collect(),
        };
        names.extend(found.into_iter().map(|name| (at, name)));
    }
    names
}

/// First names of a braced list, nested lists passed over.
fn top_level(list: &str) -> Vec<&str> {
    let (mut depth, mut begin, mut names) = (0, 0, Vec::new());
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' | ',' if depth == 0 => {
                names.extend(first_name(list[begin..at].trim()));
                begin = at + 1;
                if c == '}' {
                    break;
                }
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    names
}

fn first_name(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    (end > 0).then(|| &text[..end])
}

fn has_word(line: &str, word: &str) -> bool {
    let part_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let goes_on = word.ends_with(part_of_name) && line[at + word.len()..].starts_with(part_of_name);
        !goes_on && !line[..at].ends_with(part_of_name)
    })
}

/// Names of all direct dependencies of a manifest.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut inside = false;
    for line in manifest.lines() {
        if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            inside = section.ends_with("dependencies");
        } else if let (true, Some((name, _))) = (inside, line.split_once('=')) {
            names.push(name.trim().to_owned());
        }
    }
    names
}

/// The manifests of the workspace.
fn manifests() -> Vec<String> {
    let members = ["loadtest", "bench/limit"].map(|member| format!("{member}/Cargo.toml"));
    let there = members.into_iter().filter(|path| root().join(path).exists());
    std::iter::once("Cargo.toml".to_owned()).chain(there).collect()
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let rest = &text[text.find(before)? + before.len()..];
    rest.find(after).map(|end| &rest[..end])
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn sources(dir: &str) -> Vec<Source> {
    files(&root().join(dir), &["rs"])
}

/// All Rust of the project.
fn rust() -> Vec<Source> {
    ["src", "tests", "benches", "bench", "loadtest", "examples", "fuzz"]
        .iter()
        .flat_map(|dir| sources(dir))
        .collect()
}

fn client() -> Vec<Source> {
    files(&root().join("client"), &["js", "mjs"])
}

fn scripts() -> Vec<Source> {
    let mut all = client();
    all.extend(files(&root().join("tests"), &["js", "mjs"]));
    all
}

/// All files under a directory with one of the extensions; "" stands for none. This file is left
/// out: it holds every forbidden word.
fn files(dir: &Path, extensions: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(dir) else { return found };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            if !["target", "node_modules", "corpus", "artifacts", "seeds", ".git"].contains(&name) {
                found.extend(files(&path, extensions));
            }
            continue;
        }
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        let shown = path.strip_prefix(root()).unwrap_or(&path).to_string_lossy().into_owned();
        if !extensions.contains(&extension) || shown == "tests/tidy.rs" {
            continue;
        }
        if let Ok(text) = fs::read_to_string(&path) {
            found.push(Source { path: shown, text });
        }
    }
    found
}

fn assert_none(found: &[String]) {
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}
