//! What the backend has a say in: handshakes, subscriptions and publishes by the policy hook, messages to services by the service hook.
//!
//! Tokens and claims come first; a hook is asked about what they allow, by the very names that are then used. While it is out, the messages
//! behind wait, and so does the answer; the shard does not. When the answer comes the session may be gone, or allowed less: all is looked at
//! again. Whatever is no clear answer refuses.

use std::rc::Rc;
use std::sync::Arc;

use crate::auth::Grant;
use crate::auth::origins::Relation;
use crate::base::slab::{SessionKey, TicketKey};
use crate::base::ticks::Span;
use crate::protocol::bayeux::answer::{Advice, Fault};
use crate::protocol::bayeux::hook::{Event, Question, reply};
use crate::protocol::bayeux::message::{Head, Names, Timesync};
use crate::protocol::native::envelope::{Encoding, Message};
use crate::shard::bayeux::Caller;
use crate::shard::bayeux::call::Waits;
use crate::shard::bayeux::repeats::Known;
use crate::shard::bayeux::said::{done, failed, not_shaken, session_unknown, subscribed};
use crate::shard::hook::{Hook, Verdict};
use crate::shard::once::Name;
use crate::shard::ticket::{Awaited, Said};
use crate::shard::{Effect, Shard};
use crate::wire::channel_name::ChannelName;

/// How long a client waits before it asks again for a session that cannot be had just now.
const FULL_INTERVAL: Span = Span::from_secs(5);

/// What a hook is asked about.
#[derive(Debug)]
pub struct Asked {
    head: Head,
    operation: Operation,
    hook: Hook,
    part: Part,
}

/// Whether a call asks the hook itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// It does; a repeat of its message is known by this, if it can be.
    Asks(Option<Name>),
    /// It waits for the answer to another call, which brought the same message before.
    Repeats,
}

/// What a message comes to that tokens and claims allow.
#[derive(Debug)]
pub(super) enum Operation {
    /// A session is made.
    Handshake { caller: Caller, grant: Rc<Grant>, ack: bool, timesync: Option<Timesync> },
    /// A session subscribes.
    Subscribe { caller: Caller, key: SessionKey, names: Names },
    /// A message goes to all who listen.
    Publish { key: SessionKey, name: ChannelName, message: Arc<Message> },
    /// A message goes to the backend.
    Serve { key: SessionKey, name: ChannelName, message: Arc<Message> },
}

impl Shard {
    /// Carries out what a message comes to, once the hook that has a say in it has been asked.
    pub(super) fn authorize(
        &mut self,
        ticket: TicketKey,
        head: Head,
        operation: Operation,
        ext: Option<&str>,
    ) {
        let (hook, is_set) = match operation {
            Operation::Serve { .. } => (Hook::Service, self.core.cx.config.service_hook.is_some()),
            Operation::Handshake { .. } | Operation::Subscribe { .. } | Operation::Publish { .. } => {
                (Hook::Policy, self.core.cx.config.policy_hook.is_some())
            }
        };
        if !is_set {
            return self.execute(ticket, &head, operation);
        }
        let body = match self.question(&operation, ext) {
            Ok(Some(body)) => body,
            Ok(None) => return self.execute(ticket, &head, operation),
            Err(fault) => return self.say(ticket, operation.refused(&head, fault, Advice::Nothing)),
        };
        let Some((_, call)) = self.call_mut(ticket) else { return };
        if call.silent.contains(&hook) {
            return self.say(ticket, operation.unavailable(&head));
        }
        let known = match &operation {
            Operation::Serve { key, message, .. } => self.known_call(ticket, (*key, &head), message),
            Operation::Handshake { .. } | Operation::Subscribe { .. } | Operation::Publish { .. } => {
                Known::New(None)
            }
        };
        let part = match known {
            Known::Taken => return self.say(ticket, done(&head)),
            Known::UnderWay => Part::Repeats,
            Known::New(name) => Part::Asks(name),
        };
        let Some((_, call)) = self.call_mut(ticket) else { return };
        call.waits = Waits::Hook(Box::new(Asked { head, operation, hook, part }));
        if part != Part::Repeats {
            self.core.cx.effects.push_back(Effect::Hook { ticket, hook, body });
        }
    }

