//! Opening a stream: whether the page may, and the dial.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use crate::base::alarm::Alarm;
use crate::base::slab::{ConnKey, SessionKey};
use crate::base::ticks::Span;
use crate::config::{Config, Introduction, TargetPlace};
use crate::core::Core;
use crate::protocol::tcp::command::Destination;
use crate::session::FrontInterest;
use crate::session::addresses::{AddressBound, AddressFull};
use crate::tcp::downlink::Downlink;
use crate::tcp::limits::{CHUNK_BYTES, PUBLIC_ADDRESS_STREAMS_MAX};
use crate::tcp::stream::{PageStream, ServerReading, Stage};
use crate::tcp::uplink::Uplink;
use crate::tcp::{Streams, TcpFront, act};
use crate::transport::tcp::ByteCoding;
use crate::turn::stream::{Dial, StreamAct};
use crate::wire::refusal::{Refusal, Refused};

/// What a page opens.
pub(super) struct StreamOpening<'a> {
    pub(super) session: SessionKey,
    pub(super) number: u32,
    /// The connection that asks for it.
    pub(super) conn: ConnKey,
    /// The origin of the page behind it.
    pub(super) page: Option<Box<str>>,
    pub(super) to: &'a Destination,
    pub(super) window: Option<u64>,
}

/// What carries a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carried {
    /// The session, with its other messages.
    BySession,
    /// A WebSocket of its own.
    Alone(ConnKey, ByteCoding),
    /// A session of text.
    AsText,
}

/// A server that a page may reach.
struct Reachable {
    dial: Dial,
    introduction: Introduction,
    idle: Option<Span>,
}

impl TcpFront {
    /// Opens a stream. The same command once more changes nothing.
    pub(super) fn open(
        &mut self,
        core: &mut Core,
        opening: StreamOpening<'_>,
        carried: Carried,
    ) -> Result<(), Refusal> {
        let opened = self.try_to_open(core, opening, carried);
        opened.inspect_err(|refusal| core.cx.metrics.stream_refused(refusal.code.text()))
    }

    fn try_to_open(
        &mut self,
        core: &mut Core,
        opening: StreamOpening<'_>,
        carried: Carried,
    ) -> Result<(), Refusal> {
        let StreamOpening { session, number, conn, page, to, window } = opening;
        match self.find(session, number) {
            Some(key) if self.streams.get(key).is_some_and(|stream| stream.to == *to) => return Ok(()),
            Some(_) => return Err(Refused::TcpUsed { stream: number }.into()),
            None if self.was_given(session, number) => return Err(self.absent(session, number)),
            None => {}
        }
        let reachable = self.reach(core, session, to)?;
        if let Destination::Target(name) = to {
            self.admit_to_target(core, name)?;
        }
        let user: Rc<str> = core.user_of(session).unwrap_or_default().into();
        self.admit(core, session, &user)?;
        // An address that is no more known could not be counted.
        let peer = core.conns.get(conn).ok_or(Refused::TcpAsker)?.peer();
        let address = self.addresses.enter(peer.map(|peer| peer.ip()));
        let address = address.map_err(|AddressFull(address)| Refused::TcpAddress { address })?;
        let most = core.cx.config.tcp.window as u64;
        let window = window.map_or(most, |asked| asked.clamp(CHUNK_BYTES as u64, most));
        let key = self.streams.insert(PageStream {
            session,
            user: Rc::clone(&user),
            number,
            to: to.clone(),
            introduction: reachable.introduction,
            idle: reachable.idle,
            stage: Stage::Dialing,
            up: Uplink::new(most),
            down: Downlink::new(window),
            intake: ServerReading::Reading,
            peer,
            address,
            page,
            began: core.cx.now,
            alarm: Alarm::default(),
            text: (carried == Carried::AsText).then(Box::default),
            carried,
            introduction_left: 0,
        });
        *self.users.entry(user.clone()).or_default() += 1;
        if let Destination::Target(name) = to {
            *self.targets.entry(name.clone()).or_default() += 1;
        }
        let streams = self.sessions.entry(session).or_insert_with(|| Streams {
            user,
            highest: 0,
            numbers: BTreeMap::new(),
            under_way: (0, 0),
            paused: VecDeque::new(),
            ended: VecDeque::new(),
        });
        streams.highest = number;
        streams.numbers.insert(number, key);
        core.sessions[session].front = FrontInterest::Told;
        core.cx.metrics.streams_open += 1;
        act(&mut core.cx, key, StreamAct::Dial(Box::new(reachable.dial)));
        Ok(())
    }

