//! Presence: the members of a channel, as a client that keeps a set of users sees them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::Conn;
use crate::down::Down;
use crate::node::{Node, await_that};
use crate::tokens::{SECRET, token};

/// Each of two shards has some of these.
const USERS: [&str; 8] = ["alice", "bob", "carol", "dave", "eve", "frank", "grace", "heidi"];

/// The state that a page keeps.
#[derive(Default)]
struct Page {
    there: BTreeSet<String>,
    count: u64,
    /// Envelopes so far.
    heard: usize,
    /// The number of names that envelopes left out.
    more: u64,
}

fn names(value: &Value) -> Vec<String> {
    let list = value.as_array().unwrap_or_else(|| panic!("no list of names: {value}"));
    list.iter().map(|name| name.as_str().expect("a name").to_owned()).collect()
}

impl Page {
    /// Applies an envelope; returns whether it was about presence.
    fn hear(&mut self, channel: &str, envelope: &Value) -> bool {
        let Some(report) = envelope.get("presence") else { return false };
        assert!(envelope["id"].is_string(), "{envelope}");
        assert_eq!(report["channel"], channel, "{envelope}");
        if report.get("users").is_some() {
            let users = names(&report["users"]);
            assert!(users.is_sorted() && users.len() <= 1000, "{envelope}");
            self.there = users.into_iter().collect();
        } else {
            assert!(self.heard > 0, "the list comes first: {envelope}");
            let (came, left) = (names(&report["came"]), names(&report["left"]));
            assert!(came.len() <= 100 && left.len() <= 100, "{envelope}");
            self.there.extend(came);
            self.there.retain(|user| !left.contains(user));
        }
        self.count = report["count"].as_u64().expect("a number");
        self.more += report["more"].as_u64().unwrap_or(0);
        self.heard += 1;
        true
    }
}

/// A stream with presence.
struct Watcher {
    down: Down,
    channel: String,
    page: Page,
}

impl Watcher {
    fn open(node: &Node, user: &str, channel: &str) -> Self {
        let mut down = Down::open(node, &format!("/u/{user}/stream?channels={channel}&presence=1"));
        down.opened();
        Self { down, channel: channel.into(), page: Page::default() }
    }

    /// Reads until exactly these are present.
    #[track_caller]
    fn sees(&mut self, users: &[&str]) {
        let expected: BTreeSet<String> = users.iter().map(|user| (*user).to_owned()).collect();
        while self.page.heard == 0 || self.page.there != expected {
            let envelope = self.down.expect();
            assert!(self.page.hear(&self.channel, &envelope), "{envelope}");
        }
        assert_eq!(self.page.count, expected.len() as u64);
    }
}

fn stay(node: &Node, user: &str, channel: &str) -> Down {
    let mut down = Down::open(node, &format!("/u/{user}/stream?channels={channel}"));
    down.opened();
    down
}

#[test]
fn members_come_first_and_then_joins_and_leaves_on_any_shard() {
    let node = Node::start(&[]);
    for room in ["/chat/1", "/chat/2", "/chat/3"] {
        let mut stays = Vec::new();
        let mut watchers = Vec::new();
        for (n, user) in USERS.iter().enumerate() {
            if n % 2 == 0 {
                stays.push(stay(&node, user, room));
            } else {
                let mut watcher = Watcher::open(&node, user, room);
                watcher.sees(&USERS[..=n]);
                watchers.push(watcher);
            }
        }
        for watcher in &mut watchers {
            watcher.sees(&USERS);
        }
        let session = stays.pop().unwrap().session();
        node.send("grace", &session, &json!({"close": true}));
        let others: Vec<&str> = USERS.into_iter().filter(|user| *user != "grace").collect();
        for watcher in &mut watchers {
            watcher.sees(&others);
        }
    }
}

