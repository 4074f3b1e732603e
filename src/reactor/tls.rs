//! TLS for outgoing connections: the provider, the trusted authorities, and connections to targets.
//! Nothing here serves TLS.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, IoSlice, Read as _, Write as _};
use std::net::Shutdown;
use std::path::Path;
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

use crate::config::{Config, TargetPlace, TargetTls};

/// Trusts the certificate authorities of the system, or those of `SSL_CERT_FILE` and
/// `SSL_CERT_DIR`: an issuer inside a company often has a certificate of its own.
///
/// # Errors
/// If there are none.
pub(super) fn config() -> Result<TlsConfig, String> {
    let roots: Vec<_> =
        system_roots()?.iter().map(|one| Certificate::from_der(one.as_ref()).to_owned()).collect();
    Ok(TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
        .root_certs(RootCerts::new_with_certs(&roots))
        .build())
}

fn system_roots() -> Result<Vec<CertificateDer<'static>>, String> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let why = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
        return Err(format!(
            "https needs trusted certificate authorities, and the system has none{why}: install ca-certificates, or set SSL_CERT_FILE"
        ));
    }
    Ok(found.certs)
}

/// The TLS settings of all targets that have any, by their names.
pub type TargetConnectors = Arc<BTreeMap<Box<str>, TargetConnector>>;

/// How connections to one target are encrypted.
#[derive(Clone)]
pub struct TargetConnector {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

/// Reads the files of all targets.
///
/// # Errors
/// What is wrong with a target's files or name.
pub fn connectors(config: &Config) -> Result<TargetConnectors, String> {
    let with_tls = config.tcp.targets.iter().filter_map(|target| Some((target, target.tls.as_ref()?)));
    let all = with_tls.map(|(target, tls)| {
        let connector = TargetConnector::new(&target.place, tls);
        let connector = connector.map_err(|why| format!("the target {}: {why}", target.name))?;
        Ok((target.name.clone(), connector))
    });
    all.collect::<Result<BTreeMap<_, _>, String>>().map(Arc::new)
}

impl TargetConnector {
    fn new(place: &TargetPlace, tls: &TargetTls) -> Result<Self, String> {
        let host = match place {
            TargetPlace::Tcp { host, .. } => host,
            TargetPlace::Unix(_) => "",
        };
        let name = tls.name.as_deref().unwrap_or(host).to_owned();
        let name = ServerName::try_from(name.clone())
            .map_err(|_| format!("{name:?} is no name that a certificate can have"))?;
        let mut roots = RootCertStore::empty();
        let trusted = match &tls.ca {
            Some(path) => certificates(path)?,
            None => system_roots()?,
        };
        roots.add_parsable_certificates(trusted);
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots);
        let config = match (&tls.cert, &tls.key) {
            (Some(cert), Some(path)) => {
                let key = PrivateKeyDer::from_pem_file(path)
                    .map_err(|error| format!("{}: {error}", path.display()))?;
                builder.with_client_auth_cert(certificates(cert)?, key).map_err(|error| error.to_string())?
            }
            (Some(_) | None, _) => builder.with_no_client_auth(),
        };
        Ok(Self { config: Arc::new(config), name })
    }

    /// Begins TLS over a connection.
    pub(super) fn connect(&self, stream: TcpStream) -> Result<TlsStream, String> {
        let session = ClientConnection::new(Arc::clone(&self.config), self.name.clone());
        let session = session.map_err(|error| error.to_string())?;
        Ok(TlsStream { stream, session, closing: TlsClosing::No })
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let failed = |error: rustls::pki_types::pem::Error| format!("{}: {error}", path.display());
    let all: Vec<_> =
        CertificateDer::pem_file_iter(path).map_err(failed)?.collect::<Result<_, _>>().map_err(failed)?;
    if all.is_empty() { Err(format!("{}: no certificate in it", path.display())) } else { Ok(all) }
}

/// A connection by TLS.
#[derive(Debug)]
pub struct TlsStream {
    pub(super) stream: TcpStream,
    session: ClientConnection,
    closing: TlsClosing,
}

/// Whether our half is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TlsClosing {
    No,
    /// Once everything is written.
    Asked,
    Done,
}

/// How far a handshake is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TlsHandshake {
    /// An event follows.
    Going,
    Done,
}

impl TlsStream {
    /// Goes on with the handshake as far as the socket lets it.
    pub(super) fn handshake(&mut self) -> io::Result<TlsHandshake> {
        while self.session.is_handshaking() {
            self.flush()?;
            if !self.session.is_handshaking() {
                break;
            }
            match self.session.read_tls(&mut self.stream) {
                Ok(0) => {
                    return Err(io::Error::new(ErrorKind::UnexpectedEof, "the server closed the connection"));
                }
                Ok(_) => self.process()?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(TlsHandshake::Going),
                Err(error) => return Err(error),
            }
        }
        self.flush()?;
        Ok(TlsHandshake::Done)
    }

    fn process(&mut self) -> io::Result<()> {
        let processed = self.session.process_new_packets();
        if let Err(error) = processed {
            // The alert that says why.
            let _ = self.flush();
            return Err(io::Error::new(ErrorKind::InvalidData, error));
        }
        Ok(())
    }

    /// Reads once, like a socket.
    pub(super) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(into) {
                // A server that closes without saying so by TLS has ended, too.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                done => return done,
            }
            if self.session.read_tls(&mut self.stream)? == 0 {
                return Ok(0);
            }
            self.process()?;
            self.flush()?;
        }
    }

    /// Writes as much as TLS and the kernel take.
    pub(super) fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.flush()?;
        if self.session.wants_write() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let taken = self.session.writer().write_vectored(slices)?;
        self.flush()?;
        Ok(taken)
    }

    /// Whether encrypted bytes wait for the socket.
    pub(super) fn is_blocked(&self) -> bool {
        self.session.wants_write()
    }

    /// Writes encrypted bytes until the kernel takes no more; then half-closes, if that was asked.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut self.stream) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        if self.closing == TlsClosing::Asked {
            self.closing = TlsClosing::Done;
            return self.stream.shutdown(Shutdown::Write);
        }
        Ok(())
    }

    /// Ends our half: by TLS, and then the connection's.
    pub(super) fn shutdown_write(&mut self) -> io::Result<()> {
        self.session.send_close_notify();
        self.closing = TlsClosing::Asked;
        self.flush()
    }
}
