//! Changing a tree of sets after its export: sets move aside and back, and lose
//! faces, without any photo being read.
//!
//! Owns folders and the top manifest; who is to move is the caller's decision.
//! Every step is finished by asking for it again: a folder is moved first and
//! the manifest follows in [`Tree::finish`].

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use faceset_core::manifest::{DroppedFace, Reserved, SwapSet};
use faceset_core::{ContentHash, canonical_faceset_number, hash_bytes, person_number};
use faceset_fs::{DirLock, folder_names, quarantine, to_json_bytes, write_atomic};
use serde_json::{Map, Value, json};

use crate::ExportError;
use crate::apply::{DROPPED, PARTIAL, READY, THIN, discard, rename};
use crate::bounds::NOT_THIS_PERSON;
use crate::build::{FACES, MANIFEST};
use crate::bundle::write_bundle;
use crate::plan::is_safe_name;
use crate::recover::{put_in_place, recover};
use crate::select::dropped;
use crate::top::TopManifest;

/// Where a set goes that is not active.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bin {
    /// Merged into another: `_merged/`, list `merged`.
    Merged,
    /// Hidden: `_dropped/`, list `hidden`.
    Hidden,
    /// Too few faces: `_thin/`, list `thin`.
    Thin,
}

impl Bin {
    /// Every bin.
    pub const ALL: [Self; 3] = [Self::Merged, Self::Hidden, Self::Thin];

    /// Its folder below the tree.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Merged => "_merged",
            Self::Hidden => DROPPED,
            Self::Thin => THIN,
        }
    }

    /// Its list in the top manifest: entries of sets, with their `folder`.
    pub fn list(self) -> &'static str {
        match self {
            Self::Merged => "merged",
            Self::Hidden => "hidden",
            Self::Thin => "thin",
        }
    }
}

/// A content hash and a box in tenths of a pixel.
type FaceId = (ContentHash, [i32; 4]);

/// A locked tree.
#[derive(Debug)]
pub struct Tree {
    out: PathBuf,
    top: TopManifest,
    /// None when it is only looked at.
    _lock: Option<DirLock>,
}

impl Tree {
    /// The tree as it is, to look at: nothing is locked, and what a killed run left is
    /// passed over. Errors: as [`Tree::open`], without the lock.
    pub fn look_at(out: &Path) -> Result<Self, ExportError> {
        Ok(Self {
            out: out.to_path_buf(),
            top: TopManifest::load(&out.join(MANIFEST))?,
            _lock: None,
        })
    }

    /// Locks the tree and finishes what a killed run left ready. `holder` is
    /// shown to a second run. Errors: the tree is locked; its manifest is of a
    /// newer version or no manifest.
    pub fn open(out: &Path, holder: &str) -> Result<Self, ExportError> {
        let lock = DirLock::acquire(out, holder)?;
        let top = TopManifest::load(&out.join(MANIFEST))?;
        let mut tree = Self {
            out: out.to_path_buf(),
            top,
            _lock: Some(lock),
        };
        recover(out, &mut tree.top)?;
        Ok(tree)
    }

    /// Names of the sets and eras that the manifest lists as active.
    pub fn listed(&self) -> BTreeSet<String> {
        of_people(self.top.names("facesets"))
    }

    /// Names of the sets and eras that the manifest lists as moved aside.
    pub fn aside(&self, bin: Bin) -> BTreeSet<String> {
        of_people(self.top.names(bin.list()))
    }

    /// Names of the active set and era folders on disk.
    pub fn on_disk(&self) -> Result<BTreeSet<String>, ExportError> {
        Ok(of_people(folder_names(&self.out)?))
    }

    /// The manifest of an active set, when its folder holds one.
    pub fn set(&self, name: &str) -> Option<SwapSet> {
        read_set(&self.out.join(name))
    }

