//! What operators and backends ask: a user's sessions, channels, metrics, readiness.
//!
//! A question goes to the shard that knows, or to all of them; the answers are put together by the shard that was asked.

use serde_json::{Value, json};

use crate::auth::Verifier;
use crate::base::slab::{ConnKey, TicketKey};
use crate::hub::channel::{Channel, Role};
use crate::protocol::native::envelope::CloseCode;
use crate::shard::metrics::Metrics;
use crate::shard::reply::{Page, Reply};
use crate::shard::ticket::{Errand, Ticket};
use crate::shard::{Life, Mail, Shard};
use crate::wire::channel_name::{ChannelName, presence_of};
use crate::wire::http::head::KeepAlive;

/// What can be asked.
#[derive(Clone, Debug)]
pub enum Question {
    /// A user's sessions.
    User {
        /// The personal channel.
        channel: ChannelName,
    },
    /// That a user's sessions end.
    EndUser {
        /// The personal channel.
        channel: ChannelName,
    },
    /// The channels whose names begin so.
    Channels {
        /// With what.
        prefix: Box<str>,
        /// At most so many.
        limit: usize,
    },
    /// One channel.
    Channel {
        /// Which.
        name: ChannelName,
    },
    /// All counters.
    Metrics,
    /// Whether messages get through.
    Ready,
}

/// What one shard says.
#[derive(Debug)]
pub enum Answer {
    /// A JSON object or array.
    Json(Value),
    /// Its counters.
    Metrics(Box<Sample>),
}

/// One shard's counters at one time.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    pub(super) metrics: Metrics,
    pub(super) sessions: usize,
    pub(super) channels: usize,
    pub(super) log_messages: usize,
    pub(super) log_bytes: usize,
    pub(super) input_bytes: usize,
    pub(super) channel_bytes: usize,
    draining: u64,
}

/// A question that is out, for putting its answers together.
#[derive(Clone, Debug)]
pub enum Inquiry {
    /// One shard knows.
    One,
    /// Lists of channels.
    Channels {
        /// At most so many.
        limit: usize,
    },
    /// One channel's subscribers, spread over the shards.
    Channel,
    /// Metrics.
    Metrics,
    /// Readiness.
    Ready,
}

/// Sessions that are ended in one turn: all that most users may have. Each may have a hundred subscriptions to leave.
const ENDED_A_TURN: usize = 64;

/// How many users and messages of one channel are shown.
const SHOWN_MAX: usize = 100;

impl Shard {
    /// Asks those who know.
    pub(super) fn ask(&mut self, conn: ConnKey, question: Question) -> TicketKey {
        let own = self.core.cx.identity.id;
        let (inquiry, asked): (_, Vec<_>) = match &question {
            Question::User { channel } | Question::EndUser { channel } => {
                (Inquiry::One, vec![self.core.cx.home(channel.as_str())])
            }
            Question::Channels { limit, .. } => (Inquiry::Channels { limit: *limit }, self.all()),
            Question::Channel { .. } => (Inquiry::Channel, self.all()),
            Question::Metrics => (Inquiry::Metrics, self.all()),
            Question::Ready => (Inquiry::Ready, self.all()),
        };
        let errand = Errand::Inquiry { conn, inquiry, answers: Vec::new() };
        let ticket = self.core.tickets.insert(Ticket { missing: asked.len(), ..Ticket::new(errand, None) });
        for to in asked {
            if to == own {
                let answer = self.answer(question.clone());
                self.told(ticket, answer);
            } else {
                self.core.cx.post(to, Mail::Ask { ticket, question: question.clone() });
            }
        }
        self.core.close_ticket(ticket);
        ticket
    }

    fn all(&self) -> Vec<crate::base::ids::ShardId> {
        std::iter::once(self.core.cx.identity.id).chain(self.core.cx.others()).collect()
    }

    /// A shard has answered.
    pub(super) fn told(&mut self, ticket: TicketKey, answer: Answer) {
        if let Some(Ticket { missing, errand: Errand::Inquiry { answers, .. }, .. }) =
            self.core.tickets.get_mut(ticket)
        {
            answers.push(answer);
            *missing -= 1;
            self.settle_ticket(ticket);
        }
    }

    /// What this shard has to say.
    pub(super) fn answer(&mut self, question: Question) -> Answer {
        match question {
            Question::User { channel } => Answer::Json(self.describe_user(&channel)),
            Question::EndUser { channel } => Answer::Json(self.end_user(&channel)),
            Question::Channels { prefix, limit } => Answer::Json(self.list_channels(&prefix, limit)),
            Question::Channel { name } => Answer::Json(self.describe_channel(&name)),
            Question::Metrics | Question::Ready => Answer::Metrics(Box::new(self.sample())),
        }
    }

