//! Parses a request's head: what it asks for, and which shard is its home.
//!
//! Pure: it reads the head and the keys, and changes nothing. A request that names a user goes to
//! that user's shard before any decision about the user. Refusals are requests too, so that their
//! bodies are read and the connection stays in step.

mod bayeux;
mod idempotency;
pub(crate) mod open;
mod query;
mod sockjs;
mod tcp;
mod user;

use std::rc::Rc;

use crate::assets;
use crate::assets::Asset;
use crate::auth::gate::Keys;
use crate::auth::key_watch::KeyWatch;
use crate::auth::origins::{ByPage, OriginVerdict, Page, Preflight, Provenance};
use crate::auth::{Candidate, Grant, tokens_of};
use crate::base::hash::Homes;
use crate::base::ids::{ListenerKind, ShardId};
use crate::base::ticks::Tick;
use crate::config::Config;
use crate::request::bayeux::Callback;
use crate::request::limits::{CHANNELS_SHOWN_DEFAULT, CHANNELS_SHOWN_MAX};
use crate::request::question::Question;
use crate::request::router::query::{OF_API, OF_TRANSPORTS, named, value};
use crate::request::{Content, Publish, PublishTo, Request, Send, User};
use crate::transport::{Commands, TransportId};
use crate::wire::channel_name::{BadName, ChannelKind, ChannelName};
use crate::wire::http::Method;
use crate::wire::http::head::Head;
use crate::wire::media_type::MediaType;
use crate::wire::refusal::{Refusal, Refused};

pub(crate) use crate::request::router::open::{conflate_of, connect, refusals};

/// The state that routing reads, besides the head.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// This shard.
    pub here: ShardId,
    /// The homes of users.
    pub homes: Homes,
    /// The keys and the allowed origins.
    pub keys: &'a Keys,
    /// Whether keys are missing.
    pub watch: &'a KeyWatch,
    /// The time.
    pub now: Tick,
    /// The configuration.
    pub config: &'a Config,
    /// The grant without tokens.
    pub open_grant: &'a Rc<Grant>,
    /// Seconds since 1970.
    pub unix_now: u64,
}

/// The shard for a request.
#[derive(Debug)]
pub enum Routed<T = Request> {
    /// This shard.
    Here(T),
    /// The home of its user.
    There(ShardId),
}

/// The page's origin, if it is a foreign one. Refuses what no page may do, and host names that may
/// be anybody's.
pub fn origin<'a>(head: &Head<'a>, keys: &Keys) -> Result<Option<&'a str>, Refusal> {
    // Balancers use any host name, and the answer reveals nothing.
    if !matches!(head.path, "/health" | "*") {
        keys.origins.hosts().check_public(head.host)?;
    }
    if assets::find(ListenerKind::Public, head.path).is_some_and(Asset::is_for_any_origin) {
        return Ok(None);
    }
    let mut provenance = Provenance::of(head);
    if provenance.by_page == ByPage::Cookie && !embeds(head) {
        provenance.by_page = ByPage::No;
    }
    match keys.origins.check(&provenance) {
        OriginVerdict::NoOrigin | OriginVerdict::SameOrigin => Ok(None),
        OriginVerdict::Allowed(origin) => Ok(Some(origin)),
        OriginVerdict::Refused(_) if is_open(head) => Ok(None),
        OriginVerdict::Refused(cause) => Err(cause.into()),
    }
}

/// Whether a page of any origin could embed the response, although no browser lets the page read
/// it.
fn embeds(head: &Head<'_>) -> bool {
    let mut segments = head.path.split('/').skip(1);
    match (segments.next(), segments.nth(1)) {
        (Some("bayeux" | "cometd" | "sockjs" | "pipe"), _)
        | (Some("u"), Some("bayeux" | "sockjs" | "pipe")) => true,
        (Some("u"), Some("tcp")) => segments.nth(1) == Some("sockjs"),
        (Some("u"), Some(name)) => TransportId::by_name(name).is_some_and(|id| id.transport().embeds()),
        _ => false,
    }
}

/// The parameter that names a script's function, and the function's name without that parameter;
/// `None` if the request is not for a script.
fn callback_member(head: &Head<'_>) -> Option<(&'static str, Option<&'static str>)> {
    if head.path.ends_with("/jsonp") {
        return Some(("callback", None));
    }
    let is_script = head.method == Method::Get && is_of_bayeux(head.path);
    is_script.then_some(("jsonp", Some(Callback::DEFAULT)))
}

