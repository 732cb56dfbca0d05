//! The report as a person finds it on disk: what is where, that no name becomes
//! markup, and what a second run does.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::num::NonZeroUsize;
use std::sync::atomic::Ordering;

use faceset_core::{BBox, CancelToken, CosineDistance, FaceKey, NoProgress};
use faceset_report::{
    CutLine, FaceFacts, FileProblem, Inputs, Manifests, Neighbour, ReportError, ReportOptions,
    RunSummary, apply, group, plan,
};
use support::*;

#[test]
fn names_and_paths_never_become_markup() {
    let evil = "<img src=x onerror=alert(1)>\"'&";
    let path = format!("/p/{evil}/a b#1?ü.jpg");
    let raw = raw(&[], &[on_photo(&path, 50.0)]);
    let mut named = set(
        evil,
        &[on_photo(&path, 10.0)],
        vec![drop_of(key(1), evil, 1.0, 2.0)],
    );
    named.label = Some(evil.to_owned());
    let refined = refined(vec![named], vec![]);
    let grouping = group(&Manifests {
        raw: &raw,
        refined: Some(&refined),
        swap: None,
    });
    let near = CosineDistance::constant(0.3);
    let facts = |_: &FaceKey| FaceFacts {
        own_distance: Some(near),
        nearest: Some(Neighbour {
            group: format!("{evil} there"),
            distance: near,
        }),
        ..FaceFacts::default()
    };
    let problem = FileProblem {
        path: path.as_str().into(),
        reason: evil.to_owned(),
    };
    let summary = RunSummary {
        rows: vec![(evil.to_owned(), evil.to_owned())],
        failed: vec![problem.clone()],
        skipped: vec![problem],
    };
    let options = ReportOptions {
        title: evil.to_owned(),
        out: Some("/p".to_owned()),
        cuts: vec![CutLine {
            label: evil.to_owned(),
            distance: near,
        }],
        ..ReportOptions::default()
    };
    let inputs = Inputs {
        grouping: &grouping,
        facts: &facts,
        summary: &summary,
    };
    let dir = tempfile::tempdir().unwrap();
    write(&plan(&inputs, &options), dir.path());
    for (file, bytes) in tree(dir.path()) {
        if !file.ends_with(".html") {
            continue;
        }
        let page = String::from_utf8(bytes).unwrap();
        for tag in page.split('<').skip(1) {
            let tag = tag.split('>').next().unwrap();
            // Odd parts are attribute values; nothing of ours is outside them.
            let mut parts = tag.split('"').step_by(2);
            assert!(parts.all(|p| !p.contains("onerror")), "{file}: {tag}");
            assert_eq!(tag.matches('"').count() % 2, 0, "{file}: {tag}");
        }
        assert!(page.contains("&#60;img src=x"), "{file}");
    }
    // Relative to report/, where the page is; the photo lies below the base.
    let href =
        "href=\"../%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E%22%27%26/a%20b%231%3F%C3%BC.jpg\"";
    assert!(html(dir.path(), "report/singletons.html").contains(href));
}

#[test]
fn the_same_input_gives_the_same_bytes_and_nothing_is_written_twice() {
    let k: Vec<FaceKey> = (0..40).map(key).collect();
    let raw = raw(&[&k[0..20], &k[20..30]], &k[30..40]);
    let grouping = of_raw(&raw);
    let plan = planned(&grouping, &ReportOptions::default());
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = write(&plan, a.path());
    write(&plan, b.path());
    assert_eq!(tree(a.path()), tree(b.path()));
    assert_eq!((first.thumbs_written, first.thumbs_kept), (40, 0));

    let pictures = Grey::default();
    let again = apply(
        &plan,
        &pictures,
        a.path(),
        &NoProgress,
        &CancelToken::default(),
    )
    .unwrap();
    assert_eq!((again.thumbs_written, again.thumbs_kept), (0, 40));
    assert_eq!((again.pages_written, again.removed), (0, 0));
    assert_eq!(pictures.opened.load(Ordering::SeqCst), 0);
    assert_eq!(tree(a.path()), tree(b.path()));
}

#[test]
fn a_photo_is_opened_once_for_all_its_faces() {
    let faces = [10.0, 20.0, 30.0].map(|left| on_photo("/p/group.jpg", left));
    let grouping = of_raw(&raw(&[&faces[..2]], &faces[2..]));
    let plan = planned(&grouping, &ReportOptions::default());
    let dir = tempfile::tempdir().unwrap();
    let pictures = Grey::default();
    let done = apply(
        &plan,
        &pictures,
        dir.path(),
        &NoProgress,
        &CancelToken::default(),
    )
    .unwrap();
    assert_eq!(done.thumbs_written, 3);
    assert_eq!(pictures.opened.load(Ordering::SeqCst), 1);
}

