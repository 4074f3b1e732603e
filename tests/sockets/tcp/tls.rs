//! Servers behind TLS.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::json;

use super::{Page, accept, noise, server};
use crate::node::Node;
use crate::socket::{BINARY, Socket};
use crate::token_keys::tls;
use crate::tokens::fixture;

type Server = rustls::StreamOwned<rustls::ServerConnection, TcpStream>;

fn serve(stream: TcpStream) -> Server {
    rustls::StreamOwned::new(rustls::ServerConnection::new(tls()).unwrap(), stream)
}

fn start(address: &str, options: &str) -> Node {
    let (_, port) = address.rsplit_once(':').unwrap();
    Node::start(&[("ENCKE_TCP_TARGETS", &format!("there=localhost:{port};{options}"))])
}

#[test]
fn bytes_of_a_server_behind_tls_are_the_same_both_ways() {
    let (listener, address) = server();
    let certificate = fixture("test-only-tls-certificate.pem");
    let node = start(&address, &format!("tls;ca={}", certificate.display()));
    let all = noise(11, 4_000_000);
    let down = all.clone();
    let backend = std::thread::spawn(move || {
        let mut stream = serve(accept(&listener));
        // It speaks first, and reads only then.
        stream.write_all(&down).unwrap();
        stream.flush().unwrap();
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        stream.write_all(b"all").unwrap();
        stream.conn.send_close_notify();
        stream.flush().unwrap();
        got
    });
    let mut socket = Socket::open(&node, "/u/alice/tcp/there");
    let mut got = Vec::new();
    while got.len() < all.len() {
        got.extend_from_slice(&socket.frame().payload);
    }
    assert!(got == all, "the bytes differ");
    // Half-close, by a stream of a session.
    drop(socket);
    drop(backend);
    let (listener, address) = server();
    let node = start(&address, &format!("tls=localhost;ca={}", certificate.display()));
    let mut page = Page::open(&node);
    page.carry("stream");
    page.tcp(&json!({ "open": "there" }));
    let backend = std::thread::spawn(move || {
        let mut stream = serve(accept(&listener));
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        stream.write_all(b"all").unwrap();
        stream.conn.send_close_notify();
        stream.flush().unwrap();
        got
    });
    page.until_event("open");
    page.send(0, b"hello");
    page.tcp(&json!({ "at": 5, "end": true }));
    assert_eq!(backend.join().unwrap(), b"hello");
    assert_eq!(page.until_event("closed")["code"], "ok");
    assert_eq!(page.got, b"all");
}

#[test]
fn a_large_message_passes_tls_in_the_other_direction_too() {
    let (listener, address) = server();
    let certificate = fixture("test-only-tls-certificate.pem");
    let node = start(&address, &format!("tls;ca={}", certificate.display()));
    let all = noise(13, 5_000_000);
    let expected = all.clone();
    let mut socket = Socket::open(&node, "/u/alice/tcp/there");
    let mut stream = serve(accept(&listener));
    let mut sender = socket.conn.twin();
    let writer = std::thread::spawn(move || {
        sender.send(crate::socket::frame(BINARY, &all));
    });
    let mut got = vec![0; expected.len()];
    stream.read_exact(&mut got).unwrap();
    assert!(got == expected, "the bytes differ");
    stream.write_all(b"!").unwrap();
    assert_eq!(socket.frame().payload, b"!");
    writer.join().unwrap();
}

#[test]
fn a_server_that_cannot_prove_its_name_is_not_reached() {
    let (listener, address) = server();
    let certificate = fixture("test-only-tls-certificate.pem").display().to_string();
    let other = fixture("test-only-certificate.pem").display().to_string();
    for options in [format!("tls;ca={other}"), format!("tls=other.example;ca={certificate}")] {
        let node = start(&address, &options);
        let mut page = Page::open(&node);
        page.carry("longpoll");
        page.tcp(&json!({ "open": "there" }));
        let mut stream = serve(accept(&listener));
        assert!(stream.read(&mut [0; 1]).is_err(), "a handshake that nobody trusts");
        assert_eq!(page.until_event("closed")["code"], "backend-tls", "{options}");
    }
    // One that speaks no TLS.
    let node = start(&address, &format!("tls;ca={certificate}"));
    let mut socket = Socket::open(&node, "/u/alice/tcp/there");
    accept(&listener).write_all(b"SSH-2.0-x\r\n").unwrap();
    assert_eq!(socket.closed(), (1011, "backend-tls".to_owned()));
}

#[test]
fn a_file_that_cannot_be_read_is_named_at_the_start() {
    for arguments in [&[][..], &["check"]] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_encke"));
        command.args(arguments).env_clear();
        command.env("ENCKE_LISTEN", "127.0.0.1:0").env("ENCKE_API_LISTEN", "127.0.0.1:0");
        command.env("ENCKE_TCP_TARGETS", "there=h:1;tls;ca=/nonexistent/ca.pem");
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(
            !output.status.success() && said.contains("there") && said.contains("/nonexistent/ca.pem"),
            "{said}"
        );
    }
}
