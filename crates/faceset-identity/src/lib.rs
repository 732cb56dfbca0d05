//! Identities that last.
//!
//! Owns the registry: which number is which person for ever, what people said
//! of them (name, consent, birth date, "not this person", "no face"), the history
//! with undo, recognising people in a fresh run, and forgetting. Knows nothing of
//! caches, embeddings or pictures: faces are keys.
//!
//! Every operation is a pure `plan_…` on [`Registry`]; [`RegistryWriter`]
//! applies it. Formats: docs/formats/registry.md.

mod change;
mod decisions;
mod error;
mod file;
mod forget;
mod identity;
mod journal;
mod no_face;
mod ops;
mod reconcile;
mod record;
mod registry;
mod several;
mod store;
#[cfg(test)]
mod testing;
mod tree;

pub use change::{Change, Edit, FacesEdit, NoFacesEdit, Plan};
pub use decisions::{DecisionsPlan, PeopleLinks};
pub use error::{Flaw, IdentityError};
pub use file::REGISTRY_VERSION;
pub use forget::{
    ErasedSet, ForgetInputs, ForgetPlan, ForgetReport, Scrubbed, apply_forget, plan_forget,
};
pub use identity::{FaceId, Faces, Identity, MAX_NAME_CHARS, State, StateError, name_flaw};
pub use journal::{BLOTTED, Entry};
pub use reconcile::{MIN_SHARED, Matched, Reconciliation, Renumbering, SetMatch};
pub use record::face_key;
pub use registry::{MOVED_BOX_MIN_IOU, Registry};
pub use store::{JOURNAL_FILE, LOCK_FILE, REGISTRY_FILE, RegistryWriter};
pub use tree::{
    NameFile, name_file_in, name_files, names_on_disk, numbers_on_disk, write_name_file,
};
