//! Which pages may connect, and the tricks that must not work.

use proptest::prelude::*;

use crate::auth::origins::*;
use crate::wire::http::head::{Head, Parsed, parse};
use crate::wire::http::{HeadLimits, Scanned};

fn origins(list: &[&str]) -> Origins {
    Origins::new(&list.iter().map(|entry| pattern(entry)).collect::<Vec<_>>(), Hosts::default())
}

impl Origins {
    /// The verdict on a request with only these headers.
    fn judge<'a>(
        &self,
        origin: Option<&'a str>,
        host: Option<&'a str>,
        site: Option<&'a str>,
    ) -> OriginVerdict<'a> {
        self.check(&Provenance { origin, host, sec_fetch_site: site, ..Provenance::default() })
    }
}

/// The refusal of pages of an origin that is not listed.
fn refused(origin: &str) -> OriginVerdict<'_> {
    OriginVerdict::Refused(Cause::NotListed(origin))
}

/// An entry in the form that the configuration gives it.
fn pattern(entry: &str) -> OriginPattern {
    match entry.split_once("://*.") {
        _ if entry == "*" => OriginPattern::Any,
        _ if entry == "null" => OriginPattern::Null,
        _ if entry == "file://" => OriginPattern::Files,
        None => OriginPattern::Exact(entry.to_owned()),
        Some((scheme, rest)) => {
            let (domain, port) =
                rest.split_once(':').map_or((rest, None), |(domain, port)| (domain, port.parse().ok()));
            OriginPattern::Below { scheme: scheme.to_owned(), domain: domain.to_owned(), port }
        }
    }
}

/// The verdict on a page of `origin` that talks to a host it has nothing to do with.
fn foreign<'a>(list: &[&str], origin: &'a str) -> OriginVerdict<'a> {
    origins(list).judge(Some(origin), Some("push.test"), None)
}

#[test]
fn a_request_without_an_origin_is_nobodys() {
    assert_eq!(origins(&[]).judge(None, Some("push.test"), None), OriginVerdict::NoOrigin);
    assert_eq!(origins(&["https://a.test"]).judge(None, None, None), OriginVerdict::NoOrigin);
}

#[test]
fn the_own_host_is_the_same_origin_whatever_the_list_says() {
    for (origin, host) in [
        ("http://push.test", "push.test"),
        ("https://push.test", "push.test"),
        ("https://PUSH.test", "push.TEST"),
        ("http://push.test:80", "push.test"),
        ("http://push.test", "push.test:80"),
        ("https://push.test", "push.test:443"),
        ("http://127.0.0.1:8080", "127.0.0.1:8080"),
        ("http://[::1]:8080", "[::1]:8080"),
        ("http://[::1]", "[::1]"),
    ] {
        assert_eq!(
            origins(&[]).judge(Some(origin), Some(host), None),
            OriginVerdict::SameOrigin,
            "{origin} {host}"
        );
    }
    for (origin, host) in [
        ("http://push.test:8080", "push.test"),
        ("http://push.test", "push.test:8080"),
        ("http://push.test", "push.test:443"),
        ("https://push.test", "push.test:80"),
        ("http://xpush.test", "push.test"),
        ("http://push.test.evil", "push.test"),
        ("http://push.test@evil.test", "push.test"),
        ("null", "null"),
        ("", ""),
        ("push.test", "push.test"),
        ("http://push.test/", "push.test"),
    ] {
        assert_eq!(origins(&[]).judge(Some(origin), Some(host), None), refused(origin), "{origin} {host}");
    }
    assert_eq!(origins(&[]).judge(Some("http://push.test"), None, None), refused("http://push.test"));
}

#[test]
fn sec_fetch_site_takes_precedence_over_the_host_header() {
    let check = |site| origins(&[]).judge(Some("https://push.test"), Some("backend:8080"), Some(site));
    assert_eq!(check("same-origin"), OriginVerdict::SameOrigin);
    assert_eq!(check("same-site"), refused("https://push.test"));
    // A page of the same host over http, which any attacker on the path can write.
    let downgraded = origins(&[]).judge(Some("http://push.test"), Some("push.test"), Some("cross-site"));
    assert_eq!(downgraded, refused("http://push.test"));
}

