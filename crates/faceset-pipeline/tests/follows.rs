//! What follows a person: the eras of their set, and the name in folders that lie aside.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod drawn;

use std::fs;
use std::path::PathBuf;

use drawn::{Home, number, record, shots, turned, with_ctx};
use faceset_core::FaceKey;
use faceset_core::manifest::SwapSet;
use faceset_identity::{Plan, Registry};
use faceset_pipeline::{PipelineError, people, tree};
use serde_json::Value;

/// Ana has five photos and two eras, Bob three photos and one.
struct Family {
    home: Home,
    ana: Vec<FaceKey>,
}

const ERAS: [&str; 3] = [
    "faceset_001_2018",
    "faceset_001_2018-19",
    "faceset_002_2020",
];

impl Family {
    fn new() -> Self {
        let home = Home::new();
        let mut all = shots("a", 5, turned(0, 0.0, 1));
        all.extend(shots("b", 3, turned(1, 0.0, 0)));
        let cache = home.embed(&all);
        let keys = |prefix, n| home.keys(&cache, prefix, n);
        let (ana, bob) = (keys("a", 5), keys("b", 3));
        let sets = [
            ("faceset_001", ana.clone()),
            (ERAS[0], ana[..2].to_vec()),
            (ERAS[1], ana[2..].to_vec()),
            ("faceset_002", bob.clone()),
            (ERAS[2], bob),
        ];
        record(&home.path("swap"), &sets);
        Self { home, ana }
    }

    fn swap(&self) -> PathBuf {
        self.home.path("swap")
    }

    fn change(&self, decide: impl Fn(&Registry) -> Result<Plan, PipelineError>) {
        with_ctx(|ctx| people::change(&self.swap(), decide, ctx)).unwrap();
    }

    fn registry(&self) -> Registry {
        with_ctx(|ctx| people::load(&self.swap(), ctx)).unwrap()
    }

    fn name(&self, who: u32, name: &str) {
        self.change(|r| Ok(r.plan_name(number(who), Some(name))?));
    }

    fn active(&self) -> Vec<String> {
        let top: Value = faceset_fs::read_json(&self.swap().join("manifest.json")).unwrap();
        let sets = top["facesets"].as_array().unwrap();
        let name = |set: &Value| set["name"].as_str().unwrap().to_owned();
        let mut names: Vec<String> = sets.iter().map(name).collect();
        names.sort();
        for name in &names {
            assert!(self.swap().join(name).is_dir(), "{name}");
        }
        names
    }

    /// Nothing is left to do, and no name is taken for an edit.
    fn is_settled(&self) {
        let waiting = tree::waiting(&self.swap(), &self.registry()).unwrap();
        assert!(waiting.is_empty(), "{waiting:?}");
        let before = self.registry();
        with_ctx(|ctx| people::take_in(&self.swap(), ctx)).unwrap();
        assert_eq!(self.registry(), before);
    }

    fn name_file(&self, set: &str) -> String {
        fs::read_to_string(self.swap().join(set).join("NAME.txt")).unwrap()
    }
}

#[test]
fn eras_go_where_their_person_goes_and_come_back() {
    let family = Family::new();
    let all = family.active();
    assert_eq!(all.len(), 5);
    family.change(|r| Ok(r.plan_hide(number(1))?));
    assert_eq!(family.active(), ["faceset_002", ERAS[2]]);
    for name in ["faceset_001", ERAS[0], ERAS[1]] {
        assert!(family.swap().join("_dropped").join(name).is_dir(), "{name}");
    }
    family.is_settled();
    family.change(|r| Ok(r.plan_unhide(number(1))?));
    assert_eq!(family.active(), all);
    family.is_settled();
    family.change(|r| Ok(r.plan_merge(number(2), number(1))?));
    assert_eq!(family.active(), ["faceset_001", ERAS[0], ERAS[1]]);
    family.change(|r| Ok(r.plan_unmerge(number(2))?));
    assert_eq!(family.active(), all);
    family.is_settled();
}

#[test]
fn a_refused_face_leaves_the_eras_too() {
    let family = Family::new();
    let face = &family.ana[3];
    family.change(|r| Ok(r.plan_not_this_person(number(1), face)?));
    for (set, n) in [("faceset_001", 4), (ERAS[0], 2), (ERAS[1], 2)] {
        let file = family.swap().join(set).join("manifest.json");
        let set: SwapSet = faceset_fs::read_json(&file).unwrap();
        assert_eq!(set.faces.len(), n, "{}", set.name);
        assert!(set.faces.iter().all(|f| f.key.id() != face.id()));
    }
    family.is_settled();
}

#[test]
fn a_name_given_while_the_set_lies_aside_is_in_it_when_it_comes_back() {
    let family = Family::new();
    family.name(1, "Bobby");
    family.change(|r| Ok(r.plan_hide(number(1))?));
    family.name(1, "Bob");
    family.change(|r| Ok(r.plan_unhide(number(1))?));
    assert_eq!(family.name_file("faceset_001"), "Bob\n");
    family.is_settled();
    assert_eq!(family.registry().name_of(number(1)), Some("Bob"));
    // Taken away.
    family.change(|r| Ok(r.plan_hide(number(1))?));
    family.change(|r| Ok(r.plan_name(number(1), None)?));
    family.change(|r| Ok(r.plan_unhide(number(1))?));
    family.is_settled();
    assert_eq!(family.registry().name_of(number(1)), None);
}

#[test]
fn who_was_merged_comes_back_with_their_own_name() {
    let family = Family::new();
    family.name(1, "Ana");
    family.name(2, "Bob");
    family.change(|r| Ok(r.plan_merge(number(2), number(1))?));
    family.change(|r| Ok(r.plan_unmerge(number(2))?));
    assert_eq!(family.name_file("faceset_001"), "Ana\n");
    assert_eq!(family.name_file("faceset_002"), "Bob\n");
    family.is_settled();
    family.name(1, "Anna");
    family.is_settled();
    assert_eq!(family.registry().name_of(number(2)), Some("Bob"));
}

#[test]
fn what_waits_is_what_the_next_command_does() {
    let family = Family::new();
    // Killed between the journal and the tree.
    let today = "2026-02-02".parse().unwrap();
    let mut writer = faceset_identity::RegistryWriter::open(&family.swap(), "t", today).unwrap();
    let plan = writer.registry().plan_hide(number(2)).unwrap();
    writer.apply(&plan, jiff::Timestamp::UNIX_EPOCH).unwrap();
    writer.finish().unwrap();
    let waiting = tree::waiting(&family.swap(), &family.registry()).unwrap();
    let expected = [
        "faceset_002 moves to _dropped",
        "faceset_002_2020 moves to _dropped",
    ];
    assert_eq!(waiting, expected);
    let done = with_ctx(|ctx| people::take_in(&family.swap(), ctx)).unwrap();
    assert_eq!(done, expected);
    family.is_settled();
}
