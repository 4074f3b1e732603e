//! TCP sockets for pages: the servers that they may reach, and bounds.

use super::{HOUR, KIB, MIB, Span, Variable};
use crate::config::values::tcp::{AddressRule, TcpTarget};
use crate::config::values::{Secret, list};
use crate::config::variable::VariableKind;

pub(super) const ROWS: &[Variable] = &[
    Variable {
        name: "ENCKE_TCP_TARGETS",
        default: None,
        summary: "TCP servers that pages may reach, by names",
        details: "A list such as `irc=127.0.0.1:6667;webirc,sql=unix:/run/pg/.s.PGSQL.5432`: a name, \
            an address or a path, and options. Pages name the target, never the address. A host's \
            name is resolved for each connection. Options: `proxy=v1` or `proxy=v2` begins with a \
            PROXY header, `webirc` with the line that IRC servers take; `idle=10m` resets a stream \
            after such a silence; `max=200` bounds the streams at once; `tls` encrypts and verifies the connection. TCP.md describes them. Unset, there are none.",
        kind: VariableKind::Text {
            allowed: "NAME=HOST:PORT or NAME=unix:PATH, with ;OPTION, as a list, or unset",
            place: |config, text| TcpTarget::read_all(text).map(|targets| config.tcp.targets = targets),
        },
    },
    Variable {
        name: "ENCKE_TCP_ALLOW",
        default: None,
        summary: "addresses that pages may name as targets",
        details: "A list such as `192.0.2.0/24=22,192.0.2.7=6000-6010`: networks with a port, a range \
            or `*`. A page may then also open a stream by host and port. Names are resolved first, and \
            the rules apply to the addresses. Link-local addresses, where clouds keep their metadata, \
            are never reached. Unset, pages can name targets only.",
        kind: VariableKind::Text {
            allowed: "NETWORK=PORT, NETWORK=PORT-PORT or NETWORK=*, as a list, or unset",
            place: |config, text| list(text, AddressRule::read).map(|rules| config.tcp.allow = rules),
        },
    },
    Variable {
        name: "ENCKE_TCP_WEBIRC_PASSWORD",
        default: None,
        summary: "password of the WEBIRC line",
        details: "Targets with the option `webirc` get `WEBIRC PASSWORD encke HOST ADDRESS` before the \
            page's first line, so that they see the client's address. Required if there are any.",
        kind: VariableKind::Secret {
            allowed: "1 to 512 visible characters, or unset",
            place: |config, text| {
                if !text.bytes().all(|byte| byte.is_ascii_graphic())
                    || text.len() > 512
                    || text.starts_with(':')
                {
                    return Err(
                        "is not 1 to 512 visible ASCII characters, beginning with another than :".to_owned()
                    );
                }
                config.tcp.webirc_password = Some(Secret::new(text));
                Ok(())
            },
        },
    },
    Variable {
        name: "ENCKE_TCP_CONNECT_TIMEOUT",
        default: Some("10s"),
        summary: "time to connect to a TCP target",
        details: "Includes resolving its name. The page is told `backend-timeout`.",
        kind: VariableKind::Span {
            from: Span::from_millis(100),
            to: Span::from_secs(120),
            zero: None,
            place: |config, value| config.tcp.connect_timeout = value,
        },
    },
    Variable {
        name: "ENCKE_TCP_WINDOW",
        default: Some("256KiB"),
        summary: "bytes of a TCP stream that may be under way in one direction",
        details: "The node reads from a target only as much as the page has room for, and the page sends \
            only as much as the target takes. A WebSocket that is one stream has this much pending, or \
            `ENCKE_OUTBOX_BYTES` if that is more. All streams of a session together have at most half of \
            `ENCKE_CHANNEL_BYTES` under way to the page.",
        kind: VariableKind::Bytes {
            from: 16 * KIB,
            to: 16 * MIB,
            zero: None,
            place: |config, value| config.tcp.window = value,
        },
    },
    Variable {
        name: "ENCKE_TCP_STREAMS",
        default: Some("32"),
        summary: "TCP streams of one session",
        details: "A further one is refused with `too-many-streams`.",
        kind: VariableKind::Count { from: 1, to: 4096, place: |config, value| config.tcp.streams = value },
    },
    Variable {
        name: "ENCKE_TCP_USER_STREAMS",
        default: Some("64"),
        summary: "TCP streams of one user",
        details: "A further one is refused with `too-many-streams`.",
        kind: VariableKind::Count {
            from: 1,
            to: 65_536,
            place: |config, value| config.tcp.user_streams = value,
        },
    },
    Variable {
        name: "ENCKE_TCP_ADDRESS_STREAMS",
        default: Some("auto"),
        summary: "TCP streams of one network address; auto bounds public ones",
        details: "Of all users together, so that one program cannot use up `ENCKE_TCP_NODE_STREAMS`. `auto` \
            allows 256 to an address of a public network and does not count private ones, which are \
            mostly those of balancers; a number counts for every address. Behind a balancer the address is \
            the client's with `ENCKE_PROXY_PROTOCOL` alone. For IPv6 the first 64 bits count. Each shard \
            allows its share, or `ENCKE_TCP_USER_STREAMS` if that is more, but never more than the number. \
            A further stream is refused with `too-many-streams`.",
        kind: VariableKind::CountOrAuto {
            from: 1,
            to: 1_000_000,
            place: |config, value| config.tcp.address_streams = value,
        },
    },
    Variable {
        name: "ENCKE_TCP_NODE_STREAMS",
        default: Some("1024"),
        summary: "TCP streams of the node",
        details: "Each takes a file descriptor, which is reserved if there are targets. Shards have equal \
            shares.",
        kind: VariableKind::Count {
            from: 1,
            to: 1_000_000,
            place: |config, value| config.tcp.node_streams = value,
        },
    },
    Variable {
        name: "ENCKE_TCP_HALF_CLOSED",
        default: Some("60s"),
        summary: "time that a TCP stream lasts once one direction has ended",
        details: "Bytes in the other direction prolong it. Then the stream is reset.",
        kind: VariableKind::Span {
            from: Span::from_secs(1),
            to: HOUR,
            zero: None,
            place: |config, value| config.tcp.half_closed = value,
        },
    },
    Variable {
        name: "ENCKE_TCP_ENDED_KEPT",
        default: Some("120s"),
        summary: "time that the unread bytes of an ended TCP stream are kept",
        details: "A page that was away may still fetch what the server had sent before it ended. Then \
            the stream is forgotten.",
        kind: VariableKind::Span {
            from: Span::from_secs(1),
            to: HOUR,
            zero: None,
            place: |config, value| config.tcp.ended_kept = value,
        },
    },
];
