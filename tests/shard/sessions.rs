//! Which session a request resumes: messages that were written for one client are still owed to the
//! other.

use super::*;

/// The response to a poll.
struct Polled {
    session: String,
    position: String,
    envelopes: Vec<Value>,
}

impl Polled {
    /// The payloads of its messages.
    fn data(&self) -> Vec<u64> {
        self.envelopes.iter().filter_map(|envelope| envelope["data"].as_u64()).collect()
    }
}

impl Rig {
    fn poll(&mut self, query: &str) -> Polled {
        let answer = self.get(ListenerKind::Public, &format!("/u/alice/poll?{query}"));
        let (head, body) = answer.split_once("\r\n\r\n").expect("a response");
        let header = |name: &str| {
            let value = head.lines().find_map(|line| line.strip_prefix(name)).expect(name);
            value.trim_start_matches(": ").to_owned()
        };
        Polled {
            session: header("Encke-Session"),
            position: header("Encke-Position"),
            envelopes: serde_json::from_str(body).expect(body),
        }
    }

    fn tell(&mut self, channel: &str, data: u32) {
        let conn = self.connect(ListenerKind::Private);
        let body = json!({ "channel": channel, "data": data }).to_string();
        let head = "POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json";
        let request = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        assert_eq!(status(&self.say(conn, &request)), "200");
    }
}

/// One page knows its session's id and sends no position. Another page sends only a position, which
/// is the same.
#[test]
fn what_a_position_alone_was_given_is_owed_to_the_client_that_knows_the_id() {
    let mut rig = Rig::new(&[]);
    let knows_id = rig.poll("channels=/a");
    rig.tell("/a", 1);
    let by_position = rig.poll(&format!("channels=/a&since={}", knows_id.position));
    assert_eq!(by_position.session, knows_id.session);
    assert_eq!(by_position.data(), [1]);
    rig.tell("/a", 2);
    let by_id = rig.poll(&format!("session={}", knows_id.session));
    assert_eq!(by_id.data(), [1, 2]);
    assert_ne!(by_id.session, knows_id.session, "two clients do not share a session");
    let open = &by_id.envelopes[0]["open"];
    assert_eq!((&open["instead"]["session"], &open["resumed"]), (&json!(knows_id.session), &json!(true)));
    rig.tell("/a", 3);
    assert_eq!(rig.poll(&format!("session={}", by_id.session)).data(), [3]);
    let on = rig.poll(&format!("channels=/a&since={}", by_position.position));
    assert_eq!((on.data(), on.session), (vec![2, 3], by_position.session));
}

/// A request found the session by its id before, so no position alone resumes it.
#[test]
fn a_session_whose_client_has_named_it_goes_on_as_it_is() {
    let mut rig = Rig::new(&[]);
    let first = rig.poll("channels=/a");
    assert_eq!(rig.poll(&format!("session={}", first.session)).session, first.session);
    rig.tell("/a", 1);
    let other = rig.poll(&format!("channels=/a&since={}", first.position));
    assert_ne!(other.session, first.session);
    let again = rig.poll(&format!("session={}", first.session));
    assert_eq!((again.data(), again.session), (vec![1], first.session));
}

/// The private log, which carries recent messages of a pattern, is shorter than the requested
/// history, and another shard answers for one pattern after the other.
#[test]
fn recent_messages_of_two_patterns_come_once_though_the_log_is_short() {
    let vars = [("ENCKE_CHANNEL_BYTES", "1KiB"), ("ENCKE_MESSAGE_BYTES", "1KiB")];
    let mut rig = Rig::of_shards(2, &vars);
    let user = order::name_at(0, "alice");
    for n in 0..20 {
        rig.tell(&order::name_at(0, &format!("/a/{n}-")), n);
    }
    let conn = rig.connect(ListenerKind::Public);
    let request =
        format!("GET /u/{user}/stream?channels=/a/*,/a/**&last=2 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut response = rig.say(conn, &request);
    let asked = std::mem::take(&mut rig.mail);
    let recalls = asked.into_iter().filter_map(|mail| match mail {
        Mail::Recall { pending, .. } => Some(pending),
        _ => None,
    });
    for pending in recalls.collect::<Vec<_>>() {
        rig.give(Input::Mail { from: ShardId(1), mail: Mail::Recalled { pending, messages: Vec::new() } });
        rig.turn();
        response += &rig.heard(conn);
    }
    for n in 0..20 {
        assert_eq!(response.matches(&format!("\"data\":{n}}}")).count(), 1, "{n}: {response}");
    }
}

/// Pages of one user that share channels are independent of each other.
#[test]
fn a_page_gets_no_gap_for_history_that_another_one_requested() {
    let mut rig = Rig::of_shards(2, &[]);
    let here = |prefix: &str| order::name_at(0, prefix);
    let (user, mine, shared) = (here("alice"), here("/mine/"), here("/shared/"));
    // It began with a channel that the other page does not name, and a command changes it.
    let stream = rig.connect(ListenerKind::Public);
    let request =
        format!("GET /u/{user}/stream?channels={mine},{shared} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let opened = rig.say(stream, &request);
    let session = opened.split_once("Encke-Session: ").and_then(|(_, rest)| rest.split_once("\r\n"));
    let (session, _) = session.expect("a session");
    rig.tell(&shared, 1);
    let other = rig.get(ListenerKind::Public, &format!("/u/{user}/poll?channels={shared}"));
    let position = other.split_once("Encke-Position: ").and_then(|(_, rest)| rest.split_once("\r\n"));
    let (position, _) = position.expect("a position");
    let target = format!("/u/{user}/send?session={session}");
    let more = here("/more/");
    rig.tell(&more, 2);
    let (_, response) = rig.request(&target, &json!({ "subscribe": more, "last": 1 }));
    assert_eq!(status(&response), "200");
    let again = rig.get(ListenerKind::Public, &format!("/u/{user}/poll?channels={shared}&since={position}"));
    assert!(!again.contains("gap"), "{again}");
}

/// The first pattern's recent messages have new positions, so the second one's log begins after
/// them.
#[test]
fn history_that_is_resumed_between_two_patterns_has_no_gap() {
    let mut rig = Rig::new(&[]);
    for n in 0..3 {
        rig.tell("/a/b", n);
    }
    let first = rig.poll("channels=/a/*,/b/*&last=3");
    assert_eq!(first.data(), [0, 1, 2]);
    let message = first.envelopes.iter().find(|envelope| envelope["data"] == 0).expect("a message");
    let since = message["id"].as_str().expect("an id");
    let rest = rig.poll(&format!("channels=/a/*,/b/*&session={}&since={since}", first.session));
    assert_eq!(rest.data(), [1, 2]);
    assert!(rest.envelopes.iter().all(|envelope| envelope["gap"].is_null()), "{:?}", rest.envelopes);
}
