//! One module a sub-command: flags in, report out. No work is done here.

pub(crate) mod build_folders;
pub(crate) mod cluster;
pub(crate) mod completions;
pub(crate) mod dedup;
pub(crate) mod doctor;
pub(crate) mod embed;
pub(crate) mod enrich;
pub(crate) mod era;
pub(crate) mod export_swap;
pub(crate) mod extend;
pub(crate) mod forget;
pub(crate) mod merge_caches;
pub(crate) mod people;
pub(crate) mod refine;
pub(crate) mod search;
pub(crate) mod sort;
pub(crate) mod why;

pub(crate) use faceset_cli::count;
use serde::Serialize;
use serde_json::Value;

/// A serialisable report as JSON with the command's name in front.
pub(crate) fn json(command: &str, report: &impl Serialize) -> Value {
    let mut object = serde_json::Map::new();
    object.insert("command".to_owned(), command.into());
    match serde_json::to_value(report) {
        Ok(Value::Object(fields)) => object.extend(fields),
        Ok(other) => {
            object.insert("report".to_owned(), other);
        }
        Err(error) => {
            object.insert("error".to_owned(), error.to_string().into());
        }
    }
    Value::Object(object)
}
