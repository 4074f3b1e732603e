//! The requests of a preflight, and its answer (Fetch standard, "CORS-preflight fetch").

use crate::auth::limits::PREFLIGHT_NAMES_BYTES_MAX;
use crate::wire::http::head::Head;
use crate::wire::http::is_token_byte;

/// The requests of a preflight.
#[derive(Clone, Debug, Default)]
pub struct Preflight {
    /// `Access-Control-Request-Headers`, if it is a valid list. Any header may be sent, since no
    /// unknown one has an effect.
    pub(super) names: Option<Box<str>>,
    /// Whether `Access-Control-Request-Private-Network` requests it.
    pub(super) private_network: bool,
}

impl Preflight {
    /// Reads a preflight.
    pub fn of(head: &Head<'_>) -> Self {
        let header = |name| head.header(name);
        let names = header("access-control-request-headers").filter(|names| is_list_of_names(names));
        Self {
            names: names.map(Into::into),
            private_network: header("access-control-request-private-network") == Some("true"),
        }
    }

    /// The answer to a page that is allowed.
    pub(super) fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let always = [
            ("Access-Control-Allow-Methods", "GET, POST, OPTIONS"),
            ("Access-Control-Allow-Headers", self.names.as_deref().unwrap_or(KNOWN_HEADERS)),
            ("Access-Control-Max-Age", PREFLIGHT_SECONDS),
        ];
        let private = self.private_network.then_some(("Access-Control-Allow-Private-Network", "true"));
        always.into_iter().chain(private)
    }
}

/// Whether a list of headers may be repeated in the answer.
fn is_list_of_names(names: &str) -> bool {
    let name = |name: &str| {
        let name = name.trim_matches([' ', '\t']);
        !name.is_empty() && name.bytes().all(is_token_byte)
    };
    names.len() <= PREFLIGHT_NAMES_BYTES_MAX && names.split(',').all(name)
}

/// The answer to a preflight that requests no header, or none that can be repeated: the headers
/// that the server reads, and those that Faye sends with every request.
pub(super) const KNOWN_HEADERS: &str =
    "Authorization, Content-Type, Encke-Session, Last-Event-ID, Cache-Control, Pragma";

/// How long browsers may remember a preflight, in seconds: the most that Chromium honours. A change
/// of the list only ever reaches the real requests sooner, which are checked again.
const PREFLIGHT_SECONDS: &str = "7200";
