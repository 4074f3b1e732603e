//! The rights of a token's bearer, and the claims that define them.
//!
//! The `channels` claim maps patterns to `r`, `w` or `rw`. A subscription is allowed only if one
//! readable rule covers all of it: two rules that cover it together do not suffice. The user's own
//! personal channel needs no rule and does not concern a grant; no rule makes another user's
//! readable.
//!
//! Invariant: a [`Grant`] was either made by the server itself, with auth off, or comes from a
//! verified token. It never changes, so all sessions of one token can share it.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::auth::AuthReject;
use crate::auth::limits::{EXPIRES_UNIX_MAX, NOT_BEFORE_LEEWAY_SECONDS, RULES_MAX, SHOWN_NAMES_MAX};
use crate::auth::reject::shown;
use crate::wire::channel_name::{ChannelKind, ChannelName, USER_BYTES_MAX};

/// Permission to act for one user until a certain time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    expires: Option<u64>,
    subject: Option<Box<str>>,
    rights: Rights,
}

/// The TCP servers that a user may reach.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Targets {
    /// All targets, and all addresses that the node's rules allow.
    All,
    /// The named targets.
    Listed(Box<[Box<str>]>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rights {
    All,
    Listed(Box<ListedRights>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct ListedRights {
    rules: Box<[GrantRule]>,
    targets: Targets,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct GrantRule {
    pattern: ChannelName,
    access: Access,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Read,
    Write,
    ReadWrite,
}

impl Grant {
    /// Permission for everything that can be permitted, without end: for a server without auth.
    pub fn open() -> Self {
        Self { expires: None, subject: None, rights: Rights::All }
    }

    /// When the permission ends, in seconds since 1970; at most [`EXPIRES_UNIX_MAX`], so that
    /// turning it into milliseconds cannot overflow. The session ends then.
    pub fn expires(&self) -> Option<u64> {
        self.expires
    }

    /// The token's user, if the URL named none. (Where it did, the two are the same.)
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// Whether a subscription to this channel or pattern is allowed. Always false for reserved and
    /// for personal channels, also for the user's own: that one is the session's from the start.
    pub fn may_subscribe(&self, name: &ChannelName) -> bool {
        match name.kind() {
            ChannelKind::Reserved | ChannelKind::Personal { .. } => false,
            ChannelKind::PatternOne { prefix } | ChannelKind::PatternDeep { prefix }
                if is_personal(prefix) =>
            {
                false
            }
            ChannelKind::Exact | ChannelKind::PatternOne { .. } | ChannelKind::PatternDeep { .. } => {
                self.any_rule(|rule| rule.access.readable() && rule.pattern.covers(name))
            }
        }
    }

    /// Whether publishing to this channel is allowed. Never to patterns and reserved channels; to a
    /// personal channel only by a rule that begins with `/u`, since `/**` means the shared ones.
    pub fn may_publish(&self, channel: &ChannelName) -> bool {
        match channel.kind() {
            ChannelKind::Reserved | ChannelKind::PatternOne { .. } | ChannelKind::PatternDeep { .. } => false,
            ChannelKind::Personal { .. } => {
                self.any_rule(|rule| rule.access.writable() && rule.reaches_user(channel))
            }
            ChannelKind::Exact => {
                self.any_rule(|rule| rule.access.writable() && rule.pattern.covers(channel))
            }
        }
    }

    /// Whether streams to a TCP target are allowed.
    pub fn may_reach(&self, target: &str) -> bool {
        match &self.rights {
            Rights::All => true,
            Rights::Listed(listed) => match &listed.targets {
                Targets::All => true,
                Targets::Listed(names) => names.iter().any(|name| **name == *target),
            },
        }
    }

    /// Whether streams to addresses that the client names are allowed.
    pub fn may_name_addresses(&self) -> bool {
        match &self.rights {
            Rights::All => true,
            Rights::Listed(listed) => listed.targets == Targets::All,
        }
    }

    fn any_rule(&self, allows: impl Fn(&GrantRule) -> bool) -> bool {
        match &self.rights {
            Rights::All => true,
            Rights::Listed(listed) => listed.rules.iter().any(allows),
        }
    }
}

impl GrantRule {
    /// Patterns match no personal channel, yet a rule `/u/*` may let a user write to all others.
    fn reaches_user(&self, personal: &ChannelName) -> bool {
        match self.pattern.kind() {
            ChannelKind::PatternOne { prefix } | ChannelKind::PatternDeep { prefix } => is_personal(prefix),
            ChannelKind::Exact | ChannelKind::Personal { .. } | ChannelKind::Reserved => {
                self.pattern == *personal
            }
        }
    }
}

impl Access {
    fn readable(self) -> bool {
        matches!(self, Self::Read | Self::ReadWrite)
    }

    fn writable(self) -> bool {
        matches!(self, Self::Write | Self::ReadWrite)
    }
}

/// The claims that the server reads, each still as JSON text: so an error can name the claim
/// without the parser's message, which would quote the token.
#[derive(serde::Deserialize)]
struct ClaimFields<'a> {
    #[serde(borrow, default, deserialize_with = "crate::wire::json::present")]
    sub: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "crate::wire::json::present")]
    exp: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "crate::wire::json::present")]
    nbf: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "crate::wire::json::present")]
    aud: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "crate::wire::json::present")]
    channels: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "crate::wire::json::present")]
    iss: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "crate::wire::json::present")]
    tcp: Option<&'a RawValue>,
}

