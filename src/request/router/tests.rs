//! From heads to what they ask for, on both listeners, and to which shard.

use std::rc::Rc;

use crate::auth::Grant;
use crate::auth::gate::Keys;
use crate::auth::key_watch::KeyWatch;
use crate::base::hash::Homes;
use crate::base::ids::{ListenerKind, ShardId};
use crate::base::ticks::Tick;
use crate::config::Config;
use crate::request::question::Question;
use crate::request::reply::Refusals;
use crate::request::router::{Context, Routed, origin, refusals, route};
use crate::request::sockjs::SockjsAsk;
use crate::request::{Content, Open, PublishTo, Request};
use crate::wire::channel_name::ChannelName;
use crate::wire::http::head::{Head, Parsed, parse};
use crate::wire::http::{HeadLimits, Scanned};

const HOMES: Homes = Homes::new((1, 2), 4);

/// The settings of a node, and the first of its four shards.
struct Gate {
    config: Config,
    keys: Keys,
    watch: KeyWatch,
    grant: Rc<Grant>,
}

impl Gate {
    fn new(vars: &[(&str, &str)]) -> Self {
        let config = Config::from_vars(vars.iter().copied()).expect("good settings");
        let keys = Keys::new(&config, None).expect("good keys");
        Self { config, keys, watch: KeyWatch::default(), grant: Rc::new(Grant::open()) }
    }

    /// What the shard `here` makes of a request.
    fn at(&self, here: u8, listener: ListenerKind, lines: &str) -> Routed {
        let context = Context {
            here: ShardId(here),
            homes: HOMES,
            keys: &self.keys,
            watch: &self.watch,
            now: Tick::ZERO,
            config: &self.config,
            open_grant: &self.grant,
            unix_now: 0,
        };
        with_head(lines, |head| route(&context, listener, head))
    }

    /// The same on the shard that it is for.
    fn ask(&self, listener: ListenerKind, lines: &str) -> Request {
        match self.at(0, listener, lines) {
            Routed::Here(request) => request,
            Routed::There(to) => match self.at(to.0, listener, lines) {
                Routed::Here(request) => request,
                Routed::There(_) => panic!("{lines} is for no shard"),
            },
        }
    }

    fn public(&self, lines: &str) -> Request {
        self.ask(ListenerKind::Public, lines)
    }

    fn private(&self, lines: &str) -> Request {
        self.ask(ListenerKind::Private, lines)
    }

    fn open(&self, target: &str) -> Box<Open> {
        match self.public(&format!("GET {target}")) {
            Request::Open(open) => open,
            other => panic!("{target}: {other:?}"),
        }
    }
}

