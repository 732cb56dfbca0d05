//! The registry on disk: its form, hand edits, kills, and random histories.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use faceset_core::Consent;
use faceset_identity::{
    IdentityError, JOURNAL_FILE, Plan, REGISTRY_FILE, Registry, RegistryWriter, State,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use support::*;

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/registry/v1.json")
}

/// Everything the format has, as written on the day it was frozen.
fn write_sample(dir: &Path) -> Registry {
    let mut w = three_people(dir);
    run(&mut w, |r| r.plan_name(number(1), Some("Zoë 山田"))).unwrap();
    run(&mut w, |r| r.plan_consent(number(1), Consent::Granted)).unwrap();
    run(&mut w, |r| {
        r.plan_birth_date(number(1), Some("1990-02-28".parse().unwrap()), today())
    })
    .unwrap();
    run(&mut w, |r| r.plan_feature(number(1), Some(&face(4, 10)))).unwrap();
    run(&mut w, |r| r.plan_not_this_person(number(1), &face(3, 10))).unwrap();
    run(&mut w, |r| r.plan_hide(number(2))).unwrap();
    run(&mut w, |r| r.plan_merge(number(3), number(1))).unwrap();
    let (plan, _) = w
        .registry()
        .plan_allocate(2, &BTreeSet::new(), "for discovery", &json!({"run": 7}))
        .unwrap();
    w.apply(&plan, at(2)).unwrap();
    run(&mut w, |r| r.plan_thin(number(4), true)).unwrap();
    w.finish().unwrap()
}

#[test]
fn the_frozen_sample_is_read_as_it_was_meant() {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(sample(), dir.path().join(REGISTRY_FILE)).unwrap();
    let registry = Registry::load(dir.path(), today()).unwrap();
    let of = |n| registry.identity(number(n)).unwrap();
    assert_eq!(of(1).name.as_deref(), Some("Zoë 山田"));
    assert_eq!(of(1).birth_date.unwrap().to_string(), "1990-02-28");
    assert_eq!((of(1).consent, of(1).faces.len()), (Consent::Granted, 9));
    assert_eq!(of(1).feature, Some(face(4, 10)));
    assert!(registry.forbids(&face(3, 10), number(1)));
    assert_eq!(
        (of(2).state, of(3).state),
        (State::Hidden, State::Merged(number(1)))
    );
    assert_eq!(
        (of(4).state, of(4).reserved.as_deref()),
        (State::Thin, Some("for discovery"))
    );
    assert_eq!(of(4).provenance, json!({"run": 7}));
    assert_eq!(of(1).extra["favourite_colour"], "blue");
    assert_eq!((registry.last_entry(), registry.highest_number()), (10, 9));
    // Whoever changes it keeps what this build does not know, and its place.
    let w = writer(dir.path());
    w.finish().unwrap();
    assert_eq!(
        fs::read_to_string(dir.path().join(REGISTRY_FILE)).unwrap(),
        fs::read_to_string(sample()).unwrap()
    );
}

#[test]
fn the_sample_is_what_this_build_writes() {
    let dir = tempfile::tempdir().unwrap();
    write_sample(dir.path());
    let written = fs::read_to_string(dir.path().join(REGISTRY_FILE)).unwrap();
    let frozen = fs::read_to_string(sample()).unwrap();
    // By hand: the unknown keys, and a number that was given and taken back.
    let frozen = frozen
        .replace("      \"favourite_colour\": \"blue\",\n", "")
        .replace("  \"written_by\": {\"tool\":\"another\"},\n", "")
        .replace("\"highest_number\": 9", "\"highest_number\": 5");
    assert_eq!(written, frozen);
}

fn message(error: &IdentityError) -> String {
    let cause = error.source().map(|s| format!(": {s}")).unwrap_or_default();
    format!("{error}{cause}")
}

