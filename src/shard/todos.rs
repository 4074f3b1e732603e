//! Executes to-dos, and handles backends' answers.

use crate::base::slab::PendingKey;
use crate::shard::Shard;
use crate::turn::hook::HookAnswer;
use crate::turn::todo::Todo;

impl Shard {
    /// Executes all to-dos, and those that they lead to.
    pub(super) fn run_todos(&mut self) {
        while let Some(todo) = self.core.cx.todos.pop_front() {
            match todo {
                Todo::Reread(conn) => self.reread(conn),
                Todo::Left { conn, session, behind, leaving } => {
                    self.core.leave_session(conn, session, behind, leaving);
                }
                Todo::EndStream(conn) => self.core.conns.end_stream(&mut self.core.cx, conn),
                Todo::Detached(session) => self.session_detached(session),
                Todo::Front(session) => self.session_due(session),
                Todo::Room(session) => self.fronts.tcp.has_room(&mut self.core, session),
                Todo::StreamCommand => {
                    if let Some(pending) = self.fronts.tcp.execute(&mut self.core) {
                        self.complete_if_answered(pending);
                    }
                }
                Todo::Text => {
                    if let Some(pending) = self.fronts.tcp.execute_text(&mut self.core) {
                        self.complete_if_answered(pending);
                    }
                }
                Todo::StreamDue(stream) => self.fronts.tcp.due(&mut self.core, stream),
                Todo::Departed => self.session_departed(),
                Todo::CatchUp(session) => self.core.catch_up(session),
                Todo::MoveUp { session, conn } => self.core.move_up(session, conn),
                Todo::End { session, code } => self.core.end_session(session, code),
                Todo::Continue(pending) => self.continue_if_answered(pending),
            }
        }
    }
}

impl Shard {
    /// Handles the result of a hook call.
    pub(super) fn on_hook_answer(&mut self, pending: PendingKey, answer: &HookAnswer) {
        let verdict = answer.verdict();
        self.core.cx.metrics.hooks[verdict.index()] += 1;
        let repeats = self.hook_answered(pending, verdict);
        self.complete_if_answered(pending);
        self.core.cx.steps.occasions(repeats.len());
        for repeat in repeats {
            // A repeated message has no repeats of its own.
            self.hook_answered(repeat, verdict);
            self.complete_if_answered(repeat);
        }
    }
}

impl Shard {
    /// Breaks this shard in one way.
    #[cfg(feature = "mutations")]
    pub fn mutate(&mut self, mutation: crate::turn::mutation::Mutation) {
        self.core.cx.mutation = Some(mutation);
    }
}
