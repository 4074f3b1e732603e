//! The web hooks: a few threads that call the backend for all shards of the node.
//!
//! A call waits in one bounded queue, a dedicated thread makes it, and its answer goes by mail to
//! the calling shard. Blocking is allowed only here. Calls are not retried: the backend may have
//! executed the call, and only the client knows whether to repeat it. The content of a call and the
//! meaning of an answer are the shard's.
//!
//! Invariant: each call is answered once, within `ENCKE_HOOK_TIMEOUT`, including the wait in the
//! queue. The threads end when all [`Hooks`] are gone and the queue is empty.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use ureq::Agent;
use ureq::tls::TlsConfig;

use super::post::{Letter, Postbox};
use super::tls;
use crate::auth::signature::hook_signature;
use crate::base::slab::PendingKey;
use crate::config::{Config, HookUrl, Secret};
use crate::reactor::limits::{HOOK_IDLE_MAX, HOOK_LOG_PAUSE};
use crate::shard::ShardId;
use crate::turn::hook::{Hook, HookAnswer, HookVerdict};

/// The shards' end: takes calls and never blocks.
#[derive(Clone)]
pub struct Hooks {
    calls: Sender<HookCall>,
    service: Option<HookUrl>,
    policy: Option<HookUrl>,
    pipe: Option<HookUrl>,
    timeout: Duration,
}

/// The task of one thread of the pool.
pub struct HookCaller {
    calls: Receiver<HookCall>,
    agent: Agent,
    postbox: Postbox,
    body_bytes: u64,
    /// Signs calls.
    key: Option<Secret>,
    /// Failures are not logged before this time.
    quiet_until: Instant,
}

/// A queued call.
struct HookCall {
    from: ShardId,
    pending: PendingKey,
    hook: Hook,
    url: HookUrl,
    body: Vec<u8>,
    /// Answered by then, or failed.
    by: Instant,
}

/// The pool of `config`: the shards' end, and the callers, each for a thread of its own. Without
/// hooks there are no threads.
///
/// # Errors
/// If a hook is called by TLS and the system has no certificate authorities to trust.
pub fn hooks(config: &Config, postbox: &Postbox) -> Result<(Hooks, Vec<HookCaller>), String> {
    let (service, policy) = (config.service_hook.clone(), config.policy_hook.clone());
    let pipe = config.pipe_hook.clone();
    let is_used = service.is_some() || policy.is_some() || pipe.is_some();
    let (queue, threads) = if is_used { (config.hook_queue, config.hook_concurrency) } else { (0, 0) };
    let (calls, taken) = bounded(queue);
    let by_tls = service.iter().chain(&policy).chain(&pipe).any(HookUrl::is_https);
    let agent = agent(config.hook_concurrency, by_tls.then(tls::config).transpose()?);
    let caller = || HookCaller {
        calls: taken.clone(),
        agent: agent.clone(),
        postbox: postbox.clone(),
        body_bytes: config.body_bytes as u64,
        key: config.hook_key.clone(),
        quiet_until: Instant::now(),
    };
    let callers = std::iter::repeat_with(caller).take(threads).collect();
    let timeout = Duration::from_millis(config.hook_timeout.as_millis());
    Ok((Hooks { calls, service, policy, pipe, timeout }, callers))
}

impl Hooks {
    /// Queues a call. Its answer comes by mail.
    ///
    /// # Errors
    /// The answer, if there is no such hook, or too many calls are waiting.
    pub fn call(
        &self,
        from: ShardId,
        pending: PendingKey,
        hook: Hook,
        body: Vec<u8>,
    ) -> Result<(), HookAnswer> {
        let url = match hook {
            Hook::Service => &self.service,
            Hook::Policy => &self.policy,
            Hook::Pipe => &self.pipe,
        };
        let failed = |reason: &str| HookAnswer::Failed(reason.to_owned());
        let url = url.clone().ok_or_else(|| failed("no such hook is configured"))?;
        let call = HookCall { from, pending, hook, url, body, by: Instant::now() + self.timeout };
        self.calls.try_send(call).map_err(|refused| match refused {
            TrySendError::Full(_) => failed("ENCKE_HOOK_QUEUE calls are already waiting"),
            TrySendError::Disconnected(_) => failed("the node is stopping"),
        })
    }
}

