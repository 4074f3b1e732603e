//! The common parts of endless documents: the forever frame's and the htmlfile's.

use crate::transport::TransportRequest;
pub(in crate::transport) use crate::transport::shared::limits::PRELUDE_BYTES_MIN;
use crate::wire::refusal::{Refusal, Refused};

/// The callback, unless the query names one.
pub(in crate::transport) const CALLBACK: &str = "encke";

/// `Content-Type`.
pub(in crate::transport) const HTML: &str = "text/html; charset=utf-8";

/// The end of the document.
pub(in crate::transport) const EPILOGUE: &[u8] = b"</body></html>\n";

/// A document's beginning, with the script that defines the functions for events.
pub(in crate::transport) fn prelude(script: &str) -> Vec<u8> {
    let mut out =
        format!("<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"></head><body>\n{script}").into_bytes();
    let missing = PRELUDE_BYTES_MIN.saturating_sub(out.len());
    spaces(missing, &mut out);
    out
}

/// Blanks and a line end.
pub(in crate::transport) fn spaces(bytes: usize, out: &mut Vec<u8>) {
    out.resize(out.len() + bytes.saturating_sub(1), b' ');
    out.push(b'\n');
}

/// The script that sets the query's `domain`, by which documents of several hosts can interact: the
/// host's own or one above it.
pub(in crate::transport) fn domain(asked: &TransportRequest<'_>) -> Result<Option<String>, Refusal> {
    let Some(domain) = asked.value("domain") else { return Ok(None) };
    let host = asked.host.rsplit_once(':').map_or(asked.host, |(host, _)| host);
    let is_name = !domain.is_empty()
        && domain.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
    let is_above = host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    if is_name && is_above {
        return Ok(Some(format!("document.domain='{domain}';")));
    }
    Err(Refused::Domain { domain, host }.into())
}
