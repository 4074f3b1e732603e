//! Carrying out what comes up in one request or socket message: in order, each answered by its id.
//!
//! Publishes go to their channels' homes and are answered from there; what a hook has a say in (`authorize`) holds up the messages behind it until
//! the hook has answered, which is so also if the connection closes meanwhile. A connect is answered last, since it may be held.

use std::collections::VecDeque;
use std::rc::Rc;

use crate::auth::Grant;
use crate::base::ids::ShardId;
use crate::base::slab::{ConnKey, SessionKey, TicketKey};
use crate::base::ticks::Span;
use crate::hub::channel::Stage as Begun;
use crate::protocol::bayeux::ack::Acks;
use crate::protocol::bayeux::answer::{Advice, Answer, Clocks, Crowd, Fault};
use crate::protocol::bayeux::message::{Ask, Connect, Head, Message, Names, Timesync};
use crate::protocol::native::envelope::{CloseCode, Encoding};
use crate::shard::Shard;
use crate::shard::bayeux::authorize::{Asked, Operation};
use crate::shard::bayeux::browsers::Stranger;
use crate::shard::bayeux::connect::{Held, Turn};
use crate::shard::bayeux::said::{done, failed, not_shaken, not_subscribed, strange, subscribed};
use crate::shard::bayeux::{Browser, Caller, Client, Credential, Stage};
use crate::shard::exchange::Since;
use crate::shard::hook::Hook;
use crate::shard::interest::Start;
use crate::shard::pipeline::Outcome;
use crate::shard::queue::{Ahead, Pause, Reach};
use crate::shard::reply::Reply;
use crate::shard::request::{Open, User};
use crate::shard::session::{FoundBy, SessionId};
use crate::shard::ticket::{Errand, Said, Ticket};
use crate::transport::TransportId;
use crate::wire::channel_name::{ChannelKind, ChannelName};

/// What came up in one request or socket message.
#[derive(Debug)]
pub struct Call {
    /// Who asks.
    pub caller: Caller,
    /// The session that was made or taken up on the same socket before.
    pub own: Option<SessionKey>,
    /// How many messages there are.
    pub of: usize,
    /// Those that are not carried out yet.
    pub rest: VecDeque<Message>,
    /// Where publishes went that are not answered yet.
    pub ahead: Ahead,
    /// Why the rest is not carried out just now.
    pub waits: Waits,
    /// Hooks that have failed to answer once: they are not waited for again.
    pub silent: Vec<Hook>,
    /// One for each message, save for a connect.
    pub answers: Vec<Said>,
    /// The connect among them, which is answered last.
    pub connect: Option<(SessionKey, Box<Held>, Connect)>,
    /// The cookie that the answer sets.
    pub cookie: Option<Browser>,
}

/// Why the messages of a call that are left wait.
#[derive(Debug)]
pub enum Waits {
    /// They do not: they are being carried out, or there are none.
    Nothing,
    /// A hook has been asked about the one before them.
    Hook(Box<Asked>),
    /// For publishes before them, or for their turn.
    Queue(Pause),
}

impl Call {
    /// Why messages of it are not carried out yet, if there are any that wait for no hook.
    pub(in crate::shard) fn pause(&self) -> Option<Pause> {
        match self.waits {
            Waits::Queue(pause) => Some(pause),
            Waits::Nothing | Waits::Hook(_) => None,
        }
    }

    /// What a hook was asked about, once it has answered.
    pub(super) fn take_asked(&mut self) -> Option<Asked> {
        match std::mem::replace(&mut self.waits, Waits::Nothing) {
            Waits::Hook(asked) => Some(*asked),
            others @ (Waits::Nothing | Waits::Queue(_)) => {
                self.waits = others;
                None
            }
        }
    }

    /// What they waited for has come.
    pub(in crate::shard) fn resume(&mut self) {
        self.waits = Waits::Nothing;
    }
}

