//! The hub against slow, obvious twins.

use proptest::prelude::*;

use crate::base::slab::SessionKey;
use crate::hub::channel::{Began, SessionStage, Subscription};
use crate::hub::*;
use crate::protocol::native::envelope::Encoding;

fn hub(bounds: impl FnOnce(&mut HubBounds)) -> Hub {
    let mut all = HubBounds {
        channels: census::ChannelBounds {
            channels_max: 100,
            subscribed_max: 100,
            published_max: 100,
            memory_max: 1 << 20,
        },
        log_len_max: 100,
        log_bytes_max: 1 << 20,
        age_max: Span::from_secs(600),
        grace: Span::from_secs(60),
    };
    bounds(&mut all);
    Hub::new(Epoch::new(1), Keyed::new((1, 2)), all)
}

fn message(channel: &str) -> Arc<Message> {
    Arc::new(Message { channel: channel.into(), from: None, data: "1".into(), encoding: Encoding::Json })
}

fn publish(hub: &mut Hub, now: u64, channel: &str) -> u64 {
    let (key, _) = hub.ensure(channel, Role::Home, Maker::Backend).unwrap();
    let mut targets = vec![key];
    targets.extend(hub.matching(channel));
    hub.take_in(Tick::from_millis(now), message(channel), &targets).n
}

fn reader(hub: &mut Hub, names: &[&str]) -> Vec<Subscription> {
    let of = |name: &&str| {
        let role = if name.ends_with('*') { Role::Pattern } else { Role::Home };
        let (channel, _) = hub.ensure(name, role, Maker::Backend).unwrap();
        let session = Slab::<SessionKey, ()>::default().insert(());
        Subscription {
            channel,
            slot: hub.subscribe(channel, Subscriber { session, slot: 0 }),
            began: Began::After(0),
            stage: SessionStage::Opening,
        }
    };
    names.iter().map(of).collect()
}

fn caught_up(hub: &Hub, cursor: u64, subscriptions: &[Subscription]) -> Vec<u64> {
    let mut numbers = Vec::new();
    hub.catch_up(cursor, subscriptions, |publication| {
        numbers.push(publication.n);
        true
    });
    numbers
}

#[test]
fn a_message_that_matches_two_subscriptions_comes_once() {
    let mut hub = hub(|_| {});
    let subscriptions = reader(&mut hub, &["/a/b", "/a/*", "/**", "/c"]);
    let numbers: Vec<_> = ["/a/b", "/c", "/d", "/a/x", "/a/b"].map(|c| publish(&mut hub, 0, c)).into();
    assert_eq!(caught_up(&hub, 0, &subscriptions), numbers);
    assert_eq!(caught_up(&hub, numbers[2], &subscriptions), numbers[3..]);
    assert!(!hub.has_more(numbers[4], &subscriptions) && hub.has_more(numbers[3], &subscriptions));
}

#[test]
fn what_a_log_forgets_is_missing_for_those_behind_and_no_one_else() {
    let mut hub = hub(|bounds| {
        bounds.log_len_max = 2;
        bounds.grace = Span::ZERO;
    });
    let subscriptions = reader(&mut hub, &["/a"]);
    let numbers: Vec<_> = (0..4).map(|_| publish(&mut hub, 0, "/a")).collect();
    assert_eq!(hub.missing(numbers[0], &subscriptions), Some(numbers[1]));
    assert_eq!(hub.missing(numbers[1], &subscriptions), None);
    assert_eq!(caught_up(&hub, 0, &subscriptions), numbers[2..]);
    hub.check_invariants();
}

#[test]
fn a_message_younger_than_the_grace_stays_unless_bytes_are_short() {
    let mut hub = hub(|bounds| bounds.log_len_max = 1);
    let subscriptions = reader(&mut hub, &["/a"]);
    for now in [0, 1_000, 2_000] {
        publish(&mut hub, now, "/a");
    }
    assert_eq!(caught_up(&hub, 0, &subscriptions).len(), 3);
    publish(&mut hub, 61_500, "/a");
    assert_eq!(caught_up(&hub, 0, &subscriptions), [3, 4]);
    hub.check_invariants();
}

#[test]
fn memory_is_bounded_by_forgetting_the_oldest_of_all_logs() {
    let mut hub = hub(|bounds| bounds.channels.memory_max = 5_000);
    for i in 0..1_000 {
        publish(&mut hub, 0, &format!("/c/{}", i % 50));
    }
    let (messages, bytes) = hub.held();
    let channels = hub.channel_bytes();
    assert!(bytes + channels <= 5_000 && messages > 5, "{messages} {bytes} {channels}");
    hub.check_invariants();
}

#[test]
fn messages_of_a_removed_channel_count_as_missing() {
    let mut hub = hub(|_| {});
    let n = publish(&mut hub, 0, "/a");
    hub.expire(Tick::from_millis(600_000));
    assert!(hub.is_empty() && hub.find("/a").is_none());
    let subscriptions = reader(&mut hub, &["/a"]);
    assert_eq!(hub.missing(n - 1, &subscriptions), Some(n));
    assert_eq!(hub.missing(n, &subscriptions), None);
}

