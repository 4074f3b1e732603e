//! Every transport of the real server, read by the readers of the contract tests: payloads
//! unchanged, cuts at any byte, recycling, callback polling, padding, advice.

use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Conn, lossy};
use crate::decode::{Events, Frames, Grammar, Item, Page, Parts, Reader, Script};
use crate::node::{Node, await_that};

/// How to request a transport, and its reader.
struct Spelling {
    name: &'static str,
    query: &'static str,
    headers: &'static str,
    grammar: fn() -> Grammar,
}

const fn plain(name: &'static str, grammar: fn() -> Grammar) -> Spelling {
    Spelling { name, query: "", headers: "", grammar }
}

const UPGRADE: &str = "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const DEFLATE: &str = "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: \
                       permessage-deflate; server_max_window_bits=10\r\n";

fn all() -> Vec<Spelling> {
    vec![
        plain("stream", || Grammar::Lines),
        Spelling { headers: "Accept: application/octet-stream\r\n", ..plain("stream", || Grammar::Records) },
        plain("sse", || Grammar::Events(Events::new())),
        Spelling {
            headers: "Accept: application/x-dom-event-stream\r\n",
            ..plain("sse", || Grammar::Events(Events::opera()))
        },
        plain("frame", || Grammar::Page(Page::frame())),
        plain("htmlfile", || Grammar::Page(Page::htmlfile())),
        plain("multipart", || Grammar::Parts(Parts::by_length())),
        Spelling { query: "&style=before", ..plain("multipart", || Grammar::Parts(Parts::by_length())) },
        Spelling { headers: UPGRADE, ..plain("ws", || Grammar::Frames(Frames::new(None))) },
        Spelling {
            headers: UPGRADE,
            query: "&binary=1",
            ..plain("ws", || Grammar::Frames(Frames::new(None)))
        },
        Spelling { headers: DEFLATE, ..plain("ws", || Grammar::Frames(Frames::new(Some(10)))) },
    ]
}

/// A response that is read byte by byte.
struct Down {
    conn: Conn,
    reader: Reader,
    seen: usize,
}

impl Down {
    fn open(node: &Node, spelling: &Spelling, user: &str, query: &str) -> Self {
        let mut conn = node.connect();
        let Spelling { name, query: more, headers, grammar } = spelling;
        // Without chunks, which http.rs tests: the body is everything received.
        let version = if *name == "ws" { "1.1" } else { "1.0" };
        conn.trickle(format!(
            "GET /u/{user}/{name}?channels=/c{query}{more} HTTP/{version}\r\nHost: x\r\n{headers}\r\n"
        ));
        let head = conn.head();
        assert_eq!(head.status, if *name == "ws" { 101 } else { 200 }, "{name}: {head:?}");
        if *name != "ws" {
            assert_eq!(head.header("cache-control"), Some("no-store, no-transform"));
            assert_eq!(head.header("x-accel-buffering"), Some("no"));
            assert_eq!(head.header("x-content-type-options"), Some("nosniff"));
        }
        Self { conn, reader: Reader::new(grammar()), seen: 0 }
    }

    /// The next envelope, unless more than this many bytes of the body come before it.
    fn next_within(&mut self, bytes: usize) -> Option<Value> {
        while self.reader.items.is_empty() {
            if self.seen >= bytes {
                return None;
            }
            let mut some = self.conn.some();
            assert!(!some.is_empty(), "the response ended");
            some.truncate(bytes - self.seen);
            self.seen += some.len();
            self.reader.feed(&some);
        }
        Some(envelope(self.reader.items.remove(0)))
    }

    fn next(&mut self) -> Value {
        self.next_within(usize::MAX).expect("an envelope")
    }
}

/// An envelope as JSON, from any transport. Bytes are in `raw`.
fn envelope(item: Item) -> Value {
    match item {
        Item::Json(text) | Item::Script(Script(text)) => serde_json::from_str(&text).expect("JSON"),
        Item::Bytes { header, payload } => {
            let mut value: Value = serde_json::from_str(&header).expect("JSON");
            value["raw"] = json!(payload);
            value
        }
        other => panic!("{other:?}"),
    }
}

fn payloads() -> Vec<Value> {
    let texts = [
        "",
        "\0",
        "\u{2028}\u{2029}\u{feff}",
        "\r",
        "\n",
        "\r\n\r\n",
        "</script><script>",
        "<!--",
        "-->",
        "]]>",
        "--",
        "'\"&amp;&lt;\\",
        "--encke\r\n--encke--",
        "data: x\n\nid: 1\n\n",
        "é\u{301}💫\u{10ffff}\u{e000}\u{fffe}",
    ];
    let mut all: Vec<_> = texts.iter().map(|text| json!(text)).collect();
    all.extend([1, 100, 126, 1000, 65_535, 65_536].map(|len| json!("<".repeat(len))));
    all.push(json!({"__proto__": {"</script>": null}, "n": [1.5, -0.0, 12_345_678_901_234_567_890_u64]}));
    all
}

