//! The tree of sets follows the registry, both ways and after any undo.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod drawn;

use std::fs;
use std::path::Path;

use drawn::{Home, files, number, record, refined, shot, shots, turned, with_ctx};
use faceset_core::FaceKey;
use faceset_core::manifest::SwapSet;
use faceset_export::Bounds;
use faceset_identity::{Plan, Registry, RegistryWriter, State};
use faceset_pipeline::obey::{PeopleBounds, leave_out, regroup};
use faceset_pipeline::split::{SPLIT_THRESHOLD, propose};
use faceset_pipeline::{PipelineError, people, pick, tree};
use serde_json::Value;

/// Ana has five photos, Bob three; both have a set.
struct Family {
    home: Home,
    cache: faceset_cache::Cache,
    ana: Vec<FaceKey>,
    bob: Vec<FaceKey>,
}

impl Family {
    fn new() -> Self {
        let home = Home::new();
        let mut all = shots("a", 5, turned(0, 0.0, 1));
        all.extend(shots("b", 3, turned(1, 0.0, 0)));
        let cache = home.embed(&all);
        let keys = |prefix, n| home.keys(&cache, prefix, n);
        let (ana, bob) = (keys("a", 5), keys("b", 3));
        record(
            &home.path("swap"),
            &[("faceset_001", ana.clone()), ("faceset_002", bob.clone())],
        );
        Self {
            home,
            cache,
            ana,
            bob,
        }
    }

    fn swap(&self) -> std::path::PathBuf {
        self.home.path("swap")
    }

    fn change(
        &self,
        decide: impl FnOnce(&Registry) -> Result<Plan, PipelineError>,
    ) -> Result<Vec<String>, PipelineError> {
        with_ctx(|ctx| people::change(&self.swap(), decide, ctx))
    }

    fn undo_last(&self) {
        self.change(|r| Ok(r.plan_undo(r.history().last().unwrap().id)?))
            .unwrap();
    }

    fn registry(&self) -> Registry {
        Registry::load(&self.swap(), "2026-02-02".parse().unwrap()).unwrap()
    }

    fn top(&self) -> Value {
        faceset_fs::read_json(&self.swap().join("manifest.json")).unwrap()
    }

    fn listed(&self, list: &str) -> Vec<String> {
        let top = self.top();
        let list = top[list].as_array().cloned().unwrap_or_default();
        list.iter()
            .map(|s| s["name"].as_str().unwrap().to_owned())
            .collect()
    }

    fn set(&self, name: &str) -> SwapSet {
        faceset_fs::read_json(&self.swap().join(name).join("manifest.json")).unwrap()
    }

    fn name_file(&self, set: &str) -> String {
        fs::read_to_string(self.swap().join(set).join("NAME.txt")).unwrap()
    }
}

/// Everything but the registry's own files and the locks.
fn sets_of(dir: &Path) -> Vec<(String, Vec<u8>)> {
    files(dir)
        .into_iter()
        .filter(|(name, _)| !name.starts_with("registry."))
        .collect()
}

#[test]
fn a_merged_set_moves_aside_and_comes_back_by_undo_and_by_unmerging() {
    let family = Family::new();
    let before = sets_of(&family.swap());
    let merge = |r: &Registry| Ok(r.plan_merge(number(2), number(1))?);
    family.change(merge).unwrap();
    assert!(family.swap().join("_merged/faceset_002").is_dir());
    assert!(!family.swap().join("faceset_002").exists());
    assert_eq!(family.listed("facesets"), ["faceset_001"]);
    assert_eq!(family.top()["merged"][0]["folder"], "_merged/faceset_002");
    family.undo_last();
    assert_eq!(family.listed("facesets"), ["faceset_001", "faceset_002"]);
    assert!(family.listed("merged").is_empty());
    family.change(merge).unwrap();
    family.change(|r| Ok(r.plan_unmerge(number(2))?)).unwrap();
    let after: Vec<_> = sets_of(&family.swap());
    let names =
        |all: &[(String, Vec<u8>)]| -> Vec<String> { all.iter().map(|(n, _)| n.clone()).collect() };
    assert_eq!(names(&after), names(&before));
    for (old, new) in before
        .iter()
        .zip(&after)
        .filter(|(o, _)| o.0 != "manifest.json")
    {
        assert!(old == new, "{} differs", old.0);
    }
}