    /// Moves an active set aside and lists it there. A folder that a killed run
    /// has moved already is found; without any folder the entry alone moves.
    pub fn set_aside(&mut self, name: &str, bin: Bin) -> Result<(), ExportError> {
        let place = self.out.join(name);
        let moved = if place.is_dir() {
            Some(quarantine(&place, &self.out.join(bin.folder()))?)
        } else {
            newest(&self.out.join(bin.folder()), name)?
        };
        let mut entry = self
            .top
            .take("facesets", name)
            .or_else(|| self.top.take(bin.list(), name))
            .unwrap_or_else(|| json!({ "name": name }));
        if let (Some(entry), Some(moved)) = (entry.as_object_mut(), moved) {
            let file = moved.file_name().unwrap_or_default().to_string_lossy();
            entry.insert(
                "folder".to_owned(),
                json!(format!("{}/{file}", bin.folder())),
            );
        }
        self.top.add_entry(bin.list(), name, &entry);
        Ok(())
    }

    /// Brings a set back that was moved aside. False when its folder is gone:
    /// then the entry goes, too, and an export has to make the set again.
    pub fn bring_back(&mut self, name: &str, bin: Bin) -> Result<bool, ExportError> {
        let place = self.out.join(name);
        let Some(entry) = self.top.take(bin.list(), name) else {
            return Ok(false);
        };
        if !place.is_dir() {
            let Some(from) = self.place_of(&entry, name, bin)? else {
                return Ok(false);
            };
            rename(&from, &place)?;
        }
        match read_set(&place) {
            Some(set) => self.top.put_set(&set),
            None => {
                let mut entry = entry;
                if let Some(map) = entry.as_object_mut() {
                    map.remove("folder");
                }
                self.top.remove("reserved", name);
                self.top.add_entry("facesets", name, &entry);
            }
        }
        Ok(true)
    }

    /// The folder of a set that was moved aside, when it is there.
    pub fn folder_aside(&self, name: &str, bin: Bin) -> Result<Option<PathBuf>, ExportError> {
        match self.top.entry(bin.list(), name) {
            Some(entry) => self.place_of(entry, name, bin),
            None => Ok(None),
        }
    }

    /// Where an entry of a bin's list says that its folder is, else the newest of its name.
    fn place_of(
        &self,
        entry: &Value,
        name: &str,
        bin: Bin,
    ) -> Result<Option<PathBuf>, ExportError> {
        let bin_folder = self.out.join(bin.folder());
        let listed = entry.get("folder").and_then(Value::as_str);
        let listed = listed
            .and_then(|f| f.strip_prefix(bin.folder())?.strip_prefix('/'))
            .filter(|f| !f.contains(['/', '\\']) && *f != "..")
            .map(|f| bin_folder.join(f))
            .filter(|f| f.is_dir());
        match listed {
            Some(folder) => Ok(Some(folder)),
            None => newest(&bin_folder, name),
        }
    }

    /// Notes that the folder of a listed set is gone: the number is reserved.
    pub fn reserve(&mut self, name: &str, reason: &str) {
        self.top.reserve(&Reserved {
            name: name.to_owned(),
            reason: reason.to_owned(),
            extra: Map::new(),
        });
    }

    /// Takes faces out of an active set: a folder without them is built from
    /// the PNGs that are there and put in place; the old one goes to
    /// `_dropped/`. A set that loses all its faces is moved there as a whole
    /// and its number reserved. Returns how many faces left; 0 when none of
    /// them is in the set.
    pub fn take_out(&mut self, name: &str, faces: &BTreeSet<FaceId>) -> Result<usize, ExportError> {
        let place = self.out.join(name);
        let Some(set) = read_set(&place).filter(|_| is_safe_name(name)) else {
            return Ok(0);
        };
        let out: Vec<DroppedFace> = set
            .faces
            .iter()
            .filter(|face| faces.contains(&face.key.id()))
            .map(|face| dropped(face.key.clone(), NOT_THIS_PERSON, None, None))
            .collect();
        let n_out = out.len();
        if n_out == 0 {
            return Ok(0);
        }
        if n_out == set.faces.len() {
            quarantine(&place, &self.out.join(DROPPED))?;
            self.reserve(name, NOT_THIS_PERSON);
            return Ok(n_out);
        }
        let partial = self.out.join(format!("{PARTIAL}{name}"));
        let set = build_without(set, out, &place, &partial)?;
        let ready = self.out.join(format!("{READY}{name}"));
        rename(&partial, &ready)?;
        put_in_place(&ready, &place, &self.out)?;
        self.top.put_set(&set);
        Ok(n_out)
    }

