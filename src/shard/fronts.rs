//! What the turn asks of the fronts: one match for each question.
//!
//! A further protocol is one more front, and an arm in each match that concerns it.

use crate::api::Api;
use crate::base::hash::Keyed;
use crate::base::slab::{ConnKey, PendingKey, SessionKey};
use crate::bayeux::BayeuxFront;
use crate::bayeux::socket::SocketOutcome;
use crate::call::pending::{AfterCommands, PendingKind, PendingRequest, answer_json};
use crate::call::protocol::{ClientState, Framed, OtherClient, Subprotocol};
use crate::config::Config;
use crate::conn::incoming::Up;
use crate::conn::phase::{Conn, Step};
use crate::conn::socket::{POLICY, SocketRefusal, UNSUPPORTED};
use crate::protocol::bayeux::refused::BayeuxRefused;
use crate::protocol::native::command::BatchShape;
use crate::protocol::sockjs::close::SockjsClose;
use crate::protocol::sockjs::message::{Strings, in_message};
use crate::request::Upgraded;
use crate::request::reply::Reply;
use crate::shard::Shard;
use crate::sockjs::SockjsFront;
use crate::sockjs::strings::Taken;
use crate::tcp::TcpFront;
use crate::turn::hook::HookVerdict;

/// The state of each protocol. Encke's own needs only sessions.
pub(super) struct Fronts {
    pub(super) bayeux: BayeuxFront,
    pub(super) sockjs: SockjsFront,
    pub(super) tcp: TcpFront,
    pub(super) api: Api,
}

impl Fronts {
    /// Fronts that know nobody yet.
    pub(super) fn new(config: &Config, keyed: Keyed, shards: u8) -> Self {
        Self {
            bayeux: BayeuxFront::new(config, keyed),
            sockjs: SockjsFront::new(keyed),
            tcp: TcpFront::new(config, keyed, shards),
            api: Api::default(),
        }
    }
}

impl Shard {
    /// Handles a message on a socket of another protocol than Encke's own, before `rest`; the
    /// message ends `used` bytes of the input.
    pub(super) fn message_for_front(&mut self, key: ConnKey, up: Up, rest: &[u8], used: usize) -> Step {
        if let Some(Subprotocol::Sockjs(framed)) = self.core.conns.get(key).and_then(Conn::subprotocol) {
            let framed = *framed;
            return self.strings_up(key, up, framed, used);
        }
        if let Some(Subprotocol::Bytes(coding)) = self.core.conns.get(key).and_then(Conn::subprotocol) {
            let coding = *coding;
            return match up {
                Up::Commands(bytes) | Up::Record(bytes) => {
                    self.fronts.tcp.bytes_up(&mut self.core, key, coding, &bytes);
                    Step::Used(used)
                }
                up @ (Up::Nothing | Up::Ping(_) | Up::Close(_)) => {
                    self.up(key, up);
                    Step::Used(used)
                }
            };
        }
        let text = match up {
            Up::Commands(text) => text,
            Up::Record(_) => {
                let broken = SocketRefusal::refused(UNSUPPORTED, BayeuxRefused::Record);
                return self.core.conns.break_off(&mut self.core.cx, key, broken);
            }
            up @ (Up::Nothing | Up::Ping(_) | Up::Close(_)) => {
                self.up(key, up);
                return Step::Used(used);
            }
        };
        match self.fronts.bayeux.on_message(&mut self.core, key, text) {
            Ok(SocketOutcome::Done) => Step::Used(used),
            Ok(SocketOutcome::Asked(pending)) => {
                self.complete_if_answered(pending);
                Step::Used(used)
            }
            Ok(SocketOutcome::Elsewhere(to, upgraded)) => {
                self.core.conns.hand_off_upgraded(&mut self.core.cx, key, to, rest.to_vec(), upgraded);
                Step::Used(used + rest.len())
            }
            Err(refusal) => {
                let broken = SocketRefusal::Refused { close: POLICY, refusal };
                self.core.conns.break_off(&mut self.core.cx, key, broken)
            }
        }
    }

    /// Strings came up a socket of SockJS.
    fn strings_up(&mut self, key: ConnKey, up: Up, framed: Framed, used: usize) -> Step {
        let text = match up {
            Up::Commands(text) | Up::Record(text) => text,
            up @ (Up::Nothing | Up::Ping(_) | Up::Close(_)) => {
                self.up(key, up);
                return Step::Used(used);
            }
        };
        let strings = match framed {
            Framed::Raw => Ok(Strings::one(&String::from_utf8_lossy(&text))),
            Framed::Arrays => in_message(&text),
        };
        let Some((session, _)) = self.core.conns.get(key).and_then(Conn::session) else { return Step::Stop };
        match strings.map(|strings| self.core.take_strings(session, &strings)) {
            Ok(Taken::Done) => {}
            Ok(Taken::Commands(batch)) => self.ask_of_socket(key, Ok(batch), AfterCommands::Answer),
            Ok(Taken::Publishes(batch)) => self.ask_of_socket(key, Ok(batch), AfterCommands::Drop(None)),
            Ok(Taken::ForBackend(body)) => {
                let pending = self.core.call_backend((key, session), None, body);
                self.core.conns.await_answers(key, pending);
            }
            Err(malformed) => {
                self.core.cx.metrics.refused(malformed.code());
                let SockjsClose { code, reason } = SockjsClose::BROKEN_FRAMING;
                self.core.conns.close_socket(&mut self.core.cx, key, code, &reason);
                return Step::Stop;
            }
        }
        Step::Used(used)
    }

