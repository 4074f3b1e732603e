//! How each transport carries a frame: the bytes before the first one, those around each, and the
//! spelling of its characters.
//!
//! Spelling works character by character, so that a frame may be spelled in parts: its beginning,
//! each string, its end. The strings of one message are spelled the same for every session with one
//! [`Spelling`].

/// A transport of SockJS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// One frame in a response.
    Xhr,
    /// A line for each frame.
    XhrStreaming,
    /// A server-sent event for each.
    EventSource,
    /// A script in an endless document for each.
    Htmlfile,
    /// One frame in a response that is a script.
    Jsonp,
    /// A message of a WebSocket for each.
    WebSocket,
}

/// The spelling of a frame's characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Spelling {
    /// Unchanged.
    Plain,
    /// With `%25` for `%`: the client decodes the data of events like a URI.
    Percent,
    /// As in a JavaScript string that may stand in a `<script>`.
    Script,
}

impl Carrier {
    /// All transports.
    pub const ALL: [Self; 6] =
        [Self::Xhr, Self::XhrStreaming, Self::EventSource, Self::Htmlfile, Self::Jsonp, Self::WebSocket];

    /// `Content-Type` of the response; `None` if there is no response.
    pub fn content_type(self) -> Option<&'static str> {
        match self {
            Self::Xhr | Self::XhrStreaming | Self::Jsonp => Some("application/javascript; charset=UTF-8"),
            // With a charset, some browsers of that time refuse it.
            Self::EventSource => Some("text/event-stream"),
            Self::Htmlfile => Some("text/html; charset=UTF-8"),
            Self::WebSocket => None,
        }
    }

    /// Whether a response ends with its first frame.
    pub fn polls(self) -> bool {
        match self {
            Self::Xhr | Self::Jsonp => true,
            Self::XhrStreaming | Self::EventSource | Self::Htmlfile | Self::WebSocket => false,
        }
    }

    /// Whether the request names a function of the page.
    pub fn calls_back(self) -> bool {
        match self {
            Self::Htmlfile | Self::Jsonp => true,
            Self::Xhr | Self::XhrStreaming | Self::EventSource | Self::WebSocket => false,
        }
    }

    /// The spelling of its frames.
    pub fn spelling(self) -> Spelling {
        match self {
            Self::Xhr | Self::XhrStreaming | Self::WebSocket => Spelling::Plain,
            Self::EventSource => Spelling::Percent,
            Self::Htmlfile | Self::Jsonp => Spelling::Script,
        }
    }

    /// Appends the first bytes of a response: a chunk of its own, which does not count towards the
    /// response's limit. `callback` is the page's function, if the request names one.
    pub fn prelude(self, callback: &str, out: &mut Vec<u8>) {
        match self {
            Self::Xhr | Self::Jsonp | Self::WebSocket => {}
            Self::XhrStreaming => {
                out.resize(out.len() + PRELUDE_BYTES, b'h');
                out.push(b'\n');
            }
            Self::EventSource => out.extend_from_slice(b"\r\n"),
            Self::Htmlfile => document(callback, out),
        }
    }

    /// Appends a frame: a chunk of its own.
    pub fn carry(self, callback: &str, frame: &[u8], out: &mut Vec<u8>) {
        self.before(callback, out);
        self.spelling().spell(frame, out);
        out.extend_from_slice(self.after());
    }

    /// Appends the bytes before a frame.
    pub fn before(self, callback: &str, out: &mut Vec<u8>) {
        match self {
            Self::Xhr | Self::XhrStreaming | Self::WebSocket => {}
            Self::EventSource => out.extend_from_slice(b"data: "),
            Self::Htmlfile => out.extend_from_slice(b"<script>\np(\""),
            Self::Jsonp => {
                // The first bytes of a script must not be a client's.
                out.extend_from_slice(b"/**/");
                out.extend_from_slice(callback.as_bytes());
                out.extend_from_slice(b"(\"");
            }
        }
    }

    /// The bytes after a frame.
    pub fn after(self) -> &'static [u8] {
        match self {
            Self::Xhr | Self::XhrStreaming => b"\n",
            Self::EventSource => b"\r\n\r\n",
            Self::Htmlfile => b"\");\n</script>\r\n",
            Self::Jsonp => b"\");\r\n",
            Self::WebSocket => b"",
        }
    }
}

impl Spelling {
    /// Appends a frame, or a part of one.
    pub fn spell(self, part: &[u8], out: &mut Vec<u8>) {
        let (mut from, mut rest) = (0, part);
        let next = |rest: &[u8]| match self {
            Self::Plain => None,
            Self::Percent => memchr::memchr(b'%', rest),
            Self::Script => memchr::memchr3(b'"', b'\\', b'<', rest),
        };
        while let Some(at) = next(rest) {
            out.extend_from_slice(&rest[..at]);
            out.extend_from_slice(match rest[at] {
                b'%' => b"%25",
                b'"' => b"\\\"",
                b'\\' => b"\\\\",
                // Neither `</script` nor `<!--` can end the script, or begin a comment in it.
                _ => b"\\u003c",
            });
            from += at + 1;
            rest = &part[from..];
        }
        out.extend_from_slice(rest);
    }
}

