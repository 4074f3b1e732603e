//! The node: starts the shards, forwards signals to them, and waits for their end.
//!
//! Threads: the main one, which sleeps until a signal or a report arrives, one for each shard, some
//! that call web hooks and one that fetches the issuer's keys, if configured. A panic in any thread
//! ends the process: clients reconnect to a fresh node, whereas one that serves half of its users
//! would look healthy. Nothing here sees a connection.

mod keys;
mod limits;
mod signals;
mod supervisor;

use std::{
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, atomic::AtomicU64},
    thread,
    time::Duration,
};

use mio::{Events, Poll, Token, Waker};

use self::keys::Issuer;
pub use self::keys::check;
use self::signals::{Caught, Signal};
use self::supervisor::Supervisor;
pub use crate::reactor::fault::Fault;
use crate::server::limits::{EXIT_MARGIN_MAX, LOOK_EVERY, STOP_MAX, WALL_DRIFT_MAX, WALL_STEP};
use crate::{
    base::ticks::{Span, Tick},
    config::{Config, ProxyProtocol, SHARDS_MAX},
    reactor::{
        Links, Reactor, ShardPorts,
        bind::{self, BoundSockets, SocketFile},
        clock::Clock,
        files::{self, Allowed, Files},
        hooks::{HookCaller, hooks},
        listeners::Listener,
        mailbox::{Mailbox, MailboxSender, Sleep, mailbox},
        post::{Letter, Order, Postbox, ThreadReport},
        resolve::{Resolver, resolver},
        tls::connectors,
    },
    shard::{Identity, Keys, ListenerKind, Shard, ShardId},
};

/// Runs the node until a signal ends it.
///
/// # Errors
/// When it cannot start (an address in use, a key that cannot be read), when the system fails a
/// running shard, or when a second signal cuts the drain short.
///
/// `log_dropped` counts dropped log lines.
pub fn run(config: Config, log_dropped: Arc<AtomicU64>) -> Result<(), Fault> {
    Node::start(config, log_dropped)?.serve()
}

struct Node {
    config: Arc<Config>,
    clock: Clock,
    postbox: Postbox,
    poll: Poll,
    signals: Caught,
    reports: Mailbox<ThreadReport>,
    issuer: Issuer,
    phase: ServerPhase,
    supervisor: Supervisor,
    /// The wall clock at the start, as the shards know it, in milliseconds since 1970.
    unix_ms_at_zero: u64,
    /// Bit `i`: shard `i` has drained.
    drained: u64,
    /// Bit `i`: the thread of shard `i` has ended.
    stopped: u64,
    /// Bits of all shards.
    all: u64,
    _socket_files: Vec<SocketFile>,
}

#[derive(Clone, Copy)]
enum ServerPhase {
    Serving,
    /// Health checks fail, so that balancers send no more clients; the drain begins then.
    Leaving {
        until: Tick,
    },
    /// Clients are being sent away; at the latest `by` then the node stops.
    Draining {
        by: Tick,
    },
    /// The shards have the order to stop; they answer within a turn.
    Stopping {
        by: Tick,
    },
}

/// The inputs from which a shard's thread creates its shard and reactor, which cannot be sent
/// between threads.
struct ShardStart {
    identity: Identity,
    config: Arc<Config>,
    keys: Arc<Keys>,
    ports: ShardPorts,
    listeners: Vec<(ListenerKind, Listener)>,
    links: Links,
}

/// Divides the file descriptors between connections of clients, of backends, and to TCP targets;
/// warns of less than is configured.
fn divide(files: Files, config: &mut Config, shards: usize) -> Allowed {
    let asked = if config.tcp.is_used() { config.tcp.node_streams } else { 0 };
    let (rest, streams) = files.without(asked);
    if let Some(warning) = files.streams_warning(asked, streams) {
        log::warn!("{warning}");
    }
    config.tcp.node_streams = streams;
    let allowed = rest.allow(config.connections, config.api_reserve, shards);
    if let Some(warning) = allowed.warning(config.connections, &files) {
        log::warn!("{warning}");
    }
    (config.connections, config.api_reserve) = (Some(allowed.connections), allowed.reserve);
    allowed
}

