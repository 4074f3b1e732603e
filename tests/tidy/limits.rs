//! A room's bounds stand in its `limits.rs`, each with its reason.

use crate::{Source, assert_none, sample, sources};

/// Rooms whose bounds stand in their `limits.rs`. This list only grows.
const ROOMS: [&str; 22] = [
    "src/answer/",
    "src/api/",
    "src/auth/",
    "src/base/",
    "src/bayeux/",
    "src/call/",
    "src/config/",
    "src/conn/",
    "src/core/",
    "src/exchange/",
    "src/hub/",
    "src/logging/",
    "src/native/",
    "src/protocol/bayeux/",
    "src/reactor/",
    "src/request/",
    "src/server/",
    "src/session/",
    "src/shard/",
    "src/transport/",
    "src/turn/",
    "src/wire/",
];

/// Rows of the configuration have their ranges and defaults beside them.
const TABLE: &str = "src/config/table/";

/// How the name of a bound ends.
const ENDINGS: [&str; 8] =
    ["_MAX", "_MIN", "_PART", "_PER_TURN", "_AT_ONCE", "_PATIENCE", "_PAUSE", "_INTERVAL"];

/// What gives a constant or an argument its time.
const TIMES: [&str; 4] = ["from_mins(", "from_secs(", "from_millis(", "from_micros("];

/// Bounds that a format or the type of a number gives: these stand beside what reads or writes it.
const OF_FORMATS: [&str; 13] = [
    "CONTROL_BYTES_MAX",
    "HEAD_BYTES_MAX",
    "HEX_DIGITS_MAX",
    "LEN_16_MAX",
    "LEN_MAX",
    "PERSONAL_BYTES_MAX",
    "SECONDS_MAX",
    "SHORT_MAX",
    "STORED_MAX",
    "VALUE_WIDTH_MAX",
    "WINDOW_BITS_MAX",
    "WINDOW_BITS_MIN",
    "WINDOW_MAX",
];

#[test]
fn bounds_stand_in_the_limits_of_their_room() {
    let found: Vec<String> = sources("src").iter().flat_map(stray_bounds).collect();
    assert_none(&found);
}

#[test]
fn a_stray_bound_is_found() {
    let found = |path: &str, text: &str| stray_bounds(&sample(path, text)).len();
    let bound = "/// Why.\npub(super) const NAMES_MAX: usize = 4;\n";
    assert_eq!(found("src/auth/grant.rs", bound), 1);
    assert_eq!(found("src/wire/http/scan.rs", "    const PARTS_MIN: u8 = 1;"), 1);
    assert_eq!(found("src/auth/limits.rs", bound), 0);
    assert_eq!(found("src/transport/shared/limits.rs", bound), 0);
    assert_eq!(found("src/auth/grant.rs", "#[cfg(test)]\nmod tests {\n    const N_MAX: u8 = 1;\n}"), 0);
    assert_eq!(found("src/wire/websocket/frame.rs", "const SHORT_MAX: u8 = 125;"), 0, "the format's");
    assert_eq!(found("src/assets/mod.rs", bound), 0, "no room with limits");
    assert_eq!(found("src/turn/warnings.rs", "const A: Span = Span::from_secs(10);"), 1, "a time");
    assert_eq!(found("src/conn/mod.rs", "    let due = now + Span::from_millis(500);"), 1, "without a name");
    assert_eq!(found("src/conn/mod.rs", "    let due = now + Span::from_millis(wait);"), 0, "a value");
    assert_eq!(found("src/config/table/auth.rs", "    from: Span::from_secs(1),"), 0, "configuration");
    assert_eq!(found("src/answer/poll.rs", "    let hold = cx.jittered(hold, 7);"), 1, "eighths");
    assert_eq!(found("src/answer/poll.rs", "    let hold = cx.jittered(hold, 0);"), 0, "any part");
}

/// Bounds and times of a room, named or not, outside its `limits.rs`.
fn stray_bounds(source: &Source) -> Vec<String> {
    let path = source.path.as_str();
    let in_room = ROOMS.iter().any(|room| path.starts_with(room)) && !path.starts_with(TABLE);
    if source.is_test() || !in_room || path.ends_with("/limits.rs") {
        return Vec::new();
    }
    let lines = source.code().take_while(|(_, line)| line.trim() != "#[cfg(test)]");
    let stray = lines.filter(|(_, line)| is_named_bound(line) || has_time(line) || has_part(line));
    stray.map(|(number, line)| format!("{path}:{number}: {}", line.trim())).collect()
}

fn is_named_bound(line: &str) -> bool {
    let name = line.split_once("const ").and_then(|(_, rest)| Some(rest.split_once(':')?.0));
    name.is_some_and(|name| {
        ENDINGS.iter().any(|ending| name.ends_with(ending)) && !OF_FORMATS.contains(&name)
    })
}

/// Whether a line has a time as a number.
fn has_time(line: &str) -> bool {
    let begins_number = |text: &str| text.starts_with(|first: char| first.is_ascii_digit());
    TIMES.iter().any(|time| line.split(time).skip(1).any(begins_number))
}

/// Whether a line spreads a time from a part that is a number; zero is no bound.
fn has_part(line: &str) -> bool {
    let part = line.split_once("jittered(").and_then(|(_, rest)| rest.split_once(", "));
    part.is_some_and(|(_, part)| part.starts_with(|first| matches!(first, '1'..='9')))
}
