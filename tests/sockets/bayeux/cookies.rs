//! How the server recognises the client of a Bayeux session, and its treatment of clients that
//! return no cookie.

use serde_json::{Value, json};

use super::{handshake, only, post, unknown};
use crate::client::Response;
use crate::node::Node;
use crate::socket::Socket;

/// Creates a session by a request: its client id, and the cookie that the answer set, if any.
fn session_by_request(node: &Node, cookie: &str) -> (Value, Option<String>) {
    let response = post(&mut node.connect(), "/bayeux", cookie, &handshake(&json!({})));
    let set = response.head.header("set-cookie").map(first_pair);
    (only(&response)["clientId"].clone(), set)
}

fn first_pair(header: &str) -> String {
    header.split(';').next().unwrap_or_default().to_owned()
}

fn connect(id: &Value) -> Value {
    json!({"id": "9", "channel": "/meta/connect", "clientId": id, "advice": {"timeout": 0}})
}

fn by_request(node: &Node, cookie: &str, message: &Value) -> Value {
    let response: Response = post(&mut node.connect(), "/bayeux", cookie, message);
    only(&response)
}

fn by_socket(socket: &mut Socket, message: &Value) -> Value {
    socket.ask(message).json()[0].clone()
}

fn subscribe(id: &Value) -> Value {
    json!({"id": "8", "channel": "/meta/subscribe", "clientId": id, "subscription": "/c"})
}

#[test]
fn a_client_that_does_not_return_its_cookie_gets_the_reason_and_the_advice_to_stop() {
    let node = Node::start(&[]);
    let (id, cookie) = session_by_request(&node, "");
    for message in [connect(&id), subscribe(&id)] {
        let answer = by_request(&node, "", &message);
        let error = answer["error"].as_str().unwrap();
        assert!(error.starts_with("402::session_unknown: ") && error.contains("cookie"), "{error}");
        assert!(error.contains("token") && error.contains("ENCKE_BAYEUX_TRUST"), "{error}");
        assert_eq!(
            (&answer["successful"], &answer["advice"]),
            (&json!(false), &json!({"reconnect": "none"}))
        );
    }
    // A client with the cookie is not affected. Once the server has seen the cookie, a client
    // without it is denied like any other.
    assert_eq!(by_request(&node, cookie.as_deref().unwrap(), &connect(&id))["successful"], true);
    unknown(&by_request(&node, "", &connect(&id)));
}

#[test]
fn a_cookie_of_another_and_a_session_that_is_over_are_answered_with_a_handshake() {
    let node = Node::start(&[]);
    let (id, cookie) = session_by_request(&node, "");
    unknown(&by_request(&node, "BAYEUX_BROWSER=00000000000000000000000004", &connect(&id)));
    let end = json!({"channel": "/meta/disconnect", "clientId": id});
    assert_eq!(by_request(&node, cookie.as_deref().unwrap(), &end)["successful"], true);
    unknown(&by_request(&node, "", &connect(&id)));
}

#[test]
fn a_socket_that_was_opened_along_with_the_handshake_is_its_clients() {
    // On any shard, before and after the handshake.
    let node = Node::start(&[("ENCKE_SHARDS", "4")]);
    for _ in 0..8 {
        let mut before = Socket::open(&node, "/bayeux");
        let (id, _) = session_by_request(&node, "");
        assert_eq!(by_socket(&mut before, &subscribe(&id))["successful"], true);
        assert_eq!(by_socket(&mut before, &connect(&id))["successful"], true);
        let (id, cookie) = session_by_request(&node, "");
        assert_eq!(by_request(&node, cookie.as_deref().unwrap(), &connect(&id))["successful"], true);
        let mut after = Socket::open(&node, "/bayeux");
        assert_eq!(by_socket(&mut after, &connect(&id))["successful"], true);
    }
}