#[test]
fn every_payload_arrives_on_every_transport() {
    let node = Node::start(&[("ENCKE_CHANNEL_BYTES", "16MiB"), ("ENCKE_CHANNEL_MESSAGES", "1000")]);
    let mut downs: Vec<_> =
        all().into_iter().map(|spelling| (Down::open(&node, &spelling, "alice", ""), spelling)).collect();
    for (down, spelling) in &mut downs {
        assert_eq!(down.next()["open"]["transport"], spelling.name);
    }
    let bytes: Vec<u8> = (0..=255).rev().collect();
    for payload in payloads() {
        node.publish("/c", &payload);
    }
    let raw = node.connect_api().ask(
        "POST",
        "/u/alice/publish",
        &[("Content-Type", "application/octet-stream")],
        &bytes,
    );
    assert_eq!(raw.status, 200, "{raw:?}");
    for (down, spelling) in &mut downs {
        for payload in payloads() {
            assert_eq!(down.next()["data"], payload, "{}", spelling.name);
        }
        let last = down.next();
        let is_raw = last["raw"] == json!(bytes);
        assert!(is_raw || last["encoding"] == "base64", "{}: {last}", spelling.name);
    }
}

#[test]
fn a_stream_that_is_cut_at_any_byte_goes_on_where_it_was() {
    const MESSAGES: usize = 30;
    let node = Node::start(&[]);
    for (at, spelling) in all().iter().enumerate() {
        let prelude = if ["frame", "htmlfile"].contains(&spelling.name) { 2_200 } else { 150 };
        let user = format!("user{at}");
        let mut position = Down::open(&node, spelling, &user, "").next()["open"]["position"].clone();
        for n in 0..MESSAGES {
            node.tell(&user, &json!([n, "</script>\u{2028}&'"]));
        }
        let (mut got, mut cuts) = (0, 0_usize);
        while got < MESSAGES {
            // Mostly within the first messages, and at each of their bytes once; a prelude comes
            // before.
            cuts += 1;
            let most = cuts * 37 % 700 + prelude;
            let since = position.as_str().expect("a position");
            let mut down = Down::open(&node, spelling, &user, &format!("&since={since}"));
            while got < MESSAGES
                && let Some(mut envelope) = down.next_within(most)
            {
                if let Some(open) = envelope.get("open") {
                    assert_eq!((&open["resumed"], &open["position"]), (&json!(true), &position));
                    continue;
                }
                assert_eq!(envelope["data"][0], json!(got), "{} at cut {cuts}: {envelope}", spelling.name);
                position = envelope["id"].take();
                got += 1;
            }
        }
        assert!(cuts > 2, "{}: {cuts} cuts", spelling.name);
    }
}

#[test]
fn a_response_that_makes_room_goes_on_until_the_next_has_taken_over() {
    let node = Node::start(&[("ENCKE_RECYCLE_BYTES", "4KiB")]);
    for (at, spelling) in all().iter().enumerate().filter(|(_, spelling)| spelling.name != "ws") {
        let user = format!("user{at}");
        let mut first = Down::open(&node, spelling, &user, "");
        let session = first.next()["open"]["session"].as_str().expect("a session").to_owned();
        let (mut count, mut last) = (0, String::new());
        for n in 0..40 {
            node.tell(&user, &json!([n, "x".repeat(200)]));
            let mut envelope = first.next();
            while envelope["close"]["code"] == "recycle" {
                assert_eq!(
                    (&envelope["close"]["reconnect"], &envelope["close"]["after"]),
                    (&json!(true), &json!(0))
                );
                count += 1;
                envelope = first.next();
            }
            assert_eq!(envelope["data"][0], n, "{}", spelling.name);
            last = envelope["id"].as_str().expect("a position").to_owned();
        }
        assert_eq!(count, 1, "{}", spelling.name);
        let mut second = Down::open(&node, spelling, &user, &format!("&session={session}&since={last}"));
        assert_eq!(second.next()["open"]["resumed"], true);
        assert_eq!(first.next()["close"]["code"], "replaced");
        node.tell(&user, &json!("after"));
        assert_eq!(second.next()["data"], "after");
    }
}

#[test]
fn an_old_response_that_nobody_takes_over_is_ended() {
    let node = Node::start(&[("ENCKE_RECYCLE_AFTER", "1s")]);
    let mut down = Down::open(&node, &plain("stream", || Grammar::Lines), "alice", "");
    down.next();
    assert_eq!(down.next()["close"]["code"], "recycle");
    node.tell("alice", &json!("meanwhile"));
    assert_eq!(down.next()["data"], "meanwhile");
    assert_eq!(lossy(&down.conn.rest()), "");
    node.await_sessions("alice", |all| all.len() == 1 && all[0]["attached"] == false);
}