    /// What the backend is asked. Nothing, if there is nothing to be decided; a fault, if claims have decided already.
    fn question(&mut self, operation: &Operation, ext: Option<&str>) -> Result<Option<Vec<u8>>, Fault> {
        let key = match operation {
            Operation::Handshake { caller, .. } => {
                let user = caller.user.as_ref().map(|user| &*user.name);
                let question = Question { event: Event::Handshake, user, session: None, ext };
                return Ok(Some(question.encode()));
            }
            Operation::Subscribe { key, .. }
            | Operation::Publish { key, .. }
            | Operation::Serve { key, .. } => *key,
        };
        let parsed = match operation {
            Operation::Subscribe { caller, key, names } => self.subscribable(caller, *key, names)?,
            Operation::Handshake { .. } | Operation::Publish { .. } | Operation::Serve { .. } => Vec::new(),
        };
        let channels: Vec<_> = parsed.iter().map(ChannelName::as_str).collect();
        let event = match operation {
            Operation::Publish { name, message, .. } => {
                Event::Publish { channel: name.as_str(), data: &message.data }
            }
            Operation::Serve { name, message, .. } => {
                Event::Service { channel: name.as_str(), data: &message.data }
            }
            Operation::Handshake { .. } | Operation::Subscribe { .. } if channels.is_empty() => {
                return Ok(None);
            }
            Operation::Handshake { .. } | Operation::Subscribe { .. } => {
                Event::Subscribe { channels: &channels }
            }
        };
        let user = self.user_of_session(key);
        let (user, session) = (user.as_ref().map(|user| &*user.name), self.core.session_id(key).to_string());
        Ok(Some(Question { event, user, session: Some(&session), ext }.encode()))
    }

    /// A hook has answered, or failed to.
    pub(in crate::shard) fn judged(&mut self, ticket: TicketKey, verdict: Verdict<'_>) {
        let repeats = self.go_on_after_hook(ticket, verdict);
        self.core.cx.steps.occasions(repeats.len());
        for repeat in repeats {
            // A message that came again has no repeats of its own.
            self.go_on_after_hook(repeat, verdict);
        }
    }

    /// Carries out what a hook was asked about. Says which calls wait for the same answer, since
    /// they hold the same message.
    fn go_on_after_hook(&mut self, ticket: TicketKey, verdict: Verdict<'_>) -> Vec<TicketKey> {
        let unix_ms = self.stamp_ms();
        let Some((_, call)) = self.call_mut(ticket) else { return Vec::new() };
        let Some(Asked { mut head, operation, hook, part }) = call.take_asked() else { return Vec::new() };
        head.stamp = head.stamp.at(unix_ms);
        let repeats = match part {
            Part::Asks(name) => self.repeats_of(name),
            Part::Repeats => Vec::new(),
        };
        match (verdict, operation) {
            (Verdict::Taken(body), Operation::Serve { key, name, .. }) => {
                let outcome = match part {
                    Part::Asks(known) => {
                        if let Some(known) = known {
                            self.remember_call(known);
                        }
                        self.served(key, &name, body)
                    }
                    Part::Repeats => Ok(()),
                };
                let said = outcome.map_or_else(|fault| failed(&head, &fault), |()| done(&head));
                self.say(ticket, said);
            }
            (Verdict::Taken(_), operation) => self.execute(ticket, &head, operation),
            (Verdict::Denied, operation) => self.say(ticket, operation.denied(&head)),
            (Verdict::Unavailable, operation) => {
                if let Some((_, call)) = self.call_mut(ticket) {
                    call.silent.push(hook);
                }
                self.say(ticket, operation.unavailable(&head));
            }
        }
        self.go_on_with_call(ticket);
        self.settle_ticket(ticket);
        repeats
    }

    /// Executes an operation that has passed every check.
    fn execute(&mut self, ticket: TicketKey, head: &Head, operation: Operation) {
        let said = match operation {
            Operation::Handshake { caller, grant, ack, timesync } => {
                self.make_client(ticket, head, (&caller, grant), ack, timesync)
            }
            Operation::Subscribe { key, names, .. } if self.core.sessions.get(key).is_none() => {
                session_unknown(head, Some(&names.json))
            }
            Operation::Publish { key, .. } if self.core.sessions.get(key).is_none() => {
                session_unknown(head, None)
            }
            Operation::Subscribe { caller, key, names } => {
                let outcome = self.subscribe_bayeux(&caller, key, &names);
                subscribed(head, &names, outcome)
            }
            Operation::Publish { key, name, .. } if !self.core.sessions[key].grant.may_publish(&name) => {
                failed(head, &Fault::new(403, name.as_str(), "publish_denied"))
            }
            Operation::Publish { key, message, .. } => {
                let once = self.repeat_key(key, head);
                let item = self.core.expect_item(ticket, Awaited::Bayeux(head.clone()));
                let home = self.send_to_channel(ticket, item, (message, once));
                if let Some((_, call)) = self.call_mut(ticket) {
                    call.ahead.sent(home);
                }
                return;
            }
            Operation::Serve { .. } => failed(head, &Fault::new(404, "", "no_service_hook")),
        };
        self.say(ticket, said);
    }

