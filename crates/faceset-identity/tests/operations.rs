//! What people do to identities, and that it can be taken back.

mod support;

use std::collections::BTreeSet;

use faceset_core::Consent;
use faceset_identity::{IdentityError, Registry, RegistryWriter, State};
use serde_json::Value;
use support::*;

fn names(registry: &Registry) -> Vec<Option<&str>> {
    registry.identities().map(|i| i.name.as_deref()).collect()
}

#[test]
fn names_of_any_script_survive_a_reload_and_are_found_in_any_case() {
    let dir = tempfile::tempdir().unwrap();
    let mut w = three_people(dir.path());
    for (n, name) in [(1, "Zoë Ångström"), (2, "山田 花子"), (3, "محمد \"Mo\"")] {
        run(&mut w, |r| r.plan_name(number(n), Some(name))).unwrap();
    }
    w.finish().unwrap();
    let registry = Registry::load(dir.path(), today()).unwrap();
    assert_eq!(
        names(&registry),
        [Some("Zoë Ångström"), Some("山田 花子"), Some("محمد \"Mo\"")]
    );
    assert_eq!(registry.find("ZOË ÅNGSTRÖM").unwrap().number, number(1));
    assert_eq!(registry.find("faceset_002").unwrap().number, number(2));
    assert_eq!(registry.find("003").unwrap().number, number(3));
    assert!(registry.find("4").is_err());
}

#[test]
fn names_that_are_paths_too_long_or_taken_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut w = three_people(dir.path());
    for bad in ["../Ana", "C:\\Ana", "bOB", &"x".repeat(300)] {
        let error = run(&mut w, |r| r.plan_name(number(1), Some(bad))).unwrap_err();
        assert!(matches!(error, IdentityError::Name { .. }), "{error}");
        assert!(error.to_string().chars().count() < 200, "{error}");
    }
    // One's own name in another case is a change, not a clash.
    run(&mut w, |r| r.plan_name(number(1), Some("ANA"))).unwrap();
    assert_eq!(
        w.registry().identity(number(1)).unwrap().name.as_deref(),
        Some("ANA")
    );
}

#[test]
fn a_birth_date_may_be_today_and_not_tomorrow() {
    let dir = tempfile::tempdir().unwrap();
    let mut w = three_people(dir.path());
    let birth = |text: &str| Some(text.parse().unwrap());
    let error = run(&mut w, |r| {
        r.plan_birth_date(number(1), birth("2026-05-18"), today())
    })
    .unwrap_err();
    assert!(matches!(error, IdentityError::FutureBirth { .. }));
    run(&mut w, |r| {
        r.plan_birth_date(number(1), birth("2026-05-17"), today())
    })
    .unwrap();
    assert_eq!(
        w.registry().identity(number(1)).unwrap().facts().birth,
        birth("2026-05-17")
    );
}

#[test]
fn doing_the_same_again_is_no_entry() {
    let dir = tempfile::tempdir().unwrap();
    let mut w = three_people(dir.path());
    let first = run(&mut w, |r| r.plan_consent(number(1), Consent::Denied)).unwrap();
    assert_eq!(first, 2);
    assert_eq!(
        run(&mut w, |r| r.plan_consent(number(1), Consent::Denied)).unwrap(),
        0
    );
    assert_eq!(w.registry().last_entry(), 2);
}

#[test]
fn a_plan_from_before_another_change_is_stale() {
    let dir = tempfile::tempdir().unwrap();
    let mut w = three_people(dir.path());
    let old = w.registry().plan_hide(number(1)).unwrap();
    run(&mut w, |r| r.plan_hide(number(2))).unwrap();
    let error = w.apply(&old, at(9)).unwrap_err();
    assert!(matches!(error, IdentityError::Stale { planned: 1, now: 2 }));
}

#[test]
fn unhiding_and_unmerging_give_the_state_from_before() {
    let dir = tempfile::tempdir().unwrap();
    let mut w = three_people(dir.path());
    let state = |w: &RegistryWriter, n| w.registry().identity(number(n)).unwrap().state;
    run(&mut w, |r| r.plan_thin(number(3), true)).unwrap();
    run(&mut w, |r| r.plan_hide(number(3))).unwrap();
    run(&mut w, |r| r.plan_merge(number(3), number(1))).unwrap();
    assert_eq!(state(&w, 3), State::Merged(number(1)));
    run(&mut w, |r| r.plan_unmerge(number(3))).unwrap();
    assert_eq!(state(&w, 3), State::Hidden);
    run(&mut w, |r| r.plan_unhide(number(3))).unwrap();
    assert_eq!(state(&w, 3), State::Thin);
    run(&mut w, |r| r.plan_thin(number(3), false)).unwrap();
    assert_eq!(state(&w, 3), State::Active);
}

