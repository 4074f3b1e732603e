//! When a connect is held, and with what it is answered.

use crate::base::ticks::Span;
use crate::bayeux::tests::*;
use crate::session::Link;

#[test]
fn the_first_connect_is_answered_at_once_and_the_next_one_held_until_a_message_comes() {
    let mut bayeux = Bayeux::new(&[]);
    let client = bayeux.connected();
    bayeux.ask(&client.0, &subscribe(&client.1, "/a"));
    let conn = bayeux.hold(&client);
    assert_eq!(bayeux.rig.heard(conn), "");
    bayeux.rig.publish("/a", "7");
    bayeux.wake();
    let messages = bayeux.heard(conn).messages;
    assert_eq!((&messages[0]["channel"], &messages[0]["data"]), (&json!("/a"), &json!(7)));
    assert_eq!((&messages[1]["id"], advice(&messages[1])), (&json!("c"), "retry"), "the answer comes last");
    bayeux.hold(&client);
}

#[test]
fn a_connect_is_held_for_as_long_as_its_client_wants_and_the_server_allows() {
    for (timeout, held) in [
        (None, Some((26_250, 30_000))),
        (Some(0), None),
        (Some(8_000), Some((7_000, 8_000))),
        (Some(600_000), Some((26_250, 30_000))),
    ] {
        let mut bayeux = Bayeux::new(&[("ENCKE_POLL_HOLD", "30s")]);
        let (cookie, id) = bayeux.connected();
        let mut message = connect(&id);
        if let Some(timeout) = timeout {
            message["advice"] = json!({ "timeout": timeout });
        }
        let conn = bayeux.send("/bayeux", Some(&cookie), &message);
        assert_eq!(bayeux.is_held(conn), held.is_some(), "{timeout:?}");
        let Some((least, most)) = held else { continue };
        let due = bayeux.rig.core.conns[conn].alarm.due().expect("a deadline").as_millis();
        assert!((least..=most).contains(&due), "{timeout:?}: {due}");
    }
}

#[test]
fn a_connect_that_comes_with_other_messages_is_answered_with_them() {
    let mut bayeux = Bayeux::new(&[]);
    let (cookie, id) = bayeux.connected();
    let batch = json!([connect(&id), subscribe(&id, "/a")]);
    let messages = bayeux.post("/bayeux", Some(&cookie), &batch).messages;
    let channels: Vec<_> = messages.iter().map(|answer| &answer["channel"]).collect();
    assert_eq!(channels, ["/meta/subscribe", "/meta/connect"], "the connect is answered last");
}

#[test]
fn a_second_connect_of_a_client_takes_the_first_ones_place() {
    let mut bayeux = Bayeux::new(&[]);
    let client = bayeux.connected();
    let first = bayeux.hold(&client);
    let second = bayeux.hold(&client);
    let answer = &bayeux.heard(first).messages[0];
    assert_eq!((error(answer), advice(answer)), ("", "retry"));
    let key = bayeux.key(&client.1).expect("a session");
    assert_eq!(bayeux.rig.core.sessions[key].link, Link::Parked(second));
}

#[test]
fn a_session_outlives_the_connection_of_its_connect() {
    let mut bayeux = Bayeux::new(&[]);
    let client = bayeux.connected();
    let conn = bayeux.hold(&client);
    bayeux.close(conn);
    let key = bayeux.key(&client.1).expect("it lives for the grace");
    assert_eq!(bayeux.rig.core.sessions[key].link, Link::Detached);
    bayeux.hold(&client);
}

#[test]
fn the_interval_that_a_client_names_extends_its_grace() {
    let mut bayeux = Bayeux::new(&[("ENCKE_SESSION_GRACE", "60s")]);
    let (cookie, id) = bayeux.connected();
    let mut message = connect(&id);
    message["advice"] = json!({ "timeout": 0, "interval": 5_000 });
    bayeux.ask(&cookie, &message);
    let key = bayeux.key(&id).expect("a session");
    let ends = bayeux.rig.core.cx.now + Span::from_secs(65);
    assert_eq!(bayeux.rig.core.sessions[key].alarm.due(), Some(ends));
}

#[test]
fn batches_are_numbered_and_come_again_until_they_are_acknowledged() {
    let mut bayeux = Bayeux::new(&[]);
    let mut message = handshake();
    message["ext"] = json!({ "ack": true });
    let heard = bayeux.post("/bayeux", None, &message);
    assert_eq!(heard.messages[0]["ext"]["ack"], json!(true));
    let (cookie, id) = (heard.cookie.expect("a cookie"), client_id(&heard.messages[0]));
    bayeux.ask(&cookie, &connect(&id));
    bayeux.ask(&cookie, &subscribe(&id, "/a"));
    bayeux.rig.publish("/a", "1");
    // Each acknowledges nothing, and then what came.
    for (ack, number, data) in [(1, 2, &[1][..]), (1, 3, &[1]), (3, 4, &[])] {
        let mut message = connect(&id);
        message["ext"] = json!({ "ack": ack });
        message["advice"] = json!({ "timeout": 0 });
        let messages = bayeux.post("/bayeux", Some(&cookie), &message).messages;
        assert_eq!(messages[0]["ext"]["ack"], json!(number), "its own answer comes first");
        let events: Vec<_> = messages[1..].iter().filter_map(|event| event["data"].as_i64()).collect();
        assert_eq!(events, data, "{ack}");
    }
}

#[test]
fn of_two_clients_of_one_browser_one_may_be_held() {
    let mut bayeux = Bayeux::new(&[]);
    let first = bayeux.connected();
    let id = client_id(&bayeux.ask(&first.0, &handshake()));
    let second = (first.0.clone(), id);
    bayeux.ask(&second.0, &connect(&second.1));
    let held = bayeux.hold(&first);
    let answer = bayeux.ask(&second.0, &connect(&second.1));
    assert_eq!(answer["advice"]["multiple-clients"], json!(true));
    assert_ne!(answer["advice"]["interval"], json!(0), "it waits before the next");
    bayeux.close(held);
    bayeux.hold(&second);
}