#[test]
fn it_is_accepted_once_and_only_from_the_program_of_the_handshake() {
    let node = Node::start(&[]);
    let mut waiting = Socket::open(&node, "/bayeux");
    let (id, _) = session_by_request(&node, "");
    let mut other = Socket::open_with(&node, "/bayeux", &[("User-Agent", "thief/1.0")]);
    unknown(&by_socket(&mut other, &connect(&id)));
    let mut known =
        Socket::open_with(&node, "/bayeux", &[("Cookie", "BAYEUX_BROWSER=00000000000000000000000004")]);
    unknown(&by_socket(&mut known, &connect(&id)));
    assert_eq!(by_socket(&mut Socket::open(&node, "/bayeux"), &connect(&id))["successful"], true);
    unknown(&by_socket(&mut waiting, &connect(&id)));
}

#[test]
fn a_programs_socket_may_be_of_a_library_that_does_not_name_itself_and_a_browsers_may_not() {
    let node = Node::start(&[("ENCKE_SHARDS", "4")]);
    let shaken_by = |agent| {
        let headers = [("Content-Type", "application/json"), ("User-Agent", agent)];
        let body = handshake(&json!({})).to_string();
        only(&node.connect().ask("POST", "/bayeux", &headers, body.as_bytes()))["clientId"].clone()
    };
    for _ in 0..4 {
        // As Ruby's faye does; its socket opens before or after the handshake.
        let mut before = Socket::open(&node, "/bayeux");
        let id = shaken_by("EventMachine HttpClient");
        assert_eq!(by_socket(&mut before, &subscribe(&id))["successful"], true);
        assert_eq!(by_socket(&mut before, &connect(&id))["successful"], true);
        unknown(&by_socket(&mut Socket::open(&node, "/bayeux"), &connect(&id)));
        let id = shaken_by("EventMachine HttpClient");
        assert_eq!(by_socket(&mut Socket::open(&node, "/bayeux"), &subscribe(&id))["successful"], true);
    }
    let id = shaken_by("EventMachine HttpClient");
    let mut page = Socket::open_with(&node, "/bayeux", &[("Origin", "http://localhost")]);
    unknown(&by_socket(&mut page, &connect(&id)));
    let id = shaken_by("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36");
    unknown(&by_socket(&mut Socket::open(&node, "/bayeux"), &connect(&id)));
}

#[test]
fn requests_and_sockets_set_cookies_of_different_names_and_either_is_enough() {
    let node = Node::start(&[]);
    let mut socket = Socket::open(&node, "/bayeux");
    let of_socket = first_pair(socket.head.header("set-cookie").unwrap());
    let (first, of_request) = session_by_request(&node, "");
    let of_request = of_request.unwrap();
    let names = [&of_socket, &of_request].map(|cookie| cookie.split('=').next().unwrap().to_owned());
    assert_eq!(names, ["BAYEUX_SOCKET", "BAYEUX_BROWSER"]);
    // A browser that began both at once sends both cookies from then on.
    let both = format!("{of_request}; {of_socket}");
    let (second, set) = session_by_request(&node, &both);
    assert_eq!(set, None);
    for cookie in [&of_socket, &of_request, &both] {
        assert_eq!(by_request(&node, cookie, &connect(&second))["successful"], true, "{cookie}");
    }
    assert_eq!(by_socket(&mut socket, &connect(&second))["successful"], true);
    unknown(&by_request(&node, &of_socket, &connect(&first)));
    for cookie in [&of_socket, &of_request] {
        let (id, set) = session_by_request(&node, cookie);
        assert_eq!((set, &by_request(&node, cookie, &connect(&id))["successful"]), (None, &json!(true)));
        let again = Socket::open_with(&node, "/bayeux", &[("Cookie", cookie)]);
        assert_eq!(again.head.header("set-cookie"), None, "who has one is given no other");
    }
}

