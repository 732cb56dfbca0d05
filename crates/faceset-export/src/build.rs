//! One folder: cut, verified, bundled and described in a temporary place, and
//! recognised when it is already there.

use std::collections::BTreeSet;
use std::path::Path;

use faceset_core::hash_bytes;
use faceset_core::manifest::{ExportedFace, SwapSet};
use faceset_core::{CancelToken, Progress};
use faceset_fs::{to_json_bytes, write_atomic};
use rayon::prelude::*;
use serde_json::{Map, Value, json};

use crate::ExportError;
use crate::bundle::{hash_file, size_warning, write_bundle};
use crate::pictures::{FaceFinder, PixelSource, open_first};
use crate::plan::{ExportPlan, PlannedFace, SetPlan, sort_dropped};
use crate::select::dropped;
use crate::verify::{Cut, CutError, cut_face};

/// Photos cut between two looks at the cancel token.
const BATCH: usize = 16;
/// Reason of faces whose photo could not be read. A set with one is tried again
/// by the next run.
pub(crate) const UNREADABLE: &str = "unreadable";
/// Reason of faces whose photo has another size than when it was embedded.
const PHOTO_CHANGED: &str = "photo_changed";
/// Changes when the way a set is cut or written changes, so that sets of an
/// older build are not taken for equal.
const BUILD_FORMAT: u32 = 1;

/// A folder's manifest.
pub(crate) const MANIFEST: &str = "manifest.json";
/// Where a person writes the name.
pub(crate) const NAME_FILE: &str = "NAME.txt";
pub(crate) const FACES: &str = "faces";

/// What building needs besides the set.
#[derive(Clone, Copy)]
pub(crate) struct Workshop<'a> {
    pub(crate) plan: &'a ExportPlan,
    pub(crate) pixels: &'a dyn PixelSource,
    pub(crate) finder: &'a dyn FaceFinder,
    pub(crate) progress: &'a dyn Progress,
    pub(crate) cancel: &'a CancelToken,
}

/// Settings that shape a set; candidate options don't, so that asking for
/// candidates later leaves the sets as they are.
fn set_params(plan: &ExportPlan) -> Value {
    let mut params = json!(plan.options);
    if let Some(params) = params.as_object_mut() {
        params.retain(|key, _| !key.starts_with("candidate"));
    }
    params
}

/// Identifies the decisions behind a folder: equal digests make equal folders
/// from equal photos.
pub(crate) fn set_digest(plan: &ExportPlan, set: &SetPlan) -> String {
    let decisions = json!([BUILD_FORMAT, set, set_params(plan)]);
    hash_bytes(&to_json_bytes(&decisions)).to_string()
}

/// The manifest of a folder that holds exactly what the digest's plan makes of
/// readable photos; `None` when anything is missing, changed or to be retried.
pub(crate) fn read_complete(folder: &Path, digest: &str) -> Option<SwapSet> {
    let set: SwapSet = faceset_fs::read_json(&folder.join(MANIFEST)).ok()?;
    let same_plan = set.provenance.get("plan_digest").and_then(Value::as_str) == Some(digest);
    let retry = set.dropped.iter().any(|d| d.reason == UNREADABLE);
    (same_plan && !retry && is_intact(folder, &set)).then_some(set)
}

/// Whether PNGs and bundles are those of the manifest, no more and no fewer.
pub(crate) fn is_intact(folder: &Path, set: &SwapSet) -> bool {
    let faces = folder.join(FACES);
    let pngs: BTreeSet<&str> = set.faces.iter().map(|f| f.png.as_str()).collect();
    let bundles: BTreeSet<&str> = set.bundles.iter().map(|b| b.file.as_str()).collect();
    let names_match = |dir: &Path, extension: &str, expected: &BTreeSet<&str>| {
        names_with(dir, extension).is_some_and(|found| {
            found.len() == expected.len() && found.iter().all(|n| expected.contains(n.as_str()))
        })
    };
    names_match(&faces, ".png", &pngs)
        && names_match(folder, ".fsz", &bundles)
        && set
            .faces
            .iter()
            .all(|f| hash_file(&faces.join(&f.png)).is_ok_and(|(_, sha256)| sha256 == f.png_sha256))
        && set
            .bundles
            .iter()
            .all(|b| hash_file(&folder.join(&b.file)).is_ok_and(|(_, sha256)| sha256 == b.sha256))
}

fn names_with(dir: &Path, extension: &str) -> Option<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).ok()? {
        let name = entry.ok()?.file_name().to_string_lossy().into_owned();
        if name.ends_with(extension) {
            names.push(name);
        }
    }
    Some(names)
}

/// A folder built in a temporary place.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) set: SwapSet,
    /// Faces whose photo could not be read.
    pub(crate) n_unreadable: usize,
    pub(crate) warnings: Vec<String>,
}

