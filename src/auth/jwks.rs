//! Key sets of an issuer: JSON Web Keys (RFC 7517) to keys that verify signatures.
//!
//! A set may hold keys for other purposes and of unknown kinds; they are ignored, as the RFC
//! requires (section 5). Symmetric keys are ignored too: a key that everybody can fetch is not
//! secret. This file does not fetch.

use std::fmt;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};

use crate::auth::keys;
use crate::auth::keys::{KeyKind, VerificationKey};
use crate::auth::limits::JWKS_KEYS_MAX;
use crate::auth::reject::shown;

/// The keys of a set that can be used. Never empty.
#[derive(Clone, Debug)]
pub struct KeySet {
    keys: Vec<JwksKey>,
    passed_over: Vec<String>,
}

/// One key of a set.
#[derive(Clone, Debug)]
pub(super) struct JwksKey {
    kid: Option<Box<str>>,
    key: VerificationKey,
}

impl KeySet {
    /// Parses a set.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence.
    pub fn read(json: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(json).map_err(|_| "it is not JSON".to_owned())?;
        let Some(Value::Array(items)) = value.get("keys") else {
            return Err("it is no JSON object with an array \"keys\" (RFC 7517, section 5)".to_owned());
        };
        if items.len() > JWKS_KEYS_MAX {
            return Err(format!("it holds {} keys; at most {JWKS_KEYS_MAX} are taken", items.len()));
        }
        let (mut keys, mut passed_over) = (Vec::new(), Vec::new());
        for (index, item) in items.iter().enumerate() {
            match item.as_object().ok_or_else(|| "no object".to_owned()).and_then(read_key) {
                Ok(key) => keys.push(key),
                Err(reason) => passed_over.push(format!("key {}: {reason}", index + 1)),
            }
        }
        if keys.is_empty() {
            let reasons = passed_over.first().map_or("it is empty", String::as_str);
            return Err(format!("it holds no key that can be used ({reasons})"));
        }
        Ok(Self { keys, passed_over })
    }

    /// The keys that a token may be signed with: those of its `kid`; without one, or if no key has
    /// that name but some have none, all of those. `None` if the `kid` is of no key.
    pub(super) fn named(&self, kid: Option<&str>) -> Option<Vec<&VerificationKey>> {
        let of = |wanted: Option<&str>| -> Vec<&VerificationKey> {
            self.keys.iter().filter(|named| named.kid.as_deref() == wanted).map(|named| &named.key).collect()
        };
        let Some(kid) = kid else { return Some(self.keys.iter().map(|named| &named.key).collect()) };
        [of(Some(kid)), of(None)].into_iter().find(|keys| !keys.is_empty())
    }

    /// How many keys can be used.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Always false: a set has at least one key.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// All algorithms of its keys, each once.
    pub(super) fn algorithms(&self) -> Vec<Algorithm> {
        let mut all: Vec<Algorithm> = Vec::new();
        for algorithm in self.keys.iter().flat_map(|named| named.key.algorithms()) {
            if !all.contains(algorithm) {
                all.push(*algorithm);
            }
        }
        all
    }
}

/// A summary for the log and for `encke check`.
impl fmt::Display for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} keys (", self.keys.len())?;
        for (index, JwksKey { kid, key }) in self.keys.iter().enumerate() {
            let kid = kid.as_deref().map_or("without kid".into(), shown);
            write!(f, "{}{kid}: {}", if index == 0 { "" } else { "; " }, keys::listed(key.algorithms()))?;
        }
        f.write_str(")")?;
        if let Some(first) = self.passed_over.first() {
            write!(f, ", {} passed over ({first})", self.passed_over.len())?;
        }
        Ok(())
    }
}

fn read_key(jwk: &Map<String, Value>) -> Result<JwksKey, String> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    let part = |name: &str| -> Result<Vec<u8>, String> {
        let text = text(name).ok_or_else(|| format!("no {name}"))?;
        BASE64_URL_SAFE_NO_PAD
            .decode(text.trim_end_matches('='))
            .map_err(|_| format!("{name} is not base64url"))
    };
    if let Some(usage) = jwk.get("use").filter(|usage| usage.as_str() != Some("sig")) {
        return Err(format!("use is {usage}, not \"sig\"").chars().take(80).collect());
    }
    if let Some(Value::Array(operations)) = jwk.get("key_ops")
        && !operations.iter().any(|operation| operation == "verify")
    {
        return Err("key_ops does not hold \"verify\"".to_owned());
    }
    if jwk.contains_key("d") {
        return Err("it is a private key".to_owned());
    }
    let key = match (text("kty"), text("crv")) {
        (Some("RSA"), _) => rsa(&part("n")?, &part("e")?)?,
        (Some("EC"), Some("P-256")) => ec(KeyKind::P256, 32, &part("x")?, &part("y")?)?,
        (Some("EC"), Some("P-384")) => ec(KeyKind::P384, 48, &part("x")?, &part("y")?)?,
        (Some("OKP"), Some("Ed25519")) => ed25519(&part("x")?)?,
        (Some("oct"), _) => return Err("a symmetric key is no public key".to_owned()),
        (kty, crv) => {
            let shown = |text: Option<&str>| text.map_or("missing".into(), shown);
            return Err(format!("kty {} with crv {} is not known", shown(kty), shown(crv)));
        }
    };
    let key = match jwk.get("alg") {
        None => key,
        Some(alg) => {
            let algorithm = alg.as_str().and_then(|alg| alg.parse().ok());
            let fitting = algorithm.and_then(|algorithm| key.only(algorithm));
            fitting.ok_or_else(|| {
                format!("alg {alg} is not for this kind of key").chars().take(80).collect::<String>()
            })?
        }
    };
    Ok(JwksKey { kid: text("kid").map(Into::into), key })
}

fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<VerificationKey, String> {
    let bits = keys::bits(modulus);
    if !keys::RSA_BITS.contains(&bits) {
        return Err(format!("RSA of {bits} bits; 2048 to 4096 are taken"));
    }
    // The range that the crate supports; others would make every signature wrong.
    if keys::bits(exponent) > 33
        || keys::bits(exponent) < 2
        || exponent.last().is_none_or(|last| last % 2 == 0)
    {
        return Err("e is no exponent of RSA".to_owned());
    }
    usable(KeyKind::Rsa, DecodingKey::from_rsa_raw_components(modulus, exponent))
}

fn ec(kind: KeyKind, bytes: usize, x: &[u8], y: &[u8]) -> Result<VerificationKey, String> {
    if x.len() != bytes || y.len() != bytes {
        return Err(format!("x and y must have {bytes} bytes each"));
    }
    // A point that is not compressed (SEC 1, section 2.3.3).
    usable(kind, DecodingKey::from_ec_der(&[&[4], x, y].concat()))
}

fn ed25519(x: &[u8]) -> Result<VerificationKey, String> {
    if x.len() != 32 {
        return Err("x must have 32 bytes".to_owned());
    }
    usable(KeyKind::Ed25519, DecodingKey::from_ed_der(x))
}

fn usable(kind: KeyKind, decoding: DecodingKey) -> Result<VerificationKey, String> {
    keys::check_usable(decoding, kind, keys::KeyFault::Unsupported)
        .map_err(|_| "it is no point of its curve".to_owned())
}
