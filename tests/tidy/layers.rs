//! The layers of the source: what each module may import.

/// Modules by how far right they stand; a module imports only what stands left of it, so modules of
/// one layer do not know each other. What is not listed here (the program itself: `cli`, `logging`,
/// `main`) stands right of all.
pub(crate) const LAYERS: [&[&str]; 17] = [
    &["base"],
    &["config", "wire"],
    &["auth", "assets"],
    &["protocol"],
    &["transport", "link"],
    &["hub"],
    &["request"],
    &["turn"],
    &["call"],
    &["conn", "session"],
    &["core"],
    &["answer"],
    &["exchange"],
    &["native", "bayeux", "sockjs", "tcp", "api"],
    &["shard"],
    &["reactor"],
    &["server"],
];

/// Where a module stands; `None` for the program itself.
pub(crate) fn rank(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}
