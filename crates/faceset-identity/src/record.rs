//! What an export or an older tree teaches the registry: numbers in use, names,
//! faces.
//!
//! Never takes a face from a person and never renames one: who a face belongs
//! to changes by a person's word only, see `ops`.

use std::collections::{BTreeMap, BTreeSet};

use faceset_core::manifest::{Reserved, SwapReadyManifest};
use faceset_core::{
    BBox, ContentHash, FaceKey, FacesetNumber, SourcePath, canonical_faceset_number,
};
use serde_json::{Map, Value, json};

use crate::change::{Change, Edit, FacesEdit, Plan};
use crate::identity::{FaceId, Identity, State, folded, is_usable, name_flaw};
use crate::ops::feature_change;
use crate::reconcile::Matched;
use crate::registry::Registry;

/// Keys of an imported set that have a place of their own.
const KNOWN_KEYS: [&str; 7] = [
    "name", "label", "faces", "images", "dropped", "bundles", "params",
];

/// A set that is on disk.
struct Seen {
    number: FacesetNumber,
    label: Option<String>,
    faces: Vec<FaceKey>,
    provenance: Value,
}

/// Everything that one recording changes.
struct Draft<'a> {
    registry: &'a Registry,
    changes: Vec<Change>,
    notes: Vec<String>,
    /// Names given by this plan, folded.
    names: BTreeSet<String>,
    /// Faces put somewhere by this plan.
    claimed: BTreeSet<FaceId>,
    n_new: usize,
    n_updated: usize,
    n_reserved: usize,
}

impl Registry {
    /// Takes in what an export left on disk: identities for its canonical sets
    /// get their faces, numbers without a set their reason. Era sets have no
    /// number of their own and are passed over.
    ///
    /// A face that belongs to another person stays there; one that was said not
    /// to be this person is left out; a box that a new detector moved replaces
    /// the old one. A set whose faces are another's than its number says is not
    /// taken in; each of these is said in the notes.
    pub fn plan_record_export(&self, manifest: &SwapReadyManifest, provenance: &Value) -> Plan {
        let seen = manifest.facesets.iter().filter_map(|set| {
            Some(Seen {
                number: canonical_faceset_number(&set.name)?,
                label: set.label.clone(),
                faces: set.faces.iter().map(|f| f.key.clone()).collect(),
                provenance: provenance.clone(),
            })
        });
        self.plan_seen(seen.collect(), &manifest.reserved, "recorded an export")
    }

    /// Takes in the top manifest of an existing tree, of the original tool or
    /// of ours. `names` are those that people wrote into the folders (see
    /// [`names_on_disk`](crate::names_on_disk)); `hash_of` knows the content
    /// hash of a photo, since the original's face keys have only path and box.
    /// A face without a hash can't be taken in and is counted. Keys that this
    /// build does not know are kept in the identity's `provenance`.
    pub fn plan_import(
        &self,
        manifest: &Value,
        names: &BTreeMap<FacesetNumber, String>,
        hash_of: &dyn Fn(&SourcePath) -> Option<ContentHash>,
    ) -> Plan {
        let list = |key: &str| {
            manifest
                .get(key)
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
        };
        let mut seen: BTreeMap<FacesetNumber, Seen> = BTreeMap::new();
        let mut n_without = 0;
        for set in list("facesets").filter_map(Value::as_object) {
            let name = set.get("name").and_then(Value::as_str);
            let Some(number) = name.and_then(canonical_faceset_number) else {
                continue;
            };
            let listed = set.get("faces").and_then(Value::as_array);
            let mut faces = Vec::new();
            for face in listed.into_iter().flatten() {
                match face_key(face, hash_of) {
                    Some(key) => faces.push(key),
                    None => n_without += 1,
                }
            }
            let unknown: Map<String, Value> = set
                .iter()
                .filter(|(key, _)| !KNOWN_KEYS.contains(&key.as_str()))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            let label = set.get("label").and_then(Value::as_str).map(str::to_owned);
            seen.entry(number).or_insert(Seen {
                number,
                label: label.or_else(|| names.get(&number).cloned()),
                faces,
                provenance: json!({ "imported": unknown }),
            });
        }
        // Folders that no manifest mentions have taken their number, too.
        for (number, name) in names {
            seen.entry(*number).or_insert(Seen {
                number: *number,
                label: Some(name.clone()),
                faces: Vec::new(),
                provenance: json!({ "imported": {} }),
            });
        }
        let reserved: Vec<Reserved> = list("reserved")
            .filter_map(|r| serde_json::from_value(r.clone()).ok())
            .collect();
        let mut plan = self.plan_seen(seen.into_values().collect(), &reserved, "imported a tree");
        if n_without > 0 {
            plan.notes.push(format!(
                "{n_without} faces of the manifest have no known content hash and were not taken in; embed their photos and import again"
            ));
        }
        plan
    }

