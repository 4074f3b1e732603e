//! A Bayeux client over HTTP, and helpers that split answers.

use serde_json::{Value, json};

use crate::client::{Conn, Response};
use crate::node::Node;

/// A client over HTTP: one connection for connects, one for the other messages, and a cookie.
pub(super) struct Client {
    pub(super) connects: Conn,
    pub(super) others: Conn,
    pub(super) path: String,
    pub(super) cookie: String,
    pub(super) id: String,
}

impl Client {
    pub(super) fn handshake(node: &Node, path: &str, ext: &Value) -> Self {
        let mut others = node.connect();
        let response = post(&mut others, path, "", &handshake(ext));
        let answer = only(&response);
        assert_eq!(answer["successful"], true, "{answer}");
        let cookie = response.head.header("set-cookie").expect("a cookie");
        assert!(cookie.contains("HttpOnly") && cookie.contains("Path=/"), "{cookie}");
        let cookie = cookie.split(';').next().unwrap().to_owned();
        let id = answer["clientId"].as_str().unwrap().to_owned();
        assert!(id.len() >= 32 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
        Self { connects: node.connect(), others, path: path.to_owned(), cookie, id }
    }

    pub(super) fn begin(node: &Node, path: &str, ext: &Value) -> Self {
        let mut client = Self::handshake(node, path, ext);
        let first = client.connect(&json!({}));
        assert_eq!(first[0]["successful"], true);
        assert_eq!(first.len(), 1, "the first connect is answered at once");
        client
    }

    pub(super) fn message(&self, channel: &str, more: &Value) -> Value {
        let mut message = json!({"id": "7", "channel": channel, "clientId": self.id});
        message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        message
    }

    pub(super) fn ask(&mut self, channel: &str, more: &Value) -> Value {
        let message = self.message(channel, more);
        only(&post(&mut self.others, &self.path, &self.cookie, &message))
    }

    pub(super) fn request_connect(&mut self, more: &Value) {
        let message = self.message("/meta/connect", more);
        request(&mut self.connects, &self.path, &self.cookie, &message);
    }

    pub(super) fn connected(&mut self) -> Vec<Value> {
        array(&self.connects.response())
    }

    pub(super) fn connect(&mut self, more: &Value) -> Vec<Value> {
        self.request_connect(more);
        self.connected()
    }
}

pub(super) fn handshake(ext: &Value) -> Value {
    json!({
        "id": "h1", "channel": "/meta/handshake", "version": "1.0", "ext": ext,
        "supportedConnectionTypes": ["long-polling", "callback-polling", "iframe"],
    })
}

pub(super) fn request(conn: &mut Conn, path: &str, cookie: &str, message: &Value) {
    let headers = [("Content-Type", "application/json;charset=UTF-8"), ("Cookie", cookie)];
    conn.request("POST", path, &headers, message.to_string().as_bytes());
}

pub(super) fn post(conn: &mut Conn, path: &str, cookie: &str, message: &Value) -> Response {
    request(conn, path, cookie, message);
    conn.response()
}

pub(super) fn array(response: &Response) -> Vec<Value> {
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(response.head.header("content-type"), Some("application/json; charset=utf-8"));
    assert_eq!(response.head.header("cache-control").map(|value| value.contains("no-store")), Some(true));
    response.json().as_array().expect("an array").clone()
}

pub(super) fn only(response: &Response) -> Value {
    let all = array(response);
    assert_eq!(all.len(), 1, "{all:?}");
    all[0].clone()
}

/// The connect's own answer in an answer over HTTP: the first message if it numbers the events,
/// else the last.
pub(super) fn own(answers: &[Value]) -> &Value {
    let at = answers.iter().position(|message| message["channel"] == "/meta/connect").expect("an answer");
    let place = if is_numbered(&answers[at]) { 0 } else { answers.len() - 1 };
    assert_eq!(at, place, "{answers:?}");
    &answers[at]
}

/// The events in an answer to a connect: after all answers if the connect's own answer numbers
/// them, else before.
pub(super) fn events(answers: &[Value]) -> &[Value] {
    let is_answer = |message: &Value| message.get("successful").is_some();
    let (events, others) = if is_numbered(own(answers)) {
        let count = answers.iter().position(|message| !is_answer(message)).unwrap_or(answers.len());
        let (others, events) = answers.split_at(count);
        (events, others)
    } else {
        answers.split_at(answers.iter().position(is_answer).expect("an answer"))
    };
    assert!(others.iter().all(is_answer) && !events.iter().any(is_answer), "{answers:?}");
    events
}

fn is_numbered(answer: &Value) -> bool {
    !answer["ext"]["ack"].is_null()
}

pub(super) fn unknown(answer: &Value) {
    assert_eq!(answer["successful"], false, "{answer}");
    assert_eq!(answer["error"], "402::session_unknown");
    assert_eq!(answer["advice"], json!({"reconnect": "handshake", "interval": 0}));
}
