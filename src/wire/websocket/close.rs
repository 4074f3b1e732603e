//! The payload of a close frame (RFC 6455 5.5.1, 7.4): nothing, or a code and a reason.

use super::violation::Violation;

/// The code and reason, if there are any.
pub(super) fn parse(payload: &[u8]) -> Result<Option<(u16, String)>, Violation> {
    let Some((&code, reason)) = payload.split_first_chunk::<2>() else {
        return if payload.is_empty() { Ok(None) } else { Err(Violation::CloseTruncated) };
    };
    let code = u16::from_be_bytes(code);
    if !may_be_sent(code) {
        return Err(Violation::CloseCode { code });
    }
    let reason = str::from_utf8(reason).map_err(|_| Violation::BadUtf8)?;
    Ok(Some((code, reason.to_owned())))
}

/// Codes that the registry of RFC 6455 11.7 has for the wire, and those free for libraries and
/// applications. Not 1004 to 1006 and 1015, which must not appear in a frame.
fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}
