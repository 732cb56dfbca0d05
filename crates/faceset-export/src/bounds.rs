//! What people said of sets and faces that binds an export, besides consent
//! and age.

use faceset_core::FaceKey;
use faceset_core::manifest::RefinedSet;

/// Why a set was refused whose person is hidden.
pub const REFUSED_HIDDEN: &str = "hidden";
/// Why a set was refused whose person was marked as having too few faces.
pub const REFUSED_THIN: &str = "thin";
/// Why a face was dropped that a person said is not the set's.
pub const NOT_THIS_PERSON: &str = "not_this_person";

/// Asked before anything is chosen. The defaults forbid nothing.
pub trait Bounds: Sync {
    /// Why the set's person takes no part, [`REFUSED_HIDDEN`] or
    /// [`REFUSED_THIN`]: the set is not made, and an earlier export of a hidden
    /// one is moved aside.
    fn holds_back(&self, _set: &RefinedSet) -> Option<&'static str> {
        None
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
