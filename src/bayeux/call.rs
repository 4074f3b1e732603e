//! Executes the messages of one request or socket message: in order, each answered with its id.
//!
//! Publishes go to their channels' homes, which answer. A message that needs a hook (`authorize`)
//! delays the messages behind it until the hook has answered, even if the connection closes
//! meanwhile. A connect is answered last, because it may be held.

use std::collections::VecDeque;
use std::rc::Rc;

use crate::auth::Grant;
use crate::base::slab::{ConnKey, PendingKey, SessionKey};
use crate::base::ticks::Span;
use crate::bayeux::BayeuxFront;
use crate::bayeux::answers::{
    done, failed, handshake_elsewhere, handshake_failed, not_subscribed, session_denied, subscribed,
};
use crate::bayeux::limits::{ELSEWHERE_EIGHTHS_MIN, ELSEWHERE_INTERVAL_MAX, KEYS_INTERVAL};
use crate::call::bayeux::{Call, NewClient, Operation, Waits};
use crate::call::pending::{ItemAnswer, PendingKind, PendingRequest};
use crate::call::queue::{Ahead, Pause, Reach, Since};
use crate::conn::pipeline::Outcome;
use crate::core::Core;
use crate::core::interest::SubscriptionStart;
use crate::hub::channel::SessionStage as Begun;
use crate::protocol::bayeux::ack::Acks;
use crate::protocol::bayeux::answer::{Advice, BayeuxAnswer, Clocks, MultipleClients};
use crate::protocol::bayeux::client::{BayeuxClient, ClientStage};
use crate::protocol::bayeux::fault::{BayeuxFault, FaultCause};
use crate::protocol::bayeux::held::{ConnectOutcome, Held, SessionDenied};
use crate::protocol::bayeux::message::{Ask, BayeuxHead, BayeuxMessage, Names, Timesync};
use crate::protocol::native::envelope::{CloseCode, Encoding};
use crate::request::bayeux::{BayeuxCaller, BrowserId, Credential};
use crate::request::reply::Reply;
use crate::request::session_id::SessionId;
use crate::request::{Open, User};
use crate::session::FoundBy;
use crate::transport::TransportId;
use crate::wire::channel_name::{ChannelKind, ChannelName};

impl Core {
    /// Queues the remaining messages of a call.
    fn pause_call(&mut self, pending: PendingKey, pause: Pause) {
        if let Some((_, call)) = self.call_mut(pending) {
            call.waits = Waits::Queue(pause);
        }
        self.note_pause(pending, pause);
    }

    /// The session that a message names. Only its client knows the id, so no other client waits in
    /// its queue.
    fn session_of_call(&self, first: &BayeuxMessage) -> Option<SessionKey> {
        let SessionId { key, nonce, .. } = first.client.as_deref()?.parse().ok()?;
        self.sessions.get(key).filter(|session| session.nonce == nonce).map(|_| key)
    }

    /// Where a message takes effect. A connect is only noted: it is answered last.
    fn reach_of_bayeux(&self, BayeuxMessage { head, ask, .. }: &BayeuxMessage) -> Reach {
        match ask {
            Ask::Nonsense(_) | Ask::Connect(_) => Reach::Nowhere,
            // The service may answer before earlier publishes have arrived.
            Ask::Publish(_) if head.channel.starts_with("/service/") => Reach::Session,
            Ask::Publish(_) => Reach::Home(self.cx.home(&head.channel)),
            Ask::Handshake { .. } | Ask::Disconnect | Ask::Subscribe(_) | Ask::Unsubscribe(_) => {
                Reach::Session
            }
        }
    }

    /// A call in execution, and its connection.
    pub(crate) fn call_mut(&mut self, pending: PendingKey) -> Option<(ConnKey, &mut Call)> {
        match self.pending.get_mut(pending) {
            Some(PendingRequest { kind: PendingKind::Bayeux { conn, call }, .. }) => Some((*conn, call)),
            _ => None,
        }
    }

    /// What the client of a valid handshake may do; else its answer.
    fn handshake_grant(
        &mut self,
        head: &BayeuxHead,
        caller: &BayeuxCaller,
        types: Option<usize>,
        versioned: bool,
    ) -> Result<Rc<Grant>, ItemAnswer> {
        let grant = sound(types, versioned).and_then(|()| caller.grant(&self.cx.open_grant));
        let grant = grant.map_err(|fault| {
            // Keys that are being fetched will soon be there.
            let soon = fault.code == 503;
            let advice = if soon { Advice::Handshake(KEYS_INTERVAL) } else { Advice::Nothing };
            handshake_failed(head, &fault, advice)
        })?;
        self.elsewhere(head, caller).map_or(Ok(grant), Err)
    }

