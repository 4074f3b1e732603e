//! Channel names and subscription patterns: `/chat/room1`, `/chat/*`, `/chat/**`, `/u/alice`.
//!
//! A [`ChannelName`] has been parsed, so its holder need not check it again. It knows which
//! channels a pattern matches and which patterns a pattern covers; it does not know who may use
//! them (`auth` does) nor which sessions subscribe (the hub does).
//!
//! Invariant: one user has one personal name. `/u/%61lice` and `/u/alice` parse to the same bytes,
//! so that no second spelling slips past a rule or lands in another log.
//!
//! Personal and reserved channels match no pattern: `/**` never shows one user another's messages.

mod bad_name;

use std::borrow::Borrow;
use std::fmt;
use std::iter::successors;

pub use crate::wire::channel_name::bad_name::BadName;
pub use crate::wire::limits::NAME_BYTES_MAX;
pub use crate::wire::limits::SEGMENTS_MAX;
pub use crate::wire::limits::USER_BYTES_MAX;
use crate::wire::percent;

/// A channel name or a subscription pattern, parsed into its canonical form.
///
/// It hashes and compares as its text, so a table with names as keys accepts a `&str`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelName(Box<str>);

/// The kinds of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelKind<'a> {
    /// One shared channel.
    Exact,
    /// `/a/*`: every channel exactly one segment below `prefix` (`/a`; empty for `/*`).
    PatternOne {
        /// The name up to, and without, the last slash.
        prefix: &'a str,
    },
    /// `/a/**`: every channel one or more segments below `prefix` (`/a`; empty for `/**`).
    PatternDeep {
        /// The name up to, and without, the last slash.
        prefix: &'a str,
    },
    /// `/u/{user}`: one user's own channel.
    Personal {
        /// The user, percent-encoded as in the name.
        encoded: &'a str,
    },
    /// `/meta…` or `/service…`, names or patterns: reserved for protocols; clients cannot subscribe
    /// or publish to them.
    Reserved,
}

/// How far a pattern reaches below its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wildcard {
    /// `/*`: one segment.
    One,
    /// `/**`: one segment or more.
    Deep,
}

/// A pattern that would match some channel, in pieces borrowed from that channel's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatchingPattern<'a> {
    /// The pattern up to, and without, its last slash.
    pub prefix: &'a str,
    /// Its last segment.
    pub wildcard: Wildcard,
}

impl ChannelName {
    /// Parses a name or a pattern.
    ///
    /// # Errors
    /// [`BadName`], whose text gives the wrong byte and what is allowed.
    pub fn parse(text: &str) -> Result<Self, BadName> {
        let max = if text.starts_with(PERSONAL) { PERSONAL_BYTES_MAX } else { NAME_BYTES_MAX };
        if text.len() > max {
            return Err(BadName::TooLong { bytes: text.len(), max });
        }
        if text == "/u" {
            return Err(BadName::NotPersonal);
        }
        match text.strip_prefix(PERSONAL) {
            Some("*" | "**") => Ok(Self(text.into())),
            Some(encoded) => Self::personal(&decode_user(encoded)?),
            None => check_segments(text).map(|()| Self(text.into())),
        }
    }

    /// The personal channel of `user` (as it is, not percent-encoded).
    ///
    /// # Errors
    /// [`BadName::BadUser`] if no user can have that id.
    pub fn personal(user: &str) -> Result<Self, BadName> {
        if user.is_empty() || user.len() > USER_BYTES_MAX || user.contains('\0') {
            return Err(BadName::BadUser);
        }
        let mut name = String::with_capacity(PERSONAL.len() + user.len());
        name.push_str(PERSONAL);
        percent::encode_segment_into(user, &mut name);
        Ok(Self(name.into()))
    }

