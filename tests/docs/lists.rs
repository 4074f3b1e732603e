//! Reads lists out of the source and out of the documents, so that they can be compared.
//!
//! It looks at text, not at syntax: the tests that use it assert that it has found about as much as
//! there is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use encke::protocol::bayeux::fault::FaultCause;
use encke::wire::refusal::ErrorCode;

/// The transports' names: their files'.
pub(crate) fn transports() -> Vec<String> {
    // SockJS's and the one of TCP sockets have documents of their own.
    let names = modules()
        .into_iter()
        .filter(|path| !matches!(path.as_str(), "transport/sockjs.rs" | "transport/tcp.rs"))
        .filter_map(|path| Some(path.strip_prefix("transport/")?.strip_suffix(".rs")?.to_owned()));
    names.collect()
}

/// Error codes, each with the statuses that it comes with.
pub(crate) type Errors = BTreeMap<String, BTreeSet<u16>>;

/// The top of the tree.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A file's text.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All documents and pages of the repository, by their paths.
pub(crate) fn pages() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).expect("a folder can be listed") {
            let entry = entry.expect("a folder can be listed");
            let name = entry.file_name().into_string().expect("names are UTF-8");
            let path = folder.join(&name);
            let is_page = path.extension().is_some_and(|end| end == "md" || end == "html");
            if entry.file_type().expect("a file has a type").is_dir() {
                // What is installed and built is not ours.
                if !name.starts_with('.') && name != "target" && name != "node_modules" {
                    folders.push(path);
                }
            } else if is_page {
                let path = path.to_str().expect("names are UTF-8").to_owned();
                found.push((path.clone(), read(&path)));
            }
        }
    }
    found
}

/// Links and pictures of a document to other files, without their fragments.
pub(crate) fn links(text: &str) -> Vec<String> {
    // Every second part stands between fences: code, where brackets mean something else.
    let prose: String = text.split("\n```").step_by(2).collect();
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split([')', '#', ' ']).next());
    let targets = targets.map(str::to_owned).chain(references(&prose));
    targets.filter(|link| is_local(link)).collect()
}

/// What the elements of a page refer to, without fragments.
pub(crate) fn references(text: &str) -> Vec<String> {
    let values = |name: &str| {
        let parts: Vec<_> = text.split(name).skip(1).map(str::to_owned).collect();
        parts.into_iter().filter_map(|rest| rest.split(['"', '#']).next().map(str::to_owned))
    };
    [" src=\"", " href=\""].into_iter().flat_map(values).filter(|link| is_local(link)).collect()
}

fn is_local(link: &str) -> bool {
    !link.is_empty() && !link.contains("://") && !link.starts_with("data:") && !link.starts_with("mailto:")
}

/// The paths under which the public listener serves pages and files.
pub(crate) fn served() -> BTreeSet<String> {
    let strings = |file: &str, before: &str| -> Vec<String> {
        let text = read(file);
        let parts = text.split(before).skip(1).filter_map(|rest| rest.split('"').nth(1));
        parts.map(str::to_owned).collect()
    };
    let demos = strings("src/assets/demos.rs", "demo!(").into_iter().map(|name| format!("/demo/{name}"));
    let others = strings("src/assets/mod.rs", "asset!(");
    others.into_iter().chain(demos).chain(["/health".to_owned()]).collect()
}

/// Names of environment variables of ours.
pub(crate) fn variables(text: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_uppercase() || c == '_';
    let words = text.split(|c| !is_name(c)).filter(|word| word.starts_with("ENCKE_") && word.len() > 6);
    words.map(str::to_owned).collect()
}

/// The error codes of the tables whose first columns are `code` and `status`.
pub(crate) fn errors_documented(text: &str) -> Errors {
    let mut found = Errors::new();
    for line in text.lines() {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        if let ["", code, statuses, ..] = cells[..]
            && let Some(code) = code.strip_prefix('`').and_then(|code| code.strip_suffix('`'))
            && let Ok(statuses) = statuses.split(", ").map(str::parse).collect::<Result<BTreeSet<u16>, _>>()
        {
            found.entry(code.to_owned()).or_default().extend(statuses);
        }
    }
    found
}

