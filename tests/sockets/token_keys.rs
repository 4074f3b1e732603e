//! An issuer's keys, fetched over real sockets: rotation, an unreachable issuer, invalid answers,
//! TLS.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::node::{Node, await_that};
use crate::tokens::fixture;

/// A server whose answer the test can change, and that counts its requests.
#[derive(Clone)]
struct Issuer {
    address: String,
    answer: Arc<Mutex<(Vec<u8>, usize)>>,
}

impl Issuer {
    fn start(answer: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let issuer = Self { address, answer: Arc::new(Mutex::new((answer.as_bytes().to_vec(), 0))) };
        let shared = issuer.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                shared.serve(stream.unwrap());
            }
        });
        issuer
    }

    fn serve(&self, stream: impl Read + Write) {
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            if stream.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
        }
        let answer = {
            let mut answer = self.answer.lock().unwrap();
            answer.1 += 1;
            answer.0.clone()
        };
        stream.get_mut().write_all(&answer).unwrap_or_default();
    }

    fn set(&self, answer: &str) {
        self.answer.lock().unwrap().0 = answer.as_bytes().to_vec();
    }

    fn asked(&self) -> usize {
        self.answer.lock().unwrap().1
    }

    fn url(&self) -> String {
        format!("http://{}/jwks?key=hush", self.address)
    }
}

fn response(status: u16, more: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} So\r\nConnection: close\r\n{more}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// A set of these fixture keys, under other names.
fn set(keys: &[(usize, &str)]) -> String {
    let all: Value = serde_json::from_slice(&std::fs::read(fixture("test-only-jwks.json")).unwrap()).unwrap();
    let keys = keys.iter().map(|(index, kid)| {
        let mut key = all["keys"][index].clone();
        key["kid"] = json!(kid);
        key
    });
    response(
        200,
        "Content-Type: application/jwk-set+json\r\n",
        &json!({"keys": keys.collect::<Vec<_>>()}).to_string(),
    )
}

fn token(pem: &str, algorithm: Algorithm, kid: &str) -> String {
    let pem = std::fs::read(fixture(pem)).unwrap();
    let key = match algorithm {
        Algorithm::RS256 => EncodingKey::from_rsa_pem(&pem),
        _ => EncodingKey::from_ec_pem(&pem),
    };
    let header = Header { kid: Some(kid.to_owned()), ..Header::new(algorithm) };
    encode(&header, &json!({"sub": "alice"}), &key.unwrap()).unwrap()
}

fn rsa(kid: &str) -> String {
    token("test-only-rsa-private.pem", Algorithm::RS256, kid)
}

fn ec(kid: &str) -> String {
    token("test-only-ec-private.pem", Algorithm::ES256, kid)
}

/// Status and code of a poll with a token.
fn poll(node: &Node, token: &str) -> (u16, String, String) {
    let answer = node.get(&format!("/u/alice/poll?token={token}"));
    let code = if answer.status == 200 { String::new() } else { answer.error() };
    (answer.status, code, answer.text().to_owned())
}

/// Waits until the function holds.
fn until(mut holds: impl FnMut() -> bool) {
    await_that(|| holds().then_some(()));
}

fn ready(node: &Node) -> (u16, Value) {
    let answer = node.connect_api().ask("GET", "/ready", &[], b"");
    (answer.status, answer.json())
}

#[test]
fn a_token_with_a_new_key_is_let_in_once_the_keys_were_fetched_again() {
    let issuer = Issuer::start(&set(&[(0, "old")]));
    let node = Node::start(&[("ENCKE_TOKEN_KEYS_URL", &issuer.url()), ("ENCKE_SHARDS", "2")]);
    until(|| ready(&node).0 == 200);
    assert_eq!(poll(&node, &rsa("old")).0, 200);
    assert_eq!(poll(&node, "nonsense").1, "bad-token");

    issuer.set(&set(&[(0, "old"), (1, "new")]));
    let before = issuer.asked();
    // The node fetches at most once in a while; until the answer arrives the client is asked to
    // retry, and then accepted.
    until(|| {
        let (status, code, text) = poll(&node, &ec("new"));
        assert!(status == 200 || code == "no-token-keys" || text.contains("kid"), "{status} {text}");
        status == 200
    });
    assert!(issuer.asked() > before);
    assert_eq!(poll(&node, &rsa("old")).0, 200);

    // HUP fetches them too.
    let before = issuer.asked();
    node.signal("HUP");
    until(|| {
        poll(&node, &rsa("old"));
        issuer.asked() > before
    });
    assert_eq!(poll(&node, &rsa("old")).0, 200);

    // An unknown key name is refused for good, without repeated fetches.
    let before = issuer.asked();
    for _ in 0..50 {
        let (status, code, text) = poll(&node, &ec("made-up"));
        assert!(matches!((status, code.as_str()), (401, "bad-token") | (503, "no-token-keys")), "{text}");
    }
    assert!(issuer.asked() - before <= 1);
}

