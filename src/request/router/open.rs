//! Parses a request for messages, by URL or by an XMLSocket's first message: channels, positions, a
//! WebSocket's handshake.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::rc::Rc;

use crate::auth::{Candidate, Grant, Place};
use crate::base::position::Position;
use crate::base::ticks::Span;
use crate::request::greeting::Connect;
use crate::request::limits::{CHANNELS_COMPARED_MAX, CONFLATE_MAX, CONFLATE_MIN, SINCE_CHARS_MAX};
use crate::request::reply::Refusals;
use crate::request::router::query::{is_last_event_id, pairs, value};
use crate::request::router::{
    Context, Routed, bad_channel, callback_member, grant_for, may_subscribe, too_many_subscriptions,
};
use crate::request::{Content, Open, Request, Upgrade, User};
use crate::transport::{Commands, Delivery, OVER, Through, TransportId, is_callback};
use crate::wire::channel_name::{ChannelKind, ChannelName};
use crate::wire::http::Method;
use crate::wire::http::head::Head;
use crate::wire::refusal::{Refusal, Refused};
use crate::wire::websocket;

/// The parts of the request that the router has parsed already.
pub(crate) struct OpenParts {
    pub(crate) user: User,
    pub(crate) transport: TransportId,
    pub(crate) grant: Rc<Grant>,
    pub(crate) session: Option<Box<str>>,
    pub(crate) query: Vec<(String, String)>,
    /// The format of a body.
    pub(crate) body: Content,
}

/// Parses a request by URL.
pub(crate) fn open(context: &Context<'_>, head: &Head<'_>, asked: OpenParts) -> Result<Request, Refusal> {
    let OpenParts { user, transport, grant, session, query, body } = asked;
    let delivery = transport.transport().delivery();
    let upgrade = match delivery {
        Delivery::Duplex(Through::Upgrade) => Some(Box::new(upgrade(head, &query)?)),
        Delivery::Duplex(Through::Listener) | Delivery::Once | Delivery::Held | Delivery::Stream => None,
    };
    let upgrade = match upgrade {
        Some(upgrade) if upgrade.protocol.as_deref() == Some(ECHO) || value(&query, "echo") == Some("1") => {
            return Ok(Request::Echo(upgrade));
        }
        upgrade => upgrade,
    };
    let commands = match transport.transport().commands() {
        Commands::InQuery => value(&query, "message").map(Into::into),
        Commands::Apart | Commands::InBody => None,
    };
    let of_stream = |name| match delivery {
        Delivery::Stream => head.header(name).unwrap_or_default().into(),
        Delivery::Once | Delivery::Held | Delivery::Duplex(_) => Box::default(),
    };
    let since = since(head, &query);
    if since.as_deref() == Some(OVER) && transport == TransportId::sse() {
        return Ok(Request::Over);
    }
    let presence = value(&query, "presence") == Some("1");
    Ok(Request::Open(Box::new(Open {
        presence,
        accept: of_stream("accept"),
        host: of_stream("host"),
        upgrade,
        commands,
        channels: channels(context, Some(&user.channel), &grant, presence, list(value(&query, "channels")))?,
        last: last(context, value(&query, "last"))?,
        conflate: conflate(value(&query, "conflate"))?,
        since,
        user,
        transport,
        grant,
        session,
        query,
        content: (head.method == Method::Post).then_some(body),
    })))
}

/// The form of refusals for a request with this head.
pub(crate) fn refusals(head: &Head<'_>) -> Refusals {
    if head.method == Method::Head {
        return Refusals::Status;
    }
    let Some((name, default)) = callback_member(head) else { return Refusals::Status };
    let Ok(query) = pairs(head.query) else { return Refusals::Status };
    // Without `message=` this is a person with a browser: the answer is a status, not a script.
    let default = default.filter(|_| value(&query, "message").is_some());
    let callback = value(&query, name).or(default).map(Box::from);
    callback.filter(|name| is_callback(name)).map_or(Refusals::Status, Refusals::Script)
}

/// The subprotocol of our WebSockets.
const PROTOCOL: &str = "encke.v1";

/// The subprotocol of WebSockets that return each message.
const ECHO: &str = "encke.echo";

/// The answer to a WebSocket's handshake.
fn upgrade(head: &Head<'_>, query: &[(String, String)]) -> Result<Upgrade, Refusal> {
    let handshake = websocket::handshake(head)?;
    let chosen = [PROTOCOL, ECHO].into_iter().find(|known| handshake.protocols.contains(known));
    if chosen.is_none() && !handshake.protocols.is_empty() {
        let offered = &handshake.protocols.join(", ");
        return Err(Refused::Subprotocol { offered, native: PROTOCOL, echo: ECHO }.into());
    }
    let deflate = handshake.deflate.filter(|_| value(query, "deflate") != Some("0"));
    Ok(Upgrade { accept: websocket::accept_key(handshake.key), protocol: chosen.map(Cow::from), deflate })
}

