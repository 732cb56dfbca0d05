//! The walk loses and doubles nothing, whatever the library does meanwhile.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use immich_client::{
    Asset, Client, SearchFilter, ServerVersion, Visibility, WalkOptions, WalkReport, WalkStrategy,
};
use immich_fake::{Churn, Fault, Library, Shape, Uuid};
use proptest::prelude::*;
use support::{T0, world};

async fn walk(client: &Client, options: WalkOptions) -> (BTreeMap<String, u32>, WalkReport) {
    let mut walk = client.walk(options);
    let mut times = BTreeMap::new();
    loop {
        match walk.next().await {
            Ok(Some(assets)) => count(&mut times, assets),
            Ok(None) => return (times, walk.report().clone()),
            // A walk goes on where it failed.
            Err(error) => assert_eq!(error.kind(), immich_client::ErrorKind::Outage),
        }
    }
}

fn count(times: &mut BTreeMap<String, u32>, assets: Vec<Asset>) {
    for asset in assets {
        *times.entry(asset.id.to_string()).or_default() += 1;
    }
}

fn small_pages(page_size: u32) -> WalkOptions {
    WalkOptions {
        page_size,
        ..WalkOptions::default()
    }
}

fn standing(library: &Library) -> BTreeSet<String> {
    let standing = library.assets().filter(|asset| !asset.trashed);
    standing.map(|asset| asset.id.to_string()).collect()
}

