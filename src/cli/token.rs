//! `encke token`: prints a token for development, signed with the configured secret.
//!
//! Its arguments are the token's content; the key comes from the environment, as everywhere.

use std::ffi::OsString;
use std::time::{SystemTime, UNIX_EPOCH};

use encke::auth::issue::Claims;
use encke::config::{self, Config};

/// The arguments of `encke token`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TokenArguments {
    user: String,
    channels: Vec<(String, String)>,
    seconds: u64,
}

impl TokenArguments {
    /// Reads the arguments behind `token`: `--user alice` and `--user=alice` are the same.
    pub(super) fn read(args: &[OsString]) -> Result<Self, String> {
        let (mut user, mut channels, mut seconds) = (None, Vec::new(), SECONDS_DEFAULT);
        let mut words = args.iter();
        while let Some(word) = words.next() {
            let word = text(word)?;
            let (flag, inline) = match word.split_once('=') {
                Some((flag, value)) => (flag, Some(value)),
                None => (word, None),
            };
            if !["--user", "--channel", "--for"].contains(&flag) {
                return Err(format!("unknown argument {word:?} of `encke token`; {USAGE}"));
            }
            let value = match (inline, words.as_slice()) {
                (Some(value), _) => value,
                (None, [next, ..]) => {
                    words.next();
                    text(next)?
                }
                (None, []) => return Err(format!("{flag} needs a value; {USAGE}")),
            };
            match flag {
                "--channel" => channels.push(channel(value)?),
                "--for" => seconds = lifetime(value)?,
                _ if user.is_some() => {
                    return Err("--user is given twice; a token is for one user".to_owned());
                }
                _ => user = Some(value.to_owned()),
            }
        }
        let user = user.ok_or_else(|| format!("`encke token` needs --user; {USAGE}"))?;
        Ok(Self { user, channels, seconds })
    }

    /// The token, valid from now on.
    #[expect(clippy::disallowed_methods, reason = "no shard: a command that prints one token")]
    pub(super) fn issue(&self, config: &Config) -> Result<String, String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let claims = Claims {
            user: self.user.clone(),
            expires: now.saturating_add(self.seconds),
            channels: self.channels.clone(),
        };
        claims.issue(config, now).map_err(|reason| reason.to_string())
    }
}

fn text(word: &OsString) -> Result<&str, String> {
    word.to_str().ok_or_else(|| format!("{:?} is not UTF-8", word.to_string_lossy()))
}

/// `PATTERN=ACCESS`. A name may have a `=` of its own, so the last one counts.
fn channel(value: &str) -> Result<(String, String), String> {
    let split = value.rsplit_once('=').filter(|(_, access)| ["r", "w", "rw"].contains(access));
    let (pattern, access) = split.ok_or_else(|| {
        format!("--channel {value:?} has no access; allowed: PATTERN=r, PATTERN=w, PATTERN=rw")
    })?;
    Ok((pattern.to_owned(), access.to_owned()))
}

fn lifetime(value: &str) -> Result<u64, String> {
    let span = config::span(value).map_err(|reason| format!("--for {value:?}: {reason}"))?;
    match span.as_millis() / 1000 {
        0 => Err(format!("--for {value:?}: too short; allowed: 1s or more")),
        seconds => Ok(seconds),
    }
}

/// How long a token is valid unless the arguments say otherwise: a forgotten one ends by itself.
const SECONDS_DEFAULT: u64 = 3600;

const USAGE: &str = "usage: encke token --user USER [--channel PATTERN=r|w|rw]... [--for 1h]";

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(args: &[&str]) -> Result<TokenArguments, String> {
        TokenArguments::read(&args.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn both_spellings_of_a_flag_are_the_same() {
        let apart =
            wanted(&["--user", "alice", "--channel", "/chat/**=rw", "--channel", "/a=b=r", "--for", "2m"]);
        let joined = wanted(&["--for=2m", "--channel=/chat/**=rw", "--channel=/a=b=r", "--user=alice"]);
        let own = |pattern: &str, access: &str| (pattern.to_owned(), access.to_owned());
        let channels = vec![own("/chat/**", "rw"), own("/a=b", "r")];
        assert_eq!(apart, Ok(TokenArguments { user: "alice".to_owned(), channels, seconds: 120 }));
        assert_eq!(joined, apart);
    }

    #[test]
    fn what_cannot_be_read_is_named_with_what_is_allowed() {
        for (args, says) in [
            (&[][..], "needs --user"),
            (&["--user"], "--user needs a value"),
            (&["--user", "a", "--user", "b"], "given twice"),
            (&["--user", "a", "--channel", "/chat"], "allowed: PATTERN=r"),
            (&["--user", "a", "--channel", "/chat=x"], "allowed: PATTERN=r"),
            (&["--user", "a", "--for", "60"], "a duration needs its unit"),
            (&["--user", "a", "--for", "1ms"], "allowed: 1s or more"),
            (&["--users", "a"], "unknown argument \"--users\""),
            (&["alice"], "usage: encke token --user USER"),
        ] {
            let complaint = wanted(args).unwrap_err();
            assert!(complaint.contains(says), "{args:?}: {complaint}");
        }
    }
}
