//! A type's name is unique in the crate: who reads it need not look up which one is meant.

use std::collections::BTreeMap;

use crate::{Source, assert_none, sample, sources};

/// What declares a type.
const DECLARATIONS: [&str; 4] = ["struct ", "enum ", "trait ", "type "];

/// What may stand before a declaration.
const VISIBILITIES: [&str; 4] = ["pub ", "pub(crate) ", "pub(super) ", "pub(in "];

#[test]
fn no_two_types_share_a_name() {
    assert_none(&shared_names(&sources("src")));
}

#[test]
fn a_shared_name_is_found() {
    let files = [
        sample("src/a.rs", "pub(in crate::a) struct Shape<T>(T);\nfn f() {\n    struct Local;\n}\n"),
        sample("src/b.rs", "enum Shape {}\nstruct Local;\n#[cfg(test)]\nmod tests {}\nstruct Other;\n"),
        sample("src/b/tests.rs", "struct Other;\n"),
    ];
    assert_eq!(shared_names(&files), ["Shape: src/a.rs, src/b.rs"]);
}

/// The names of several types, with their files. Those of tests do not count.
fn shared_names(files: &[Source]) -> Vec<String> {
    let mut places: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let is_test = |path: &str| path.ends_with("/tests.rs") || path.contains("/tests/");
    for Source { path, text } in files.iter().filter(|file| !is_test(&file.path)) {
        for name in text.lines().filter_map(declared) {
            places.entry(name).or_default().push(path);
        }
    }
    let shared = places.into_iter().filter(|(_, paths)| paths.len() > 1);
    shared.map(|(name, paths)| format!("{name}: {}", paths.join(", "))).collect()
}

/// The name of the type that a line declares, if it is not inside of something else.
fn declared(line: &str) -> Option<&str> {
    let rest = VISIBILITIES.iter().find_map(|visibility| line.strip_prefix(visibility)).unwrap_or(line);
    // The path of `pub(in path)`.
    let rest = rest.split_once(") ").filter(|_| line.starts_with("pub(in ")).map_or(rest, |(_, rest)| rest);
    let rest = DECLARATIONS.iter().find_map(|declaration| rest.strip_prefix(declaration))?;
    rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()
}
