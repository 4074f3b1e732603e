//! The place of the node among the nodes of a cluster.

use super::{HOUR, Span, Variable};
use crate::config::values::{ClusterNode, NodeChoice};
use crate::config::variable::VariableKind;

pub(super) const ROWS: &[Variable] = &[
    Variable {
        name: "ENCKE_NODES",
        default: None,
        summary: "all nodes of the cluster, by which users have places",
        details: "A list that is the same on every node: `n1=https://n1.example.com,n2=…`, a name \
            and the address at which clients reach this node alone. The names alone decide \
            [which node serves which user](SCALING.md#the-published-place), so keep a node's name \
            when its address changes. An item without a name (`push1.example.com`) is named by its \
            host and port; one without a scheme keeps that of the client. Without `ENCKE_NODE` the \
            node serves every user and only knows the table (`encke place`, `GET /place`). A change \
            needs a restart.",
        kind: VariableKind::Text {
            allowed: "a comma-separated list of [NAME=][http[s]://]HOST[:PORT], at most 1_024",
            place: |config, text| ClusterNode::read_list(text).map(|nodes| config.nodes = nodes),
        },
    },
    Variable {
        name: "ENCKE_NODE",
        default: None,
        summary: "which of ENCKE_NODES this node is",
        details: "Its name, or its number in the list and the list's length (`2/3`), which must \
            agree. The node then serves the users whose home or deputy it is, and sends others to \
            their node: with 421 and the code `elsewhere`, or, where a page sees no status, with \
            `close` and that code. Unset, every user is served here: right where only the balancer \
            decides.",
        kind: VariableKind::Text {
            allowed: "a name in ENCKE_NODES, or NUMBER/NODES",
            place: |config, text| NodeChoice::read(text).map(|node| config.node = Some(node)),
        },
    },
    Variable {
        name: "ENCKE_GUEST_STAY",
        default: Some("5m"),
        summary: "longest response to a user whose home is another node",
        details: "A node serves the users whose deputy it is while their home is away, and cannot \
            know when that is back. Their streams and sockets end after half of this to all of it, \
            with `close` and `moved`, and the balancer chooses again: a client whose home is still \
            away continues here without loss. Shorter brings users home sooner.",
        kind: VariableKind::Span {
            from: Span::from_secs(1),
            to: HOUR,
            zero: None,
            place: |config, value| config.guest_stay = value,
        },
    },
];
