//! The program: run to its end, with its report, its exit code and its output on standard error.

use std::process::{Command, Stdio};

use serde_json::Value;

/// The result of a run.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    /// Null, if there is none.
    pub(crate) report: Value,
    /// The standard error.
    pub(crate) stderr: String,
}

/// Runs it with arguments that contain no spaces.
pub(crate) fn run(arguments: &str) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_encke-loadtest"))
        .args(arguments.split_whitespace())
        .args(["--quiet", "--json", "-"])
        .stdin(Stdio::null())
        .output()
        .expect("the program starts");
    Run {
        code: output.status.code(),
        report: serde_json::from_slice(&output.stdout).unwrap_or_default(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

impl Run {
    /// A count of the report.
    pub(crate) fn count(&self, field: &str) -> u64 {
        self.report[field].as_u64().unwrap_or_else(|| panic!("no {field}: {}\n{}", self.report, self.stderr))
    }

    /// A number of the report, by its path.
    pub(crate) fn number(&self, path: &str) -> f64 {
        let found = self.report.pointer(path).and_then(Value::as_f64);
        found.unwrap_or_else(|| panic!("no {path}: {}\n{}", self.report, self.stderr))
    }
}
