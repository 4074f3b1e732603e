//! The query of a request: its pairs, and names that are probably meant for others.
//!
//! A name that is not known is passed over, since proxies, caches and monitoring add their own. One that is close to a
//! known name is refused instead, for it would have been passed over without a word: `?channel=/a` subscribed to nothing.
//! Close is what is the same without regard to case, `-`, `_`, and an `s` or `id` at the end; or what is one slip of the
//! keys away from a name of five letters or more, two from one of eight.

use crate::base::spelling::distance;
use crate::wire::percent;
use crate::wire::refusal::Refusal;

/// Query parameters of one request: far more than any transport knows.
const QUERY_PAIRS_MAX: usize = 64;

/// A decoded query.
pub(super) type Query = Vec<(String, String)>;

/// What transports and `send` know.
pub(super) const OF_TRANSPORTS: &[&str] = &[
    "channels",
    "session",
    "since",
    "token",
    "last",
    "presence",
    "conflate",
    "pad",
    "callback",
    "overlap",
    "message",
    "resume",
    "heartbeat",
    "origin",
    "domain",
    "style",
    "type",
    "binary",
    "deflate",
    "echo",
    "user",
];

/// What Bayeux knows.
pub(super) const OF_BAYEUX: &[&str] = &["jsonp", "message", "token", "user"];

/// What the private listener knows.
pub(super) const OF_API: &[&str] = &["name", "prefix", "limit", "user"];

/// What a backend's publish knows.
pub(super) const OF_PUBLISH: &[&str] = &["key", "user"];

/// The pairs, in order; refuses names that are close to those that are `known`.
pub(super) fn named(query: &str, known: &[&'static str]) -> Result<Query, Refusal> {
    let pairs = pairs(query)?;
    match pairs.iter().find_map(|(name, _)| Some((name, meant(name, known)?))) {
        None => Ok(pairs),
        Some((name, meant)) => {
            let reason = format!("the query: {name} is not known; {meant} is probably meant");
            Err(Refusal::new(400, "bad-query", reason))
        }
    }
}

/// The pairs, in order.
pub(super) fn pairs(query: &str) -> Result<Query, Refusal> {
    percent::query(query, QUERY_PAIRS_MAX)
        .map(|pair| pair.map(|(key, value)| (key.into_owned(), value.into_owned())))
        .collect::<Result<_, _>>()
        .map_err(|error| Refusal::new(400, "bad-query", format!("the query: {error}")))
}

pub(super) fn value<'a>(query: &'a [(String, String)], name: &str) -> Option<&'a str> {
    query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// Whether a name of the query is one by which polyfills of `EventSource` and others tell the last event's id: `lastEventId`,
/// `last_event_id`, `Last-Event-ID` and the like; `evs_` is a prefix of one of them.
pub(super) fn is_last_event_id(name: &str) -> bool {
    let name = name.strip_prefix("evs_").unwrap_or(name);
    name.len() >= LAST_EVENT_ID.len() && letters(name).eq(LAST_EVENT_ID.bytes())
}