    /// Writes the top manifest when it changed, and gives the lock back.
    pub fn finish(mut self) -> Result<(), ExportError> {
        self.top.save()
    }
}

/// Builds the set that lies in `from` again in `to`, from its own PNGs and
/// without the faces in `out`, which are listed as dropped. At least one face
/// must be left.
pub(crate) fn build_without(
    mut set: SwapSet,
    out: Vec<DroppedFace>,
    from: &Path,
    to: &Path,
) -> Result<SwapSet, ExportError> {
    let leaving: BTreeSet<FaceId> = out.iter().map(|d| d.key.id()).collect();
    set.faces.retain(|face| !leaving.contains(&face.key.id()));
    set.dropped.extend(out);
    sort(&mut set.dropped);
    // Not what any plan makes: the next export builds the set anew.
    if let Some(provenance) = set.provenance.as_object_mut() {
        provenance.insert("plan_digest".to_owned(), json!(NOT_THIS_PERSON));
    }
    discard(to)?;
    rebuild(&mut set, from, to)?;
    Ok(set)
}

/// The set in a new folder: PNGs under their new ranks, bundles, and every
/// other file of the old folder.
fn rebuild(set: &mut SwapSet, from: &Path, to: &Path) -> Result<(), ExportError> {
    let faces_dir = to.join(FACES);
    std::fs::create_dir_all(&faces_dir)
        .map_err(ExportError::io("create the folder", &faces_dir))?;
    let width = set.faces.len().to_string().len().max(4);
    for (face, rank) in set.faces.iter_mut().zip(1..) {
        let old = from.join(FACES).join(&face.png);
        let bytes = std::fs::read(&old).map_err(ExportError::io("read", &old))?;
        face.rank = rank;
        face.png = format!("{rank:0width$}.png");
        face.png_sha256 = hash_bytes(&bytes);
        write_atomic(&faces_dir.join(&face.png), &bytes)?;
    }
    for bundle in &mut set.bundles {
        let n = if bundle.file.ends_with("_all.fsz") {
            set.faces.len()
        } else {
            set.faces.len().min(bundle.n_faces as usize)
        };
        let path = to.join(&bundle.file);
        *bundle = write_bundle(
            &path,
            &set.name,
            set.label.as_deref(),
            &set.faces[..n],
            &faces_dir,
        )?;
    }
    for entry in std::fs::read_dir(from).map_err(ExportError::io("list", from))? {
        let entry = entry.map_err(ExportError::io("list", from))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_ours = name == MANIFEST || name.ends_with(".fsz");
        if entry.path().is_file() && !is_ours {
            let path = entry.path();
            let bytes = std::fs::read(&path).map_err(ExportError::io("read", &path))?;
            write_atomic(&to.join(&name), &bytes)?;
        }
    }
    write_atomic(&to.join(MANIFEST), &to_json_bytes(set))?;
    Ok(())
}

fn sort(dropped: &mut [DroppedFace]) {
    crate::plan::sort_dropped(dropped);
}

fn read_set(folder: &Path) -> Option<SwapSet> {
    faceset_fs::read_json(&folder.join(MANIFEST)).ok()
}

fn of_people(names: impl IntoIterator<Item = String>) -> BTreeSet<String> {
    names
        .into_iter()
        .filter(|name| person_number(name).is_some())
        .collect()
}

/// The last of `name`, `name-2`, `name-3` ... that was moved into a bin. Of an era only
/// `name`: `faceset_001_2018-19` is no copy of `faceset_001_2018`.
fn newest(bin: &Path, name: &str) -> Result<Option<PathBuf>, ExportError> {
    let is_set = canonical_faceset_number(name).is_some();
    let copy = |folder: &String| match folder.strip_prefix(name)? {
        "" => Some(1),
        _ if !is_set => None,
        suffix => suffix.strip_prefix('-')?.parse::<u32>().ok(),
    };
    let found = folder_names(bin)?
        .into_iter()
        .filter_map(|folder| Some((copy(&folder)?, folder)))
        .max();
    Ok(found.map(|(_, folder)| bin.join(folder)))
}
