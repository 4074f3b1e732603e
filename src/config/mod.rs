//! The configuration: environment variables, all `ENCKE_…`, as plain typed values.
//!
//! Each variable is declared once, in `table`; the parser, `encke --help`, `encke check`,
//! `docs/CONFIG.md` and the start-up log use that declaration. Nothing here reads the environment,
//! a file or a clock: the variables are an argument. A [`Config`] from [`read()`] satisfies every
//! range and every rule of `rules`; one built by hand in a test need not.

mod document;
mod limits;
mod manual;
pub mod place;
mod problem;
mod read;
mod rules;
mod table;
mod units;
mod values;
mod variable;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use self::place::ClusterPlace;
use crate::base::ticks::Span;

pub use self::document::{help, markdown, report};
use self::limits::LAME_DUCK_DEFAULT;
pub use self::limits::{SHARDS_MAX, TOKEN_SECRET_BYTES_MIN};
pub use self::manual::manual;
pub use self::problem::{Problem, Shown};
pub use self::read::{Effective, Setting, Source, read};
pub use self::units::span;
pub use self::values::tcp::admits;
pub use self::values::tcp::{AddressRule, Introduction, TargetPlace, TargetTls, TcpTarget};
pub use self::values::{
    ApiListen, AuthMode, ClusterNode, HookUrl, HostPattern, Listen, LogFilter, LogFormat, LogRule,
    NodeChoice, OriginPattern, ProxyHeader, ProxyProtocol, Secret, TokenKey,
};
pub use self::variable::{Group, Variable};

/// The variable of this name.
pub fn variable(name: &str) -> Option<&'static Variable> {
    table::find(name)
}

/// All settings. A field is named like its variable, in lower case and without `ENCKE_`;
/// `docs/CONFIG.md` says what each does and what happens at its bound.
#[derive(Clone, Debug)]
pub struct Config {
    /// Addresses of the public listener. Never empty.
    pub listen: Vec<Listen>,
    /// Addresses of the private listener, the API. Never empty.
    pub api_listen: Vec<ApiListen>,
    /// Addresses of the listener for XMLSocket; empty for none.
    pub xmlsocket_listen: Vec<Listen>,
    /// Peers of the public listener that begin with a PROXY protocol header.
    pub proxy_protocol: ProxyProtocol,
    /// The same for the private listener.
    pub api_proxy_protocol: ProxyProtocol,
    /// Number of shards; `None` is one per core. See [`Config::shard_count`].
    pub shards: Option<usize>,

    /// All nodes of the cluster; empty: users have no places.
    pub nodes: Vec<ClusterNode>,
    /// Which of them this node is; `None`: it serves every user.
    pub node: Option<NodeChoice>,
    /// How long a response to a user of another node lasts.
    pub guest_stay: Span,
    /// The table of places that follows from both; `None` without `nodes`.
    pub place: Option<Arc<ClusterPlace>>,

    /// The key that backends must send to use the API; `None` only if the API is on loopback or a
    /// Unix socket.
    pub api_key: Option<Secret>,
    /// The key that verifies users' tokens, and makes them required.
    pub token_key: Option<TokenKey>,
    /// The value of `ENCKE_AUTH`. Whether tokens are checked depends only on the keys.
    pub auth: Option<AuthMode>,
    /// URL from which the issuer's keys are fetched, instead of `token_key`.
    pub token_keys_url: Option<HookUrl>,
    /// How often they are fetched.
    pub token_keys_period: Span,
    /// If a token has `aud`, it must name one of these; `None`: `aud` is not compared.
    pub token_audiences: Option<Vec<String>>,
    /// The required `iss` of a token; `None`: not compared.
    pub token_issuer: Option<String>,
    /// What authenticates a Bayeux client.
    pub bayeux_trust: BayeuxTrust,
    /// Time after a handshake in which its Bayeux client counts as new.
    pub bayeux_first_visit: Span,
    /// Time after a handshake in which its client may open a socket without the cookie.
    pub bayeux_socket_within: Span,
    /// What concerns SockJS clients alone.
    pub sockjs: SockjsConfig,
    /// TCP sockets for pages.
    pub tcp: TcpConfig,
    /// URL that gets the strings of pages by SockJS's pipe; `None`: there is no such pipe.
    pub pipe_hook: Option<HookUrl>,
    /// Secret by which hooks know that a call is the node's.
    pub hook_key: Option<Secret>,
    /// Origins of foreign pages that may connect. Empty: only pages of the same origin.
    pub origins: Vec<OriginPattern>,
    /// Host names that the server accepts if it accepts only known ones.
    pub hosts: Vec<HostPattern>,

