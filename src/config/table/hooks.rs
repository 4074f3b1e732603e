//! Web hooks: their URLs, timeout and queue.

use super::{MINUTE, Span, Variable};
use crate::config::values::{HookUrl, Secret};
use crate::config::variable::VariableKind;

pub(super) const ROWS: &[Variable] = &[
    Variable {
        name: "ENCKE_SERVICE_HOOK",
        default: None,
        summary: "URL that the node calls for each message to a service channel",
        details: "The node sends what Bayeux clients publish to `/service/…` only to this address, \
            by `POST` as JSON. Unset, such messages are refused. BAYEUX.md describes the call and \
            its answer. No redirects; `http_proxy` is ignored. https trusts the system's \
            certificate authorities, or those of `SSL_CERT_FILE`.",
        kind: VariableKind::Url {
            allowed: ALLOWED,
            place: |config, text| HookUrl::read(text).map(|url| config.service_hook = Some(url)),
        },
    },
    Variable {
        name: "ENCKE_POLICY_HOOK",
        default: None,
        summary: "URL that decides whether a Bayeux client may do what it asks for",
        details: "The node calls it at handshake, subscribe and publish, by `POST` as JSON, if the \
            token allows the operation: 2xx allows, 401 and 403 deny. Any other answer, or none, \
            also refuses, as unavailable. Unset, tokens alone decide, as always for native \
            clients.",
        kind: VariableKind::Url {
            allowed: ALLOWED,
            place: |config, text| HookUrl::read(text).map(|url| config.policy_hook = Some(url)),
        },
    },
    Variable {
        name: "ENCKE_PIPE_HOOK",
        default: None,
        summary: "URL that gets the strings that pages send by SockJS at `/pipe`",
        details: "Set, `/u/{user}/pipe` and `/pipe` are pipes of strings between pages and a backend: \
            the node posts what comes up to this address, as JSON, and sends down what the answer \
            has, and what the backend publishes to the user's channel. SOCKJS.md describes the call. \
            Unset, these paths do not exist.",
        kind: VariableKind::Url {
            allowed: ALLOWED,
            place: |config, text| HookUrl::read(text).map(|url| config.pipe_hook = Some(url)),
        },
    },
    Variable {
        name: "ENCKE_HOOK_KEY",
        default: None,
        summary: "secret that signs calls of hooks",
        details: "Each call has the header `Encke-Signature: t=SECONDS,hs256=SIGNATURE`: the HMAC-SHA256 \
            (RFC 2104) of `SECONDS.BODY` under this key, in base64url without padding. SECONDS is \
            the time of the call since 1970. At least 32 bytes. Unset, calls are not signed.",
        kind: VariableKind::Secret {
            allowed: "32 to 1024 bytes, or unset",
            place: |config, text| Secret::read_hmac_key(text).map(|key| config.hook_key = Some(key)),
        },
    },
    Variable {
        name: "ENCKE_HOOK_TIMEOUT",
        default: Some("5s"),
        summary: "time for a hook's whole answer",
        details: "Counted from the client's request, including the wait for a free call. \
            Afterwards the client gets an error that the hook is unavailable; the node does not \
            retry. Shorter than the ten seconds that common clients wait.",
        kind: VariableKind::Span {
            from: Span::from_millis(100),
            to: MINUTE,
            zero: None,
            place: |config, value| config.hook_timeout = value,
        },
    },
    Variable {
        name: "ENCKE_HOOK_CONCURRENCY",
        default: Some("8"),
        summary: "concurrent hook calls of the node",
        details: "Each is a thread and a connection that is kept, so this bounds the load on the \
            backend: with answers in 10 ms, eight carry 800 calls a second. Further calls wait. \
            Without hooks there are no threads.",
        kind: VariableKind::Count {
            from: 1,
            to: 256,
            place: |config, value| config.hook_concurrency = value,
        },
    },
    Variable {
        name: "ENCKE_HOOK_QUEUE",
        default: Some("1_000"),
        summary: "hook calls that wait",
        details: "At the bound a further call fails at once, as unavailable. Waiting calls beyond \
            what the hook answers within `ENCKE_HOOK_TIMEOUT` only time out. Each holds its \
            message, of at most `ENCKE_MESSAGE_BYTES`.",
        kind: VariableKind::Count { from: 1, to: 100_000, place: |config, value| config.hook_queue = value },
    },
];

const ALLOWED: &str = "http[s]://HOST[:PORT][/PATH][?QUERY], or unset";
