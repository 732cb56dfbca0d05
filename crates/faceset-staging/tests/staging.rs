//! What a staging run fetches, leaves out, names and records.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test")]

mod support;

use faceset_core::CancelToken;
use faceset_queue::{Derivative, QueueDir};
use faceset_staging::{Bucket, Ended, StagingError};
use immich_fake::{Fault, Shape};
use support::{ctx, mixture, options, photo, set_bytes, stage_into, world};

#[tokio::test]
async fn photos_with_a_big_face_are_fetched_and_others_counted() {
    let w = world(Shape::v2_7_2(), |l, user| {
        photo(l, user, "/data/library/anna/2020/big.jpg", 0, 200);
        // 45 x 90 in the preview of half the size: 90 px in the original, kept.
        photo(l, user, "/data/library/anna/2020/just.jpg", 1, 90);
        photo(l, user, "/data/library/anna/2020/small.jpg", 2, 88);
        photo(l, user, "/data/library/anna/2020/none.jpg", 3, 0);
        photo(l, user, "/data/thumbs/anna/ab/x-preview.jpeg", 4, 200);
    })
    .await;
    let report = w.stage().await;
    assert_eq!(report.seen, 5);
    assert_eq!(report.count(Bucket::Staged), 2);
    assert_eq!(report.count(Bucket::SmallFace), 1);
    assert_eq!(report.count(Bucket::NoFace), 1);
    assert_eq!(report.count(Bucket::Excluded), 1);
    assert_eq!(report.excluded_by["**/thumbs/**"], 1);
    assert_eq!(report.counts.values().sum::<u64>(), report.seen);
    assert_eq!(report.queued, 2);
    let left = w.left();
    assert_eq!(left.names(), ["2020/big.jpg", "2020/just.jpg"].into());
    assert_eq!(
        w.fake.n_requests("/faces"),
        0,
        "faces came with the listing"
    );
    assert_eq!(w.fake.n_requests("/original"), 2);
}

#[tokio::test]
async fn the_queue_says_what_a_worker_needs() {
    let w = world(Shape::v2_7_2(), |l, user| {
        photo(l, user, "/data/library/anna/a.jpg", 7, 200);
    })
    .await;
    w.stage().await;
    let queue = QueueDir::new(w.dir.path().join("work/immich/anna"))
        .load()
        .unwrap();
    assert_eq!(queue.head.host, "here");
    let item = &queue.items[0];
    let expected = format!("{}/immich/anna/a.jpg", support::called(w.dir.path()));
    assert_eq!(queue.logical(item).as_str(), expected);
    assert_eq!(item.taken_at.as_deref(), Some("2020-01-01T00:00:07"));
    assert_eq!((item.width, item.height), (3000, 2000));
    assert_eq!(item.owner_id, w.user.to_string());
    assert_eq!(item.rendered, None);
    let bytes = std::fs::read(w.dir.path().join("immich/anna/a.jpg")).unwrap();
    assert_eq!(item.size, bytes.len() as u64);
    assert_eq!(item.sha256, faceset_core::hash_bytes(&bytes));
}

#[tokio::test]
async fn equal_photos_are_fetched_once_and_the_first_listed_is_kept() {
    let w = world(Shape::v2_7_2(), |l, user| {
        for (nth, name) in ["b.jpg", "a.jpg", "c.jpg"].iter().enumerate() {
            let path = format!("/data/library/anna/{name}");
            let id = photo(l, user, &path, nth as i64, 200);
            set_bytes(l, id, b"the same bytes");
        }
    })
    .await;
    let report = w.stage().await;
    assert_eq!(report.count(Bucket::Staged), 1);
    assert_eq!(report.count(Bucket::DupInternal), 2);
    let left = w.left();
    assert_eq!(left.names(), ["b.jpg"].into());
    assert_eq!(left.aliases.len(), 2);
    let target = format!("{}/immich/anna/b.jpg", support::called(w.dir.path()));
    assert!(left.aliases.values().all(|line| line.ends_with(&target)));
    assert_eq!(w.fake.n_requests("/original"), 1);
}

