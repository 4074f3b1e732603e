//! How connections get in: the bound on all of them, the bound on silent ones of one network, the proxy's header.
//!
//! At `ENCKE_CONNECTIONS` clients are refused, and the private listener has a reserve on top: whatever strangers do,
//! backends and probes get in. What a connection says once it speaks is not looked at here.

use std::net::SocketAddr;

use crate::base::ids::Door;
use crate::base::slab::ConnKey;
use crate::base::ticks::Tick;
use crate::config::{Config, ProxyHeader};
use crate::shard::conn::{Conn, Intake, Phase, first_phase};
use crate::shard::conns::Conns;
use crate::shard::cx::Cx;
use crate::shard::input::Parcel;
use crate::shard::receive::Step;
use crate::shard::reply::Reply;
use crate::shard::silent::Network;
use crate::shard::warnings::Warning;
use crate::shard::{Shard, Timer};
use crate::wire::http::Scanned;
use crate::wire::proxy_protocol;
use crate::wire::proxy_protocol::Decoded;
use crate::wire::refusal::Refusal;

impl Conns {
    fn admit(&mut self, cx: &mut Cx, door: Door) -> Result<(), Vec<u8>> {
        let Some(connections) = cx.config.connections else { return Ok(()) };
        let share = |total| Config::share(total, usize::from(cx.identity.shards));
        let reserve = match door {
            Door::Private => share(cx.config.api_reserve),
            Door::Public | Door::XmlSocket => 0,
        };
        if self.slab.len() < share(connections) + reserve {
            return Ok(());
        }
        cx.metrics.refused("full");
        cx.metrics.turned_away[door as usize] += 1;
        cx.warn(Warning::Full, || {
            format!(
                "all {connections} connections of the node are taken, or a shard's part of them: new ones get 503 (full); \
                 ENCKE_CONNECTIONS is the bound, ENCKE_API_RESERVE keeps some for the private listener"
            )
        });
        let (reply, bound) = match door {
            Door::Public => (Reply::closing(), "ENCKE_CONNECTIONS allows"),
            Door::Private => (Reply::closing(), "ENCKE_CONNECTIONS and ENCKE_API_RESERVE allow"),
            Door::XmlSocket => (Reply::xmlsocket(), "ENCKE_CONNECTIONS allows"),
        };
        let reason = format!("the node has all the connections that {bound}; come back later");
        let refusal = Refusal::new(503, "full", reason).with_header("Retry-After", "5");
        Err(reply.refusal(&refusal).0)
    }

    /// Nothing more has come yet. A connection that waits is idle and not slow: balancers open some ahead of need.
    fn stay_silent(&mut self, cx: &mut Cx, key: ConnKey, header: ProxyHeader, stranger: Option<SocketAddr>) {
        let now = cx.now;
        let network = stranger.and_then(|peer| Network::of(peer.ip()));
        let conn = &mut self.slab[key];
        conn.phase = Phase::Silent { header, network };
        conn.alarm.set(&mut cx.wheel, now + cx.config.idle_timeout, Timer::Conn(key));
        let Some(network) = network else { return };
        let most = Config::share(cx.config.silent_per_address, usize::from(cx.identity.shards));
        if self.silent.enter(network, key) <= most {
            return;
        }
        let conns = &self.slab;
        let is_silent = |key| matches!(conns.get(key), Some(Conn { phase: Phase::Silent { .. }, .. }));
        let Some(oldest) = self.silent.oldest(network, is_silent) else { return };
        cx.metrics.unheard += 1;
        let address = stranger.map(|peer| peer.ip().to_canonical());
        cx.warn(Warning::Silent, || {
            let address = address.map_or_else(String::new, |address| address.to_string());
            format!(
                "{address} has more than {most} connections to one shard that say nothing: the oldest are closed; \
                 if it is a balancer, raise ENCKE_SILENT_PER_ADDRESS or name it in ENCKE_PROXY_PROTOCOL"
            )
        });
        self.close(cx, oldest);
    }

    /// Something comes on a connection on which nothing had come.
    pub(super) fn first_byte(&mut self, cx: &mut Cx, key: ConnKey) {
        let now = cx.now;
        self.no_longer_silent(key);
        let conn = &mut self.slab[key];
        let Phase::Silent { header, .. } = conn.phase else { return };
        conn.phase = match header {
            ProxyHeader::Unread => begun(conn.door),
            ProxyHeader::Demanded | ProxyHeader::Refused => Phase::Preface(header),
        };
        conn.alarm.set(&mut cx.wheel, now + cx.config.head_timeout, Timer::Conn(key));
    }

