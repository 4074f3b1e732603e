//! A request with Bayeux messages, and what its head tells about its client.

use std::fmt;
use std::rc::Rc;
use std::str::FromStr;

use crate::auth::origins::Relation;
use crate::auth::{Candidate, Grant};
use crate::base::base32;
use crate::base::hash::Homes;
use crate::base::ids::ShardId;
use crate::base::ticks::Tick;
use crate::protocol::bayeux::fault::{BayeuxFault, FaultCause};
use crate::request::cookie::{Sender, attributes};
use crate::request::limits::MARKS_MORE_MAX;
use crate::request::router::Context;
use crate::request::{Content, Upgrade, User};
use crate::transport::Dialect;
use crate::wire::refusal::Refusal;
use crate::wire::websocket::Past;

/// A request with Bayeux messages, or for a WebSocket.
#[derive(Debug)]
pub struct BayeuxRequest {
    /// The client, from the head.
    pub caller: BayeuxCaller,
    /// The format of the body.
    pub content: Content,
    /// Messages in the query, and the function to call with the answers.
    pub callback: Option<Callback>,
    /// The server's part of a WebSocket's handshake.
    pub upgrade: Option<Box<Upgrade>>,
    /// All bytes of the request so far, if its body decides its home and arrives in pieces; else
    /// empty.
    pub raw: Vec<u8>,
}

/// A request by a script element (callback-polling).
#[derive(Clone, Debug)]
pub struct Callback {
    /// The function's name, which is valid.
    pub name: Box<str>,
    /// The messages.
    pub message: Box<str>,
}

/// The sender of Bayeux messages.
#[derive(Clone, Debug)]
pub struct BayeuxCaller {
    /// The user that the URL or the token names.
    pub user: Option<User>,
    /// The token's grant; without tokens, everything is allowed.
    pub credential: Credential,
    /// The browser's cookies that we set.
    pub cookies: BrowserCookies,
    /// The hash of its `User-Agent`, if it sends one.
    pub agent: Option<u32>,
    /// How the page's site relates to ours, if the page has another origin.
    pub page: Option<Relation>,
    /// The kind of program.
    pub sender: Sender,
}

/// The client's credential.
#[derive(Clone, Debug)]
pub enum Credential {
    /// None is needed.
    Open,
    /// A valid token.
    Token(Rc<Grant>),
    /// No valid token, and the reason.
    Missing(Box<Refusal>),
}

/// The cookie that identifies a browser, set by the answer to a handshake.
pub const COOKIE: &str = "BAYEUX_BROWSER";

/// The same, set by the response that opens a WebSocket.
pub const SOCKET_COOKIE: &str = "BAYEUX_SOCKET";

impl BayeuxCaller {
    /// What it may do, if it may have a session at all.
    pub(crate) fn grant(&self, open: &Rc<Grant>) -> Result<Rc<Grant>, BayeuxFault> {
        match &self.credential {
            Credential::Open => Ok(Rc::clone(open)),
            Credential::Token(grant) => Ok(Rc::clone(grant)),
            Credential::Missing(refusal) if refusal.status() == 503 => {
                Err(FaultCause::Keys { reason: &refusal.reason }.into())
            }
            Credential::Missing(refusal) => Err(FaultCause::Credentials { reason: &refusal.reason }.into()),
        }
    }

    /// Whether a token proved that it is this user.
    pub(crate) fn is_proven(&self, user: &User) -> bool {
        matches!(self.credential, Credential::Token(_)) && self.user.as_ref() == Some(user)
    }

    /// The home of the user that the head names, if any.
    pub fn home(&self, homes: &Homes) -> Option<ShardId> {
        let user = self.user.as_ref()?;
        Some(homes.of(&user.name))
    }
}

impl BayeuxRequest {
    /// The `Set-Cookie` header of an answer.
    pub(crate) fn cookie(name: &str, browser: BrowserId, page: Option<Relation>, sender: Sender) -> String {
        format!("{name}={browser}; {}", attributes(page, sender))
    }
}