fn is_of_bayeux(path: &str) -> bool {
    let mut segments = path.split('/').skip(1);
    matches!((segments.next(), segments.nth(1)), (Some("bayeux" | "cometd"), _) | (Some("u"), Some("bayeux")))
}

/// Whether a link from any page may lead here: to pages, to `/health`, and to unknown paths. None
/// of these is a user's, and pages are not framed.
fn is_open(head: &Head<'_>) -> bool {
    let of_user =
        |path: &str| matches!(path.split('/').nth(1), Some("u" | "bayeux" | "cometd" | "sockjs" | "pipe"));
    matches!(head.method, Method::Get | Method::Head) && !of_user(head.path)
}

/// Parses a head.
pub fn route(context: &Context<'_>, listener: ListenerKind, head: &Head<'_>) -> Routed {
    let mut segments = head.path.split('/').skip(1);
    if listener == ListenerKind::Private
        && let Err(refusal) = not_from_a_page(context, head)
    {
        return Routed::Here(Request::Refused(refusal));
    }
    let route = match (listener, segments.next(), segments.next()) {
        (listener, Some("u"), Some(user)) => {
            let rest: Vec<_> = segments.collect();
            let user = match user::named(user, head) {
                Ok(user) => user,
                Err(refusal) => return Routed::Here(Request::Refused(refusal)),
            };
            return match listener {
                ListenerKind::Public | ListenerKind::XmlSocket => public_user(context, head, user, &rest),
                ListenerKind::Private => Routed::Here(answered(private_user(context, head, user, &rest))),
            };
        }
        // The XMLSocket listener carries no HTTP.
        (ListenerKind::Public, Some("bayeux" | "cometd"), _) => return bayeux::route(context, head, None),
        (ListenerKind::Public, ..) => match sockjs::mounted(context, head) {
            Some(service) => return sockjs::route(context, head, service, None),
            None => public(head),
        },
        (ListenerKind::XmlSocket, ..) => public(head),
        (ListenerKind::Private, ..) => private(context, head),
    };
    Routed::Here(answered(route))
}

fn answered(route: Result<Request, Refusal>) -> Request {
    route.unwrap_or_else(Request::Refused)
}

/// Refuses pages on the private listener: without an API key, every page that the operator visits
/// could publish. The listener's own pages are accepted if its host is an address, or a name that
/// no foreign name server can point here.
fn not_from_a_page(context: &Context<'_>, head: &Head<'_>) -> Result<(), Refusal> {
    let mut provenance = Provenance::of(head);
    if head.method != Method::Post {
        // An embedded resource can change nothing here, and the page cannot read it.
        provenance.by_page = ByPage::No;
    }
    let own = matches!(provenance.page(), Page::Own | Page::None);
    if own && (context.keys.api_key.is_some() || context.keys.origins.hosts().knows(head.host)) {
        return Ok(());
    }
    Err(Refused::PageOfPrivate.into())
}

fn public_user(context: &Context<'_>, head: &Head<'_>, user: User, rest: &[&str]) -> Routed {
    let home = context.homes.of(&user.name);
    if home != context.here {
        return Routed::There(home);
    }
    if rest.first() == Some(&"bayeux") {
        return bayeux::route(context, head, Some(user));
    }
    if let Some(service) = sockjs::of_user(context, rest.first()) {
        return sockjs::route(context, head, (service, sockjs::below_user(head, 3)), Some(user));
    }
    if let Some(service) = sockjs::of_target(context, rest) {
        return sockjs::route(context, head, (service, sockjs::below_user(head, 5)), Some(user));
    }
    if rest.first() == Some(&"tcp") {
        return Routed::Here(answered(tcp::route(context, head, user, &rest[1..])));
    }
    Routed::Here(answered(public_call(context, head, user, rest)))
}

fn public_call(
    context: &Context<'_>,
    head: &Head<'_>,
    user: User,
    rest: &[&str],
) -> Result<Request, Refusal> {
    let [name] = rest else { return Err(no_such_path()) };
    let transport = TransportId::by_name(name);
    if transport.is_none() && *name != "send" {
        return Err(no_such_path());
    }
    let polls = transport.is_some_and(|id| id.transport().commands() == Commands::InBody);
    let allow = match transport {
        None => "POST, OPTIONS",
        Some(_) if polls => "GET, POST, OPTIONS",
        Some(_) => "GET, OPTIONS",
    };
    match head.method {
        Method::Options => {
            return Ok(Request::Preflight(Preflight::of(head)));
        }
        Method::Get if transport.is_some() => {}
        Method::Post if transport.is_none() || polls => {}
        Method::Get
        | Method::Post
        | Method::Head
        | Method::Put
        | Method::Patch
        | Method::Delete
        | Method::Other => return Err(not_allowed(allow)),
    }
    let query = named(head.query, OF_TRANSPORTS)?;
    let grant = grant(context, head, &query, &user)?;
    let session = head.header("encke-session").or(value(&query, "session")).map(Into::into);
    let body = content(head)?;
    let Some(transport) = transport else {
        return Ok(Request::Send(Box::new(Send { user, grant, session, content: body })));
    };
    let asked = open::OpenParts { user, transport, grant, session, query, body };
    open::open(context, head, asked)
}

