//! `why`.

use std::fmt::Write as _;
use std::path::PathBuf;

use faceset_cli::{Context, Report};
use faceset_core::CosineDistance;
use faceset_pipeline::export::read_manifest;
use faceset_pipeline::why::{Answer, WhyOptions, explain};

use super::{count, json};
use crate::args::{GateArgs, distance};
use crate::session::{for_people, with_ctx};

/// Flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The cache
    cache: PathBuf,
    /// A photo (path, or enough of its end), or one of its faces as PHOTO#2
    #[arg(value_name = "FILE-OR-FACE")]
    what: String,
    /// `refine_manifest.json`: also say what became of the face there
    #[arg(long, value_name = "FILE")]
    refine_manifest: Option<PathBuf>,
    /// Cut of the grouping
    #[arg(long, value_name = "DISTANCE", default_value = "0.55", value_parser = distance)]
    threshold: CosineDistance,
    /// Shortest box edge of the export
    #[arg(long, value_name = "PX", default_value_t = 100.0)]
    min_face_short: f32,
    #[command(flatten)]
    gates: GateArgs,
}

/// Runs it.
pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<Report> {
    let options = WhyOptions {
        threshold: args.threshold,
        gates: args.gates.gates()?,
        export_min_short: args.min_face_short,
    };
    let answer = with_ctx(context, None, |ctx| {
        let (cache, _) = faceset_cache::load(&args.cache)?;
        let refined = args
            .refine_manifest
            .as_deref()
            .map(read_manifest)
            .transpose()?;
        explain(&cache, &args.what, &options, refined.as_ref(), ctx)
    })
    .map_err(for_people)?;
    Ok(Report::done(
        text(&answer, args.threshold),
        json("why", &answer),
    ))
}

fn text(answer: &Answer, threshold: CosineDistance) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{}", answer.path);
    for place in answer.places.iter().filter(|p| **p != answer.path) {
        let _ = writeln!(out, "  same bytes: {place}");
    }
    if !answer.taken.is_empty() {
        let _ = writeln!(out, "  taken {}", answer.taken);
    }
    if let Some(reason) = &answer.failed {
        let _ = writeln!(out, "  could not be read: {reason}");
    } else if answer.faces.is_empty() {
        let _ = writeln!(out, "  no face was found");
    }
    for face in &answer.faces {
        let [x1, y1, x2, y2] = <[f32; 4]>::from(face.bbox);
        let _ = writeln!(
            out,
            "face {} at {x1:.0},{y1:.0} to {x2:.0},{y2:.0}",
            face.number
        );
        for gate in &face.gates {
            let verdict = if gate.passed { "pass" } else { "FAIL" };
            let _ = writeln!(
                out,
                "  {verdict}  {}: {:.3} (needs {:.3})",
                gate.gate, gate.value, gate.limit
            );
        }
        if let Some(pose) = face.pose {
            let _ = writeln!(
                out,
                "  pose: pitch {:.0}, yaw {:.0}, roll {:.0} degrees",
                pose.pitch_deg, pose.yaw_deg, pose.roll_deg
            );
        }
        let p = &face.parts;
        let _ = writeln!(
            out,
            "  composite {:.3}: frontality {:.2}, det_score {:.2}, symmetry {:.2}, size {:.2}, sharpness {:.2}",
            face.composite,
            p.frontality,
            p.det_score,
            p.landmark_symmetry,
            p.face_size,
            p.sharpness
        );
        let _ = writeln!(
            out,
            "  in {} ({}), {:.3} from its centre",
            face.group.name,
            count(face.group.faces, "face", "faces"),
            face.group.distance
        );
        if let Some(set) = &face.set {
            let _ = writeln!(out, "  refine: {set}");
        }
        for near in &face.nearest {
            let _ = writeln!(
                out,
                "  {:.3} to {} ({}){}",
                near.distance,
                near.name,
                count(near.faces, "face", "faces"),
                if near.distance < threshold.get() {
                    ", nearer than the threshold"
                } else {
                    ""
                }
            );
        }
    }
    out
}
