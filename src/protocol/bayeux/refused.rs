//! Why a request with Bayeux messages is refused as a whole; a message that fails by itself has a
//! [`FaultCause`](super::fault::FaultCause).

use crate::wire::json::JsonError;
use crate::wire::refusal::{Refusal, refused};

refused! {
    /// The cause of a refusal of Bayeux messages.
    BayeuxRefused;

    BadCallback {
        Callback "jsonp names no function: letters, digits, _ and $, joined by dots, at most 64, are allowed";
    }
    NoMessage {
        NoMessage "the query must have Bayeux messages: message=[…]&jsonp=f; or they are sent by POST, or a WebSocket is opened";
    }
    BadContentType {
        ContentType "Bayeux messages come as application/json, or in fields \"message\" of a form";
    }
    BadForm { Form "the form has no field \"message\" with Bayeux messages as JSON"; }
    BadJson {
        Json { error: JsonError } "the messages: {error}";
        Array { error: serde_json::Error } "the messages are not an array: {error}";
        Object { error: serde_json::Error } "the message: {error}";
    }
    BadRecord { Record "Bayeux messages are text"; }
}

impl From<BayeuxRefused> for Refusal {
    fn from(refused: BayeuxRefused) -> Self {
        Self::new(refused.code(), refused.to_string())
    }
}
