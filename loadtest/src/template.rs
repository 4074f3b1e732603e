//! Templates: texts with placeholders, and the requests that are made of them.
//!
//! A placeholder is a known name in braces, as in `/sub?id={channel}`; all other braces are text,
//! so JSON needs no escapes. A header whose placeholder has no value is left out: so a client's
//! first request differs from the next.

use std::io::Write as _;

use serde::{Deserialize, Serialize};

/// The meaning of a placeholder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Placeholder {
    /// The name of the channel: different in each run.
    Channel,
    /// The name of the user: different in each run.
    User,
    /// The client's number.
    Number,
    /// Letters and digits that the client draws once.
    Random,
    /// The client's position.
    Position,
    /// The session that the server assigned.
    Session,
    /// `session=…&since=…&` of a query, as far as they are known; empty at first.
    Resume,
    /// The client's key for the upgrade to `WebSocket`.
    Key,
    /// `Last-Modified` of the last response.
    Modified,
    /// `Etag` of the last response.
    Etag,
    /// The id that a Bayeux server assigned.
    ClientId,
    /// The cookie that a server set.
    Cookie,
    /// The client's channels as elements of a JSON list.
    Subscriptions,
    /// A message's payload, with its quotes.
    Payload,
    /// A message's payload without quotes.
    Text,
}

impl Placeholder {
    const ALL: [(&'static str, Self); 15] = [
        ("{channel}", Self::Channel),
        ("{user}", Self::User),
        ("{n}", Self::Number),
        ("{random}", Self::Random),
        ("{position}", Self::Position),
        ("{session}", Self::Session),
        ("{resume}", Self::Resume),
        ("{key}", Self::Key),
        ("{modified}", Self::Modified),
        ("{etag}", Self::Etag),
        ("{client_id}", Self::ClientId),
        ("{cookie}", Self::Cookie),
        ("{subscriptions}", Self::Subscriptions),
        ("{payload}", Self::Payload),
        ("{text}", Self::Text),
    ];
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum TemplatePart {
    Text(String),
    Placeholder(Placeholder),
}

/// A text with placeholders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template(Vec<TemplatePart>);

impl Template {
    /// Parses a text.
    pub fn new(text: &str) -> Self {
        let (mut parts, mut rest) = (Vec::new(), text);
        let next = |rest: &str| {
            Placeholder::ALL
                .iter()
                .filter_map(|(name, place)| Some((rest.find(name)?, *name, *place)))
                .min_by_key(|hit| hit.0)
        };
        while let Some((at, name, place)) = next(rest) {
            parts.push(TemplatePart::Text(rest[..at].to_owned()));
            parts.push(TemplatePart::Placeholder(place));
            rest = &rest[at + name.len()..];
        }
        parts.push(TemplatePart::Text(rest.to_owned()));
        parts.retain(|part| *part != TemplatePart::Text(String::new()));
        Self(parts)
    }

    /// Appends the text with all placeholders replaced. Returns false, and appends nothing, if one
    /// has no value.
    pub fn fill(&self, values: &impl Values, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        for part in &self.0 {
            let filled = match part {
                TemplatePart::Text(text) => {
                    out.extend_from_slice(text.as_bytes());
                    true
                }
                TemplatePart::Placeholder(place) => values.write(*place, out),
            };
            if !filled {
                out.truncate(start);
                return false;
            }
        }
        true
    }
}

/// Gives the values of placeholders.
pub trait Values {
    /// Appends the value; false if there is none.
    fn write(&self, place: Placeholder, out: &mut Vec<u8>) -> bool;
}

/// A request as written in a preset or on the command line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestSpec {
    /// GET, POST.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Lines such as `Accept: text/event-stream`.
    pub headers: Vec<String>,
    /// The body, if it has one.
    pub body: Option<String>,
}

impl RequestSpec {
    /// A request without a body.
    pub fn get(path: &str, headers: &[&str]) -> Self {
        let headers = headers.iter().map(|&line| line.to_owned()).collect();
        Self { method: "GET".to_owned(), path: path.to_owned(), headers, body: None }
    }

    /// A request with a body.
    pub fn post(path: &str, content_type: &str, body: &str) -> Self {
        Self {
            method: "POST".to_owned(),
            path: path.to_owned(),
            headers: vec![format!("Content-Type: {content_type}")],
            body: Some(body.to_owned()),
        }
    }
}

/// A request that is prepared for repeated use.
#[derive(Clone, Debug)]
pub struct Request {
    line: Template,
    headers: Vec<Template>,
    host: String,
    body: Option<Template>,
}

impl Request {
    /// Prepares a request to a host.
    pub fn new(ask: &RequestSpec, host: &str) -> Self {
        Self {
            line: Template::new(&format!("{} {} HTTP/1.1\r\n", ask.method, ask.path)),
            headers: ask.headers.iter().map(|line| Template::new(&format!("{line}\r\n"))).collect(),
            host: format!("Host: {host}\r\n"),
            body: ask.body.as_deref().map(Template::new),
        }
    }

    /// Appends the request.
    pub fn write(&self, values: &impl Values, out: &mut Vec<u8>) {
        self.head(values, out);
        let Some(template) = &self.body else {
            out.extend_from_slice(b"\r\n");
            return;
        };
        let mut body = Vec::new();
        template.fill(values, &mut body);
        end_with(&body, out);
    }

    /// Appends the request with a body made elsewhere.
    pub fn write_with(&self, values: &impl Values, body: &[u8], out: &mut Vec<u8>) {
        self.head(values, out);
        end_with(body, out);
    }

    fn head(&self, values: &impl Values, out: &mut Vec<u8>) {
        self.line.fill(values, out);
        out.extend_from_slice(self.host.as_bytes());
        for header in &self.headers {
            header.fill(values, out);
        }
    }
}

fn end_with(body: &[u8], out: &mut Vec<u8>) {
    let _ = write!(out, "Content-Length: {}\r\n\r\n", body.len());
    out.extend_from_slice(body);
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Only(Placeholder, &'static str);

    impl Values for Only {
        fn write(&self, place: Placeholder, out: &mut Vec<u8>) -> bool {
            out.extend_from_slice(if place == self.0 { self.1.as_bytes() } else { b"" });
            place == self.0
        }
    }

    fn filled(text: &str, values: &Only) -> Option<String> {
        let mut out = b">".to_vec();
        let filled = Template::new(text).fill(values, &mut out);
        let out = String::from_utf8(out).unwrap();
        assert!(filled || out == ">", "{out}");
        filled.then_some(out[1..].to_owned())
    }

    #[test]
    fn known_names_are_places_and_other_braces_are_text() {
        let channel = Only(Placeholder::Channel, "c7");
        assert_eq!(
            filled(r#"{"channel":"/{channel}","x":{}}"#, &channel).unwrap(),
            r#"{"channel":"/c7","x":{}}"#
        );
        assert_eq!(filled("{channel}{channel}", &channel).unwrap(), "c7c7");
        assert_eq!(filled("nothing", &channel).unwrap(), "nothing");
        assert_eq!(filled("{user} and {channel}", &channel), None);
    }

    #[test]
    fn a_header_without_its_value_is_left_out_and_a_body_has_its_length() {
        let mut ask = RequestSpec::post("/{channel}", "text/plain", "<{channel}>");
        ask.headers.push("Last-Event-ID: {position}".to_owned());
        let request = Request::new(&ask, "h:1");
        let mut out = Vec::new();
        request.write(&Only(Placeholder::Channel, "c"), &mut out);
        let expected =
            "POST /c HTTP/1.1\r\nHost: h:1\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\n<c>";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
