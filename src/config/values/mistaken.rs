//! Detects texts that are not a secret but a path to one, a reference that was not filled in, a
//! quoted text, or a key of another kind.
//!
//! Each of them would be a valid HMAC key. The node would start, every token of the issuer would
//! fail, and anybody who knows the path or the public key could sign tokens. So they are refused
//! with the reason. The output of a generator of random secrets (hexadecimal, base64, base64url)
//! never matches.

/// The reason why the text is not a secret, as the end of a sentence that begins with the
/// variable's name; `None` if it may be one. The reason never contains the text.
pub(super) fn mistaken(text: &str) -> Option<&'static str> {
    let is = |found: bool, reason: &'static str| found.then_some(reason);
    is(text.trim() != text, "begins or ends with white space (a file's last newline?): remove it")
        .or(is(is_quoted(text), "is in quotes, which would be part of the secret: remove them"))
        .or(is(
            is_key(text),
            "is a key or a certificate, not a secret: put it into a PEM file and give that file's path",
        ))
        .or(is(text.starts_with(['{', '[']), "is JSON or a placeholder, not a secret"))
        .or(is(is_reference(text), "is a reference that was not filled in: give the value itself"))
        .or(is(is_path(text), PATH))
}

/// The reason for a path.
const PATH: &str = "looks like a path or a URL of a file, and would itself become the secret: a path must \
     begin with / or ./; make a secret with openssl rand -hex 32";

fn is_quoted(text: &str) -> bool {
    let mut chars = text.chars();
    match (chars.next(), chars.next_back()) {
        (Some(first), Some(last)) => {
            [('"', '"'), ('\'', '\''), ('`', '`'), ('“', '”'), ('‘', '’'), ('«', '»')]
                .contains(&(first, last))
        }
        _ => false,
    }
}

/// PEM with its line breaks lost or escaped, PEM in base64, DER in base64, or OpenSSH's format.
fn is_key(text: &str) -> bool {
    /// The start of a public or private key or a certificate in DER and base64: the sequence, its
    /// length, and the algorithm. 12 random characters never equal one of these in practice.
    const DER: [&str; 5] = ["MFkwEwYHKoZI", "MHYwEAYHKoZI", "MIGbMBAGByqG", "MCowBQYDK2Vw", "LS0tLS1CRUdJ"];
    /// The same for RSA, preceded by a length.
    const RSA: [&str; 2] = ["ANBgkqhkiG9w0B", "AQEBBQADgg"];
    text.contains("-----BEGIN")
        || text.contains("-----END")
        || DER.iter().any(|start| text.starts_with(start))
        || (text.starts_with("MII") && RSA.iter().any(|part| text.contains(part)))
        || ["ssh-rsa ", "ssh-ed25519 ", "ecdsa-sha2-"].iter().any(|start| text.starts_with(start))
}

