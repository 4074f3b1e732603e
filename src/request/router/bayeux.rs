//! Parses a Bayeux request: its client, and the format of its messages.
//!
//! A client without a token is not refused here: the answer to each message reports its error, and
//! a cookie may identify a session.

use crate::auth::origins::Preflight;
use crate::auth::tokens_of;
use crate::base::ids::ShardId;
use crate::protocol::bayeux::refused::BayeuxRefused;
use crate::request::bayeux::{
    BayeuxCaller, BayeuxRequest, BrowserCookies, COOKIE, Callback, Credential, SOCKET_COOKIE, credential,
};
use crate::request::cookie::{Sender, page_of};
use crate::request::router::query::{OF_BAYEUX, named, value};
use crate::request::router::{Context, Routed, content, not_allowed};
use crate::request::{Content, Request, Upgrade, User};
use crate::transport::is_callback;
use crate::wire::http::Method;
use crate::wire::http::head::Head;
use crate::wire::refusal::Refusal;
use crate::wire::{cookie, websocket};

/// Parses a request below a mount path. The rest of the path does not matter: CometD's clients put
/// the message's kind there.
pub(crate) fn route(context: &Context<'_>, head: &Head<'_>, user: Option<User>) -> Routed {
    match asked(context, head, user) {
        Ok(Request::Bayeux(asked)) => match home(context, &asked) {
            Some(home) if home != context.here => Routed::There(home),
            _ => Routed::Here(Request::Bayeux(asked)),
        },
        Ok(request) => Routed::Here(request),
        Err(refusal) => Routed::Here(Request::Refused(refusal)),
    }
}

/// The home of the request's user or session, if the head names one. For a socket without a user
/// the browser's cookie decides; if that is wrong, the socket moves later.
fn home(context: &Context<'_>, asked: &BayeuxRequest) -> Option<ShardId> {
    let of_browser = || {
        let browser = asked.caller.cookies.name().filter(|_| asked.upgrade.is_some())?;
        Some(browser.home(&context.homes))
    };
    asked.caller.home(&context.homes).or_else(of_browser)
}

fn asked(context: &Context<'_>, head: &Head<'_>, user: Option<User>) -> Result<Request, Refusal> {
    let is_upgrade = head.header("upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket"));
    let query = named(head.query, OF_BAYEUX)?;
    let (upgrade, callback) = match head.method {
        Method::Options => {
            return Ok(Request::Preflight(Preflight::of(head)));
        }
        Method::Get if is_upgrade => (Some(Box::new(upgrade(head)?)), None),
        Method::Get => (None, Some(callback(&query)?)),
        Method::Post => (None, None),
        Method::Head | Method::Put | Method::Patch | Method::Delete | Method::Other => {
            return Err(not_allowed("GET, POST, OPTIONS"));
        }
    };
    let content = match content(head)? {
        content @ (Content::Json | Content::Form) => content,
        // Faye, in a page of another origin, sends its form without a content type, which a browser
        // declares as text.
        Content::Text => Content::Form,
        Content::Lines | Content::Bytes => return Err(BayeuxRefused::ContentType.into()),
    };
    let cookies = head.header_bytes("cookie").flat_map(|line| cookie::named(line, [COOKIE, SOCKET_COOKIE]));
    let cookies = BrowserCookies::new(cookies.filter_map(|(name, value)| Some((name, value.parse().ok()?))));
    let agent = head.header("user-agent").map(|agent| context.homes.hash(agent));
    let (subject, credential) = credential(context, tokens_of(head, &query), user.as_ref());
    // A socket's credentials are checked once, when it opens. Without keys to check them the client
    // must retry.
    if let (Some(_), Credential::Missing(refusal)) = (&upgrade, &credential)
        && refusal.status() == 503
    {
        return Err((**refusal).clone());
    }
    Ok(Request::Bayeux(Box::new(BayeuxRequest {
        caller: BayeuxCaller {
            user: user.or(subject),
            credential,
            cookies,
            agent,
            page: page_of(head),
            sender: Sender::of(head),
        },
        content,
        callback,
        upgrade,
        raw: Vec::new(),
    })))
}

fn upgrade(head: &Head<'_>) -> Result<Upgrade, Refusal> {
    let handshake = websocket::handshake(head)?;
    // An offered subprotocol is not one of ours; the connection is accepted without one.
    Ok(Upgrade { accept: websocket::accept_key(handshake.key), protocol: None, deflate: handshake.deflate })
}

fn callback(query: &[(String, String)]) -> Result<Callback, Refusal> {
    let name = value(query, "jsonp").unwrap_or(Callback::DEFAULT);
    if !is_callback(name) {
        return Err(BayeuxRefused::Callback.into());
    }
    let message = value(query, "message").ok_or(BayeuxRefused::NoMessage)?;
    Ok(Callback { name: name.into(), message: message.into() })
}
