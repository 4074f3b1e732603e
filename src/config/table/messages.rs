//! What is kept of messages, for how long, and how much may wait.

use super::{GIB, HOUR, KIB, MIB, Span, Variable};
use crate::config::variable::Kind;

pub(super) const ROWS: &[Variable] = &[
    Variable {
        name: "ENCKE_CHANNELS",
        default: Some("1_000_000"),
        summary: "channels of the node",
        details: "Those with subscribers or with messages kept; each user's personal channel is one. At \
            the bound a subscription or a publish that needs a new channel gets 503; the channels that exist \
            go on. An eighth is kept for backends: clients are refused before.",
        kind: Kind::Count { from: 1, to: 100_000_000, place: |config, value| config.channels = value },
    },
    Variable {
        name: "ENCKE_USER_CHANNELS",
        default: Some("10_000"),
        summary: "channels that exist because of one user",
        details: "Those to which the user was the first to subscribe, and apart from these those that the user's publishes have \
            made, of which each shard allows its part. A channel whose maker leaves is charged to another who is \
            subscribed; one that nobody needs counts until its messages have aged. At the bound 429 \
            (`too-many-user-channels`) for what needs a new channel. The personal channel and what backends publish do not count.",
        kind: Kind::Count { from: 1, to: 100_000_000, place: |config, value| config.user_channels = value },
    },
    Variable {
        name: "ENCKE_CHANNEL_MESSAGES",
        default: Some("128"),
        summary: "messages kept in one channel's log",
        details: "What clients that were away or slow are caught up from. At the bound the oldest \
            leaves once it is older than `ENCKE_SESSION_GRACE`, so that a session which comes back in time \
            finds all that it missed; who still needed it is told by a `gap`.",
        kind: Kind::Count { from: 1, to: 1_000_000, place: |config, value| config.channel_messages = value },
    },
    Variable {
        name: "ENCKE_CHANNEL_BYTES",
        default: Some("1MiB"),
        summary: "bytes kept in one channel's log",
        details: "At the bound the oldest messages leave; who still needed them is told by a `gap`. At \
            least `ENCKE_MESSAGE_BYTES`, or a message could not be kept even for itself.",
        kind: Kind::Bytes {
            from: KIB,
            to: 16 * GIB,
            zero: None,
            place: |config, value| config.channel_bytes = value,
        },
    },
    Variable {
        name: "ENCKE_CHANNEL_AGE",
        default: Some("10m"),
        summary: "age at which a message leaves its channel's log",
        details: "Lets the memory of quiet channels go. At least `ENCKE_SESSION_GRACE`: a session that \
            may still come back must find what it missed.",
        kind: Kind::Span {
            from: Span::from_millis(100),
            to: HOUR.part(24 * 7, 1),
            zero: None,
            place: |config, value| config.channel_age = value,
        },
    },
    Variable {
        name: "ENCKE_MEMORY",
        default: Some("256MiB"),
        summary: "bytes of all channels, subscriptions and message logs of the node",
        details: "The largest part of the node's memory that grows with use; connections and sessions, \
            about 1 KiB each, come on top. At the bound the oldest messages of the shard leave, whatever \
            their channel; who still needed them is told by a `gap`. A channel takes 320 bytes and its name, a subscription 64; \
            personal channels come with their sessions. \
            They may take three quarters: then channels that nobody is subscribed to leave with their messages, those \
            that have been so for longest first, and when there is none, 503 (`memory-full`) for what clients would add. At least `ENCKE_CHANNEL_BYTES` for each \
            shard.",
        kind: Kind::Bytes {
            from: 64 * KIB,
            to: 1024 * GIB,
            zero: None,
            place: |config, value| config.memory = value,
        },
    },
    Variable {
        name: "ENCKE_OUTBOX_BYTES",
        default: Some("64KiB"),
        summary: "bytes that wait for one connection, beyond the kernel's buffer",
        details: "At the bound nothing more is queued for that connection: its session falls back to its \
            cursor and is caught up from the message logs as it takes more. One message larger than this \
            still goes out, alone. So a slow reader costs at most this much.",
        kind: Kind::Bytes {
            from: KIB,
            to: 256 * MIB,
            zero: None,
            place: |config, value| config.outbox_bytes = value,
        },
    },
    Variable {
        name: "ENCKE_PUBLISH_KEYS",
        default: Some("100_000"),
        summary: "keys of publishes that are remembered",
        details: "A client or a backend that never saw the answer to its publish sends it again with the same key, and gets \
            the answer of the first time. Half are kept for clients and half for backends, and half as many again for Bayeux \
            clients, whose publishes are known by their ids and data. A key is remembered for `ENCKE_SESSION_GRACE`; at the bound the oldest are forgotten first. Each costs some 200 bytes.",
        kind: Kind::Count { from: 64, to: 100_000_000, place: |config, value| config.publish_keys = value },
    },
    Variable {
        name: "ENCKE_MAILBOX",
        default: Some("65_536"),
        summary: "letters and messages that wait for one shard",
        details: "Shards speak by mail. One with more waiting than this (a letter with several messages \
            counts as so many) is congested: publishes that would go to it get 503 with `Retry-After` until it has caught up, while subscriptions and what \
            was already accepted go on. At least `ENCKE_BATCH`.",
        kind: Kind::Count { from: 64, to: 16_777_216, place: |config, value| config.mailbox = value },
    },
];
