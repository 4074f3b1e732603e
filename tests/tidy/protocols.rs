//! A protocol of clients is named in its own files and in the places that list protocols.

use crate::{Source, assert_none, sample, sources};

/// A protocol besides Encke's own.
const PROTOCOLS: [&str; 2] = ["bayeux", "sockjs"];

/// The places that list protocols: what each writes and keeps (`protocol`, `call`), what comes down
/// (`answer`) and up (`shard`), and the routes (`request`).
const LISTS: [&str; 12] = [
    "src/answer/mod.rs",
    "src/call/mod.rs",
    "src/call/protocol.rs",
    "src/call/pending.rs",
    "src/lib.rs",
    "src/protocol/mod.rs",
    "src/request/mod.rs",
    "src/request/router.rs",
    "src/request/router/query.rs",
    "src/shard/dispatch.rs",
    "src/shard/fronts.rs",
    "src/transport/mod.rs",
];

#[test]
fn protocols_are_named_where_they_are_listed() {
    let found: Vec<String> = sources("src").iter().flat_map(named_protocols).collect();
    assert_none(&found);
}

#[test]
fn a_protocol_that_is_named_elsewhere_is_found() {
    let found = |path: &str, text: &str| named_protocols(&sample(path, text)).len();
    assert_eq!(found("src/conn/phase.rs", "if conn.speaks_bayeux() {"), 1);
    assert_eq!(found("src/session/mod.rs", "pub client: Option<Box<BayeuxClient>>,"), 1);
    assert_eq!(found("src/session/mod.rs", "// Not so in Bayeux."), 1, "a comment");
    assert_eq!(found("src/bayeux/call.rs", "struct BayeuxFront;"), 0, "its own file");
    assert_eq!(found(LISTS[0], "Protocol::Bayeux => 1,"), 0);
}

/// Lines that name a protocol where none is listed.
fn named_protocols(source: &Source) -> Vec<String> {
    let path = source.path.as_str();
    let is_own = PROTOCOLS.iter().any(|protocol| path.contains(protocol));
    let is_setting = path.starts_with("src/config/") || path.contains("metrics");
    // Pages and requests of tests name it as users do.
    let is_outside = path == "src/assets/demos.rs" || source.is_test();
    if is_own || is_setting || is_outside || LISTS.contains(&path) {
        return Vec::new();
    }
    let names = |line: &str| PROTOCOLS.iter().any(|protocol| line.to_lowercase().contains(protocol));
    let bad = source.text.lines().enumerate().filter(|(_, line)| names(line));
    bad.map(|(i, line)| format!("{path}:{}: {}", i + 1, line.trim())).collect()
}
