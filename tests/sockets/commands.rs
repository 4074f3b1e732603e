//! Commands as authors of clients use them: what is accepted, and what a refusal names.

use serde_json::{Value, json};

use crate::down::Down;
use crate::node::Node;

fn send(node: &Node, command: &Value) -> (u16, Value) {
    let answer = node.connect().ask("POST", "/u/alice/send", &[], command.to_string().as_bytes());
    (answer.status, answer.json())
}

#[test]
fn bytes_can_be_published_as_base64_and_what_is_none_is_refused() {
    let node = Node::start(&[]);
    let mut reader = Down::open(&node, "/u/bob/sse?channels=/a");
    reader.opened();
    for bad in [json!("AP8"), json!("-_8="), json!(7), Value::Null] {
        let (status, answer) = send(&node, &json!({"publish": "/a", "data": bad, "encoding": "base64"}));
        assert_eq!((status, &answer["error"]["code"]), (400, &json!("bad-command")), "{bad}");
    }
    let (status, answer) = send(&node, &json!({"publish": "/a", "data": "AP8=", "encoding": "base64"}));
    assert_eq!(status, 200, "{answer}");
    let message = reader.expect();
    assert_eq!((&message["data"], &message["encoding"]), (&json!("AP8="), &json!("base64")));
}

#[test]
fn what_a_command_has_no_use_for_is_named() {
    let node = Node::start(&[]);
    for (command, named) in [
        (json!({"publish": "/a", "data": 1, "last": 5}), "\"last\" does not belong to publish"),
        (json!({"ping": 1, "key": "k"}), "\"key\" does not belong to ping, which takes nothing else"),
        (json!({"subscribe": "/a", "encoding": "base64"}), "which takes since, last, conflate, presence"),
    ] {
        let (status, answer) = send(&node, &command);
        assert_eq!((status, &answer["error"]["code"]), (400, &json!("bad-command")), "{answer}");
        assert!(answer["error"]["reason"].as_str().unwrap().contains(named), "{answer}");
    }
}

#[test]
fn a_stream_and_a_poll_say_how_long_a_session_is_remembered() {
    let node = Node::start(&[("ENCKE_SESSION_GRACE", "7s"), ("ENCKE_HEARTBEAT", "2s")]);
    assert_eq!(Down::open(&node, "/u/bob/sse").opened()["grace"], 7000);
    assert_eq!(node.get("/u/bob/poll").envelopes()[0]["open"]["grace"], 7000);
}

/// Sends commands in a request to the given transport, in the given form; returns the envelopes of
/// the answer.
fn carry(node: &Node, query: &str, commands: &Value, how: &str) -> Vec<Value> {
    let (body, target) = (commands.to_string(), format!("/u/bob/longpoll?{query}"));
    let mut conn = node.connect();
    let answer = match how {
        "json" => conn.ask("POST", &target, &[("Content-Type", "application/json")], body.as_bytes()),
        "form" => {
            let body = format!("message={}", body.replace('"', "%22"));
            let form = [("Content-Type", "application/x-www-form-urlencoded")];
            conn.ask("POST", &target, &form, body.as_bytes())
        }
        _ => {
            let message = body.replace('"', "%22").replace('{', "%7B").replace('}', "%7D");
            conn.ask("GET", &format!("/u/bob/jsonp?callback=f&message={message}&{query}"), &[], b"")
        }
    };
    assert_eq!(answer.status, 200, "{how}");
    let text = answer.text();
    let array = text.find('[').unwrap()..=text.rfind(']').unwrap();
    serde_json::from_str(&text[array]).unwrap()
}

/// With two shards, some of these have their home on either.
const CHANNELS: [&str; 4] = ["/b/x/1", "/b/x/2", "/b/x/3", "/b/x/4"];

#[test]
fn a_command_overrides_the_query_of_its_own_request() {
    for shards in ["1", "2"] {
        let node = Node::start(&[("ENCKE_SHARDS", shards)]);
        for (channel, how) in
            CHANNELS.iter().flat_map(|channel| ["json", "form", "jsonp"].map(|how| (channel, how)))
        {
            let first = node.get(&format!("/u/bob/longpoll?channels={channel}"));
            let session = first.header("encke-session").unwrap().to_owned();
            let at = first.header("encke-position").unwrap().to_owned();
            let holds = || {
                let sessions = node.sessions("bob");
                let own = sessions.iter().find(|one| one["session"] == *session);
                own.unwrap_or_else(|| panic!("{sessions:?}"))["channels"].to_string().contains(channel)
            };
            assert!(holds());
            let leave = json!([{"unsubscribe": channel}]);
            for query in [
                format!("session={session}&channels={channel}"),
                format!("session={session}&since={at}&channels={channel}"),
                format!("session={session}&channels={channel}&last=3&presence=1"),
            ] {
                // The query applies first: a command can unsubscribe a channel that it names.
                let answers = carry(&node, &query, &leave, how);
                assert_eq!(answers[0]["ok"]["unsubscribe"], *channel, "{answers:?}");
                assert!(!holds(), "{how} with {query}");
            }
            // And subscribe again, by the next command of the same request.
            let again = json!([{"unsubscribe": channel}, {"subscribe": channel}]);
            carry(&node, &format!("session={session}&channels={channel}"), &again, how);
            assert!(holds());
            node.api("DELETE", "/u/bob", "");
        }
    }
}