#[test]
fn padding_comes_before_the_first_envelope() {
    let node = Node::start(&[]);
    for spelling in all() {
        for pad in [0, 1, 65_536] {
            let mut down = Down::open(&node, &spelling, "alice", &format!("&pad={pad}"));
            assert_eq!(down.next()["open"]["transport"], spelling.name);
            assert!(down.seen > pad, "{}: {} bytes", spelling.name, down.seen);
        }
    }
    for bad in ["-1", "65537", "x", ""] {
        let answer = node.get(&format!("/u/alice/stream?pad={bad}"));
        assert_eq!((answer.status, answer.error()), (400, "bad-pad".to_owned()), "{bad}");
    }
}

fn called(text: &str) -> Vec<Value> {
    let mut reader = Reader::new(Grammar::Call("cb"));
    reader.feed(text.as_bytes());
    reader.finish();
    reader.items.into_iter().map(envelope).collect()
}

#[test]
fn callback_polling_carries_commands_and_tells_of_refusals() {
    let node = Node::start(&[]);
    let first = node.get("/u/alice/jsonp?callback=cb");
    assert_eq!(first.header("content-type"), Some("text/javascript; charset=utf-8"));
    assert_eq!(first.header("x-content-type-options"), Some("nosniff"));
    let open = called(first.text())[0]["open"].clone();
    let session = open["session"].as_str().expect("a session");
    let target = |more: &str| format!("/u/alice/jsonp?callback=cb&session={session}{more}");
    let answers = node.get(&target("&message=%5B%7B%22ping%22:1%7D,%7B%22subscribe%22:%22/c%22%7D%5D"));
    let answers = called(answers.text());
    assert_eq!(answers[0], json!({"ok": {"ping": 1}}));
    assert_eq!(answers[1]["ok"]["subscribe"], "/c");
    node.publish("/c", &json!({"__proto__": "</script>\u{2028}"}));
    let got = called(node.get(&target("")).text());
    assert_eq!(got[0]["data"], json!({"__proto__": "</script>\u{2028}"}));
    for (more, code) in
        [("&message=x", "bad-json"), ("&channels=nope", "bad-channel"), ("&last=x", "bad-last")]
    {
        let refused = node.get(&target(more));
        assert_eq!(refused.status, 200, "{more}: a script element sees no other");
        assert_eq!(called(refused.text())[0]["error"]["code"], code, "{more}");
    }
}

#[test]
fn no_callback_is_more_than_a_name() {
    let node = Node::start(&[]);
    let corpus = [
        "",
        "alert(1)//",
        "a;b",
        "a(b",
        "a%0a",
        "%3Cscript%3E",
        "a%3C",
        "%EF%BB%BFa",
        "a%00",
        "a..b",
        ".a",
        "1a",
        "a[0]",
        "a%27",
        "a%22",
        "a%60",
        "a%2F**%2F",
        "a%E2%80%A8",
        "CWS%07%0E",
        "a%5Cu0061",
        "a%20b",
        "%2528",
        "a-b",
        "%C3%A9",
    ];
    for bad in corpus {
        for transport in ["jsonp", "frame", "htmlfile"] {
            let answer = node.get(&format!("/u/alice/{transport}?callback={bad}"));
            let expected = if bad == "a%00" { "bad-query" } else { "bad-callback" };
            assert_eq!((answer.status, &*answer.error()), (400, expected), "{transport}, {bad}");
            assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"));
        }
    }
    assert_eq!(node.get("/u/alice/jsonp").error(), "no-callback");
    assert_eq!(node.sessions("alice"), Vec::<Value>::new());
}

#[test]
fn advice_to_pollers_keeps_its_bounds() {
    let node = Node::start(&[("ENCKE_POLL_MIN", "200ms"), ("ENCKE_POLL_MAX", "300ms")]);
    let advice = |target: &str| {
        let answer = node.get(target);
        let position = answer.header("encke-position").expect("a position").to_owned();
        let last = answer.envelopes().pop().expect("the advice is last");
        (last["advice"]["poll"].as_u64().expect("milliseconds"), position)
    };
    let (first, position) = advice("/u/alice/poll");
    assert_eq!(first, 200);
    let target = format!("/u/alice/poll?since={position}");
    // The longer the silence, the longer the interval, up to the bound.
    await_that(|| {
        let (next, _) = advice(&target);
        assert!((200..=300).contains(&next), "{next}");
        (next == 300).then_some(())
    });
    node.tell("alice", &json!(1));
    assert_eq!(advice(&target).0, 200);
    node.connect().assert_silent(Duration::from_millis(1));
}
