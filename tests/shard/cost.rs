//! The cost of hostile requests: elements that the shard's loops visit (`src/turn/steps.rs`).

use super::*;

impl Rig {
    fn post(&mut self, listener: ListenerKind, target: &str, body: &str) -> String {
        let conn = self.connect(listener);
        let length = body.len();
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        self.say(conn, &(head + body))
    }

    fn publish(&mut self, channels: &[String], each: usize) {
        for channel in channels {
            let items: Vec<_> = (0..each).map(|n| json!({"channel": channel, "data": n})).collect();
            let answer = self.post(ListenerKind::Private, "/publish", &json!(items).to_string());
            assert_eq!(status(&answer), "200", "{answer}");
        }
    }

    /// Sends commands of a session; returns their cost and the answers.
    fn commands(&mut self, user: &str, session: &str, commands: &[Value]) -> (u64, Vec<Value>) {
        let before = self.shard.spent().work;
        let target = format!("/u/{user}/send?session={session}");
        let answer = self.post(ListenerKind::Public, &target, &json!(commands).to_string());
        let (_, body) = answer.split_once("\r\n\r\n").expect("a response");
        (self.shard.spent().work - before, serde_json::from_str(body).expect(&answer))
    }

    fn work_of(&mut self, target: &str) -> (u64, String) {
        let before = self.shard.spent().work;
        let answer = self.get(ListenerKind::Public, target);
        (self.shard.spent().work - before, answer)
    }
}

pub(super) fn session_of(answer: &str) -> String {
    let (_, rest) = answer.split_once("Encke-Session: ").expect("a session");
    rest.split("\r\n").next().expect("a line").to_owned()
}

pub(super) fn position_of(answer: &str) -> String {
    let (_, rest) = answer.split_once("Encke-Position: ").expect("a position");
    rest.split("\r\n").next().expect("a line").to_owned()
}

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix}/{n}")).collect()
}

fn rig() -> Rig {
    Rig::new(&[
        ("ENCKE_SUBSCRIPTIONS", "1_000"),
        ("ENCKE_CHANNEL_MESSAGES", "1_000"),
        ("ENCKE_SESSIONS_PER_USER", "1_000"),
        ("ENCKE_SESSION_GRACE", "10m"),
    ])
}

#[test]
fn history_that_is_asked_for_again_and_again_is_looked_at_once() {
    let mut rig = rig();
    let channels = names("/c", 100);
    let opened = rig.get(ListenerKind::Public, &format!("/u/eve/poll?channels={}", channels.join(",")));
    let (session, begin) = (session_of(&opened), position_of(&opened));
    rig.publish(&channels, 100);
    for command in [
        json!({"subscribe": "/c/7", "since": begin}),
        json!({"subscribe": "/c/7", "last": 100}),
        json!({"subscribe": "/c/7", "since": "elsewhere-1"}),
        json!({"subscribe": "/c/7", "since": begin, "conflate": 10}),
    ] {
        let (work, answers) = rig.commands("eve", &session, &vec![command.clone(); 1_000]);
        assert!(answers.len() == 1_000 && answers.iter().all(|answer| answer["ok"].is_object()));
        assert!(work < 10_000, "{work} steps for 1,000 times {command}");
    }
    // A subscription that is dropped and repeated requests the same messages again.
    let pair = [json!({"unsubscribe": "/c/9"}), json!({"subscribe": "/c/9", "last": 10})];
    let (work, _) = rig.commands("eve", &session, &vec![pair; 500].concat());
    assert!(work < 500 * 2 * 10, "{work}");
}

#[test]
fn a_query_with_many_patterns_and_channels_costs_what_it_is_given() {
    let mut rig = rig();
    let (channels, patterns) = (names("/c", 100), names("/p", 200).join("/*,"));
    rig.publish(&channels, 20);
    let all = format!("{},{patterns}/*", channels.join(","));
    let (work, answer) = rig.work_of(&format!("/u/eve/poll?last=1&channels={all}"));
    assert_eq!(status(&answer), "200");
    // The window of a recall once, each subscription some times, each message.
    assert!(work < 1_000 + 300 * 12 + 100 * 4, "{work}");
    // The channel list of a request has no quadratic cost either, and a repeated channel counts
    // once.
    let one = vec!["/c/1"; 2_000].join(",");
    assert_eq!(status(&rig.get(ListenerKind::Public, &format!("/u/eve/poll?channels={one}"))), "200");
}

#[test]
fn watching_and_leaving_a_thousand_times_counts_the_members_once() {
    let mut rig = rig();
    for n in 0..500 {
        rig.get(ListenerKind::Public, &format!("/u/user{n}/poll?channels=/crowd"));
    }
    let session = session_of(&rig.get(ListenerKind::Public, "/u/eve/poll"));
    let pair = [json!({"subscribe": "/crowd", "presence": true}), json!({"unsubscribe": "/crowd"})];
    let (work, answers) = rig.commands("eve", &session, &vec![pair; 500].concat());
    assert!(answers.iter().all(|answer| answer["ok"].is_object()));
    assert!(work < 500 * 16 + 4 * 500, "{work}");
    rig.shard.check_invariants();
    // The shard forgets it after some time without readers.
    rig.pass(Span::from_secs(3_600));
    assert_eq!(rig.shard.counts().watched, 0);
}

#[test]
fn a_user_with_very_many_sessions_ends_in_several_turns() {
    let mut rig = rig();
    for _ in 0..300 {
        rig.get(ListenerKind::Public, "/u/all/poll?channels=/a,/b");
    }
    let conn = rig.connect(ListenerKind::Private);
    let request = "DELETE /u/all HTTP/1.1\r\nHost: localhost\r\n\r\n";
    rig.give(Input::Bytes { conn, bytes: request.as_bytes() });
    let left = rig.shard.counts().sessions;
    assert!((200..300).contains(&left), "{left} are left after the first turn");
    assert!(rig.heard(conn).contains("{\"ended\":300}"));
    rig.turn();
    assert_eq!(rig.shard.counts().sessions, 0);
}

#[test]
fn a_position_is_looked_up_among_a_users_sessions_without_walking_their_channels() {
    let mut rig = rig();
    let (mine, other) = (names("/mine", 200).join(","), names("/other", 200).join(","));
    let begin = position_of(&rig.get(ListenerKind::Public, "/u/all/poll"));
    for _ in 0..100 {
        rig.get(ListenerKind::Public, &format!("/u/all/poll?channels={other}"));
    }
    let (work, answer) = rig.work_of(&format!("/u/all/poll?since={begin}&channels={mine}"));
    assert_eq!(status(&answer), "200");
    assert!(work < 200 * 12 + 200, "{work}");
}
