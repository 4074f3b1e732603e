//! Sessions that a request with only a position resumes.

use super::cost::{position_of, session_of};
use super::*;

/// The list that the session received may lie before the position, which is then another session's.
#[test]
fn a_stream_that_resumes_by_its_position_alone_is_told_who_is_there() {
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
