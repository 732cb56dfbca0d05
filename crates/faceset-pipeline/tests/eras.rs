//! Eras of a person, from a cache worked out by hand to the plan of folders.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::path::Path;

use faceset_cache::Cache;
use faceset_export::SetKind;
use faceset_pipeline::Ctx;
use faceset_pipeline::era::{
    EraFile, EraOptions, EraPlan, SplitReport, plan_extend, plan_split, probe,
};
use support::{Photo, cache, key, keys, look, photo, tree, unenriched, with_ctx};

/// Two looks 50 degrees apart (distance 0.36), 22 photos of 2003 and 21 of
/// 2018; a fragment of 2016 beside the second; one of 2030 (the future); a
/// bystander.
fn library() -> Vec<Photo> {
    let mut photos = look("/photos/early", 22, Some(2003), 0.0);
    photos.extend(look("/photos/late", 21, Some(2018), 50.0));
    // 42 degrees from either mean (0.26): one look by themselves at 0.1.
    photos.push(photo("/photos/frag/a.jpg", Some(2016), 75.0));
    photos.push(photo("/photos/frag/b.jpg", Some(2030), 28.0));
    photos.push(photo("/photos/other/x.jpg", Some(2016), 170.0));
    photos
}

fn options(dir: &Path) -> EraOptions {
    let mut options = EraOptions::new("1".to_owned(), dir.join("c.npz"), dir.to_path_buf());
    // Looks within 25 degrees, so that the fragments stay fragments.
    options.rule.threshold = faceset_core::CosineDistance::constant(0.05);
    options.export = unenriched();
    options
}

/// A folder with the library's cache, and a tree in which faceset_001 is the
/// early look and half of the late one.
fn person(ctx: Ctx<'_>) -> (tempfile::TempDir, Cache) {
    let dir = tempfile::tempdir().unwrap();
    let cache = cache(&dir.path().join("c.npz"), &library());
    let mut seed = keys(&cache, "/photos/early");
    seed.extend(keys(&cache, "/photos/late"));
    tree(dir.path(), &[("faceset_001", seed)], ctx);
    (dir, cache)
}

fn split(dir: &Path, cache: &Cache, ctx: Ctx<'_>) -> EraPlan<SplitReport> {
    plan_split(cache, &options(dir), false, ctx).unwrap()
}

#[test]
fn looks_of_other_years_become_eras_and_every_face_is_counted_once() {
    with_ctx(|ctx| {
        let (dir, cache) = person(ctx);
        let plan = split(dir.path(), &cache, ctx);
        let shape: Vec<_> = plan
            .lines
            .iter()
            .map(|l| (l.name.as_str(), l.n_faces, l.n_anchor, l.thin))
            .collect();
        assert_eq!(
            shape,
            [
                ("faceset_001_2003", 22, 22, false),
                ("faceset_001_2018", 22, 21, false),
                ("faceset_001_undated", 1, 1, true),
            ]
        );
        let counts = &plan.report.faces;
        assert_eq!(counts.considered, 46);
        let near =
            counts.others + counts.refused + counts.gated.values().sum::<usize>() + counts.kept;
        assert_eq!(counts.far + near, counts.considered);
        assert_eq!(counts.far, 1, "the bystander");
        assert_eq!(
            plan.lines.iter().map(|l| l.n_faces).sum::<usize>() + plan.report.loose,
            counts.kept
        );
        assert_eq!(
            (
                plan.report.anchors,
                plan.report.attached,
                plan.report.undated
            ),
            (2, 1, 1)
        );
        assert_eq!(plan.report.years.future, 1);
        let kinds: Vec<SetKind> = plan.export.sets.iter().map(|s| s.kind).collect();
        assert_eq!(kinds, [SetKind::Set, SetKind::Set, SetKind::Thin]);
        let markers: Vec<&str> = plan.export.sets[2]
            .markers
            .iter()
            .map(|m| m.file.as_str())
            .collect();
        assert_eq!(markers, ["undated.txt", "THIN.txt"]);
        assert!(
            !dir.path().join("c.npz.years.json").exists(),
            "a dry run remembers nothing"
        );
    });
}

