//! Which label is which user of the server.

use std::collections::BTreeMap;
use std::path::Path;

use faceset_fs::{read_json, write_json};
use serde::{Deserialize, Serialize};

use crate::QueueError;
use crate::dir::check_version;

/// Version of `users.json`.
pub const USERS_VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Users {
    version: u32,
    users: BTreeMap<String, String>,
}

/// Labels and user ids. A missing file has none; a file of the original tool
/// (`{"label": "id"}`, no version) is read as it is.
pub fn read_users(path: &Path) -> Result<BTreeMap<String, String>, QueueError> {
    if !path.exists() {
        return Ok(BTreeMap::new());
    }
    let value: serde_json::Value = read_json(path)?;
    let not_users = |e: serde_json::Error| QueueError::NotThisFormat {
        path: path.to_path_buf(),
        reason: format!("expected labels and user ids: {e}"),
    };
    // A user may be called "version": only a number is one.
    if value
        .get("version")
        .is_some_and(serde_json::Value::is_number)
    {
        check_version(path, &value, USERS_VERSION)?;
        let users: Users = serde_json::from_value(value).map_err(not_users)?;
        return Ok(users.users);
    }
    serde_json::from_value(value).map_err(not_users)
}

/// Replaces the file.
pub fn write_users(path: &Path, users: &BTreeMap<String, String>) -> Result<(), QueueError> {
    let file = Users {
        version: USERS_VERSION,
        users: users.clone(),
    };
    Ok(write_json(path, &file)?)
}
