//! Discovery planned on caches worked out by hand.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::path::Path;

use faceset_cache::Cache;
use faceset_core::FacesetNumber;
use faceset_pipeline::context::{ContextRules, LooksBy};
use faceset_pipeline::discover::{DiscoverOptions, DiscoverPlan, plan};
use faceset_pipeline::{Ctx, PipelineError, people};
use serde_json::json;
use support::{Photo, cache, key, keys, look, photo, tree, unenriched, with_ctx};

/// Ana at 0 degrees in the collection and in the new folder; two strangers at
/// 90 (9 photos) and 180 (7 photos, one small); a trio at 270.
fn library() -> Vec<Photo> {
    let mut photos = look("/photos/ana", 5, None, 0.0);
    photos.extend(look("/photos/new/ana", 4, None, 2.0));
    photos.extend(look("/photos/new/b", 9, None, 90.0));
    photos.extend(look("/photos/new/c", 7, None, 180.0));
    photos.last_mut().unwrap().short_px = 89.0;
    photos.extend(look("/photos/new/d", 3, None, 270.0));
    photos
}

fn options() -> DiscoverOptions {
    DiscoverOptions {
        roots: vec!["/photos/new".to_owned()],
        marker: "osrc".to_owned(),
        export: unenriched(),
        ..DiscoverOptions::default()
    }
}

fn collection(ctx: Ctx<'_>) -> (tempfile::TempDir, Cache) {
    let dir = tempfile::tempdir().unwrap();
    let cache = cache(&dir.path().join("c.npz"), &library());
    tree(
        dir.path(),
        &[("faceset_004", keys(&cache, "/photos/ana"))],
        ctx,
    );
    (dir, cache)
}

fn found(
    dir: &Path,
    cache: &Cache,
    options: &DiscoverOptions,
    ctx: Ctx<'_>,
) -> Result<DiscoverPlan, PipelineError> {
    plan(cache, Path::new("c.npz"), &[], dir, options, ctx)
}

#[test]
fn strangers_are_numbered_past_the_last_by_size_and_known_people_are_hits() {
    with_ctx(|ctx| {
        let (dir, cache) = collection(ctx);
        let plan = found(dir.path(), &cache, &options(), ctx).unwrap();
        let r = &plan.report;
        assert_eq!(
            (r.photos, r.faces, r.covered, r.known_people),
            (23, 23, 4, 1)
        );
        assert_eq!(
            (r.hits[0].name.as_str(), r.hits[0].n_new),
            ("faceset_004", 4)
        );
        assert_eq!((r.raw_clusters, &r.top_sizes[..]), (3, &[9, 7, 3][..]));
        assert_eq!(r.gated["min_short"], 1);
        assert_eq!((r.too_small, r.candidates), (1, 2));
        let sets: Vec<_> = r
            .sets
            .iter()
            .map(|s| (s.name.as_str(), s.n_input, s.n_gated, s.n_refined))
            .collect();
        assert_eq!(sets, [("faceset_005", 9, 0, 9), ("faceset_006", 7, 1, 6)]);
        assert_eq!(plan.export.sets[0].markers[0].file, "osrc.txt");
        // Every face below the root is covered or in a raw group.
        assert_eq!(r.faces - r.covered, 19);
    });
}

#[test]
fn the_export_gates_are_foreseen() {
    with_ctx(|ctx| {
        let (dir, _) = collection(ctx);
        let mut small = look("/photos/new/e", 6, None, 225.0);
        // Large enough for refine (90), too small for the export (100).
        for photo in &mut small {
            photo.short_px = 95.0;
        }
        let cache = cache(&dir.path().join("small.npz"), &small);
        let plan = found(dir.path(), &cache, &options(), ctx).unwrap();
        let gone: Vec<_> = plan
            .report
            .sets
            .iter()
            .filter(|s| s.n_export == 0)
            .collect();
        assert_eq!(gone.len(), 1);
        assert_eq!(gone[0].export_drops["min_face_short"], 6);
    });
}

#[test]
fn six_photos_make_a_set_five_do_not_and_copies_do_not_count() {
    with_ctx(|ctx| {
        let (dir, cache) = collection(ctx);
        let with = |min_faces| {
            let options = DiscoverOptions {
                min_faces,
                ..options()
            };
            found(dir.path(), &cache, &options, ctx)
                .unwrap()
                .report
                .candidates
        };
        assert_eq!(
            (with(3), with(4), with(6), with(7), with(9), with(10)),
            (3, 2, 2, 1, 1, 0)
        );
    });
}

#[test]
fn a_photo_counts_when_a_copy_of_it_lies_below_the_root() {
    with_ctx(|ctx| {
        let dir = tempfile::tempdir().unwrap();
        let mut photos = look("/photos/far", 6, None, 10.0);
        for (at, photo) in photos.iter_mut().enumerate() {
            photo.aliases.push(format!("/photos/new/copy{at}.jpg"));
        }
        let cache = cache(&dir.path().join("c.npz"), &photos);
        let plan = found(dir.path(), &cache, &options(), ctx).unwrap();
        assert_eq!(plan.report.candidates, 1);
        assert_eq!(
            plan.manifest.facesets[0].images.len(),
            12,
            "all places are listed"
        );
    });
}

