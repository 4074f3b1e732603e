//! Publishing: from a backend's request or a client's command to the channel's home, and from there to all who listen.
//!
//! The home is the single sequencer of its channels. An item whose home is elsewhere goes there by mail and is answered by mail, so a
//! request's answers come in the order of its items, whatever the order in which they become known.

use std::sync::Arc;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::base::ids::ShardId;
use crate::base::position::Position;
use crate::base::slab::{ChannelKey, ConnKey, TicketKey};
use crate::hub::census::Maker;
use crate::hub::channel::Role;
use crate::hub::publication::Message;
use crate::hub::run::Run;
use crate::protocol::native::envelope::Encoding;
use crate::shard::Shard;
use crate::shard::core::Core;
use crate::shard::interest::too_many_channels;
use crate::shard::mail::Mail;
use crate::shard::mutation::Mutation;
use crate::shard::once::{PublishKey, Scope, Seen};
use crate::shard::request::{Content, Publish};
use crate::shard::router::bad_channel;
use crate::shard::session::SessionId;
use crate::shard::ticket::{Awaited, Errand, Items, Ticket};
use crate::shard::todo::Todo;
use crate::wire::channel_name::{ChannelKind, ChannelName, is_personal};
use crate::wire::json;
use crate::wire::refusal::Refusal;

/// What became of a publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Where the message stands in its home's log.
    pub position: Position,
    /// For a personal channel: how many live sessions it reached.
    pub sessions: Option<usize>,
}

/// A message on its way to the shard that gives it its place.
#[derive(Debug)]
pub struct Outgoing {
    /// Its place among a ticket's items.
    pub item: u32,
    /// For whom it is.
    pub to: Addressee,
    /// What.
    pub message: Arc<Message>,
    /// By which a repeat is known.
    pub key: Option<PublishKey>,
}

/// For whom a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressee {
    /// Whoever listens to its channel.
    Channel,
    /// One session, whose home is that of its user.
    Session(SessionId),
}

/// Messages on their way to their common home.
pub type Batch = Vec<Outgoing>;

/// What became of a batch's messages.
pub type Results = Vec<(u32, Result<Receipt, Refusal>)>;

/// How the answers of a request are wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One object, whose status is the response's.
    Single,
    /// A JSON array.
    Array,
    /// One a line.
    Lines,
}

/// One message of a body.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Item<'a> {
    channel: Option<String>,
    user: Option<String>,
    session: Option<String>,
    key: Option<String>,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// A message of a body, and where it goes.
type Addressed = (Addressee, Arc<Message>, Option<PublishKey>);

impl Core {
    /// One more item for a ticket, to be answered by [`Shard::published`]: its place.
    pub(super) fn expect_item(&mut self, ticket: TicketKey, awaited: Awaited) -> u32 {
        let Some(Ticket { missing, errand, .. }) = self.tickets.get_mut(ticket) else { return 0 };
        *missing += 1;
        errand.expect(awaited)
    }

    /// Gives messages their places, as their home, and sends them to all who listen.
    pub(super) fn sequence(&mut self, batch: Batch) -> Results {
        self.cx.steps.occasions(batch.len());
        let mut run = Run::default();
        let one = |outgoing: Outgoing| (outgoing.item, self.sequence_once(outgoing, &mut run));
        let results: Results = batch.into_iter().map(one).collect();
        if !self.cx.broken_by(Mutation::RefusalDropsRun) || results.iter().all(|(_, result)| result.is_ok()) {
            self.hand_out(&mut run);
        }
        results
    }

    /// Gives a message its place, unless its key says that it has one.
    fn sequence_once(&mut self, outgoing: Outgoing, run: &mut Run) -> Result<Receipt, Refusal> {
        let now = self.cx.now;
        let Outgoing { to, message, key, .. } = outgoing;
        let name = match &key {
            None => None,
            Some(key) => match self.once.look_up(now, key, to, &message) {
                Seen::Before(_) if self.cx.broken_by(Mutation::ForgetKeys) => None,
                Seen::Before(receipt) => return Ok(receipt),
                Seen::WithOtherData => return Err(key.reused(&message.channel)),
                Seen::Never(name) => Some(name),
            },
        };
        let receipt = match to {
            Addressee::Channel => self.take_in(message, run)?,
            Addressee::Session(id) => {
                self.hand_out(run);
                self.tell_session(id, message)?
            }
        };
        if let Some(name) = name {
            self.once.remember(now, name, receipt);
            self.arm_once();
        }
        Ok(receipt)
    }