#[test]
fn a_circle_of_merges_is_refused_and_nothing_moves() {
    let family = Family::new();
    family
        .change(|r| Ok(r.plan_merge(number(2), number(1))?))
        .unwrap();
    let error = family
        .change(|r| Ok(r.plan_merge(number(1), number(2))?))
        .unwrap_err();
    assert!(error.to_string().contains("one person already"), "{error}");
    assert!(family.swap().join("faceset_001").is_dir());
}

#[test]
fn hidden_people_are_not_exported_and_are_back_after_one_undo() {
    let family = Family::new();
    family
        .change(|r| Ok(r.plan_hide_all(&[number(1), number(2)])?))
        .unwrap();
    assert!(family.listed("facesets").is_empty());
    assert_eq!(family.listed("hidden"), ["faceset_001", "faceset_002"]);
    let registry = family.registry();
    let manifest = refined(&[("faceset_001", &family.ana)]);
    let set = &manifest.facesets[0];
    let held_back =
        |with_hidden| PeopleBounds::new(&registry, &manifest, with_hidden).holds_back(set);
    assert_eq!((held_back(false), held_back(true)), (Some("hidden"), None));
    family.undo_last();
    assert_eq!(family.listed("facesets"), ["faceset_001", "faceset_002"]);
    assert!(family.swap().join("faceset_002/faces/0003.png").is_file());
    assert_eq!(
        family.registry().identity(number(1)).unwrap().state,
        State::Active
    );
}

#[test]
fn a_thin_set_moves_to_its_own_place_and_comes_back_also_by_way_of_hiding() {
    let family = Family::new();
    let place = |bin: &str| family.swap().join(bin).join("faceset_002").is_dir();
    let places = || (place(""), place("_thin"), place("_dropped"));
    let thin = |thin| {
        family
            .change(|r| Ok(r.plan_thin_all(&[number(2)], thin)?))
            .unwrap();
    };
    thin(true);
    assert_eq!(places(), (false, true, false));
    assert_eq!(family.listed("thin"), ["faceset_002"]);
    assert_eq!(family.listed("facesets"), ["faceset_001"]);
    let registry = family.registry();
    let manifest = refined(&[("faceset_002", &family.bob)]);
    let bounds = PeopleBounds::new(&registry, &manifest, true);
    assert_eq!(bounds.holds_back(&manifest.facesets[0]), Some("thin"));
    family
        .change(|r| Ok(r.plan_hide_all(&[number(2)])?))
        .unwrap();
    assert_eq!(places(), (false, false, true));
    assert!(family.listed("thin").is_empty());
    family
        .change(|r| Ok(r.plan_unhide_all(&[number(2)])?))
        .unwrap();
    assert_eq!(places(), (false, true, false), "thin as before");
    thin(false);
    assert_eq!(places(), (true, false, false));
    assert_eq!(family.listed("facesets"), ["faceset_001", "faceset_002"]);
    assert!(family.swap().join("faceset_002/faces/0003.png").is_file());
    family.undo_last();
    assert_eq!(places(), (false, true, false), "undo takes it back");
}

#[test]
fn a_move_that_a_kill_cut_short_is_finished_by_the_next_change() {
    let family = Family::new();
    // The journal knows of the merge, the folder has moved, the manifest not.
    let mut writer =
        RegistryWriter::open(&family.swap(), "t", "2026-02-02".parse().unwrap()).unwrap();
    let plan = writer.registry().plan_merge(number(2), number(1)).unwrap();
    writer.apply(&plan, jiff::Timestamp::UNIX_EPOCH).unwrap();
    drop(writer);
    fs::create_dir(family.swap().join("_merged")).unwrap();
    fs::rename(
        family.swap().join("faceset_002"),
        family.swap().join("_merged/faceset_002"),
    )
    .unwrap();
    with_ctx(|ctx| people::take_in(&family.swap(), ctx)).unwrap();
    assert_eq!(family.listed("facesets"), ["faceset_001"]);
    assert_eq!(family.top()["merged"][0]["folder"], "_merged/faceset_002");
    // And the way back: the folder is back, the manifest says it is not.
    let mut writer =
        RegistryWriter::open(&family.swap(), "t", "2026-02-02".parse().unwrap()).unwrap();
    let plan = writer.registry().plan_unmerge(number(2)).unwrap();
    writer.apply(&plan, jiff::Timestamp::UNIX_EPOCH).unwrap();
    drop(writer);
    fs::rename(
        family.swap().join("_merged/faceset_002"),
        family.swap().join("faceset_002"),
    )
    .unwrap();
    with_ctx(|ctx| people::take_in(&family.swap(), ctx)).unwrap();
    assert_eq!(family.listed("facesets"), ["faceset_001", "faceset_002"]);
    assert!(family.listed("merged").is_empty());
}

