//! Carrying out requests: commands of clients, and the errands that come back with answers from other shards.
//!
//! Commands are carried out in order and answered in order. Those that concern a session need one named; `publish` and `ping` do not.

use std::vec::IntoIter;

use crate::assets::Cached;
use crate::auth::AuthReject;
use crate::base::slab::{ConnKey, SessionKey, TicketKey};
use crate::hub::channel::Stage;
use crate::protocol::native::command;
use crate::protocol::native::command::{Batch, Command, Shape};
use crate::protocol::native::envelope::{CloseCode, Encoding};
use crate::shard::conn::Phase;
use crate::shard::exchange::{Located, Since};
use crate::shard::interest::Start;
use crate::shard::once::{PublishKey, Scope};
use crate::shard::pipeline::Outcome as Asked;
use crate::shard::presence::attendable;
use crate::shard::queue::{Ahead, Pause, Reach, Rest};
use crate::shard::receive::Came;
use crate::shard::reply::{Page, Reply};
use crate::shard::request::{Content, Open, Request, User};
use crate::shard::router::{bad_channel, conflate_of, may_subscribe};
use crate::shard::ticket::{Awaited, Errand, Said, Ticket};
use crate::shard::{Life, Shard};
use crate::wire::channel_name::{ChannelKind, ChannelName};
use crate::wire::json::escape_into;
use crate::wire::percent;
use crate::wire::refusal::Refusal;

/// What commands may look at and change.
pub(super) struct Caller<'a> {
    pub(super) user: &'a User,
    pub(super) grant: &'a std::rc::Rc<crate::auth::Grant>,
    pub(super) session: Option<SessionKey>,
    /// A session was named, but is not there.
    pub(super) stale: bool,
}

impl Shard {
    /// Carries out a request whose body, if any, is here.
    pub(super) fn dispatch(&mut self, conn: ConnKey, request: Request, reply: Reply, came: &Came<'_>) {
        self.core.cx.steps.occasions(1);
        self.core.conns[conn].alarm.clear();
        let body = came.body;
        let result = match request {
            Request::Open(mut open) if open.commands.is_some() => {
                let commands = open.commands.take().unwrap_or_default();
                if !self.core.cx.takes_clients() {
                    return self.turn_away(conn, &open, &reply);
                }
                self.commands_of_open(conn, open, commands.as_bytes())
            }
            Request::Open(open) if body.is_empty() || open.content.is_none() => {
                return self.open(conn, &open, reply);
            }
            Request::Open(open) if !self.core.cx.takes_clients() => {
                return self.turn_away(conn, &open, &reply);
            }
            Request::Open(open) => self.commands_of_open(conn, open, body),
            Request::Send(send) => {
                let session = self.core.session_named(send.session.as_deref(), &send.user.channel);
                let stale = session.is_none() && send.session.is_some();
                let caller = Caller { user: &send.user, grant: &send.grant, session, stale };
                self.decode(send.content, body).map(|batch| self.carry_out(conn, &caller, batch, None))
            }
            Request::Bayeux(asked) => return self.bayeux(conn, *asked, reply, came),
            Request::Echo(upgrade) => {
                return self.core.conns.open_echo(&mut self.core.cx, conn, &upgrade, &reply);
            }
            Request::Publish(publish) => self.publish(conn, &publish, body),
            Request::Ask(question) => Ok(self.ask(conn, question)),
            Request::Preflight(asked) => {
                return self.core.conns.respond(&mut self.core.cx, conn, reply.preflight(&asked));
            }
            Request::Over => {
                let page = Page {
                    status: 204,
                    content_type: "",
                    headers: &[("Cache-Control", "no-store")],
                    body: b"",
                };
                return self.core.conns.respond(&mut self.core.cx, conn, reply.page(&page));
            }
            Request::Health => {
                let serving = self.core.cx.life == Life::Serving;
                let (status, body): (_, &[u8]) = if serving {
                    (200, b"{\"status\":\"ok\"}\n")
                } else {
                    (503, b"{\"status\":\"draining\"}\n")
                };
                return self.core.conns.respond(&mut self.core.cx, conn, reply.json(status, body));
            }
            Request::Moved(to) => {
                let headers = &[("Location", to), ("Cache-Control", "no-cache")];
                let page = Page { status: 301, content_type: "", headers, body: b"" };
                return self.core.conns.respond(&mut self.core.cx, conn, reply.page(&page));
            }
            Request::Asset { asset, cached } => {
                let tag = asset.tag();
                let headers = [&[("ETag", &*tag)], asset.headers()].concat();
                let (status, content_type, body) = match cached {
                    Cached::Current => (304, "", &b""[..]),
                    Cached::Stale => (200, asset.content_type, asset.body),
                };
                let page = Page { status, content_type, headers: &headers, body };
                return self.core.conns.respond(&mut self.core.cx, conn, reply.page(&page));
            }
            Request::Refused(refusal) if refusal.code == AuthReject::WrongApiKey.code() => {
                return self.core.conns.withhold(&mut self.core.cx, conn, reply, refusal);
            }
            Request::Refused(refusal) => {
                return self.core.conns.refuse(&mut self.core.cx, conn, &reply, &refusal);
            }
        };
        match result {
            Ok(ticket) => {
                self.core.conns.await_answer(conn, reply, Asked::Open(ticket));
                self.settle_ticket(ticket);
            }
            Err(refusal) if matches!(self.core.conns[conn].phase, Phase::Waiting(_)) => {
                self.core.conns.await_answer(conn, reply, Asked::Refused(refusal));
            }
            Err(refusal) => self.core.conns.refuse(&mut self.core.cx, conn, &reply, &refusal),
        }
    }

