//! The user that a URL names: by a segment of its path, or by the query if that segment is `-`:
//! `/u/-/sse?user=a%2Fb`.
//!
//! The path is for balancers, which hash it. But proxies that rewrite paths decode them first,
//! which splits `a%2Fb` into two segments and removes `.` and `..`; they do not change the query.
//! Behind such a proxy, balancers hash the query's `user` for paths with `-`.

use crate::request::User;
use crate::request::router::query::{pairs, value};
use crate::wire::channel_name::ChannelName;
use crate::wire::http::head::Head;
use crate::wire::percent;
use crate::wire::refusal::{Refusal, Refused};

/// The segment that refers to the query.
const IN_QUERY: &str = "-";

/// The advice for a path that leads nowhere.
pub(crate) const BEHIND_PROXIES: &str = "a user id with a slash (%2F), or of dots alone, is named by the query where a proxy decodes paths: \
    /u/-/sse?user=a%2Fb";

/// The user that a segment names, or the query.
pub(crate) fn named(segment: &str, head: &Head<'_>) -> Result<User, Refusal> {
    if segment == IN_QUERY {
        let query = pairs(head.query)?;
        if let Some(name) = value(&query, "user") {
            return user(name, "the user in the query");
        }
    }
    let name = percent::decode_segment(segment).map_err(|error| Refused::UserSegment { error })?;
    user(&name, "the user in the path")
}

#[inline]
fn user(name: &str, place: &str) -> Result<User, Refusal> {
    let channel = ChannelName::personal(name).map_err(|error| Refused::User { place, error })?;
    Ok(User { name: name.into(), channel })
}
