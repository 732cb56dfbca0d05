//! The chain after staging: programs run one after the other, each only when what it
//! reads has changed since it last succeeded.
//!
//! A step is a command line, so that it may be a program of another system, as a Windows
//! worker called from Linux under Windows. What the steps do is theirs; here is the order,
//! when a step is done, one log, and the report at the end.

mod config;
mod digest;
mod follow;
mod plan;
mod record;
mod report;
mod run;

pub use config::{ChainConfig, STARTING_POINT, Step, Word};
pub use plan::{ChainPlan, PlannedStep, Why, plan_chain};
pub use record::CHAIN_VERSION;
pub use report::{ChainReport, Hit, Numbers};
pub use run::{ChainEnd, ChainOutcome, StepEnd, run_chain};