#[test]
fn a_listed_origin_is_matched_whole() {
    let list = ["https://app.test", "http://dev.test:3000", "capacitor://localhost", "http://[::1]:1"];
    for allowed in [
        "https://app.test",
        "https://APP.test",
        "https://app.test:443",
        "http://dev.test:3000",
        "capacitor://localhost",
        "http://[::1]:1",
    ] {
        assert_eq!(foreign(&list, allowed), OriginVerdict::Allowed(allowed));
    }
    for other in [
        "http://app.test",
        "https://app.test:8443",
        "https://app.test.evil",
        "https://evilapp.test",
        "https://x.app.test",
        "https://app.test/",
        "https://app.test https://evil.test",
        "https://app.test,https://evil.test",
        "https://evil@app.test",
        "https://app.test:+443",
        "http://dev.test",
        "null",
        "",
    ] {
        assert_eq!(foreign(&list, other), refused(other), "{other}");
    }
}

#[test]
fn a_wildcard_means_sub_domains_and_nothing_else() {
    let list = ["https://*.example.com"];
    for allowed in [
        "https://a.example.com",
        "https://a.b.example.com",
        "https://A.Example.COM",
        "https://a.example.com:443",
    ] {
        assert_eq!(foreign(&list, allowed), OriginVerdict::Allowed(allowed));
    }
    for other in [
        "https://example.com",
        "https://evilexample.com",
        "https://.example.com",
        "https://a.example.com.evil.test",
        "https://a.example.com:8443",
        "http://a.example.com",
        "https://evil.test#.example.com",
        "https://evil.test/.example.com",
        "https://evil.test\\.example.com",
        "https://evil.test:443.example.com",
        "null",
    ] {
        assert_eq!(foreign(&list, other), refused(other), "{other}");
    }
    let with_port = ["http://*.example.com:8080"];
    assert_eq!(
        foreign(&with_port, "http://a.example.com:8080"),
        OriginVerdict::Allowed("http://a.example.com:8080")
    );
    assert_eq!(foreign(&with_port, "http://a.example.com"), refused("http://a.example.com"));
}

#[test]
fn only_a_lone_star_allows_null() {
    assert_eq!(foreign(&["*"], "null"), OriginVerdict::Allowed("null"));
    assert_eq!(foreign(&["*"], "https://anything.test:1"), OriginVerdict::Allowed("https://anything.test:1"));
    for odd in [
        "",
        "nul",
        "https://",
        "https://a b",
        "https://a\"b",
        "x",
        "file://",
        "file:///a/b.html",
        "app://-",
        "content://com.example.app",
        "chrome-extension://abcdefghijklmnop",
        "moz-extension://b1-2",
        "resource://x",
    ] {
        assert_eq!(foreign(&["*"], odd), OriginVerdict::Allowed(odd), "{odd}");
        assert_eq!(foreign(&["https://app.test", "null"], odd), refused(odd), "{odd}");
    }
    assert_eq!(foreign(&["null"], "null"), OriginVerdict::Allowed("null"));
    for file in ["file://", "file:///android_asset/www/index.html"] {
        assert_eq!(foreign(&["file://"], file), OriginVerdict::Allowed(file));
    }
    for other in ["null", "file", "file:/", "files://", "https://file://"] {
        assert_eq!(foreign(&["file://"], other), refused(other), "{other}");
    }
    assert_eq!(foreign(&["https://*.null", "https://null"], "null"), refused("null"));
}

#[test]
fn every_answer_varies_by_origin_and_only_the_allowed_may_be_read() {
    for verdict in [OriginVerdict::NoOrigin, OriginVerdict::SameOrigin, refused("https://a.test")] {
        assert_eq!(verdict.headers().collect::<Vec<_>>(), [("Vary", "Origin")]);
        assert_eq!(verdict.preflight_headers(&of_private(true)).count(), 0);
    }
    let headers: Vec<_> = OriginVerdict::Allowed("https://a.test").headers().collect();
    assert_eq!(
        headers,
        [
            ("Vary", "Origin"),
            ("Access-Control-Allow-Origin", "https://a.test"),
            ("Access-Control-Allow-Credentials", "true"),
            ("Access-Control-Expose-Headers", "Encke-Session, Encke-Position"),
        ]
    );
}

