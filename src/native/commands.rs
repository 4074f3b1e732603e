//! Executes clients' commands, and answers publishes of backends.
//!
//! Commands are executed and answered in order. Those that concern a session need its name;
//! `publish` and `ping` do not.

use std::vec::IntoIter;

use crate::base::slab::{ConnKey, PendingKey, SessionKey};
use crate::call::pending::{AfterCommands, AnswerSlot, ItemAnswer, PendingKind, PendingRequest, answer_json};
use crate::call::queue::{Ahead, Caller, Located, Pause, Reach, Rest, Since};
use crate::core::interest::SubscriptionStart;
use crate::core::{Core, StreamAsk};
use crate::hub::channel::SessionStage;
use crate::native::limits::FORM_FIELDS_MAX;
use crate::protocol::native::command;
use crate::protocol::native::command::{BatchShape, Command, CommandBatch};
use crate::protocol::native::envelope::{CloseCode, Encoding};
use crate::request::publish_key::{KeyScope, PublishKey, ResponseShape};
use crate::request::reply::Reply;
use crate::request::router::open::attendable;
use crate::request::router::{bad_channel, conflate_of, may_subscribe};
use crate::request::{Content, Open};
use crate::turn::todo::Todo;
use crate::wire::channel_name::{ChannelKind, ChannelName};
use crate::wire::json::quoted;
use crate::wire::percent;
use crate::wire::refusal::{Refusal, Refused};

impl Core {
    /// Executes the commands of a request for messages, which is answered afterwards; `None` if it
    /// is answered already.
    pub(crate) fn commands_of_open(
        &mut self,
        conn: ConnKey,
        open: Box<Open>,
        reply: &Reply,
        body: &[u8],
    ) -> Option<PendingKey> {
        if !self.cx.takes_clients() {
            self.turn_away(conn, &open, reply);
            return None;
        }
        let (batch, located) = match self.enter_with_commands(conn, &open, body) {
            Ok(entered) => entered,
            Err(refusal) => {
                self.refuse_open(conn, &open, reply, &refusal);
                return None;
            }
        };
        let (user, grant) = (open.user.clone(), std::rc::Rc::clone(&open.grant));
        let caller = Caller { user: &user, grant: &grant, session: Some(located.key), stale: false };
        Some(self.execute_batch(conn, &caller, batch, AfterCommands::Open(open, located)))
    }

    /// Parses the commands of a request for messages, and enters its session.
    fn enter_with_commands(
        &mut self,
        conn: ConnKey,
        open: &Open,
        body: &[u8],
    ) -> Result<(CommandBatch, Located), Refusal> {
        let batch = self.decode(open.content.unwrap_or(Content::Json), body)?;
        self.opening(open)?;
        let located = self.locate(conn, open)?;
        // The query comes first, so that commands have the last word.
        self.enter(open, &located)?;
        self.arm_session(located.key);
        Ok((batch, located))
    }

    /// Parses commands: JSON, or a form's `message` field with JSON in it.
    pub(crate) fn decode(&self, content: Content, body: &[u8]) -> Result<CommandBatch, Refusal> {
        let (most, depth) = (self.cx.config.batch, self.cx.config.json_depth);
        let is_form =
            content == Content::Form && !matches!(body.trim_ascii_start().first(), Some(b'{' | b'['));
        if !is_form {
            return command::decode(body, most, depth);
        }
        for pair in percent::form(body, FORM_FIELDS_MAX) {
            let (name, value) = pair.map_err(|error| Refused::Form { error })?;
            if name == "message" {
                return command::decode(value.as_bytes(), most, depth);
            }
        }
        Err(Refused::FormOfCommands.into())
    }

    pub(crate) fn execute_batch(
        &mut self,
        conn: ConnKey,
        caller: &Caller<'_>,
        batch: CommandBatch,
        then: AfterCommands,
    ) -> PendingKey {
        let answers = Vec::with_capacity(batch.commands.len());
        let kind = PendingKind::Commands { conn, shape: batch.shape, answers, then, rest: None };
        let pending = self.pending.insert(PendingRequest::new(kind, caller.session));
        let (commands, ahead) = (batch.commands.into_iter(), Ahead::default());
        if self.joins_batch_queue(pending) {
            self.put_off(pending, Rest::new(caller, commands, ahead, Pause::Predecessor));
        } else {
            self.execute_some(conn, pending, caller, commands, ahead);
        }
        pending
    }

