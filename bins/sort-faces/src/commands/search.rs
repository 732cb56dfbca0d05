//! `search`.

use std::fmt::Write as _;
use std::path::PathBuf;

use faceset_cli::{Context, Report};
use faceset_core::CosineDistance;
use faceset_pipeline::cluster::load_cache;
use faceset_pipeline::people;
use faceset_pipeline::search::{self, Asked, FaceMatches, SearchAnswer, SearchOptions};

use super::{count, json};
use crate::args::{EngineArgs, distance};
use crate::session::{engine, for_people, with_ctx};

/// Flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The cache to search
    cache: PathBuf,
    /// A photo of the cache (path, or enough of its end; PHOTO#2 for one face), or any picture file
    photo: String,
    /// The swap-ready folder, whose registry says who the found faces are
    #[arg(long = "in", value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Faces listed for each face of the photo
    #[arg(short = 'k', long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    faces: u32,
    /// Leave out faces farther than this cosine distance; equal is listed
    #[arg(long, value_name = "DISTANCE", default_value = "0.55", value_parser = distance)]
    max_distance: CosineDistance,
    #[command(flatten)]
    engine: EngineArgs,
}

/// Runs it.
pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<Report> {
    let options = SearchOptions {
        n_faces: args.faces as usize,
        max_distance: args.max_distance,
    };
    let (cache, registry, asked) = with_ctx(context, None, |ctx| {
        let cache = load_cache(&args.cache, ctx)?;
        let registry = args.folder.as_deref().map(|f| people::load(f, ctx));
        let asked = search::resolve(&cache, &args.photo)?;
        Ok((cache, registry.transpose()?, asked))
    })
    .map_err(for_people)?;
    let registry = registry.as_ref();
    let answer = match asked {
        Asked::Known(path, face) => with_ctx(context, None, |ctx| {
            search::known(&cache, &path, face, registry, &options, ctx)
        }),
        Asked::New(path) => {
            // Only a picture that the cache does not know needs models.
            let engine = engine(&args.engine, context)?;
            with_ctx(context, None, |ctx| {
                search::new_photo(&cache, &args.cache, &path, &engine, registry, &options, ctx)
            })
        }
    }
    .map_err(for_people)?;
    Ok(Report::done(
        text(&answer, registry.is_some()),
        json("search", &answer),
    ))
}

fn text(answer: &SearchAnswer, has_registry: bool) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "{}{}: {}, looked for among {}",
        answer.path,
        if answer.in_cache {
            ""
        } else {
            " (not in the cache)"
        },
        count(answer.faces.len(), "face", "faces"),
        answer.faces_in_cache
    );
    for face in &answer.faces {
        one(&mut out, face, has_registry);
    }
    out
}

fn one(out: &mut String, face: &FaceMatches, has_registry: bool) {
    let [x1, y1, x2, y2] = <[f32; 4]>::from(face.bbox);
    let _ = writeln!(
        out,
        "face {} at {x1:.0},{y1:.0} to {x2:.0},{y2:.0}",
        face.number
    );
    for person in &face.people {
        let _ = writeln!(
            out,
            "  {:.3} to {}{} ({} listed)",
            person.distance,
            person.set,
            person
                .name
                .as_ref()
                .map_or_else(String::new, |name| format!(", {name}")),
            count(person.faces, "face", "faces")
        );
    }
    if has_registry && face.people.is_empty() {
        let _ = writeln!(out, "  nobody of the registry is near");
    }
    if face.nearest.is_empty() {
        let _ = writeln!(out, "  no face is near enough");
    }
    for near in &face.nearest {
        let _ = writeln!(
            out,
            "  {:.3}  {}#{}{}",
            near.distance,
            near.path,
            near.number,
            near.set
                .as_ref()
                .map_or_else(String::new, |set| format!("  {set}"))
        );
    }
}
