//! Catching up a session: its channels' logs merged into one order. The unit is one message.
//!
//! The same thousand messages lie in 1, 10 or 100 logs; the merge may cost the logarithm of their
//! number, no more. `level` is a session that has missed nothing: one check of each of its logs.

use std::hint::black_box;
use std::sync::Arc;

use encke::base::hash::Keyed;
use encke::base::position::Epoch;
use encke::base::slab::{SessionKey, Slab};
use encke::base::ticks::{Span, Tick};
use encke::hub::census::Maker;
use encke::hub::channel::{Began, Role, SessionStage, Subscriber, Subscription};
use encke::hub::{Hub, HubBounds, census};
use encke::protocol::native::envelope::{Encoding, Message};

use crate::rig::payload;
use crate::suite::{Pass, Suite};

/// All benchmarks of this file.
pub(crate) fn all(suite: &mut Suite) {
    for count in [1, 10, 100] {
        let id = format!("{MESSAGES} messages of {count} logs");
        suite.bench(
            ("catch-up", &id),
            Pass::Elements(MESSAGES),
            || Away::new(count),
            |away| {
                let mut got = 0;
                away.hub.catch_up(0, &away.subscriptions, |publication| {
                    black_box(publication);
                    got += 1;
                    true
                });
                assert_eq!(got, MESSAGES);
            },
        );
    }
    suite.bench(
        ("catch-up", "level with 100 logs"),
        Pass::Elements(1),
        || Away::new(100),
        |away| {
            assert!(!away.hub.has_more(away.hub.head(), black_box(&away.subscriptions)));
        },
    );
}

/// A hub, and a session that has had none of its messages.
struct Away {
    hub: Hub,
    subscriptions: Vec<Subscription>,
}

impl Away {
    fn new(channels: usize) -> Self {
        let bounds = HubBounds {
            channels: census::ChannelBounds {
                channels_max: channels,
                subscribed_max: channels,
                published_max: channels,
                memory_max: 1 << 30,
            },
            log_len_max: MESSAGES,
            log_bytes_max: 1 << 30,
            age_max: Span::from_secs(600),
            grace: Span::from_secs(60),
        };
        let mut hub = Hub::new(Epoch::new(7), Keyed::new((1, 2)), bounds);
        let session = Slab::<SessionKey, ()>::default().insert(());
        let mut subscriptions = Vec::with_capacity(channels);
        for slot in 0..channels as u32 {
            let (channel, _) = hub
                .ensure(&format!("/c/{slot}"), Role::Home, Maker::Backend)
                .expect("as many channels as allowed");
            let place = hub.subscribe(channel, Subscriber { session, slot });
            subscriptions.push(Subscription {
                channel,
                slot: place,
                began: Began::After(0),
                stage: SessionStage::Opening,
            });
        }
        for i in 0..MESSAGES {
            // A stride that is coprime to the counts: neighbours in the order are in different
            // logs.
            let at = i * 37 % channels;
            let channel = format!("/c/{at}").into();
            let message =
                Message { channel, from: None, data: payload(100).into(), encoding: Encoding::Json };
            hub.take_in(Tick::ZERO, Arc::new(message), &[subscriptions[at].channel]);
        }
        Self { hub, subscriptions }
    }
}

const MESSAGES: usize = 1_000;
