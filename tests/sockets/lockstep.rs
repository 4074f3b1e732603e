//! Many long polls that one message answers at once.

use serde_json::json;

use crate::client::Conn;
use crate::node::Node;

/// More than one group of answers.
const POLLS: usize = 200;

#[test]
fn each_of_many_polls_gets_each_message_once() {
    let node = Node::start(&[("ENCKE_SHARDS", "1")]);
    let mut polls: Vec<(Conn, String)> = (0..POLLS)
        .map(|user| {
            let mut conn = node.connect();
            let first = conn.ask("GET", &format!("/u/u{user}/longpoll?channels=/c"), &[], b"");
            let session = first.header("encke-session").unwrap().to_owned();
            (conn, format!("/u/u{user}/longpoll?session={session}"))
        })
        .collect();
    for n in 0..5_u64 {
        for (conn, again) in &mut polls {
            conn.request("GET", again, &[], b"");
        }
        let asked = POLLS as u64 * (n + 2);
        node.await_metric("encke_responses_total{transport=\"longpoll\"}", asked);
        node.publish("/c", &json!(n));
        for (conn, _) in &mut polls {
            let answer = conn.response();
            let data: Vec<_> = answer.envelopes().iter().map(|envelope| envelope["data"].clone()).collect();
            assert_eq!(data, [json!(n)]);
        }
    }
}
