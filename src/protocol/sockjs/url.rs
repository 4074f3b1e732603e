//! The paths below a service's address, and the methods of each.
//!
//! A path is parsed without percent-decoding: `/a%2Fb` is one segment. The query is ignored,
//! because clients add one to every request.

use crate::wire::http::Method;

/// The resource that a path below a service's address names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SockjsPath<'a> {
    /// The greeting.
    Greeting,
    /// The page for hidden frames, of any version.
    Iframe,
    /// The capabilities of the service.
    Info,
    /// A WebSocket without SockJS's frames.
    RawWebSocket,
    /// A resource of a session.
    Session {
        /// A segment by which a balancer may have chosen a server. It has no meaning here.
        server: &'a str,
        /// The session's name, chosen by its client.
        session: &'a str,
        /// The resource.
        leaf: Leaf,
    },
}

/// The last segment of a session's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaf {
    /// Frames both ways.
    WebSocket,
    /// One frame.
    Xhr,
    /// Strings from the client.
    XhrSend,
    /// Frames, as lines.
    XhrStreaming,
    /// Frames, as server-sent events.
    EventSource,
    /// Frames, as scripts in a document.
    Htmlfile,
    /// One frame, as a script.
    Jsonp,
    /// Strings from the client, in a form.
    JsonpSend,
}

/// A path that a service does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSuchPath;

/// Bytes of a session's name. Clients make names of 8 characters, test suites use UUIDs.
pub const SESSION_BYTES_MAX: usize = 128;

impl<'a> SockjsPath<'a> {
    /// Parses the path below a service's address: nothing, or a path that begins with a slash. One
    /// slash at its end is ignored.
    ///
    /// # Errors
    /// Refuses an unknown path: 404.
    pub fn parse(below: &'a str) -> Result<Self, NoSuchPath> {
        let path = below.strip_suffix('/').unwrap_or(below);
        if path.is_empty() {
            return Ok(Self::Greeting);
        }
        let path = path.strip_prefix('/').ok_or(NoSuchPath)?;
        let mut segments = path.split('/');
        match (segments.next(), segments.next(), segments.next(), segments.next()) {
            (Some("info"), None, ..) => Ok(Self::Info),
            (Some("websocket"), None, ..) => Ok(Self::RawWebSocket),
            (Some(page), None, ..) if is_iframe(page) => Ok(Self::Iframe),
            (Some(server), Some(session), Some(leaf), None) if is_segment(server) && is_segment(session) => {
                let leaf = Leaf::parse(leaf).filter(|_| session.len() <= SESSION_BYTES_MAX);
                leaf.map(|leaf| Self::Session { server, session, leaf }).ok_or(NoSuchPath)
            }
            _ => Err(NoSuchPath),
        }
    }

    /// The methods of the path, as in `Allow` if another one is refused (405).
    pub fn allow(self) -> &'static str {
        match self {
            Self::Greeting | Self::Iframe | Self::RawWebSocket => "GET",
            Self::Info => "OPTIONS, GET",
            Self::Session { leaf, .. } => match leaf {
                Leaf::WebSocket | Leaf::EventSource | Leaf::Htmlfile | Leaf::Jsonp => "GET",
                Leaf::Xhr | Leaf::XhrSend | Leaf::XhrStreaming => "OPTIONS, POST",
                Leaf::JsonpSend => "POST",
            },
        }
    }

    /// Whether the path has a method.
    pub fn admits(self, method: Method) -> bool {
        self.allow().split(", ").any(|name| name == method.as_str())
    }

    /// Whether a WebSocket opens here.
    pub fn is_websocket(self) -> bool {
        matches!(self, Self::RawWebSocket | Self::Session { leaf: Leaf::WebSocket, .. })
    }
}

impl Leaf {
    fn parse(segment: &str) -> Option<Self> {
        Some(match segment {
            "websocket" => Self::WebSocket,
            "xhr" => Self::Xhr,
            "xhr_send" => Self::XhrSend,
            "xhr_streaming" => Self::XhrStreaming,
            "eventsource" => Self::EventSource,
            "htmlfile" => Self::Htmlfile,
            "jsonp" => Self::Jsonp,
            "jsonp_send" => Self::JsonpSend,
            _ => return None,
        })
    }

    /// Whether a request for it receives frames, and so creates a session that does not exist.
    pub fn receives(self) -> bool {
        match self {
            Self::WebSocket
            | Self::Xhr
            | Self::XhrStreaming
            | Self::EventSource
            | Self::Htmlfile
            | Self::Jsonp => true,
            Self::XhrSend | Self::JsonpSend => false,
        }
    }

