//! Asks the backend first: about handshakes, subscriptions and publishes by the policy hook;
//! messages to services go to the service hook.
//!
//! Tokens and claims come first; a hook is asked about what they allow, by the same names that are
//! used afterwards. While its answer is missing, the messages behind wait, and so does the
//! response; the shard does not. By the time of the answer the session may have ended, or lost
//! permissions, so everything is checked again. Any answer that is not clear refuses.

use crate::auth::origins::Relation;
use crate::base::slab::{PendingKey, SessionKey};
use crate::base::ticks::Span;
use crate::bayeux::BayeuxFront;
use crate::bayeux::answers::{done, failed, handshake_failed, session_unknown, subscribed};
use crate::bayeux::limits::UNAVAILABLE_INTERVAL;
use crate::bayeux::repeats::Known;
use crate::call::bayeux::{HookedOperation, NewClient, Operation, Part, Waits};
use crate::call::pending::{AnswerSlot, ItemAnswer};
use crate::core::Core;
use crate::protocol::bayeux::answer::Advice;
use crate::protocol::bayeux::fault::{BayeuxFault, FaultCause};
use crate::protocol::bayeux::hook::{Event, HookQuestion, reply};
use crate::protocol::bayeux::message::BayeuxHead;
use crate::protocol::native::envelope::Encoding;
use crate::turn::hook::{Hook, HookVerdict};
use crate::turn::input::Effect;
use crate::wire::channel_name::ChannelName;

