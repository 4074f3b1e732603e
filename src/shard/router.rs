//! From a request's head to what it asks for, and to whose shard it belongs.
//!
//! Pure: it looks at the head and at the keys, and changes nothing. What names a user is sent to that user's shard before anything about it is
//! judged. Refusals come out as requests, so that their bodies are read and the connection stays in step.

use std::rc::Rc;

mod bayeux;
mod idempotency;
mod open;
mod query;
mod user;

use crate::assets;
use crate::assets::Asset;
use crate::auth::gate::Keys;
use crate::auth::key_watch::KeyWatch;
use crate::auth::origins::{ByPage, Page, Preflight, Provenance, Verdict};
use crate::auth::{Candidate, Grant, tokens_of};
use crate::base::hash::Homes;
use crate::base::ids::{Door, ShardId};
use crate::base::ticks::Tick;
use crate::config::Config;
use crate::shard::inspect::Question;
use crate::shard::request::{Content, Publish, Request, Send, User};
use crate::transport::{Commands, TransportId};
use crate::wire::channel_name::{BadName, ChannelKind, ChannelName};
use crate::wire::http::Method;
use crate::wire::http::head::Head;
use crate::wire::media_type::MediaType;
use crate::wire::refusal::Refusal;

pub(super) use crate::shard::router::open::{conflate_of, connect, refusals};
use crate::shard::router::query::{OF_API, OF_TRANSPORTS, named, value};

/// What routing looks at besides the head.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Which shard this is.
    pub here: ShardId,
    /// Where users live.
    pub homes: Homes,
    /// Who may come in.
    pub keys: &'a Keys,
    /// Whether they lack any.
    pub watch: &'a KeyWatch,
    /// The time on timers.
    pub now: Tick,
    /// The bounds.
    pub config: &'a Config,
    /// What everyone may do when there is no key.
    pub open_grant: &'a Rc<Grant>,
    /// Seconds since 1970.
    pub unix_now: u64,
}

/// Where a request belongs.
#[derive(Debug)]
pub enum Routed<T = Request> {
    /// Here.
    Here(T),
    /// On the shard that is its user's home.
    There(ShardId),
}

/// The page's origin, if it is a foreign one; what no page may do is refused, and so is a host that may be anybody's.
pub fn origin<'a>(head: &Head<'a>, keys: &Keys) -> Result<Option<&'a str>, Refusal> {
    // Balancers ask by any name, and are told nothing that matters.
    if !matches!(head.path, "/health" | "*") {
        keys.origins.hosts().check_public(head.host)?;
    }
    if assets::find(Door::Public, head.path).is_some_and(Asset::is_for_any_origin) {
        return Ok(None);
    }
    let mut provenance = Provenance::of(head);
    if provenance.by_page == ByPage::Cookie && !embeds(head) {
        provenance.by_page = ByPage::No;
    }
    match keys.origins.check(&provenance) {
        Verdict::NoOrigin | Verdict::SameOrigin => Ok(None),
        Verdict::Allowed(origin) => Ok(Some(origin)),
        Verdict::Refused(_) if is_open(head) => Ok(None),
        Verdict::Refused(cause) => Err(cause.into()),
    }
}

/// Whether a page of any origin could make use of the response, which no browser lets it read.
fn embeds(head: &Head<'_>) -> bool {
    let mut segments = head.path.split('/').skip(1);
    match (segments.next(), segments.nth(1)) {
        (Some("bayeux" | "cometd"), _) | (Some("u"), Some("bayeux")) => true,
        (Some("u"), Some(name)) => TransportId::by_name(name).is_some_and(|id| id.transport().embeds()),
        _ => false,
    }
}

/// Whether a link may lead here from anywhere: to pages, to `/health`, and to what is not there. None of it is a user's, and
/// pages are not framed.
fn is_open(head: &Head<'_>) -> bool {
    let of_user = |path: &str| matches!(path.split('/').nth(1), Some("u" | "bayeux" | "cometd"));
    matches!(head.method, Method::Get | Method::Head) && !of_user(head.path)
}