    /// Executes the commands of a pending request in order, up to one that has to wait; the rest
    /// continues later (`core::queue`).
    pub(crate) fn execute_some(
        &mut self,
        conn: ConnKey,
        pending: PendingKey,
        caller: &Caller<'_>,
        mut commands: IntoIter<Result<Command, Refusal>>,
        mut ahead: Ahead,
    ) {
        let portion = self.begin_portion();
        while let Some(next) = commands.as_slice().first() {
            if let Some(pause) = self.pause(pending, ahead, portion, |shard| shard.reach(next)) {
                return self.put_off(pending, Rest::new(caller, commands, ahead, pause));
            }
            let Some(command) = commands.next() else { return };
            self.cx.steps.occasions(1);
            let answer = match command {
                Ok(Command::Publish { channel, data, encoding, key }) => {
                    let item =
                        self.expect_item(pending, AnswerSlot::Command { channel: channel.as_str().into() });
                    let key = key.map(|text| PublishKey::new(KeyScope::User, &text)).transpose();
                    let message =
                        key.and_then(|key| Ok((self.client_publish(caller, &channel, data, encoding)?, key)));
                    match message {
                        Ok(message) => ahead.sent(self.send_to_channel(pending, item, message)),
                        Err(refusal) => self.published(pending, vec![(item, Err(refusal))]),
                    }
                    continue;
                }
                Ok(Command::Tcp(command)) => match self.session_of(caller) {
                    Ok(session) => {
                        let item = (pending, self.expect_item(pending, AnswerSlot::Front));
                        self.stream_commands.push_back(StreamAsk { item, conn, session, command });
                        self.cx.todos.push_back(Todo::StreamCommand);
                        continue;
                    }
                    Err(refusal) => ItemAnswer::Refused(refusal),
                },
                Ok(command) => self
                    .execute_command(conn, caller, command)
                    .map_or_else(ItemAnswer::Refused, ItemAnswer::Ok),
                Err(refusal) => ItemAnswer::Refused(refusal),
            };
            self.push_answer(pending, answer);
        }
        self.close_items(pending);
    }

    /// Queues the remaining commands of a batch.
    fn put_off(&mut self, pending: PendingKey, left: Rest) {
        let pause = left.pause();
        if let Some(PendingRequest { kind: PendingKind::Commands { rest, .. }, .. }) =
            self.pending.get_mut(pending)
        {
            *rest = Some(Box::new(left));
        }
        self.note_pause(pending, pause);
    }

