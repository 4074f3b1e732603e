//! Requests that two servers could parse differently. Each is refused and the connection closed, at
//! once or byte by byte, so that a request smuggled behind it is never parsed.

use crate::client::{Conn, lossy};
use crate::node::Node;

/// The request behind each form. If it is answered, it was smuggled through.
const BEHIND: &str = "GET /health HTTP/1.1\r\nHost: smuggled\r\n\r\n";

/// Head lines after `POST /u/alice/send HTTP/1.1`, body, status, code.
const POSTS: &[(&str, &str, u16, &str)] = &[
    ("Host: x\r\nContent-Length: 10\r\nTransfer-Encoding: chunked", "0\r\n\r\n", 400, "two-lengths"),
    ("Host: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 10", "0\r\n\r\n", 400, "two-lengths"),
    ("Host: x\r\nContent-Length: 10\r\nContent-Length: 11", "{\"ping\":1}", 400, "repeated-content-length"),
    ("Host: x\r\nContent-Length: 10\r\nContent-Length: 10", "{\"ping\":1}", 400, "repeated-content-length"),
    ("Host: x\r\nContent-Length: 10, 10", "{\"ping\":1}", 400, "bad-content-length"),
    ("Host: x\r\nContent-Length: +10", "{\"ping\":1}", 400, "bad-content-length"),
    ("Host: x\r\nContent-Length: -10", "{\"ping\":1}", 400, "bad-content-length"),
    ("Host: x\r\nContent-Length: 0x0a", "{\"ping\":1}", 400, "bad-content-length"),
    ("Host: x\r\nContent-Length: 1 0", "{\"ping\":1}", 400, "bad-content-length"),
    ("Host: x\r\nContent-Length:", "{\"ping\":1}", 400, "bad-content-length"),
    ("Host: x\r\nContent-Length: 99999999999999999999", "{\"ping\":1}", 400, "bad-content-length"),
    ("Host: x\r\nContent-Length: 10\r\n Transfer-Encoding: chunked", "0\r\n\r\n", 400, "obs-fold"),
    ("Host: x\r\nTransfer-Encoding:\r\n chunked", "0\r\n\r\n", 400, "obs-fold"),
    ("Host: x\r\nTransfer-Encoding : chunked", "0\r\n\r\n", 400, "space-before-colon"),
    ("Host: x\r\nTransfer-Encoding\t: chunked", "0\r\n\r\n", 400, "space-before-colon"),
    ("Host: x\r\nContent-Length : 10", "{\"ping\":1}", 400, "space-before-colon"),
    ("Host: x\r\nTransfer-Encoding: chunked, chunked", "0\r\n\r\n", 400, "bad-transfer-encoding"),
    (
        "Host: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "0\r\n\r\n",
        400,
        "repeated-transfer-encoding",
    ),
    ("Host: x\r\nTransfer-Encoding: chunked, identity", "0\r\n\r\n", 400, "bad-transfer-encoding"),
    ("Host: x\r\nTransfer-Encoding: xchunked", "0\r\n\r\n", 400, "bad-transfer-encoding"),
    ("Host: x\r\nTransfer-Encoding: gzip, chunked", "0\r\n\r\n", 501, "unsupported-transfer-coding"),
    ("Host: x\r\nTransfer-Encoding: identity", "0\r\n\r\n", 400, "bad-transfer-encoding"),
    ("Host: x\r\nTransfer-Encoding: \u{b}chunked", "0\r\n\r\n", 400, "control-byte"),
    ("Host: x\r\nTransfer-Encoding: chunked\r\nX: a\0b", "0\r\n\r\n", 400, "control-byte"),
    ("Host: x\r\nX: a\rContent-Length: 10", "{\"ping\":1}", 400, "bare-cr"),
    ("Host: x\r\nX: a\nContent-Length: 10", "{\"ping\":1}", 400, "bare-lf"),
    ("Host: x\r\nContent-Length: 10\n", "{\"ping\":1}", 400, "bare-lf"),
    ("Host: x\r\nHost: y\r\nContent-Length: 10", "{\"ping\":1}", 400, "repeated-host"),
    ("Host: x\r\nHost: x\r\nContent-Length: 10", "{\"ping\":1}", 400, "repeated-host"),
    ("Host: x, y\r\nContent-Length: 10", "{\"ping\":1}", 400, "bad-host"),
    ("Host: x@y\r\nContent-Length: 10", "{\"ping\":1}", 400, "bad-host"),
    ("Host: x/y\r\nContent-Length: 10", "{\"ping\":1}", 400, "bad-host"),
    ("Content-Length: 10", "{\"ping\":1}", 400, "missing-host"),
    ("Host: x\r\n: nameless", "", 400, "empty-header-name"),
    ("Host: x\r\nno colon", "", 400, "missing-colon"),
    ("Host: x\r\nContent\u{7f}-Length: 10", "", 400, "control-byte"),
    ("Host: x\r\nContent(Length): 10", "", 400, "bad-header-name"),
    // Chunks.
    ("Host: x\r\nTransfer-Encoding: chunked", "x\r\n\r\n", 400, "bad-chunk-size"),
    ("Host: x\r\nTransfer-Encoding: chunked", "-1\r\n\r\n", 400, "bad-chunk-size"),
    ("Host: x\r\nTransfer-Encoding: chunked", "+1\r\na\r\n0\r\n\r\n", 400, "bad-chunk-size"),
    ("Host: x\r\nTransfer-Encoding: chunked", "0x1\r\na\r\n0\r\n\r\n", 400, "bad-chunk-size"),
    ("Host: x\r\nTransfer-Encoding: chunked", " 1\r\na\r\n0\r\n\r\n", 400, "bad-chunk-size"),
    ("Host: x\r\nTransfer-Encoding: chunked", "\r\n\r\n", 400, "bad-chunk-size"),
    ("Host: x\r\nTransfer-Encoding: chunked", "100000000000000001\r\na\r\n", 400, "bad-chunk-size"),
    ("Host: x\r\nTransfer-Encoding: chunked", "1\r\nab\r\n0\r\n\r\n", 400, "bad-chunk-end"),
    ("Host: x\r\nTransfer-Encoding: chunked", "1\r\na0\r\n\r\n", 400, "bad-chunk-end"),
    ("Host: x\r\nTransfer-Encoding: chunked", "1\na\r\n0\r\n\r\n", 400, ""),
    ("Host: x\r\nTransfer-Encoding: chunked", "1;a\nb\r\na\r\n0\r\n\r\n", 400, ""),
    ("Host: x\r\nTransfer-Encoding: chunked", "0\r\nContent Length: 1\r\n\r\n", 400, "bad-trailer"),
    ("Host: x\r\nTransfer-Encoding: chunked", "0\r\n folded\r\n\r\n", 400, "bad-trailer"),
];

