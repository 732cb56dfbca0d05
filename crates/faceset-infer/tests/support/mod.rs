//! What the tests against the frozen reference share: set-up's files, the
//! reference itself, and analysers on them.
//!
//! What set-up did not bring is a failure that says what to run.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use faceset_core::{BBox, Landmarks5, hash_bytes};
use faceset_infer::{Analyzer, FREE_PACK, Pack, Purpose, Runtime, find_library};
use faceset_media::DecodeLimits;
use faceset_testkit::{home, repo_root};
use image::RgbImage;
use serde::Deserialize;

const ADVICE: &str = "run `cargo xtask setup`";

/// A pack of SCRFD and the free recogniser, as make_reference.py runs them.
pub(crate) const SCRFD_PACK: &str = r#"
format = 1
name = "reference"
title = "insightface's SCRFD with the free recogniser"
licence = "as the files"
source = "shared models beside the repository"
[detector]
file = "scrfd_2.5g_kps.onnx"
kind = "scrfd"
width = 640
height = 640
color = "rgb"
mean = 127.5
std = 128.0
score_threshold = 0.5
nms_threshold = 0.4
[recognizer]
file = "fr_feature.onnx"
size = 112
color = "bgr"
mean = 127.0
std = 128.0
dim = 512
[thresholds]
cluster = 0.55
match = 0.45
"#;

/// `fixtures/parity/reference.json`.
#[derive(Deserialize)]
pub(crate) struct Reference {
    pub(crate) detector_sha256: String,
    pub(crate) recognizer_sha256: String,
    pub(crate) pictures: Vec<ReferencePicture>,
}

#[derive(Deserialize)]
pub(crate) struct ReferencePicture {
    pub(crate) file: String,
    sha256: String,
    pub(crate) faces: Vec<ReferenceFace>,
}

#[derive(Deserialize)]
pub(crate) struct ReferenceFace {
    pub(crate) bbox: BBox,
    pub(crate) score: f32,
    pub(crate) kps: Landmarks5,
    embedding: String,
}

impl Reference {
    pub(crate) fn load() -> Self {
        let path = repo_root().join("fixtures/parity/reference.json");
        let reference: Self = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        assert!(
            reference
                .pictures
                .iter()
                .map(|p| p.faces.len())
                .sum::<usize>()
                >= 10,
            "the reference holds faces to compare"
        );
        reference
    }
}

impl ReferencePicture {
    /// The sample picture, upright, when it is the one of the reference.
    pub(crate) fn pixels(&self) -> RgbImage {
        let path = home().join("samples/sources").join(&self.file);
        let bytes = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}; {ADVICE}", path.display()));
        assert_eq!(
            hash_bytes(&bytes).to_string(),
            self.sha256,
            "{} is not the picture that the reference was made from; {ADVICE}",
            path.display()
        );
        faceset_media::decode(&bytes, &DecodeLimits::default())
            .unwrap()
            .rgb
    }
}

impl ReferenceFace {
    /// Unit embedding.
    pub(crate) fn embedding(&self) -> Vec<f32> {
        let bytes = STANDARD.decode(&self.embedding).unwrap();
        let (values, rest) = bytes.as_chunks::<4>();
        assert!(rest.is_empty());
        values.iter().map(|b| f32::from_le_bytes(*b)).collect()
    }
}

/// Cosine of two unit embeddings.
pub(crate) fn cosine(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|(a, b)| f64::from(*a) * f64::from(*b))
        .sum()
}

/// Asserts that two analyzers find the same faces on these pictures, with embeddings
/// at least this near; returns the number of faces.
pub(crate) fn n_same_faces(
    here: &mut Analyzer,
    there: &mut Analyzer,
    pictures: &[ReferencePicture],
    min_cosine: f64,
) -> usize {
    let mut n_faces = 0;
    for picture in pictures {
        let pixels = picture.pixels();
        let (a, b) = (
            here.analyze(&pixels).unwrap(),
            there.analyze(&pixels).unwrap(),
        );
        assert_eq!(a.faces.len(), b.faces.len(), "{}", picture.file);
        for (a, b) in a.faces.iter().zip(&b.faces) {
            assert!(
                a.bbox.iou(&b.bbox) >= 0.999,
                "{}: {:?} {:?}",
                picture.file,
                a.bbox,
                b.bbox
            );
            let same = cosine(&a.embedding, &b.embedding);
            assert!(same >= min_cosine, "{}: cosine {same}", picture.file);
            n_faces += 1;
        }
    }
    n_faces
}

pub(crate) fn runtime() -> Runtime {
    let folder = home().join("runtime");
    let library = find_library(std::slice::from_ref(&folder))
        .unwrap_or_else(|| panic!("no ONNX Runtime in {}; {ADVICE}", folder.display()));
    Runtime::load(&library).unwrap()
}

/// Folder of the free pack's models.
pub(crate) fn free_models() -> PathBuf {
    home().join("models").join(FREE_PACK)
}

/// A file of the free pack.
pub(crate) fn free_model(file: &str) -> PathBuf {
    let path = free_models().join(file);
    assert!(path.is_file(), "no {}; {ADVICE}", path.display());
    path
}

pub(crate) fn analyzer(pack: Pack, models: &Path, purpose: Purpose) -> Analyzer {
    let located = pack
        .locate(&[models.to_path_buf()])
        .unwrap_or_else(|e| panic!("{e}; {ADVICE}"));
    Analyzer::new(&runtime(), &located, purpose).unwrap()
}

pub(crate) fn free_analyzer(purpose: Purpose) -> Analyzer {
    analyzer(Pack::built_in(FREE_PACK).unwrap(), &free_models(), purpose)
}