#[test]
fn the_list_of_members_comes_before_all_changes() {
    let node = Node::start(&[]);
    let _stays = ["carol", "alice"].map(|user| stay(&node, user, "/chat/1"));
    let mut down = Down::open(&node, "/u/bob/stream?channels=/chat/1&presence=1");
    down.opened();
    let list = json!({"channel": "/chat/1", "count": 3, "users": ["alice", "bob", "carol"]});
    assert_eq!(down.expect()["presence"], list);
    let _dave = stay(&node, "dave", "/chat/1");
    let news = json!({"channel": "/chat/1", "count": 4, "came": ["dave"], "left": []});
    assert_eq!(down.expect()["presence"], news);
}

#[test]
fn a_user_with_several_tabs_counts_once_and_leaves_with_the_last() {
    let node = Node::start(&[]);
    let mut watcher = Watcher::open(&node, "alice", "/chat/1");
    let tabs = [(); 3].map(|()| stay(&node, "bob", "/chat/1"));
    watcher.sees(&["alice", "bob"]);
    let sessions = tabs.each_ref().map(Down::session);
    node.send("bob", &sessions[0], &json!({"close": true}));
    node.send("bob", &sessions[1], &json!({"unsubscribe": "/chat/1"}));
    // Earlier joins and leaves are reported before carol's.
    let _carol = stay(&node, "carol", "/chat/1");
    watcher.sees(&["alice", "bob", "carol"]);
    node.send("bob", &sessions[2], &json!({"close": true}));
    watcher.sees(&["alice", "carol"]);
}

#[test]
fn a_user_who_is_cut_off_is_there_for_the_grace_and_then_leaves() {
    let node = Node::start(&[("ENCKE_SESSION_GRACE", "2s"), ("ENCKE_HEARTBEAT", "500ms")]);
    let mut watcher = Watcher::open(&node, "alice", "/chat/1");
    let bob = stay(&node, "bob", "/chat/1");
    watcher.sees(&["alice", "bob"]);
    drop(bob);
    node.await_sessions("bob", |sessions| sessions.iter().all(|session| session["attached"] == false));
    let bob = stay(&node, "bob", "/chat/1");
    let _carol = stay(&node, "carol", "/chat/1");
    watcher.sees(&["alice", "bob", "carol"]);
    drop(bob);
    watcher.sees(&["alice", "carol"]);
}

#[test]
fn a_watcher_that_was_cut_off_gets_what_it_missed() {
    let node = Node::start(&[]);
    for (transport, room) in [("stream", "/chat/1"), ("sse", "/chat/2")] {
        let target = format!("/u/alice/{transport}?channels={room}&presence=1");
        let mut down = Down::open(&node, &target);
        let open = down.opened();
        let mut page = Page::default();
        assert!(page.hear(room, &down.expect()));
        let last_id = down.last_id();
        drop(down);
        node.await_sessions("alice", |sessions| sessions.iter().all(|one| one["attached"] == false));
        let bob = stay(&node, "bob", room);
        let mut down = Down::open_with(&node, &target, &[("Last-Event-ID", &last_id)]);
        let again = down.opened();
        assert_eq!((&again["resumed"], &again["session"]), (&json!(true), &open["session"]));
        while page.there.len() < 2 {
            assert!(page.hear(room, &down.expect()));
        }
        node.send("bob", &bob.session(), &json!({"close": true}));
        while page.there.len() > 1 {
            assert!(page.hear(room, &down.expect()));
        }
        node.send("alice", again["session"].as_str().unwrap(), &json!({"close": true}));
    }
}

#[test]
fn long_polls_get_presence_too() {
    let node = Node::start(&[]);
    let mut conn = node.connect();
    let first = conn.ask("GET", "/u/alice/longpoll?channels=/chat/1&presence=1", &[], b"").json();
    let session = first[0]["open"]["session"].as_str().unwrap().to_owned();
    let mut page = Page::default();
    let mut hear = |page: &mut Page, since: &str| {
        let target = format!("/u/alice/longpoll?session={session}&since={since}");
        let answer = conn.ask("GET", &target, &[], b"");
        for envelope in answer.json().as_array().unwrap() {
            page.hear("/chat/1", envelope);
        }
        answer.header("encke-position").unwrap().to_owned()
    };
    let since = first[0]["open"]["position"].as_str().unwrap().to_owned();
    let mut since = hear(&mut page, &since);
    let _bob = stay(&node, "bob", "/chat/1");
    while page.there.len() < 2 {
        since = hear(&mut page, &since);
    }
}

