//! The header of a token (RFC 7515, section 4): its algorithm and its key.
//!
//! Issuers put all kinds of members into it, of any JSON type. These are ignored, since the header
//! is not trusted: only `alg` and `kid` are used, and the two members that change the meaning of a
//! token, `crit` and `b64`, refuse it.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::auth::AuthReject;
use crate::auth::limits::SHOWN_NAMES_MAX;
use crate::auth::reject::shown;

/// The used members of a header.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct JoseHeader {
    pub(super) algorithm: Algorithm,
    /// The id of its key. A value that is not a string names none.
    pub(super) key: Option<String>,
}

#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow, default, deserialize_with = "crate::wire::json::present")]
    alg: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "crate::wire::json::present")]
    kid: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "crate::wire::json::present")]
    crit: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "crate::wire::json::present")]
    b64: Option<&'a RawValue>,
}

/// Reads the first part of a token. `allowed` lists the algorithms of the server's keys.
pub(super) fn read(part: &str, allowed: impl Fn() -> Box<str>) -> Result<JoseHeader, AuthReject> {
    let bad = || AuthReject::BadHeader { allowed: allowed() };
    let json = BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| bad())?;
    let json = str::from_utf8(&json).map_err(|_| bad())?;
    // An array would fill the fields in order.
    if !json.trim_start().starts_with('{') {
        return Err(bad());
    }
    let members: Members<'_> = serde_json::from_str(json).map_err(|_| bad())?;
    // Extensions marked critical must be understood (section 4.1.11); none is.
    if let Some(crit) = members.crit {
        return Err(AuthReject::CriticalExtension { names: names(crit) });
    }
    // RFC 7797: without base64 the signature is over other bytes. JWTs may not do so (section 7
    // there).
    if members.b64.is_some_and(|b64| b64.get() != "true") {
        return Err(AuthReject::NotBase64);
    }
    let alg: String = members.alg.and_then(|alg| serde_json::from_str(alg.get()).ok()).ok_or_else(bad)?;
    let wrong = || AuthReject::WrongAlgorithm { named: shown(&alg), allowed: allowed() };
    // Names that the crate does not know, `none` among them, do not parse.
    let algorithm = alg.parse().map_err(|_| wrong())?;
    let key = members.kid.and_then(|kid| serde_json::from_str(kid.get()).ok());
    Ok(JoseHeader { algorithm, key })
}

/// The extensions that `crit` lists, as far as it is a list.
fn names(crit: &RawValue) -> Box<str> {
    let names: Vec<Value> = serde_json::from_str(crit.get()).unwrap_or_default();
    let names = names.iter().take(SHOWN_NAMES_MAX).map(|name| name.as_str().map_or("?".into(), shown));
    names.collect::<Vec<_>>().join(", ").into()
}
