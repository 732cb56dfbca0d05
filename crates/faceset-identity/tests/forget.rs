//! Forgetting: nothing of the person is left in any file of ours, nothing of
//! others is lost, and no original is touched.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use faceset_core::manifest::{Bundle, CacheRef, Person, RawManifest, RefineManifest, SwapSet};
use faceset_core::{FaceKey, hash_bytes, safe_dst_name};
use faceset_fs::{read_json, write_json};
use faceset_identity::{
    ForgetInputs, ForgetPlan, IdentityError, Registry, RegistryWriter, State, apply_forget,
    plan_forget,
};
use serde_json::{Map, Value, json};
use support::*;

/// Ana (001, photos 0..10, of which the registry knows 0..8; Bob is on 7, too),
/// Bob (002, photos 10..16 and 7), and all that the steps leave behind.
struct World {
    dir: tempfile::TempDir,
}

fn bob_on_7() -> FaceKey {
    face(7, 300)
}

fn ana() -> Vec<FaceKey> {
    faces(0..8)
}

fn bob() -> Vec<FaceKey> {
    let mut all = faces(10..16);
    all.push(bob_on_7());
    all
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn put_set(root: &Path, mut set: SwapSet, name_text: &str) -> SwapSet {
    let folder = root.join(&set.name);
    set.bundles = vec![Bundle {
        file: format!("{}_all.fsz", set.name),
        n_faces: set.faces.len() as u32,
        bytes: 3,
        sha256: hash_bytes(b"zip"),
    }];
    for face in &set.faces {
        write(&folder.join("faces").join(&face.png), "png");
    }
    write(&folder.join(format!("{}_all.fsz", set.name)), "zip");
    write(&folder.join("NAME.txt"), name_text);
    write_json(&folder.join("manifest.json"), &set).unwrap();
    set
}

impl World {
    fn new() -> Self {
        let world = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        let swap = world.root("facesets_swap_ready");
        let mut of_ana = swap_set("faceset_001", Some("Ana Ö"), &ana());
        of_ana.faces[2].places.push("/alias/IMG 2.jpg".into());
        let mut of_bob = swap_set("faceset_002", Some("Bob"), &bob());
        of_bob.dropped = vec![
            serde_json::from_value(json!({
                "key": face(7, 10), "reason": "not_the_person", "value": 0.9, "limit": 0.45
            }))
            .unwrap(),
        ];
        let of_ana = put_set(&swap, of_ana, "Ana Ö\n");
        let of_bob = put_set(&swap, of_bob, "Bob (Ana Ö's brother)\n");
        let old = swap_set("faceset_001", None, &faces(0..3));
        put_set(&swap.join("_dropped"), old, "");
        write_json(
            &swap.join("manifest.json"),
            &json!({"version": 1, "facesets": [of_ana, of_bob], "thin_eras": [], "reserved": [],
                "runs": [{"note": "made by Ana Ö", "sets": ["faceset_001", "faceset_002"]}],
                "mood": "kept"}),
        )
        .unwrap();
        write(
            &swap.join(".faceset-partial-faceset_001/faces/001.png"),
            "png",
        );
        write(&swap.join(".faceset-tmp-manifest.json"), "half");
        write(
            &swap.join("_candidates/to_faceset_001/faces/001.png"),
            "png",
        );

        let full = world.root("facesets_full");
        // Two more of her photos that no export ever took.
        let refined_sets = vec![
            refined("faceset_001", None, &faces(0..10)),
            refined("faceset_002", None, &bob()),
        ];
        for set in &refined_sets {
            for image in &set.images {
                let copy = full.join(&set.name).join(safe_dst_name(image.as_str()));
                write(&copy, "copy");
            }
        }
        let refine = RefineManifest {
            version: 1,
            params: json!({"eps": 0.5}),
            cache: CacheRef::default(),
            facesets: refined_sets,
            rejected: Vec::new(),
            extra: Map::new(),
        };
        write_json(&full.join("refine_manifest.json"), &refine).unwrap();

        let raw = world.root("raw_full");
        let person = |name: &str, faces: &[FaceKey]| Person {
            name: name.to_owned(),
            faces: faces.to_vec(),
            images: faces.iter().map(|f| f.path.clone()).collect(),
            extra: Map::new(),
        };
        // A group in which a quarter is hers goes on without her.
        let mut mixed = faces(500..506);
        mixed.extend(faces(0..2));
        write_json(
            &raw.join("manifest.json"),
            &RawManifest {
                version: 1,
                params: Value::Null,
                cache: CacheRef::default(),
                persons: vec![
                    person("person_001", &faces(2..10)),
                    person("person_002", &mixed),
                ],
                singletons: vec![face(9, 200), face(600, 10)],
                noface: vec!["/photos/empty.jpg".into()],
                extra: Map::new(),
            },
        )
        .unwrap();
        for (folder, photo) in [("person_002", 0), ("person_002", 500), ("_dropped", 3)] {
            let name = safe_dst_name(face(photo, 0).path.as_str());
            write(&raw.join(folder).join(name), "copy");
        }
        let logs = world.root("logs");
        write(
            &logs.join("embed.log"),
            "start\n/photos/p00003.jpg: 1 face\n/photos/p00012.jpg: 1 face\nhello ana ö!\nAna and Öland\n\
             {\"path\":\"/photos/p00007.jpg\"}\n/alias/IMG 2.jpg\nend",
        );
        write(
            &world.dir.path().join("elsewhere.log"),
            "keep\nphotos__p00004.jpg\n",
        );
        let report = world.root("report");
        write(&report.join("index.html"), "<a href='faceset_001/'>1</a>");
        write(&report.join("bob.html"), "<h1>Bob</h1>");
        write(&report.join("odd.bin"), "x Ana Ö x");
        write(&report.join("c.npz"), "/photos/p00003.jpg");

        let mut w = writer(&swap);
        let sets = vec![
            swap_set("faceset_001", Some("Ana Ö"), &ana()),
            swap_set("faceset_002", Some("Bob"), &bob()),
        ];
        record(&mut w, sets);
        let hers = face(3, 10);
        run(&mut w, |r| r.plan_not_this_person(number(2), &hers)).unwrap();
        run(&mut w, |r| r.plan_feature(number(1), Some(&hers))).unwrap();
        w.finish().unwrap();
        world
    }

    fn root(&self, name: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    fn swap(&self) -> PathBuf {
        self.root("facesets_swap_ready")
    }

    fn roots(&self) -> Vec<PathBuf> {
        let names = [
            "facesets_swap_ready",
            "facesets_full",
            "raw_full",
            "logs",
            "report",
        ];
        let mut roots: Vec<_> = names.iter().map(|n| self.root(n)).collect();
        roots.push(self.dir.path().join("never made"));
        roots
    }

    fn plan(&self, w: &RegistryWriter, n: u32) -> Result<ForgetPlan, IdentityError> {
        let logs = [self.dir.path().join("elsewhere.log")];
        let inputs = ForgetInputs {
            registry_dir: &self.swap(),
            roots: &self.roots(),
            logs: &logs,
        };
        plan_forget(w.registry(), number(n), &inputs)
    }

    /// Every file that has the text, by content or by name.
    fn grep(&self, text: &str) -> Vec<String> {
        let mut found = BTreeSet::new();
        let mut todo = vec![self.dir.path().to_path_buf()];
        while let Some(folder) = todo.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    todo.push(path);
                    continue;
                }
                let name = path
                    .strip_prefix(self.dir.path())
                    .unwrap()
                    .to_string_lossy();
                let bytes = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
                if bytes.contains(text) || name.contains(text) {
                    found.insert(name.replace('\\', "/"));
                }
            }
        }
        found.into_iter().collect()
    }

    fn snapshot(&self) -> Vec<(String, Vec<u8>)> {
        self.grep("")
            .into_iter()
            .map(|name| {
                let bytes = fs::read(self.dir.path().join(&name)).unwrap();
                (name, bytes)
            })
            .collect()
    }
}

