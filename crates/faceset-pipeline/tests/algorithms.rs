//! `cluster` with each of its rules, on directions worked out by hand.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod planar;

use faceset_cluster::DbscanOptions;
use faceset_core::CosineDistance;
use faceset_pipeline::cluster::{Algorithm, ClusterOptions, ClusterPlan, plan};
use planar::{at, cache_at, with_ctx};
use serde_json::json;

fn grouped(angles: &[f64], algorithm: Algorithm) -> ClusterPlan {
    let dir = tempfile::tempdir().unwrap();
    let path = at(&dir, "c.npz");
    let cache = cache_at(&path, angles);
    let options = ClusterOptions {
        algorithm,
        ..ClusterOptions::default()
    };
    with_ctx(|ctx| plan(&cache, &path, &options, ctx)).unwrap()
}

/// Photos of each person by number, then those alone.
fn people(plan: &ClusterPlan) -> (Vec<Vec<String>>, Vec<String>) {
    let number = |path: &str| path["/p/".len()..path.len() - ".jpg".len()].to_owned();
    let persons = plan.manifest.persons.iter();
    (
        persons
            .map(|p| p.images.iter().map(|i| number(i.as_str())).collect())
            .collect(),
        plan.manifest
            .singletons
            .iter()
            .map(|k| number(k.path.as_str()))
            .collect(),
    )
}

fn density(degrees: f64, min_points: usize) -> DbscanOptions {
    let eps = CosineDistance::new(1.0 - degrees.to_radians().cos()).unwrap();
    DbscanOptions::new(eps, min_points).unwrap()
}

/// A row of faces, 20 degrees from one to the next, and one far away.
const ROW: [f64; 6] = [0.0, 20.0, 40.0, 60.0, 80.0, 180.0];

#[test]
fn density_follows_a_chain_that_averages_cut() {
    let (persons, alone) = people(&grouped(&ROW, Algorithm::Dbscan(density(21.0, 3))));
    assert_eq!(persons, [["000", "001", "002", "003", "004"]]);
    assert_eq!(alone, ["005"]);
    // Averages: neighbours join at 0.06, and the ends of the row, 0.83 apart,
    // do not come below the default of 0.55.
    let by_average = grouped(&[0.0, 20.0, 100.0, 120.0], Algorithm::Linkage);
    assert_eq!(people(&by_average).0, [["000", "001"], ["002", "003"]]);
}

#[test]
fn assignment_in_order_keeps_two_persons_that_density_joins() {
    // Two trios 18 degrees apart; the last face lies between them.
    let angles = [0.0, 1.0, 2.0, 20.0, 21.0, 22.0, 10.5];
    let in_order = grouped(&angles, Algorithm::Immich(density(10.0, 3)));
    let (persons, alone) = people(&in_order);
    assert_eq!(persons[0], ["000", "001", "002", "006"]);
    assert_eq!(persons[1], ["003", "004", "005"]);
    assert!(alone.is_empty());
    let joined = grouped(&angles, Algorithm::Dbscan(density(10.0, 3)));
    assert_eq!(people(&joined).0.len(), 1);
}

#[test]
fn every_face_is_in_one_person_or_alone_and_the_manifest_says_by_which_rule() {
    for algorithm in [
        Algorithm::Linkage,
        Algorithm::Dbscan(DbscanOptions::DOC),
        Algorithm::Immich(DbscanOptions::IMMICH),
    ] {
        let plan = grouped(&ROW, algorithm);
        let report = plan.report();
        assert_eq!(report.faces, 6, "{algorithm:?}");
        assert_eq!(report.grouped_faces + report.singletons, 6);
    }
    let params = |algorithm| grouped(&ROW, algorithm).manifest.params;
    assert_eq!(
        params(Algorithm::Linkage),
        json!({"threshold": 0.55, "linkage": "average", "metric": "cosine"})
    );
    assert_eq!(
        params(Algorithm::Dbscan(DbscanOptions::DOC)),
        json!({"algorithm": "dbscan", "eps": 0.6, "min_points": 3, "metric": "cosine"})
    );
    assert_eq!(
        params(Algorithm::Immich(DbscanOptions::IMMICH)),
        json!({"algorithm": "immich", "eps": 0.5, "min_points": 3, "metric": "cosine"})
    );
}
