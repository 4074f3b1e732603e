//! Operators' queries: users, channels, readiness, metrics.
//!
//! A query goes to the shard that has the answer, or to all of them; the shard that received the
//! request combines the answers.

pub mod exposition;
mod limits;
pub mod publish;

use serde_json::{Value, json};

use crate::api::limits::{SESSIONS_ENDED_PER_TURN, SHOWN_MAX};
use crate::auth::Verifier;
use crate::base::slab::{ConnKey, PendingKey, SessionKey};
use crate::call::pending::{PendingKind, PendingRequest};
use crate::config::ClusterNode;
use crate::config::place::UserPlace;
use crate::core::Core;
use crate::hub::channel::{Channel, Role};
use crate::protocol::native::envelope::CloseCode;
use crate::request::question::Question;
use crate::request::reply::{Reply, WholeResponse};
use crate::turn::inquiry::{Inquiry, InquiryPart, Sample};
use crate::turn::mail::Mail;
use crate::turn::metrics::Metrics;
use crate::turn::timer::NodePhase;
use crate::wire::channel_name::{ChannelName, presence_of};
use crate::wire::http::head::KeepAlive;

impl Core {
    fn all(&self) -> Vec<crate::base::ids::ShardId> {
        std::iter::once(self.cx.identity.id).chain(self.cx.others()).collect()
    }

    fn sample(&self) -> Sample {
        let (log_messages, log_bytes) = self.hub.held();
        Sample {
            metrics: Metrics {
                encoded: self.cx.encoder.encoded(),
                deflated: self.cx.encoder.deflated(),
                ..self.cx.metrics.clone()
            },
            sessions: self.sessions.len(),
            channels: self.hub.len(),
            log_messages,
            log_bytes,
            input_bytes: self.conns.unfinished.held(),
            channel_bytes: self.hub.channel_bytes(),
            draining: u64::from(self.cx.life != NodePhase::Serving),
        }
    }

    fn describe_user(&self, channel: &ChannelName) -> Value {
        let now = self.cx.now;
        let personal = self.hub.find(channel.as_str()).and_then(|key| self.hub.channel(key));
        let keys = personal.into_iter().flat_map(|channel| channel.subscribers.iter().map(|s| s.session));
        let sessions: Vec<_> = keys
            .map(|key| {
                let session = &self.sessions[key];
                let conn = session.link.conn().and_then(|conn| self.conns.get(conn));
                let channels: Vec<_> = session
                    .subscriptions
                    .iter()
                    .filter_map(|subscription| self.hub.channel(subscription.channel))
                    .filter(|channel| is_shown(channel))
                    .map(|channel| &*channel.name)
                    .collect();
                json!({
                    "session": self.session_id(key).to_string(),
                    "attached": conn.is_some(),
                    "transport": session.transport.transport().name(),
                    "position": self.hub.position(session.cursor).to_string(),
                    "level": !self.hub.has_more(session.cursor, &session.subscriptions),
                    "queued_bytes": conn.map_or(0, |conn| conn.outbox.len()),
                    "peer": conn.and_then(crate::conn::phase::Conn::peer).map(|peer| peer.to_string()),
                    "age_ms": now.since(session.since).as_millis(),
                    "channels": channels,
                })
            })
            .collect();
        json!({ "user": crate::wire::channel_name::user_of(channel.as_str()), "sessions": sessions })
    }

    /// A user's place in the published table, which the router has found to be there.
    fn describe_place(&self, user: &str) -> Value {
        let Some(place) = &self.cx.config.place else { return Value::Null };
        let UserPlace { slot, home, deputy, role } = place.of(user);
        let node = |node: &ClusterNode| json!({ "name": node.name, "address": node.address });
        json!({
            "user": user,
            "slot": slot.number(),
            "home": node(home),
            "deputy": deputy.map(node),
            "here": role.name(),
        })
    }

    fn list_channels(&self, prefix: &str, limit: usize) -> Value {
        let mut found: Vec<_> = self
            .hub
            .channels()
            .filter(|(_, channel)| is_shown(channel) && channel.name.starts_with(prefix))
            .map(|(_, channel)| channel)
            .collect();
        self.cx.steps.work(self.hub.len());
        // Of a long list, sorts only the channels that are returned.
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
        let Some(channel) = self.hub.find(name.as_str()).and_then(|key| self.hub.channel(key)) else {
            return json!({ "channel": name.as_str(), "subscribers": 0, "users": [], "messages": [] });
        };
        let mut users: Vec<_> =
            channel.subscribers.iter().filter_map(|s| self.user_of(s.session)).take(SHOWN_MAX).collect();
        users.sort();
        users.dedup();
        let from = channel.log.before_last(SHOWN_MAX).unwrap_or(self.hub.head());
        let messages: Vec<Value> = if channel.role == Role::Home || name.is_pattern() {
            channel
                .log
                .after(from)
                .map(|publication| {
                    let mut json = Vec::new();
                    let position = self.hub.position(publication.n);
                    crate::protocol::native::envelope::message(&publication.message, position, &mut json);
                    serde_json::from_slice(&json).unwrap_or(Value::Null)
                })
                .collect()
        } else {
            Vec::new()
        };
        json!({ "channel": name.as_str(), "subscribers": channel.subscribers.len(), "users": users, "messages": messages })
    }