    /// The answer to a handshake, if another node serves the caller's user.
    fn elsewhere(&mut self, head: &BayeuxHead, caller: &BayeuxCaller) -> Option<ItemAnswer> {
        let node = self.other_node(caller.user.as_ref())?;
        self.cx.metrics.refused(CloseCode::Elsewhere.name());
        let interval = self.cx.jittered(ELSEWHERE_INTERVAL_MAX, ELSEWHERE_EIGHTHS_MIN);
        Some(handshake_elsewhere(head, &node, interval))
    }

    pub(crate) fn handshake_ok(
        &self,
        head: &BayeuxHead,
        key: SessionKey,
        ack: bool,
        timesync: Option<Timesync>,
    ) -> BayeuxAnswer {
        let clocks = timesync.map(|client| Clocks { client, received: self.stamp_ms(), held: 0 });
        BayeuxAnswer::to(head, Ok(()))
            .with_session(&self.session_id(key).to_string())
            .with_ext(ack.then_some("true"), clocks)
            .with_advice(self.retry(MultipleClients::Alone))
    }

    pub(crate) fn subscribe_bayeux(
        &mut self,
        caller: &BayeuxCaller,
        key: SessionKey,
        names: &Names,
    ) -> Result<(), BayeuxFault> {
        // All names are checked first, so that a list with a refused one changes nothing.
        let parsed = self.subscribable(caller, key, names)?;
        let start =
            SubscriptionStart { since: &Since::Unspecified, last: 0, stage: Begun::Later, conflate: None };
        // Most clients subscribe once: reserving room for more would be most of a client's cost.
        self.sessions[key].subscriptions.reserve_exact(parsed.len());
        let before = self.sessions[key].subscriptions.len();
        for name in parsed {
            if let Err(refusal) = self.subscribe(key, &name, &start) {
                while self.sessions[key].subscriptions.len() > before {
                    self.leave(key, self.sessions[key].subscriptions.len() - 1);
                }
                return Err(BayeuxFault::refused(&refusal, name.as_str()));
            }
        }
        Ok(())
    }

    /// The channels of a subscription, if all are allowed: first the hook is asked about them, then
    /// they are subscribed to. Names that are accepted without effect are omitted.
    pub(crate) fn subscribable(
        &mut self,
        caller: &BayeuxCaller,
        key: SessionKey,
        names: &Names,
    ) -> Result<Vec<ChannelName>, BayeuxFault> {
        let user = self.user_of_session(key).ok_or(FaultCause::SessionUnknown)?;
        if let (Credential::Token(grant), true) = (&caller.credential, caller.is_proven(&user)) {
            self.apply_grant(key, grant);
        }
        let grant = Rc::clone(&self.sessions[key].grant);
        let parsed = names.names.iter().map(|name| subscribable(&grant, &user, name));
        parsed.filter_map(Result::transpose).collect()
    }

    fn unsubscribe_bayeux(&mut self, key: SessionKey, names: &Names) -> Result<(), BayeuxFault> {
        let parsed: Vec<_> = names.names.iter().map(|name| parse(name)).collect::<Result<_, _>>()?;
        self.deliver_before_leaving(key);
        if self.is_over(key) {
            return Err(FaultCause::SessionUnknown.into());
        }
        for name in parsed.iter().filter(|name| !matches!(name.kind(), ChannelKind::Personal { .. })) {
            // Unsubscribing from an unknown channel succeeds.
            if let Some(at) = self.subscription(key, name.as_str()) {
                self.leave(key, at);
            }
        }
        Ok(())
    }

    /// The operation of an allowed publish: a message for subscribers, or for a service.
    fn publishing(
        &self,
        head: &BayeuxHead,
        key: SessionKey,
        data: Option<Box<str>>,
    ) -> Result<Operation, BayeuxFault> {
        let name = ChannelName::parse(&head.channel)
            .map_err(|error| FaultCause::Channel { channel: &head.channel, error })?;
        let channel = name.as_str();
        if name.is_pattern() {
            return Err(FaultCause::Pattern { channel }.into());
        }
        let is_service = name.is_service();
        if name.kind() == ChannelKind::Reserved && !is_service {
            return Err(FaultCause::MetaChannel { channel }.into());
        }
        // A service decides itself which clients it accepts.
        if !is_service && !self.sessions[key].grant.may_publish(&name) {
            return Err(FaultCause::Publish { channel }.into());
        }
        let data = data.ok_or(FaultCause::NoData { channel })?;
        let from = self.user_of_session(key).map(|user| user.name);
        let message = self
            .message_of_size(&name, from, data, Encoding::Json)
            .map_err(|refusal| BayeuxFault::refused(&refusal, channel))?;
        Ok(if is_service {
            Operation::Serve { key, name, message }
        } else {
            Operation::Publish { key, name, message }
        })
    }
}

