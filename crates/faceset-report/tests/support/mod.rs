//! Manifests of a few faces, photos that are grey, and a look at the disk.

// Every test binary uses its own part of this.
#![allow(dead_code, reason = "shared by several test binaries")]
#![allow(
    missing_docs,
    unreachable_pub,
    missing_debug_implementations,
    clippy::unwrap_used,
    reason = "test support"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use faceset_core::manifest::{
    CacheRef, DroppedFace, ExportedFace, Person, RawManifest, RefineManifest, RefinedSet,
    ScoreParts, SwapSet,
};
use faceset_core::{BBox, CancelToken, FaceKey, NoProgress, SourcePath, hash_bytes};
use faceset_report::{
    FaceFacts, Grouping, Inputs, Manifests, Pictures, ReportOptions, ReportOutcome, ReportPlan,
    RunSummary, apply, group, plan,
};
use image::{Rgb, RgbImage};
use serde_json::{Map, Value};

/// Face `n` on a photo of its own.
pub fn key(n: usize) -> FaceKey {
    on_photo(&format!("/p/photo_{n}.jpg"), 10.0)
}

pub fn on_photo(path: &str, left: f32) -> FaceKey {
    FaceKey {
        path: path.into(),
        sha256: hash_bytes(path.as_bytes()),
        bbox: BBox::from([left, 20.0, left + 30.0, 60.0]),
    }
}

pub fn raw(persons: &[&[FaceKey]], singletons: &[FaceKey]) -> RawManifest {
    RawManifest {
        version: 1,
        params: Value::Null,
        cache: CacheRef::default(),
        persons: persons
            .iter()
            .enumerate()
            .map(|(at, faces)| Person {
                name: format!("person_{:03}", at + 1),
                faces: faces.to_vec(),
                images: Vec::new(),
                extra: Map::new(),
            })
            .collect(),
        singletons: singletons.to_vec(),
        noface: vec!["/p/tree.jpg".into()],
        extra: Map::new(),
    }
}

pub fn drop_of(key: FaceKey, reason: &str, value: f64, limit: f64) -> DroppedFace {
    DroppedFace {
        key,
        reason: reason.to_owned(),
        value: Some(value),
        limit: Some(limit),
    }
}

pub fn set(name: &str, faces: &[FaceKey], dropped: Vec<DroppedFace>) -> RefinedSet {
    RefinedSet {
        name: name.to_owned(),
        label: None,
        images: Vec::new(),
        faces: faces.to_vec(),
        dropped,
        extra: Map::new(),
    }
}

pub fn refined(facesets: Vec<RefinedSet>, rejected: Vec<RefinedSet>) -> RefineManifest {
    RefineManifest {
        version: 1,
        params: Value::Null,
        cache: CacheRef::default(),
        facesets,
        rejected,
        extra: Map::new(),
    }
}

pub fn swap_set(name: &str, faces: &[FaceKey], dropped: Vec<DroppedFace>) -> SwapSet {
    SwapSet {
        name: name.to_owned(),
        label: None,
        faces: faces
            .iter()
            .enumerate()
            .map(|(at, key)| ExportedFace {
                rank: at as u32 + 1,
                png: format!("{:04}.png", at + 1),
                png_sha256: key.sha256,
                key: key.clone(),
                places: Vec::new(),
                composite: 0.75,
                parts: ScoreParts::default(),
                distance: 0.25,
                crop: key.bbox,
                upscale: 1.0,
                pad_ratio: 0.5,
                masked: false,
                verified: Vec::new(),
            })
            .collect(),
        dropped,
        bundles: Vec::new(),
        params: Value::Null,
        provenance: Value::Null,
        extra: Map::new(),
    }
}

pub fn of_raw(raw: &RawManifest) -> Grouping {
    group(&Manifests {
        raw,
        refined: None,
        swap: None,
    })
}

pub fn planned(grouping: &Grouping, options: &ReportOptions) -> ReportPlan {
    plan(
        &Inputs {
            grouping,
            facts: &|_| FaceFacts::default(),
            summary: &RunSummary::default(),
        },
        options,
    )
}

/// Grey photos; those whose path says so are gone. Counts what it opens.
#[derive(Default)]
pub struct Grey {
    pub opened: AtomicUsize,
}

impl Pictures for Grey {
    fn upright_rgb(&self, path: &SourcePath) -> Result<RgbImage, String> {
        self.opened.fetch_add(1, Ordering::SeqCst);
        if path.as_str().contains("gone") {
            return Err("the file is gone".to_owned());
        }
        Ok(RgbImage::from_pixel(90, 80, Rgb([120, 60, 30])))
    }
}

pub fn write(plan: &ReportPlan, out: &Path) -> ReportOutcome {
    let pictures = Grey::default();
    apply(plan, &pictures, out, &NoProgress, &CancelToken::default()).unwrap()
}

/// Opens nothing: for tests of pages only.
pub struct Blind;

impl Pictures for Blind {
    fn upright_rgb(&self, _: &SourcePath) -> Result<RgbImage, String> {
        Err("not looked at".to_owned())
    }
}

/// Every file below a folder with its bytes, except locks.
pub fn tree(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with(".faceset.lock") {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap();
                files.insert(name.replace('\\', "/"), std::fs::read(&path).unwrap());
            }
        }
    }
    files
}

pub fn html(out: &Path, file: &str) -> String {
    std::fs::read_to_string(out.join(file)).unwrap()
}

/// All pages that list faces, in file order.
pub fn face_pages(out: &Path) -> String {
    tree(out)
        .into_iter()
        .filter(|(file, _)| file.starts_with("report/") && file.ends_with(".html"))
        .map(|(_, bytes)| String::from_utf8(bytes).unwrap())
        .collect()
}
