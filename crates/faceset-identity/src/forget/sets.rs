//! Sets that manifests on disk describe, and which of them are a person's.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use faceset_core::{BBox, FaceKey, FacesetNumber, SourcePath, canonical_faceset_number};
use serde_json::Value;

use crate::identity::FaceId;
use crate::registry::Registry;

/// One set of one manifest.
#[derive(Debug)]
pub(crate) struct DiskSet {
    /// The manifest.
    pub(crate) file: PathBuf,
    /// Its folder, whether it exists or not.
    pub(crate) folder: PathBuf,
    pub(crate) name: String,
    pub(crate) label: Option<String>,
    /// Group of `cluster`: not yet gated, so it proves less.
    is_raw: bool,
    /// The manifest is this set's own.
    pub(crate) is_own: bool,
    pub(crate) faces: Vec<DiskFace>,
    pub(crate) images: Vec<String>,
    pub(crate) bundles: Vec<String>,
}

/// One face in a set.
#[derive(Debug)]
pub(crate) struct DiskFace {
    pub(crate) key: FaceKey,
    pub(crate) places: Vec<String>,
    pub(crate) png: Option<String>,
}

/// Every set of a manifest.
pub(crate) fn sets_of(file: &Path, doc: &Value) -> Vec<DiskSet> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut sets = Vec::new();
    if let Some(mut own) = disk_set(file, folder, doc, false) {
        own.is_own = true;
        sets.push(own);
    }
    for list in [
        "facesets",
        "thin_eras",
        "rejected",
        "merged",
        "hidden",
        "thin",
        "masked",
        "persons",
    ] {
        for set in doc
            .get(list)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let name = set.get("name").and_then(Value::as_str).unwrap_or_default();
            // A name that is a path leads nowhere.
            let is_plain = !name.is_empty() && !name.contains(['/', '\\']) && name != "..";
            let place = folder.join(if is_plain { name } else { "." });
            if is_plain {
                sets.extend(disk_set(file, &place, set, list == "persons"));
            }
        }
    }
    sets
}

fn disk_set(file: &Path, folder: &Path, set: &Value, is_raw: bool) -> Option<DiskSet> {
    let name = set.get("name")?.as_str()?.to_owned();
    let list = |key: &str| set.get(key).and_then(Value::as_array);
    let (faces, images) = (list("faces"), list("images"));
    if faces.is_none() && images.is_none() {
        return None;
    }
    let text = |v: &Value| v.as_str().map(str::to_owned);
    Some(DiskSet {
        file: file.to_path_buf(),
        folder: folder.to_path_buf(),
        name,
        label: set.get("label").and_then(text),
        is_raw,
        is_own: false,
        faces: faces.into_iter().flatten().filter_map(disk_face).collect(),
        images: images.into_iter().flatten().filter_map(text).collect(),
        bundles: list("bundles")
            .into_iter()
            .flatten()
            .filter_map(|b| b.get("file").and_then(text))
            .collect(),
    })
}

fn disk_face(face: &Value) -> Option<DiskFace> {
    let key = face.get("key").unwrap_or(face);
    let bbox: BBox = serde_json::from_value(key.get("bbox")?.clone()).ok()?;
    Some(DiskFace {
        key: FaceKey {
            path: SourcePath::from(key.get("path")?.as_str()?),
            sha256: key.get("sha256")?.as_str()?.parse().ok()?,
            bbox,
        },
        places: face
            .get("places")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|p| p.as_str().map(str::to_owned))
            .collect(),
        png: face.get("png").and_then(Value::as_str).map(str::to_owned),
    })
}

/// The person who is to be forgotten, growing while sets are looked at.
#[derive(Debug)]
pub(crate) struct Person<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) members: Vec<FacesetNumber>,
    pub(crate) names: BTreeSet<String>,
    pub(crate) faces: BTreeMap<FaceId, FaceKey>,
}

/// What a set has to do with the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    /// It is theirs.
    Whole,
    /// Some of its faces are, this many.
    Part(usize),
    /// Its number is theirs and its faces are not.
    NumberOnly,
    /// Nothing.
    None,
}

impl Person<'_> {
    /// A set is the person's when half of the smaller side is shared, with
    /// nobody else as much, and one thing more speaks for it: the number, the
    /// name, or that half of the set itself is shared. A raw group needs the
    /// last. A set without face keys is recognised by number or name.
    pub(crate) fn share(&self, set: &DiskSet) -> Share {
        let has_number = set_number(&set.name).is_some_and(|n| self.members.contains(&n));
        let has_name = set.label.as_ref().is_some_and(|l| {
            self.names
                .iter()
                .any(|n| n.to_lowercase() == l.to_lowercase())
        });
        if set.faces.is_empty() {
            return if has_number || has_name {
                Share::Whole
            } else {
                Share::None
            };
        }
        let ids: BTreeSet<FaceId> = set.faces.iter().map(|f| f.key.id()).collect();
        let n_theirs = ids.iter().filter(|id| self.faces.contains_key(*id)).count();
        if n_theirs == 0 {
            return if has_number {
                Share::NumberOnly
            } else {
                Share::None
            };
        }
        let half_of = |n: usize, of: usize| n * 2 >= of;
        let mut others: BTreeMap<FacesetNumber, usize> = BTreeMap::new();
        for id in &ids {
            if let Some(owner) = self.registry.owner_by_id(id) {
                let root = self.registry.root(owner);
                if !self.members.contains(&root) {
                    *others.entry(root).or_default() += 1;
                }
            }
        }
        let is_unique = others.iter().all(|(number, n)| {
            let smaller = self.registry.n_faces_of(*number).min(ids.len());
            !half_of(*n, smaller)
        });
        let mostly = half_of(n_theirs, ids.len());
        let shares = half_of(n_theirs, self.faces.len().min(ids.len()));
        let is_whole = if set.is_raw {
            mostly && is_unique
        } else {
            shares && is_unique && (mostly || has_number || has_name)
        };
        if is_whole {
            Share::Whole
        } else {
            Share::Part(n_theirs)
        }
    }

    /// Faces of sets that are the person's become known as theirs, unless they
    /// are somebody else's or were said not to be this person. Goes on until
    /// nothing more is found.
    pub(crate) fn grow(&mut self, sets: &[DiskSet]) {
        loop {
            let mut found = Vec::new();
            for set in sets.iter().filter(|s| self.share(s) == Share::Whole) {
                found.extend(set.faces.iter().map(|f| &f.key).filter(|key| {
                    !self.faces.contains_key(&key.id())
                        && crate::identity::is_usable(key)
                        && self.registry.owner_by_id(&key.id()).is_none()
                        && !self.registry.forbids(key, self.members[0])
                }));
            }
            if found.is_empty() {
                return;
            }
            for key in found {
                self.faces.insert(key.id(), key.clone());
            }
        }
    }
}

/// The number in the name of a set of any kind: `faceset_003`, moved aside as
/// `faceset_003-2`, or an era of it, `faceset_003_2018-19`.
pub(crate) fn set_number(name: &str) -> Option<FacesetNumber> {
    let rest = name.strip_prefix("faceset_")?;
    let digits = rest.split(['-', '_']).next().unwrap_or_default();
    canonical_faceset_number(&format!("faceset_{digits}"))
}
