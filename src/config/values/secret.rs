//! Keys. A [`Secret`] reveals its text only through [`Secret::expose`], so that neither a log line
//! nor a debug print leaks it.

use crate::config::limits::{API_KEY_BYTES_MIN, KEY_BYTES_MAX, TOKEN_SECRET_BYTES_MIN};
use std::fmt;
use std::path::{Path, PathBuf};

use super::mistaken::{is_path, mistaken};

/// A text that must not be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// The key that verifies users' tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenKey {
    /// A shared HMAC secret of at least 32 bytes (RFC 7518 section 3.2).
    Secret(Secret),
    /// The path of a PEM file with a public key. It is not opened here.
    PemFile(PathBuf),
}

/// The value of `ENCKE_AUTH`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMode {
    /// Tokens are required; there must be a key.
    Token,
    /// Any client may connect as any user, on purpose.
    None,
}

impl Secret {
    /// Keeps `text` from being shown.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that compares or signs with it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Reads an API key: it travels in a header field, so it is made of visible ASCII.
    pub(in crate::config) fn read_api_key(text: &str) -> Result<Self, String> {
        if text.len() < API_KEY_BYTES_MIN {
            return Err(format!("too short: {} of at least {API_KEY_BYTES_MIN} characters", text.len()));
        }
        if text.len() > KEY_BYTES_MAX {
            return Err(format!("too long: {} of at most {KEY_BYTES_MAX} characters", text.len()));
        }
        if let Some(reason) = mistaken(text) {
            return Err(reason.to_owned());
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("has a space, a control character or one outside ASCII".to_owned());
        }
        Ok(Self::new(text))
    }
}

impl Secret {
    /// Reads a secret for HMAC-SHA256, which needs as many bytes as its hash (RFC 7518, section
    /// 3.2).
    pub(in crate::config) fn read_hmac_key(text: &str) -> Result<Self, String> {
        if let Some(reason) = mistaken(text) {
            return Err(reason.to_owned());
        }
        if text.len() < TOKEN_SECRET_BYTES_MIN {
            return Err(format!("too short: {} of at least {TOKEN_SECRET_BYTES_MIN} bytes", text.len()));
        }
        if text.len() > KEY_BYTES_MAX {
            return Err(format!("too long: {} of at most {KEY_BYTES_MAX} bytes", text.len()));
        }
        Ok(Self::new(text))
    }
}

impl TokenKey {
    pub(in crate::config) fn read(text: &str) -> Result<Self, String> {
        let is_file = text.starts_with('/') || text.starts_with("./") || is_pem_file(text);
        if is_file && is_plain_path(text) {
            return Ok(Self::PemFile(PathBuf::from(text)));
        }
        Secret::read_hmac_key(text).map(Self::Secret)
    }
}

impl TokenKey {
    /// The path of the file, for a message; `None` if the value may be a secret in base64 that
    /// happens to begin with a slash.
    pub fn shown_path(&self) -> Option<&Path> {
        match self {
            Self::PemFile(path) => Some(path.as_path()).filter(|path| path.to_str().is_some_and(is_path)),
            Self::Secret(_) => None,
        }
    }
}

impl AuthMode {
    pub(in crate::config) fn read(text: &str) -> Result<Self, String> {
        match text {
            "token" => Ok(Self::Token),
            "none" => Ok(Self::None),
            other => Err(format!("{other:?} is neither token nor none")),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

fn is_pem_file(text: &str) -> bool {
    Path::new(text).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("pem"))
}

/// Whether a text that begins like a path is one: not quoted, on one line, and without references
/// for another program to expand.
fn is_plain_path(text: &str) -> bool {
    let has_reference = text.contains(['~', '$', '%', '@', '{', '\\']) || text.contains("://");
    text.trim() == text && !has_reference && !text.contains("-----")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_debug_print_does_not_hold_the_secret() {
        let key = TokenKey::read(&"hush".repeat(8)).unwrap();
        assert!(!format!("{key:?}").contains("hush"));
    }

    #[test]
    fn a_path_is_distinguished_from_a_secret() {
        for path in ["/run/secrets/jwt", "./key.pub", "keys/jwt.pem", "jwt.pem", "../keys/jwt.pem", "/k"] {
            assert_eq!(TokenKey::read(path), Ok(TokenKey::PemFile(path.into())));
        }
        let secret = "0123456789abcdef0123456789abcde/";
        assert_eq!(TokenKey::read(secret), Ok(TokenKey::Secret(Secret::new(secret))));
    }

    #[test]
    fn a_path_in_another_spelling_is_neither_a_path_nor_a_secret() {
        for text in [
            "file:///run/secrets/encke/jwt.pem",
            "~/keys/production/encke/jwt.pem",
            "@/run/secrets/encke/jwt_public.pem",
            "config/keys/production/jwt-public.key",
            "C:\\secrets\\production\\encke\\jwt.pem",
            "${HOME}/keys/production/encke/jwt.pem",
            "\"/run/secrets/encke/production/jwt.pem\"",
            "/run/secrets/encke/production/jwt.pem\n",
        ] {
            assert!(TokenKey::read(text).is_err(), "{text}");
            assert!(Secret::read_api_key(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_secret_that_begins_with_a_slash_is_not_shown_as_a_path() {
        let shown = |text: &str| TokenKey::read(text).unwrap().shown_path().map(Path::to_owned);
        assert_eq!(shown("/run/secrets/jwt"), Some("/run/secrets/jwt".into()));
        assert_eq!(shown("/keys/Jwt.pem"), Some("/keys/Jwt.pem".into()));
        assert_eq!(shown("/u8Jz3kQ0Zb1+Yx7Vw2TgLm9Rn4Pp5Ss6Aa8Dd1Ff2="), None);
    }

    #[test]
    fn the_last_byte_that_is_missing_refuses_a_key() {
        assert!(TokenKey::read(&"x".repeat(31)).is_err());
        assert!(TokenKey::read(&"x".repeat(32)).is_ok());
        assert!(Secret::read_api_key(&"x".repeat(15)).is_err());
        assert!(Secret::read_api_key(&"x".repeat(16)).is_ok());
        assert!(Secret::read_api_key(&"x".repeat(1025)).is_err());
    }

    #[test]
    fn no_refusal_repeats_the_key() {
        for text in
            ["hush", "hush hush hush hush", "hushhushhushhush\u{e9}", "-----BEGIN PUBLIC KEY-----hush"]
        {
            for reason in [TokenKey::read(text).err(), Secret::read_api_key(text).err()].into_iter().flatten()
            {
                assert!(!reason.contains("hush"), "{reason}");
            }
        }
    }
}