impl Node {
    fn start(mut config: Config, log_dropped: Arc<AtomicU64>) -> Result<Self, Fault> {
        let clock = Clock::start();
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let shards = config.shard_count(cores).min(SHARDS_MAX);
        let files = files::raise_limit()?;
        let allowed = divide(files, &mut config, shards);
        if config.proxy_protocol == ProxyProtocol::Everybody {
            log::warn!(
                "ENCKE_PROXY_PROTOCOL=1 believes whatever address any peer claims; name the balancers instead, as in \
                 ENCKE_PROXY_PROTOCOL=10.0.0.0/8"
            );
        }
        let config = Arc::new(config);

        let poll = Poll::new().map_err(Fault::doing("make the main thread's poll"))?;
        // Before another process can see that we listen and send a signal.
        let signals = Caught::watch(poll.registry(), SIGNALS).map_err(Fault::doing("catch signals"))?;
        let waker = Waker::new(poll.registry(), REPORTS).map_err(Fault::doing("make the main mailbox"))?;
        let (reporter, reports) = mailbox(waker);

        let (issuer, fetcher) = Issuer::new(&config, reporter.clone())?;
        let keys = issuer.load(&config)?;
        let mut bound = bind::bind(&config, shards)?;
        let (senders, ports) = ports(shards)?;
        let postbox = Postbox::new(senders, config.mailbox);
        let hooks = hooks(&config, &postbox).map_err(|reason| Fault::other("call hooks by TLS", reason))?;
        let (hooks, callers) = hooks;
        spawn_callers(callers)?;
        let connectors = connectors(&config).map_err(unreachable_targets)?;
        let resolver = spawn_resolvers(&config, &postbox)?;
        if let Some(fetcher) = fetcher {
            spawn_helper("token-keys".to_owned(), move || fetcher.run())?;
        }
        let home_key = home_key()?;
        let unix_ms_at_zero = clock.unix_ms_at_zero();
        for ((index, ports), listeners) in (0..).zip(ports).zip(std::mem::take(&mut bound.shards)) {
            let (reports, hooks) = (reporter.clone(), hooks.clone());
            // It belongs to the node, so one shard reports it.
            let log_dropped = (index == 0).then(|| Arc::clone(&log_dropped));
            let token_keys = issuer.asker();
            let (postbox, resolver, connectors) =
                (postbox.clone(), resolver.clone(), Arc::clone(&connectors));
            let links =
                Links { clock, postbox, reports, hooks, connectors, resolver, token_keys, log_dropped };
            let identity = identity(index, shards, home_key, unix_ms_at_zero)?;
            let (config, keys) = (Arc::clone(&config), Arc::clone(&keys));
            spawn(ShardStart { identity, config, keys, ports, listeners, links })?;
        }
        announce(&bound, shards, &allowed, files.limit);
        let all = u64::MAX >> (SHARDS_MAX - shards);
        Ok(Self {
            config,
            clock,
            postbox,
            poll,
            signals,
            reports,
            issuer,
            phase: ServerPhase::Serving,
            supervisor: Supervisor::new(clock.now(), all),
            unix_ms_at_zero,
            drained: 0,
            stopped: 0,
            all,
            _socket_files: bound.files,
        })
    }

    fn serve(mut self) -> Result<(), Fault> {
        let mut events = Events::with_capacity(16);
        while self.stopped != self.all {
            if self.supervisor.asks(self.clock.now()) {
                self.postbox.order(&Order::Alive);
            }
            self.sleep(&mut events)?;
            if events.iter().any(|event| event.token() == SIGNALS) {
                for signal in self.signals.take() {
                    self.handle_signal(signal)?;
                }
            }
            while let Some(report) = self.reports.take() {
                self.note(report)?;
            }
            self.look_at_the_wall();
            match self.phase {
                ServerPhase::Serving => {}
                ServerPhase::Leaving { until } if self.clock.now() < until => {}
                ServerPhase::Leaving { .. } => self.drain(),
                ServerPhase::Draining { by } => self.stop_if_done(by),
                ServerPhase::Stopping { by } if self.clock.now() < by => {}
                ServerPhase::Stopping { .. } => {
                    log::warn!("a shard does not stop; exiting anyway");
                    break;
                }
            }
        }
        log::info!("stopped");
        Ok(())
    }

    fn sleep(&mut self, events: &mut Events) -> Result<(), Fault> {
        let timeout = match (self.reports.before_sleep(), self.phase) {
            (Sleep::Refused, _) => Duration::ZERO,
            (Sleep::Allowed, ServerPhase::Serving) => LOOK_EVERY,
            (
                Sleep::Allowed,
                ServerPhase::Leaving { until: by }
                | ServerPhase::Draining { by }
                | ServerPhase::Stopping { by },
            ) => Clock::until(self.clock.now(), by).min(LOOK_EVERY),
        };
        let woken = self.poll.poll(events, Some(timeout));
        self.reports.after_sleep();
        match woken {
            Err(error) if error.kind() == ErrorKind::Interrupted => {
                events.clear();
                Ok(())
            }
            done => done.map_err(Fault::doing("wait for signals")),
        }
    }

