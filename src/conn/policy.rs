//! The request for a policy file, which Flash sends first.

use std::fmt::Write as _;

use crate::base::frame::Frame;
use crate::base::slab::ConnKey;
use crate::config::{Config, OriginPattern};
use crate::conn::Conns;
use crate::conn::limits::POLICY_PATIENCE;
use crate::conn::phase::{Phase, Step, Then};
use crate::request::reply::Reply;
use crate::turn::cx::Cx;
use crate::turn::timer::Timer;
use crate::wire::refusal::{Refusal, Refused};

/// Flash's first bytes, with the NUL that ends them.
const POLICY_REQUEST: &[u8] = b"<policy-file-request/>\0";

impl Conns {
    /// Answers with the policy file, which lists the hosts of `ENCKE_ORIGINS`, and closes.
    pub(crate) fn policy(&mut self, cx: &mut Cx, key: ConnKey, input: &[u8], scanned: u32) -> Step {
        let now = cx.now;
        let len = input.len().min(POLICY_REQUEST.len());
        if input[..len] != POLICY_REQUEST[..len] {
            return self.refuse_greeting(cx, key, &Refused::PolicyRequest.into());
        }
        if len < POLICY_REQUEST.len() {
            let conn = &mut self.slab[key];
            if scanned == 0 {
                conn.alarm.set(&mut cx.wheel, now + POLICY_PATIENCE, Timer::Conn(key));
            }
            conn.phase = Phase::Greeting { scanned: len as u32 };
            return Step::Stop;
        }
        self.push(cx, key, Frame::from(policy_file(&cx.config)));
        self.flush(cx, key, Then::Close);
        Step::Stop
    }

    /// Sends an error as the only message, and closes.
    pub(crate) fn refuse_greeting(&mut self, cx: &mut Cx, key: ConnKey, refusal: &Refusal) -> Step {
        self.refuse(cx, key, &Reply::xmlsocket(), refusal);
        Step::Stop
    }
}

/// The policy file, with its NUL. Origins that are not host names are omitted.
pub(crate) fn policy_file(config: &Config) -> Vec<u8> {
    let ports: Vec<_> = config.xmlsocket_listen.iter().map(|listen| listen.port().to_string()).collect();
    // Port 0 lets the system choose: then only the client knows the port.
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
    use crate::conn::policy::*;

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
