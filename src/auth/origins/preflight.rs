//! What a preflight asks for, and what it is told (Fetch standard, "CORS-preflight fetch").

use crate::wire::http::head::Head;
use crate::wire::http::is_token_byte;

/// What a preflight asks for.
#[derive(Clone, Debug, Default)]
pub struct Preflight {
    /// `Access-Control-Request-Headers`, where it is a proper list. Any header may be sent, since
    /// none changes what a request may do: what is not known is not read.
    pub(super) names: Option<Box<str>>,
    /// Whether `Access-Control-Request-Private-Network` asks for that.
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

    /// What is told to a page that may come in.
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

/// Whether a list of headers may be repeated to the page that asked for them.
fn is_list_of_names(names: &str) -> bool {
    let name = |name: &str| {
        let name = name.trim_matches([' ', '\t']);
        !name.is_empty() && name.bytes().all(is_token_byte)
    };
    names.len() <= NAMES_BYTES_MAX && names.split(',').all(name)
}

/// What a preflight is told that asks for no header, or for none that can be repeated: those that
/// are read here, and those that Faye sends with every request.
pub(super) const KNOWN_HEADERS: &str =
    "Authorization, Content-Type, Encke-Session, Last-Event-ID, Cache-Control, Pragma";

/// Bytes of a list of headers that is repeated. Monitoring scripts add some ten names to a
/// request's own.
const NAMES_BYTES_MAX: usize = 2048;

/// How long browsers may remember a preflight, in seconds: the most that Chromium honours. A change
/// of the list only ever reaches the real requests sooner, which are checked again.
const PREFLIGHT_SECONDS: &str = "7200";