impl Shard {
    /// Carries out messages. `reply` says how to answer over HTTP; a socket has none.
    pub(super) fn call_bayeux(
        &mut self,
        conn: ConnKey,
        caller: Caller,
        messages: Vec<Message>,
        reply: Option<Reply>,
    ) {
        // A handshake stands by itself: what comes with it is passed over, as the specification wants.
        let shakes = matches!(messages.first(), Some(Message { ask: Ask::Handshake { .. }, .. }));
        let mut rest = VecDeque::from(messages);
        let of = rest.len();
        rest.truncate(if shakes { 1 } else { usize::MAX });
        let session = rest.front().and_then(|first| self.session_of_call(first));
        let call = Call {
            caller,
            own: self.talk(conn).and_then(|talk| talk.session),
            of,
            answers: Vec::with_capacity(rest.len()),
            rest,
            ahead: Ahead::default(),
            waits: Waits::Nothing,
            silent: Vec::new(),
            connect: None,
            cookie: None,
        };
        let errand = Errand::Bayeux { conn, call: Box::new(call) };
        let ticket = self.core.tickets.insert(Ticket::new(errand, session));
        match reply {
            Some(reply) => self.core.conns.await_answer(conn, reply, Outcome::Open(ticket)),
            None => self.core.conns.await_answers(conn, ticket),
        }
        if self.core.joins_line(ticket) {
            self.pause_call(ticket, Pause::Predecessor);
        } else {
            self.go_on_with_call(ticket);
        }
        self.settle_ticket(ticket);
    }

    /// Carries out the messages of a call in their order, up to one that has to wait, or that a hook is asked about.
    pub(in crate::shard) fn go_on_with_call(&mut self, ticket: TicketKey) {
        let portion = self.begin_portion();
        while let Some(Ticket { errand: Errand::Bayeux { call, .. }, .. }) = self.core.tickets.get(ticket)
            && matches!(call.waits, Waits::Nothing)
            && let Some(next) = call.rest.front()
        {
            let pause = self.pause(ticket, call.ahead, portion, |shard| shard.reach_of_bayeux(next));
            if let Some(pause) = pause {
                return self.pause_call(ticket, pause);
            }
            let Some((_, call)) = self.call_mut(ticket) else { return };
            if let Some(message) = call.rest.pop_front() {
                self.carry_out_bayeux(ticket, message);
            }
        }
        if self.call_mut(ticket).is_some_and(|(_, call)| matches!(call.waits, Waits::Nothing)) {
            self.core.close_ticket(ticket);
        }
    }

    /// The messages that are left of a call wait.
    fn pause_call(&mut self, ticket: TicketKey, pause: Pause) {
        if let Some((_, call)) = self.call_mut(ticket) {
            call.waits = Waits::Queue(pause);
        }
        self.core.note_pause(ticket, pause);
    }

    /// The session that a message names. Only its client knows the id, so nobody else stands in its line.
    fn session_of_call(&self, first: &Message) -> Option<SessionKey> {
        let SessionId { key, nonce, .. } = first.client.as_deref()?.parse().ok()?;
        self.core.sessions.get(key).filter(|session| session.nonce == nonce).map(|_| key)
    }

    /// Where a message takes effect. A connect is only noted: it is answered last.
    fn reach_of_bayeux(&self, Message { head, ask, .. }: &Message) -> Reach {
        match ask {
            Ask::Nonsense(_) | Ask::Connect(_) => Reach::Nowhere,
            // The service may answer before what was published has come.
            Ask::Publish(_) if head.channel.starts_with("/service/") => Reach::Session,
            Ask::Publish(_) => Reach::Home(self.core.cx.home(&head.channel)),
            Ask::Handshake { .. } | Ask::Disconnect | Ask::Subscribe(_) | Ask::Unsubscribe(_) => {
                Reach::Session
            }
        }
    }

    /// A call that is under way, and by which connection it came.
    pub(super) fn call_mut(&mut self, ticket: TicketKey) -> Option<(ConnKey, &mut Call)> {
        match self.core.tickets.get_mut(ticket) {
            Some(Ticket { errand: Errand::Bayeux { conn, call }, .. }) => Some((*conn, call)),
            _ => None,
        }
    }

