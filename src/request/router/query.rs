//! The query of a request: its pairs, and misspelt names.
//!
//! An unknown name is ignored, because proxies, caches and monitoring add their own. An unknown
//! name that is close to a known one is refused: ignored, `?channel=/a` would silently subscribe to
//! nothing. Names are close if they are equal without regard to case, `-`, `_`, and an `s` or `id`
//! at the end; or if they differ by one edit, from five letters on, or by two, from eight letters
//! on.

use crate::base::spelling::distance;
use crate::request::limits::{MISSPELT_BYTES_MAX, MISSPELT_BYTES_MIN, QUERY_PAIRS_MAX};
use crate::wire::percent;
use crate::wire::refusal::{Refusal, Refused};

/// A decoded query.
pub(crate) type Query = Vec<(String, String)>;

/// Parameters of transports and `send`.
pub(crate) const OF_TRANSPORTS: &[&str] = &[
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

/// Parameters of Bayeux.
pub(crate) const OF_BAYEUX: &[&str] = &["jsonp", "message", "token", "user"];

/// Parameters of the private listener.
pub(crate) const OF_API: &[&str] = &["name", "prefix", "limit", "user"];

/// Parameters of a backend's publish.
pub(crate) const OF_PUBLISH: &[&str] = &["key", "user"];

/// The pairs, in order; refuses names that are close to a `known` name.
pub(crate) fn named(query: &str, known: &[&'static str]) -> Result<Query, Refusal> {
    let pairs = pairs(query)?;
    match pairs.iter().find_map(|(name, _)| Some((name, meant(name, known)?))) {
        None => Ok(pairs),
        Some((name, meant)) => Err(Refused::QueryName { name, meant }.into()),
    }
}

/// The pairs, in order.
pub(crate) fn pairs(query: &str) -> Result<Query, Refusal> {
    percent::query(query, QUERY_PAIRS_MAX)
        .map(|pair| pair.map(|(key, value)| (key.into_owned(), value.into_owned())))
        .collect::<Result<_, _>>()
        .map_err(|error| Refused::Query { error }.into())
}

pub(crate) fn value<'a>(query: &'a [(String, String)], name: &str) -> Option<&'a str> {
    query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// Whether a parameter is one in which polyfills of `EventSource` and others send the last event's
/// id: `lastEventId`, `last_event_id`, `Last-Event-ID` and the like; one of them adds the prefix
/// `evs_`.
pub(crate) fn is_last_event_id(name: &str) -> bool {
    let name = name.strip_prefix("evs_").unwrap_or(name);
    name.len() >= LAST_EVENT_ID.len() && letters(name).eq(LAST_EVENT_ID.bytes())
}

/// The known name that an unknown one probably misspells.
fn meant(name: &str, known: &[&'static str]) -> Option<&'static str> {
    if known.contains(&name)
        || !(MISSPELT_BYTES_MIN..=MISSPELT_BYTES_MAX).contains(&name.len())
        || is_last_event_id(name)
    {
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
    // Many names are close to these short ones.
    known.iter().copied().filter(|known| !FREQUENT.contains(known)).find(|known| is_close(known))
}

/// A name without the usual additions.
fn stem(name: &str) -> &str {
    let name = name.strip_suffix("ids").or(name.strip_suffix("id")).unwrap_or(name);
    name.strip_suffix('s').unwrap_or(name)
}

fn letters(name: &str) -> impl Iterator<Item = u8> {
    name.bytes().filter(|byte| !b"-_".contains(byte)).map(|byte| byte.to_ascii_lowercase())
}

const LAST_EVENT_ID: &str = "lasteventid";

/// Known names that resemble other programs' parameters: `user_id`, `types`, `json`.
const FREQUENT: [&str; 4] = ["user", "type", "name", "jsonp"];

#[cfg(test)]
mod tests {
    use crate::request::router::query::*;

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
                assert_eq!((refusal.status(), refusal.code.text()), (400, "bad-query"));
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