#[tokio::test]
async fn a_second_run_fetches_nothing_and_changes_nothing() {
    for shape in [Shape::v1_118(), Shape::v2_7_2(), Shape::v3_2()] {
        let w = world(shape, |l, user| mixture(l, user, 60)).await;
        let first = w.stage().await;
        let left = w.left();
        w.fake.clear_log();
        let second = w.stage().await;
        assert_eq!(w.left(), left);
        assert_eq!(w.fake.n_requests("/original"), 0);
        assert_eq!(second.count(Bucket::Staged), 0);
        assert_eq!(
            second.count(Bucket::StagedBefore),
            first.count(Bucket::Staged)
        );
        for bucket in [Bucket::DupInternal, Bucket::NoFace, Bucket::SmallFace] {
            assert_eq!(second.count(bucket), first.count(bucket));
            assert!(first.count(bucket) > 0, "{bucket:?} is in the mixture");
        }
        assert_eq!(second.counts.values().sum::<u64>(), 60);
        assert_eq!(
            w.fake.n_requests("GET /api/faces"),
            0,
            "known faces are not asked for again"
        );
    }
}

#[tokio::test]
async fn servers_of_every_age_give_the_same_result() {
    let mut results = Vec::new();
    for shape in [Shape::v1_118(), Shape::v2_7_2(), Shape::v3_2()] {
        let w = world(shape, |l, user| mixture(l, user, 90)).await;
        w.stage().await;
        let left = w.left();
        results.push((left.files, left.states));
    }
    assert_eq!(results[0], results[1]);
    assert_eq!(results[1], results[2]);
}

#[tokio::test]
async fn partners_photos_are_left_out() {
    let w = world(Shape::v2_7_2(), |l, user| {
        photo(l, user, "/data/library/anna/mine.jpg", 0, 200);
        let ben = l.add_user("Ben");
        photo(l, ben, "/data/library/ben/his.jpg", 1, 200);
        l.add_partner(user, ben);
    })
    .await;
    let report = w.stage().await;
    assert_eq!((report.seen, report.foreign), (1, 1));
    assert_eq!(w.left().names(), ["mine.jpg"].into());
}

#[tokio::test]
async fn a_label_means_one_user_for_good() {
    let w = world(Shape::v2_7_2(), |l, user| {
        photo(l, user, "/a.jpg", 0, 200);
    })
    .await;
    w.stage().await;
    let (other, nameless) = w.fake.with_library(|l| {
        let ben = l.add_user("Ben");
        let read = ["asset.read", "face.read", "asset.download"];
        (
            l.add_key(ben, "his", &["all"]),
            l.add_key(w.user, "nameless", &read),
        )
    });
    let none = CancelToken::default();
    let client = w.client_with(&other, support::fast());
    let error = stage_into(w.dir.path(), &client, |_| {}, &none)
        .await
        .unwrap_err();
    assert!(matches!(error, StagingError::OtherUser { .. }), "{error}");
    // Nor is one user staged under two labels: all photos would be copies of the first's.
    let again = |s: &mut faceset_staging::StageSettings| "Anna".clone_into(&mut s.label);
    let error = stage_into(w.dir.path(), &w.client(), again, &none)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("use --user anna"), "{error}");
    let folders = std::fs::read_dir(w.dir.path().join("immich")).unwrap();
    let mut folders = folders.map(|folder| folder.unwrap().file_name());
    assert!(folders.all(|name| name == "anna"));
    // Without user.read the file says who it is, and a new label cannot be told.
    let client = w.client_with(&nameless, support::fast());
    let report = stage_into(w.dir.path(), &client, |_| {}, &none)
        .await
        .unwrap();
    assert_eq!(report.count(Bucket::StagedBefore), 1);
    let elsewhere = tempfile::tempdir().unwrap();
    let error = stage_into(elsewhere.path(), &client, |_| {}, &none)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("user.read"), "{error}");
}

#[tokio::test]
async fn missing_permissions_are_named_before_anything_is_done() {
    let w = world(Shape::v2_7_2(), |_, _| {}).await;
    let key = w
        .fake
        .with_library(|l| l.add_key(w.user, "weak", &["asset.read", "user.read"]));
    let client = w.client_with(&key, support::fast());
    let error = stage_into(w.dir.path(), &client, |_| {}, &CancelToken::default())
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("face.read, asset.download"),
        "{error}"
    );
    assert!(!error.is_outage());
    assert_eq!(w.fake.n_requests("/search"), 0);
}

