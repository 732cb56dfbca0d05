//! `people split`, `people triage` and `people twice`.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use faceset_core::manifest::RawManifest;
use faceset_core::{CosineDistance, FaceKey};
use faceset_identity::{Registry, numbers_on_disk};
use faceset_pipeline::cluster::{self, load_cache};
use faceset_pipeline::export::read_manifest;
use faceset_pipeline::split::{SubGroup, propose};
use faceset_pipeline::triage::{Rank, Stranger, plan_hide, rank};
use faceset_pipeline::twice::{self, Twice};
use faceset_pipeline::{Ctx, PipelineError, people};

use super::number;
use crate::args::distance;

/// Flags of `split`.
#[derive(Debug, clap::Args)]
pub(super) struct SplitArgs {
    /// Number, folder or name
    person: String,
    /// The cache that the sets were made from
    #[arg(long, value_name = "FILE")]
    cache: PathBuf,
    /// Cut of the proposed groups; equal stays apart
    #[arg(long, value_name = "DISTANCE", default_value = "0.35", value_parser = distance)]
    threshold: CosineDistance,
    /// Groups that are somebody else: together they get one new number; may be repeated
    #[arg(long, value_name = "GROUP")]
    apply: Vec<usize>,
}

/// Proposes, or carries out.
pub(super) fn split(
    args: &SplitArgs,
    folder: &Path,
    ctx: Ctx<'_>,
) -> Result<Vec<String>, PipelineError> {
    let registry = people::load(folder, ctx)?;
    let who = registry.root(number(&registry, &args.person)?);
    let cache = load_cache(&args.cache, ctx)?;
    let (groups, missing) = propose(&registry, who, &cache, args.threshold, ctx)?;
    if args.apply.is_empty() {
        let mut lines: Vec<String> = groups.iter().map(SubGroup::line).collect();
        if missing > 0 {
            lines.push(format!("{missing} faces are not in this cache"));
        }
        lines.push(match groups.len() {
            1 => "one group: nothing to split at this threshold".to_owned(),
            _ => "nothing was changed; --apply GROUP gives a group a new number".to_owned(),
        });
        return Ok(lines);
    }
    let mut faces: Vec<FaceKey> = Vec::new();
    for wanted in &args.apply {
        let Some(group) = groups.iter().find(|g| g.group == *wanted) else {
            return Err(PipelineError::Options(format!(
                "there is no group {wanted}; there are {}",
                groups.len()
            )));
        };
        faces.extend(group.faces.iter().cloned());
    }
    people::change(
        folder,
        |registry| {
            let taken = numbers_on_disk(folder)?;
            Ok(registry.plan_split(who, &faces, &taken)?.0)
        },
        ctx,
    )
}

/// Flags of `triage`.
#[derive(Debug, clap::Args)]
pub(super) struct TriageArgs {
    /// The cache, for sizes and years
    #[arg(long, value_name = "FILE")]
    cache: Option<PathBuf>,
    /// The output of `cluster`: its groups that are nobody known yet, too
    #[arg(long, value_name = "DIR")]
    raw: Option<PathBuf>,
    /// What to rank by
    #[arg(long, value_enum, default_value = "count")]
    by: By,
    /// Hide everybody behind the first N of the list, in one change that one undo takes back
    #[arg(long, value_name = "N")]
    hide_after: Option<usize>,
}

/// What to rank by.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum By {
    /// Photos
    Count,
    /// Median size of the faces
    Size,
    /// Number of years
    Years,
    /// Photos shared with people who have a name
    Company,
}

/// Ranks, or hides the tail.
pub(super) fn triage(
    args: &TriageArgs,
    folder: &Path,
    ctx: Ctx<'_>,
) -> Result<Vec<String>, PipelineError> {
    let by = match args.by {
        By::Count => Rank::Count,
        By::Size => Rank::Size,
        By::Years => Rank::Years,
        By::Company => Rank::Company,
    };
    let cache = args
        .cache
        .as_deref()
        .map(|path| load_cache(path, ctx))
        .transpose()?;
    let raw: Option<RawManifest> = args
        .raw
        .as_deref()
        .map(|dir| read_manifest(&dir.join(cluster::MANIFEST)))
        .transpose()?;
    let ranked = |registry: &Registry| rank(registry, raw.as_ref(), cache.as_ref(), by);
    let Some(keep) = args.hide_after else {
        let strangers = ranked(&people::load(folder, ctx)?);
        let lines = strangers.iter().map(Stranger::line).collect();
        return Ok(super::view::or(
            lines,
            "nobody is left: everybody has a name or is hidden",
        ));
    };
    people::change(
        folder,
        |registry| {
            let strangers = ranked(registry);
            let tail = strangers.get(keep..).unwrap_or_default();
            Ok(plan_hide(registry, tail, &numbers_on_disk(folder)?)?)
        },
        ctx,
    )
}

/// Flags of `twice`.
#[derive(Debug, clap::Args)]
pub(super) struct TwiceArgs {
    /// Number, folder or name [default: everybody]
    person: Option<String>,
    /// The cache, to tell look-alikes from mistakes
    #[arg(long, value_name = "FILE")]
    cache: Option<PathBuf>,
}

/// Lists.
pub(super) fn twice(
    args: &TwiceArgs,
    folder: &Path,
    ctx: Ctx<'_>,
) -> Result<Vec<String>, PipelineError> {
    let registry = people::load(folder, ctx)?;
    let who = args
        .person
        .as_deref()
        .map(|text| number(&registry, text))
        .transpose()?;
    let cache = args
        .cache
        .as_deref()
        .map(|path| load_cache(path, ctx))
        .transpose()?;
    let found = twice::twice(&registry, cache.as_ref(), who);
    let lines = found.iter().map(Twice::line).collect();
    Ok(super::view::or(lines, "no photo shows one person twice"))
}
