//! What the backend has a say in, and messages to it that come again.

use crate::bayeux::tests::*;
use crate::protocol::native::envelope::CloseCode;
use crate::turn::hook::{Hook, HookVerdict};
use crate::turn::input::Effect;

const POLICY: [(&str, &str); 1] = [("ENCKE_POLICY_HOOK", "http://127.0.0.1:9/")];
const SERVICE: [(&str, &str); 1] = [("ENCKE_SERVICE_HOOK", "http://127.0.0.1:9/")];

impl Bayeux {
    /// Takes the questions that are out.
    fn questions(&mut self) -> Vec<(PendingKey, Hook, Value)> {
        let question = |effect| match effect {
            Effect::Hook { pending, hook, body } => {
                Some((pending, hook, serde_json::from_slice(&body).expect("JSON")))
            }
            _ => None,
        };
        self.rig.effects().into_iter().filter_map(question).collect()
    }

    /// The backend answers, for all who wait for it.
    fn verdict(&mut self, pending: PendingKey, verdict: HookVerdict<'_>) {
        let repeats = self.front.continue_after_hook(&mut self.rig.core, pending, verdict);
        self.settle(pending);
        for repeat in repeats {
            assert!(self.front.continue_after_hook(&mut self.rig.core, repeat, verdict).is_empty());
            self.settle(repeat);
        }
        self.carry_out();
    }

    /// A client of a shard whose policy hook allows it.
    fn allowed(&mut self) -> (String, String) {
        let conn = self.send("/bayeux", None, &handshake());
        let (pending, ..) = self.questions()[0];
        self.verdict(pending, HookVerdict::Taken(b""));
        let heard = self.heard(conn);
        (heard.cookie.expect("a cookie"), client_id(&heard.messages[0]))
    }
}

#[test]
fn the_policy_hook_decides_and_no_answer_refuses() {
    for (verdict, handshaken, others) in [
        (HookVerdict::Taken(b""), "", ""),
        (HookVerdict::Denied, "403", "403"),
        (HookVerdict::Unavailable, "503", "503"),
    ] {
        let mut bayeux = Bayeux::new(&POLICY);
        let conn = bayeux.send("/bayeux", None, &handshake());
        let (pending, hook, question) = bayeux.questions().remove(0);
        assert_eq!((hook, &question["event"]), (Hook::Policy, &json!("handshake")));
        assert_eq!(bayeux.rig.core.sessions.len(), 0, "it is asked first");
        bayeux.verdict(pending, verdict);
        let answer = &bayeux.heard(conn).messages[0];
        assert_eq!(error(answer), handshaken);
        let mut bayeux = Bayeux::new(&POLICY);
        let (cookie, id) = bayeux.allowed();
        for (message, event) in [(subscribe(&id, "/a"), "subscribe"), (publish(&id, "/a", 1), "publish")] {
            let conn = bayeux.send("/bayeux", Some(&cookie), &message);
            let (pending, _, question) = bayeux.questions().remove(0);
            assert_eq!((&question["event"], &question["session"]), (&json!(event), &json!(id)));
            bayeux.verdict(pending, verdict);
            assert_eq!(error(&bayeux.heard(conn).messages[0]), others, "{message}");
        }
    }
}

#[test]
fn the_hook_is_not_asked_about_what_claims_refuse() {
    let mut bayeux = Bayeux::new(&POLICY);
    let (cookie, id) = bayeux.allowed();
    for (message, refusal) in [
        (subscribe(&id, "/meta/a"), "403"),
        (subscribe(&id, "/service/a"), ""),
        (publish(&id, "/a/*", 1), "405"),
    ] {
        assert_eq!(error(&bayeux.ask(&cookie, &message)), refusal, "{message}");
        assert_eq!(bayeux.questions(), [], "{message}");
    }
}

#[test]
fn a_hook_that_fails_once_is_not_asked_again_for_the_same_request() {
    let mut bayeux = Bayeux::new(&POLICY);
    let (cookie, id) = bayeux.allowed();
    let batch = json!([subscribe(&id, "/a"), subscribe(&id, "/b"), publish(&id, "/a", 1)]);
    let conn = bayeux.send("/bayeux", Some(&cookie), &batch);
    let (pending, ..) = bayeux.questions()[0];
    bayeux.verdict(pending, HookVerdict::Unavailable);
    assert_eq!(bayeux.questions(), []);
    let answers = bayeux.heard(conn).messages;
    assert!(answers.iter().all(|answer| error(answer) == "503") && answers.len() == 3, "{answers:?}");
}