    /// A socket has come from another shard, with its first message. Returns the pending request
    /// that the message waits for, if any.
    pub(super) fn adopt_socket(&mut self, key: ConnKey, upgraded: Upgraded) -> Option<PendingKey> {
        self.fronts.bayeux.adopt_upgraded(&mut self.core, key, upgraded)
    }

    /// Answers a message of a socket whose answers are all there.
    pub(super) fn answer_message(&mut self, conn: ConnKey, pending: PendingKey, kind: PendingKind) {
        match kind {
            PendingKind::Commands { then: AfterCommands::Drop(_), .. } => {
                self.core.answer_socket(conn, pending, &[]);
            }
            PendingKind::Commands { answers, .. } => self.core.answer_socket(conn, pending, &answers),
            PendingKind::Bayeux { call, .. } => {
                self.fronts.bayeux.answer_bayeux_message(&mut self.core, conn, pending, *call);
            }
            PendingKind::Strings { session, outcome, .. } => {
                self.core.answer_strings_socket((conn, pending), session, outcome);
            }
            // These come by requests alone.
            PendingKind::Publish { .. } | PendingKind::Inquiry { .. } => {}
        }
    }

    /// Answers a request whose answers are all there.
    pub(super) fn answer_request(&mut self, conn: ConnKey, reply: Reply, kind: PendingKind) {
        match kind {
            PendingKind::Publish { shape, answers, .. } => {
                self.core.answer_publish(conn, &reply, shape, &answers);
            }
            PendingKind::Commands { shape, answers, then, .. } => match then {
                AfterCommands::Open(open, located)
                    if self.core.sessions.get(located.key).is_some() && self.core.cx.takes_clients() =>
                {
                    let answers: Vec<_> = answers.iter().map(answer_json).collect();
                    self.core.open_for(conn, &open, located, reply, &answers);
                }
                // The session is over, perhaps by one of these very commands.
                AfterCommands::Open(..) => {
                    self.core.answer_commands(conn, &reply, BatchShape::Array, &answers);
                }
                AfterCommands::Tell(key, sent) => {
                    self.core.answer_sent((conn, &reply), (key, &sent), &answers);
                }
                AfterCommands::Drop(Some(sent)) => sent.respond(&mut self.core, conn, &reply),
                // These come by sockets alone.
                AfterCommands::Drop(None) => {}
                AfterCommands::Answer => self.core.answer_commands(conn, &reply, shape, &answers),
            },
            PendingKind::Inquiry { inquiry, answers, .. } => {
                let response = self.core.report(&reply, inquiry, answers);
                self.core.conns.respond(&mut self.core.cx, conn, response);
            }
            PendingKind::Strings { sent: Some(sent), outcome, .. } => {
                self.core.answer_strings_request((conn, &reply), &sent, outcome);
            }
            // These come by sockets alone.
            PendingKind::Strings { sent: None, .. } => {}
            PendingKind::Bayeux { call, .. } => {
                self.fronts.bayeux.answer_bayeux(&mut self.core, conn, reply, *call);
            }
        }
    }

    pub(super) fn continue_request(&mut self, key: PendingKey) {
        let Some(PendingRequest { kind, .. }) = self.core.pending.get_mut(key) else { return };
        match kind {
            PendingKind::Commands { conn, rest, .. } => {
                let conn = *conn;
                if let Some(rest) = rest.take() {
                    self.core.continue_commands(conn, key, *rest);
                }
            }
            PendingKind::Bayeux { call, .. } => {
                call.resume();
                self.fronts.bayeux.continue_call(&mut self.core, key);
            }
            PendingKind::Publish { .. } | PendingKind::Strings { .. } | PendingKind::Inquiry { .. } => return,
        }
        self.complete_if_answered(key);
    }

    /// Continues a pending request after a hook's answer. Returns the others that wait for the
    /// same answer.
    pub(super) fn hook_answered(&mut self, pending: PendingKey, verdict: HookVerdict<'_>) -> Vec<PendingKey> {
        match self.core.pending.get(pending) {
            Some(PendingRequest { kind: PendingKind::Strings { session, .. }, .. }) => {
                let session = *session;
                self.core.on_backend_answer(pending, session, verdict);
                Vec::new()
            }
            Some(_) | None => self.fronts.bayeux.continue_after_hook(&mut self.core, pending, verdict),
        }
    }

    /// A session whose protocol wants to know has lost its response.
    pub(super) fn session_detached(&mut self, session: SessionKey) {
        self.fronts.tcp.has_room(&mut self.core, session);
        self.fronts.bayeux.release_if_detached(&mut self.core, session);
    }

    /// The time has come that a session's front has set.
    pub(super) fn session_due(&mut self, session: SessionKey) {
        self.core.tick(session);
    }

    /// A session whose protocol wants to know is gone.
    pub(super) fn session_departed(&mut self) {
        let Some((session, client, code)) = self.core.departed.pop_front() else { return };
        self.fronts.tcp.departed(&mut self.core, session);
        match client {
            ClientState::Other(client) => match *client {
                OtherClient::Bayeux(client) => self.fronts.bayeux.unlink_client(session, &client),
                OtherClient::Bytes => {}
                OtherClient::Sockjs(pipe) => {
                    self.fronts.sockjs.departed(&mut self.core, session, *pipe, code);
                }
            },
            ClientState::Native => {}
        }
    }

    /// Panics if the fronts disagree with the sessions.
    pub(super) fn check_fronts(&self) {
        self.fronts.bayeux.check_browsers(&self.core);
        self.fronts.bayeux.check_repeats(&self.core);
        self.fronts.sockjs.check(&self.core);
        self.fronts.tcp.check(&self.core);
    }
}
