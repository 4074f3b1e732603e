//! Timeouts of polls, streams and sessions, and numbers of sessions.

use super::{GIB, HOUR, KIB, MINUTE, Span, Variable};
use crate::config::variable::VariableKind;

pub(super) const ROWS: &[Variable] = &[
    Variable {
        name: "ENCKE_POLL_HOLD",
        default: Some("55s"),
        summary: "time a long poll is held before it is answered empty",
        details: "The longer, the fewer requests. Most proxies and balancers answer 504 once a \
            request has been silent for 60 s, some platforms after 30 s or 55 s \
            ([table](TRANSPORTS.md#proxies-and-platforms)): stay below the shortest limit on the \
            path. At its end the node answers the poll with an empty array and the client polls \
            again. Also Bayeux's `timeout`.",
        kind: VariableKind::Span {
            from: Span::from_secs(1),
            to: HOUR,
            zero: None,
            place: |config, value| config.poll_hold = value,
        },
    },
    Variable {
        name: "ENCKE_POLL_MIN",
        default: Some("500ms"),
        summary: "shortest poll interval that the node advises",
        details: "Each answer to a poll ends with advice on the time until the next one: a third \
            of the silence so far, more under load, and never less than this. A client that \
            follows it gets a message late by at most a third of the silence before it.",
        kind: VariableKind::Span {
            from: Span::from_millis(10),
            to: MINUTE,
            zero: None,
            place: |config, value| config.poll_min = value,
        },
    },
    Variable {
        name: "ENCKE_POLL_MAX",
        default: Some("30s"),
        summary: "longest poll interval that the node advises",
        details: "Advised after a long silence, or under load. The node never advises more than \
            half of `ENCKE_SESSION_GRACE`, so that a client that follows the advice keeps its \
            session. Must be at least `ENCKE_POLL_MIN`.",
        kind: VariableKind::Span {
            from: Span::from_millis(10),
            to: HOUR,
            zero: None,
            place: |config, value| config.poll_max = value,
        },
    },
    Variable {
        name: "ENCKE_RECYCLE_BYTES",
        default: Some("4MiB"),
        summary: "bytes after which a streaming response hands over to the next",
        details: "Pages that read a stream by `XMLHttpRequest` or in a frame keep all of it: five \
            times its size in some browsers. The client gets `close` with the code `recycle` and \
            keeps receiving messages until its next response takes over, for at most `ENCKE_RECYCLE_PATIENCE`. \
            No message is lost or delayed. Browsers keep nothing of a socket, so sockets are not \
            recycled.",
        kind: VariableKind::Bytes {
            from: KIB,
            to: GIB,
            zero: Some("no such bound"),
            place: |config, value| config.recycle_bytes = (value != 0).then_some(value),
        },
    },
    Variable {
        name: "ENCKE_RECYCLE_AFTER",
        default: Some("0s"),
        summary: "age at which a streaming response hands over to the next",
        details: "For proxies that cut a response after some time, however busy it is: stay below \
            their limit. Each response lasts between 3/4 of it and all of it, so that they do not \
            all end at once.",
        kind: VariableKind::Span {
            from: Span::from_secs(1),
            to: HOUR.part(24, 1),
            zero: Some("no such bound"),
            place: |config, value| config.recycle_after = (value != Span::ZERO).then_some(value),
        },
    },
    Variable {
        name: "ENCKE_RECYCLE_PATIENCE",
        default: Some("10s"),
        summary: "time a client has to open its next response after `recycle`",
        details: "The old response carries messages until the next one takes over, and ends after this \
            time. Longer than clients wait before they connect again.",
        kind: VariableKind::Span {
            from: Span::from_secs(1),
            to: Span::from_secs(300),
            zero: None,
            place: |config, value| config.recycle_patience = value,
        },
    },
    Variable {
        name: "ENCKE_CONTEST_WITHIN",
        default: Some("10s"),
        summary: "time in which two clients take one session from each other",
        details: "When each of two clients has taken the session from the other twice, each time \
            within this span, the later one gets a session of its own. Browsers open an \
            `EventSource` again after 3 to 5 seconds: a shorter span does not notice two of \
            them.",
        kind: VariableKind::Span {
            from: Span::from_secs(1),
            to: Span::from_secs(300),
            zero: None,
            place: |config, value| config.contest_within = value,
        },
    },
    Variable {
        name: "ENCKE_BAYEUX_CONTEST_WITHIN",
        default: Some("2s"),
        summary: "the same for Bayeux clients",
        details: "Bayeux clients connect again at once. It is short, because their new session begins \
            without the messages of the old one.",
        kind: VariableKind::Span {
            from: Span::from_secs(1),
            to: Span::from_secs(300),
            zero: None,
            place: |config, value| config.bayeux_contest_within = value,
        },
    },
    Variable {
        name: "ENCKE_SESSION_GRACE",
        default: Some("90s"),
        summary: "time a session lives without a connection",
        details: "A page that loses its connection has this long to resume its session. Browsers \
            run the timers of hidden tabs once a minute, so a shorter grace ends the sessions of \
            tabs that wait for their next attempt. Meanwhile the session costs no connection and \
            no queue, only its position. Afterwards the client gets a new session, which may still \
            resume from the old position as far as the message logs reach. Must be longer than \
            `ENCKE_HEARTBEAT`: a client notices a dead link only by a missed heartbeat. Also \
            Bayeux's max-interval and SockJS's disconnect delay.",
        kind: VariableKind::Span {
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
            networks). Clients get it in `open` and treat a link as dead that stays silent for \
            longer. A shorter one finds dead links sooner and costs bandwidth and battery.",
        kind: VariableKind::Span {
            from: Span::from_millis(100),
            to: MINUTE.part(10, 1),
            zero: None,
            place: |config, value| config.heartbeat = value,
        },
    },
    Variable {
        name: "ENCKE_ADMIT",
        default: Some("0"),
        summary: "sessions that the node creates in a second; 0: all that come",
        details: "Twice as many may come at once. A client above that is told when to come back, each \
            later than the one before: by `close` with the code `busy`, by Bayeux advice, or by \
            status 503 with `Retry-After`. Clients whose session is here pass freely. Set it where \
            each new session costs more than the node: a broker, a database behind a hook, TLS.",
        kind: VariableKind::Count { from: 0, to: 1_000_000, place: |config, value| config.admit = value },
    },
    Variable {
        name: "ENCKE_SESSIONS",
        default: Some("1_000_000"),
        summary: "sessions of the node",
        details: "With and without a connection. A session costs a few hundred bytes, so a million \
            fits a small machine. At the bound a client that needs a new session gets 503 with \
            `Retry-After`; existing sessions continue.",
        kind: VariableKind::Count {
            from: 1,
            to: 100_000_000,
            place: |config, value| config.sessions = value,
        },
    },
    Variable {
        name: "ENCKE_SESSIONS_PER_USER",
        default: Some("64"),
        summary: "sessions of one user",
        details: "One for each page or browser. At the bound a new session ends the least recently \
            used one, whose client gets `too-many-sessions`: a client that leaks sessions, or a \
            user id shared by many people, cannot fill the node. With more than 256 sessions, the \
            node samples 256 at random and ends the least recently used of these.",
        kind: VariableKind::Count {
            from: 1,
            to: 1_000_000,
            place: |config, value| config.sessions_per_user = value,
        },
    },
    Variable {
        name: "ENCKE_SESSIONS_PER_BROWSER",
        default: Some("256"),
        summary: "Bayeux sessions of one browser",
        details: "A browser is known by its cookie (`BAYEUX_BROWSER` or `BAYEUX_SOCKET`). It has a \
            session for each page, and one for each page that was reloaded or left within \
            `ENCKE_SESSION_GRACE`. At the bound a handshake fails with `429::too_many_sessions` \
            and the advice to retry in five seconds. A program that runs many clients with one set \
            of cookies needs more.",
        kind: VariableKind::Count {
            from: 1,
            to: 100_000_000,
            place: |config, value| config.sessions_per_browser = value,
        },
    },
    Variable {
        name: "ENCKE_SESSIONS_PER_ADDRESS",
        default: Some("auto"),
        summary: "sessions of one network address; auto bounds public ones",
        details: "Of all protocols, so that one program cannot use up `ENCKE_SESSIONS`. `auto` \
            allows 20,000 to an address of a public network, more than a carrier's NAT puts behind \
            one, and does not count private addresses, which are mostly those of balancers. Behind \
            a balancer with a public address that does not send the clients' addresses \
            (`ENCKE_PROXY_PROTOCOL`), all clients share one: set the value of `ENCKE_SESSIONS` \
            there. A number counts for every address. Each shard allows its share of it. For IPv6 \
            the first 64 bits count. At the bound a new session gets 429 with `Retry-After`, and a \
            Bayeux handshake fails with the advice to retry in five seconds.",
        kind: VariableKind::CountOrAuto {
            from: 1,
            to: 100_000_000,
            place: |config, value| config.sessions_per_address = value,
        },
    },
    Variable {
        name: "ENCKE_SUBSCRIPTIONS",
        default: Some("128"),
        summary: "subscriptions of one session, the personal channel not counted",
        details: "Catching up merges as many message logs as a session has subscriptions, so this \
            bounds its cost. At the bound a further subscription is refused with an error; the \
            session continues. A wildcard is one subscription.",
        kind: VariableKind::Count {
            from: 1,
            to: 10_000,
            place: |config, value| config.subscriptions = value,
        },
    },
    Variable {
        name: "ENCKE_SOCKJS_DISCONNECT",
        default: Some("5s"),
        summary: "time that a SockJS session lives without a receiving request",
        details: "Counts from the end of a response that the server ended. A connection that breaks \
            before ends the session at once, since SockJS clients have no other way to close one.",
        kind: VariableKind::Span {
            from: Span::from_millis(100),
            to: HOUR,
            zero: None,
            place: |config, value| config.sockjs.disconnect = value,
        },
    },
    Variable {
        name: "ENCKE_SOCKJS_RESPONSE_BYTES",
        default: Some("128KiB"),
        summary: "bytes after which a streaming SockJS response ends",
        details: "Browsers keep all of such a response in memory. The client asks for the next one at \
            once; nothing is lost.",
        kind: VariableKind::Bytes {
            from: KIB,
            to: GIB,
            zero: None,
            place: |config, value| config.sockjs.response_bytes = u32::try_from(value).unwrap_or(u32::MAX),
        },
    },
    Variable {
        name: "ENCKE_SOCKJS_CLIENT",
        default: None,
        summary: "URL of the script that SockJS's hidden frames load",
        details: "It must be the same version as the one on the page: on a mismatch the client refuses \
            to go on. Only the frames of pages of other origins need it. Unset, they load the newest \
            1.x from jsDelivr.",
        kind: VariableKind::Text {
            allowed: "http[s]://URL or /PATH, or unset",
            place: |config, text| {
                let is_url = ["/", "http://", "https://"].iter().any(|start| text.starts_with(start));
                if !is_url || text.chars().any(char::is_control) {
                    return Err("is neither a URL nor a path".to_owned());
                }
                config.sockjs.client = Some(text.to_owned());
                Ok(())
            },
        },
    },
    Variable {
        name: "ENCKE_SOCKJS_WEBSOCKET",
        default: Some("1"),
        summary: "0: SockJS clients may not come by WebSocket",
        details: "`/info` tells them so, and they begin with streaming. For networks in which \
            WebSockets open and then carry nothing.",
        kind: VariableKind::Flag { place: |config, value| config.sockjs.websocket = value },
    },
    Variable {
        name: "ENCKE_SOCKJS_COOKIE",
        default: Some("0"),
        summary: "1: SockJS responses set the cookie JSESSIONID",
        details: "A session then belongs to the browser that keeps the cookie: another one that \
            learns the session's name gets 404. Balancers can keep a client at one node by it; those that hash the \
            user in the path need none. A client that keeps no cookies is served all the same.",
        kind: VariableKind::Flag { place: |config, value| config.sockjs.cookie = value },
    },
    Variable {
        name: "ENCKE_SOCKJS_TEST",
        default: Some("0"),
        summary: "1: serve the services of SockJS's public test suite",
        details: "`/echo`, `/disabled_websocket_echo`, `/cookie_needed_echo`, `/close`, `/ticker`, \
            `/amplify` and `/broadcast`. For tests alone: anybody may use them, and `amplify` answers a few bytes with \
            256 KiB.",
        kind: VariableKind::Flag { place: |config, value| config.sockjs.test = value },
    },
];
