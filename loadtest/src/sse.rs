//! What arrives on a stream of server-sent events, as far as a load test cares.
//!
//! It looks for the few fields that it needs instead of parsing JSON: the server's spelling is fixed, and the client must not
//! be what limits a run. An event without data is no event, as in browsers; it only shows that the link lives.

use memchr::memmem;

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The stream has begun, after this position of this epoch.
    Open { epoch: &'a [u8], position: u64, resumed: bool },
    /// One of the publisher's messages.
    Message(Stamp),
    /// Messages after `from` up to `to` may be missing.
    Gap { from: u64, to: u64 },
    /// The stream ends; come back after so many milliseconds.
    Close { after: u64 },
    /// No data.
    Heartbeat,
    /// Nothing that is known here.
    Strange,
}

/// What the publisher wrote into a message, and where the server put it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The publisher's own count, from 1.
    pub serial: u64,
    /// When it was sent, in nanoseconds of the run's clock.
    pub sent: u64,
    /// The number in its position.
    pub n: u64,
}

/// The payload of a message: `len` bytes of JSON, at least 54.
pub fn payload(serial: u64, sent: u64, len: usize) -> String {
    let mut text = format!(r#"{{"s":"{serial:012}","t":"{sent:018}","p":""#);
    let filler = len.saturating_sub(text.len() + 2);
    text.extend(std::iter::repeat_n('x', filler));
    text.push_str("\"}");
    text
}

/// Takes the whole events out of `bytes` and gives each to `each`. Returns how many bytes they took; the rest is the beginning of the next.
pub fn events(bytes: &[u8], mut each: impl FnMut(Event<'_>)) -> usize {
    let mut start = 0;
    for end in memmem::find_iter(bytes, b"\n\n") {
        if end >= start {
            each(event(&bytes[start..end]));
            start = end + 2;
        }
    }
    start
}

fn event(bytes: &[u8]) -> Event<'_> {
    let Some(at) = memmem::find(bytes, b"data: ") else { return Event::Heartbeat };
    let json = &bytes[at + 6..];
    let known = if json.starts_with(b"{\"id\":") {
        message(json)
    } else if json.starts_with(b"{\"open\":") {
        let resumed = memmem::find(json, b"\"resumed\":true").is_some();
        place(json, b"\"position\":\"").map(|(epoch, position)| Event::Open { epoch, position, resumed })
    } else if json.starts_with(b"{\"gap\":") {
        position(json, b"\"from\":\"")
            .zip(position(json, b"\"to\":\""))
            .map(|(from, to)| Event::Gap { from, to })
    } else if json.starts_with(b"{\"close\":") {
        after(json, b"\"after\":").map(|text| Event::Close { after: number(text) })
    } else {
        None
    };
    known.unwrap_or(Event::Strange)
}

fn message(json: &[u8]) -> Option<Event<'_>> {
    let n = position(json, b"{\"id\":\"")?;
    let stamp = after(json, b"\"data\":{\"s\":\"")?;
    let sent = number(stamp.get(19..)?);
    Some(Event::Message(Stamp { serial: number(stamp), sent, n }))
}

/// The number of a position.
fn position(json: &[u8], before: &[u8]) -> Option<u64> {
    place(json, before).map(|(_, n)| n)
}

/// A position, `{epoch}-{n}`.
fn place<'a>(json: &'a [u8], before: &[u8]) -> Option<(&'a [u8], u64)> {
    let text = after(json, before)?;
    let dash = memchr::memchr2(b'-', b'"', text).filter(|&at| text[at] == b'-')?;
    Some((&text[..dash], number(&text[dash + 1..])))
}

fn after<'a>(json: &'a [u8], before: &[u8]) -> Option<&'a [u8]> {
    memmem::find(json, before).map(|at| &json[at + before.len()..])
}

/// The digits with which `text` begins.
fn number(text: &[u8]) -> u64 {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number: u64, digit| number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_has_the_length_that_was_asked_for_and_is_json() {
        let text = payload(7, 99, 100);
        assert_eq!(text.len(), 100);
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
    }

    #[test]
    fn each_kind_of_event_is_known_and_a_torn_one_waits() {
        let data = payload(7, 99, 100);
        let text = format!(
            "retry: 1000\n\nid: 1he1xf3q-0\ndata: {{\"open\":{{\"session\":\"s2-6\",\"position\":\"1he1xf3q-5\",\
             \"resumed\":false}}}}\n\nid: e-6\ndata: {{\"id\":\"e-6\",\"channel\":\"/c\",\"data\":{data}}}\n\n\
             data: {{\"gap\":{{\"from\":\"e-6\",\"to\":\"e-9\"}}}}\n\n\
             data: {{\"close\":{{\"code\":\"drain\",\"reconnect\":true,\"after\":123}}}}\n\nid: e-1"
        );
        let expected = [
            Event::Heartbeat,
            Event::Open { epoch: b"1he1xf3q", position: 5, resumed: false },
            Event::Message(Stamp { serial: 7, sent: 99, n: 6 }),
            Event::Gap { from: 6, to: 9 },
            Event::Close { after: 123 },
        ];
        let mut expected = expected.into_iter();
        let used = events(text.as_bytes(), |event| assert_eq!(Some(event), expected.next()));
        assert_eq!((&text[used..], expected.next()), ("id: e-1", None));
    }
}
