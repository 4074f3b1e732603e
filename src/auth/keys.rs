//! From key material to the algorithms that it is used with.
//!
//! Everything that can be wrong with a key is found here, at the start: a PEM file handed over as a
//! secret, a private key where the public one belongs, a curve or a size that the signatures could
//! never be checked with. Reading the file is the caller's.

use std::fmt;

use jsonwebtoken::crypto::verify;
use jsonwebtoken::{Algorithm, DecodingKey};

use crate::config::TOKEN_SECRET_BYTES_MIN;

/// The operator's token key. Its `Debug` shows no key.
#[derive(Clone, PartialEq, Eq)]
pub enum KeyMaterial {
    /// The bytes of an HMAC secret.
    Secret(Vec<u8>),
    /// The text of a PEM file with one public key (RFC 7468, section 13).
    Pem(String),
}

/// Why a key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFault {
    /// An HMAC secret of fewer than [`TOKEN_SECRET_BYTES_MIN`] bytes.
    SecretTooShort {
        /// Bytes in the secret.
        bytes: usize,
    },
    /// The text of a PEM file in place of a secret. Accepting it would let anyone with the public
    /// key sign tokens.
    PemAsSecret,
    /// No PEM block at all.
    NotPem,
    /// More than one PEM block.
    SeveralKeys,
    /// A private key.
    PrivateKey,
    /// A certificate.
    Certificate,
    /// A key of another kind, or a broken one.
    Unsupported,
    /// An elliptic-curve key on another curve than P-256 and P-384.
    WrongCurve,
    /// An RSA key whose modulus is outside of [`RSA_BITS`].
    RsaSize {
        /// Bits of its modulus.
        bits: usize,
    },
}

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::SecretTooShort { bytes } => write!(
                f,
                "the token secret has {bytes} bytes; it needs at least {TOKEN_SECRET_BYTES_MIN} \
                 (openssl rand -hex 32 makes a good one)"
            ),
            Self::PemAsSecret => {
                f.write_str("the token secret is the text of a PEM file; give the path of that file instead")
            }
            Self::NotPem => write!(f, "the token key file holds no PEM block; {ALLOWED}"),
            Self::SeveralKeys => write!(f, "the token key file holds more than one PEM block; {ALLOWED}"),
            Self::PrivateKey => f.write_str(
                "the token key file holds a private key; give the public one, which is all that checking \
                 needs (openssl pkey -in private.pem -pubout -out public.pem), and keep the private one \
                 with the program that signs",
            ),
            Self::Certificate => f.write_str(
                "the token key file holds a certificate; give its public key \
                 (openssl x509 -in certificate.pem -noout -pubkey)",
            ),
            Self::Unsupported => write!(f, "the token key file holds no key that can be used; {ALLOWED}"),
            Self::WrongCurve => {
                write!(f, "the token key is neither on the curve P-256 nor on P-384; {ALLOWED}")
            }
            Self::RsaSize { bits } => write!(f, "the token key is RSA of {bits} bits; {ALLOWED}"),
        }
    }
}

impl std::error::Error for KeyFault {}

impl fmt::Debug for KeyMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Secret(_) => "Secret(…)",
            Self::Pem(_) => "Pem(…)",
        })
    }
}

/// A usable key and its algorithms.
#[derive(Clone, Debug)]
pub(super) struct VerificationKey {
    algorithms: &'static [Algorithm],
    decoding: DecodingKey,
}

/// The kind of a key. The kind alone decides the algorithms: a public key is never an HMAC secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyKind {
    Secret,
    Rsa,
    P256,
    P384,
    Ed25519,
}

impl VerificationKey {
    pub(super) fn load(material: &KeyMaterial) -> Result<Self, KeyFault> {
        match material {
            KeyMaterial::Secret(secret) => load_secret(secret),
            KeyMaterial::Pem(text) => load_pem(text),
        }
    }

    /// The algorithms of tokens for this key.
    pub(super) fn algorithms(&self) -> &'static [Algorithm] {
        self.algorithms
    }

    /// The same for one algorithm alone, if it is for that.
    pub(super) fn only(self, algorithm: Algorithm) -> Option<Self> {
        let at = self.algorithms.iter().position(|one| *one == algorithm)?;
        Some(Self { algorithms: &self.algorithms[at..=at], ..self })
    }

    pub(super) fn decoding(&self) -> &DecodingKey {
        &self.decoding
    }
}

impl KeyKind {
    fn algorithms(self) -> &'static [Algorithm] {
        use Algorithm::{ES256, ES384, EdDSA, HS256, HS384, HS512, PS256, PS384, PS512, RS256, RS384, RS512};
        match self {
            Self::Secret => &[HS256, HS384, HS512],
            Self::Rsa => &[RS256, RS384, RS512, PS256, PS384, PS512],
            Self::P256 => &[ES256],
            Self::P384 => &[ES384],
            Self::Ed25519 => &[EdDSA],
        }
    }
}

/// The name of an algorithm, as in RFC 7518 section 3.1 and RFC 8037.
pub(super) fn name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::HS256 => "HS256",
        Algorithm::HS384 => "HS384",
        Algorithm::HS512 => "HS512",
        Algorithm::RS256 => "RS256",
        Algorithm::RS384 => "RS384",
        Algorithm::RS512 => "RS512",
        Algorithm::PS256 => "PS256",
        Algorithm::PS384 => "PS384",
        Algorithm::PS512 => "PS512",
        Algorithm::ES256 => "ES256",
        Algorithm::ES384 => "ES384",
        Algorithm::EdDSA => "EdDSA",
    }
}