/// Parses the first message of an XMLSocket.
pub(crate) fn connect(context: &Context<'_>, asked: Connect) -> Result<Routed<Box<Open>>, Refusal> {
    let bad = |error| Refused::User { place: "the user", error };
    let channel = ChannelName::personal(&asked.user).map_err(bad)?;
    let user = User { name: asked.user.into(), channel };
    let home = context.homes.of(&user.name);
    if home != context.here {
        return Ok(Routed::There(home));
    }
    let token = asked.token.as_deref().filter(|token| !token.is_empty());
    let tokens = token.map(|token| Candidate { place: Place::FirstMessage, token });
    let grant = grant_for(context, tokens, &user)?;
    let most = u32::try_from(context.config.channel_messages).unwrap_or(u32::MAX);
    Ok(Routed::Here(Box::new(Open {
        channels: channels(
            context,
            Some(&user.channel),
            &grant,
            asked.presence,
            asked.channels.iter().map(String::as_str),
        )?,
        presence: asked.presence,
        last: asked.last.min(most),
        conflate: conflate_of(asked.conflate)?,
        since: asked.since.filter(|since| !since.is_empty()).map(|since| cut(&since)),
        session: asked.session.map(Into::into),
        ..Open::plain(user, TransportId::xmlsocket(), grant)
    })))
}

/// The position to continue from: the header, which a reconnecting browser sends, else the query. A
/// client that cannot set headers reconnects with both the `since` of its first request and its
/// last event's id in the query; the later position counts.
fn since(head: &Head<'_>, query: &[(String, String)]) -> Option<Box<str>> {
    let is_present = |text: &&str| !text.is_empty();
    if let Some(id) = head.header("last-event-id").filter(is_present) {
        return Some(cut(id));
    }
    let since = value(query, "since").filter(is_present);
    let mut ids = query.iter().filter(|(name, _)| is_last_event_id(name)).map(|(_, id)| id.as_str());
    let id = ids.find(is_present);
    let (Some(since), Some(id)) = (since, id) else { return since.or(id).map(cut) };
    let position = |text: &str| text.parse::<Position>().ok();
    let counts = match (position(since), position(id)) {
        (Some(since_at), Some(id_at)) if since_at.epoch == id_at.epoch && since_at.n > id_at.n => since,
        (_, None) if id != OVER => since,
        (_, Some(_) | None) => id,
    };
    Some(cut(counts))
}

fn cut(since: &str) -> Box<str> {
    since.chars().take(SINCE_CHARS_MAX).collect::<String>().into()
}

/// The query's `conflate`.
fn conflate(text: Option<&str>) -> Result<Option<Span>, Refusal> {
    let Some(text) = text else { return Ok(None) };
    conflate_of(Some(text.parse().unwrap_or(0)))
}

/// The interval of a conflated subscription, from milliseconds.
pub(crate) fn conflate_of(ms: Option<u64>) -> Result<Option<Span>, Refusal> {
    let Some(span) = ms.map(Span::from_millis) else { return Ok(None) };
    if (CONFLATE_MIN..=CONFLATE_MAX).contains(&span) {
        return Ok(Some(span));
    }
    let (least, most) = (CONFLATE_MIN.as_millis(), CONFLATE_MAX.as_millis());
    Err(Refused::Conflate { least, most }.into())
}

pub(crate) fn last(context: &Context<'_>, text: Option<&str>) -> Result<u32, Refusal> {
    let Some(text) = text else { return Ok(0) };
    let last: u32 = text.parse().map_err(|_| Refused::Last { text })?;
    Ok(last.min(u32::try_from(context.config.channel_messages).unwrap_or(u32::MAX)))
}

/// The items of a comma-separated list.
pub(crate) fn list(text: Option<&str>) -> impl Iterator<Item = &str> {
    text.unwrap_or_default().split(',').filter(|text| !text.is_empty())
}

/// The channels of a list that the user may read, each once, the personal one left out.
pub(crate) fn channels<'c>(
    context: &Context<'_>,
    personal: Option<&ChannelName>,
    grant: &Grant,
    presence: bool,
    list: impl Iterator<Item = &'c str>,
) -> Result<Vec<ChannelName>, Refusal> {
    let mut channels: Vec<ChannelName> = Vec::new();
    // A table keeps the cost of a long list linear.
    let mut known = BTreeSet::new();
    for text in list {
        let name = ChannelName::parse(text).map_err(bad_channel)?;
        let is_new = if channels.len() < CHANNELS_COMPARED_MAX {
            !channels.contains(&name)
        } else {
            if known.is_empty() {
                known.extend(channels.iter().cloned());
            }
            known.insert(name.clone())
        };
        if Some(&name) == personal || !is_new {
            continue;
        }
        may_subscribe(grant, &name)?;
        if presence {
            attendable(&name)?;
        }
        channels.push(name);
        if channels.len() > context.config.subscriptions {
            return Err(too_many_subscriptions(context.config.subscriptions));
        }
    }
    Ok(channels)
}

/// Presence needs one shared channel that the session may read.
pub(crate) fn attendable(channel: &ChannelName) -> Result<(), Refusal> {
    match channel.kind() {
        ChannelKind::Exact => Ok(()),
        ChannelKind::PatternOne { .. } | ChannelKind::PatternDeep { .. } => {
            Err(Refused::PresenceOfPattern.into())
        }
        ChannelKind::Personal { .. } => Err(Refused::PresenceOfPersonal.into()),
        ChannelKind::Reserved => Err(Refused::Reserved.into()),
    }
}