#[test]
fn faces_of_others_and_refused_faces_take_no_part() {
    with_ctx(|ctx| {
        let (dir, cache) = person(ctx);
        let (mine, other) = (
            key(&cache, "/photos/frag/a.jpg", 0),
            key(&cache, "/photos/frag/b.jpg", 0),
        );
        faceset_pipeline::people::change(
            dir.path(),
            |r| Ok(r.plan_not_this_person(r.find("1")?.number, &mine)?),
            ctx,
        )
        .unwrap();
        let mut seed = keys(&cache, "/photos/early");
        seed.extend(keys(&cache, "/photos/late"));
        tree(
            dir.path(),
            &[("faceset_001", seed), ("faceset_002", vec![other])],
            ctx,
        );
        let counts = split(dir.path(), &cache, ctx).report.faces;
        assert_eq!((counts.refused, counts.others, counts.kept), (1, 1, 43));
    });
}

#[test]
fn a_second_split_replaces_the_sets_of_the_first() {
    with_ctx(|ctx| {
        let (dir, cache) = person(ctx);
        let first = split(dir.path(), &cache, ctx);
        let mut file = EraFile::load(dir.path()).unwrap();
        file.put(first.person.clone());
        file.save(dir.path()).unwrap();
        assert!(
            split(dir.path(), &cache, ctx).export.retired.is_empty(),
            "the same again"
        );
        let mut one_era = options(dir.path());
        one_era.rule.anchor_min = 50;
        one_era.rule.threshold = faceset_core::CosineDistance::constant(0.5);
        one_era.recovery = faceset_core::CosineDistance::constant(0.9);
        one_era.rule.tighten = faceset_core::CosineDistance::constant(0.9);
        let again = plan_split(&cache, &one_era, false, ctx).unwrap();
        let names: Vec<&str> = again.person.names().collect();
        assert_eq!(names, ["faceset_001_2003-18"]);
        assert_eq!(
            again.export.retired,
            [
                "faceset_001_2003",
                "faceset_001_2018",
                "faceset_001_undated"
            ]
        );
    });
}

#[test]
fn smaller_anchors_make_smaller_eras_also_when_extended() {
    with_ctx(|ctx| {
        let dir = tempfile::tempdir().unwrap();
        let mut photos = look("/photos/early", 5, Some(2003), 0.0);
        photos.extend(look("/photos/late", 4, Some(2018), 50.0));
        let path = dir.path().join("c.npz");
        let first = cache(&path, &photos);
        tree(dir.path(), &[("faceset_001", keys(&first, "/photos"))], ctx);
        let mut small = options(dir.path());
        small.rule.anchor_min = 5;
        let plan = plan_split(&first, &small, false, ctx).unwrap();
        let thin = |lines: &[faceset_pipeline::era::EraLine]| -> Vec<(usize, bool)> {
            lines.iter().map(|l| (l.n_faces, l.thin)).collect()
        };
        assert_eq!(thin(&plan.lines), [(5, false), (4, true)]);
        let mut file = EraFile::load(dir.path()).unwrap();
        file.put(plan.person);
        file.save(dir.path()).unwrap();
        // Extended by the defaults: what was an anchor still is one.
        let grown = cache(&path, &[photo("/photos/new/x.jpg", Some(2004), 1.0)]);
        let again = plan_extend(&grown, &options(dir.path()), false, ctx).unwrap();
        assert_eq!(thin(&again.lines), [(6, false), (4, true)]);
    });
}

#[test]
fn a_person_with_few_faces_has_thin_eras_only() {
    with_ctx(|ctx| {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(
            &dir.path().join("c.npz"),
            &look("/photos/p", 5, Some(2010), 0.0),
        );
        tree(
            dir.path(),
            &[("faceset_001", keys(&cache, "/photos/p"))],
            ctx,
        );
        let plan = split(dir.path(), &cache, ctx);
        assert_eq!(
            (plan.report.eras, plan.report.thin, plan.report.anchors),
            (0, 1, 0)
        );
        assert!(plan.export.sets.iter().all(|s| s.kind == SetKind::Thin));
        let found = probe(&cache, &options(dir.path()), false, ctx).unwrap();
        assert!(
            found.verdict.starts_with("Too few faces"),
            "{}",
            found.verdict
        );
    });
}