/// Balancers check a node's health by `OPTIONS`, some of them with `/` or `*`. A preflight is
/// something else.
fn is_health_check(head: &Head<'_>) -> bool {
    head.method == Method::Options
        && matches!(head.path, "/" | "*" | "/health" | "/ready")
        && head.header("access-control-request-method").is_none()
}

fn public(head: &Head<'_>) -> Result<Request, Refusal> {
    if is_health_check(head) {
        return Ok(Request::Health);
    }
    if head.path == "/health" {
        return read_only(head, Request::Health);
    }
    if head.path == "/demo" {
        return read_only(head, Request::Moved("demo/"));
    }
    if head.path == "*" {
        return Ok(Request::Preflight(Preflight::default()));
    }
    let asset = assets::find(ListenerKind::Public, head.path).ok_or_else(no_such_path)?;
    read_only(head, file(head, asset))
}

fn private(context: &Context<'_>, head: &Head<'_>) -> Result<Request, Refusal> {
    match head.path {
        "/ready" if is_health_check(head) => return Ok(Request::Ask(Question::Ready)),
        _ if is_health_check(head) => return Ok(Request::Health),
        // Balancers request the root by default, and nothing else is there.
        "/health" | "/" => return read_only(head, Request::Health),
        "/ready" => return read_only(head, Request::Ask(Question::Ready)),
        _ => api_key(context, head)?,
    }
    match head.path {
        "/publish" => publish(head, PublishTo::Named),
        "/metrics" => read_only(head, Request::Ask(Question::Metrics)),
        "/channels" => {
            let query = named(head.query, OF_API)?;
            let limit = match value(&query, "limit") {
                None => CHANNELS_SHOWN_DEFAULT,
                Some(text) => {
                    let limit = text.parse().ok().filter(|limit| (1..=CHANNELS_SHOWN_MAX).contains(limit));
                    limit.ok_or(Refused::Limit { text })?
                }
            };
            let prefix = value(&query, "prefix").unwrap_or_default().into();
            read_only(head, Request::Ask(Question::Channels { prefix, limit }))
        }
        "/place" => {
            let query = named(head.query, OF_API)?;
            let user = value(&query, "user").ok_or(Refused::NoUser)?;
            ChannelName::personal(user)
                .map_err(|error| Refused::User { place: "the user in the query", error })?;
            if context.config.place.is_none() {
                return Err(Refused::NoNodes.into());
            }
            read_only(head, Request::Ask(Question::Place { user: user.into() }))
        }
        "/channel" => {
            let query = named(head.query, OF_API)?;
            let name = value(&query, "name").ok_or(Refused::NoChannel)?;
            let name = ChannelName::parse(name).map_err(bad_channel)?;
            read_only(head, Request::Ask(Question::Channel { name }))
        }
        path => match (session_to_send_to(path), assets::find(ListenerKind::Private, path)) {
            (Some(id), _) => publish(head, PublishTo::Session(id.into())),
            (None, Some(asset)) => read_only(head, file(head, asset)),
            (None, None) => Err(no_such_call()),
        },
    }
}

/// The session that `/sessions/{id}/send` names. Ids need no escapes.
fn session_to_send_to(path: &str) -> Option<&str> {
    let id = path.strip_prefix("/sessions/")?.strip_suffix("/send")?;
    (!id.is_empty() && !id.contains('/')).then_some(id)
}

fn private_user(
    context: &Context<'_>,
    head: &Head<'_>,
    user: User,
    rest: &[&str],
) -> Result<Request, Refusal> {
    api_key(context, head)?;
    if let Some(node) = context.config.place.as_ref().and_then(|place| place.elsewhere(&user.name)) {
        return Err(Refused::Elsewhere { node: &node.address }.into());
    }
    match (rest, head.method) {
        (["publish"], _) => publish(head, PublishTo::User(user)),
        ([], Method::Get | Method::Head) => Ok(Request::Ask(Question::User { channel: user.channel })),
        ([], Method::Delete) => Ok(Request::Ask(Question::EndUser { channel: user.channel })),
        ([], _) => Err(not_allowed("GET, DELETE")),
        _ => Err(no_such_call()),
    }
}

