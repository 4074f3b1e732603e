//! The reasons to refuse a request by the rules of HTTP: one variant per cause, and one table each
//! from cause to code and sentence.
//!
//! Each of them leaves the end of the request in doubt, or comes from a peer with another protocol;
//! so all of them close the connection after the answer. Refusals that keep the connection (unknown
//! path, bad token) are not part of the wire format and not here.

use std::borrow::Cow;

use crate::wire::refusal::ErrorCode;

/// A rule of HTTP/1.x that the peer broke, or a bound that it went over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reject {
    /// The first byte is that of a TLS handshake: `https://` was used for a plain port.
    TlsOnPlainPort,
    /// A line feed without a carriage return before it.
    BareLf,
    /// A carriage return without a line feed after it.
    BareCr,
    /// NUL, DEL or another control byte that no head may hold.
    ControlByte,
    /// More than two empty lines before the request line.
    EmptyLines,
    /// The request line did not end within the bound of the whole head.
    RequestLineTooLong {
        /// The bound, in bytes.
        bytes_max: usize,
    },
    /// The head did not end within its bound.
    HeadTooLarge {
        /// The bound, in bytes.
        bytes_max: usize,
    },
    /// More header lines than allowed.
    TooManyHeaders {
        /// The bound, in header lines.
        headers_max: usize,
    },
    /// Not `method SP target SP version`.
    BadRequestLine,
    /// A tab, or more than one space, in the request line.
    RequestLineSpacing,
    /// A request line without a version (HTTP/0.9).
    Http09,
    /// The connection preface of HTTP/2 with prior knowledge.
    Http2Preface,
    /// A well-formed version other than 1.0 and 1.1.
    UnsupportedVersion,
    /// A byte over 0x7f in the request target.
    NonAsciiTarget,
    /// A `#` in the request target.
    FragmentInTarget,
    /// A target that is neither `/path`, nor `http://host/path`, nor `*` of OPTIONS.
    BadTarget,
    /// The method CONNECT: this is no proxy.
    ConnectUnsupported,
    /// An absolute target whose authority is not the `Host`.
    AuthorityMismatch,
    /// A header line continued on the next (RFC 9112 5.2).
    ObsFold,
    /// White space between a header's name and its colon.
    SpaceBeforeColon,
    /// A header line that begins with a colon.
    EmptyHeaderName,
    /// A header line without a colon.
    MissingColon,
    /// A header name with a byte that is no token byte.
    BadHeaderName,
    /// HTTP/1.1 without `Host`.
    MissingHost,
    /// Two `Host` headers.
    RepeatedHost,
    /// A `Host`, or an authority in the target, that is no host and port.
    BadHost,
    /// Two `Content-Length` headers, be they equal.
    RepeatedContentLength,
    /// A `Content-Length` that is not 1 to 19 digits.
    BadContentLength,
    /// `Content-Length` and `Transfer-Encoding` together.
    TwoLengths,
    /// Two `Transfer-Encoding` headers.
    RepeatedTransferEncoding,
    /// A `Transfer-Encoding` that does not end in one plain `chunked`.
    BadTransferEncoding,
    /// A transfer coding besides `chunked`.
    UnsupportedTransferCoding,
    /// `Transfer-Encoding` in an HTTP/1.0 request.
    TransferEncodingOnHttp10,
    /// A header occurs twice that may occur only once.
    RepeatedHeader {
        /// Its name, lower-case.
        name: &'static str,
    },
    /// An `Expect` other than `100-continue`.
    UnsupportedExpectation,
    /// A request that opens a WebSocket announces a body: where it ends and frames begin would be a
    /// matter of opinion.
    HandshakeBody,
    /// A body was needed, and none was announced.
    LengthRequired,
    /// The body is, or will be, longer than allowed.
    BodyTooLarge {
        /// The bound, in bytes.
        bytes_max: usize,
    },
    /// A chunk size that is not 1 to 8 hexadecimal digits before `;` or CRLF.
    BadChunkSize,
    /// A malformed chunk extension, or more of them in one body than allowed.
    BadChunkExtension,
    /// Chunk data that is not followed by CRLF.
    BadChunkEnd,
    /// A malformed trailer line.
    BadTrailer,
    /// Trailers over their bound.
    TrailersTooLarge,
}