#[test]
fn merged_people_share_faces_facts_and_refusals() {
    let dir = tempfile::tempdir().unwrap();
    let mut w = three_people(dir.path());
    run(&mut w, |r| r.plan_consent(number(1), Consent::Granted)).unwrap();
    run(&mut w, |r| r.plan_consent(number(2), Consent::Denied)).unwrap();
    let stranger = face(900, 10);
    run(&mut w, |r| r.plan_not_this_person(number(2), &stranger)).unwrap();
    assert!(!w.registry().forbids(&stranger, number(1)));
    run(&mut w, |r| r.plan_merge(number(2), number(1))).unwrap();
    let registry = w.registry();
    assert_eq!(registry.faces_of(number(1)).len(), 16);
    assert_eq!(registry.facts_of(number(1)).consent, Consent::Denied);
    assert!(registry.forbids(&stranger, number(1)));
    assert_eq!(registry.root(number(2)), number(1));
    // What is done to the merged one is done to the one that stands for both.
    run(&mut w, |r| r.plan_name(number(2), Some("Anabel"))).unwrap();
    assert_eq!(
        w.registry().identity(number(1)).unwrap().name.as_deref(),
        Some("Anabel")
    );
}

#[test]
fn merging_in_a_circle_or_with_oneself_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut w = three_people(dir.path());
    run(&mut w, |r| r.plan_merge(number(2), number(1))).unwrap();
    for (from, into) in [(1, 2), (2, 1), (3, 3)] {
        let error = run(&mut w, |r| r.plan_merge(number(from), number(into))).unwrap_err();
        assert!(error.to_string().contains("one person already"), "{error}");
    }
}

#[test]
fn people_who_were_said_to_differ_are_not_merged() {
    let dir = tempfile::tempdir().unwrap();
    let mut w = three_people(dir.path());
    let of_bob = face(12, 10);
    run(&mut w, |r| r.plan_not_this_person(number(1), &of_bob)).unwrap();
    for (from, into) in [(1, 2), (2, 1)] {
        let error = run(&mut w, |r| r.plan_merge(number(from), number(into))).unwrap_err();
        assert!(error.to_string().contains("p00012"), "{error}");
    }
}

#[test]
fn not_this_person_takes_the_face_the_feature_and_its_return() {
    let dir = tempfile::tempdir().unwrap();
    let mut w = three_people(dir.path());
    let wrong = face(3, 10);
    run(&mut w, |r| r.plan_feature(number(1), Some(&wrong))).unwrap();
    let before = w.registry().clone();
    let entry = run(&mut w, |r| r.plan_not_this_person(number(1), &wrong)).unwrap();
    let ana = w.registry().identity(number(1)).unwrap();
    assert_eq!((ana.faces.len(), ana.feature.clone()), (9, None));
    assert!(w.registry().forbids(&wrong, number(1)) && !w.registry().forbids(&wrong, number(2)));
    // The next export still has it in: it stays out.
    let plan = record(&mut w, vec![swap_set("faceset_001", None, &faces(0..10))]);
    assert!(
        plan.is_empty() && plan.notes[0].contains("1 faces were said"),
        "{plan:?}"
    );
    w.undo(entry, at(5)).unwrap();
    assert_eq!(*w.registry(), before);
}

#[test]
fn a_refused_face_is_known_again_after_a_detector_moved_its_box() {
    let dir = tempfile::tempdir().unwrap();
    let mut w = three_people(dir.path());
    run(&mut w, |r| r.plan_not_this_person(number(1), &face(3, 10))).unwrap();
    // Shifted by 13 of 40 px: 27 shared of 53, just over a half.
    assert!(w.registry().forbids(&face(3, 23), number(1)));
    // By 14: 26 of 54.
    assert!(!w.registry().forbids(&face(3, 24), number(1)));
    assert!(!w.registry().forbids(&face(4, 10), number(1)));
}

#[test]
fn this_person_moves_a_face_and_takes_a_refusal_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut w = three_people(dir.path());
    let moving = face(12, 10);
    run(&mut w, |r| r.plan_not_this_person(number(1), &moving)).unwrap();
    run(&mut w, |r| r.plan_this_person(number(1), &moving)).unwrap();
    let registry = w.registry();
    assert_eq!(registry.owner(&moving).unwrap().number, number(1));
    assert!(!registry.forbids(&moving, number(1)) && !registry.forbids(&moving, number(2)));
    assert_eq!(registry.identity(number(2)).unwrap().faces.len(), 5);
}

