//! Listen addresses, the number of shards, and how the node stops.

use super::{MINUTE, Span, Variable};
use crate::config::limits::SHARDS_MAX;
use crate::config::values::{ApiListen, Listen, ProxyProtocol, list};
use crate::config::variable::VariableKind;

pub(super) const ROWS: &[Variable] = &[
    Variable {
        name: "ENCKE_LISTEN",
        default: Some("127.0.0.1:8080"),
        summary: "addresses for browsers (the public listener)",
        details: "For browsers, usually through a load balancer. Addresses are numeric; `*:8080` \
            is every address of both families, `[::]:8080` is IPv6 only, port 0 lets the kernel \
            choose (the start-up log shows which). Every shard listens on each (`SO_REUSEPORT`). \
            Off loopback the node does not start without `ENCKE_TOKEN_KEY`, unless \
            `ENCKE_AUTH=none` confirms it.",
        kind: VariableKind::Text {
            allowed: "a comma-separated list of IP:PORT, [IPV6]:PORT, *:PORT",
            place: |config, text| list(text, Listen::read).map(|all| config.listen = all),
        },
    },
    Variable {
        name: "ENCKE_API_LISTEN",
        default: Some("127.0.0.1:8081"),
        summary: "addresses for backends (the private listener)",
        details: "For backends, metrics and the dashboard: a program that reaches it can publish \
            to everybody. Off loopback it needs `ENCKE_API_KEY`. `unix:PATH` is a Unix socket, \
            protected by the file's permissions; a stale one is replaced.",
        kind: VariableKind::Text {
            allowed: "a comma-separated list of IP:PORT, [IPV6]:PORT, *:PORT, unix:PATH",
            place: |config, text| list(text, ApiListen::read).map(|all| config.api_listen = all),
        },
    },
    Variable {
        name: "ENCKE_XMLSOCKET_LISTEN",
        default: None,
        summary: "addresses for XMLSocket clients",
        details: "Messages that end with a NUL in both directions, without HTTP, as in Flash's \
            `XMLSocket`; the first one names the user. The node makes a policy file from \
            `ENCKE_ORIGINS` and sends it on request. The rules for `ENCKE_LISTEN` off loopback \
            apply here too.",
        kind: VariableKind::Text {
            allowed: "a comma-separated list of IP:PORT, [IPV6]:PORT, *:PORT",
            place: |config, text| list(text, Listen::read).map(|all| config.xmlsocket_listen = all),
        },
    },
    Variable {
        name: "ENCKE_PROXY_PROTOCOL",
        default: Some("0"),
        summary: "peers whose public connections begin with a PROXY protocol header",
        details: "A list of the balancers, as addresses and networks (`10.0.0.0/8,2001:db8::7`): \
            each of their connections must begin with a header of the PROXY protocol, v1 or v2, \
            and the node takes the client's address from it. Other peers are clients themselves; \
            the node refuses a header from them and logs it, since otherwise any client could \
            claim any address. `1` (or `on`) requires a header from every peer and trusts it: use \
            it only for listeners that only the balancer reaches; a list is better. `0` (or `off`) \
            expects no header.",
        kind: VariableKind::Text {
            allowed: PEERS,
            place: |config, text| ProxyProtocol::read(text).map(|peers| config.proxy_protocol = peers),
        },
    },
    Variable {
        name: "ENCKE_API_PROXY_PROTOCOL",
        default: Some("0"),
        summary: "the same for the private listener",
        details: "For a private listener behind a balancer that sends the PROXY protocol to all of \
            its targets. `unix` in the list stands for the peers of a Unix socket.",
        kind: VariableKind::Text {
            allowed: PEERS,
            place: |config, text| ProxyProtocol::read(text).map(|peers| config.api_proxy_protocol = peers),
        },
    },
    Variable {
        name: "ENCKE_SHARDS",
        default: Some("auto"),
        summary: "number of shards, each one thread; auto is one per core",
        details: "`auto` is one for each core that the process may use, at most 64. A user, \
            session or channel has its home on one shard, so more shards than cores bring nothing. \
            Bounds given per node are split evenly between the shards.",
        kind: VariableKind::CountOrAuto {
            from: 1,
            to: SHARDS_MAX,
            place: |config, value| config.shards = value,
        },
    },
    Variable {
        name: "ENCKE_LAME_DUCK",
        default: Some("auto"),
        summary: "time after TERM in which the node serves but fails health checks",
        details: "A balancer sends new clients until a health check fails, and answers 502 if the \
            listener is already closed. So after TERM or INT `/health` and `/ready` answer 503 on \
            both listeners for this long, while everything else continues; then the public \
            listener closes and the drain begins. Set it longer than the balancer needs to notice: \
            its interval times the number of failures that it counts. `auto` is 5 s, and 0 s if \
            all public addresses are loopback. A second signal ends the node at once.",
        kind: VariableKind::SpanOrAuto {
            from: Span::ZERO,
            to: MINUTE.part(10, 1),
            place: |config, value| config.lame_duck = value,
        },
    },
    Variable {
        name: "ENCKE_DRAIN",
        default: Some("10s"),
        summary: "time the node may take to stop after TERM",
        details: "On TERM or INT, after `ENCKE_LAME_DUCK`, the node tells every client to \
            reconnect after a random part of this time, so that they do not all reach the next \
            node at once. When it is over, the node cuts the remaining connections and exits with \
            0. Keep the sum of both below the supervisor's timeout (Kubernetes: \
            `terminationGracePeriodSeconds`, 30 s). `0s` stops at once.",
        kind: VariableKind::Span {
            from: Span::ZERO,
            to: MINUTE.part(10, 1),
            zero: None,
            place: |config, value| config.drain = value,
        },
    },
];

const PEERS: &str = "0, 1, or a comma-separated list of IP, IP/BITS and unix";