/// Bytes of a response before which old browsers show nothing.
const PRELUDE_BYTES: usize = 2048;

/// Bytes of a document before which browsers run no script.
const DOCUMENT_BYTES: usize = 1024;

/// The beginning of an endless document. Its end fires `load`, which makes the client reconnect.
fn document(callback: &str, out: &mut Vec<u8>) {
    let start = out.len();
    for part in [DOCUMENT_BEGIN, callback, DOCUMENT_END] {
        out.extend_from_slice(part.as_bytes());
    }
    let len = (out.len() - start).max(DOCUMENT_BYTES);
    out.resize(start + len, b' ');
    out.extend_from_slice(b"\r\n\r\n");
}

const DOCUMENT_BEGIN: &str = r#"<!doctype html>
<html><head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
</head><body><h2>Don't panic!</h2>
  <script>
    document.domain = document.domain;
    var c = parent."#;

const DOCUMENT_END: &str = ";
    c.start();
    function p(d) {c.message(d);};
    window.onload = function() {c.stop();};
  </script>";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    fn carried(carrier: Carrier, frame: &str) -> String {
        text(|out| carrier.carry("cb", frame.as_bytes(), out))
    }

    #[test]
    fn every_transport_carries_a_frame_in_its_own_way() {
        let frame = r#"a["x"]"#;
        assert_eq!(carried(Carrier::Xhr, frame), "a[\"x\"]\n");
        assert_eq!(carried(Carrier::XhrStreaming, frame), "a[\"x\"]\n");
        assert_eq!(carried(Carrier::EventSource, frame), "data: a[\"x\"]\r\n\r\n");
        assert_eq!(carried(Carrier::Htmlfile, frame), "<script>\np(\"a[\\\"x\\\"]\");\n</script>\r\n");
        assert_eq!(carried(Carrier::Jsonp, frame), "/**/cb(\"a[\\\"x\\\"]\");\r\n");
        assert_eq!(carried(Carrier::WebSocket, frame), frame);
    }

    #[test]
    fn a_percent_sign_survives_what_the_client_decodes() {
        assert_eq!(carried(Carrier::EventSource, r#"a["%41%80%"]"#), "data: a[\"%2541%2580%25\"]\r\n\r\n");
    }

    #[test]
    fn nothing_in_a_message_ends_a_script() {
        let carried = carried(Carrier::Htmlfile, r#"a["</script><!--\u2028"]"#);
        let inner = carried.strip_prefix("<script>\n").and_then(|rest| rest.strip_suffix("\n</script>\r\n"));
        assert_eq!(inner, Some(r#"p("a[\"\u003c/script>\u003c!--\\u2028\"]");"#));
    }

    #[test]
    fn preludes_are_long_enough_for_their_browsers() {
        let prelude = |carrier: Carrier| text(|out| carrier.prelude("callback", out));
        assert_eq!(prelude(Carrier::XhrStreaming), format!("{}\n", "h".repeat(2048)));
        assert_eq!(prelude(Carrier::EventSource), "\r\n");
        for none in [Carrier::Xhr, Carrier::Jsonp, Carrier::WebSocket] {
            assert_eq!(prelude(none), "");
        }
        let document = prelude(Carrier::Htmlfile);
        assert!(document.len() > 1024 && document.ends_with(" \r\n\r\n"), "{document}");
        assert!(document.contains("\n    var c = parent.callback;\n    c.start();\n"), "{document}");
        assert!(document.trim_end().ends_with("</script>"), "{document}");
    }

    #[test]
    fn only_events_have_a_type_without_charset() {
        for carrier in Carrier::ALL {
            let has_charset = carrier.content_type().map(|kind| kind.ends_with("; charset=UTF-8"));
            let wanted = match carrier {
                Carrier::WebSocket => None,
                Carrier::EventSource => Some(false),
                Carrier::Xhr | Carrier::XhrStreaming | Carrier::Htmlfile | Carrier::Jsonp => Some(true),
            };
            assert_eq!(has_charset, wanted, "{carrier:?}");
        }
    }

    proptest! {
        #[test]
        fn a_frame_may_be_spelled_in_parts(parts: Vec<String>) {
            for spelling in [Spelling::Plain, Spelling::Percent, Spelling::Script] {
                let whole = text(|out| spelling.spell(parts.concat().as_bytes(), out));
                let apart = text(|out| parts.iter().for_each(|part| spelling.spell(part.as_bytes(), out)));
                prop_assert_eq!(whole, apart);
            }
        }

        #[test]
        fn a_spelled_frame_reads_back(frame in "[^\\p{Cc}\u{2028}\u{2029}]*") {
            let script = text(|out| Spelling::Script.spell(frame.as_bytes(), out));
            prop_assert!(!script.contains('<'));
            prop_assert_eq!(&serde_json::from_str::<String>(&format!("\"{script}\"")).unwrap(), &frame);
            let percent = text(|out| Spelling::Percent.spell(frame.as_bytes(), out));
            prop_assert_eq!(percent.replace("%25", "%"), frame);
        }
    }
}
