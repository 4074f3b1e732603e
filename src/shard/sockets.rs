//! Messages of a socket, and the protocol that they are for.

use crate::base::slab::ConnKey;
use crate::call::pending::{AfterCommands, ItemAnswer};
use crate::call::protocol::Subprotocol;
use crate::call::queue::Caller;
use crate::conn::incoming::Up;
use crate::conn::phase::{Conn, Phase, Step};
use crate::conn::socket::pong;
use crate::native::socket::command_of_record;
use crate::protocol::native::command;
use crate::protocol::native::command::CommandBatch;
use crate::shard::Shard;
use crate::wire::refusal::Refusal;

impl Shard {
    /// Handles bytes of a socket.
    pub(super) fn on_socket_bytes(&mut self, key: ConnKey, input: &[u8]) -> Step {
        let Some(socket) = self.core.conns.get(key).and_then(Conn::socket) else { return Step::Stop };
        let is_native = matches!(socket.subprotocol, Subprotocol::Native);
        let waiting_max = if socket.subprotocol().may_move() { 1 } else { self.core.cx.config.outbox_bytes };
        let Some(taken) = self.core.conns.take_up(&mut self.core.cx, key, input, waiting_max) else {
            return Step::Stop;
        };
        match taken {
            Err(broken) => self.core.conns.break_off(&mut self.core.cx, key, broken),
            Ok((used, None)) => Step::Used(used),
            Ok((used, Some(up))) if !is_native => self.message_for_front(key, up, &input[used..], used),
            Ok((used, Some(up))) => {
                self.up(key, up);
                Step::Used(used)
            }
        }
    }

    pub(super) fn up(&mut self, key: ConnKey, up: Up) {
        match up {
            Up::Nothing => {}
            Up::Ping(payload) => self.core.conns.push(&mut self.core.cx, key, pong(&payload)),
            Up::Close(code) => self.core.conns.close_socket(&mut self.core.cx, key, code, ""),
            Up::Commands(text) => {
                let batch = command::decode(&text, self.core.cx.config.batch, self.core.cx.config.json_depth);
                self.ask_of_socket(key, batch, AfterCommands::Answer);
            }
            Up::Record(bytes) => {
                let batch = command_of_record(&bytes);
                self.ask_of_socket(key, batch, AfterCommands::Answer);
            }
        }
    }

    /// Carries out what came up in one message.
    pub(super) fn ask_of_socket(
        &mut self,
        key: ConnKey,
        batch: Result<CommandBatch, Refusal>,
        then: AfterCommands,
    ) {
        let Some(Conn { phase: Phase::Streaming(exchange), .. }) = self.core.conns.get(key) else { return };
        let session = exchange.session;
        let batch = match batch {
            Ok(batch) => batch,
            Err(refusal) => {
                self.core.cx.metrics.refused(refusal.code.text());
                return self.core.conns.send_answer(&mut self.core.cx, key, &ItemAnswer::Refused(refusal));
            }
        };
        let Some(user) = self.core.user_of_session(session) else { return };
        let grant = std::rc::Rc::clone(&self.core.sessions[session].grant);
        let caller = Caller { user: &user, grant: &grant, session: Some(session), stale: false };
        let pending = self.core.execute_batch(key, &caller, batch, then);
        self.core.conns.await_answers(key, pending);
        self.complete_if_answered(pending);
    }
}
