//! What a request for messages asks for, by URL or by an XMLSocket's first message: channels, positions, a WebSocket's handshake.

use std::collections::HashSet;
use std::rc::Rc;

use crate::auth::{Candidate, Grant, Place};
use crate::base::ids::ShardId;
use crate::base::position::Position;
use crate::base::ticks::Span;
use crate::shard::bayeux::Callback;
use crate::shard::conflate::BETWEEN;
use crate::shard::greeting::Connect;
use crate::shard::presence::attendable;
use crate::shard::reply::Refusals;
use crate::shard::request::{Content, Open, Request, Upgrade, User};
use crate::shard::router::query::{is_last_event_id, pairs, value};
use crate::shard::router::{Context, Routed, bad_channel, grant_for, may_subscribe, too_many_subscriptions};
use crate::transport::{Commands, Delivery, OVER, Through, TransportId, is_callback};
use crate::wire::channel_name::{BadName, ChannelName};
use crate::wire::http::Method;
use crate::wire::http::head::Head;
use crate::wire::refusal::Refusal;
use crate::wire::websocket;

/// What is known of a request by then.
pub(super) struct Asked {
    pub(super) user: User,
    pub(super) transport: TransportId,
    pub(super) grant: Rc<Grant>,
    pub(super) session: Option<Box<str>>,
    pub(super) query: Vec<(String, String)>,
    /// How a body would have to be read.
    pub(super) body: Content,
}

/// A request by URL.
pub(super) fn open(context: &Context<'_>, head: &Head<'_>, asked: Asked) -> Result<Request, Refusal> {
    let Asked { user, transport, grant, session, query, body } = asked;
    let delivery = transport.transport().delivery();
    let upgrade = match delivery {
        Delivery::Duplex(Through::Upgrade) => Some(Box::new(upgrade(head, &query)?)),
        Delivery::Duplex(Through::Listener) | Delivery::Once | Delivery::Held | Delivery::Stream => None,
    };
    let upgrade = match upgrade {
        Some(upgrade) if upgrade.protocol == Some(ECHO) || value(&query, "echo") == Some("1") => {
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
        channels: channels(context, &user, &grant, presence, list(value(&query, "channels")))?,
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

/// How refusals must be spelled for a request with this head.
pub(in crate::shard) fn refusals(head: &Head<'_>) -> Refusals {
    if head.method == Method::Head {
        return Refusals::Status;
    }
    let (name, default) = match head.path.split('/').skip(1).collect::<Vec<_>>()[..] {
        [.., "jsonp"] => ("callback", None),
        ["bayeux" | "cometd", ..] | ["u", _, "bayeux", ..] if head.method == Method::Get => {
            ("jsonp", Some(Callback::DEFAULT))
        }
        _ => return Refusals::Status,
    };
    let Ok(query) = pairs(head.query) else { return Refusals::Status };
    // Whoever sends no messages is no script, but somebody who looks what is there.
    let default = default.filter(|_| value(&query, "message").is_some());
    let callback = value(&query, name).or(default).map(Box::from);
    callback.filter(|name| is_callback(name)).map_or(Refusals::Status, Refusals::Script)
}

/// The subprotocol of our WebSockets.
const PROTOCOL: &str = "encke.v1";

/// That of those which give back what they get.
const ECHO: &str = "encke.echo";

/// What is answered to a WebSocket's handshake.
fn upgrade(head: &Head<'_>, query: &[(String, String)]) -> Result<Upgrade, Refusal> {
    let handshake = websocket::handshake(head)?;
    let chosen = [PROTOCOL, ECHO].into_iter().find(|known| handshake.protocols.contains(known));
    if chosen.is_none() && !handshake.protocols.is_empty() {
        let reason = format!(
            "Sec-WebSocket-Protocol offers {}; {PROTOCOL} is spoken here, also when nothing is offered, and {ECHO}",
            handshake.protocols.join(", ")
        );
        return Err(Refusal::new(400, "bad-protocol", reason));
    }
    let deflate = handshake.deflate.filter(|_| value(query, "deflate") != Some("0"));
    Ok(Upgrade { accept: websocket::accept_key(handshake.key), protocol: chosen, deflate })
}

/// What the first message of an XMLSocket asks for.
pub(in crate::shard) fn connect(context: &Context<'_>, asked: Connect) -> Result<Routed<Box<Open>>, Refusal> {
    let bad = |error: BadName| Refusal::new(400, "bad-user", format!("the user: {error}"));
    let channel = ChannelName::personal(&asked.user).map_err(bad)?;
    let user = User { name: asked.user.into(), channel };
    let home = ShardId(context.homes.of(&user.name));
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
            &user,
            &grant,
            asked.presence,
            asked.channels.iter().map(String::as_str),
        )?,
        presence: asked.presence,
        user,
        transport: TransportId::xmlsocket(),
        grant,
        last: asked.last.min(most),
        conflate: conflate_of(asked.conflate)?,
        since: asked.since.filter(|since| !since.is_empty()).map(|since| cut(&since)),
        session: asked.session.map(Into::into),
        query: Vec::new(),
        accept: Box::default(),
        host: Box::default(),
        upgrade: None,
        commands: None,
        content: None,
    })))
}

