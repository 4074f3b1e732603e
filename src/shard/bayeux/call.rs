//! Carrying out what comes up in one request or socket message: in order, each answered by its id.
//!
//! Publishes go to their channels' homes and are answered from there; a connect is answered last, since it may be held.

use std::rc::Rc;

use super::connect::Held;
use super::{Browser, Caller, Client, Credential, Stage};
use crate::base::hash::{home_hash, home_of};
use crate::base::slab::{ConnKey, SessionKey};
use crate::base::ticks::Tick;
use crate::protocol::bayeux::ack::Acks;
use crate::protocol::bayeux::answer::{Advice, Answer, Clocks, Crowd, Fault};
use crate::protocol::bayeux::message::{Ask, Connect, Head, Message, Names, Timesync};
use crate::protocol::native::envelope::{CloseCode, Encoding};
use crate::shard::auth::Grant;
use crate::shard::channel_name::{ChannelName, Kind};
use crate::shard::exchange::Since;
use crate::shard::hub::channel::Stage as Begun;
use crate::shard::interest::Start;
use crate::shard::pipeline::Outcome;
use crate::shard::reply::Reply;
use crate::shard::request::{Open, User};
use crate::shard::session::FoundBy;
use crate::shard::ticket::{Awaited, Errand, Said, Ticket};
use crate::shard::{Shard, ShardId};
use crate::transport::TransportId;

/// What came up in one request or socket message.
#[derive(Debug)]
pub struct Call {
    /// Who asks.
    pub caller: Caller,
    /// One for each message, save for a connect.
    pub answers: Vec<Said>,
    /// The connect among them, which is answered last.
    pub connect: Option<(SessionKey, Box<Held>, Connect)>,
    /// The cookie that the answer sets.
    pub cookie: Option<Browser>,
}

impl Shard {
    /// Carries out messages. `reply` says how to answer over HTTP; a socket has none.
    pub(super) fn call_bayeux(
        &mut self,
        now: Tick,
        conn: ConnKey,
        caller: Caller,
        messages: Vec<Message>,
        reply: Option<Reply>,
    ) {
        let own = self.talk(conn).and_then(|talk| talk.session);
        let call = Call { caller, answers: Vec::with_capacity(messages.len()), connect: None, cookie: None };
        let errand = Errand::Bayeux { conn, call: Box::new(call) };
        let ticket = self.tickets.insert(Ticket { missing: 1, errand });
        match reply {
            Some(reply) => self.await_answer(conn, reply, Outcome::Open(ticket)),
            None => self.talk_waits(conn, ticket),
        }
        let alone = messages.len() == 1;
        let mut messages = messages.into_iter().peekable();
        // A handshake stands by itself: what comes with it is passed over, as the specification wants.
        let shakes = matches!(messages.peek(), Some(Message { ask: Ask::Handshake { .. }, .. }));
        let most = if shakes { 1 } else { usize::MAX };
        for message in messages.take(most) {
            self.carry_out_bayeux(now, (conn, ticket), own, message, alone);
        }
        self.settle_ticket(now, ticket);
        self.talk_still_waits(conn, ticket);
    }

    fn carry_out_bayeux(
        &mut self,
        now: Tick,
        (conn, ticket): (ConnKey, crate::base::slab::TicketKey),
        own: Option<SessionKey>,
        message: Message,
        alone: bool,
    ) {
        let Some(Ticket { errand: Errand::Bayeux { call, .. }, .. }) = self.tickets.get(ticket) else {
            return;
        };
        let Message { head, client, ask, token, ext: _ } = message;
        let caller = self.caller_with_token(now, call.caller.clone(), token.as_deref());
        let session = client.as_deref().and_then(|id| self.bayeux_session(&caller, own, id));
        if let Some(key) = session {
            self.arm_session(now, key);
        }
        let said = match (ask, session) {
            (Ask::Nonsense(fault), _) => failed(&head, &fault),
            (Ask::Handshake { types, versioned, ack, timesync }, _) => {
                let sound = sound(types, versioned);
                match sound.and_then(|()| self.shake(now, conn, &caller, ack)) {
                    Ok((key, cookie)) => {
                        self.set_cookie(ticket, cookie);
                        self.shaken(now, &head, key, ack, timesync)
                    }
                    Err(fault) => not_shaken(&head, &fault),
                }
            }
            (_, None) => {
                let answer = Answer::to(&head, Err(&Fault::session_unknown()));
                Said::Ok(answer.with_advice(Advice::Handshake).finish())
            }
            (Ask::Connect(connect), Some(key)) => {
                let held = Held::new(now, head, &connect, alone);
                if let Some(Ticket { errand: Errand::Bayeux { call, .. }, .. }) = self.tickets.get_mut(ticket)
                {
                    call.connect = Some((key, Box::new(held), connect));
                }
                return;
            }
            (Ask::Disconnect, Some(key)) => {
                self.end_session(now, key, CloseCode::Closed);
                done(&head)
            }
            (Ask::Subscribe(names), Some(key)) => {
                let outcome = names.map(|names| {
                    let outcome = self.subscribe_bayeux(now, &caller, key, &names);
                    (names, outcome)
                });
                subscribed(&head, outcome)
            }
            (Ask::Unsubscribe(names), Some(key)) => {
                let outcome = names.map(|names| {
                    let outcome = self.unsubscribe_bayeux(now, key, &names);
                    (names, outcome)
                });
                subscribed(&head, outcome)
            }
            (Ask::Publish(data), Some(key)) => match self.message_of_bayeux(&head, key, data) {
                Ok(message) => {
                    let item = self.expect_item(ticket, Awaited::Bayeux(head));
                    let home = self.home(&message.channel);
                    self.send_home(now, ticket, home, vec![(item, message)]);
                    return;
                }
                Err(fault) => failed(&head, &fault),
            },
        };
        self.say(ticket, said);
    }