    fn make_client(
        &mut self,
        ticket: TicketKey,
        head: &Head,
        (caller, grant): (&Caller, Rc<Grant>),
        ack: bool,
        timesync: Option<Timesync>,
    ) -> Said {
        let conn = self.call_mut(ticket).map(|(conn, _)| conn);
        // Both may have come about while a hook was out. Nobody would learn of a session without its connection.
        let conn = conn.filter(|conn| self.core.cx.takes_clients() && self.core.conns.get(*conn).is_some());
        let Some(conn) = conn else {
            return not_shaken(
                head,
                &Fault::new(503, "", "busy: the node is going away"),
                Advice::Handshake(Span::ZERO),
            );
        };
        let page = caller.page;
        match self.shake(conn, caller, grant, ack) {
            Ok((key, cookie)) => {
                let withheld = cookie.is_some() && page == Some(Relation::CrossSiteInClear);
                if let Some((_, call)) = self.call_mut(ticket) {
                    call.cookie = cookie;
                }
                let answer = self.shaken(head, key, ack, timesync);
                let answer = if withheld { answer.with("hint", COOKIE_IN_CLEAR) } else { answer };
                Said::Ok(answer.finish())
            }
            // What is missing may be there again soon: the client goes on trying.
            Err(fault) => not_shaken(head, &fault, Advice::Handshake(FULL_INTERVAL)),
        }
    }

    /// A service has taken a message. What it says to that is for the session alone, if that is still there.
    fn served(&mut self, key: SessionKey, name: &ChannelName, body: &[u8]) -> Result<(), Fault> {
        let unusable =
            |reason: &str| Fault::new(502, name.as_str(), format!("hook_answer_invalid: {reason}"));
        // The payload stands one level deep.
        let data = reply(body, self.core.cx.config.json_depth + 1).map_err(|reason| unusable(&reason))?;
        let Some(data) = data.filter(|_| self.core.sessions.get(key).is_some()) else { return Ok(()) };
        let message = self
            .core
            .message_of_size(name, None, data, Encoding::Json)
            .map_err(|refusal| unusable(&refusal.reason))?;
        self.core.tell_privately(key, message);
        Ok(())
    }
}

impl Operation {
    /// The answer where the backend has said no.
    fn denied(&self, head: &Head) -> Said {
        let fault = match self {
            Self::Handshake { .. } => Fault::new(403, "", "handshake_denied"),
            Self::Subscribe { names, .. } => Fault::new(403, &names.names.join(","), "subscribe_denied"),
            Self::Publish { name, .. } | Self::Serve { name, .. } => {
                Fault::new(403, name.as_str(), "publish_denied")
            }
        };
        self.refused(head, fault, Advice::Nothing)
    }

    /// The answer where the backend has said nothing that helps. A handshake may be tried again.
    fn unavailable(&self, head: &Head) -> Said {
        self.refused(head, Fault::new(503, "", "hook_unavailable"), Advice::Handshake(Span::ZERO))
    }

    /// The answer to a message that comes to nothing. Advice is for those who wanted a session.
    fn refused(&self, head: &Head, fault: Fault, advice: Advice) -> Said {
        match self {
            Self::Handshake { .. } => not_shaken(head, &fault, advice),
            Self::Subscribe { names, .. } => subscribed(head, names, Err(fault)),
            Self::Publish { .. } | Self::Serve { .. } => failed(head, &fault),
        }
    }
}

/// What a handshake over http says to a page of another site, as JSON: no browser keeps the cookie that it sets.
const COOKIE_IN_CLEAR: &str = r#""over http, browsers keep no cookie for pages of another site: use https, or send a token with every request""#;
