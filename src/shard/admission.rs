//! Connections arrive: the bound on all of them, the bound on silent ones of one network, the PROXY
//! header.
//!
//! At `ENCKE_CONNECTIONS` clients are refused; the private listener has a reserve above, so that
//! backends and probes can always connect. The first bytes of a connection are not handled here.

use std::net::SocketAddr;

use crate::base::ids::ListenerKind;
use crate::base::slab::ConnKey;
use crate::base::ticks::Tick;
use crate::config::ProxyHeader;
use crate::conn::phase::{Conn, Intake, Phase, first_phase};
use crate::shard::Shard;
use crate::turn::input::Parcel;
use crate::turn::timer::Timer;

impl Shard {
    /// Accepts a connection. At the bound: returns what to send before closing it.
    pub fn accept(
        &mut self,
        now: Tick,
        listener: ListenerKind,
        peer: Option<SocketAddr>,
    ) -> Result<ConnKey, Vec<u8>> {
        self.core.cx.now = now;
        self.core.conns.admit(&mut self.core.cx, listener)?;
        self.core.cx.metrics.accepted[listener as usize] += 1;
        let trust = match listener {
            ListenerKind::Private => &self.core.cx.config.api_proxy_protocol,
            ListenerKind::Public | ListenerKind::XmlSocket => &self.core.cx.config.proxy_protocol,
        };
        let header = trust.header(peer.map(|peer| peer.ip()));
        let key = self
            .core
            .conns
            .insert(&mut self.core.cx, Conn::new(listener, peer, Phase::Silent { header, network: None }));
        // A trusted balancer is not counted; its client is known after the header.
        let counted = peer.filter(|_| listener != ListenerKind::Private && header != ProxyHeader::Demanded);
        self.core.conns.stay_silent(&mut self.core.cx, key, header, counted);
        Ok(key)
    }

    /// Adopts a connection from another shard. At the bound: returns what to send before closing
    /// it.
    pub fn adopt(&mut self, now: Tick, parcel: Parcel) -> Result<ConnKey, Vec<u8>> {
        self.core.cx.now = now;
        let Parcel { listener, peer, unparsed, ended, upgraded } = parcel;
        self.core.conns.admit(&mut self.core.cx, listener)?;
        let mut conn = Conn::new(listener, peer, first_phase(listener));
        if ended {
            conn.intake = Intake::Ended;
        }
        let key = self.core.conns.insert(&mut self.core.cx, conn);
        self.core.conns[key].alarm.set(
            &mut self.core.cx.wheel,
            now + self.core.cx.config.idle_timeout,
            Timer::Conn(key),
        );
        if let Some(upgraded) = upgraded
            && let Some(pending) = self.adopt_socket(key, *upgraded)
        {
            self.complete_if_answered(pending);
        }
        self.received(key, &unparsed);
        // Its input may be complete already.
        if ended {
            self.core.conns.read_on(&mut self.core.cx, key);
        }
        self.run_todos();
        Ok(key)
    }
}