/// Parses a request line and headers; lines end with `\n`, and `HTTP/1.1` and `Host` are added.
fn with_head<T>(lines: &str, look: impl FnOnce(&Head<'_>) -> T) -> T {
    let (line, headers) = lines.split_once('\n').unwrap_or((lines, ""));
    let headers =
        if headers.is_empty() { String::new() } else { format!("{}\r\n", headers.replace('\n', "\r\n")) };
    let text = format!("{line} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
    let limits = HeadLimits { bytes_max: 8192, headers_max: 64 };
    match parse(text.as_bytes(), Scanned::default(), &limits) {
        Ok(Parsed::Complete { head, .. }) => look(&head),
        other => panic!("no request: {text}: {other:?}"),
    }
}

/// What a request is, in a word; of a refusal the code.
fn kind(request: &Request) -> &'static str {
    match request {
        Request::Open(open) => open.transport.transport().name(),
        Request::Bayeux(asked) if asked.upgrade.is_some() => "bayeux socket",
        Request::Bayeux(_) => "bayeux",
        Request::Sockjs(asked) => match asked.ask {
            SockjsAsk::Page(_) => "sockjs page",
            SockjsAsk::Info { .. } => "sockjs info",
            SockjsAsk::Receive(_) => "sockjs receive",
            SockjsAsk::Send { .. } => "sockjs send",
            SockjsAsk::Socket { .. } => "sockjs socket",
        },
        Request::Tcp(_) => "tcp",
        Request::TcpTargets(_) => "tcp targets",
        Request::Echo(_) => "echo",
        Request::Over => "over",
        Request::Send(_) => "send",
        Request::Preflight(_) => "preflight",
        Request::Health => "health",
        Request::Moved(_) => "moved",
        Request::Asset { .. } => "asset",
        Request::Publish(publish) => match publish.to {
            PublishTo::User(_) => "publish to user",
            PublishTo::Session(_) => "publish to session",
            PublishTo::Named => "publish",
        },
        Request::Ask(Question::User { .. }) => "user",
        Request::Ask(Question::EndUser { .. }) => "end user",
        Request::Ask(Question::Channels { .. }) => "channels",
        Request::Ask(Question::Channel { .. }) => "channel",
        Request::Ask(Question::Place { .. }) => "place",
        Request::Ask(Question::Metrics) => "metrics",
        Request::Ask(Question::Ready) => "ready",
        Request::Refused(refusal) => refusal.code.text(),
    }
}

const UPGRADE: &str = "\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

#[test]
fn every_public_path_has_its_methods_and_its_meaning() {
    let gate = Gate::new(&[]);
    let socket = |target: &str, more: &str| format!("GET {target}{UPGRADE}{more}");
    for (lines, expected) in [
        ("GET /u/alice/sse".to_owned(), "sse"),
        ("GET /u/alice/sockjs".to_owned(), "sockjs page"),
        ("GET /sockjs/info".to_owned(), "sockjs info"),
        ("POST /u/alice/sockjs/0/abc/xhr".to_owned(), "sockjs receive"),
        ("POST /sockjs/0/abc/xhr_send".to_owned(), "sockjs send"),
        (socket("/u/alice/sockjs/websocket", ""), "sockjs socket"),
        ("GET /u/alice/pipe/info".to_owned(), "not-found"),
        ("GET /u/alice/longpoll".to_owned(), "longpoll"),
        ("POST /u/alice/longpoll\nContent-Length: 2".to_owned(), "longpoll"),
        ("GET /u/alice/jsonp?callback=f".to_owned(), "jsonp"),
        (socket("/u/alice/ws", ""), "ws"),
        (socket("/u/alice/ws", "\nSec-WebSocket-Protocol: encke.v1"), "ws"),
        (socket("/u/alice/ws", "\nSec-WebSocket-Protocol: encke.echo"), "echo"),
        (socket("/u/alice/ws?echo=1", ""), "echo"),
        (socket("/u/alice/ws", "\nSec-WebSocket-Protocol: other"), "bad-protocol"),
        ("GET /u/alice/ws".to_owned(), "ws-upgrade-required"),
        ("POST /u/alice/send\nContent-Length: 2".to_owned(), "send"),
        ("OPTIONS /u/alice/sse\nOrigin: http://a.test".to_owned(), "preflight"),
        ("GET /u/alice/sse?since=over".to_owned(), "over"),
        ("POST /u/alice/sse".to_owned(), "method-not-allowed"),
        ("PUT /u/alice/longpoll".to_owned(), "method-not-allowed"),
        ("GET /u/alice/send".to_owned(), "method-not-allowed"),
        ("GET /u/alice/nothing".to_owned(), "not-found"),
        ("GET /u/alice".to_owned(), "not-found"),
        ("GET /u/alice/sse/more".to_owned(), "not-found"),
        ("GET /u//sse".to_owned(), "bad-user"),
        ("GET /u/%zz/sse".to_owned(), "bad-user"),
        ("POST /bayeux/handshake\nContent-Length: 2".to_owned(), "bayeux"),
        ("POST /u/alice/bayeux\nContent-Length: 2".to_owned(), "bayeux"),
        ("GET /cometd?message=%5B%5D".to_owned(), "bayeux"),
        (socket("/bayeux", ""), "bayeux socket"),
        ("GET /bayeux".to_owned(), "no-message"),
        ("PUT /bayeux".to_owned(), "method-not-allowed"),
        ("GET /health".to_owned(), "health"),
        ("OPTIONS *".to_owned(), "health"),
        ("OPTIONS *\nOrigin: http://a.test\nAccess-Control-Request-Method: GET".to_owned(), "preflight"),
        ("GET /encke.js".to_owned(), "asset"),
        ("GET /encke.tcp.js".to_owned(), "asset"),
        ("GET /demo".to_owned(), "moved"),
        ("POST /publish\nContent-Length: 2".to_owned(), "not-found"),
        ("GET /metrics".to_owned(), "not-found"),
    ] {
        assert_eq!(kind(&gate.public(&lines)), expected, "{lines}");
    }
}

#[test]
fn the_private_listener_serves_backends_and_no_clients() {
    let gate = Gate::new(&[]);
    for (lines, expected) in [
        ("POST /publish\nContent-Length: 2", "publish"),
        ("GET /publish", "method-not-allowed"),
        ("POST /u/alice/publish\nContent-Length: 2", "publish to user"),
        ("POST /sessions/s123/send\nContent-Length: 2", "publish to session"),
        ("GET /sessions/s123/send", "method-not-allowed"),
        ("POST /sessions//send\nContent-Length: 2", "not-found"),
        ("GET /u/alice", "user"),
        ("DELETE /u/alice", "end user"),
        ("PUT /u/alice", "method-not-allowed"),
        ("GET /channels?prefix=/a&limit=3", "channels"),
        ("GET /channels?limit=0", "bad-limit"),
        ("GET /channels?limit=many", "bad-limit"),
        ("GET /channel?name=/a", "channel"),
        ("GET /channel", "no-channel"),
        ("GET /channel?name=a", "bad-channel"),
        ("GET /metrics", "metrics"),
        ("POST /metrics", "method-not-allowed"),
        ("GET /ready", "ready"),
        ("GET /health", "health"),
        ("GET /", "health"),
        ("GET /u/alice/sse", "not-found"),
        ("GET /nothing", "not-found"),
        ("POST /publish\nContent-Type: image/png\nContent-Length: 2", "bad-content-type"),
        ("POST /publish\nOrigin: http://evil.test\nContent-Length: 2", "origin-refused"),
    ] {
        assert_eq!(kind(&gate.private(lines)), expected, "{lines}");
    }
}

#[test]
fn only_health_checks_need_no_api_key() {
    let gate = Gate::new(&[("ENCKE_API_KEY", "a-key-that-is-long")]);
    for (line, without) in [
        ("GET /health", "health"),
        ("GET /ready", "ready"),
        ("OPTIONS /ready", "ready"),
        ("GET /metrics", "no-api-key"),
        ("POST /publish", "no-api-key"),
        ("GET /u/alice", "no-api-key"),
        ("GET /nothing", "no-api-key"),
    ] {
        assert_eq!(kind(&gate.private(line)), without, "{line}");
        let wrong = kind(&gate.private(&format!("{line}\nAuthorization: Bearer wrong-wrong")));
        let is_open = without != "no-api-key";
        assert_eq!(wrong, if is_open { without } else { "bad-api-key" }, "{line}");
        let right = kind(&gate.private(&format!("{line}\nAuthorization: Bearer a-key-that-is-long")));
        assert!(!right.contains("key"), "{line}: {right}");
    }
}

#[test]
fn a_request_goes_to_its_users_shard_before_it_is_checked() {
    let gate = Gate::new(&[("ENCKE_TOKEN_KEY", "a secret of thirty-two bytes, only for tests")]);
    let home = HOMES.of("alice");
    for target in
        ["/u/alice/sse", "/u/%61lice/sse", "/u/-/sse?user=alice", "/u/alice/nothing", "/u/alice/bayeux"]
    {
        for here in 0..4 {
            let routed = gate.at(here, ListenerKind::Public, &format!("GET {target}"));
            match routed {
                Routed::Here(request) => {
                    assert_eq!(here, home.0, "{target}");
                    assert!(matches!(request, Request::Refused(_)), "{target}: it brings no token");
                }
                Routed::There(to) => assert_eq!(to, home, "{target}"),
            }
        }
    }
}

#[test]
fn the_query_names_channels_and_history() {
    let gate = Gate::new(&[("ENCKE_CHANNEL_MESSAGES", "50")]);
    let open = gate.open("/u/alice/sse?channels=/a,/b/*,,/a,/u/alice&last=99&presence=0&session=s1");
    assert_eq!(open.channels.iter().map(ChannelName::as_str).collect::<Vec<_>>(), ["/a", "/b/*"]);
    assert_eq!((open.last, open.presence, open.session.as_deref()), (50, false, Some("s1")));
    assert_eq!((open.content, open.conflate), (None, None));
    for (query, refusal) in [
        ("channels=a", "bad-channel"),
        ("channels=/meta/a", "forbidden"),
        ("channels=/u/bob", "forbidden"),
        ("channels=/a/*&presence=1", "bad-channel"),
        ("last=many", "bad-last"),
        ("conflate=1", "bad-conflate"),
        ("conflate=soon", "bad-conflate"),
        ("channel=/a", "bad-query"),
        ("a=%zz", "bad-query"),
    ] {
        assert_eq!(kind(&gate.public(&format!("GET /u/alice/sse?{query}"))), refusal, "{query}");
    }
}

#[test]
fn a_list_of_channels_is_bounded_and_has_each_once() {
    let gate = Gate::new(&[("ENCKE_SUBSCRIPTIONS", "40")]);
    let list = |count: usize| (0..count).map(|n| format!("/n/{n}")).collect::<Vec<_>>().join(",");
    let twice = format!("{0},{0}", list(40));
    assert_eq!(gate.open(&format!("/u/alice/sse?channels={twice}")).channels.len(), 40, "each once");
    let too_many = gate.public(&format!("GET /u/alice/sse?channels={}", list(41)));
    assert_eq!(kind(&too_many), "too-many-subscriptions");
}

#[test]
fn the_last_event_id_goes_before_the_position_of_the_url() {
    let gate = Gate::new(&[]);
    for (lines, since) in [
        ("GET /u/alice/sse", None),
        ("GET /u/alice/sse?since=aaaaaaaa-3", Some("aaaaaaaa-3")),
        ("GET /u/alice/sse?since=", None),
        ("GET /u/alice/sse?since=aaaaaaaa-3\nLast-Event-ID: aaaaaaaa-2", Some("aaaaaaaa-2")),
        ("GET /u/alice/sse?since=aaaaaaaa-3&lastEventId=aaaaaaaa-5", Some("aaaaaaaa-5")),
        ("GET /u/alice/sse?since=aaaaaaaa-7&lastEventId=aaaaaaaa-5", Some("aaaaaaaa-7")),
        ("GET /u/alice/sse?since=aaaaaaaa-7&lastEventId=bbbbbbbb-1", Some("bbbbbbbb-1")),
        ("GET /u/alice/sse?since=aaaaaaaa-7&lastEventId=nonsense", Some("aaaaaaaa-7")),
    ] {
        match gate.public(lines) {
            Request::Open(open) => assert_eq!(open.since.as_deref(), since, "{lines}"),
            other => panic!("{lines}: {other:?}"),
        }
    }
}

#[test]
fn a_body_is_read_by_its_type() {
    let gate = Gate::new(&[]);
    for (content_type, expected) in [
        ("", Ok(Content::Json)),
        ("application/json", Ok(Content::Json)),
        ("Application/JSON; charset=UTF-8", Ok(Content::Json)),
        ("application/vnd.api+json", Ok(Content::Json)),
        ("application/x-ndjson", Ok(Content::Lines)),
        ("application/x-www-form-urlencoded", Ok(Content::Form)),
        ("text/plain;charset=utf-8", Ok(Content::Text)),
        ("application/octet-stream", Ok(Content::Bytes)),
        ("text/plain; charset=latin1", Err("bad-content-type")),
        ("image/png", Err("bad-content-type")),
        ("nonsense", Err("bad-content-type")),
    ] {
        let header =
            if content_type.is_empty() { String::new() } else { format!("\nContent-Type: {content_type}") };
        let request = gate.private(&format!("POST /publish\nContent-Length: 2{header}"));
        match (&request, expected) {
            (Request::Publish(publish), Ok(content)) => {
                assert_eq!(publish.content, content, "{content_type}");
            }
            (Request::Refused(refusal), Err(code)) => assert_eq!(refusal.code.text(), code, "{content_type}"),
            _ => panic!("{content_type}: {request:?}"),
        }
    }
    let without_body = gate.private("POST /publish\nContent-Type: image/png");
    assert_eq!(kind(&without_body), "publish", "what does not come is not judged");
}

#[test]
fn bayeux_reads_text_as_a_form_and_refuses_lines_and_bytes() {
    let gate = Gate::new(&[]);
    for (content_type, expected) in [
        ("application/json", Ok(Content::Json)),
        ("text/plain", Ok(Content::Form)),
        ("application/x-www-form-urlencoded", Ok(Content::Form)),
        ("application/x-ndjson", Err("bad-content-type")),
        ("application/octet-stream", Err("bad-content-type")),
    ] {
        let lines = format!("POST /bayeux\nContent-Length: 2\nContent-Type: {content_type}");
        match (gate.public(&lines), expected) {
            (Request::Bayeux(asked), Ok(content)) => assert_eq!(asked.content, content, "{content_type}"),
            (Request::Refused(refusal), Err(code)) => assert_eq!(refusal.code.text(), code, "{content_type}"),
            (other, _) => panic!("{content_type}: {other:?}"),
        }
    }
}

#[test]
fn refusals_are_scripts_where_a_script_element_asks() {
    let script = |name: &str| Refusals::Script(name.into());
    for (line, expected) in [
        ("GET /u/alice/sse?callback=f", Refusals::Status),
        ("GET /u/alice/jsonp?callback=a.b", script("a.b")),
        ("HEAD /u/alice/jsonp?callback=f", Refusals::Status),
        ("GET /u/alice/jsonp?callback=alert(1)", Refusals::Status),
        ("GET /u/alice/jsonp", Refusals::Status),
        ("GET /bayeux?message=x", script("jsonpcallback")),
        ("GET /bayeux?message=x&jsonp=f", script("f")),
        ("GET /u/alice/bayeux?message=x&jsonp=f", script("f")),
        ("GET /bayeux", Refusals::Status),
        ("POST /bayeux?message=x&jsonp=f", Refusals::Status),
    ] {
        assert_eq!(with_head(line, refusals), expected, "{line}");
    }
}

#[test]
fn a_page_of_a_foreign_origin_is_refused_what_belongs_to_users() {
    let gate = Gate::new(&[("ENCKE_ORIGINS", "https://good.test")]);
    let page = |origin: &str| format!("\nOrigin: {origin}");
    for (line, page, expected) in [
        ("GET /u/alice/sse", String::new(), Ok(None)),
        ("GET /u/alice/sse", page("http://localhost"), Ok(None)),
        ("GET /u/alice/sse", page("https://good.test"), Ok(Some("https://good.test"))),
        ("GET /u/alice/sse", page("https://evil.test"), Err("origin-refused")),
        ("POST /bayeux", page("https://evil.test"), Err("origin-refused")),
        ("POST /nothing", page("https://evil.test"), Err("origin-refused")),
        ("GET /nothing", page("https://evil.test"), Ok(None)),
        ("GET /health", page("https://evil.test"), Ok(None)),
        ("GET /encke.js", page("https://evil.test"), Ok(None)),
    ] {
        let lines = format!("{line}{page}");
        with_head(&lines, |head| match (origin(head, &gate.keys), expected) {
            (Ok(origin), Ok(expected)) => assert_eq!(origin, expected, "{lines}"),
            (Err(refusal), Err(code)) => assert_eq!(refusal.code.text(), code, "{lines}"),
            (other, _) => panic!("{lines}: {other:?}"),
        });
    }
}

#[test]
fn only_requests_that_use_a_body_keep_it() {
    let gate = Gate::new(&[]);
    for (lines, reads) in [
        ("POST /u/alice/send\nContent-Length: 2", true),
        ("POST /u/alice/longpoll\nContent-Length: 2", true),
        ("POST /bayeux\nContent-Length: 2", true),
        ("GET /u/alice/longpoll", false),
        ("POST /u/alice/nothing\nContent-Length: 2", false),
        ("OPTIONS /u/alice/sse", false),
        ("GET /health", false),
    ] {
        assert_eq!(gate.public(lines).reads_body(), reads, "{lines}");
    }
}
