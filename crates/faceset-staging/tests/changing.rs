//! A library of 54,000 assets that changes while it is staged: nothing missed, nothing
//! twice.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use faceset_core::CancelToken;
use faceset_queue::{StateRow, read_rows};
use faceset_staging::{Bucket, Ended};
use immich_client::ClientOptions;
use immich_fake::{Churn, Shape};
use support::{fast, photo, stage_into, world};

const N: i64 = 54_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_library_of_54000_that_changes_is_seen_whole_and_once() {
    let w = world(Shape::v2_7_2(), |l, user| {
        for nth in 0..N {
            let short = if nth % 40 == 0 { 200 } else { 40 };
            let path = format!("/data/library/anna/{}/p{nth}.jpg", nth % 50);
            // Bursts: seven photos of one millisecond.
            photo(l, user, &path, nth / 7, short);
        }
    })
    .await;
    let before: BTreeSet<String> = w.fake.with_library(|l| {
        let images = l.assets().map(|asset| asset.id.to_string());
        images.collect()
    });
    w.fake.set_churn(Some((
        Churn {
            seed: 11,
            rounds: 70,
            pause_s: 3,
            touched: 200,
            trashed: 2,
            redated: 5,
            archived: 5,
            uploaded: 3,
        },
        w.user,
    )));
    // The fake answers one at a time: a page of a thousand may keep a download waiting.
    let patient = ClientOptions {
        timeout: Duration::from_secs(30),
        ..fast()
    };
    let client = w.client_with(&w.key, patient);
    let none = CancelToken::default();
    let report = stage_into(w.dir.path(), &client, |_| {}, &none)
        .await
        .unwrap();
    assert_eq!(report.ended, Ended::Done);
    assert_eq!(report.count(Bucket::NotReached), 0);
    assert_eq!(report.counts.values().sum::<u64>(), report.seen);
    assert!(!report.unsettled && !report.by_pages);

    let mut decided: BTreeMap<String, u32> = BTreeMap::new();
    let state = w.dir.path().join("work/immich/anna/state.jsonl");
    read_rows(&state, |_, row: StateRow| {
        *decided.entry(row.asset_id).or_insert(0) += 1;
    })
    .unwrap();
    let twice: Vec<_> = decided.iter().filter(|(_, n)| **n > 1).collect();
    assert_eq!(twice, Vec::<(&String, &u32)>::new());
    let there_all_along: Vec<String> = w.fake.with_library(|l| {
        let kept = l.assets().filter(|asset| !asset.trashed);
        kept.map(|asset| asset.id.to_string())
            .filter(|id| before.contains(id))
            .collect()
    });
    assert!(there_all_along.len() > 53_000);
    let missed: Vec<_> = there_all_along
        .iter()
        .filter(|id| !decided.contains_key(*id))
        .collect();
    assert_eq!(missed, Vec::<&String>::new());
    let originals: Vec<String> = w
        .fake
        .log()
        .into_iter()
        .filter(|entry| entry.request.ends_with("/original"))
        .map(|entry| entry.request)
        .collect();
    let distinct: BTreeSet<&String> = originals.iter().collect();
    assert_eq!(distinct.len(), originals.len(), "every original once");
    assert!(originals.len() as i64 > N / 40 - 200);
}

#[tokio::test]
async fn where_only_pages_are_to_be_had_passes_repeat_and_the_report_says_so() {
    let shape = Shape {
        unordered: true,
        ..Shape::v2_7_2()
    };
    let w = world(shape, |l, user| {
        for nth in 0..3000 {
            photo(l, user, &format!("/data/library/anna/p{nth}.jpg"), nth, 40);
        }
    })
    .await;
    let report = w.stage().await;
    assert_eq!((report.seen, report.by_pages), (3000, true));
    assert!(
        report.text().contains("only be listed by pages"),
        "{}",
        report.text()
    );
}
