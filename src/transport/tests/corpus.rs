//! Payloads that are awkward in every way that is allowed, as envelopes.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::decode::{Item, Script};
use crate::base::position::{Epoch, Position};
use crate::transport::{Bytes, Envelope, Recipients};

/// An envelope on its way.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) json: String,
    pub(super) position: Option<Position>,
    bytes: Option<Published>,
}

/// A payload published as bytes.
#[derive(Clone, Debug)]
struct Published {
    head: String,
    base64: String,
    raw: Vec<u8>,
}

/// The part of an envelope that a dialect preserves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carries {
    /// Their text.
    Text,
    /// Their value.
    Values,
    /// Their text; bytes as records.
    Records,
    /// Bytes alone, as parts of this type.
    Images(&'static str),
}

impl Sample {
    /// A message whose `data` is this JSON.
    pub(super) fn message(n: u64, data: &str) -> Self {
        Self { json: format!("{},\"data\":{data}}}", head(n)), position: Some(position(n)), bytes: None }
    }

    /// A message that was published as bytes.
    pub(super) fn bytes(n: u64, raw: &[u8]) -> Self {
        let (head, base64) = (head(n), STANDARD.encode(raw));
        let json = format!("{head},\"encoding\":\"base64\",\"data\":\"{base64}\"}}");
        let bytes = Some(Published { head, base64, raw: raw.to_vec() });
        Self { json, position: Some(position(n)), bytes }
    }

    /// An envelope that is no message.
    pub(super) fn other(json: &str) -> Self {
        Self { json: json.to_owned(), position: None, bytes: None }
    }

    pub(super) fn envelope(&self) -> Envelope<'_> {
        let bytes = self.bytes.as_ref();
        Envelope {
            position: self.position,
            bytes: bytes.map(|bytes| Bytes { head: bytes.head.as_bytes(), base64: &bytes.base64 }),
            audience: Recipients::All,
            ..Envelope::plain(self.json.as_bytes())
        }
    }

    /// The item that must arrive.
    pub(super) fn expected(&self, carries: Carries) -> Option<Item> {
        match (carries, &self.bytes) {
            (Carries::Text, _) | (Carries::Records, None) => Some(Item::Json(self.json.clone())),
            (Carries::Values, _) => Some(Item::Script(Script(self.json.clone()))),
            (Carries::Records, Some(bytes)) => {
                Some(Item::Bytes { header: format!("{}}}", bytes.head), payload: bytes.raw.clone() })
            }
            (Carries::Images(kind), Some(bytes)) => {
                let holds_delimiter = bytes.raw.windows(7).any(|window| window == b"--encke");
                (!holds_delimiter).then(|| Item::Raw { kind: kind.to_owned(), payload: bytes.raw.clone() })
            }
            (Carries::Images(_), None) => None,
        }
    }
}

pub(super) fn position(n: u64) -> Position {
    Position { epoch: Epoch::new(7), n }
}

fn head(n: u64) -> String {
    format!("{{\"id\":\"{}\",\"channel\":\"/c/é\",\"from\":\"o'b\\\"&<\"", position(n))
}

/// Numbers that a seed decides (`SplitMix64`).
pub(super) struct Chance(pub(super) u64);