/// `$VAR`, `${VAR}`, `$(command)`, `%VAR%`, `<placeholder>`, `env:VAR`, `base64:…`, and other forms
/// that some tool should have replaced.
fn is_reference(text: &str) -> bool {
    const PREFIXES: [&str; 20] = [
        "env",
        "file",
        "path",
        "base64",
        "base64url",
        "b64",
        "hex",
        "secret",
        "secrets",
        "vault",
        "ref",
        "arn",
        "op",
        "pem",
        "raw",
        "utf8",
        "text",
        "ssm",
        "key",
        "k8s",
    ];
    let of_shell = text.strip_prefix('$').is_some_and(|rest| {
        rest.starts_with(['{', '('])
            || (!rest.is_empty()
                && rest
                    .bytes()
                    .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_'))
    });
    let is_between = |open, close| text.starts_with(open) && text.ends_with(close);
    let has_prefix =
        text.split_once(':').is_some_and(|(prefix, _)| PREFIXES.contains(&&*prefix.to_ascii_lowercase()));
    of_shell || is_between('%', '%') || is_between('<', '>') || has_prefix
}

/// A path in any system's notation, or a URL. Does not check whether a file exists.
pub(super) fn is_path(text: &str) -> bool {
    const EXTENSIONS: [&str; 16] = [
        "pub", "key", "crt", "cer", "cert", "der", "jwk", "jwks", "json", "txt", "p8", "p12", "pfx", "env",
        "secret", "pem",
    ];
    let at_home = ["~", "@/", "@.", "@~", "../", "./", "..\\", ".\\", "\\\\", "%USERPROFILE%"];
    let drive = text.as_bytes();
    let has_drive = drive.len() > 2
        && drive[0].is_ascii_alphabetic()
        && drive[1] == b':'
        && matches!(drive[2], b'\\' | b'/');
    let has_scheme = text.split_once("://").is_some_and(|(scheme, _)| {
        !scheme.is_empty()
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+.-".contains(&byte))
    });
    let is_file =
        text.rsplit_once('.').is_some_and(|(_, end)| EXTENSIONS.contains(&&*end.to_ascii_lowercase()));
    has_drive
        || has_scheme
        || is_file
        || at_home.iter().any(|start| text.starts_with(start))
        || has_segments(text)
}

/// Segments between slashes that cannot be random base64: that has no dots, hyphens or underscores
/// beside its slashes, and 24 characters or more of it always have capitals.
fn has_segments(text: &str) -> bool {
    let slash = if text.contains('/') { '/' } else { '\\' };
    let segments = text.split(slash).filter(|segment| !segment.is_empty()).count();
    let is_of_names = text
        .chars()
        .all(|char| char.is_alphanumeric() || char == slash || matches!(char, '.' | '-' | '_' | ' ' | '@'));
    let is_no_base64 =
        text.contains(['.', '-', '_', ' ']) || !text.contains(|char: char| char.is_ascii_uppercase());
    let is_absolute = text.starts_with(slash);
    (segments > 1 || is_absolute) && text.contains(slash) && is_of_names && (is_no_base64 || slash == '\\')
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE, Engine as _};
    use proptest::prelude::*;

    #[test]
    fn what_says_where_a_secret_is_is_none() {
        for text in [
            "file:///run/secrets/encke/jwt-public-key",
            "FILE:/run/secrets/jwt",
            "https://vault.example/v1/secret/encke",
            "~/keys/production/encke/jwt_public.key",
            "~deploy/keys/production/encke/jwt",
            "@/run/secrets/encke_token_public_key_file",
            "@./keys/production/encke/jwt_public",
            "../secrets/production/encke-jwt-key.pub",
            "config/keys/production/jwt-public.key",
            "keys/production/encke/jwt_public_es256.pub",
            "secrets/production/encke/publickey",
            "Config/Keys/Production/jwt.public",
            "C:\\secrets\\production\\encke\\jwt_public.key",
            "C:/secrets/production/encke/jwt_public",
            "\\\\server\\share\\secrets\\encke\\jwt",
            "secrets\\production\\encke\\JwtKey",
            "encke_production_jwt_public_key.pub",
            "encke-production-public-key.json",
            "$ENCKE_PRODUCTION_TOKEN_KEY_SECRET",
            "${ENCKE_PRODUCTION_TOKEN_KEY}",
            "$(cat /run/secrets/encke_token_key)",
            "%ENCKE_PRODUCTION_TOKEN_KEY%",
            "{{ .Values.encke.tokenKey | quote }}",
            "{\"kty\":\"oct\",\"k\":\"c2VjcmV0\"}",
            "<put the secret of the token here>",
            "env:ENCKE_PRODUCTION_TOKEN_KEY",
            "base64:c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0",
            "vault:secret/data/encke#token-key",
            "arn:aws:secretsmanager:eu-central-1:1:secret:x",
            "\"0123456789abcdef0123456789abcdef\"",
            "'0123456789abcdef0123456789abcdef'",
            "`0123456789abcdef0123456789abcdef`",
            "“0123456789abcdef0123456789abcdef”",
            " 0123456789abcdef0123456789abcdef",
            "0123456789abcdef0123456789abcdef\n",
            "0123456789abcdef0123456789abcdef\r\n",
            "\t0123456789abcdef0123456789abcdef",
            "0123456789abcdef0123456789abcdef\u{a0}",
            "-----BEGIN PUBLIC KEY-----MFkwEwYHKoZIzj0CAQYI-----END PUBLIC KEY-----",
            "-----BEGIN PUBLIC KEY-----\\nMFkwEwYHKoZIzj0CAQYI\\n-----END PUBLIC KEY-----",
            "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE",
            "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIB",
            "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7",
            "LS0tLS1CRUdJTiBQVUJMSUMgS0VZLS0tLS0K",
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA",
        ] {
            let reason = mistaken(text).unwrap_or_else(|| panic!("{text} is taken for a secret"));
            assert!(!reason.contains("0123456789") && !reason.contains("production"), "{reason}");
        }
    }

    #[test]
    fn what_people_choose_as_secrets_is_none_of_these() {
        for text in [
            "a secret of thirty-two bytes, only for tests",
            "correct horse battery staple, and four more words",
            "0123456789abcdef0123456789abcdef",
            "0123456789abcdef0123456789abcde/",
            "it's \"quoted\" somewhere within it",
            "Tr0ub4dor&3!?$%^*()_+-=[]{}|;:,.<>",
            "550e8400-e29b-41d4-a716-446655440000",
            "sk_live_51H8x9sKq2eZvKYlo2C0123456",
            "eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl",
            "user:password-of-some-other-service!",
            "$2b$12$KIXQJ7wW1xw0f1w2n3m4o5p6q7r8",
        ] {
            assert_eq!(mistaken(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_random_secret_is_refused(bytes: [u8; 32], more: [u8; 32]) {
            let hex = bytes.map(|byte| format!("{byte:02x}")).concat();
            let long = [bytes, more].concat();
            for text in [hex, BASE64_STANDARD.encode(bytes), BASE64_URL_SAFE.encode(bytes), BASE64_STANDARD.encode(&long), BASE64_URL_SAFE.encode(long)] {
                // A text that begins with a slash is already a path for TokenKey.
                prop_assert_eq!(mistaken(&text), None, "{}", text);
            }
        }
    }
}
