//! What one connection or request may ask, in bytes, in numbers and in time.

use super::{GIB, HOUR, KIB, MIB, MINUTE, Span, Variable};
use crate::config::variable::Kind;

pub(super) const ROWS: &[Variable] = &[
    Variable {
        name: "ENCKE_CONNECTIONS",
        default: Some("auto"),
        summary: "connections of the node; auto is what the file descriptors allow",
        details: "`auto` raises the process's limit of open files to its hard limit at the start and \
            keeps a reserve; the start-up log tells the number. At the bound a new connection gets 503 and \
            is closed, and the log warns. A number that needs more descriptors than there are is lowered. The \
            private listener has `ENCKE_API_RESERVE` on top.",
        kind: Kind::CountOrAuto {
            from: 1,
            to: 10_000_000,
            place: |config, value| config.connections = value,
        },
    },
    Variable {
        name: "ENCKE_API_RESERVE",
        default: Some("256"),
        summary: "connections beyond ENCKE_CONNECTIONS for the private listener",
        details: "However many clients there are, backends, probes and operators still get in: these \
            connections and their descriptors are kept for them. At most a quarter of all descriptors.",
        kind: Kind::Count { from: 1, to: 100_000, place: |config, value| config.api_reserve = value },
    },
    Variable {
        name: "ENCKE_SILENT_PER_ADDRESS",
        default: Some("1_000"),
        summary: "connections of one address that have said nothing yet",
        details: "Against strangers who open connections and leave them. At the bound a further one closes the \
            one that has been silent for longest, so that others behind the same address, who speak at once, \
            still get in. An address is one of IPv4, or a /64 of IPv6; the client's, where a PROXY header names \
            it. Not counted are loopback, Unix sockets, the private listener, and balancers that \
            `ENCKE_PROXY_PROTOCOL` lists. A balancer that is not listed there may open that many ahead of need.",
        kind: Kind::Count {
            from: 1,
            to: 10_000_000,
            place: |config, value| config.silent_per_address = value,
        },
    },
    Variable {
        name: "ENCKE_HEAD_BYTES",
        default: Some("16KiB"),
        summary: "bytes of a request's head",
        details: "Request line and header fields. Room for large cookies and a token; browsers and \
            proxies rarely send more. Beyond it 431, and the connection is closed.",
        kind: Kind::Bytes {
            from: KIB,
            to: MIB,
            zero: None,
            place: |config, value| config.head_bytes = value,
        },
    },
    Variable {
        name: "ENCKE_HEADERS",
        default: Some("100"),
        summary: "header fields of a request",
        details: "Several times what a browser behind two proxies sends. Beyond it 431, and the \
            connection is closed.",
        kind: Kind::Count { from: 8, to: 1024, place: |config, value| config.headers = value },
    },
    Variable {
        name: "ENCKE_BODY_BYTES",
        default: Some("1MiB"),
        summary: "bytes of a request's body",
        details: "Room for a batch of messages. Beyond it 413, as soon as the length is known, and the \
            connection is closed.",
        kind: Kind::Bytes {
            from: KIB,
            to: GIB,
            zero: None,
            place: |config, value| config.body_bytes = value,
        },
    },
    Variable {
        name: "ENCKE_MESSAGE_BYTES",
        default: Some("256KiB"),
        summary: "bytes of one message's payload",
        details: "A push is news, not a file: send a link to anything larger. Beyond it 413, or an error \
            for that one message of a batch. Cannot exceed `ENCKE_BODY_BYTES`, which it comes in, nor \
            `ENCKE_CHANNEL_BYTES`, which it is kept in.",
        kind: Kind::Bytes {
            from: 64,
            to: 256 * MIB,
            zero: None,
            place: |config, value| config.message_bytes = value,
        },
    },
    Variable {
        name: "ENCKE_JSON_DEPTH",
        default: Some("64"),
        summary: "depth to which a JSON payload may nest",
        details: "Deeper than data is; many parsers give up at 100 or 128, and so a browser or a backend \
            behind them would. Beyond it 400.",
        kind: Kind::Count { from: 1, to: 120, place: |config, value| config.json_depth = value },
    },
    Variable {
        name: "ENCKE_BATCH",
        default: Some("1_000"),
        summary: "messages or commands in one request",
        details: "Bounds what one request keeps in memory: a long batch is carried out in portions, and others \
            are served in between. Beyond it 413, and nothing of the request is done. Cannot exceed `ENCKE_MAILBOX`, since a batch \
            may go to one other shard.",
        kind: Kind::Count { from: 1, to: 100_000, place: |config, value| config.batch = value },
    },
    Variable {
        name: "ENCKE_HEAD_TIMEOUT",
        default: Some("10s"),
        summary: "time for a request's head to arrive",
        details: "Counted from the head's first byte, against clients that send a byte a minute to hold \
            connections. Afterwards 408, and the connection is closed. A connection that has sent nothing \
            yet is idle, not slow: balancers open some ahead of need.",
        kind: Kind::Span {
            from: Span::from_millis(100),
            to: MINUTE.part(10, 1),
            zero: None,
            place: |config, value| config.head_timeout = value,
        },
    },
    Variable {
        name: "ENCKE_BODY_TIMEOUT",
        default: Some("30s"),
        summary: "time for a request's body, or a message up a socket, to arrive",
        details: "Enough for a full body at 300 kbit/s. Afterwards 408, and the connection is closed. A message up a \
            WebSocket or an XMLSocket has as long from its first byte, whatever comes between its fragments; \
            afterwards a WebSocket is closed with 1008, an XMLSocket gets an error and is closed.",
        kind: Kind::Span {
            from: Span::from_millis(100),
            to: HOUR,
            zero: None,
            place: |config, value| config.body_timeout = value,
        },
    },
    Variable {
        name: "ENCKE_INPUT_MEMORY",
        default: Some("64MiB"),
        summary: "bytes of unfinished input that the node keeps",
        details: "Heads and bodies of which more is to come, unfinished messages up a socket, and what came behind \
            a request that is not answered yet. Each shard has its part, but room for four times \
            `ENCKE_BODY_BYTES` at least; a quarter of it is for the private listener alone. At the bound the \
            connection that brings more gets 503 (`input-full`), a WebSocket is closed with 1013, and what others have begun \
            goes on. Requests that come in one piece keep nothing and are not affected.",
        kind: Kind::Bytes {
            from: 64 * KIB,
            to: 1024 * GIB,
            zero: None,
            place: |config, value| config.input_memory = value,
        },
    },
    Variable {
        name: "ENCKE_IDLE_TIMEOUT",
        default: Some("75s"),
        summary: "time a connection without a request is kept open",
        details: "Longer than the 60 s for which common load balancers keep theirs: the side that \
            re-uses a connection should be the one to close it, or a request meets a closing connection now \
            and then, which the balancer tells as 502. Some keep them longer (Google Cloud 600 s, AWS ALB up \
            to 4000 s): set it above yours ([table](TRANSPORTS.md#proxies-and-platforms)). Afterwards the \
            connection is closed without a word.",
        kind: Kind::Span {
            from: Span::from_millis(100),
            to: HOUR.part(24, 1),
            zero: None,
            place: |config, value| config.idle_timeout = value,
        },
    },
    Variable {
        name: "ENCKE_WRITE_TIMEOUT",
        default: Some("60s"),
        summary: "time a peer may take nothing of what waits for it",
        details: "A slow reader is welcome; one that reads nothing at all for this long is cut. Its \
            session lives on for `ENCKE_SESSION_GRACE`.",
        kind: Kind::Span {
            from: Span::from_millis(100),
            to: HOUR,
            zero: None,
            place: |config, value| config.write_timeout = value,
        },
    },
];