#[test]
fn numbers_given_out_and_folders_on_disk_are_never_used_again() {
    with_ctx(|ctx| {
        let (dir, cache) = collection(ctx);
        std::fs::create_dir_all(dir.path().join("_dropped/faceset_011-2")).unwrap();
        std::fs::create_dir_all(dir.path().join("faceset_030_2018-19")).unwrap();
        let first = |options: &DiscoverOptions| {
            found(dir.path(), &cache, options, ctx).unwrap().report.sets[0]
                .name
                .clone()
        };
        assert_eq!(
            first(&options()),
            "faceset_012",
            "an era's folder has no number of its own"
        );
        let later = DiscoverOptions {
            start: FacesetNumber::new(400).ok(),
            ..options()
        };
        assert_eq!(first(&later), "faceset_400");
        let earlier = DiscoverOptions {
            start: FacesetNumber::new(2).ok(),
            ..options()
        };
        assert_eq!(first(&earlier), "faceset_012");
    });
}

#[test]
fn hidden_people_are_known_and_era_sets_are_nobody_else() {
    with_ctx(|ctx| {
        let (dir, cache) = collection(ctx);
        people::change(dir.path(), |r| Ok(r.plan_hide(r.find("4")?.number)?), ctx).unwrap();
        let plan = found(dir.path(), &cache, &options(), ctx).unwrap();
        assert_eq!(plan.report.covered, 4);
        // An era of stranger b in the manifest does not cover b.
        let mut top: serde_json::Value =
            faceset_fs::read_json(&dir.path().join("manifest.json")).unwrap();
        let era = json!({"name": "faceset_004_2018", "faces": keys(&cache, "/photos/new/b").iter().map(|k| json!({"key": k})).collect::<Vec<_>>()});
        top["facesets"].as_array_mut().unwrap().push(era);
        faceset_fs::write_json(&dir.path().join("manifest.json"), &top).unwrap();
        let plan = found(dir.path(), &cache, &options(), ctx).unwrap();
        assert_eq!((plan.report.covered, plan.report.candidates), (4, 2));
    });
}

#[test]
fn a_face_that_was_refused_for_somebody_is_not_covered_by_them() {
    with_ctx(|ctx| {
        let (dir, cache) = collection(ctx);
        let face = key(&cache, "/photos/new/ana/000.jpg", 0);
        people::change(
            dir.path(),
            |r| Ok(r.plan_not_this_person(r.find("4")?.number, &face)?),
            ctx,
        )
        .unwrap();
        let plan = found(dir.path(), &cache, &options(), ctx).unwrap();
        assert_eq!((plan.report.covered, plan.report.raw_clusters), (3, 4));
    });
}

#[test]
fn the_context_rules_decide_who_is_covered() {
    with_ctx(|ctx| {
        let dir = tempfile::tempdir().unwrap();
        // Ana at 0 degrees in 2001 and at 70 in 2015: her mean is at 35.
        let mut photos = look("/photos/ana", 6, Some(2001), 0.0);
        photos.extend(look("/photos/ana_later", 6, Some(2015), 70.0));
        photos.push(photo("/photos/new/late.jpg", Some(2015), 100.0));
        photos.push(photo("/photos/new/early.jpg", Some(2001), 100.0));
        photos.push(photo("/photos/new/unborn.jpg", Some(1999), 1.0));
        let mut pair = photo("/photos/new/pair.jpg", None, 3.0);
        pair.degrees.push(54.0);
        photos.push(pair);
        let cache = cache(&dir.path().join("c.npz"), &photos);
        let mut hers = keys(&cache, "/photos/ana");
        hers.extend(keys(&cache, "/photos/ana_later"));
        tree(dir.path(), &[("faceset_001", hers)], ctx);
        let born = "2000-01-01".parse().unwrap();
        let decide = |r: &faceset_identity::Registry| {
            let number = r.find("1")?.number;
            Ok(r.plan_birth_date(number, Some(born), people::today(ctx))?)
        };
        people::change(dir.path(), decide, ctx).unwrap();
        let covered = |context: ContextRules| {
            let options = DiscoverOptions {
                context,
                ..options()
            };
            let plan = found(dir.path(), &cache, &options, ctx).unwrap();
            assert_eq!(plan.report.faces, 5);
            plan.report.covered
        };
        let mean = ContextRules {
            looks: LooksBy::Mean,
            time: false,
            birth: false,
            photo: false,
        };
        let looks = ContextRules {
            looks: LooksBy::Eras,
            ..mean
        };
        assert_eq!(covered(mean), 3, "100 degrees are 65 from the mean");
        assert_eq!(covered(looks), 5, "and 30 from the later look");
        let time = ContextRules {
            time: true,
            ..looks
        };
        assert_eq!(covered(time), 4, "which is not hers in 2001");
        let birth = ContextRules {
            birth: true,
            ..looks
        };
        assert_eq!(covered(birth), 4);
        let photo = ContextRules {
            photo: true,
            ..looks
        };
        assert_eq!(covered(photo), 4, "one of the pair is somebody else");
    });
}

