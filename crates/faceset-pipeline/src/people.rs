//! The identity registry around an export: known people keep their numbers,
//! their wishes are respected, what was exported is remembered.

use std::path::Path;

use faceset_core::consent::CivilDate;
use faceset_core::manifest::{RefineManifest, SwapReadyManifest};
use faceset_fs::read_json;
use faceset_identity::{Registry, RegistryWriter, numbers_on_disk};
use serde_json::json;

use crate::{Ctx, PipelineError};

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

/// Remembers in the registry what an export left on disk. Returns notes.
pub fn record_export(swap_ready: &Path, ctx: Ctx<'_>) -> Result<Vec<String>, PipelineError> {
    let top = swap_ready.join("manifest.json");
    if !top.is_file() {
        return Ok(Vec::new());
    }
    let manifest: SwapReadyManifest = read_json(&top)?;
    let mut writer = RegistryWriter::open(swap_ready, ctx.holder, today(ctx))?;
    let plan = writer
        .registry()
        .plan_record_export(&manifest, &json!({"step": "export-swap"}));
    let notes = plan.notes.clone();
    writer.apply(&plan, ctx.now)?;
    writer.finish()?;
    Ok(notes)
}

/// The day of this run.
pub fn today(ctx: Ctx<'_>) -> CivilDate {
    let text = ctx.now.to_string();
    CivilDate::of_capture_time(&text).expect("a timestamp begins with its date")
}
