//! The keys that tokens are checked with: read at the start, at HUP, and by `encke check`.

use std::fs;
use std::io::{self, ErrorKind, Read as _};
use std::path::Path;
use std::sync::Arc;

use super::Fault;
use crate::config::{Config, TokenKey};
use crate::shard::Keys;

/// What the start would find wrong with what the configuration names: files of keys.
///
/// # Errors
/// The fault that would stop the start.
pub fn check(config: &Config) -> Result<(), Fault> {
    load(config).map(drop)
}

/// Reads the token key's file, if there is one, and makes what checks tokens and origins.
pub(super) fn load(config: &Config) -> Result<Arc<Keys>, Fault> {
    let pem = match &config.token_key {
        Some(key @ TokenKey::PemFile(path)) => {
            let shown =
                key.shown_path().map_or("the file (hidden)".into(), |path| path.display().to_string());
            let doing =
                format!("read {shown} (ENCKE_TOKEN_KEY; what begins with / or ./ or ends in .pem is a path)");
            Some(read_pem(path).map_err(Fault::doing(doing))?)
        }
        Some(TokenKey::Secret(_)) | None => None,
    };
    let keys = Keys::new(config, pem.as_deref());
    keys.map(Arc::new).map_err(|reason| Fault::other("use the key of ENCKE_TOKEN_KEY", reason))
}

/// The text of a small regular file: a pipe would hold the start up, and a device may have no end.
fn read_pem(path: &Path) -> io::Result<String> {
    let other = |reason: &str| io::Error::new(ErrorKind::InvalidInput, reason);
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(other("it is no regular file"));
    }
    if metadata.len() > PEM_BYTES_MAX {
        return Err(other("it has more than 64 KiB, which no key has"));
    }
    let mut text = String::new();
    fs::File::open(path)?.take(PEM_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// Bytes of a key's file. A certificate's chain, which is refused with its reason, fits.
const PEM_BYTES_MAX: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

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
        let said = fault("/u8Jz3kQ0Zb1+Yx7Vw2TgLm9Rn4Pp5Ss6Aa8Dd1Ff2=").to_string();
        assert!(said.contains("(hidden)") && !said.contains("u8Jz"), "{said}");
    }

    #[test]
    fn what_is_no_small_file_is_refused_and_not_read() {
        for path in ["/dev/zero", "/", "/proc/self/cwd"] {
            let said = fault(path).to_string();
            assert!(said.contains("no regular file"), "{said}");
        }
    }
}
