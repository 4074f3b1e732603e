//! What a request for SockJS asks for: which service it is for, by whom it is sent, and what its
//! path means there.

use std::rc::Rc;

use crate::auth::tokens_of;
use crate::base::ids::ShardId;
use crate::config::place::SOCKJS;
use crate::protocol::sockjs::browser::Browser;
use crate::protocol::sockjs::callback::callback;
use crate::protocol::sockjs::carrier::Carrier;
use crate::protocol::sockjs::iframe::{self, IframePage};
use crate::protocol::sockjs::pipe::{Service, TestService};
use crate::protocol::sockjs::url::{Leaf, SockjsPath};
use crate::protocol::sockjs::{GREETING, NOT_A_WEBSOCKET, NOT_FOUND, TEXT, header};
use crate::request::cookie::{Sender, attributes, page_of};
use crate::request::router::open::{channels, last, list};
use crate::request::router::query::{Query, pairs, value};
use crate::request::router::{Context, Routed, grant_for};
use crate::request::sockjs::{Receive, SockjsAsk, SockjsClient, SockjsPage, SockjsRequest};
use crate::request::{Request, Upgrade, User};
use crate::wire::channel_name::ChannelName;
use crate::wire::http::Method;
use crate::wire::http::head::Head;
use crate::wire::http::response::Header;
use crate::wire::percent;
use crate::wire::refusal::{Refusal, Refused};
use crate::wire::websocket;

/// The service that a path of no user leads to, and what follows its prefix.
pub(crate) fn mounted<'h>(context: &Context<'_>, head: &Head<'h>) -> Option<(Service, &'h str)> {
    let path = head.path.strip_prefix('/')?;
    let end = path.find('/').unwrap_or(path.len());
    let (name, below) = path.split_at(end);
    let service = match name {
        "sockjs" => Service::Encke,
        "pipe" if context.config.pipe_hook.is_some() => Service::Backend,
        name if context.config.sockjs.test => Service::Test(TestService::by_name(name)?),
        _ => return None,
    };
    Some((service, below))
}

/// The service that a segment behind a user leads to.
pub(crate) fn of_user(context: &Context<'_>, segment: Option<&&str>) -> Option<Service> {
    match segment {
        Some(&"sockjs") => Some(Service::Encke),
        Some(&"pipe") if context.config.pipe_hook.is_some() => Some(Service::Backend),
        Some(_) | None => None,
    }
}

/// The service that the segments `tcp/{target}/sockjs` behind a user lead to.
pub(crate) fn of_target(context: &Context<'_>, rest: &[&str]) -> Option<Service> {
    let ["tcp", name, "sockjs", ..] = rest else { return None };
    let name = percent::decode_segment(name).ok()?;
    let at = context.config.tcp.targets.iter().position(|target| *target.name == *name)?;
    u16::try_from(at).ok().map(Service::Server)
}

/// What follows the prefix, which has so many segments, in the path of a user.
pub(crate) fn below_user<'h>(head: &Head<'h>, segments: usize) -> &'h str {
    let rest = head.path.splitn(segments + 2, '/').nth(segments + 1);
    rest.map_or("", |rest| &head.path[head.path.len() - rest.len() - 1..])
}

/// Finds out what a request below a service's prefix asks for.
pub(crate) fn route(
    context: &Context<'_>,
    head: &Head<'_>,
    (service, below): (Service, &str),
    user: Option<User>,
) -> Routed {
    let Ok(path) = SockjsPath::parse(below) else {
        let headers = Vec::new();
        return Routed::Here(Request::Sockjs(Box::new(SockjsRequest { headers, ask: text(404, NOT_FOUND) })));
    };
    let asked = SockjsParts { context, head, service, path };
    match asked.ask(user) {
        Ok(ask) => match home(context, &ask) {
            Some(home) if home != context.here => Routed::There(home),
            Some(_) | None => {
                let headers = asked.headers(&ask);
                Routed::Here(Request::Sockjs(Box::new(SockjsRequest { headers, ask })))
            }
        },
        Err(refusal) => Routed::Here(Request::Refused(refusal)),
    }
}

/// The shard of the session's user; any other request can be answered anywhere.
fn home(context: &Context<'_>, ask: &SockjsAsk) -> Option<ShardId> {
    ask.client()?.user.as_ref().map(|user| context.homes.of(&user.name))
}

/// A request whose path is one of the protocol's.
struct SockjsParts<'a> {
    context: &'a Context<'a>,
    head: &'a Head<'a>,
    service: Service,
    path: SockjsPath<'a>,
}