#[test]
fn an_issuer_that_is_away_at_the_start_leaves_the_node_unready_until_it_is_there() {
    let issuer = Issuer::start(&response(500, "", "no"));
    let node = Node::start(&[("ENCKE_TOKEN_KEYS_URL", &issuer.url())]);
    until(|| ready(&node).1["token_keys"].to_string().contains("status 500"));
    let (status, value) = ready(&node);
    assert_eq!((status, &value["ready"]), (503, &json!(false)));
    let answer = node.get(&format!("/u/alice/poll?token={}", rsa("old")));
    assert_eq!((answer.status, answer.error().as_str()), (503, "no-token-keys"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert!(
        answer.text().contains("ENCKE_TOKEN_KEYS_URL") && !answer.text().contains("hush"),
        "{}",
        answer.text()
    );
    assert_eq!(node.get("/health").status, 200);
    let bayeux = |node: &Node| {
        let handshake = json!([{
            "channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["long-polling"],
            "ext": {"token": rsa("old")},
        }]);
        let headers = [("Content-Type", "application/json")];
        node.connect().ask("POST", "/bayeux", &headers, handshake.to_string().as_bytes()).json()[0].clone()
    };
    let answer = bayeux(&node);
    assert!(answer["error"].as_str().unwrap().starts_with("503::keys_unavailable"), "{answer}");
    assert_eq!(answer["advice"]["reconnect"], "handshake");
    let upgrade = format!(
        "GET /bayeux?token={} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        rsa("old")
    );
    let opening = || node.connect().send(upgrade.clone().into_bytes()).head().status;
    assert_eq!(opening(), 503);
    issuer.set(&set(&[(0, "old")]));
    until(|| ready(&node).0 == 200);
    assert_eq!(poll(&node, &rsa("old")).0, 200);
    assert_eq!(bayeux(&node)["successful"], true);
    assert_eq!(opening(), 101);

    // Fetched keys stay in use while the issuer is unreachable.
    issuer.set("");
    let before = issuer.asked();
    until(|| {
        poll(&node, &rsa("unknown"));
        issuer.asked() > before
    });
    assert_eq!(poll(&node, &rsa("old")).0, 200);
    assert_eq!(ready(&node).0, 200);
}

/// The output of `encke check` about an issuer.
fn check(url: &str, more: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_encke"))
        .arg("check")
        .env_clear()
        .env("ENCKE_TOKEN_KEYS_URL", url)
        .envs(more.iter().copied())
        .output()
        .unwrap();
    (
        output.status.code(),
        [output.stdout, output.stderr].map(|all| String::from_utf8_lossy(&all).into_owned()).concat(),
    )
}

#[test]
fn check_fetches_the_keys_and_says_what_it_found() {
    let issuer = Issuer::start(&set(&[(0, "a"), (2, "b")]));
    let (status, output) = check(&issuer.url(), &[]);
    assert_eq!(status, Some(0), "{output}");
    assert!(output.contains("2 keys (\"a\": RS256") && output.contains("\"b\": ES384"), "{output}");
    assert!(!output.contains("hush"), "{output}");
    let large = response(200, "", &"x".repeat(300_000));
    for (answer, reason) in [
        (response(404, "", ""), "status 404"),
        (response(302, "Location: http://127.0.0.1:9/\r\n", ""), "redirects are not followed"),
        (response(200, "", "<html>"), "not JSON"),
        (response(200, "", "{}"), "\"keys\""),
        (response(200, "", r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#), "symmetric"),
        (large, "more than 262144 bytes"),
        ("nonsense\r\n\r\n".to_owned(), "ENCKE_TOKEN_KEYS_URL"),
        (String::new(), "ENCKE_TOKEN_KEYS_URL"),
    ] {
        issuer.set(&answer);
        let (status, output) = check(&issuer.url(), &[]);
        assert_eq!(status, Some(2), "{output}");
        assert!(
            output.contains(reason) && output.contains("ENCKE_TOKEN_KEYS_URL") && !output.contains("hush"),
            "{reason}: {output}"
        );
    }
    for url in ["http://id.example/jwks?key=hush", "ftp://id.example/", "https://user:hush@id.example/"] {
        let (status, output) = check(url, &[]);
        assert_eq!(status, Some(2), "{output}");
        assert!(output.contains("https") && !output.contains("hush"), "{output}");
    }
}

#[test]
fn keys_come_by_tls_from_issuers_that_the_system_trusts() {
    let issuer = Issuer::start(&set(&[(0, "a")]));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}/jwks", listener.local_addr().unwrap().port());
    let config = tls();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream: TcpStream = stream.unwrap();
            let session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            issuer.serve(rustls::StreamOwned::new(session, stream));
        }
    });
    let certificate = fixture("test-only-tls-certificate.pem");
    let (status, output) = check(&url, &[("SSL_CERT_FILE", certificate.to_str().unwrap())]);
    assert_eq!(status, Some(0), "{output}");
    assert!(output.contains("1 keys"), "{output}");
    // A certificate of another authority is not accepted.
    let other = fixture("test-only-certificate.pem");
    let (status, output) = check(&url, &[("SSL_CERT_FILE", other.to_str().unwrap())]);
    assert_eq!(status, Some(2), "{output}");
    assert!(output.contains("certificate"), "{output}");
}

pub(crate) fn tls() -> Arc<rustls::ServerConfig> {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let chain = vec![CertificateDer::from_pem_file(fixture("test-only-tls-certificate.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(fixture("test-only-tls-key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap())
}