#[test]
fn a_copy_of_the_photo_serves_when_the_first_is_gone() {
    let gone = on_photo("/p/gone.jpg", 10.0);
    let copy = FaceKey {
        path: "/p/there.jpg".into(),
        bbox: BBox::from([40.0, 20.0, 60.0, 50.0]),
        ..gone.clone()
    };
    let grouping = of_raw(&raw(&[&[gone, copy]], &[]));
    let dir = tempfile::tempdir().unwrap();
    let done = write(&planned(&grouping, &ReportOptions::default()), dir.path());
    assert_eq!((done.thumbs_written, done.thumbs_missing), (2, 0));
    assert_eq!(done.failed, []);
}

#[test]
fn unreadable_photos_are_counted_shown_as_empty_frames_and_tried_again() {
    let faces = [
        on_photo("/p/gone.jpg", 10.0),
        on_photo("/p/gone.jpg", 40.0),
        // Off the picture, which is 90 pixels wide.
        on_photo("/p/fine.jpg", 500.0),
        on_photo("/p/fine.jpg", 10.0),
    ];
    let grouping = of_raw(&raw(&[&faces], &[]));
    let plan = planned(&grouping, &ReportOptions::default());
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let pictures = Grey::default();
        let done = apply(
            &plan,
            &pictures,
            dir.path(),
            &NoProgress,
            &CancelToken::default(),
        )
        .unwrap();
        assert_eq!(done.thumbs_missing, 3);
        assert_eq!(done.thumbs_written + done.thumbs_kept, 1);
        let failed: Vec<_> = done
            .failed
            .iter()
            .map(|p| (p.path.as_str(), p.reason.as_str()))
            .collect();
        assert_eq!(
            failed,
            [
                ("/p/fine.jpg", "the face's box lies outside the photo"),
                ("/p/gone.jpg", "the file is gone")
            ]
        );
        assert_eq!(pictures.opened.load(Ordering::SeqCst), 2);
    }
    let page = html(dir.path(), "report/person_001.html");
    assert_eq!(page.matches("class=\"gone\"").count(), 3);
    assert_eq!(page.matches("<img ").count(), 1);
    let index = html(dir.path(), "index.html");
    assert!(index.contains("3 faces are without a picture here, because 2 photos"));
    assert!(index.contains("the file is gone"));
}

#[test]
fn what_an_earlier_report_wrote_goes_and_what_others_wrote_stays() {
    let k: Vec<FaceKey> = (0..4).map(key).collect();
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path();
    let two = of_raw(&raw(&[&k[0..2], &k[2..4]], &[]));
    write(&planned(&two, &ReportOptions::default()), out);
    let before = tree(out);
    assert!(before.contains_key("report/person_002.html"));
    assert_eq!(before.keys().filter(|f| f.ends_with(".jpg")).count(), 4);
    std::fs::write(out.join("report/notes.html"), "mine").unwrap();
    std::fs::write(out.join("report/thumbs/keep.jpg"), "mine").unwrap();

    let one = of_raw(&raw(&[&k[0..2]], &[]));
    let done = write(&planned(&one, &ReportOptions::default()), out);
    assert_eq!((done.removed, done.thumbs_kept), (3, 2));
    let after = tree(out);
    assert!(!after.contains_key("report/person_002.html"));
    assert_eq!(after["report/notes.html"], b"mine");
    assert_eq!(after["report/thumbs/keep.jpg"], b"mine");
    let fresh = tempfile::tempdir().unwrap();
    write(&planned(&one, &ReportOptions::default()), fresh.path());
    let mut theirs = after;
    theirs.remove("report/notes.html");
    theirs.remove("report/thumbs/keep.jpg");
    assert_eq!(theirs, tree(fresh.path()));
}

#[test]
fn a_page_that_somebody_else_put_there_is_moved_aside_or_left() {
    let grouping = of_raw(&raw(&[&[key(1), key(2)]], &[]));
    let plan = planned(&grouping, &ReportOptions::default());
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path();
    std::fs::write(out.join("index.html"), "my own page").unwrap();
    // A listing that claims a file of the user, and one outside.
    std::fs::create_dir(out.join("report")).unwrap();
    std::fs::write(out.join("report/old_page.html"), "mine too").unwrap();
    std::fs::write(out.join("photo.jpg"), "a photo").unwrap();
    let listing =
        r#"{"version": 1, "files": ["report/old_page.html", "photo.jpg", "report/../photo.jpg"]}"#;
    std::fs::write(out.join("report/files.json"), listing).unwrap();

    let done = write(&plan, out);
    assert_eq!(done.moved_aside, [out.join("_dropped/index.html")]);
    assert_eq!(html(out, "_dropped/index.html"), "my own page");
    assert!(html(out, "index.html").contains("person_001"));
    assert_eq!(html(out, "report/old_page.html"), "mine too");
    assert_eq!(html(out, "photo.jpg"), "a photo");
    assert_eq!(done.removed, 0);
}