    /// URL that gets messages to service channels; `None` refuses such messages.
    pub service_hook: Option<HookUrl>,
    /// URL that decides what clients may do; if `None`, tokens decide.
    pub policy_hook: Option<HookUrl>,
    /// How long a hook's call may take, including its wait in the queue. At most `session_grace` if
    /// there is a hook.
    pub hook_timeout: Span,
    /// Concurrent hook calls of the node.
    pub hook_concurrency: usize,
    /// Hook calls that wait.
    pub hook_queue: usize,

    /// How long a long poll is held.
    pub poll_hold: Span,
    /// Whether responses are compressed for clients that accept it.
    pub gzip: bool,
    /// Shortest poll interval that the node advises.
    pub poll_min: Span,
    /// Longest poll interval that the node advises. At least `poll_min`.
    pub poll_max: Span,
    /// Bytes of a streaming response after which it hands over to another; `None` for no such
    /// bound.
    pub recycle_bytes: Option<usize>,
    /// Age of a streaming response at which it hands over to another; `None` for no such bound.
    pub recycle_after: Option<Span>,
    /// Time that a client has to open its next response after `recycle`.
    pub recycle_patience: Span,
    /// Time within which two clients of one session take it from each other.
    pub contest_within: Span,
    /// The same for Bayeux clients.
    pub bayeux_contest_within: Span,
    /// Time before a wrong API key is refused.
    pub api_key_delay: Span,
    /// How long a session lives without a connection. Longer than `heartbeat`.
    pub session_grace: Span,
    /// Silence on a stream after which a heartbeat is sent.
    pub heartbeat: Span,
    /// How long the node may take to stop.
    pub drain: Span,
    /// How long the node fails health checks before it drains; `None` depends on the listen
    /// addresses. See [`Config::lame_duck_span`].
    pub lame_duck: Option<Span>,
    /// Sessions that the node creates in a second; 0: as many as come.
    pub admit: usize,
    /// Sessions of the node.
    pub sessions: usize,
    /// Sessions of one user.
    pub sessions_per_user: usize,
    /// Sessions of one browser, by its Bayeux cookie.
    pub sessions_per_browser: usize,
    /// Sessions of one address; `None` bounds only those of public networks.
    pub sessions_per_address: Option<usize>,
    /// Subscriptions of one session, the personal channel not counted.
    pub subscriptions: usize,

    /// Connections of the node; `None` is as many as the file descriptors allow.
    pub connections: Option<usize>,
    /// Connections reserved for the private listener, beyond `connections`.
    pub api_reserve: usize,
    /// Connections of one address that have sent nothing yet.
    pub silent_per_address: usize,
    /// Bytes of a request's head.
    pub head_bytes: usize,
    /// Header fields of a request.
    pub headers: usize,
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// Bytes of one message's payload. At most `body_bytes`.
    pub message_bytes: usize,
    /// Depth to which a JSON payload may nest.
    pub json_depth: usize,
    /// Messages or commands in one request.
    pub batch: usize,
    /// Time for a request's head, from its first byte to its last.
    pub head_timeout: Span,
    /// Time for a request's body, from the end of the head.
    pub body_timeout: Span,
    /// Bytes of unfinished input that the node buffers.
    pub input_memory: usize,
    /// How long a connection is kept open between requests.
    pub idle_timeout: Span,
    /// How long a peer may read nothing of its pending bytes.
    pub write_timeout: Span,

    /// Channels of the node.
    pub channels: usize,
    /// Channels that exist because of one user.
    pub user_channels: usize,
    /// Messages kept in one channel's log.
    pub channel_messages: usize,
    /// Bytes kept in one channel's log. At least `message_bytes`.
    pub channel_bytes: usize,
    /// Age at which a message leaves its channel's log. At least `session_grace`.
    pub channel_age: Span,
    /// Bytes of all message logs of the node. At least `channel_bytes` for each shard.
    pub memory: usize,
    /// Bytes pending for one connection before its session falls back to its cursor.
    pub outbox_bytes: usize,
    /// Idempotency keys of publishes that the node keeps.
    pub publish_keys: usize,
    /// Letters that wait for one shard before it counts as congested. At least `batch`.
    pub mailbox: usize,