#[tokio::test]
async fn what_this_build_cannot_decode_comes_as_the_server_renders_it() {
    let w = world(Shape::v2_7_2(), |l, user| {
        let raw = photo(l, user, "/data/library/anna/IMG_1.NEF", 0, 200);
        l.update_asset(raw, |a| a.mime = "image/x-nikon-nef".to_owned());
        let avif = photo(l, user, "/data/library/anna/liar.jpg", 1, 200);
        set_bytes(
            l,
            avif,
            b"\x00\x00\x00\x1Cftypavif\x00\x00\x00\x00avifmif1miaf",
        );
        // The name lied to the server, too: its full size is the original again.
        let liar = photo(l, user, "/data/library/anna/worse.jpg", 4, 200);
        set_bytes(
            l,
            liar,
            b"\x00\x00\x00\x1Cftypavif\x00\x00\x00\x00avifmif1more",
        );
        l.update_asset(avif, |a| a.mime = "image/avif".to_owned());
        let heic = photo(l, user, "/data/library/anna/IMG_2.HEIC", 2, 200);
        l.update_asset(heic, |a| a.mime = "image/heic".to_owned());
        let soon = photo(l, user, "/data/library/anna/IMG_3.NEF", 3, 200);
        l.update_asset(soon, |a| {
            a.mime = "image/x-nikon-nef".to_owned();
            a.preview = None;
        });
    })
    .await;
    let report = w.stage().await;
    assert_eq!(report.count(Bucket::Staged), 4);
    assert_eq!(report.rendered, 3);
    assert_eq!(report.count(Bucket::NotReady), 1);
    let queue = QueueDir::new(w.dir.path().join("work/immich/anna"))
        .load()
        .unwrap();
    let rendered = |rel: &str| {
        let item = queue.items.iter().find(|i| i.rel.as_str() == rel);
        item.unwrap_or_else(|| panic!("{rel} is queued")).rendered
    };
    assert_eq!(rendered("IMG_1.NEF.jpg"), Some(Derivative::Preview));
    assert_eq!(rendered("IMG_2.HEIC"), None);
    assert_eq!(rendered("liar.jpg.jpg"), Some(Derivative::Preview));
    // Fetched before it turned out: it keeps its name.
    assert_eq!(rendered("worse.jpg"), Some(Derivative::Preview));
    // The one that was not ready is tried again, the others are done.
    w.fake.with_library(|l| {
        let soon = l
            .assets()
            .find(|a| a.path.ends_with("IMG_3.NEF"))
            .unwrap()
            .id;
        l.update_asset(soon, |a| a.preview = Some(immich_fake::Content::Noise(90)));
    });
    let second = w.stage().await;
    assert_eq!(
        (
            second.count(Bucket::Staged),
            second.count(Bucket::StagedBefore)
        ),
        (1, 4)
    );
}

#[tokio::test]
async fn heic_is_rendered_when_asked_for_and_duplicates_of_renders_are_known() {
    let w = world(Shape::v2_7_2(), |l, user| {
        let heic = photo(l, user, "/data/library/anna/IMG_2.HEIC", 2, 200);
        set_bytes(l, heic, b"heic bytes");
        l.update_asset(heic, |a| a.mime = "image/heic".to_owned());
    })
    .await;
    let report = w.stage_with(|s| s.render_heic = true).await.unwrap();
    assert_eq!((report.count(Bucket::Staged), report.rendered), (1, 1));
    assert_eq!(w.left().names(), ["IMG_2.HEIC.jpg"].into());
    w.fake.with_library(|l| {
        let copy = photo(l, w.user, "/data/library/anna/copy.HEIC", 3, 200);
        set_bytes(l, copy, b"heic bytes");
    });
    let again = w.stage_with(|s| s.render_heic = true).await.unwrap();
    assert_eq!(again.count(Bucket::DupInternal), 1);
}

#[tokio::test]
async fn names_that_clash_or_lead_outside_are_made_harmless() {
    let w = world(Shape::v2_7_2(), |l, user| {
        photo(l, user, "/data/library/anna/x.jpg", 0, 200);
        photo(l, user, "/data/library/anna/X.JPG", 1, 200);
        photo(
            l,
            user,
            "/data/library/anna/../../../../../etc/evil.jpg",
            2,
            200,
        );
        photo(l, user, "/data/library/anna/con.jpg", 3, 200);
    })
    .await;
    w.stage().await;
    let left = w.left();
    let suffixed = left
        .names()
        .into_iter()
        .find(|n| n.starts_with("X-"))
        .unwrap()
        .to_owned();
    assert_eq!(
        left.names(),
        ["x.jpg", suffixed.as_str(), "etc/evil.jpg", "con_.jpg"].into()
    );
    assert_eq!(suffixed.len(), "X-12345678.JPG".len());
}

