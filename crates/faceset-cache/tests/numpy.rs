//! The promise of the format: plain `numpy.load(allow_pickle=False)` reads it.
//!
//! Needs a Python with numpy: the one that `FACE_SETS_PYTHON` names, else
//! `python3`.

#![allow(clippy::unwrap_used, reason = "helpers of a test")]

mod common;

use std::path::Path;
use std::process::Command;

use common::{enrichment, meta, photo};
use faceset_cache::{CacheError, CacheWriter, load};
use serde_json::Value;

fn python(script: &str, args: &[&Path]) -> String {
    let python = std::env::var("FACE_SETS_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
    let has_numpy = Command::new(&python)
        .args(["-c", "import numpy"])
        .output()
        .unwrap_or_else(|e| {
            panic!("cannot run {python}: {e}; install Python 3 or set FACE_SETS_PYTHON")
        });
    assert!(
        has_numpy.status.success(),
        "{python} has no numpy; install it with `{python} -m pip install numpy`, or set \
         FACE_SETS_PYTHON to a Python that has it"
    );
    let output = Command::new(&python)
        .arg(script)
        .args(args)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn numbers(array: &Value) -> Vec<f32> {
    array["values"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_f64().map_or(f32::NAN, |v| v as f32))
        .collect()
}

fn texts(array: &Value) -> Vec<&str> {
    array["values"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_str().unwrap())
        .collect()
}

#[test]
fn numpy_reads_every_array_without_pickles() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.npz");
    let mut writer = CacheWriter::open(&path, &meta(), "test").unwrap();
    for i in 0..12 {
        writer.put(photo(i)).unwrap();
    }
    let first = photo(0);
    writer
        .add_alias(&first.path, "/copy 🙂.jpg".into(), 9)
        .unwrap();
    writer.enrich(&first.path, 0, enrichment(3, true)).unwrap();
    let cache = writer.finish().unwrap();

    let seen: Value = serde_json::from_str(&python("tests/numpy_reads.py", &[&path])).unwrap();
    let arrays = &seen["arrays"];
    let (n, f) = (cache.n_faces(), cache.n_files());
    for (name, dtype, shape) in [
        ("embeddings", "f4", vec![n, common::DIM]),
        ("embedding_norm", "f4", vec![n]),
        ("bbox", "f4", vec![n, 4]),
        ("kps", "f4", vec![n, 5, 2]),
        ("det_score", "f4", vec![n]),
        ("face_short", "f4", vec![n]),
        ("blur", "f4", vec![n]),
        ("landmark_2d_106", "f4", vec![n, 106, 2]),
        ("landmark_3d_68", "f4", vec![n, 68, 3]),
        ("pose", "f4", vec![n, 3]),
        ("enriched", "b1", vec![n]),
        ("file_size", "i8", vec![f]),
        ("file_mtime_ns", "i8", vec![f]),
        ("file_dims", "u4", vec![f, 2]),
    ] {
        assert_eq!(arrays[name]["dtype"], dtype, "{name}");
        assert_eq!(arrays[name]["shape"], serde_json::json!(shape), "{name}");
    }
    assert_eq!(
        numbers(&arrays["embeddings"]),
        cache.embeddings().into_raw_vec_and_offset().0
    );
    let boxes: Vec<f32> = cache
        .faces()
        .flat_map(|r| <[f32; 4]>::from(r.face.bbox))
        .collect();
    assert_eq!(numbers(&arrays["bbox"]), boxes);
    let paths: Vec<&str> = cache.faces().map(|r| r.file.path.as_str()).collect();
    assert_eq!(texts(&arrays["paths"]), paths);
    let files: Vec<&str> = cache.files().map(|f| f.path.as_str()).collect();
    assert_eq!(texts(&arrays["file_paths"]), files);
    let dims: Vec<f32> = cache
        .files()
        .flat_map(|f| f.dims.map(|d| d as f32))
        .collect();
    assert_eq!(numbers(&arrays["file_dims"]), dims);
    let noface: Vec<&str> = cache.noface().map(|f| f.path.as_str()).collect();
    assert_eq!(texts(&arrays["noface_paths"]), noface);
    assert!(!noface.is_empty());
    let reasons: Vec<&str> = cache.failed().map(|(_, reason)| reason).collect();
    assert_eq!(texts(&arrays["failed_reasons"]), reasons);
    assert!(!reasons.is_empty());
    let row = cache.faces().find(|r| r.face.enrichment.is_some()).unwrap();
    let pose = numbers(&arrays["pose"]);
    let enriched = row.face.enrichment.as_ref().unwrap().pose.unwrap();
    assert_eq!(
        pose[row.row * 3..row.row * 3 + 3],
        <[f32; 3]>::from(enriched)
    );
    assert_eq!(pose.iter().filter(|v| v.is_nan()).count(), 3 * (n - 1));
    assert_eq!(
        seen["meta"]["aliases"][first.path.as_str()],
        serde_json::json!(["/copy 🙂.jpg"])
    );
    assert_eq!(seen["meta"]["pack"]["name"], "synthetic");
}

#[test]
fn a_pickled_cache_is_refused_and_its_converted_form_is_read() {
    let dir = tempfile::tempdir().unwrap();
    python("tests/make_pickled.py", &[dir.path()]);
    for (name, n_noface, n_aliases) in [("columns.npz", 0, 1), ("records.npz", 1, 0)] {
        let old = dir.path().join(name);
        let error = load(&old).unwrap_err();
        assert!(matches!(error, CacheError::Pickled { .. }), "{error}");
        let new = dir.path().join(format!("new-{name}"));
        python("../../docs/formats/convert_pickled_cache.py", &[&old, &new]);
        let (cache, report) = load(&new).unwrap();
        assert_eq!((report.schema, cache.n_faces()), (Some(0), 3));
        assert_eq!(cache.noface().count(), n_noface);
        assert_eq!(cache.aliases().count(), n_aliases);
        let first = cache.faces().next().unwrap();
        assert_eq!(first.file.path.as_str(), "/a.jpg");
        assert_eq!(first.face.embedding, [0.0, 1.0, 0.0, 0.0]);
        assert_eq!(
            (first.face.embedding_norm, first.face.face_short),
            (20.0, 20.0)
        );
    }
}