impl Reject {
    /// The error code, which has the status.
    pub fn code(self) -> ErrorCode {
        match self {
            Self::TlsOnPlainPort => ErrorCode::TlsOnPlainPort,
            Self::BareLf => ErrorCode::BareLf,
            Self::BareCr => ErrorCode::BareCr,
            Self::ControlByte => ErrorCode::ControlByte,
            Self::EmptyLines => ErrorCode::EmptyLines,
            Self::RequestLineTooLong { .. } => ErrorCode::RequestLineTooLong,
            Self::HeadTooLarge { .. } => ErrorCode::HeadTooLarge,
            Self::TooManyHeaders { .. } => ErrorCode::TooManyHeaders,
            Self::BadRequestLine => ErrorCode::BadRequestLine,
            Self::RequestLineSpacing => ErrorCode::RequestLineSpacing,
            Self::Http09 => ErrorCode::Http09,
            Self::Http2Preface => ErrorCode::Http2Preface,
            Self::UnsupportedVersion => ErrorCode::UnsupportedVersion,
            Self::NonAsciiTarget => ErrorCode::NonAsciiTarget,
            Self::FragmentInTarget => ErrorCode::FragmentInTarget,
            Self::BadTarget => ErrorCode::BadTarget,
            Self::ConnectUnsupported => ErrorCode::ConnectUnsupported,
            Self::AuthorityMismatch => ErrorCode::AuthorityMismatch,
            Self::ObsFold => ErrorCode::ObsFold,
            Self::SpaceBeforeColon => ErrorCode::SpaceBeforeColon,
            Self::EmptyHeaderName => ErrorCode::EmptyHeaderName,
            Self::MissingColon => ErrorCode::MissingColon,
            Self::BadHeaderName => ErrorCode::BadHeaderName,
            Self::MissingHost => ErrorCode::MissingHost,
            Self::RepeatedHost => ErrorCode::RepeatedHost,
            Self::BadHost => ErrorCode::BadHost,
            Self::RepeatedContentLength => ErrorCode::RepeatedContentLength,
            Self::BadContentLength => ErrorCode::BadContentLength,
            Self::TwoLengths => ErrorCode::TwoLengths,
            Self::RepeatedTransferEncoding => ErrorCode::RepeatedTransferEncoding,
            Self::BadTransferEncoding => ErrorCode::BadTransferEncoding,
            Self::UnsupportedTransferCoding => ErrorCode::UnsupportedTransferCoding,
            Self::TransferEncodingOnHttp10 => ErrorCode::TransferEncodingOnHttp10,
            Self::RepeatedHeader { .. } => ErrorCode::RepeatedHeader,
            Self::UnsupportedExpectation => ErrorCode::UnsupportedExpectation,
            Self::HandshakeBody => ErrorCode::WsBody,
            Self::LengthRequired => ErrorCode::LengthRequired,
            Self::BodyTooLarge { .. } => ErrorCode::BodyTooLarge,
            Self::BadChunkSize => ErrorCode::BadChunkSize,
            Self::BadChunkExtension => ErrorCode::BadChunkExtension,
            Self::BadChunkEnd => ErrorCode::BadChunkEnd,
            Self::BadTrailer => ErrorCode::BadTrailer,
            Self::TrailersTooLarge => ErrorCode::TrailersTooLarge,
        }
    }

