//! `Sec-WebSocket-Extensions` (RFC 6455 9.1): selecting a permessage-deflate offer (RFC 7692 5,
//! 7.1).
//!
//! Malformed and unknown offers are ignored; the next one may be acceptable, and without any the
//! connection is not compressed.

use std::fmt::Write as _;

use super::super::http::is_token_byte;
use super::past::Past;

/// An accepted permessage-deflate offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeflateOffer {
    /// Binary logarithm of the window that our compressor may use, 8 to 15; 15 by default.
    pub server_max_window_bits: u8,
    /// Whether the client named that window.
    pub window: Window,
    /// Whether the client requires that the server keeps no context.
    pub server_context: ServerContext,
    /// The context of the client's compressor.
    pub client_context: ClientContext,
}

/// Which side bounds the window of our compressor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// The client did not bound it.
    Unspecified,
    /// The client bounded it, and expects our answer to confirm that.
    Named,
}

/// Whether the client requires us to compress each message independently, which we always do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerContext {
    /// It did not.
    Unspecified,
    /// It did, and expects our answer to confirm that.
    Dropped,
}

/// The context of the client's compressor besides the message itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientContext {
    /// Nothing: the client offered to drop its context.
    Dropped,
    /// The last bytes of its previous messages, in a window of this many bits.
    Kept(u8),
    /// The same, with the full window, which the client did not offer to make smaller.
    Whole,
}

impl DeflateOffer {
    /// The value of the response's `Sec-WebSocket-Extensions`. It contains no parameter that the
    /// client did not offer: clients may fail the connection if a response has one (RFC 7692 7.1),
    /// and some do.
    pub fn response(&self) -> String {
        let mut response = "permessage-deflate".to_owned();
        match self.server_context {
            ServerContext::Unspecified => {}
            ServerContext::Dropped => response.push_str("; server_no_context_takeover"),
        }
        match self.client_context {
            ClientContext::Dropped => response.push_str("; client_no_context_takeover"),
            ClientContext::Kept(bits) => _ = write!(response, "; client_max_window_bits={bits}"),
            ClientContext::Whole => {}
        }
        match self.window {
            Window::Unspecified => {}
            Window::Named => {
                _ = write!(response, "; server_max_window_bits={}", self.server_max_window_bits);
            }
        }
        response
    }

    /// The bytes of the client's messages that must be kept for later ones.
    pub fn past(&self) -> Past {
        match self.client_context {
            ClientContext::Dropped => Past::None,
            ClientContext::Kept(bits) => Past::empty(bits),
            ClientContext::Whole => Past::empty(WINDOW_BITS_MAX),
        }
    }

    /// Whether a compressed message of `len` bytes (before compression) may be sent: no reference
    /// within it can reach further back than its own length, so one that fits the client's window
    /// may have been compressed with any. A longer one is sent plain, which is always allowed.
    pub fn takes(&self, len: usize) -> bool {
        self.server_max_window_bits >= WINDOW_BITS_MAX || len <= 1 << self.server_max_window_bits
    }
}

/// The first acceptable offer in the values of all `Sec-WebSocket-Extensions` lines, in order.
pub(super) fn accept<'a>(values: impl Iterator<Item = &'a [u8]>) -> Option<DeflateOffer> {
    values.filter_map(|value| str::from_utf8(value).ok()).flat_map(|value| split(value, ',')).find_map(offer)
}

