//! What every verb is given besides its options.

use faceset_cluster::KernelKind;
use faceset_core::{CancelToken, Progress};

use crate::PipelineError;

/// Progress sink, stop request and the name to leave in lock files.
#[derive(Clone, Copy)]
pub struct Ctx<'a> {
    /// Where progress goes.
    pub progress: &'a dyn Progress,
    /// Asked between items.
    pub cancel: &'a CancelToken,
    /// Who holds a lock, for the message to a second run.
    pub holder: &'a str,
    /// Worker threads for pictures; at least 1.
    pub n_workers: usize,
    /// The current year: capture dates after it are refused.
    pub current_year: i32,
    /// The time of the run, for journals.
    pub now: jiff::Timestamp,
    /// Instructions that compare embeddings; `None` takes the best there are.
    /// Results do not depend on it.
    pub kernel: Option<KernelKind>,
}

impl std::fmt::Debug for Ctx<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ctx")
            .field("holder", &self.holder)
            .finish_non_exhaustive()
    }
}

impl Ctx<'_> {
    /// An error once a stop was requested.
    pub fn check(&self) -> Result<(), PipelineError> {
        if self.cancel.is_cancelled() {
            Err(PipelineError::Interrupted)
        } else {
            Ok(())
        }
    }
}