#[test]
fn nothing_of_the_person_is_left_in_any_file() {
    let world = World::new();
    let mut w = writer(&world.swap());
    let plan = world.plan(&w, 1).unwrap();
    assert_eq!(plan.faces.len(), 10, "two that only refine knew");
    assert_eq!(plan.names, ["Ana Ö"]);
    assert_eq!(plan.shared_photos, ["/photos/p00007.jpg".into()]);
    let report = apply_forget(&mut w, &plan, true, at(50)).unwrap();
    w.finish().unwrap();
    assert!(report.left.is_empty(), "{report:?}");

    let odd = ["report/odd.bin"];
    assert_eq!(
        world.grep("Ana Ö"),
        ["facesets_swap_ready/faceset_002/NAME.txt", odd[0]]
    );
    for photo in (0..10).filter(|p| *p != 7) {
        let path = format!("p{photo:05}.jpg");
        let left: Vec<_> = world
            .grep(&path)
            .into_iter()
            .filter(|f| f != "report/c.npz")
            .collect();
        assert!(left.is_empty(), "{path} in {left:?}");
        let hash = hash_bytes(&u32::to_le_bytes(photo)).to_string();
        assert!(world.grep(&hash).is_empty(), "{path}");
    }
    assert!(world.grep("IMG 2").is_empty());
    assert!(
        plan.notes.iter().any(|n| n.contains("odd.bin")),
        "{:?}",
        plan.notes
    );
    assert_eq!(plan.caches.len(), 1);
    // Her box on the photo that shows Bob, too.
    let mut n_of_bob = 0;
    for file in world.grep("p00007.jpg") {
        let text = fs::read_to_string(world.dir.path().join(&file)).unwrap();
        let flat: String = text.split_whitespace().collect();
        let hash = hash_bytes(&u32::to_le_bytes(7));
        let hers = format!("p00007.jpg\",\"sha256\":\"{hash}\",\"bbox\":[10.0,");
        n_of_bob += flat.matches(&hers.replace("[10.0", "[300.0")).count();
        assert!(!flat.contains(&hers), "{file}");
    }
    // Two manifests of the export, that of refine, registry and journal.
    assert_eq!(n_of_bob, 5);
    for gone in [
        "faceset_001",
        "_dropped/faceset_001",
        ".faceset-partial-faceset_001",
        "_candidates/to_faceset_001",
        "../facesets_full/faceset_001",
        "../report/index.html",
    ] {
        assert!(!world.swap().join(gone).exists(), "{gone}");
    }
}

