//! Strings that come up, and those that go down.

use std::rc::Rc;
use std::sync::Arc;

use crate::base::slab::{ConnKey, PendingKey, SessionKey};
use crate::call::pending::{AfterCommands, ItemAnswer, StringsOutcome, answer_json};
use crate::call::queue::Caller;
use crate::conn::pipeline::Outcome;
use crate::core::Core;
use crate::hub::publication::Message;
use crate::protocol::native::command::{self, BatchShape, Command, CommandBatch};
use crate::protocol::native::envelope::Encoding;
use crate::protocol::sockjs::message::{Malformed, Strings};
use crate::protocol::sockjs::pipe::{End, Service, TestService};
use crate::protocol::sockjs::{BROADCAST, NOT_FOUND, SENT, TEXT};
use crate::request::reply::Reply;
use crate::request::sockjs::{SendAnswer, SockjsClient};
use crate::sockjs::limits::{AMPLIFY_POWER_MAX, CALLS_WAITING_MAX, TICK};
use crate::sockjs::{SockjsFront, respond};
use crate::turn::mutation::Mutation;
use crate::turn::timer::Timer;
use crate::wire::json::quoted;
use crate::wire::refusal::{Refusal, Refused};

impl SockjsFront {
    /// A request has brought strings. Returns the pending request that it waits for, if any.
    pub(super) fn send(
        &mut self,
        core: &mut Core,
        conn: ConnKey,
        sender: &SockjsClient,
        strings: Result<Strings, Malformed>,
        (sent, reply): (SendAnswer, Reply),
    ) -> Option<PendingKey> {
        let name = sender.session_name();
        let strings = match strings {
            Ok(strings) => strings,
            Err(malformed) => {
                core.cx.metrics.refused(malformed.code());
                respond(core, conn, &reply, &sent.headers, (500, TEXT, malformed.body().as_bytes()));
                return None;
            }
        };
        let found = self.sessions.get(&name).copied();
        if found.is_some_and(|key| !core.admits(key, &sender.browser)) {
            respond(core, conn, &reply, &sent.headers, (404, TEXT, NOT_FOUND.as_bytes()));
            return None;
        }
        let Some(key) = found else {
            // A client that does not know yet how its session ended: its strings go nowhere.
            if self.closed.get(core.cx.now, &name).is_some() {
                sent.respond(core, conn, &reply);
            } else {
                respond(core, conn, &reply, &sent.headers, (404, TEXT, NOT_FOUND.as_bytes()));
            }
            return None;
        };
        match core.take_strings(key, &strings) {
            Taken::Done => {
                sent.respond(core, conn, &reply);
                None
            }
            Taken::ForBackend(_) if core.calls_waiting(key) >= CALLS_WAITING_MAX => {
                core.answer_strings_request((conn, &reply), &sent, StringsOutcome::Unavailable);
                None
            }
            Taken::ForBackend(body) => {
                let pending = core.call_backend((conn, key), Some(Box::new(sent)), body);
                core.conns.await_answer(conn, reply, Outcome::Open(pending));
                None
            }
            Taken::Commands(batch) => {
                let then = AfterCommands::Tell(key, Box::new(sent));
                core.commands_of_pipe((conn, reply), key, batch, then)
            }
            Taken::Publishes(batch) => {
                let then = AfterCommands::Drop(Some(Box::new(sent)));
                core.commands_of_pipe((conn, reply), key, batch, then)
            }
        }
    }
}

impl Core {
    /// Hands a client's strings to the service of its session. Says what is left to do. A session
    /// that has been told to end takes none.
    pub(crate) fn take_strings(&mut self, key: SessionKey, strings: &Strings) -> Taken {
        let Some(pipe) = self.pipe(key).filter(|pipe| pipe.end == End::Open) else { return Taken::Done };
        let service = match pipe.service {
            Service::Encke => return self.commands_in(strings),
            Service::Backend if strings.is_empty() => return Taken::Done,
            Service::Backend => return Taken::ForBackend(self.call_of(key, strings)),
            Service::Server(_) => {
                let bytes: String = strings.iter().collect();
                return if bytes.is_empty() { Taken::Done } else { Taken::ForBackend(bytes.into_bytes()) };
            }
            Service::Test(service) => service,
        };
        let copies = || strings.iter().map(str::to_owned);
        match service {
            TestService::Echo | TestService::EchoWithoutSocket | TestService::EchoWithCookie => {
                self.tell_strings(key, copies().collect());
            }
            TestService::Amplify => self.tell_strings(key, strings.iter().map(amplified).collect()),
            TestService::Broadcast => {
                let publish = |text: &str| {
                    let (channel, data) = (BROADCAST.to_owned(), quoted(text).into());
                    Ok(Command::Publish { channel, data, encoding: Encoding::Json, key: None })
                };
                let commands = strings.iter().map(publish).collect();
                return Taken::Publishes(CommandBatch { shape: BatchShape::Array, commands });
            }
            TestService::Close | TestService::Ticker => {}
        }
        Taken::Done
    }

