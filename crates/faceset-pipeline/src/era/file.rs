//! `eras.json` in the swap-ready folder: which faces are which era of whom.
//!
//! The PNGs of an era are a choice among its faces; this file holds all of
//! them, and which ones are the anchor that later faces are compared with.

use std::path::Path;

use faceset_core::manifest::check_version_upto;
use faceset_core::{FaceKey, FacesetNumber};
use faceset_fs::{read_json, to_json_bytes, write_atomic};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::PipelineError;

/// Version of `eras.json`.
pub const ERAS_VERSION: u32 = 1;
/// Its name in the swap-ready folder.
pub const ERAS_FILE: &str = "eras.json";

/// The eras of everybody who was split.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct EraFile {
    /// Format version.
    pub version: u32,
    /// By number.
    pub people: Vec<PersonEras>,
    /// Keys this build does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The eras of one person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PersonEras {
    /// The person's number in the registry.
    pub number: FacesetNumber,
    /// Limits of the split.
    pub params: Value,
    /// The eras, largest first at the time of the split.
    pub eras: Vec<EraEntry>,
    /// Sets of an earlier split that a run was about to move aside; empty when
    /// no run is under way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retiring: Vec<String>,
}

/// One era.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EraEntry {
    /// Name of its folder, e.g. `faceset_001_2018-19`.
    pub name: String,
    /// The years in it, for people, e.g. `2018-19`; not unique, not parsed.
    pub label: String,
    /// Dominant year of the anchor, fixed.
    pub year: Option<i32>,
    /// Its faces, by path and box.
    pub faces: Vec<EraFace>,
}

/// One face of an era.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EraFace {
    /// The face.
    #[serde(flatten)]
    pub key: FaceKey,
    /// True when the anchor's direction is made from it.
    pub anchor: bool,
}

impl EraEntry {
    /// Puts the faces in order, by path and box.
    pub(crate) fn sort_faces(&mut self) {
        self.faces.sort_by(|a, b| {
            (&a.key.path, a.key.bbox.tenths()).cmp(&(&b.key.path, b.key.bbox.tenths()))
        });
    }
}

impl PersonEras {
    /// Faces that made an anchor when these eras were split.
    pub(crate) fn anchor_min(&self) -> Option<usize> {
        usize::try_from(self.params.get("anchor_min")?.as_u64()?).ok()
    }

    /// Names of all eras.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.eras.iter().map(|e| e.name.as_str())
    }
}

impl EraFile {
    /// The file of a swap-ready folder; empty when there is none.
    pub fn load(swap_ready: &Path) -> Result<Self, PipelineError> {
        let path = swap_ready.join(ERAS_FILE);
        if !path.is_file() {
            return Ok(Self {
                version: ERAS_VERSION,
                ..Self::default()
            });
        }
        let value: Value = read_json(&path)?;
        check_version_upto(&value, ERAS_VERSION).map_err(|found| PipelineError::TooNew {
            path: path.clone(),
            found,
            supported: ERAS_VERSION,
        })?;
        serde_json::from_value(value)
            .map_err(|source| PipelineError::Fs(faceset_fs::FsError::Json { path, source }))
    }

    /// The eras of one person.
    pub fn of(&self, number: FacesetNumber) -> Option<&PersonEras> {
        self.people.iter().find(|p| p.number == number)
    }

    /// Replaces or adds a person, by number.
    pub fn put(&mut self, person: PersonEras) {
        self.people.retain(|p| p.number != person.number);
        let at = self.people.partition_point(|p| p.number < person.number);
        self.people.insert(at, person);
    }

    /// Replaces the file of a swap-ready folder, unless it says the same.
    pub fn save(&self, swap_ready: &Path) -> Result<(), PipelineError> {
        let path = swap_ready.join(ERAS_FILE);
        let bytes = to_json_bytes(self);
        if std::fs::read(&path).ok().as_deref() != Some(&*bytes) {
            write_atomic(&path, &bytes)?;
        }
        Ok(())
    }
}
