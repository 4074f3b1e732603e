//! Calls of the backend: where, how long, how many.

use super::{MINUTE, Span, Variable};
use crate::config::values::HookUrl;
use crate::config::variable::Kind;

pub(super) const ROWS: &[Variable] = &[
    Variable {
        name: "ENCKE_SERVICE_HOOK",
        default: None,
        summary: "URL that is called for each message to a service channel",
        details: "What Bayeux clients publish to `/service/…` is sent to nobody but this address, by `POST` as JSON. Unset, such \
            messages are refused. What the call says and what its answer means is in BAYEUX.md. No redirects, and `http_proxy` is not looked at. https trusts the system's \
            certificate authorities, or those of `SSL_CERT_FILE`.",
        kind: Kind::Url {
            allowed: ALLOWED,
            place: |config, text| HookUrl::read(text).map(|url| config.service_hook = Some(url)),
        },
    },
    Variable {
        name: "ENCKE_POLICY_HOOK",
        default: None,
        summary: "URL that is asked whether a Bayeux client may do what it asks for",
        details: "Asked at handshake, subscribe and publish, by `POST` as JSON, when the token has nothing against it: 2xx \
            allows, 401 and 403 deny. Any other answer, or none, refuses too, as unavailable. Unset, tokens decide alone, as they \
            always do for native clients.",
        kind: Kind::Url {
            allowed: ALLOWED,
            place: |config, text| HookUrl::read(text).map(|url| config.policy_hook = Some(url)),
        },
    },
    Variable {
        name: "ENCKE_HOOK_TIMEOUT",
        default: Some("5s"),
        summary: "time for a hook's whole answer",
        details: "From the moment at which the client asks, the wait for a free call included. Afterwards the client is told \
            that the hook is unavailable; nothing is tried again. Shorter than the ten seconds that common clients wait.",
        kind: Kind::Span {
            from: Span::from_millis(100),
            to: MINUTE,
            zero: None,
            place: |config, value| config.hook_timeout = value,
        },
    },
    Variable {
        name: "ENCKE_HOOK_CONCURRENCY",
        default: Some("8"),
        summary: "calls of hooks that the node makes at once",
        details: "Each is a thread and a connection that is kept, so this bounds what the node asks of its backend: with \
            answers in 10 ms, eight carry 800 calls a second. Others wait. Without hooks there are no threads.",
        kind: Kind::Count { from: 1, to: 256, place: |config, value| config.hook_concurrency = value },
    },
    Variable {
        name: "ENCKE_HOOK_QUEUE",
        default: Some("1_000"),
        summary: "calls of hooks that wait",
        details: "At the bound a further one fails at once, as unavailable. More than can be answered within \
            `ENCKE_HOOK_TIMEOUT` only wait in vain. Each holds its message, of at most `ENCKE_MESSAGE_BYTES`.",
        kind: Kind::Count { from: 1, to: 100_000, place: |config, value| config.hook_queue = value },
    },
];

const ALLOWED: &str = "http[s]://HOST[:PORT][/PATH][?QUERY], or unset";
