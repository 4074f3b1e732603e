//! Writes a complete response with envelopes.

use crate::base::frame::Frame;
use crate::base::slab::ConnKey;
use crate::config::Config;
use crate::conn::Conns;
use crate::conn::limits::{COMPRESSED_BYTES_MIN, SCRATCH_BYTES_MAX};
use crate::conn::phase::Then;
use crate::request::limits::COPY_BYTES_MAX;
use crate::request::reply::{Body, CONTENT_ENCODING, Gzip, Reply};
use crate::transport::{Encoded, Encoder, Envelope, Form, Opening, TransportId, gzip};
use crate::turn::cx::Cx;
use crate::wire::http::head::KeepAlive;
use crate::wire::http::response::ResponseFraming;

/// A complete response with envelopes.
pub(crate) struct BatchResponse<'a> {
    pub(crate) form: Form,
    pub(crate) reply: &'a Reply,
    pub(crate) opening: &'a Opening,
    /// JSON envelopes before the messages.
    pub(crate) first: &'a [Vec<u8>],
    pub(crate) messages: &'a [Encoded],
    /// JSON envelopes after the messages.
    pub(crate) last: &'a [Vec<u8>],
}

impl Conns {
    /// Writes a complete response with envelopes.
    pub(crate) fn send_poll(
        &mut self,
        cx: &mut Cx,
        conn: ConnKey,
        batch: &BatchResponse<'_>,
        mut headers: Vec<(&'static str, &str)>,
    ) {
        let BatchResponse { form, reply, opening, .. } = batch;
        let mut body = body_of(batch, &cx.encoder);
        headers.extend(self.compressed(cx, *form, reply, &mut body));
        let keep = self.push_response(cx, conn, body, |framing, head| {
            reply.transport_head(opening, &headers, framing, head)
        });
        self.flush(cx, conn, Then::from(keep));
    }

    /// Pushes a complete response, whose head `write_head` writes. It is not flushed yet.
    pub(crate) fn push_response(
        &mut self,
        cx: &mut Cx,
        conn: ConnKey,
        body: Body,
        write_head: impl FnOnce(ResponseFraming, &mut Vec<u8>) -> KeepAlive,
    ) -> KeepAlive {
        let mut head = std::mem::take(&mut self.scratch);
        head.clear();
        let keep = write_head(ResponseFraming::Length(body.bytes()), &mut head);
        body.send_behind(&mut head, |frame| self.push(cx, conn, frame));
        if head.capacity() <= SCRATCH_BYTES_MAX {
            self.scratch = head;
        }
        keep
    }

    /// Compresses a body if the client accepts that and it becomes smaller. Consecutive responses
    /// often have the same body, so the last one is cached.
    fn compressed(
        &mut self,
        cx: &Cx,
        form: Form,
        reply: &Reply,
        body: &mut Body,
    ) -> Option<(&'static str, &'static str)> {
        if body.bytes() < COMPRESSED_BYTES_MIN || !compresses(&cx.config, form.transport, reply) {
            return None;
        }
        let plain = body.to_vec();
        if self.last_batch.as_ref().is_none_or(|(known, _)| *known != plain) {
            let packed = gzip::whole(&plain, &cx.encoder)?;
            self.last_batch = Some((plain, Frame::from(packed)));
        }
        let (_, packed) = self.last_batch.as_ref()?;
        *body = Body::default();
        body.push(packed);
        Some(CONTENT_ENCODING)
    }
}

/// The body of a response: its envelopes, and the bytes around and between them.
fn body_of(batch: &BatchResponse<'_>, encoder: &Encoder) -> Body {
    let BatchResponse { form, opening, first, messages, last, .. } = batch;
    let transport = form.transport.transport();
    let (between, end) = (transport.separator(), transport.epilogue(form.dialect));
    let encode = |json: &[u8], out: &mut Vec<u8>| {
        transport.encode(form.dialect, &Envelope::plain(json), encoder, out);
    };
    let mut body = Body::default();
    let jsons = first.iter().chain(*last).map(Vec::len);
    let frames = messages.iter().map(|message| message.frame.len()).filter(|len| *len < COPY_BYTES_MAX);
    let each: usize = jsons.chain(frames).map(|len| len + between.len()).sum();
    body.reserve(opening.preamble.len() + each + end.len());
    body.push_bytes(&opening.preamble);
    let mut separator: &[u8] = b"";
    for json in *first {
        body.push_bytes(std::mem::replace(&mut separator, between));
        body.push_with(|out| encode(json, out));
    }
    for message in *messages {
        body.push_bytes(std::mem::replace(&mut separator, between));
        body.push(&message.frame);
    }
    for json in *last {
        body.push_bytes(std::mem::replace(&mut separator, between));
        body.push_with(|out| encode(json, out));
    }
    body.push_bytes(end);
    body
}

/// Whether to compress a response: the client accepts it, the configuration allows it, and the
/// transport can be read compressed.
pub(crate) fn compresses(config: &Config, transport: TransportId, reply: &Reply) -> bool {
    config.gzip && reply.gzip == Gzip::Accepted && transport.transport().may_compress()
}