#[test]
fn a_preflight_says_what_may_be_sent_and_opens_the_private_network_only_if_asked() {
    let verdict = OriginVerdict::Allowed("https://a.test");
    let plain_asked = Preflight::default();
    let plain: Vec<_> = verdict.preflight_headers(&plain_asked).collect();
    assert_eq!(
        plain,
        [
            ("Access-Control-Allow-Methods", "GET, POST, OPTIONS"),
            (
                "Access-Control-Allow-Headers",
                "Authorization, Content-Type, Encke-Session, Last-Event-ID, Cache-Control, Pragma"
            ),
            ("Access-Control-Max-Age", "7200"),
        ]
    );
    let private_asked = of_private(true);
    let asked: Vec<_> = verdict.preflight_headers(&private_asked).collect();
    assert_eq!(asked[..3], plain);
    assert_eq!(asked[3..], [("Access-Control-Allow-Private-Network", "true")]);
}

fn of_private(private_network: bool) -> Preflight {
    Preflight { names: None, private_network }
}

#[test]
fn a_preflight_may_ask_for_any_header_within_bounds() {
    let allowed = |asked: &str| {
        let request =
            format!("OPTIONS / HTTP/1.1\r\nHost: x\r\nAccess-Control-Request-Headers: {asked}\r\n\r\n");
        let limits = HeadLimits { bytes_max: 16_384, headers_max: 100 };
        let Ok(Parsed::Complete { head, .. }) = parse(request.as_bytes(), Scanned::default(), &limits) else {
            panic!("no head: {request}");
        };
        let asked = Preflight::of(&head);
        let headers = OriginVerdict::Allowed("https://a.test").preflight_headers(&asked);
        let lists = headers.filter(|(name, _)| *name == "Access-Control-Allow-Headers");
        lists.map(|(_, list)| list.to_owned()).collect::<Vec<_>>()
    };
    let all = |list: &str| vec![list.to_owned()];
    for asked in ["traceparent", "authorization,x-b3-traceid, sentry-trace", "x_y,*"] {
        assert_eq!(allowed(asked), all(asked));
    }
    let most = format!("a{}", ",b".repeat(1023));
    assert_eq!(allowed(&most), all(&most));
    for asked in ["", ",", "a,,b", "a b", "a,(b)", "é", &format!("{most},b")] {
        assert_eq!(allowed(asked), all(preflight::KNOWN_HEADERS), "{asked}");
    }
}

#[test]
fn what_a_page_embeds_is_judged_by_its_referer() {
    let list = origins(&["https://app.test"]);
    let request = |sec_fetch_site, referer| Provenance {
        host: Some("push.test"),
        sec_fetch_site,
        referer,
        ..Provenance::default()
    };
    let verdict = |sec_fetch_site, referer| list.check(&request(sec_fetch_site, referer));
    let no_referer = OriginVerdict::Refused(Cause::NoReferer);
    assert_eq!(verdict(Some("cross-site"), None), no_referer);
    assert_eq!(verdict(Some("same-site"), None), no_referer);
    assert_eq!(verdict(Some("cross-site"), Some("https://evil.test/x")), refused("https://evil.test"));
    for referer in ["https://evil.test/https://app.test", "https://evil.test?https://app.test/"] {
        assert_eq!(verdict(Some("cross-site"), Some(referer)), refused("https://evil.test"));
    }
    let tricky = "https://app.test@evil.test/";
    assert_eq!(verdict(Some("cross-site"), Some(tricky)), refused("https://app.test@evil.test"));
    assert_eq!(verdict(Some("cross-site"), Some("about:blank")), no_referer);
    assert_eq!(
        verdict(Some("cross-site"), Some("https://app.test/page?x#y")),
        OriginVerdict::Allowed("https://app.test")
    );
    assert_eq!(
        verdict(Some("same-site"), Some("https://app.test")),
        OriginVerdict::Allowed("https://app.test")
    );
    assert_eq!(verdict(Some("same-origin"), None), OriginVerdict::SameOrigin);
    assert_eq!(verdict(Some("none"), None), OriginVerdict::NoOrigin);
    assert_eq!(verdict(None, None), OriginVerdict::NoOrigin);
    assert_eq!(verdict(None, Some("http://push.test/page")), OriginVerdict::SameOrigin);
    assert_eq!(verdict(None, Some("https://evil.test/")), refused("https://evil.test"));
    let silent = Provenance { by_page: ByPage::Browser, ..request(None, None) };
    assert_eq!(list.check(&silent), OriginVerdict::Refused(Cause::NoSign));
    let any = origins(&["*"]);
    for request in [request(Some("cross-site"), None), request(None, Some("about:blank")), silent] {
        assert_eq!(any.check(&request), OriginVerdict::NoOrigin, "{request:?}");
    }
}