    /// Whether pages of other origins read its responses, so that these need CORS headers.
    pub fn is_cross_origin(self) -> bool {
        match self {
            Self::Xhr | Self::XhrSend | Self::XhrStreaming | Self::EventSource => true,
            Self::WebSocket | Self::Htmlfile | Self::Jsonp | Self::JsonpSend => false,
        }
    }
}

/// Whether a segment is a server's or a session's name.
fn is_segment(text: &str) -> bool {
    !text.is_empty() && !text.contains('.')
}

/// `iframe*.html`, where the client puts its version for the asterisk.
fn is_iframe(page: &str) -> bool {
    let version = page.strip_prefix("iframe").and_then(|rest| rest.strip_suffix(".html"));
    let of_version = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    version.is_some_and(|version| version.bytes().all(of_version))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(path: &str) -> Option<(&str, &str, Leaf)> {
        match SockjsPath::parse(path) {
            Ok(SockjsPath::Session { server, session, leaf }) => Some((server, session, leaf)),
            _ => None,
        }
    }

    #[test]
    fn the_static_paths_are_known_with_and_without_a_slash_at_their_end() {
        for (path, known) in [
            ("", SockjsPath::Greeting),
            ("/", SockjsPath::Greeting),
            ("/info", SockjsPath::Info),
            ("/info/", SockjsPath::Info),
            ("/websocket", SockjsPath::RawWebSocket),
            ("/iframe.html", SockjsPath::Iframe),
            ("/iframe-a.html", SockjsPath::Iframe),
            ("/iframe-.html", SockjsPath::Iframe),
            ("/iframe-0.1.2.html", SockjsPath::Iframe),
            ("/iframe-0.1.2abc-dirty.2144.html", SockjsPath::Iframe),
        ] {
            assert_eq!(SockjsPath::parse(path), Ok(known), "{path}");
        }
    }

    #[test]
    fn other_paths_are_not_there() {
        for path in [
            "//",
            "///",
            "/a",
            "/a.html",
            "/a/a",
            "/a/a/",
            "/a/",
            "a",
            "/info//",
            "/INFO",
            "/info/a",
            "/iframe",
            "/iframe.htm",
            "/IFRAME.HTML",
            "/iframe.HTML",
            "/iframe.xml",
            "/iframe-/.html",
            "/iframe-A.html",
            "/iframe-%2e.html",
            "/websocket/a",
        ] {
            assert_eq!(SockjsPath::parse(path), Err(NoSuchPath), "{path}");
        }
    }

    #[test]
    fn a_session_is_named_by_any_two_segments_without_dots() {
        assert_eq!(session("/a/b/xhr"), Some(("a", "b", Leaf::Xhr)));
        assert_eq!(session("/_/_/xhr_send/"), Some(("_", "_", Leaf::XhrSend)));
        assert_eq!(session("/a/abc%20%2F/jsonp"), Some(("a", "abc%20%2F", Leaf::Jsonp)));
        let longest = "x".repeat(SESSION_BYTES_MAX);
        assert!(session(&format!("/a/{longest}/eventsource")).is_some());
        assert!(session(&format!("/a/{longest}x/eventsource")).is_none());
        for path in [
            "////xhr",
            "/a./a/xhr",
            "/a/a./xhr",
            "/././xhr",
            "//xhr",
            "/a//xhr",
            "//a/xhr",
            "/a/a/xhr//",
            "/a/a/XHR",
            "/a/a/xhr/a",
            "/a/a/a/xhr",
            "/a/a/xhr_",
            "/a/a/",
        ] {
            assert_eq!(SockjsPath::parse(path), Err(NoSuchPath), "{path}");
        }
    }

    #[test]
    fn each_path_has_its_methods_and_no_other() {
        let methods = |path: &str| SockjsPath::parse(path).map(SockjsPath::allow);
        assert_eq!(methods("/info"), Ok("OPTIONS, GET"));
        assert_eq!(methods("/a/a/xhr_streaming"), Ok("OPTIONS, POST"));
        assert_eq!(methods("/a/a/jsonp_send"), Ok("POST"));
        let socket = SockjsPath::parse("/a/a/websocket").unwrap();
        assert!(socket.is_websocket() && socket.admits(Method::Get));
        for method in [Method::Head, Method::Post, Method::Options, Method::Delete, Method::Other] {
            assert!(!socket.admits(method), "{method:?}");
        }
    }
}
