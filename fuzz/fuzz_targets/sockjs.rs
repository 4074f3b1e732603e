//! Strings that SockJS clients send, by each way that they come up: a parser of values agrees on
//! what it can parse, what is decoded reads the same from the frame that holds it, and every
//! transport carries that frame so that it reads back.
#![no_main]

use encke::protocol::sockjs::carrier::{Carrier, Spelling};
use encke::protocol::sockjs::frame::{SockjsFrame, messages};
use encke::protocol::sockjs::message::{Malformed, Strings, in_body, in_form, in_message};
use encke::wire::json::check;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let decoded = match kind % 4 {
        0 => in_body(bytes),
        1 => in_message(bytes),
        2 => in_form(Some("application/x-www-form-urlencoded"), bytes),
        _ => in_form(None, bytes),
    };
    if kind % 4 != 2 {
        agrees(bytes, kind % 4 == 1, &decoded);
    }
    match decoded {
        Ok(strings) => carried(&strings),
        Err(malformed) => assert!(!malformed.body().is_empty() && !malformed.code().is_empty()),
    }
});

/// What another parser makes of the same bytes.
fn agrees(bytes: &[u8], is_message: bool, decoded: &Result<Strings, Malformed>) {
    let text = String::from_utf8_lossy(bytes);
    let is_json = check(text.as_bytes(), 64).is_ok();
    match decoded {
        Ok(strings) => {
            assert!(is_json || (is_message && bytes.is_empty()), "{text}");
            // Half a pair makes it give up.
            match serde_json::from_str::<Value>(&text) {
                Ok(Value::Array(items)) => {
                    assert!(items.iter().map(Value::as_str).eq(strings.iter().map(Some)));
                }
                Ok(Value::String(one)) => assert!(strings.iter().eq([one.as_str()])),
                Ok(other) => panic!("{other} holds strings"),
                Err(_) => {}
            }
        }
        Err(Malformed::NotJson) => assert!(!is_json, "{text}"),
        Err(Malformed::NoStrings) => {
            assert!(serde_json::from_str::<Vec<String>>(&text).is_err(), "{text} is strings");
        }
    }
}

fn carried(strings: &Strings) {
    let mut frame = Vec::new();
    messages(strings.iter(), &mut frame);
    let text = str::from_utf8(&frame).expect("UTF-8");
    assert!(!text.contains(['\r', '\n', '\0', '\u{2028}', '\u{2029}']));
    let Some(SockjsFrame::Messages(texts)) = SockjsFrame::decode(text) else { panic!("{text} is no frame") };
    assert!(strings.iter().eq(texts.iter().map(String::as_str)));
    for carrier in Carrier::ALL {
        let (mut whole, mut before) = (Vec::new(), Vec::new());
        carrier.carry("f", &frame, &mut whole);
        carrier.before("f", &mut before);
        let inner = whole.strip_prefix(&*before).and_then(|rest| rest.strip_suffix(carrier.after()));
        let inner = str::from_utf8(inner.expect("what stands around it")).expect("UTF-8");
        let back = match carrier.spelling() {
            Spelling::Plain => inner.to_owned(),
            Spelling::Percent => inner.replace("%25", "%"),
            Spelling::Script => {
                assert!(!inner.contains('<'));
                serde_json::from_str(&format!("\"{inner}\"")).expect("a string of JavaScript")
            }
        };
        assert_eq!(back, text, "{carrier:?}");
    }
}