    /// Where a command takes effect.
    fn reach(&self, command: &Result<Command, Refusal>) -> Reach {
        match command {
            Err(_) | Ok(Command::Ping { .. }) => Reach::Nowhere,
            Ok(Command::Publish { channel, .. }) => Reach::Home(self.cx.home(channel)),
            Ok(
                Command::Subscribe { .. }
                | Command::Unsubscribe { .. }
                | Command::Ack { .. }
                | Command::Tcp(_)
                | Command::Close,
            ) => Reach::Session,
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
        let message = self.message(&name, from, data, encoding)?;
        if !caller.grant.may_publish(&name) {
            return Err(Refused::Publish { channel }.into());
        }
        Ok(message)
    }

    /// Executes a command that this shard can answer alone.
    fn execute_command(
        &mut self,
        conn: ConnKey,
        caller: &Caller<'_>,
        command: Command,
    ) -> Result<Vec<u8>, Refusal> {
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
                    let since = self.since(since.as_deref());
                    let last = last.min(u32::try_from(self.cx.config.channel_messages).unwrap_or(u32::MAX));
                    let start = SubscriptionStart {
                        since: &since,
                        last,
                        stage: SessionStage::Later,
                        conflate: conflate_of(conflate)?,
                    };
                    self.subscribe_later(session, &name, &start)?;
                }
                if presence {
                    self.attend(session, &name, SessionStage::Later)?;
                } else {
                    self.disregard(session, &name);
                }
                let resumed = self.answer_to_subscribe(session, since.as_deref(), &name);
                Ok(resumed)
            }
            Command::Unsubscribe { channel } => {
                let name = ChannelName::parse(&channel).map_err(bad_channel)?;
                let session = self.session_of(caller)?;
                if name == caller.user.channel {
                    return Err(Refused::PersonalStays.into());
                }
                self.deliver_before_leaving(session);
                let session = self.session_of(caller)?;
                let at = self
                    .subscription(session, name.as_str())
                    .ok_or_else(|| Refusal::from(Refused::NotSubscribed { channel: &channel }))?;
                self.leave(session, at);
                self.disregard(session, &name);
                Ok(command::ok(&[("unsubscribe", &quoted(&channel))]))
            }
            Command::Ack { position } => {
                self.session_of(caller)?;
                match self.since(Some(&position)) {
                    Since::Here(_) => Ok(command::ok(&[("ack", &quoted(&position))])),
                    Since::Unspecified | Since::Elsewhere(_) => {
                        Err(Refused::Position { text: &position }.into())
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
            // Answered by its channel's home, or by its front, through `execute_some`.
            Command::Publish { .. } | Command::Tcp(_) => Ok(Vec::new()),
        }
    }

    /// The session of a command. It may have ended while the command waited, or by the command
    /// before it.
    fn session_of(&self, caller: &Caller<'_>) -> Result<SessionKey, Refusal> {
        match caller.session {
            Some(key) if self.sessions.get(key).is_some() => Ok(key),
            None if !caller.stale => Err(Refused::NoSession.into()),
            Some(_) | None => Err(Refused::SessionOver.into()),
        }
    }

    fn subscribe_later(
        &mut self,
        session: SessionKey,
        name: &ChannelName,
        start: &SubscriptionStart<'_>,
    ) -> Result<(), Refusal> {
        match name.kind() {
            ChannelKind::Reserved => Err(Refused::Reserved.into()),
            ChannelKind::Exact
            | ChannelKind::Personal { .. }
            | ChannelKind::PatternOne { .. }
            | ChannelKind::PatternDeep { .. } => match self.subscription(session, name.as_str()) {
                Some(at) => {
                    self.subscribe_again(session, at, name, start);
                    Ok(())
                }
                None => self.subscribe(session, name, start),
            },
        }
    }

    /// `{"ok":{"subscribe":…,"position":…}}`, and whether messages from the named position on are
    /// complete.
    fn answer_to_subscribe(&self, session: SessionKey, since: Option<&str>, name: &ChannelName) -> Vec<u8> {
        let position = format!("\"{}\"", self.hub.position(self.hub.head()));
        let channel = quoted(name.as_str());
        let mut members = vec![("subscribe", channel.as_str()), ("position", position.as_str())];
        if let Some(since) = since {
            let log = self.subscription(session, name.as_str()).and_then(|at| {
                let key = self.sessions[session].subscriptions[at].channel;
                Some(&self.hub.channel(key)?.log)
            });
            let reaches =
                |n| log.is_none_or(|log| log.began() <= n && log.complete_from() <= log.goes_on_from(n));
            let honoured = matches!(self.since(Some(since)), Since::Here(n) if reaches(n));
            members.push(("resumed", if honoured { "true" } else { "false" }));
        }
        command::ok(&members)
    }

    pub(crate) fn answer_commands(
        &mut self,
        conn: ConnKey,
        reply: &Reply,
        shape: BatchShape,
        answers: &[ItemAnswer],
    ) {
        match (shape, answers) {
            (BatchShape::Single, [answer]) => self.answer_single(conn, reply, answer),
            (BatchShape::Single | BatchShape::Array, _) => {
                let items = joined(answers, b"", b",", b"");
                self.conns.respond(&mut self.cx, conn, reply.array(&items, None));
            }
        }
    }

    pub(crate) fn answer_publish(
        &mut self,
        conn: ConnKey,
        reply: &Reply,
        shape: ResponseShape,
        answers: &[ItemAnswer],
    ) {
        let body = match (shape, answers) {
            (ResponseShape::Single, [answer]) => return self.answer_single(conn, reply, answer),
            (ResponseShape::Lines, _) => joined(answers, b"", b"\n", b"\n"),
            (ResponseShape::Single | ResponseShape::Array, _) => joined(answers, b"[", b",", b"]\n"),
        };
        self.conns.respond(&mut self.cx, conn, reply.json(200, &body));
    }

    fn answer_single(&mut self, conn: ConnKey, reply: &Reply, answer: &ItemAnswer) {
        match answer {
            ItemAnswer::Refused(refusal) => self.conns.refuse(&mut self.cx, conn, reply, refusal),
            ItemAnswer::Ok(json) => {
                let body = [json, &b"\n"[..]].concat();
                self.conns.respond(&mut self.cx, conn, reply.json(200, &body));
            }
            ItemAnswer::Awaited(_) => debug_assert!(false, "an answer is written before it is known"),
        }
    }

    pub(crate) fn continue_commands(&mut self, conn: ConnKey, pending: PendingKey, rest: Rest) {
        let Rest { user, grant, session, stale, commands, ahead, pause: _ } = rest;
        let caller = Caller { user: &user, grant: &grant, session, stale };
        self.execute_some(conn, pending, &caller, commands, ahead);
    }
}

fn joined(answers: &[ItemAnswer], before: &[u8], between: &[u8], after: &[u8]) -> Vec<u8> {
    let answers: Vec<_> = answers.iter().map(answer_json).collect();
    [before, &answers.join(between), after].concat()
}