    fn sample(&self) -> Sample {
        let (log_messages, log_bytes) = self.core.hub.held();
        Sample {
            metrics: Metrics {
                encoded: self.core.cx.press.encoded(),
                deflated: self.core.cx.press.deflated(),
                ..self.core.cx.metrics.clone()
            },
            sessions: self.core.sessions.len(),
            channels: self.core.hub.len(),
            log_messages,
            log_bytes,
            input_bytes: self.core.conns.unfinished.held(),
            channel_bytes: self.core.hub.channel_bytes(),
            draining: u64::from(self.core.cx.life != Life::Serving),
        }
    }

    fn describe_user(&self, channel: &ChannelName) -> Value {
        let now = self.core.cx.now;
        let personal = self.core.hub.find(channel.as_str()).and_then(|key| self.core.hub.channel(key));
        let keys = personal.into_iter().flat_map(|channel| channel.subscribers.iter().map(|s| s.session));
        let sessions: Vec<_> = keys
            .map(|key| {
                let session = &self.core.sessions[key];
                let conn = session.link.conn().and_then(|conn| self.core.conns.get(conn));
                let channels: Vec<_> = session
                    .subscriptions
                    .iter()
                    .filter_map(|subscription| self.core.hub.channel(subscription.channel))
                    .filter(|channel| is_shown(channel))
                    .map(|channel| &*channel.name)
                    .collect();
                json!({
                    "session": self.core.session_id(key).to_string(),
                    "attached": conn.is_some(),
                    "transport": session.transport.transport().name(),
                    "position": self.core.hub.position(session.cursor).to_string(),
                    "level": !self.core.hub.has_more(session.cursor, &session.subscriptions),
                    "queued_bytes": conn.map_or(0, |conn| conn.outbox.len()),
                    "peer": conn.and_then(|conn| conn.peer).map(|peer| peer.to_string()),
                    "age_ms": now.since(session.since).as_millis(),
                    "channels": channels,
                })
            })
            .collect();
        json!({ "user": crate::wire::channel_name::user_of(channel.as_str()), "sessions": sessions })
    }

    fn end_user(&mut self, channel: &ChannelName) -> Value {
        let personal = self.core.hub.find(channel.as_str()).and_then(|key| self.core.hub.channel(key));
        let keys: Vec<_> =
            personal.into_iter().flat_map(|at| at.subscribers.iter().map(|s| s.session)).collect();
        let count = keys.len();
        self.ending.extend(keys);
        self.end_some();
        json!({ "ended": count })
    }

    /// Ends some of the sessions that an operator wants ended. The rest ends in the next turns: a user that everybody shares may have
    /// very many, and others' requests are not to wait for all of them.
    pub(super) fn end_some(&mut self) {
        for key in self.ending.split_off(self.ending.len().saturating_sub(ENDED_A_TURN)) {
            self.end_session(key, CloseCode::Ended);
        }
    }

    fn list_channels(&self, prefix: &str, limit: usize) -> Value {
        let mut found: Vec<_> = self
            .core
            .hub
            .channels()
            .filter(|(_, channel)| is_shown(channel) && channel.name.starts_with(prefix))
            .map(|(_, channel)| channel)
            .collect();
        self.core.cx.steps.work(self.core.hub.len());
        // Of very many, only those that are told are put in order.
        if found.len() > limit {
            found.select_nth_unstable_by(limit, |a, b| a.name.cmp(&b.name));
            found.truncate(limit);
        }
        found.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let of = |channel: &&Channel| {
            let home = channel.role == Role::Home;
            json!({
                "channel": channel.name,
                "subscribers": channel.subscribers.len(),
                "messages": if home { channel.log.len() } else { 0 },
                "bytes": if home { channel.log.weight() } else { 0 },
            })
        };
        found.iter().take(limit).map(of).collect()
    }

