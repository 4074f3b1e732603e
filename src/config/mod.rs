//! The configuration: environment variables, all `ENCKE_…`, as plain typed values.
//!
//! Each variable is declared once, in `table`; from there come the parser, `encke --help`, `encke
//! check`, `docs/CONFIG.md` and the start-up log. Nothing here reads the environment, a file or a
//! clock: the variables are an argument. A [`Config`] that was made by [`read()`] keeps every range
//! and every rule of `rules`; one that a test builds by hand need not.

mod document;
mod problem;
mod read;
mod rules;
mod table;
mod units;
mod values;
mod variable;

#[cfg(test)]
mod tests;

use crate::base::ticks::Span;

pub use self::document::{help, markdown, report};
pub use self::problem::{Problem, Shown};
pub use self::read::{Effective, Setting, Source, read};
pub use self::values::{
    ApiListen, AuthMode, HookUrl, HostPattern, Listen, LogFilter, LogFormat, LogRule, OriginPattern,
    ProxyHeader, ProxyProtocol, Secret, TokenKey,
};
pub use self::variable::{Group, Variable};

/// The variable of this name.
pub fn variable(name: &str) -> Option<&'static Variable> {
    table::find(name)
}

/// Everything that can be set. A field is named as its variable is, in small letters and without
/// `ENCKE_`; `docs/CONFIG.md` says what each does and what happens at its bound.
#[derive(Clone, Debug)]
pub struct Config {
    /// Addresses of the public listener. Never empty.
    pub listen: Vec<Listen>,
    /// Addresses of the private listener, the API. Never empty.
    pub api_listen: Vec<ApiListen>,
    /// Addresses of the listener for XMLSocket; empty for none.
    pub xmlsocket_listen: Vec<Listen>,
    /// Whose public connections begin with a PROXY protocol header.
    pub proxy_protocol: ProxyProtocol,
    /// Whose private ones do.
    pub api_proxy_protocol: ProxyProtocol,
    /// Number of shards; `None` is one per core. See [`Config::shard_count`].
    pub shards: Option<usize>,

    /// What a backend must show to use the API; `None` only where the API is on loopback or a Unix
    /// socket.
    pub api_key: Option<Secret>,
    /// What makes tokens obligatory for users and checks them.
    pub token_key: Option<TokenKey>,
    /// What `ENCKE_AUTH` said. Whether tokens are checked depends on `token_key` alone.
    pub auth: Option<AuthMode>,
    /// Where the issuer's keys are fetched from, instead of `token_key`.
    pub token_keys_url: Option<HookUrl>,
    /// How often they are fetched.
    pub token_keys_period: Span,
    /// Where a token has `aud`, it must name one of these; `None`: it may name anything.
    pub token_audiences: Option<Vec<String>>,
    /// What `iss` of a token must be; `None`: anything.
    pub token_issuer: Option<String>,
    /// By what a Bayeux client is known.
    pub bayeux_trust: BayeuxTrust,
    /// Origins of foreign pages that may connect. Empty: only pages of the same origin.
    pub origins: Vec<OriginPattern>,
    /// Names by which the server may be called where only known ones may.
    pub hosts: Vec<HostPattern>,

    /// Where messages to service channels go; `None` for no such messages.
    pub service_hook: Option<HookUrl>,
    /// Who is asked what clients may do; `None` leaves it to tokens.
    pub policy_hook: Option<HookUrl>,
    /// How long the call of a hook may take, its wait in the queue included. At most
    /// `session_grace` where there is a hook.
    pub hook_timeout: Span,
    /// Calls of hooks that the node makes at once.
    pub hook_concurrency: usize,
    /// Calls of hooks that wait.
    pub hook_queue: usize,

    /// How long a long poll is held.
    pub poll_hold: Span,
    /// Whether responses are compressed for clients that ask for it.
    pub gzip: bool,
    /// The least time between polls that clients are advised to keep.
    pub poll_min: Span,
    /// The longest. At least `poll_min`.
    pub poll_max: Span,
    /// Bytes of a streaming response after which it makes room for another; `None` for no such
    /// bound.
    pub recycle_bytes: Option<usize>,
    /// Age of a streaming response at which it makes room for another; `None` for no such bound.
    pub recycle_after: Option<Span>,
    /// How long a session lives without a connection. Longer than `heartbeat`.
    pub session_grace: Span,
    /// Silence on a stream after which a heartbeat is sent.
    pub heartbeat: Span,
    /// How long the node may take to stop.
    pub drain: Span,
    /// How long the node fails health checks before it drains; `None` depends on where it listens.
    /// See [`Config::lame_duck_span`].
    pub lame_duck: Option<Span>,
    /// Sessions of the node.
    pub sessions: usize,
    /// Sessions of one user.
    pub sessions_per_user: usize,
    /// Sessions of one browser, by its Bayeux cookie.
    pub sessions_per_browser: usize,
    /// Sessions of one address; `None` bounds those of public networks alone.
    pub sessions_per_address: Option<usize>,
    /// Subscriptions of one session, the personal channel not counted.
    pub subscriptions: usize,

    /// Connections of the node; `None` is as many as the file descriptors allow.
    pub connections: Option<usize>,
    /// Connections that the private listener may have when all of those are taken.
    pub api_reserve: usize,
    /// Connections of one address that have said nothing yet.
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
    /// Time for a request's head, from its first byte (or from accept) to its last.
    pub head_timeout: Span,
    /// Time for a request's body, from the end of the head.
    pub body_timeout: Span,
    /// Bytes of unfinished input that the node keeps.
    pub input_memory: usize,
    /// How long a connection is kept open between requests.
    pub idle_timeout: Span,
    /// How long a peer may take nothing of what waits for it.
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
    /// Bytes that wait for one connection before its session falls back to its cursor.
    pub outbox_bytes: usize,
    /// Keys of publishes that are remembered.
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
    /// How a log line looks.
    pub log_format: LogFormat,
}

/// By what a Bayeux client is known.
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

    /// The configuration that these environment variables make; names without `ENCKE_` are passed
    /// over.
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
        self.shards.unwrap_or(cores).clamp(1, table::SHARDS_MAX)
    }

    /// How long the node fails health checks before it drains: on loopback there is no balancer
    /// that asks.
    pub fn lame_duck_span(&self) -> Span {
        let is_local = self.listen.iter().chain(&self.xmlsocket_listen).all(Listen::is_loopback);
        self.lame_duck.unwrap_or(if is_local { Span::ZERO } else { Span::from_secs(5) })
    }

    /// One shard's part of a bound that is given for the node, rounded up so that no part is zero.
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
