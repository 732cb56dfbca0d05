//! `era split`: a person's faces into eras, from the photos up.

use std::collections::BTreeSet;

use faceset_cache::{Cache, FaceRow};
use faceset_cluster::Vectors;
use faceset_core::canonical_faceset_number;
use faceset_era::{Attachment, Era, YearCounts, unique_labels};
use serde::Serialize;
use serde_json::{Value, json};

use super::EraOptions;
use super::file::{EraEntry, EraFace, EraFile, PersonEras};
use super::person::{Counts, Seed, recover, seed};
use super::probe::distinct_photos;
use super::sets::{EraPlan, plan_sets};
use super::years::{YearReport, Years, years, years_path};
use crate::{Ctx, PipelineError, matching};

/// What a split found. Every kept face is in an era or loose.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SplitReport {
    /// The person's folder.
    pub name: String,
    /// The person's name.
    pub label: Option<String>,
    /// Faces that the direction was made of.
    pub n_seed: usize,
    /// Who took part.
    pub faces: Counts,
    /// Faces dropped when the direction was made anew.
    pub loose: usize,
    /// Sub-clusters large enough to stand by themselves.
    pub anchors: usize,
    /// Fragments that joined an anchor.
    pub attached: usize,
    /// Fragments that stayed alone because the nearest anchor is too far.
    pub too_far: usize,
    /// Because it is of other years.
    pub other_years: usize,
    /// Because one of the two has no date.
    pub undated: usize,
    /// Because there is no anchor.
    pub no_anchor: usize,
    /// Eras with enough faces.
    pub eras: usize,
    /// Eras with too few.
    pub thin: usize,
    /// What the dates came to, photos counted.
    pub years: YearReport,
}

/// Decides the eras. `save` remembers the capture dates that were read.
pub fn plan(
    cache: &Cache,
    options: &EraOptions,
    save: bool,
    ctx: Ctx<'_>,
) -> Result<EraPlan<SplitReport>, PipelineError> {
    let seed = seed(cache, options, ctx)?;
    let file = EraFile::load(&options.swap_ready)?;
    let rows: Vec<FaceRow<'_>> = cache.faces().collect();
    let embeddings = cache.embeddings();
    let all = Vectors::new(embeddings.view())?;
    let (kept, counts) = recover(&seed, cache, &rows, &all, options)?;
    let own: Vec<&FaceRow<'_>> = kept.iter().map(|row| &rows[*row as usize]).collect();
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
    let split = faceset_era::split(&vectors, &of_rows, &options.rule, ctx.progress, ctx.cancel)?;
    let mut report = SplitReport {
        name: seed.number.folder_name(),
        label: seed.label.clone(),
        n_seed: seed.faces.len(),
        faces: counts,
        loose: split.loose.len(),
        anchors: split.eras.iter().filter(|e| e.is_anchor).count(),
        attached: 0,
        too_far: 0,
        other_years: 0,
        undated: 0,
        no_anchor: 0,
        eras: 0,
        thin: 0,
        years: dates.report,
    };
    for fragment in &split.fragments {
        *match fragment.attachment {
            Attachment::Joins { .. } => &mut report.attached,
            Attachment::TooFar { .. } => &mut report.too_far,
            Attachment::OtherYears { .. } => &mut report.other_years,
            Attachment::Undated { .. } => &mut report.undated,
            Attachment::NoAnchor => &mut report.no_anchor,
        } += 1;
    }
    let person = PersonEras {
        number: seed.number,
        params: params(options),
        eras: entries(&split.eras, &own, &dates, &seed),
        retiring: Vec::new(),
    };
    let old = former(&file, &seed);
    let mut plan = plan_sets(report, person, old, &seed, cache, &dates, options, ctx)?;
    plan.report.thin = plan.lines.iter().filter(|l| l.thin).count();
    plan.report.eras = plan.lines.len() - plan.report.thin;
    Ok(plan)
}

pub(crate) fn params(options: &EraOptions) -> Value {
    json!({
        "recovery": options.recovery,
        "gates": options.gates,
        "tighten": options.rule.tighten,
        "threshold": options.rule.threshold,
        "anchor_min": options.rule.anchor_min,
        "attach_distance": options.rule.attach.distance,
        "attach_years": options.rule.attach.years,
    })
}

/// Sets of an earlier split, finished or not.
pub(crate) fn former(file: &EraFile, seed: &Seed) -> BTreeSet<String> {
    let Some(old) = file.of(seed.number) else {
        return BTreeSet::new();
    };
    let names = old.names().map(str::to_owned);
    // A file edited by hand must not move a person's own set aside.
    names
        .chain(old.retiring.iter().cloned())
        .filter(|name| canonical_faceset_number(name).is_none())
        .collect()
}

/// The eras under their names: the person's folder, the years, and a letter
/// where two eras have the same years.
fn entries(eras: &[Era], rows: &[&FaceRow<'_>], dates: &Years, seed: &Seed) -> Vec<EraEntry> {
    let year = |row: &u32| dates.of(&rows[*row as usize].file.path);
    let labels: Vec<String> = eras
        .iter()
        .map(|era| era.rows().iter().map(year).collect::<YearCounts>().label())
        .collect();
    let folder = seed.number.folder_name();
    let mut entries: Vec<EraEntry> = unique_labels(&labels, &BTreeSet::new())
        .into_iter()
        .zip(labels.iter().zip(eras))
        .map(|(unique, (label, era))| EraEntry {
            name: format!("{folder}_{unique}"),
            label: label.clone(),
            year: era
                .anchor
                .iter()
                .map(year)
                .collect::<YearCounts>()
                .dominant(),
            faces: era
                .rows()
                .iter()
                .map(|row| EraFace {
                    key: rows[*row as usize].key(),
                    anchor: era.anchor.binary_search(row).is_ok(),
                })
                .collect(),
        })
        .collect();
    entries.iter_mut().for_each(EraEntry::sort_faces);
    entries
}