#[test]
fn a_socket_with_three_failed_connects_is_closed() {
    let node = Node::start(&[]);
    let mut socket = Socket::open(&node, "/bayeux");
    let gone = json!("s000000");
    // Only connects count: other publishes of the application are answered.
    for _ in 0..5 {
        unknown(&by_socket(&mut socket, &subscribe(&gone)));
    }
    for _ in 0..2 {
        unknown(&by_socket(&mut socket, &connect(&gone)));
    }
    let answer = by_socket(&mut socket, &handshake(&json!({})));
    assert_eq!(by_socket(&mut socket, &connect(&answer["clientId"]))["successful"], true);
    for _ in 0..3 {
        unknown(&by_socket(&mut socket, &connect(&gone)));
    }
    assert_eq!(socket.closed().0, 1008);
}

#[test]
fn a_client_whose_requests_bring_the_cookie_and_whose_sockets_do_not_waits_longer_each_time() {
    let node = Node::start(&[]);
    let (_, cookie) = session_by_request(&node, "");
    let cookie = cookie.unwrap();
    let mut intervals = Vec::new();
    for _ in 0..8 {
        // The endless loop: a handshake by a request, then a connect on a new socket.
        let (id, _) = session_by_request(&node, &cookie);
        let answer = by_socket(&mut Socket::open(&node, "/bayeux"), &connect(&id));
        let error = answer["error"].as_str().unwrap();
        assert!(
            error.starts_with("402::session_unknown: ") && error.contains("ENCKE_BAYEUX_TRUST"),
            "{error}"
        );
        assert_eq!(answer["advice"]["reconnect"], "handshake");
        intervals.push(answer["advice"]["interval"].as_u64().unwrap());
    }
    assert_eq!(intervals, [1000, 2000, 4000, 8000, 16_000, 32_000, 32_000, 32_000]);
    // A subscription in place of the connect gets the same answer, and a socket with the cookie is
    // served at once.
    let (id, _) = session_by_request(&node, &cookie);
    let answer = by_socket(&mut Socket::open(&node, "/bayeux"), &subscribe(&id));
    assert_eq!(answer["advice"], json!({"reconnect": "handshake", "interval": 32_000}));
    let mut marked = Socket::open_with(&node, "/bayeux", &[("Cookie", &cookie)]);
    assert_eq!(by_socket(&mut marked, &connect(&id))["successful"], true);
    let names = |line: &str| line.contains("ENCKE_BAYEUX_TRUST");
    node.log_line(names);
    assert_eq!(node.log().iter().filter(|line| names(line)).count(), 1);
}

#[test]
fn a_socket_without_cookies_is_advised_to_handshake_at_once() {
    // Some clients read the interval as seconds.
    let node = Node::start(&[]);
    let (id, _) = session_by_request(&node, "");
    let mut thief = Socket::open_with(&node, "/bayeux", &[("User-Agent", "other/1.0")]);
    unknown(&by_socket(&mut thief, &connect(&id)));
}

#[test]
fn where_no_browser_asks_the_cookie_says_nothing_of_sites() {
    // The cookie parser of Ruby's faye fails on SameSite.
    let node = Node::start(&[]);
    let set_by_request = |headers: &[(&str, &str)]| {
        let body = handshake(&json!({})).to_string();
        let headers = [&[("Content-Type", "application/json")], headers].concat();
        let response = node.connect().ask("POST", "/bayeux", &headers, body.as_bytes());
        response.head.header("set-cookie").unwrap().to_owned()
    };
    let set_by_socket = |headers: &[(&str, &str)]| {
        Socket::open_with(&node, "/bayeux", headers).head.header("set-cookie").unwrap().to_owned()
    };
    for program in
        [&[][..], &[("User-Agent", "EventMachine HttpClient")], &[("User-Agent", "Go-http-client/1.1")]]
    {
        for cookie in [set_by_request(program), set_by_socket(program)] {
            assert!(cookie.ends_with("; Path=/; HttpOnly"), "{program:?}: {cookie}");
        }
    }
    for browser in [
        &[("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36")][..],
        &[("User-Agent", "Opera/9.80 (X11; Linux)")],
        &[("Origin", "http://localhost")],
        &[("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Mode", "cors")],
    ] {
        for cookie in [set_by_request(browser), set_by_socket(browser)] {
            assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{browser:?}: {cookie}");
        }
    }
}
