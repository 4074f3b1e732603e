//! Who may come in: the token verifier, the allowed origins, the API key. Read at start and at HUP, shared by all shards.

use super::auth::{ApiKey, Verifier};
use super::origins::Origins;

/// The gate-keeping part of the configuration, loaded.
#[derive(Debug, Default)]
pub struct Keys {
    /// Checks users' tokens; without one, everyone may do everything.
    pub verifier: Option<Verifier>,
    /// Foreign pages that may connect.
    pub origins: Origins,
    /// What backends must show; without one, nothing.
    pub api_key: Option<ApiKey>,
}

impl Keys {
    /// No auth, no foreign origins, no API key: for loopback and for tests.
    pub fn open() -> Self {
        Self::default()
    }
}