    fn describe_channel(&self, name: &ChannelName) -> Value {
        let Some(channel) = self.core.hub.find(name.as_str()).and_then(|key| self.core.hub.channel(key))
        else {
            return json!({ "channel": name.as_str(), "subscribers": 0, "users": [], "messages": [] });
        };
        let user = |key| {
            let own = self.core.sessions.get(key)?.subscriptions.first()?.channel;
            crate::wire::channel_name::user_of(&self.core.hub.channel(own)?.name)
        };
        let mut users: Vec<_> =
            channel.subscribers.iter().filter_map(|s| user(s.session)).take(SHOWN_MAX).collect();
        users.sort();
        users.dedup();
        let from = channel.log.before_last(SHOWN_MAX).unwrap_or(self.core.hub.head());
        let messages: Vec<Value> = if channel.role == Role::Home || name.is_pattern() {
            channel
                .log
                .after(from)
                .map(|publication| {
                    let mut json = Vec::new();
                    let position = self.core.hub.position(publication.n);
                    crate::protocol::native::envelope::message(&publication.message, position, &mut json);
                    serde_json::from_slice(&json).unwrap_or(Value::Null)
                })
                .collect()
        } else {
            Vec::new()
        };
        json!({ "channel": name.as_str(), "subscribers": channel.subscribers.len(), "users": users, "messages": messages })
    }

    /// Puts the answers together.
    pub(super) fn report(
        &self,
        reply: &Reply,
        inquiry: Inquiry,
        answers: Vec<Answer>,
    ) -> (Vec<u8>, KeepAlive) {
        let mut values = Vec::new();
        let mut sample = Sample::default();
        for answer in answers {
            match answer {
                Answer::Json(value) => values.push(value),
                Answer::Metrics(other) => sample.add(&other),
            }
        }
        let value = match inquiry {
            Inquiry::One => values.pop().unwrap_or_default(),
            Inquiry::Channels { limit } => merged_list(values, limit),
            Inquiry::Channel => merged_channel(values),
            Inquiry::Metrics => {
                let body = sample.prometheus();
                let headers = &[("Cache-Control", "no-store")];
                let content_type = "text/plain; version=0.0.4; charset=utf-8";
                return reply.page(&Page { status: 200, content_type, headers, body: body.as_bytes() });
            }
            Inquiry::Ready => {
                // That all shards have answered is the proof that mail gets through.
                let awaited = self.core.cx.keys.verifier.as_ref().and_then(Verifier::awaits);
                let ready = sample.draining == 0 && self.core.cx.congested == 0 && awaited.is_none();
                let mut value = json!({ "ready": ready, "draining": sample.draining > 0, "congested_shards": self.core.cx.congested.count_ones() });
                if let Some(why) = awaited {
                    value["token_keys"] = json!(why);
                }
                return reply.json(if ready { 200 } else { 503 }, format!("{value}\n").as_bytes());
            }
        };
        reply.json(200, format!("{value}\n").as_bytes())
    }
}

/// Private logs and hidden channels are nobody's business.
fn is_shown(channel: &Channel) -> bool {
    channel.role != Role::Private && presence_of(&channel.name).is_none()
}

/// What is added up for a channel.
const COUNTS: [&str; 3] = ["subscribers", "messages", "bytes"];

/// Channels of all shards by name: a channel's subscribers may be on many, its messages are counted at its home.
fn merged_list(lists: Vec<Value>, limit: usize) -> Value {
    let mut channels = std::collections::BTreeMap::<String, [u64; 3]>::new();
    for channel in lists.iter().filter_map(Value::as_array).flatten() {
        let name = channel["channel"].as_str().unwrap_or_default().to_owned();
        let counts = channels.entry(name).or_default();
        for (sum, key) in counts.iter_mut().zip(COUNTS) {
            *sum += channel[key].as_u64().unwrap_or(0);
        }
    }
    let more = channels.len() > limit;
    let of = |(name, [subscribers, messages, bytes]): (String, [u64; 3])| json!({ "channel": name, "subscribers": subscribers, "messages": messages, "bytes": bytes });
    json!({ "channels": channels.into_iter().take(limit).map(of).collect::<Vec<_>>(), "more": more })
}

fn merged_channel(parts: Vec<Value>) -> Value {
    let sum: u64 = parts.iter().filter_map(|part| part["subscribers"].as_u64()).sum();
    let joined = |key: &str| -> Vec<Value> {
        parts.iter().filter_map(|part| part[key].as_array()).flatten().take(SHOWN_MAX).cloned().collect()
    };
    let name = parts.first().map(|part| part["channel"].clone());
    json!({ "channel": name, "subscribers": sum, "users": joined("users"), "messages": joined("messages") })
}

impl Sample {
    fn add(&mut self, other: &Self) {
        self.metrics.add(&other.metrics);
        self.sessions += other.sessions;
        self.channels += other.channels;
        self.log_messages += other.log_messages;
        self.log_bytes += other.log_bytes;
        self.input_bytes += other.input_bytes;
        self.channel_bytes += other.channel_bytes;
        self.draining += other.draining;
    }
}
