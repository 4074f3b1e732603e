//! Long polling: the poll's array, held until there is a message for it. Passes every proxy.

use super::poll::LongPoll;
use super::{Commands, Delivery, Dialect, Encoder, Envelope, Opening, Transport, TransportRequest};
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

    fn commands(&self) -> Commands {
        Commands::InBody
    }

    fn may_compress(&self) -> bool {
        true
    }

    fn open(&self, asked: &TransportRequest<'_>) -> Result<Opening, Refusal> {
        LongPoll.open(asked)
    }

    fn encode(&self, dialect: Dialect, envelope: &Envelope<'_>, encoder: &Encoder, out: &mut Vec<u8>) {
        LongPoll.encode(dialect, envelope, encoder, out);
    }

    fn separator(&self) -> &'static [u8] {
        LongPoll.separator()
    }

    fn epilogue(&self, dialect: Dialect) -> &'static [u8] {
        LongPoll.epilogue(dialect)
    }
}