/// Whole requests, status, code.
const WHOLE: &[(&str, u16, &str)] = &[
    (
        "POST /u/alice/send HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "transfer-encoding-on-http-1-0",
    ),
    ("GET /health\r\n\r\n", 505, "http-0-9"),
    ("GET /health HTTP/2.0\r\nHost: x\r\n\r\n", 505, "unsupported-version"),
    ("GET /health HTTP/1.2\r\nHost: x\r\n\r\n", 505, "unsupported-version"),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "http-2-preface"),
    ("GET /health HTTP/01.1\r\nHost: x\r\n\r\n", 400, "bad-request-line"),
    ("GET /health http/1.1\r\nHost: x\r\n\r\n", 400, "bad-request-line"),
    ("GET  /health HTTP/1.1\r\nHost: x\r\n\r\n", 400, "request-line-spacing"),
    ("GET /health  HTTP/1.1\r\nHost: x\r\n\r\n", 400, "request-line-spacing"),
    ("GET\t/health HTTP/1.1\r\nHost: x\r\n\r\n", 400, "request-line-spacing"),
    ("GET /health HTTP/1.1 \r\nHost: x\r\n\r\n", 400, "request-line-spacing"),
    ("GET health HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad-target"),
    ("GET /health#x HTTP/1.1\r\nHost: x\r\n\r\n", 400, "fragment-in-target"),
    ("GET /h\u{e9}alth HTTP/1.1\r\nHost: x\r\n\r\n", 400, "non-ascii-target"),
    ("CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n", 501, "connect-unsupported"),
    ("GET /health HTTP/1.1\nHost: x\n\n", 400, "bare-lf"),
    ("GET /health HTTP/1.1\r\rHost: x\r\n\r\n", 400, "bare-cr"),
    ("GET /health HTTP/1.1\r\n Host: x\r\n\r\n", 400, "obs-fold"),
    ("\r\n\r\n\r\n\r\nGET /health HTTP/1.1\r\nHost: x\r\n\r\n", 400, "empty-lines"),
    ("G\0ET /health HTTP/1.1\r\nHost: x\r\n\r\n", 400, "control-byte"),
    ("\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}", 400, "tls-on-plain-port"),
];