    fn commands_of_open(
        &mut self,
        conn: ConnKey,
        open: Box<Open>,
        body: &[u8],
    ) -> Result<TicketKey, Refusal> {
        let batch = self.decode(open.content.unwrap_or(Content::Json), body)?;
        self.opening(&open)?;
        let located = self.locate(conn, &open)?;
        // What the query says comes first, so that a command has the last word.
        self.enter(&open, &located)?;
        self.core.arm_session(located.key);
        let (user, grant) = (open.user.clone(), std::rc::Rc::clone(&open.grant));
        let caller = Caller { user: &user, grant: &grant, session: Some(located.key), stale: false };
        Ok(self.carry_out(conn, &caller, batch, Some((open, located))))
    }

    /// Reads commands: JSON, or a form's `message` field with JSON in it.
    fn decode(&self, content: Content, body: &[u8]) -> Result<Batch, Refusal> {
        let (most, depth) = (self.core.cx.config.batch, self.core.cx.config.json_depth);
        let is_form =
            content == Content::Form && !matches!(body.trim_ascii_start().first(), Some(b'{' | b'['));
        if !is_form {
            return command::decode(body, most, depth);
        }
        for pair in percent::form(body, FIELDS_MAX) {
            let (name, value) =
                pair.map_err(|error| Refusal::new(400, "bad-form", format!("the form: {error}")))?;
            if name == "message" {
                return command::decode(value.as_bytes(), most, depth);
            }
        }
        Err(Refusal::new(400, "bad-form", "the form has no field \"message\" with commands as JSON"))
    }

    pub(super) fn carry_out(
        &mut self,
        conn: ConnKey,
        caller: &Caller<'_>,
        batch: Batch,
        open: Option<(Box<Open>, Located)>,
    ) -> TicketKey {
        let answers = Vec::with_capacity(batch.commands.len());
        let errand = Errand::Commands { conn, shape: batch.shape, answers, open, rest: None };
        let ticket = self.core.tickets.insert(Ticket::new(errand, caller.session));
        let (commands, ahead) = (batch.commands.into_iter(), Ahead::default());
        if self.core.joins_line(ticket) {
            self.put_off(ticket, Rest::new(caller, commands, ahead, Pause::Predecessor));
        } else {
            self.carry_out_some(conn, ticket, caller, commands, ahead);
        }
        ticket
    }