fn publish(head: &Head<'_>, to: PublishTo) -> Result<Request, Refusal> {
    if head.method != Method::Post {
        return Err(not_allowed("POST"));
    }
    Ok(Request::Publish(Box::new(Publish { to, content: content(head)?, key: idempotency::key(head)? })))
}

fn file(head: &Head<'_>, asset: &'static Asset) -> Request {
    Request::Asset { asset, cached: asset.cached(head.header("if-none-match")) }
}

fn read_only(head: &Head<'_>, request: Request) -> Result<Request, Refusal> {
    let is_read = matches!(head.method, Method::Get | Method::Head);
    is_read.then_some(request).ok_or_else(|| not_allowed("GET, HEAD"))
}

fn api_key(context: &Context<'_>, head: &Head<'_>) -> Result<(), Refusal> {
    let Some(key) = &context.keys.api_key else { return Ok(()) };
    key.check(head).map_err(|denied| denied.refusal())
}

fn grant(
    context: &Context<'_>,
    head: &Head<'_>,
    query: &[(String, String)],
    user: &User,
) -> Result<Rc<Grant>, Refusal> {
    // Without a key no token is needed.
    grant_for(context, tokens_of(head, query), user)
}

fn grant_for<'a>(
    context: &Context<'_>,
    tokens: impl IntoIterator<Item = Candidate<'a>>,
    user: &User,
) -> Result<Rc<Grant>, Refusal> {
    let Some(verifier) = &context.keys.verifier else { return Ok(Rc::clone(context.open_grant)) };
    let grant = verifier.verify_any(tokens, Some(&user.name), context.unix_now);
    grant.map(Rc::new).map_err(|denied| context.watch.refusal(context.now, &denied))
}

/// The refusal of one subscription too many.
pub fn too_many_subscriptions(max: usize) -> Refusal {
    Refused::Subscriptions { max }.into()
}

/// Whether the grant allows a subscription.
pub fn may_subscribe(grant: &Grant, name: &ChannelName) -> Result<(), Refusal> {
    if grant.may_subscribe(name) {
        return Ok(());
    }
    let channel = name.as_str();
    let refused = match name.kind() {
        ChannelKind::Reserved => Refused::SubscribeReserved,
        ChannelKind::Personal { .. } => Refused::SubscribePersonal { channel },
        ChannelKind::Exact | ChannelKind::PatternOne { .. } | ChannelKind::PatternDeep { .. } => {
            Refused::Subscribe { channel }
        }
    };
    Err(refused.into())
}

/// The refusal of a channel name.
pub fn bad_channel(error: BadName) -> Refusal {
    Refused::Channel { error }.into()
}

/// The format of the body. The type of a body that is missing, or read and discarded, is not
/// checked.
fn content(head: &Head<'_>) -> Result<Content, Refusal> {
    if head.method != Method::Post || !head.has_body() {
        return Ok(Content::Json);
    }
    let Some(value) = head.header("content-type") else { return Ok(Content::Json) };
    if value == "application/json" {
        return Ok(Content::Json);
    }
    let media = MediaType::parse(value).ok_or(Refused::NoMediaType { value })?;
    if !media.is_utf8() {
        return Err(Refused::Charset { value }.into());
    }
    match &*media.essence {
        "application/x-www-form-urlencoded" => Ok(Content::Form),
        "application/x-ndjson" => Ok(Content::Lines),
        "text/plain" => Ok(Content::Text),
        "application/octet-stream" => Ok(Content::Bytes),
        essence if essence.ends_with("/json") || essence.ends_with("+json") => Ok(Content::Json),
        _ => Err(Refused::ContentType { value }.into()),
    }
}

fn not_allowed(allow: &'static str) -> Refusal {
    Refused::Method { allow }.into()
}

fn no_such_path() -> Refusal {
    let with_url = TransportId::all().filter(|id| id.has_url());
    let names: Vec<_> = with_url.map(|id| id.transport().name()).collect();
    Refused::NoPath { transports: &names.join(", "), hint: user::BEHIND_PROXIES }.into()
}

fn no_such_call() -> Refusal {
    Refused::NoCall { hint: user::BEHIND_PROXIES }.into()
}

#[cfg(test)]
mod tests;
