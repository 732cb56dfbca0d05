//! `era probe|split|extend`: one person's faces by look and capture year.
//!
//! Owns who takes part and what is written; the arithmetic is `faceset-era`'s,
//! crops and bundles are the export's.

mod extend;
mod file;
mod person;
mod probe;
mod sets;
mod split;
mod years;

pub use extend::{ExtendReport, plan as plan_extend};
pub use file::{ERAS_FILE, ERAS_VERSION, EraEntry, EraFace, EraFile, PersonEras};
pub use person::Counts;
pub use probe::{EraProbe, probe, write_page};
pub use sets::{EraLine, EraPlan, apply};
pub use split::{SplitReport, plan as plan_split};
pub use years::{
    YEARS_VERSION, YearEntry, YearFile, YearFlaw, YearReport, Years, years, years_path,
};

use std::path::PathBuf;

use faceset_core::CosineDistance;
use faceset_era::{RECOVERY_MAX, SplitRule};
use faceset_export::ExportOptions;
use faceset_quality::Gates;

/// Whose eras, from where, by which limits.
#[derive(Debug, Clone)]
pub struct EraOptions {
    /// Number, folder or name in the registry.
    pub person: String,
    /// The cache.
    pub cache: PathBuf,
    /// The swap-ready folder.
    pub swap_ready: PathBuf,
    /// Folders below which faces are recovered; empty: the whole cache.
    pub roots: Vec<String>,
    /// Faces farther from the person's direction are not recovered; equal is.
    /// Default 0.55.
    pub recovery: CosineDistance,
    /// Quality gates. Default 90 px, 40.0, 0.6; equal is kept.
    pub gates: Gates,
    /// Limits of the split. Defaults 0.50, 0.35, 20, 0.40, 5 years.
    pub rule: SplitRule,
    /// The export that follows.
    pub export: ExportOptions,
}

impl EraOptions {
    /// Defaults for a person.
    pub fn new(person: String, cache: PathBuf, swap_ready: PathBuf) -> Self {
        Self {
            person,
            cache,
            swap_ready,
            roots: Vec::new(),
            recovery: RECOVERY_MAX,
            gates: Gates::default(),
            rule: SplitRule::default(),
            export: ExportOptions::default(),
        }
    }
}