    /// Combines the answers.
    pub(crate) fn report(
        &self,
        reply: &Reply,
        inquiry: Inquiry,
        answers: Vec<InquiryPart>,
    ) -> (Vec<u8>, KeepAlive) {
        let mut values = Vec::new();
        let mut sample = Sample::default();
        for answer in answers {
            match answer {
                InquiryPart::Json(value) => values.push(value),
                InquiryPart::Metrics(other) => sample.add(&other),
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
                return reply.page(&WholeResponse {
                    status: 200,
                    content_type,
                    headers,
                    body: body.as_bytes(),
                });
            }
            Inquiry::Ready => {
                // All shards have answered, which proves that mail arrives.
                let awaited = self.cx.keys.verifier.as_ref().and_then(Verifier::awaits);
                let ready = sample.draining == 0 && self.cx.congested == 0 && awaited.is_none();
                let mut value = json!({ "ready": ready, "draining": sample.draining > 0, "congested_shards": self.cx.congested.count_ones() });
                if let Some(why) = awaited {
                    value["token_keys"] = json!(why);
                }
                return reply.json(if ready { 200 } else { 503 }, format!("{value}\n").as_bytes());
            }
        };
        reply.json(200, format!("{value}\n").as_bytes())
    }

    /// Stores a shard's answer.
    pub(crate) fn on_inquiry_answer(&mut self, pending: PendingKey, answer: InquiryPart) {
        if let Some(PendingRequest { missing, kind: PendingKind::Inquiry { answers, .. }, .. }) =
            self.pending.get_mut(pending)
        {
            answers.push(answer);
            *missing -= 1;
        }
    }
}

/// The front for operators' queries.
#[derive(Default)]
pub(crate) struct Api {
    /// Sessions that an operator wants to end, and that have not ended yet.
    ending: Vec<SessionKey>,
}

impl Api {
    /// Whether there is work for the next turn.
    pub(crate) fn is_behind(&self) -> bool {
        !self.ending.is_empty()
    }

    /// Sends a query to the shards that have the answer.
    pub(crate) fn ask(&mut self, core: &mut Core, conn: ConnKey, question: Question) -> PendingKey {
        let own = core.cx.identity.id;
        let (inquiry, asked): (_, Vec<_>) = match &question {
            Question::User { channel } | Question::EndUser { channel } => {
                (Inquiry::One, vec![core.cx.home(channel.as_str())])
            }
            Question::Place { .. } => (Inquiry::One, vec![own]),
            Question::Channels { limit, .. } => (Inquiry::Channels { limit: *limit }, core.all()),
            Question::Channel { .. } => (Inquiry::Channel, core.all()),
            Question::Metrics => (Inquiry::Metrics, core.all()),
            Question::Ready => (Inquiry::Ready, core.all()),
        };
        let kind = PendingKind::Inquiry { conn, inquiry, answers: Vec::new() };
        let pending =
            core.pending.insert(PendingRequest { missing: asked.len(), ..PendingRequest::new(kind, None) });
        for to in asked {
            if to == own {
                let answer = self.answer(core, question.clone());
                core.on_inquiry_answer(pending, answer);
            } else {
                core.cx.post(to, Mail::Ask { pending, question: question.clone() });
            }
        }
        core.close_items(pending);
        pending
    }

    /// This shard's part of the answer.
    pub(crate) fn answer(&mut self, core: &mut Core, question: Question) -> InquiryPart {
        match question {
            Question::User { channel } => InquiryPart::Json(core.describe_user(&channel)),
            Question::EndUser { channel } => InquiryPart::Json(self.end_user(core, &channel)),
            Question::Channels { prefix, limit } => InquiryPart::Json(core.list_channels(&prefix, limit)),
            Question::Channel { name } => InquiryPart::Json(core.describe_channel(&name)),
            Question::Place { user } => InquiryPart::Json(core.describe_place(&user)),
            Question::Metrics | Question::Ready => InquiryPart::Metrics(Box::new(core.sample())),
        }
    }

    fn end_user(&mut self, core: &mut Core, channel: &ChannelName) -> Value {
        let personal = core.hub.find(channel.as_str()).and_then(|key| core.hub.channel(key));
        let keys: Vec<_> =
            personal.into_iter().flat_map(|at| at.subscribers.iter().map(|s| s.session)).collect();
        let count = keys.len();
        self.ending.extend(keys);
        self.end_some(core);
        json!({ "ended": count })
    }

    /// Ends some of the sessions that an operator wants to end. The rest ends in the next turns: a
    /// user that all clients share may have very many, and other requests must not wait for all of
    /// them.
    pub(crate) fn end_some(&mut self, core: &mut Core) {
        for key in self.ending.split_off(self.ending.len().saturating_sub(SESSIONS_ENDED_PER_TURN)) {
            core.end_session(key, CloseCode::Ended);
        }
    }
}

/// Private logs and hidden channels are not shown.
fn is_shown(channel: &Channel) -> bool {
    channel.role != Role::Private && presence_of(&channel.name).is_none()
}

/// The counts that are added up for a channel.
const COUNTS: [&str; 3] = ["subscribers", "messages", "bytes"];

/// Merges the channels of all shards by name: a channel's subscribers may be on several shards; its
/// messages are counted at its home.
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

#[cfg(test)]
mod tests;