#[test]
fn a_session_that_ends_while_the_hook_is_asked_is_unknown_afterwards() {
    for ask in [|id: &str| subscribe(id, "/a"), |id: &str| publish(id, "/a", 1)] {
        let mut bayeux = Bayeux::new(&POLICY);
        let (cookie, id) = bayeux.allowed();
        let conn = bayeux.send("/bayeux", Some(&cookie), &ask(&id));
        let (pending, ..) = bayeux.questions()[0];
        let key = bayeux.key(&id).expect("a session");
        bayeux.rig.core.end_session(key, CloseCode::Ended);
        bayeux.verdict(pending, HookVerdict::Taken(b""));
        let answer = &bayeux.heard(conn).messages[0];
        assert_eq!((error(answer), advice(answer)), ("402", "handshake"), "{answer}");
    }
}

#[test]
fn a_client_that_leaves_while_the_hook_is_asked_gets_no_session() {
    let mut bayeux = Bayeux::new(&POLICY);
    let conn = bayeux.send("/bayeux", None, &handshake());
    let (pending, ..) = bayeux.questions()[0];
    bayeux.close(conn);
    bayeux.verdict(pending, HookVerdict::Taken(b""));
    assert_eq!(bayeux.rig.core.sessions.len(), 0);
}

#[test]
fn the_data_of_a_services_answer_goes_to_the_session() {
    let too_deep = format!(r#"{{"data":{}1{}}}"#, "[".repeat(99), "]".repeat(99));
    for (body, data, refusal) in [
        ("", None, ""),
        ("ok", None, ""),
        (r#"{"data":{"a":1}}"#, Some(json!({ "a": 1 })), ""),
        (&*too_deep, None, "502"),
    ] {
        let mut bayeux = Bayeux::new(&SERVICE);
        let (cookie, id) = bayeux.connected();
        let conn = bayeux.send("/bayeux", Some(&cookie), &publish(&id, "/service/x", 1));
        let (pending, hook, question) = bayeux.questions().remove(0);
        assert_eq!((hook, &question["channel"]), (Hook::Service, &json!("/service/x")));
        bayeux.verdict(pending, HookVerdict::Taken(body.as_bytes()));
        assert_eq!(error(&bayeux.heard(conn).messages[0]), refusal);
        let mut message = connect(&id);
        message["advice"] = json!({ "timeout": 0 });
        let messages = bayeux.post("/bayeux", Some(&cookie), &message).messages;
        let event = messages.iter().find(|event| event["channel"] == json!("/service/x"));
        assert_eq!(event.map(|event| event["data"].clone()), data);
    }
}

#[test]
fn a_repeated_service_message_is_asked_about_once_and_answered_twice() {
    let mut bayeux = Bayeux::new(&SERVICE);
    let (cookie, id) = bayeux.connected();
    let message =
        |number: &str, data| json!({ "channel": "/service/x", "clientId": id, "data": data, "id": number });
    let first = bayeux.send("/bayeux", Some(&cookie), &message("1", 1));
    let again = bayeux.send("/bayeux", Some(&cookie), &message("1", 1));
    let asked = bayeux.questions();
    assert_eq!(asked.len(), 1, "{asked:?}");
    bayeux.verdict(asked[0].0, HookVerdict::Taken(b""));
    for conn in [first, again] {
        assert_eq!(error(&bayeux.heard(conn).messages[0]), "");
    }
    assert_eq!(error(&bayeux.ask(&cookie, &message("1", 1))), "", "it is remembered");
    assert_eq!(bayeux.questions(), []);
    for other in [message("2", 1), message("1", 2), publish(&id, "/service/x", 1)] {
        let conn = bayeux.send("/bayeux", Some(&cookie), &other);
        assert_eq!(bayeux.questions().len(), 1, "{other} is new");
        bayeux.close(conn);
    }
}

#[test]
fn a_service_message_that_was_refused_is_asked_about_again() {
    for verdict in [HookVerdict::Denied, HookVerdict::Unavailable] {
        let mut bayeux = Bayeux::new(&SERVICE);
        let (cookie, id) = bayeux.connected();
        let message = json!({ "channel": "/service/x", "clientId": id, "data": 1, "id": "1" });
        for _ in 0..2 {
            bayeux.send("/bayeux", Some(&cookie), &message);
            let asked = bayeux.questions();
            assert_eq!(asked.len(), 1);
            bayeux.verdict(asked[0].0, verdict);
        }
    }
}

#[test]
fn a_repeated_publish_is_published_once() {
    let mut bayeux = Bayeux::new(&[]);
    let (cookie, id) = bayeux.connected();
    let message = |number: &str, data| json!({ "channel": "/a", "clientId": id, "data": data, "id": number });
    for (message, head) in
        [(message("1", 1), 1), (message("1", 1), 1), (message("1", 2), 2), (message("2", 1), 3)]
    {
        assert_eq!(error(&bayeux.ask(&cookie, &message)), "");
        assert_eq!(bayeux.rig.core.hub.head(), head, "{message}");
    }
}