/// Finds out what a head asks for.
pub fn route(context: &Context<'_>, door: Door, head: &Head<'_>) -> Routed {
    let mut segments = head.path.split('/').skip(1);
    if door == Door::Private
        && let Err(refusal) = not_from_a_page(context, head)
    {
        return Routed::Here(Request::Refused(refusal));
    }
    let route = match (door, segments.next(), segments.next()) {
        (door, Some("u"), Some(user)) => {
            let rest: Vec<_> = segments.collect();
            let user = match user::named(user, head) {
                Ok(user) => user,
                Err(refusal) => return Routed::Here(Request::Refused(refusal)),
            };
            return match door {
                Door::Public | Door::XmlSocket => public_user(context, head, user, &rest),
                Door::Private => Routed::Here(answered(private_user(context, head, user, &rest))),
            };
        }
        // No HTTP comes in at the third door.
        (Door::Public, Some("bayeux" | "cometd"), _) => return bayeux::route(context, head, None),
        (Door::Public | Door::XmlSocket, ..) => public(head),
        (Door::Private, ..) => private(context, head),
    };
    Routed::Here(answered(route))
}

fn answered(route: Result<Request, Refusal>) -> Request {
    route.unwrap_or_else(Request::Refused)
}

/// The private listener is no page's business: without a key, every page that the operator visits could publish. A page of the listener's
/// own is let in, if its host is an address or a name that no foreign name server can point here.
fn not_from_a_page(context: &Context<'_>, head: &Head<'_>) -> Result<(), Refusal> {
    let mut provenance = Provenance::of(head);
    if head.method != Method::Post {
        // What is embedded can change nothing here, and cannot be read.
        provenance.by_page = ByPage::No;
    }
    let own = matches!(provenance.page(), Page::Own | Page::None);
    if own && (context.keys.api_key.is_some() || context.keys.origins.hosts().knows(head.host)) {
        return Ok(());
    }
    let reason = "the private listener serves backends, not web pages; without ENCKE_API_KEY it is called by its address, \
        a name without a dot, or one that ENCKE_HOSTS lists";
    Err(Refusal::new(403, "origin-refused", reason))
}

fn public_user(context: &Context<'_>, head: &Head<'_>, user: User, rest: &[&str]) -> Routed {
    let home = ShardId(context.homes.of(&user.name));
    if home != context.here {
        return Routed::There(home);
    }
    if rest.first() == Some(&"bayeux") {
        return bayeux::route(context, head, Some(user));
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
    let asked = open::Asked { user, transport, grant, session, query, body };
    open::open(context, head, asked)
}

/// Balancers ask by `OPTIONS` whether a node is well, and some of them of `/` or of nothing in particular. A preflight asks
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
    let asset = assets::find(Door::Public, head.path).ok_or_else(no_such_path)?;
    read_only(head, file(head, asset))
}

fn private(context: &Context<'_>, head: &Head<'_>) -> Result<Request, Refusal> {
    match head.path {
        "/ready" if is_health_check(head) => return Ok(Request::Ask(Question::Ready)),
        _ if is_health_check(head) => return Ok(Request::Health),
        // Nothing else is at its root, which is what balancers ask for unless told otherwise.
        "/health" | "/" => return read_only(head, Request::Health),
        "/ready" => return read_only(head, Request::Ask(Question::Ready)),
        _ => api_key(context, head)?,
    }
    match head.path {
        "/publish" => publish(head, None),
        "/metrics" => read_only(head, Request::Ask(Question::Metrics)),
        "/channels" => {
            let query = named(head.query, OF_API)?;
            let limit = match value(&query, "limit") {
                None => CHANNELS_LISTED,
                Some(text) => {
                    text.parse().ok().filter(|limit| (1..=10_000).contains(limit)).ok_or_else(|| {
                        Refusal::new(
                            400,
                            "bad-limit",
                            format!("limit is {text:?}; a number from 1 to 10000 is allowed"),
                        )
                    })?
                }
            };
            let prefix = value(&query, "prefix").unwrap_or_default().into();
            read_only(head, Request::Ask(Question::Channels { prefix, limit }))
        }
        "/channel" => {
            let query = named(head.query, OF_API)?;
            let name = value(&query, "name").ok_or_else(|| {
                Refusal::new(400, "no-channel", "the query must name the channel: /channel?name=/chat/room1")
            })?;
            let name = ChannelName::parse(name).map_err(bad_channel)?;
            read_only(head, Request::Ask(Question::Channel { name }))
        }
        path => match assets::find(Door::Private, path) {
            Some(asset) => read_only(head, file(head, asset)),
            None => Err(no_such_call()),
        },
    }
}

/// How many channels are listed unless `limit` says otherwise.
const CHANNELS_LISTED: usize = 100;