    /// Carries out the commands of a ticket in their order, up to one that has to wait; the rest goes on later (`shard::queue`).
    pub(super) fn carry_out_some(
        &mut self,
        conn: ConnKey,
        ticket: TicketKey,
        caller: &Caller<'_>,
        mut commands: IntoIter<Result<Command, Refusal>>,
        mut ahead: Ahead,
    ) {
        let portion = self.begin_portion();
        while let Some(next) = commands.as_slice().first() {
            if let Some(pause) = self.pause(ticket, ahead, portion, |shard| shard.reach(next)) {
                return self.put_off(ticket, Rest::new(caller, commands, ahead, pause));
            }
            let Some(command) = commands.next() else { return };
            self.core.cx.steps.occasions(1);
            let said = match command {
                Ok(Command::Publish { channel, data, encoding, key }) => {
                    let item =
                        self.core.expect_item(ticket, Awaited::Command { channel: channel.as_str().into() });
                    let key = key.map(|text| PublishKey::new(Scope::User, &text)).transpose();
                    let message =
                        key.and_then(|key| Ok((self.client_publish(caller, &channel, data, encoding)?, key)));
                    match message {
                        Ok(message) => ahead.sent(self.send_to_channel(ticket, item, message)),
                        Err(refusal) => self.published(ticket, vec![(item, Err(refusal))]),
                    }
                    continue;
                }
                Ok(command) => self.obey(conn, caller, command).map_or_else(Said::Refused, Said::Ok),
                Err(refusal) => Said::Refused(refusal),
            };
            self.say(ticket, said);
        }
        self.core.close_ticket(ticket);
    }

    /// The commands that are left of a batch wait.
    fn put_off(&mut self, ticket: TicketKey, left: Rest) {
        let pause = left.pause();
        if let Some(Ticket { errand: Errand::Commands { rest, .. }, .. }) = self.core.tickets.get_mut(ticket)
        {
            *rest = Some(Box::new(left));
        }
        self.core.note_pause(ticket, pause);
    }

    /// Where a command takes effect.
    fn reach(&self, command: &Result<Command, Refusal>) -> Reach {
        match command {
            Err(_) | Ok(Command::Ping { .. }) => Reach::Nowhere,
            Ok(Command::Publish { channel, .. }) => Reach::Home(self.core.cx.home(channel)),
            Ok(
                Command::Subscribe { .. }
                | Command::Unsubscribe { .. }
                | Command::Ack { .. }
                | Command::Close,
            ) => Reach::Session,
        }
    }

    pub(super) fn say(&mut self, ticket: TicketKey, said: Said) {
        if let Some(ticket) = self.core.tickets.get_mut(ticket) {
            ticket.errand.say(said);
        }
    }

    fn client_publish(
        &self,
        caller: &Caller<'_>,
        channel: &str,
        data: Box<str>,
        encoding: Encoding,
    ) -> Result<std::sync::Arc<crate::hub::publication::Message>, Refusal> {
        let name = ChannelName::parse(channel).map_err(bad_channel)?;
        let from = Some(caller.user.name.clone());
        let message = self.client_message(&name, from, data, encoding)?;
        if !caller.grant.may_publish(&name) {
            let reason =
                format!("no permission to publish to {channel}; the token's channels claim gives it");
            return Err(Refusal::new(403, "forbidden", reason));
        }
        Ok(message)
    }

