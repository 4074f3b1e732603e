//! A backend: publishes through the private API in every form, and keeps the answers.

use encke::base::ids::ListenerKind;
use serde_json::Value;

use super::http_conn::{HttpConn, Reply};
use super::keys::{Keyed, PublishKeys, Spelled};
use super::receiver::personal;
use super::uplink::watch;
use super::{Client, Ctx};
use crate::http::Headers;
use crate::net::{How, LinkId, Reading, Style};
use crate::oracle::BUSY;
use crate::payload::Payload;
use crate::request::{Request, Spelling};

#[derive(Debug)]
pub(crate) struct Publisher {
    style: Style,
    channels: Vec<String>,
    users: Vec<String>,
    /// The longest pause between requests, in milliseconds.
    pause: u64,
    conn: Option<HttpConn>,
    /// Some of its publishes have keys.
    keys: Option<PublishKeys>,
    /// Pending requests.
    out: Vec<Out>,
    next: u32,
    body: Vec<u8>,
    head: (u16, Headers),
    gone: bool,
}

/// A pending request.
#[derive(Debug)]
struct Out {
    tag: u32,
    /// Its messages.
    numbers: Vec<usize>,
    keyed: Option<Keyed>,
}

impl Publisher {
    pub(crate) fn new(
        style: Style,
        channels: Vec<String>,
        users: Vec<String>,
        pause: u64,
        keys: Option<PublishKeys>,
    ) -> Self {
        let style = Style { reading: Reading::Prompt, capacity: 64 * 1024, ..style };
        Self {
            style,
            channels,
            users,
            pause,
            conn: None,
            keys,
            out: Vec::new(),
            next: 0,
            body: Vec::new(),
            head: (0, Headers::default()),
            gone: false,
        }
    }

    fn publish(&mut self, ctx: &mut Ctx<'_>) {
        if ctx.phase.silent || self.gone {
            return;
        }
        // Sometimes it pipelines more requests behind the first.
        let count = if ctx.rng.chance(15) { ctx.rng.range(2, 6) } else { 1 };
        for _ in 0..count {
            let (request, numbers, keyed) = self.next_request(ctx);
            let usable = self.conn.as_ref().is_some_and(|conn| conn.is_open(ctx));
            if !usable {
                self.forget();
                self.conn = Some(HttpConn::connect(ctx, ListenerKind::Private, self.style));
            }
            let mut spelling = Spelling::any(ctx.rng);
            if count > 1 {
                (spelling.close, spelling.old) = (false, false);
            }
            if let Some(conn) = &mut self.conn {
                conn.ask(ctx, &request, spelling, 0, self.next);
            }
            self.out.push(Out { tag: self.next, numbers, keyed });
            self.next += 1;
        }
    }

    /// A repeated request, or a new one.
    fn next_request(&mut self, ctx: &mut Ctx<'_>) -> (Request, Vec<usize>, Option<Keyed>) {
        if let Some((numbers, keyed)) = self.keys.as_mut().and_then(|keys| keys.again(ctx.now())) {
            return (keyed.request().clone(), numbers, Some(keyed));
        }
        let spelled = self.keys.as_mut().and_then(PublishKeys::spelled);
        let (mut request, numbers) = self.request(ctx, spelled == Some(Spelled::Items));
        let key = format!("request {}", numbers.first().copied().unwrap_or_default());
        request = match spelled {
            Some(Spelled::Header) => request.header("Idempotency-Key", key),
            Some(Spelled::Quoted) => request.header("Idempotency-Key", format!("\"{key}\"")),
            Some(Spelled::Query) => request.query("key", key),
            // A request whose body is the payload has no items.
            Some(Spelled::Items) if request.path != "/publish" => request.header("Idempotency-Key", key),
            Some(Spelled::Items) | None => request,
        };
        let keyed = spelled.and(self.keys.as_mut()).map(|keys| keys.first(ctx, &request, &numbers));
        (request, numbers, keyed)
    }

    fn request(&mut self, ctx: &mut Ctx<'_>, keyed: bool) -> (Request, Vec<usize>) {
        if ctx.rng.chance(35) {
            return self.to_user(ctx);
        }
        let many = match ctx.rng.below(10) {
            0..=5 => 1,
            6..=8 => ctx.rng.size(2, 6),
            _ => ctx.rng.size(7, 25),
        };
        let (mut items, mut numbers) = (Vec::new(), Vec::new());
        for _ in 0..many {
            let number = ctx.oracle.next_number();
            let Payload::Json(data) = Payload::json(number, ctx.rng) else { continue };
            let data = data.replace(['\r', '\n'], " ");
            let (target, channel) = if ctx.rng.chance(30) {
                let user = ctx.rng.pick(&self.users).clone();
                (format!("\"user\":\"{user}\""), personal(&user))
            } else {
                let channel = ctx.rng.pick(&self.channels).clone();
                (format!("\"channel\":\"{channel}\""), channel)
            };
            let key = if keyed { format!(",\"key\":\"item {number}\"") } else { String::new() };
            items.push(format!("{{{target},\"data\":{data}{key}}}"));
            let now = ctx.now();
            numbers.push(ctx.oracle.publish(now, &channel, Payload::Json(data)));
        }
        let lines = ctx.rng.chance(40);
        let (body, kind) = match (lines, many) {
            (true, _) => {
                (items.join("\n") + if ctx.rng.chance(50) { "\n" } else { "" }, "application/x-ndjson")
            }
            (false, 1) => (items.join(""), "application/json"),
            (false, _) => (format!("[{}]", items.join(",")), "application/json"),
        };
        (Request::post("/publish", body).header("Content-Type", kind), numbers)
    }

