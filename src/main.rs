//! The `encke` program.
fn main() {}