/// Where to go on from: the header, by which a browser comes back, else the query. There a reader that cannot set headers comes
/// back with the `since` that it began with and its last event's id: the one further on counts.
fn since(head: &Head<'_>, query: &[(String, String)]) -> Option<Box<str>> {
    let said = |text: &&str| !text.is_empty();
    if let Some(id) = head.header("last-event-id").filter(said) {
        return Some(cut(id));
    }
    let since = value(query, "since").filter(said);
    let mut ids = query.iter().filter(|(name, _)| is_last_event_id(name)).map(|(_, id)| id.as_str());
    let id = ids.find(said);
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

/// Channels of a request that are compared one by one.
const COMPARED_MAX: usize = 16;

/// A position has at most 29; what is longer is none, and is only told back.
const SINCE_CHARS_MAX: usize = 64;

/// The query's `conflate`.
fn conflate(text: Option<&str>) -> Result<Option<Span>, Refusal> {
    let Some(text) = text else { return Ok(None) };
    conflate_of(Some(text.parse().unwrap_or(0)))
}

/// How long a subscription is to wait between two values, in milliseconds.
pub(in crate::shard) fn conflate_of(ms: Option<u64>) -> Result<Option<Span>, Refusal> {
    let Some(span) = ms.map(Span::from_millis) else { return Ok(None) };
    let (least, most) = BETWEEN;
    if (least..=most).contains(&span) {
        return Ok(Some(span));
    }
    let (least, most) = (least.as_millis(), most.as_millis());
    let reason = format!("conflate is a number of milliseconds from {least} to {most}");
    Err(Refusal::new(400, "bad-conflate", reason))
}

fn last(context: &Context<'_>, text: Option<&str>) -> Result<u32, Refusal> {
    let Some(text) = text else { return Ok(0) };
    let last: u32 = text.parse().map_err(|_| {
        Refusal::new(400, "bad-last", format!("last is {text:?}; a number of messages is allowed"))
    })?;
    Ok(last.min(u32::try_from(context.config.channel_messages).unwrap_or(u32::MAX)))
}

/// The items of a comma-separated list.
fn list(text: Option<&str>) -> impl Iterator<Item = &str> {
    text.unwrap_or_default().split(',').filter(|text| !text.is_empty())
}

/// The channels of a list that the user may read, each once, the personal one left out.
fn channels<'c>(
    context: &Context<'_>,
    user: &User,
    grant: &Grant,
    presence: bool,
    list: impl Iterator<Item = &'c str>,
) -> Result<Vec<ChannelName>, Refusal> {
    let mut channels: Vec<ChannelName> = Vec::new();
    // Of a long list: it costs what it is long, and not the square of that.
    let mut known = HashSet::new();
    for text in list {
        let name = ChannelName::parse(text).map_err(bad_channel)?;
        let is_new = if channels.len() < COMPARED_MAX {
            !channels.contains(&name)
        } else {
            if known.is_empty() {
                known.extend(channels.iter().cloned());
            }
            known.insert(name.clone())
        };
        if name == user.channel || !is_new {
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
