//! `report/files.json`: which files are ours, so that only they are removed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use faceset_core::Progress;
use faceset_fs::{FsError, read_json, write_json};
use serde::{Deserialize, Serialize};

use crate::ReportError;
use crate::plan::{FOLDER, INDEX};

/// Name of the listing below `report/`.
const LISTING: &str = "files.json";
/// Version that this build writes and the newest it reads.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Listing {
    version: u32,
    files: BTreeSet<String>,
}

/// Path of the listing of a report.
fn place(out: &Path) -> PathBuf {
    out.join(FOLDER).join(LISTING)
}

/// The files that earlier runs wrote below `out`; none when there is no listing
/// or none that can be read, which is noted.
pub(crate) fn load(out: &Path, progress: &dyn Progress) -> Result<BTreeSet<String>, ReportError> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let path = place(out);
    let read = read_json::<Version>(&path).and_then(|found| {
        if found.version > VERSION {
            return Ok(Err(found.version));
        }
        read_json::<Listing>(&path).map(Ok)
    });
    match read {
        Ok(Ok(listing)) => Ok(listing.files.into_iter().filter(|f| is_ours(f)).collect()),
        Ok(Err(found)) => Err(ReportError::TooNew {
            path,
            found,
            supported: VERSION,
        }),
        Err(FsError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Ok(BTreeSet::new())
        }
        Err(error) => {
            progress.note(&format!("old pages of the report stay: failed to {error}"));
            Ok(BTreeSet::new())
        }
    }
}

/// Replaces the listing.
pub(crate) fn save(out: &Path, files: &BTreeSet<String>) -> Result<(), ReportError> {
    let listing = Listing {
        version: VERSION,
        files: files.clone(),
    };
    Ok(write_json(&place(out), &listing)?)
}

/// Whether a listed path has the shape of one that we write: a listing is a
/// file that anybody can edit, and what it names gets removed.
fn is_ours(file: &str) -> bool {
    if file == INDEX {
        return true;
    }
    let Some(rest) = file.strip_prefix("report/") else {
        return false;
    };
    let plain = |name: &str| {
        !name.starts_with('.')
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-~".contains(&b))
    };
    match rest.split('/').collect::<Vec<_>>()[..] {
        [page] => {
            let page = Path::new(page);
            let kind = page.extension().and_then(|e| e.to_str());
            plain(rest) && matches!(kind, Some("html" | "css"))
        }
        ["thumbs", folder, name] => {
            folder.len() == 2 && plain(folder) && name.ends_with(".jpg") && plain(name)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_our_shape_are_ours() {
        for ours in [
            "index.html",
            "report/faceset_001.html",
            "report/a_b~2.html",
            "report/style.css",
            "report/thumbs/ba/ba78_-15_25_300_440.jpg",
        ] {
            assert!(is_ours(ours), "{ours}");
        }
        for other in [
            "",
            "photo.jpg",
            "../index.html",
            "/etc/x.html",
            "report/../a.html",
            "report/thumbs/../a.jpg",
            "report/thumbs/ba/../../a.jpg",
            "report/thumbs/ba/a.png",
            "report/notes.txt",
            "report/files.json",
            "report/.html",
            "report/a\\b.html",
            "report/C:x.html",
        ] {
            assert!(!is_ours(other), "{other}");
        }
    }
}
