//! `enrich`: landmarks and pose for every face in a cache.

use std::path::Path;

use faceset_cache::{Cache, CacheWriter, FLUSH_EVERY};
use faceset_core::{BBox, Enrichment, SourcePath};
use faceset_infer::Purpose;
use serde::Serialize;

use crate::embed::Problem;
use crate::ordered::ordered;
use crate::{Ctx, Engine, PipelineError, photo};

/// What `enrich` did. Every photo with faces is in exactly one bucket.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct EnrichReport {
    /// Photos whose faces all had landmarks and pose already.
    pub done_before: usize,
    /// Photos whose faces got them now.
    pub enriched: usize,
    /// Photos that could not be read any more.
    pub failed: Vec<Problem>,
    /// Faces that got landmarks and pose now.
    pub faces: usize,
}

/// A photo that a run would look at: its path and the faces that lack data.
type Todo = (SourcePath, Vec<(usize, BBox)>);

/// Photos with faces that were not enriched yet.
pub fn plan(cache: &Cache) -> Vec<Todo> {
    cache
        .files()
        .filter_map(|file| {
            let faces: Vec<_> = file
                .faces()
                .iter()
                .enumerate()
                .filter(|(_, face)| face.enrichment.is_none())
                .map(|(at, face)| (at, face.bbox))
                .collect();
            (!faces.is_empty()).then(|| (file.path.clone(), faces))
        })
        .collect()
}

/// Adds landmarks and pose to every face that lacks them. The recogniser is not
/// loaded. Resumable; new faces only.
pub fn run(
    cache_path: &Path,
    engine: &Engine,
    ctx: Ctx<'_>,
) -> Result<EnrichReport, PipelineError> {
    // The writer would make a cache where there is none.
    faceset_cache::peek(cache_path)?;
    let mut writer = CacheWriter::open(cache_path, &engine.cache_meta(), ctx.holder)?;
    let todo = plan(writer.cache());
    let with_faces = writer
        .cache()
        .files()
        .filter(|f| !f.faces().is_empty())
        .count();
    let mut report = EnrichReport {
        done_before: with_faces - todo.len(),
        ..EnrichReport::default()
    };
    if todo.is_empty() {
        writer.finish()?;
        return Ok(report);
    }
    let snapshot = writer.cache().clone();
    ctx.progress.start("landmarks", Some(todo.len() as u64));
    let mut since_flush = 0;
    let outcome = ordered(
        ctx,
        &todo,
        || engine.analyzer(Purpose::Enrich),
        |analyzer, (path, faces)| -> Result<Vec<(usize, Enrichment)>, String> {
            let rgb = photo::load_known(&snapshot, path, ctx.current_year)?;
            faces
                .iter()
                .map(|(at, bbox)| {
                    let enrichment = analyzer.enrich(&rgb, bbox).map_err(|e| e.to_string())?;
                    Ok((*at, enrichment))
                })
                .collect()
        },
        |_| Err("a worker panicked on this picture".to_owned()),
        |(path, _), found| {
            match found {
                Ok(found) => {
                    report.enriched += 1;
                    report.faces += found.len();
                    for (at, enrichment) in found {
                        writer.enrich(path, at, enrichment)?;
                    }
                }
                Err(reason) => {
                    ctx.progress.note(&format!("skipped {path}: {reason}"));
                    report.failed.push(Problem {
                        path: path.to_string(),
                        reason,
                    });
                }
            }
            since_flush += 1;
            if since_flush >= FLUSH_EVERY {
                writer.flush()?;
                since_flush = 0;
            }
            ctx.progress.advance(1);
            Ok(())
        },
    );
    ctx.progress.finish();
    writer.flush()?;
    outcome?;
    writer.finish()?;
    Ok(report)
}