/// The known name that was probably meant by one that is not known.
fn meant(name: &str, known: &[&'static str]) -> Option<&'static str> {
    if known.contains(&name) || !(LEN_MIN..=LEN_MAX).contains(&name.len()) || is_last_event_id(name) {
        return None;
    }
    let plain = String::from_utf8(letters(name).collect()).ok()?;
    let is_close = |known: &str| {
        let slips = match known.len() {
            0..=4 => 0,
            5..=7 => 1,
            _ => 2,
        };
        stem(&plain) == stem(known) || (slips > 0 && distance(&plain, known) <= slips)
    };
    // As short a name as this is near to too many.
    known.iter().copied().filter(|known| !FREQUENT.contains(known)).find(|known| is_close(known))
}

/// A name without what people add to one.
fn stem(name: &str) -> &str {
    let name = name.strip_suffix("ids").or(name.strip_suffix("id")).unwrap_or(name);
    name.strip_suffix('s').unwrap_or(name)
}

fn letters(name: &str) -> impl Iterator<Item = u8> {
    name.bytes().filter(|byte| !b"-_".contains(byte)).map(|byte| byte.to_ascii_lowercase())
}

const LAST_EVENT_ID: &str = "lasteventid";

/// Names which other programs have names like, for their own purposes: `user_id`, `types`, `json`.
const FREQUENT: [&str; 4] = ["user", "type", "name", "jsonp"];

/// Bytes of a name that can be meant for another: shorter ones are cache busters and the like, and longer ones no slip.
const LEN_MIN: usize = 3;
const LEN_MAX: usize = 24;

#[cfg(test)]
mod tests {
    use crate::shard::router::query::*;

    #[test]
    fn a_name_that_is_close_to_a_known_one_is_refused_and_the_right_one_named() {
        for (name, right) in [
            ("channel", "channels"),
            ("chanels", "channels"),
            ("chanel", "channels"),
            ("Channels", "channels"),
            ("CHANNEL", "channels"),
            ("channelId", "channels"),
            ("channels_", "channels"),
            ("sesion", "session"),
            ("Session", "session"),
            ("sessionId", "session"),
            ("session_id", "session"),
            ("Encke-Session", ""),
            ("tokn", "token"),
            ("tokens", "token"),
            ("Since", "since"),
            ("sinse", "since"),
            ("Last", "last"),
            ("presense", "presence"),
            ("mesage", "message"),
            ("messages", "message"),
            ("callbak", "callback"),
            ("overlaps", "overlap"),
            ("orgin", "origin"),
            ("heart_beat", "heartbeat"),
        ] {
            let found = meant(name, OF_TRANSPORTS).unwrap_or_default();
            assert_eq!(found, right, "{name}");
            if !right.is_empty() {
                let refusal = named(&format!("a=b&{name}=c"), OF_TRANSPORTS).unwrap_err();
                assert_eq!((refusal.status, refusal.code), (400, "bad-query"));
                assert!(
                    refusal.reason.contains(name) && refusal.reason.contains(right),
                    "{}",
                    refusal.reason
                );
            }
        }
        assert!(named("prefx=/a", OF_API).is_err() && named("Limit=3", OF_API).is_err());
        assert!(named("Message=x", OF_BAYEUX).is_err());
    }

    #[test]
    fn known_names_cache_busters_and_foreign_names_pass() {
        for name in OF_TRANSPORTS {
            assert_eq!(meant(name, OF_TRANSPORTS), None, "{name}");
        }
        for name in [
            "",
            "_",
            "t",
            "ts",
            "cb",
            "r",
            "v",
            "nc",
            "nocache",
            "no-cache",
            "rand",
            "random",
            "cachebust",
            "1700000000000",
            "0.123456789",
            "utm_source",
            "utm_campaign",
            "gclid",
            "fbclid",
            "EIO",
            "transport",
            "sid",
            "jsoncallback",
            "access_token",
            "jwt",
            "api_key",
            "lat",
            "lang",
            "list",
            "time",
            "timestamp",
            "version",
            "nonce",
            "page",
            "uid",
            "user_id",
            "username",
            "json",
            "types",
            "names",
            "lastEventId",
            "last_event_id",
            "Last-Event-ID",
            "evs_last_event_id",
            "evs_preamble",
            "evs_buffer_size_limit",
            "x-request-id",
            "traceparent",
            "ref",
            "source",
        ] {
            assert_eq!(meant(name, OF_TRANSPORTS), None, "{name}");
            assert_eq!(meant(name, OF_BAYEUX), None, "{name}");
            assert_eq!(meant(name, OF_API), None, "{name}");
        }
        assert_eq!(meant(&"channels".repeat(1000), OF_TRANSPORTS), None, "long names cost nothing");
    }
}
