//! The thread that fetches the issuer's keys (`ENCKE_TOKEN_KEYS_URL`).
//!
//! It fetches at once, then each period, and sooner when a shard requests it because a token names
//! an unknown key; failures are retried after a growing pause. The result of each fetch goes to the
//! main thread, which passes the keys to all shards. It does not verify tokens, and fetched keys
//! stay in use until there are newer ones.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use ureq::Agent;

use crate::auth::KeySet;
use crate::config::{Config, HookUrl};
use crate::reactor::limits::{FETCH_BYTES_MAX, FETCH_MAX, FETCH_PAUSE_MIN, FETCH_RETRY_MAX, FETCH_RETRY_MIN};
use crate::reactor::mailbox::MailboxSender;
use crate::reactor::post::ThreadReport;
use crate::reactor::tls;

/// The shards' end. Requests never block; concurrent ones count as one.
#[derive(Clone)]
pub struct Asker(Option<Sender<()>>);

/// The thread's task.
pub struct Fetcher {
    source: KeySource,
    asks: Receiver<()>,
    reports: MailboxSender<ThreadReport>,
    period: Duration,
}

/// The URL of the keys.
struct KeySource {
    url: HookUrl,
    agent: Agent,
}

impl Asker {
    /// Requests a fetch.
    pub fn ask(&self) {
        if let Some(asks) = &self.0 {
            // A full queue already holds the same request.
            let _ = asks.try_send(());
        }
    }
}

/// Both ends; no task if no keys are fetched.
///
/// # Errors
/// If the system has no certificate authorities to trust.
pub fn token_keys(
    config: &Config,
    reports: MailboxSender<ThreadReport>,
) -> Result<(Asker, Option<Fetcher>), String> {
    let Some(source) = KeySource::new(config)? else { return Ok((Asker(None), None)) };
    let (asker, asks) = bounded(1);
    let period = Duration::from_millis(config.token_keys_period.as_millis());
    Ok((Asker(Some(asker)), Some(Fetcher { source, asks, reports, period })))
}

/// Fetches the keys once, for `encke check`. `None` where none are fetched.
///
/// # Errors
/// Why they cannot be fetched.
pub fn fetch_once(config: &Config) -> Result<Option<KeySet>, String> {
    KeySource::new(config)?.map(|source| source.fetch()).transpose()
}

impl Fetcher {
    /// Fetches until all askers are dropped.
    pub fn run(self) {
        let mut failures = 0;
        loop {
            let result = self.source.fetch();
            let fetched = Instant::now();
            failures = if result.is_ok() { 0 } else { failures + 1 };
            let pause = if failures == 0 { self.period } else { backoff(failures).min(self.period) };
            self.reports.send(ThreadReport::TokenKeys(result));
            let mut due = fetched + pause;
            loop {
                match self.asks.recv_deadline(due) {
                    Ok(()) => due = due.min(fetched + FETCH_PAUSE_MIN),
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        }
    }
}

impl KeySource {
    fn new(config: &Config) -> Result<Option<Self>, String> {
        let Some(url) = config.token_keys_url.clone() else { return Ok(None) };
        let settings = Agent::config_builder()
            .user_agent(concat!("encke/", env!("CARGO_PKG_VERSION")))
            .accept("application/jwk-set+json, application/json")
            .http_status_as_error(false)
            // Only the operator decides which keys are trusted.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .max_idle_connections(0)
            .timeout_global(Some(FETCH_MAX));
        let settings =
            if url.is_https() { settings.tls_config(tls::config()?).build() } else { settings.build() };
        Ok(Some(Self { url, agent: Agent::new_with_config(settings) }))
    }

    fn fetch(&self) -> Result<KeySet, String> {
        self.get().map_err(|reason| format!("{:?}: {reason}", self.url))
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the errors of another crate, which have texts of their own"
    )]
    fn get(&self) -> Result<KeySet, String> {
        let mut response = self.agent.get(self.url.uri()).call().map_err(|error| match error {
            ureq::Error::Timeout(_) => format!("no complete answer within {} s", FETCH_MAX.as_secs()),
            ureq::Error::BadUri(_) => "it cannot be called".to_owned(),
            error => error.to_string(),
        })?;
        match response.status().as_u16() {
            200 => {}
            status @ 300..=399 => {
                return Err(format!("status {status}: redirects are not followed; give the final URL"));
            }
            status => return Err(format!("status {status} instead of 200")),
        }
        let body = response.body_mut().with_config().limit(FETCH_BYTES_MAX + 1).read_to_vec();
        let body = body.map_err(|error| match error {
            ureq::Error::BodyExceedsLimit(_) => format!("an answer of more than {FETCH_BYTES_MAX} bytes"),
            ureq::Error::Timeout(_) => format!("no complete answer within {} s", FETCH_MAX.as_secs()),
            error => error.to_string(),
        })?;
        KeySet::read(&body).map_err(|reason| format!("the answer is not a key set: {reason}"))
    }
}

/// Doubles with each failure.
fn backoff(failures: u32) -> Duration {
    let times = 2_u32.saturating_pow(failures.saturating_sub(1));
    FETCH_RETRY_MIN.saturating_mul(times).min(FETCH_RETRY_MAX)
}
