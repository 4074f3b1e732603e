//! The contract of every dialect: each envelope arrives unchanged, at once, and wherever the
//! network splits the bytes.

use std::io::Read as _;

use flate2::read::GzDecoder;

use super::corpus::{self, Chance, Sample};
use super::decode::{Grammar, Item};
use super::spelling::{self, Response, Spelling};
use crate::transport::gzip::{self, Sum};
use crate::transport::{Coding, Encoded, Form, Framing, REGISTRY};

const OPEN: &str = r#"{"open":{"session":"s0","position":"00000007-0","resumed":false,"heartbeat":25000,"grace":60000,"transport":"t"}}"#;
const CLOSE: &str = r#"{"close":{"code":"drain","reconnect":true,"after":1250}}"#;

/// A body in pieces, and the items that each of them completes.
struct Body {
    pieces: Vec<(Vec<u8>, Option<Item>)>,
}

impl Body {
    fn new(spelling: &Spelling, samples: &[Sample], pad: usize) -> Self {
        let response = spelling.respond();
        let mut pieces = vec![(response.begin(pad), None)];
        for (i, sample) in samples.iter().enumerate() {
            if i > 0 && spelling.is_batch() {
                pieces.push((response.separator().to_vec(), None));
            }
            pieces.push((response.encode(sample), sample.expected(spelling.carries)));
            if i % 2 == 0 && !spelling.is_batch() {
                pieces.push((response.heartbeat(), None));
            }
        }
        pieces.push((response.end().to_vec(), None));
        Self { pieces }
    }

    fn bytes(&self) -> Vec<u8> {
        self.pieces.iter().flat_map(|(bytes, _)| bytes).copied().collect()
    }

    /// The number of items that must be complete after this many bytes.
    fn complete_at(&self, cut: usize) -> usize {
        let mut end = 0;
        let done = |(bytes, item): &&(Vec<u8>, Option<Item>)| {
            end += bytes.len();
            end <= cut && item.is_some()
        };
        self.pieces.iter().filter(done).count()
    }
}

#[test]
fn every_row_is_spelled_here() {
    let all = spelling::all();
    // A transport of another protocol is read by that protocol's own tests.
    let is_own = |name: &str| !name.starts_with("sockjs-") && !name.starts_with("tcp");
    for row in REGISTRY.iter().filter(|row| is_own(row.name())) {
        assert!(all.iter().any(|spelling| spelling.name == row.name()), "{} has no reader", row.name());
    }
}

#[test]
fn every_payload_arrives_as_it_is() {
    let samples: Vec<_> =
        [Sample::other(OPEN)].into_iter().chain(corpus::short()).chain(corpus::long()).collect();
    let samples = [samples, vec![Sample::other(CLOSE)]].concat();
    for spelling in spelling::all() {
        let mut reader = spelling.reader();
        reader.feed(&Body::new(&spelling, &samples, 0).bytes());
        reader.finish();
        let expected = spelling.expected(&samples);
        for (got, expected) in reader.items.iter().zip(&expected) {
            assert!(got == expected, "{}: {got:?} instead of {expected:?}", spelling.name);
        }
        assert_eq!(reader.items.len(), expected.len(), "{}", spelling.name);
    }
}