    fn plan_seen(&self, mut seen: Vec<Seen>, reserved: &[Reserved], what: &str) -> Plan {
        seen.sort_by_key(|s| s.number);
        let mut draft = Draft {
            registry: self,
            changes: Vec::new(),
            notes: Vec::new(),
            names: BTreeSet::new(),
            claimed: BTreeSet::new(),
            n_new: 0,
            n_updated: 0,
            n_reserved: 0,
        };
        let numbers: BTreeSet<_> = seen.iter().map(|s| s.number).collect();
        for set in seen {
            draft.set(&set);
        }
        let mut reasons: BTreeMap<FacesetNumber, &str> = BTreeMap::new();
        for entry in reserved {
            if let Some(number) = canonical_faceset_number(&entry.name)
                && !numbers.contains(&number)
            {
                reasons.insert(number, &entry.reason);
            }
        }
        for (number, reason) in reasons {
            draft.reserve(number, reason);
        }
        let what = format!(
            "{what}: {} new, {} updated, {} reserved",
            draft.n_new, draft.n_updated, draft.n_reserved
        );
        let mut plan = self.plan(what, draft.changes);
        plan.notes = draft.notes;
        plan
    }
}

impl Draft<'_> {
    fn set(&mut self, set: &Seen) {
        let registry = self.registry;
        let number = set.number;
        let title = number.folder_name();
        let mismatch = self.mismatch(set);
        let Some(identity) = registry.identity(number) else {
            let mut identity = Identity::new(number);
            identity.provenance = set.provenance.clone();
            identity.name = self.usable_name(set, None);
            match mismatch {
                Some(why) => self
                    .notes
                    .push(format!("{title}: {why}; its faces stay there")),
                None => {
                    identity.faces = self
                        .sort_faces(set)
                        .into_iter()
                        .flat_map(|e| e.added)
                        .collect();
                }
            }
            self.changes.push(Change::Create(Box::new(identity)));
            self.n_new += 1;
            return;
        };
        if identity.state == State::Forgotten {
            let note = format!(
                "{title}: the person is forgotten, and yet there is a set; forget it again to erase it"
            );
            self.notes.push(note);
            return;
        }
        if let Some(why) = mismatch {
            let note = format!(
                "{title}: {why}; it is not taken in. Renumber the sets by the registry and export again"
            );
            self.notes.push(note);
            return;
        }
        let n_before = self.changes.len();
        if identity.reserved.is_some() {
            self.changes.push(Change::Reserved(Edit {
                number,
                before: identity.reserved.clone(),
                after: None,
            }));
        }
        if identity.name.is_none()
            && let Some(name) = self.usable_name(set, registry.name_of(number))
        {
            self.changes.push(Change::Name(Edit {
                number,
                before: None,
                after: Some(name),
            }));
        }
        if identity.provenance.is_null() && !set.provenance.is_null() {
            self.changes.push(Change::Provenance(Edit {
                number,
                before: Value::Null,
                after: set.provenance.clone(),
            }));
        }
        // The faces before the feature that is one of them.
        let n_features = self.changes.len();
        let edits = self.sort_faces(set);
        self.changes
            .splice(n_features..n_features, edits.into_iter().map(Change::Faces));
        self.n_updated += usize::from(self.changes.len() > n_before);
    }

    /// Why the faces of a set are not those of its number, if they aren't.
    fn mismatch(&self, set: &Seen) -> Option<String> {
        let registry = self.registry;
        let found = registry.match_set("", None, &set.faces);
        let root = registry.root(set.number);
        let is_known = registry.identity(set.number).is_some();
        let has_faces = !registry.faces_of_is_empty(set.number);
        let shares = found.shared.iter().any(|(n, _)| *n == root);
        let other = match &found.matched {
            Matched::Faces(n) if *n != root => Some(*n),
            Matched::Ambiguous(several) if !several.contains(&root) => several.first().copied(),
            _ => None,
        };
        match other {
            Some(other) => Some(format!(
                "its faces are those of {}",
                registry.identities[&other].title()
            )),
            None if is_known && has_faces && !shares && found.n_faces > 0 => {
                Some("none of its faces is one of the person of that number".to_owned())
            }
            None => None,
        }
    }

    /// A label that can be the name; says why not. `known` is what the person
    /// is called already.
    fn usable_name(&mut self, set: &Seen, known: Option<&str>) -> Option<String> {
        let label = set.label.as_deref()?;
        if known.is_some_and(|k| folded(k) == folded(label)) {
            return None;
        }
        let root = self.registry.root(set.number);
        let taken = self
            .registry
            .identities()
            .find(|i| {
                let named = i
                    .name
                    .as_deref()
                    .is_some_and(|n| folded(n) == folded(label));
                named && self.registry.root(i.number) != root
            })
            .map(|i| format!("{} has it", i.number.folder_name()));
        let twice = self
            .names
            .contains(&folded(label))
            .then(|| "another set has it".to_owned());
        if let Some(flaw) = name_flaw(label).or(taken).or(twice) {
            let shown: String = label.chars().take(40).collect();
            let title = set.number.folder_name();
            self.notes
                .push(format!("{title}: {shown:?} can't be its name: {flaw}"));
            return None;
        }
        self.names.insert(folded(label));
        Some(label.to_owned())
    }

    /// The edits that bring a set's faces in, one per identity of the person.
    fn sort_faces(&mut self, set: &Seen) -> Vec<FacesEdit> {
        let registry = self.registry;
        let number = set.number;
        let root = registry.root(number);
        let listed: BTreeSet<FaceId> = set.faces.iter().map(FaceKey::id).collect();
        let mut replaced: BTreeSet<FaceId> = BTreeSet::new();
        let mut edits: BTreeMap<FacesetNumber, FacesEdit> = BTreeMap::new();
        let (mut n_elsewhere, mut n_refused) = (0, 0);
        for face in set.faces.iter().filter(|f| is_usable(f)) {
            if self.claimed.contains(&face.id()) {
                n_elsewhere += 1;
                continue;
            }
            if registry.forbids(face, number) {
                n_refused += 1;
                continue;
            }
            let owner = registry
                .owner_of(face)
                // A box that is in the set as itself is not this one, moved.
                .filter(|(id, _)| *id == face.id() || !listed.contains(id))
                .filter(|(id, _)| !replaced.contains(id));
            let (target, old) = match owner {
                None => (number, None),
                Some((_, owner)) if registry.root(owner) != root => {
                    n_elsewhere += 1;
                    continue;
                }
                Some((id, owner)) => (owner, registry.identities[&owner].faces.of_id(&id)),
            };
            self.claimed.insert(face.id());
            if let Some(old) = old {
                if old.id() == face.id() && old.path == face.path {
                    continue;
                }
                replaced.insert(old.id());
            }
            let edit = edits.entry(target).or_insert_with(|| FacesEdit {
                number: target,
                removed: Vec::new(),
                added: Vec::new(),
            });
            edit.removed.extend(old.cloned());
            edit.added.push(face.clone());
            self.follow_feature(root, old, face);
        }
        let title = number.folder_name();
        if n_elsewhere > 0 {
            self.notes.push(format!(
                "{title}: {n_elsewhere} faces belong to other people and stay there"
            ));
        }
        if n_refused > 0 {
            self.notes.push(format!(
                "{title}: {n_refused} faces were said not to be this person and are left out"
            ));
        }
        edits.into_values().collect()
    }

    /// A feature face whose photo or box moved moves along.
    fn follow_feature(&mut self, root: FacesetNumber, old: Option<&FaceKey>, new: &FaceKey) {
        let Some(old) = old else { return };
        for n in self.registry.same_person(root) {
            let feature = self.registry.identities[&n].feature.as_ref();
            if feature.map(FaceKey::id) == Some(old.id()) {
                self.changes.push(feature_change(n, feature, Some(new)));
            }
        }
    }

    fn reserve(&mut self, number: FacesetNumber, reason: &str) {
        match self.registry.identity(number) {
            None => self.changes.push(Change::Create(Box::new(Identity {
                reserved: Some(reason.to_owned()),
                ..Identity::new(number)
            }))),
            Some(identity)
                // These say why already, and go when the state is taken back.
                if !matches!(
                    identity.state,
                    State::Forgotten | State::Hidden | State::Thin
                )
                    && identity.reserved.as_deref() != Some(reason) =>
            {
                self.changes.push(Change::Reserved(Edit {
                    number,
                    before: identity.reserved.clone(),
                    after: Some(reason.to_owned()),
                }));
            }
            Some(_) => return,
        }
        self.n_reserved += 1;
    }
}

/// The key of a face in a manifest of ours or of the original tool, whose keys
/// have path and box only: `hash_of` knows the content of a photo. `None` when
/// the entry names no face or no hash is known.
pub fn face_key(
    face: &Value,
    hash_of: &dyn Fn(&SourcePath) -> Option<ContentHash>,
) -> Option<FaceKey> {
    let face = face.get("key").unwrap_or(face);
    let path = ["path", "source"]
        .iter()
        .find_map(|k| face.get(k)?.as_str())?;
    let path = SourcePath::from(path);
    let bbox: BBox = serde_json::from_value(face.get("bbox")?.clone()).ok()?;
    let sha256 = match face.get("sha256").and_then(Value::as_str) {
        Some(text) => text.parse().ok()?,
        None => hash_of(&path)?,
    };
    Some(FaceKey { path, sha256, bbox })
}