impl SockjsParts<'_> {
    fn ask(&self, user: Option<User>) -> Result<SockjsAsk, Refusal> {
        let websocket = self.service.takes_sockets(self.context.config.sockjs.websocket);
        if self.path.is_websocket() && !websocket {
            return Ok(text(404, NOT_FOUND));
        }
        if !self.path.admits(self.head.method) {
            return Ok(nothing(405));
        }
        if self.head.method == Method::Options {
            return Ok(nothing(204));
        }
        let cookie = self.service.sets_cookie(self.context.config.sockjs.cookie);
        match self.path {
            SockjsPath::Greeting => Ok(text(200, GREETING)),
            SockjsPath::Info => {
                Ok(SockjsAsk::Info { websocket, cookie, base_url: self.base_url(user.as_ref()) })
            }
            SockjsPath::Iframe => Ok(self.iframe()),
            SockjsPath::RawWebSocket => self.socket(user, true),
            SockjsPath::Session { leaf: Leaf::WebSocket, .. } => self.socket(user, false),
            SockjsPath::Session { session, leaf, .. } => self.of_session(user, session, leaf),
        }
    }

    /// Where a client goes on whose user another node serves.
    fn base_url(&self, user: Option<&User>) -> Option<Box<str>> {
        let node = self.context.config.place.as_ref()?.elsewhere(&user?.name)?;
        let service = self.head.path.strip_suffix("/info")?;
        Some(format!("{}{service}", node.address).into())
    }

    fn iframe(&self) -> SockjsAsk {
        let page = IframePage::of(self.context.config.sockjs.client.as_deref());
        let is_known = page.is_known(self.head.header("if-none-match"));
        let IframePage { body, etag } = page;
        let (status, content_type, body) =
            if is_known { (304, "", Box::default()) } else { (200, iframe::HTML, body) };
        SockjsAsk::Page(SockjsPage { status, content_type, body, etag: Some(etag) })
    }

    fn of_session(&self, user: Option<User>, session: &str, leaf: Leaf) -> Result<SockjsAsk, Refusal> {
        let carrier = match leaf {
            Leaf::Xhr => Carrier::Xhr,
            Leaf::XhrStreaming => Carrier::XhrStreaming,
            Leaf::EventSource => Carrier::EventSource,
            Leaf::Htmlfile => Carrier::Htmlfile,
            Leaf::Jsonp => Carrier::Jsonp,
            Leaf::WebSocket => Carrier::WebSocket,
            Leaf::XhrSend | Leaf::JsonpSend => {
                let sender = Box::new(self.client(user, session)?);
                let content_type = self.head.header("content-type").map(Into::into);
                return Ok(SockjsAsk::Send { sender, content_type, by_form: leaf == Leaf::JsonpSend });
            }
        };
        let callback = match callback(self.head.query) {
            _ if !carrier.calls_back() => Box::default(),
            Ok(name) => name,
            Err(bad) => return Ok(text(500, bad.body())),
        };
        let client = self.client(user, session)?;
        Ok(SockjsAsk::Receive(Box::new(Receive { client, carrier, callback })))
    }

    fn socket(&self, user: Option<User>, raw: bool) -> Result<SockjsAsk, Refusal> {
        let Ok(handshake) = websocket::handshake(self.head) else { return Ok(text(400, NOT_A_WEBSOCKET)) };
        let accept = websocket::accept_key(handshake.key);
        let client = Box::new(self.client(user, "")?);
        // Neither a subprotocol nor compression is the protocol's.
        let upgrade = Box::new(Upgrade { accept, protocol: None, deflate: None });
        Ok(SockjsAsk::Socket { client, upgrade, raw })
    }

    /// Who sends the request, and may.
    fn client(&self, user: Option<User>, segment: &str) -> Result<SockjsClient, Refusal> {
        let context = self.context;
        // The protocol's clients add names of their own, and its other servers read none of them.
        let query: Query = pairs(self.head.query).unwrap_or_default();
        let tokens = tokens_of(self.head, &query);
        let (user, grant) = match (user, self.service, &context.keys.verifier) {
            (Some(user), ..) => {
                let grant = grant_for(context, tokens, &user)?;
                (Some(user), grant)
            }
            (None, Service::Encke | Service::Backend | Service::Server(_), Some(verifier)) => {
                let grant = verifier.verify_any(tokens, None, context.unix_now);
                let grant = grant.map_err(|denied| context.watch.refusal(context.now, &denied))?;
                (grant.subject().map(named).transpose()?, Rc::new(grant))
            }
            // Without a token the session's name, which is hard to guess, names the user.
            (None, ..) if segment.is_empty() => (None, Rc::clone(context.open_grant)),
            (None, ..) => (Some(named(&format!("{SOCKJS}{segment}"))?), Rc::clone(context.open_grant)),
        };
        // A test service needs no token, and so gives no channels; clients of a server get its
        // bytes alone.
        let has_none = matches!(self.service, Service::Test(_) | Service::Server(_));
        let [names, recent] = ["channels", "last"].map(|name| value(&query, name).filter(|_| !has_none));
        let personal = user.as_ref().map(|user| &user.channel);
        let channels = channels(context, personal, &grant, false, list(names))?;
        let last = last(context, recent)?;
        let (service, segment, browser) = (self.service, segment.into(), self.browser());
        Ok(SockjsClient { service, user, grant, segment, browser, channels, last })
    }

    /// `Set-Cookie` with the value that is known before there is a session.
    fn cookie(&self) -> Option<Header> {
        if matches!(self.service, Service::Test(_)) {
            let lines = self.cookies();
            let value = header::session_of(&lines).unwrap_or("dummy");
            return self.service.sets_cookie(false).then(|| header::session_cookie(value, "path=/"));
        }
        match self.browser() {
            Browser::Named(value) => Some(header::session_cookie(&value, self.cookie_attributes())),
            Browser::Unasked | Browser::Unnamed { .. } => None,
        }
    }

    /// The browser that sends the request.
    fn browser(&self) -> Browser {
        match self.service {
            Service::Encke | Service::Backend | Service::Server(_) if self.context.config.sockjs.cookie => {}
            Service::Encke | Service::Backend | Service::Server(_) | Service::Test(_) => {
                return Browser::Unasked;
            }
        }
        match header::session_of(&self.cookies()) {
            Some(value) => Browser::Named(value.into()),
            None => Browser::Unnamed { attributes: self.cookie_attributes() },
        }
    }

    fn cookies(&self) -> Vec<u8> {
        self.head.header_bytes("cookie").collect::<Vec<_>>().join(&b"; "[..])
    }

    fn cookie_attributes(&self) -> &'static str {
        attributes(page_of(self.head), Sender::of(self.head))
    }

    /// Headers of the answer.
    fn headers(&self, ask: &SockjsAsk) -> Vec<Header> {
        let unix_now = self.context.unix_now;
        let mut all = Vec::new();
        match ask {
            SockjsAsk::Page(SockjsPage { status: 404, .. }) | SockjsAsk::Socket { .. } => return Vec::new(),
            SockjsAsk::Page(SockjsPage { status: 405, .. }) => {
                return vec![("Allow", self.path.allow().into())];
            }
            SockjsAsk::Page(SockjsPage { etag: Some(etag), .. }) => {
                all.extend(header::cached(unix_now));
                all.push(("ETag", etag.to_string().into()));
            }
            SockjsAsk::Page(_) if self.head.method == Method::Options => {
                all.extend(header::preflight(self.path.allow()));
                all.extend(header::cached(unix_now));
            }
            SockjsAsk::Page(_) if self.path == SockjsPath::Greeting => {}
            SockjsAsk::Page(_) | SockjsAsk::Info { .. } | SockjsAsk::Receive(_) | SockjsAsk::Send { .. } => {
                all.push(header::NEVER_CACHED);
            }
        }
        let leaf = match self.path {
            SockjsPath::Session { leaf, .. } => Some(leaf),
            SockjsPath::Greeting | SockjsPath::Iframe | SockjsPath::Info | SockjsPath::RawWebSocket => None,
        };
        if self.path == SockjsPath::Info || leaf.is_some_and(Leaf::is_cross_origin) {
            let asked = self.head.header("access-control-request-headers");
            // The answer's other headers have a `Vary` already.
            all.extend(header::cors(self.head.header("origin"), asked).filter(|(name, _)| *name != "Vary"));
        }
        if leaf.is_some_and(|leaf| leaf != Leaf::WebSocket) {
            all.extend(self.cookie());
        }
        all
    }
}

fn named(name: &str) -> Result<User, Refusal> {
    let channel =
        ChannelName::personal(name).map_err(|error| Refused::User { place: "the session", error })?;
    Ok(User { name: name.into(), channel })
}

fn text(status: u16, body: &str) -> SockjsAsk {
    SockjsAsk::Page(SockjsPage { status, content_type: TEXT, body: body.into(), etag: None })
}

fn nothing(status: u16) -> SockjsAsk {
    SockjsAsk::Page(SockjsPage { status, content_type: "", body: Box::default(), etag: None })
}
