//! Writes the frozen sample caches, or checks that today's build would write
//! the same.
//!
//! `cargo run -p faceset-cache --example make_fixtures -- FOLDER` writes
//! `v<schema>.npz` and `v<schema>.npz.journal` into the folder. A sample is
//! made once per schema and never changed: tests/fixtures.rs compares.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "an instrument for developers"
)]

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "../tests/common/sample.rs"]
mod sample;

fn main() {
    let Some(folder) = std::env::args().nth(1) else {
        println!("usage: make_fixtures FOLDER");
        return;
    };
    let path = std::path::Path::new(&folder).join(format!("v{}.npz", faceset_cache::SCHEMA));
    sample::write(&path);
    println!("{} and its journal are written", path.display());
}
