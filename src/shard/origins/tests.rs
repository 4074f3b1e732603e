//! Which pages may connect, and the tricks that must not work.

use proptest::prelude::*;

use super::*;
use crate::wire::http::head::{Parsed, parse};
use crate::wire::http::{HeadLimits, Scanned};

fn origins(list: &[&str]) -> Origins {
    Origins::new(&list.iter().map(|entry| pattern(entry)).collect::<Vec<_>>())
}

/// An entry in the spelling that the configuration leaves it in.
fn pattern(entry: &str) -> OriginPattern {
    match entry.split_once("://*.") {
        _ if entry == "*" => OriginPattern::Any,
        None => OriginPattern::Exact(entry.to_owned()),
        Some((scheme, rest)) => {
            let (domain, port) =
                rest.split_once(':').map_or((rest, None), |(domain, port)| (domain, port.parse().ok()));
            OriginPattern::Below { scheme: scheme.to_owned(), domain: domain.to_owned(), port }
        }
    }
}

/// The verdict on a page of `origin` that talks to a host it has nothing to do with.
fn foreign<'a>(list: &[&str], origin: &'a str) -> Verdict<'a> {
    origins(list).check(Some(origin), Some("push.test"), None)
}

#[test]
fn a_request_without_an_origin_is_nobodys() {
    assert_eq!(origins(&[]).check(None, Some("push.test"), None), Verdict::NoOrigin);
    assert_eq!(origins(&["https://a.test"]).check(None, None, Some("cross-site")), Verdict::NoOrigin);
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
            origins(&[]).check(Some(origin), Some(host), None),
            Verdict::SameOrigin,
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
        assert_eq!(origins(&[]).check(Some(origin), Some(host), None), Verdict::Refused, "{origin} {host}");
    }
    assert_eq!(origins(&[]).check(Some("http://push.test"), None, None), Verdict::Refused);
}

#[test]
fn the_browsers_word_goes_before_the_host_header() {
    let check = |site| origins(&[]).check(Some("https://push.test"), Some("backend:8080"), Some(site));
    assert_eq!(check("same-origin"), Verdict::SameOrigin);
    assert_eq!(check("same-site"), Verdict::Refused);
    // A page of the same host over http, which whoever sits on the wire can write.
    let downgraded = origins(&[]).check(Some("http://push.test"), Some("push.test"), Some("cross-site"));
    assert_eq!(downgraded, Verdict::Refused);
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
        assert_eq!(foreign(&list, allowed), Verdict::Allowed(allowed));
    }
    for refused in [
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
        assert_eq!(foreign(&list, refused), Verdict::Refused, "{refused}");
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
        assert_eq!(foreign(&list, allowed), Verdict::Allowed(allowed));
    }
    for refused in [
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
        assert_eq!(foreign(&list, refused), Verdict::Refused, "{refused}");
    }
    let with_port = ["http://*.example.com:8080"];
    assert_eq!(
        foreign(&with_port, "http://a.example.com:8080"),
        Verdict::Allowed("http://a.example.com:8080")
    );
    assert_eq!(foreign(&with_port, "http://a.example.com"), Verdict::Refused);
}

#[test]
fn only_a_lone_star_allows_null() {
    assert_eq!(foreign(&["*"], "null"), Verdict::Allowed("null"));
    assert_eq!(foreign(&["*"], "https://anything.test:1"), Verdict::Allowed("https://anything.test:1"));
    for nonsense in ["", "nul", "https://", "https://a b", "https://a\"b", "x"] {
        assert_eq!(foreign(&["*"], nonsense), Verdict::Refused, "{nonsense}");
    }
    assert_eq!(foreign(&["https://*.null", "https://null"], "null"), Verdict::Refused);
}

#[test]
fn every_answer_varies_by_origin_and_only_the_allowed_may_be_read() {
    for verdict in [Verdict::NoOrigin, Verdict::SameOrigin, Verdict::Refused] {
        assert_eq!(verdict.headers().collect::<Vec<_>>(), [("Vary", "Origin")]);
        assert_eq!(verdict.preflight_headers(&of_private(true)).count(), 0);
    }
    let headers: Vec<_> = Verdict::Allowed("https://a.test").headers().collect();
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
    let verdict = Verdict::Allowed("https://a.test");
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
    Preflight { headers: None, private_network }
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
        let headers = Verdict::Allowed("https://a.test").preflight_headers(&asked);
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
        assert_eq!(allowed(asked), all(KNOWN_HEADERS), "{asked}");
    }
}

#[test]
fn what_a_page_embeds_is_judged_by_its_referer() {
    let list = origins(&["https://app.test"]);
    let verdict = |sec_fetch_site, referer| {
        list.check_embeddable(&Provenance { origin: None, host: Some("push.test"), sec_fetch_site, referer })
    };
    assert_eq!(verdict(Some("cross-site"), None), Verdict::Refused);
    assert_eq!(verdict(Some("same-site"), None), Verdict::Refused);
    assert_eq!(verdict(Some("cross-site"), Some("https://evil.test/x")), Verdict::Refused);
    assert_eq!(verdict(Some("cross-site"), Some("https://evil.test/https://app.test")), Verdict::Refused);
    assert_eq!(verdict(Some("cross-site"), Some("https://evil.test?https://app.test/")), Verdict::Refused);
    assert_eq!(verdict(Some("cross-site"), Some("https://app.test@evil.test/")), Verdict::Refused);
    assert_eq!(verdict(Some("cross-site"), Some("about:blank")), Verdict::Refused);
    assert_eq!(
        verdict(Some("cross-site"), Some("https://app.test/page?x#y")),
        Verdict::Allowed("https://app.test")
    );
    assert_eq!(verdict(Some("same-site"), Some("https://app.test")), Verdict::Allowed("https://app.test"));
    assert_eq!(verdict(Some("same-origin"), None), Verdict::SameOrigin);
    assert_eq!(verdict(Some("none"), None), Verdict::NoOrigin);
    assert_eq!(verdict(None, None), Verdict::NoOrigin);
    assert_eq!(verdict(None, Some("http://push.test/page")), Verdict::SameOrigin);
    assert_eq!(verdict(None, Some("https://evil.test/")), Verdict::Refused);
}

#[test]
fn an_origin_goes_before_the_referer() {
    let request = Provenance {
        origin: Some("https://evil.test"),
        host: Some("push.test"),
        sec_fetch_site: Some("cross-site"),
        referer: Some("https://app.test/"),
    };
    assert_eq!(origins(&["https://app.test"]).check_embeddable(&request), Verdict::Refused);
}

proptest! {
    #[test]
    fn a_wildcard_allows_what_has_labels_before_its_host(host in "[a-c.]{0,6}(a\\.b)?(:1)?") {
        let origin = format!("https://{host}");
        let labels = host.strip_suffix("a.b").and_then(|rest| rest.strip_suffix('.'));
        let expected = labels.is_some_and(|labels| !labels.is_empty());
        prop_assert_eq!(foreign(&["https://*.a.b"], &origin) != Verdict::Refused, expected);
    }

    #[test]
    fn no_header_makes_the_check_panic(
        origin in "\\PC{0,30}|https?://[a-z:.\\[\\]@]{0,12}",
        referer in "\\PC{0,30}",
    ) {
        let list = origins(&["https://*.example.com", "https://app.test"]);
        let headers = (Some(&*origin), Some(&*referer));
        let request = Provenance { host: headers.0, referer: headers.1, ..Provenance::default() };
        prop_assert!(list.check(Some(&origin), Some(&referer), None) != Verdict::NoOrigin);
        let _ = list.check_embeddable(&request);
    }
}
