//! The first message of an XMLSocket connection: whose messages it wants, or the request for a policy file that Flash sends first.
//!
//! From then on such a connection is one like any other (`socket`).

use std::fmt::Write as _;

use serde::Deserialize;

use crate::base::frame::Frame;
use crate::base::slab::ConnKey;
use crate::base::ticks::Span;
use crate::config::{Config, OriginPattern};
use crate::shard::conn::{Phase, Then};
use crate::shard::conns::Conns;
use crate::shard::cx::Cx;
use crate::shard::receive::Step;
use crate::shard::reply::Reply;
use crate::shard::request::Open;
use crate::shard::{Shard, Timer, router};
use crate::wire::refusal::Refusal;

/// What Flash sends before anything else, with the NUL that ends it.
const POLICY_REQUEST: &[u8] = b"<policy-file-request/>\0";

/// Longer than any network takes for 23 bytes.
const POLICY_TIMEOUT: Span = Span::from_secs(1);

/// `{"connect":{…}}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Greeting {
    connect: Connect,
}

/// What the query and the headers say elsewhere.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Connect {
    /// Whose messages.
    pub(super) user: String,
    /// Subscribed at once.
    #[serde(default)]
    pub(super) channels: Vec<String>,
    /// Whether it wants to know who is in them.
    #[serde(default)]
    pub(super) presence: bool,
    /// Recent messages of each to start with.
    #[serde(default)]
    pub(super) last: u32,
    /// Or the newest only, at most one in so many milliseconds.
    pub(super) conflate: Option<u64>,
    /// Where to go on from.
    pub(super) since: Option<String>,
    /// The session to take up again.
    pub(super) session: Option<String>,
    /// Who it is.
    pub(super) token: Option<String>,
}

impl Conns {
    /// Flash asks which pages may connect. It is told of the hosts of `ENCKE_ORIGINS`, and that is all.
    fn policy(&mut self, cx: &mut Cx, key: ConnKey, input: &[u8], scanned: u32) -> Step {
        let now = cx.now;
        let len = input.len().min(POLICY_REQUEST.len());
        if input[..len] != POLICY_REQUEST[..len] {
            let reason = "what begins with < must be <policy-file-request/> and a NUL";
            return self.refuse_greeting(cx, key, &Refusal::new(400, "bad-greeting", reason));
        }
        if len < POLICY_REQUEST.len() {
            let conn = &mut self.slab[key];
            if scanned == 0 {
                conn.alarm.set(&mut cx.wheel, now + POLICY_TIMEOUT, Timer::Conn(key));
            }
            conn.phase = Phase::Greeting { scanned: len as u32 };
            return Step::Stop;
        }
        self.push(cx, key, Frame::from(policy_file(&cx.config)));
        self.flush(cx, key, Then::Close);
        Step::Stop
    }

    /// An error as the only message, and the end.
    fn refuse_greeting(&mut self, cx: &mut Cx, key: ConnKey, refusal: &Refusal) -> Step {
        self.refuse(cx, key, &Reply::xmlsocket(), refusal);
        Step::Stop
    }
}

impl Shard {
    /// The beginning of a connection to the listener for XMLSocket.
    pub(super) fn greeting(&mut self, key: ConnKey, input: &[u8], scanned: u32) -> Step {
        if input[0] == b'<' {
            return self.core.conns.policy(&mut self.core.cx, key, input, scanned);
        }
        let from = (scanned as usize).min(input.len());
        let Some(len) = memchr::memchr(0, &input[from..]).map(|at| from + at) else {
            if input.len() > self.core.cx.config.head_bytes {
                let reason = format!("the first message may have {} bytes", self.core.cx.config.head_bytes);
                return self.core.conns.refuse_greeting(
                    &mut self.core.cx,
                    key,
                    &Refusal::new(431, "greeting-too-large", reason),
                );
            }
            self.core.conns[key].phase = Phase::Greeting { scanned: input.len() as u32 };
            return Step::Stop;
        };
        if input[..len].iter().all(u8::is_ascii_whitespace) {
            self.core.conns[key].phase = Phase::Greeting { scanned: 0 };
            return Step::Used(len + 1);
        }
        match self.connect(&input[..len]) {
            Ok(router::Routed::Here(open)) => {
                self.open(key, &open, Reply::xmlsocket());
                Step::Used(len + 1)
            }
            Ok(router::Routed::There(to)) => {
                self.core.conns.hand_off(&mut self.core.cx, key, to, input.to_vec());
                Step::Used(input.len())
            }
            Err(refusal) => self.core.conns.refuse_greeting(&mut self.core.cx, key, &refusal),
        }
    }

    fn connect(&self, message: &[u8]) -> Result<router::Routed<Box<Open>>, Refusal> {
        let greeting: Greeting = serde_json::from_slice(message).map_err(|error| {
            let reason = format!(
                "the first message must be {{\"connect\":{{\"user\":…}}}}, with channels, last, since, session and token as \
                 needed: {error}"
            );
            Refusal::new(400, "bad-greeting", reason)
        })?;
        router::connect(&self.context(), greeting.connect)
    }
}

/// The policy file, with its NUL. An origin that is not a host's name is left out.
fn policy_file(config: &Config) -> Vec<u8> {
    let ports: Vec<_> = config.xmlsocket_listen.iter().map(|listen| listen.port().to_string()).collect();
    // Port 0 lets the system choose: only the client knows then which one it came to.
    let ports = if ports.iter().any(|port| port == "0") { "*".to_owned() } else { ports.join(",") };
    let mut hosts: Vec<_> = config.origins.iter().filter_map(OriginPattern::host_pattern).collect();
    hosts.sort_unstable();
    hosts.dedup();
    let mut out = String::from("<?xml version=\"1.0\"?><cross-domain-policy>");
    for host in hosts {
        let _ = write!(out, "<allow-access-from domain=\"{host}\" to-ports=\"{ports}\"/>");
    }
    out.push_str("</cross-domain-policy>\0");
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use crate::shard::greeting::*;

    fn policy(origins: &str, listen: &str) -> String {
        let vars = [("ENCKE_ORIGINS", origins), ("ENCKE_XMLSOCKET_LISTEN", listen)];
        let config = Config::from_vars(vars.into_iter().filter(|(_, value)| !value.is_empty())).unwrap();
        String::from_utf8(policy_file(&config)).unwrap()
    }

    #[test]
    fn the_policy_names_hosts_and_ports_and_ends_with_a_nul() {
        assert_eq!(
            policy("https://www.example.com,https://*.a.example:8443", "127.0.0.1:9000"),
            "<?xml version=\"1.0\"?><cross-domain-policy><allow-access-from domain=\"*.a.example\" to-ports=\"9000\"/>\
             <allow-access-from domain=\"www.example.com\" to-ports=\"9000\"/></cross-domain-policy>\0"
        );
    }

    #[test]
    fn without_origins_nobody_is_let_in() {
        assert!(!policy("", "127.0.0.1:9000").contains("allow"));
    }
}
