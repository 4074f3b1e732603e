//! The place of this node among the nodes of a cluster: the table of slots, with addresses.
//!
//! Computed once from `ENCKE_NODES` and `ENCKE_NODE`, and shared by all shards. It changes only by
//! a restart, so that a node never serves by one table and answers by another.

use std::fmt;

use super::values::ClusterNode;
use crate::base::places::{Places, Slot};

/// How the names begin that the node gives to clients without a user. They have no place: such a
/// client is served where it comes.
pub const ANONYMOUS: &str = "anonymous-";

/// The same for SockJS sessions, by whose names such users are called.
pub const SOCKJS: &str = "sockjs-";

/// The table, and which of its nodes this is.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterPlace {
    nodes: Vec<ClusterNode>,
    own: Option<usize>,
    places: Places,
}

/// Where a user is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserPlace<'a> {
    /// The user's slot.
    pub slot: Slot,
    /// The node that serves the user.
    pub home: &'a ClusterNode,
    /// The node that serves the user while the home is away; `None` in a cluster of one.
    pub deputy: Option<&'a ClusterNode>,
    /// What this node is to the user.
    pub role: NodeRole,
}

/// What this node is to a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeRole {
    /// It has no place and serves everybody, or the user has none and is served everywhere.
    Unplaced,
    /// It serves the user.
    Home,
    /// It serves the user as a guest, for a time.
    Deputy,
    /// Another node serves the user.
    Other,
}

impl NodeRole {
    /// Its name in answers of the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unplaced => "unplaced",
            Self::Home => "home",
            Self::Deputy => "deputy",
            Self::Other => "other",
        }
    }
}

impl ClusterPlace {
    /// The place of the node with the index `own`; `None`: only the table, as for a backend.
    pub fn new(nodes: Vec<ClusterNode>, own: Option<usize>) -> Self {
        let names: Vec<_> = nodes.iter().map(|node| &*node.name).collect();
        let places = Places::new(&names);
        Self { nodes, own, places }
    }

    /// All nodes, in the order of the list.
    pub fn nodes(&self) -> &[ClusterNode] {
        &self.nodes
    }

    /// The table of slots.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// Where a user is served.
    pub fn of(&self, user: &str) -> UserPlace<'_> {
        let slot = Slot::of(user);
        let found = self.places.nodes(slot);
        let is_own = |node: u16| self.own == Some(usize::from(node));
        let role = match self.own {
            None => NodeRole::Unplaced,
            Some(_) if [ANONYMOUS, SOCKJS].iter().any(|own| user.starts_with(own)) => NodeRole::Unplaced,
            Some(_) if is_own(found.home) => NodeRole::Home,
            Some(_) if found.deputy.is_some_and(is_own) => NodeRole::Deputy,
            Some(_) => NodeRole::Other,
        };
        let node = |node: u16| &self.nodes[usize::from(node)];
        UserPlace { slot, home: node(found.home), deputy: found.deputy.map(node), role }
    }

    /// The node that serves a user instead of this one; `None` if this one does.
    pub fn elsewhere(&self, user: &str) -> Option<&ClusterNode> {
        let found = self.of(user);
        (found.role == NodeRole::Other).then_some(found.home)
    }

    /// Whether a user is a guest here, whose home is another node.
    pub fn is_guest(&self, user: &str) -> bool {
        self.of(user).role == NodeRole::Deputy
    }
}

impl fmt::Debug for ClusterPlace {
    /// Without the table, which follows from the rest.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterPlace")
            .field("nodes", &self.nodes)
            .field("own", &self.own)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_user_has_one_home_one_deputy_and_is_a_stranger_to_the_rest() {
        let nodes = ClusterNode::read_list("n1=a,n2=b,n3=c").unwrap();
        let places: Vec<_> = (0..3).map(|own| ClusterPlace::new(nodes.clone(), Some(own))).collect();
        for user in ["alice", "bob", "42", "a/b", "grüße"] {
            let count = |role| places.iter().filter(|place| place.of(user).role == role).count();
            assert_eq!((count(NodeRole::Home), count(NodeRole::Deputy), count(NodeRole::Other)), (1, 1, 1));
            let told: Vec<_> = places.iter().filter_map(|place| place.elsewhere(user)).collect();
            assert_eq!(told, [places[0].of(user).home]);
        }
        // As in the test vectors of docs/SCALING.md.
        let UserPlace { home, deputy, .. } = places[0].of("alice");
        assert_eq!((&*home.name, deputy.map(|node| &*node.name)), ("n3", Some("n2")));
    }

    #[test]
    fn a_node_without_a_place_serves_everybody() {
        let place = ClusterPlace::new(ClusterNode::read_list("a,b,c").unwrap(), None);
        assert!(["alice", "bob"].iter().all(|user| place.elsewhere(user).is_none() && !place.is_guest(user)));
        assert_eq!(place.of("alice").role, NodeRole::Unplaced);
        let placed = ClusterPlace::new(place.nodes().to_vec(), Some(0));
        assert!((0..9).all(|n| placed.elsewhere(&format!("anonymous-{n}")).is_none()));
        assert!((0..9).all(|n| !placed.is_guest(&format!("sockjs-{n}"))));
    }
}
