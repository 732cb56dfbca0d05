//! All identities in memory, and what they promise each other: one owner per
//! face, one person per name, merges without a cycle, a number for ever.
//!
//! Reads and checks; files are in `store`, decisions in `ops`.

use std::collections::{BTreeMap, BTreeSet};

use faceset_core::{BBox, CivilDate, FaceKey, FacesetNumber, canonical_faceset_number};
use serde_json::{Map, Value};

use crate::change::{Change, Edit, FacesEdit};
use crate::error::{Flaw, IdentityError};
use crate::identity::{FaceId, Faces, Identity, State, describe, folded, is_usable, name_flaw};
use crate::journal::Entry;

/// Boxes on one photo that overlap at least this much (intersection over union)
/// are the same face when no box is equal: a detector that changed moves boxes
/// by a few pixels. The usual criterion of detection benchmarks.
pub const MOVED_BOX_MIN_IOU: f32 = 0.5;

/// The identities, their history, and indices over them.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    pub(crate) identities: BTreeMap<FacesetNumber, Identity>,
    /// Highest number ever given, whether its identity is still listed or not.
    pub(crate) highest: u32,
    /// Last journal entry that is included.
    pub(crate) entry: u64,
    pub(crate) history: Vec<Entry>,
    pub(crate) no_faces: Faces,
    pub(crate) extra: Map<String, Value>,
    /// Numbers that are merged into another.
    merged: BTreeSet<FacesetNumber>,
    owners: BTreeMap<FaceId, (FacesetNumber, BBox)>,
    /// Who refuses a face: `not_this_person` of every identity, by face.
    refusals: BTreeMap<FaceId, (BBox, BTreeSet<FacesetNumber>)>,
}

/// Equal content; the history and used-up numbers are not compared.
impl PartialEq for Registry {
    fn eq(&self, other: &Self) -> bool {
        self.identities == other.identities
            && self.no_faces == other.no_faces
            && self.extra == other.extra
    }
}

impl Registry {
    /// From checked parts of a file. Errors name the identity and what is wrong.
    pub(crate) fn from_identities(
        identities: Vec<Identity>,
        no_faces: Faces,
        (highest, entry): (u32, u64),
        extra: Map<String, Value>,
        today: CivilDate,
    ) -> Result<Self, Flaw> {
        if let Some(key) = no_faces.iter().find(|k| !is_usable(k)) {
            let what = format!("the face {} has no finite box", describe(key));
            return Err(Flaw::key("no_faces", what));
        }
        let mut registry = Self {
            highest,
            entry,
            no_faces,
            extra,
            ..Self::default()
        };
        for identity in identities {
            registry.create(identity)?;
        }
        let numbers: Vec<_> = registry.identities.keys().copied().collect();
        registry.check(&numbers)?;
        for identity in registry.identities.values() {
            if let Some(date) = identity.birth_date.filter(|d| *d > today) {
                let what = format!("the birth date {date} lies after today, {today}");
                return Err(Flaw::at(identity.number, what));
            }
        }
        Ok(registry)
    }

    /// Every identity by number, forgotten ones included.
    pub fn identities(&self) -> impl Iterator<Item = &Identity> {
        self.identities.values()
    }

    /// The identity of that number.
    pub fn identity(&self, number: FacesetNumber) -> Option<&Identity> {
        self.identities.get(&number)
    }

    /// Past changes, oldest first.
    pub fn history(&self) -> &[Entry] {
        &self.history
    }

    /// Past changes of one identity, oldest first.
    pub fn history_of(&self, number: FacesetNumber) -> impl Iterator<Item = &Entry> {
        self.history
            .iter()
            .filter(move |entry| entry.changes.iter().any(|c| c.number() == Some(number)))
    }

    /// Number of the last change that is included.
    pub fn last_entry(&self) -> u64 {
        self.entry
    }

    /// Highest number ever given, 0 when none was.
    pub fn highest_number(&self) -> u32 {
        self.highest
    }