impl Core {
    /// The body of the hook call. `None` if nothing is to be decided; a fault if claims have
    /// refused already.
    fn question(&mut self, operation: &Operation, ext: Option<&str>) -> Result<Option<Vec<u8>>, BayeuxFault> {
        let key = match operation {
            Operation::Handshake(NewClient { caller, .. }) => {
                let user = caller.user.as_ref().map(|user| &*user.name);
                let question = HookQuestion { event: Event::Handshake, user, session: None, ext };
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
        let (user, session) = (user.as_ref().map(|user| &*user.name), self.session_id(key).to_string());
        Ok(Some(HookQuestion { event, user, session: Some(&session), ext }.encode()))
    }

    /// Executes a message that a service has accepted. The service's reply goes to the session
    /// alone, if that still exists.
    fn served(&mut self, key: SessionKey, name: &ChannelName, body: &[u8]) -> Result<(), BayeuxFault> {
        let unusable =
            |reason: &str| BayeuxFault::from(FaultCause::HookAnswer { channel: name.as_str(), reason });
        // The payload is one level deep.
        let data = reply(body, self.cx.config.json_depth + 1).map_err(|reason| unusable(&reason))?;
        let Some(data) = data.filter(|_| self.sessions.get(key).is_some()) else { return Ok(()) };
        let message = self
            .message_of_size(name, None, data, Encoding::Json)
            .map_err(|refusal| unusable(&refusal.reason))?;
        self.tell_privately(key, message);
        Ok(())
    }
}

impl BayeuxFront {
    /// Executes an operation, after its hook if it has one.
    pub(crate) fn authorize(
        &mut self,
        core: &mut Core,
        pending: PendingKey,
        head: BayeuxHead,
        operation: Operation,
        ext: Option<&str>,
    ) {
        let (hook, is_set) = match operation {
            Operation::Serve { .. } => (Hook::Service, core.cx.config.service_hook.is_some()),
            Operation::Handshake { .. } | Operation::Subscribe { .. } | Operation::Publish { .. } => {
                (Hook::Policy, core.cx.config.policy_hook.is_some())
            }
        };
        if !is_set {
            return self.execute(core, pending, &head, operation);
        }
        let body = match core.question(&operation, ext) {
            Ok(Some(body)) => body,
            Ok(None) => return self.execute(core, pending, &head, operation),
            Err(fault) => return core.push_answer(pending, operation.refused(&head, fault, Advice::Nothing)),
        };
        let Some((_, call)) = core.call_mut(pending) else { return };
        if call.silent.contains(&hook) {
            return core.push_answer(pending, operation.unavailable(&head));
        }
        let known = match &operation {
            Operation::Serve { key, message, .. } => self.known_call(core, pending, (*key, &head), message),
            Operation::Handshake { .. } | Operation::Subscribe { .. } | Operation::Publish { .. } => {
                Known::New(None)
            }
        };
        let part = match known {
            Known::Taken => return core.push_answer(pending, done(&head)),
            Known::UnderWay => Part::Repeats,
            Known::New(digest) => Part::Asks(digest),
        };
        let Some((_, call)) = core.call_mut(pending) else { return };
        call.waits = Waits::Hook(Box::new(HookedOperation { head, operation, hook, part }));
        if part != Part::Repeats {
            core.cx.effects.push_back(Effect::Hook { pending, hook, body });
        }
    }

    /// Continues an operation after the hook's answer. Returns the calls that wait for the same
    /// answer, because they have the same message.
    pub(crate) fn continue_after_hook(
        &mut self,
        core: &mut Core,
        pending: PendingKey,
        verdict: HookVerdict<'_>,
    ) -> Vec<PendingKey> {
        let unix_ms = core.stamp_ms();
        let Some((_, call)) = core.call_mut(pending) else { return Vec::new() };
        let Some(HookedOperation { mut head, operation, hook, part }) = call.take_asked() else {
            return Vec::new();
        };
        head.stamp = head.stamp.at(unix_ms);
        let repeats = match part {
            Part::Asks(digest) => self.repeats_of(digest),
            Part::Repeats => Vec::new(),
        };
        match (verdict, operation) {
            (HookVerdict::Taken(body), Operation::Serve { key, name, .. }) => {
                let outcome = match part {
                    Part::Asks(digest) => {
                        if let Some(digest) = digest {
                            core.remember_call(digest);
                        }
                        core.served(key, &name, body)
                    }
                    Part::Repeats => Ok(()),
                };
                let answer = outcome.map_or_else(|fault| failed(&head, &fault), |()| done(&head));
                core.push_answer(pending, answer);
            }
            (HookVerdict::Taken(_), operation) => self.execute(core, pending, &head, operation),
            (HookVerdict::Denied, operation) => core.push_answer(pending, operation.denied(&head)),
            (HookVerdict::Unavailable, operation) => {
                if let Some((_, call)) = core.call_mut(pending) {
                    call.silent.push(hook);
                }
                core.push_answer(pending, operation.unavailable(&head));
            }
        }
        self.continue_call(core, pending);
        repeats
    }

    /// Executes an operation that has passed every check.
    fn execute(&mut self, core: &mut Core, pending: PendingKey, head: &BayeuxHead, operation: Operation) {
        let answer = match operation {
            Operation::Handshake(client) => self.make_client(core, pending, head, client),
            Operation::Subscribe { key, names, .. } if core.sessions.get(key).is_none() => {
                session_unknown(head, Some(&names.json))
            }
            Operation::Publish { key, .. } if core.sessions.get(key).is_none() => session_unknown(head, None),
            Operation::Subscribe { caller, key, names } => {
                let outcome = core.subscribe_bayeux(&caller, key, &names);
                subscribed(head, &names, outcome)
            }
            Operation::Publish { key, name, .. } if !core.sessions[key].grant.may_publish(&name) => {
                failed(head, &FaultCause::Publish { channel: name.as_str() }.into())
            }
            Operation::Publish { key, message, .. } => {
                let publish_key = core.repeat_key(key, head);
                let item = core.expect_item(pending, AnswerSlot::Bayeux(head.clone()));
                let home = core.send_to_channel(pending, item, (message, publish_key));
                if let Some((_, call)) = core.call_mut(pending) {
                    call.ahead.sent(home);
                }
                return;
            }
            Operation::Serve { .. } => failed(head, &FaultCause::NoServiceHook.into()),
        };
        core.push_answer(pending, answer);
    }

    fn make_client(
        &mut self,
        core: &mut Core,
        pending: PendingKey,
        head: &BayeuxHead,
        client: NewClient,
    ) -> ItemAnswer {
        let NewClient { caller, grant, ack, timesync } = client;
        let conn = core.call_mut(pending).map(|(conn, _)| conn);
        // Both may have changed while a hook was called. Without the connection, no client would
        // learn of the session.
        let conn = conn.filter(|conn| core.cx.takes_clients() && core.conns.get(*conn).is_some());
        let Some(conn) = conn else {
            return handshake_failed(head, &FaultCause::Drains.into(), Advice::Handshake(Span::ZERO));
        };
        let page = caller.page;
        match self.handshake(core, conn, &caller, grant, ack) {
            Ok((key, cookie)) => {
                let withheld = cookie.is_some() && page == Some(Relation::CrossSiteInClear);
                if let Some((_, call)) = core.call_mut(pending) {
                    call.cookie = cookie;
                }
                let answer = core.handshake_ok(head, key, ack, timesync);
                let answer = if withheld { answer.with("hint", COOKIE_IN_CLEAR) } else { answer };
                ItemAnswer::Ok(answer.finish())
            }
            // Sessions or memory may be free again soon: the client retries.
            Err((fault, after)) => {
                handshake_failed(head, &fault, Advice::Handshake(after.unwrap_or(UNAVAILABLE_INTERVAL)))
            }
        }
    }
}

impl Operation {
    /// The answer to an operation that the backend has denied.
    fn denied(&self, head: &BayeuxHead) -> ItemAnswer {
        let fault = match self {
            Self::Handshake { .. } => FaultCause::Handshake.into(),
            Self::Subscribe { names, .. } => {
                FaultCause::Subscribe { channels: &names.names.join(",") }.into()
            }
            Self::Publish { name, .. } | Self::Serve { name, .. } => {
                FaultCause::Publish { channel: name.as_str() }.into()
            }
        };
        self.refused(head, fault, Advice::Nothing)
    }

    /// The answer to an operation if the backend's answer is missing or unusable. A handshake may
    /// be repeated.
    fn unavailable(&self, head: &BayeuxHead) -> ItemAnswer {
        self.refused(head, FaultCause::Hook.into(), Advice::Handshake(Span::ZERO))
    }

    /// The answer to a refused operation. The advice is for a client that wanted a session.
    fn refused(&self, head: &BayeuxHead, fault: BayeuxFault, advice: Advice) -> ItemAnswer {
        match self {
            Self::Handshake { .. } => handshake_failed(head, &fault, advice),
            Self::Subscribe { names, .. } => subscribed(head, names, Err(fault)),
            Self::Publish { .. } | Self::Serve { .. } => failed(head, &fault),
        }
    }
}

/// The warning to a page of another site whose handshake came over http, as JSON: no browser keeps
/// the cookie that the answer sets.
const COOKIE_IN_CLEAR: &str = r#""over http, browsers keep no cookie for pages of another site: use https, or send a token with every request""#;
