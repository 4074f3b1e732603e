//! The nodes of `ENCKE_NODES`, and which of them `ENCKE_NODE` says that this one is.
//!
//! Nothing is resolved. An address is an origin, or a host whose scheme the client keeps.

use std::fmt;

use super::origin::{host_and_port, is_host};
use crate::config::limits::{NODE_NAME_BYTES_MAX, NODES_MAX};

/// One item of `ENCKE_NODES`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterNode {
    /// Its name, from which the table is computed; its host and port if it has no other.
    pub name: Box<str>,
    /// Its public address, to which clients resolve their paths: `https://host:port`, or
    /// `//host:port` if the scheme is the one by which they came.
    pub address: Box<str>,
}

impl ClusterNode {
    /// Reads the whole list: all items have names, or none has.
    pub(in crate::config) fn read_list(text: &str) -> Result<Vec<Self>, String> {
        let nodes = super::list(text, Self::read)?;
        if nodes.len() > NODES_MAX {
            return Err(format!("has {} nodes", nodes.len()));
        }
        let named = text.split(',').filter(|item| item.contains('=')).count();
        if named != 0 && named != nodes.len() {
            return Err("has nodes with names and nodes without".to_owned());
        }
        for (n, node) in nodes.iter().enumerate() {
            if nodes[..n].iter().any(|other| other.name == node.name) {
                return Err(format!("names {} twice", node.name));
            }
        }
        Ok(nodes)
    }

    fn read(item: &str) -> Result<Self, String> {
        let (name, address) = match item.split_once('=') {
            Some((name, address)) => (Some(name.trim()), address.trim()),
            None => (None, item),
        };
        let lower = address.to_ascii_lowercase();
        let (scheme, host) = match lower.split_once("://") {
            Some((scheme @ ("http" | "https"), host)) => (format!("{scheme}:"), host),
            Some((scheme, _)) => {
                return Err(format!("{item} has the scheme {scheme}; clients come by http or https"));
            }
            None => (String::new(), lower.as_str()),
        };
        if host.contains(['/', '?', '#', '@']) {
            return Err(format!("{item} has more than a host and a port"));
        }
        if host_and_port(host).is_none_or(|(name, _)| !is_host(name)) {
            return Err(format!("{item} has an invalid host or port"));
        }
        let name = name.unwrap_or(host);
        if !is_name(name) {
            return Err(format!(
                "{item} has no usable name: letters, digits, '.', '-', '_', ':', at most {NODE_NAME_BYTES_MAX}, as in n1=http://host"
            ));
        }
        Ok(Self { name: name.into(), address: format!("{scheme}//{host}").into() })
    }
}

/// Names stand in maps of balancers and are names of their servers: no other characters fit.
fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
    (1..=NODE_NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(fits)
}

/// The value of `ENCKE_NODE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeChoice {
    /// The node of this name.
    Named(Box<str>),
    /// The node at this place of the list, from 1, which must have so many.
    Numbered {
        /// Which one.
        n: usize,
        /// The length of the list.
        of: usize,
    },
}

impl NodeChoice {
    pub(in crate::config) fn read(text: &str) -> Result<Self, String> {
        let Some((n, of)) = text.split_once('/') else {
            return if is_name(text) {
                Ok(Self::Named(text.into()))
            } else {
                Err("is no name of a node".to_owned())
            };
        };
        let number = |digits: &str| digits.parse().ok().filter(|_| !digits.starts_with('+'));
        match (number(n), number(of)) {
            (Some(n), Some(of)) if (1..=of).contains(&n) => Ok(Self::Numbered { n, of }),
            (Some(_), Some(_)) => Err("is no number from 1 to that of all nodes".to_owned()),
            (None, _) | (_, None) => Err("is neither a name nor NUMBER/NODES".to_owned()),
        }
    }

    /// Its index in the list; `None` if the list has no such node.
    pub(in crate::config) fn index(&self, nodes: &[ClusterNode]) -> Option<usize> {
        match self {
            Self::Named(name) => nodes.iter().position(|node| node.name == *name),
            Self::Numbered { n, of } => (*of == nodes.len()).then(|| n - 1),
        }
    }
}

impl fmt::Display for ClusterNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        let nodes = ClusterNode::read_list(text)?;
        Ok(nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
    }

    #[test]
    fn nodes_have_names_or_are_named_by_their_hosts() {
        for (given, kept) in [
            (
                "n1=http://10.0.0.1:8080, n2=https://Two.Example",
                "n1 http://10.0.0.1:8080, n2 https://two.example",
            ),
            ("a.example,b.example:8443", "a.example //a.example, b.example:8443 //b.example:8443"),
            (
                "https://a.example,https://b.example",
                "a.example https://a.example, b.example https://b.example",
            ),
            ("six=http://[::1]:8080", "six http://[::1]:8080"),
            ("N_1=a,n-1=a", "N_1 //a, n-1 //a"),
        ] {
            assert_eq!(read(given).as_deref(), Ok(kept), "{given}");
        }
    }

    #[test]
    fn what_names_no_node_is_refused_with_the_reason() {
        for (given, reason) in [
            ("", "empty item"),
            ("a,,b", "empty item"),
            ("a,a", "names a twice"),
            ("n=a,n=b", "names n twice"),
            ("n1=a,b", "with names and nodes without"),
            ("n1=ftp://a", "the scheme ftp"),
            ("n1=http://a/path", "more than a host and a port"),
            ("n1=http://me@a", "more than a host and a port"),
            ("n1=http://", "invalid host or port"),
            ("n1=http://a:0", "invalid host or port"),
            ("[::1]:80", "no usable name"),
            ("=http://a", "no usable name"),
            ("n 1=http://a", "no usable name"),
        ] {
            let refused = read(given).unwrap_err();
            assert!(refused.contains(reason), "{given}: {refused}");
        }
    }

    #[test]
    fn a_node_is_chosen_by_name_or_by_number() {
        let nodes = ClusterNode::read_list("n1=a,n2=b,n3=c").unwrap();
        let index = |text: &str| NodeChoice::read(text).unwrap().index(&nodes);
        assert_eq!(["n1", "n3", "2/3", "3/3"].map(index), [Some(0), Some(2), Some(1), Some(2)]);
        assert_eq!(["n4", "N1", "2/2", "2/4"].map(index), [None; 4]);
        for text in ["0/3", "4/3", "1/x", "/3", "+1/3", "1/3/5", "http://a", "n 1"] {
            assert!(NodeChoice::read(text).is_err(), "{text}");
        }
    }
}