/// The values that tokens must name besides their user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// One of these, where a token has `aud`; `None`: anything.
    pub audiences: Option<Vec<String>>,
    /// This, in `iss`; `None`: anything.
    pub issuer: Option<String>,
}

/// Interprets the claims of a token whose signature is verified. Time is checked before the user,
/// so that any expired token is answered with `token-expired`.
pub(super) fn read(
    claims: &str,
    expected: &Expected,
    user: Option<&str>,
    unix_now: u64,
) -> Result<Grant, AuthReject> {
    // An array would fill the fields in order.
    if !claims.trim_start().starts_with('{') {
        return Err(AuthReject::Malformed);
    }
    let claims: ClaimFields<'_> = serde_json::from_str(claims).map_err(|_| AuthReject::Malformed)?;
    let expires = expiry(claims.exp, unix_now)?;
    check_not_before(claims.nbf, unix_now)?;
    check_audience(claims.aud, expected.audiences.as_deref())?;
    check_issuer(claims.iss, expected.issuer.as_deref())?;
    let subject = subject(claims.sub)?;
    if user.is_some_and(|user| user != subject) {
        return Err(AuthReject::ForeignUser);
    }
    let subject = if user.is_none() { Some(subject.into()) } else { None };
    let listed = ListedRights { rules: rules(claims.channels)?, targets: targets(claims.tcp)? };
    Ok(Grant { expires, subject, rights: Rights::Listed(Box::new(listed)) })
}

/// The `tcp` claim: names of targets; `*` stands for all, and for addresses.
fn targets(tcp: Option<&RawValue>) -> Result<Targets, AuthReject> {
    let bad =
        |_| AuthReject::BadClaim { claim: "tcp", expected: "an array of names of targets, or of \"*\"" };
    let names: Option<Box<[Box<str>]>> =
        tcp.map(|tcp| serde_json::from_str(tcp.get())).transpose().map_err(bad)?;
    let names = names.unwrap_or_default();
    if names.len() > RULES_MAX {
        return Err(AuthReject::TooManyRules);
    }
    Ok(if names.iter().any(|name| **name == *"*") { Targets::All } else { Targets::Listed(names) })
}

/// `exp` (RFC 7519, section 4.1.4): not accepted on or after it. No leeway: a session that began
/// within one would have to end at once.
fn expiry(exp: Option<&RawValue>, unix_now: u64) -> Result<Option<u64>, AuthReject> {
    let Some(exp) = exp else { return Ok(None) };
    let exp = whole(seconds(exp, "exp")?.floor());
    if exp <= unix_now { Err(AuthReject::Expired) } else { Ok(Some(exp)) }
}

/// `nbf` (RFC 7519, section 4.1.5), with [`NOT_BEFORE_LEEWAY_SECONDS`].
fn check_not_before(nbf: Option<&RawValue>, unix_now: u64) -> Result<(), AuthReject> {
    let Some(nbf) = nbf else { return Ok(()) };
    let nbf = whole(seconds(nbf, "nbf")?.ceil());
    if nbf > unix_now.saturating_add(NOT_BEFORE_LEEWAY_SECONDS) {
        Err(AuthReject::NotYetValid)
    } else {
        Ok(())
    }
}

/// A `NumericDate` (RFC 7519, section 2): it may have a fraction. One before 1970 or after 9999 is
/// a slip, mostly milliseconds; to take it for "never" would make an eternal token.
fn seconds(value: &RawValue, claim: &'static str) -> Result<f64, AuthReject> {
    let bad = AuthReject::BadClaim {
        claim,
        expected: "a number of seconds (not milliseconds) from 1970 to the year 9999",
    };
    let Ok(seconds) = serde_json::from_str::<f64>(value.get()) else { return Err(bad) };
    #[expect(clippy::cast_precision_loss, reason = "it is exact up to 2^53")]
    let latest = EXPIRES_UNIX_MAX as f64;
    if (0.0..=latest).contains(&seconds) { Ok(seconds) } else { Err(bad) }
}