    fn to_user(&mut self, ctx: &mut Ctx<'_>) -> (Request, Vec<usize>) {
        let user = ctx.rng.pick(&self.users).clone();
        let number = ctx.oracle.next_number();
        let payload = match ctx.rng.below(4) {
            0 => Payload::text(number),
            1 => Payload::bytes(number),
            _ => Payload::json(number, ctx.rng),
        };
        let (body, kind) = payload.body();
        let now = ctx.now();
        ctx.oracle.publish(now, &personal(&user), payload);
        let path = format!("/u/{}/publish", crate::request::segment(&user, ctx.rng));
        (Request::post(path, body).header("Content-Type", kind), vec![number])
    }

    fn replies(&mut self, ctx: &mut Ctx<'_>, replies: Vec<Reply>) {
        for reply in replies {
            match reply {
                Reply::Head { status, headers } => self.head = (status, headers),
                Reply::Body { bytes } => self.body.extend(bytes),
                Reply::Done { tag } => self.answered(ctx, tag),
            }
        }
    }

    fn answered(&mut self, ctx: &mut Ctx<'_>, tag: u32) {
        let body = String::from_utf8_lossy(&std::mem::take(&mut self.body)).into_owned();
        let status = self.head.0;
        ctx.note(format_args!("is answered {status} {}", body.trim_end()));
        let Some(at) = self.out.iter().position(|out| out.tag == tag) else { return };
        let Out { numbers, keyed, .. } = self.out.remove(at);
        if at != 0 {
            ctx.fail("publishes are answered out of order");
        }
        let answers: Vec<Value> = match serde_json::from_str(&body) {
            Ok(Value::Array(list)) => list,
            Ok(one) => vec![one],
            Err(_) => body.lines().filter_map(|line| serde_json::from_str(line).ok()).collect(),
        };
        // A single message's refusal is the whole response; of several, each has its own answer.
        let busy = status == 503 && self.head.1.one("retry-after").is_some() && answers.len() == 1;
        if !(status == 200 || busy) || answers.len() != numbers.len() {
            return ctx.fail(format!("{} publishes are answered {status} {body}", numbers.len()));
        }
        let is_repeat = keyed.as_ref().is_some_and(|keyed| keyed.again);
        let mut refused = 0;
        for (&number, answer) in numbers.iter().zip(answers) {
            let personal = ctx.oracle.publishes[number].channel.starts_with("/u/");
            match answer["id"].as_str() {
                Some(id) if answer["sessions"].is_u64() == personal => {
                    let now = ctx.now();
                    ctx.oracle.accepted(now, number, id);
                    watch(ctx, number);
                }
                None if answer["error"]["code"] == BUSY => {
                    refused += 1;
                    // An earlier send may have been accepted.
                    if !is_repeat {
                        ctx.oracle.refused(number, BUSY);
                    }
                }
                _ => ctx.fail(format!("a publish is answered {answer}")),
            }
        }
        match (keyed.zip(self.keys.as_mut()), refused) {
            (Some((keyed, keys)), 0) => keys.accepted(numbers, keyed),
            (Some((keyed, keys)), _) if is_repeat => keys.lost(numbers, keyed),
            (Some(_) | None, _) => {}
        }
    }

    fn forget(&mut self) {
        // Whether they took effect is unknown; those with keys can be sent again.
        for Out { numbers, keyed, .. } in self.out.drain(..) {
            if let Some((keyed, keys)) = keyed.zip(self.keys.as_mut()) {
                keys.lost(numbers, keyed);
            }
        }
        self.body.clear();
    }
}

impl Client for Publisher {
    fn start(&mut self, ctx: &mut Ctx<'_>) {
        let after = ctx.rng.below(self.pause);
        ctx.alarm(after, 0);
    }

    fn bytes(&mut self, ctx: &mut Ctx<'_>, link: LinkId, bytes: &[u8]) {
        let Some(mut conn) = self.conn.take_if(|conn| conn.link == link) else { return };
        let replies = conn.feed(ctx, bytes);
        self.conn = Some(conn);
        self.replies(ctx, replies);
    }

    fn ended(&mut self, ctx: &mut Ctx<'_>, link: LinkId, how: How) {
        let Some(mut conn) = self.conn.take_if(|conn| conn.link == link) else { return };
        let replies = conn.end(ctx, how);
        self.replies(ctx, replies);
        self.forget();
    }

    fn woken(&mut self, ctx: &mut Ctx<'_>, _: u64) {
        if self.out.is_empty() || ctx.rng.chance(2) {
            self.publish(ctx);
        }
        if !ctx.phase.silent && !self.gone {
            // In the calm phase there is time to catch up.
            let pause = if ctx.phase.calm { self.pause.max(1_500) } else { self.pause };
            let after = ctx.rng.range(1, pause);
            ctx.alarm(after, 0);
        }
    }

    fn late(&mut self, ctx: &mut Ctx<'_>, link: LinkId, ask: u32) {
        let Some(mut conn) = self.conn.take_if(|conn| conn.link == link) else { return };
        conn.late(ctx, ask);
        if ctx.net.is_sound(link) {
            self.conn = Some(conn);
        } else {
            conn.abandon(ctx);
            self.forget();
        }
    }

    fn leave(&mut self, ctx: &mut Ctx<'_>) {
        self.gone = true;
        if let Some(mut conn) = self.conn.take() {
            conn.abandon(ctx);
        }
    }
}