/// One offer: its name and its parameters, each at most once.
fn offer(text: &str) -> Option<DeflateOffer> {
    let mut parts = split(text, ';');
    if !parts.next()?.trim_matches(WHITE).eq_ignore_ascii_case("permessage-deflate") {
        return None;
    }
    let mut seen = Vec::new();
    let mut accepted = DeflateOffer {
        server_max_window_bits: WINDOW_BITS_MAX,
        window: Window::Unspecified,
        server_context: ServerContext::Unspecified,
        client_context: ClientContext::Whole,
    };
    for part in parts {
        let parameter = parameter(part)?;
        let kind = std::mem::discriminant(&parameter);
        if seen.contains(&kind) {
            return None;
        }
        seen.push(kind);
        match (parameter, accepted.client_context) {
            (Parameter::ServerMaxWindow(bits), _) => {
                accepted.server_max_window_bits = bits;
                accepted.window = Window::Named;
            }
            (Parameter::ServerNoContext, _) => accepted.server_context = ServerContext::Dropped,
            (Parameter::ClientNoContext, _) => accepted.client_context = ClientContext::Dropped,
            // Without a kept context, the window does not matter.
            (Parameter::ClientMaxWindow(_), ClientContext::Dropped) => {}
            (Parameter::ClientMaxWindow(bits), ClientContext::Kept(_) | ClientContext::Whole) => {
                accepted.client_context = ClientContext::Kept(bits.min(CLIENT_WINDOW_BITS));
            }
        }
    }
    Some(accepted)
}

/// The parameters of an offer (RFC 7692 7.1).
enum Parameter {
    ServerNoContext,
    ClientNoContext,
    ServerMaxWindow(u8),
    ClientMaxWindow(u8),
}

/// A parameter with a value that it may have; `None` refuses the offer.
fn parameter(text: &str) -> Option<Parameter> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(unquoted(value.trim_matches(WHITE))?)),
        None => (text, None),
    };
    let name = name.trim_matches(WHITE);
    let is = |known: &str| name.eq_ignore_ascii_case(known);
    match value {
        None if is("server_no_context_takeover") => Some(Parameter::ServerNoContext),
        None if is("client_no_context_takeover") => Some(Parameter::ClientNoContext),
        None if is("client_max_window_bits") => Some(Parameter::ClientMaxWindow(WINDOW_BITS_MAX)),
        Some(value) if is("client_max_window_bits") => window_bits(value).map(Parameter::ClientMaxWindow),
        Some(value) if is("server_max_window_bits") => window_bits(value).map(Parameter::ServerMaxWindow),
        Some(_) | None => None,
    }
}

/// A token, or the token in a quoted string (RFC 6455 9.1). None that we know needs an escape
/// within it.
fn unquoted(value: &str) -> Option<&str> {
    let token = match value.strip_prefix('"') {
        Some(quoted) => quoted.strip_suffix('"')?,
        None => value,
    };
    (!token.is_empty() && token.bytes().all(is_token_byte)).then_some(token)
}

/// 8 to 15, without leading zeros (RFC 7692 7.1.2).
fn window_bits(value: &str) -> Option<u8> {
    let bits = value.parse::<u8>().ok().filter(|bits| (WINDOW_BITS_MIN..=WINDOW_BITS_MAX).contains(bits))?;
    value.starts_with(|first: char| ('1'..='9').contains(&first)).then_some(bits)
}

/// The parts between separators outside quotes.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quotes = Quotes::Outside;
    text.split(move |next: char| {
        quotes = quotes.after(next);
        matches!(quotes, Quotes::Outside) && next == separator
    })
}

/// Where in a header's value one is.
#[derive(Clone, Copy)]
enum Quotes {
    Outside,
    Within,
    /// After a backslash within quotes: the next character is literal.
    Escaped,
}

impl Quotes {
    fn after(self, next: char) -> Self {
        match (self, next) {
            (Self::Outside, '"') | (Self::Escaped, _) => Self::Within,
            (Self::Within, '\\') => Self::Escaped,
            (Self::Within, '"') | (Self::Outside, _) => Self::Outside,
            (Self::Within, _) => Self::Within,
        }
    }
}

/// White space between the parts.
const WHITE: [char; 2] = [' ', '\t'];

/// The smallest window that can be named: 256 bytes.
const WINDOW_BITS_MIN: u8 = 8;

/// The largest window of deflate: 32 KiB.
const WINDOW_BITS_MAX: u8 = 15;

