//! What a request for TCP sockets asks for: the list of targets, or a WebSocket to one of them.

use crate::auth::origins::Preflight;
use crate::request::router::query::{OF_TRANSPORTS, named};
use crate::request::router::{Context, grant, no_such_path, not_allowed};
use crate::request::{Request, TcpOpen, Upgrade, User};
use crate::transport::tcp::ByteCoding;
use crate::wire::http::Method;
use crate::wire::http::head::Head;
use crate::wire::percent;
use crate::wire::refusal::{Refusal, Refused};
use crate::wire::websocket;

/// The subprotocols that say how bytes come.
const BINARY: &str = "binary";
const BASE64: &str = "base64";

/// Parses a request whose path goes on with `rest` behind `/u/{user}/tcp`.
pub(super) fn route(
    context: &Context<'_>,
    head: &Head<'_>,
    user: User,
    rest: &[&str],
) -> Result<Request, Refusal> {
    match head.method {
        Method::Options => return Ok(Request::Preflight(Preflight::of(head))),
        Method::Get => {}
        Method::Post | Method::Head | Method::Put | Method::Patch | Method::Delete | Method::Other => {
            return Err(not_allowed("GET, OPTIONS"));
        }
    }
    let query = named(head.query, OF_TRANSPORTS)?;
    let grant = grant(context, head, &query, &user)?;
    match rest {
        [] => Ok(Request::TcpTargets(grant)),
        [target] => {
            let target =
                percent::decode_segment(target).map_err(|error| Refused::TargetName { error })?.into();
            let (coding, upgrade) = upgrade(head)?;
            Ok(Request::Tcp(Box::new(TcpOpen { user, grant, target, coding, upgrade })))
        }
        _ => Err(no_such_path()),
    }
}

/// The answer to the handshake. A client that offers subprotocols fails if none of them is chosen,
/// so one that only offers what it speaks inside the stream gets that, and binary messages.
fn upgrade(head: &Head<'_>) -> Result<(ByteCoding, Upgrade), Refusal> {
    let handshake = websocket::handshake(head)?;
    let offered = &handshake.protocols;
    let known = offered.iter().find(|name| [BINARY, BASE64].contains(name));
    let chosen = known.or(offered.first());
    let coding = if chosen == Some(&BASE64) { ByteCoding::Base64 } else { ByteCoding::Binary };
    let protocol = chosen.map(|name| (*name).to_owned().into());
    // Bytes of other protocols are seldom worth compressing once more.
    let accept = websocket::accept_key(handshake.key);
    Ok((coding, Upgrade { accept, protocol, deflate: None }))
}
