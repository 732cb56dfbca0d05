//! What the programs that make sets share: flags of steps, and the way from a
//! command line to the verbs of the pipeline.
//!
//! What every program does the same way, whatever it is about, is in
//! `faceset-cli`.

pub mod args;
pub mod export_args;
pub mod probe;
pub mod provider;
pub mod session;