#[test]
fn the_feature_face_must_be_one_of_the_persons() {
    let dir = tempfile::tempdir().unwrap();
    let mut w = three_people(dir.path());
    assert!(run(&mut w, |r| r.plan_feature(number(1), Some(&face(12, 10)))).is_err());
    run(&mut w, |r| r.plan_merge(number(2), number(1))).unwrap();
    run(&mut w, |r| r.plan_feature(number(1), Some(&face(12, 10)))).unwrap();
    let plan = w.registry().plan_unmerge(number(2)).unwrap();
    assert_eq!(plan.notes, ["faceset_001 loses its feature face"]);
    w.apply(&plan, at(3)).unwrap();
    assert_eq!(w.registry().identity(number(1)).unwrap().feature, None);
}

#[test]
fn numbers_go_on_past_all_that_were_ever_given() {
    let dir = tempfile::tempdir().unwrap();
    let mut w = three_people(dir.path());
    let allocate = |r: &Registry, taken: &[u32]| {
        let taken: BTreeSet<_> = taken.iter().map(|n| number(*n)).collect();
        r.plan_allocate(2, &taken, "for discovery", &Value::Null)
            .unwrap()
    };
    let (plan, numbers) = allocate(w.registry(), &[]);
    assert_eq!(numbers, [number(4), number(5)]);
    let entry = w.apply(&plan, at(1)).unwrap().unwrap();
    w.undo(entry, at(2)).unwrap();
    // Undone, and yet used up; also after a reload.
    drop(w);
    let w = writer(dir.path());
    assert_eq!(allocate(w.registry(), &[]).1, [number(6), number(7)]);
    assert_eq!(allocate(w.registry(), &[9]).1, [number(10), number(11)]);
}

#[test]
fn an_undo_in_the_way_of_later_changes_names_the_latest() {
    let dir = tempfile::tempdir().unwrap();
    let mut w = three_people(dir.path());
    let first = run(&mut w, |r| r.plan_name(number(3), Some("Cleo"))).unwrap();
    let second = run(&mut w, |r| r.plan_name(number(3), Some("Chloe"))).unwrap();
    let error = w.undo(first, at(4)).unwrap_err();
    assert!(
        error
            .to_string()
            .contains(&format!("undo entry {second} first")),
        "{error}"
    );
    // Other keys of the same person are not in the way.
    run(&mut w, |r| r.plan_consent(number(3), Consent::Granted)).unwrap();
    w.undo(second, at(5)).unwrap();
    w.undo(first, at(6)).unwrap();
    let cleo = w.registry().identity(number(3)).unwrap();
    assert_eq!((cleo.name.clone(), cleo.consent), (None, Consent::Granted));
    assert!(matches!(
        w.undo(99, at(7)),
        Err(IdentityError::NoEntry { id: 99 })
    ));
    assert_eq!(w.registry().history_of(number(3)).count(), 6);
}

#[test]
fn an_undo_can_be_undone() {
    let dir = tempfile::tempdir().unwrap();
    let mut w = three_people(dir.path());
    let merged = run(&mut w, |r| r.plan_merge(number(2), number(1))).unwrap();
    let after = w.registry().clone();
    let undone = w.undo(merged, at(1)).unwrap();
    w.undo(undone, at(2)).unwrap();
    assert_eq!(*w.registry(), after);
}

#[test]
fn a_refusal_of_a_merged_identity_outlasts_a_later_yes_and_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let mut w = three_people(dir.path());
    run(&mut w, |r| r.plan_consent(number(3), Consent::Denied)).unwrap();
    run(&mut w, |r| r.plan_merge(number(3), number(1))).unwrap();
    let plan = w
        .registry()
        .plan_consent(number(1), Consent::Granted)
        .unwrap();
    assert!(
        plan.notes[0].starts_with("faceset_003 was merged into it"),
        "{plan:?}"
    );
    w.apply(&plan, at(2)).unwrap();
    assert_eq!(w.registry().facts_of(number(1)).consent, Consent::Denied);
    run(&mut w, |r| r.plan_unmerge(number(3))).unwrap();
    assert_eq!(w.registry().facts_of(number(1)).consent, Consent::Granted);
}