    /// The text of the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its kind, with its parts.
    pub fn kind(&self) -> ChannelKind<'_> {
        kind_of(&self.0)
    }

    /// Whether this is a pattern rather than the name of one channel. Reserved patterns count too.
    pub fn is_pattern(&self) -> bool {
        self.0.ends_with("/*") || self.0.ends_with("/**")
    }

    /// Whether this is a channel of a service, `/service/…`: messages to it are for the backend
    /// alone.
    pub fn is_service(&self) -> bool {
        self.0.starts_with(SERVICE) && !self.is_pattern()
    }

    /// Whether this is the personal channel of `user` (as it is, not percent-encoded).
    pub fn is_personal_of(&self, user: &str) -> bool {
        match self.kind() {
            ChannelKind::Personal { encoded } => encoded == percent::encode_segment(user),
            ChannelKind::Exact
            | ChannelKind::PatternOne { .. }
            | ChannelKind::PatternDeep { .. }
            | ChannelKind::Reserved => false,
        }
    }

    /// Whether a message in `channel` reaches a subscriber of `self`. A pattern as `channel` is
    /// reached by nothing: messages are published to channels only.
    pub fn matches(&self, channel: &Self) -> bool {
        let shared = channel.kind() == ChannelKind::Exact;
        match self.kind() {
            ChannelKind::Exact | ChannelKind::Personal { .. } => self == channel,
            ChannelKind::PatternOne { prefix } => {
                shared && below(prefix, &channel.0).is_some_and(|rest| !rest.contains('/'))
            }
            ChannelKind::PatternDeep { prefix } => shared && below(prefix, &channel.0).is_some(),
            ChannelKind::Reserved => false,
        }
    }

    /// Whether `self` matches every channel that `other` matches. `/**` covers `/a/*`; `/a/*` does
    /// not cover `/a/**`. Reserved names neither cover nor are covered.
    pub fn covers(&self, other: &Self) -> bool {
        match other.kind() {
            ChannelKind::Exact | ChannelKind::Personal { .. } => self.matches(other),
            ChannelKind::PatternOne { prefix } => self.covers_below(prefix, Wildcard::One),
            ChannelKind::PatternDeep { prefix } => self.covers_below(prefix, Wildcard::Deep),
            ChannelKind::Reserved => false,
        }
    }

    fn covers_below(&self, prefix: &str, reach: Wildcard) -> bool {
        match self.kind() {
            ChannelKind::PatternOne { prefix: own } => reach == Wildcard::One && own == prefix,
            ChannelKind::PatternDeep { prefix: own } => own == prefix || below(own, prefix).is_some(),
            ChannelKind::Exact | ChannelKind::Personal { .. } | ChannelKind::Reserved => false,
        }
    }

    /// The patterns that match this channel, nearest first: for `/a/b/c` they are `/a/b/*`,
    /// `/a/b/**`, `/a/**` and `/**`. At most one more than the name has segments; none for
    /// personal and reserved channels and for patterns.
    pub fn candidates(&self) -> impl Iterator<Item = MatchingPattern<'_>> {
        candidates_of(&self.0)
    }
}

/// [`ChannelName::candidates`] of a name that was parsed before.
pub(crate) fn candidates_of(name: &str) -> impl Iterator<Item = MatchingPattern<'_>> {
    let parent = match kind_of(name) {
        ChannelKind::Exact => parent(name),
        ChannelKind::PatternOne { .. }
        | ChannelKind::PatternDeep { .. }
        | ChannelKind::Personal { .. }
        | ChannelKind::Reserved => None,
    };
    let one = parent.map(|prefix| MatchingPattern { prefix, wildcard: Wildcard::One });
    let deep = successors(parent, |prefix| crate::wire::channel_name::parent(prefix));
    one.into_iter().chain(deep.map(|prefix| MatchingPattern { prefix, wildcard: Wildcard::Deep }))
}

/// The user (decoded) of a personal channel, by its parsed name.
pub(crate) fn user_of(name: &str) -> Option<String> {
    match kind_of(name) {
        ChannelKind::Personal { encoded } => decode_user(encoded).ok(),
        ChannelKind::Exact
        | ChannelKind::PatternOne { .. }
        | ChannelKind::PatternDeep { .. }
        | ChannelKind::Reserved => None,
    }
}

/// Whether a parsed name is a personal channel.
pub(crate) fn is_personal(name: &str) -> bool {
    matches!(kind_of(name), ChannelKind::Personal { .. })
}

/// The hidden channel with the joins and leaves of `name`. No client can name it, and no pattern
/// matches it.
pub(crate) fn presence_channel(name: &str) -> String {
    let mut hidden = String::with_capacity(1 + name.len());
    hidden.push(HIDDEN);
    hidden.push_str(name);
    hidden
}

/// The channel to which a [`presence_channel`] belongs.
pub(crate) fn presence_of(name: &str) -> Option<&str> {
    name.strip_prefix(HIDDEN)
}