    /// How a server is reached, if the node and the user's token allow it.
    fn reach(&self, core: &Core, session: SessionKey, to: &Destination) -> Result<Reachable, Refusal> {
        let (config, grant) = (&core.cx.config.tcp, &core.sessions[session].grant);
        let within = config.connect_timeout;
        match to {
            Destination::Target(name) => {
                let found = config.targets.iter().find(|target| target.name == *name);
                let Some(target) = found.filter(|target| grant.may_reach(&target.name)) else {
                    return Err(unknown(config.targets.iter().map(|target| &*target.name), name, |name| {
                        grant.may_reach(name)
                    }));
                };
                Ok(Reachable {
                    dial: Dial {
                        place: target.place.clone(),
                        tls: target.tls.is_some().then(|| target.name.clone()),
                        rules: None,
                        within,
                    },
                    introduction: target.introduction,
                    idle: target.idle,
                })
            }
            Destination::Host { .. } if self.rules.is_empty() => Err(Refused::TcpAllow.into()),
            Destination::Host { .. } if !grant.may_name_addresses() => Err(Refused::TcpAllowClaim.into()),
            Destination::Host { host, port } => {
                let place = TargetPlace::Tcp { host: host.clone(), port: *port };
                let dial = Dial { place, tls: None, rules: Some(Arc::clone(&self.rules)), within };
                Ok(Reachable { dial, introduction: Introduction::None, idle: None })
            }
        }
    }

    /// Checks the bound of a target.
    fn admit_to_target(&self, core: &Core, name: &str) -> Result<(), Refusal> {
        let target = core.cx.config.tcp.targets.iter().find(|target| *target.name == *name);
        let Some(max) = target.and_then(|target| target.max) else { return Ok(()) };
        let share = Config::share(max, usize::from(core.cx.identity.shards));
        if self.targets.get(name).is_some_and(|count| *count >= share) {
            return Err(Refused::TcpTargetFull { name, max }.into());
        }
        Ok(())
    }

    /// Checks the bounds on streams.
    fn admit(&self, core: &Core, session: SessionKey, user: &str) -> Result<(), Refusal> {
        let config = &core.cx.config.tcp;
        let of_session = self.sessions.get(&session).map_or(0, |all| all.numbers.len());
        if of_session >= config.streams {
            return Err(Refused::TcpSession { max: config.streams }.into());
        }
        if self.users.get(user).is_some_and(|count| *count >= config.user_streams) {
            return Err(Refused::TcpUser { max: config.user_streams }.into());
        }
        if self.streams.len() >= Config::share(config.node_streams, usize::from(core.cx.identity.shards)) {
            return Err(Refused::TcpNode.into());
        }
        Ok(())
    }
}

/// The bound on the streams of one address. It is never lower than that on those of one user, all
/// of which are on one shard.
pub(super) fn address_bound(config: &Config, shards: u8) -> AddressBound {
    let share = |max| Config::share(max, usize::from(shards)).max(max.min(config.tcp.user_streams));
    match config.tcp.address_streams {
        None => AddressBound::Public(share(PUBLIC_ADDRESS_STREAMS_MAX)),
        Some(max) => AddressBound::Every(share(max)),
    }
}

/// The refusal of a name, with those that are allowed.
fn unknown<'a>(names: impl Iterator<Item = &'a str>, name: &str, allows: impl Fn(&str) -> bool) -> Refusal {
    let mut names = names.peekable();
    if names.peek().is_none() {
        return Refused::TcpNone.into();
    }
    let allowed: Vec<_> = names.filter(|name| allows(name)).collect();
    let allowed = if allowed.is_empty() { "none".to_owned() } else { allowed.join(", ") };
    Refused::TcpTarget { name, allowed: &allowed }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(setting: Option<usize>, shards: u8) -> AddressBound {
        let mut config = Config::default();
        (config.tcp.address_streams, config.tcp.user_streams) = (setting, 64);
        address_bound(&config, shards)
    }

    #[test]
    fn an_address_has_a_share_of_its_bound_but_never_less_than_one_user_has() {
        assert_eq!(bound(None, 1), AddressBound::Public(256));
        assert_eq!(bound(None, 2), AddressBound::Public(128));
        assert_eq!(bound(None, 16), AddressBound::Public(64), "one user's are all on one shard");
        assert_eq!(bound(Some(1000), 4), AddressBound::Every(250));
        assert_eq!(bound(Some(10), 4), AddressBound::Every(10), "never more than the number");
    }
}
