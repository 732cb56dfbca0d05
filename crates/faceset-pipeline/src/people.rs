//! The identity registry around an export: known people keep their numbers,
//! their wishes are respected, what was exported is remembered.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use faceset_cache::CacheWriter;
use faceset_core::consent::CivilDate;
use faceset_core::manifest::{RefineManifest, SwapReadyManifest};
use faceset_core::said::FaceDecisions;
use faceset_core::{FaceKey, FacesetNumber};
use faceset_identity::{
    ForgetInputs, ForgetPlan, ForgetReport, Plan, Registry, RegistryWriter, numbers_on_disk,
};
use serde_json::{Value, json};

use crate::dedup::report_path;
use crate::era::years_path;
use crate::export::read_manifest;
use crate::pending::{self, Pending};
use crate::tree::Household;
use crate::{Ctx, PipelineError, tree};

/// The step that makes sets, as the registry and the file of an unfinished run name it.
const EXPORT: &str = "export-swap";

/// Why a number is reserved while its set is made.
const UNDER_WAY: &str = "its set is being made";

/// The registry of an output tree; empty when there is none yet.
pub fn load(swap_ready: &Path, ctx: Ctx<'_>) -> Result<Registry, PipelineError> {
    Ok(Registry::load_or_new(swap_ready, today(ctx))?)
}

/// Gives the sets of a fresh run the numbers of the people they are; new people
/// get numbers that nobody ever had. Returns notes for people.
pub fn keep_numbers(
    manifest: &mut RefineManifest,
    registry: &Registry,
    swap_ready: &Path,
) -> Result<Vec<String>, PipelineError> {
    if registry.identities().next().is_none() {
        return Ok(Vec::new());
    }
    let renumbering = registry.renumber(manifest, &numbers_on_disk(swap_ready)?)?;
    *manifest = renumbering.applied_to(manifest, registry);
    Ok(renumbering.notes)
}

/// The registry with what an export that was cut short was about to make, so that the run
/// that finishes it finds the same people under the same numbers.
pub fn load_under_way(swap_ready: &Path, ctx: Ctx<'_>) -> Result<Registry, PipelineError> {
    let registry = load(swap_ready, ctx)?;
    Ok(match pending::load(swap_ready, EXPORT)? {
        Some(run) => registry.after(&registry.plan_remember(&run.manifest))?,
        None => registry,
    })
}

/// The registry for an export: what people changed in the tree is taken in first, or, in a
/// dry run, only told. Notes go to the progress.
pub fn before_export(
    swap_ready: &Path,
    dry_run: bool,
    ctx: Ctx<'_>,
) -> Result<Registry, PipelineError> {
    let notes = if dry_run {
        tree::waiting(swap_ready, &load(swap_ready, ctx)?)?
    } else {
        take_in(swap_ready, ctx)?
    };
    tell(&notes, ctx);
    load_under_way(swap_ready, ctx)
}

/// Around an export of the sets of `manifest`: gives out the numbers that are new, lets
/// `make` make the sets, and records them. Returns what `make` returns; notes go to the
/// progress. What ends it early leaves the numbers given out, and the next run goes on with
/// them ([`load_under_way`]).
pub fn exported<T>(
    swap_ready: &Path,
    manifest: &RefineManifest,
    ctx: Ctx<'_>,
    make: impl FnOnce() -> Result<T, PipelineError>,
) -> Result<T, PipelineError> {
    let mut writer = RegistryWriter::open(swap_ready, ctx.holder, today(ctx))?;
    let plan = writer
        .registry()
        .plan_reserve(manifest, UNDER_WAY, &export_provenance());
    if !plan.is_empty() {
        pending::store(
            swap_ready,
            EXPORT,
            &Pending::new(manifest, &json!(null), &json!(null)),
        )?;
        writer.apply(&plan, ctx.now)?;
    }
    writer.finish()?;
    let made = make()?;
    tell(&record_export(swap_ready, ctx)?, ctx);
    remember(swap_ready, manifest, ctx)?;
    pending::clear(swap_ready, EXPORT)?;
    Ok(made)
}

fn tell(notes: &[String], ctx: Ctx<'_>) {
    for note in notes {
        ctx.progress.note(note);
    }
}

/// What an identity that an export made says of where it came from.
fn export_provenance() -> Value {
    json!({"step": EXPORT})
}

