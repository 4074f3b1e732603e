//! Answers as they become known, and what the protocols keep for connections and sessions.

use std::collections::VecDeque;

use crate::base::ids::ShardId;
use crate::base::position::{Epoch, Position};
use crate::base::slab::{ConnKey, Slab};
use crate::base::ticks::{Span, Tick};
use crate::call::bayeux::{BayeuxSocket, Call, Waits};
use crate::call::pending::AfterCommands;
use crate::call::pending::{AnswerSlot, ItemAnswer, Items, PendingKind, PendingRequest, answer_json};
use crate::call::protocol::OtherClient;
use crate::call::protocol::{ClientState, Held, Subprotocol};
use crate::call::queue::{Ahead, Pause};
use crate::config::Config;
use crate::protocol::bayeux::client::{BayeuxClient, ClientStage};
use crate::protocol::bayeux::message::{BayeuxConnect, BayeuxHead};
use crate::protocol::native::command;
use crate::request::bayeux::{BayeuxCaller, BrowserCookies, Credential};
use crate::request::cookie::Sender;
use crate::request::publish_key::ResponseShape;
use crate::transport::Dialect;
use crate::turn::publishing::Receipt;
use crate::wire::refusal::{Refusal, Refused};

fn conn() -> ConnKey {
    Slab::default().insert(())
}

fn publishes() -> PendingKind {
    PendingKind::Publish { conn: conn(), shape: ResponseShape::Array, answers: Vec::new() }
}

fn receipt(n: u64) -> Receipt {
    Receipt { position: Position { epoch: Epoch::new(1), n }, sessions: None }
}

fn busy() -> Refusal {
    Refused::Mailbox.into()
}

fn text(answer: &ItemAnswer) -> String {
    String::from_utf8(answer_json(answer)).expect("text")
}

fn caller() -> BayeuxCaller {
    let cookies = BrowserCookies::default();
    BayeuxCaller {
        user: None,
        credential: Credential::Open,
        cookies,
        agent: None,
        page: None,
        sender: Sender::Program,
    }
}

fn call() -> Call {
    Call {
        caller: caller(),
        own: None,
        of: 1,
        rest: VecDeque::new(),
        ahead: Ahead::default(),
        waits: Waits::Nothing,
        silent: Vec::new(),
        answers: Vec::new(),
        connect: None,
        cookie: None,
    }
}

fn socket() -> BayeuxSocket {
    let dialect = Dialect::default();
    BayeuxSocket {
        caller: caller(),
        session: None,
        unmarked: None,
        refused: 0,
        held: None,
        leaves: None,
        dialect,
    }
}

