//! From eras to folders: the same export as every set, then the lists.

use std::collections::BTreeSet;
use std::path::Path;

use faceset_cache::Cache;
use faceset_core::manifest::{MANIFEST_VERSION, RefineManifest, RefinedSet};
use faceset_core::{Consent, FaceKey, PersonFacts};
use faceset_era::{THIN_BELOW, YearCounts};
use faceset_export::{Bounds, ExportPlan, ExportReport, Marker, SetKind, count_reasons};
use serde::Serialize;
use serde_json::{Map, json};

use super::EraOptions;
use super::file::{EraEntry, EraFile, PersonEras};
use super::person::Seed;
use super::years::Years;
use crate::cluster::{cache_ref, places_of};
use crate::{Ctx, Engine, PipelineError, export, pending};

/// Faces that were said not to be the person: in no era, however near.
struct NotTheirs<'a>(&'a Seed);

impl Bounds for NotTheirs<'_> {
    fn forbids(&self, _set: &RefinedSet, face: &FaceKey) -> bool {
        self.0.registry.forbids(face, self.0.number)
    }
}

/// One era in a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EraLine {
    /// Its folder.
    pub name: String,
    /// Its faces.
    pub n_faces: usize,
    /// Of those, the anchor's.
    pub n_anchor: usize,
    /// Its years.
    pub years: YearCounts,
    /// Too few faces to be of use: goes to `_thin/`.
    pub thin: bool,
    /// Faces that pass the gates of the export.
    pub n_export: usize,
    /// Faces that the export leaves out, by reason, bystanders included.
    pub export_drops: std::collections::BTreeMap<String, usize>,
}

/// What a run will write.
#[derive(Debug, Clone, Serialize)]
pub struct EraPlan<R> {
    /// What was found.
    pub report: R,
    /// One line an era.
    pub lines: Vec<EraLine>,
    /// All eras of the person afterwards.
    pub person: PersonEras,
    /// What the export makes of them.
    pub export: ExportPlan,
}

/// What sets of eras are planned from.
#[derive(Clone, Copy)]
pub(crate) struct Sources<'a> {
    pub(crate) seed: &'a Seed,
    pub(crate) cache: &'a Cache,
    pub(crate) dates: &'a Years,
    pub(crate) options: &'a EraOptions,
}

/// Plans the export of a person's eras. `old` names sets of an earlier split.
pub(crate) fn plan_sets<R>(
    report: R,
    person: PersonEras,
    old: BTreeSet<String>,
    from: &Sources<'_>,
    ctx: Ctx<'_>,
) -> Result<EraPlan<R>, PipelineError> {
    let Sources {
        seed,
        cache,
        dates,
        options,
    } = *from;
    let sets: Vec<RefinedSet> = person
        .eras
        .iter()
        .map(|era| refined(cache, era, seed))
        .collect();
    let manifest = RefineManifest {
        version: MANIFEST_VERSION,
        params: person.params.clone(),
        cache: cache_ref(cache, &options.cache),
        facesets: sets,
        rejected: Vec::new(),
        extra: Map::new(),
    };
    // Recovered faces are in no registry yet, so the person's own word counts
    // besides that of whoever else the faces are known to be.
    let own = seed.registry.facts_of(seed.number);
    let facts = |set: &RefinedSet| stricter(own, seed.registry.export_facts(set));
    let mut plan = export::plan_manifest(
        cache,
        &manifest,
        None,
        &options.export,
        &facts,
        &NotTheirs(seed),
        ctx,
    )?;
    pending::sign(
        &mut plan,
        &json!({"step": "era-split", "identity": seed.number}),
    );
    // Who asks for smaller anchors has use for smaller eras.
    let thin_below = person.anchor_min().unwrap_or(THIN_BELOW).min(THIN_BELOW);
    let mut lines = Vec::new();
    for (era, set) in person.eras.iter().zip(&manifest.facesets) {
        let counts: YearCounts = set.faces.iter().map(|k| dates.of(&k.path)).collect();
        let thin = era.faces.len() < thin_below;
        let mut line = EraLine {
            name: era.name.clone(),
            n_faces: era.faces.len(),
            n_anchor: era.faces.iter().filter(|f| f.anchor).count(),
            years: counts,
            thin,
            n_export: 0,
            export_drops: std::collections::BTreeMap::new(),
        };
        if let Some(planned) = plan.sets.iter_mut().find(|s| s.name == era.name) {
            line.n_export = planned.faces.len();
            line.export_drops = count_reasons(&planned.dropped);
            planned.markers.push(Marker {
                file: format!("{}.txt", era_word(era, seed)),
                text: words(&line, era, seed),
            });
            if thin {
                planned.kind = SetKind::Thin;
                planned.markers.push(Marker {
                    file: "THIN.txt".to_owned(),
                    text: format!(
                        "{} faces; fewer than {thin_below} make a poor set\n",
                        era.faces.len()
                    ),
                });
            }
        }
        lines.push(line);
    }
    let kept: BTreeSet<&str> = person.names().collect();
    plan.retired = old
        .into_iter()
        .filter(|name| !kept.contains(name.as_str()))
        .collect();
    Ok(EraPlan {
        report,
        lines,
        person,
        export: plan,
    })
}