    /// Makes a session. With it, the cookie that the browser is to be given.
    fn shake(
        &mut self,
        now: Tick,
        conn: ConnKey,
        caller: &Caller,
        ack: bool,
    ) -> Result<(SessionKey, Option<Browser>), Fault> {
        let grant = match &caller.credential {
            Credential::Open => Rc::clone(&self.open_grant),
            Credential::Token(grant) => Rc::clone(grant),
            Credential::Missing(refusal) => {
                return Err(Fault::new(403, "", format!("handshake_denied: {}", refusal.reason)));
            }
        };
        let user = caller.user.clone().unwrap_or_else(|| self.anybody());
        let browser = caller.browser.unwrap_or_else(|| self.fresh_browser());
        let fresh = caller.browser.is_none().then_some(browser);
        let transport = TransportId::longpoll();
        let open = Open::plain(user, transport, grant);
        let key = self
            .make_session(now, &open, &Since::Unsaid)
            .map_err(|refusal| Fault::new(refusal.status, "", refusal.reason.into_owned()))?;
        let session = &mut self.sessions[key];
        session.found = FoundBy::Id;
        let acks = ack.then(|| Box::new(Acks::new(session.cursor)));
        let client = Client { browser, next: key, acks, interval_ms: 0, stage: Stage::Shaken };
        self.enter_browser(key, client);
        if let Some(talk) = self.talk_mut(conn) {
            talk.session = Some(key);
        }
        self.arm_session(now, key);
        Ok((key, fresh))
    }

    fn shaken(&self, now: Tick, head: &Head, key: SessionKey, ack: bool, timesync: Option<Timesync>) -> Said {
        let clocks = timesync.map(|client| Clocks { client, received: self.unix_ms(now), held: 0 });
        let answer = Answer::to(head, Ok(()))
            .with_session(&self.session_id(key).to_string())
            .with_ext(ack.then_some("true"), clocks)
            .with_advice(self.retry(Crowd::Alone));
        Said::Ok(answer.finish())
    }

    /// What a client is to do as long as all is well.
    pub(super) fn retry(&self, crowd: Crowd) -> Advice {
        Advice::Retry { timeout: self.config.poll_hold, max_interval: self.config.session_grace, crowd }
    }

    fn set_cookie(&mut self, ticket: crate::base::slab::TicketKey, cookie: Option<Browser>) {
        if let Some(Ticket { errand: Errand::Bayeux { call, .. }, .. }) = self.tickets.get_mut(ticket) {
            call.cookie = cookie;
        }
    }

    /// A user for a client that has none, at home here.
    fn anybody(&mut self) -> User {
        loop {
            let name = format!("anonymous-{}", &self.nonce()[..16]);
            if self.is_home_of(&name)
                && let Ok(channel) = ChannelName::personal(&name)
            {
                return User { name: name.into(), channel };
            }
        }
    }

    fn is_home_of(&self, name: &str) -> bool {
        ShardId(home_of(home_hash(name), self.identity.shards)) == self.identity.id
    }

    fn subscribe_bayeux(
        &mut self,
        now: Tick,
        caller: &Caller,
        key: SessionKey,
        names: &Names,
    ) -> Result<(), Fault> {
        let user = self.user_of_session(key).ok_or_else(Fault::session_unknown)?;
        if let (Credential::Token(grant), true) = (&caller.credential, caller.is_proven(&user)) {
            self.regrant(now, key, grant);
        }
        let grant = Rc::clone(&self.sessions[key].grant);
        // First all are looked at, so that a list of which one is refused changes nothing.
        let parsed: Vec<_> =
            names.names.iter().map(|name| subscribable(&grant, &user, name)).collect::<Result<_, _>>()?;
        let start = Start { since: &Since::Unsaid, last: 0, stage: Begun::Later, conflate: None };
        // Most clients subscribe once: room for as many as they may want later would be most of what they cost.
        self.sessions[key].subscriptions.reserve_exact(parsed.len());
        let before = self.sessions[key].subscriptions.len();
        for name in parsed.into_iter().flatten() {
            if let Err(refusal) = self.subscribe(now, key, &name, &start) {
                while self.sessions[key].subscriptions.len() > before {
                    self.leave(now, key, self.sessions[key].subscriptions.len() - 1);
                }
                return Err(Fault::new(refusal.status, name.as_str(), refusal.reason.into_owned()));
            }
        }
        Ok(())
    }

