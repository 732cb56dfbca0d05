//! `merge-caches`: caches of several runs or machines made one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use faceset_cache::{Cache, CacheError, journal_path, save_new};
use serde::Serialize;

use crate::{Ctx, PipelineError};

/// One cache that goes in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MergeInput {
    /// The cache.
    pub path: PathBuf,
    /// Contents in it: with faces, without, and failed.
    pub files: usize,
    /// Faces in it.
    pub faces: usize,
}

/// What comes out. Every content of every input is in the result, but those
/// counted as `dropped`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MergeCachesReport {
    /// The new cache.
    pub out: PathBuf,
    /// What went in, in the order in which it was named.
    pub inputs: Vec<MergeInput>,
    /// Caches that were named more than once; they went in once.
    pub repeated: Vec<PathBuf>,
    /// Contents in the result.
    pub files: usize,
    /// Faces in the result.
    pub faces: usize,
    /// Further records of contents that several inputs hold; one each was kept.
    pub shared: usize,
    /// Photos that had other bytes in another input: the later state won.
    pub superseded: Vec<String>,
    /// Contents whose every place holds other bytes by now; their records are
    /// left out.
    pub dropped: usize,
    /// True once the result is on disk.
    pub written: bool,
}

/// The merged cache, not written yet.
#[derive(Debug)]
pub struct MergePlan {
    cache: Cache,
    report: MergeCachesReport,
}

impl MergePlan {
    /// The report of a run that is not done yet.
    pub fn report(&self) -> &MergeCachesReport {
        &self.report
    }

    /// The result.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }
}

/// Reads and merges; writes nothing. Caches of different packs or detector
/// settings are refused, and so is an `out` that exists.
pub fn plan(inputs: &[PathBuf], out: &Path, ctx: Ctx<'_>) -> Result<MergePlan, PipelineError> {
    if out.symlink_metadata().is_ok() || journal_path(out).symlink_metadata().is_ok() {
        return Err(CacheError::Exists {
            path: out.to_path_buf(),
        }
        .into());
    }
    let mut seen = BTreeSet::new();
    let (mut caches, mut named, mut repeated) = (Vec::new(), Vec::new(), Vec::new());
    ctx.progress
        .start("reading caches", Some(inputs.len() as u64));
    for path in inputs {
        ctx.check()?;
        // Two names of one file are one input.
        let real = path.canonicalize().unwrap_or_else(|_| path.clone());
        if !seen.insert(real) {
            repeated.push(path.clone());
            continue;
        }
        let (cache, loaded) = faceset_cache::load(path)?;
        for note in loaded.notes(path) {
            ctx.progress.note(&note);
        }
        named.push(MergeInput {
            path: path.clone(),
            files: cache.n_files(),
            faces: cache.n_faces(),
        });
        caches.push((path.clone(), cache));
        ctx.progress.advance(1);
    }
    ctx.progress.finish();
    let (cache, merged) = faceset_cache::merge(caches)?;
    let report = MergeCachesReport {
        out: out.to_path_buf(),
        inputs: named,
        repeated,
        files: merged.n_files,
        faces: merged.n_faces,
        shared: merged.n_shared,
        superseded: merged.superseded.iter().map(ToString::to_string).collect(),
        dropped: merged.n_dropped,
        written: false,
    };
    Ok(MergePlan { cache, report })
}

/// Writes the result; the inputs stay as they are.
pub fn apply(plan: MergePlan, ctx: Ctx<'_>) -> Result<MergeCachesReport, PipelineError> {
    save_new(&plan.report.out, &plan.cache, ctx.holder)?;
    Ok(MergeCachesReport {
        written: true,
        ..plan.report
    })
}