/// The error codes that the server can put on the wire.
pub(crate) fn errors_made() -> Errors {
    ErrorCode::ALL.iter().map(|code| (code.text().to_owned(), BTreeSet::from([code.status()]))).collect()
}

/// The names of Bayeux errors, each with its code, in code spans as `403:/c:publish_denied`.
pub(crate) fn faults_documented(text: &str) -> BTreeSet<(u16, String)> {
    text.split('`').skip(1).step_by(2).filter_map(fault).collect()
}

/// The same, as the server makes them.
pub(crate) fn faults_made() -> BTreeSet<(u16, String)> {
    FaultCause::ALL.iter().filter_map(|(code, text)| fault(&format!("{code}:{text}"))).collect()
}

/// The code and the name of `code:argument:name`, or of `code:argument:name: text`.
fn fault(text: &str) -> Option<(u16, String)> {
    let mut parts = text.splitn(4, ':');
    let (code, name) = (parts.next()?.parse().ok()?, parts.nth(1)?);
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    is_name.then(|| (code, name.to_owned()))
}

/// A function's text, from its name to the end of its block.
pub(crate) fn function<'a>(text: &'a str, name: &str) -> &'a str {
    let (_, rest) = text.split_once(name).unwrap_or_else(|| panic!("no {name}"));
    rest.split("\n    }\n").next().unwrap_or_default()
}

/// The arms of a `match`: each variant with the literal that it comes to.
pub(crate) fn arms(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut left = text.split_once("match self").map(|(_, rest)| rest).unwrap_or_default();
    while let Some((patterns, rest)) = left.split_once("=>") {
        let value = rest.trim_start().split([',', '\n']).next().unwrap_or_default().trim();
        let value = quoted(value).unwrap_or(value);
        for variant in patterns.split("Self::").skip(1) {
            let name = variant.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
            found.push((name.to_owned(), value.to_owned()));
        }
        left = rest;
    }
    found
}

fn quoted(text: &str) -> Option<&str> {
    text.strip_prefix('"')?.split('"').next()
}

/// The modules that the map must name, below `src`: files that lie there or one folder down, and
/// folders of a folder.
pub(crate) fn modules() -> Vec<String> {
    let src = root().join("src");
    let names =
        sources(&src).into_iter().filter_map(|path| Some(path.strip_prefix(&src).ok()?.to_str()?.to_owned()));
    let is_test = |path: &String| path.ends_with("tests.rs") || path.ends_with("/mod.rs");
    names.filter(|path| !is_test(path) && path.matches('/').count() < 2).collect()
}

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("the folder is there").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn an_arm_gives_all_its_variants_the_value() {
    let text = "(self) -> u16 { match self { Self::A => 411,\n Self::B { .. } | Self::C(_) => \"x\",\n } }";
    let arm = |variant: &str, value: &str| (variant.to_owned(), value.to_owned());
    assert_eq!(arms(text), [arm("A", "411"), arm("B", "x"), arm("C", "x")]);
}

#[test]
fn only_names_are_names_of_faults() {
    let documented = faults_documented("`403:/c:a_b`, `503::c: …`, `413:…`, `400::a message`, `x::y`");
    assert_eq!(documented, BTreeSet::from([(403, "a_b".to_owned()), (503, "c".to_owned())]));
}

#[test]
fn only_rows_with_a_status_are_errors() {
    let documented = errors_documented("| `a` | 400, 413 | x |\n| `b` | yes | x |\n| c | 400 | x |\n");
    assert_eq!(documented, Errors::from([("a".to_owned(), BTreeSet::from([400, 413]))]));
}

#[test]
fn links_and_variables_are_found() {
    let text =
        "[a](b.md#c) [d](https://e) [f](#g) [h](../i)\n```js\nf[0](no)\n```\n![p](p.png) <img src=\"q.png\">";
    assert_eq!(links(text), ["b.md", "../i", "p.png", "q.png"]);
    assert_eq!(references("<a href=\"/demo/#x\"><img src=\"data:,\">"), ["/demo/"]);
    assert!(served().contains("/start.svg") && served().contains("/demo/chat"), "{:?}", served());
    assert_eq!(
        variables("`ENCKE_A_B` ENCKE_C=1"),
        BTreeSet::from(["ENCKE_A_B".to_owned(), "ENCKE_C".to_owned()])
    );
}