#[test]
fn presence_is_asked_for_by_a_command_and_ends_with_the_subscription() {
    let node = Node::start(&[]);
    for user in USERS {
        let room = format!("/rooms/{user}");
        let mut down = Down::open(&node, &format!("/u/{user}/stream?channels={room}"));
        down.opened();
        let session = down.session();
        let answer = node.send(user, &session, &json!({"subscribe": room, "presence": true}));
        assert_eq!(answer["ok"]["subscribe"], room.as_str());
        let list = json!({"channel": room, "count": 1, "users": [user]});
        assert_eq!(down.expect()["presence"], list);
        let sessions = node.sessions(user);
        assert_eq!(sessions[0]["channels"], json!([format!("/u/{user}"), room]), "hidden ones do not show");
        node.send(user, &session, &json!({"unsubscribe": room}));
        let mut zoe = Down::open(&node, &format!("/u/zoe/stream?channels={room}&presence=1"));
        zoe.opened();
        assert_eq!(zoe.expect()["presence"]["users"], json!(["zoe"]));
        node.tell(user, &json!("done"));
        assert_eq!(down.data(), "done");
    }
    let channels = node.api("GET", "/channels", "").json();
    let shown = channels["channels"].as_array().unwrap();
    assert!(shown.iter().all(|one| one["channel"].as_str().unwrap().starts_with('/')), "{channels}");
}

#[test]
fn a_room_of_hundreds_stays_within_its_pace_and_its_bounds() {
    const MANY: usize = 300;
    let node = Node::start(&[]);
    let began = Instant::now();
    let mut watcher = Watcher::open(&node, "alice", "/chat/1");
    let stays: Vec<Down> = (0..MANY).map(|n| stay(&node, &format!("u{n}"), "/chat/1")).collect();
    let mut late = Watcher::open(&node, "zoe", "/chat/1");
    let all = MANY as u64 + 2;
    while watcher.page.count < all {
        let envelope = watcher.down.expect();
        assert!(watcher.page.hear("/chat/1", &envelope), "{envelope}");
    }
    // One at once, then at most one a second, and more slowly with more than 100.
    let most = 2 + usize::try_from(began.elapsed().as_secs()).unwrap();
    assert!(watcher.page.heard <= 1 + most, "{} envelopes in {:?}", watcher.page.heard, began.elapsed());
    assert_eq!(watcher.page.there.len() as u64 + watcher.page.more, all);
    while late.page.count < all {
        let envelope = late.down.expect();
        assert!(late.page.hear("/chat/1", &envelope), "{envelope}");
    }
    let named = late.page.there.len() as u64 + late.page.more;
    assert!(named >= all, "{named} of {all} are told");
    drop(stays);
}

#[test]
fn a_pause_is_kept_between_two_envelopes() {
    let node = Node::start(&[]);
    let mut watcher = Watcher::open(&node, "alice", "/chat/1");
    watcher.sees(&["alice"]);
    let before_bob = Instant::now();
    let _bob = stay(&node, "bob", "/chat/1");
    watcher.sees(&["alice", "bob"]);
    let _carol = stay(&node, "carol", "/chat/1");
    watcher.sees(&["alice", "bob", "carol"]);
    assert!(before_bob.elapsed() >= Duration::from_secs(1), "{:?}", before_bob.elapsed());
}