#[test]
fn each_kind_of_nonsense_by_hand_has_its_own_message() {
    let dir = tempfile::tempdir().unwrap();
    write_sample(dir.path());
    let path = dir.path().join(REGISTRY_FILE);
    let text = fs::read_to_string(&path).unwrap();
    let doc: Value = serde_json::from_str(&text).unwrap();
    let set = |pointer: &str, value: Value| {
        let mut doc = doc.clone();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = doc.pointer_mut(parent).unwrap();
        match parent {
            Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
            other => {
                other.as_object_mut().unwrap().insert(key.to_owned(), value);
            }
        }
        doc.to_string()
    };
    let bobs = doc.pointer("/identities/1/faces/0").unwrap().clone();
    let twice = json!([bobs, bobs]);
    let long = "x".repeat(300);
    let cases: Vec<(String, &[&str])> = vec![
        ("{".into(), &["does not say", "line 1"]),
        ("[]".into(), &["does not say"]),
        (
            set("/version", json!("1")),
            &["version", "expected the number 1"],
        ),
        (set("/version", json!(2)), &["version 2", "up to 1"]),
        (set("/identities", json!({})), &["does not say", "sequence"]),
        (
            set("/identities/1/number", json!(1)),
            &["faceset_001", "twice"],
        ),
        (
            set("/identities/1/number", json!(0)),
            &["0 is not a faceset number"],
        ),
        (
            set("/identities/1/state", json!("asleep")),
            &["\"asleep\" is not a state"],
        ),
        (
            set("/identities/1/consent", json!("maybe")),
            &["unknown variant `maybe`"],
        ),
        (
            set("/identities/1/birth_date", json!("1990-02-30")),
            &["1990-02-30", "not a date"],
        ),
        (
            set("/identities/1/birth_date", json!("2026-05-18")),
            &["faceset_002", "2026-05-18 lies after today"],
        ),
        (
            set("/identities/1/name", json!("../Bob")),
            &["faceset_002", "it is a path"],
        ),
        (
            set("/identities/1/name", json!(long)),
            &["faceset_002", "300 characters"],
        ),
        (
            set("/identities/1/name", json!("zoË 山田")),
            &["faceset_00", "is the name of"],
        ),
        (
            set("/identities/0/state", json!("merged into 3")),
            &["merged in a circle"],
        ),
        (
            set("/identities/0/state", json!("merged into 1")),
            &["merged in a circle"],
        ),
        (
            set("/identities/1/state", json!("merged into 77")),
            &["faceset_077, which is not there"],
        ),
        (
            set("/identities/1/state", json!("forgotten")),
            &["faceset_002", "nothing but its number"],
        ),
        (set("/identities/1/faces", twice), &["listed twice"]),
        (
            set("/identities/0/faces/0", bobs.clone()),
            &["belongs to faceset_001, too"],
        ),
        (
            set("/identities/1/not_this_person", json!([bobs])),
            &["to belong and not to belong"],
        ),
        (
            set("/identities/0/feature", bobs),
            &["faceset_001", "feature face"],
        ),
        (
            set("/identities/1/faces/0/sha256", json!("12ab")),
            &["is not a sha256"],
        ),
        (
            set("/identities/1/faces/0/bbox", json!([1, 2, 3])),
            &["does not say", "invalid length 3"],
        ),
        (
            set("/identities/1/faces/0/bbox", json!([1, 2, 3, 1e300])),
            &["does not say", "number out of range"],
        ),
    ];
    let mut seen = BTreeSet::new();
    for (text, parts) in cases {
        fs::write(&path, &text).unwrap();
        let before = fs::read(&path).unwrap();
        let error = RegistryWriter::open(dir.path(), "test", today()).unwrap_err();
        let message = message(&error);
        for part in parts {
            assert!(message.contains(part), "{part:?} is not in: {message}");
        }
        assert!(
            message.contains(REGISTRY_FILE) && !message.contains('\n'),
            "{message}"
        );
        assert_eq!(fs::read(&path).unwrap(), before, "nothing is lost");
        seen.insert(message);
    }
    assert!(seen.len() >= 23);
}

