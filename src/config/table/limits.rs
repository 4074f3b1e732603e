//! Bounds on one connection or request, in bytes, counts and time.

use super::{GIB, HOUR, KIB, MIB, MINUTE, Span, Variable};
use crate::config::variable::VariableKind;

pub(super) const ROWS: &[Variable] = &[
    Variable {
        name: "ENCKE_CONNECTIONS",
        default: Some("auto"),
        summary: "connections of the node; auto is what the file descriptors allow",
        details: "`auto` raises the process's limit of open files to its hard limit at the start \
            and keeps a reserve; the start-up log shows the number. At the bound a new connection \
            gets 503 and is closed, and the log warns. A number that needs more descriptors than \
            there are is lowered. The private listener has `ENCKE_API_RESERVE` on top.",
        kind: VariableKind::CountOrAuto {
            from: 1,
            to: 10_000_000,
            place: |config, value| config.connections = value,
        },
    },
    Variable {
        name: "ENCKE_API_RESERVE",
        default: Some("256"),
        summary: "connections beyond ENCKE_CONNECTIONS for the private listener",
        details: "Reserves these connections and their descriptors for backends, probes and \
            operators, however many clients are connected. At most a quarter of all descriptors.",
        kind: VariableKind::Count { from: 1, to: 100_000, place: |config, value| config.api_reserve = value },
    },
    Variable {
        name: "ENCKE_SILENT_PER_ADDRESS",
        default: Some("1_000"),
        summary: "connections of one address that have sent nothing yet",
        details: "Against attackers who open connections and leave them. At the bound a further \
            connection closes the one that has been silent for longest, so that other clients \
            behind the same address, which send at once, still connect. An address is one of IPv4, \
            or a /64 of IPv6; the client's, if a PROXY header names it. Not counted are loopback, \
            Unix sockets, the private listener, and balancers that `ENCKE_PROXY_PROTOCOL` lists. A \
            balancer that is not listed there may open this many in advance.",
        kind: VariableKind::Count {
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
            proxies rarely send more. Beyond it the node answers 431 and closes the connection.",
        kind: VariableKind::Bytes {
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
        details: "Several times what a browser behind two proxies sends. Beyond it the node \
            answers 431 and closes the connection.",
        kind: VariableKind::Count { from: 8, to: 1024, place: |config, value| config.headers = value },
    },
    Variable {
        name: "ENCKE_BODY_BYTES",
        default: Some("1MiB"),
        summary: "bytes of a request's body",
        details: "Room for a batch of messages. Beyond it the node answers 413, as soon as it \
            knows the length, and closes the connection.",
        kind: VariableKind::Bytes {
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
        details: "A push carries news, not files: send a link to anything larger. Beyond it 413, \
            or an error for that one message of a batch. Cannot exceed `ENCKE_BODY_BYTES`, which \
            carries it, nor `ENCKE_CHANNEL_BYTES`, which stores it.",
        kind: VariableKind::Bytes {
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
        details: "Deeper than real data; many parsers give up at 100 or 128, and so would a \
            browser or a backend. Beyond it 400.",
        kind: VariableKind::Count { from: 1, to: 120, place: |config, value| config.json_depth = value },
    },
    Variable {
        name: "ENCKE_BATCH",
        default: Some("1_000"),
        summary: "messages or commands in one request",
        details: "Bounds what one request keeps in memory: a long batch runs in portions, and \
            other clients are served in between. Beyond it 413, and nothing of the request takes \
            effect. Cannot exceed `ENCKE_MAILBOX`, since a whole batch may go to one other shard.",
        kind: VariableKind::Count { from: 1, to: 100_000, place: |config, value| config.batch = value },
    },
    Variable {
        name: "ENCKE_HEAD_TIMEOUT",
        default: Some("10s"),
        summary: "time for a request's head to arrive",
        details: "Counted from the head's first byte, against clients that send a byte a minute to \
            hold connections. Afterwards the node answers 408 and closes the connection. A \
            connection that has sent nothing yet is idle, not slow: balancers open some in \
            advance.",
        kind: VariableKind::Span {
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
        details: "Enough for a full body at 300 kbit/s. Afterwards the node answers 408 and closes \
            the connection. A message up a WebSocket or an XMLSocket has as long from its first \
            byte, whatever comes between its fragments; afterwards a WebSocket is closed with \
            1008, and an XMLSocket gets an error and is closed.",
        kind: VariableKind::Span {
            from: Span::from_millis(100),
            to: HOUR,
            zero: None,
            place: |config, value| config.body_timeout = value,
        },
    },
    Variable {
        name: "ENCKE_INPUT_MEMORY",
        default: Some("64MiB"),
        summary: "bytes of unfinished input that the node buffers",
        details: "Incomplete heads and bodies, unfinished messages up a socket, and bytes behind a \
            request that is not answered yet. Each shard has its share, but at least room for four \
            times `ENCKE_BODY_BYTES`; a quarter of it is reserved for the private listener. At the \
            bound the connection that sends more gets 503 (`input-full`), or is closed with 1013 \
            if it is a WebSocket; input of other connections continues. Requests that arrive in \
            one piece are not buffered and not affected.",
        kind: VariableKind::Bytes {
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
        details: "Longer than the 60 s for which common load balancers keep their connections: the \
            side that reuses a connection should be the one to close it, or some requests meet a \
            closing connection, which the balancer answers with 502. Some balancers keep them \
            longer (Google Cloud 600 s, AWS ALB up to 4000 s): set it above yours \
            ([table](TRANSPORTS.md#proxies-and-platforms)). Afterwards the node closes the \
            connection without a response.",
        kind: VariableKind::Span {
            from: Span::from_millis(100),
            to: HOUR.part(24, 1),
            zero: None,
            place: |config, value| config.idle_timeout = value,
        },
    },
    Variable {
        name: "ENCKE_WRITE_TIMEOUT",
        default: Some("60s"),
        summary: "time a peer may read nothing of its pending bytes",
        details: "The node serves slow readers, but closes a connection that reads nothing at all \
            for this long. Its session lives on for `ENCKE_SESSION_GRACE`.",
        kind: VariableKind::Span {
            from: Span::from_millis(100),
            to: HOUR,
            zero: None,
            place: |config, value| config.write_timeout = value,
        },
    },
];
