//! `sort`: the whole chain from a folder of photos to swap-ready sets.

use std::path::{Path, PathBuf};

use faceset_core::manifest::SwapReadyManifest;
use faceset_export::{ExportOptions, ExportReport};
use faceset_report::{CutLine, FileProblem, RunSummary};
use serde::Serialize;

use crate::cluster::{self, ClusterOptions, ClusterReport, load_cache};
use crate::contact::{self, Sheet};
use crate::dedup::{self, DedupReport};
use crate::embed::{self, EmbedOptions, EmbedReport};
use crate::enrich::{self, EnrichReport};
use crate::export::{self, ExportSources};
use crate::known_as::real;
use crate::refine::{self, RefineOptions, RefineReport};
use crate::{Ctx, Engine, PipelineError, obey, people};

/// Where a chain puts things below its output folder.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The output folder.
    pub out: PathBuf,
}

impl Layout {
    /// Layout below `out`.
    pub fn new(out: &Path) -> Self {
        Self {
            out: out.to_path_buf(),
        }
    }

    /// The cache.
    pub fn cache(&self) -> PathBuf {
        self.out.join("work").join("cache").join("faces.npz")
    }

    /// Everybody: the output of `cluster`.
    pub fn raw(&self) -> PathBuf {
        self.out.join("raw_full")
    }

    /// Good faces: the output of `refine`.
    pub fn refined(&self) -> PathBuf {
        self.out.join("facesets_full")
    }

    /// The output of `export-swap`.
    pub fn swap_ready(&self) -> PathBuf {
        self.out.join("facesets_swap_ready")
    }

    /// The contact sheet.
    pub fn index(&self) -> PathBuf {
        self.out.join("index.html")
    }

    /// Logs.
    pub fn logs(&self) -> PathBuf {
        self.out.join("work").join("logs")
    }
}

/// Options of the whole chain.
#[derive(Debug, Clone)]
pub struct SortOptions {
    /// What to embed; `cache` is replaced by the layout's.
    pub embed: EmbedOptions,
    /// How to group.
    pub cluster: ClusterOptions,
    /// How to make sets.
    pub refine: RefineOptions,
    /// How to export them.
    pub export: ExportOptions,
}

/// What every step of the chain did.
#[derive(Debug, Clone, Serialize)]
pub struct SortReport {
    /// `embed`.
    pub embed: EmbedReport,
    /// `enrich`: faces of earlier runs without landmarks.
    pub enrich: EnrichReport,
    /// `cluster`.
    pub cluster: ClusterReport,
    /// `refine`.
    pub refine: RefineReport,
    /// `dedup`.
    pub dedup: DedupReport,
    /// `export-swap`.
    pub export: ExportReport,
}

impl SortReport {
    /// What the contact sheet says of the run. No times: equal results make
    /// equal pages.
    fn summary(&self, engine: &Engine) -> RunSummary {
        let row = |label: &str, value: String| (label.to_owned(), value);
        let problems = |list: &[embed::Problem]| {
            list.iter()
                .map(|p| FileProblem {
                    path: p.path.as_str().into(),
                    reason: p.reason.clone(),
                })
                .collect()
        };
        RunSummary {
            rows: vec![
                row(
                    "photos in the cache",
                    self.embed.photos_in_cache.to_string(),
                ),
                row("faces", self.cluster.faces.to_string()),
                row("persons", self.cluster.persons.to_string()),
                row("single faces", self.cluster.singletons.to_string()),
                row("photos without a face", self.cluster.noface.to_string()),
                row("sets", self.refine.facesets.to_string()),
                row("faces in sets", self.refine.faces_in_sets.to_string()),
                row("faces exported", self.export.n_exported().to_string()),
                row(
                    "groups of identical files",
                    self.dedup.byte_groups.to_string(),
                ),
                row(
                    "groups of look-alike faces",
                    self.dedup.visual_groups.to_string(),
                ),
                row("models", engine.pack().pack.title.clone()),
            ],
            failed: problems(&self.embed.failed),
            skipped: problems(&self.embed.skipped_paths),
        }
    }
}