    /// One sentence for the error body: what is wrong, and what is allowed.
    #[expect(clippy::wildcard_enum_match_arm, reason = "`fixed_reason` names every other variant")]
    pub fn reason(self) -> Cow<'static, str> {
        match self {
            Self::RequestLineTooLong { bytes_max } => {
                format!("the request line is too long; a whole head may have {bytes_max} bytes").into()
            }
            Self::HeadTooLarge { bytes_max } => {
                format!("the request head is too long; it may have {bytes_max} bytes").into()
            }
            Self::TooManyHeaders { headers_max } => {
                format!("too many headers; a request may have {headers_max}").into()
            }
            Self::BodyTooLarge { bytes_max } => {
                format!("the body is too long; it may have {bytes_max} bytes").into()
            }
            Self::RepeatedHeader { name } => {
                format!("the header `{name}` occurs twice; it may occur once").into()
            }
            other => other.fixed_reason().into(),
        }
    }

    /// The sentences that name no number.
    fn fixed_reason(self) -> &'static str {
        match self {
            Self::TlsOnPlainPort => "a TLS handshake came to a plain port; use http:// here, not https://",
            Self::BareLf => "a line feed without a carriage return; lines end in CRLF",
            Self::BareCr => "a carriage return without a line feed; lines end in CRLF",
            Self::ControlByte => "the head has a control byte; only tab, CRLF and visible bytes are allowed",
            Self::EmptyLines => "too many empty lines before the request line; two are allowed",
            Self::BadRequestLine => "the request line is malformed; it is `METHOD target HTTP/1.1`",
            Self::RequestLineSpacing => {
                "the request line has a tab or an extra space; single spaces separate its three parts"
            }
            Self::Http09 => "the request line has no version; HTTP/1.1 and HTTP/1.0 are supported",
            Self::Http2Preface => "HTTP/2 is not supported; use HTTP/1.1",
            Self::UnsupportedVersion => "this version of HTTP is not supported; use HTTP/1.1 or HTTP/1.0",
            Self::NonAsciiTarget => "the target has bytes that are not ASCII; they must be percent-encoded",
            Self::FragmentInTarget => {
                "the target has a `#`; clients do not send fragments, and write `#` itself as %23"
            }
            Self::BadTarget => {
                "the target is malformed; it is `/path`, `http://host/path`, or `*` with OPTIONS"
            }
            Self::ConnectUnsupported => "CONNECT is not supported; this is not a proxy",
            Self::AuthorityMismatch => "the target names another host than the Host header; they must agree",
            Self::ObsFold => "a header line begins with white space; headers are one line each",
            Self::SpaceBeforeColon => "white space before a colon; a header's name ends at its colon",
            Self::EmptyHeaderName => "a header has no name; headers are `Name: value`",
            Self::MissingColon => "a header line has no colon; headers are `Name: value`",
            Self::BadHeaderName => "a header's name has an invalid byte; use letters, digits and -",
            Self::MissingHost => "the Host header is missing; HTTP/1.1 needs one",
            Self::RepeatedHost => "the Host header occurs twice; it may occur once",
            Self::BadHost => "the host is malformed; it is a name or address with an optional port",
            Self::RepeatedContentLength => "Content-Length occurs twice; it may occur once",
            Self::BadContentLength => "Content-Length is malformed; it is 1 to 19 decimal digits",
            Self::TwoLengths => "both Content-Length and Transfer-Encoding are present; send one of them",
            Self::RepeatedTransferEncoding => "Transfer-Encoding occurs twice; it may occur once",
            Self::BadTransferEncoding => "Transfer-Encoding is malformed; it is `chunked`, once and last",
            Self::UnsupportedTransferCoding => "this transfer coding is not supported; only `chunked` is",
            Self::TransferEncodingOnHttp10 => "HTTP/1.0 has no Transfer-Encoding; send Content-Length",
            Self::UnsupportedExpectation => "this expectation is not supported; only `100-continue` is",
            Self::HandshakeBody => {
                "a request that opens a WebSocket has no body; leave out Transfer-Encoding and any Content-Length but 0"
            }
            Self::LengthRequired => "a body is needed; send Content-Length or `Transfer-Encoding: chunked`",
            Self::BadChunkSize => "a chunk size is malformed; it is 1 to 8 hexadecimal digits",
            Self::BadChunkExtension => {
                "chunk extensions are malformed or too long; a body may have 256 bytes of them"
            }
            Self::BadChunkEnd => "chunk data does not end in CRLF where its size says",
            Self::BadTrailer => "a trailer is malformed; trailers are `Name: value`, one line each",
            Self::TrailersTooLarge => "the trailers are too long; they may have 4096 bytes",
            Self::RequestLineTooLong { .. } => "the request line is too long",
            Self::HeadTooLarge { .. } => "the request head is too long",
            Self::TooManyHeaders { .. } => "too many headers",
            Self::BodyTooLarge { .. } => "the body is too long",
            Self::RepeatedHeader { .. } => "a header occurs twice; it may occur once",
        }
    }
}
