//! Makes tokens for development, with the secret that the node verifies them with.
//!
//! Only a configured secret can sign: a public key verifies, and fetched keys are another issuer's.
//! A token leaves here only if this very configuration accepts it, so that each rule about users,
//! channels and times has one place, the verifier. Nothing here reads a clock.

use std::fmt;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::{Serialize, Serializer};

use crate::auth::AuthReject;
use crate::auth::gate::Keys;
use crate::auth::keys::KeyFault;
use crate::config::{Config, TokenKey};

/// The content of a token.
#[derive(Debug, Serialize)]
pub struct Claims {
    /// The user.
    #[serde(rename = "sub")]
    pub user: String,
    /// When the token ends, in seconds since 1970.
    #[serde(rename = "exp")]
    pub expires: u64,
    /// Patterns with `r`, `w` or `rw`, in the order in which errors count them.
    #[serde(serialize_with = "as_object")]
    pub channels: Vec<(String, String)>,
}

/// Why a token is not issued.
#[derive(Debug, PartialEq, Eq)]
pub enum NotIssued {
    /// No token key is configured.
    NoKey,
    /// The configured key is public.
    PublicKey,
    /// The keys are fetched from their issuer.
    FetchedKeys,
    /// The configured key cannot be used.
    Key(KeyFault),
    /// The node would refuse this token.
    Refused(AuthReject),
    /// The token could not be signed.
    Unsigned(String),
}

impl Claims {
    /// Signs a token with HS256 that a node with this configuration accepts at `unix_now`.
    ///
    /// # Errors
    /// [`NotIssued`], whose text names the variable or the claim.
    pub fn issue(&self, config: &Config, unix_now: u64) -> Result<String, NotIssued> {
        let secret = match &config.token_key {
            Some(TokenKey::Secret(secret)) => secret.expose(),
            Some(TokenKey::PemFile(_)) => return Err(NotIssued::PublicKey),
            None if config.token_keys_url.is_some() => return Err(NotIssued::FetchedKeys),
            None => return Err(NotIssued::NoKey),
        };
        let issued = Issued { claims: self, issuer: config.token_issuer.as_deref() };
        let key = EncodingKey::from_secret(secret.as_bytes());
        let token = encode(&Header::new(Algorithm::HS256), &issued, &key)
            .map_err(|error| NotIssued::Unsigned(error.to_string()))?;
        let keys = Keys::new(config, None).map_err(NotIssued::Key)?;
        let verifier = keys.verifier.ok_or(NotIssued::NoKey)?;
        verifier.verify(&token, Some(&self.user), unix_now).map_err(NotIssued::Refused)?;
        Ok(token)
    }
}

/// The claims, with the issuer that the configuration requires.
#[derive(Serialize)]
struct Issued<'a> {
    #[serde(flatten)]
    claims: &'a Claims,
    #[serde(rename = "iss", skip_serializing_if = "Option::is_none")]
    issuer: Option<&'a str>,
}

/// Keeps repeated patterns, which the verifier refuses; a map would drop one in silence.
fn as_object<S: Serializer>(pairs: &[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(pattern, access)| (pattern, access)))
}

impl fmt::Display for NotIssued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKey => f.write_str(
                "ENCKE_TOKEN_KEY is not set, so the node needs no tokens; set it to the node's secret \
                 (openssl rand -hex 32 makes one)",
            ),
            Self::PublicKey => f.write_str(
                "ENCKE_TOKEN_KEY is the path of a public key, which only verifies; sign where its private key is, \
                 or use a secret for development",
            ),
            Self::FetchedKeys => f.write_str(
                "with ENCKE_TOKEN_KEYS_URL the issuer signs; use a secret in ENCKE_TOKEN_KEY for development",
            ),
            Self::Key(fault) => fault.fmt(f),
            Self::Refused(reject) => write!(f, "the node would refuse this token: {reject}"),
            Self::Unsigned(reason) => write!(f, "the token cannot be signed: {reason}"),
        }
    }
}

impl std::error::Error for NotIssued {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;
    use crate::wire::channel_name::ChannelName;

    const NOW: u64 = 1_700_000_000;

    fn with_secret() -> Config {
        let secret = Secret::new("a secret of thirty-two bytes, only for tests");
        Config { token_key: Some(TokenKey::Secret(secret)), ..Config::default() }
    }

    fn claims(channels: &[(&str, &str)]) -> Claims {
        let channels =
            channels.iter().map(|(pattern, access)| ((*pattern).to_owned(), (*access).to_owned())).collect();
        Claims { user: "alice".to_owned(), expires: NOW + 60, channels }
    }

    #[test]
    fn an_issued_token_grants_what_was_asked_for() {
        let config = Config { token_issuer: Some("https://issuer.example".to_owned()), ..with_secret() };
        let token = claims(&[("/chat/**", "rw"), ("/news", "r")]).issue(&config, NOW).unwrap();
        let keys = Keys::new(&config, None).unwrap();
        let grant = keys.verifier.unwrap().verify(&token, Some("alice"), NOW).unwrap();
        let name = |text| ChannelName::parse(text).unwrap();
        assert_eq!(grant.expires(), Some(NOW + 60));
        assert!(grant.may_publish(&name("/chat/room1")) && grant.may_subscribe(&name("/chat/*")));
        assert!(!grant.may_publish(&name("/news")) && grant.may_subscribe(&name("/news")));
    }

    #[test]
    fn only_a_secret_signs() {
        let issue = |config| claims(&[]).issue(&config, NOW).unwrap_err();
        let public = TokenKey::PemFile("/keys/public.pem".into());
        assert_eq!(issue(Config { token_key: Some(public), ..Config::default() }), NotIssued::PublicKey);
        assert_eq!(issue(Config::default()), NotIssued::NoKey);
    }

    #[test]
    fn what_the_node_would_refuse_is_not_issued() {
        let refused = |claims: Claims, reason: &str| {
            let error = claims.issue(&with_secret(), NOW).unwrap_err().to_string();
            assert!(
                error.starts_with("the node would refuse this token: ") && error.contains(reason),
                "{error}"
            );
        };
        refused(claims(&[("/chat", "x")]), "rule 1 of the token's channels does not grant");
        refused(claims(&[("/chat", "r"), ("chat", "r")]), "rule 2");
        refused(claims(&[("/chat", "r"), ("/chat", "w")]), "two rules for one pattern");
        refused(Claims { user: String::new(), ..claims(&[]) }, "sub");
        refused(Claims { expires: NOW, ..claims(&[]) }, "expired");
    }
}
