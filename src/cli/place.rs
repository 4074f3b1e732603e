//! `encke place USER` and `encke places FORM`: the published table of places, for people and for
//! balancers.
//!
//! The nodes come from `ENCKE_NODES`, as everywhere; nothing is asked of a running node.

use std::ffi::OsString;
use std::fmt::Write as _;

use encke::base::places::Slot;
use encke::config::place::{ClusterPlace, UserPlace};
use encke::config::{ClusterNode, Config};
use serde_json::json;

/// What to print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PlaceArguments {
    /// One user's place.
    User(String),
    /// The whole table.
    Table(TableForm),
}

/// The form of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TableForm {
    /// A map for `HAProxy`: a slot and the name of its node.
    Haproxy(Column),
    /// The inside of nginx's `map`: the same, with a semicolon.
    Nginx(Column),
    /// Everything.
    Json,
}

/// Which node of each slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Home,
    Deputy,
}

impl TableForm {
    fn by_name(name: &str) -> Option<Self> {
        Some(match name {
            "haproxy-home" => Self::Haproxy(Column::Home),
            "haproxy-deputy" => Self::Haproxy(Column::Deputy),
            "nginx-home" => Self::Nginx(Column::Home),
            "nginx-deputy" => Self::Nginx(Column::Deputy),
            "json" => Self::Json,
            _ => return None,
        })
    }
}

impl PlaceArguments {
    /// Reads the arguments of `encke place`.
    pub(super) fn read_user(args: &[OsString]) -> Result<Self, String> {
        let [user] = args else { return Err(format!("`encke place` takes one user; {USAGE}")) };
        let user = user.to_str().ok_or_else(|| format!("{:?} is not UTF-8", user.to_string_lossy()))?;
        if user.is_empty() {
            return Err(format!("a user's id is not empty; {USAGE}"));
        }
        Ok(Self::User(user.to_owned()))
    }

    /// Reads the arguments of `encke places`.
    pub(super) fn read_table(args: &[OsString]) -> Result<Self, String> {
        let [form] = args else { return Err(format!("`encke places` takes one form; {USAGE}")) };
        let form = form.to_string_lossy();
        TableForm::by_name(&form).map(Self::Table).ok_or_else(|| format!("unknown form {form:?}; {USAGE}"))
    }

    /// The text to print.
    pub(super) fn text(&self, config: &Config) -> Result<String, String> {
        let place =
            config.place.as_deref().ok_or("no nodes: set ENCKE_NODES to the list that every node has")?;
        match self {
            Self::User(user) => Ok(of_user(place.of(user))),
            Self::Table(TableForm::Json) => Ok(as_json(place)),
            Self::Table(TableForm::Haproxy(column)) => column_as(place, *column, " ", ""),
            Self::Table(TableForm::Nginx(column)) => column_as(place, *column, " ", ";"),
        }
    }
}

fn of_user(place: UserPlace<'_>) -> String {
    let UserPlace { slot, home, deputy, role: _ } = place;
    let mut text = format!("slot    {}\nhome    {home}\n", slot.number());
    if let Some(deputy) = deputy {
        let _ = writeln!(text, "deputy  {deputy}");
    }
    text
}

fn column_as(place: &ClusterPlace, column: Column, between: &str, end: &str) -> Result<String, String> {
    let mut text = String::new();
    for slot in Slot::all() {
        let found = place.places().nodes(slot);
        let node = match column {
            Column::Home => found.home,
            Column::Deputy => found.deputy.ok_or("one node has no deputies")?,
        };
        let name = &place.nodes()[usize::from(node)].name;
        let _ = writeln!(text, "{}{between}{name}{end}", slot.number());
    }
    Ok(text)
}

/// `home` and `deputy` have an index into `nodes` for each slot.
fn as_json(place: &ClusterPlace) -> String {
    let found = || Slot::all().map(|slot| place.places().nodes(slot));
    let node = |ClusterNode { name, address }: &ClusterNode| json!({ "name": name, "address": address });
    let table = json!({
        "nodes": place.nodes().iter().map(node).collect::<Vec<_>>(),
        "home": found().map(|nodes| nodes.home).collect::<Vec<_>>(),
        "deputy": found().map(|nodes| nodes.deputy).collect::<Vec<_>>(),
    });
    format!("{table}\n")
}

const USAGE: &str =
    "usage: encke place USER, encke places haproxy-home|haproxy-deputy|nginx-home|nginx-deputy|json";

#[cfg(test)]
mod tests {
    use super::*;

    fn config(nodes: &str) -> Config {
        Config::from_vars([("ENCKE_NODES", nodes)]).unwrap()
    }

    fn words(args: &[&str]) -> Vec<OsString> {
        args.iter().map(OsString::from).collect()
    }

    #[test]
    fn a_user_has_a_slot_a_home_and_a_deputy() {
        let alice = PlaceArguments::read_user(&words(&["alice"])).unwrap();
        let three = config("n1=https://one.example,n2=two.example,n3=http://10.0.0.3:8080");
        let text = alice.text(&three).unwrap();
        assert_eq!(text, "slot    15431\nhome    n3 http://10.0.0.3:8080\ndeputy  n2 //two.example\n");
        assert_eq!(alice.text(&config("a")).unwrap(), "slot    15431\nhome    a //a\n");
        assert!(alice.text(&Config::default()).unwrap_err().contains("ENCKE_NODES"));
    }

    #[test]
    fn every_form_of_the_table_says_the_same() {
        let three = config("n1=a,n2=b,n3=c");
        let table = |form: &str| PlaceArguments::read_table(&words(&[form])).unwrap().text(&three).unwrap();
        let json: serde_json::Value = serde_json::from_str(&table("json")).unwrap();
        for (column, forms) in
            [("home", ["haproxy-home", "nginx-home"]), ("deputy", ["haproxy-deputy", "nginx-deputy"])]
        {
            let [haproxy, nginx] = forms.map(table);
            assert_eq!(haproxy.lines().count(), 16_384);
            assert_eq!(nginx.replace(';', ""), haproxy);
            for (slot, line) in haproxy.lines().enumerate() {
                let name =
                    json["nodes"][json[column][slot].as_u64().unwrap() as usize]["name"].as_str().unwrap();
                assert_eq!(line, format!("{slot} {name}"));
            }
        }
    }

    #[test]
    fn what_cannot_be_read_is_named_with_what_is_allowed() {
        for (args, says) in
            [(&[][..], "takes one user"), (&["a", "b"], "takes one user"), (&[""], "not empty")]
        {
            let complaint = PlaceArguments::read_user(&words(args)).unwrap_err();
            assert!(complaint.contains(says) && complaint.contains("usage: encke place"), "{complaint}");
        }
        for args in [&[][..], &["caddy"], &["json", "x"]] {
            let complaint = PlaceArguments::read_table(&words(args)).unwrap_err();
            assert!(complaint.contains("nginx-home|nginx-deputy|json"), "{complaint}");
        }
        let one = PlaceArguments::Table(TableForm::Nginx(Column::Deputy)).text(&config("a"));
        assert!(one.unwrap_err().contains("no deputies"));
    }
}