    fn handle_signal(&mut self, signal: Signal) -> Result<(), Fault> {
        match (signal, self.phase) {
            (Signal::Terminate, ServerPhase::Serving) => {
                let lame_duck = self.config.lame_duck_span();
                supervisor::stopping(lame_duck + self.config.drain);
                if lame_duck == Span::ZERO {
                    self.drain();
                } else {
                    self.phase = ServerPhase::Leaving { until: self.clock.now() + lame_duck };
                    self.postbox.order(&Order::Leave);
                    let ms = lame_duck.as_millis();
                    log::info!(
                        "/health answers 503 from now on; the drain begins in {ms} ms (ENCKE_LAME_DUCK)"
                    );
                }
                Ok(())
            }
            (
                Signal::Terminate,
                ServerPhase::Leaving { .. } | ServerPhase::Draining { .. } | ServerPhase::Stopping { .. },
            ) => Err(Fault::other("finish the drain", "a second signal arrived")),
            (Signal::Reload, _) => {
                self.reload();
                Ok(())
            }
        }
    }

    fn drain(&mut self) {
        let by = self.clock.now() + drain_time(self.config.drain);
        self.phase = ServerPhase::Draining { by };
        self.postbox.order(&Order::Drain { by });
        // The order is sent before anything that follows.
        log::info!("draining for at most {} ms", self.config.drain.as_millis());
    }

    /// The wall clock may have been set, and the monotonic one may have stood still while the
    /// machine slept.
    fn look_at_the_wall(&mut self) {
        let unix_ms_at_zero = self.clock.unix_ms_at_zero();
        let moved = unix_ms_at_zero.abs_diff(self.unix_ms_at_zero);
        if moved < WALL_DRIFT_MAX.as_millis() {
            return;
        }
        if moved >= WALL_STEP.as_millis() {
            log::warn!("the wall clock has moved by {moved} ms: tokens are judged by the new time");
        }
        self.unix_ms_at_zero = unix_ms_at_zero;
        self.postbox.order(&Order::Wall { unix_ms_at_zero });
    }

    /// If the new keys cannot be read, the node keeps the old ones: stopping would not help.
    fn reload(&self) {
        self.issuer.asker().ask();
        match self.issuer.load(&self.config) {
            Ok(keys) => {
                log::info!("keys reread");
                self.postbox.order(&Order::Reload { keys });
            }
            Err(fault) => log::error!("keeping the old keys: {fault}"),
        }
    }

    fn note(&mut self, report: ThreadReport) -> Result<(), Fault> {
        match report {
            ThreadReport::Alive(shard) => self.supervisor.heard(shard),
            ThreadReport::Drained(shard) => {
                log::debug!("shard {} has drained", shard.0);
                self.drained |= 1 << shard.0;
            }
            ThreadReport::TokenKeys(result) => {
                self.issuer.take(result);
                // It was loaded at the start: an error now is a missing file, and the shards keep
                // their keys.
                if let Ok(keys) = self.issuer.load(&self.config) {
                    self.postbox.order(&Order::Reload { keys });
                }
            }
            ThreadReport::Stopped(shard, result) => {
                result?;
                self.stopped |= 1 << shard.0;
            }
        }
        Ok(())
    }

    fn stop_if_done(&mut self, by: Tick) {
        let now = self.clock.now();
        if self.drained == self.all || now >= by {
            self.phase = ServerPhase::Stopping { by: now + STOP_MAX };
            self.postbox.order(&Order::Stop);
        }
    }
}

fn ports(shards: usize) -> Result<(Vec<MailboxSender<Letter>>, Vec<ShardPorts>), Fault> {
    let ports: Result<Vec<_>, _> = (0..shards).map(|_| ShardPorts::new()).collect();
    Ok(ports.map_err(Fault::doing("make the shards' mailboxes"))?.into_iter().unzip())
}

/// How long shards may drain: a little less than `ENCKE_DRAIN`, by the end of which the process is
/// to be gone.
fn drain_time(drain: Span) -> Span {
    let margin = drain.part(1, 10).min(EXIT_MARGIN_MAX);
    Span::from_millis(drain.as_millis() - margin.as_millis())
}