    /// Gives a message its place, and adds it to a run; one that it cannot join is handed out first.
    fn take_in(&mut self, message: Arc<Message>, run: &mut Run) -> Result<Receipt, Refusal> {
        let now = self.cx.now;
        let maker = message.from.as_deref().map_or(Maker::Backend, Maker::Publisher);
        let (own, _) = self.hub.ensure(&message.channel, Role::Home, maker).map_err(too_many_channels)?;
        let mut channels = vec![own];
        channels.extend(self.hub.matching(&message.channel));
        if self.listening(&channels) & self.cx.congested != 0 {
            if self.cx.broken_by(Mutation::DeliverRefused) {
                self.hand_out(run);
                run.push(channels.clone(), self.hub.take_in(now, message, &channels));
            }
            self.hub.release(own);
            return Err(busy());
        }
        let personal = is_personal(&message.channel);
        let sessions = self.hub.channel(own).filter(|_| personal).map(|channel| channel.subscribers.len());
        if !run.admits(&channels, self.run_weight()) {
            self.hand_out(run);
        }
        self.cx.metrics.messages_in += u64::from(message.encoding != Encoding::Presence);
        let publication = self.hub.take_in(now, message, &channels);
        let position = self.hub.position(publication.n);
        run.push(channels, publication);
        Ok(Receipt { position, sessions })
    }

    /// Hands a run to the subscribers here and forwards it to the shards that have some, and empties it.
    fn hand_out(&mut self, run: &mut Run) {
        let run = std::mem::take(run);
        self.fan_out(&run);
        let forward = self.listening(run.channels());
        for to in (0..self.cx.identity.shards).map(ShardId).filter(|to| forward & to.bit() != 0) {
            let messages = run.publications().iter().map(|publication| Arc::clone(&publication.message));
            self.cx.post(to, Mail::Forward { messages: messages.collect() });
        }
    }

    /// Bytes above which a run takes no more: one that is worth a system call, and no more than a connection may have waiting.
    pub(super) fn run_weight(&self) -> usize {
        const WORTH_A_CALL: usize = 32 * 1024;
        self.cx.config.outbox_bytes.min(WORTH_A_CALL)
    }

    /// The other shards that have subscribers for any of these channels and patterns.
    fn listening(&self, channels: &[ChannelKey]) -> u64 {
        let all =
            channels.iter().filter_map(|key| self.hub.channel(*key)).fold(0, |all, at| all | at.forward);
        if self.cx.broken_by(Mutation::ForwardToOneLess) { all & all.wrapping_sub(1) } else { all }
    }

    /// A channel's home has sent messages.
    pub(super) fn forwarded(&mut self, messages: Vec<Arc<Message>>) {
        let now = self.cx.now;
        let Some(channel) = messages.first().map(|message| &message.channel) else { return };
        let mut channels: Vec<_> = self.hub.find(channel).into_iter().collect();
        channels.extend(self.hub.matching(channel));
        channels.retain(|key| self.hub.channel(*key).is_some_and(|channel| channel.role.logs()));
        if channels.is_empty() {
            return;
        }
        self.cx.steps.occasions(messages.len());
        let mut run = Run::default();
        for message in messages {
            let publication = self.hub.take_in(now, message, &channels);
            run.push(channels.clone(), publication);
        }
        self.fan_out(&run);
    }

    /// All items of a ticket are carried out or on their way: it may be settled.
    pub(super) fn close_ticket(&mut self, key: TicketKey) {
        if let Some(ticket) = self.tickets.get_mut(key) {
            ticket.items = Items::All;
        }
    }

    /// A message, if it is not too large; whether it may go to that channel is known.
    pub(super) fn message_of_size(
        &self,
        channel: &ChannelName,
        from: Option<Box<str>>,
        data: Box<str>,
        encoding: Encoding,
    ) -> Result<Arc<Message>, Refusal> {
        let max = self.cx.config.message_bytes;
        if data.len() > max {
            let reason =
                format!("the payload has {} bytes as JSON; ENCKE_MESSAGE_BYTES allows {max}", data.len());
            return Err(Refusal::new(413, "message-too-large", reason));
        }
        Ok(Arc::new(Message { channel: channel.as_str().into(), from, data, encoding }))
    }
}