    /// Carries out a command that this shard can answer alone.
    fn obey(&mut self, conn: ConnKey, caller: &Caller<'_>, command: Command) -> Result<Vec<u8>, Refusal> {
        match command {
            Command::Ping { token } => Ok(command::ok(&[("ping", &token)])),
            Command::Subscribe { channel, since, last, conflate, presence } => {
                let name = ChannelName::parse(&channel).map_err(bad_channel)?;
                let session = self.session_of(caller)?;
                if presence {
                    attendable(&name)?;
                }
                if name != caller.user.channel {
                    may_subscribe(caller.grant, &name)?;
                    let since = self.core.since(since.as_deref());
                    let last =
                        last.min(u32::try_from(self.core.cx.config.channel_messages).unwrap_or(u32::MAX));
                    let start =
                        Start { since: &since, last, stage: Stage::Later, conflate: conflate_of(conflate)? };
                    self.subscribe_later(session, &name, &start)?;
                }
                if presence {
                    self.core.attend(session, &name, Stage::Later)?;
                } else {
                    self.core.disregard(session, &name);
                }
                let resumed = self.answer_to_subscribe(session, since.as_deref(), &name);
                Ok(resumed)
            }
            Command::Unsubscribe { channel } => {
                let name = ChannelName::parse(&channel).map_err(bad_channel)?;
                let session = self.session_of(caller)?;
                if name == caller.user.channel {
                    let reason = "the personal channel belongs to the session and stays with it";
                    return Err(Refusal::new(400, "bad-channel", reason));
                }
                self.hand_over(session);
                let session = self.session_of(caller)?;
                let at = self.core.subscription(session, name.as_str()).ok_or_else(|| {
                    Refusal::new(
                        404,
                        "not-subscribed",
                        format!("the session has no subscription to {channel}"),
                    )
                })?;
                self.core.leave(session, at);
                self.core.disregard(session, &name);
                Ok(command::ok(&[("unsubscribe", &quoted(&channel))]))
            }
            Command::Ack { position } => {
                self.session_of(caller)?;
                match self.core.since(Some(&position)) {
                    Since::Here(_) => Ok(command::ok(&[("ack", &quoted(&position))])),
                    Since::Unsaid | Since::Elsewhere(_) => {
                        let reason = format!("{position:?} is no position of this stream");
                        Err(Refusal::new(400, "bad-position", reason))
                    }
                }
            }
            Command::Close => {
                let session = self.session_of(caller)?;
                if !self.end_after_answers(conn, session) {
                    self.end_session(session, CloseCode::Closed);
                }
                Ok(command::ok(&[("close", "true")]))
            }
            // Answered by its channel's home; `carry_out` has seen to it.
            Command::Publish { .. } => Ok(Vec::new()),
        }
    }

    /// The session that a command concerns. It may have ended while the command waited, or by the one before.
    fn session_of(&self, caller: &Caller<'_>) -> Result<SessionKey, Refusal> {
        match caller.session {
            Some(key) if self.core.sessions.get(key).is_some() => Ok(key),
            None if !caller.stale => {
                let reason =
                    "this command concerns a session: name it by session= or the Encke-Session header";
                Err(Refusal::new(400, "no-session", reason))
            }
            Some(_) | None => {
                let reason = "the session that was named is over, or never was";
                Err(Refusal::new(404, "unknown-session", reason))
            }
        }
    }

    fn subscribe_later(
        &mut self,
        session: SessionKey,
        name: &ChannelName,
        start: &Start<'_>,
    ) -> Result<(), Refusal> {
        match name.kind() {
            ChannelKind::Reserved => {
                Err(Refusal::new(403, "reserved", "channels under /meta and /service are reserved"))
            }
            ChannelKind::Exact
            | ChannelKind::Personal { .. }
            | ChannelKind::PatternOne { .. }
            | ChannelKind::PatternDeep { .. } => match self.core.subscription(session, name.as_str()) {
                Some(at) => {
                    self.core.subscribe_again(session, at, name, start);
                    Ok(())
                }
                None => self.core.subscribe(session, name, start),
            },
        }
    }

