//! TLS for outgoing calls: the provider and the trusted authorities. Nothing here serves TLS.

use std::sync::Arc;

use rustls::crypto::ring;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

/// Trusts the certificate authorities of the system, or those of `SSL_CERT_FILE` and
/// `SSL_CERT_DIR`: an issuer inside a company often has a certificate of its own.
///
/// # Errors
/// If there are none.
pub(super) fn config() -> Result<TlsConfig, String> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let why = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
        return Err(format!(
            "https needs trusted certificate authorities, and the system has none{why}: install ca-certificates, or set SSL_CERT_FILE"
        ));
    }
    let roots: Vec<_> =
        found.certs.iter().map(|one| Certificate::from_der(one.as_ref()).to_owned()).collect();
    Ok(TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
        .root_certs(RootCerts::new_with_certs(&roots))
        .build())
}