/// Several names, for a sentence.
pub(super) fn listed(algorithms: &[Algorithm]) -> Box<str> {
    algorithms.iter().map(|algorithm| name(*algorithm)).collect::<Vec<_>>().join(", ").into()
}

fn load_secret(secret: &[u8]) -> Result<VerificationKey, KeyFault> {
    if secret.windows(PEM_BEGIN.len()).any(|window| window == PEM_BEGIN.as_bytes()) {
        return Err(KeyFault::PemAsSecret);
    }
    if secret.len() < TOKEN_SECRET_BYTES_MIN {
        return Err(KeyFault::SecretTooShort { bytes: secret.len() });
    }
    Ok(VerificationKey {
        algorithms: KeyKind::Secret.algorithms(),
        decoding: DecodingKey::from_secret(secret),
    })
}

fn load_pem(text: &str) -> Result<VerificationKey, KeyFault> {
    check_labels(text)?;
    let bytes = text.as_bytes();
    // The three parsers are exclusive: each accepts only keys of its own kind.
    if let Ok(key) = DecodingKey::from_rsa_pem(bytes) {
        return check_rsa(key);
    }
    if let Ok(key) = DecodingKey::from_ec_pem(bytes) {
        return check_usable(key.clone(), KeyKind::P256, KeyFault::WrongCurve)
            .or_else(|_| check_usable(key, KeyKind::P384, KeyFault::WrongCurve));
    }
    let key = DecodingKey::from_ed_pem(bytes).map_err(|_| KeyFault::Unsupported)?;
    // The length is checked first, since the crate takes it for granted.
    if key.as_bytes().len() != ED25519_KEY_BYTES {
        return Err(KeyFault::Unsupported);
    }
    check_usable(key, KeyKind::Ed25519, KeyFault::Unsupported)
}

/// Checks the labels of all PEM blocks (RFC 7468, section 2), of which there must be one.
fn check_labels(text: &str) -> Result<(), KeyFault> {
    let labels: Vec<_> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix(PEM_BEGIN))
        .map(|label| label.trim_end_matches('-'))
        .collect();
    if labels.iter().any(|label| label.ends_with("PRIVATE KEY")) {
        return Err(KeyFault::PrivateKey);
    }
    match labels[..] {
        [] => Err(KeyFault::NotPem),
        ["PUBLIC KEY" | "RSA PUBLIC KEY"] => Ok(()),
        ["CERTIFICATE", ..] => Err(KeyFault::Certificate),
        [_] => Err(KeyFault::Unsupported),
        [..] => Err(KeyFault::SeveralKeys),
    }
}

fn check_rsa(key: DecodingKey) -> Result<VerificationKey, KeyFault> {
    let bits = modulus_bits(key.as_bytes()).ok_or(KeyFault::Unsupported)?;
    if !RSA_BITS.contains(&bits) {
        return Err(KeyFault::RsaSize { bits });
    }
    check_usable(key, KeyKind::Rsa, KeyFault::Unsupported)
}

/// Tries the key on an empty signature: a key that cannot be used is an error, a mere mismatch is
/// not.
pub(super) fn check_usable(
    decoding: DecodingKey,
    kind: KeyKind,
    fault: KeyFault,
) -> Result<VerificationKey, KeyFault> {
    verify("", b"", &decoding, kind.algorithms()[0]).map_err(|_| fault)?;
    Ok(VerificationKey { algorithms: kind.algorithms(), decoding })
}

/// Bits of the modulus of an `RSAPublicKey` in DER (RFC 8017, appendix A.1.1: a sequence that
/// begins with the modulus). The crate would find a bad size only while checking a token, and would
/// then call the signature wrong.
fn modulus_bits(der: &[u8]) -> Option<usize> {
    let (sequence, _) = der_content(der, 0x30)?;
    let (modulus, _) = der_content(sequence, 0x02)?;
    Some(bits(modulus)).filter(|bits| *bits > 0)
}

/// Significant bits of a number whose first byte is its highest.
pub(super) fn bits(number: &[u8]) -> usize {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let significant = &number[zeros..];
    significant.first().map_or(0, |first| significant.len() * 8 - first.leading_zeros() as usize)
}

/// The content of one DER element with this tag, and the rest after it. Lengths take at most two
/// bytes.
fn der_content(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = der.split_first_chunk()?;
    let (len, rest) = match (first, rest) {
        (0..=0x7f, rest) => (usize::from(first), rest),
        (0x81, [len, rest @ ..]) => (usize::from(*len), rest),
        (0x82, [high, low, rest @ ..]) => (usize::from(u16::from_be_bytes([*high, *low])), rest),
        _ => return None,
    };
    if found == tag { rest.split_at_checked(len) } else { None }
}

const ALLOWED: &str = "allowed is one public key: RSA of 2048 to 4096 bits (RS and PS algorithms), EC on P-256 (ES256) or P-384 (ES384), or \
     Ed25519 (EdDSA)";

const PEM_BEGIN: &str = "-----BEGIN ";

/// Bits of an RSA modulus: RFC 7518, section 3.3 demands 2048; over 4096 the crate checks nothing
/// any more, and each check would hold up its shard for too long.
pub const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// Bytes of a public key (RFC 8032, section 5.1.5).
const ED25519_KEY_BYTES: usize = 32;
