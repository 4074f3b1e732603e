//! Whether a connection is accepted: bounds by address, the PROXY header, the first byte.

use std::net::SocketAddr;

use crate::base::ids::ListenerKind;
use crate::base::slab::ConnKey;
use crate::config::{Config, ProxyHeader};
use crate::conn::Conns;
use crate::conn::phase::{Conn, Phase, Step};
use crate::conn::silent::Network;
use crate::request::reply::Reply;
use crate::turn::cx::Cx;
use crate::turn::timer::Timer;
use crate::turn::warnings::Warning;
use crate::wire::http::Scanned;
use crate::wire::proxy_protocol;
use crate::wire::proxy_protocol::Decoded;
use crate::wire::refusal::{ErrorCode, Refused};

impl Conns {
    pub(crate) fn admit(&mut self, cx: &mut Cx, listener: ListenerKind) -> Result<(), Vec<u8>> {
        let Some(connections) = cx.config.connections else { return Ok(()) };
        let share = |total| Config::share(total, usize::from(cx.identity.shards));
        let reserve = match listener {
            ListenerKind::Private => share(cx.config.api_reserve),
            ListenerKind::Public | ListenerKind::XmlSocket => 0,
        };
        if self.slab.len() < share(connections) + reserve {
            return Ok(());
        }
        cx.metrics.refused(ErrorCode::Full.text());
        cx.metrics.turned_away[listener as usize] += 1;
        cx.warn(Warning::Full, || {
            format!(
                "all {connections} connections of the node are taken, or a shard's part of them: new ones get 503 (full); \
                 ENCKE_CONNECTIONS is the bound, ENCKE_API_RESERVE keeps some for the private listener"
            )
        });
        let (reply, refused) = match listener {
            ListenerKind::Public => (Reply::closing(), Refused::Connections),
            ListenerKind::Private => (Reply::closing(), Refused::PrivateConnections),
            ListenerKind::XmlSocket => (Reply::xmlsocket(), Refused::Connections),
        };
        Err(reply.refusal(&refused.into()).0)
    }

    /// The connection has sent nothing yet. It waits as an idle one, not as a slow one: balancers
    /// open some in advance. `counted` is its address, if that counts against
    /// `ENCKE_SILENT_PER_ADDRESS`.
    pub(crate) fn stay_silent(
        &mut self,
        cx: &mut Cx,
        key: ConnKey,
        header: ProxyHeader,
        counted: Option<SocketAddr>,
    ) {
        let now = cx.now;
        let network = counted.and_then(|peer| Network::of(peer.ip()));
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
        let address = counted.map(|peer| peer.ip().to_canonical());
        cx.warn(Warning::Silent, || {
            let address = address.map_or_else(String::new, |address| address.to_string());
            format!(
                "{address} has more than {most} connections to one shard that say nothing: the oldest are closed; \
                 if it is a balancer, raise ENCKE_SILENT_PER_ADDRESS or name it in ENCKE_PROXY_PROTOCOL"
            )
        });
        self.close(cx, oldest);
    }

    /// The first byte of a connection has arrived.
    pub(crate) fn first_byte(&mut self, cx: &mut Cx, key: ConnKey) {
        let now = cx.now;
        self.no_longer_silent(key);
        let conn = &mut self.slab[key];
        let Phase::Silent { header, .. } = conn.phase else { return };
        conn.phase = match header {
            ProxyHeader::Unread => begun(conn.listener),
            ProxyHeader::Demanded | ProxyHeader::Refused => Phase::Preface(header),
        };
        conn.alarm.set(&mut cx.wheel, now + cx.config.head_timeout, Timer::Conn(key));
    }

    /// A connection sends its first bytes, or closes.
    pub(crate) fn no_longer_silent(&mut self, key: ConnKey) {
        let Some(Conn { phase: Phase::Silent { network: Some(network), .. }, .. }) = self.slab.get(key)
        else {
            return;
        };
        let conns = &self.slab;
        let is_silent = |key| matches!(conns.get(key), Some(Conn { phase: Phase::Silent { .. }, .. }));
        self.silent.leave(*network, key, is_silent);
    }

    /// The first bytes of a connection that must begin with a PROXY header, or must not.
    pub(crate) fn preface(&mut self, cx: &mut Cx, key: ConnKey, input: &[u8], header: ProxyHeader) -> Step {
        let conn = &mut self.slab[key];
        let reason = match (header, proxy_protocol::decode(input)) {
            // Refused as soon as it is recognised, complete or not.
            (ProxyHeader::Refused, _) if proxy_protocol::is_announced(input) => {
                cx.metrics.refused("proxy-header-refused");
                "it begins with a PROXY header, which is taken from listed peers alone"
            }
            (_, Ok(Decoded::Partial)) => return Step::Stop,
            (ProxyHeader::Demanded, Ok(Decoded::Complete { source, len })) => {
                if let Some(source) = source {
                    conn.stands_for(source);
                }
                let counted = source.filter(|_| conn.listener != ListenerKind::Private);
                self.stay_silent(cx, key, ProxyHeader::Unread, counted);
                return Step::Used(len);
            }
            (ProxyHeader::Demanded, Err(reject)) => {
                cx.metrics.refused(reject.code());
                reject.reason()
            }
            (ProxyHeader::Refused | ProxyHeader::Unread, _) => {
                conn.phase = begun(conn.listener);
                return Step::Used(0);
            }
        };
        let (peer, listener) = (self.slab[key].peer(), self.slab[key].listener);
        cx.warn(Warning::ProxyHeader, || {
            let variable = match listener {
                ListenerKind::Private => "ENCKE_API_PROXY_PROTOCOL",
                ListenerKind::Public | ListenerKind::XmlSocket => "ENCKE_PROXY_PROTOCOL",
            };
            let peer =
                peer.map_or_else(|| "a Unix socket".to_owned(), |peer| peer.ip().to_canonical().to_string());
            format!("a connection of {peer} is closed: {reason} ({variable})")
        });
        self.close(cx, key);
        Step::Stop
    }
}

/// The phase of a connection that sends its first bytes.
fn begun(listener: ListenerKind) -> Phase {
    match listener {
        ListenerKind::Public | ListenerKind::Private => Phase::Head { scanned: Scanned::default() },
        ListenerKind::XmlSocket => Phase::Greeting { scanned: 0 },
    }
}
