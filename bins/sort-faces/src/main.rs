//! `sort-faces`: photos in, facesets out, one sub-command a step.

mod commands;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use faceset_cli::GlobalArgs;
use sort_faces::{args, export_args, probe, provider, session};

/// Finds every face in a photo collection, groups faces by person and exports
/// clean per-person sets. Originals are never changed, nothing leaves this machine.
#[derive(Debug, Parser)]
#[command(name = "sort-faces", version, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The whole chain: a folder of photos in, sorted people, sets and a contact sheet out
    Sort(commands::sort::Args),
    /// Find and embed every face below SRC into CACHE (resumes where it stopped)
    Embed(commands::embed::Args),
    /// Add landmarks and head pose to every face in CACHE
    Enrich(commands::enrich::Args),
    /// Group all faces by person into folders: person_NNN, _singletons, _noface
    Cluster(commands::cluster::Args),
    /// Make numbered sets of good faces; known people keep their number
    Refine(commands::refine::Args),
    /// Add new faces of CACHE to the people and sets that are there; never renumbers
    Extend(commands::extend::Args),
    /// Report byte-identical photos and look-alike faces
    Dedup(commands::dedup::Args),
    /// Export sets as one-face PNGs and .fsz bundles
    ExportSwap(commands::export_swap::Args),
    /// Make sets of folders that somebody sorted by hand
    BuildFolders(commands::build_folders::Args),
    /// Who is who: names, merging, hiding, refusing faces, splitting, history, undo
    People(commands::people::Args),
    /// A person's looks over the years: measure, split into eras, add new faces
    Era(commands::era::Args),
    /// Erase a person for good: embeddings, crops, bundles, entries, log lines
    Forget(commands::forget::Args),
    /// Say for one photo or face which gates it passed and who is nearest
    Why(commands::why::Args),
    /// Say who is on a photo: the nearest faces in CACHE, with distances and persons
    Search(commands::search::Args),
    /// Make one new cache OUT of several caches
    MergeCaches(commands::merge_caches::Args),
    /// Say what is installed, what is missing and how to mend it
    Doctor(commands::doctor::Args),
    /// Print a completion script for a shell
    Completions(commands::completions::Args),
    /// One provider's self-test as JSON; other commands start it, since a driver may crash
    #[command(hide = true)]
    Probe(probe::Args),
}

fn main() -> ExitCode {
    session::quiet_decoder_panics();
    faceset_cli::run(
        |cli: &Cli| &cli.global,
        |cli| log_place(&cli.command),
        |cli, context| match cli.command {
            Command::Sort(args) => commands::sort::run(&args, context),
            Command::Embed(args) => commands::embed::run(&args, context),
            Command::Enrich(args) => commands::enrich::run(&args, context),
            Command::Cluster(args) => commands::cluster::run(&args, context),
            Command::Refine(args) => commands::refine::run(&args, context),
            Command::Extend(args) => commands::extend::run(&args, context),
            Command::Dedup(args) => commands::dedup::run(&args, context),
            Command::ExportSwap(args) => commands::export_swap::run(&args, context),
            Command::BuildFolders(args) => commands::build_folders::run(&args, context),
            Command::People(args) => commands::people::run(&args, context),
            Command::Era(args) => commands::era::run(&args, context),
            Command::Forget(args) => commands::forget::run(&args, context),
            Command::Why(args) => commands::why::run(&args, context),
            Command::Search(args) => commands::search::run(&args, context),
            Command::MergeCaches(args) => commands::merge_caches::run(&args, context),
            Command::Doctor(args) => Ok(commands::doctor::run(&args, context)),
            Command::Completions(args) => Ok(commands::completions::run::<Cli>(&args)),
            Command::Probe(args) => probe::run(&args, context),
        },
    )
}

/// Folder and name of the log of steps that take long.
fn log_place(command: &Command) -> Option<(PathBuf, &'static str)> {
    let logs = || PathBuf::from("work").join("logs");
    match command {
        Command::Sort(args) if !args.dry_run => Some((args.out.join("work").join("logs"), "sort")),
        Command::Embed(args) if !args.dry_run => Some((logs(), "embed")),
        Command::Enrich(args) if !args.dry_run => Some((logs(), "enrich")),
        Command::Cluster(args) if !args.dry_run => Some((logs(), "cluster")),
        Command::Refine(args) if !args.dry_run => Some((logs(), "refine")),
        Command::Extend(args) if !args.dry_run => Some((logs(), "extend")),
        Command::Dedup(args) if !args.dry_run => Some((logs(), "dedup")),
        Command::BuildFolders(args) if !args.dry_run => Some((logs(), "build-folders")),
        Command::ExportSwap(args) if !args.dry_run => Some((logs(), "export-swap")),
        Command::Era(args) if args.writes() => Some((logs(), "era")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
