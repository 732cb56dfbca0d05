//! What people said of sets and faces that binds an export, besides consent
//! and age.

use faceset_core::FaceKey;
use faceset_core::manifest::RefinedSet;

/// Why a set was refused whose person is hidden.
pub const REFUSED_HIDDEN: &str = "hidden";
/// Why a face was dropped that a person said is not the set's.
pub const NOT_THIS_PERSON: &str = "not_this_person";

/// Asked before anything is chosen. The defaults forbid nothing.
pub trait Bounds: Sync {
    /// True when the set's person is hidden: the set is not made, and an
    /// earlier export of it is moved aside.
    fn hides(&self, _set: &RefinedSet) -> bool {
        false
    }

    /// True when this face must not be in this set, nor among its candidates,
    /// however near it is.
    fn forbids(&self, _set: &RefinedSet, _face: &FaceKey) -> bool {
        false
    }
}

/// Nothing was said.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoBounds;

impl Bounds for NoBounds {}
