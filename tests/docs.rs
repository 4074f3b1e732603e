//! The documents stay true: the examples of README.md, docs/PROTOCOL.md and docs/TRANSPORTS.md are
//! run against the real server, and lists that must be complete are compared with the source.
//!
//! An example is a block fenced as `console`: lines that begin with `$ ` are commands for bash,
//! those with `> ` go on with one, the others are what they print. In a block fenced as `socket`
//! the first line is the URL of a WebSocket, perhaps with a subprotocol, or of an XMLSocket; then
//! `> ` is sent and `< ` comes. One fenced as `… open` stays open while the examples after it run,
//! and must have printed all its lines in the end. Each document has one node to itself, on ports
//! of the kernel's choice. Session ids, epochs and nonces differ from run to run: each one in the
//! text stands for the same real one from its first use to the document's end. Blank lines do not
//! count.

mod docs {
    pub(crate) mod examples;
    pub(crate) mod lists;
    pub(crate) mod names;
    pub(crate) mod node;
    pub(crate) mod socket;
}

use docs::{examples, lists};

#[test]
fn the_readmes_examples_do_what_they_say() {
    examples::play(&lists::read("README.md"), 3, &[]);
}

#[test]
fn the_protocols_examples_do_what_they_say() {
    examples::play(&lists::read("docs/PROTOCOL.md"), 15, &[]);
}

#[test]
fn the_transports_examples_do_what_they_say() {
    let variables = [("ENCKE_XMLSOCKET_LISTEN", "127.0.0.1:0"), ("ENCKE_ORIGINS", "https://app.example")];
    examples::play(&lists::read("docs/TRANSPORTS.md"), 25, &variables);
}

#[test]
fn every_transport_has_a_section_with_an_example() {
    let document = lists::read("docs/TRANSPORTS.md");
    let transports = lists::transports();
    assert!(transports.len() >= 10, "the registry is found: {transports:?}");
    for name in transports {
        let (_, section) = document
            .split_once(&format!("\n## {name}\n"))
            .unwrap_or_else(|| panic!("docs/TRANSPORTS.md has no section {name}"));
        let section = section.split("\n## ").next().unwrap_or_default();
        let has_example = section.contains("```console") || section.contains("```socket");
        assert!(has_example, "docs/TRANSPORTS.md shows no example of {name}");
        assert!(document.contains(&format!("\n| [`{name}`](#{name})")), "{name} is not in the table");
    }
}

#[test]
fn every_error_code_is_in_the_protocols_table_with_its_status() {
    let documented = lists::errors_documented(&lists::read("docs/PROTOCOL.md"));
    let made = lists::errors_made();
    for (code, statuses) in &made {
        let documented =
            documented.get(code).unwrap_or_else(|| panic!("docs/PROTOCOL.md does not explain {code:?}"));
        assert_eq!(statuses, documented, "{code:?}: the status in docs/PROTOCOL.md is another");
    }
    let stale: Vec<_> = documented.keys().filter(|code| !made.contains_key(*code)).collect();
    assert!(stale.is_empty(), "docs/PROTOCOL.md explains {stale:?}, which the server never sends");
}

#[test]
fn every_error_of_bayeux_is_in_its_table() {
    assert_eq!(lists::faults_made(), lists::faults_documented(&lists::read("docs/BAYEUX.md")));
}

#[test]
fn every_close_code_is_in_the_protocols_table() {
    let text = lists::read("docs/PROTOCOL.md");
    let source = lists::read("src/protocol/native/envelope.rs");
    let codes = lists::arms(lists::function(&source, "fn name"));
    assert!(codes.len() >= 6);
    for (_, code) in codes {
        assert!(
            text.contains(&format!("\n| `{code}` |")),
            "docs/PROTOCOL.md does not explain close code {code:?}"
        );
    }
}

