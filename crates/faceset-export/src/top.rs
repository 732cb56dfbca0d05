//! The manifest of the whole swap-ready tree, changed only where this run has
//! something to say.
//!
//! Works on the JSON itself: entries of other tools, other versions and other
//! runs keep every key and their place.

use std::path::{Path, PathBuf};

use faceset_core::canonical_faceset_number;
use faceset_core::manifest::{MANIFEST_VERSION, Reserved, SwapSet, check_version};
use faceset_fs::{read_json, to_json_bytes, write_atomic};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::ExportError;
use crate::plan::{SetKind, is_safe_name};

/// Keys of a set entry that belong to the exporter; others are carried over
/// when an entry is replaced.
const OWN_KEYS: [&str; 7] = [
    "name",
    "label",
    "faces",
    "dropped",
    "bundles",
    "params",
    "provenance",
];

/// The top manifest in memory.
#[derive(Debug)]
pub(crate) struct TopManifest {
    path: PathBuf,
    map: Map<String, Value>,
    on_disk: Option<Vec<u8>>,
}

impl TopManifest {
    /// Reads it; a missing file is an empty manifest. Refuses newer versions
    /// and other shapes, before anything was written.
    pub(crate) fn load(path: &Path) -> Result<Self, ExportError> {
        let mut top = Self {
            path: path.to_path_buf(),
            map: Map::new(),
            on_disk: None,
        };
        if path.symlink_metadata().is_ok() {
            let value: Value = read_json(path)?;
            check_version(&value).map_err(|found| ExportError::TooNew {
                path: path.to_path_buf(),
                found,
                supported: MANIFEST_VERSION,
            })?;
            let Value::Object(map) = value else {
                return Err(top.wrong("it is not a JSON object"));
            };
            top.map = map;
            top.on_disk = std::fs::read(path).ok();
        } else {
            top.map
                .insert("version".to_owned(), json!(MANIFEST_VERSION));
        }
        for key in ["facesets", "thin_eras", "reserved", "runs"] {
            let list = top.map.entry(key).or_insert_with(|| json!([]));
            if !list.is_array() {
                return Err(top.wrong("facesets, thin_eras, reserved and runs must be lists"));
            }
        }
        Ok(top)
    }

    fn wrong(&self, what: &'static str) -> ExportError {
        ExportError::Shape {
            path: self.path.clone(),
            what,
        }
    }

    fn list(&mut self, key: &str) -> &mut Vec<Value> {
        self.map
            .get_mut(key)
            .and_then(Value::as_array_mut)
            .expect("load has made every list")
    }

    /// Adds or replaces an active set; its number is no longer reserved.
    pub(crate) fn put_set(&mut self, set: &SwapSet) {
        self.remove("reserved", &set.name);
        self.remove("thin_eras", &set.name);
        put(self.list("facesets"), &set.name, set);
    }

    /// Adds or replaces a thin era.
    pub(crate) fn put_thin(&mut self, set: &SwapSet) {
        self.remove("facesets", &set.name);
        put(self.list("thin_eras"), &set.name, set);
    }

    /// Adds or replaces a set that is in its place; candidates are not listed.
    pub(crate) fn list_as(&mut self, kind: SetKind, set: &SwapSet) {
        match kind {
            SetKind::Set => self.put_set(set),
            SetKind::Thin => self.put_thin(set),
            SetKind::Candidate => {}
        }
    }

    /// Takes a set out, active or thin.
    pub(crate) fn unlist(&mut self, name: &str) {
        self.remove("facesets", name);
        self.remove("thin_eras", name);
    }

    /// Reserves a number; it is no longer an active set. A name without a
    /// number (an era's) is only taken out.
    pub(crate) fn reserve(&mut self, reserved: &Reserved) {
        self.unlist(&reserved.name);
        if canonical_faceset_number(&reserved.name).is_some() {
            put(self.list("reserved"), &reserved.name, reserved);
        }
    }

    /// Removes the entry of that name from a list, if it is there.
    pub(crate) fn remove(&mut self, list: &str, name: &str) {
        if let Some(list) = self.map.get_mut(list).and_then(Value::as_array_mut) {
            list.retain(|entry| name_of(entry) != Some(name));
        }
    }

    /// Names in a list; none when there is no such list.
    pub(crate) fn names(&self, list: &str) -> Vec<String> {
        let list = self.map.get(list).and_then(Value::as_array);
        list.into_iter()
            .flatten()
            .filter_map(|entry| name_of(entry).map(str::to_owned))
            .collect()
    }

    /// The entry of that name in a list.
    pub(crate) fn entry(&self, list: &str, name: &str) -> Option<&Value> {
        let list = self.map.get(list).and_then(Value::as_array)?;
        list.iter().find(|e| name_of(e) == Some(name))
    }

    /// Names of the eras of a person, active and thin ones, by the name of the person's set.
    pub(crate) fn eras_of(&self, set: &str) -> Vec<String> {
        let is_era = |name: &String| {
            let era = name.strip_prefix(set);
            era.is_some_and(|era| era.starts_with('_')) && is_safe_name(name)
        };
        let mut eras = self.names("facesets");
        eras.extend(self.names("thin_eras"));
        eras.retain(is_era);
        eras
    }

    /// Takes the entry of that name out of a list.
    pub(crate) fn take(&mut self, list: &str, name: &str) -> Option<Value> {
        let list = self.map.get_mut(list).and_then(Value::as_array_mut)?;
        let at = list.iter().position(|e| name_of(e) == Some(name))?;
        Some(list.remove(at))
    }

    /// Adds or replaces an entry of a list, which is made when there is none. A
    /// key of that name that holds no list is left alone.
    pub(crate) fn add_entry(&mut self, list: &str, name: &str, entry: &Value) {
        let entries = self.map.entry(list).or_insert_with(|| json!([]));
        if let Some(entries) = entries.as_array_mut() {
            entries.retain(|e| name_of(e) != Some(name));
            put(entries, name, entry);
        }
    }

    /// Adds a run, unless the same one is there.
    pub(crate) fn add_run(&mut self, run: Value) {
        let runs = self.list("runs");
        if !runs.contains(&run) {
            runs.push(run);
        }
    }

    /// Writes it when it differs from what is on disk.
    pub(crate) fn save(&mut self) -> Result<(), ExportError> {
        let bytes = to_json_bytes(&self.map);
        if self.on_disk.as_ref() != Some(&bytes) {
            write_atomic(&self.path, &bytes)?;
            self.on_disk = Some(bytes);
        }
        Ok(())
    }
}

fn name_of(entry: &Value) -> Option<&str> {
    entry.get("name").and_then(Value::as_str)
}

/// Replaces the entry of that name where it stands, or inserts it before the
/// first canonical set of a larger number, or appends it. Other entries do not
/// move, and the result does not depend on the order of insertions.
fn put<T: Serialize>(list: &mut Vec<Value>, name: &str, entry: &T) {
    let mut entry = json!(entry);
    if let Some(old) = list.iter_mut().find(|e| name_of(e) == Some(name)) {
        if let (Some(new), Some(old)) = (entry.as_object_mut(), old.as_object()) {
            for (key, value) in old {
                if !OWN_KEYS.contains(&key.as_str()) && !new.contains_key(key) {
                    new.insert(key.clone(), value.clone());
                }
            }
        }
        *old = entry;
        return;
    }
    let number = canonical_faceset_number(name);
    let before = number.and_then(|number| {
        list.iter().position(|e| {
            name_of(e)
                .and_then(canonical_faceset_number)
                .is_some_and(|n| n > number)
        })
    });
    list.insert(before.unwrap_or(list.len()), entry);
}