/// Every shard has its own seed, from which its ids come: no two may make the same.
fn identity(index: u8, shards: usize, home_key: (u64, u64), unix_ms_at_zero: u64) -> Result<Identity, Fault> {
    let seed = random()?;
    Ok(Identity { id: ShardId(index), shards: shards as u8, home_key, seed, unix_ms_at_zero })
}

/// One for the node: its shards must agree on homes.
fn home_key() -> Result<(u64, u64), Fault> {
    let key = u128::from_le_bytes(random()?);
    Ok(((key >> 64) as u64, key as u64))
}

fn random<const N: usize>() -> Result<[u8; N], Fault> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Fault::other("get random bytes", error.to_string()))?;
    Ok(bytes)
}

fn spawn(start: ShardStart) -> Result<(), Fault> {
    let name = format!("shard-{}", start.identity.id.0);
    let doing = format!("start the thread {name}");
    // It is not joined: it reports its end.
    thread::Builder::new().name(name).spawn(move || start.run()).map_err(Fault::doing(doing))?;
    Ok(())
}

/// They are not joined either: they end with the last shard, and no shard waits for their calls
/// then.
/// The fault of TLS settings of a TCP target.
fn unreachable_targets(reason: String) -> Fault {
    Fault::other("reach TCP targets by TLS", reason)
}

/// Starts the threads that resolve names of TCP targets.
fn spawn_resolvers(config: &Config, postbox: &Postbox) -> Result<Resolver, Fault> {
    let (resolver, threads) = resolver(config, postbox);
    for (index, thread) in threads.into_iter().enumerate() {
        spawn_helper(format!("resolve-{index}"), move || thread.run())?;
    }
    Ok(resolver)
}

fn spawn_callers(callers: Vec<HookCaller>) -> Result<(), Fault> {
    for (index, caller) in callers.into_iter().enumerate() {
        spawn_helper(format!("hook-{index}"), move || caller.run())?;
    }
    Ok(())
}

fn spawn_helper(name: String, work: impl FnOnce() + Send + 'static) -> Result<(), Fault> {
    let doing = format!("start the thread {name}");
    let run = move || {
        let _guard = AbortOnPanic;
        work();
    };
    thread::Builder::new().name(name).spawn(run).map_err(Fault::doing(doing))?;
    Ok(())
}

impl ShardStart {
    fn run(self) {
        let _guard = AbortOnPanic;
        let (id, reports) = (self.identity.id, self.links.reports.clone());
        let shard = Shard::new(self.links.clock.now(), self.config, self.keys, self.identity);
        let result = Reactor::new(id, shard, self.ports, self.listeners, self.links).and_then(Reactor::run);
        reports.send(ThreadReport::Stopped(id, result));
    }
}

/// Ends the process if its thread panics. The panic itself has been printed by then.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            log::error!("{} has panicked: the node stops", thread::current().name().unwrap_or("a thread"));
            log::logger().flush();
            std::process::abort();
        }
    }
}

fn announce(bound: &BoundSockets, shards: usize, allowed: &Allowed, fds: u64) {
    let listed = |all: &[SocketAddr]| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let xmlsocket = match listed(&bound.xmlsocket) {
        none if none.is_empty() => none,
        all => format!(" xmlsocket={all}"),
    };
    let (public, api) = (listed(&bound.public), bound.api.join(","));
    let Allowed { connections, reserve } = allowed;
    log::info!(
        "listening public={public} api={api}{xmlsocket} shards={shards} connections={connections}+{reserve} fds={fds}"
    );
    if let Some(first) = bound.public.first() {
        log::info!("start page: {}", start_page(*first));
    }
}

/// The start page's URL on this machine.
fn start_page(address: SocketAddr) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    format!("http://{}/", SocketAddr::new(ip, address.port()))
}

/// The main thread's own mailbox.
const REPORTS: Token = Token(0);

/// The caught signals.
const SIGNALS: Token = Token(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_page_can_be_opened_even_if_we_listen_everywhere() {
        let page = |address: &str| start_page(address.parse().unwrap());
        assert_eq!(page("127.0.0.1:8080"), "http://127.0.0.1:8080/");
        assert_eq!(page("0.0.0.0:80"), "http://127.0.0.1:80/");
        assert_eq!(page("[::]:8080"), "http://[::1]:8080/");
    }

    #[test]
    fn the_drain_leaves_time_to_exit() {
        assert_eq!(drain_time(Span::from_secs(10)), Span::from_millis(9750));
        assert_eq!(drain_time(Span::from_millis(100)), Span::from_millis(90));
        assert_eq!(drain_time(Span::ZERO), Span::ZERO);
    }
}