#[test]
fn nothing_of_others_is_lost() {
    let world = World::new();
    let before = read_json::<SwapSet>(&world.swap().join("faceset_002/manifest.json")).unwrap();
    let mut w = writer(&world.swap());
    let plan = world.plan(&w, 1).unwrap();
    apply_forget(&mut w, &plan, true, at(50)).unwrap();
    let registry = w.finish().unwrap();
    assert_eq!(registry.faces_of(number(2)).len(), 7);
    assert!(
        registry
            .identity(number(2))
            .unwrap()
            .not_this_person
            .is_empty()
    );

    let after = read_json::<SwapSet>(&world.swap().join("faceset_002/manifest.json")).unwrap();
    assert_eq!(
        (&after.faces, &after.bundles),
        (&before.faces, &before.bundles)
    );
    assert!(after.dropped.is_empty());
    let top: Value = read_json(&world.swap().join("manifest.json")).unwrap();
    assert_eq!(top["facesets"].as_array().unwrap().len(), 1);
    assert_eq!(top["facesets"][0]["faces"].as_array().unwrap().len(), 7);
    assert_eq!(
        top["reserved"],
        json!([{"name": "faceset_001", "reason": "forgotten"}])
    );
    assert_eq!(top["runs"][0]["note"], "(forgotten)");
    assert_eq!(top["mood"], "kept");

    let raw: RawManifest = read_json(&world.root("raw_full").join("manifest.json")).unwrap();
    assert_eq!(raw.persons.len(), 1);
    assert_eq!(raw.persons[0].faces, faces(500..506));
    assert_eq!(raw.persons[0].images.len(), 6);
    assert_eq!(raw.singletons, [face(600, 10)]);
    let refine: RefineManifest =
        read_json(&world.root("facesets_full").join("refine_manifest.json")).unwrap();
    assert_eq!(refine.facesets, [refined("faceset_002", None, &bob())]);
    assert_eq!(
        fs::read_to_string(world.root("logs").join("embed.log")).unwrap(),
        "start\n/photos/p00012.jpg: 1 face\nAna and Öland\nend"
    );
    assert_eq!(
        fs::read_to_string(world.dir.path().join("elsewhere.log")).unwrap(),
        "keep\n"
    );
    assert!(world.root("report").join("bob.html").exists());
    let full = world.root("facesets_full").join("faceset_002");
    assert_eq!(fs::read_dir(full).unwrap().count(), 7);
}

#[test]
fn only_the_number_stays_for_ever_and_there_is_no_way_back() {
    let world = World::new();
    let mut w = writer(&world.swap());
    let plan = world.plan(&w, 1).unwrap();
    apply_forget(&mut w, &plan, true, at(50)).unwrap();
    let last = w.registry().last_entry();
    for id in 1..=last {
        if w.registry().history().iter().any(|e| e.id == id) {
            let is_hers = w.registry().history_of(number(1)).any(|e| e.id == id);
            let result = w.undo(id, at(51));
            assert!(!is_hers || matches!(result, Err(IdentityError::NotUndoable { .. })));
        }
    }
    drop(w);
    let registry = Registry::load(&world.swap(), today()).unwrap();
    let left = registry.identity(number(1)).unwrap();
    assert_eq!(
        (left.state, &left.name, left.faces.len()),
        (State::Forgotten, &None, 0)
    );
    assert!(registry.free_numbers(1, &BTreeSet::new()).unwrap()[0] > number(2));
    assert!(registry.plan_name(number(1), Some("Ana")).is_err());
    // The journal alone still makes a registry.
    fs::remove_file(world.swap().join("registry.json")).unwrap();
    assert_eq!(Registry::load(&world.swap(), today()).unwrap(), registry);
    let w = writer(&world.swap());
    assert!(world.plan(&w, 1).is_err());
}

