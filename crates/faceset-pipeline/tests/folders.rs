//! Hand-sorted folders become identities: bystanders drop out, mixed folders
//! are shared out, numbers last.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod drawn;

use std::path::PathBuf;

use drawn::{Home, Shot, number, record, shot, turned, with_ctx};
use faceset_export::{ExportOptions, ExportSettings};
use faceset_identity::Registry;
use faceset_pipeline::cluster::load_cache;
use faceset_pipeline::folders::{self, FolderOptions, FolderPlan, Trusted};
use faceset_pipeline::{PipelineError, people};

const ANA: usize = 0;
const BOB: usize = 1;

/// Folders `ana` and `bob` with a bystander each, and a party with both.
fn shots() -> Vec<Shot> {
    let mut all: Vec<Shot> = (0..5)
        .map(|i| shot(&format!("ana/{i}"), &[turned(ANA, f64::from(i), 2)]))
        .collect();
    // Ana's brother is on one of her photos.
    all[0].faces.push(turned(5, 0.0, 0));
    all.extend((0..3).map(|i| shot(&format!("bob/{i}"), &[turned(BOB, f64::from(i), 2)])));
    // 40 degrees from Ana, 50 from Bob (0.36), both within 0.45.
    all.push(shot("party/between", &[turned(ANA, 41.0, BOB)]));
    all.push(shot("party/ana", &[turned(ANA, 20.0, 3)]));
    all.push(shot("party/nobody", &[turned(6, 0.0, 0)]));
    all
}

struct Scene(Home);

impl Scene {
    fn new() -> Self {
        let home = Home::new();
        for folder in ["ana", "bob", "party"] {
            std::fs::create_dir_all(home.path("photos").join(folder)).unwrap();
        }
        home.embed(&shots());
        Self(home)
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.0.path("photos").join(name)
    }

    fn options(&self) -> FolderOptions {
        FolderOptions {
            trusted: ["ana", "bob"]
                .map(|label| Trusted {
                    folder: self.folder(label),
                    label: label.to_owned(),
                })
                .to_vec(),
            mixed: vec![self.folder("party")],
            ..FolderOptions::default()
        }
    }

    fn plan(&self, options: &FolderOptions) -> Result<FolderPlan, PipelineError> {
        let export = ExportOptions::try_from(ExportSettings {
            allow_unenriched: true,
            ..ExportSettings::default()
        })
        .unwrap();
        with_ctx(|ctx| {
            let path = self.0.path("c.npz");
            let cache = load_cache(&path, ctx)?;
            let swap = self.0.path("swap");
            let registry = people::load(&swap, ctx)?;
            folders::plan(&cache, &path, &swap, options, &export, &registry, ctx)
        })
    }
}

#[test]
fn bystanders_drop_out_and_a_mixed_face_joins_everybody_it_is_near() {
    let scene = Scene::new();
    let plan = scene.plan(&scene.options()).unwrap();
    let of = |at: usize| &plan.folders[at];
    assert_eq!((of(0).faces, of(0).person, of(0).bystanders), (6, 5, 1));
    assert_eq!((of(0).from_mixed, of(1).from_mixed), (2, 1));
    assert_eq!((plan.mixed_faces, plan.mixed_nobody), (3, 1));
    let names: Vec<_> = plan
        .export
        .sets
        .iter()
        .map(|s| {
            (
                s.name.as_str(),
                s.bundle_stem.as_str(),
                s.markers[0].file.as_str(),
            )
        })
        .collect();
    assert_eq!(
        names,
        [
            ("faceset_001", "ana", "ana.txt"),
            ("faceset_002", "bob", "bob.txt")
        ]
    );
    let exported: Vec<bool> = plan
        .export
        .sets
        .iter()
        .map(|s| {
            s.faces
                .iter()
                .any(|f| f.key.path.as_str().ends_with("between.jpg"))
        })
        .collect();
    assert!(exported.iter().any(|e| *e), "{exported:?}");
}