#[test]
fn at_the_bound_no_channel_is_added() {
    let mut hub = hub(|bounds| bounds.channels.channels_max = 2);
    assert!(
        hub.ensure("/a", Role::Home, Maker::Backend).is_ok()
            && hub.ensure("/b", Role::Home, Maker::Backend).is_ok()
    );
    assert_eq!(hub.ensure("/c", Role::Home, Maker::Backend), Err(Full::Channels));
    assert!(hub.ensure("/a", Role::Home, Maker::Backend).is_ok());
}

#[test]
fn a_user_is_charged_until_the_channel_goes_and_each_way_has_its_own_count() {
    let mut hub = hub(|bounds| {
        bounds.channels.subscribed_max = 2;
        bounds.channels.published_max = 1;
    });
    let bob = Maker::Subscriber("bob");
    let (first, _) = hub.ensure("/1", Role::Home, bob).unwrap();
    assert!(hub.ensure("/2", Role::Home, bob).is_ok());
    assert_eq!(hub.ensure("/3", Role::Home, bob), Err(Full::User));
    assert!(hub.ensure("/2", Role::Home, bob).is_ok(), "it is there");
    assert!(hub.ensure("/3", Role::Home, Maker::Publisher("bob")).is_ok());
    assert_eq!(hub.ensure("/4", Role::Home, Maker::Publisher("bob")), Err(Full::User));
    assert!(hub.ensure("/u/bob", Role::Home, Maker::Personal).is_ok());
    assert!(hub.ensure("/4", Role::Home, Maker::Subscriber("eve")).is_ok());
    hub.check_invariants();
    hub.release(first);
    assert!(hub.ensure("/5", Role::Home, bob).is_ok());
    // The user that inherits a channel is charged instead, also beyond the bound.
    let second = hub.find("/2").unwrap();
    hub.inherit(second, "eve", "ann");
    assert_eq!(hub.ensure("/6", Role::Home, bob), Err(Full::User), "it was not eve's");
    hub.inherit(second, "bob", "ann");
    assert!(hub.ensure("/6", Role::Home, bob).is_ok());
    assert!(hub.ensure("/7", Role::Home, Maker::Subscriber("ann")).is_ok());
    assert_eq!(hub.ensure("/8", Role::Home, Maker::Subscriber("ann")), Err(Full::User));
    hub.check_invariants();
}

#[test]
fn an_eighth_of_the_channels_is_for_backends_and_what_other_shards_ask_for_is_not_counted() {
    let mut hub = hub(|bounds| bounds.channels.channels_max = 16);
    for n in 0..20 {
        hub.ensure_for_other(&format!("/other/{n}"), Role::Home);
    }
    let eve = Maker::Subscriber("eve");
    for n in 0..14 {
        assert!(hub.ensure(&format!("/{n}"), Role::Home, eve).is_ok());
    }
    assert_eq!(hub.ensure("/14", Role::Home, eve), Err(Full::Clients));
    assert_eq!(hub.ensure("/u/eve", Role::Home, Maker::Personal), Err(Full::Clients));
    for n in 14..16 {
        assert!(hub.ensure(&format!("/{n}"), Role::Home, Maker::Backend).is_ok());
    }
    assert_eq!(hub.ensure("/16", Role::Home, Maker::Backend), Err(Full::Channels));
    hub.check_invariants();
}

#[test]
fn channels_that_nobody_needs_make_room_for_others_and_those_that_are_needed_stay() {
    let mut hub = hub(|bounds| bounds.channels.memory_max = 16_000);
    let (bob, eve) = (Maker::Subscriber("bob"), Maker::Publisher("eve"));
    let (needed, _) = hub.ensure("/needed", Role::Home, bob).unwrap();
    hub.subscribe(needed, Subscriber { session: SessionKey::new(0, std::num::NonZeroU32::MIN), slot: 0 });
    publish(&mut hub, 0, "/needed");
    for n in 0..100 {
        let name = format!("/{n:03}");
        let (key, _) = hub.ensure(&name, Role::Home, eve).unwrap();
        hub.take_in(Tick::ZERO, message(&name), &[key]);
        assert!(hub.channel_bytes() <= 12_000);
    }
    assert!(hub.find("/needed").is_some() && hub.find("/099").is_some() && hub.find("/000").is_none());
    assert!(hub.held().1 >= 2_000, "logs keep a part of their own");
    hub.check_invariants();
    // If all are in use, only backends can create more.
    let mut refused = None;
    for n in 0..100 {
        match hub.ensure(&format!("/held/{n}"), Role::Asked, bob) {
            Ok(_) => {}
            Err(full) => refused = Some(full),
        }
    }
    assert_eq!(refused, Some(Full::Memory));
    assert_eq!(hub.make_room(1_000), Err(Full::Memory));
    assert!(hub.ensure("/backend", Role::Home, Maker::Backend).is_ok());
    hub.check_invariants();
}

