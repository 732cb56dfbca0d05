//! One module a sub-command: flags to options, reports to words.

pub(crate) mod apply;
pub(crate) mod check;
pub(crate) mod coach;
pub(crate) mod export_decisions;
pub(crate) mod history;
pub(crate) mod people;
pub(crate) mod plan;
pub(crate) mod replay;
pub(crate) mod serve;
pub(crate) mod undo;
pub(crate) mod verify;