#[expect(clippy::cast_sign_loss, reason = "what is before 1970 is refused")]
fn whole(seconds: f64) -> u64 {
    seconds as u64
}

/// `aud` (RFC 7519, section 4.1.3): a token that names its audiences must name us, or it was meant
/// for another service that trusts the same key.
fn check_audience(aud: Option<&RawValue>, wanted: Option<&[String]>) -> Result<(), AuthReject> {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Audience {
        One(String),
        Several(Vec<String>),
    }
    let Some(aud) = aud else { return Ok(()) };
    let bad = AuthReject::BadClaim { claim: "aud", expected: "a string or an array of strings" };
    let named = match serde_json::from_str(aud.get()).map_err(|_| bad)? {
        Audience::One(one) => vec![one],
        Audience::Several(several) => several,
    };
    let Some(wanted) = wanted else { return Ok(()) };
    if named.iter().any(|one| wanted.contains(one)) {
        return Ok(());
    }
    Err(AuthReject::ForeignAudience { named: listed(&named, "empty"), wanted: listed(wanted, "nothing") })
}

/// `iss` (RFC 7519, section 4.1.1), if the operator requires one.
fn check_issuer(iss: Option<&RawValue>, wanted: Option<&str>) -> Result<(), AuthReject> {
    let bad = |_| AuthReject::BadClaim { claim: "iss", expected: "a string" };
    let named: Option<String> = iss.map(|iss| serde_json::from_str(iss.get())).transpose().map_err(bad)?;
    match (named, wanted) {
        (named, Some(wanted)) if named.as_deref() != Some(wanted) => {
            let named = named.map(|named| shown(&named)).unwrap_or_default();
            Err(AuthReject::ForeignIssuer { named, wanted: shown(wanted) })
        }
        _ => Ok(()),
    }
}

/// Some of these names, for a sentence.
fn listed(names: &[String], none: &str) -> Box<str> {
    let more = if names.len() > SHOWN_NAMES_MAX { ", …" } else { "" };
    let some = names.iter().take(SHOWN_NAMES_MAX).map(|name| shown(name)).collect::<Vec<_>>().join(", ");
    if names.is_empty() { none.into() } else { format!("{some}{more}").into() }
}

fn subject(sub: Option<&RawValue>) -> Result<String, AuthReject> {
    let bad = AuthReject::BadClaim { claim: "sub", expected: "a string of 1 to 128 bytes without NUL" };
    let sub = sub.ok_or(AuthReject::NoSubject)?;
    let Ok(sub) = serde_json::from_str::<String>(sub.get()) else { return Err(bad) };
    if sub.is_empty() || sub.len() > USER_BYTES_MAX || sub.contains('\0') {
        return Err(bad);
    }
    Ok(sub)
}

fn rules(channels: Option<&RawValue>) -> Result<Box<[GrantRule]>, AuthReject> {
    let Some(channels) = channels else { return Ok(Box::default()) };
    let bad = AuthReject::BadClaim {
        claim: "channels",
        expected: "an object of patterns and \"r\", \"w\" or \"rw\"",
    };
    let Pairs(pairs) = serde_json::from_str(channels.get()).map_err(|_| bad)?;
    if pairs.len() > RULES_MAX {
        return Err(AuthReject::TooManyRules);
    }
    let rules = pairs.iter().enumerate().map(|(index, (pattern, access))| rule(index + 1, pattern, access));
    let rules: Box<[GrantRule]> = rules.collect::<Result<_, _>>()?;
    let mut patterns: Vec<_> = rules.iter().map(|rule| &rule.pattern).collect();
    patterns.sort_unstable();
    // Two meanings for one pattern: whichever we took, the issuer might have meant the other.
    if patterns.is_sorted_by(|one, next| one < next) { Ok(rules) } else { Err(AuthReject::RepeatedRule) }
}

fn rule(rule: usize, pattern: &str, access: &str) -> Result<GrantRule, AuthReject> {
    let pattern = ChannelName::parse(pattern).map_err(|why| AuthReject::BadRule { rule, why })?;
    if pattern.kind() == ChannelKind::Reserved {
        return Err(AuthReject::ReservedRule { rule });
    }
    let access = match access {
        "r" => Access::Read,
        "w" => Access::Write,
        "rw" => Access::ReadWrite,
        _ => return Err(AuthReject::BadAccess { rule }),
    };
    Ok(GrantRule { pattern, access })
}

/// The pairs of a JSON object in their order, repeated keys and all (a map would hide them). There
/// are no more than fit into a token.
struct Pairs(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PairsVisitor)
    }
}

struct PairsVisitor;

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = Pairs;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(Pairs(pairs))
    }
}

/// Whether a pattern with this prefix names personal channels.
fn is_personal(prefix: &str) -> bool {
    prefix == "/u"
}