#[test]
fn nothing_happens_without_a_clear_yes_or_with_an_old_plan() {
    let world = World::new();
    let mut w = writer(&world.swap());
    let before = world.snapshot();
    let plan = world.plan(&w, 1).unwrap();
    let error = apply_forget(&mut w, &plan, false, at(50)).unwrap_err();
    assert!(matches!(error, IdentityError::NotConfirmed { .. }));
    assert_eq!(world.snapshot(), before);
    run(&mut w, |r| r.plan_hide(number(2))).unwrap();
    let before = world.snapshot();
    let error = apply_forget(&mut w, &plan, true, at(50)).unwrap_err();
    assert!(matches!(error, IdentityError::Stale { .. }));
    assert_eq!(world.snapshot(), before);
}

#[test]
fn a_forgetting_that_was_killed_is_finished_by_the_next() {
    let whole = World::new();
    let n_files = {
        let w = writer(&whole.swap());
        whole.plan(&w, 1).unwrap().files.len()
    };
    for killed_after in [1, n_files / 2, n_files - 1, n_files] {
        let world = World::new();
        let mut w = writer(&world.swap());
        let plan = world.plan(&w, 1).unwrap();
        for file in &plan.files[..killed_after] {
            fs::remove_file(file).unwrap();
        }
        let rest = world.plan(&w, 1).unwrap();
        let report = apply_forget(&mut w, &rest, true, at(50)).unwrap();
        w.finish().unwrap();
        assert!(report.left.is_empty(), "{report:?}");
        assert!(world.grep("p00003.jpg").iter().all(|f| f == "report/c.npz"));
        assert!(!world.swap().join("faceset_001").exists());
        assert!(!world.root("facesets_full").join("faceset_001").exists());
    }
}

#[test]
fn a_kill_between_registry_and_journal_leaves_nothing_for_long() {
    let world = World::new();
    let mut w = writer(&world.swap());
    let plan = world.plan(&w, 1).unwrap();
    let journal = world.swap().join("registry.journal.jsonl");
    let told = fs::read_to_string(&journal).unwrap();
    apply_forget(&mut w, &plan, true, at(50)).unwrap();
    drop(w);
    let blotted = fs::read_to_string(&journal).unwrap();
    // As if the journal had only been appended to: the old lines and the last.
    let mut unblotted = told;
    unblotted.push_str(blotted.lines().last().unwrap());
    unblotted.push('\n');
    fs::write(&journal, unblotted).unwrap();
    assert!(!world.grep("p00003.jpg").iter().all(|f| f == "report/c.npz"));
    writer(&world.swap());
    assert!(world.grep("p00003.jpg").iter().all(|f| f == "report/c.npz"));
    assert!(!world.grep("Ana Ö").iter().any(|f| f.contains("registry")));
}

#[test]
fn originals_in_our_own_folders_are_never_erased() {
    let world = World::new();
    let swap = world.swap();
    // Somebody embedded photos that lie in the set's own folder.
    let photo = swap.canonicalize().unwrap().join("faceset_001/holiday.jpg");
    fs::write(&photo, "original").unwrap();
    let mut key = face(700, 10);
    key.path = photo.to_string_lossy().into_owned().into();
    let mut w = writer(&swap);
    let mut all = ana();
    all.push(key);
    record(&mut w, vec![swap_set("faceset_001", None, &all)]);
    let plan = world.plan(&w, 1).unwrap();
    assert_eq!(plan.kept, std::slice::from_ref(&photo));
    let report = apply_forget(&mut w, &plan, true, at(50)).unwrap();
    assert_eq!(fs::read_to_string(&photo).unwrap(), "original");
    assert_eq!(report.left, [photo.parent().unwrap()]);
    assert_eq!(fs::read_dir(photo.parent().unwrap()).unwrap().count(), 1);
}