/// All that stood from the beginning to the end came, and everything came once.
fn nothing_lost(
    times: &BTreeMap<String, u32>,
    before: &BTreeSet<String>,
    after: &BTreeSet<String>,
) {
    let lost: Vec<&String> = before
        .intersection(after)
        .filter(|id| !times.contains_key(*id))
        .collect();
    assert!(lost.is_empty(), "{} lost, such as {}", lost.len(), lost[0]);
    let doubled = times.values().filter(|n| **n != 1).count();
    assert_eq!(doubled, 0, "doubled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changing_library_of_54000_is_walked_without_loss_or_double() {
    let w = world(Shape::v2_7_2(), 0).await;
    let client = support::client_with(&w.fake, &w.key, immich_client::ClientOptions::default());
    w.fake.with_library(|library| {
        // Bursts of many photos in one second, some within one millisecond, and one
        // import of 2,500 with a single date: ties longer than a page.
        for n in 0..54_000i64 {
            let taken = match n {
                20_000..22_500 => T0 + 20_000 * 250_000,
                _ => T0 + n / 40 * 10_000_000 + n % 40 / 4 * 300,
            };
            library.add_photo(w.user, &format!("p{n}.jpg"), taken);
        }
        library.advance_clock_s(3600);
    });
    let churn = Churn {
        seed: 54,
        rounds: 65,
        pause_s: 2,
        touched: 40,
        trashed: 3,
        redated: 5,
        archived: 2,
        uploaded: 2,
    };
    w.fake.set_churn(Some((churn, w.user)));
    let before = w.fake.with_library(|library| standing(library));
    let (times, report) = walk(&client, WalkOptions::default()).await;
    let after = w.fake.with_library(|library| standing(library));

    assert!(
        before.difference(&after).count() > 100,
        "the library did not change"
    );
    nothing_lost(&times, &before, &after);
    assert_eq!(report.n_assets, times.len() as u64);
    assert_eq!(report.strategy, WalkStrategy::Keyset);
    // Without catching up, assets that were redated or archived behind our back
    // would be missing: this is what makes the catch-up worth its place.
    assert!(report.n_late > 0, "{report:?}");
    assert!(report.n_requests < 90, "{report:?}");
    assert!(!report.unsettled, "{report:?}");
}

#[tokio::test]
async fn quiet_library_costs_one_more_request_per_visibility() {
    let w = world(Shape::v2_7_2(), 10).await;
    w.fake
        .with_library(|l| l.update_asset(w.photos[3], |a| a.visibility = "archive"));
    w.fake.with_library(|l| l.advance_clock_s(3600));
    let (times, report) = walk(&w.client, small_pages(1000)).await;
    assert_eq!(times.len(), 10);
    assert_eq!(
        (report.n_requests, report.n_late, report.unsettled),
        (4, 0, false)
    );
}

#[tokio::test]
async fn an_asset_redated_behind_the_cursor_is_still_found() {
    let w = world(Shape::v2_7_2(), 6).await;
    w.fake.with_library(|l| l.advance_clock_s(3600));
    let mut walk = w.client.walk(small_pages(3));
    let first = walk.next().await.unwrap().unwrap();
    assert_eq!(first.len(), 3);
    w.fake
        .with_library(|l| l.update_asset(w.photos[5], |a| a.taken_us = T0 - 1));
    let mut times = BTreeMap::new();
    count(&mut times, first);
    while let Some(assets) = walk.next().await.unwrap() {
        count(&mut times, assets);
    }
    assert_eq!(times.len(), 6);
    assert_eq!(walk.report().n_late, 1);
}

#[tokio::test]
async fn ties_longer_than_a_page_come_whole_though_rows_move() {
    let w = world(Shape::v2_7_2(), 0).await;
    w.fake.with_library(|library| {
        // 50 in one millisecond, told apart by microseconds only in the database.
        for n in 0..50 {
            library.add_photo(w.user, "tie.jpg", T0 + n * 13);
        }
        library.add_photo(w.user, "later.jpg", T0 + 1000);
        library.advance_clock_s(3600);
    });
    let churn = Churn {
        seed: 9,
        touched: 6,
        ..Churn::default()
    };
    w.fake.set_churn(Some((churn, w.user)));
    let options = WalkOptions {
        max_catch_ups: 0,
        ..small_pages(7)
    };
    let (times, report) = walk(&w.client, options).await;
    assert_eq!(times.len(), 51);
    assert_eq!(report.n_assets, 51);
}

#[tokio::test]
async fn owners_are_told_apart_and_counted() {
    let w = world(Shape::v2_7_2(), 2).await;
    w.fake.with_library(|library| {
        let other = library.add_user("Bea");
        library.add_partner(w.user, other);
        library.add_photo(other, "theirs.jpg", T0 + 5);
    });
    let mine = w.client.me().await.unwrap().id;
    let options = WalkOptions {
        owner: Some(mine),
        ..WalkOptions::default()
    };
    let (times, report) = walk(&w.client, options).await;
    assert_eq!((times.len(), report.n_foreign), (2, 1));
    assert_eq!(walk(&w.client, WalkOptions::default()).await.0.len(), 3);
}

#[tokio::test]
async fn every_release_gives_timeline_and_archive() {
    for shape in [Shape::v1_118(), Shape::v2_7_2(), Shape::v3_2()] {
        let (major, minor, patch) = shape.version;
        let w = world(shape, 30).await;
        w.fake
            .with_library(|l| l.update_asset(w.photos[7], |a| a.visibility = "archive"));
        let version = ServerVersion::new(major, minor, patch);
        let mut options = WalkOptions::for_version(&version, SearchFilter::default());
        options.page_size = 8;
        let (times, report) = walk(&w.client, options).await;
        assert_eq!(times.len(), 30, "{version}");
        assert!(times.values().all(|n| *n == 1));
        assert!(!report.unsettled);
    }
}

#[tokio::test]
async fn walk_survives_faults_and_continues_after_errors() {
    let w = world(Shape::v2_7_2(), 200).await;
    w.fake.set_random_faults(Some(immich_fake::RandomFaults {
        seed: 5,
        per_mille: 700,
        kinds: vec![
            Fault::Status(502),
            Fault::Reset,
            Fault::CutOff,
            Fault::LostAnswer,
        ],
    }));
    let (times, report) = walk(&w.client, small_pages(20)).await;
    assert_eq!(times.len(), 200);
    assert!(times.values().all(|n| *n == 1));
    assert!(
        w.client.stats().n_failed > 0,
        "no call failed for good: raise the rate"
    );
    assert_eq!(report.n_assets, 200);
}

#[tokio::test]
async fn servers_that_do_not_order_by_time_are_walked_by_pages_until_nothing_is_new() {
    let w = world(
        Shape {
            unordered: true,
            ..Shape::v2_7_2()
        },
        25,
    )
    .await;
    let (times, report) = walk(&w.client, small_pages(4)).await;
    assert_eq!(times.len(), 25);
    assert!(times.values().all(|n| *n == 1));
    assert_eq!(report.strategy, WalkStrategy::Pages);
    assert!(!report.unsettled);
}

#[tokio::test]
async fn no_visibility_and_an_empty_library_end_at_once() {
    let w = world(Shape::v2_7_2(), 0).await;
    let none = WalkOptions {
        visibilities: Vec::new(),
        ..WalkOptions::default()
    };
    assert_eq!(walk(&w.client, none).await.1.n_requests, 0);
    let hidden = WalkOptions {
        visibilities: vec![Some(Visibility::Hidden)],
        ..WalkOptions::default()
    };
    let (times, report) = walk(&w.client, hidden).await;
    assert!(times.is_empty());
    assert!(report.n_requests <= 2);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Against the obvious oracle: the set of what stood all the while.
    #[test]
    fn random_libraries_under_random_churn_lose_nothing(
        steps in prop::collection::vec(0i64..5, 0..120),
        page_size in 1u32..20,
        seed in any::<u64>(),
        touched in 0u32..4,
        trashed in 0u32..2,
        redated in 0u32..2,
        rounds in 1u64..60,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let w = world(Shape::v2_7_2(), 0).await;
            w.fake.with_library(|library| {
                let mut taken = T0;
                for step in steps {
                    // Steps of 0 to 1.6 ms: ties in the API's milliseconds abound.
                    taken += step * 400;
                    let _: Uuid = library.add_photo(w.user, "p.jpg", taken);
                }
                library.advance_clock_s(3600);
            });
            // The library changes for a while and then comes to rest.
            let churn = Churn { seed, rounds, pause_s: 10, touched, trashed, redated, ..Churn::default() };
            w.fake.set_churn(Some((churn, w.user)));
            let before = w.fake.with_library(|library| standing(library));
            let options = WalkOptions { max_catch_ups: 20, ..small_pages(page_size) };
            let (times, report) = walk(&w.client, options).await;
            let after = w.fake.with_library(|library| standing(library));
            nothing_lost(&times, &before, &after);
            assert_eq!(report.n_assets, times.len() as u64);
        });
    }
}

#[tokio::test]
async fn a_library_that_never_rests_is_reported_as_unsettled() {
    let w = world(Shape::v2_7_2(), 60).await;
    let churn = Churn {
        seed: 2,
        pause_s: 1,
        touched: 30,
        redated: 2,
        ..Churn::default()
    };
    w.fake.set_churn(Some((churn, w.user)));
    let (times, report) = walk(&w.client, small_pages(5)).await;
    assert!(times.values().all(|n| *n == 1));
    assert!(report.unsettled);
}