/// Remembers in the registry what an export left on disk. Returns notes.
pub fn record_export(swap_ready: &Path, ctx: Ctx<'_>) -> Result<Vec<String>, PipelineError> {
    let top = swap_ready.join("manifest.json");
    if !top.is_file() {
        return Ok(Vec::new());
    }
    let manifest: SwapReadyManifest = read_manifest(&top)?;
    let mut writer = RegistryWriter::open(swap_ready, ctx.holder, today(ctx))?;
    let plan = writer
        .registry()
        .plan_record_export(&manifest, &export_provenance());
    let notes = plan.notes.clone();
    writer.apply(&plan, ctx.now)?;
    writer.finish()?;
    Ok(notes)
}

/// Before a step that uses the registry: takes in names from `NAME.txt` and
/// brings the tree up to date with the registry. Returns notes. Nothing happens
/// where there is no tree yet.
pub fn take_in(swap_ready: &Path, ctx: Ctx<'_>) -> Result<Vec<String>, PipelineError> {
    if !swap_ready.is_dir() || load(swap_ready, ctx)?.identities().next().is_none() {
        return Ok(Vec::new());
    }
    Ok(Household::open(swap_ready, ctx)?.finish()?.1)
}

/// Gives out these numbers, which `Registry::free_numbers` offered, for `reason`
/// until their sets are recorded. Numbers that a run of the same `provenance`
/// was given already are left as they are.
///
/// Errors when the registry changed meanwhile and offers others.
pub fn allocate(
    swap_ready: &Path,
    numbers: &[FacesetNumber],
    reason: &str,
    provenance: &Value,
    ctx: Ctx<'_>,
) -> Result<(), PipelineError> {
    let mut writer = RegistryWriter::open(swap_ready, ctx.holder, today(ctx))?;
    let registry = writer.registry();
    let is_ours = |n: &FacesetNumber| {
        registry
            .identity(*n)
            .is_some_and(|i| i.provenance == *provenance)
    };
    if numbers.iter().all(is_ours) {
        return Ok(());
    }
    // The numbers before the first one count as used.
    let before: BTreeSet<FacesetNumber> = numbers
        .first()
        .and_then(|first| FacesetNumber::new(first.get() - 1).ok())
        .into_iter()
        .collect();
    let (plan, given) = registry.plan_allocate(numbers.len(), &before, reason, provenance)?;
    if given != numbers {
        return Err(PipelineError::Options(
            "the registry gave out numbers while this run was planned; run the same command again"
                .to_owned(),
        ));
    }
    writer.apply(&plan, ctx.now)?;
    writer.finish()?;
    Ok(())
}

/// Remembers who the sets are that have a number and were not exported. Comes
/// after [`record_export`].
pub fn remember(
    swap_ready: &Path,
    manifest: &RefineManifest,
    ctx: Ctx<'_>,
) -> Result<(), PipelineError> {
    let mut writer = RegistryWriter::open(swap_ready, ctx.holder, today(ctx))?;
    let plan = writer.registry().plan_remember(manifest);
    writer.apply(&plan, ctx.now)?;
    writer.finish()?;
    Ok(())
}

/// What the file of decisions at `file` would change in a registry, and who is who, a
/// line each. `links` says of people there (id or name) who they are here (number,
/// folder or name); others are found by their name.
pub fn plan_decisions(
    registry: &Registry,
    file: &Path,
    links: &[(String, String)],
) -> Result<(Plan, Vec<String>), PipelineError> {
    let unreadable = |why: &dyn std::fmt::Display| {
        PipelineError::Options(format!("{} can't be taken in: {why}", file.display()))
    };
    let bytes = std::fs::read(file).map_err(|e| unreadable(&e))?;
    let decisions = FaceDecisions::parse(&bytes).map_err(|e| unreadable(&e))?;
    let given = links
        .iter()
        .map(|(outside, person)| Ok((outside.clone(), registry.find(person)?.number)))
        .collect::<Result<Vec<_>, PipelineError>>()?;
    let links = registry.link_people(&decisions, &given)?;
    let mut lines: Vec<String> = decisions
        .people
        .iter()
        .map(|person| {
            let name = match person.name.as_str() {
                "" => "a person without a name",
                name => name,
            };
            let here = links.get(&person.id).map(|n| n.folder_name());
            match here {
                Some(here) => format!("{name} ({}) is {here}", person.id),
                None => format!(
                    "{name} ({}) is nobody known: --link {}=NUMBER says who",
                    person.id, person.id
                ),
            }
        })
        .collect();
    let found = registry.plan_decisions(&decisions, &links)?;
    lines.push(format!(
        "of {} decided faces {} change something, {} are known already, {} are about nobody \
         known, {} contradict what was said here",
        decisions.faces.len(),
        found.n_changed,
        found.n_known,
        found.n_unlinked,
        found.n_conflicts
    ));
    Ok((found.plan, lines))
}

