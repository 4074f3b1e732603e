//! From a body to the messages in it.
//!
//! What is said in one is told by `message`; here they are found, counted and bounded.

use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::message::{Fields, Limits, Message, message, message_of};
use crate::wire::json;
use crate::wire::refusal::Refusal;

/// Decodes a body: one message, or an array of them.
///
/// # Errors
/// What is no JSON, nests too deep, or has too many messages is refused as a whole.
pub fn decode(body: &[u8], limits: &Limits, messages: &mut Vec<Message>) -> Result<(), Refusal> {
    // Mostly all is well, which one pass shows. What it stumbles over is looked at anew, to be told.
    let known = messages.len();
    if decode_well(body, limits, messages).is_none() {
        messages.truncate(known);
        return decode_anything(body, limits, messages);
    }
    Ok(())
}

/// Decodes objects on one line that are not too many.
fn decode_well(body: &[u8], limits: &Limits, messages: &mut Vec<Message>) -> Option<()> {
    let text = json::shallow(body, limits.depth).ok()?;
    if memchr::memchr2(b'\r', b'\n', body).is_some() {
        return None;
    }
    let mut input = serde_json::Deserializer::from_str(text);
    (&mut input).deserialize_any(Objects { limits, messages }).ok()?;
    input.end().ok()
}

/// Takes one object, or an array of them, as messages.
struct Objects<'l, 'm> {
    limits: &'l Limits,
    messages: &'m mut Vec<Message>,
}

impl<'de> Visitor<'de> for Objects<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("messages")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self { limits, messages } = self;
        while seq.next_element_seed(Object { limits, messages })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let Self { limits, messages } = self;
        Object { limits, messages }.visit_map(map)
    }
}

/// Takes one object as a message.
struct Object<'l, 'm> {
    limits: &'l Limits,
    messages: &'m mut Vec<Message>,
}

impl<'de> DeserializeSeed<'de> for Object<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<(), D::Error> {
        input.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        if self.messages.len() >= self.limits.messages {
            return Err(A::Error::custom("too many messages"));
        }
        let fields = Fields::deserialize(MapAccessDeserializer::new(map))?;
        self.messages.push(message_of(&fields, self.limits));
        Ok(())
    }
}

fn decode_anything(body: &[u8], limits: &Limits, messages: &mut Vec<Message>) -> Result<(), Refusal> {
    let text = json::check(body, limits.depth)
        .map_err(|error| Refusal::new(400, "bad-json", format!("the messages: {error}")))?;
    let items: Vec<&RawValue> = if text.starts_with('[') {
        serde_json::from_str(&text)
            .map_err(|error| Refusal::new(400, "bad-json", format!("the messages are no array: {error}")))?
    } else {
        let one = serde_json::from_str(&text)
            .map_err(|error| Refusal::new(400, "bad-json", format!("the message: {error}")))?;
        vec![one]
    };
    let count = messages.len() + items.len();
    if count > limits.messages {
        let reason = format!("{count} messages in one request; ENCKE_BATCH allows {}", limits.messages);
        return Err(Refusal::new(413, "too-many-messages", reason));
    }
    messages.extend(items.into_iter().map(|item| message(item.get(), limits)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::message::Ask;
    use super::*;

    const LIMITS: Limits = Limits { messages: 4, depth: 8, names: 3 };

    fn decoded(body: &str) -> Vec<Message> {
        let mut messages = Vec::new();
        decode(body.as_bytes(), &LIMITS, &mut messages).unwrap();
        messages
    }

    #[test]
    fn what_is_no_message_is_answered_and_the_others_are_carried_out() {
        let read = decoded(r#"[7,{"id":"1"},{"channel":"/meta/disconnect","clientId":"s"}]"#);
        assert!(matches!(read[0].ask, Ask::Nonsense(_)) && matches!(read[1].ask, Ask::Nonsense(_)));
        assert_eq!(read[1].head.id.as_deref(), Some("\"1\""));
        assert_eq!(read[2].ask, Ask::Disconnect);
    }

    #[test]
    fn whatever_stands_around_and_between_messages_they_are_the_same() {
        let (one, two) = (r#"{"channel":"/a","data":[1]}"#, r#"{"channel":"\u002fb","data":{"x":1}}"#);
        let plain = decoded(&format!("[{one},{two}]"));
        assert_eq!(&*plain[1].head.channel, "/b");
        assert_eq!(decoded(&format!(" [ {one} ,\t{two} ] ")), plain);
        assert_eq!(decoded(&format!("\r\n[{one},\n{two}]\n")), plain);
        assert_eq!(decoded(&format!(" {one} ")), plain[..1]);
    }

    #[test]
    fn a_member_that_stands_twice_spoils_its_message_alone() {
        let read =
            decoded(r#"[{"channel":"/a","channel":"/b"},["/meta/connect"],{"channel":"/a","data":1}]"#);
        assert!(matches!(read[0].ask, Ask::Nonsense(_)) && matches!(read[1].ask, Ask::Nonsense(_)));
        assert_eq!(read[2].ask, Ask::Publish(Some("1".into())));
    }

    #[test]
    fn too_much_too_deep_and_no_json_at_all_is_refused_as_a_whole() {
        for (body, status) in
            [("[{},{},{},{},{}]", 413), ("[[[[[[[[[[1]]]]]]]]]]", 400), ("{\"channel\":", 400), ("", 400)]
        {
            let refusal = decode(body.as_bytes(), &LIMITS, &mut Vec::new()).unwrap_err();
            assert_eq!(refusal.status, status, "{body}");
        }
    }
}
