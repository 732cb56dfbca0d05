//! Flags that several commands share.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use faceset_core::CosineDistance;
use faceset_infer::Variant;
use faceset_pipeline::PackChoice;
use faceset_pipeline::context::{ContextRules, LooksBy};
use faceset_pipeline::materialize::LinkMode;
use faceset_quality::Gates;

/// Where models and runtime come from.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Models")]
pub struct EngineArgs {
    /// Model pack: a name (buffalo_l, buffalo_m, buffalo_s, antelopev2, faceplugin) or a pack file
    /// [default: buffalo_l when its files are found, else faceplugin]
    #[arg(
        long,
        visible_alias = "model",
        value_name = "NAME|FILE",
        env = "FACE_SETS_PACK"
    )]
    pack: Option<String>,
    /// Folder that holds model packs, searched before the usual places; may be repeated
    #[arg(long, value_name = "DIR")]
    pub model_root: Vec<PathBuf>,
    /// ONNX Runtime library to load; without any, slower kernels that are compiled in are used
    #[arg(long, value_name = "FILE")]
    pub ort_lib: Option<PathBuf>,
    /// Way from pixels to faces: plain, rect, two-sizes or rect+two-sizes (SCRFD packs only);
    /// never mixed in a cache
    #[arg(long, value_name = "NAME", default_value = "plain", value_parser = variant)]
    pub variant: Variant,
    /// Worker threads [default: one a core]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
}

impl EngineArgs {
    /// The pack that was asked for.
    pub fn choice(&self) -> PackChoice {
        match &self.pack {
            None => PackChoice::Default,
            Some(text) if text.ends_with(".toml") || text.contains(['/', '\\']) => {
                PackChoice::File(text.into())
            }
            Some(name) => PackChoice::Named(name.clone()),
        }
    }

    /// Worker threads, when they were asked for.
    pub fn jobs(&self) -> Option<usize> {
        self.jobs.map(usize::from)
    }
}

/// How photos get into folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Link {
    /// Copies
    Copy,
    /// Hard links (a copy where that is impossible)
    Hard,
    /// Symbolic links
    Sym,
    /// No photos, only the manifest
    None,
}

impl From<Link> for LinkMode {
    fn from(link: Link) -> Self {
        match link {
            Link::Copy => Self::Copy,
            Link::Hard => Self::Hard,
            Link::Sym => Self::Sym,
            Link::None => Self::None,
        }
    }
}

/// The quality gates of refine and of everything that makes sets.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Quality gates")]
pub struct GateArgs {
    /// Shortest box edge in pixels; equal is kept
    #[arg(long, value_name = "PX", default_value_t = 90.0)]
    min_short: f32,
    /// Smallest Laplacian variance; equal is kept
    #[arg(long, value_name = "VARIANCE", default_value_t = 40.0)]
    min_blur: f32,
    /// Smallest detector score; equal is kept
    #[arg(long, value_name = "SCORE", default_value_t = 0.6)]
    min_det_score: f32,
}

impl GateArgs {
    /// The gates.
    ///
    /// # Errors
    /// When a limit is no number.
    pub fn gates(&self) -> anyhow::Result<Gates> {
        Ok(Gates::new(
            self.min_short,
            self.min_blur,
            self.min_det_score,
        )?)
    }
}

/// What counts beside the distance when a face asks who it is.
#[derive(Debug, Clone, Copy, Args)]
pub struct ContextArgs {
    /// Compare with one mean of a person, not with each of their looks, too
    #[arg(long, conflicts_with = "time_aware")]
    one_mean: bool,
    /// Of a person's looks only those nearest in years count
    #[arg(long)]
    time_aware: bool,
    /// Nobody is on a photo taken before the day of their birth
    #[arg(long)]
    after_birth: bool,
    /// Two faces of one photo prefer two people (collages and mirrors are let through)
    #[arg(long)]
    two_people: bool,
}

impl ContextArgs {
    /// The rules.
    pub fn rules(self) -> ContextRules {
        ContextRules {
            looks: if self.one_mean {
                LooksBy::Mean
            } else {
                LooksBy::Eras
            },
            time: self.time_aware,
            birth: self.after_birth,
            photo: self.two_people,
        }
    }
}

/// Where the registry of people is.
#[derive(Debug, Clone, Args)]
pub struct PeopleArgs {
    /// Swap-ready folder with the registry of people, which is obeyed
    /// [default: facesets_swap_ready beside the output folder]
    #[arg(long, value_name = "DIR")]
    people: Option<PathBuf>,
}

impl PeopleArgs {
    /// The folder: as given, else the usual one beside `out`. It need not exist.
    pub fn folder(&self, out: &std::path::Path) -> PathBuf {
        let beside = || out.with_file_name("facesets_swap_ready");
        self.people.clone().unwrap_or_else(beside)
    }
}

fn variant(text: &str) -> Result<Variant, String> {
    text.parse().map_err(|e| format!("failed to {e}"))
}

/// Parses a cosine distance; clap shows the error with the flag's name.
///
/// # Errors
/// When the text is no number from 0 to 2.
pub fn distance(text: &str) -> Result<CosineDistance, String> {
    text.parse()
        .map_err(|e: faceset_core::ValueError| e.to_string())
}