impl BayeuxFront {
    /// Executes messages. `reply` says how to answer over HTTP; a socket has none.
    pub(crate) fn call_bayeux(
        &mut self,
        core: &mut Core,
        conn: ConnKey,
        caller: BayeuxCaller,
        messages: Vec<BayeuxMessage>,
        reply: Option<Reply>,
    ) -> PendingKey {
        // A handshake comes alone: messages beside it are ignored, as the specification demands.
        let shakes = matches!(messages.first(), Some(BayeuxMessage { ask: Ask::Handshake { .. }, .. }));
        let mut rest = VecDeque::from(messages);
        let of = rest.len();
        rest.truncate(if shakes { 1 } else { usize::MAX });
        let session = rest.front().and_then(|first| core.session_of_call(first));
        let call = Call {
            caller,
            own: core.bayeux_socket(conn).and_then(|bayeux| bayeux.session),
            of,
            answers: Vec::with_capacity(rest.len()),
            rest,
            ahead: Ahead::default(),
            waits: Waits::Nothing,
            silent: Vec::new(),
            connect: None,
            cookie: None,
        };
        let kind = PendingKind::Bayeux { conn, call: Box::new(call) };
        let pending = core.pending.insert(PendingRequest::new(kind, session));
        match reply {
            Some(reply) => core.conns.await_answer(conn, reply, Outcome::Open(pending)),
            None => core.conns.await_answers(conn, pending),
        }
        if core.joins_batch_queue(pending) {
            core.pause_call(pending, Pause::Predecessor);
        } else {
            self.continue_call(core, pending);
        }
        pending
    }

    /// Executes the messages of a call in order, up to one that has to wait, or that needs a hook.
    pub(crate) fn continue_call(&mut self, core: &mut Core, pending: PendingKey) {
        let portion = core.begin_portion();
        while let Some(PendingRequest { kind: PendingKind::Bayeux { call, .. }, .. }) =
            core.pending.get(pending)
            && matches!(call.waits, Waits::Nothing)
            && let Some(next) = call.rest.front()
        {
            let pause = core.pause(pending, call.ahead, portion, |shard| shard.reach_of_bayeux(next));
            if let Some(pause) = pause {
                return core.pause_call(pending, pause);
            }
            let Some((_, call)) = core.call_mut(pending) else { return };
            if let Some(message) = call.rest.pop_front() {
                self.execute_message(core, pending, message);
            }
        }
        if core.call_mut(pending).is_some_and(|(_, call)| matches!(call.waits, Waits::Nothing)) {
            core.close_items(pending);
        }
    }

    fn execute_message(&mut self, core: &mut Core, pending: PendingKey, message: BayeuxMessage) {
        let now = core.cx.now;
        let BayeuxMessage { mut head, client, ask, token, ext } = message;
        core.cx.steps.occasions(1);
        head.stamp = head.stamp.at(core.stamp_ms());
        let Some((conn, call)) = core.call_mut(pending) else { return };
        let (caller, own, alone) = (call.caller.clone(), call.own, call.of == 1);
        let caller = core.caller_with_token(caller, token.as_deref());
        self.browsers.pending_cookies.expire(now);
        let named = client.as_deref().ok_or(SessionDenied::Unknown);
        let session = named.and_then(|id| self.bayeux_session(core, (conn, own), &caller, id));
        if let Ok(key) = session {
            core.arm_session(key);
        }
        let operation = match (ask, session) {
            (Ask::Nonsense(fault), _) => return core.push_answer(pending, failed(&head, &fault)),
            (Ask::Handshake { types, versioned, ack, timesync }, _) => {
                match core.handshake_grant(&head, &caller, types, versioned) {
                    Ok(grant) => Operation::Handshake(NewClient { caller, grant, ack, timesync }),
                    Err(answer) => return core.push_answer(pending, answer),
                }
            }
            (ask, Err(denied)) => {
                if let (Ask::Connect(_), Some(bayeux)) = (&ask, core.bayeux_socket_mut(conn)) {
                    bayeux.refused = bayeux.refused.saturating_add(1);
                }
                return core.push_answer(pending, session_denied(&head, denied, ask.subscription()));
            }
            (Ask::Connect(connect), Ok(key)) => {
                let held = Held::new(now, head, &connect, alone);
                if let Some((_, call)) = core.call_mut(pending) {
                    call.connect = Some((key, Box::new(held), connect));
                }
                return;
            }
            (Ask::Disconnect, Ok(key)) => {
                let call = core.call_mut(pending).map(|(_, call)| call);
                let held = call.and_then(|call| call.connect.take_if(|(of, ..)| *of == key));
                core.end_session(key, CloseCode::Closed);
                // An earlier connect in the same batch ends like a held one: nothing follows it.
                if let Some((_, held, _)) = held {
                    let answer = core.connect_answer(&held, ConnectOutcome::Gone, None);
                    core.push_answer(pending, ItemAnswer::Ok(answer));
                }
                return core.push_answer(pending, done(&head));
            }
            (Ask::Subscribe(names), Ok(key)) => match names {
                Ok(names) => Operation::Subscribe { caller, key, names },
                Err(misnamed) => return core.push_answer(pending, not_subscribed(&head, &misnamed)),
            },
            (Ask::Unsubscribe(names), Ok(key)) => {
                let answer = match names {
                    Ok(names) => subscribed(&head, &names, core.unsubscribe_bayeux(key, &names)),
                    Err(misnamed) => not_subscribed(&head, &misnamed),
                };
                return core.push_answer(pending, answer);
            }
            (Ask::Publish(data), Ok(key)) => match core.publishing(&head, key, data) {
                Ok(operation) => operation,
                Err(fault) => return core.push_answer(pending, failed(&head, &fault)),
            },
        };
        self.authorize(core, pending, head, operation, ext.as_deref());
    }

