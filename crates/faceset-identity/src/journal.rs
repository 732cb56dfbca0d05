//! `registry.journal.jsonl`: one change a line, written before the registry.
//!
//! Owns lines and their damage, and blotting out what must be forgotten. What a
//! change means is in `change` and `registry`.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use faceset_core::{FaceKey, FacesetNumber};
use serde::{Deserialize, Serialize};

use crate::change::{Change, FacesEdit, NoFacesEdit};
use crate::error::IdentityError;
use crate::file::REGISTRY_VERSION;
use crate::identity::{FaceId, Faces, State};

/// What the history says in place of a line that told of a forgotten person.
pub const BLOTTED: &str = "(forgotten)";

/// One change of the past.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Version of the format.
    pub version: u32,
    /// Number, growing.
    pub id: u64,
    /// When, as the caller said: RFC 3339 in UTC.
    pub at: String,
    /// One line for people.
    pub what: String,
    /// The entry that it took back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<u64>,
    /// The steps.
    pub changes: Vec<Change>,
}

/// What a journal holds.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) entries: Vec<Entry>,
    /// Length of the good part; what follows was torn by a kill.
    good_len: u64,
    /// False when the last good line lacks its line end.
    ended: bool,
}

/// Reads a journal; a missing one is empty. A last line without an end is kept
/// when it is whole and ignored otherwise.
pub(crate) fn read(path: &Path) -> Result<Read, IdentityError> {
    let bytes = match std::fs::read(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        other => other.map_err(IdentityError::io("read", path))?,
    };
    let mut found = Read {
        ended: true,
        ..Read::default()
    };
    for (i, line) in bytes.split_inclusive(|b| *b == b'\n').enumerate() {
        let ended = line.ends_with(b"\n");
        let blank = line.iter().all(u8::is_ascii_whitespace);
        if !blank {
            match serde_json::from_slice::<Entry>(line) {
                Ok(entry) => push(&mut found.entries, entry, path, i + 1)?,
                Err(_) if !ended => return Ok(found),
                Err(source) => {
                    let newer = serde_json::from_slice::<serde_json::Value>(line)
                        .ok()
                        .and_then(|v| v.get("version")?.as_u64());
                    check_version(newer.unwrap_or(0), path)?;
                    return Err(IdentityError::JournalLine {
                        path: path.to_path_buf(),
                        line: i + 1,
                        source,
                    });
                }
            }
        }
        found.good_len += line.len() as u64;
        found.ended = ended;
    }
    Ok(found)
}

fn push(
    entries: &mut Vec<Entry>,
    entry: Entry,
    path: &Path,
    line: usize,
) -> Result<(), IdentityError> {
    check_version(entry.version.into(), path)?;
    let last = entries.last().map_or(0, |e| e.id);
    if entry.id <= last {
        return Err(IdentityError::JournalOrder {
            path: path.to_path_buf(),
            line,
            found: entry.id,
            last,
        });
    }
    entries.push(entry);
    Ok(())
}

fn check_version(found: u64, path: &Path) -> Result<(), IdentityError> {
    if found <= u64::from(REGISTRY_VERSION) {
        return Ok(());
    }
    Err(IdentityError::TooNew {
        path: path.to_path_buf(),
        found,
        supported: REGISTRY_VERSION,
    })
}

/// The line of an entry, with its end.
pub(crate) fn line(entry: &Entry) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(entry).expect("our own types serialise");
    bytes.push(b'\n');
    bytes
}

/// Appends entries durably. Only for the holder of the registry's lock.
#[derive(Debug)]
pub(crate) struct Appender {
    path: PathBuf,
    file: Option<File>,
    good_len: u64,
    ended: bool,
}

impl Appender {
    pub(crate) fn new(path: PathBuf, read: &Read) -> Self {
        Self {
            path,
            file: None,
            good_len: read.good_len,
            ended: read.ended,
        }
    }

    /// Returns when the entry is on the disk. After an error nothing of it
    /// counts: the next append, or the next reader, drops what is torn.
    pub(crate) fn append(&mut self, entry: &Entry) -> Result<(), IdentityError> {
        let mut bytes = line(entry);
        if !self.ended {
            bytes.insert(0, b'\n');
        }
        let is_new = self.file.is_none();
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(
                OpenOptions::new()
                    .write(true)
                    .create(true)
                    .truncate(false)
                    .open(&self.path)
                    .map_err(IdentityError::io("open", &self.path))?,
            ),
        };
        file.set_len(self.good_len)
            .and_then(|()| file.seek(SeekFrom::Start(self.good_len)))
            .and_then(|_| file.write_all(&bytes))
            .and_then(|()| file.sync_data())
            .map_err(IdentityError::io("append to", &self.path))?;
        if is_new {
            faceset_fs::sync_folder_of(&self.path);
        }
        self.good_len += bytes.len() as u64;
        self.ended = true;
        Ok(())
    }

    /// Replaces the whole journal.
    pub(crate) fn rewrite(&mut self, entries: &[Entry]) -> Result<(), IdentityError> {
        let bytes: Vec<u8> = entries.iter().flat_map(line).collect();
        self.file = None;
        faceset_fs::write_atomic(&self.path, &bytes)?;
        self.good_len = bytes.len() as u64;
        self.ended = true;
        Ok(())
    }
}

