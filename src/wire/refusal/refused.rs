//! The causes for which a request is refused, besides those of HTTP itself, of WebSocket handshakes
//! and of credentials: the one table from cause to code and sentence.
//!
//! A sentence names the error and the allowed values. Its data are in the row's braces.

use std::net::IpAddr;

use crate::base::ticks::Span;
use crate::wire::channel_name::BadName;
use crate::wire::json::JsonError;
use crate::wire::percent::PercentError;

/// Makes an enum of causes and its tables from rows under their codes: a cause, its data and its
/// sentence.
macro_rules! refused {
    (
        $(#[$doc:meta])* $name:ident $(<$life:lifetime>)?;
        $($code:ident { $($cause:ident $({ $($field:ident: $of:ty),+ })? $reason:literal;)+ })+
    ) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $name $(<$life>)? {
            $($(
                #[doc = concat!("```text\n", $reason, "\n```")]
                $cause $({ $(
                    #[doc = concat!("The `", stringify!($field), "` of the sentence.")]
                    $field: $of,
                )+ })?,
            )+)+
        }

        impl $(<$life>)? $name $(<$life>)? {
            /// The error code, which has the status.
            pub fn code(&self) -> $crate::wire::refusal::ErrorCode {
                match self {
                    $($(Self::$cause { .. })|+ => $crate::wire::refusal::ErrorCode::$code,)+
                }
            }
        }

        /// The sentence for people.
        impl $(<$life>)? std::fmt::Display for $name $(<$life>)? {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    $($(Self::$cause $({ $($field),+ })? => write!(f, $reason),)+)+
                }
            }
        }
    };
}
pub(crate) use refused;