#[test]
fn a_recall_gives_the_newest_of_each_channel_in_order() {
    let mut hub = hub(|_| {});
    for channel in ["/a/1", "/a/2", "/b", "/a/1", "/a/1", "/a/2"] {
        publish(&mut hub, 0, channel);
    }
    let (recalled, _) = hub.recall("/a/*", 2);
    let names: Vec<_> = recalled.iter().map(|message| &*message.channel).collect();
    assert_eq!(names, ["/a/2", "/a/1", "/a/1", "/a/2"]);
    assert_eq!(hub.recall("/**", 9).0.len(), 6);
    for _ in 0..recent::RECALL_MESSAGES_MAX - 2 {
        publish(&mut hub, 0, "/c");
    }
    assert_eq!(hub.recall("/a/*", 9).0.len(), 2, "two of them are within what is looked back through");
    assert_eq!(hub.recall("/c", 9).0.len(), 0, "no pattern");
}

proptest! {
    /// The slow twin keeps every message for ever; the hub's result must be a suffix of the twin's,
    /// and `missing` must cover the rest.
    #[test]
    fn nothing_is_forgotten_in_silence(
        steps in prop::collection::vec((0usize..4, 0u64..40_000), 1..120),
        memory in 500usize..5_000,
        cursor in 0u64..60,
    ) {
        const NAMES: [&str; 4] = ["/a/x", "/a/y", "/b", "/a/z/w"];
        let mut hub = hub(|bounds| {
            // In addition to the memory of the channels.
            bounds.channels.memory_max = memory + 2_000;
            bounds.log_len_max = 3;
        });
        let subscriptions = reader(&mut hub, &["/a/*", "/b"]);
        let (mut now, mut twin) = (0, Vec::new());
        for (which, wait) in steps {
            now += wait;
            hub.expire(Tick::from_millis(now));
            let n = publish(&mut hub, now, NAMES[which]);
            if which < 3 {
                twin.push(n);
            }
            hub.check_invariants();
        }
        twin.retain(|&n| n > cursor);
        let got = caught_up(&hub, cursor, &subscriptions);
        let missing = hub.missing(cursor, &subscriptions).unwrap_or(0);
        prop_assert!(got.iter().all(|n| twin.contains(n)));
        prop_assert!(twin.iter().filter(|n| !got.contains(n)).all(|&n| n <= missing));
    }
}

proptest! {
    /// The slow twin walks the log. The same message may be repeated, since a private log may
    /// replay it; and the address of a dropped message may be reused.
    #[test]
    fn a_message_is_found_where_it_lies(
        steps in prop::collection::vec((0usize..12, 0u8..4), 1..200),
        log_len in 1usize..8,
    ) {
        let mut hub = hub(|bounds| {
            bounds.log_len_max = log_len;
            bounds.grace = Span::ZERO;
        });
        let (key, _) = hub.ensure("/a", Role::Home, Maker::Backend).unwrap();
        let mut messages: Vec<_> = (0..12).map(|_| message("/a")).collect();
        for (which, step) in steps {
            match step {
                0 => messages[which] = message("/a"),
                1 | 2 => drop(hub.take_in(Tick::ZERO, Arc::clone(&messages[which]), &[key])),
                _ => {}
            }
            if step > 1 {
                let log = &mut hub.channel_mut(key).unwrap().log;
                let walked = log.after(0).filter(|at| Arc::ptr_eq(&at.message, &messages[which])).last();
                let walked = walked.map(|at| at.n);
                prop_assert_eq!(log.number_of(&messages[which]), walked);
            }
        }
    }

    /// The slow twin walks all that is left of the window.
    #[test]
    fn a_recall_gives_what_a_walk_would_give(
        steps in prop::collection::vec((0usize..5, 0u64..2_000), 1..100),
        last in 0usize..4,
        log_len in 1usize..30,
    ) {
        const NAMES: [&str; 5] = ["/a/x", "/a/y", "/b", "/a/z/w", "/u/bob"];
        let mut hub = hub(|bounds| {
            bounds.log_len_max = log_len;
            bounds.grace = Span::ZERO;
            bounds.age_max = Span::from_secs(20);
        });
        for (at, (which, wait)) in steps.into_iter().enumerate() {
            let now = at as u64 * 500 + wait;
            publish(&mut hub, now, NAMES[which]);
            if at % 7 == 0 {
                hub.expire(Tick::from_millis(now));
            }
            for (pattern, matches) in [("/a/*", &NAMES[..2]), ("/a/**", &[NAMES[0], NAMES[1], NAMES[3]]), ("/**", &NAMES[..4])] {
                let logs = matches.iter().filter_map(|name| hub.channel(hub.find(name)?));
                let mut walked: Vec<_> = logs.flat_map(|channel| {
                    let from = channel.log.before_last(last).unwrap_or(u64::MAX);
                    channel.log.after(from).map(|at| (at.n, Arc::as_ptr(&at.message)))
                }).collect();
                walked.sort_unstable();
                let walked: Vec<_> = walked.into_iter().map(|(_, message)| message).collect();
                let recalled: Vec<_> = hub.recall(pattern, last).0.iter().map(Arc::as_ptr).collect();
                prop_assert_eq!(recalled, walked);
            }
        }
    }
}