impl HookCaller {
    /// Makes calls until all shards have dropped their end.
    pub fn run(mut self) {
        while let Ok(call) = self.calls.recv() {
            let answer = self.answer(&call);
            self.note(call.hook, &answer);
            self.postbox.send(call.from, Letter::Hooked { pending: call.pending, answer });
        }
    }

    fn answer(&self, call: &HookCall) -> HookAnswer {
        // Zero would be no time-out at all.
        match call.by.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            Some(left) => self.post(call, left).unwrap_or_else(|error| HookAnswer::Failed(reason(&error))),
            None => HookAnswer::Failed("ENCKE_HOOK_TIMEOUT passed while it waited in the queue".to_owned()),
        }
    }

    fn post(&self, call: &HookCall, left: Duration) -> Result<HookAnswer, ureq::Error> {
        let request = self.agent.post(call.url.uri()).content_type("application/json");
        let request = match self.signature(&call.body) {
            Some(signature) => request.header("Encke-Signature", signature),
            None => request,
        };
        let mut response = request.config().timeout_global(Some(left)).build().send(&call.body)?;
        // The reader refuses at its limit, be there more or not.
        let body = response.body_mut().with_config().limit(self.body_bytes + 1).read_to_vec()?;
        Ok(HookAnswer::Response { status: response.status().as_u16(), body })
    }

    fn signature(&self, body: &[u8]) -> Option<String> {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        hook_signature(self.key.as_ref()?.expose(), unix, body)
    }

    /// Logs failures at a limited rate: an unreachable backend would fill the log.
    fn note(&mut self, hook: Hook, answer: &HookAnswer) {
        let now = Instant::now();
        if answer.verdict() != HookVerdict::Unavailable || now < self.quiet_until {
            return;
        }
        self.quiet_until = now + HOOK_LOG_PAUSE;
        let name = match hook {
            Hook::Service => "ENCKE_SERVICE_HOOK",
            Hook::Policy => "ENCKE_POLICY_HOOK",
            Hook::Pipe => "ENCKE_PIPE_HOOK",
        };
        match answer {
            HookAnswer::Response { status, .. } => log::warn!("a call of {name} failed: status {status}"),
            HookAnswer::Failed(reason) => log::warn!("a call of {name} failed: {reason}"),
        }
    }
}

/// The HTTP client of all threads, so that they share connections.
fn agent(connections: usize, tls: Option<TlsConfig>) -> Agent {
    let config = Agent::config_builder()
        .user_agent(concat!("encke/", env!("CARGO_PKG_VERSION")))
        .accept("application/json")
        .http_status_as_error(false)
        // A hook is only at the configured URL.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .max_idle_connections(connections)
        .max_idle_connections_per_host(connections)
        .max_idle_age(HOOK_IDLE_MAX);
    Agent::new_with_config(match tls {
        Some(tls) => config.tls_config(tls).build(),
        None => config.build(),
    })
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the errors of another crate, which have texts of their own"
)]
fn reason(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(_) => "no complete answer within ENCKE_HOOK_TIMEOUT".to_owned(),
        ureq::Error::BodyExceedsLimit(_) => "an answer longer than ENCKE_BODY_BYTES".to_owned(),
        // Its text contains the URL, and the query may hold a key.
        ureq::Error::BadUri(_) => "the URL cannot be called".to_owned(),
        error => error.to_string(),
    }
}

#[cfg(test)]
#[path = "hooks_tests.rs"]
mod tests;
