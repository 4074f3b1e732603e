//! What messages are answered where no session has to be looked at: each a JSON object with the message's id.

use crate::protocol::bayeux::answer::{Advice, Answer, Fault};
use crate::protocol::bayeux::message::{Head, Misnamed, Names};
use crate::shard::bayeux::browsers::Stranger;
use crate::shard::ticket::Said;

pub(super) fn done(head: &Head) -> Said {
    Said::Ok(Answer::to(head, Ok(())).finish())
}

pub(super) fn failed(head: &Head, fault: &Fault) -> Said {
    Said::Ok(Answer::to(head, Err(fault)).finish())
}

/// The answer to whoever has no session; one to a subscription repeats that.
pub(super) fn session_unknown(head: &Head, subscription: Option<&str>) -> Said {
    strange(head, Stranger::Unknown, subscription)
}

/// The same, where it is not the caller's.
pub(super) fn strange(head: &Head, stranger: Stranger, subscription: Option<&str>) -> Said {
    let (fault, advice) = stranger.told();
    Said::Ok(repeating(Answer::to(head, Err(&fault)), subscription).with_advice(advice).finish())
}

pub(super) fn not_shaken(head: &Head, fault: &Fault, advice: Advice) -> Said {
    let types: Vec<_> =
        crate::protocol::bayeux::CONNECTION_TYPES.iter().map(|name| format!("\"{name}\"")).collect();
    let answer = Answer::to(head, Err(fault)).with_version();
    let answer = answer.with("supportedConnectionTypes", &format!("[{}]", types.join(",")));
    Said::Ok(answer.with_advice(advice).finish())
}

/// The answer to a subscription, or to the end of one, which repeats it in success and in failure.
/// The session may have ended with the very message: its client is advised as any that has none.
pub(super) fn subscribed(head: &Head, names: &Names, outcome: Result<(), Fault>) -> Said {
    match outcome {
        Err(fault) if fault.is_session_unknown() => session_unknown(head, Some(&names.json)),
        outcome => {
            let answer = Answer::to(head, outcome.as_ref().copied());
            Said::Ok(answer.with("subscription", &names.json).finish())
        }
    }
}

/// The answer to a subscription that names no channels.
pub(super) fn not_subscribed(head: &Head, Misnamed { fault, json }: &Misnamed) -> Said {
    Said::Ok(repeating(Answer::to(head, Err(fault)), json.as_deref()).finish())
}

fn repeating(answer: Answer, subscription: Option<&str>) -> Answer {
    match subscription {
        Some(json) => answer.with("subscription", json),
        None => answer,
    }
}