/// The day of this run.
pub fn today(ctx: Ctx<'_>) -> CivilDate {
    let text = ctx.now.to_string();
    CivilDate::of_capture_time(&text).expect("a timestamp begins with its date")
}

/// What forgetting a person will erase.
#[derive(Debug)]
pub struct Forgetting {
    /// Files, manifest entries and log lines.
    pub plan: ForgetPlan,
    /// Caches and what they lose.
    pub caches: Vec<(PathBuf, faceset_cache::ForgetPlan)>,
}

impl Forgetting {
    /// For people.
    pub fn summary(&self) -> Vec<String> {
        let mut lines = self.plan.summary();
        for (path, plan) in &self.caches {
            let at = lines.len() - 1;
            lines.insert(
                at,
                format!("{} faces of {}", plan.faces.len(), path.display()),
            );
        }
        lines
    }
}

/// Plans to forget a person of the registry in `swap_ready`: everything below
/// `roots` that shows or names them, their lines in `logs`, their embeddings in
/// `caches` and in every cache found below the roots.
pub fn plan_forget(
    registry: &Registry,
    number: FacesetNumber,
    swap_ready: &Path,
    roots: &[PathBuf],
    logs: &[PathBuf],
    caches: &[PathBuf],
) -> Result<Forgetting, PipelineError> {
    let inputs = ForgetInputs {
        registry_dir: swap_ready,
        roots,
        logs,
    };
    let plan = faceset_identity::plan_forget(registry, number, &inputs)?;
    let found = plan
        .caches
        .iter()
        .filter(|path| path.extension().is_some_and(|e| e == "npz"));
    let paths: BTreeSet<PathBuf> = caches.iter().chain(found).cloned().collect();
    let caches = paths
        .into_iter()
        .map(|path| {
            let (cache, _) = faceset_cache::load(&path)?;
            let faces: Vec<FaceKey> = plan
                .faces
                .iter()
                .filter(|key| cache.face(key).is_some())
                .cloned()
                .collect();
            let cache_plan = cache.plan_forget(&faces, &[]);
            Ok((path, cache_plan))
        })
        .collect::<Result<_, PipelineError>>()?;
    Ok(Forgetting { plan, caches })
}

/// Erases for good: caches first, since the registry is the last to know the
/// faces, then files and the registry's entry. Returns the faces erased from
/// caches and what was erased of files.
pub fn apply_forget(
    forgetting: &Forgetting,
    swap_ready: &Path,
    ctx: Ctx<'_>,
) -> Result<(usize, ForgetReport), PipelineError> {
    let mut registry = RegistryWriter::open(swap_ready, ctx.holder, today(ctx))?;
    let mut n_faces = 0;
    for (path, plan) in &forgetting.caches {
        let meta = faceset_cache::peek(path)?;
        let mut writer = CacheWriter::open(path, &meta, ctx.holder)?;
        n_faces += writer.forget(plan)?.n_faces;
        writer.finish()?;
        // The report of duplicates and the remembered dates name photos, and both
        // are made anew by the step that needs them.
        for memo in [report_path(path), years_path(path)] {
            if memo.is_file() {
                std::fs::remove_file(&memo).map_err(PipelineError::io("erase", &memo))?;
            }
        }
    }
    let report = faceset_identity::apply_forget(&mut registry, &forgetting.plan, true, ctx.now)?;
    registry.finish()?;
    Ok((n_faces, report))
}

/// Makes one change to a person, journalled, lets the tree follow, and says
/// what was done. Names that people wrote into `NAME.txt` are taken in first.
pub fn change(
    swap_ready: &Path,
    decide: impl FnOnce(&Registry) -> Result<Plan, PipelineError>,
    ctx: Ctx<'_>,
) -> Result<Vec<String>, PipelineError> {
    let mut household = Household::open(swap_ready, ctx)?;
    let plan = decide(household.registry())?;
    household.carry_out(&plan, ctx)?;
    Ok(household.finish()?.1)
}
