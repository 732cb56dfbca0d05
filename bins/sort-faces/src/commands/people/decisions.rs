//! `people import-decisions`: what was decided in another program.

use std::path::{Path, PathBuf};

use faceset_pipeline::{Ctx, PipelineError, people};

/// Flags.
#[derive(Debug, clap::Args)]
pub(super) struct ImportArgs {
    /// The file that `face-fix export-decisions` wrote
    file: PathBuf,
    /// Who somebody of the file is here: THERE is an id or a name of the file, HERE a number,
    /// folder or name; people of the same name need no link; may be repeated
    #[arg(long, value_name = "THERE=HERE", value_parser = link)]
    link: Vec<(String, String)>,
    /// Say what would be taken in
    #[arg(short = 'n', long)]
    dry_run: bool,
}

/// Says what would change, or carries it out in one change.
pub(super) fn import(
    args: &ImportArgs,
    folder: &Path,
    ctx: Ctx<'_>,
) -> Result<Vec<String>, PipelineError> {
    if args.dry_run {
        let registry = people::load(folder, ctx)?;
        let (plan, mut lines) = people::plan_decisions(&registry, &args.file, &args.link)?;
        lines.extend(plan.notes);
        lines.push("nothing was changed".to_owned());
        return Ok(lines);
    }
    let mut lines = Vec::new();
    let changed = people::change(
        folder,
        |registry| {
            let (plan, found) = people::plan_decisions(registry, &args.file, &args.link)?;
            lines = found;
            Ok(plan)
        },
        ctx,
    )?;
    lines.extend(changed);
    Ok(lines)
}

fn link(text: &str) -> Result<(String, String), String> {
    // A name may hold the sign, a number and a folder don't.
    match text.rsplit_once('=') {
        Some((there, here)) if !there.is_empty() && !here.is_empty() => {
            Ok((there.to_owned(), here.to_owned()))
        }
        _ => Err("expected THERE=HERE".to_owned()),
    }
}
