//! Whose session a client id names: cookies, sockets that bring none, tokens.

use crate::bayeux::tests::*;
use crate::protocol::native::envelope::CloseCode;

const BROWSER: &str = "BAYEUX_BROWSER=aaaaaaaaaaaaaaaaaaaaaaaaaa";

/// A shard on which alice has a session by her token, and the token.
fn with_token() -> (Bayeux, String, String) {
    let mut bayeux = Bayeux::new(&[("ENCKE_TOKEN_KEY", std::str::from_utf8(SECRET).expect("text"))]);
    let token = token(&json!({ "sub": "alice", "aud": "encke" }));
    let heard = bayeux.post(&format!("/bayeux?token={token}"), None, &handshake());
    let id = client_id(&heard.messages[0]);
    (bayeux, id, token)
}

#[test]
fn a_client_id_needs_its_cookie_unless_the_id_alone_is_trusted() {
    for (vars, cookie, refusal) in [
        (&[][..], Some(BROWSER), "402"),
        (&[("ENCKE_BAYEUX_TRUST", "1")], Some(BROWSER), ""),
        (&[("ENCKE_BAYEUX_TRUST", "1")], None, ""),
    ] {
        let mut bayeux = Bayeux::new(vars);
        let (_, id) = bayeux.client();
        let answer = &bayeux.post("/bayeux", cookie, &connect(&id)).messages[0];
        assert_eq!(error(answer), refusal, "{vars:?} {cookie:?}");
    }
}

#[test]
fn a_cookie_counts_among_others_of_its_name() {
    let mut bayeux = Bayeux::new(&[]);
    let (cookie, id) = bayeux.client();
    for cookies in [format!("{BROWSER}; {cookie}"), format!("{cookie}; {BROWSER}; other=1")] {
        assert_eq!(error(&bayeux.ask(&cookies, &subscribe(&id, "/a"))), "", "{cookies}");
    }
}

#[test]
fn a_token_opens_the_sessions_of_its_user_only() {
    let (mut bayeux, id, alices) = with_token();
    let bobs = token(&json!({ "sub": "bob", "aud": "encke" }));
    for (token, refusal) in [(&alices, ""), (&bobs, "402")] {
        let answer =
            &bayeux.post(&format!("/bayeux?token={token}"), Some(BROWSER), &connect(&id)).messages[0];
        assert_eq!(error(answer), refusal);
    }
}

#[test]
fn a_client_that_returns_no_cookie_gets_an_error_and_the_advice_not_to_retry() {
    let mut bayeux = Bayeux::new(&[]);
    let (_, id) = bayeux.client();
    let soon = &bayeux.post("/bayeux", None, &connect(&id)).messages[0];
    assert_eq!((error(soon), advice(soon)), ("402", "none"));
    bayeux.rig.pass(bayeux.rig.core.cx.config.bayeux_first_visit);
    let late = &bayeux.post("/bayeux", None, &connect(&id)).messages[0];
    assert_eq!((error(late), advice(late)), ("402", "handshake"), "by then it may be anybody");
}

#[test]
fn a_client_that_has_returned_its_cookie_is_advised_to_handshake() {
    let mut bayeux = Bayeux::new(&[]);
    let (_, id) = bayeux.connected();
    let answer = &bayeux.post("/bayeux", None, &connect(&id)).messages[0];
    assert_eq!((error(answer), advice(answer)), ("402", "handshake"));
}

#[test]
fn one_socket_that_was_opened_with_the_handshake_needs_no_cookie() {
    let mut bayeux = Bayeux::new(&[]);
    let [first, second] = [(); 2].map(|()| bayeux.socket(None));
    let (_, id) = bayeux.client();
    assert_eq!(error(&bayeux.say(first, &connect(&id))[0]), "");
    let refused = &bayeux.say(second, &connect(&id))[0];
    assert_eq!((error(refused), advice(refused)), ("402", "handshake"));
}

#[test]
fn a_socket_that_begins_after_the_handshake_was_answered_needs_the_cookie() {
    let mut bayeux = Bayeux::new(&[]);
    let (_, id) = bayeux.client();
    bayeux.rig.pass(bayeux.rig.core.cx.config.bayeux_socket_within);
    let socket = bayeux.socket(None);
    assert_eq!(error(&bayeux.say(socket, &connect(&id))[0]), "402");
}

#[test]
fn sockets_that_omit_the_cookie_of_requests_wait_longer_each_time() {
    let mut bayeux = Bayeux::new(&[]);
    let (_, id) = bayeux.connected();
    bayeux.rig.pass(bayeux.rig.core.cx.config.bayeux_first_visit);
    let mut intervals = Vec::new();
    for _ in 0..4 {
        let socket = bayeux.socket(None);
        let answer = &bayeux.say(socket, &connect(&id))[0];
        assert_eq!((error(answer), advice(answer)), ("402", "handshake"));
        intervals.push(answer["advice"]["interval"].as_u64().expect("a time"));
    }
    assert_eq!(intervals, [1_000, 2_000, 4_000, 8_000]);
}

#[test]
fn the_end_of_a_session_is_subtracted_from_its_browsers_count() {
    let mut bayeux = Bayeux::new(&[]);
    let (cookie, id) = bayeux.connected();
    let key = bayeux.key(&id).expect("a session");
    bayeux.rig.core.end_session(key, CloseCode::Ended);
    assert_eq!(bayeux.rig.todos(), [Todo::Departed]);
    bayeux.rig.core.cx.todos.push_back(Todo::Departed);
    bayeux.carry_out();
    let browser = cookie.split_once('=').and_then(|(_, value)| value.parse().ok()).expect("a cookie");
    assert_eq!(bayeux.front.browsers.sessions(browser), 0);
}
