//! The order of one client's batches that arrive on several connections, with another shard that
//! answers when the test lets it.

use encke::base::hash::Homes;
use encke::base::position::{Epoch, Position};
use encke::turn::publishing::Receipt;

use super::*;

/// A name with this prefix whose home is this shard.
pub(super) fn name_at(home: u8, prefix: &str) -> String {
    let homes = Homes::new(HOME_KEY, 2);
    let mut names = (0..).map(|n| format!("{prefix}{n}"));
    names.find(|name| homes.of(name) == ShardId(home)).expect("one of many")
}

impl Rig {
    /// The other shard answers all publishes that it was sent.
    fn answer_publishes(&mut self) -> usize {
        let mut answered = 0;
        for mail in std::mem::take(&mut self.mail) {
            let Mail::Publish { pending, batch } = mail else { continue };
            let receipt = Receipt { position: Position { epoch: Epoch::new(9), n: 1 }, sessions: None };
            let results = batch.iter().map(|message| (message.item, Ok(receipt))).collect();
            answered += batch.len();
            self.give(Input::Mail { from: ShardId(1), mail: Mail::Published { pending, results } });
        }
        self.turn();
        answered
    }
}

/// Runs two batches of one session at once. The first publishes to the other shard and then 1 and 2
/// to `here`; the second, on another connection, publishes 3 to `here`.
fn overlapping(rig: &mut Rig, target: &str, publish: impl Fn(&str, u32) -> Value) -> Vec<u64> {
    let (here, there) = (name_at(0, "/here/"), name_at(1, "/there/"));
    let reader = name_at(0, "reader");
    let opened = rig.get(ListenerKind::Public, &format!("/u/{reader}/poll?channels={here}"));
    let session = opened.split_once("Encke-Session: ").and_then(|(_, rest)| rest.split_once("\r\n"));
    let (session, _) = session.expect("a session");
    let session = session.to_owned();
    let (first, response) =
        rig.request(target, &json!([publish(&there, 0), publish(&here, 1), publish(&here, 2)]));
    assert_eq!(response, "", "the other shard has not answered");
    let (second, response) = rig.request(target, &json!([publish(&here, 3)]));
    assert_eq!(response, "", "the batch before it has not been carried out");
    assert_eq!(rig.answer_publishes(), 1);
    for conn in [first, second] {
        assert_eq!(status(&rig.heard(conn)), "200");
    }
    let read = rig.get(ListenerKind::Public, &format!("/u/{reader}/poll?session={session}"));
    let (_, body) = read.split_once("\r\n\r\n").expect("a response");
    let envelopes: Vec<Value> = serde_json::from_str(body).expect(body);
    envelopes.iter().filter_map(|envelope| envelope["data"].as_u64()).collect()
}

#[test]
fn a_bayeux_batch_that_waits_is_not_overtaken_by_the_next_request() {
    let mut rig = Rig::of_shards(2, &[("ENCKE_BAYEUX_TRUST", "1")]);
    let target = format!("/u/{}/bayeux", name_at(0, "alice"));
    let handshake = json!([{
        "channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["long-polling"], "id": "0",
    }]);
    let (_, response) = rig.request(&target, &handshake);
    let (_, body) = response.split_once("\r\n\r\n").expect("a response");
    let answers: Value = serde_json::from_str(body).expect(body);
    let client = answers[0]["clientId"].as_str().expect(body).to_owned();
    let publish = |channel: &str, n: u32| json!({"channel": channel, "clientId": client, "data": n, "id": format!("p{n}")});
    assert_eq!(overlapping(&mut rig, &target, publish), [1, 2, 3]);
}

#[test]
fn commands_that_wait_are_not_overtaken_by_the_next_request() {
    let mut rig = Rig::of_shards(2, &[]);
    let alice = name_at(0, "alice");
    let opened = rig.get(ListenerKind::Public, &format!("/u/{alice}/poll"));
    let session = opened.split_once("Encke-Session: ").and_then(|(_, rest)| rest.split_once("\r\n"));
    let (session, _) = session.expect("a session");
    let target = format!("/u/{alice}/send?session={session}");
    let publish = |channel: &str, n: u32| json!({"publish": channel, "data": n});
    assert_eq!(overlapping(&mut rig, &target, publish), [1, 2, 3]);
}
