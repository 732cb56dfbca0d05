//! The options of a report. Types keep wrong values out; there is nothing to
//! check later.

use std::num::NonZeroUsize;

use faceset_core::CosineDistance;
use serde::Serialize;

/// Faces on one page: about 350 KB of HTML, which a phone scrolls smoothly.
pub const FACES_PER_PAGE: NonZeroUsize = NonZeroUsize::new(400).expect("not zero");
/// Groups on one overview page; with eight crops each about 1 MB of HTML.
pub const GROUPS_PER_PAGE: NonZeroUsize = NonZeroUsize::new(500).expect("not zero");
/// Rows of a file list on one page.
pub const ROWS_PER_PAGE: NonZeroUsize = NonZeroUsize::new(1000).expect("not zero");
/// Two groups are shown as "maybe the same person" when the typical face of one
/// is at most this far from the other's centroid: the cut of the original
/// tool's grouping.
pub const MAYBE_SAME: CosineDistance = CosineDistance::constant(0.55);

/// A distance at which a step cuts, drawn into the histogram.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CutLine {
    /// What cuts there, e.g. `cluster`.
    pub label: String,
    /// Where.
    pub distance: CosineDistance,
}

/// How to lay the report out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReportOptions {
    /// Heading of the overview. Default `Faces by person`.
    pub title: String,
    /// Absolute path of the output folder, from which links to photos start.
    /// Without it photos are linked by their absolute `file:` address.
    pub out: Option<String>,
    /// Faces on one page. Default 400.
    pub faces_per_page: NonZeroUsize,
    /// Groups on one overview page. Default 500.
    pub groups_per_page: NonZeroUsize,
    /// Rows of a file list on one page. Default 1000.
    pub rows_per_page: NonZeroUsize,
    /// Groups nearer than this are shown side by side; equal is shown. Default
    /// 0.55.
    pub maybe_same: CosineDistance,
    /// Lines of the histogram.
    pub cuts: Vec<CutLine>,
}

impl Default for ReportOptions {
    fn default() -> Self {
        Self {
            title: "Faces by person".to_owned(),
            out: None,
            faces_per_page: FACES_PER_PAGE,
            groups_per_page: GROUPS_PER_PAGE,
            rows_per_page: ROWS_PER_PAGE,
            maybe_same: MAYBE_SAME,
            cuts: Vec::new(),
        }
    }
}