    fn carry_out_bayeux(&mut self, ticket: TicketKey, message: Message) {
        let now = self.core.cx.now;
        let Message { mut head, client, ask, token, ext } = message;
        self.core.cx.steps.occasions(1);
        head.stamp = head.stamp.at(self.stamp_ms());
        let Some((conn, call)) = self.call_mut(ticket) else { return };
        let (caller, own, alone) = (call.caller.clone(), call.own, call.of == 1);
        let caller = self.caller_with_token(caller, token.as_deref());
        self.browsers.visits.expire(now);
        let named = client.as_deref().ok_or(Stranger::Unknown);
        let session = named.and_then(|id| self.bayeux_session((conn, own), &caller, id));
        if let Ok(key) = session {
            self.core.arm_session(key);
        }
        let operation = match (ask, session) {
            (Ask::Nonsense(fault), _) => return self.say(ticket, failed(&head, &fault)),
            (Ask::Handshake { types, versioned, ack, timesync }, _) => {
                match sound(types, versioned).and_then(|()| caller.grant(&self.open_grant)) {
                    Ok(grant) => Operation::Handshake { caller, grant, ack, timesync },
                    // Keys that are being fetched will be there in a moment.
                    Err(fault) if fault.code == 503 => {
                        return self.say(ticket, not_shaken(&head, &fault, Advice::Handshake(KEYS_INTERVAL)));
                    }
                    Err(fault) => return self.say(ticket, not_shaken(&head, &fault, Advice::Nothing)),
                }
            }
            (ask, Err(stranger)) => {
                if let (Ask::Connect(_), Some(talk)) = (&ask, self.talk_mut(conn)) {
                    talk.refused = talk.refused.saturating_add(1);
                }
                return self.say(ticket, strange(&head, stranger, ask.subscription()));
            }
            (Ask::Connect(connect), Ok(key)) => {
                let held = Held::new(now, head, &connect, alone);
                if let Some((_, call)) = self.call_mut(ticket) {
                    call.connect = Some((key, Box::new(held), connect));
                }
                return;
            }
            (Ask::Disconnect, Ok(key)) => {
                let call = self.call_mut(ticket).map(|(_, call)| call);
                let held = call.and_then(|call| call.connect.take_if(|(of, ..)| *of == key));
                self.end_session(key, CloseCode::Closed);
                // A connect before it in the same batch ends as one that is held does: nothing follows it.
                if let Some((_, held, _)) = held {
                    let answer = self.connect_answer(&held, Turn::Gone, None);
                    self.say(ticket, Said::Ok(answer));
                }
                return self.say(ticket, done(&head));
            }
            (Ask::Subscribe(names), Ok(key)) => match names {
                Ok(names) => Operation::Subscribe { caller, key, names },
                Err(misnamed) => return self.say(ticket, not_subscribed(&head, &misnamed)),
            },
            (Ask::Unsubscribe(names), Ok(key)) => {
                let said = match names {
                    Ok(names) => subscribed(&head, &names, self.unsubscribe_bayeux(key, &names)),
                    Err(misnamed) => not_subscribed(&head, &misnamed),
                };
                return self.say(ticket, said);
            }
            (Ask::Publish(data), Ok(key)) => match self.publishing(&head, key, data) {
                Ok(operation) => operation,
                Err(fault) => return self.say(ticket, failed(&head, &fault)),
            },
        };
        self.authorize(ticket, head, operation, ext.as_deref());
    }

    /// Makes a session. With it, the cookie that the browser is to be given.
    pub(super) fn shake(
        &mut self,
        conn: ConnKey,
        caller: &Caller,
        grant: Rc<Grant>,
        ack: bool,
    ) -> Result<(SessionKey, Option<Browser>), Fault> {
        let now = self.core.cx.now;
        let user = caller.user.clone().unwrap_or_else(|| self.anybody());
        // A socket has been given a cookie at its beginning. Whoever has one of either kind is known by it, and is given no other.
        let known = self.known_browser(&caller.marks);
        let browser = known.unwrap_or_else(|| self.fresh_browser());
        let fresh = known.is_none().then_some(browser);
        let transport = TransportId::longpoll();
        let open = Open::plain(user, transport, grant);
        let most = self.core.cx.config.sessions_per_browser;
        if known.is_some_and(|known| self.browsers.sessions(known) >= most) {
            let reason = format!(
                "too_many_sessions: this browser's cookie has all the sessions that ENCKE_SESSIONS_PER_BROWSER allows ({most})"
            );
            return Err(Fault::new(429, "", reason));
        }
        let key = self
            .make_session(conn, &open, &Since::Unsaid)
            .map_err(|refusal| Fault::new(refusal.status, "", refusal.reason.into_owned()))?;
        let session = &mut self.core.sessions[key];
        session.found = FoundBy::Id;
        let acks = ack.then(|| Box::new(Acks::new(session.cursor)));
        let browser = self.browsers.enter(browser, known.is_some());
        let client = Client { browser, acks, interval_ms: 0, stage: Stage::Shaken };
        self.enter_browser(key, client, caller.marks.other());
        if known.is_none() {
            let origin = self.origin(conn, caller);
            self.browsers.visits.begin(now, key, origin);
        }
        if let Some(talk) = self.talk_mut(conn) {
            talk.session = Some(key);
        }
        self.core.arm_session(key);
        Ok((key, fresh))
    }

