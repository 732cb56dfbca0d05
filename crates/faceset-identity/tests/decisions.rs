//! Decisions of another program and what is no face: taken in as one change, bound for
//! ever, taken back by one undo.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use faceset_core::FaceKey;
use faceset_core::said::{FaceDecision, FaceDecisions, OutsidePerson};
use faceset_identity::Registry;
use support::*;

fn person(id: &str, name: &str) -> OutsidePerson {
    OutsidePerson {
        id: id.to_owned(),
        name: name.to_owned(),
    }
}

fn decision(face: &FaceKey, is: Option<&str>, not: &[&str]) -> FaceDecision {
    FaceDecision {
        face: face.clone(),
        is: is.map(str::to_owned),
        not: not.iter().map(|id| (*id).to_owned()).collect(),
        no_face: false,
        at: "2026-01-01T00:00:00Z".to_owned(),
        who: "me".to_owned(),
    }
}

fn file(faces: Vec<FaceDecision>) -> FaceDecisions {
    let people = vec![person("m", "mia"), person("l", "Lea"), person("t", "")];
    FaceDecisions::new("http://nas".to_owned(), people, faces)
}

/// The box of a face 3 px further right, as another detector would find it.
fn moved(face: &FaceKey) -> FaceKey {
    let mut face = face.clone();
    face.bbox.x1 += 3.0;
    face.bbox.x2 += 3.0;
    face
}

#[test]
fn faces_that_are_not_somebodys_leave_for_good_and_come_back_with_one_undo() {
    let dir = tempfile::tempdir().unwrap();
    let mut w = three_people(dir.path());
    run(&mut w, |r| r.plan_name(number(1), Some("Mia"))).unwrap();
    run(&mut w, |r| r.plan_name(number(2), Some("LEA"))).unwrap();
    let before = w.registry().clone();
    // 0..10 are Mia's, 10..16 Lea's. Photo 1 is Lea's, photo 2 nobody's, photo 11 was
    // kept; photo 12 is no face; photo 40 is new and Mia's; photo 41 is about a
    // stranger.
    let mut struck = decision(&face(12, 10), None, &[]);
    struck.no_face = true;
    let decisions = file(vec![
        decision(&moved(&face(1, 10)), Some("l"), &["m"]),
        decision(&face(2, 10), None, &["l", "m"]),
        decision(&face(11, 10), Some("l"), &["m"]),
        struck,
        decision(&face(40, 10), Some("m"), &[]),
        decision(&face(41, 10), Some("t"), &[]),
    ]);
    let links = before.link_people(&decisions, &[]).unwrap();
    assert_eq!(links.len(), 2);
    assert_eq!((links["m"], links["l"]), (number(1), number(2)));
    let found = before.plan_decisions(&decisions, &links).unwrap();
    assert_eq!(
        (
            found.n_changed,
            found.n_known,
            found.n_unlinked,
            found.n_conflicts
        ),
        (5, 0, 1, 0),
        "{:?}",
        found.plan.notes
    );
    let entry = w.apply(&found.plan, at(5)).unwrap().unwrap();
    let check = |r: &Registry| {
        assert_eq!(r.owner(&face(1, 10)).unwrap().number, number(2));
        assert!(r.forbids(&moved(&face(2, 10)), number(1)) && r.owner(&face(2, 10)).is_none());
        assert!(r.forbids(&face(2, 10), number(2)));
        assert!(r.forbids(&face(11, 10), number(1)) && !r.forbids(&face(11, 10), number(2)));
        assert_eq!(r.owner(&face(40, 10)).unwrap().number, number(1));
        assert!(r.owner(&face(12, 10)).is_none());
        for who in [1, 2, 3] {
            assert!(r.forbids(&moved(&face(12, 10)), number(who)), "{who}");
        }
    };
    check(w.registry());
    // What is written down reads back the same, and is known from then on.
    w.save().unwrap();
    drop(w);
    let read = Registry::load(dir.path(), today()).unwrap();
    check(&read);
    let again = read.plan_decisions(&decisions, &links).unwrap();
    assert!(again.plan.is_empty());
    assert_eq!((again.n_known, again.n_unlinked), (5, 1));
    // Without the file the journal tells the same.
    std::fs::remove_file(dir.path().join(faceset_identity::REGISTRY_FILE)).unwrap();
    let mut w = faceset_identity::RegistryWriter::open(dir.path(), "test", today()).unwrap();
    check(w.registry());
    w.undo(entry, at(6)).unwrap();
    assert!(w.registry().no_faces().is_empty());
    assert_eq!(*w.registry(), before);
}

