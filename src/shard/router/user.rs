//! The user that a URL names: by a segment of its path, or by the query of a path that names nobody, `/u/-/sse?user=a%2Fb`.
//!
//! The path is for balancers, which hash it. But proxies that rewrite paths decode them first, and then `a%2Fb` is two segments,
//! and `.` and `..` are none; the query they leave alone. Behind such a balancer `user` of the query is what it hashes
//! for paths of `-`.

use crate::shard::request::User;
use crate::shard::router::query::{pairs, value};
use crate::wire::channel_name::ChannelName;
use crate::wire::http::head::Head;
use crate::wire::percent;
use crate::wire::refusal::Refusal;

/// The segment that leaves it to the query.
const IN_QUERY: &str = "-";

/// What is said of a path that leads nowhere.
pub(super) const BEHIND_PROXIES: &str = "a user id with a slash (%2F), or of dots alone, is named by the query where a proxy decodes paths: \
    /u/-/sse?user=a%2Fb";

/// The user that a segment names, or the query.
pub(super) fn named(segment: &str, head: &Head<'_>) -> Result<User, Refusal> {
    if segment == IN_QUERY {
        let query = pairs(head.query)?;
        if let Some(name) = value(&query, "user") {
            return user(name, "the user in the query");
        }
    }
    let bad = |error| Refusal::new(400, "bad-user", format!("the user in the path: {error}"));
    let name = percent::decode_segment(segment).map_err(bad)?;
    user(&name, "the user in the path")
}

#[inline]
fn user(name: &str, place: &str) -> Result<User, Refusal> {
    let channel = ChannelName::personal(name)
        .map_err(|error| Refusal::new(400, "bad-user", format!("{place}: {error}")))?;
    Ok(User { name: name.into(), channel })
}