    pub(super) fn shaken(
        &self,
        head: &Head,
        key: SessionKey,
        ack: bool,
        timesync: Option<Timesync>,
    ) -> Answer {
        let clocks = timesync.map(|client| Clocks { client, received: self.stamp_ms(), held: 0 });
        Answer::to(head, Ok(()))
            .with_session(&self.core.session_id(key).to_string())
            .with_ext(ack.then_some("true"), clocks)
            .with_advice(self.retry(Crowd::Alone))
    }

    /// What a client is to do as long as all is well.
    pub(super) fn retry(&self, crowd: Crowd) -> Advice {
        Advice::Retry {
            timeout: self.core.cx.config.poll_hold,
            max_interval: self.core.cx.config.session_grace,
            crowd,
        }
    }

    /// A user for a client that has none, at home here.
    fn anybody(&mut self) -> User {
        loop {
            let name = format!("anonymous-{}", &self.core.cx.nonce()[..16]);
            if self.is_home_of(&name)
                && let Ok(channel) = ChannelName::personal(&name)
            {
                return User { name: name.into(), channel };
            }
        }
    }

    fn is_home_of(&self, name: &str) -> bool {
        ShardId(self.core.cx.identity.homes().of(name)) == self.core.cx.identity.id
    }

    pub(super) fn subscribe_bayeux(
        &mut self,
        caller: &Caller,
        key: SessionKey,
        names: &Names,
    ) -> Result<(), Fault> {
        // First all are looked at, so that a list of which one is refused changes nothing.
        let parsed = self.subscribable(caller, key, names)?;
        let start = Start { since: &Since::Unsaid, last: 0, stage: Begun::Later, conflate: None };
        // Most clients subscribe once: room for as many as they may want later would be most of what they cost.
        self.core.sessions[key].subscriptions.reserve_exact(parsed.len());
        let before = self.core.sessions[key].subscriptions.len();
        for name in parsed {
            if let Err(refusal) = self.core.subscribe(key, &name, &start) {
                while self.core.sessions[key].subscriptions.len() > before {
                    self.core.leave(key, self.core.sessions[key].subscriptions.len() - 1);
                }
                return Err(Fault::new(refusal.status, name.as_str(), refusal.reason.into_owned()));
            }
        }
        Ok(())
    }

    /// What is to be subscribed to, if all of it may be: names by which it is asked about, and then done. What is accepted and changes nothing is not
    /// among them.
    pub(super) fn subscribable(
        &mut self,
        caller: &Caller,
        key: SessionKey,
        names: &Names,
    ) -> Result<Vec<ChannelName>, Fault> {
        let user = self.user_of_session(key).ok_or_else(Fault::session_unknown)?;
        if let (Credential::Token(grant), true) = (&caller.credential, caller.is_proven(&user)) {
            self.core.regrant(key, grant);
        }
        let grant = Rc::clone(&self.core.sessions[key].grant);
        let parsed = names.names.iter().map(|name| subscribable(&grant, &user, name));
        parsed.filter_map(Result::transpose).collect()
    }

    fn unsubscribe_bayeux(&mut self, key: SessionKey, names: &Names) -> Result<(), Fault> {
        let parsed: Vec<_> = names.names.iter().map(|name| parse(name)).collect::<Result<_, _>>()?;
        self.hand_over(key);
        if self.core.sessions.get(key).is_none() {
            return Err(Fault::session_unknown());
        }
        for name in parsed.iter().filter(|name| !matches!(name.kind(), ChannelKind::Personal { .. })) {
            // What is not subscribed is not subscribed, which was asked for.
            if let Some(at) = self.core.subscription(key, name.as_str()) {
                self.core.leave(key, at);
            }
        }
        Ok(())
    }

