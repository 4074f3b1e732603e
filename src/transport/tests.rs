//! The contract that every row keeps.

use super::*;
use crate::base::position::Epoch;

fn envelope(json: &str) -> Envelope<'_> {
    let position = Position { epoch: Epoch::new(7), n: 42 };
    Envelope { json: json.as_bytes(), position: Some(position), retry: Some(Span::from_millis(1500)) }
}

fn encoded(row: &dyn Transport, json: &str) -> String {
    let mut out = Vec::new();
    row.encode(&envelope(json), &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn names_are_unique_and_find_their_row() {
    for id in TransportId::all() {
        assert_eq!(TransportId::by_name(id.transport().name()), Some(id));
    }
    assert_eq!(TransportId::by_name("SSE"), None);
}

#[test]
fn every_row_carries_the_json_untouched() {
    let json = r#"{"data":"</script> ]]> -- \u2028 é 💫 \" \\ \u0000"}"#;
    for row in REGISTRY {
        assert_eq!(encoded(row, json).matches(json).count(), 1, "{}", row.name());
    }
}

#[test]
fn what_streams_has_a_heartbeat_and_what_does_not_has_none() {
    for row in REGISTRY {
        let mut beat = Vec::new();
        row.heartbeat(Position { epoch: Epoch::new(7), n: 42 }, &mut beat);
        assert_eq!(beat.is_empty(), row.delivery() != Delivery::Stream, "{}", row.name());
    }
}

#[test]
fn a_batch_is_one_json_array() {
    for row in REGISTRY.iter().filter(|row| row.delivery() != Delivery::Stream) {
        let opening = row.open(&Query(&[])).unwrap();
        let mut body = opening.preamble;
        for (i, json) in [r#"{"a":1}"#, r#"{"b":2}"#].iter().enumerate() {
            if i > 0 {
                body.extend_from_slice(row.separator());
            }
            row.encode(&envelope(json), &mut body);
        }
        body.extend_from_slice(row.epilogue());
        let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(value, serde_json::json!([{"a":1},{"b":2}]), "{}", row.name());
    }
}

#[test]
fn a_chunk_says_how_long_it_is() {
    for transport in TransportId::all() {
        let plain = Form { transport, framing: Framing::Length }.encode(&envelope("{}"));
        let chunk = Form { transport, framing: Framing::Chunked }.encode(&envelope("{}"));
        let (size, rest) = chunk.split_at(chunk.iter().position(|&b| b == b'\r').unwrap());
        assert_eq!(usize::from_str_radix(std::str::from_utf8(size).unwrap(), 16), Ok(plain.len()));
        assert_eq!(rest, [b"\r\n", &plain[..], b"\r\n"].concat());
    }
}

#[test]
fn an_event_has_its_id_before_its_data_and_ends_once() {
    let event = encoded(TransportId::by_name("sse").unwrap().transport(), "{}");
    assert_eq!(event, "id: 00000007-42\nretry: 1500\ndata: {}\n\n");
}

#[test]
fn a_line_of_a_stream_is_one_envelope() {
    assert_eq!(encoded(TransportId::by_name("stream").unwrap().transport(), "{}"), "{}\n");
}

#[test]
fn a_torn_event_is_neither_heard_nor_believed() {
    let row = TransportId::by_name("sse").unwrap().transport();
    let mut text = b"id: 00000007-43\ndata: {\"half\":".to_vec();
    row.begin(Position { epoch: Epoch::new(7), n: 42 }, &mut text);
    let text = String::from_utf8(text).unwrap();
    let (event, rest) = text.split_once("\n\n").unwrap();
    let field = |name: &str| event.lines().filter_map(|line| line.strip_prefix(name)).next_back();
    assert_eq!((field("event: "), field("id: "), rest), (Some("torn"), Some("00000007-42"), ""));
}
