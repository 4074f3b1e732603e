//! Tests of decoding messages.

use super::*;

const LIMITS: Limits = Limits { messages: 4, depth: 8, names: 3 };

fn decoded(body: &str) -> Vec<BayeuxMessage> {
    let mut messages = Vec::new();
    decode(body.as_bytes(), &LIMITS, &mut messages).unwrap();
    messages
}

fn one(body: &str) -> BayeuxMessage {
    let mut messages = decoded(body);
    assert_eq!(messages.len(), 1);
    messages.remove(0)
}

#[test]
fn an_object_and_an_array_of_it_are_the_same() {
    let message =
        r#"{"channel":"/meta/connect","id":"a-7","clientId":"s1","advice":{"timeout":0},"ext":{"ack":4}}"#;
    let read = one(message);
    assert_eq!(decoded(&format!("[{message}]")), std::slice::from_ref(&read));
    assert_eq!(read.head.id.as_deref(), Some("\"a-7\""));
    assert_eq!(read.client.as_deref(), Some("s1"));
    assert_eq!(
        read.ask,
        Ask::Connect(BayeuxConnect { timeout: Some(0), ack: Some(4), ..BayeuxConnect::default() })
    );
}

#[test]
fn ids_keep_their_type_and_what_is_no_id_is_none() {
    for (id, kept) in [("\"x y\"", Some("\"x y\"")), ("17", Some("17")), ("null", None), ("[1]", None)] {
        let read = one(&format!(r#"{{"channel":"/a","id":{id},"data":1}}"#));
        assert_eq!(read.head.id.as_deref(), kept);
    }
}

#[test]
fn an_advice_that_is_no_number_and_members_that_are_null_or_unknown_are_passed_over() {
    let read =
        one(r#"{"channel":"/meta/connect","advice":{"timeout":"soon","interval":-1},"ext":null,"x":{}}"#);
    assert_eq!(read.ask, Ask::Connect(BayeuxConnect::default()));
}

#[test]
fn a_payload_of_null_is_one_and_no_payload_is_none() {
    assert_eq!(one(r#"{"channel":"/a","data":null}"#).ask, Ask::Publish(Some("null".into())));
    assert_eq!(one(r#"{"channel":"/a"}"#).ask, Ask::Publish(None));
}

#[test]
fn a_subscription_is_repeated_as_it_came() {
    let Ask::Subscribe(Ok(names)) = one(r#"{"channel":"/meta/subscribe","subscription":["/a","/b/*"]}"#).ask
    else {
        panic!("no subscription");
    };
    assert_eq!((names.names.len(), &*names.json), (2, r#"["/a","/b/*"]"#));
    for (subscription, code) in [("null", 403), ("[]", 403), ("7", 403), (r#"["/a","/b","/c","/d"]"#, 413)] {
        let asked = one(&format!(r#"{{"channel":"/meta/subscribe","subscription":{subscription}}}"#)).ask;
        assert!(
            matches!(asked, Ask::Subscribe(Err(ref misnamed)) if misnamed.fault.code == code),
            "{asked:?}"
        );
    }
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
fn a_duplicate_member_invalidates_its_message_alone() {
    let read = decoded(r#"[{"channel":"/a","channel":"/b"},["/meta/connect"],{"channel":"/a","data":1}]"#);
    assert!(matches!(read[0].ask, Ask::Nonsense(_)) && matches!(read[1].ask, Ask::Nonsense(_)));
    assert_eq!(read[2].ask, Ask::Publish(Some("1".into())));
}

#[test]
fn too_much_too_deep_and_no_json_at_all_is_refused_as_a_whole() {
    for (body, status) in
        [("[{},{},{},{},{}]", 413), ("[[[[[[[[[[1]]]]]]]]]]", 400), ("{\"channel\":", 400), ("", 400)]
    {
        let refusal = decode(body.as_bytes(), &LIMITS, &mut Vec::new()).unwrap_err();
        assert_eq!(refusal.status(), status, "{body}");
    }
}
