//! Every face has one home, and is shown there once.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use faceset_core::manifest::{RawManifest, RefineManifest, Reserved, SwapReadyManifest};
use faceset_core::{CancelToken, FaceKey, NoProgress};
use faceset_report::{
    ExportState, GroupKind, Grouping, Manifests, ReportOptions, Standing, apply, group,
};
use proptest::prelude::*;
use serde_json::{Map, json};
use support::*;

fn standings(grouping: &Grouping, group: usize) -> Vec<(String, String)> {
    grouping.groups[group]
        .faces
        .iter()
        .map(|f| {
            let standing = match &f.standing {
                Standing::Exported { rank, .. } => format!("rank {rank}"),
                Standing::Kept => "kept".to_owned(),
                Standing::Dropped { reason, .. } => reason.clone(),
            };
            (f.key.path.to_string(), standing)
        })
        .collect()
}

fn pairs_of(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter()
        .map(|(a, b)| (format!("/p/photo_{a}.jpg"), (*b).to_owned()))
        .collect()
}

#[test]
fn each_face_has_the_home_that_the_latest_step_gave_it() {
    let k: Vec<FaceKey> = (0..10).map(key).collect();
    let raw = raw(&[&k[0..4], &k[4..6], &k[6..8]], &k[8..10]);
    let mut small = set(
        "group_001",
        &k[4..5],
        vec![drop_of(k[5].clone(), "min_blur", 3.0, 40.0)],
    );
    let why = json!({"reason": "min_faces", "value": 1, "limit": 15});
    small.extra.insert("rejected".to_owned(), why);
    // The centroid stage brought the singleton 8 into the set.
    let members = [k[0].clone(), k[1].clone(), k[2].clone(), k[8].clone()];
    let drops = vec![drop_of(k[3].clone(), "min_short", 64.0, 90.0)];
    let refined = refined(vec![set("faceset_001", &members, drops)], vec![small]);
    // The export saw a face of person_003 on one of the set's photos.
    let seen = vec![
        drop_of(k[6].clone(), "outlier", 0.9, 0.45),
        drop_of(k[1].clone(), "near_duplicate", 0.97, 0.95),
    ];
    let ranked = [k[2].clone(), k[0].clone()];
    let swap = SwapReadyManifest {
        facesets: vec![swap_set("faceset_001", &ranked, seen)],
        ..SwapReadyManifest::default()
    };
    let grouping = group(&Manifests {
        raw: &raw,
        refined: Some(&refined),
        swap: Some(&swap),
    });

    let names: Vec<&str> = grouping.groups.iter().map(|g| g.name.as_str()).collect();
    assert_eq!(names, ["faceset_001", "group_001", "person_003"]);
    assert_eq!(
        standings(&grouping, 0),
        pairs_of(&[
            ("2", "rank 1"),
            ("0", "rank 2"),
            ("8", "kept"),
            ("3", "min_short"),
            ("1", "near_duplicate")
        ])
    );
    assert_eq!(
        standings(&grouping, 1),
        pairs_of(&[("4", "kept"), ("5", "min_blur")])
    );
    assert_eq!(
        standings(&grouping, 2),
        pairs_of(&[("6", "kept"), ("7", "kept")])
    );
    assert_eq!(grouping.singletons, [k[9].clone()]);
    assert_eq!((grouping.n_faces(), grouping.n_repeated), (10, 0));
    assert_eq!(grouping.groups[0].sources, [("person_001".to_owned(), 4)]);
    assert_eq!(grouping.groups[0].export, ExportState::Exported);
    let rejected = GroupKind::Rejected {
        reason: "min_faces".to_owned(),
        value: Some(1.0),
        limit: Some(15.0),
    };
    assert_eq!(grouping.groups[1].kind, rejected);
}

