//! `era probe`: the numbers of one person, and the page that shows them.

use std::path::{Path, PathBuf};

use faceset_cache::{Cache, FaceRow};
use faceset_cluster::Vectors;
use faceset_era::Probe;
use faceset_fs::write_atomic;
use faceset_report::{EraBand, EraPage, PairBin, SizeRow};
use serde::Serialize;

use super::EraOptions;
use super::person::seed;
use super::years::{YearReport, years, years_path};
use crate::{Ctx, PipelineError, matching};

/// Sub-clusters that the page shows, by size.
const MAX_BANDS: usize = 40;

/// What a probe found.
#[derive(Debug, Clone, Serialize)]
pub struct EraProbe {
    /// The person's folder.
    pub name: String,
    /// The person's name.
    pub label: Option<String>,
    /// The numbers.
    pub probe: Probe,
    /// The verdict in words.
    pub verdict: String,
    /// What the dates came to, photos counted.
    pub years: YearReport,
    /// Faces of the person that the cache lacks.
    pub n_missing: usize,
}

/// Measures the curated faces of a person. `save` remembers the capture dates
/// that were read.
pub fn probe(
    cache: &Cache,
    options: &EraOptions,
    save: bool,
    ctx: Ctx<'_>,
) -> Result<EraProbe, PipelineError> {
    let seed = seed(cache, options, ctx)?;
    let rows: Vec<FaceRow<'_>> = cache.faces().collect();
    let ids: std::collections::BTreeSet<_> = seed.faces.iter().map(|k| k.id()).collect();
    let own: Vec<&FaceRow<'_>> = rows
        .iter()
        .filter(|r| ids.contains(&r.key().id()))
        .collect();
    let dates = years(
        cache,
        distinct_photos(&own),
        &years_path(&options.cache),
        save,
        ctx,
    )?;
    let of_rows: Vec<Option<i32>> = own.iter().map(|r| dates.of(&r.file.path)).collect();
    let matrix = matching::matrix(own.iter().map(|r| r.face.embedding.as_slice()))?;
    let vectors = Vectors::new(matrix.view())?;
    let probe = faceset_era::probe(&vectors, &of_rows, ctx.progress, ctx.cancel)?;
    Ok(EraProbe {
        name: seed.number.folder_name(),
        label: seed.label,
        verdict: probe.in_words(),
        probe,
        years: dates.report,
        n_missing: seed.n_missing,
    })
}

/// The photos of some faces, each once, in the order of the cache.
pub(crate) fn distinct_photos<'a>(rows: &[&FaceRow<'a>]) -> Vec<&'a faceset_core::FileEntry> {
    let mut photos: Vec<&faceset_core::FileEntry> = rows.iter().map(|r| r.file).collect();
    photos.dedup_by_key(|file| &file.path);
    photos
}

/// Writes the page of a probe: one HTML file that needs nothing beside it.
pub fn write_page(found: &EraProbe, path: &Path) -> Result<PathBuf, PipelineError> {
    let probe = &found.probe;
    let page = EraPage {
        title: match &found.label {
            Some(label) => format!("{label} ({})", found.name),
            None => found.name.clone(),
        },
        verdict: found.verdict.clone(),
        dates: found.years.in_words(),
        n_faces: probe.n_faces,
        n_sampled: probe.n_sampled,
        mean: probe.mean,
        median: probe.median,
        max: probe.max,
        bins: probe
            .bins
            .iter()
            .map(|b| PairBin {
                from: b.from,
                to: b.to,
                n_pairs: b.n_pairs,
            })
            .collect(),
        sizes: probe
            .sweeps
            .iter()
            .map(|s| SizeRow {
                threshold: s.threshold,
                n_clusters: s.n_clusters,
                n_big: s.n_big,
                top: s.top.clone(),
            })
            .collect(),
        threshold: faceset_era::ERA_THRESHOLD,
        bands: probe
            .clusters
            .iter()
            .take(MAX_BANDS)
            .map(|c| EraBand {
                label: c.years.label(),
                n_faces: c.rows.len(),
                by_year: c.years.by_year.clone(),
                undated: c.years.undated,
            })
            .collect(),
        n_more: probe.clusters.len().saturating_sub(MAX_BANDS),
    };
    let html = faceset_report::era_page(&page)?;
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(PipelineError::io("create the folder", folder))?;
    }
    write_atomic(path, html.as_bytes())?;
    Ok(path.to_path_buf())
}