#[cfg(unix)]
#[test]
fn links_to_photos_go_and_the_photos_stay() {
    let world = World::new();
    let photos = world.root("photos");
    let original = photos.join("x.jpg");
    fs::write(&original, "original").unwrap();
    let mut key = face(800, 10);
    key.path = original.to_string_lossy().into_owned().into();
    let link = world.root("facesets_full").join("faceset_002/odd name.jpg");
    std::os::unix::fs::symlink(&original, &link).unwrap();
    let folder_link = world.root("facesets_full").join("faceset_001/all");
    std::os::unix::fs::symlink(&photos, &folder_link).unwrap();
    let mut w = writer(&world.swap());
    record(
        &mut w,
        vec![swap_set(
            "faceset_001",
            None,
            &[&ana()[..], &[key]].concat(),
        )],
    );
    let plan = world.plan(&w, 1).unwrap();
    apply_forget(&mut w, &plan, true, at(50)).unwrap();
    assert!(!link.is_symlink() && !folder_link.is_symlink());
    assert_eq!(fs::read_to_string(&original).unwrap(), "original");
}

#[test]
fn people_merged_into_one_are_forgotten_together() {
    let world = World::new();
    let mut w = writer(&world.swap());
    // Her refusals keep them apart until they are taken back.
    let entry = w
        .registry()
        .history_of(number(2))
        .last()
        .map(|e| e.id)
        .unwrap();
    w.undo(entry, at(40)).unwrap();
    run(&mut w, |r| r.plan_merge(number(2), number(1))).unwrap();
    let plan = world.plan(&w, 2).unwrap();
    assert_eq!(plan.numbers, [number(1), number(2)]);
    assert!(plan.shared_photos.is_empty());
    apply_forget(&mut w, &plan, true, at(50)).unwrap();
    assert!(
        w.registry()
            .identities()
            .all(|i| i.state == State::Forgotten)
    );
    assert!(world.grep("Bob").is_empty());
    assert!(world.grep("p00012.jpg").is_empty());
}

#[test]
fn a_name_that_was_a_mistake_is_not_taken_from_its_owner() {
    let world = World::new();
    let mut w = writer(&world.swap());
    run(&mut w, |r| r.plan_name(number(2), None)).unwrap();
    run(&mut w, |r| r.plan_name(number(1), Some("Bob"))).unwrap();
    run(&mut w, |r| r.plan_name(number(1), Some("Ana Ö"))).unwrap();
    run(&mut w, |r| r.plan_name(number(2), Some("Bob"))).unwrap();
    let plan = world.plan(&w, 1).unwrap();
    assert_eq!(plan.names, ["Ana Ö"]);
    apply_forget(&mut w, &plan, true, at(50)).unwrap();
    assert!(world.root("report").join("bob.html").exists());
    assert_eq!(
        w.registry().identity(number(2)).unwrap().name.as_deref(),
        Some("Bob")
    );
}

#[test]
fn a_set_of_anothers_that_has_one_of_the_faces_loses_the_crop_and_the_bundles() {
    let world = World::new();
    let swap = world.swap();
    let mut both = bob();
    both.push(face(3, 10));
    put_set(&swap, swap_set("faceset_002", Some("Bob"), &both), "Bob\n");
    let mut w = writer(&swap);
    let plan = world.plan(&w, 1).unwrap();
    assert!(
        plan.notes.iter().any(|n| n.contains("1 of its 8 faces")),
        "{:?}",
        plan.notes
    );
    apply_forget(&mut w, &plan, true, at(50)).unwrap();
    let folder = swap.join("faceset_002");
    assert!(!folder.join("faces/008.png").exists() && folder.join("faces/007.png").exists());
    assert!(!folder.join("faceset_002_all.fsz").exists());
    let left: SwapSet = read_json(&folder.join("manifest.json")).unwrap();
    assert_eq!((left.faces.len(), left.bundles.len()), (7, 0));
}

#[test]
fn a_second_run_is_told_who_holds_the_tree() {
    let world = World::new();
    let mut w = writer(&world.swap());
    let error = RegistryWriter::open(&world.swap(), "second", today()).unwrap_err();
    assert!(matches!(
        error,
        IdentityError::Fs(faceset_fs::FsError::Locked { .. })
    ));
    let plan = world.plan(&w, 1).unwrap();
    let before = world.snapshot();
    let _lock = faceset_fs::DirLock::acquire(&world.root("facesets_full"), "refine").unwrap();
    assert!(apply_forget(&mut w, &plan, true, at(50)).is_err());
    let mut after = world.snapshot();
    after.retain(|(name, _)| !name.ends_with(".faceset.lock"));
    assert_eq!(after, before);
}
