//! An export that ends early: who got a number keeps it, whatever comes between.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod drawn;

use drawn::{Home, number, record, refined, shots, turned, with_ctx};
use faceset_core::consent::Consent;
use faceset_core::manifest::{RefineManifest, RefinedSet};
use faceset_export::ExportOptions;
use faceset_pipeline::export::{self, ExportSources};
use faceset_pipeline::{PipelineError, people};

/// The names that the sets have, by the first photo of each.
fn names(manifest: &RefineManifest) -> Vec<(String, String)> {
    let first = |set: &RefinedSet| {
        let path = set.faces[0].path.as_str();
        path.rsplit(['/', '\\']).next().unwrap().to_owned()
    };
    let sets = manifest.facesets.iter();
    sets.map(|set| (first(set), set.name.clone())).collect()
}

#[test]
fn new_people_keep_the_numbers_of_a_run_that_was_cut_short() {
    let home = Home::new();
    let mut all = shots("a", 3, turned(0, 0.0, 1));
    all.extend(shots("p", 4, turned(2, 0.0, 1)));
    all.extend(shots("q", 2, turned(4, 0.0, 1)));
    let cache = home.embed(&all);
    let keys = |prefix, n| home.keys(&cache, prefix, n);
    let (a, p, q) = (keys("a", 3), keys("p", 4), keys("q", 2));
    let swap = home.path("swap");
    record(&swap, &[("faceset_001", a.clone())]);

    // Sorted again, and interrupted once Q's set was in place and P's was not.
    let run = |make: &dyn Fn() -> Result<(), PipelineError>| {
        with_ctx(|ctx| {
            let registry = people::load_under_way(&swap, ctx).unwrap();
            let mut manifest = refined(&[("group_1", &q), ("group_2", &p), ("group_3", &a)]);
            people::keep_numbers(&mut manifest, &registry, &swap).unwrap();
            (
                names(&manifest),
                people::exported(&swap, &manifest, ctx, make),
            )
        })
    };
    let (first, ended) = run(&|| {
        std::fs::create_dir(swap.join("faceset_002")).unwrap();
        Err(PipelineError::Interrupted)
    });
    assert!(matches!(ended, Err(PipelineError::Interrupted)));
    let expected = [
        ("a00.jpg", "faceset_001"),
        ("q00.jpg", "faceset_002"),
        ("p00.jpg", "faceset_003"),
    ]
    .map(|(photo, set)| (photo.to_owned(), set.to_owned()));
    assert_eq!(first, expected);

    // What is said of a number meanwhile is said of that person.
    with_ctx(|ctx| {
        let denied =
            |r: &faceset_identity::Registry| Ok(r.plan_consent(number(3), Consent::Denied)?);
        people::change(&swap, denied, ctx).unwrap();
        let known = people::load_under_way(&swap, ctx).unwrap();
        let facts = known.export_facts(&refined(&[("x", &p)]).facesets[0]);
        assert_eq!(facts.consent, Consent::Denied);
        // A grouping that only reads agrees.
        let mut manifest = refined(&[("group_1", &p)]);
        people::keep_numbers(&mut manifest, &known, &swap).unwrap();
        assert_eq!(manifest.facesets[0].name, "faceset_003");
    });

    let (second, ended) = run(&|| Ok(()));
    ended.unwrap();
    assert_eq!(second, expected);
    let registry = with_ctx(|ctx| people::load(&swap, ctx)).unwrap();
    assert_eq!(
        registry.identities().count(),
        3,
        "nobody got a second number"
    );
    assert_eq!(registry.n_faces_of(number(2)), 2);
    assert_eq!(registry.n_faces_of(number(3)), 4);
    let left: Vec<_> = std::fs::read_dir(&swap)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with("export-swap.json"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn sets_numbered_without_regard_to_the_people_are_not_exported_over_them() {
    let home = Home::new();
    let mut all = shots("a", 3, turned(0, 0.0, 1));
    all.extend(shots("b", 4, turned(2, 0.0, 1)));
    let cache = home.embed(&all);
    let keys = |prefix, n| home.keys(&cache, prefix, n);
    let (a, b) = (keys("a", 3), keys("b", 4));
    let swap = home.path("swap");
    record(
        &swap,
        &[("faceset_001", a.clone()), ("faceset_002", b.clone())],
    );
    let plan = |manifest: &RefineManifest| {
        let file = home.path("refine_manifest.json");
        faceset_fs::write_json(&file, manifest).unwrap();
        let sources = ExportSources {
            cache: home.path("c.npz"),
            refined: file,
            raw: None,
        };
        with_ctx(|ctx| {
            let registry = people::load(&swap, ctx)?;
            let options = ExportOptions::default();
            export::plan_for(&cache, &sources, &options, &registry, false, ctx)
        })
    };
    let by_size = refined(&[("faceset_001", &b), ("faceset_002", &a)]);
    let refused = plan(&by_size).unwrap_err().to_string();
    assert!(
        refused.contains("faceset_001") && refused.contains("those of faceset_002"),
        "{refused}"
    );
    assert!(refused.contains("--people"), "{refused}");
    let by_people = refined(&[("faceset_001", &a), ("faceset_002", &b)]);
    // Nothing is left but the landmarks that a drawn cache lacks.
    let words = plan(&by_people).unwrap_err().to_string();
    assert!(words.contains("enrich"), "{words}");
}
