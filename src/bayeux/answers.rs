//! Answers that need no session: each a JSON object with the message's id.

use crate::base::ticks::Span;
use crate::call::pending::ItemAnswer;
use crate::protocol::bayeux::answer::{Advice, BayeuxAnswer};
use crate::protocol::bayeux::fault::{BayeuxFault, FaultCause};
use crate::protocol::bayeux::held::SessionDenied;
use crate::protocol::bayeux::message::{BayeuxHead, Misnamed, Names};
use crate::wire::json::quoted;

pub(crate) fn done(head: &BayeuxHead) -> ItemAnswer {
    ItemAnswer::Ok(BayeuxAnswer::to(head, Ok(())).finish())
}

pub(crate) fn failed(head: &BayeuxHead, fault: &BayeuxFault) -> ItemAnswer {
    ItemAnswer::Ok(BayeuxAnswer::to(head, Err(fault)).finish())
}

/// The answer to a client without a session; that to a subscription repeats it.
pub(crate) fn session_unknown(head: &BayeuxHead, subscription: Option<&str>) -> ItemAnswer {
    session_denied(head, SessionDenied::Unknown, subscription)
}

/// The same if the session is not the caller's.
pub(crate) fn session_denied(
    head: &BayeuxHead,
    denied: SessionDenied,
    subscription: Option<&str>,
) -> ItemAnswer {
    let (fault, advice) = denied.fault_and_advice();
    ItemAnswer::Ok(repeating(BayeuxAnswer::to(head, Err(&fault)), subscription).with_advice(advice).finish())
}

pub(crate) fn handshake_failed(head: &BayeuxHead, fault: &BayeuxFault, advice: Advice) -> ItemAnswer {
    let answer = BayeuxAnswer::to(head, Err(fault)).with_version();
    ItemAnswer::Ok(answer.with("supportedConnectionTypes", &types()).with_advice(advice).finish())
}

/// The answer to a handshake whose user another node serves. Clients that do not know `hosts`
/// repeat the handshake after a pause, where the balancer may choose another node.
pub(crate) fn handshake_elsewhere(head: &BayeuxHead, node: &str, interval: Span) -> ItemAnswer {
    let fault = FaultCause::Elsewhere { node }.into();
    let host = node.rsplit_once("//").map_or(node, |(_, host)| host);
    let advice = format!(
        r#"{{"reconnect":"handshake","interval":{},"hosts":[{}]}}"#,
        interval.as_millis(),
        quoted(host)
    );
    let answer = BayeuxAnswer::to(head, Err(&fault)).with_version();
    ItemAnswer::Ok(answer.with("supportedConnectionTypes", &types()).with("advice", &advice).finish())
}

fn types() -> String {
    let types: Vec<_> =
        crate::protocol::bayeux::CONNECTION_TYPES.iter().map(|name| format!("\"{name}\"")).collect();
    format!("[{}]", types.join(","))
}

/// The answer to `subscribe` or `unsubscribe`, which repeats the names in success and in failure.
/// If the session has ended just before, its client gets the advice of one without a session.
pub(crate) fn subscribed(head: &BayeuxHead, names: &Names, outcome: Result<(), BayeuxFault>) -> ItemAnswer {
    match outcome {
        Err(fault) if fault.is_session_unknown() => session_unknown(head, Some(&names.json)),
        outcome => {
            let answer = BayeuxAnswer::to(head, outcome.as_ref().copied());
            ItemAnswer::Ok(answer.with("subscription", &names.json).finish())
        }
    }
}

/// The answer to a subscription that names no channels.
pub(crate) fn not_subscribed(head: &BayeuxHead, Misnamed { fault, json }: &Misnamed) -> ItemAnswer {
    ItemAnswer::Ok(repeating(BayeuxAnswer::to(head, Err(fault)), json.as_deref()).finish())
}

fn repeating(answer: BayeuxAnswer, subscription: Option<&str>) -> BayeuxAnswer {
    match subscription {
        Some(json) => answer.with("subscription", json),
        None => answer,
    }
}