    /// `{"ok":{"subscribe":…,"position":…}}`, and whether the position that was named could be honoured.
    fn answer_to_subscribe(&self, session: SessionKey, since: Option<&str>, name: &ChannelName) -> Vec<u8> {
        let position = format!("\"{}\"", self.core.hub.position(self.core.hub.head()));
        let channel = quoted(name.as_str());
        let mut members = vec![("subscribe", channel.as_str()), ("position", position.as_str())];
        if let Some(since) = since {
            let log = self.core.subscription(session, name.as_str()).and_then(|at| {
                let key = self.core.sessions[session].subscriptions[at].channel;
                Some(&self.core.hub.channel(key)?.log)
            });
            let reaches =
                |n| log.is_none_or(|log| log.began() <= n && log.complete_from() <= log.goes_on_from(n));
            let honoured = matches!(self.core.since(Some(since)), Since::Here(n) if reaches(n));
            members.push(("resumed", if honoured { "true" } else { "false" }));
        }
        command::ok(&members)
    }

    /// Answers a request whose errand is done.
    pub(super) fn answer_request(&mut self, conn: ConnKey, reply: Reply, errand: Errand) {
        match errand {
            Errand::Publish { shape, answers, .. } => self.answer_publish(conn, &reply, shape, &answers),
            Errand::Commands { shape, answers, open, .. } => match open {
                Some((open, located))
                    if self.core.sessions.get(located.key).is_some() && self.core.cx.takes_clients() =>
                {
                    let answers: Vec<_> = answers.iter().map(written).collect();
                    self.open_for(conn, &open, located, reply, &answers);
                }
                // The session is over, perhaps by one of these very commands.
                Some(_) => self.answer_commands(conn, &reply, Shape::Array, &answers),
                None => self.answer_commands(conn, &reply, shape, &answers),
            },
            Errand::Inquiry { inquiry, answers, .. } => {
                let response = self.report(&reply, inquiry, answers);
                self.core.conns.respond(&mut self.core.cx, conn, response);
            }
            Errand::Bayeux { call, .. } => self.answer_bayeux(conn, reply, *call),
        }
    }

    fn answer_commands(&mut self, conn: ConnKey, reply: &Reply, shape: Shape, answers: &[Said]) {
        match (shape, answers) {
            (Shape::Single, [said]) => self.answer_single(conn, reply, said),
            (Shape::Single | Shape::Array, _) => {
                let items = joined(answers, b"", b",", b"");
                self.core.conns.respond(&mut self.core.cx, conn, reply.array(&items));
            }
        }
    }

    fn answer_publish(
        &mut self,
        conn: ConnKey,
        reply: &Reply,
        shape: crate::shard::publish::Shape,
        answers: &[Said],
    ) {
        use crate::shard::publish::Shape;
        let body = match (shape, answers) {
            (Shape::Single, [said]) => return self.answer_single(conn, reply, said),
            (Shape::Lines, _) => joined(answers, b"", b"\n", b"\n"),
            (Shape::Single | Shape::Array, _) => joined(answers, b"[", b",", b"]\n"),
        };
        self.core.conns.respond(&mut self.core.cx, conn, reply.json(200, &body));
    }

    fn answer_single(&mut self, conn: ConnKey, reply: &Reply, said: &Said) {
        match said {
            Said::Refused(refusal) => self.core.conns.refuse(&mut self.core.cx, conn, reply, refusal),
            Said::Ok(json) => {
                let body = [json, &b"\n"[..]].concat();
                self.core.conns.respond(&mut self.core.cx, conn, reply.json(200, &body));
            }
            Said::Awaited(_) => debug_assert!(false, "an answer is written before it is known"),
        }
    }
}

/// Fields of a form: one is used.
const FIELDS_MAX: usize = 64;

pub(super) fn written(said: &Said) -> Vec<u8> {
    let mut out = Vec::new();
    said.write(&mut out);
    out
}

fn joined(answers: &[Said], before: &[u8], between: &[u8], after: &[u8]) -> Vec<u8> {
    let answers: Vec<_> = answers.iter().map(written).collect();
    [before, &answers.join(between), after].concat()
}

fn quoted(text: &str) -> String {
    let mut out = Vec::new();
    escape_into(text, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}