/// Builds a set in the empty folder `folder`. `existing` is the folder it will
/// replace: a name that a person wrote there is taken along. `None` when a stop
/// was requested.
pub(crate) fn build(
    set: &SetPlan,
    folder: &Path,
    existing: &Path,
    shop: Workshop<'_>,
) -> Result<Option<Built>, ExportError> {
    let faces_dir = folder.join(FACES);
    std::fs::create_dir_all(&faces_dir)
        .map_err(ExportError::io("create the folder", &faces_dir))?;
    let mut built = Built {
        set: SwapSet {
            name: set.name.clone(),
            label: set.label.clone(),
            faces: Vec::new(),
            dropped: set.dropped.clone(),
            bundles: Vec::new(),
            params: set_params(shop.plan),
            provenance: provenance(shop.plan, set),
            extra: Map::new(),
        },
        n_unreadable: 0,
        warnings: Vec::new(),
    };
    let width = set.faces.len().to_string().len().max(4);
    for batch in set.faces.chunks(BATCH) {
        if shop.cancel.is_cancelled() {
            return Ok(None);
        }
        let results: Vec<_> = batch.par_iter().map(|face| cut_one(face, shop)).collect();
        for (face, result) in batch.iter().zip(results) {
            let outcome = result.map_err(|error| match error {
                CutError::Finder(message) => ExportError::Finder {
                    set: set.name.clone(),
                    message,
                },
                CutError::Png(source) => ExportError::Png {
                    set: set.name.clone(),
                    source,
                },
            })?;
            built.take(face, outcome, width, &faces_dir, shop)?;
        }
        shop.progress.advance(batch.len() as u64);
    }
    sort_dropped(&mut built.set.dropped);
    if built.set.faces.is_empty() {
        return Ok(Some(built));
    }
    if set.kind.is_set() {
        built.bundle(set, folder, &faces_dir, shop.plan.options.top_n)?;
        write_atomic(&folder.join(NAME_FILE), &name_text(set, existing))?;
    }
    for marker in &set.markers {
        write_atomic(&folder.join(&marker.file), marker.text.as_bytes())?;
    }
    write_atomic(&folder.join(MANIFEST), &to_json_bytes(&built.set))?;
    Ok(Some(built))
}

/// A cut face, or one line on why its photo could not be read.
type Outcome = Result<Cut, String>;

fn cut_one(face: &PlannedFace, shop: Workshop<'_>) -> Result<Outcome, CutError> {
    let picture = match open_first(shop.pixels, &face.places) {
        Ok(picture) => picture,
        Err(message) => return Ok(Err(message)),
    };
    let dims = [picture.width(), picture.height()];
    if face.dims != [0, 0] && face.dims != dims {
        return Ok(Ok(Cut::Dropped {
            reason: PHOTO_CHANGED,
            value: None,
            limit: None,
        }));
    }
    cut_face(face, &picture, &shop.plan.options, shop.finder).map(Ok)
}

impl Built {
    fn take(
        &mut self,
        face: &PlannedFace,
        outcome: Outcome,
        width: usize,
        faces_dir: &Path,
        shop: Workshop<'_>,
    ) -> Result<(), ExportError> {
        let cut = match outcome {
            Ok(Cut::Ready(cut)) => cut,
            Ok(Cut::Dropped {
                reason,
                value,
                limit,
            }) => {
                let drop = dropped(face.key.clone(), reason, value, limit);
                self.set.dropped.push(drop);
                return Ok(());
            }
            Err(message) => {
                let line = format!("{}: {message}; its face is left out", face.key.path);
                shop.progress.note(&line);
                self.warnings.push(line);
                self.n_unreadable += 1;
                let drop = dropped(face.key.clone(), UNREADABLE, None, None);
                self.set.dropped.push(drop);
                return Ok(());
            }
        };
        let rank = self.set.faces.len() as u32 + 1;
        let png = format!("{rank:0width$}.png");
        write_atomic(&faces_dir.join(&png), &cut.png)?;
        self.set.faces.push(ExportedFace {
            rank,
            png,
            png_sha256: hash_bytes(&cut.png),
            key: face.key.clone(),
            places: face.places.clone(),
            composite: face.composite,
            parts: face.parts,
            distance: face.distance,
            crop: cut.crop.bbox(),
            upscale: cut.crop.upscale(shop.plan.options.out_size),
            pad_ratio: cut.pad_ratio,
            masked: cut.masked,
            verified: cut.verified,
        });
        Ok(())
    }

    fn bundle(
        &mut self,
        set: &SetPlan,
        folder: &Path,
        faces_dir: &Path,
        top_n: usize,
    ) -> Result<(), ExportError> {
        let n_all = self.set.faces.len();
        let top = (
            format!("{}_top{top_n}.fsz", set.bundle_stem),
            n_all.min(top_n),
        );
        let all = (format!("{}_all.fsz", set.bundle_stem), n_all);
        for (file, n) in [top, all] {
            let faces = &self.set.faces[..n];
            let path = folder.join(&file);
            let bundle = write_bundle(&path, &set.name, set.label.as_deref(), faces, faces_dir)?;
            self.warnings.extend(size_warning(&bundle));
            self.set.bundles.push(bundle);
        }
        Ok(())
    }
}

/// What the caller said of the run, and the digest that recognises the set.
fn provenance(plan: &ExportPlan, set: &SetPlan) -> Value {
    let mut all = match &plan.provenance {
        Value::Object(map) => map.clone(),
        Value::Null => Map::new(),
        other => Map::from_iter([("run".to_owned(), other.clone())]),
    };
    all.insert("cache".to_owned(), json!(plan.cache));
    all.insert("n_input".to_owned(), json!(set.n_input));
    all.insert("plan_digest".to_owned(), json!(set_digest(plan, set)));
    Value::Object(all)
}

/// What a person wrote there before, else the label, else a hint.
fn name_text(set: &SetPlan, existing: &Path) -> Vec<u8> {
    if let Ok(text) = std::fs::read(existing.join(NAME_FILE)) {
        return text;
    }
    match &set.label {
        Some(label) => format!("{label}\n").into_bytes(),
        None => format!("{}: replace this line by the person's name\n", set.name).into_bytes(),
    }
}