/// [`ChannelName::kind`] of a name that was parsed before.
pub(crate) fn kind_of(name: &str) -> ChannelKind<'_> {
    let is_at_or_below =
        |own: &str| name.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if is_at_or_below("/meta") || is_at_or_below("/service") {
        ChannelKind::Reserved
    } else if let Some(prefix) = name.strip_suffix("/**") {
        ChannelKind::PatternDeep { prefix }
    } else if let Some(prefix) = name.strip_suffix("/*") {
        ChannelKind::PatternOne { prefix }
    } else if let Some(encoded) = name.strip_prefix(PERSONAL) {
        ChannelKind::Personal { encoded }
    } else {
        ChannelKind::Exact
    }
}

impl MatchingPattern<'_> {
    /// Writes the pattern into `buffer`, replacing its content: one buffer serves a whole walk, so
    /// looking up all candidates of a channel allocates nothing.
    pub fn spell<'b>(&self, buffer: &'b mut String) -> &'b str {
        buffer.clear();
        buffer.push_str(self.prefix);
        buffer.push_str(match self.wildcard {
            Wildcard::One => "/*",
            Wildcard::Deep => "/**",
        });
        buffer
    }
}

impl Borrow<str> for ChannelName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for ChannelName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The part of `name` below `prefix`, if any: `below("/a", "/a/b/c")` is `b/c`.
fn below<'a>(prefix: &str, name: &'a str) -> Option<&'a str> {
    name.strip_prefix(prefix)?.strip_prefix('/')
}

/// The name without its last segment; `None` for the empty prefix.
fn parent(name: &str) -> Option<&str> {
    name.rfind('/').map(|slash| &name[..slash])
}

fn check_segments(text: &str) -> Result<(), BadName> {
    let body = text.strip_prefix('/').ok_or(BadName::NoLeadingSlash)?;
    let mut at = 1;
    for (index, segment) in body.split('/').enumerate() {
        if index == SEGMENTS_MAX {
            return Err(BadName::TooManySegments);
        }
        let last = at + segment.len() == text.len();
        if !(last && matches!(segment, "*" | "**")) {
            check_segment(segment, at)?;
        }
        at += segment.len() + 1;
    }
    Ok(())
}

fn check_segment(segment: &str, at: usize) -> Result<(), BadName> {
    if segment.is_empty() {
        return Err(BadName::EmptySegment { at });
    }
    match segment.bytes().enumerate().find(|&(_, byte)| !is_segment_byte(byte)) {
        None => Ok(()),
        Some((index, b'*')) => Err(BadName::StrayWildcard { at: at + index }),
        Some((index, byte)) => Err(BadName::BadByte { at: at + index, byte }),
    }
}

/// Decodes the user in a personal name. Decoding and encoding again gives each user one canonical
/// form.
fn decode_user(encoded: &str) -> Result<String, BadName> {
    let mut user = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let at = PERSONAL.len() + encoded.len() - rest.len();
        rest = after;
        match byte {
            b'%' => {
                let digits = rest.split_at_checked(2).ok_or(BadName::BadEscape { at })?;
                user.push(hex_byte(digits.0).ok_or(BadName::BadEscape { at })?);
                rest = digits.1;
            }
            b'/' => return Err(BadName::NotPersonal),
            b'*' => return Err(BadName::StrayWildcard { at }),
            _ if is_segment_byte(byte) => user.push(byte),
            _ => return Err(BadName::BadByte { at, byte }),
        }
    }
    String::from_utf8(user).map_err(|_| BadName::BadUser)
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    digits.iter().try_fold(0_u8, |byte, &digit| {
        let value = char::from(digit).to_digit(16)?;
        Some(byte << 4 | u8::try_from(value).ok()?)
    })
}

/// The characters of a channel's segment: those that every protocol of ours allows, and the dot.
fn is_segment_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_!~()$@.".contains(&byte)
}

/// The first character of a hidden channel's name; every name that parses begins with a slash.
const HIDDEN: char = '?';

/// The prefix of service channels.
const SERVICE: &str = "/service/";

/// The prefix of personal channels.
const PERSONAL: &str = "/u/";

/// Bytes of a personal name: room for every user id, even if every byte of it needs `%XX`.
pub const PERSONAL_BYTES_MAX: usize = PERSONAL.len() + 3 * USER_BYTES_MAX;

#[cfg(test)]
mod tests;
