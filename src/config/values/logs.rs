//! Log filter and format. The filter has `env_logger`'s syntax; parsing it here makes a mistake
//! stop the start instead of silencing the log.

use std::fmt;

use log::LevelFilter;

/// Which log lines are written: the rule with the longest target that is a prefix of the line's
/// target decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter {
    /// The rules, in the given order. Never empty.
    pub rules: Vec<LogRule>,
}

/// One rule of a [`LogFilter`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRule {
    /// A module such as `encke::shard`; `None` for all.
    pub target: Option<String>,
    /// The least severe level that is written.
    pub level: LevelFilter,
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One line for people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

impl LogFilter {
    /// Parses a level, or a list of levels and `target=level`.
    pub(in crate::config) fn read(text: &str) -> Result<Self, String> {
        let rules = super::list(text, rule)?;
        for (i, rule) in rules.iter().enumerate() {
            if rules[..i].iter().any(|earlier| earlier.target == rule.target) {
                let target = rule.target.as_deref().unwrap_or("everything");
                return Err(format!("gives two levels for {target}"));
            }
        }
        Ok(Self { rules })
    }
}

impl LogFormat {
    pub(in crate::config) fn read(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(format!("{other:?} is neither text nor json")),
        }
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, rule) in self.rules.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            let level = rule.level.as_str().to_ascii_lowercase();
            match &rule.target {
                Some(target) => write!(f, "{comma}{target}={level}")?,
                None => write!(f, "{comma}{level}")?,
            }
        }
        Ok(())
    }
}

fn rule(text: &str) -> Result<LogRule, String> {
    let (target, level) = match text.split_once('=') {
        Some((target, level)) if is_target(target) => (Some(target.to_owned()), level),
        Some((target, _)) => return Err(format!("{target:?} is not a module such as encke::shard")),
        None => (None, text),
    };
    let level = level.parse().map_err(|_| format!("{level:?} is not a level"))?;
    Ok(LogRule { target, level })
}

fn is_target(target: &str) -> bool {
    !target.is_empty() && target.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_targets_are_read_and_spelled_back() {
        for text in ["off", "info", "trace", "warn,encke::shard=debug", "encke=debug,mio=off,error"] {
            assert_eq!(LogFilter::read(text).map(|filter| filter.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn a_mistyped_log_filter_is_refused_and_not_taken_as_off() {
        for text in
            ["", "inof", "info,", "encke::shard", "=debug", "encke=", "encke=loud", "a b=info", "info,debug"]
        {
            assert!(LogFilter::read(text).is_err(), "{text}");
        }
        assert!(LogFormat::read("JSON").is_err());
    }
}
