//! Answers to commands from a socket.

use crate::base::slab::{ConnKey, PendingKey, SessionKey};
use crate::call::pending::ItemAnswer;
use crate::conn::phase::{Conn, Phase};
use crate::conn::socket::AfterAnswers;
use crate::core::Core;
use crate::protocol::native::command;
use crate::protocol::native::command::CommandBatch;
use crate::protocol::native::envelope::CloseCode;
use crate::transport::record;
use crate::turn::mutation::Mutation;
use crate::wire::refusal::{Refusal, Refused};

impl Core {
    /// Answers a socket message whose answers are all there.
    pub(crate) fn answer_socket(&mut self, key: ConnKey, pending: PendingKey, answers: &[ItemAnswer]) {
        let Some(Conn { phase: Phase::Streaming(exchange), .. }) = self.conns.get_mut(key) else {
            return;
        };
        let Some(socket) = exchange.socket_mut() else { return };
        if !socket.answered(pending) {
            return;
        }
        let (after, session) = (socket.after_answers, exchange.session);
        let backwards = self.cx.broken_by(Mutation::SocketAnswersBackwards);
        for at in 0..answers.len() {
            let at = if backwards { answers.len() - 1 - at } else { at };
            self.conns.send_answer(&mut self.cx, key, &answers[at]);
        }
        match after {
            AfterAnswers::EndSession => self.end_session(session, CloseCode::Closed),
            AfterAnswers::ReadOn => self.conns.read_on(&mut self.cx, key),
        }
    }

    /// Ends a session at its client's request. If the request came on the session's own socket,
    /// `conn`, the client gets its answers first; returns whether that is so.
    pub(crate) fn end_after_answers(&mut self, conn: ConnKey, session: SessionKey) -> bool {
        let own = self.sessions.get(session).and_then(|session| session.link.conn());
        let Some(Conn { phase: Phase::Streaming(exchange), .. }) =
            own.filter(|own| *own == conn).and_then(|conn| self.conns.get_mut(conn))
        else {
            return false;
        };
        let Some(socket) = exchange.socket_mut() else { return false };
        socket.after_answers = AfterAnswers::EndSession;
        true
    }
}

/// Parses a binary message: the command `publish` or `tcp` as a record with the payload.
pub(crate) fn command_of_record(message: &[u8]) -> Result<CommandBatch, Refusal> {
    let (header, payload) = record::decode(message).ok_or(Refused::Record)?;
    command::of_record(header, payload)
}
