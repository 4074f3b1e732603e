//! Sessions that a request with only a position resumes.

use encke::protocol::native::envelope::{Encoding, Message};

use super::cost::{position_of, session_of};
use super::order::name_at;
use super::*;

/// The list that the session received may lie before the position, which is then another session's.
#[test]
fn a_stream_that_resumes_by_its_position_alone_gets_the_members() {
    let mut rig = Rig::new(&[]);
    let ask = "channels=/a&presence=1";
    let first = rig.get(ListenerKind::Public, &format!("/u/bob/poll?{ask}"));
    let lists = |answer: &str| answer.matches("\"users\":[\"bob\"]").count();
    let target = format!("{ask}&since={}", position_of(&first));
    let listed = rig.get(ListenerKind::Public, &format!("/u/bob/poll?{target}"));
    assert_eq!((session_of(&listed), lists(&listed)), (session_of(&first), 1));
    // A poll that continues from there has no news, or the shard would hold no long poll.
    let target = format!("{ask}&since={}", position_of(&listed));
    for _ in 0..2 {
        let next = rig.get(ListenerKind::Public, &format!("/u/bob/poll?{target}"));
        assert_eq!((session_of(&next), lists(&next)), (session_of(&first), 0), "{next}");
    }
    let stream = rig.get(ListenerKind::Public, &format!("/u/bob/sse?{target}"));
    assert_eq!((session_of(&stream), lists(&stream)), (session_of(&first), 1), "{stream}");
}

impl Rig {
    /// The other shard, the home of `channel`, sends the messages that it holds.
    fn send_snapshot(&mut self, channel: &str, data: &[u32]) {
        let asked = |mail: &Mail| matches!(mail, Mail::Interest { channel: name, .. } if **name == *channel);
        assert!(std::mem::take(&mut self.mail).iter().any(asked), "its home is asked");
        let message = |data: &u32| {
            let (data, encoding) = (data.to_string().into(), Encoding::Json);
            Arc::new(Message { channel: channel.into(), from: None, data, encoding })
        };
        let messages = data.iter().map(message).collect();
        self.give(Input::Mail {
            from: ShardId(1),
            mail: Mail::Snapshot { channel: channel.into(), messages },
        });
        self.turn();
    }
}

/// The channel's home accepts messages while nobody here subscribes. They have no numbers here, so
/// that only the start of the channel's next log can show that they are missing.
#[test]
fn what_another_shard_accepted_while_nobody_subscribed_is_a_gap() {
    let mut rig = Rig::of_shards(2, &[]);
    let (alice, bob, channel) = (name_at(0, "alice"), name_at(0, "bob"), name_at(1, "/there/"));
    for pattern in [false, true] {
        let name = if pattern { "/everywhere/*" } else { &*channel };
        let ask = format!("/poll?channels={name}");
        let first = rig.get(ListenerKind::Public, &format!("/u/{alice}{ask}"));
        if !pattern {
            rig.send_snapshot(name, &[]);
        }
        let position = position_of(&first);
        let again = rig.get(ListenerKind::Public, &format!("/u/{alice}{ask}&since={position}"));
        assert!(!again.contains("\"gap\""), "{again}");
        // First the session ends, then the log without subscribers.
        for _ in 0..2 {
            rig.pass(Span::from_secs(100));
        }
        rig.mail.clear();
        let other = rig.get(ListenerKind::Public, &format!("/u/{bob}{ask}"));
        if !pattern {
            rig.send_snapshot(name, &[1]);
        }
        let late = rig.get(ListenerKind::Public, &format!("/u/{alice}{ask}&since={}", position_of(&again)));
        assert!(late.contains("\"gap\""), "{other}\n{late}");
    }
}

/// The first position that a session names is not one from before its own logs: a client that comes
/// back with it has missed nothing.
#[test]
fn the_first_position_of_a_session_is_no_gap() {
    let mut rig = Rig::of_shards(2, &[]);
    let (alice, channel) = (name_at(0, "alice"), name_at(1, "/there/"));
    for (channels, home_asked) in
        [(&*channel, true), ("/everywhere/*", false), ("/a,/b,/c,/d&presence=1", false)]
    {
        let ask = format!("/u/{alice}/poll?channels={channels}");
        let first = rig.get(ListenerKind::Public, &ask);
        let open = format!("\"position\":\"{}\"", position_of(&first));
        assert!(first.contains(&open), "{first}");
        if home_asked {
            rig.send_snapshot(channels, &[]);
        }
        let stream = format!("/u/{alice}/sse?channels={channels}&since={}", position_of(&first));
        let again = rig.get(ListenerKind::Public, &stream);
        assert!(again.contains("\"resumed\":true") && !again.contains("\"gap\""), "{again}");
    }
}