    /// A connection is about to speak, or to go.
    pub(super) fn no_longer_silent(&mut self, key: ConnKey) {
        let Some(Conn { phase: Phase::Silent { network: Some(network), .. }, .. }) = self.slab.get(key)
        else {
            return;
        };
        let conns = &self.slab;
        let is_silent = |key| matches!(conns.get(key), Some(Conn { phase: Phase::Silent { .. }, .. }));
        self.silent.leave(*network, key, is_silent);
    }

    /// The first bytes of a connection that begins with a proxy's header, or must not.
    pub(super) fn preface(&mut self, cx: &mut Cx, key: ConnKey, input: &[u8], header: ProxyHeader) -> Step {
        let conn = &mut self.slab[key];
        let reason = match (header, proxy_protocol::decode(input)) {
            // As soon as it is known to be one, whole or not.
            (ProxyHeader::Refused, _) if proxy_protocol::is_announced(input) => {
                cx.metrics.refused("proxy-header-refused");
                "it begins with a PROXY header, which is taken from listed peers alone"
            }
            (_, Ok(Decoded::Partial)) => return Step::Stop,
            (ProxyHeader::Demanded, Ok(Decoded::Complete { source, len })) => {
                conn.peer = source.or(conn.peer);
                let stranger = source.filter(|_| conn.door != Door::Private);
                self.stay_silent(cx, key, ProxyHeader::Unread, stranger);
                return Step::Used(len);
            }
            (ProxyHeader::Demanded, Err(reject)) => {
                cx.metrics.refused(reject.code());
                reject.reason()
            }
            (ProxyHeader::Refused | ProxyHeader::Unread, _) => {
                conn.phase = begun(conn.door);
                return Step::Used(0);
            }
        };
        let (peer, door) = (self.slab[key].peer, self.slab[key].door);
        cx.warn(Warning::ProxyHeader, || {
            let variable = match door {
                Door::Private => "ENCKE_API_PROXY_PROTOCOL",
                Door::Public | Door::XmlSocket => "ENCKE_PROXY_PROTOCOL",
            };
            let peer =
                peer.map_or_else(|| "a Unix socket".to_owned(), |peer| peer.ip().to_canonical().to_string());
            format!("a connection of {peer} is closed: {reason} ({variable})")
        });
        self.close(cx, key);
        Step::Stop
    }
}

impl Shard {
    /// A connection was accepted. At the bound: what to say before closing it.
    pub fn accept(&mut self, now: Tick, door: Door, peer: Option<SocketAddr>) -> Result<ConnKey, Vec<u8>> {
        self.core.cx.now = now;
        self.core.conns.admit(&mut self.core.cx, door)?;
        self.core.cx.metrics.accepted[door as usize] += 1;
        let trust = match door {
            Door::Private => &self.core.cx.config.api_proxy_protocol,
            Door::Public | Door::XmlSocket => &self.core.cx.config.proxy_protocol,
        };
        let header = trust.header(peer.map(|peer| peer.ip()));
        let key = self
            .core
            .conns
            .insert(&mut self.core.cx, Conn::new(door, peer, Phase::Silent { header, network: None }));
        // A balancer that we trust is no stranger; who it speaks for is known after its header.
        let stranger = peer.filter(|_| door != Door::Private && header != ProxyHeader::Demanded);
        self.core.conns.stay_silent(&mut self.core.cx, key, header, stranger);
        Ok(key)
    }

    /// A connection comes from another shard. At the bound: what to say before closing it.
    pub fn adopt(&mut self, now: Tick, parcel: Parcel) -> Result<ConnKey, Vec<u8>> {
        self.core.cx.now = now;
        let Parcel { door, peer, unparsed, ended, upgraded } = parcel;
        self.core.conns.admit(&mut self.core.cx, door)?;
        let mut conn = Conn::new(door, peer, first_phase(door));
        if ended {
            conn.intake = Intake::Ended;
        }
        let key = self.core.conns.insert(&mut self.core.cx, conn);
        self.core.conns[key].alarm.set(
            &mut self.core.cx.wheel,
            now + self.core.cx.config.idle_timeout,
            Timer::Conn(key),
        );
        if let Some(upgraded) = upgraded {
            self.adopt_upgraded(key, *upgraded);
        }
        self.received(key, &unparsed);
        // All that will come may be here.
        if ended {
            self.core.conns.read_on(&mut self.core.cx, key);
        }
        self.carry_out_todos();
        Ok(key)
    }
}

/// Where a connection stands that begins to speak.
fn begun(door: Door) -> Phase {
    match door {
        Door::Public | Door::Private => Phase::Head { scanned: Scanned::default() },
        Door::XmlSocket => Phase::Greeting { scanned: 0 },
    }
}
