//! Publishes of backends.

use std::sync::Arc;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::base::ids::ShardId;
use crate::base::slab::{ConnKey, PendingKey};
use crate::call::pending::{AnswerSlot, PendingKind, PendingRequest};
use crate::core::Core;
use crate::hub::publication::Message;
use crate::protocol::native::envelope::Encoding;
use crate::request::publish_key::{KeyScope, PublishKey, ResponseShape};
use crate::request::router::bad_channel;
use crate::request::{Content, Publish, PublishTo};
use crate::turn::publishing::{Addressee, Outgoing, OutgoingBatch};
use crate::wire::channel_name::ChannelName;
use crate::wire::json::quoted;
use crate::wire::refusal::{Refusal, Refused};

impl Core {
    /// Executes a backend's request.
    pub(crate) fn publish(
        &mut self,
        conn: ConnKey,
        publish: &Publish,
        body: &[u8],
    ) -> Result<PendingKey, Refusal> {
        let (items, shape) = match &publish.to {
            PublishTo::User(user) => {
                let message = self
                    .payload(publish.content, body)
                    .and_then(|(data, encoding)| self.message(&user.channel, None, data, encoding));
                (vec![message.map(|message| (Addressee::Channel, message, None))], ResponseShape::Single)
            }
            PublishTo::Session(id) => {
                let message = self.payload(publish.content, body).and_then(|(data, encoding)| {
                    let channel = ChannelName::parse(SEND_CHANNEL).map_err(bad_channel)?;
                    self.message_for_session(id, &channel, data, encoding)
                });
                (vec![message.map(|(to, message)| (to, message, None))], ResponseShape::Single)
            }
            PublishTo::Named => self.messages(publish.content, body)?,
        };
        let kind = PendingKind::Publish { conn, shape, answers: Vec::with_capacity(items.len()) };
        let pending = self.pending.insert(PendingRequest::new(kind, None));
        let mut batches: Vec<(ShardId, OutgoingBatch)> = Vec::new();
        for (item, message) in (0..).zip(items) {
            self.expect_item(pending, AnswerSlot::Backend);
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
                Err(refusal) => self.published(pending, vec![(item, Err(refusal))]),
            }
        }
        for (home, batch) in batches {
            self.send_home(pending, home, batch);
        }
        self.close_items(pending);
        Ok(pending)
    }

    /// A body that is a payload itself.
    fn payload(&self, content: Content, body: &[u8]) -> Result<(Box<str>, Encoding), Refusal> {
        match content {
            Content::Json | Content::Form | Content::Lines => Ok((self.json(body)?, Encoding::Json)),
            Content::Text => {
                let text = std::str::from_utf8(body).map_err(|_| Refused::PayloadText)?;
                Ok((quoted(text).into(), Encoding::Json))
            }
            Content::Bytes => Ok((format!("\"{}\"", BASE64_STANDARD.encode(body)).into(), Encoding::Base64)),
        }
    }

    /// The messages of a body that names their channels.
    fn messages(
        &self,
        content: Content,
        body: &[u8],
    ) -> Result<(Vec<Result<Addressed, Refusal>>, ResponseShape), Refusal> {
        let too_many = |count: usize| {
            let max = self.cx.config.batch;
            if count > max { Err(Refused::Messages { count, max }) } else { Ok(()) }
        };
        match content {
            Content::Text | Content::Bytes => Err(Refused::BatchContentType.into()),
            Content::Lines => {
                let lines = body.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
                let lines: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
                too_many(lines.len())?;
                let one = |line| self.json(line).and_then(|text| self.item(&text));
                Ok((lines.into_iter().map(one).collect(), ResponseShape::Lines))
            }
            Content::Json | Content::Form => {
                let text = self.json(body)?;
                if !text.starts_with('[') {
                    return Ok((vec![self.item(&text)], ResponseShape::Single));
                }
                let items: Vec<&RawValue> =
                    serde_json::from_str(&text).map_err(|error| Refused::BatchArray { error })?;
                too_many(items.len())?;
                Ok((items.into_iter().map(|item| self.item(item.get())).collect(), ResponseShape::Array))
            }
        }
    }

    fn item(&self, text: &str) -> Result<Addressed, Refusal> {
        let shape =
            r#"{"channel":…,"data":…}, {"user":…,"data":…} or {"session":…,"channel":"/service/…","data":…}"#;
        let item: PublishItem<'_> =
            serde_json::from_str(text).map_err(|error| Refused::Message { shape, error })?;
        let data = item.data.get().into();
        let key = item.key.as_deref().map(|text| PublishKey::new(KeyScope::Backend, text)).transpose()?;
        let channel = match (&item.channel, &item.user, &item.session) {
            (Some(name), None, None) => ChannelName::parse(name),
            (None, Some(user), None) => ChannelName::personal(user),
            (Some(name), None, Some(session)) => {
                let channel = ChannelName::parse(name).map_err(bad_channel)?;
                let (to, message) = self.message_for_session(session, &channel, data, Encoding::Json)?;
                return Ok((to, message, key));
            }
            _ => {
                return Err(Refused::MessageAddress { shape }.into());
            }
        };
        let message = self.message(&channel.map_err(bad_channel)?, None, data, Encoding::Json)?;
        Ok((Addressee::Channel, message, key))
    }
}

/// One message of a body.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PublishItem<'a> {
    channel: Option<String>,
    user: Option<String>,
    session: Option<String>,
    key: Option<String>,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// A message of a body, with its addressee and key.
type Addressed = (Addressee, Arc<Message>, Option<PublishKey>);

/// The channel of a message that was sent to a session by its URL.
const SEND_CHANNEL: &str = "/service/send";
