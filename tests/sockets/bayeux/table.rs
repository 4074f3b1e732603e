//! Compares the table of the specification in the documents with the tests.

#[test]
fn the_table_of_the_specification_names_tests_that_are_there() {
    let sources = concat!(
        include_str!("../bayeux.rs"),
        include_str!("carried.rs"),
        include_str!("channels.rs"),
        include_str!("cookies.rs"),
        include_str!("crowds.rs"),
        include_str!("extended.rs"),
        include_str!("framed.rs"),
        include_str!("hooks.rs"),
        include_str!("repeats.rs"),
        include_str!("rounds.rs"),
        include_str!("to_session.rs"),
    );
    let table =
        include_str!("../../../docs/BAYEUX.md").split("statement by statement").nth(1).expect("a table");
    let names = table.split('`').filter(|name| name.contains('_') && !name.contains([' ', '/', '\n']));
    let missing: Vec<_> = names.filter(|name| !sources.contains(&format!("fn {name}()"))).collect();
    assert!(missing.is_empty() && table.contains('|'), "no such tests: {missing:?}");
}
