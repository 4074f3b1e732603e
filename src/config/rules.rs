//! Combinations that cannot work: values that are valid by themselves and contradict each other.
//!
//! A rule is here only if the node could not do what the values require. The documents warn of
//! merely unwise ones.

use super::values::{ApiListen, AuthMode};
use super::{Config, Introduction, TcpTarget, table};

/// One rule over several variables.
pub(super) struct ConfigRule {
    /// The variables that it concerns. If one of them has a bad value, the rule is skipped.
    pub(super) names: &'static [&'static str],
    /// What must hold and why, as a sentence that names at least two of them.
    pub(super) sentence: &'static str,
    /// Whether it holds.
    pub(super) holds: fn(&Config) -> bool,
}

pub(super) const RULES: &[ConfigRule] = &[
    ConfigRule {
        names: &["ENCKE_LISTEN", "ENCKE_AUTH", "ENCKE_TOKEN_KEY", "ENCKE_TOKEN_KEYS_URL"],
        sentence: "ENCKE_LISTEN leaves loopback, so anybody could connect as any user: set \
            ENCKE_TOKEN_KEY or ENCKE_TOKEN_KEYS_URL, or ENCKE_AUTH=none if this is intended",
        holds: |c| c.checks_tokens() || c.auth.is_some() || c.listen.iter().all(super::Listen::is_loopback),
    },
    ConfigRule {
        names: &["ENCKE_XMLSOCKET_LISTEN", "ENCKE_AUTH", "ENCKE_TOKEN_KEY", "ENCKE_TOKEN_KEYS_URL"],
        sentence: "ENCKE_XMLSOCKET_LISTEN leaves loopback, so anybody could connect as any user: set \
            ENCKE_TOKEN_KEY or ENCKE_TOKEN_KEYS_URL, or ENCKE_AUTH=none if this is intended",
        holds: |c| {
            let is_loopback = c.xmlsocket_listen.iter().all(super::Listen::is_loopback);
            c.checks_tokens() || c.auth.is_some() || is_loopback
        },
    },
    ConfigRule {
        names: &["ENCKE_LISTEN", "ENCKE_XMLSOCKET_LISTEN", "ENCKE_API_LISTEN"],
        sentence: "ENCKE_XMLSOCKET_LISTEN must not share an address and port with ENCKE_LISTEN or \
            ENCKE_API_LISTEN: its clients do not use HTTP",
        holds: xmlsocket_is_apart,
    },
    ConfigRule {
        names: &["ENCKE_POLL_MIN", "ENCKE_POLL_MAX"],
        sentence: "ENCKE_POLL_MAX must be at least ENCKE_POLL_MIN, or no advice satisfies both",
        holds: |c| c.poll_max >= c.poll_min,
    },
    ConfigRule {
        names: &["ENCKE_AUTH", "ENCKE_TOKEN_KEY", "ENCKE_TOKEN_KEYS_URL"],
        sentence: "ENCKE_AUTH=token needs ENCKE_TOKEN_KEY or ENCKE_TOKEN_KEYS_URL to verify tokens",
        holds: |c| c.auth != Some(AuthMode::Token) || c.checks_tokens(),
    },
    ConfigRule {
        names: &["ENCKE_AUTH", "ENCKE_TOKEN_KEY", "ENCKE_TOKEN_KEYS_URL"],
        sentence: "ENCKE_AUTH=none contradicts ENCKE_TOKEN_KEY and ENCKE_TOKEN_KEYS_URL: unset one side",
        holds: |c| c.auth != Some(AuthMode::None) || !c.checks_tokens(),
    },
    ConfigRule {
        names: &["ENCKE_TOKEN_KEY", "ENCKE_TOKEN_KEYS_URL"],
        sentence: "ENCKE_TOKEN_KEY and ENCKE_TOKEN_KEYS_URL both say which keys verify tokens: unset one of \
            them",
        holds: |c| c.token_key.is_none() || c.token_keys_url.is_none(),
    },
    ConfigRule {
        names: &["ENCKE_API_LISTEN", "ENCKE_API_KEY"],
        sentence: "ENCKE_API_LISTEN leaves loopback, so anybody could publish to everybody: set \
            ENCKE_API_KEY",
        holds: |c| c.api_key.is_some() || c.api_listen.iter().all(ApiListen::is_local),
    },
    ConfigRule {
        names: &["ENCKE_LISTEN", "ENCKE_API_LISTEN"],
        sentence: "ENCKE_LISTEN and ENCKE_API_LISTEN must not share an address and port, or browsers \
            would reach the API",
        holds: are_apart,
    },
    ConfigRule {
        names: &["ENCKE_SESSION_GRACE", "ENCKE_HEARTBEAT"],
        sentence: "ENCKE_SESSION_GRACE must be longer than ENCKE_HEARTBEAT, or a session ends before its \
            client notices a dead link",
        holds: |c| c.session_grace > c.heartbeat,
    },
    ConfigRule {
        names: &["ENCKE_HOOK_TIMEOUT", "ENCKE_SESSION_GRACE", "ENCKE_SERVICE_HOOK", "ENCKE_POLICY_HOOK"],
        sentence: "ENCKE_HOOK_TIMEOUT must be at most ENCKE_SESSION_GRACE where ENCKE_SERVICE_HOOK or \
            ENCKE_POLICY_HOOK is set, or a session may end before the hook answers",
        holds: |c| {
            let has_hook = c.service_hook.is_some() || c.policy_hook.is_some();
            !has_hook || c.hook_timeout <= c.session_grace
        },
    },
    ConfigRule {
        names: &["ENCKE_TCP_TARGETS", "ENCKE_TCP_WEBIRC_PASSWORD"],
        sentence: "ENCKE_TCP_TARGETS has a target with webirc, which needs ENCKE_TCP_WEBIRC_PASSWORD",
        holds: |c| {
            let is_webirc = |target: &std::sync::Arc<TcpTarget>| target.introduction == Introduction::Webirc;
            c.tcp.webirc_password.is_some() || !c.tcp.targets.iter().any(is_webirc)
        },
    },
    ConfigRule {
        names: &["ENCKE_TCP_TARGETS", "ENCKE_TCP_ALLOW", "ENCKE_CHANNEL_BYTES", "ENCKE_CHANNEL_MESSAGES"],
        sentence: "ENCKE_CHANNEL_BYTES must be at least 64KiB and ENCKE_CHANNEL_MESSAGES at least 8 where \
            ENCKE_TCP_TARGETS or ENCKE_TCP_ALLOW is set, or a session's log does not hold a stream's bytes",
        holds: |c| !c.tcp.is_used() || c.channel_bytes >= 64 << 10 && c.channel_messages >= 8,
    },
    ConfigRule {
        names: &["ENCKE_NODE", "ENCKE_NODES"],
        sentence: "ENCKE_NODE must be one of ENCKE_NODES, by its name, or by its number and their number",
        holds: |c| c.node.as_ref().is_none_or(|node| node.index(&c.nodes).is_some()),
    },
    ConfigRule {
        names: &["ENCKE_CHANNEL_AGE", "ENCKE_SESSION_GRACE"],
        sentence: "ENCKE_CHANNEL_AGE must be at least ENCKE_SESSION_GRACE, or a session that \
            resumes in time does not find what it missed",
        holds: |c| c.channel_age >= c.session_grace,
    },
    ConfigRule {
        names: &["ENCKE_MESSAGE_BYTES", "ENCKE_BODY_BYTES"],
        sentence: "ENCKE_MESSAGE_BYTES must be at most ENCKE_BODY_BYTES, since a request's \
            body carries the message",
        holds: |c| c.message_bytes <= c.body_bytes,
    },
    ConfigRule {
        names: &["ENCKE_CHANNEL_BYTES", "ENCKE_MESSAGE_BYTES"],
        sentence: "ENCKE_CHANNEL_BYTES must be at least ENCKE_MESSAGE_BYTES, or a message does not fit \
            its channel's log",
        holds: |c| c.channel_bytes >= c.message_bytes,
    },
    ConfigRule {
        names: &["ENCKE_MEMORY", "ENCKE_CHANNEL_BYTES", "ENCKE_SHARDS"],
        sentence: "ENCKE_MEMORY must be at least ENCKE_CHANNEL_BYTES for each of ENCKE_SHARDS, or no \
            channel's log can fill (auto counts as 1)",
        holds: |c| c.memory / c.shards.unwrap_or(1) >= c.channel_bytes,
    },
    ConfigRule {
        names: &["ENCKE_MAILBOX", "ENCKE_BATCH"],
        sentence: "ENCKE_MAILBOX must be at least ENCKE_BATCH, or one batch congests a shard by itself",
        holds: |c| c.mailbox >= c.batch,
    },
    ConfigRule {
        names: &["ENCKE_CONNECTIONS", "ENCKE_SHARDS"],
        sentence: "ENCKE_CONNECTIONS must be at least ENCKE_SHARDS, or some shard could accept no connection",
        holds: |c| match (c.connections, c.shards) {
            (Some(connections), Some(shards)) => connections >= shards,
            (None, _) | (_, None) => true,
        },
    },
];

fn are_apart(config: &Config) -> bool {
    config.api_listen.iter().all(|api| match api {
        ApiListen::Tcp(api) => !config.listen.iter().any(|public| public.overlaps(api)),
        ApiListen::Unix(_) => true,
    })
}

fn xmlsocket_is_apart(config: &Config) -> bool {
    let api = config.api_listen.iter().filter_map(|api| match api {
        ApiListen::Tcp(listen) => Some(listen),
        ApiListen::Unix(_) => None,
    });
    let others: Vec<_> = config.listen.iter().chain(api).collect();
    !config.xmlsocket_listen.iter().any(|own| others.iter().any(|other| other.overlaps(own)))
}

/// The rules that `config` breaks, except those about a variable in `bad`, whose value is not in
/// `config`.
pub(super) fn broken<'a>(
    config: &'a Config,
    bad: &'a [&str],
) -> impl Iterator<Item = &'static ConfigRule> + 'a {
    debug_assert!(RULES.iter().flat_map(|rule| rule.names).all(|name| table::find(name).is_some()));
    RULES.iter().filter(|rule| !rule.names.iter().any(|name| bad.contains(name)) && !(rule.holds)(config))
}
