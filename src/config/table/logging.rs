//! The log: level and format. Not to be confused with the logs of messages.

use super::Variable;
use crate::config::values::{LogFilter, LogFormat};
use crate::config::variable::VariableKind;

pub(super) const ROWS: &[Variable] = &[
    Variable {
        name: "ENCKE_LOG_LEVEL",
        default: Some("info"),
        summary: "what is logged: off, error, warn, info, debug, trace",
        details: "`info` logs what an operator needs: start, stop, limits reached. `debug` adds a \
            line for each finished exchange. A list such as `info,encke::shard=debug` sets modules \
            separately. The log goes to standard error.",
        kind: VariableKind::Text {
            allowed: "off, error, warn, info, debug, trace; or a comma-separated list of a level and \
                TARGET=LEVEL",
            place: |config, text| LogFilter::read(text).map(|filter| config.log_level = filter),
        },
    },
    Variable {
        name: "ENCKE_LOG_FORMAT",
        default: Some("text"),
        summary: "text: lines for people; json: one object per line",
        details: "`text` is time (UTC), level, target, message and the line's own fields as \
            `key=value`. `json` is one object per line with `ts`, `level`, `target`, `msg` and the \
            same fields, for log collectors.",
        kind: VariableKind::Text {
            allowed: "text or json",
            place: |config, text| LogFormat::read(text).map(|format| config.log_format = format),
        },
    },
];