impl Shard {
    /// A backend's request.
    pub(super) fn publish(
        &mut self,
        conn: ConnKey,
        publish: &Publish,
        body: &[u8],
    ) -> Result<TicketKey, Refusal> {
        let (items, shape) = match &publish.user {
            Some(user) => {
                let message = self.personal_message(&user.channel, publish.content, body);
                (vec![message.map(|message| (Addressee::Channel, message, None))], Shape::Single)
            }
            None => self.messages(publish.content, body)?,
        };
        let errand = Errand::Publish { conn, shape, answers: Vec::with_capacity(items.len()) };
        let ticket = self.core.tickets.insert(Ticket::new(errand, None));
        let mut batches: Vec<(ShardId, Batch)> = Vec::new();
        for (item, message) in (0..).zip(items) {
            self.core.expect_item(ticket, Awaited::Backend);
            match message {
                Ok((to, message, key)) => {
                    let home = self.home_of_message(to, &message);
                    let key = key.or_else(|| publish.key.as_ref().map(|key| key.of_item(shape, item)));
                    let message = Outgoing { item, to, message, key };
                    match batches.iter_mut().find(|(shard, _)| *shard == home) {
                        Some((_, batch)) => batch.push(message),
                        None => batches.push((home, vec![message])),
                    }
                }
                Err(refusal) => self.published(ticket, vec![(item, Err(refusal))]),
            }
        }
        for (home, batch) in batches {
            self.send_home(ticket, home, batch);
        }
        self.core.close_ticket(ticket);
        Ok(ticket)
    }

    /// Sends a message to its channel's home, which answers now or by mail. Says which shard that is.
    pub(super) fn send_to_channel(
        &mut self,
        ticket: TicketKey,
        item: u32,
        (message, key): (Arc<Message>, Option<PublishKey>),
    ) -> ShardId {
        let home = self.core.cx.home(&message.channel);
        self.send_home(ticket, home, vec![Outgoing { item, to: Addressee::Channel, message, key }]);
        home
    }

    /// Sends messages to their common home, which answers now or by mail.
    fn send_home(&mut self, ticket: TicketKey, home: ShardId, batch: Batch) {
        if home == self.core.cx.identity.id {
            let results = self.core.sequence(batch);
            self.published(ticket, results);
        } else if self.core.cx.congested & home.bit() != 0
            && !self.core.cx.broken_by(Mutation::HeedNoCongestion)
        {
            let results = batch.into_iter().map(|message| (message.item, Err(busy()))).collect();
            self.published(ticket, results);
        } else {
            self.core.cx.post(home, Mail::Publish { ticket, batch });
        }
    }

    /// What items of a ticket have come to.
    pub(super) fn published(&mut self, key: TicketKey, results: Results) {
        let hasty = self.core.cx.broken_by(Mutation::AnswersOutOfOrder);
        for (item, result) in results {
            let Some(Ticket { missing, errand, .. }) = self.core.tickets.get_mut(key) else { return };
            let item = if hasty { errand.first_awaited() } else { item as usize };
            errand.answered(item, result);
            *missing -= 1;
        }
        if self.core.is_answered(key) {
            self.core.cx.todos.push_back(Todo::GoOn(key));
        } else {
            self.settle_ticket(key);
        }
    }

    /// If no answer is missing, the ticket's errand is done.
    pub(super) fn settle_ticket(&mut self, key: TicketKey) {
        if let Some(Ticket { missing: 0, items: Items::All, .. }) = self.core.tickets.get(key)
            && let Some(Ticket { errand, session, .. }) = self.core.tickets.remove(key)
        {
            if let Some(session) = session {
                self.core.leave_line(session, key);
            }
            self.conclude(key, errand);
        }
    }

    fn personal_message(
        &self,
        channel: &ChannelName,
        content: Content,
        body: &[u8],
    ) -> Result<Arc<Message>, Refusal> {
        let (data, encoding) = match content {
            Content::Json | Content::Form | Content::Lines => (self.json(body)?, Encoding::Json),
            Content::Text => (quoted(body)?, Encoding::Json),
            Content::Bytes => (format!("\"{}\"", BASE64_STANDARD.encode(body)).into(), Encoding::Base64),
        };
        self.message(channel, None, data, encoding)
    }

    fn json(&self, body: &[u8]) -> Result<Box<str>, Refusal> {
        let bad = |error| {
            let hint = "; for plain text say Content-Type: text/plain";
            Refusal::new(400, "bad-json", format!("the payload is not JSON: {error}{hint}"))
        };
        json::check(body, self.core.cx.config.json_depth).map(std::convert::Into::into).map_err(bad)
    }

    fn message(
        &self,
        channel: &ChannelName,
        from: Option<Box<str>>,
        data: Box<str>,
        encoding: Encoding,
    ) -> Result<Arc<Message>, Refusal> {
        publishable(channel)?;
        self.core.message_of_size(channel, from, data, encoding)
    }

    /// A message that a client publishes.
    pub(super) fn client_message(
        &self,
        channel: &ChannelName,
        from: Option<Box<str>>,
        data: Box<str>,
        encoding: Encoding,
    ) -> Result<Arc<Message>, Refusal> {
        self.message(channel, from, data, encoding)
    }

