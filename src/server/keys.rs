//! The keys that verify tokens: read at the start, at HUP, and by `encke check`; or the issuer's,
//! as last fetched.

use std::io::{ErrorKind, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

use crate::auth::KeySet;
use crate::auth::gate::Keys;
use crate::config::{Config, TokenKey};
use crate::reactor::mailbox::MailboxSender;
use crate::reactor::post::ThreadReport;
use crate::reactor::tls::connectors;
use crate::reactor::token_keys;
use crate::reactor::token_keys::{Asker, Fetcher};
use crate::server::Fault;
use crate::server::limits::PEM_BYTES_MAX;

/// Finds the faults in key files and in the issuer's keys that the start would find; returns a
/// report of the keys.
///
/// # Errors
/// The fault that would stop the start, or leave the node unready.
pub fn check(config: &Config) -> Result<Option<String>, Fault> {
    load(config)?;
    connectors(config).map_err(super::unreachable_targets)?;
    let fetched = token_keys::fetch_once(config).map_err(cannot_fetch)?;
    Ok(fetched.map(|keys| format!("ENCKE_TOKEN_KEYS_URL has {keys}")))
}

/// The issuer's keys as the main thread has them.
pub(super) struct Issuer {
    asker: Asker,
    fetched: Result<Arc<KeySet>, String>,
}

impl Issuer {
    /// No keys yet, and the fetcher, if configured.
    pub(super) fn new(
        config: &Config,
        reports: MailboxSender<ThreadReport>,
    ) -> Result<(Self, Option<Fetcher>), Fault> {
        let (asker, fetcher) = token_keys::token_keys(config, reports).map_err(cannot_fetch)?;
        Ok((Self { asker, fetched: Err("the first fetch is under way".to_owned()) }, fetcher))
    }

    /// A handle for the shards.
    pub(super) fn asker(&self) -> Asker {
        self.asker.clone()
    }

    /// All current keys: the configured ones reread, the issuer's as last fetched.
    pub(super) fn load(&self, config: &Config) -> Result<Arc<Keys>, Fault> {
        let keys = load(config)?;
        Ok(Arc::new(match config.token_keys_url {
            Some(_) => {
                keys.with_fetched(config, self.fetched.as_ref().map(Arc::clone).map_err(String::as_str))
            }
            None => keys,
        }))
    }

    /// Handles the result of a fetch. If it failed, earlier keys stay in use.
    pub(super) fn take(&mut self, result: Result<KeySet, String>) {
        match (result, &self.fetched) {
            (Ok(keys), before) => {
                let fetched = keys.to_string();
                if before.as_ref().map_or(true, |before| before.to_string() != fetched) {
                    log::info!("token keys fetched: {fetched}");
                }
                self.fetched = Ok(Arc::new(keys));
            }
            (Err(reason), Ok(_)) => log::warn!("keeping the previous token keys: {reason}"),
            (Err(reason), Err(_)) => {
                log::warn!("no token can be verified (ENCKE_TOKEN_KEYS_URL): {reason}");
                self.fetched = Err(reason);
            }
        }
    }
}

fn cannot_fetch(reason: String) -> Fault {
    Fault::other("fetch the keys of ENCKE_TOKEN_KEYS_URL", reason)
}

/// Reads the token key's file, if there is one, and builds the checks of tokens and origins.
fn load(config: &Config) -> Result<Keys, Fault> {
    let pem = match &config.token_key {
        Some(key @ TokenKey::PemFile(path)) => {
            let shown =
                key.shown_path().map_or("the file (hidden)".into(), |path| path.display().to_string());
            let doing = format!(
                "read {shown} (ENCKE_TOKEN_KEY; a value that begins with / or ./ or ends in .pem is a path)"
            );
            Some(read_pem(path).map_err(Fault::doing(doing))?)
        }
        Some(TokenKey::Secret(_)) | None => None,
    };
    let keys = Keys::new(config, pem.as_deref());
    keys.map_err(|reason| Fault::other("use the key of ENCKE_TOKEN_KEY", reason))
}

/// The text of a small regular file: a pipe would block the start, and a device may be endless.
fn read_pem(path: &Path) -> io::Result<String> {
    let other = |reason: &str| io::Error::new(ErrorKind::InvalidInput, reason);
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(other("it is not a regular file"));
    }
    if metadata.len() > PEM_BYTES_MAX {
        return Err(other("it is larger than 64 KiB, too large for a key"));
    }
    let mut text = String::new();
    fs::File::open(path)?.take(PEM_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use crate::server::keys::*;

    fn fault(path: &str) -> Fault {
        let token_key = Some(TokenKey::PemFile(path.into()));
        load(&Config { token_key, ..Config::default() }).unwrap_err()
    }

    #[test]
    fn a_key_file_that_is_missing_is_named_with_its_variable() {
        let missing = fault("/nowhere/key.pem");
        assert_eq!(missing.kind(), ErrorKind::NotFound);
        assert!(
            missing.to_string().starts_with("could not read /nowhere/key.pem (ENCKE_TOKEN_KEY"),
            "{missing}"
        );
    }

    #[test]
    fn what_may_be_a_secret_is_not_shown_as_a_path() {
        let text = fault("/u8Jz3kQ0Zb1+Yx7Vw2TgLm9Rn4Pp5Ss6Aa8Dd1Ff2=").to_string();
        assert!(text.contains("(hidden)") && !text.contains("u8Jz"), "{text}");
    }

    #[test]
    fn what_is_no_small_file_is_refused_and_not_read() {
        for path in ["/dev/zero", "/", "/proc/self/cwd"] {
            let text = fault(path).to_string();
            assert!(text.contains("not a regular file"), "{text}");
        }
    }
}