#[test]
fn a_face_that_is_not_the_person_leaves_the_set_and_the_rest_is_ranked_anew() {
    let family = Family::new();
    let swap = family.swap();
    let gone = family.ana[1].clone();
    family
        .change(|r| {
            let face = pick::face(r, &swap, number(1), "2")?;
            Ok(r.plan_not_this_person(number(1), &face)?)
        })
        .unwrap();
    let set = family.set("faceset_001");
    assert_eq!(set.faces.len(), 4);
    assert!(set.faces.iter().all(|f| f.key.id() != gone.id()));
    let ranks: Vec<_> = set.faces.iter().map(|f| (f.rank, f.png.as_str())).collect();
    assert_eq!(ranks[1], (2, "0002.png"));
    let png = fs::read_to_string(swap.join("faceset_001/faces/0002.png")).unwrap();
    assert!(png.contains("a02"), "{png}");
    assert!(!swap.join("faceset_001/faces/0005.png").exists());
    assert_eq!(set.dropped[0].reason, "not_this_person");
    assert_ne!(set.provenance["plan_digest"], "as made");
    assert!(swap.join("_dropped/faceset_001/faces/0002.png").is_file());
    assert!(family.registry().forbids(&gone, number(1)));
}

#[test]
fn decisions_of_another_program_take_faces_out_and_one_undo_brings_them_back() {
    let family = Family::new();
    family
        .change(|r| Ok(r.plan_name(number(1), Some("Ana"))?))
        .unwrap();
    let file = family.swap().join("said.json");
    let decided = |key: &faceset_core::FaceKey, rest: serde_json::Value| {
        let mut row = serde_json::json!({"face": key, "at": "2026-01-01T00:00:00Z", "who": "me"});
        row.as_object_mut()
            .unwrap()
            .extend(rest.as_object().unwrap().clone());
        row
    };
    let decisions = serde_json::json!({
        "format": "face decisions", "version": 1, "source": "http://nas",
        "people": [{"id": "x", "name": "ANA"}, {"id": "y", "name": "Somebody"}],
        "faces": [
            decided(&family.ana[1], serde_json::json!({"is": "y", "not": ["x"]})),
            decided(&family.ana[2], serde_json::json!({"no_face": true})),
        ],
    });
    fs::write(&file, decisions.to_string()).unwrap();
    let (plan, lines) = people::plan_decisions(&family.registry(), &file, &[]).unwrap();
    assert!(
        lines[0].contains("faceset_001") && lines[1].contains("--link y=NUMBER"),
        "{lines:?}"
    );
    assert!(
        lines[2].contains("of 2 decided faces 2 change something"),
        "{lines:?}"
    );
    assert!(!plan.is_empty());
    assert_eq!(
        family.set("faceset_001").faces.len(),
        5,
        "a plan changes nothing"
    );
    family.change(|_| Ok(plan)).unwrap();
    let set = family.set("faceset_001");
    assert_eq!(set.faces.len(), 3);
    assert_eq!(set.dropped.len(), 2);
    let registry = family.registry();
    assert!(registry.forbids(&family.ana[1], number(1)) && registry.is_no_face(&family.ana[2]));
    let last = registry.history().last().unwrap().id;
    family.change(|r| Ok(r.plan_undo(last)?)).unwrap();
    let registry = family.registry();
    assert!(!registry.forbids(&family.ana[1], number(1)) && !registry.is_no_face(&family.ana[2]));
    // What cannot be read says which file and why.
    fs::write(&file, "{}").unwrap();
    let refused = people::plan_decisions(&registry, &file, &[])
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("said.json") && refused.contains("face decisions"),
        "{refused}"
    );
}

#[test]
fn the_last_face_takes_the_set_with_it_and_the_number_stays_reserved() {
    let family = Family::new();
    for face in &family.bob {
        family
            .change(|r| Ok(r.plan_not_this_person(number(2), face)?))
            .unwrap();
    }
    assert!(!family.swap().join("faceset_002").exists());
    assert_eq!(family.listed("reserved"), ["faceset_002"]);
}