#[test]
fn what_was_said_here_stays_and_the_contradiction_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut w = three_people(dir.path());
    run(&mut w, |r| r.plan_not_this_person(number(2), &face(30, 10))).unwrap();
    let decisions = file(vec![
        // Mia's here, and somebody else's there, of whom it was not said.
        decision(&face(1, 10), Some("l"), &[]),
        // Refused here.
        decision(&face(30, 10), Some("l"), &[]),
    ]);
    let given = [("m".to_owned(), number(1)), ("Lea".to_owned(), number(2))];
    let links = w.registry().link_people(&decisions, &given).unwrap();
    let found = w.registry().plan_decisions(&decisions, &links).unwrap();
    assert_eq!((found.n_conflicts, found.plan.is_empty()), (2, true));
    assert!(
        found.plan.notes[0].contains("faceset_001 here"),
        "{:?}",
        found.plan.notes
    );
    assert!(
        found.plan.notes[1].contains("refused here"),
        "{:?}",
        found.plan.notes
    );
    let nobody = [("Zoe".to_owned(), number(1))];
    let refused = w.registry().link_people(&decisions, &nobody).unwrap_err();
    assert!(refused.to_string().contains("Zoe"), "{refused}");
}

#[test]
fn two_people_there_who_are_one_here_refuse_nothing_of_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let w = three_people(dir.path());
    let decisions = file(vec![decision(&face(1, 10), Some("l"), &["m"])]);
    let given = [("m".to_owned(), number(1)), ("l".to_owned(), number(1))];
    let links = w.registry().link_people(&decisions, &given).unwrap();
    let found = w.registry().plan_decisions(&decisions, &links).unwrap();
    assert_eq!((found.n_known, found.plan.is_empty()), (1, true));
}

#[test]
fn what_is_no_face_belongs_to_nobody_until_somebody_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut w = three_people(dir.path());
    run(&mut w, |r| r.plan_feature(number(1), Some(&face(4, 10)))).unwrap();
    run(&mut w, |r| r.plan_no_face(&moved(&face(4, 10)))).unwrap();
    let r = w.registry();
    assert_eq!(r.identity(number(1)).unwrap().feature, None);
    assert!(r.owner(&face(4, 10)).is_none() && r.is_no_face(&face(4, 10)));
    assert!(!r.is_no_face(&face(5, 10)));
    assert!(
        r.plan_no_face(&face(4, 10)).unwrap().is_empty(),
        "it is known"
    );
    // The last word.
    run(&mut w, |r| r.plan_this_person(number(2), &face(4, 10))).unwrap();
    let r = w.registry();
    assert_eq!(r.owner(&face(4, 10)).unwrap().number, number(2));
    assert!(!r.is_no_face(&face(4, 10)));
    // A file by hand that says both is refused.
    w.save().unwrap();
    drop(w);
    let path = dir.path().join(faceset_identity::REGISTRY_FILE);
    let mut file: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    file["no_faces"] = serde_json::json!([face(4, 10)]);
    std::fs::write(&path, serde_json::to_vec(&file).unwrap()).unwrap();
    let refused = Registry::load(dir.path(), today()).unwrap_err().to_string();
    let mut cause = refused.clone();
    if let Err(error) = Registry::load(dir.path(), today())
        && let Some(source) = std::error::Error::source(&error)
    {
        cause = format!("{refused}: {source}");
    }
    assert!(cause.contains("no face"), "{cause}");
}
