//! What a request for Bayeux asks for: by whom it is sent, and how its messages come.
//!
//! Whoever has no token is not refused here: an error of a message is told in the message's answer, and a session may be known by a cookie.

use crate::auth::origins::{Preflight, Provenance, Relation, is_browser};
use crate::auth::tokens_of;
use crate::base::ids::ShardId;
use crate::shard::bayeux;
use crate::shard::bayeux::{Bayeux, COOKIE, Callback, Caller, Credential, Marks, SOCKET_COOKIE, Sender};
use crate::shard::request::{Content, Request, Upgrade, User};
use crate::shard::router::query::{OF_BAYEUX, named, value};
use crate::shard::router::{Context, Routed, content, not_allowed};
use crate::transport::is_callback;
use crate::wire::http::Method;
use crate::wire::http::head::Head;
use crate::wire::refusal::Refusal;
use crate::wire::{cookie, websocket};

/// Finds out what a request below a mount path asks for. What follows that path does not matter: CometD's clients put the message's kind there.
pub(super) fn route(context: &Context<'_>, head: &Head<'_>, user: Option<User>) -> Routed {
    match asked(context, head, user) {
        Ok(Request::Bayeux(asked)) => match home(context, &asked) {
            Some(home) if home != context.here => Routed::There(home),
            _ => Routed::Here(Request::Bayeux(asked)),
        },
        Ok(request) => Routed::Here(request),
        Err(refusal) => Routed::Here(Request::Refused(refusal)),
    }
}

/// The shard whose all is that a request can be about, as far as its head tells: a socket's is guessed by its browser, and moves on if that is
/// wrong.
fn home(context: &Context<'_>, asked: &Bayeux) -> Option<ShardId> {
    let of_browser = || {
        let browser = asked.caller.marks.name().filter(|_| asked.upgrade.is_some())?;
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
        // Faye, in a page of another origin, sends its form without saying what it is, which is this to a browser.
        Content::Text => Content::Form,
        Content::Lines | Content::Bytes => {
            let reason = "Bayeux messages come as application/json, or in fields \"message\" of a form";
            return Err(Refusal::new(415, "bad-content-type", reason));
        }
    };
    let cookies = head.header_bytes("cookie").flat_map(|line| cookie::named(line, [COOKIE, SOCKET_COOKIE]));
    let marks = Marks::new(cookies.filter_map(|(name, value)| Some((name, value.parse().ok()?))));
    let agent = head.header("user-agent").map(|agent| context.homes.hash(agent));
    let (subject, credential) = bayeux::credential(context, tokens_of(head, &query), user.as_ref());
    // A socket is judged once, by what its opening shows: it comes again when there are keys to judge it by.
    if let (Some(_), Credential::Missing(refusal)) = (&upgrade, &credential)
        && refusal.status == 503
    {
        return Err((**refusal).clone());
    }
    Ok(Request::Bayeux(Box::new(Bayeux {
        caller: Caller {
            user: user.or(subject),
            credential,
            marks,
            agent,
            page: relation(head),
            sender: sender(head),
        },
        content,
        callback,
        upgrade,
        raw: Vec::new(),
    })))
}

/// How the site of the page behind a request stands to ours: most are of our own, and say no `Origin`.
fn relation(head: &Head<'_>) -> Option<Relation> {
    head.header_bytes("origin").next()?;
    Provenance::of(head).relation(head)
}

/// Whether a browser sends this. Of the signs, `Origin` comes with each POST and WebSocket, `Sec-Fetch-*`
/// with all requests over https, and the name with the others: scripts over http.
fn sender(head: &Head<'_>) -> Sender {
    let is_page = ["origin", "sec-fetch-site", "sec-fetch-mode"]
        .iter()
        .any(|name| head.header_bytes(name).next().is_some());
    if is_page || is_browser(head) { Sender::Browser } else { Sender::Program }
}

fn upgrade(head: &Head<'_>) -> Result<Upgrade, Refusal> {
    let handshake = websocket::handshake(head)?;
    // A subprotocol that is offered is none of ours; the connection is taken without one.
    Ok(Upgrade { accept: websocket::accept_key(handshake.key), protocol: None, deflate: handshake.deflate })
}

fn callback(query: &[(String, String)]) -> Result<Callback, Refusal> {
    let name = value(query, "jsonp").unwrap_or(Callback::DEFAULT);
    if !is_callback(name) {
        let reason =
            "jsonp names no function: letters, digits, _ and $, joined by dots, at most 64, are allowed";
        return Err(Refusal::new(400, "bad-callback", reason));
    }
    let message = value(query, "message").ok_or_else(|| {
        let reason = "the query must have Bayeux messages: message=[…]&jsonp=f; or they are sent by POST, or a WebSocket is opened";
        Refusal::new(400, "no-message", reason)
    })?;
    Ok(Callback { name: name.into(), message: message.into() })
}
