//! The kinds of values other than numbers: addresses, keys, origins, hooks, log filters.
//!
//! Each type parses the text of its variable; its error is the half sentence that follows the value
//! in a [`Problem`](super::Problem). It resolves, opens and looks up nothing: a file's path stays a
//! path.

mod address;
mod hook;
mod host;
mod logs;
mod mistaken;
mod network;
mod nodes;
mod origin;
mod proxy;
mod secret;
pub(crate) mod tcp;

pub use self::address::{ApiListen, Listen};
pub use self::hook::HookUrl;
pub(super) use self::hook::shown_url;
pub use self::host::HostPattern;
pub use self::logs::{LogFilter, LogFormat, LogRule};
pub use self::nodes::{ClusterNode, NodeChoice};
pub use self::origin::OriginPattern;
pub use self::proxy::{ProxyHeader, ProxyProtocol};
pub use self::secret::{AuthMode, Secret, TokenKey};

/// Parses a comma-separated list. Empty and repeated items are errors.
pub(super) fn list<T: PartialEq>(
    text: &str,
    item: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let mut items = Vec::new();
    for part in text.split(',').map(str::trim) {
        if part.is_empty() {
            return Err("has an empty item".to_owned());
        }
        let value = item(part)?;
        if items.contains(&value) {
            return Err(format!("names {part} twice"));
        }
        items.push(value);
    }
    Ok(items)
}