#[test]
fn sets_stand_in_the_order_of_their_numbers_and_say_why_they_were_not_exported() {
    let k: Vec<FaceKey> = (0..6).map(key).collect();
    let raw = raw(&[], &[]);
    let facesets = vec![
        set("faceset_1000", &k[0..1], vec![]),
        set("faceset_020", &k[1..2], vec![]),
    ];
    let refined = refined(facesets, vec![]);
    let swap = SwapReadyManifest {
        facesets: vec![swap_set("faceset_007", &k[2..4], vec![])],
        // Face 2 is at its first set already.
        thin_eras: vec![swap_set(
            "faceset_007_2018-19",
            &[k[4].clone(), k[2].clone()],
            vec![],
        )],
        reserved: vec![Reserved {
            name: "faceset_020".to_owned(),
            reason: "consent denied".to_owned(),
            extra: Map::new(),
        }],
        ..SwapReadyManifest::default()
    };
    let grouping = group(&Manifests {
        raw: &raw,
        refined: Some(&refined),
        swap: Some(&swap),
    });
    let found: Vec<_> = grouping
        .groups
        .iter()
        .map(|g| {
            (
                g.name.as_str(),
                g.kind.clone(),
                g.export.clone(),
                g.faces.len(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("faceset_007", GroupKind::Set, ExportState::Exported, 2),
            (
                "faceset_007_2018-19",
                GroupKind::ThinEra,
                ExportState::Exported,
                1
            ),
            (
                "faceset_020",
                GroupKind::Set,
                ExportState::Reserved("consent denied".to_owned()),
                1
            ),
            ("faceset_1000", GroupKind::Set, ExportState::Missing, 1),
        ]
    );
    assert_eq!(grouping.n_repeated, 1);
}

/// What a random manifest says of face `n`: its raw place, its refined place,
/// whether the set's export has it, drops it, or does not know it.
type Fate = (u8, u8, u8);

fn town(fates: &[Fate]) -> (RawManifest, RefineManifest, SwapReadyManifest) {
    let pick = |want: &dyn Fn(&Fate) -> bool| -> Vec<FaceKey> {
        let of = fates.iter().enumerate().filter(|(_, f)| want(f));
        of.map(|(n, _)| key(n)).collect()
    };
    let persons: Vec<Vec<FaceKey>> = (1..4).map(|p| pick(&|f| f.0 == p)).collect();
    let persons: Vec<&[FaceKey]> = persons.iter().map(Vec::as_slice).collect();
    let raw = raw(&persons, &pick(&|f| f.0 == 0));
    let drops = |keys: Vec<FaceKey>, reason: &str| {
        keys.into_iter()
            .map(|k| drop_of(k, reason, 1.0, 2.0))
            .collect::<Vec<_>>()
    };
    let sets = (1..3).map(|s| {
        let name = format!("faceset_{s:03}");
        set(
            &name,
            &pick(&|f| f.1 == s),
            drops(pick(&|f| f.1 == s + 2), "min_short"),
        )
    });
    let refined = refined(
        sets.collect(),
        vec![set("group_001", &pick(&|f| f.1 == 5), vec![])],
    );
    let exports = (1..3).map(|s| {
        let name = format!("faceset_{s:03}");
        // A face that only the export drops may be anybody's.
        let dropped = drops(pick(&|f| f.2 == s + 2), "outlier");
        swap_set(&name, &pick(&|f| f.2 == s), dropped)
    });
    let swap = SwapReadyManifest {
        facesets: exports.collect(),
        ..SwapReadyManifest::default()
    };
    (raw, refined, swap)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_face_is_in_exactly_one_section_of_one_page(
        fates in proptest::collection::vec((0_u8..5, 0_u8..6, 0_u8..5), 0..60),
        per_page in 1_usize..9,
    ) {
        let (raw, refined, swap) = town(&fates);
        let grouping = group(&Manifests { raw: &raw, refined: Some(&refined), swap: Some(&swap) });
        // The slow way: everybody whom any manifest names (a raw place of 4 is
        // no place).
        let named: BTreeSet<String> = fates
            .iter()
            .enumerate()
            .filter(|(_, f)| f.0 < 4 || f.1 > 0 || f.2 > 0)
            .map(|(n, _)| key(n).path.to_string())
            .collect();
        let options = ReportOptions {
            faces_per_page: NonZeroUsize::new(per_page).unwrap(),
            ..ReportOptions::default()
        };
        let plan = planned(&grouping, &options);
        let t = plan.totals;
        prop_assert_eq!(t.faces, named.len());
        prop_assert_eq!(t.exported + t.kept + t.dropped + t.singletons, t.faces);
        prop_assert_eq!(t.photos, named.len());
        prop_assert_eq!(t.exported, fates.iter().filter(|f| (1..3).contains(&f.2)).count());

        let dir = tempfile::tempdir().unwrap();
        let cancel = CancelToken::default();
        apply(&plan, &Blind, dir.path(), &NoProgress, &cancel).unwrap();
        let pages = face_pages(dir.path());
        let shown: Vec<&str> = pages
            .split("<span class=\"more\"><span>")
            .skip(1)
            .map(|part| part.split('<').next().unwrap())
            .collect();
        let distinct: BTreeSet<String> = shown.iter().map(|s| (*s).to_owned()).collect();
        prop_assert_eq!(shown.len(), named.len());
        prop_assert_eq!(distinct, named);
        for page in pages.split("<!DOCTYPE html>") {
            prop_assert!(page.matches("<li class=\"face ").count() <= per_page);
        }
    }
}
