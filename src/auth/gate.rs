//! The token verifier, the allowed origins, and the API key. Read at start and at HUP, shared by
//! all shards.

use std::sync::Arc;

use crate::auth::origins::{Hosts, Origins};
use crate::auth::{ApiKey, Expected, KeyFault, KeyMaterial, KeySet, Verifier};
use crate::config::{Config, TokenKey};

/// The gate-keeping part of the configuration, loaded.
#[derive(Debug, Default)]
pub struct Keys {
    /// Checks users' tokens; without one, everyone may do everything.
    pub verifier: Option<Verifier>,
    /// Foreign pages that may connect.
    pub origins: Origins,
    /// The key that backends must send; `None` if they need none.
    pub api_key: Option<ApiKey>,
}

impl Keys {
    /// The keys of a configuration. `pem` is the text of the file that `ENCKE_TOKEN_KEY` names, if
    /// it names one.
    ///
    /// # Errors
    /// If the token key is none.
    pub fn new(config: &Config, pem: Option<&str>) -> Result<Self, KeyFault> {
        let material = config.token_key.as_ref().map(|key| match key {
            TokenKey::Secret(secret) => KeyMaterial::Secret(secret.expose().as_bytes().to_vec()),
            TokenKey::PemFile(_) => KeyMaterial::Pem(pem.unwrap_or_default().to_owned()),
        });
        Ok(Self {
            verifier: material.map(|material| Verifier::new(&material, expected(config))).transpose()?,
            origins: Origins::new(&config.origins, Hosts::new(config)),
            api_key: config.api_key.as_ref().map(|key| ApiKey::new(key.expose())),
        })
    }

    /// The same with keys that were fetched from `ENCKE_TOKEN_KEYS_URL`, or why there are none yet.
    #[must_use]
    pub fn with_fetched(self, config: &Config, fetched: Result<Arc<KeySet>, &str>) -> Self {
        Self { verifier: Some(Verifier::fetched(fetched, expected(config))), ..self }
    }

    /// No auth, no foreign origins, no API key: for loopback and for tests.
    pub fn open() -> Self {
        Self::default()
    }
}

fn expected(config: &Config) -> Expected {
    Expected { audiences: config.token_audiences.clone(), issuer: config.token_issuer.clone() }
}