fn refined(cache: &Cache, era: &EraEntry, seed: &Seed) -> RefinedSet {
    let ids: BTreeSet<_> = era.faces.iter().map(|f| f.key.id()).collect();
    let rows: Vec<_> = cache
        .faces()
        .filter(|r| ids.contains(&r.key().id()))
        .collect();
    RefinedSet {
        name: era.name.clone(),
        label: seed
            .label
            .as_ref()
            .map(|label| format!("{label}, {}", era.label)),
        images: places_of(cache, &rows),
        faces: rows
            .iter()
            .map(faceset_cache::FaceRow::key)
            .collect::<Vec<FaceKey>>(),
        dropped: Vec::new(),
        extra: Map::new(),
    }
}

/// The era's own part of its folder name.
fn era_word<'a>(era: &'a EraEntry, seed: &Seed) -> &'a str {
    let folder = format!("{}_", seed.number.folder_name());
    era.name.strip_prefix(&folder).unwrap_or(&era.label)
}

fn words(line: &EraLine, era: &EraEntry, seed: &Seed) -> String {
    let years: Vec<String> = line
        .years
        .by_year
        .iter()
        .map(|(year, n)| format!("{year}: {n}"))
        .collect();
    format!(
        "an era of {}{}\nfaces   {} ({} of them the anchor)\nyears   {}\nundated {}\nyear of the anchor {}\n",
        seed.number.folder_name(),
        seed.label
            .as_ref()
            .map_or_else(String::new, |l| format!(" ({l})")),
        line.n_faces,
        line.n_anchor,
        if years.is_empty() {
            "none".to_owned()
        } else {
            years.join(", ")
        },
        line.years.undated,
        era.year
            .map_or_else(|| "unknown".to_owned(), |y| y.to_string()),
    )
}

/// One refusal is a refusal, the later birth date counts, and a yes must be the
/// person's own.
fn stricter(own: PersonFacts, others: PersonFacts) -> PersonFacts {
    PersonFacts {
        consent: if others.consent == Consent::Denied {
            Consent::Denied
        } else {
            own.consent
        },
        birth: own.birth.max(others.birth),
    }
}

/// Writes `eras.json` and the folders. A killed run is finished by the same
/// command.
pub fn apply<R>(
    plan: &EraPlan<R>,
    cache: &Cache,
    engine: &Engine,
    swap_ready: &Path,
    ctx: Ctx<'_>,
) -> Result<ExportReport, PipelineError> {
    let mut file = EraFile::load(swap_ready)?;
    // First what will be moved aside: a run that is killed after this line
    // leaves sets that the next one knows to be its own.
    let mut person = plan.person.clone();
    person.retiring.clone_from(&plan.export.retired);
    file.put(person);
    file.save(swap_ready)?;
    let report = export::apply(&plan.export, cache, engine, swap_ready, ctx)?;
    file.put(plan.person.clone());
    file.save(swap_ready)?;
    Ok(report)
}
