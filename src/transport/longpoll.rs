//! Long polling: the poll's array, held until there is something to put in it. Passes every proxy.

use super::poll::Poll;
use super::{Delivery, Envelope, Opening, Query, Transport};
use crate::wire::refusal::Refusal;

/// `GET` or `POST /u/{user}/longpoll`.
pub(super) struct Longpoll;

impl Transport for Longpoll {
    fn name(&self) -> &'static str {
        "longpoll"
    }

    fn delivery(&self) -> Delivery {
        Delivery::Held
    }

    fn open(&self, query: &Query<'_>) -> Result<Opening, Refusal> {
        Poll.open(query)
    }

    fn encode(&self, envelope: &Envelope<'_>, out: &mut Vec<u8>) {
        Poll.encode(envelope, out);
    }

    fn separator(&self) -> &'static [u8] {
        Poll.separator()
    }

    fn epilogue(&self) -> &'static [u8] {
        Poll.epilogue()
    }
}
