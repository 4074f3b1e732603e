//! The table of all error codes with their statuses. `docs/PROTOCOL.md` lists and explains the
//! same; a test compares the two.
//!
//! Sentences are not here: several causes share a code, and each has its own reason.

/// Makes the enum and its tables from one row for each code: its name, its status, its text and, if
/// a client should repeat the request, after how many seconds.
macro_rules! error_codes {
    ($($name:ident = $status:literal $text:literal $(retry $after:literal)?;)+) => {
        /// An error code, for programs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $(#[doc = concat!("`", $text, "`, with status ", $status, ".")] $name,)+
        }

        impl ErrorCode {
            /// All of them, in the order of `docs/PROTOCOL.md`.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The HTTP status that it comes with.
            pub const fn status(self) -> u16 {
                match self {
                    $(Self::$name => $status,)+
                }
            }

            /// Its text on the wire: stable, kebab-case.
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }

            /// The value of `Retry-After`, in seconds: the same request may succeed later.
            pub const fn retry_after(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => error_codes!(@after $($after)?),)+
                }
            }
        }
    };
    (@after) => { None };
    (@after $after:literal) => { Some($after) };
}

error_codes! {
    BadCallback = 400 "bad-callback";
    BadChannel = 400 "bad-channel";
    BadCommand = 400 "bad-command";
    BadConflate = 400 "bad-conflate";
    BadDomain = 400 "bad-domain";
    BadForm = 400 "bad-form";
    BadGreeting = 400 "bad-greeting";
    BadJson = 400 "bad-json";
    BadKey = 400 "bad-key";
    BadLast = 400 "bad-last";
    BadLimit = 400 "bad-limit";
    BadMessage = 400 "bad-message";
    BadPad = 400 "bad-pad";
    BadPosition = 400 "bad-position";
    BadProtocol = 400 "bad-protocol";
    BadQuery = 400 "bad-query";
    BadRecord = 400 "bad-record";
    BadStyle = 400 "bad-style";
    BadType = 400 "bad-type";
    BadText = 400 "bad-text";
    BadUser = 400 "bad-user";
    NoMessage = 400 "no-message";
    NoCallback = 400 "no-callback";
    NoChannel = 400 "no-channel";
    NoSession = 400 "no-session";
    NoToken = 401 "no-token";
    BadToken = 401 "bad-token";
    TokenExpired = 401 "token-expired";
    NoApiKey = 401 "no-api-key";
    BadApiKey = 401 "bad-api-key";
    ForeignUser = 403 "foreign-user";
    Forbidden = 403 "forbidden";
    OriginRefused = 403 "origin-refused";
    HostRefused = 403 "host-refused";
    Reserved = 403 "reserved";
    NotFound = 404 "not-found";
    NotSubscribed = 404 "not-subscribed";
    UnknownSession = 404 "unknown-session";
    TcpUnknownTarget = 404 "tcp-unknown-target";
    TcpUnknownStream = 404 "tcp-unknown-stream";
    MethodNotAllowed = 405 "method-not-allowed";
    Timeout = 408 "timeout";
    TcpConflict = 409 "tcp-conflict";
    MessageTooLarge = 413 "message-too-large";
    TooManyCommands = 413 "too-many-commands";
    TooManyMessages = 413 "too-many-messages";
    BadContentType = 415 "bad-content-type";
    Elsewhere = 421 "elsewhere";
    KeyReused = 422 "key-reused";
    TooManyFromAddress = 429 "too-many-from-address" retry "5";
    TooManyUserChannels = 429 "too-many-user-channels" retry "5";
    TooManySubscriptions = 429 "too-many-subscriptions";
    TooManyStreams = 429 "too-many-streams" retry "5";
    NotAdmitted = 503 "not-admitted";
    NoTokenKeys = 503 "no-token-keys" retry "1";
    Busy = 503 "busy" retry "1";
    Full = 503 "full" retry "5";
    InputFull = 503 "input-full" retry "1";
    TooManyChannels = 503 "too-many-channels" retry "5";
    MemoryFull = 503 "memory-full" retry "5";
    TooManySessions = 503 "too-many-sessions" retry "5";
    WsBadKey = 400 "ws-bad-key";
    WsBadProtocols = 400 "ws-bad-protocols";
    WsBody = 400 "ws-body";
    WsConnectionHeader = 400 "ws-connection-header";
    WsOnHttp10 = 400 "ws-on-http-1-0";
    WsBadMethod = 405 "ws-bad-method";
    WsBadVersion = 426 "ws-bad-version";
    WsUpgradeRequired = 426 "ws-upgrade-required";
    AuthorityMismatch = 400 "authority-mismatch";
    BadChunkEnd = 400 "bad-chunk-end";
    BadChunkExtension = 400 "bad-chunk-extension";
    BadChunkSize = 400 "bad-chunk-size";
    BadContentLength = 400 "bad-content-length";
    BadHeaderName = 400 "bad-header-name";
    BadHost = 400 "bad-host";
    BadRequestLine = 400 "bad-request-line";
    BadTarget = 400 "bad-target";
    BadTrailer = 400 "bad-trailer";
    BadTransferEncoding = 400 "bad-transfer-encoding";
    BareCr = 400 "bare-cr";
    BareLf = 400 "bare-lf";
    ControlByte = 400 "control-byte";
    EmptyHeaderName = 400 "empty-header-name";
    EmptyLines = 400 "empty-lines";
    FragmentInTarget = 400 "fragment-in-target";
    MissingColon = 400 "missing-colon";
    MissingHost = 400 "missing-host";
    NonAsciiTarget = 400 "non-ascii-target";
    ObsFold = 400 "obs-fold";
    RepeatedContentLength = 400 "repeated-content-length";
    RepeatedHeader = 400 "repeated-header";
    RepeatedHost = 400 "repeated-host";
    RepeatedTransferEncoding = 400 "repeated-transfer-encoding";
    RequestLineSpacing = 400 "request-line-spacing";
    SpaceBeforeColon = 400 "space-before-colon";
    TlsOnPlainPort = 400 "tls-on-plain-port";
    TransferEncodingOnHttp10 = 400 "transfer-encoding-on-http-1-0";
    TwoLengths = 400 "two-lengths";
    LengthRequired = 411 "length-required";
    BodyTooLarge = 413 "body-too-large";
    RequestLineTooLong = 414 "request-line-too-long";
    UnsupportedExpectation = 417 "unsupported-expectation";
    GreetingTooLarge = 431 "greeting-too-large";
    HeadTooLarge = 431 "head-too-large";
    TooManyHeaders = 431 "too-many-headers";
    TrailersTooLarge = 431 "trailers-too-large";
    ConnectUnsupported = 501 "connect-unsupported";
    UnsupportedTransferCoding = 501 "unsupported-transfer-coding";
    Http09 = 505 "http-0-9";
    Http2Preface = 505 "http-2-preface";
    UnsupportedVersion = 505 "unsupported-version";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_code_is_kebab_case_and_occurs_once() {
        let texts: BTreeSet<_> = ErrorCode::ALL.iter().map(|code| code.text()).collect();
        assert_eq!(texts.len(), ErrorCode::ALL.len());
        let is_kebab = |text: &str| {
            let is_word = |word: &str| {
                !word.is_empty()
                    && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
            };
            text.split('-').all(is_word)
        };
        assert!(texts.iter().all(|text| is_kebab(text)), "{texts:?}");
    }

    #[test]
    fn only_what_passes_by_itself_is_to_be_repeated() {
        for code in ErrorCode::ALL {
            assert!(code.retry_after().is_none() || [429, 503].contains(&code.status()), "{code:?}");
        }
    }
}
