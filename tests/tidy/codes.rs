//! No error code stands as a literal outside the table of codes, but for tests, which pin the text
//! on the wire.

use encke::wire::refusal::ErrorCode;

use crate::{Source, assert_none, sample, sources};

/// Where a literal may spell an error code: their table, and that of the codes of `close`, one of
/// which is spelled alike.
const TABLES: [&str; 2] = ["src/wire/refusal/code.rs", "src/protocol/native/envelope.rs"];

#[test]
fn error_codes_stand_in_their_table_only() {
    let found: Vec<String> = sources("src").iter().flat_map(literal_codes).collect();
    assert_none(&found);
}

#[test]
fn an_error_code_as_a_literal_is_found() {
    let found = |path: &str, text: &str| literal_codes(&sample(path, text)).len();
    let path = "src/shard/publish.rs";
    assert_eq!(found(path, "metrics.refused(\"input-full\");"), 1);
    assert_eq!(found(path, "f(\n    \"busy\",\n);\n#[cfg(test)]\nmod tests {}"), 1);
    assert_eq!(found(path, "f(r#\"{\"error\":{\"code\":\"busy\"}}\"#);"), 1);
    assert_eq!(found(path, "f(\"the shard is busy\");"), 0, "a word in a sentence");
    assert_eq!(found(path, "f(r#\",\"timeout\":\"#);"), 0, "a member's name");
    assert_eq!(found(path, "// \"busy\"\n#[cfg(test)]\nmod tests { f(\"busy\"); }"), 0);
    assert_eq!(found("src/auth/tests/keys.rs", "f(\"bad-token\");"), 0);
    assert_eq!(found(TABLES[0], "Busy = 503 \"busy\";"), 0);
}

/// Lines of code with a literal that is an error code.
fn literal_codes(source: &Source) -> Vec<String> {
    let is_test = source.path.ends_with("tests.rs") || source.path.contains("/tests/");
    if is_test || TABLES.contains(&source.path.as_str()) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (number, line) in source.code().take_while(|(_, line)| line.trim() != "#[cfg(test)]") {
        // A colon after it makes it the name of a member.
        let is_named = |code: &ErrorCode| {
            let literal = format!("\"{}\"", code.text());
            line.split(&literal).skip(1).any(|rest| !rest.starts_with(':'))
        };
        if ErrorCode::ALL.iter().any(is_named) {
            found.push(format!("{}:{number}: {}", source.path, line.trim()));
        }
    }
    found
}