    /// Finds `7`, `007`, `faceset_007` or a name (in any case).
    pub fn find(&self, person: &str) -> Result<&Identity, IdentityError> {
        let unknown = || IdentityError::Unknown {
            person: person.chars().take(80).collect(),
        };
        let plain = person
            .parse::<u32>()
            .ok()
            .and_then(|n| FacesetNumber::new(n).ok());
        if let Some(number) = plain.or_else(|| canonical_faceset_number(person)) {
            return self.identity(number).ok_or_else(unknown);
        }
        let wanted = folded(person);
        let named = |i: &&Identity| i.name.as_deref().is_some_and(|n| folded(n) == wanted);
        // Merged identities may share the name of the one that stands for them.
        self.identities()
            .filter(named)
            .find(|i| !matches!(i.state, State::Merged(_)))
            .or_else(|| self.identities().find(named))
            .ok_or_else(unknown)
    }

    /// The number that stands for this one: itself, or what it was merged into
    /// in the end.
    pub fn root(&self, number: FacesetNumber) -> FacesetNumber {
        let mut at = number;
        // A checked registry has no cycle; the bound keeps an unchecked one safe.
        for _ in 0..=self.identities.len() {
            match self.identities.get(&at).map(|i| i.state) {
                Some(State::Merged(into)) => at = into,
                _ => return at,
            }
        }
        number
    }

    /// The numbers that are one person with this one, itself included, sorted.
    pub fn same_person(&self, number: FacesetNumber) -> Vec<FacesetNumber> {
        let root = self.root(number);
        let others = self.merged.iter().copied();
        let members: BTreeSet<_> = others
            .filter(|n| self.root(*n) == root)
            .chain(self.identities.contains_key(&root).then_some(root))
            .collect();
        members.into_iter().collect()
    }

    /// All faces of a person, those of merged identities included.
    pub fn faces_of(&self, number: FacesetNumber) -> Faces {
        self.same_person(number)
            .iter()
            .flat_map(|n| self.identities[n].faces.iter().cloned())
            .collect()
    }

    pub(crate) fn faces_of_is_empty(&self, number: FacesetNumber) -> bool {
        self.same_person(number)
            .iter()
            .all(|n| self.identities[n].faces.is_empty())
    }

    /// The identity that this face belongs to: by content and box, else by the
    /// best overlapping box on the same photo, see [`MOVED_BOX_MIN_IOU`].
    pub fn owner(&self, face: &FaceKey) -> Option<&Identity> {
        self.owner_of(face).map(|(_, n)| &self.identities[&n])
    }

    pub(crate) fn owner_of(&self, face: &FaceKey) -> Option<(FaceId, FacesetNumber)> {
        let id = face.id();
        if let Some((number, _)) = self.owners.get(&id) {
            return Some((id, *number));
        }
        let on_photo = self
            .owners
            .range((face.sha256, [i32::MIN; 4])..=(face.sha256, [i32::MAX; 4]));
        best_overlap(face, on_photo.map(|(id, (n, bbox))| ((*id, *n), bbox)))
    }

    pub(crate) fn owns(&self, id: &FaceId) -> bool {
        self.owners.contains_key(id)
    }

    pub(crate) fn owner_by_id(&self, id: &FaceId) -> Option<FacesetNumber> {
        self.owners.get(id).map(|(number, _)| *number)
    }

    /// True when a person said that this face is not of this identity, nor of
    /// one that it is merged with, or that it is no face at all.
    ///
    /// A face that the registry does not know is taken for the refused one
    /// whose box it overlaps best, see [`MOVED_BOX_MIN_IOU`].
    pub fn forbids(&self, face: &FaceKey, number: FacesetNumber) -> bool {
        if self.is_no_face(face) {
            return true;
        }
        let root = self.root(number);
        let refuses = |who: &BTreeSet<FacesetNumber>| who.iter().any(|n| self.root(*n) == root);
        if let Some((_, who)) = self.refusals.get(&face.id()) {
            return refuses(who);
        }
        if self.owners.contains_key(&face.id()) {
            return false;
        }
        let on_photo = self
            .refusals
            .range((face.sha256, [i32::MIN; 4])..=(face.sha256, [i32::MAX; 4]))
            .filter(|(_, (_, who))| refuses(who));
        best_overlap(face, on_photo.map(|(id, (bbox, _))| (*id, bbox))).is_some()
    }