#[test]
fn an_unsubscribe_is_executed_in_a_new_session_and_in_one_found_by_position() {
    let node = Node::start(&[("ENCKE_SHARDS", "2")]);
    for channel in CHANNELS {
        let leave = json!([{"unsubscribe": channel}]);
        let answers = carry(&node, &format!("channels={channel}"), &leave, "json");
        assert_eq!(answers[1]["ok"]["unsubscribe"], channel, "{answers:?}");
        let at = answers[0]["open"]["position"].as_str().unwrap().to_owned();
        node.publish(channel, &json!("not for bob"));
        node.tell("bob", &json!("for bob"));
        let got = node.get(&format!("/u/bob/poll?since={at}")).envelopes();
        assert_eq!(got[0]["data"], "for bob", "{got:?}");
        let first = node.get(&format!("/u/bob/longpoll?channels={channel}"));
        let at = first.header("encke-position").unwrap();
        let answers = carry(&node, &format!("since={at}&channels={channel}"), &leave, "json");
        assert_eq!(answers[0]["ok"]["unsubscribe"], channel, "{answers:?}");
        assert!(node.sessions("bob").iter().all(|one| !one["channels"].to_string().contains(channel)));
        node.api("DELETE", "/u/bob", "");
    }
}

#[test]
fn a_command_that_asks_for_no_presence_ends_what_the_query_asks_for() {
    let node = Node::start(&[]);
    let first = node.get("/u/bob/longpoll?channels=/room&presence=1");
    let session = first.header("encke-session").unwrap().to_owned();
    let query = format!("session={session}&channels=/room&presence=1");
    carry(&node, &query, &json!([{"subscribe": "/room"}]), "json");
    let mut other = Down::open(&node, "/u/carol/sse?channels=/room&presence=1");
    other.opened();
    // Carol's list shows that the channel's home knows her.
    assert_eq!(other.expect()["presence"]["users"], json!(["bob", "carol"]));
    node.tell("bob", &json!("last"));
    let got = node.get(&format!("/u/bob/poll?session={session}")).envelopes();
    let news: Vec<_> = got.iter().filter(|one| !one["presence"]["came"].is_null()).collect();
    assert!(news.is_empty(), "{got:?}");
}

/// The options too: those of the command apply.
#[test]
fn a_command_sets_the_options_that_the_query_of_its_request_contradicts() {
    let node = Node::start(&[]);
    let first = node.get("/u/bob/longpoll?channels=/t&conflate=60000");
    let session = first.header("encke-session").unwrap().to_owned();
    let query = format!("session={session}&channels=/t&conflate=60000");
    carry(&node, &query, &json!([{"subscribe": "/t"}]), "json");
    (1..=3).for_each(|n| _ = node.publish("/t", &json!(n)));
    let got = node.get(&format!("/u/bob/poll?session={session}")).envelopes();
    assert_eq!([0, 1, 2].map(|at| got[at]["data"].clone()), [1, 2, 3], "{got:?}");
}

#[test]
fn a_session_that_a_command_closes_is_over_whatever_the_query_names() {
    let node = Node::start(&[]);
    for how in ["json", "form", "jsonp"] {
        let session = node.get("/u/bob/longpoll").header("encke-session").unwrap().to_owned();
        let answers = carry(&node, &format!("session={session}&channels=/t"), &json!([{"close": true}]), how);
        assert_eq!(answers, [json!({"ok": {"close": true}})]);
        assert!(node.sessions("bob").is_empty());
    }
}

/// The history that the query requests is for this response, not for the poll that it replaces.
#[test]
fn a_request_with_commands_takes_its_session_over_before_they_are_carried_out() {
    let node = Node::start(&[("ENCKE_SHARDS", "1")]);
    node.publish("/t", &json!("before"));
    let session = node.get("/u/bob/longpoll").header("encke-session").unwrap().to_owned();
    let mut older = node.connect();
    older.request("GET", &format!("/u/bob/longpoll?session={session}"), &[], b"");
    node.await_sessions("bob", |sessions| sessions.iter().all(|at| at["attached"] == true));
    let command = json!([{"subscribe": "/t", "last": 1}]);
    let answers = carry(&node, &format!("session={session}"), &command, "json");
    assert_eq!(answers[1]["data"], "before", "{answers:?}");
    assert_eq!(older.response().envelopes()[0]["close"]["code"], "replaced");
}