/// The window that the server requests if the client allows it to choose. Commands are short and
/// similar, so 1 KiB of context serves them as well as 32 KiB, and each connection keeps that much.
const CLIENT_WINDOW_BITS: u8 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(values: &[&str]) -> Option<String> {
        accept(values.iter().map(|value| value.as_bytes())).map(|offer| offer.response())
    }

    #[test]
    fn what_browsers_and_libraries_offer_is_taken_and_nothing_else_is_answered() {
        for (offer, answer) in [
            ("permessage-deflate", ""),
            ("permessage-deflate; client_max_window_bits", "; client_max_window_bits=10"),
            ("permessage-deflate; client_max_window_bits=9", "; client_max_window_bits=9"),
            (
                "Permessage-Deflate ;client_max_window_bits=\"10\" ; client_no_context_takeover",
                "; client_no_context_takeover",
            ),
            (
                "permessage-deflate; client_no_context_takeover; client_max_window_bits",
                "; client_no_context_takeover",
            ),
            ("permessage-deflate; server_no_context_takeover", "; server_no_context_takeover"),
            (
                "permessage-deflate; client_no_context_takeover; server_no_context_takeover",
                "; server_no_context_takeover; client_no_context_takeover",
            ),
            (
                "permessage-deflate; server_no_context_takeover; client_max_window_bits=15",
                "; server_no_context_takeover; client_max_window_bits=10",
            ),
            ("x-webkit-deflate-frame, permessage-deflate", ""),
            ("foo; a=\"b, permessage-deflate; \\\" x\", permessage-deflate", ""),
        ] {
            assert_eq!(accepted(&[offer]), Some(format!("permessage-deflate{answer}")), "{offer}");
        }
    }

    #[test]
    fn what_the_client_may_refer_to_is_what_is_kept() {
        let past = |offer: &str| accept([offer.as_bytes()].into_iter()).map(|offer| offer.past());
        assert_eq!(past("permessage-deflate"), Some(Past::empty(15)));
        assert_eq!(past("permessage-deflate; client_max_window_bits"), Some(Past::empty(10)));
        assert_eq!(past("permessage-deflate; client_max_window_bits=8"), Some(Past::empty(8)));
        assert_eq!(past("permessage-deflate; client_no_context_takeover"), Some(Past::None));
    }

    #[test]
    fn a_window_that_was_named_is_confirmed() {
        for bits in 8..=15 {
            let offer = format!("permessage-deflate; server_max_window_bits={bits}");
            assert_eq!(accepted(&[&offer]), Some(offer));
        }
        let quoted = "permessage-deflate; server_max_window_bits=\"9\"";
        assert_eq!(accepted(&[quoted]).as_deref(), Some("permessage-deflate; server_max_window_bits=9"));
    }

    #[test]
    fn a_bad_offer_is_passed_over() {
        for bad in [
            "",
            "deflate",
            "permessage-deflate;",
            "permessage-deflate; unknown",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; client_no_context_takeover=\"\"",
            "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
            "permessage-deflate; client_max_window_bits; client_max_window_bits=9",
            "permessage-deflate; client_max_window_bits=",
            "permessage-deflate; client_max_window_bits=7",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=08",
            "permessage-deflate; server_max_window_bits=+9",
            "permessage-deflate; server_max_window_bits=\"9",
            "permessage-deflate; server_max_window_bits=1e1",
            "permessage-deflate; server_max_window_bits=9; server_max_window_bits=9",
        ] {
            assert_eq!(accepted(&[bad]), None, "{bad}");
            assert_eq!(
                accepted(&[bad, "permessage-deflate"]).as_deref(),
                Some("permessage-deflate"),
                "after {bad}"
            );
        }
    }

    #[test]
    fn the_first_acceptable_offer_wins() {
        let offers = "permessage-deflate; server_max_window_bits=7, permessage-deflate; server_max_window_bits=10, permessage-deflate";
        assert_eq!(accepted(&[offers]).as_deref(), Some("permessage-deflate; server_max_window_bits=10"));
    }

    #[test]
    fn a_message_longer_than_a_small_window_goes_out_plain() {
        let offer = |bits| {
            let offered = format!("permessage-deflate; server_max_window_bits={bits}");
            offer(&offered).expect("an offer")
        };
        assert!(offer(8).takes(256) && !offer(8).takes(257));
        assert!(offer(14).takes(16_384) && !offer(14).takes(16_385));
        assert!(offer(15).takes(usize::MAX));
    }
}