    /// Carries out the changes, or none of them.
    pub(crate) fn apply(&mut self, changes: &[Change]) -> Result<(), Flaw> {
        if changes.iter().any(|c| c.inverse().is_none()) {
            return self.apply_irreversibly(changes);
        }
        let highest = self.highest;
        for (done, change) in changes.iter().enumerate() {
            if let Err(flaw) = self.step(change) {
                self.roll_back(&changes[..done], highest);
                return Err(flaw);
            }
        }
        let touched: BTreeSet<_> = changes.iter().filter_map(Change::number).collect();
        let result = self.check(&touched.into_iter().collect::<Vec<_>>());
        if result.is_err() {
            self.roll_back(changes, highest);
        }
        result
    }

    fn apply_irreversibly(&mut self, changes: &[Change]) -> Result<(), Flaw> {
        let mut changed = self.clone();
        changes.iter().try_for_each(|c| changed.step(c))?;
        let touched: BTreeSet<_> = changes.iter().filter_map(Change::number).collect();
        changed.check(&touched.into_iter().collect::<Vec<_>>())?;
        *self = changed;
        Ok(())
    }

    /// Takes back changes that were carried out.
    pub(crate) fn roll_back(&mut self, done: &[Change], highest: u32) {
        for change in done.iter().rev() {
            let inverse = change
                .inverse()
                .expect("changes without an inverse went another way");
            self.step(&inverse)
                .expect("what was done can be taken back");
        }
        self.highest = highest;
    }

    fn step(&mut self, change: &Change) -> Result<(), Flaw> {
        match change {
            Change::Create(identity) => self.create((**identity).clone()),
            Change::Remove(identity) => {
                if self.identity(identity.number) != Some(identity) {
                    return Err(Flaw::at(identity.number, "it has changed since"));
                }
                self.drop_identity(identity.number);
                Ok(())
            }
            Change::Name(e) => self.edit(e, |i| &mut i.name),
            Change::State(e) => {
                self.edit(e, |i| &mut i.state)?;
                self.note_whether_merged(e.number);
                Ok(())
            }
            Change::Consent(e) => self.edit(e, |i| &mut i.consent),
            Change::BirthDate(e) => self.edit(e, |i| &mut i.birth_date),
            Change::Reserved(e) => self.edit(e, |i| &mut i.reserved),
            Change::Provenance(e) => self.edit(e, |i| &mut i.provenance),
            Change::Feature(e) => {
                let unboxed = Edit {
                    number: e.number,
                    before: e.before.as_deref().cloned(),
                    after: e.after.as_deref().cloned(),
                };
                self.edit(&unboxed, |i| &mut i.feature)
            }
            Change::Faces(e) => self.edit_faces(e),
            Change::NotThisPerson(e) => {
                swap_faces(&mut self.existing(e.number)?.not_this_person, e)?;
                e.removed.iter().for_each(|k| self.accept(k, e.number));
                e.added.iter().for_each(|k| self.refuse(k, e.number));
                Ok(())
            }
            Change::NoFaces(e) => self.edit_no_faces(e),
            Change::Forget { number } => {
                self.drop_identity(*number);
                self.create(Identity::forgotten(*number))
            }
        }
    }

    fn create(&mut self, identity: Identity) -> Result<(), Flaw> {
        let number = identity.number;
        if self.identities.contains_key(&number) {
            return Err(Flaw::at(number, "the number is there twice"));
        }
        let mut claimed: Vec<FaceId> = Vec::new();
        for key in identity.faces.iter() {
            if let Err(flaw) = self.claim(key, number) {
                for id in &claimed {
                    self.owners.remove(id);
                }
                return Err(flaw);
            }
            claimed.push(key.id());
        }
        for key in identity.not_this_person.iter() {
            self.refuse(key, number);
        }
        self.highest = self.highest.max(number.get());
        self.identities.insert(number, identity);
        self.note_whether_merged(number);
        Ok(())
    }

    fn note_whether_merged(&mut self, number: FacesetNumber) {
        let state = self.identities.get(&number).map(|i| i.state);
        if matches!(state, Some(State::Merged(_))) {
            self.merged.insert(number);
        } else {
            self.merged.remove(&number);
        }
    }