/// Runs embed (with landmarks), enrich, cluster, refine, dedup and export-swap.
/// Every step resumes; a second run over unchanged photos rewrites nothing.
pub fn run(
    options: &SortOptions,
    layout: &Layout,
    engine: &Engine,
    ctx: Ctx<'_>,
) -> Result<SortReport, PipelineError> {
    let cache_path = layout.cache();
    let embed = EmbedOptions {
        cache: cache_path.clone(),
        with_landmarks: true,
        ..options.embed.clone()
    };
    refuse_nesting(&embed.sources, &layout.out)?;
    let embed = embed::run(&embed, engine, ctx)?;
    let enrich = enrich::run(&cache_path, engine, ctx)?;
    let cache = load_cache(&cache_path, ctx)?;
    let raw = cluster::plan(&cache, &cache_path, &options.cluster, ctx)?;
    let cluster = cluster::apply(&raw, &layout.raw(), ctx)?;
    let mut refined = refine::plan(&cache, &cache_path, &options.refine, ctx)?;
    let swap_ready = layout.swap_ready();
    let registry = people::before_export(&swap_ready, false, ctx)?;
    for note in refine::keep_numbers(&mut refined, &registry, &cache, &swap_ready)? {
        ctx.progress.note(&note);
    }
    let refine = refine::apply(&refined, &layout.refined(), ctx)?;
    let (duplicates, failed) =
        dedup::find(&cache, &cache_path, &options.export.near_duplicates, ctx)?;
    let dedup = dedup::write(&duplicates, failed, &cache_path)?;
    let sources = ExportSources {
        cache: cache_path,
        refined: layout.refined().join(refine::MANIFEST),
        raw: Some(layout.raw().join(cluster::MANIFEST)),
    };
    let plan = export::plan_for(&cache, &sources, &options.export, &registry, false, ctx)?;
    let make = || export::apply(&plan, &cache, engine, &swap_ready, ctx);
    let export = people::exported(&swap_ready, &refined.manifest, ctx, make)?;
    let report = SortReport {
        embed,
        enrich,
        cluster,
        refine,
        dedup,
        export,
    };
    let summary = report.summary(engine);
    let swap: SwapReadyManifest = export::read_manifest(&swap_ready.join(cluster::MANIFEST))?;
    let (shown_people, shown_sets) =
        obey::without_hidden(&raw.manifest, &refined.manifest, &registry);
    let sheet = Sheet {
        cache: &cache,
        raw: &shown_people,
        refined: &shown_sets,
        swap: &swap,
        summary: &summary,
        cuts: &[
            CutLine {
                label: "cluster".to_owned(),
                distance: options.cluster.threshold,
            },
            CutLine {
                label: "export".to_owned(),
                distance: options.export.outlier_threshold,
            },
        ],
    };
    contact::write(&sheet, &layout.out, ctx)?;
    Ok(report)
}

/// Refuses an output folder inside a source, which the next run would embed.
pub fn refuse_nesting(sources: &[PathBuf], out: &Path) -> Result<(), PipelineError> {
    let out = real(out)?;
    for source in sources {
        if out.starts_with(real(source)?) {
            return Err(PipelineError::Options(format!(
                "the output {} lies inside the photos {}; choose a folder beside them",
                out.display(),
                source.display()
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_inside_the_photos_is_found_by_any_way_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let album = dir.path().join("photos/2024");
        std::fs::create_dir_all(&album).unwrap();
        let photos = [album.join("..")];
        assert!(refuse_nesting(&photos, &album.join("sorted")).is_err());
        assert!(refuse_nesting(&photos, &dir.path().join("sorted")).is_ok());
        #[cfg(unix)]
        {
            let link = dir.path().join("link");
            std::os::unix::fs::symlink(dir.path().join("photos"), &link).unwrap();
            assert!(refuse_nesting(&[link], &album.join("sorted")).is_err());
        }
    }

    #[test]
    fn an_output_inside_the_photos_is_refused_and_one_beside_them_is_not() {
        let photos = [PathBuf::from("/photos")];
        assert!(refuse_nesting(&photos, Path::new("/photos/out")).is_err());
        assert!(refuse_nesting(&photos, Path::new("/photos")).is_err());
        assert!(refuse_nesting(&photos, Path::new("/photos-sorted")).is_ok());
    }
}
