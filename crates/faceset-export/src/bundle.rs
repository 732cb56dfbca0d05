//! `.fsz` bundles: what roop reads as one face set.
//!
//! A stored ZIP, flat, of PNGs in lower case with zero-padded names, plus a
//! `manifest.json` that roop ignores. A sub-folder would break roop's next
//! load; its order of faces is the order of names. The manifest inside names no
//! path of this computer: bundles are passed on.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;

use faceset_core::manifest::{Bundle, ExportedFace, MANIFEST_VERSION};
use faceset_core::{ContentHash, hash_bytes};
use faceset_fs::AtomicFile;
use serde_json::json;
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, System, ZipArchive, ZipWriter};

use crate::ExportError;

/// Bundles above this size get a warning: users report that roop refuses sets
/// of 100 to 200 MB as "not a zip".
pub(crate) const LARGE_BUNDLE_BYTES: u64 = 100_000_000;

/// Writes a bundle of the first faces of a set, opens it again and checks it.
///
/// `faces_dir` holds the PNGs under the names that `faces` gives.
pub(crate) fn write_bundle(
    path: &Path,
    set_name: &str,
    label: Option<&str>,
    faces: &[ExportedFace],
    faces_dir: &Path,
) -> Result<Bundle, ExportError> {
    let zip_error = |source| ExportError::Bundle {
        path: path.to_path_buf(),
        source,
    };
    let mut writer = ZipWriter::new(AtomicFile::create(path)?);
    // Fixed time and system: the same faces give the same bytes everywhere.
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644)
        .system(System::Unix);
    let mut add = |name: &str, bytes: &[u8]| -> Result<(), ZipError> {
        writer.start_file(name, options)?;
        writer.write_all(bytes)?;
        Ok(())
    };
    for face in faces {
        let png = faces_dir.join(&face.png);
        let bytes = std::fs::read(&png).map_err(ExportError::io("read", &png))?;
        add(&face.png, &bytes).map_err(zip_error)?;
    }
    let manifest = faceset_fs::to_json_bytes(&json!({
        "version": MANIFEST_VERSION,
        "name": set_name,
        "label": label,
        "faces": faces.iter().map(|f| json!({
            "png": f.png,
            "png_sha256": f.png_sha256,
            "rank": f.rank,
            "composite": f.composite,
        })).collect::<Vec<_>>(),
    }));
    add(MANIFEST, &manifest).map_err(zip_error)?;
    writer.finish().map_err(zip_error)?.commit()?;
    check_bundle(path, faces)?;
    let (bytes, sha256) = hash_file(path)?;
    Ok(Bundle {
        file: file_name(path),
        n_faces: faces.len() as u32,
        bytes,
        sha256,
    })
}

const MANIFEST: &str = "manifest.json";

/// Re-opens a bundle: the names in order, stored, every PNG as it was made.
pub(crate) fn check_bundle(path: &Path, faces: &[ExportedFace]) -> Result<(), ExportError> {
    let differs = |what: String| ExportError::BundleCheck {
        path: path.to_path_buf(),
        what,
    };
    let zip_error = |source| ExportError::Bundle {
        path: path.to_path_buf(),
        source,
    };
    let file = File::open(path).map_err(ExportError::io("open", path))?;
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(zip_error)?;
    if archive.len() != faces.len() + 1 {
        return Err(differs(format!(
            "{} entries where {} PNGs and a manifest belong",
            archive.len(),
            faces.len()
        )));
    }
    for (i, face) in faces.iter().enumerate() {
        let mut entry = archive.by_index(i).map_err(zip_error)?;
        let name = entry.name().map_err(zip_error)?.into_owned();
        if name != face.png {
            return Err(differs(format!("entry {i} is {name:?}, not {}", face.png)));
        }
        if entry.compression() != CompressionMethod::Stored {
            return Err(differs(format!("{} is compressed", face.png)));
        }
        let mut png = Vec::new();
        entry
            .read_to_end(&mut png)
            .map_err(ExportError::io("read", path))?;
        if hash_bytes(&png) != face.png_sha256 {
            return Err(differs(format!(
                "{} has other bytes than its PNG",
                face.png
            )));
        }
    }
    let last = archive.by_index(faces.len()).map_err(zip_error)?;
    if last.name().map_err(zip_error)? != MANIFEST {
        return Err(differs("the last entry is not the manifest".to_owned()));
    }
    Ok(())
}

/// Size and sha256 of a file.
pub(crate) fn hash_file(path: &Path) -> Result<(u64, ContentHash), ExportError> {
    let bytes = std::fs::read(path).map_err(ExportError::io("read", path))?;
    Ok((bytes.len() as u64, hash_bytes(&bytes)))
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}