#[tokio::test]
async fn photos_of_a_cache_and_of_other_labels_are_not_kept_twice() {
    let w = world(Shape::v2_7_2(), |l, user| {
        let first = photo(l, user, "/data/library/anna/a.jpg", 0, 200);
        set_bytes(l, first, b"shared");
        photo(l, user, "/data/library/anna/b.jpg", 1, 200);
    })
    .await;
    w.stage().await;
    let key = w.fake.with_library(|l| {
        let ben = l.add_user("Ben");
        let copy = photo(l, ben, "/data/library/ben/copy.jpg", 0, 200);
        set_bytes(l, copy, b"shared");
        photo(l, ben, "/data/library/ben/own.jpg", 1, 200);
        l.add_key(ben, "his", &["all"])
    });
    w.fake.clear_log();
    let client = w.client_with(&key, support::fast());
    let ben = |s: &mut faceset_staging::StageSettings| "ben".clone_into(&mut s.label);
    let report = stage_into(w.dir.path(), &client, ben, &CancelToken::default())
        .await
        .unwrap();
    assert_eq!(report.count(Bucket::DupCanonical), 1);
    assert_eq!(report.count(Bucket::Staged), 1);
    assert_eq!(
        w.fake.n_requests("/original"),
        1,
        "the copy is known by its checksum"
    );
}

#[tokio::test]
async fn photos_that_a_cache_knows_by_their_bytes_are_not_kept() {
    let w = world(Shape::v2_7_2(), |l, user| {
        for (nth, bytes) in [b"known", b"other"].into_iter().enumerate() {
            let path = format!("/data/library/anna/{nth}.jpg");
            let id = photo(l, user, &path, nth as i64, 200);
            set_bytes(l, id, bytes);
        }
    })
    .await;
    let cache = w.dir.path().join("all.npz");
    support::cache_with(&cache, "/photos/k.jpg", b"known");
    let staged = w.stage_with(|s| s.canonical.push(cache.clone())).await;
    let report = staged.unwrap();
    assert_eq!(report.count(Bucket::DupCanonical), 1);
    assert_eq!(w.left().names(), ["1.jpg"].into());
    let aliases = w.left().aliases;
    let alias = aliases.values().next().unwrap();
    assert!(alias.ends_with("-> /photos/k.jpg"), "{alias}");
    // Known by its checksum from now on: not fetched to be compared again.
    w.fake.clear_log();
    let again = w.stage_with(|s| s.canonical.push(cache)).await.unwrap();
    assert_eq!(again.count(Bucket::DupCanonical), 1);
    assert_eq!(w.fake.n_requests("/original"), 0);
}

#[tokio::test]
async fn what_a_worker_could_not_read_comes_as_the_server_renders_it() {
    let w = world(Shape::v2_7_2(), |l, user| {
        // Of web formats the server's full size is the original itself.
        for (nth, name) in ["odd.jpg", "fine.jpg"].into_iter().enumerate() {
            photo(
                l,
                user,
                &format!("/data/library/anna/{name}"),
                nth as i64,
                200,
            );
        }
    })
    .await;
    w.stage().await;
    let odd = w.dir.path().join("immich/anna/odd.jpg");
    let original = std::fs::read(&odd).unwrap();
    let cache = w.dir.path().join("faces.npz");
    let failed = faceset_core::FileStatus::Failed("no such variant".to_owned());
    let called = format!("{}/immich/anna/odd.jpg", support::called(w.dir.path()));
    support::cache_that_found(&cache, &called, &original, failed);
    let unread = |s: &mut faceset_staging::StageSettings| s.render_unread.push(cache.clone());
    let report = w.stage_with(unread).await.unwrap();
    assert_eq!(
        (
            report.count(Bucket::Staged),
            report.count(Bucket::StagedBefore),
            report.rendered
        ),
        (1, 1, 1)
    );
    // In the same place, and the queue says so last.
    assert_eq!(std::fs::read_dir(odd.parent().unwrap()).unwrap().count(), 2);
    let queue = QueueDir::new(w.dir.path().join("work/immich/anna"))
        .load()
        .unwrap();
    assert_eq!(queue.items.len(), 2);
    let item = queue
        .items
        .iter()
        .find(|i| i.rel.as_str() == "odd.jpg")
        .unwrap();
    let bytes = std::fs::read(&odd).unwrap();
    assert_ne!(bytes, original);
    assert_eq!(item.sha256, faceset_core::hash_bytes(&bytes));
    assert_eq!(item.rendered, Some(Derivative::Preview));
    // Once: the cache still says what it said, and the next run knows better.
    w.fake.clear_log();
    for again in [w.stage_with(unread).await.unwrap(), w.stage().await] {
        assert_eq!(again.count(Bucket::StagedBefore), 2);
    }
    assert_eq!(w.fake.n_requests("/assets/"), 0);
}