    /// Creates a session. Also returns the cookie to set.
    ///
    /// # Errors
    /// Why there is none, and when the client should try again, if that is known.
    pub(crate) fn handshake(
        &mut self,
        core: &mut Core,
        conn: ConnKey,
        caller: &BayeuxCaller,
        grant: Rc<Grant>,
        ack: bool,
    ) -> Result<(SessionKey, Option<BrowserId>), (BayeuxFault, Option<Span>)> {
        let now = core.cx.now;
        let user = caller.user.clone().unwrap_or_else(|| core.anonymous_user());
        // A socket gets its cookie when it opens. A client with a cookie of either kind is known by
        // it, and gets no other.
        let known = self.known_browser(&caller.cookies);
        let browser = known.unwrap_or_else(|| core.fresh_browser());
        let fresh = known.is_none().then_some(browser);
        let transport = TransportId::longpoll();
        let open = Open::plain(user, transport, grant);
        let most = core.cx.config.sessions_per_browser;
        if known.is_some_and(|known| self.browsers.sessions(known) >= most) {
            return Err((FaultCause::BrowserSessions { max: most }.into(), None));
        }
        let key = core
            .make_session(conn, &open, &Since::Unspecified)
            .map_err(|refusal| (BayeuxFault::refused(&refusal, ""), refusal.after))?;
        let session = &mut core.sessions[key];
        session.found = FoundBy::Id;
        let acks = ack.then(|| Box::new(Acks::new(session.cursor)));
        let browser = self.browsers.enter(browser, known.is_some());
        let client = BayeuxClient { browser, acks, interval_ms: 0, stage: ClientStage::HandshakeDone };
        self.link_client(core, key, client, caller.cookies.other());
        if known.is_none() {
            let origin = core.origin(conn, caller);
            self.browsers.pending_cookies.begin(now, key, origin);
        }
        if let Some(bayeux) = core.bayeux_socket_mut(conn) {
            bayeux.session = Some(key);
        }
        core.arm_session(key);
        Ok((key, fresh))
    }
}

fn sound(types: Option<usize>, versioned: bool) -> Result<(), BayeuxFault> {
    match (types, versioned) {
        (_, false) => Err(FaultCause::NoVersion.into()),
        (None, true) => Err(FaultCause::NoTypes.into()),
        (Some(0), true) => {
            let known = crate::protocol::bayeux::CONNECTION_TYPES.join(",");
            Err(FaultCause::Types { known: &known }.into())
        }
        (Some(_), true) => Ok(()),
    }
}

fn parse(name: &str) -> Result<ChannelName, BayeuxFault> {
    ChannelName::parse(name).map_err(|error| FaultCause::Subscription { channel: name, error }.into())
}

/// The channel of a subscription; `None` if it is accepted without effect.
fn subscribable(grant: &Grant, user: &User, name: &str) -> Result<Option<ChannelName>, BayeuxFault> {
    let name = parse(name)?;
    // Replies of services reach the session without a subscription, as its personal channel does.
    let is_reply = name.kind() == ChannelKind::Reserved && name.as_str().starts_with("/service");
    if is_reply || name == user.channel {
        return Ok(None);
    }
    if !grant.may_subscribe(&name) {
        return Err(FaultCause::Subscribe { channels: name.as_str() }.into());
    }
    Ok(Some(name))
}
