//! Sample pictures for a person who has none at hand.
//!
//! A few photos with faces come out of packages; [`recipe`] varies them into a
//! small messy library with known people.

mod sources;

use crate::home::Home;
use crate::step::State;

/// Ready when sources and library are there as the recipe makes them.
pub(crate) fn state(home: &Home) -> anyhow::Result<State> {
    sources::state(home)
}

/// Fetches the sources and makes the library.
pub(crate) fn bring(home: &Home) -> anyhow::Result<()> {
    sources::bring(home)
}
