//! Bounds on kept messages and queues.

use super::{GIB, HOUR, KIB, MIB, Span, Variable};
use crate::config::variable::VariableKind;

pub(super) const ROWS: &[Variable] = &[
    Variable {
        name: "ENCKE_CHANNELS",
        default: Some("1_000_000"),
        summary: "channels of the node",
        details: "Those with subscribers or with kept messages; each user's personal channel is \
            one. At the bound a subscription or a publish that needs a new channel gets 503; \
            existing channels continue. An eighth is reserved for backends: clients are refused \
            earlier.",
        kind: VariableKind::Count {
            from: 1,
            to: 100_000_000,
            place: |config, value| config.channels = value,
        },
    },
    Variable {
        name: "ENCKE_USER_CHANNELS",
        default: Some("10_000"),
        summary: "channels that exist because of one user",
        details: "Counts the channels to which the user was the first to subscribe, and separately \
            those that the user's publishes created; each shard allows its share. If a channel's \
            creator leaves, another subscriber is charged for it; a channel without subscribers \
            counts until its messages have aged. At the bound 429 (`too-many-user-channels`) for \
            requests that need a new channel. The personal channel and backends' publishes do not \
            count.",
        kind: VariableKind::Count {
            from: 1,
            to: 100_000_000,
            place: |config, value| config.user_channels = value,
        },
    },
    Variable {
        name: "ENCKE_CHANNEL_MESSAGES",
        default: Some("128"),
        summary: "messages kept in one channel's log",
        details: "Detached and slow clients are caught up from these. At the bound the oldest \
            message is dropped once it is older than `ENCKE_SESSION_GRACE`, so that a session that \
            resumes in time gets all that it missed; a client that still needed a dropped message \
            gets a `gap`.",
        kind: VariableKind::Count {
            from: 1,
            to: 1_000_000,
            place: |config, value| config.channel_messages = value,
        },
    },
    Variable {
        name: "ENCKE_CHANNEL_BYTES",
        default: Some("1MiB"),
        summary: "bytes kept in one channel's log",
        details: "At the bound the oldest messages are dropped; a client that still needed them \
            gets a `gap`. At least `ENCKE_MESSAGE_BYTES`, or a single message would not fit.",
        kind: VariableKind::Bytes {
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
        details: "Frees the memory of quiet channels. At least `ENCKE_SESSION_GRACE`, so that a \
            session that may still resume finds what it missed.",
        kind: VariableKind::Span {
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
        details: "The largest part of the node's memory that grows with use; connections and \
            sessions, about 1 KiB each, come on top. At the bound the oldest messages of the shard \
            are dropped, whatever their channel; a client that still needed them gets a `gap`. A \
            channel takes 320 bytes and its name, a subscription 64; personal channels come with \
            their sessions. Channels and subscriptions may take three quarters: beyond that, \
            channels without subscribers are dropped with their messages, longest without first; \
            if there are none, requests of clients that need more get 503 (`memory-full`). At \
            least `ENCKE_CHANNEL_BYTES` for each shard.",
        kind: VariableKind::Bytes {
            from: 64 * KIB,
            to: 1024 * GIB,
            zero: None,
            place: |config, value| config.memory = value,
        },
    },
    Variable {
        name: "ENCKE_OUTBOX_BYTES",
        default: Some("64KiB"),
        summary: "bytes pending for one connection, beyond the kernel's buffer",
        details: "At the bound the node queues nothing more for that connection: its session falls \
            back to its cursor and is caught up from the message logs as it reads. A single larger \
            message is still sent, alone. So a slow reader costs at most this much.",
        kind: VariableKind::Bytes {
            from: KIB,
            to: 256 * MIB,
            zero: None,
            place: |config, value| config.outbox_bytes = value,
        },
    },
    Variable {
        name: "ENCKE_PUBLISH_KEYS",
        default: Some("100_000"),
        summary: "idempotency keys of publishes that the node keeps",
        details: "A client or a backend that never saw the answer to its publish sends it again \
            with the same key, and gets the first answer. Half are reserved for clients and half \
            for backends, and half as many again for Bayeux clients, whose publishes are \
            identified by their ids and data. A key is kept for `ENCKE_SESSION_GRACE`; at the \
            bound the oldest are dropped first. Each costs some 200 bytes.",
        kind: VariableKind::Count {
            from: 64,
            to: 100_000_000,
            place: |config, value| config.publish_keys = value,
        },
    },
    Variable {
        name: "ENCKE_MAILBOX",
        default: Some("65_536"),
        summary: "letters and messages that wait for one shard",
        details: "Shards exchange mail. A shard with more waiting than this (a letter with several \
            messages counts as that many) is congested: publishes to it get 503 with `Retry-After` \
            until it has caught up, while subscriptions and accepted messages continue. At least \
            `ENCKE_BATCH`.",
        kind: VariableKind::Count { from: 64, to: 16_777_216, place: |config, value| config.mailbox = value },
    },
];
