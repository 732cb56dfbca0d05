//! Average linkage at several sizes, on every kernel of this machine.
fn main() {}