#[tokio::test]
async fn equal_files_without_a_checksum_are_found_by_their_bytes() {
    let w = world(Shape::v2_7_2(), |l, user| {
        for (nth, name) in ["a.jpg", "b.jpg"].iter().enumerate() {
            let id = photo(l, user, &format!("/mnt/{name}"), nth as i64, 200);
            set_bytes(l, id, b"external bytes");
            l.update_asset(id, |a| a.external = Some(user));
        }
    })
    .await;
    let report = w.stage_with(|s| s.workers = 1).await.unwrap();
    assert_eq!(report.count(Bucket::Staged), 1);
    assert_eq!(report.count(Bucket::DupInternal), 1);
    assert_eq!(w.left().names(), ["mnt/a.jpg"].into());
    w.fake.clear_log();
    let again = w.stage().await;
    assert_eq!(again.count(Bucket::DupInternal), 1);
    assert_eq!(w.fake.n_requests("/original"), 0);
}

#[tokio::test]
async fn a_plan_counts_the_same_and_touches_nothing() {
    let w = world(Shape::v2_7_2(), |l, user| mixture(l, user, 70)).await;
    let settings = options(w.dir.path(), |_| {}).unwrap();
    let none = CancelToken::default();
    let plan = faceset_staging::plan(&w.client(), &settings, &ctx(&none))
        .await
        .unwrap();
    assert_eq!(std::fs::read_dir(w.dir.path()).unwrap().count(), 0);
    assert_eq!(w.fake.n_requests("/original"), 0);
    let report = w.stage().await;
    assert_eq!(plan.count(Bucket::WouldFetch), report.count(Bucket::Staged));
    assert_eq!(
        plan.count(Bucket::DupInternal),
        report.count(Bucket::DupInternal)
    );
    assert_eq!(plan.count(Bucket::NoFace), report.count(Bucket::NoFace));
    assert!(plan.dry_run && !report.dry_run);
}

#[tokio::test]
async fn changed_and_lost_files_are_fetched_again_under_their_name() {
    let w = world(Shape::v2_7_2(), |l, user| {
        photo(l, user, "/data/library/anna/lost.jpg", 0, 200);
        photo(l, user, "/data/library/anna/kept.jpg", 1, 200);
    })
    .await;
    w.stage().await;
    let before = w.left();
    std::fs::remove_file(w.dir.path().join("immich/anna/lost.jpg")).unwrap();
    let report = w.stage().await;
    assert_eq!((report.refetched, report.count(Bucket::Staged)), (1, 1));
    assert_eq!(w.left(), before);
    w.fake.with_library(|l| {
        let id = l
            .assets()
            .find(|a| a.path.ends_with("kept.jpg"))
            .unwrap()
            .id;
        set_bytes(l, id, b"edited elsewhere");
    });
    w.stage().await;
    let bytes = std::fs::read(w.dir.path().join("immich/anna/kept.jpg")).unwrap();
    assert_eq!(bytes, b"edited elsewhere");
}

#[tokio::test]
async fn faces_found_later_by_the_server_are_seen_without_asking() {
    let w = world(Shape::v2_7_2(), |l, user| {
        photo(l, user, "/data/library/anna/a.jpg", 0, 0);
    })
    .await;
    assert_eq!(w.stage().await.count(Bucket::NoFace), 1);
    w.fake.with_library(|l| {
        let id = l.assets().next().unwrap().id;
        l.add_face(id, None, [0, 0, 200, 200], (1500, 1000));
    });
    assert_eq!(w.stage().await.count(Bucket::Staged), 1);
}