    fn claim(&mut self, key: &FaceKey, number: FacesetNumber) -> Result<(), Flaw> {
        if self.no_faces.contains(&key.id()) {
            let what = format!("the face {} is said to be no face", describe(key));
            return Err(Flaw::at(number, what));
        }
        if let Some((owner, _)) = self.owners.get(&key.id()) {
            let what = format!(
                "the face {} belongs to {}, too, and a face has one person",
                describe(key),
                owner.folder_name()
            );
            return Err(Flaw::at(number, what));
        }
        self.owners.insert(key.id(), (number, key.bbox));
        Ok(())
    }

    fn drop_identity(&mut self, number: FacesetNumber) {
        self.merged.remove(&number);
        if let Some(identity) = self.identities.remove(&number) {
            for key in identity.faces.iter() {
                self.owners.remove(&key.id());
            }
            for key in identity.not_this_person.iter() {
                self.accept(key, number);
            }
        }
    }

    fn refuse(&mut self, key: &FaceKey, number: FacesetNumber) {
        let entry = self.refusals.entry(key.id());
        let (_, who) = entry.or_insert_with(|| (key.bbox, BTreeSet::new()));
        who.insert(number);
    }

    fn accept(&mut self, key: &FaceKey, number: FacesetNumber) {
        if let Some((_, who)) = self.refusals.get_mut(&key.id()) {
            who.remove(&number);
            if who.is_empty() {
                self.refusals.remove(&key.id());
            }
        }
    }

    fn existing(&mut self, number: FacesetNumber) -> Result<&mut Identity, Flaw> {
        self.identities
            .get_mut(&number)
            .ok_or_else(|| Flaw::at(number, "there is no such identity"))
    }

    fn edit<T: PartialEq + Clone>(
        &mut self,
        edit: &Edit<T>,
        field: impl FnOnce(&mut Identity) -> &mut T,
    ) -> Result<(), Flaw> {
        let value = field(self.existing(edit.number)?);
        if *value != edit.before {
            return Err(Flaw::at(edit.number, "it has changed since"));
        }
        value.clone_from(&edit.after);
        Ok(())
    }

    fn edit_faces(&mut self, edit: &FacesEdit) -> Result<(), Flaw> {
        let number = edit.number;
        let mut list = std::mem::take(&mut self.existing(number)?.faces);
        let mut result = swap_faces(&mut list, edit);
        if result.is_ok() {
            for key in &edit.removed {
                self.owners.remove(&key.id());
            }
            for (done, key) in edit.added.iter().enumerate() {
                if let Err(flaw) = self.claim(key, number) {
                    edit.added[..done].iter().for_each(|k| {
                        self.owners.remove(&k.id());
                    });
                    for key in &edit.removed {
                        self.owners.insert(key.id(), (number, key.bbox));
                    }
                    let back = FacesEdit {
                        number,
                        removed: edit.added.clone(),
                        added: edit.removed.clone(),
                    };
                    swap_faces(&mut list, &back).expect("what was done can be taken back");
                    result = Err(flaw);
                    break;
                }
            }
        }
        self.existing(number)?.faces = list;
        result
    }

    /// Checks these identities and their persons against everything else.
    fn check(&self, numbers: &[FacesetNumber]) -> Result<(), Flaw> {
        let mut named: BTreeMap<String, Vec<FacesetNumber>> = BTreeMap::new();
        let mut people: BTreeMap<FacesetNumber, Vec<FacesetNumber>> = BTreeMap::new();
        for identity in self.identities.values() {
            if let Some(name) = &identity.name {
                named.entry(folded(name)).or_default().push(identity.number);
            }
        }
        for number in numbers {
            if let Some(identity) = self.identities.get(number) {
                self.check_merge(identity)?;
            }
        }
        for number in self.identities.keys() {
            people.entry(self.root(*number)).or_default().push(*number);
        }
        for number in numbers {
            let Some(identity) = self.identities.get(number) else {
                self.check_orphans(*number)?;
                continue;
            };
            check_alone(identity)?;
            let root = self.root(*number);
            if let Some(name) = &identity.name {
                let other = named[&folded(name)].iter().find(|n| self.root(**n) != root);
                if let Some(other) = other {
                    let what = format!("{name:?} is the name of {}, too", other.folder_name());
                    return Err(Flaw::at(*number, what));
                }
            }
            self.check_person(&people[&root])?;
        }
        Ok(())
    }