refused! {
    /// The cause of a refusal that no protocol has to itself.
    Refused<'a>;

    // ---- the query and the path ----
    BadCallback {
        Callback { name: &'a str, chars_max: usize } "callback is {name:?}; a name is allowed, or names joined by dots, \
            of ASCII letters, digits, _ and $, not beginning with a digit, of at most {chars_max} characters";
    }
    NoCallback { NoCallback "the query must name the function to call: callback=f"; }
    BadConflate {
        Conflate { least: u64, most: u64 } "conflate is a number of milliseconds from {least} to {most}";
    }
    BadDomain {
        Domain { domain: &'a str, host: &'a str }
            "domain is {domain:?}; the host's own name ({host}) or a domain above it is allowed";
    }
    BadLast { Last { text: &'a str } "last is {text:?}; a number of messages is allowed"; }
    BadLimit { Limit { text: &'a str } "limit is {text:?}; a number from 1 to 10000 is allowed"; }
    BadPad {
        Pad { text: &'a str, bytes_max: usize }
            "pad is {text:?}; a number of bytes from 0 to {bytes_max} is allowed";
    }
    BadProtocol {
        Subprotocol { offered: &'a str, native: &'a str, echo: &'a str } "Sec-WebSocket-Protocol offers {offered}; {native} is \
            spoken here, also when nothing is offered, and {echo}";
    }
    BadQuery {
        Query { error: PercentError } "the query: {error}";
        QueryName { name: &'a str, meant: &'a str } "the query: {name} is not known; {meant} is probably meant";
        Flag { name: &'a str, text: &'a str } "{name} is {text:?}; 0 and 1 are allowed";
        Resume { text: &'a str } "resume is {text:?}; exact is allowed, or nothing";
        Heartbeat { text: Option<&'a str> } "heartbeat is {text:?}; comment is allowed, or nothing";
        HeartbeatOfExact "resume=exact has its own heartbeats; leave out heartbeat";
        CallbackAndOrigin "callback and origin exclude each other: the frame calls a function or posts messages";
    }
    BadStyle { Style { text: &'a str } "style is {text:?}; after and before are allowed"; }
    BadType { Type { text: &'a str, allowed: &'a str } "type is {text:?}; allowed are {allowed}"; }
    BadUser {
        User { place: &'a str, error: BadName } "{place}: {error}";
        UserSegment { error: PercentError } "the user in the path: {error}";
        NoUser "the query must name the user: /place?user=alice";
    }
    NoChannel { NoChannel "the query must name the channel: /channel?name=/chat/room1"; }
    NotFound {
        NoPath { transports: &'a str, hint: &'a str } "there is nothing at this path; a user's URLs are /u/{{user}}/ and one of \
            {transports}, send, tcp; publishing is on the private listener, ENCKE_API_LISTEN; {hint}";
        NoCall { hint: &'a str } "there is nothing at this path of the private listener; there are POST /publish, POST \
            /u/{{user}}/publish, GET and DELETE /u/{{user}}, GET /channels, /channel?name=, /place?user=, /metrics, /health, /ready; {hint}";
        NoNodes "users have no places: ENCKE_NODES is not set";
    }
    MethodNotAllowed { Method { allow: &'static str } "this URL takes {allow}"; }

    // ---- the body ----
    BadContentType {
        NoMediaType { value: &'a str } "{value:?} is no media type";
        Charset { value: &'a str } "{value:?}: only UTF-8 is understood";
        ContentType { value: &'a str } "{value:?} is not understood; allowed are application/json, application/x-ndjson, \
            text/plain, application/octet-stream and application/x-www-form-urlencoded";
        BatchContentType "a body that names channels is JSON; text and bytes go to /u/{{user}}/publish";
    }
    BadForm {
        Form { error: PercentError } "the form: {error}";
        FormOfCommands "the form has no field \"message\" with commands as JSON";
    }
    BadJson {
        CommandsJson { error: JsonError } "the commands: {error}";
        CommandsArray { error: serde_json::Error } "the commands are not an array: {error}";
        PayloadJson { error: JsonError } "the payload is not JSON: {error}; for plain text say Content-Type: text/plain";
        BatchArray { error: serde_json::Error } "the body is not an array: {error}";
    }
    BadText {
        PayloadText "the payload is not UTF-8; for bytes say Content-Type: application/octet-stream";
    }
    BadKey {
        Key { chars_max: usize } "the key of a publish has 1 to {chars_max} characters";
        TwoKeys "the request names two different keys";
        KeyText "Idempotency-Key is not UTF-8";
        KeyQuotes "Idempotency-Key begins with a quote: it must be one string, closed by a quote";
    }
    KeyReused {
        KeyReused { key: &'a str, channel: &'a str } "the key {key:?} was used for another message in {channel}: send the same \
            message again, or take a new key";
    }
    BadMessage {
        Message { shape: &'a str, error: serde_json::Error } "not a message ({shape}): {error}";
        MessageAddress { shape: &'a str } "a message names a channel, a user, or a session and a channel: {shape}";
    }
    MessageTooLarge {
        Payload { bytes: usize, bytes_max: usize }
            "the payload has {bytes} bytes as JSON; ENCKE_MESSAGE_BYTES allows {bytes_max}";
        MessageUp { bytes_max: usize } "a message up may have {bytes_max} bytes";
    }
    TooManyMessages {
        Messages { count: usize, max: usize } "{count} messages in one request; ENCKE_BATCH allows {max}";
    }

    // ---- commands ----
    BadCommand {
        Command { known: &'a str, error: serde_json::Error } "not a command ({known}): {error}";
        CommandVerbs { known: &'a str } "a command is exactly one of {known}, with the fields that belong to it";
        CommandMember { member: &'a str, command: &'a str, allowed: &'a str }
            "\"{member}\" does not belong to {command}, which takes {allowed}";
        NoData "a publish needs its payload in \"data\", which may be null";
        Base64 "with \"encoding\":\"base64\", \"data\" is a string of base64 (RFC 4648, section 4), padded";
        RecordHeader { error: serde_json::Error } "the header of a binary message is {{\"publish\":CHANNEL}} or {{\"tcp\":STREAM}}: {error}";
        RecordVerbs "the header of a binary message is either {{\"publish\":CHANNEL}}, perhaps with a key, or {{\"tcp\":STREAM}}";
        Stream { error: serde_json::Error } "not what a tcp stream is asked for: {error}";
        StreamNumber "a page numbers its tcp streams from 1";
        StreamMembers "a tcp command has its stream and one of open, host with port, at with data or end, ack, resume or reset";
        StreamBase64 "the data of a tcp stream is base64 (RFC 4648, section 4), padded";
    }
    BadRecord {
        Record "the message is shorter than its header says";
    }
    BadPosition { Position { text: &'a str } "{text:?} is no position of this stream"; }
    TooManyCommands {
        Commands { count: usize, max: usize } "{count} commands in one request; at most {max} are allowed";
    }
    NoSession { NoSession "this command concerns a session: name it by session= or the Encke-Session header"; }
    UnknownSession {
        SessionOver "the session that was named is over, or never was";
        AddresseeOver "the session that the message is for is over, or never was";
    }
    TcpUnknownTarget {
        TcpTarget { name: &'a str, allowed: &'a str } "there is no tcp target {name:?} for this user; allowed: {allowed}";
        TargetName { error: PercentError } "the target's name in the path: {error}";
        TcpNone "this node has no tcp targets: see ENCKE_TCP_TARGETS";
    }
    TcpUnknownStream {
        TcpStreamOver { stream: u32 } "the tcp stream {stream} is over, or a page's later number has passed it";
        TcpNeverOpened { stream: u32 } "the tcp stream {stream} was never opened";
    }
    TcpConflict {
        TcpHole { at: u64, next: u64 } "the bytes begin at {at}; the next one that the stream takes is {next}";
        TcpCredit { end: u64, credit: u64 } "the bytes reach to {end}; the stream takes those up to {credit} for now";
        TcpEnded { end: u64 } "the stream's bytes have ended at {end}";
        TcpAck { at: u64, sent: u64 } "{at} was not sent; the stream has reached {sent}";
        TcpGone { at: u64, kept: u64 } "the bytes from {at} on were acknowledged; those from {kept} on are kept";
        TcpUsed { stream: u32 } "the tcp stream {stream} is open to another server";
    }
    NotSubscribed { NotSubscribed { channel: &'a str } "the session has no subscription to {channel}"; }
    BadGreeting {
        Greeting { error: serde_json::Error } "the first message must be {{\"connect\":{{\"user\":…}}}}, with channels, last, \
            since, session and token as needed: {error}";
        PolicyRequest "what begins with < must be <policy-file-request/> and a NUL";
    }
    GreetingTooLarge { GreetingTooLarge { bytes_max: usize } "the first message may have {bytes_max} bytes"; }

    // ---- channels ----
    BadChannel {
        Channel { error: BadName } "{error}";
        PersonalStays "the personal channel belongs to the session and stays with it";
        PublishToPattern "a message goes to one channel, not to a pattern";
        PublishToSession "what is for one session goes to a channel under /service/";
        PresenceOfPattern "presence is of one channel, not of a pattern";
        PresenceOfPersonal "a personal channel has no presence: nobody else can be there";
    }
    Reserved { Reserved "channels under /meta and /service are reserved"; }
    Forbidden {
        Publish { channel: &'a str } "no permission to publish to {channel}; the token's channels claim gives it";
        Subscribe { channel: &'a str } "no permission to subscribe to {channel}; the token's channels claim gives it";
        TcpAllow "no address may be named here, because ENCKE_TCP_ALLOW is not set; name a target";
        TcpAllowClaim "no permission to name addresses; \"*\" in the token's tcp claim gives it";
        SubscribeReserved "channels under /meta and /service are reserved";
        SubscribePersonal { channel: &'a str } "{channel} is another user's personal channel; nobody else can have it";
    }

    // ---- pages, hosts and keys ----
    OriginRefused {
        Page { origin: &'a str, value: &'a str }
            "pages of {origin} may not connect; ENCKE_ORIGINS={value} would let them in";
        PageUnnamed "a page of another origin asks, and does not say of which: it must send its Referer \
            (Referrer-Policy: no-referrer keeps that back) and be listed in ENCKE_ORIGINS; \
            ENCKE_ORIGINS=* would let in every page";
        PageUnknown "a browser asks (or a client that sends a Cookie), without Sec-Fetch-Site, Origin or Referer: the page \
            may be anybody's. Over https browsers say where it is from; over http it must send its Referer \
            (Referrer-Policy: no-referrer keeps that back), or a header that no script element can, as \
            X-Requested-With; ENCKE_ORIGINS=* would let in every page";
        PageOfPrivate "the private listener serves backends, not web pages; without ENCKE_API_KEY it is called by its address, \
            a name without a dot, or one that ENCKE_HOSTS lists";
        PostTo { origin: &'a str } "origin is {origin:?}; messages are posted to this server's own origin and to those of \
            ENCKE_ORIGINS, which must list it";
    }
    HostRefused {
        Host { name: &'a str } "this server is not called {name}: it is called by its address, localhost, a name without a \
            dot, or a name that ENCKE_HOSTS lists; ENCKE_HOSTS={name} would let this one in";
    }
    NoTokenKeys {
        KeysFetched { denied: &'a str }
            "{denied}; the keys of ENCKE_TOKEN_KEYS_URL are being fetched again: try again";
    }

    // ---- places ----
    Elsewhere {
        Elsewhere { node: &'a str } "another node serves this user, {node}: repeat the request there, by a new connection";
    }

    // ---- bounds ----
    Timeout {
        GreetingLate "no message came within ENCKE_HEAD_TIMEOUT";
        HeadLate "the request's head took longer than ENCKE_HEAD_TIMEOUT";
        BodyLate "the request's body took longer than ENCKE_BODY_TIMEOUT";
        MessageLate "a message up took longer than ENCKE_BODY_TIMEOUT";
    }
    TooManyFromAddress {
        Address { address: IpAddr } "the address {address} has all the sessions that ENCKE_SESSIONS_PER_ADDRESS allows; if it is a \
            balancer's, let that send the clients' addresses (ENCKE_PROXY_PROTOCOL) or raise the bound";
    }
    TooManyUserChannels {
        UserChannels "there are all the channels that ENCKE_USER_CHANNELS allows for one user; a channel goes when nobody \
            is subscribed to it and its messages have aged";
    }
    TooManySubscriptions { Subscriptions { max: usize } "a session may have at most {max} subscriptions"; }
    TooManyChannels {
        Channels "the node has all the channels that ENCKE_CHANNELS allows";
        ClientChannels "clients have all the channels that ENCKE_CHANNELS allows, but an eighth, which is kept for backends";
    }
    MemoryFull {
        Memory "channels and subscriptions take three quarters of ENCKE_MEMORY, and may take no more";
    }
    NotAdmitted {
        Admission { after: u64 } "the node creates no more sessions in a second than ENCKE_ADMIT allows; come back in {after} ms";
    }
    TooManySessions { Sessions "the node has all the sessions that ENCKE_SESSIONS allows"; }
    Full {
        Connections "the node has all the connections that ENCKE_CONNECTIONS allows; come back later";
        PrivateConnections "the node has all the connections that ENCKE_CONNECTIONS and ENCKE_API_RESERVE allow; come back later";
    }
    TooManyStreams {
        TcpSession { max: usize } "a session has at most {max} tcp streams (ENCKE_TCP_STREAMS)";
        TcpUser { max: usize } "a user has at most {max} tcp streams (ENCKE_TCP_USER_STREAMS)";
        TcpAddress { address: IpAddr } "the address {address} has all the tcp streams that ENCKE_TCP_ADDRESS_STREAMS allows; if it is a \
            balancer's, let that send the clients' addresses (ENCKE_PROXY_PROTOCOL) or raise the bound";
        TcpAsker "the connection that asked for the tcp stream is gone; ask again";
        TcpTargetFull { name: &'a str, max: usize } "the tcp target {name} has at most {max} streams at once; try again";
        TcpNode "the node has all the tcp streams that ENCKE_TCP_NODE_STREAMS allows; try again";
    }
    InputFull { Input "the node holds all the unfinished input that ENCKE_INPUT_MEMORY allows; try again"; }
    Busy {
        Mailbox "a shard has more letters waiting than ENCKE_MAILBOX allows; try again";
        Drains "the node is going away; another one takes over";
        Behind "a request of another session waits behind one that is being answered; send it by itself";
    }
}

impl Refused<'_> {
    /// The address of the node that serves the user instead.
    #[expect(clippy::wildcard_enum_match_arm, reason = "one cause names a node")]
    pub fn node(&self) -> Option<&str> {
        match self {
            Self::Elsewhere { node } => Some(node),
            _ => None,
        }
    }

    /// When the client should come back, if that is known.
    #[expect(clippy::wildcard_enum_match_arm, reason = "one cause tells the time")]
    pub fn after(&self) -> Option<Span> {
        match self {
            Self::Admission { after } => Some(Span::from_millis(*after)),
            _ => None,
        }
    }

    /// The header that the status requires, or that gives the time of a retry.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the code decides for all other causes")]
    pub fn header(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Method { allow } => Some(("Allow", allow)),
            // Waiting does not help: the request must go elsewhere, or without others.
            Self::Drains | Self::Behind => None,
            other => Some(("Retry-After", other.code().retry_after()?)),
        }
    }
}
