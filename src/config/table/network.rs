//! Socket options. The defaults suit nearly every deployment.

use super::{HOUR, KIB, MIB, Span, Variable};
use crate::config::variable::VariableKind;

pub(super) const ROWS: &[Variable] = &[
    Variable {
        name: "ENCKE_GZIP",
        default: Some("0"),
        summary: "1: responses are compressed for clients that accept it",
        details: "Compresses batches that become smaller by it, and streams (`stream`, `sse`), \
            whose messages are compressed once for all receivers and can be read as they arrive. \
            Off by default: every browser says that it accepts gzip, messages of some hundred \
            bytes gain little, and a middlebox that unpacks responses may buffer them. Polls that \
            combine secrets with text chosen by others should not be compressed (BREACH: the \
            length reveals something about the secret). WebSocket has its own compression, which \
            its client requests.",
        kind: VariableKind::Flag { place: |config, value| config.gzip = value },
    },
    Variable {
        name: "ENCKE_BACKLOG",
        default: Some("4_096"),
        summary: "connections that wait in the kernel to be accepted, per listener",
        details: "Takes the burst of reconnects after a restart. The kernel lowers it to \
            `net.core.somaxconn`. Beyond it new connections must retry, after a second or more.",
        kind: VariableKind::Count { from: 1, to: 65_535, place: |config, value| config.backlog = value },
    },
    Variable {
        name: "ENCKE_TCP_NODELAY",
        default: Some("1"),
        summary: "1: small writes leave at once",
        details: "With 0 the kernel holds small writes back until earlier ones are acknowledged \
            (Nagle), which delays pushes by a round trip.",
        kind: VariableKind::Flag { place: |config, value| config.tcp_nodelay = value },
    },
    Variable {
        name: "ENCKE_TCP_USER_TIMEOUT",
        default: Some("30s"),
        summary: "time sent bytes may stay unacknowledged",
        details: "The node notices a vanished peer (a phone in a tunnel) this long after the next \
            heartbeat. Then the kernel cuts the connection; the session lives on for \
            `ENCKE_SESSION_GRACE`. The kernel's own limit is about 15 minutes.",
        kind: VariableKind::Span {
            from: Span::from_secs(1),
            to: HOUR,
            zero: Some("the kernel's own"),
            place: |config, value| config.tcp_user_timeout = (value != Span::ZERO).then_some(value),
        },
    },
    Variable {
        name: "ENCKE_TCP_NOTSENT_LOWAT",
        default: Some("128KiB"),
        summary: "unsent bytes above which the kernel takes no more",
        details: "Keeps messages that a slow reader has not read in the message logs, where they \
            are stored once for all, and out of the kernel, where they would be stored per reader. \
            Too small a value slows fast readers on long links.",
        kind: VariableKind::Bytes {
            from: 4 * KIB,
            to: 64 * MIB,
            zero: Some("the kernel's own"),
            place: |config, value| config.tcp_notsent_lowat = (value != 0).then_some(value),
        },
    },
    Variable {
        name: "ENCKE_TCP_KEEPALIVE",
        default: Some("60s"),
        summary: "silence after which the kernel probes a peer",
        details: "Finds vanished peers on connections without traffic, such as held polls. With \
            `ENCKE_TCP_USER_TIMEOUT` unanswered probes end the connection.",
        kind: VariableKind::Span {
            from: Span::from_secs(1),
            to: HOUR.part(9, 1),
            zero: Some("no probes"),
            place: |config, value| config.tcp_keepalive = (value != Span::ZERO).then_some(value),
        },
    },
    Variable {
        name: "ENCKE_SEND_BUFFER",
        default: Some("0B"),
        summary: "bytes of the kernel's send buffer",
        details: "By default the kernel sizes the buffer to the link. Setting it bounds kernel \
            memory with very many slow readers, and disables that sizing. The kernel doubles the \
            value for its own bookkeeping and lowers it to `net.core.wmem_max`.",
        kind: VariableKind::Bytes {
            from: 4 * KIB,
            to: 64 * MIB,
            zero: Some("the kernel's own"),
            place: |config, value| config.send_buffer = (value != 0).then_some(value),
        },
    },
];
