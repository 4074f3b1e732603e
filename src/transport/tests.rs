//! The contract of every row. In `contract`: every dialect, read by independent readers.

mod contract;
mod corpus;
mod decode;
mod spelling;

use super::*;
use crate::base::position::Epoch;

fn envelope(json: &str) -> Envelope<'_> {
    let position = Position { epoch: Epoch::new(7), n: 42 };
    let retry = Retry::After(Span::from_millis(1500));
    Envelope { position: Some(position), retry, ..Envelope::plain(json.as_bytes()) }
}

fn encoder() -> Encoder {
    Encoder::new(Epoch::new(7))
}

fn asked(query: &[(String, String)]) -> TransportRequest<'_> {
    TransportRequest { query, accept: "", host: "localhost", nonce: "n", may_receive: &|_| false }
}

fn encoded(row: &dyn Transport, json: &str) -> String {
    let mut out = Vec::new();
    row.encode(Dialect::default(), &envelope(json), &encoder(), &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn names_are_unique_and_find_their_row() {
    for id in TransportId::all() {
        let found = TransportId::by_name(id.transport().name());
        assert_eq!(found, id.has_url().then_some(id));
    }
    assert_eq!(TransportId::by_name("SSE"), None);
}

#[test]
fn the_rows_of_sockjs_stand_in_the_order_of_its_transports() {
    let rows: Vec<_> =
        Carrier::ALL.map(TransportId::sockjs).into_iter().chain([TransportId::sockjs_raw()]).collect();
    let names = rows.iter().map(|id| id.transport().name()).collect::<Vec<_>>();
    assert_eq!(
        names.join(" "),
        "sockjs-xhr sockjs-xhr-streaming sockjs-eventsource sockjs-htmlfile sockjs-jsonp sockjs-websocket sockjs-raw"
    );
    for id in TransportId::all() {
        assert_eq!(id.carrier().map(TransportId::sockjs), rows[..6].contains(&id).then_some(id));
    }
}

#[test]
fn a_row_that_needs_no_escapes_carries_the_json_untouched() {
    let json = r#"{"data":"</script> ]]> -- \u2028 é 💫 \" \\ \u0000"}"#;
    for name in ["poll", "longpoll", "stream", "sse", "multipart"] {
        let row = TransportId::by_name(name).unwrap().transport();
        assert_eq!(encoded(row, json).matches(json).count(), 1, "{name}");
    }
}

#[test]
fn what_streams_has_a_heartbeat_and_what_does_not_has_none() {
    for row in REGISTRY {
        let mut beat = Vec::new();
        row.heartbeat(Dialect::default(), Position { epoch: Epoch::new(7), n: 42 }, &mut beat);
        let is_batch = matches!(row.delivery(), Delivery::Once | Delivery::Held);
        assert_eq!(beat.is_empty(), is_batch, "{}", row.name());
    }
}

#[test]
fn a_batch_is_one_json_array() {
    let batches = REGISTRY.iter().filter(|row| matches!(row.delivery(), Delivery::Once | Delivery::Held));
    for row in batches.filter(|row| row.has_url()) {
        let opening = row.open(&asked(&[("callback".to_owned(), "f".to_owned())])).unwrap();
        let mut body = opening.preamble.to_vec();
        for (i, json) in [r#"{"a":1}"#, r#"{"b":2}"#].iter().enumerate() {
            if i > 0 {
                body.extend_from_slice(row.separator());
            }
            row.encode(opening.dialect, &envelope(json), &encoder(), &mut body);
        }
        body.extend_from_slice(row.epilogue(opening.dialect));
        let body = String::from_utf8(body).unwrap();
        let array = body.strip_prefix("/**/f(").and_then(|rest| rest.strip_suffix(");\n")).unwrap_or(&body);
        let value: serde_json::Value = serde_json::from_str(array).unwrap();
        assert_eq!(value, serde_json::json!([{"a":1},{"b":2}]), "{}", row.name());
    }
}

#[test]
fn a_chunk_says_how_long_it_is() {
    for transport in TransportId::all() {
        let plain = Form {
            transport,
            dialect: Dialect::default(),
            protocol: Protocol::Native,
            coding: Coding::Identity,
            framing: Framing::Length,
        }
        .encode(&envelope("{}"), &encoder())
        .frame;
        let chunk = Form {
            transport,
            dialect: Dialect::default(),
            protocol: Protocol::Native,
            coding: Coding::Identity,
            framing: Framing::Chunked,
        }
        .encode(&envelope("{}"), &encoder())
        .frame;
        // One that carries bytes alone has nothing to say here.
        if plain.is_empty() {
            continue;
        }
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
fn the_last_event_of_a_session_that_is_over_keeps_browsers_away() {
    let row = TransportId::sse().transport();
    let last = Envelope { retry: Retry::Never, ..Envelope::plain(b"{}") };
    let mut out = Vec::new();
    row.encode(Dialect::default(), &last, &encoder(), &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), "id: over\nretry: 86400000\ndata: {}\n\n");
}

#[test]
fn each_switch_of_event_streams_has_one_value() {
    let row = TransportId::sse().transport();
    for (name, known) in [("resume", "exact"), ("heartbeat", "comment")] {
        let open = |value: &str| row.open(&asked(&[(name.to_owned(), value.to_owned())]));
        assert!(open(known).is_ok());
        for value in ["", "1", "Exact"] {
            let refusal = open(value).unwrap_err();
            assert_eq!((refusal.status(), refusal.code.text()), (400, "bad-query"));
            assert!(refusal.reason.contains(name) && refusal.reason.contains(known), "{}", refusal.reason);
        }
    }
    let both =
        [("resume", "exact"), ("heartbeat", "comment")].map(|(name, value)| (name.into(), value.into()));
    assert_eq!(row.open(&asked(&both)).unwrap_err().code.text(), "bad-query");
}

#[test]
fn a_line_of_a_stream_is_one_envelope() {
    assert_eq!(encoded(TransportId::by_name("stream").unwrap().transport(), "{}"), "{}\n");
}

#[test]
fn a_cut_event_is_not_delivered_and_does_not_move_the_last_event_id() {
    let row = TransportId::by_name("sse").unwrap().transport();
    let mut text = b"id: 00000007-43\ndata: {\"half\":".to_vec();
    let exact = row.open(&asked(&[("resume".to_owned(), "exact".to_owned())])).unwrap().dialect;
    row.begin(exact, Position { epoch: Epoch::new(7), n: 42 }, &mut text);
    let text = String::from_utf8(text).unwrap();
    let (event, rest) = text.split_once("\n\n").unwrap();
    let field = |name: &str| event.lines().filter_map(|line| line.strip_prefix(name)).next_back();
    assert_eq!((field("event: "), field("id: "), rest), (Some("torn"), Some("00000007-42"), ""));
}