    /// What a publish comes to, if it may be: a message for all, or for a service.
    fn publishing(&self, head: &Head, key: SessionKey, data: Option<Box<str>>) -> Result<Operation, Fault> {
        let name = ChannelName::parse(&head.channel)
            .map_err(|error| Fault::new(405, &head.channel, format!("channel_invalid: {error}")))?;
        let channel = name.as_str();
        if name.is_pattern() {
            let reason = "channel_invalid: a message goes to one channel, not to a pattern";
            return Err(Fault::new(405, channel, reason));
        }
        let is_service = name.is_service();
        if name.kind() == ChannelKind::Reserved && !is_service {
            return Err(Fault::new(404, channel, "unknown_meta_channel"));
        }
        // The service itself decides whom it hears.
        if !is_service && !self.core.sessions[key].grant.may_publish(&name) {
            return Err(Fault::new(403, channel, "publish_denied"));
        }
        let data = data.ok_or_else(|| Fault::new(400, channel, "data_missing"))?;
        let from = self.user_of_session(key).map(|user| user.name);
        let message = self
            .core
            .message_of_size(&name, from, data, Encoding::Json)
            .map_err(|refusal| Fault::new(refusal.status, channel, refusal.reason.into_owned()))?;
        Ok(if is_service {
            Operation::Serve { key, name, message }
        } else {
            Operation::Publish { key, name, message }
        })
    }

    /// All answers to a request are there.
    pub(in crate::shard) fn answer_bayeux(&mut self, conn: ConnKey, reply: Reply, call: Call) {
        let Call { answers, connect, cookie, caller, .. } = call;
        let answers: Vec<_> = answers.iter().map(crate::shard::commands::written).collect();
        match connect {
            Some((key, held, asked)) if self.core.sessions.get(key).is_some() => {
                self.connect_by_request(conn, reply, key, (held, &asked), answers);
            }
            Some((_, held, _)) => {
                let answers = [answers, vec![held.in_vain(Stranger::Unknown, self.stamp_ms())]].concat();
                self.core.conns.respond(
                    &mut self.core.cx,
                    conn,
                    reply.bayeux(&answers.join(&b","[..]), None),
                );
            }
            None => {
                let cookie = cookie.map(|value| {
                    crate::shard::bayeux::Bayeux::cookie(
                        crate::shard::bayeux::COOKIE,
                        value,
                        caller.page,
                        caller.sender,
                    )
                });
                self.core.conns.respond(
                    &mut self.core.cx,
                    conn,
                    reply.bayeux(&answers.join(&b","[..]), cookie.as_deref()),
                );
            }
        }
    }

    /// Milliseconds since 1970, as timestamps have them.
    pub(super) fn stamp_ms(&self) -> i64 {
        i64::try_from(self.core.cx.unix_ms()).unwrap_or(i64::MAX)
    }
}

/// How long a client waits for the issuer's keys before it shakes hands again.
const KEYS_INTERVAL: Span = Span::from_secs(1);

fn sound(types: Option<usize>, versioned: bool) -> Result<(), Fault> {
    match (types, versioned) {
        (_, false) => Err(Fault::new(400, "version", "version_missing")),
        (None, true) => Err(Fault::new(400, "supportedConnectionTypes", "connection_types_missing")),
        (Some(0), true) => {
            let known = crate::protocol::bayeux::CONNECTION_TYPES.join(",");
            Err(Fault::new(301, &known, "connection_types_unsupported"))
        }
        (Some(_), true) => Ok(()),
    }
}

fn parse(name: &str) -> Result<ChannelName, Fault> {
    ChannelName::parse(name).map_err(|error| Fault::new(403, name, format!("subscription_invalid: {error}")))
}

/// What a subscription is to; nothing, where it is accepted and changes nothing.
fn subscribable(grant: &Grant, user: &User, name: &str) -> Result<Option<ChannelName>, Fault> {
    let name = parse(name)?;
    match name.kind() {
        // Replies of services come to the session without asking, as its personal channel does.
        ChannelKind::Reserved if name.as_str().starts_with("/service") => Ok(None),
        _ if name == user.channel => Ok(None),
        _ if grant.may_subscribe(&name) => Ok(Some(name)),
        _ => Err(Fault::new(403, name.as_str(), "subscribe_denied")),
    }
}