fn all() -> impl Iterator<Item = (String, u16, &'static str)> {
    let posts = POSTS.iter().map(|&(head, body, status, code)| {
        (format!("POST /u/alice/send HTTP/1.1\r\n{head}\r\n\r\n{body}"), status, code)
    });
    posts.chain(WHOLE.iter().map(|&(text, status, code)| (text.to_owned(), status, code)))
}

/// The bytes of a form: characters up to U+00FF are bytes.
fn bytes(form: &str) -> Vec<u8> {
    form.chars().map(|char| u8::try_from(u32::from(char)).expect("a byte")).collect()
}

/// The fault in the answer to a form, if any.
fn fault(conn: &mut Conn, form: &str, status: u16, code: &str) -> Option<String> {
    let answer = conn.response();
    let rest = conn.rest();
    let found = if code.is_empty() { String::new() } else { answer.error() };
    let right = (answer.status, found.as_str()) == (status, code) && answer.head.closes() && rest.is_empty();
    let closes = if answer.head.closes() { "closes" } else { "stays" };
    (!right).then(|| format!("{form:?}: {} {found}, {closes}, then {:?}", answer.status, lossy(&rest)))
}

#[track_caller]
fn assert_all_refused(faults: impl Iterator<Item = String>) {
    let faults: Vec<String> = faults.collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn whatever_two_servers_could_read_in_two_ways_is_refused_and_closed() {
    let node = Node::start(&[]);
    assert_all_refused(all().filter_map(|(form, status, code)| {
        let mut conn = node.connect();
        conn.send([&bytes(&form)[..], BEHIND.as_bytes()].concat());
        fault(&mut conn, &form, status, code)
    }));
    assert_eq!(node.get("/health").status, 200);
}

#[test]
fn it_is_refused_the_same_when_it_comes_byte_by_byte() {
    let node = Node::start(&[]);
    assert_all_refused(all().filter_map(|(form, status, code)| {
        let mut conn = node.connect();
        conn.trickle([&bytes(&form)[..], BEHIND.as_bytes()].concat());
        fault(&mut conn, &form, status, code)
    }));
}

#[test]
fn it_is_refused_the_same_on_the_private_listener() {
    let node = Node::start(&[("ENCKE_SHARDS", "1")]);
    assert_all_refused(all().filter_map(|(form, status, code)| {
        let form = form.replace("/u/alice/send", "/publish");
        let mut conn = node.connect_api();
        conn.send([&bytes(&form)[..], BEHIND.as_bytes()].concat());
        fault(&mut conn, &form, status, code)
    }));
}

#[test]
fn good_requests_before_a_bad_one_are_answered() {
    let node = Node::start(&[]);
    let good = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut conn = node.connect();
    conn.send([good, good, "GET /health HTTP/1.1\r\nHost : x\r\n\r\n", good].concat());
    assert_eq!([conn.response().status, conn.response().status], [200, 200]);
    assert_eq!(fault(&mut conn, "the third", 400, "space-before-colon"), None);
}