    fn unsubscribe_bayeux(&mut self, now: Tick, key: SessionKey, names: &Names) -> Result<(), Fault> {
        let parsed: Vec<_> = names.names.iter().map(|name| parse(name)).collect::<Result<_, _>>()?;
        for name in parsed.iter().filter(|name| !matches!(name.kind(), Kind::Personal { .. })) {
            // What is not subscribed is not subscribed, which was asked for.
            if let Some(at) = self.subscription(key, name.as_str()) {
                self.leave(now, key, at);
            }
        }
        Ok(())
    }

    fn message_of_bayeux(
        &self,
        head: &Head,
        key: SessionKey,
        data: Option<Box<str>>,
    ) -> Result<std::sync::Arc<crate::protocol::native::envelope::Message>, Fault> {
        let name = ChannelName::parse(&head.channel)
            .map_err(|error| Fault::new(405, &head.channel, format!("channel_invalid: {error}")))?;
        let channel = name.as_str();
        match name.kind() {
            Kind::Reserved if channel.starts_with("/service") => {
                return Err(Fault::new(404, channel, "no service is configured"));
            }
            Kind::Reserved => return Err(Fault::new(404, channel, "unknown_meta_channel")),
            Kind::PatternOne { .. } | Kind::PatternDeep { .. } => {
                return Err(Fault::new(
                    405,
                    channel,
                    "channel_invalid: a message goes to one channel, not to a pattern",
                ));
            }
            Kind::Exact | Kind::Personal { .. } => {}
        }
        if !self.sessions[key].grant.may_publish(&name) {
            return Err(Fault::new(403, channel, "publish_denied"));
        }
        let data = data.ok_or_else(|| Fault::new(400, channel, "data_missing"))?;
        let from = self.user_of_session(key).map(|user| user.name);
        self.client_message(&name, from, data, Encoding::Json)
            .map_err(|refusal| Fault::new(refusal.status, channel, refusal.reason.into_owned()))
    }

    /// All answers to a request are there.
    pub(in crate::shard) fn answer_bayeux(&mut self, now: Tick, conn: ConnKey, reply: Reply, call: Call) {
        let Call { caller: _, answers, connect, cookie } = call;
        let answers: Vec<_> = answers.iter().map(crate::shard::commands::written).collect();
        match connect {
            Some((key, held, asked)) if self.sessions.get(key).is_some() => {
                self.connect_by_request(now, conn, reply, key, (held, &asked), answers);
            }
            Some((_, held, _)) => {
                let answers = [answers, vec![held.in_vain()]].concat();
                self.respond(now, conn, reply.bayeux(&answers.join(&b","[..]), None));
            }
            None => {
                let foreign = reply.origin.is_some();
                let cookie = cookie.map(|value| super::Bayeux::cookie(value, foreign));
                self.respond(now, conn, reply.bayeux(&answers.join(&b","[..]), cookie.as_deref()));
            }
        }
    }

    /// Milliseconds since 1970.
    pub(super) fn unix_ms(&self, now: Tick) -> i64 {
        i64::try_from(self.identity.unix_ms_at_zero + now.as_millis()).unwrap_or(i64::MAX)
    }
}

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
        Kind::Reserved if name.as_str().starts_with("/service") => Ok(None),
        _ if name == user.channel => Ok(None),
        _ if grant.may_subscribe(&name) => Ok(Some(name)),
        _ => Err(Fault::new(403, name.as_str(), "subscribe_denied")),
    }
}

fn done(head: &Head) -> Said {
    Said::Ok(Answer::to(head, Ok(())).finish())
}

pub(in crate::shard) fn failed(head: &Head, fault: &Fault) -> Said {
    Said::Ok(Answer::to(head, Err(fault)).finish())
}

fn not_shaken(head: &Head, fault: &Fault) -> Said {
    let types: Vec<_> =
        crate::protocol::bayeux::CONNECTION_TYPES.iter().map(|name| format!("\"{name}\"")).collect();
    let answer = Answer::to(head, Err(fault)).with_version();
    let answer = answer.with("supportedConnectionTypes", &format!("[{}]", types.join(",")));
    Said::Ok(answer.with_advice(Advice::Nothing).finish())
}

fn subscribed(head: &Head, outcome: Result<(Names, Result<(), Fault>), Fault>) -> Said {
    match outcome {
        Err(fault) => failed(head, &fault),
        Ok((names, outcome)) => {
            let answer = match &outcome {
                Ok(()) => Answer::to(head, Ok(())),
                Err(fault) => Answer::to(head, Err(fault)),
            };
            Said::Ok(answer.with("subscription", &names.json).finish())
        }
    }
}