#[test]
fn numbers_go_past_everybody_known_and_known_people_keep_theirs() {
    let scene = Scene::new();
    let cache = scene.0.embed(&[shot("old", &[turned(BOB, 0.0, 2)])]);
    let bob = vec![
        scene.0.key(&cache, "bob/0", 0),
        scene.0.key(&cache, "bob/1", 0),
        scene.0.key(&cache, "old", 0),
    ];
    record(&scene.0.path("swap"), &[("faceset_007", bob)]);
    let plan = scene.plan(&scene.options()).unwrap();
    let sets: Vec<_> = plan
        .folders
        .iter()
        .map(|f| f.set.clone().unwrap())
        .collect();
    assert_eq!(sets, ["faceset_008", "faceset_007"]);
    assert_eq!(
        plan.folders[1].known_before, 1,
        "the photo outside the folder"
    );
    assert!(
        plan.folders[1]
            .note
            .as_ref()
            .unwrap()
            .contains("known already")
    );
}

#[test]
fn a_refused_face_stays_out_of_the_folder_it_lies_in() {
    let scene = Scene::new();
    let cache = with_ctx(|ctx| load_cache(&scene.0.path("c.npz"), ctx)).unwrap();
    let key = |name: &str| scene.0.key(&cache, name, 0);
    let swap = scene.0.path("swap");
    record(&swap, &[("faceset_001", vec![key("ana/0"), key("ana/1")])]);
    for stray in ["ana/2", "party/ana"] {
        with_ctx(|ctx| {
            let face = key(stray);
            people::change(
                &swap,
                |r: &Registry| Ok(r.plan_not_this_person(number(1), &face)?),
                ctx,
            )
        })
        .unwrap();
    }
    let plan = scene.plan(&scene.options()).unwrap();
    let set = &plan.manifest.facesets[0];
    assert_eq!(set.name, "faceset_001");
    for stray in ["ana/2", "party/ana"] {
        assert!(
            set.faces.iter().all(|f| f.id() != key(stray).id()),
            "{stray}"
        );
    }
}

#[test]
fn empty_folders_are_told_and_the_others_are_built() {
    let scene = Scene::new();
    let mut options = scene.options();
    options.trusted[0].folder = scene.folder("nowhere");
    let plan = scene.plan(&options).unwrap();
    assert!(
        plan.folders[0]
            .note
            .as_ref()
            .unwrap()
            .contains("embed the folder")
    );
    assert_eq!(plan.folders[1].set.as_deref(), Some("faceset_001"));
}

#[test]
fn folders_that_contradict_each_other_are_refused() {
    let scene = Scene::new();
    let with = |label: &str, folder: &str| {
        let mut options = scene.options();
        options.trusted.push(Trusted {
            folder: scene.folder(folder),
            label: label.to_owned(),
        });
        scene.plan(&options).unwrap_err().to_string()
    };
    assert!(with("Ana", "party").contains("two trusted folders"));
    assert!(with("x", "ana/more").contains("lies inside"));
    assert!(with("12", "party").contains("number"));
    let none = FolderOptions::default();
    assert!(
        scene
            .plan(&none)
            .unwrap_err()
            .to_string()
            .contains("--trusted")
    );
}

#[test]
fn two_folders_of_one_known_person_are_not_both_built() {
    let scene = Scene::new();
    let cache = with_ctx(|ctx| load_cache(&scene.0.path("c.npz"), ctx)).unwrap();
    let key = |name: &str| scene.0.key(&cache, name, 0);
    let all = vec![key("ana/0"), key("ana/1"), key("bob/0"), key("bob/1")];
    record(&scene.0.path("swap"), &[("faceset_001", all)]);
    let plan = scene.plan(&scene.options()).unwrap();
    assert_eq!(plan.folders[0].set.as_deref(), Some("faceset_001"));
    assert_eq!(plan.folders[1].set, None);
    assert!(
        plan.folders[1]
            .note
            .as_ref()
            .unwrap()
            .contains("same person")
    );
}
