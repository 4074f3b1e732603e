//! What a request for SockJS asks for.

use std::rc::Rc;

use crate::auth::Grant;
use crate::protocol::sockjs::browser::Browser;
use crate::protocol::sockjs::carrier::Carrier;
use crate::protocol::sockjs::pipe::{PipeName, Service};
use crate::request::{Upgrade, User};
use crate::wire::channel_name::ChannelName;
use crate::wire::http::response::Header;

/// A request for SockJS.
#[derive(Debug)]
pub struct SockjsRequest {
    /// Headers of every answer: permissions of pages, and caching.
    pub headers: Vec<Header>,
    /// The request.
    pub ask: SockjsAsk,
}

/// What is asked for.
#[derive(Debug)]
pub enum SockjsAsk {
    /// A page that is the same for everyone.
    Page(SockjsPage),
    /// What the service can do, with a fresh random number.
    Info {
        /// Whether a client may come by WebSocket.
        websocket: bool,
        /// Whether balancers need a cookie.
        cookie: bool,
        /// The service's URL at the node that serves the user, if that is another one.
        base_url: Option<Box<str>>,
    },
    /// A response for strings.
    Receive(Box<Receive>),
    /// Strings from a client.
    Send {
        /// The sender.
        sender: Box<SockjsClient>,
        /// `Content-Type`.
        content_type: Option<Box<str>>,
        /// Whether a form sent them, which needs a page as its answer.
        by_form: bool,
    },
    /// A WebSocket.
    Socket {
        /// The client. Its session has no name.
        client: Box<SockjsClient>,
        /// The server's part of the handshake.
        upgrade: Box<Upgrade>,
        /// Whether each message is a string.
        raw: bool,
    },
}

impl SockjsAsk {
    /// The client, if the request concerns a session.
    pub fn client(&self) -> Option<&SockjsClient> {
        match self {
            Self::Page(_) | Self::Info { .. } => None,
            Self::Receive(receive) => Some(&receive.client),
            Self::Send { sender: client, .. } | Self::Socket { client, .. } => Some(client),
        }
    }

    /// Whether the body is used. A poll's is not.
    pub fn reads_body(&self) -> bool {
        matches!(self, Self::Send { .. })
    }
}

/// A page that is the same for everyone.
#[derive(Debug)]
pub struct SockjsPage {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`; empty without a body.
    pub content_type: &'static str,
    /// The body.
    pub body: Box<str>,
    /// `ETag` of a page that browsers keep.
    pub etag: Option<Box<str>>,
}

/// The client that sends a request.
#[derive(Debug)]
pub struct SockjsClient {
    /// The service at the other end.
    pub service: Service,
    /// The user, by the path, the token or the session's name; `None` for a socket without these.
    pub user: Option<User>,
    /// What the user may do.
    pub grant: Rc<Grant>,
    /// The session's name, which the client chose; empty for a socket.
    pub segment: Box<str>,
    /// The browser that sends it, which a session may belong to.
    pub browser: Browser,
    /// Subscribed at once.
    pub channels: Vec<ChannelName>,
    /// Recent messages of each to start with.
    pub last: u32,
}

impl SockjsClient {
    /// The name of the session that the request means.
    pub fn session_name(&self) -> PipeName {
        let user = self.user.as_ref().map(|user| &*user.name).unwrap_or_default();
        PipeName::new(self.service, user, &self.segment)
    }
}

/// The answer to a request that brought strings.
#[derive(Debug)]
pub struct SendAnswer {
    /// Whether a form sent the strings, which needs a page as its answer.
    pub by_form: bool,
    /// Headers of the answer.
    pub headers: Vec<Header>,
}

/// A request for strings.
#[derive(Debug)]
pub struct Receive {
    /// The client.
    pub client: SockjsClient,
    /// How they are carried.
    pub carrier: Carrier,
    /// The function to call, where one is called.
    pub callback: Box<str>,
}
