//! placeholder during bring-up
use super::Stage;
use std::path::Path;
pub(super) fn outputs(_: &Stage<'_>, _: &Path) -> anyhow::Result<()> { Ok(()) }
