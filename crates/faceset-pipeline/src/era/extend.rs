//! `era extend`: new faces into the eras that are there; anchors stay.

use std::collections::{BTreeMap, BTreeSet};

use faceset_cache::{Cache, FaceRow};
use faceset_cluster::Vectors;
use faceset_era::{Anchor, Attachment, attach};
use serde::Serialize;

use super::EraOptions;
use super::file::{EraEntry, EraFace, EraFile, PersonEras};
use super::person::{Counts, recover, seed};
use super::probe::distinct_photos;
use super::sets::{EraPlan, Sources, plan_sets};
use super::split::former;
use super::years::{YearReport, years, years_path};
use crate::{Ctx, PipelineError, matching};

/// What an extension found. Every kept face is in exactly one of the rest.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExtendReport {
    /// The person's folder.
    pub name: String,
    /// The person's name.
    pub label: Option<String>,
    /// Who took part.
    pub faces: Counts,
    /// Faces that were in an era already.
    pub known: usize,
    /// Faces that join an era, by its name.
    pub joined: BTreeMap<String, usize>,
    /// Faces whose nearest era is too far.
    pub too_far: usize,
    /// Faces whose nearest era is of other years.
    pub other_years: usize,
    /// Faces without a date, or whose nearest era has none.
    pub undated: usize,
    /// Eras that take nothing because too few of their anchor's faces are in
    /// the cache.
    pub without_anchor: Vec<String>,
    /// Faces left because there was no era to compare with.
    pub no_anchor: usize,
    /// What the dates came to, photos counted.
    pub years: YearReport,
}

/// Part of an anchor's faces that must be in the cache for its direction to
/// count as unmoved; equal is enough. A choice of ours.
const MIN_ANCHOR_SHARE: f64 = 0.5;

/// Decides which new faces join which era: each by itself, by distance to the
/// anchor and years to its dominant year. `save` remembers capture dates.
pub fn plan(
    cache: &Cache,
    options: &EraOptions,
    save: bool,
    ctx: Ctx<'_>,
) -> Result<EraPlan<ExtendReport>, PipelineError> {
    let seed = seed(cache, options, ctx)?;
    let file = EraFile::load(&options.swap_ready)?;
    let Some(old) = file.of(seed.number).filter(|p| !p.eras.is_empty()) else {
        return Err(PipelineError::Options(format!(
            "{} has no eras yet; run `sort-faces era split {}` first",
            seed.number.folder_name(),
            seed.number
        )));
    };
    let rows: Vec<FaceRow<'_>> = cache.faces().collect();
    let embeddings = cache.embeddings();
    let all = Vectors::new(embeddings.view())?;
    let (kept, counts) = recover(&seed, cache, &rows, &all, options)?;
    let in_eras: BTreeSet<_> = old
        .eras
        .iter()
        .flat_map(|e| &e.faces)
        .map(|f| f.key.id())
        .collect();
    let new: Vec<&FaceRow<'_>> = kept
        .iter()
        .map(|row| &rows[*row as usize])
        .filter(|row| !in_eras.contains(&row.key().id()))
        .collect();
    // Dates of old faces are for the text beside their set.
    let shown: Vec<&FaceRow<'_>> = rows
        .iter()
        .filter(|row| in_eras.contains(&row.key().id()))
        .collect();
    let mut photos = distinct_photos(&new);
    photos.extend(distinct_photos(&shown));
    let dates = years(cache, photos, &years_path(&options.cache), save, ctx)?;
    let of_new: Vec<Option<i32>> = new.iter().map(|r| dates.of(&r.file.path)).collect();
    let matrix = matching::matrix(new.iter().map(|r| r.face.embedding.as_slice()))?;

    let mut report = ExtendReport {
        name: seed.number.folder_name(),
        label: seed.label.clone(),
        known: counts.kept - new.len(),
        faces: counts,
        joined: BTreeMap::new(),
        too_far: 0,
        other_years: 0,
        undated: 0,
        without_anchor: Vec::new(),
        no_anchor: 0,
        years: dates.report,
    };
    // What was an anchor in the split is one now.
    let anchor_min = old.anchor_min().unwrap_or(options.rule.anchor_min);
    let (anchors, of_anchor) = anchors(old, cache, anchor_min, &mut report)?;
    let decided = attach(
        &anchors,
        &Vectors::new(matrix.view())?,
        &of_new,
        &options.rule.attach,
    )?;
    let mut person = PersonEras {
        retiring: Vec::new(),
        ..old.clone()
    };
    for (row, attachment) in new.iter().zip(decided) {
        match attachment {
            Attachment::Joins { anchor, .. } => {
                let era = &mut person.eras[of_anchor[anchor]];
                *report.joined.entry(era.name.clone()).or_default() += 1;
                era.faces.push(EraFace {
                    key: row.key(),
                    anchor: false,
                });
            }
            Attachment::TooFar { .. } => report.too_far += 1,
            Attachment::OtherYears { .. } => report.other_years += 1,
            Attachment::Undated { .. } => report.undated += 1,
            Attachment::NoAnchor => report.no_anchor += 1,
        }
    }
    for era in &mut person.eras {
        era.sort_faces();
    }
    let old_names = former(&file, &seed);
    let from = Sources {
        seed: &seed,
        cache,
        dates: &dates,
        options,
    };
    plan_sets(report, person, old_names, &from, ctx)
}

/// The anchors whose faces the cache still has, and which era each is of. An era
/// that was a lone fragment is no anchor.
fn anchors(
    old: &PersonEras,
    cache: &Cache,
    anchor_min: usize,
    report: &mut ExtendReport,
) -> Result<(Vec<Anchor>, Vec<usize>), PipelineError> {
    let mut anchors = Vec::new();
    let mut of_anchor = Vec::new();
    for (at, era) in old.eras.iter().enumerate() {
        if era.faces.iter().filter(|f| f.anchor).count() < anchor_min {
            continue;
        }
        match direction(era, cache)? {
            Some(centroid) => {
                anchors.push(Anchor {
                    centroid,
                    year: era.year,
                });
                of_anchor.push(at);
            }
            None => report.without_anchor.push(era.name.clone()),
        }
    }
    Ok((anchors, of_anchor))
}

/// Direction of an era's anchor; `None` when too few of its faces are there.
fn direction(era: &EraEntry, cache: &Cache) -> Result<Option<Vec<f32>>, PipelineError> {
    let keys: Vec<_> = era.faces.iter().filter(|f| f.anchor).collect();
    let found: Vec<&[f32]> = keys
        .iter()
        .filter_map(|f| cache.face(&f.key))
        .map(|(file, at)| file.faces()[at].embedding.as_slice())
        .collect();
    if (found.len() as f64) < MIN_ANCHOR_SHARE * keys.len() as f64 {
        return Ok(None);
    }
    Ok(matching::look(found.into_iter(), None)?.map(|look| look.centroid))
}