#[test]
fn a_listing_that_cannot_be_read_removes_nothing_and_a_newer_one_is_refused() {
    let grouping = of_raw(&raw(&[&[key(1), key(2)]], &[]));
    let plan = planned(&grouping, &ReportOptions::default());
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path();
    std::fs::create_dir(out.join("report")).unwrap();
    std::fs::write(out.join("report/files.json"), "{").unwrap();
    assert_eq!(write(&plan, out).removed, 0);

    // A newer version may list files in another way.
    std::fs::write(
        out.join("report/files.json"),
        r#"{"version": 2, "files": {}}"#,
    )
    .unwrap();
    let before = tree(out);
    let pictures = Grey::default();
    let error = apply(&plan, &pictures, out, &NoProgress, &CancelToken::default()).unwrap_err();
    assert!(
        matches!(
            error,
            ReportError::TooNew {
                found: 2,
                supported: 1,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(tree(out), before);
}

#[test]
fn a_stop_keeps_the_old_pages_and_the_next_run_finishes() {
    let k: Vec<FaceKey> = (0..4).map(key).collect();
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path();
    write(
        &planned(&of_raw(&raw(&[&k[0..2]], &[])), &ReportOptions::default()),
        out,
    );
    let index = html(out, "index.html");
    let plan = planned(&of_raw(&raw(&[&k[1..4]], &[])), &ReportOptions::default());
    let cancel = CancelToken::default();
    cancel.cancel();
    let stopped = apply(&plan, &Grey::default(), out, &NoProgress, &cancel).unwrap();
    assert!(stopped.cancelled && stopped.thumbs_written == 0);
    assert_eq!(html(out, "index.html"), index);

    write(&plan, out);
    let fresh = tempfile::tempdir().unwrap();
    write(&plan, fresh.path());
    assert_eq!(tree(out), tree(fresh.path()));
}

#[test]
fn long_lists_are_cut_into_pages_that_link_to_each_other() {
    let k: Vec<FaceKey> = (0..23).map(key).collect();
    let persons: Vec<&[FaceKey]> = vec![&k[0..9], &k[9..11], &k[11..13], &k[13..15], &k[15..17]];
    let grouping = of_raw(&raw(&persons, &k[17..23]));
    let options = ReportOptions {
        faces_per_page: NonZeroUsize::new(4).unwrap(),
        groups_per_page: NonZeroUsize::new(2).unwrap(),
        ..ReportOptions::default()
    };
    let plan = planned(&grouping, &options);
    let pages: Vec<(&str, usize, usize)> = plan
        .pages
        .iter()
        .map(|p| (p.file.as_str(), p.from, p.to))
        .collect();
    assert_eq!(
        pages[..9],
        [
            ("index.html", 0, 2),
            ("report/overview-p2.html", 2, 4),
            ("report/overview-p3.html", 4, 5),
            ("report/singletons.html", 0, 4),
            ("report/singletons-p2.html", 4, 6),
            ("report/no-face.html", 0, 1),
            ("report/person_001.html", 0, 4),
            ("report/person_001-p2.html", 4, 8),
            ("report/person_001-p3.html", 8, 9),
        ]
    );
    let dir = tempfile::tempdir().unwrap();
    write(&plan, dir.path());
    let index = html(dir.path(), "index.html");
    assert!(index.contains(">Groups 1 to 2 of 5<"), "{index}");
    assert!(index.contains("href=\"report/overview-p2.html\""));
    let second = html(dir.path(), "report/person_001-p2.html");
    assert!(second.contains("Faces (continued) <small>4 of 9 faces</small>"));
    assert!(second.contains("href=\"person_001.html\""));
    assert!(second.contains("<span aria-current=\"page\">2</span>"));
    assert!(second.contains("href=\"../index.html\""));
}

#[test]
fn every_link_leads_to_a_file_of_the_report() {
    let k: Vec<FaceKey> = (0..12).map(key).collect();
    let grouping = of_raw(&raw(&[&k[0..5], &k[5..8]], &k[8..12]));
    let other = |key: &FaceKey| FaceFacts {
        nearest: Some(Neighbour {
            group: if key.path.as_str() < "/p/photo_5" {
                "person_002"
            } else {
                "person_001"
            }
            .to_owned(),
            distance: CosineDistance::constant(0.5),
        }),
        ..FaceFacts::default()
    };
    let inputs = Inputs {
        grouping: &grouping,
        facts: &other,
        summary: &RunSummary::default(),
    };
    let options = ReportOptions {
        faces_per_page: NonZeroUsize::new(3).unwrap(),
        groups_per_page: NonZeroUsize::new(1).unwrap(),
        ..ReportOptions::default()
    };
    let dir = tempfile::tempdir().unwrap();
    write(&plan(&inputs, &options), dir.path());
    let mut n_links = 0;
    for (file, bytes) in tree(dir.path())
        .iter()
        .filter(|(f, _)| f.ends_with(".html"))
    {
        let page = std::str::from_utf8(bytes).unwrap();
        let folder = dir.path().join(file);
        let values = ["href=\"", "src=\""]
            .into_iter()
            .flat_map(|attribute| page.split(attribute).skip(1))
            .map(|rest| rest.split('"').next().unwrap());
        for to in values.filter(|to| !to.starts_with("file:") && !to.starts_with('#')) {
            assert!(folder.parent().unwrap().join(to).is_file(), "{file}: {to}");
            n_links += 1;
        }
    }
    assert!(n_links > 40, "{n_links}");
}

#[test]
fn groups_nearer_than_the_limit_are_shown_side_by_side_and_equal_is() {
    let k: Vec<FaceKey> = (0..6).map(key).collect();
    let grouping = of_raw(&raw(&[&k[0..2], &k[2..4], &k[4..6]], &[]));
    // Two faces each: the lower of two middle values is the smaller one.
    let at = |n: usize| [0.56, 0.551, 0.6, 0.55, 0.5501, 0.9][n];
    let to = |n: usize| {
        [
            "person_002",
            "person_002",
            "person_001",
            "person_001",
            "person_001",
            "elsewhere",
        ][n]
    };
    let facts = |key: &FaceKey| {
        let n = k.iter().position(|other| other == key).unwrap();
        FaceFacts {
            nearest: Some(Neighbour {
                group: to(n).to_owned(),
                distance: CosineDistance::new(at(n)).unwrap(),
            }),
            ..FaceFacts::default()
        }
    };
    let inputs = Inputs {
        grouping: &grouping,
        facts: &facts,
        summary: &RunSummary::default(),
    };
    let plan = plan(&inputs, &ReportOptions::default());
    let pairs: Vec<_> = plan
        .pairs
        .iter()
        .map(|p| (p.a, p.b, p.distance.get()))
        .collect();
    assert_eq!(pairs, [(0, 1, 0.55)]);
    let nearest = plan.groups[2].nearest.as_ref().unwrap();
    // One vote each: the nearer one wins.
    assert_eq!((nearest.group, nearest.distance.get()), (Some(0), 0.5501));
}

#[test]
fn numbers_that_are_none_are_not_shown() {
    let grouping = of_raw(&raw(&[&[key(1), key(2)]], &[]));
    let facts = |_: &FaceKey| FaceFacts {
        det_score: Some(f32::NAN),
        face_short_px: Some(f32::INFINITY),
        blur: Some(f32::NAN),
        ..FaceFacts::default()
    };
    let inputs = Inputs {
        grouping: &grouping,
        facts: &facts,
        summary: &RunSummary::default(),
    };
    let dir = tempfile::tempdir().unwrap();
    write(&plan(&inputs, &ReportOptions::default()), dir.path());
    let page = html(dir.path(), "report/person_001.html");
    assert!(!page.contains("NaN") && !page.contains("inf"), "{page}");
    // The box is 30 by 40.
    assert!(page.contains("30 px"));
}

#[test]
fn a_run_without_any_face_is_a_page_that_says_so() {
    let dir = tempfile::tempdir().unwrap();
    write(
        &planned(&of_raw(&raw(&[], &[])), &ReportOptions::default()),
        dir.path(),
    );
    let index = html(dir.path(), "index.html");
    assert!(index.contains("No two faces were near enough"));
    assert!(index.contains("href=\"report/no-face.html\""));
    assert!(html(dir.path(), "report/no-face.html").contains("/p/tree.jpg"));
}

#[test]
fn a_set_of_photos_only_has_a_page_that_says_so() {
    let raw = raw(&[], &[]);
    let refined = refined(vec![set("faceset_020", &[], vec![])], vec![]);
    let grouping = group(&Manifests {
        raw: &raw,
        refined: Some(&refined),
        swap: None,
    });
    let dir = tempfile::tempdir().unwrap();
    write(&planned(&grouping, &ReportOptions::default()), dir.path());
    assert!(
        html(dir.path(), "report/faceset_020.html").contains("photos of this set but no faces")
    );
}
