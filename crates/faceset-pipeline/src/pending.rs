//! What a step that makes sets was about to do, so that the next run finishes
//! it: a synthetic refine manifest beside the sets while a run is under way.

use std::path::{Path, PathBuf};

use faceset_cache::Cache;
use faceset_core::manifest::RefineManifest;
use faceset_export::ExportPlan;
use faceset_fs::{to_json_bytes, write_atomic};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::PipelineError;
use crate::export::{check_belongs, read_manifest};

/// Key of the run's own words in the manifest.
const RUN: &str = "run";

/// An unfinished run.
#[derive(Debug, Clone)]
pub(crate) struct Pending {
    pub(crate) manifest: RefineManifest,
    pub(crate) provenance: Value,
    path: PathBuf,
}

fn path_of(swap_ready: &Path, step: &str) -> PathBuf {
    swap_ready.join(format!(".faceset-{step}.json"))
}

/// The unfinished run of a step, if there is one.
pub(crate) fn load(swap_ready: &Path, step: &str) -> Result<Option<Pending>, PipelineError> {
    let path = path_of(swap_ready, step);
    if !path.is_file() {
        return Ok(None);
    }
    let manifest: RefineManifest = read_manifest(&path)?;
    let provenance = manifest.extra.get(RUN).and_then(|r| r.get("provenance"));
    Ok(Some(Pending {
        provenance: provenance.cloned().unwrap_or(Value::Null),
        manifest,
        path,
    }))
}

/// Remembers a run before it begins.
pub(crate) fn store(swap_ready: &Path, step: &str, run: &Pending) -> Result<(), PipelineError> {
    let bytes = to_json_bytes(&run.manifest);
    Ok(write_atomic(&path_of(swap_ready, step), &bytes)?)
}

/// Forgets a run that is done.
pub(crate) fn clear(swap_ready: &Path, step: &str) -> Result<(), PipelineError> {
    let path = path_of(swap_ready, step);
    match faceset_fs::remove_file(&path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(PipelineError::io("remove", &path)(e))
        }
        _ => Ok(()),
    }
}

/// Adds what a step says of itself to what the export says.
pub(crate) fn sign(plan: &mut ExportPlan, provenance: &Value) {
    if let (Some(all), Some(own)) = (plan.provenance.as_object_mut(), provenance.as_object()) {
        all.extend(own.clone());
    }
}

impl Pending {
    /// A run with its report, which the one that finishes it repeats.
    pub(crate) fn new(
        manifest: &RefineManifest,
        provenance: &Value,
        report: &impl Serialize,
    ) -> Self {
        let mut manifest = manifest.clone();
        manifest.extra.insert(
            RUN.to_owned(),
            json!({"provenance": provenance, "report": report}),
        );
        Self {
            manifest,
            provenance: provenance.clone(),
            path: PathBuf::new(),
        }
    }

    /// Refuses to finish with a cache that lacks the faces.
    pub(crate) fn check_cache(
        &self,
        cache: &Cache,
        cache_path: &Path,
    ) -> Result<(), PipelineError> {
        let faces = self.manifest.facesets.iter().flat_map(|s| &s.faces);
        check_belongs(cache, cache_path, &self.path, faces)
    }

    pub(crate) fn report<T: DeserializeOwned>(&self) -> Result<T, PipelineError> {
        let report = self.manifest.extra.get(RUN).and_then(|r| r.get("report"));
        serde_json::from_value(report.cloned().unwrap_or(Value::Null)).map_err(|source| {
            PipelineError::Fs(faceset_fs::FsError::Json {
                path: self.path.clone(),
                source,
            })
        })
    }

    pub(crate) fn string(&self, key: &str) -> String {
        let text = self.provenance.get(key).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    }

    pub(crate) fn strings(&self, key: &str) -> Vec<String> {
        let list = self.provenance.get(key).and_then(Value::as_array);
        list.into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    }
}