    /// The messages of a body that names their channels.
    fn messages(
        &self,
        content: Content,
        body: &[u8],
    ) -> Result<(Vec<Result<Addressed, Refusal>>, Shape), Refusal> {
        let too_many = |count: usize| {
            let max = self.core.cx.config.batch;
            let reason = format!("{count} messages in one request; ENCKE_BATCH allows {max}");
            if count > max { Err(Refusal::new(413, "too-many-messages", reason)) } else { Ok(()) }
        };
        match content {
            Content::Text | Content::Bytes => {
                let reason = "a body that names channels is JSON; text and bytes go to /u/{user}/publish";
                Err(Refusal::new(415, "bad-content-type", reason))
            }
            Content::Lines => {
                let lines = body.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
                let lines: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
                too_many(lines.len())?;
                let one = |line| self.json(line).and_then(|text| self.item(&text));
                Ok((lines.into_iter().map(one).collect(), Shape::Lines))
            }
            Content::Json | Content::Form => {
                let text = self.json(body)?;
                if !text.starts_with('[') {
                    return Ok((vec![self.item(&text)], Shape::Single));
                }
                let items: Vec<&RawValue> = serde_json::from_str(&text).map_err(|error| {
                    Refusal::new(400, "bad-json", format!("the body is not an array: {error}"))
                })?;
                too_many(items.len())?;
                Ok((items.into_iter().map(|item| self.item(item.get())).collect(), Shape::Array))
            }
        }
    }

    fn item(&self, text: &str) -> Result<Addressed, Refusal> {
        let bad = |reason: String| Refusal::new(400, "bad-message", reason);
        let shape =
            r#"{"channel":…,"data":…}, {"user":…,"data":…} or {"session":…,"channel":"/service/…","data":…}"#;
        let item: Item<'_> =
            serde_json::from_str(text).map_err(|error| bad(format!("not a message ({shape}): {error}")))?;
        let data = item.data.get().into();
        let key = item.key.as_deref().map(|text| PublishKey::new(Scope::Backend, text)).transpose()?;
        let channel = match (&item.channel, &item.user, &item.session) {
            (Some(name), None, None) => ChannelName::parse(name),
            (None, Some(user), None) => ChannelName::personal(user),
            (Some(name), None, Some(session)) => {
                let channel = ChannelName::parse(name).map_err(bad_channel)?;
                let (to, message) = self.message_for_session(session, &channel, data)?;
                return Ok((to, message, key));
            }
            _ => {
                return Err(bad(format!(
                    "a message names a channel, a user, or a session and a channel: {shape}"
                )));
            }
        };
        let message = self.message(&channel.map_err(bad_channel)?, None, data, Encoding::Json)?;
        Ok((Addressee::Channel, message, key))
    }
}

impl Receipt {
    /// `{"id":…,"sessions":…}`.
    pub fn answer(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        out.extend_from_slice(br#"{"id":""#);
        self.position.write_to(&mut out);
        out.push(b'"');
        if let Some(sessions) = self.sessions {
            out.extend_from_slice(br#","sessions":"#);
            out.extend_from_slice(itoa::Buffer::new().format(sessions).as_bytes());
        }
        out.push(b'}');
        out
    }
}

/// Messages are published to channels; not to patterns, and not to what the protocols keep for themselves.
fn publishable(channel: &ChannelName) -> Result<(), Refusal> {
    match channel.kind() {
        ChannelKind::Exact | ChannelKind::Personal { .. } => Ok(()),
        ChannelKind::PatternOne { .. } | ChannelKind::PatternDeep { .. } => {
            Err(Refusal::new(400, "bad-channel", "a message goes to one channel, not to a pattern"))
        }
        ChannelKind::Reserved => {
            Err(Refusal::new(403, "reserved", "channels under /meta and /service are reserved"))
        }
    }
}

/// Text as a JSON string.
fn quoted(body: &[u8]) -> Result<Box<str>, Refusal> {
    let bad = || {
        Refusal::new(
            400,
            "bad-text",
            "the payload is not UTF-8; for bytes say Content-Type: application/octet-stream",
        )
    };
    let text = std::str::from_utf8(body).map_err(|_| bad())?;
    let mut out = Vec::with_capacity(text.len() + 2);
    json::escape_into(text, &mut out);
    String::from_utf8(out).map(Into::into).map_err(|_| bad())
}

fn busy() -> Refusal {
    let reason = "a shard has more letters waiting than ENCKE_MAILBOX allows; try again";
    Refusal::new(503, "busy", reason).with_header("Retry-After", "1")
}