/// The grant of the first valid token, and its user if the URL names none.
pub(crate) fn credential<'a>(
    context: &Context<'_>,
    tokens: impl IntoIterator<Item = Candidate<'a>>,
    user: Option<&User>,
) -> (Option<User>, Credential) {
    use crate::wire::channel_name::ChannelName;
    let Some(verifier) = &context.keys.verifier else { return (None, Credential::Open) };
    match verifier.verify_any(tokens, user.map(|user| &*user.name), context.unix_now) {
        Err(denied) => (None, Credential::Missing(Box::new(context.watch.refusal(context.now, &denied)))),
        Ok(grant) => {
            let subject = grant.subject().and_then(|name| {
                Some(User { name: name.into(), channel: ChannelName::personal(name).ok()? })
            });
            (subject, Credential::Token(Rc::new(grant)))
        }
    }
}

impl Callback {
    /// The function's name if a request names none.
    pub const DEFAULT: &str = "jsonpcallback";
}

/// A browser, identified by the unguessable value of its cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BrowserId(pub(crate) [u8; 16]);

/// A cookie that we did not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoBrowser;

impl BrowserId {
    /// The home of its clients without users.
    pub fn home(self, homes: &Homes) -> ShardId {
        homes.of(&self.to_string())
    }
}

impl fmt::Display for BrowserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(28);
        base32::encode(&self.0, &mut text);
        f.write_str(&text)
    }
}

impl FromStr for BrowserId {
    type Err = NoBrowser;

    fn from_str(text: &str) -> Result<Self, NoBrowser> {
        base32::decode(text).map(Self).ok_or(NoBrowser)
    }
}

/// The cookies that identify a browser. There are two because a handshake by request and a
/// WebSocket may start at the same time without cookies. With one name, the later cookie would
/// replace the earlier one, and its client would be unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BrowserCookies {
    /// Set by the answer to a handshake.
    pub browser: Option<BrowserId>,
    /// Set by the response that opens a WebSocket.
    pub socket: Option<BrowserId>,
    /// Further cookies with these names. Another path or domain of the host may have set some;
    /// browsers do not say which.
    more: Box<[BrowserId]>,
}

impl BrowserCookies {
    /// The cookies of a request, each with the index of its name: 0 for a handshake's, 1 for a
    /// socket's.
    pub fn new(cookies: impl Iterator<Item = (usize, BrowserId)>) -> Self {
        let (mut first, mut more) = ([None; 2], Vec::new());
        for (name, browser) in cookies {
            match &mut first[name] {
                place @ None => *place = Some(browser),
                Some(_) if more.len() < MARKS_MORE_MAX && !more.contains(&browser) => more.push(browser),
                Some(_) => {}
            }
        }
        let [browser, socket] = first;
        more.retain(|one| !first.contains(&Some(*one)));
        Self { browser, socket, more: more.into() }
    }

    /// The cookie by which a browser's sessions are found and counted, and which gives the home of
    /// those without users. `None` on a first visit, or if the client keeps no cookies.
    pub fn name(&self) -> Option<BrowserId> {
        self.browser.or(self.socket)
    }

    /// The other one, if there are two.
    pub fn other(&self) -> Option<BrowserId> {
        self.socket.filter(|_| self.browser.is_some())
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = BrowserId> {
        self.browser.into_iter().chain(self.socket).chain(self.more.iter().copied())
    }

    pub(crate) fn has(&self, browser: BrowserId) -> bool {
        self.all().any(|one| one == browser)
    }
}

/// A socket that moves to the shard of the session that its message names.
#[derive(Debug, PartialEq, Eq)]
pub struct Upgraded {
    pub(crate) dialect: Dialect,
    pub(crate) past: Past,
    pub(crate) user: Option<User>,
    pub(crate) grant: Option<Grant>,
    pub(crate) refusal: Option<Refusal>,
    pub(crate) cookies: BrowserCookies,
    pub(crate) agent: Option<u32>,
    pub(crate) sender: Sender,
    pub(crate) unmarked: Option<Tick>,
    pub(crate) message: Vec<u8>,
}