    /// Connections that the kernel keeps for each listener until a shard accepts them.
    pub backlog: usize,
    /// Whether small writes leave at once.
    pub tcp_nodelay: bool,
    /// How long sent bytes may stay unacknowledged; `None` leaves it to the kernel.
    pub tcp_user_timeout: Option<Span>,
    /// Unsent bytes above which the kernel takes no more; `None` leaves it to the kernel.
    pub tcp_notsent_lowat: Option<usize>,
    /// Silence after which the kernel probes a peer; `None` for no probes.
    pub tcp_keepalive: Option<Span>,
    /// Bytes of the kernel's send buffer; `None` leaves it to the kernel.
    pub send_buffer: Option<usize>,

    /// Which log lines are written.
    pub log_level: LogFilter,
    /// The format of log lines.
    pub log_format: LogFormat,
}

impl TcpConfig {
    /// Whether pages may reach any server.
    pub fn is_used(&self) -> bool {
        !self.targets.is_empty() || !self.allow.is_empty()
    }
}

/// What concerns TCP sockets for pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpConfig {
    /// The servers that pages may reach by their names.
    pub targets: Vec<Arc<TcpTarget>>,
    /// The addresses that pages may name.
    pub allow: Vec<AddressRule>,
    /// The password of the `WEBIRC` line.
    pub webirc_password: Option<Secret>,
    /// How long connecting may take, resolving the name included.
    pub connect_timeout: Span,
    /// Bytes of one stream and direction that may be under way.
    pub window: usize,
    /// Streams of one session.
    pub streams: usize,
    /// Streams of one user.
    pub user_streams: usize,
    /// Streams of one network address; `None` bounds those of public networks.
    pub address_streams: Option<usize>,
    /// Streams of the node.
    pub node_streams: usize,
    /// How long a stream may last once one direction has ended.
    pub half_closed: Span,
    /// How long an ended stream is kept for a page that has not acknowledged all of its bytes.
    pub ended_kept: Span,
}

/// The part of the configuration that concerns SockJS clients alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SockjsConfig {
    /// Time that a session lives without a receiving connection.
    pub disconnect: Span,
    /// Bytes of a streaming response.
    pub response_bytes: u32,
    /// URL of the script that hidden frames load; `None`: a public copy.
    pub client: Option<String>,
    /// Whether clients may come by WebSocket.
    pub websocket: bool,
    /// Whether responses set a cookie by which balancers know a client again.
    pub cookie: bool,
    /// Whether the services of the public test suite are there.
    pub test: bool,
}

/// What authenticates a Bayeux client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BayeuxTrust {
    /// A cookie, a token, or its own socket.
    Credentials,
    /// Its client id alone.
    ClientId,
}

impl Config {
    /// Whether every user needs a token.
    pub fn checks_tokens(&self) -> bool {
        self.token_key.is_some() || self.token_keys_url.is_some()
    }

    /// The configuration of these environment variables; ignores names without `ENCKE_`.
    ///
    /// # Errors
    /// All problems at once: unknown names, bad values, and combinations that cannot work.
    pub fn from_vars<N, V>(vars: impl IntoIterator<Item = (N, V)>) -> Result<Self, Vec<Problem>>
    where
        N: AsRef<std::ffi::OsStr>,
        V: AsRef<std::ffi::OsStr>,
    {
        read(vars).map(|effective| effective.config)
    }

    /// How many shards to start on a machine with `cores` cores.
    pub fn shard_count(&self, cores: usize) -> usize {
        self.shards.unwrap_or(cores).clamp(1, SHARDS_MAX)
    }

    /// How long the node fails health checks before it drains: on loopback no balancer runs them.
    pub fn lame_duck_span(&self) -> Span {
        let is_local = self.listen.iter().chain(&self.xmlsocket_listen).all(Listen::is_loopback);
        self.lame_duck.unwrap_or(if is_local { Span::ZERO } else { LAME_DUCK_DEFAULT })
    }

    /// Computes the table of places, once its nodes are known.
    fn find_place(&mut self) {
        if self.nodes.is_empty() {
            return;
        }
        let own = self.node.as_ref().and_then(|node| node.index(&self.nodes));
        self.place = Some(Arc::new(ClusterPlace::new(self.nodes.clone(), own)));
    }

    /// One shard's share of a bound for the node, rounded up so that no share is zero.
    pub fn share(total: usize, shards: usize) -> usize {
        total.div_ceil(shards.max(1)).max(1)
    }
}

impl Default for Config {
    /// The configuration of an empty environment.
    fn default() -> Self {
        read::defaults()
    }
}
