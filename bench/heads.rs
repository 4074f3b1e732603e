//! From a request's bytes to the parsed request. The unit is one request.
//!
//! `head/…` is the parsing alone, `route/…` what follows it: routing a parsed head.

use std::hint::black_box;
use std::rc::Rc;

use encke::auth::Grant;
use encke::auth::gate::Keys;
use encke::base::ids::{ListenerKind, ShardId};
use encke::config::Config;
use encke::request::router::{Context, route};
use encke::wire::http::head::{Head, Parsed, parse};
use encke::wire::http::{HeadLimits, Scanned};

use crate::rig::{get, payload, post};
use crate::suite::{Pass, Suite};

/// All benchmarks of this file.
pub(crate) fn all(suite: &mut Suite) {
    let stream = get("/u/alice/sse?channels=/chat/room1,/chat/room2&last=10");
    let publish = post("/u/alice/publish", "application/json", &payload(100));
    for (name, bytes) in [("browser's stream", &stream), ("backend's publish", &publish)] {
        suite.bench(("head", name), Pass::Elements(1), || (), |()| drop(black_box(head(black_box(bytes)))));
    }
    let watch = encke::auth::key_watch::KeyWatch::default();
    let (config, keys, grant) = (Config::default(), Keys::open(), Rc::new(Grant::open()));
    let context = Context {
        here: ShardId(0),
        homes: encke::base::hash::Homes::new((1, 2), 1),
        keys: &keys,
        watch: &watch,
        now: encke::base::ticks::Tick::ZERO,
        config: &config,
        open_grant: &grant,
        unix_now: 1_700_000_000,
    };
    for (name, listener, bytes) in [
        ("browser's stream", ListenerKind::Public, &stream),
        ("backend's publish", ListenerKind::Private, &publish),
    ] {
        let routed = |head: &mut Head<'_>| drop(black_box(route(&context, listener, black_box(head))));
        suite.bench(("route", name), Pass::Elements(1), || head(bytes), routed);
    }
}

fn head(bytes: &[u8]) -> Head<'_> {
    let config = HeadLimits { bytes_max: 16 * 1024, headers_max: 100 };
    match parse(bytes, Scanned::default(), &config) {
        Ok(Parsed::Complete { head, .. }) => head,
        other => panic!("a head that is whole and good: {other:?}"),
    }
}