    fn check_merge(&self, identity: &Identity) -> Result<(), Flaw> {
        let mut seen = BTreeSet::from([identity.number]);
        let mut state = identity.state;
        while let State::Merged(into) = state {
            let Some(next) = self.identities.get(&into) else {
                let what = format!(
                    "it is merged into {}, which is not there",
                    into.folder_name()
                );
                return Err(Flaw::at(identity.number, what));
            };
            if next.state == State::Forgotten {
                let what = format!(
                    "it is merged into {}, which is forgotten",
                    into.folder_name()
                );
                return Err(Flaw::at(identity.number, what));
            }
            if !seen.insert(into) {
                let what = format!("it is merged in a circle, through {}", into.folder_name());
                return Err(Flaw::at(identity.number, what));
            }
            state = next.state;
        }
        Ok(())
    }

    fn check_orphans(&self, gone: FacesetNumber) -> Result<(), Flaw> {
        match self.identities().find(|i| i.state == State::Merged(gone)) {
            Some(orphan) => self.check_merge(orphan),
            None => Ok(()),
        }
    }

    /// Feature faces belong, and no face both belongs and does not.
    fn check_person(&self, members: &[FacesetNumber]) -> Result<(), Flaw> {
        let belongs = |id: &FaceId| {
            self.owners
                .get(id)
                .is_some_and(|(n, _)| members.contains(n))
        };
        for number in members {
            let identity = &self.identities[number];
            if let Some(key) = identity.feature.as_ref().filter(|k| !belongs(&k.id())) {
                let what = format!("the feature face {} is not one of its faces", describe(key));
                return Err(Flaw::at(*number, what));
            }
            let mut refused = identity.not_this_person.iter();
            if let Some(key) = refused.find(|k| belongs(&k.id())) {
                let what = format!(
                    "the face {} is said to belong and not to belong",
                    describe(key)
                );
                return Err(Flaw::at(*number, what));
            }
        }
        Ok(())
    }
}

/// What can be checked of one identity alone.
fn check_alone(identity: &Identity) -> Result<(), Flaw> {
    let number = identity.number;
    if let Some(name) = &identity.name
        && let Some(flaw) = name_flaw(name)
    {
        let shown: String = name.chars().take(40).collect();
        return Err(Flaw::at(number, format!("the name {shown:?}: {flaw}")));
    }
    let lists = identity.faces.iter().chain(identity.not_this_person.iter());
    if let Some(key) = lists.chain(&identity.feature).find(|k| !is_usable(k)) {
        let what = format!("the face {} has no finite box", describe(key));
        return Err(Flaw::at(number, what));
    }
    if identity.state == State::Forgotten && *identity != Identity::forgotten(number) {
        return Err(Flaw::at(
            number,
            "it is forgotten and nothing but its number may be left",
        ));
    }
    Ok(())
}

/// All or nothing.
fn swap_faces(list: &mut Faces, edit: &FacesEdit) -> Result<(), Flaw> {
    let changed = |key: &FaceKey| {
        let what = format!("the list has changed since at {}", describe(key));
        Err(Flaw::at(edit.number, what))
    };
    let removed: BTreeSet<FaceId> = edit.removed.iter().map(FaceKey::id).collect();
    if let Some(key) = edit.removed.iter().find(|k| list.of_id(&k.id()) != Some(k)) {
        return changed(key);
    }
    let there = |k: &&FaceKey| list.contains(&k.id()) && !removed.contains(&k.id());
    if let Some(key) = edit.added.iter().find(there) {
        return changed(key);
    }
    for id in &removed {
        list.remove(id);
    }
    for key in &edit.added {
        list.insert(key.clone());
    }
    Ok(())
}

/// The box that overlaps most, from [`MOVED_BOX_MIN_IOU`]; the first of equals.
pub(crate) fn best_overlap<'a, T>(
    face: &FaceKey,
    boxes: impl Iterator<Item = (T, &'a BBox)>,
) -> Option<T> {
    let mut best: Option<(f32, T)> = None;
    for (item, bbox) in boxes {
        let iou = face.bbox.iou(bbox);
        if iou >= MOVED_BOX_MIN_IOU && best.as_ref().is_none_or(|(most, _)| iou > *most) {
            best = Some((iou, item));
        }
    }
    best.map(|(_, item)| item)
}
