//! How long things are held, and how many sessions there may be.

use super::{HOUR, MINUTE, Span, Variable};
use crate::config::variable::Kind;

pub(super) const ROWS: &[Variable] = &[
    Variable {
        name: "ENCKE_POLL_HOLD",
        default: Some("110s"),
        summary: "time a long poll is held before it is answered empty",
        details: "The longer, the fewer requests. Proxies cut silent requests, commonly after 120 s, \
            some after 60 s: stay below yours. At its end the poll is answered with an empty array and the \
            client asks again. Also Bayeux's `timeout`.",
        kind: Kind::Span {
            from: Span::from_secs(1),
            to: HOUR,
            zero: None,
            place: |config, value| config.poll_hold = value,
        },
    },
    Variable {
        name: "ENCKE_SESSION_GRACE",
        default: Some("60s"),
        summary: "time a session lives without a connection",
        details: "A page that loses its connection has this long to come back to the same session. It \
            costs no connection and no queue meanwhile, only its position. Afterwards it is a new session, \
            which may still go on from its old position as far as the message logs reach. Must be longer \
            than `ENCKE_HEARTBEAT`: a client notices a dead link only by a missed heartbeat. Also Bayeux's \
            max-interval and SockJS's disconnect delay.",
        kind: Kind::Span {
            from: Span::from_millis(100),
            to: HOUR.part(24, 1),
            zero: None,
            place: |config, value| config.session_grace = value,
        },
    },
    Variable {
        name: "ENCKE_HEARTBEAT",
        default: Some("25s"),
        summary: "silence on a stream after which a heartbeat is sent",
        details: "Below the shortest idle limit in common use (30 s in some proxies and mobile \
            networks). Clients are told it when they open and take a link for dead that stays silent for \
            longer. A shorter one finds dead links sooner and costs bandwidth and batteries.",
        kind: Kind::Span {
            from: Span::from_millis(100),
            to: MINUTE.part(10, 1),
            zero: None,
            place: |config, value| config.heartbeat = value,
        },
    },
    Variable {
        name: "ENCKE_SESSIONS",
        default: Some("1_000_000"),
        summary: "sessions of the node",
        details: "Attached and detached ones. A session costs a few hundred bytes, so a million fits a \
            small machine. At the bound a client that needs a new session gets 503 with `Retry-After`; those \
            that have one go on.",
        kind: Kind::Count { from: 1, to: 100_000_000, place: |config, value| config.sessions = value },
    },
    Variable {
        name: "ENCKE_SESSIONS_PER_USER",
        default: Some("64"),
        summary: "sessions of one user",
        details: "One for each page or browser. At the bound a new session ends the one that was unused for \
            longest, which is told so (`too-many-sessions`): a client that leaks sessions, or a user id that \
            everybody shares, cannot fill the node.",
        kind: Kind::Count { from: 1, to: 1_000_000, place: |config, value| config.sessions_per_user = value },
    },
    Variable {
        name: "ENCKE_SUBSCRIPTIONS",
        default: Some("128"),
        summary: "subscriptions of one session, the personal channel not counted",
        details: "Catching up merges as many message logs as a session has subscriptions, so this bounds \
            its cost. At the bound a further subscription is refused with an error; the session goes on. A \
            wildcard is one subscription.",
        kind: Kind::Count { from: 1, to: 10_000, place: |config, value| config.subscriptions = value },
    },
];