/// Blots out what entries tell of forgotten numbers and of these faces. What
/// they tell of others still fits together: a face is taken out wherever it
/// was put in. Returns whether anything changed.
pub(crate) fn blot(
    entries: &mut [Entry],
    forgotten: &BTreeSet<FacesetNumber>,
    faces: &BTreeSet<FaceId>,
) -> bool {
    let titles: Vec<String> = forgotten.iter().map(|n| n.folder_name()).collect();
    let mut any = false;
    for entry in entries {
        let changes: Vec<Change> = entry
            .changes
            .iter()
            .filter(|c| {
                matches!(c, Change::Forget { .. })
                    || c.number().is_none_or(|n| !forgotten.contains(&n))
            })
            .map(|c| without_faces(c, faces))
            .filter(|c| !is_empty(c))
            .collect();
        let is_forget = |c: &Change| matches!(c, Change::Forget { .. });
        let tells = titles.iter().any(|t| mentions(&entry.what, t));
        let differs = changes != entry.changes;
        if (tells || differs) && !changes.iter().any(is_forget) && entry.what != BLOTTED {
            BLOTTED.clone_into(&mut entry.what);
            any = true;
        }
        if differs {
            entry.changes = changes;
            any = true;
        }
    }
    any
}

/// Faces that entries name for these numbers, and those that went with them.
pub(crate) fn faces_told(entries: &[Entry], numbers: &BTreeSet<FacesetNumber>) -> BTreeSet<FaceId> {
    let mut told = BTreeSet::new();
    for entry in entries {
        let forgets = entry
            .changes
            .iter()
            .any(|c| matches!(c, Change::Forget { .. }));
        for change in &entry.changes {
            match change {
                Change::Create(i) | Change::Remove(i) if numbers.contains(&i.number) => {
                    told.extend(i.faces.iter().map(FaceKey::id));
                }
                Change::NotThisPerson(_) | Change::NoFaces(_) if !forgets => {}
                other if forgets || other.number().is_some_and(|n| numbers.contains(&n)) => {
                    told.extend(other.faces().into_iter().map(FaceKey::id));
                }
                _ => {}
            }
        }
    }
    told
}

/// The state an identity had before it got its present one; active when the
/// history doesn't tell.
pub(crate) fn state_before(entries: &[Entry], number: FacesetNumber, now: State) -> State {
    entries
        .iter()
        .rev()
        .flat_map(|e| e.changes.iter().rev())
        .find_map(|c| match c {
            // Parting from a merge also leads to a state, but tells nothing of
            // what was before.
            Change::State(e) if e.number == number && e.after == now => {
                Some(e.before).filter(|s| matches!(s, State::Active | State::Thin | State::Hidden))
            }
            _ => None,
        })
        .unwrap_or_default()
}

fn mentions(text: &str, folder: &str) -> bool {
    text.match_indices(folder)
        .any(|(at, _)| !text[at + folder.len()..].starts_with(|c: char| c.is_ascii_digit()))
}

fn is_empty(change: &Change) -> bool {
    match change {
        Change::Faces(edit) | Change::NotThisPerson(edit) => {
            edit.removed.is_empty() && edit.added.is_empty()
        }
        Change::NoFaces(edit) => edit.removed.is_empty() && edit.added.is_empty(),
        _ => false,
    }
}

fn without_faces(change: &Change, faces: &BTreeSet<FaceId>) -> Change {
    if !change.faces().iter().any(|k| faces.contains(&k.id())) {
        return change.clone();
    }
    let keep = |edit: &FacesEdit| FacesEdit {
        number: edit.number,
        removed: without(&edit.removed, faces),
        added: without(&edit.added, faces),
    };
    let kept = |list: &Faces| -> Faces {
        list.iter()
            .filter(|k| !faces.contains(&k.id()))
            .cloned()
            .collect()
    };
    match change.clone() {
        Change::Faces(edit) => Change::Faces(keep(&edit)),
        Change::NotThisPerson(edit) => Change::NotThisPerson(keep(&edit)),
        Change::NoFaces(edit) => Change::NoFaces(NoFacesEdit {
            removed: without(&edit.removed, faces),
            added: without(&edit.added, faces),
        }),
        Change::Feature(mut edit) => {
            edit.before = edit.before.filter(|k| !faces.contains(&k.id()));
            edit.after = edit.after.filter(|k| !faces.contains(&k.id()));
            Change::Feature(edit)
        }
        Change::Create(mut i) | Change::Remove(mut i) => {
            i.faces = kept(&i.faces);
            i.not_this_person = kept(&i.not_this_person);
            i.feature = i.feature.filter(|k| !faces.contains(&k.id()));
            match change {
                Change::Create(_) => Change::Create(i),
                _ => Change::Remove(i),
            }
        }
        other => other,
    }
}

fn without(keys: &[FaceKey], faces: &BTreeSet<FaceId>) -> Vec<FaceKey> {
    keys.iter()
        .filter(|k| !faces.contains(&k.id()))
        .cloned()
        .collect()
}
