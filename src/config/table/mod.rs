//! The table of all variables, a file for each group.
//!
//! To add a variable: a row here, a field in [`Config`](super::Config), a zero in `read::blank`,
//! and `UPDATE=1 cargo test --test config` for the page. If it limits another variable, also a row
//! in `rules`.

use super::{Group, Variable};
use crate::base::ticks::Span;

mod auth;
mod hooks;
mod limits;
mod listeners;
mod logging;
mod messages;
mod network;
mod nodes;
mod sessions;
mod tcp;

/// The rows of one group.
pub(super) fn rows(group: Group) -> &'static [Variable] {
    match group {
        Group::Listeners => listeners::ROWS,
        Group::Auth => auth::ROWS,
        Group::Hooks => hooks::ROWS,
        Group::Tcp => tcp::ROWS,
        Group::Nodes => nodes::ROWS,
        Group::Sessions => sessions::ROWS,
        Group::Limits => limits::ROWS,
        Group::Messages => messages::ROWS,
        Group::Network => network::ROWS,
        Group::Logging => logging::ROWS,
    }
}

/// All rows, in the table's order.
pub(super) fn all() -> impl Iterator<Item = &'static Variable> {
    Group::ALL.into_iter().flat_map(rows)
}

/// The row of a name.
pub(super) fn find(name: &str) -> Option<&'static Variable> {
    all().find(|variable| variable.name == name)
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;

const MINUTE: Span = Span::from_secs(60);
const HOUR: Span = Span::from_secs(3600);
