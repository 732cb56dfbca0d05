//! Sample pictures for a person who has none at hand.
//!
//! A few photos with faces come out of packages ([`sources`]); [`recipe`] plans
//! how they are varied into a small messy library with known people, and
//! [`library`] writes it. Nothing of it is ever part of the repository.

mod draw;
mod exif;
mod library;
mod light;
mod recipe;
mod rng;
mod shot;
mod sources;

use crate::home::Home;
use crate::step::State;

/// Ready when sources and library are there as the recipe makes them.
pub(crate) fn state(home: &Home) -> anyhow::Result<State> {
    match sources::state(home)? {
        State::Ready => library::state(home),
        missing @ State::Missing(_) => Ok(missing),
    }
}

/// Fetches the sources and makes the library, each only when it is not there.
pub(crate) fn bring(home: &Home) -> anyhow::Result<()> {
    sources::bring(home)?;
    if library::state(home)? != State::Ready {
        library::bring(home)?;
    }
    Ok(())
}