#[test]
fn a_name_written_into_the_folder_becomes_a_journalled_name() {
    let family = Family::new();
    let file = family.swap().join("faceset_002/NAME.txt");
    fs::write(&file, "\u{feff}\n Zora Quill \nmy note\n").unwrap();
    let registry = family.registry();
    let waiting = tree::waiting(&family.swap(), &registry).unwrap();
    assert_eq!(
        waiting,
        ["faceset_002 will be named Zora Quill, from NAME.txt"]
    );
    with_ctx(|ctx| people::take_in(&family.swap(), ctx)).unwrap();
    let registry = family.registry();
    assert_eq!(registry.name_of(number(2)), Some("Zora Quill"));
    assert!(registry.history().last().unwrap().what.contains("NAME.txt"));
    // Renamed by command, the file follows and is no edit any more.
    family
        .change(|r| Ok(r.plan_name(number(2), Some("Zora"))?))
        .unwrap();
    assert!(family.name_file("faceset_002").contains("Zora\nmy note"));
    assert!(
        tree::waiting(&family.swap(), &family.registry())
            .unwrap()
            .is_empty()
    );
    // Undone, the file says what it said.
    family.undo_last();
    assert!(family.name_file("faceset_002").contains("Zora Quill"));
}

#[test]
fn a_bad_name_in_a_folder_is_one_line_and_stays_as_it_is() {
    let family = Family::new();
    for (bad, word) in [
        ("../x", "path"),
        (&*"n".repeat(300), "characters"),
        ("12", "number"),
    ] {
        fs::write(family.swap().join("faceset_002/NAME.txt"), bad).unwrap();
        let lines = with_ctx(|ctx| people::take_in(&family.swap(), ctx)).unwrap();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains(word), "{lines:?}");
        assert_eq!(family.name_file("faceset_002"), bad);
    }
    let error = family.change(|r| Ok(r.plan_name(number(1), Some("a/b"))?));
    assert!(error.unwrap_err().to_string().contains("path"));
}

#[test]
fn the_name_of_a_merged_person_goes_back_with_them() {
    let family = Family::new();
    family
        .change(|r| Ok(r.plan_name(number(2), Some("Bob"))?))
        .unwrap();
    family
        .change(|r| Ok(r.plan_merge(number(2), number(1))?))
        .unwrap();
    assert_eq!(family.name_file("faceset_001"), "Bob\n");
    let lines = family.change(|r| Ok(r.plan_unmerge(number(2))?)).unwrap();
    assert!(
        family
            .name_file("faceset_001")
            .contains("replace this line"),
        "{lines:?}"
    );
    assert_eq!(family.name_file("faceset_002"), "Bob\n");
    assert_eq!(family.registry().name_of(number(1)), None);
}

#[test]
fn a_deleted_folder_is_told_once_and_its_number_stays_reserved() {
    let family = Family::new();
    fs::remove_dir_all(family.swap().join("faceset_001")).unwrap();
    let lines = with_ctx(|ctx| people::take_in(&family.swap(), ctx)).unwrap();
    assert!(
        lines[0].contains("faceset_001: its folder was deleted"),
        "{lines:?}"
    );
    assert_eq!(family.listed("reserved"), ["faceset_001"]);
    let again = with_ctx(|ctx| people::take_in(&family.swap(), ctx)).unwrap();
    assert!(again.is_empty(), "{again:?}");
    assert_eq!(family.registry().n_faces_of(number(1)), 5);
}

#[test]
fn a_birth_date_in_the_future_is_refused_with_both_dates() {
    let family = Family::new();
    let error = family
        .change(|r| {
            let today = "2026-02-02".parse().unwrap();
            Ok(r.plan_birth_date(number(1), Some("2026-02-03".parse().unwrap()), today)?)
        })
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("2026-02-03") && error.contains("2026-02-02"),
        "{error}"
    );
}

#[test]
fn a_second_run_says_who_holds_the_tree() {
    let family = Family::new();
    let _held = faceset_export::Tree::open(&family.swap(), "sort-faces, process 77").unwrap();
    let error = family
        .change(|r| Ok(r.plan_hide(number(1))?))
        .unwrap_err()
        .to_string();
    assert!(error.contains("process 77"), "{error}");
}

#[test]
fn a_folder_that_is_not_there_is_not_made() {
    let family = Family::new();
    let typo = family.home.path("typo");
    with_ctx(|ctx| people::change(&typo, |r| Ok(r.plan_hide(number(1))?), ctx)).unwrap_err();
    assert!(!typo.exists());
}