#[test]
fn what_is_no_face_is_neither_covered_nor_grouped() {
    with_ctx(|ctx| {
        let (dir, cache) = collection(ctx);
        let before = found(dir.path(), &cache, &options(), ctx).unwrap().report;
        let face = key(&cache, "/photos/new/ana/000.jpg", 0);
        people::change(dir.path(), |r| Ok(r.plan_no_face(&face)?), ctx).unwrap();
        let report = found(dir.path(), &cache, &options(), ctx).unwrap().report;
        assert_eq!((report.no_faces, report.covered), (1, before.covered - 1));
        assert_eq!(report.raw_clusters, before.raw_clusters);
    });
}

#[test]
fn manifests_of_the_original_tool_cover_too() {
    with_ctx(|ctx| {
        let dir = tempfile::tempdir().unwrap();
        let mut photos = library();
        // A bystander on one of Ana's photos.
        photos[0].degrees.push(90.0);
        let cache = cache(&dir.path().join("c.npz"), &photos);
        let images: Vec<String> = cache
            .under("/photos/ana")
            .map(|f| f.path.to_string())
            .collect();
        let by_images = json!({"facesets": [{"name": "faceset_002", "images": images}]});
        let boxes: Vec<_> = keys(&cache, "/photos/ana")
            .into_iter()
            .map(|k| json!({"source": k.path, "bbox": k.bbox}))
            .collect();
        let by_boxes = json!({"facesets": [{"name": "faceset_002", "faces": boxes}]});
        for manifest in [by_images, by_boxes] {
            faceset_fs::write_json(&dir.path().join("manifest.json"), &manifest).unwrap();
            let plan = found(dir.path(), &cache, &options(), ctx).unwrap();
            assert_eq!(
                (plan.report.covered, plan.report.known_people),
                (4, 1),
                "{manifest}"
            );
            assert_eq!(plan.report.sets[0].name, "faceset_003");
        }
    });
}

#[test]
fn an_immich_users_cache_is_compared_with_people_of_another_cache() {
    with_ctx(|ctx| {
        let (dir, main) = collection(ctx);
        let mut photos = look("/immich/u/ana", 6, None, 3.0);
        photos.extend(look("/immich/u/new", 6, None, 90.0));
        let user = cache(&dir.path().join("user.npz"), &photos);
        let whole = DiscoverOptions {
            roots: Vec::new(),
            ..options()
        };
        let alone = plan(&user, Path::new("user.npz"), &[], dir.path(), &whole, ctx).unwrap();
        assert_eq!((alone.report.known_people, alone.report.candidates), (0, 2));
        let others = [(Path::new("c.npz"), &main)];
        let with = plan(
            &user,
            Path::new("user.npz"),
            &others,
            dir.path(),
            &whole,
            ctx,
        )
        .unwrap();
        assert_eq!(
            (
                with.report.known_people,
                with.report.covered,
                with.report.candidates
            ),
            (1, 6, 1)
        );
    });
}

#[test]
fn nothing_below_the_root_and_odd_markers_are_clear_errors() {
    with_ctx(|ctx| {
        let (dir, cache) = collection(ctx);
        let nowhere = DiscoverOptions {
            roots: vec!["/photos/ne".to_owned()],
            ..options()
        };
        let text = found(dir.path(), &cache, &nowhere, ctx)
            .unwrap_err()
            .to_string();
        assert!(
            text.contains("/photos/ne") && text.contains("made from /photos"),
            "{text}"
        );
        for bad in ["", "../x", "a/b", ".hidden", "NAME", "name"] {
            let options = DiscoverOptions {
                marker: bad.to_owned(),
                ..options()
            };
            let text = found(dir.path(), &cache, &options, ctx)
                .unwrap_err()
                .to_string();
            assert!(text.contains("marker"), "{bad}: {text}");
        }
    });
}

#[test]
fn the_order_of_photos_does_not_change_who_gets_which_number() {
    with_ctx(|ctx| {
        let names = |photos: &[Photo]| {
            let dir = tempfile::tempdir().unwrap();
            let cache = cache(&dir.path().join("c.npz"), photos);
            let plan = found(dir.path(), &cache, &options(), ctx).unwrap();
            serde_json::to_value(&plan.manifest.facesets).unwrap()
        };
        let mut photos = library();
        let forward = names(&photos);
        photos.reverse();
        assert_eq!(names(&photos), forward);
    });
}
