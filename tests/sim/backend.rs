//! A model of the backend behind the hooks: it answers each call once, after a while, in any order.
//!
//! A service echoes each message to its sender. The policy allows everything except channels under
//! `/denied`; a call about `/away` gets no answer until it is given up.

use encke::base::slab::PendingKey;
use encke::turn::hook::{Hook, HookAnswer};
use serde_json::{Value, json};

/// Pending calls of one shard.
#[derive(Default)]
pub(crate) struct Backend {
    calls: Vec<Call>,
}

struct Call {
    /// In milliseconds.
    due: u64,
    pending: PendingKey,
    answer: HookAnswer,
}

/// Most calls take less than this many milliseconds.
const QUICK: u64 = 30;

/// When a call is given up: the default of `ENCKE_HOOK_TIMEOUT`.
const GIVEN_UP: u64 = 5_000;

impl Backend {
    pub(crate) fn asked(&mut self, now: u64, pending: PendingKey, hook: Hook, body: &[u8]) {
        let question: Value = serde_json::from_slice(body).expect("a question is JSON");
        let answer = answer(hook, &question);
        // Not drawn from the seed: a draw would change the rest of every run.
        let some = body.iter().fold(now, |some, byte| some.wrapping_mul(31).wrapping_add(u64::from(*byte)));
        let takes = if matches!(answer, HookAnswer::Failed(_)) { GIVEN_UP } else { some % QUICK };
        self.calls.push(Call { due: now + takes, pending, answer });
    }

    /// The next answer that is due, if any.
    pub(crate) fn answered(&mut self, now: u64) -> Option<(PendingKey, HookAnswer)> {
        let at = self.calls.iter().position(|call| call.due <= now)?;
        let Call { pending, answer, .. } = self.calls.swap_remove(at);
        Some((pending, answer))
    }

    /// When the next one is due.
    pub(crate) fn due(&self) -> Option<u64> {
        self.calls.iter().map(|call| call.due).min()
    }
}

fn answer(hook: Hook, question: &Value) -> HookAnswer {
    let names = |prefix: &str| question.to_string().contains(&format!("\"{prefix}"));
    let response = |status: u16, body: &str| HookAnswer::Response { status, body: body.as_bytes().to_vec() };
    if names("/away") || names("/service/away") {
        return HookAnswer::Failed("no whole answer within ENCKE_HOOK_TIMEOUT".to_owned());
    }
    match hook {
        Hook::Policy if names("/denied") => response(403, ""),
        Hook::Policy => response(204, ""),
        Hook::Service => response(200, &json!({ "data": question["data"] }).to_string()),
        Hook::Pipe => response(200, &json!({ "strings": question["strings"] }).to_string()),
    }
}
