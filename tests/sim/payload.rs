//! Payloads that carry the number of their publish in every encoding, with every allowed oddity.

use crate::envelope::Message;
use crate::rng::Rng;

/// The payload of a publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    /// JSON text, as sent.
    Json(String),
    Text(String),
    Bytes(Vec<u8>),
}

impl Payload {
    /// JSON that must pass through byte for byte.
    pub(crate) fn json(number: usize, rng: &mut Rng) -> Self {
        let pad = "x".repeat(if rng.chance(10) { rng.size(200, 900) } else { rng.size(0, 40) });
        let odd = *rng.pick(&[
            r#""""#,
            "1.0",
            "-0",
            "1e2",
            "12345678901234567890",
            r#""\u2028\ud83d\ude00""#,
            "\"\u{2028}é💫\"",
            r#""data: x\n\nid: 7-7\n""#,
            "[ null , true ]",
            r#"{"b":1,"a":2,"b":3}"#,
        ]);
        let space = *rng.pick(&["", " ", "\t", "\n", "\r\n"]);
        Self::Json(format!("{{{space}\"m\":{number},{space}\"odd\":{odd} ,\"pad\":\"{pad}\"}}"))
    }

    pub(crate) fn text(number: usize) -> Self {
        Self::Text(format!("m={number};\r\n\"\\ \u{2029} data: </script>\n\n"))
    }

    pub(crate) fn bytes(number: usize) -> Self {
        let mut bytes = format!("m={number};").into_bytes();
        bytes.extend_from_slice(&[0, 255, 10, 13, 128]);
        Self::Bytes(bytes)
    }

    /// The body of a request that publishes it, and its type.
    pub(crate) fn body(&self) -> (Vec<u8>, &'static str) {
        match self {
            Self::Json(text) => (text.clone().into_bytes(), "application/json"),
            Self::Text(text) => (text.clone().into_bytes(), "text/plain; charset=utf-8"),
            Self::Bytes(bytes) => (bytes.clone(), "application/octet-stream"),
        }
    }

    /// Whether a message carries exactly this.
    pub(crate) fn arrives_as(&self, message: &Message) -> bool {
        match (self, message.encoding.as_deref()) {
            (Self::Json(text), None) if !message.is_exact => same(text, &message.data),
            (Self::Json(text), None) => {
                text.bytes().filter(|byte| !b"\r\n".contains(byte)).eq(message.data.bytes())
            }
            (Self::Text(text), None) => {
                serde_json::from_str::<String>(&message.data).ok().as_ref() == Some(text)
            }
            (Self::Bytes(bytes), Some("base64")) => base64(&message.data).as_ref() == Some(bytes),
            _ => false,
        }
    }
}

/// Whether two texts are the same JSON.
fn same(one: &str, other: &str) -> bool {
    let value = |text| serde_json::from_str::<serde_json::Value>(text).ok();
    value(one).is_some_and(|one| value(other) == Some(one))
}

/// The number that a message carries.
pub(crate) fn number_of(message: &Message) -> Result<usize, String> {
    if message.encoding.is_none()
        && let Some(number) = number_in(&message.data)
    {
        return Ok(number);
    }
    let bad = || format!("its payload carries no number: {}", message.data);
    let text = if message.encoding.is_some() {
        String::from_utf8_lossy(&base64(&message.data).ok_or_else(bad)?).into_owned()
    } else {
        match serde_json::from_str::<serde_json::Value>(&message.data).map_err(|_| bad())? {
            serde_json::Value::String(text) => text,
            value => return value["m"].as_u64().map(|number| number as usize).ok_or_else(bad),
        }
    };
    text.strip_prefix("m=").and_then(|rest| rest.split(';').next()?.parse().ok()).ok_or_else(bad)
}

/// The number of an object with the usual spelling. The rest may be anything: the oracle compares
/// it with the published payload.
fn number_in(json: &str) -> Option<usize> {
    let rest = json.strip_prefix('{')?.trim_start().strip_prefix("\"m\":")?;
    rest.split_once(',')?.0.parse().ok()
}

/// Base64 (RFC 4648, section 4) within a JSON string.
fn base64(json: &str) -> Option<Vec<u8>> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let text: String = serde_json::from_str(json).ok()?;
    let (mut bits, mut count, mut out) = (0u32, 0, Vec::new());
    for byte in text.trim_end_matches('=').bytes() {
        let digit = DIGITS.iter().position(|&known| known == byte)? as u32;
        bits = bits << 6 | digit;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    text.len().is_multiple_of(4).then_some(out)
}
