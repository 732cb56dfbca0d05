//! What every face-sets binary does the same way: global flags, progress on
//! stderr, a log file per long step, Ctrl-C, one report at the end, exit codes.
//!
//! The only crate, with the binaries, that prints, reads the environment or
//! knows clap. It knows no step of the work.

mod args;
mod exit;
mod home;
mod log;
mod progress;
mod run;
mod words;

pub use args::{ColorChoice, GlobalArgs, ProgressChoice};
pub use exit::{EXIT_CODES_HELP, Exit, Failure};
pub use home::{Home, dot_faceset_candidates};
pub use run::{Context, Report, run};
pub use words::count;
