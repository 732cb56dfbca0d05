//! The loaded runtime with one model pack: what makes faces in this run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use faceset_cache::{CacheMeta, PackIdentity};
use faceset_infer::{
    Analyzer, FREE_PACK, InferError, LocatedPack, PREFERRED_PACK, Pack, Provider, Purpose, Runtime,
    Variant, find_library,
};
use faceset_media::JPEG_DECODER;

use crate::PipelineError;

/// Which pack to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PackChoice {
    /// The original tool's pack when its files are found, else the free one.
    Default,
    /// A built-in pack, by name.
    Named(String),
    /// A pack file of the user's.
    File(PathBuf),
}

/// Runtime and pack.
#[derive(Debug, Clone)]
pub struct Engine {
    runtime: Runtime,
    pack: LocatedPack,
}

impl Engine {
    /// Loads the first library among `libraries` (files, or folders to search)
    /// and finds the pack's files below `model_roots`.
    pub fn open(
        choice: &PackChoice,
        model_roots: &[PathBuf],
        libraries: &[PathBuf],
    ) -> Result<Self, PipelineError> {
        let pack = Self::locate(choice, model_roots)?;
        let library = find_library(libraries).ok_or_else(|| InferError::Runtime {
            path: libraries
                .iter()
                .map(|p| p.display().to_string())
                .collect::<Vec<_>>()
                .join(", "),
            reason: "not found".to_owned(),
            advice: "run `cargo xtask setup`, or name the library with --ort-lib".to_owned(),
        })?;
        Ok(Self {
            runtime: Runtime::load(&library)?,
            pack,
        })
    }

    /// The same with the kernels that are compiled in, for want of a runtime
    /// library: the same faces, two to seven times slower.
    pub fn open_compiled_in(
        choice: &PackChoice,
        model_roots: &[PathBuf],
    ) -> Result<Self, PipelineError> {
        Ok(Self {
            runtime: Runtime::compiled_in(),
            pack: Self::locate(choice, model_roots)?,
        })
    }

    /// Finds a pack without loading anything.
    pub fn locate(
        choice: &PackChoice,
        model_roots: &[PathBuf],
    ) -> Result<LocatedPack, PipelineError> {
        let named = |name: &str| Pack::built_in(name).and_then(|pack| pack.locate(model_roots));
        Ok(match choice {
            PackChoice::Named(name) => named(name)?,
            PackChoice::File(path) => {
                let mut roots: Vec<PathBuf> =
                    path.parent().map(PathBuf::from).into_iter().collect();
                roots.extend_from_slice(model_roots);
                Pack::from_file(path)?.locate(&roots)?
            }
            PackChoice::Default => match named(PREFERRED_PACK) {
                Err(InferError::PackMissing { .. }) => named(FREE_PACK)?,
                other => other?,
            },
        })
    }

    /// The same models on another provider; `device` counts its devices from 0.
    ///
    /// # Errors
    /// When the runtime library was built without it.
    pub fn with_provider(self, provider: Provider, device: u32) -> Result<Self, PipelineError> {
        Ok(Self {
            runtime: self.runtime.with_provider(provider, device)?,
            ..self
        })
    }

    /// The same models used another way; what a cache says of itself then names
    /// the variant, and caches of other variants are refused.
    ///
    /// # Errors
    /// When the pack's detector can't do it.
    pub fn with_variant(self, variant: Variant) -> Result<Self, PipelineError> {
        Ok(Self {
            pack: self.pack.with_variant(variant)?,
            ..self
        })
    }

    /// The pack.
    pub fn pack(&self) -> &LocatedPack {
        &self.pack
    }

    /// The runtime.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Models for one worker.
    pub fn analyzer(&self, purpose: Purpose) -> Result<Analyzer, PipelineError> {
        Ok(Analyzer::new(&self.runtime, &self.pack, purpose)?)
    }

    /// What a cache made by this engine says of itself.
    pub fn cache_meta(&self) -> CacheMeta {
        let detector = &self.pack.pack.detector;
        CacheMeta {
            pack: PackIdentity {
                name: self.pack.pack.name.clone(),
                digest: self.pack.digest().to_string(),
                dim: self.pack.pack.recognizer.dim as u32,
                files: self
                    .pack
                    .models
                    .iter()
                    .filter(|(role, _)| !role.starts_with("landmark_"))
                    .map(|(role, file)| ((*role).to_owned(), file.sha256))
                    .collect(),
                pipeline: format!("{} jpeg={JPEG_DECODER}", self.pack.pipeline()),
            },
            det_size: [detector.width, detector.height],
            det_thresh: detector.score_threshold,
            src_roots: BTreeSet::new(),
            provider: self.runtime.provider().name().to_owned(),
            extra: BTreeMap::new(),
        }
    }
}
