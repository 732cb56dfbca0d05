//! Prints the faces of pictures as JSON lines: `faces LIBRARY PACK MODEL_ROOT PICTURE...`.
//!
//! Pictures are taken as `image` decodes them, without EXIF orientation.

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::path::{Path, PathBuf};

use faceset_infer::{Analyzer, Pack, Purpose, Runtime};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &str| arguments.next().ok_or(format!("expected {what}"));
    let runtime = Runtime::load(Path::new(&next("the runtime library")?))?;
    let pack = next("a pack name or file")?;
    let pack = match Path::new(&pack) {
        file if file.is_file() => Pack::from_file(file)?,
        _ => Pack::built_in(&pack)?,
    };
    let located = pack.locate(&[PathBuf::from(next("the model folder")?)])?;
    let mut analyzer = Analyzer::new(&runtime, &located, Purpose::All)?;
    for path in arguments {
        let picture = image::open(&path)?.to_rgb8();
        for face in analyzer.analyze(&picture)?.faces {
            let pose = analyzer.enrich(&picture, &face.bbox)?.pose;
            println!(
                "{}",
                serde_json::json!({
                    "path": path, "bbox": face.bbox, "score": face.det_score, "kps": face.kps,
                    "norm": face.embedding_norm, "embedding": face.embedding, "pose": pose,
                })
            );
        }
    }
    Ok(())
}