#[test]
fn each_refusal_names_the_variable_and_the_value_that_would_let_the_page_in() {
    let reason = |cause: Cause<'_>| Refusal::from(cause).reason.into_owned();
    for (origin, value) in [
        ("https://evil.test", "https://evil.test"),
        ("https://Evil.test:443", "https://evil.test"),
        ("http://evil.test:8080", "http://evil.test:8080"),
        ("null", "null"),
        ("file:///x/y.html", "file://"),
        ("app://-", "app://-"),
        ("https://a\"b", "*"),
        ("", "*"),
        ("*", "*"),
        ("https://*.evil.test", "*"),
    ] {
        let text = reason(Cause::NotListed(origin));
        assert!(text.contains(&format!("ENCKE_ORIGINS={value} ")) && text.contains(origin), "{text}");
    }
    let long = format!("https://{}.test", "a".repeat(8000));
    assert!(reason(Cause::NotListed(&long)).len() < 200);
    for cause in [Cause::NoReferer, Cause::NoSign] {
        let text = reason(cause);
        assert!(
            text.contains("ENCKE_ORIGINS=*") && text.contains("Referer") && text.contains("Referrer-Policy")
        );
    }
}

/// A head with these headers besides its host.
fn with_head<T>(line: &str, headers: &str, look: impl FnOnce(&Head<'_>) -> T) -> T {
    let request = format!("{line} HTTP/1.1\r\nHost: push.test:8080\r\n{headers}\r\n");
    let limits = HeadLimits { bytes_max: 16_384, headers_max: 100 };
    match parse(request.as_bytes(), Scanned::default(), &limits) {
        Ok(Parsed::Complete { head, .. }) => look(&head),
        other => panic!("no head: {request} {other:?}"),
    }
}

const CHROME: &str =
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/120.0 Safari/537.36\r\n";

#[test]
fn what_a_page_could_have_sent_without_a_sign_is_refused_and_what_a_program_sends_is_not() {
    let page = |line: &str, headers: &str| {
        with_head(line, headers, |head| Provenance::of(head).page() != Page::None)
    };
    let get = "GET /u/alice/jsonp?callback=f";
    for headers in
        [CHROME, "Cookie: a=b\r\n", "User-Agent: Opera/9.80 (X11)\r\n", "user-agent: mozilla/4.0\r\n"]
    {
        assert!(page(get, headers), "{headers}");
        let accept = format!("{headers}Accept: text/event-stream\r\n");
        assert!(page(get, &accept), "{headers}");
    }
    for headers in [
        "",
        "User-Agent: curl/8.5.0\r\n",
        "User-Agent: python-requests/2.31\r\n",
        "User-Agent: Go-http-client/1.1\r\n",
        "Accept-Language: *\r\nSec-Fetch-Mode: cors\r\nUser-Agent: node\r\n",
        "Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\nUser-Agent: Mozilla/5.0\r\n",
    ] {
        assert!(!page(get, headers), "{headers}");
    }
    // Headers that no element can send.
    for proof in [
        "X-Requested-With: XMLHttpRequest",
        "Authorization: bearer x",
        "Encke-Session: s",
        "Upgrade: websocket",
    ] {
        assert!(!page(get, &format!("{CHROME}Cookie: a=b\r\n{proof}\r\n")), "{proof}");
    }
    assert!(page(get, &format!("{CHROME}Authorization: Basic x\r\n")), "a URL can have that");
    let post = "POST /u/alice/longpoll";
    for form in ["", "Content-Type: text/plain\r\n", "Content-Type: multipart/form-data; boundary=x\r\n"] {
        assert!(page(post, &format!("{CHROME}{form}")), "{form}");
        assert!(!page(post, &format!("Cookie: a=b\r\n{form}")), "programs send cookies along: {form}");
    }
    assert!(!page(post, &format!("{CHROME}Content-Type: application/json\r\n")), "no form sends that");
}

#[test]
fn cookies_are_of_a_site_whatever_the_port() {
    let relation = |origin: &str, host: &str, more: &str| {
        let request = format!("POST /bayeux HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\n{more}\r\n");
        let limits = HeadLimits { bytes_max: 16_384, headers_max: 100 };
        let Ok(Parsed::Complete { head, .. }) = parse(request.as_bytes(), Scanned::default(), &limits) else {
            panic!("no head: {request}");
        };
        Provenance::of(&head).relation(&head)
    };
    for (origin, host) in [
        ("http://192.0.2.10:3000", "192.0.2.10:8080"),
        ("http://localhost:3000", "localhost:8080"),
        ("http://app.example", "app.example:8080"),
        ("https://app.example:8443", "APP.example"),
        ("http://app.example", "push.app.example"),
        ("http://a.app.example", "app.example"),
        ("http://[::1]:1", "[::1]:2"),
    ] {
        assert_eq!(relation(origin, host, ""), Some(Relation::SameSite), "{origin} {host}");
    }
    for (origin, host) in [
        ("http://192.0.2.11", "192.0.2.10"),
        ("http://1.192.0.2.10", "192.0.2.10"),
        ("http://app.example", "evilapp.example"),
        ("http://a.example", "example"),
        ("http://a.app.example", "b.app.example"),
    ] {
        assert_eq!(relation(origin, host, ""), Some(Relation::CrossSiteInClear), "{origin} {host}");
        let encrypted = "X-Forwarded-Proto: https\r\n";
        assert_eq!(relation(origin, host, encrypted), Some(Relation::CrossSite), "{origin} {host}");
        let forwarded = "Forwarded: for=192.0.2.1;Proto=https\r\n";
        assert_eq!(relation(origin, host, forwarded), Some(Relation::CrossSite), "{origin} {host}");
        let sent = "Sec-Fetch-Site: same-site\r\n";
        assert_eq!(
            relation(origin, host, sent),
            Some(Relation::SameSite),
            "the browser knows: {origin} {host}"
        );
    }
    assert_eq!(relation("https://app.example", "push.example", ""), Some(Relation::CrossSite));
    assert_eq!(relation("null", "push.example", ""), Some(Relation::CrossSite));
    assert_eq!(relation("http://push.example", "push.example", ""), None);
    assert_eq!(relation("https://x", "y", "Sec-Fetch-Site: same-origin\r\n"), None);
}

#[test]
fn an_origin_goes_before_the_referer() {
    let request = Provenance {
        origin: Some("https://evil.test"),
        host: Some("push.test"),
        sec_fetch_site: Some("cross-site"),
        referer: Some("https://app.test/"),
        by_page: ByPage::No,
    };
    assert_eq!(origins(&["https://app.test"]).check(&request), refused("https://evil.test"));
}

proptest! {
    #[test]
    fn a_wildcard_allows_what_has_labels_before_its_host(host in "[a-c.]{0,6}(a\\.b)?(:1)?") {
        let origin = format!("https://{host}");
        let labels = host.strip_suffix("a.b").and_then(|rest| rest.strip_suffix('.'));
        let expected = labels.is_some_and(|labels| !labels.is_empty());
        prop_assert_eq!(foreign(&["https://*.a.b"], &origin) != refused(&origin), expected);
    }

    #[test]
    fn no_header_makes_the_check_panic(
        origin in "\\PC{0,30}|https?://[a-z:.\\[\\]@]{0,12}",
        referer in "\\PC{0,30}",
    ) {
        let list = origins(&["https://*.example.com", "https://app.test"]);
        let headers = (Some(&*origin), Some(&*referer));
        let request = Provenance { host: headers.0, referer: headers.1, ..Provenance::default() };
        prop_assert!(list.judge(Some(&origin), Some(&referer), None) != OriginVerdict::NoOrigin);
        let _ = list.check(&request);
    }
}