#[test]
fn a_registry_edited_by_hand_into_sense_is_taken_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    write_sample(dir.path());
    let path = dir.path().join(REGISTRY_FILE);
    let text = fs::read_to_string(&path)
        .unwrap()
        .replace("\"Bob\"", "\"Robert\"");
    fs::write(&path, format!("\u{feff}{text}").replace('\n', "\r\n")).unwrap();
    let mut w = writer(dir.path());
    assert_eq!(w.registry().find("robert").unwrap().number, number(2));
    run(&mut w, |r| r.plan_unhide(number(2))).unwrap();
    let registry = w.finish().unwrap();
    assert_eq!(Registry::load(dir.path(), today()).unwrap(), registry);
}

#[test]
fn there_is_no_registry_until_something_is_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let error = Registry::load(dir.path(), today()).unwrap_err();
    assert!(matches!(error, IdentityError::Missing { .. }));
    assert_eq!(
        Registry::load_or_new(dir.path(), today()).unwrap(),
        Registry::default()
    );
    assert!(fs::read_dir(dir.path()).unwrap().next().is_none());
}

#[test]
fn a_deleted_registry_is_rebuilt_from_its_journal() {
    let dir = tempfile::tempdir().unwrap();
    let registry = write_sample(dir.path());
    fs::remove_file(dir.path().join(REGISTRY_FILE)).unwrap();
    let rebuilt = Registry::load(dir.path(), today()).unwrap();
    assert_eq!(rebuilt, registry);
    assert_eq!(rebuilt.highest_number(), registry.highest_number());
}

