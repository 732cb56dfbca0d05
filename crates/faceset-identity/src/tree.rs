//! What a swap-ready folder itself tells: numbers in use, names people wrote.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use faceset_core::{FacesetNumber, canonical_faceset_number};
use faceset_fs::folder_names;

use crate::error::IdentityError;
use crate::identity::name_flaw;

/// Folders below which sets are kept that are no longer active.
const ASIDE: [&str; 3] = ["_dropped", "_merged", "_thin"];
/// Where a person writes the name.
const NAME_FILE: &str = "NAME.txt";

/// Numbers that folders carry, active ones and those moved aside (there a copy
/// is called `faceset_003-2`), so that none is given out a second time.
pub fn numbers_on_disk(dir: &Path) -> Result<BTreeSet<FacesetNumber>, IdentityError> {
    let mut numbers = BTreeSet::new();
    for folder in std::iter::once(dir.to_path_buf()).chain(ASIDE.map(|a| dir.join(a))) {
        for name in folder_names(&folder)? {
            let plain = name.split('-').next().unwrap_or_default();
            numbers.extend(canonical_faceset_number(plain));
        }
    }
    Ok(numbers)
}

/// Names that people wrote into `NAME.txt` of the active sets: the first line
/// that is not empty. A line that mentions the folder is the placeholder of an
/// export, and a line that several folders share is no name either.
pub fn names_on_disk(dir: &Path) -> Result<BTreeMap<FacesetNumber, String>, IdentityError> {
    let mut names: BTreeMap<FacesetNumber, String> = name_files(dir)?
        .into_iter()
        .filter_map(|file| Some((file.number, file.name?)))
        .filter(|(_, name)| name_flaw(name).is_none())
        .collect();
    let mut uses: BTreeMap<String, usize> = BTreeMap::new();
    for name in names.values() {
        *uses.entry(name.to_lowercase()).or_default() += 1;
    }
    names.retain(|_, name| uses[&name.to_lowercase()] == 1);
    Ok(names)
}

/// What the `NAME.txt` of one active set says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameFile {
    /// Whose.
    pub number: FacesetNumber,
    /// The first line that is not empty; `None` when there is no such line, no
    /// file, or only the placeholder of an export, which mentions the folder.
    pub name: Option<String>,
}

/// The `NAME.txt` of every active set folder, by number. A file that can't be
/// read as text says nothing.
pub fn name_files(dir: &Path) -> Result<Vec<NameFile>, IdentityError> {
    let mut files = Vec::new();
    for folder in folder_names(dir)? {
        let Some(number) = canonical_faceset_number(&folder) else {
            continue;
        };
        files.push(name_file_in(&dir.join(&folder), number));
    }
    files.sort_by_key(|f| f.number);
    Ok(files)
}

/// The `NAME.txt` of the set of this number, whose folder is `place`.
pub fn name_file_in(place: &Path, number: FacesetNumber) -> NameFile {
    let text = std::fs::read_to_string(place.join(NAME_FILE)).unwrap_or_default();
    let text = text.trim_start_matches('\u{feff}');
    let line = text.lines().map(str::trim).find(|l| !l.is_empty());
    let folder = number.folder_name();
    NameFile {
        number,
        name: line.filter(|l| !l.contains(&folder)).map(str::to_owned),
    }
}

/// Writes a name, or the placeholder, into the first line of a `NAME.txt` that is not
/// empty; other lines stay. `place` is the folder of the set of this number. Nothing
/// happens without the folder, or when the line is there already.
pub fn write_name_file(
    place: &Path,
    number: FacesetNumber,
    name: Option<&str>,
) -> Result<(), IdentityError> {
    let folder = number.folder_name();
    if !place.is_dir() {
        return Ok(());
    }
    let path = place.join(NAME_FILE);
    let old = std::fs::read_to_string(&path).unwrap_or_default();
    let line = match name {
        Some(name) => name.to_owned(),
        None => format!("{folder}: replace this line by the person's name"),
    };
    let mut lines: Vec<&str> = old.trim_start_matches('\u{feff}').lines().collect();
    match lines.iter().position(|l| !l.trim().is_empty()) {
        Some(at) => lines[at] = &line,
        None => lines = vec![&line],
    }
    let mut text = lines.join("\n");
    text.push('\n');
    if text != old {
        faceset_fs::write_atomic(&path, text.as_bytes())?;
    }
    Ok(())
}