#[test]
fn a_stream_that_is_torn_anywhere_has_given_all_that_is_complete_and_nothing_else() {
    let samples = [
        Sample::other(OPEN),
        Sample::message(1, "\"</script>\u{2028}é'&\""),
        Sample::bytes(2, b"\r\n--encke\r\n\0\xff"),
        Sample::other(r#"{"gap":{"from":"x","to":"00000007-2"}}"#),
        Sample::message(3, "{ }"),
        Sample::other(CLOSE),
    ];
    for spelling in spelling::all() {
        let body = Body::new(&spelling, &samples, 70);
        let (bytes, expected) = (body.bytes(), spelling.expected(&samples));
        // Up to each cut it has read all bytes one by one.
        let mut reader = spelling.reader();
        for cut in 0..bytes.len() {
            let got = reader.items.clone();
            assert_eq!(got, expected[..got.len()], "{} at {cut}", spelling.name);
            if !spelling.is_batch() && !is_late(&spelling) {
                let complete = body.complete_at(cut);
                assert!(
                    got.len() >= complete,
                    "{} at {cut}: what is there cannot be read yet",
                    spelling.name
                );
                assert!(got.len() <= complete + 1, "{} at {cut}: read before it was there", spelling.name);
            }
            let mut rest = reader.clone();
            rest.feed(&bytes[cut..]);
            rest.finish();
            assert_eq!(rest.items, expected, "{} in two pieces at {cut}", spelling.name);
            reader.feed(&bytes[cut..=cut]);
        }
    }
}

/// Whether parts are found by the delimiter of the next: that is why the other style is the
/// default.
fn is_late(spelling: &Spelling) -> bool {
    matches!(spelling.grammar(), Grammar::Parts(_)) && spelling.respond().begin(0).is_empty()
}

#[test]
fn each_short_payload_survives_each_split() {
    for spelling in spelling::all().iter().filter(|spelling| !spelling.is_batch() && !spelling.is_between()) {
        let response = spelling.respond();
        let mut begun = spelling.reader();
        begun.feed(&response.begin(0));
        for sample in corpus::short() {
            let bytes = response.encode(&sample);
            let after = [&response.heartbeat()[..], response.end()].concat();
            let expected = spelling.expected(std::slice::from_ref(&sample));
            for cut in 0..=bytes.len() {
                let mut reader = begun.clone();
                reader.feed(&bytes[..cut]);
                reader.feed(&bytes[cut..]);
                reader.feed(&after);
                assert_eq!(reader.items, expected, "{} at {cut}", spelling.name);
            }
        }
    }
}

#[test]
fn each_long_payload_survives_splits() {
    let mut chance = Chance(3);
    for spelling in spelling::all().iter().filter(|spelling| !spelling.is_batch()) {
        let response = spelling.respond();
        let mut begun = spelling.reader();
        begun.feed(&response.begin(0));
        for sample in corpus::long() {
            let bytes = [&response.encode(&sample)[..], response.end()].concat();
            let mut cuts: Vec<_> =
                (0..4).map(|_| chance.below(bytes.len())).chain([0, bytes.len()]).collect();
            cuts.sort_unstable();
            let mut reader = begun.clone();
            cuts.windows(2).for_each(|cut| reader.feed(&bytes[cut[0]..cut[1]]));
            assert!(reader.items == spelling.expected(std::slice::from_ref(&sample)), "{}", spelling.name);
        }
    }
}

#[test]
fn chunks_carry_the_same_bytes_and_so_does_gzip() {
    let samples = corpus::short();
    let codings = [Coding::Identity, Coding::Gzip];
    for (spelling, coding) in spelling::all().iter().flat_map(|each| codings.map(|coding| (each, coding))) {
        let response = spelling.respond();
        if response.form.framing != Framing::Chunked {
            continue;
        }
        let (form, encoder, mut sum) = (Form { coding, ..response.form }, &response.encoder, Sum::default());
        let mut wire = match coding {
            Coding::Identity => Vec::new(),
            Coding::Gzip => form.chunk(gzip::HEADER.to_vec()).to_vec(),
        };
        let envelopes = samples.iter().map(|sample| form.encode(&sample.envelope(), encoder));
        let beat = form.heartbeat(corpus::position(5), encoder);
        for Encoded { frame, sum: one } in
            std::iter::once(form.frame(response.begin(0), encoder)).chain(envelopes).chain([beat])
        {
            wire.extend_from_slice(&frame);
            sum.add(one);
        }
        wire.extend_from_slice(&form.end(sum, encoder));
        let mut body = dechunked(&wire);
        if coding == Coding::Gzip {
            let mut plain = Vec::new();
            GzDecoder::new(&body[..]).read_to_end(&mut plain).expect("gzip, its sum and its length");
            body = plain;
        }
        let mut reader = spelling.reader();
        reader.feed(&body);
        reader.finish();
        assert_eq!(reader.items, spelling.expected(&samples), "{}", spelling.name);
    }
}

/// The data of chunks (RFC 9112, 7.1), which must be the whole body.
fn dechunked(mut wire: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    loop {
        let end = wire.windows(2).position(|window| window == b"\r\n").expect("a size line");
        let digits = std::str::from_utf8(&wire[..end]).expect("digits");
        let size = usize::from_str_radix(digits, 16).expect("digits");
        data.extend_from_slice(&wire[end + 2..end + 2 + size]);
        assert_eq!(&wire[end + 2 + size..end + 4 + size], b"\r\n");
        wire = &wire[end + 4 + size..];
        if size == 0 {
            assert_eq!(wire, b"", "bytes after the last chunk");
            return data;
        }
    }
}

#[test]
fn a_reader_that_returns_after_a_torn_event_gets_each_event_once() {
    let exact = |spelling: &Spelling| spelling.asks_for("resume", "exact");
    let spelling = spelling::all().into_iter().find(exact).expect("a row");
    let samples: Vec<_> = (1..4).map(|n| Sample::message(n, "\"x\"")).collect();
    let response = spelling.respond();
    let events = samples.iter().map(|sample| response.encode(sample));
    let body = std::iter::once(response.begin(0)).chain(events).collect::<Vec<_>>().concat();
    for cut in 0..body.len() {
        let mut reader = spelling.reader();
        reader.feed(&body[..cut]);
        let (got, last) = (reader.items.len(), reader.last_id().map(str::to_owned));
        // WebKit continues with its partial event.
        reader.feed(&response.begin(0));
        assert_eq!(reader.items.len(), got, "the torn event is dispatched, cut at {cut}");
        let known = samples.iter().position(|sample| {
            sample.position.map(|position| position.to_string()) == last.clone().filter(|_| got > 0)
        });
        assert_eq!(known.map_or(0, |at| at + 1), got, "the id is of what was dispatched, cut at {cut}");
        samples[got..].iter().for_each(|sample| reader.feed(&response.encode(sample)));
        assert_eq!(reader.items, spelling.expected(&samples), "cut at {cut}");
    }
}

#[test]
fn no_event_of_the_default_is_without_data_and_half_an_event_costs_none_but_the_opening() {
    let spelling = spelling::all().into_iter().find(|spelling| spelling.name == "sse").expect("a row");
    let response = spelling.respond();
    let samples: Vec<_> = (1..4).map(|n| Sample::message(n, "\"x\"")).collect();
    let events: Vec<_> = samples.iter().map(|sample| response.encode(sample)).collect();
    let open = response.encode(&Sample::other(OPEN));
    let beat = response.heartbeat();
    let body = [&response.begin(70)[..], &beat, &open, &beat, &events.join(&beat[..]), &beat, &beat].concat();
    for block in String::from_utf8(body).expect("text").split("\n\n") {
        let says = |line: &str| !line.is_empty() && !line.starts_with(':');
        let is_event = block.lines().any(says);
        assert_eq!(is_event, block.lines().any(|line| line.starts_with("data: ")), "{block:?}");
    }
    let body = [&response.begin(0)[..], &open, &events.concat()].concat();
    for cut in 0..body.len() {
        let mut reader = spelling.reader();
        reader.feed(&body[..cut]);
        let got = reader.items.iter().filter(|item| **item != Item::Json(OPEN.into())).count();
        // `WebKit` continues with its partial event.
        reader.feed(&[&response.begin(0)[..], &open].concat());
        samples[got..].iter().for_each(|sample| reader.feed(&response.encode(sample)));
        let missing: Vec<_> =
            spelling.expected(&samples).into_iter().filter(|item| !reader.items.contains(item)).collect();
        assert_eq!(missing, [], "cut at {cut}");
    }
}

#[test]
fn padding_says_nothing_and_is_as_long_as_asked() {
    for spelling in spelling::all().iter().filter(|spelling| !spelling.is_batch()) {
        for pad in [1, 2, 3, 100, 2048, 65_536] {
            let response: Response = spelling.respond();
            let padded = response.begin(pad);
            let longer = padded.len() - response.begin(0).len();
            let expected = if spelling.is_of_pictures() { 0..1 } else { pad..pad + 32 };
            assert!(expected.contains(&longer), "{}: {longer} bytes for {pad}", spelling.name);
            let mut reader = spelling.reader();
            reader.feed(&padded);
            assert_eq!(reader.items, [], "{}", spelling.name);
            let sample = Sample::bytes(1, b"x");
            reader.feed(&[&response.encode(&sample)[..], response.end()].concat());
            assert_eq!(reader.items, spelling.expected(&[sample]), "{}", spelling.name);
        }
    }
}

#[test]
fn what_is_longer_than_the_window_goes_uncompressed_and_what_is_not_is_compressed_once() {
    for window in 8..=15 {
        let spelling = spelling::all().into_iter().rfind(|spelling| spelling.name == "ws").expect("a row");
        let spelling = spelling.with_window(window);
        let response = spelling.respond();
        let mut reader = spelling.reader();
        for len in [64, 150, 1 << 8, 1 << 11, (1 << 15) - 200, 1 << 16] {
            let sample = Sample::message(1, &format!("\"{}\"", "ab".repeat(len / 2)));
            let before = response.encoder.deflated();
            let bytes = response.encode(&sample);
            let fits = window == 15 || sample.json.len() <= 1 << window;
            assert_eq!(bytes[0] & 0x40 != 0, fits, "{len} bytes, window {window}");
            assert_eq!(response.encoder.deflated() - before, u64::from(fits));
            reader.feed(&bytes);
            assert_eq!(reader.items.pop(), Some(Item::Json(sample.json)));
        }
    }
}