    /// Answers a request whose commands are done: the session gets their answers.
    pub(crate) fn answer_sent(
        &mut self,
        (conn, reply): (ConnKey, &Reply),
        (key, sent): (SessionKey, &SendAnswer),
        answers: &[ItemAnswer],
    ) {
        if self.sessions.get(key).is_some() && !self.cx.broken_by(Mutation::MuteCommands) {
            let text = |answer| String::from_utf8_lossy(&answer_json(answer)).into_owned();
            self.tell_strings(key, answers.iter().map(text).collect());
        }
        sent.respond(self, conn, reply);
    }

    /// Sends the next string of the test service `ticker`.
    pub(crate) fn tick(&mut self, key: SessionKey) {
        if self.sessions.get(key).is_none() {
            return;
        }
        self.tell_strings(key, vec!["tick!".to_owned()]);
        self.cx.wheel.arm(self.cx.now + TICK, Timer::Front(key));
    }
}

/// What is left to do with strings.
pub(crate) enum Taken {
    /// Nothing.
    Done,
    /// Execute these commands of the client.
    Commands(CommandBatch),
    /// Execute these commands, whose answers the client does not get.
    Publishes(CommandBatch),
    /// Call the backend with this body, or send it to the server.
    ForBackend(Vec<u8>),
}

impl SendAnswer {
    /// Writes the receipt.
    pub(crate) fn respond(&self, core: &mut Core, conn: ConnKey, reply: &Reply) {
        let (status, body) = if self.by_form { (200, SENT) } else { (204, "") };
        respond(core, conn, reply, &self.headers, (status, TEXT, body.as_bytes()));
    }
}

impl Core {
    /// Sends strings down a session, in its order with all else.
    pub(crate) fn tell_strings(&mut self, key: SessionKey, strings: Vec<String>) {
        let message = |text: String| {
            Arc::new(Message {
                channel: Box::default(),
                from: None,
                data: text.into(),
                encoding: Encoding::Verbatim,
            })
        };
        self.cx.metrics.messages_in += strings.len() as u64;
        self.replay(key, strings.into_iter().map(message).collect());
    }

    /// The commands in the strings of a page, each of which is one command or an array.
    fn commands_in(&self, strings: &Strings) -> Taken {
        let (most, depth) = (self.cx.config.batch, self.cx.config.json_depth);
        let mut commands = Vec::new();
        for text in strings.iter() {
            match command::decode(text.as_bytes(), most, depth) {
                Ok(batch) => commands.extend(batch.commands),
                Err(refusal) => commands.push(Err(refusal)),
            }
        }
        if commands.len() > most {
            let refusal: Refusal = Refused::Commands { count: commands.len(), max: most }.into();
            commands = vec![Err(refusal)];
        }
        Taken::Commands(CommandBatch { shape: BatchShape::Array, commands })
    }

    /// Executes commands that a request brought for a session.
    ///
    /// Returns the pending request that it waits for.
    fn commands_of_pipe(
        &mut self,
        (conn, reply): (ConnKey, Reply),
        key: SessionKey,
        batch: CommandBatch,
        then: AfterCommands,
    ) -> Option<PendingKey> {
        let user = self.user_of_session(key)?;
        let grant = Rc::clone(&self.sessions.get(key)?.grant);
        let caller = Caller { user: &user, grant: &grant, session: Some(key), stale: false };
        let pending = self.execute_batch(conn, &caller, batch, then);
        self.conns.await_answer(conn, reply, Outcome::Open(pending));
        Some(pending)
    }
}

/// Two to the power of the number in the text, as letters.
fn amplified(text: &str) -> String {
    let whole = text.trim().split('.').next().unwrap_or_default();
    let power = whole.parse().ok().filter(|power| (1..=AMPLIFY_POWER_MAX).contains(power)).unwrap_or(1);
    "x".repeat(1 << power)
}
