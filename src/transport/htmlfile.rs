//! The forever frame for Internet Explorer's `htmlfile` object, a document in memory without a
//! loading indicator.
//!
//! Engines of that age have no Content-Security-Policy, and some no `JSON`: each event's script
//! calls `e` with a literal.

use super::shared::callback;
use super::shared::document::{CALLBACK, EPILOGUE, HTML, domain, prelude, spaces};
use super::{Delivery, Dialect, Encoder, Envelope, Opening, Transport, TransportRequest};
use crate::base::position::Position;
use crate::wire::refusal::Refusal;
use crate::wire::script;

/// `GET /u/{user}/htmlfile`.
pub(super) struct Htmlfile;

impl Transport for Htmlfile {
    fn name(&self) -> &'static str {
        "htmlfile"
    }

    fn delivery(&self) -> Delivery {
        Delivery::Stream
    }

    fn embeds(&self) -> bool {
        true
    }

    fn open(&self, asked: &TransportRequest<'_>) -> Result<Opening, Refusal> {
        let name = callback(asked)?.unwrap_or(CALLBACK);
        let domain = domain(asked)?.unwrap_or_default();
        let script = format!("<script>{domain}function e(m){{parent.{name}(m)}}</script>\n");
        Ok(Opening { preamble: prelude(&script).into(), ..Opening::of(HTML) })
    }

    /// A literal, because old engines may have no `JSON`.
    fn encode(&self, _: Dialect, envelope: &Envelope<'_>, _: &Encoder, out: &mut Vec<u8>) {
        out.extend_from_slice(b"<script>e(");
        script::literal(envelope.json, out);
        out.extend_from_slice(b")</script>\n");
    }

    fn epilogue(&self, _: Dialect) -> &'static [u8] {
        EPILOGUE
    }

    /// An empty envelope: see the frame's.
    fn heartbeat(&self, _: Dialect, _: Position, out: &mut Vec<u8>) {
        out.extend_from_slice(b"<script>e({})</script>\n");
    }

    fn pad(&self, _: Dialect, bytes: usize, out: &mut Vec<u8>) {
        spaces(bytes, out);
    }
}