fn private_user(
    context: &Context<'_>,
    head: &Head<'_>,
    user: User,
    rest: &[&str],
) -> Result<Request, Refusal> {
    api_key(context, head)?;
    match (rest, head.method) {
        (["publish"], _) => publish(head, Some(user)),
        ([], Method::Get | Method::Head) => Ok(Request::Ask(Question::User { channel: user.channel })),
        ([], Method::Delete) => Ok(Request::Ask(Question::EndUser { channel: user.channel })),
        ([], _) => Err(not_allowed("GET, DELETE")),
        _ => Err(no_such_call()),
    }
}

fn publish(head: &Head<'_>, user: Option<User>) -> Result<Request, Refusal> {
    if head.method != Method::Post {
        return Err(not_allowed("POST"));
    }
    Ok(Request::Publish(Box::new(Publish { user, content: content(head)?, key: idempotency::key(head)? })))
}

fn file(head: &Head<'_>, asset: &'static Asset) -> Request {
    Request::Asset { asset, cached: asset.cached(head.header("if-none-match")) }
}

fn read_only(head: &Head<'_>, request: Request) -> Result<Request, Refusal> {
    match head.method {
        Method::Get | Method::Head => Ok(request),
        _ => Err(not_allowed("GET, HEAD")),
    }
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
    // Without a key nobody asks for a token.
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
    Refusal::new(429, "too-many-subscriptions", format!("a session may have at most {max} subscriptions"))
}

/// Whether the grant allows a subscription.
pub fn may_subscribe(grant: &Grant, name: &ChannelName) -> Result<(), Refusal> {
    if grant.may_subscribe(name) {
        return Ok(());
    }
    let name_text = name.as_str();
    let reason = match name.kind() {
        ChannelKind::Reserved => "channels under /meta and /service are reserved".to_owned(),
        ChannelKind::Personal { .. } => {
            format!("{name_text} is another user's personal channel; nobody else can have it")
        }
        ChannelKind::Exact | ChannelKind::PatternOne { .. } | ChannelKind::PatternDeep { .. } => {
            format!("no permission to subscribe to {name_text}; the token's channels claim gives it")
        }
    };
    Err(Refusal::new(403, "forbidden", reason))
}

/// The refusal of a channel name.
pub fn bad_channel(error: BadName) -> Refusal {
    Refusal::new(400, "bad-channel", error.to_string())
}

/// How a body would have to be read. What is not read is not judged: neither the type of a body that does not come, nor that
/// of one which is read and dropped.
fn content(head: &Head<'_>) -> Result<Content, Refusal> {
    if head.method != Method::Post || !head.has_body() {
        return Ok(Content::Json);
    }
    let Some(value) = head.header("content-type") else { return Ok(Content::Json) };
    if value == "application/json" {
        return Ok(Content::Json);
    }
    let unsupported = |reason: String| Refusal::new(415, "bad-content-type", reason);
    let media = MediaType::parse(value).ok_or_else(|| unsupported(format!("{value:?} is no media type")))?;
    if !media.is_utf8() {
        return Err(unsupported(format!("{value:?}: only UTF-8 is understood")));
    }
    match &*media.essence {
        "application/x-www-form-urlencoded" => Ok(Content::Form),
        "application/x-ndjson" => Ok(Content::Lines),
        "text/plain" => Ok(Content::Text),
        "application/octet-stream" => Ok(Content::Bytes),
        essence if essence.ends_with("/json") || essence.ends_with("+json") => Ok(Content::Json),
        _ => Err(unsupported(format!(
            "{value:?} is not understood; allowed are application/json, application/x-ndjson, text/plain, \
             application/octet-stream and application/x-www-form-urlencoded"
        ))),
    }
}

fn not_allowed(allow: &'static str) -> Refusal {
    Refusal::new(405, "method-not-allowed", format!("this URL takes {allow}")).with_header("Allow", allow)
}

fn no_such_path() -> Refusal {
    let with_url = TransportId::all().filter(|id| id.has_url());
    let names: Vec<_> = with_url.map(|id| id.transport().name()).collect();
    let reason = format!(
        "there is nothing at this path; a user's URLs are /u/{{user}}/ and one of {}, send; \
         publishing is on the private listener, ENCKE_API_LISTEN; {}",
        names.join(", "),
        user::BEHIND_PROXIES
    );
    Refusal::new(404, "not-found", reason)
}

fn no_such_call() -> Refusal {
    let reason = "there is nothing at this path of the private listener; there are POST /publish, POST /u/{user}/publish, \
                  GET and DELETE /u/{user}, GET /channels, /channel?name=, /metrics, /health, /ready";
    let reason = format!("{reason}; {}", user::BEHIND_PROXIES);
    Refusal::new(404, "not-found", reason)
}