#[test]
fn every_source_file_is_on_the_map() {
    let map = lists::read("docs/ARCHITECTURE.md");
    let missing: Vec<_> =
        lists::modules().into_iter().filter(|path| !map.contains(&format!("`{path}`"))).collect();
    assert!(missing.is_empty(), "docs/ARCHITECTURE.md has no line for {missing:?}");
    let named = map.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let stale: Vec<_> = named.map(|(path, _)| path).filter(|path| path.contains(".rs")).collect();
    let stale: Vec<_> =
        stale.into_iter().filter(|path| !lists::root().join("src").join(path).exists()).collect();
    assert!(stale.is_empty(), "docs/ARCHITECTURE.md has a line for {stale:?}, which is not there");
}

#[test]
fn every_link_and_picture_leads_somewhere() {
    let pages = lists::pages();
    assert!(pages.len() > 30, "the pages are found: {}", pages.len());
    let served = lists::served();
    let mut broken = Vec::new();
    for (path, text) in pages {
        let is_page = std::path::Path::new(&path).extension().is_some_and(|extension| extension == "html");
        let links = if is_page { lists::references(&text) } else { lists::links(&text) };
        for link in links {
            let folder = lists::root().join(&path).parent().expect("a page lies in a folder").to_path_buf();
            let is_there = match link.strip_prefix("/page/") {
                // The one that is made of a package when its tests run.
                Some(own) => folder.join(own).exists() || own == "faye-browser.js",
                None if link.starts_with('/') => served.contains(&link),
                None => folder.join(&link).exists(),
            };
            if !is_there {
                broken.push(format!("{path}: {link}"));
            }
        }
    }
    assert!(broken.is_empty(), "what is linked to is not there: {broken:#?}");
}

#[test]
fn every_variable_that_is_named_exists() {
    let table = lists::read("docs/CONFIG.md");
    for path in [
        "README.md",
        "CHANGELOG.md",
        "docs/PROTOCOL.md",
        "docs/TRANSPORTS.md",
        "docs/ARCHITECTURE.md",
        "docs/PORTABILITY.md",
        "packaging/encke.env",
        "packaging/Containerfile",
        "packaging/systemd/encke.service",
    ] {
        for name in lists::variables(&lists::read(path)) {
            assert!(
                table.contains(&format!("| `{name}` |")),
                "{path} names {name}, which docs/CONFIG.md does not"
            );
        }
    }
}

#[test]
fn every_file_names_the_same_oldest_rust() {
    let version = env!("CARGO_PKG_RUST_VERSION");
    for (path, line) in [
        ("loadtest/Cargo.toml", format!("rust-version = \"{version}\"")),
        ("bench/limit/Cargo.toml", format!("rust-version = \"{version}\"")),
        ("README.md", format!("Building needs Rust {version} or newer")),
        ("CONTRIBUTING.md", format!("`rustup toolchain install {version}`")),
        ("docs/TESTING.md", format!("`cargo +{version} check")),
    ] {
        assert!(lists::read(path).contains(&line), "{path} does not name Rust {version}");
    }
}

#[test]
fn every_file_names_the_same_version() {
    let version = env!("CARGO_PKG_VERSION");
    for (path, line) in [
        ("CHANGELOG.md", format!("\n## {version} (")),
        ("packaging/changelog.debian", format!("encke ({version}-1) ")),
        ("client/package.json", format!("\"version\": \"{version}\"")),
        ("client/encke.js", format!("/*! encke {version} ")),
        ("client/encke.classic.js", format!("/*! encke {version} ")),
        ("client/encke.tcp.js", format!("/*! encke {version} ")),
        ("client/encke.tcp.classic.js", format!("/*! encke {version} ")),
        ("loadtest/Cargo.toml", format!("encke = {{ path = \"..\", version = \"{version}\" }}")),
        ("examples/deploy/compose.yaml", format!("image: encke:{version}\n")),
        ("examples/deploy/kubernetes.yaml", format!("image: encke:{version}\n")),
    ] {
        assert!(lists::read(path).contains(&line), "{path} does not name version {version}");
    }
}