#[test]
fn new_faces_join_by_distance_and_years_and_anchors_stay() {
    with_ctx(|ctx| {
        let (dir, _) = person(ctx);
        let old = {
            let cache = faceset_cache::load(&dir.path().join("c.npz")).unwrap().0;
            let error = plan_extend(&cache, &options(dir.path()), false, ctx).unwrap_err();
            assert!(error.to_string().contains("era split 001"), "{error}");
            let plan = split(dir.path(), &cache, ctx);
            let mut file = EraFile::load(dir.path()).unwrap();
            file.put(plan.person.clone());
            file.save(dir.path()).unwrap();
            plan.person
        };
        let new = [
            photo("/photos/new/joins.jpg", Some(2013), 60.0),
            photo("/photos/new/years.jpg", Some(2012), 61.0),
            photo("/photos/new/early.jpg", Some(1998), -2.0),
            photo("/photos/new/undated.jpg", None, 1.0),
        ];
        let cache = cache(&dir.path().join("c.npz"), &new);
        let plan = plan_extend(&cache, &options(dir.path()), false, ctx).unwrap();
        let joined: Vec<_> = plan
            .report
            .joined
            .iter()
            .map(|(n, c)| (n.as_str(), *c))
            .collect();
        assert_eq!(joined, [("faceset_001_2003", 1), ("faceset_001_2018", 1)]);
        assert_eq!(
            (
                plan.report.other_years,
                plan.report.undated,
                plan.report.too_far
            ),
            (1, 1, 0)
        );
        assert_eq!(plan.report.known, 45);
        for (before, after) in old.eras.iter().zip(&plan.person.eras) {
            assert_eq!((&before.name, before.year), (&after.name, after.year));
            let anchors =
                |e: &faceset_pipeline::era::EraEntry| e.faces.iter().filter(|f| f.anchor).count();
            assert_eq!(anchors(before), anchors(after));
        }
        // Twice is once.
        let mut file = EraFile::load(dir.path()).unwrap();
        file.put(plan.person.clone());
        file.save(dir.path()).unwrap();
        let again = plan_extend(&cache, &options(dir.path()), false, ctx).unwrap();
        assert!(again.report.joined.is_empty());
        assert_eq!(again.person, plan.person);
    });
}

#[test]
fn an_unknown_person_and_one_without_faces_here_are_clear_errors() {
    with_ctx(|ctx| {
        let (dir, cache) = person(ctx);
        let ask = |who: &str, cache: &Cache| {
            let options = EraOptions {
                person: who.to_owned(),
                ..options(dir.path())
            };
            plan_split(cache, &options, false, ctx)
                .unwrap_err()
                .to_string()
        };
        assert!(ask("77", &cache).contains("77"));
        assert!(ask("Nobody Known", &cache).contains("Nobody Known"));
        let elsewhere = tempfile::tempdir().unwrap();
        let other = support::cache(&elsewhere.path().join("o.npz"), &look("/q", 3, None, 0.0));
        let message = ask("1", &other);
        assert!(
            message.contains("no face in") && message.contains("43"),
            "{message}"
        );
        let mut nowhere = options(dir.path());
        nowhere.roots = vec!["/elsewhere".to_owned()];
        let message = plan_split(&cache, &nowhere, false, ctx)
            .unwrap_err()
            .to_string();
        assert!(message.contains("/elsewhere"), "{message}");
    });
}

#[test]
fn a_person_who_refused_gets_no_eras_although_recovered_faces_are_in_no_registry() {
    with_ctx(|ctx| {
        let (dir, cache) = person(ctx);
        faceset_pipeline::people::change(
            dir.path(),
            |r| Ok(r.plan_consent(r.find("1")?.number, faceset_core::Consent::Denied)?),
            ctx,
        )
        .unwrap();
        let plan = split(dir.path(), &cache, ctx);
        assert!(plan.export.sets.is_empty());
        assert_eq!(plan.export.refused.len(), 3);
    });
}

#[test]
fn a_young_persons_eras_are_left_out_by_capture_date() {
    with_ctx(|ctx| {
        let (dir, cache) = person(ctx);
        let born = "1990-01-01".parse().unwrap();
        let today = faceset_pipeline::people::today(ctx);
        faceset_pipeline::people::change(
            dir.path(),
            |r| Ok(r.plan_birth_date(r.find("1")?.number, Some(born), today)?),
            ctx,
        )
        .unwrap();
        let plan = split(dir.path(), &cache, ctx);
        assert_eq!(plan.lines[0].n_export, 0, "thirteen in 2003");
        assert_eq!(plan.lines[0].export_drops["under_age"], 22);
        assert!(plan.lines[1].n_export > 0, "twenty-eight in 2018");
    });
}