impl Chance {
    pub(super) fn below(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % below as u64) as usize
    }

    pub(super) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.below(256) as u8).collect()
    }

    /// Text of random characters, including those that JSON must escape.
    fn text(&mut self, len: usize) -> String {
        let any = |chance: &mut Self| match chance.below(4) {
            0 => char::from_u32(chance.below(0x11_0000) as u32),
            1 => Some(
                *chance.pick(&['<', '/', '\'', '"', '&', '\u{2028}', '\u{2029}', '\r', '\n', '\0', '-', ']']),
            ),
            _ => char::from_u32(chance.below(128) as u32),
        };
        (0..len).map(|_| any(self).unwrap_or('\u{fffd}')).collect()
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// Small envelopes, of each kind some.
pub(super) fn short() -> Vec<Sample> {
    let texts = TEXTS.iter().map(|text| Value::String((*text).to_owned()).to_string());
    let planes = (0..17_u32).map(|plane| {
        let each =
            [0, 1, 0x20, 0x41, 0xff, 0x2028, 0x7fff, 0xd7ff, 0xe000, 0xfdd0, 0xfeff, 0xfffd, 0xfffe, 0xffff];
        let text: String = each.iter().filter_map(|at| char::from_u32(plane << 16 | at)).collect();
        Value::String(text).to_string()
    });
    let controls = (0..0xa0_u8).collect::<Vec<_>>();
    let controls = controls
        .chunks(32)
        .map(|some| Value::String(some.iter().map(|&c| char::from(c)).collect()).to_string());
    let mut chance = Chance(1);
    let random: Vec<String> = (0..40).map(|len| Value::String(chance.text(len)).to_string()).collect();
    let data =
        DATA.iter().map(|data| (*data).to_owned()).chain(texts).chain(planes).chain(controls).chain(random);
    let mut samples: Vec<Sample> =
        data.enumerate().map(|(n, data)| Sample::message(n as u64, &data)).collect();
    for len in (0..=9).chain([62, 63, 64, 65]) {
        samples.push(Sample::bytes(1000 + len as u64, &chance.bytes(len)));
    }
    for raw in [&b"\r\n--encke\r\n\r\n--encke--\r\n"[..], b"\r\n\r\n", b"\0\0\0\0", b"</script>", &[0xff; 5]]
    {
        samples.push(Sample::bytes(u64::MAX, raw));
    }
    samples
}

/// Envelopes of every length at which some dialect changes its own encoding, up to 64 KiB of
/// payload and beyond.
pub(super) fn long() -> Vec<Sample> {
    let mut chance = Chance(2);
    let mut samples = Vec::new();
    let frame = Sample::message(7, "\"\"").json.len();
    for whole in [125, 126, 127, 128, 255, 256, 257, 511, 512, 32_767, 32_768, 65_534, 65_535, 65_536, 65_537]
    {
        samples.push(Sample::message(7, &format!("\"{}\"", "x".repeat(usize::saturating_sub(whole, frame)))));
    }
    for len in [1, 100, 1_000, 10_000, 65_536] {
        samples.push(Sample::message(len as u64, &Value::String(chance.text(len)).to_string()));
        samples.push(Sample::bytes(len as u64, &chance.bytes(len)));
        // Bytes that compress, so that references reach far back.
        let block = chance.bytes(len.div_ceil(3));
        samples.push(Sample::bytes(len as u64, &[&block[..], &block, &block].concat()));
    }
    let every: Vec<u8> = (0..=255).collect();
    samples.push(Sample::bytes(9, &every));
    samples.push(Sample::bytes(9, &vec![0; 65_536]));
    samples
}

/// Texts with a special meaning for some reader.
const TEXTS: [&str; 34] = [
    "",
    "x",
    "\0",
    "\u{2028}",
    "\u{2029}",
    "\u{feff}",
    "\u{feff}{}",
    "\r",
    "\n",
    "\r\n",
    "a\rb\nc\r\nd\n\n",
    "</script>",
    "</SCRIPT >",
    "<script>",
    "<!--",
    "-->",
    "<!--<script>",
    "]]>",
    "<![CDATA[",
    "--",
    "'",
    "\"",
    "\\",
    "\\u2028",
    "&amp;",
    "&",
    "&#39;&lt&copy;&copy",
    "'/><img src=x onerror=alert(1)>",
    "--encke",
    "\r\n--encke--\r\n",
    "data: x\n\nid: 7-7\nevent: torn\n",
    ";\n:\n",
    "]);alert(1);([",
    "💫é\u{301}\u{200d}\u{202e}\u{85}",
];

/// JSON that must stay as it is.
const DATA: [&str; 21] = [
    "null",
    "true",
    "0",
    "-0",
    "1.0",
    "1e2",
    "1E-7",
    "12345678901234567890",
    "[ ]",
    "{ }",
    "[ null , true ]",
    "{\"b\":1,\"a\":2,\"b\":3}",
    "{\"id\":\"x\",\"data\":{\"data\":1}}",
    "\"\\u2028\\ud83d\\ude00\\/\\b\\f\"",
    "\"\\u003c/script>\"",
    "{\"</script>\":\"<!--\"}",
    "{\"__proto__\":{\"x\":1}}",
    "{\"__proto__\":1,\"__proto__\":2}",
    "[{\"\\u005f_proto__\":\"</script>\u{2028}\"}]",
    "\"__proto__\"",
    "[[[[[[[[[[{\"a\":[{}]}]]]]]]]]]]",
];