#[test]
fn groups_of_a_merged_person_are_put_together_and_mixed_groups_taken_apart() {
    let family = Family::new();
    // A mixed group: everybody in one, and one new face near Bob.
    let cache = family.home.embed(&[shot("new", &[turned(1, 20.0, 4)])]);
    let new = family.home.key(&cache, "new", 0);
    let mut all = family.ana.clone();
    all.extend(family.bob.iter().cloned());
    all.push(new.clone());
    let mut manifest = refined(&[("group_001", &all)]);
    regroup(&mut manifest, &family.registry(), &cache).unwrap();
    let sizes: Vec<_> = manifest
        .facesets
        .iter()
        .map(|s| (s.name.as_str(), s.faces.len()))
        .collect();
    assert_eq!(sizes, [("faceset_001", 5), ("faceset_002", 4)]);
    assert!(manifest.facesets[1].faces.contains(&new));
    family
        .change(|r| Ok(r.plan_merge(number(2), number(1))?))
        .unwrap();
    regroup(&mut manifest, &family.registry(), &cache).unwrap();
    assert_eq!(manifest.facesets.len(), 1);
    assert_eq!(manifest.facesets[0].faces.len(), 9);
    assert_eq!(manifest.facesets[0].name, "faceset_001");
}

#[test]
fn a_refused_face_goes_to_whom_it_belongs_or_to_nobody() {
    let family = Family::new();
    let (stray, other) = (family.ana[0].clone(), family.ana[1].clone());
    family
        .change(|r| Ok(r.plan_not_this_person(number(1), &stray)?))
        .unwrap();
    family
        .change(|r| Ok(r.plan_this_person(number(2), &stray)?))
        .unwrap();
    family
        .change(|r| Ok(r.plan_not_this_person(number(1), &other)?))
        .unwrap();
    let mut manifest = refined(&[("faceset_001", &family.ana), ("faceset_002", &family.bob)]);
    let n = leave_out(&mut manifest, &family.registry(), &family.cache);
    assert_eq!(n, 2);
    let of = |at: usize| &manifest.facesets[at];
    assert_eq!((of(0).faces.len(), of(1).faces.len()), (3, 4));
    assert!(of(1).faces.contains(&stray) && of(1).images.contains(&stray.path));
    assert!(!of(0).images.contains(&other.path));
}

#[test]
fn a_split_gives_a_number_that_later_groupings_keep() {
    let home = Home::new();
    // One group of two people 50 degrees apart.
    let mut all = shots("p", 4, turned(0, 0.0, 1));
    all.extend(shots("q", 2, turned(0, 50.0, 1)));
    let cache = home.embed(&all);
    let keys: Vec<FaceKey> = cache.faces().map(|row| row.key()).collect();
    let swap = home.path("swap");
    record(&swap, &[("faceset_001", keys.clone())]);
    let today = "2026-02-02".parse().unwrap();
    let registry = Registry::load(&swap, today).unwrap();
    let (groups, missing) =
        with_ctx(|ctx| propose(&registry, number(1), &cache, SPLIT_THRESHOLD, ctx)).unwrap();
    assert_eq!((groups.len(), missing), (2, 0));
    assert_eq!((groups[0].faces.len(), groups[1].faces.len()), (4, 2));
    // cos 50 degrees = 0.643.
    assert!((groups[1].distance.unwrap() - 0.357).abs() < 1e-3);
    let faces = groups[1].faces.clone();
    with_ctx(|ctx| {
        let taken = std::collections::BTreeSet::new();
        people::change(
            &swap,
            |r| Ok(r.plan_split(number(1), &faces, &taken)?.0),
            ctx,
        )
    })
    .unwrap();
    let registry = Registry::load(&swap, today).unwrap();
    assert_eq!(
        (
            registry.n_faces_of(number(1)),
            registry.n_faces_of(number(2))
        ),
        (4, 2)
    );
    let set: SwapSet = faceset_fs::read_json(&swap.join("faceset_001/manifest.json")).unwrap();
    assert_eq!(set.faces.len(), 4, "the tree follows");
    let mut manifest = refined(&[("faceset_001", &keys)]);
    regroup(&mut manifest, &registry, &cache).unwrap();
    leave_out(&mut manifest, &registry, &cache);
    let sizes: Vec<_> = manifest.facesets.iter().map(|s| s.faces.len()).collect();
    assert_eq!(sizes, [4, 2]);
    // All of a person is no split.
    let rest = groups[0].faces.clone();
    assert!(
        registry
            .plan_split(number(1), &rest, &std::collections::BTreeSet::new())
            .is_err()
    );
}
