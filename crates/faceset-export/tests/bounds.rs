//! What people said of a set or of a face holds, however near the face is.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use faceset_core::FaceKey;
use faceset_core::manifest::{RawManifest, RefineManifest, RefinedSet};
use faceset_export::{
    Bounds, ExportPlan, FaceHashes, NOT_THIS_PERSON, PlanInputs, REFUSED_HIDDEN, plan,
};
use serde_json::json;
use support::{Library, no_groups, nobody_known, options, raw, refined};

const ANNA: [f32; 3] = [1.0, 0.0, 0.0];
const BOX: [f32; 4] = [300.0, 200.0, 460.0, 400.0];
const BIGGER: [f32; 4] = [500.0, 100.0, 800.0, 500.0];

/// `faceset_007` is hidden; this face is not `faceset_001`'s.
struct Said(FaceKey);

impl Bounds for Said {
    fn holds_back(&self, set: &RefinedSet) -> Option<&'static str> {
        (set.name == "faceset_007").then_some(REFUSED_HIDDEN)
    }

    fn forbids(&self, set: &RefinedSet, face: &FaceKey) -> bool {
        set.name == "faceset_001" && *face == self.0
    }
}

fn planned(
    library: &Library,
    refined: &RefineManifest,
    raw: Option<&RawManifest>,
    said: &Said,
) -> ExportPlan {
    let photos = library.photos();
    let inputs = PlanInputs {
        photos: &photos,
        refined,
        raw,
        facts: &nobody_known,
        bounds: said,
        group_orphans: &no_groups,
        provenance: &json!(null),
    };
    let options = options(|s| s.candidates = raw.is_some());
    plan(&inputs, &options, &FaceHashes::default()).unwrap()
}

#[test]
fn a_refused_face_is_left_out_although_it_is_the_largest_of_its_photo() {
    let mut library = Library::new();
    let both = library.photo("/both.jpg", &[(BOX, ANNA), (BIGGER, ANNA)]);
    let alone = library.photo("/alone.jpg", &[(BOX, ANNA)]);
    let mut set = library.set("faceset_001", &[both, alone]);
    set.faces.push(library.key(both, 1));
    let said = Said(library.key(both, 1));
    let plan = planned(&library, &refined(vec![set]), None, &said);
    let exported: Vec<_> = plan.sets[0].faces.iter().map(|f| &f.key).collect();
    assert!(exported.contains(&&library.key(both, 0)), "{exported:?}");
    assert!(!exported.contains(&&said.0));
    let drop = plan.sets[0].dropped.iter().find(|d| d.key == said.0);
    assert_eq!(drop.unwrap().reason, NOT_THIS_PERSON);
    assert_eq!(plan.sets[0].n_input, 3, "every face is counted once");
}

#[test]
fn a_set_of_which_every_face_was_refused_is_empty() {
    let mut library = Library::new();
    let only = library.photo("/only.jpg", &[(BOX, ANNA)]);
    let said = Said(library.key(only, 0));
    let set = library.set("faceset_001", &[only]);
    let plan = planned(&library, &refined(vec![set]), None, &said);
    assert!(plan.sets[0].faces.is_empty());
    assert_eq!(plan.sets[0].dropped.len(), 1);
}

#[test]
fn a_hidden_set_is_refused_and_its_look_alikes_are_no_candidates() {
    let mut library = Library::new();
    let photos = library.solos("anna", ANNA, 3);
    let stray = library.photo("/stray.jpg", &[(BOX, ANNA)]);
    let said = Said(library.key(photos[0], 0));
    let sets = refined(vec![library.set("faceset_007", &photos)]);
    let raw = raw(vec![library.key(stray, 0)]);
    let plan = planned(&library, &sets, Some(&raw), &said);
    assert!(plan.sets.is_empty());
    assert_eq!(plan.refused[0].reason, REFUSED_HIDDEN);
    assert_eq!(plan.candidates.unwrap(), []);
    assert_eq!(plan.candidates_dropped[0].reason, "set_refused");
}

#[test]
fn a_refused_single_face_is_no_candidate_of_that_set() {
    let mut library = Library::new();
    let photos = library.solos("anna", ANNA, 3);
    let stray = library.photo("/stray.jpg", &[(BOX, ANNA)]);
    let sets = refined(vec![library.set("faceset_001", &photos)]);
    let raw = raw(vec![library.key(stray, 0)]);
    let other = Said(library.key(photos[0], 0));
    let with = planned(&library, &sets, Some(&raw), &other);
    assert_eq!(with.candidates.unwrap()[0].name, "to_faceset_001");
    let said = Said(library.key(stray, 0));
    let without = planned(&library, &sets, Some(&raw), &said);
    assert_eq!(without.candidates.unwrap(), []);
}