#[test]
fn answers_stand_in_the_order_of_the_items_whenever_they_become_known() {
    let mut kind = publishes();
    let items: Vec<u32> = (0..3).map(|_| kind.expect(AnswerSlot::Backend)).collect();
    assert_eq!(items, [0, 1, 2]);
    kind.push_answer(ItemAnswer::Ok(b"known".to_vec()));
    for (item, first_awaited) in [(2, 0), (0, 1), (1, 0)] {
        kind.answered(item, Ok(receipt(item as u64)));
        assert_eq!(kind.first_awaited(), first_awaited);
    }
    // An answer that comes twice, or to no item, changes nothing.
    kind.answered(0, Err(busy()));
    kind.answered(9, Err(busy()));
    let PendingKind::Publish { answers, .. } = kind else { unreachable!() };
    let texts: Vec<_> = answers.iter().map(text).collect();
    let expected = (0..3).map(|n| format!(r#"{{"id":"{}"}}"#, receipt(n).position));
    assert_eq!(texts, expected.chain(["known".to_owned()]).collect::<Vec<_>>());
}

#[test]
fn each_kind_of_publish_is_answered_in_its_protocol() {
    let bayeux = || {
        AnswerSlot::Bayeux(BayeuxHead { channel: "/a".into(), id: Some("7".into()), ..BayeuxHead::default() })
    };
    let command = || AnswerSlot::Command { channel: "/\"".into() };
    let position = receipt(4).position;
    for (awaited, result, begins) in [
        (AnswerSlot::Backend, Ok(receipt(4)), format!(r#"{{"id":"{position}"}}"#)),
        (command(), Ok(receipt(4)), format!(r#"{{"ok":{{"publish":"/\"","id":"{position}"}}}}"#)),
        (bayeux(), Ok(receipt(4)), r#"{"id":7,"channel":"/a","successful":true}"#.to_owned()),
        (AnswerSlot::Backend, Err(busy()), r#"{"error":{"code":"busy","#.to_owned()),
        (command(), Err(busy()), r#"{"error":{"code":"busy","#.to_owned()),
        (bayeux(), Err(busy()), r#"{"id":7,"channel":"/a","successful":false,"error":"503:/a:"#.to_owned()),
    ] {
        let mut kind = publishes();
        kind.expect(awaited);
        kind.answered(0, result);
        let PendingKind::Publish { answers, .. } = kind else { unreachable!() };
        assert!(text(&answers[0]).starts_with(&begins), "{}", text(&answers[0]));
    }
}

#[test]
fn a_pending_request_begins_open_and_misses_nothing() {
    let pending = PendingRequest::new(publishes(), None);
    assert_eq!((pending.missing, pending.items, pending.kind.pause()), (0, Items::Open, None));
}

#[test]
fn only_what_has_a_queue_pauses() {
    let commands = PendingKind::Commands {
        conn: conn(),
        shape: command::BatchShape::Single,
        answers: Vec::new(),
        then: AfterCommands::Answer,
        rest: None,
    };
    let of_bayeux = |waits| PendingKind::Bayeux { conn: conn(), call: Box::new(Call { waits, ..call() }) };
    for (kind, pause) in [
        (publishes(), None),
        (commands, None),
        (of_bayeux(Waits::Nothing), None),
        (of_bayeux(Waits::Queue(Pause::Turn)), Some(Pause::Turn)),
        (of_bayeux(Waits::Queue(Pause::Predecessor)), Some(Pause::Predecessor)),
    ] {
        assert_eq!(kind.pause(), pause, "{kind:?}");
    }
}

#[test]
fn a_call_that_waits_for_no_hook_keeps_what_it_waits_for() {
    let mut call = Call { waits: Waits::Queue(Pause::Answers), ..call() };
    assert!(call.take_asked().is_none());
    assert_eq!(call.pause(), Some(Pause::Answers));
    call.resume();
    assert_eq!(call.pause(), None);
}

#[test]
fn the_last_publish_says_where_the_others_went() {
    let mut ahead = Ahead::default();
    assert_eq!(ahead, Ahead(None));
    ahead.sent(ShardId(3));
    assert_eq!(ahead, Ahead(Some(ShardId(3))));
}

#[test]
fn the_protocol_decides_how_soon_a_client_is_missed() {
    let config = Config::default();
    let mut browsers = Slab::default();
    let client = |interval_ms, browser| -> ClientState {
        OtherClient::Bayeux(BayeuxClient { browser, acks: None, interval_ms, stage: ClientStage::Connected })
            .into()
    };
    for (mut state, is_native, pause, within) in [
        (ClientState::Native, true, 0, config.contest_within),
        (client(0, browsers.insert(())), false, 0, config.bayeux_contest_within),
        (client(2_500, browsers.insert(())), false, 2_500, config.bayeux_contest_within),
    ] {
        let grace = config.session_grace + Span::from_millis(pause);
        assert_eq!((state.is_native(), state.grace(&config)), (is_native, grace));
        assert_eq!(state.comes_back_within(&config), within);
        assert_eq!((state.bayeux().is_none(), state.bayeux_mut().is_none()), (is_native, is_native));
    }
}

#[test]
fn a_socket_moves_until_it_has_a_session_and_answers_when_its_connect_is_due() {
    let due = Tick::ZERO + Span::from_secs(3);
    let held = |due| {
        let mut held = Held::new(Tick::ZERO, BayeuxHead::default(), &BayeuxConnect::default(), true);
        held.hold_until(due);
        Some(Box::new(held))
    };
    let session = Some(Slab::default().insert(()));
    for (socket, may_move, held_until) in [
        (socket(), true, None),
        (BayeuxSocket { session, ..socket() }, false, None),
        (BayeuxSocket { session, held: held(None), ..socket() }, false, None),
        (BayeuxSocket { session, held: held(Some(due)), ..socket() }, false, Some(due)),
    ] {
        let subprotocol = Subprotocol::Bayeux(Box::new(socket));
        assert_eq!((subprotocol.may_move(), subprotocol.held_until()), (may_move, held_until));
    }
    assert_eq!((Subprotocol::Native.may_move(), Subprotocol::Native.held_until()), (false, None));
}
