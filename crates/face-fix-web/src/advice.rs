//! What a face looks like more, as the page shows it.

use serde::Serialize;

/// Whether a face may be decided by rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// Nearer to the correct person, by the margin at least.
    Correct,
    /// Nearer to the wrong person, by the margin at least.
    Wrong,
    /// Too close to call, or nothing is known.
    Unsure,
}

/// A suggestion for one face.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Advice {
    pub(crate) verdict: Verdict,
    /// Distance to the nearest face of the wrong person, where we have embeddings.
    pub(crate) to_wrong: Option<f64>,
    /// The same for the correct person.
    pub(crate) to_correct: Option<f64>,
    /// Where it comes from, or why there is none.
    pub(crate) note: Option<String>,
}

impl crate::app::Inner {
    /// What suggestions come from, for the first screen.
    pub(crate) fn advice_note(&self) -> String {
        String::new()
    }

    /// Adds suggestions to the open faces of a photo.
    pub(crate) async fn advise(
        &self,
        _pair: &face_fix::Pair,
        _facts: &crate::photo::Facts,
        _photo: &mut crate::photo::PhotoView,
        _margin: f64,
    ) {
    }
}