#[tokio::test]
async fn where_faces_cost_a_call_they_are_asked_for_again_only_on_request() {
    let w = world(Shape::v3_2(), |l, user| {
        photo(l, user, "/data/library/anna/a.jpg", 0, 0);
    })
    .await;
    assert_eq!(w.stage().await.count(Bucket::NoFace), 1);
    w.fake.with_library(|l| {
        let id = l.assets().next().unwrap().id;
        l.add_face(id, None, [0, 0, 200, 200], (1500, 1000));
    });
    assert_eq!(w.stage().await.count(Bucket::NoFace), 1);
    let again = w.stage_with(|s| s.recheck_faces = true).await.unwrap();
    assert_eq!(again.count(Bucket::Staged), 1);
}

#[tokio::test]
async fn asking_to_stop_keeps_what_was_done() {
    let w = world(Shape::v2_7_2(), |l, user| mixture(l, user, 300)).await;
    w.fake.set_latency(std::time::Duration::from_millis(15));
    let cancel = CancelToken::default();
    let stop = cancel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
        stop.cancel();
    });
    let report = stage_into(w.dir.path(), &w.client(), |_| {}, &cancel)
        .await
        .unwrap();
    assert_eq!(report.ended, Ended::Interrupted);
    assert!(report.count(Bucket::NotReached) > 0, "{report:?}");
    assert_eq!(report.counts.values().sum::<u64>(), report.seen);
    w.fake.heal();
    w.stage().await;
    let undisturbed = world(Shape::v2_7_2(), |l, user| mixture(l, user, 300)).await;
    undisturbed.stage().await;
    assert_eq!(w.left().files, undisturbed.left().files);
}

#[tokio::test]
async fn a_photo_that_fails_for_good_steps_behind_its_duplicates_at_last() {
    let w = world(Shape::v2_7_2(), |l, user| {
        let gone = photo(l, user, "/data/library/anna/gone.jpg", 0, 200);
        set_bytes(l, gone, b"same");
        l.update_asset(gone, |a| a.missing_on_disk = true);
        let copy = photo(l, user, "/data/library/anna/copy.jpg", 1, 200);
        set_bytes(l, copy, b"same");
    })
    .await;
    for _ in 0..3 {
        let report = w.stage().await;
        assert_eq!(report.count(Bucket::DownloadError), 1);
        assert_eq!(report.count(Bucket::Waiting), 1);
        assert_eq!(report.failures.len(), 1);
        assert!(report.failures[0].path.ends_with("gone.jpg"));
        assert_eq!(report.ended, Ended::Done);
    }
    let report = w.stage().await;
    assert_eq!(report.count(Bucket::Staged), 1);
    assert_eq!(report.count(Bucket::DupInternal), 1);
    assert_eq!(w.left().names(), ["copy.jpg"].into());
}

#[tokio::test]
async fn a_server_that_is_away_at_the_start_is_an_outage() {
    let mut w = world(Shape::v2_7_2(), |_, _| {}).await;
    w.fake.stop();
    let error = w.stage_with(|_| {}).await.unwrap_err();
    assert!(error.is_outage(), "{error}");
}

#[tokio::test]
async fn pages_that_make_no_sense_stop_the_run_and_do_not_count_as_photos() {
    let w = world(Shape::v2_7_2(), |l, user| mixture(l, user, 100)).await;
    w.fake.fail("/original", 1000, Fault::WebPage);
    let error = w.stage_with(|_| {}).await.unwrap_err();
    assert!(error.to_string().contains("web page"), "{error}");
    assert!(w.left().files.is_empty());
    w.fake.heal();
    let report = w.stage().await;
    assert_eq!(report.ended, Ended::Done);
    assert_eq!(report.open(), 0);
}

#[tokio::test]
async fn the_last_photos_failing_by_an_outage_end_in_a_pause() {
    let mut w = world(Shape::v2_7_2(), |l, user| {
        photo(l, user, "/data/library/anna/a.jpg", 0, 200);
    })
    .await;
    w.fake.fail(
        "/original",
        1,
        Fault::Slow(std::time::Duration::from_millis(100)),
    );
    let client = w.client();
    let root = w.dir.path().to_path_buf();
    let run =
        tokio::spawn(
            async move { stage_into(&root, &client, |_| {}, &CancelToken::default()).await },
        );
    while w.fake.n_requests("/search") < 2 {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    w.fake.stop();
    let report = run.await.unwrap().unwrap();
    assert!(matches!(report.ended, Ended::Outage(_)), "{report:?}");
    w.fake.restart().await;
    assert_eq!(w.stage().await.count(Bucket::Staged), 1);
}
