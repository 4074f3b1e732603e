//! Why a Bayeux message fails: the one table of causes. `docs/BAYEUX.md` lists the same; a test
//! compares the two.
//!
//! On the wire it is `code:argument:text`. Bounds that other protocols share have a refusal, which
//! is converted to a fault.

use std::fmt;

use crate::wire::channel_name::BadName;
use crate::wire::refusal::Refusal;

/// Generates the enum and its tables from rows under their codes: a cause, its data and what
/// follows the code on the wire.
macro_rules! fault_causes {
    ($($code:literal { $($cause:ident $({ $($field:ident: $of:ty),+ })? $text:literal;)+ })+) => {
        /// Why a message fails.
        #[derive(Debug)]
        pub enum FaultCause<'a> {
            $($(
                #[doc = concat!("```text\n", $code, ":", $text, "\n```")]
                $cause $({ $(
                    #[doc = concat!("The `", stringify!($field), "` of the text.")]
                    $field: $of,
                )+ })?,
            )+)+
        }

        impl FaultCause<'_> {
            /// The codes, each with what follows on the wire, where names in braces stand for data.
            pub const ALL: &'static [(u16, &'static str)] = &[$($(($code, $text),)+)+];

            fn code(&self) -> u16 {
                match self {
                    $($(Self::$cause { .. })|+ => $code,)+
                }
            }
        }

        /// What follows the code on the wire.
        impl fmt::Display for FaultCause<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $($(Self::$cause $({ $($field),+ })? => write!(f, $text),)+)+
                }
            }
        }
    };
}

fault_causes! {
    301 {
        Types { known: &'a str } "{known}:connection_types_unsupported";
    }
    400 {
        Object ":a message is a JSON object";
        Message { error: serde_json::Error } ":bad_message: {error}";
        NoChannel ":channel_missing";
        NoVersion "version:version_missing";
        NoTypes "supportedConnectionTypes:connection_types_missing";
        NoData { channel: &'a str } "{channel}:data_missing";
    }
    402 {
        // It has ended, never existed, or is another client's: the client must handshake.
        SessionUnknown ":session_unknown";
        // The client does not prove that the session is its own, and could not for another one
        // either.
        CookieWithheld ":session_unknown: the cookie that came with the handshake was not sent back. Browsers keep it from pages of \
            other sites, and over http always: use https, or let such a page send a token with every request. For programs that keep no \
            cookies: ENCKE_BAYEUX_TRUST=1";
        // The two took it from each other: this one must handshake, for a session of its own.
        SessionShared ":session_unknown: another client has this client id too, and they took each other's connects away";
        // The session's browser sends a cookie with its requests, and this socket sent none.
        SocketUnmarked ":session_unknown: the WebSocket did not bring the cookie that the client sends with its requests. Let it send \
            that, or a token. For programs whose sockets keep no cookies: ENCKE_BAYEUX_TRUST=1";
    }
    421 {
        // Another node serves the user.
        Elsewhere { node: &'a str } ":elsewhere: {node}";
    }
    403 {
        Credentials { reason: &'a str } ":handshake_denied: {reason}";
        Handshake ":handshake_denied";
        Subscribe { channels: &'a str } "{channels}:subscribe_denied";
        Publish { channel: &'a str } "{channel}:publish_denied";
        NoSubscription ":subscription_missing";
        SubscriptionType ":subscription_invalid";
        Subscription { channel: &'a str, error: BadName } "{channel}:subscription_invalid: {error}";
    }
    404 {
        MetaChannel { channel: &'a str } "{channel}:unknown_meta_channel";
        NoServiceHook ":no_service_hook";
    }
    405 {
        Channel { channel: &'a str, error: BadName } "{channel}:channel_invalid: {error}";
        Pattern { channel: &'a str } "{channel}:channel_invalid: a message goes to one channel, not to a pattern";
    }
    413 {
        Names { count: usize, max: usize } ":{count} channels in one subscription; ENCKE_SUBSCRIPTIONS allows {max}";
    }
    429 {
        BrowserSessions { max: usize } ":too_many_sessions: this browser's cookie has all the sessions that \
            ENCKE_SESSIONS_PER_BROWSER allows ({max})";
    }
    502 {
        HookAnswer { channel: &'a str, reason: &'a str } "{channel}:hook_answer_invalid: {reason}";
    }
    503 {
        Keys { reason: &'a str } ":keys_unavailable: {reason}";
        Drains ":busy: the node is going away";
        Hook ":hook_unavailable";
    }
}

/// The reason for a failure: `code:argument:text` on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BayeuxFault {
    /// The part for programs.
    pub code: u16,
    /// What follows: `argument:text`.
    text: Box<str>,
}

impl BayeuxFault {
    /// A refusal, as Bayeux spells it.
    pub fn refused(refusal: &Refusal, argument: &str) -> Self {
        Self { code: refusal.status(), text: format!("{argument}:{}", refusal.reason).into() }
    }

    /// Whether there is no session.
    pub fn is_session_unknown(&self) -> bool {
        *self == Self::from(FaultCause::SessionUnknown)
    }
}

impl From<FaultCause<'_>> for BayeuxFault {
    fn from(cause: FaultCause<'_>) -> Self {
        Self { code: cause.code(), text: cause.to_string().into() }
    }
}

impl fmt::Display for BayeuxFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.code, self.text)
    }
}