#[test]
fn a_damaged_journal_line_is_named_and_not_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    write_sample(dir.path());
    let path = dir.path().join(JOURNAL_FILE);
    let text = fs::read_to_string(&path).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines[2] = "{\"version\":1,\"id\":3}";
    fs::write(&path, format!("{}\n", lines.join("\n"))).unwrap();
    let error = Registry::load(dir.path(), today()).unwrap_err();
    assert!(
        matches!(error, IdentityError::JournalLine { line: 3, .. }),
        "{error}"
    );
    lines[2] = "{\"version\":9,\"id\":3}";
    fs::write(&path, format!("{}\n", lines.join("\n"))).unwrap();
    let error = Registry::load(dir.path(), today()).unwrap_err();
    assert!(
        matches!(error, IdentityError::TooNew { found: 9, .. }),
        "{error}"
    );
    lines[2] = lines[1];
    fs::write(&path, format!("{}\n", lines.join("\n"))).unwrap();
    let error = Registry::load(dir.path(), today()).unwrap_err();
    assert!(
        matches!(
            error,
            IdentityError::JournalOrder {
                found: 2,
                last: 2,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_registry_older_than_its_journal_by_hand_says_how_to_keep_it() {
    let dir = tempfile::tempdir().unwrap();
    write_sample(dir.path());
    let path = dir.path().join(REGISTRY_FILE);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(
        &path,
        text.replace("\"journal_entry\": 10", "\"journal_entry\": 9"),
    )
    .unwrap();
    let error = Registry::load(dir.path(), today()).unwrap_err();
    assert!(
        error.to_string().contains("set \"journal_entry\" to 10"),
        "{error}"
    );
}

#[test]
fn a_kill_at_any_byte_leaves_the_state_before_or_after() {
    let dir = tempfile::tempdir().unwrap();
    let mut w = three_people(dir.path());
    w.save().unwrap();
    let path = dir.path().join(JOURNAL_FILE);
    let journal_before = fs::read(&path).unwrap();
    let before = w.registry().clone();
    // Quotes, a line end in the text and wide characters in what is torn.
    run(&mut w, |r| r.plan_name(number(3), Some("Å \"山\""))).unwrap();
    let after = w.registry().clone();
    drop(w);
    let whole = fs::read(&path).unwrap();
    let mut n_after = 0;
    for len in journal_before.len()..=whole.len() {
        fs::write(&path, &whole[..len]).unwrap();
        let loaded = Registry::load(dir.path(), today()).unwrap();
        assert!(loaded == before || loaded == after, "at byte {len}");
        n_after += usize::from(loaded == after);
        // Going on works, and the torn piece is no part of what follows.
        let mut w = writer(dir.path());
        let is_after = *w.registry() == after;
        run(&mut w, |r| r.plan_consent(number(3), Consent::Denied)).unwrap();
        drop(w);
        let loaded = Registry::load(dir.path(), today()).unwrap();
        let three = loaded.identity(number(3)).unwrap();
        assert_eq!(three.consent, Consent::Denied);
        assert_eq!(three.name.is_some(), is_after);
    }
    // Whole with and without its line end.
    assert_eq!(n_after, 2);
}

#[test]
fn the_registry_file_may_be_of_any_earlier_moment() {
    let dir = tempfile::tempdir().unwrap();
    let mut w = writer(dir.path());
    let mut moments = Vec::new();
    record(
        &mut w,
        vec![swap_set("faceset_001", Some("Ana"), &faces(0..4))],
    );
    for n in 0..6 {
        w.save().unwrap();
        moments.push(fs::read(dir.path().join(REGISTRY_FILE)).unwrap());
        let consent = [Consent::Granted, Consent::Denied][n % 2];
        run(&mut w, |r| r.plan_consent(number(1), consent)).unwrap();
        run(&mut w, |r| {
            r.plan_not_this_person(number(1), &face(n as u32, 10))
        })
        .unwrap();
    }
    let last = w.finish().unwrap();
    for moment in moments {
        fs::write(dir.path().join(REGISTRY_FILE), moment).unwrap();
        assert_eq!(Registry::load(dir.path(), today()).unwrap(), last);
    }
}

/// One random wish; what can't be is refused, which is fine.
#[derive(Debug, Clone)]
enum Wish {
    Allocate(usize),
    Record(u32, u32, u32),
    Name(u32, Option<u32>),
    Consent(u32, bool),
    Hide(u32),
    Unhide(u32),
    Merge(u32, u32),
    Unmerge(u32),
    Feature(u32, u32),
    No(u32, u32),
    Yes(u32, u32),
    Undo(u64),
    Reopen,
}

fn wish() -> impl Strategy<Value = Wish> {
    let n = 1..8u32;
    let photo = 0..24u32;
    prop_oneof![
        (0..3usize).prop_map(Wish::Allocate),
        (n.clone(), photo.clone(), 0..6u32).prop_map(|(n, p, k)| Wish::Record(n, p, k)),
        (n.clone(), prop::option::of(0..4u32)).prop_map(|(n, name)| Wish::Name(n, name)),
        (n.clone(), any::<bool>()).prop_map(|(n, yes)| Wish::Consent(n, yes)),
        n.clone().prop_map(Wish::Hide),
        n.clone().prop_map(Wish::Unhide),
        (n.clone(), n.clone()).prop_map(|(a, b)| Wish::Merge(a, b)),
        n.clone().prop_map(Wish::Unmerge),
        (n.clone(), photo.clone()).prop_map(|(n, p)| Wish::Feature(n, p)),
        (n.clone(), photo.clone()).prop_map(|(n, p)| Wish::No(n, p)),
        (n, photo).prop_map(|(n, p)| Wish::Yes(n, p)),
        (1..30u64).prop_map(Wish::Undo),
        Just(Wish::Reopen),
    ]
}

fn planned(r: &Registry, wish: &Wish) -> Result<Plan, IdentityError> {
    match *wish {
        Wish::Allocate(n) => r
            .plan_allocate(n, &BTreeSet::new(), "wished", &Value::Null)
            .map(|(plan, _)| plan),
        Wish::Record(n, photo, k) => {
            let set = swap_set(&number(n).folder_name(), None, &faces(photo..photo + k));
            Ok(r.plan_record_export(&manifest(vec![set]), &Value::Null))
        }
        Wish::Name(n, name) => r.plan_name(
            number(n),
            name.map(|i| ["Ana", "ana", "Bob", "山"][i as usize]),
        ),
        Wish::Consent(n, yes) => r.plan_consent(
            number(n),
            if yes {
                Consent::Granted
            } else {
                Consent::Denied
            },
        ),
        Wish::Hide(n) => r.plan_hide(number(n)),
        Wish::Unhide(n) => r.plan_unhide(number(n)),
        Wish::Merge(a, b) => r.plan_merge(number(a), number(b)),
        Wish::Unmerge(n) => r.plan_unmerge(number(n)),
        Wish::Feature(n, photo) => r.plan_feature(number(n), Some(&face(photo, 10))),
        Wish::No(n, photo) => r.plan_not_this_person(number(n), &face(photo, 10)),
        Wish::Yes(n, photo) => r.plan_this_person(number(n), &face(photo, 10)),
        Wish::Undo(id) => r.plan_undo(id),
        Wish::Reopen => Ok(Plan {
            at_entry: r.last_entry(),
            what: String::new(),
            notes: Vec::new(),
            changes: Vec::new(),
            undoes: None,
        }),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Against slow truths: every face counted by hand, every number
    /// remembered, every entry undone at once gives what was before.
    #[test]
    fn any_history_keeps_the_promises(wishes in prop::collection::vec(wish(), 1..40)) {
        let dir = tempfile::tempdir().unwrap();
        let mut w = writer(dir.path());
        let mut given = BTreeSet::new();
        for wish in &wishes {
            if matches!(wish, Wish::Reopen) {
                let before = w.registry().clone();
                if before.last_entry().is_multiple_of(2) {
                    w.save().unwrap();
                }
                drop(w);
                w = writer(dir.path());
                prop_assert_eq!(w.registry(), &before);
                continue;
            }
            let before = w.registry().clone();
            let Ok(plan) = planned(w.registry(), wish) else { continue };
            let highest = before.highest_number();
            let Ok(entry) = w.apply(&plan, at(3)) else {
                prop_assert_eq!(w.registry(), &before);
                continue;
            };
            if let (Wish::Allocate(n), Some(_)) = (wish, entry) {
                for new in w.registry().identities().filter(|i| before.identity(i.number).is_none()) {
                    prop_assert!(new.number.get() > highest);
                    prop_assert!(given.insert(new.number), "{:?} was given twice", new.number);
                }
                prop_assert_eq!(w.registry().identities().count(), before.identities().count() + n);
            }
            given.extend(w.registry().identities().map(|i| i.number));
            if let Some(entry) = entry {
                let after = w.registry().clone();
                let undone = w.undo(entry, at(4)).unwrap();
                prop_assert_eq!(w.registry(), &before);
                prop_assert!(w.registry().highest_number() >= highest);
                w.undo(undone, at(5)).unwrap();
                prop_assert_eq!(w.registry(), &after);
            }
            // One owner a face, refused faces are nobody's who refuses them.
            let mut owners = BTreeMap::new();
            for identity in w.registry().identities() {
                for key in identity.faces.iter() {
                    prop_assert_eq!(owners.insert(key.id(), identity.number), None);
                    prop_assert!(!w.registry().forbids(key, identity.number));
                    prop_assert_eq!(w.registry().owner(key).unwrap().number, identity.number);
                }
                for key in identity.not_this_person.iter() {
                    prop_assert!(w.registry().forbids(key, identity.number));
                }
            }
        }
        let registry = w.finish().unwrap();
        prop_assert_eq!(&Registry::load(dir.path(), today()).unwrap(), &registry);
        fs::remove_file(dir.path().join(REGISTRY_FILE)).unwrap();
        if !registry.history().is_empty() {
            prop_assert_eq!(&Registry::load(dir.path(), today()).unwrap(), &registry);
        }
    }
}
