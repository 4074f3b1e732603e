//! What a session knows of itself: where it began, who took it up, what its subscriptions reach.

use std::num::NonZeroU32;
use std::rc::Rc;

use crate::auth::Grant;
use crate::base::slab::{ChannelKey, ConnKey, Slab, SlabKey};
use crate::base::ticks::{Span, Tick};
use crate::hub::channel::{Began, SessionStage, Subscription};
use crate::session::conflated::{ConflateTimer, Conflated, NewMessages};
use crate::session::private::Private;
use crate::session::{FoundBy, Link, NEVER, Session};
use crate::transport::TransportId;

/// A session that begins at `start`, with these subscriptions.
fn session(start: u64, subscriptions: &[(Began, SessionStage)]) -> Session {
    let mut session = Session::new(start, Tick::ZERO, TransportId::sse(), Rc::new(Grant::open()), [0; 12]);
    for (index, (began, stage)) in (0..).zip(subscriptions) {
        let (channel, began, stage) = (channel(index), *began, *stage);
        session.subscriptions.push(Subscription { channel, slot: 0, began, stage });
    }
    session
}

fn channel(index: u32) -> ChannelKey {
    ChannelKey::new(index, NonZeroU32::MIN)
}

const AWAITED: Began = Began::Awaited { last: 0 };

#[test]
fn a_new_session_has_no_connection_and_was_never_lent() {
    let session = session(7, &[]);
    assert_eq!((session.cursor, session.start, session.gap_sent), (7, 7, 0));
    assert_eq!((session.link, session.found), (Link::Detached, FoundBy::Position));
    assert_eq!(session.lent_at(), None);
}

#[test]
fn the_first_position_at_which_a_session_was_lent_counts() {
    for (cursors, lent_at) in
        [(&[][..], None), (&[12], Some(12)), (&[12, 20], Some(12)), (&[20, 12], Some(12))]
    {
        let mut session = session(10, &[]);
        for cursor in cursors {
            session.cursor = *cursor;
            session.lend();
        }
        assert_eq!(session.lent_at(), lent_at, "{cursors:?}");
    }
}

#[test]
fn a_session_is_lent_below_its_start_and_never_further_than_a_number_holds() {
    let far = u64::from(NEVER.unsigned_abs());
    for (start, cursor, lent_at) in
        [(10, 4, 4), (0, 3, 3), (0, far, far - 1), (0, u64::MAX / 4, far - 1), (5, u64::MAX / 4, far + 4)]
    {
        let mut session = session(start, &[]);
        session.cursor = cursor;
        session.lend();
        assert_eq!(session.lent_at(), Some(lent_at), "{start} {cursor}");
    }
}

#[test]
fn a_client_can_have_been_a_sessions_if_some_first_subscription_reaches_back_to_it() {
    let (first, later) = (SessionStage::Opening, SessionStage::Later);
    for (subscriptions, n, reaches) in [
        (&[(Began::After(5), first)][..], 5, true),
        (&[(Began::After(5), first)], 4, false),
        (&[(Began::After(9), first), (Began::After(5), first)], 5, true),
        (&[(Began::After(9), first), (Began::After(5), later)], 5, false),
        (&[(AWAITED, first)], 5, false),
        (&[(Began::Conflated, first)], 0, true),
        (&[], 5, false),
    ] {
        assert_eq!(session(5, subscriptions).reaches_back_to(n), reaches, "{subscriptions:?} {n}");
    }
}

#[test]
fn a_session_has_all_since_a_position_if_each_subscription_brings_it() {
    let (first, later) = (SessionStage::Opening, SessionStage::Later);
    for (subscriptions, n, has_all) in [
        (&[(Began::After(5), first), (Began::After(5), first)][..], 5, true),
        (&[(Began::After(5), first), (Began::After(9), later)], 7, false),
        (&[(Began::After(5), first), (Began::After(9), later)], 9, true),
        // What begins with a home's answer misses nothing since its session began.
        (&[(Began::After(5), first), (AWAITED, first)], 5, true),
        (&[(Began::After(5), first), (AWAITED, first)], 4, false),
        (&[(Began::After(5), first), (AWAITED, later)], 9, false),
        (&[(Began::After(5), first), (Began::Conflated, later)], 5, true),
    ] {
        assert_eq!(session(5, subscriptions).has_all_since(n), has_all, "{subscriptions:?} {n}");
    }
}

#[test]
fn the_private_log_is_no_subscription_that_was_asked_for() {
    let mut session =
        session(5, &[(Began::After(5), SessionStage::Opening), (Began::After(90), SessionStage::Later)]);
    assert!(!session.has_all_since(5));
    let channel = channel(1);
    session.private = Some(Box::new(Private { channel, given: [].into(), brought: [].into() }));
    assert!(session.has_all_since(5));
}

#[test]
fn a_link_knows_its_connection_and_whether_it_is_behind() {
    let conn: ConnKey = Slab::default().insert(());
    for (link, of, is_behind) in [
        (Link::Detached, None, false),
        (Link::Parked(conn), Some(conn), false),
        (Link::Waking(conn), Some(conn), false),
        (Link::Level(conn), Some(conn), false),
        (Link::Behind(conn), Some(conn), true),
    ] {
        assert_eq!((link.conn(), link.is_behind()), (of, is_behind), "{link:?}");
    }
}

#[test]
fn a_conflated_value_is_due_when_its_interval_has_passed() {
    let at = |millis| Tick::ZERO + Span::from_millis(millis);
    for (sent, now, is_due) in
        [(None, at(0), true), (Some(at(0)), at(499), false), (Some(at(0)), at(500), true)]
    {
        let (every, seen, timer) = (Span::from_millis(500), NewMessages::UpTo(0), ConflateTimer::Idle);
        let entry = Conflated { channel: channel(0), every, seen, timer, sent, plain: 0 };
        assert_eq!(entry.is_due(now), is_due, "{sent:?} {now:?}");
    }
}
