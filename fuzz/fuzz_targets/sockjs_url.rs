//! Paths, queries and cookies of SockJS requests: each path has one meaning and some methods, a
//! callback is a name, and nothing that a client sends breaks a header.
#![no_main]

use encke::protocol::sockjs::callback::callback;
use encke::protocol::sockjs::header::{cors, session_cookie, session_of};
use encke::protocol::sockjs::iframe::IframePage;
use encke::protocol::sockjs::url::{SESSION_BYTES_MAX, SockjsPath};
use encke::wire::http::Method;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(path) = SockjsPath::parse(text) {
        assert!(path.admits(Method::Get) || path.admits(Method::Post));
        assert!(!path.admits(Method::Head) && !path.admits(Method::Other));
        if let SockjsPath::Session { server, session, leaf } = path {
            assert!(!server.is_empty() && !server.contains(['/', '.']));
            assert!(!session.is_empty() && !session.contains(['/', '.']));
            assert!(session.len() <= SESSION_BYTES_MAX);
            let with_slash = format!("{}/", text.trim_end_matches('/'));
            assert_eq!(SockjsPath::parse(&with_slash), Ok(SockjsPath::Session { server, session, leaf }));
        }
    }
    if let Ok(name) = callback(text) {
        let of_names = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        assert!(!name.is_empty() && name.len() <= 32 && name.bytes().all(of_names));
    }
    if let Some(own) = session_of(format!("JSESSIONID={text}").as_bytes()) {
        let (name, value) = session_cookie(own, "path=/");
        assert_eq!(name, "Set-Cookie");
        assert!(value.starts_with("JSESSIONID=") && value.ends_with("; path=/"));
        assert!(value.matches(';').count() == 1);
        assert!(value.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
    }
    assert!(cors(Some(text), Some(text)).count() <= 4);
    let page = IframePage::new(text);
    assert_eq!(page.body.matches("<script").count(), 2);
    assert!(page.is_known(Some(&page.etag)));
});
