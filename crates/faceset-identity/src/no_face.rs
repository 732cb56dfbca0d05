//! What people said is no face at all: a statue, a pattern, the back of a head.
//!
//! One list for everybody. It belongs to no identity, and whatever is on it is refused
//! for each of them.

use faceset_core::FaceKey;

use crate::change::{Change, NoFacesEdit, Plan};
use crate::error::{Flaw, IdentityError};
use crate::identity::{Faces, describe};
use crate::ops::check_usable;
use crate::registry::{Registry, best_overlap};

impl Registry {
    /// What people said is no face at all, in the order of hash and box.
    pub fn no_faces(&self) -> &Faces {
        &self.no_faces
    }

    /// The entry of [`Registry::no_faces`] that is this face: the same box, else the
    /// best overlapping one on the same photo, unless the face belongs to somebody.
    pub fn no_face(&self, face: &FaceKey) -> Option<&FaceKey> {
        let id = face.id();
        if let Some(key) = self.no_faces.of_id(&id) {
            return Some(key);
        }
        if self.owns(&id) {
            return None;
        }
        let on_photo = self.no_faces.on_photo(face.sha256);
        best_overlap(face, on_photo.map(|key| (key, &key.bbox)))
    }

    /// True when a person said that this is no face.
    pub fn is_no_face(&self, face: &FaceKey) -> bool {
        self.no_face(face).is_some()
    }

    /// Notes that something is no face at all: it leaves whoever has it, and no step
    /// gives it to anybody or groups it with others, see [`Registry::is_no_face`].
    pub fn plan_no_face(&self, face: &FaceKey) -> Result<Plan, IdentityError> {
        check_usable(face)?;
        let mut key = face.clone();
        let (mut changes, mut notes) = (Vec::new(), Vec::new());
        if self.no_face(face).is_none() {
            if let Some((id, owner)) = self.owner_of(face) {
                let release = self.plan_release(owner, face)?;
                (changes, notes) = (release.changes, release.notes);
                let stored = self.identities[&owner].faces.of_id(&id);
                key = stored.expect("an owner lists its faces").clone();
            }
            changes.push(Change::NoFaces(NoFacesEdit {
                removed: Vec::new(),
                added: vec![key.clone()],
            }));
        }
        let mut plan = self.plan(format!("{} is no face", describe(&key)), changes);
        plan.notes = notes;
        Ok(plan)
    }

    pub(crate) fn edit_no_faces(&mut self, edit: &NoFacesEdit) -> Result<(), Flaw> {
        let flaw = |key: &FaceKey, what: &str| {
            Err(Flaw::key(
                "no_faces",
                format!("the face {} {what}", describe(key)),
            ))
        };
        let missing = |k: &&FaceKey| self.no_faces.of_id(&k.id()) != Some(k);
        if let Some(key) = edit.removed.iter().find(missing) {
            return flaw(key, "is not listed any more");
        }
        for key in &edit.added {
            if self.no_faces.contains(&key.id()) {
                return flaw(key, "is listed already");
            }
            if self.owns(&key.id()) {
                return flaw(key, "belongs to somebody");
            }
        }
        for key in &edit.removed {
            self.no_faces.remove(&key.id());
        }
        for key in &edit.added {
            self.no_faces.insert(key.clone());
        }
        Ok(())
    }
}
