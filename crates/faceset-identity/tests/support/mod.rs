//! Faces, dates and registries for the tests.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "test support; each test file uses its part"
)]

use std::path::Path;

use faceset_core::manifest::{ExportedFace, RefinedSet, ScoreParts, SwapReadyManifest, SwapSet};
use faceset_core::{BBox, CivilDate, FaceKey, FacesetNumber, hash_bytes};
use faceset_identity::{IdentityError, Plan, Registry, RegistryWriter};
use serde_json::{Map, Value, json};

pub(crate) fn today() -> CivilDate {
    "2026-05-17".parse().unwrap()
}

pub(crate) fn number(n: u32) -> FacesetNumber {
    FacesetNumber::new(n).unwrap()
}

pub(crate) fn at(second: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(1_700_000_000 + second).unwrap()
}

/// A face of 40 x 60 px on photo `photo`, `left` px from the left.
pub(crate) fn face(photo: u32, left: u16) -> FaceKey {
    let left = f32::from(left);
    FaceKey {
        path: format!("/photos/p{photo:05}.jpg").into(),
        sha256: hash_bytes(&photo.to_le_bytes()),
        bbox: BBox {
            x1: left,
            y1: 7.25,
            x2: left + 40.0,
            y2: 67.3,
        },
    }
}

pub(crate) fn faces(photos: std::ops::Range<u32>) -> Vec<FaceKey> {
    photos.map(|p| face(p, 10)).collect()
}

pub(crate) fn refined(name: &str, label: Option<&str>, faces: &[FaceKey]) -> RefinedSet {
    RefinedSet {
        name: name.to_owned(),
        label: label.map(str::to_owned),
        images: faces.iter().map(|f| f.path.clone()).collect(),
        faces: faces.to_vec(),
        dropped: Vec::new(),
        extra: Map::new(),
    }
}

pub(crate) fn exported(rank: u32, key: &FaceKey) -> ExportedFace {
    ExportedFace {
        rank,
        png: format!("{rank:03}.png"),
        png_sha256: hash_bytes(b"png"),
        key: key.clone(),
        places: vec![key.path.clone()],
        composite: 0.5,
        parts: ScoreParts::default(),
        distance: 0.25,
        crop: key.bbox,
        upscale: 1.0,
        pad_ratio: 0.5,
        masked: false,
        verified: Vec::new(),
    }
}

pub(crate) fn swap_set(name: &str, label: Option<&str>, faces: &[FaceKey]) -> SwapSet {
    SwapSet {
        name: name.to_owned(),
        label: label.map(str::to_owned),
        faces: faces
            .iter()
            .zip(1..)
            .map(|(key, rank)| exported(rank, key))
            .collect(),
        dropped: Vec::new(),
        bundles: Vec::new(),
        params: Value::Null,
        provenance: Value::Null,
        extra: Map::new(),
    }
}

pub(crate) fn manifest(facesets: Vec<SwapSet>) -> SwapReadyManifest {
    SwapReadyManifest {
        version: 1,
        facesets,
        ..SwapReadyManifest::default()
    }
}

pub(crate) fn writer(dir: &Path) -> RegistryWriter {
    RegistryWriter::open(dir, "a test", today()).unwrap()
}

/// Plans and applies; the number of the entry, 0 when there was nothing to do.
pub(crate) fn run(
    writer: &mut RegistryWriter,
    plan: impl FnOnce(&Registry) -> Result<Plan, IdentityError>,
) -> Result<u64, IdentityError> {
    let plan = plan(writer.registry())?;
    Ok(writer.apply(&plan, at(1))?.unwrap_or(0))
}

pub(crate) fn record(writer: &mut RegistryWriter, sets: Vec<SwapSet>) -> Plan {
    let plan = writer
        .registry()
        .plan_record_export(&manifest(sets), &json!({"run": "export-swap"}));
    writer.apply(&plan, at(0)).unwrap();
    plan
}

/// Ana has 001 with photos 0..10, Bob 002 with 10..16, unnamed 003 with 16..20.
pub(crate) fn three_people(dir: &Path) -> RegistryWriter {
    let mut writer = writer(dir);
    record(
        &mut writer,
        vec![
            swap_set("faceset_001", Some("Ana"), &faces(0..10)),
            swap_set("faceset_002", Some("Bob"), &faces(10..16)),
            swap_set("faceset_003", None, &faces(16..20)),
        ],
    );
    writer
}