#[test]
fn only_readers_of_a_channel_may_see_its_members() {
    let node = Node::start(&[("ENCKE_TOKEN_KEY", SECRET)]);
    let may = |channels: Value| token(&json!({"sub": "alice", "channels": channels}));
    let none = may(json!({"/open/*": "r"}));
    let target = |token: &str, channel: &str, more: &str| {
        format!("/u/alice/stream?channels={channel}&presence=1&token={token}{more}")
    };
    assert_eq!(node.get(&target(&none, "/chat/1", "")).status, 403);
    let both = may(json!({"/open/*": "r", "/chat/*": "r"}));
    let mut down = Down::open(&node, &target(&both, "/chat/1", ""));
    down.opened();
    assert_eq!(down.expect()["presence"]["users"], json!(["alice"]));
    // A session that is resumed with a token that does not allow the channel loses both.
    let session = down.session();
    let mut down = Down::open(&node, &target(&none, "/open/1", &format!("&session={session}")));
    assert_eq!(down.opened()["session"], session.as_str());
    assert_eq!(down.expect()["presence"]["channel"], "/open/1");
    let sessions = await_that(|| Some(node.sessions("alice")).filter(|sessions| sessions.len() == 1));
    assert_eq!(sessions[0]["channels"], json!(["/u/alice", "/open/1"]));
    let mut bob = Down::open(
        &node,
        &format!(
            "/u/bob/stream?channels=/chat/1&presence=1&token={}",
            token(&json!({"sub": "bob", "channels": {"/chat/*": "r"}}))
        ),
    );
    bob.opened();
    assert_eq!(bob.expect()["presence"]["users"], json!(["bob"]));
}

#[test]
fn presence_is_of_one_shared_channel() {
    let node = Node::start(&[]);
    let mut conn = node.connect();
    for channel in ["/chat/*", "/chat/**", "/**"] {
        let refused = conn.ask("GET", &format!("/u/alice/poll?channels={channel}&presence=1"), &[], b"");
        assert_eq!((refused.status, refused.error()), (400, "bad-channel".into()), "{channel}");
    }
    for channel in ["?/chat/1", "%3F/chat/1"] {
        let refused = conn.ask("GET", &format!("/u/alice/poll?channels={channel}"), &[], b"");
        assert_eq!((refused.status, refused.error()), (400, "bad-channel".into()), "{channel}");
    }
    let mut down = Down::open(&node, "/u/alice/stream");
    down.opened();
    let session = down.session();
    for (channel, code) in [("/chat/*", "bad-channel"), ("/u/alice", "bad-channel"), ("/meta/x", "reserved")]
    {
        let commands = json!([{"subscribe": channel, "presence": true}]);
        assert_eq!(node.send("alice", &session, &commands)[0]["error"]["code"], code, "{channel}");
    }
    let commands = json!([{"subscribe": "?/chat/1"}, {"publish": "?/chat/1", "data": {}}]);
    for answer in node.send("alice", &session, &commands).as_array().unwrap() {
        assert_eq!(answer["error"]["code"], "bad-channel");
    }
}

#[test]
fn an_xmlsocket_asks_for_it_in_its_first_message() {
    let node = Node::start(&[("ENCKE_XMLSOCKET_LISTEN", "127.0.0.1:0")]);
    let line = node.log_line(|line| line.contains(" xmlsocket="));
    let address = line.rsplit(" xmlsocket=").next().unwrap().split_whitespace().next().unwrap();
    let mut conn = Conn::to(address.parse().unwrap());
    conn.send("{\"connect\":{\"user\":\"alice\",\"channels\":[\"/chat/1\"],\"presence\":true}}\0");
    let mut got = Vec::new();
    while got.split(|byte| *byte == 0).count() < 3 {
        got.extend(conn.some());
    }
    let list = got.split(|byte| *byte == 0).nth(1).unwrap();
    let list: Value = serde_json::from_slice(list).unwrap();
    assert_eq!(list["presence"], json!({"channel": "/chat/1", "count": 1, "users": ["alice"]}));
    let mut conn = Conn::to(address.parse().unwrap());
    conn.send("{\"connect\":{\"user\":\"alice\",\"channels\":[\"/chat/*\"],\"presence\":true}}\0");
    assert!(String::from_utf8_lossy(&conn.some()).contains("bad-channel"));
}
