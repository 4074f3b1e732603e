//! How messages arrive over HTTP: bodies, forms, scripts, origins, and requests that are refused as
//! a whole.

use serde_json::{Value, json};

use super::{Client, array, handshake, only};
use crate::client::Response;
use crate::node::Node;

fn sent(node: &Node, content_type: &str, body: &[u8]) -> Response {
    node.connect().ask("POST", "/bayeux", &[("Content-Type", content_type)], body)
}

#[test]
fn json_is_json_by_any_of_its_names() {
    let node = Node::start(&[]);
    let handshake = handshake(&json!({})).to_string();
    for name in [
        "application/json",
        "application/json;charset=UTF-8",
        "Application/JSON; Charset=\"utf-8\"",
        "text/json",
        "TEXT/JSON;charset=utf-8",
        "application/vnd.api+json",
    ] {
        assert_eq!(only(&sent(&node, name, handshake.as_bytes()))["successful"], true, "{name}");
    }
    for name in ["application/octet-stream", "image/png", "application/x-ndjson"] {
        assert_eq!(sent(&node, name, handshake.as_bytes()).status, 415, "{name}");
    }
}

#[test]
fn text_that_is_cut_into_chunks_within_a_character_is_read_whole() {
    let node = Node::start(&[("ENCKE_BAYEUX_TRUST", "1")]);
    let mut client = Client::begin(&node, "/bayeux", &json!({}));
    client.ask("/meta/subscribe", &json!({"subscription": "/c"}));
    let message = client.message("/c", &json!({"data": "žluťoučký 🐎"})).to_string();
    let mut conn = node.connect();
    conn.send("POST /bayeux HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
    for byte in message.as_bytes() {
        conn.send([b"1\r\n", &[*byte][..], b"\r\n"].concat());
    }
    conn.send("0\r\n\r\n");
    assert_eq!(only(&conn.response())["successful"], true);
    assert_eq!(client.connect(&json!({}))[0]["data"], "žluťoučký 🐎");
}

#[test]
fn what_is_no_message_at_all_is_refused_as_a_whole_and_an_empty_list_is_answered() {
    let node = Node::start(&[("ENCKE_BODY_BYTES", "4KiB"), ("ENCKE_MESSAGE_BYTES", "2KiB")]);
    let json_type = "application/json";
    for (body, status) in [
        (&b"[{\"channel\":\"/c\",\"data\":\"\xff\"}]"[..], 400),
        (b"{", 400),
        (b"", 400),
        (b"[][]", 400),
        (b"{\"channel\":\"/c\"} x", 400),
    ] {
        let response = sent(&node, json_type, body);
        assert_eq!(response.status, status, "{}", response.text());
        assert_eq!(response.head.header("content-type"), Some("application/json; charset=utf-8"));
    }
    assert_eq!(sent(&node, json_type, &[b' '; 5000]).status, 413);
    let deep = format!("{}{}", "[".repeat(3000), "]".repeat(1000));
    assert_eq!(sent(&node, json_type, deep.as_bytes()).status, 400);
    assert_eq!(sent(&node, json_type, b" [ ] ").json(), json!([]));
    // A message error is not an HTTP error.
    for body in ["7", "\"x\"", "[7,null]", "{}", "[[]]"] {
        let answers = array(&sent(&node, json_type, body.as_bytes()));
        assert!(answers.iter().all(|answer| answer["successful"] == false), "{body}: {answers:?}");
        assert!(
            answers.iter().all(|answer| answer["error"].as_str().unwrap().starts_with("400:")),
            "{answers:?}"
        );
    }
}

#[test]
fn a_script_calls_its_function_with_errors_too_and_cannot_be_made_to_say_anything_else() {
    let node = Node::start(&[]);
    let handshake = handshake(&json!({})).to_string().replace('"', "%22").replace(' ', "");
    let response = node.get(&format!("/cometd/x.bat?message={handshake}"));
    assert!(response.text().starts_with("/**/jsonpcallback([{"), "{}", response.text());
    assert!(response.text().ends_with("]);\n"));
    assert_eq!(response.head.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(response.head.header("content-disposition"), Some("attachment; filename=\"f.txt\""));
    assert!(response.head.header("cache-control").unwrap().contains("no-store"));
    assert!(response.head.header("set-cookie").is_some());
    for name in ["_cometd_jsonp_0", "__jsonp1__", "jQuery1234_567", "a.b.$c"] {
        let message = "[{%22channel%22:%22/meta/connect%22}]";
        let response = node.get(&format!("/bayeux?jsonp={name}&message={message}"));
        assert!(response.text().starts_with(&format!("/**/{name}([{{")), "{}", response.text());
        assert!(response.text().contains("402::session_unknown"));
    }
    for name in ["a-b", "alert(1)//", "%3Cscript%3E", "", &"x".repeat(65), "a..b", ".a"] {
        let response = node.get(&format!("/bayeux?jsonp={name}&message=[]"));
        assert_eq!(response.status, 400, "{name}");
        assert_eq!(response.head.header("content-type"), Some("application/json; charset=utf-8"));
        assert!(!response.text().contains("<script>"), "{}", response.text());
    }
    // Invalid JSON is reported through the function, since a script sees no status.
    let response = node.get("/bayeux?jsonp=f&message=zork");
    assert_eq!(response.status, 200);
    assert!(response.text().starts_with("/**/f([{\"error\":"), "{}", response.text());
}

#[test]
fn a_form_brings_one_message_or_several_in_any_number_of_fields() {
    let node = Node::start(&[("ENCKE_BATCH", "4")]);
    let form = "application/x-www-form-urlencoded;charset=UTF-8";
    let handshake = handshake(&json!({})).to_string().replace('"', "%22").replace('+', "%2B");
    assert_eq!(only(&sent(&node, form, format!("message={handshake}").as_bytes()))["successful"], true);
    let nothing = "%7B%22id%22:1%7D";
    let body = format!("message={nothing}&other=1&message=[{nothing},{nothing}]");
    assert_eq!(array(&sent(&node, form, body.as_bytes())).len(), 3);
    for (body, status) in [
        ("", 400),
        ("other=1", 400),
        ("message=zork", 400),
        ("message=%zz", 400),
        (&*format!("message=[{nothing},{nothing}]&message=[{nothing},{nothing},{nothing}]"), 413),
    ] {
        assert_eq!(sent(&node, form, body.as_bytes()).status, status, "{body}");
    }
}

#[test]
fn pages_of_other_origins_come_in_where_they_are_listed() {
    let node = Node::start(&[("ENCKE_ORIGINS", "https://page.example")]);
    let ask = |origin: &str| {
        let headers = [("Origin", origin), ("Content-Type", "application/json")];
        node.connect().ask("POST", "/bayeux", &headers, handshake(&json!({})).to_string().as_bytes())
    };
    let listed = ask("https://page.example");
    assert_eq!(only(&listed)["successful"], true);
    assert_eq!(listed.head.header("access-control-allow-origin"), Some("https://page.example"));
    assert_eq!(listed.head.header("access-control-allow-credentials"), Some("true"));
    let cookie = listed.head.header("set-cookie").unwrap();
    assert!(cookie.contains("SameSite=None") && cookie.contains("Secure"), "{cookie}");
    assert_eq!(ask("https://evil.example").status, 403);
    let preflight = [
        ("Origin", "https://page.example"),
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "content-type"),
    ];
    for path in ["/bayeux", "/cometd/handshake", "/u/alice/bayeux/connect"] {
        let answer = node.connect().ask("OPTIONS", path, &preflight, b"");
        assert_eq!(answer.status, 204);
        let allowed = answer.head.header("access-control-allow-headers").unwrap().to_ascii_lowercase();
        assert!(allowed.contains("content-type"), "{allowed}");
        assert!(answer.head.header("access-control-allow-methods").unwrap().contains("POST"));
    }
}

#[test]
fn an_answer_is_an_array_of_as_many_as_were_asked() {
    let node = Node::start(&[]);
    let mut client = Client::begin(&node, "/bayeux", &json!({}));
    let messages: Vec<Value> = (0..3).map(|n| client.message("/c", &json!({"id": n, "data": n}))).collect();
    for body in [json!(messages[0]), json!([messages[0]]), json!(messages)] {
        super::request(&mut client.others, "/bayeux", &client.cookie, &body);
        let count = body.as_array().map_or(1, Vec::len);
        assert_eq!(array(&client.others.response()).len(), count);
    }
}