#[test]
fn merged_people_are_called_and_shown_like_the_one_who_stands_for_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut w = three_people(dir.path());
    run(&mut w, |r| r.plan_merge(number(2), number(3))).unwrap();
    assert_eq!(w.registry().name_of(number(3)), Some("Bob"));
    assert!(w.registry().is_shown(number(2)));
    run(&mut w, |r| r.plan_hide(number(2))).unwrap();
    assert_eq!(
        w.registry().identity(number(3)).unwrap().state,
        State::Hidden
    );
    assert!(!w.registry().is_shown(number(2)) && w.registry().is_shown(number(1)));
}

#[test]
fn a_set_that_was_not_exported_keeps_its_number_in_the_next_grouping() {
    let dir = tempfile::tempdir().unwrap();
    let mut w = three_people(dir.path());
    let mut left = manifest(Vec::new());
    left.reserved = vec![faceset_core::manifest::Reserved {
        name: "faceset_004".to_owned(),
        reason: "empty after filter".to_owned(),
        extra: serde_json::Map::new(),
    }];
    run(&mut w, |r| {
        Ok(r.plan_record_export(&left, &serde_json::Value::Null))
    })
    .unwrap();
    // One of its faces is Ana's and stays hers.
    let mut own = faces(30..33);
    own.push(face(2, 10));
    let sets = |name: &str| faceset_core::manifest::RefineManifest {
        version: 1,
        params: serde_json::Value::Null,
        cache: faceset_core::manifest::CacheRef::default(),
        facesets: vec![refined(name, None, &own)],
        rejected: Vec::new(),
        extra: serde_json::Map::new(),
    };
    run(&mut w, |r| Ok(r.plan_remember(&sets("faceset_004")))).unwrap();
    assert_eq!(w.registry().n_faces_of(number(4)), 3);
    let renumbered = w
        .registry()
        .renumber(&sets("group_001"), &std::collections::BTreeSet::new())
        .unwrap();
    assert_eq!(renumbered.numbers[0].1, number(4));
    assert!(w.registry().plan_remember(&sets("faceset_004")).is_empty());
}

#[test]
fn a_split_is_one_entry_and_one_undo_takes_it_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut w = three_people(dir.path());
    run(&mut w, |r| {
        r.plan_consent(number(1), faceset_core::Consent::Denied)
    })
    .unwrap();
    run(&mut w, |r| r.plan_feature(number(1), Some(&face(1, 10)))).unwrap();
    let before = w.registry().clone();
    let taken = std::collections::BTreeSet::from([number(8)]);
    let id = run(&mut w, |r| {
        Ok(r.plan_split(number(1), &faces(0..3), &taken)?.0)
    })
    .unwrap();
    let r = w.registry();
    assert_eq!((r.n_faces_of(number(1)), r.n_faces_of(number(9))), (7, 3));
    let new = r.identity(number(9)).unwrap();
    assert_eq!(new.consent, faceset_core::Consent::Denied);
    assert!(r.forbids(&face(0, 10), number(1)) && !r.forbids(&face(0, 10), number(9)));
    assert_eq!(r.identity(number(1)).unwrap().feature, None);
    // The two can't be merged by accident.
    assert!(r.plan_merge(number(9), number(1)).is_err());
    run(&mut w, |r| r.plan_undo(id)).unwrap();
    assert_eq!(*w.registry(), before);
    assert!(before.plan_split(number(1), &[], &taken).is_err());
    assert!(
        before
            .plan_split(number(1), &faces(12..13), &taken)
            .is_err(),
        "Bob's face"
    );
}

#[test]
fn hiding_many_is_one_entry_and_each_comes_back_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let mut w = three_people(dir.path());
    run(&mut w, |r| r.plan_thin(number(3), true)).unwrap();
    let id = run(&mut w, |r| {
        r.plan_hide_all(&[number(3), number(1), number(3)])
    })
    .unwrap();
    let state =
        |w: &faceset_identity::RegistryWriter, n| w.registry().identity(number(n)).unwrap().state;
    assert_eq!(
        (state(&w, 1), state(&w, 2), state(&w, 3)),
        (State::Hidden, State::Active, State::Hidden)
    );
    assert!(w.registry().plan_hide_all(&[number(1)]).unwrap().is_empty());
    run(&mut w, |r| {
        r.plan_unhide_all(&[number(1), number(2), number(3)])
    })
    .unwrap();
    assert_eq!((state(&w, 1), state(&w, 3)), (State::Active, State::Thin));
    run(&mut w, |r| r.plan_undo(id)).unwrap_err();
}
