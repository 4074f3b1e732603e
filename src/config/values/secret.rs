//! Keys. A [`Secret`] shows itself to nobody who does not ask by name, so that neither a log line nor a
//! debug print gives it away.

use std::fmt;
use std::path::{Path, PathBuf};

/// A text that must not be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// What checks the tokens of users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenKey {
    /// A shared HMAC secret of at least 32 bytes (RFC 7518 section 3.2).
    Secret(Secret),
    /// The path of a PEM file with a public key. It is not opened here.
    PemFile(PathBuf),
}

/// What the operator says of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMode {
    /// Tokens are obligatory; there must be a key.
    Token,
    /// Anybody may connect as any user, and this is meant.
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
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("holds a space, a control character or one outside ASCII".to_owned());
        }
        Ok(Self::new(text))
    }
}

impl TokenKey {
    pub(in crate::config) fn read(text: &str) -> Result<Self, String> {
        if text.contains("-----BEGIN") {
            return Err("is a PEM text; put it into a file and give that file's path".to_owned());
        }
        if text.starts_with('/') || text.starts_with("./") || is_pem_file(text) {
            return Ok(Self::PemFile(PathBuf::from(text)));
        }
        if text.len() < TOKEN_SECRET_BYTES_MIN {
            return Err(format!("too short: {} of at least {TOKEN_SECRET_BYTES_MIN} bytes", text.len()));
        }
        if text.len() > KEY_BYTES_MAX {
            return Err(format!("too long: {} of at most {KEY_BYTES_MAX} bytes", text.len()));
        }
        Ok(Self::Secret(Secret::new(text)))
    }
}

impl AuthMode {
    pub(in crate::config) fn read(text: &str) -> Result<Self, String> {
        match text {
            "token" => Ok(Self::Token),
            "none" => Ok(Self::None),
            other => Err(format!("{other:?} is neither")),
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

/// 16 characters of base64 are 96 bits: beyond guessing over a network.
const API_KEY_BYTES_MIN: usize = 16;

/// HS256 wants a key of at least its hash's length, RFC 7518 section 3.2.
const TOKEN_SECRET_BYTES_MIN: usize = 32;

/// Longer than any key that is meant; a whole file pasted by mistake is caught.
const KEY_BYTES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_debug_print_does_not_hold_the_secret() {
        let key = TokenKey::read(&"hush".repeat(8)).unwrap();
        assert!(!format!("{key:?}").contains("hush"));
    }

    #[test]
    fn a_path_is_told_from_a_secret() {
        for path in ["/run/secrets/jwt", "./key.pub", "keys/jwt.pem", "jwt.pem"] {
            assert_eq!(TokenKey::read(path), Ok(TokenKey::PemFile(path.into())));
        }
        let secret = "0123456789abcdef0123456789abcde/";
        assert_eq!(TokenKey::read(secret), Ok(TokenKey::Secret(Secret::new(secret))));
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
