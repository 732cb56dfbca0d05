//! `run`.

use std::path::PathBuf;

use faceset_cli::{Context, Report};
use faceset_pipeline::embed::queue::{self, QueueOptions, QueuePlan, QueueReport};
use faceset_queue::{QueueDir, RootOverride, Shard};
use serde_json::json;
use sort_faces::args::EngineArgs;
use sort_faces::provider::{self, ProviderArgs};
use sort_faces::session::{for_people, with_ctx};

/// Flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder of the queue, or its queue.json
    queue: PathBuf,
    /// Cache to fill, `.npz`; created when missing
    cache: PathBuf,
    /// Where a root of the queue is on this machine; may be repeated
    #[arg(long, value_name = "NAME=PATH")]
    root: Vec<RootOverride>,
    /// Work only this part of the queue, e.g. 2/3, into a cache of its own; `sort-faces
    /// merge-caches` joins them
    #[arg(long, value_name = "I/N", default_value_t = Shard::ALL)]
    shard: Shard,
    /// New photos after which progress is made safe
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    flush_every: u32,
    /// Leave landmarks and pose to `sort-faces enrich`
    #[arg(long)]
    no_landmarks: bool,
    /// Read photos again whose content the cache has, and say which differ from the queue
    #[arg(long)]
    verify: bool,
    /// Look again at photos without a face, those of earlier runs too: smaller, in parts, turned;
    /// what is found is marked
    #[arg(long)]
    rescue: bool,
    /// Say what would be read and where, read nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    provider: ProviderArgs,
    #[command(flatten)]
    engine: EngineArgs,
}

/// Runs it.
pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<Report> {
    let options = QueueOptions {
        shard: args.shard,
        roots: args.root.iter().cloned().collect(),
        flush_every: args.flush_every as usize,
        with_landmarks: !args.no_landmarks,
        verify: args.verify,
        look_again: args.rescue,
        ..QueueOptions::new(QueueDir::named(&args.queue), args.cache.clone())
    };
    if args.dry_run {
        let plan = queue::plan(&options).map_err(for_people)?;
        let mut json = serde_json::to_value(&plan)?;
        json["command"] = "embed-worker run".into();
        return Ok(Report::done(plan_text(&plan), json));
    }
    let (engine, choice) = provider::engine(&args.provider, &args.engine, context)?;
    let jobs = provider::workers(&choice, args.engine.jobs());
    let report =
        with_ctx(context, jobs, |ctx| queue::run(&options, &engine, ctx)).map_err(for_people)?;
    let mut json = serde_json::to_value(&report)?;
    json["command"] = "embed-worker run".into();
    json["device"] = provider::json(&choice);
    json["shard"] = json!(args.shard.to_string());
    Ok(Report::done(text(&report), json))
}

fn plan_text(plan: &QueuePlan) -> String {
    let mut lines = vec![format!(
        "{} photos: {} known, {} would be read; {} in other parts, {} rows replaced, {} refused",
        plan.seen,
        plan.known,
        plan.to_read.len(),
        plan.other_parts,
        plan.replaced,
        plan.refused.len()
    )];
    for (id, folder) in &plan.roots {
        lines.push(format!("root {id}: {folder}"));
    }
    for problem in &plan.refused {
        lines.push(format!("refused {}: {}", problem.path, problem.reason));
    }
    lines.join("\n")
}

fn text(report: &QueueReport) -> String {
    let embed = &report.embed;
    let mut lines = vec![format!(
        "{} photos: {} with faces ({} new faces), {} without, {} copies of known content, {} known, {} failed, {} stale",
        embed.seen,
        embed.embedded,
        embed.faces,
        embed.noface,
        embed.duplicates,
        embed.known,
        embed.failed.len(),
        embed.stale.len(),
    )];
    if report.other_parts + report.replaced + report.refused.len() > 0 {
        lines.push(format!(
            "not this run's: {} photos of other parts, {} rows replaced by later ones, {} refused",
            report.other_parts,
            report.replaced,
            report.refused.len()
        ));
    }
    lines.extend(embed.second_looks());
    lines.push(format!(
        "the cache holds {} faces on {} photos",
        embed.faces_in_cache, embed.photos_in_cache
    ));
    lines.join("\n")
}
