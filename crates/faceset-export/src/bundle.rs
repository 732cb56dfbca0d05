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
use faceset_core::{ContentHash, hash_bytes, hash_reader};
use faceset_fs::AtomicFile;
use serde_json::json;
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, System, ZipArchive, ZipWriter};

use crate::ExportError;

/// Bundles above this size get a warning: users report that roop refuses sets
/// of 100 to 200 MB as "not a zip".
const LARGE_BUNDLE_BYTES: u64 = 100_000_000;

/// A line for people when a bundle is larger than roop is known to take.
pub(crate) fn size_warning(bundle: &Bundle) -> Option<String> {
    (bundle.bytes > LARGE_BUNDLE_BYTES).then(|| {
        format!(
            "{} has {} MB; roop may refuse bundles above {} MB, use the top bundle",
            bundle.file,
            bundle.bytes.div_ceil(1_000_000),
            LARGE_BUNDLE_BYTES / 1_000_000
        )
    })
}

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

/// Size and sha256 of a file, which may be larger than the memory.
pub(crate) fn hash_file(path: &Path) -> Result<(u64, ContentHash), ExportError> {
    let file = File::open(path).map_err(ExportError::io("open", path))?;
    hash_reader(file).map_err(ExportError::io("read", path))
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use faceset_core::BBox;
    use faceset_core::manifest::ScoreParts;

    fn face(png: &str, bytes: &[u8]) -> ExportedFace {
        let bbox: BBox = [1.0, 2.0, 3.0, 5.0].into();
        ExportedFace {
            rank: 1,
            png: png.to_owned(),
            png_sha256: hash_bytes(bytes),
            key: faceset_core::FaceKey {
                path: "/secret/place.jpg".into(),
                sha256: hash_bytes(b""),
                bbox,
            },
            places: Vec::new(),
            composite: 0.5,
            parts: ScoreParts::default(),
            distance: 0.1,
            crop: bbox,
            upscale: 1.0,
            pad_ratio: 0.5,
            masked: false,
            verified: Vec::new(),
        }
    }

    #[test]
    fn a_bundle_that_holds_other_bytes_or_names_fails_its_check() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("0001.png"), b"one").unwrap();
        std::fs::write(dir.path().join("0002.png"), b"two").unwrap();
        let faces = [face("0001.png", b"one"), face("0002.png", b"two")];
        let path = dir.path().join("s.fsz");
        let bundle = write_bundle(&path, "faceset_001", None, &faces, dir.path()).unwrap();
        assert_eq!((bundle.file.as_str(), bundle.n_faces), ("s.fsz", 2));
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(6).any(|w| w == b"secret"));
        let check = |faces: &[ExportedFace]| check_bundle(&path, faces).map_err(|e| e.to_string());
        check(&faces).unwrap();
        assert!(check(&faces[..1]).unwrap_err().contains("3 entries"));
        let renamed = [face("0001.png", b"one"), face("0003.png", b"two")];
        assert!(check(&renamed).unwrap_err().contains("not 0003.png"));
        let changed = [face("0001.png", b"one"), face("0002.png", b"2")];
        assert!(
            check(&changed)
                .unwrap_err()
                .contains("0002.png has other bytes")
        );
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert!(check(&faces).is_err());
    }

    #[test]
    fn a_png_that_changed_under_the_bundle_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("0001.png"), b"damaged").unwrap();
        let path = dir.path().join("s.fsz");
        let error = write_bundle(&path, "s", None, &[face("0001.png", b"one")], dir.path());
        assert!(matches!(error, Err(ExportError::BundleCheck { .. })));
    }

    #[test]
    fn exactly_100_mb_is_not_warned_about() {
        let of = |bytes| {
            size_warning(&Bundle {
                file: "s_all.fsz".to_owned(),
                n_faces: 1,
                bytes,
                sha256: hash_bytes(b""),
            })
        };
        assert_eq!(of(100_000_000), None);
        let warning = of(100_000_001).unwrap();
        assert!(warning.starts_with("s_all.fsz has 101 MB"), "{warning}");
    }
}
