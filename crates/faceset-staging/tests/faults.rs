//! A server and a disk that misbehave: in the end everything is as if they had not.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test")]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use faceset_core::CancelToken;
use faceset_staging::{Bucket, Ended, StageReport};
use immich_fake::{Fault, RandomFaults, Shape};
use support::{Left, World, mixture, photo, stage_into, world};

const N: i64 = 400;

async fn mixed(shape: Shape) -> World {
    world(shape, |l, user| mixture(l, user, N)).await
}

async fn undisturbed(shape: Shape) -> Left {
    let w = mixed(shape).await;
    let report = w.stage().await;
    assert_eq!(
        (report.ended, report.counts.get(&Bucket::NotReached)),
        (Ended::Done, None)
    );
    w.left_without_root()
}

impl World {
    /// What is left, with the folder of this test out of the aliases.
    fn left_without_root(&self) -> Left {
        let mut left = self.left();
        let root = support::called(self.dir.path());
        for line in left.aliases.values_mut() {
            *line = line.replace(&root, "");
        }
        left
    }

    /// Runs until nothing is open.
    async fn stage_to_the_end(&self, most_runs: usize) -> Vec<StageReport> {
        let mut reports = Vec::new();
        for _ in 0..most_runs {
            let report = self.stage().await;
            assert_eq!(
                report.counts.values().sum::<u64>(),
                report.seen,
                "every photo in one bucket"
            );
            let done = report.open() == 0 && report.ended == Ended::Done;
            reports.push(report);
            if done {
                return reports;
            }
        }
        panic!("still open after {most_runs} runs: {:?}", reports.last());
    }

    /// Originals that were sent whole more than once.
    fn fetched_twice(&self) -> Vec<String> {
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        for entry in self.fake.log() {
            if entry.request.ends_with("/original") && entry.status == 200 && !entry.faulty {
                *counts.entry(entry.request).or_insert(0) += 1;
            }
        }
        counts
            .into_iter()
            .filter(|(_, n)| *n > 1)
            .map(|(request, _)| request)
            .collect()
    }
}

#[tokio::test]
async fn random_faults_change_nothing_but_the_time() {
    let expected = undisturbed(Shape::v2_7_2()).await;
    for seed in [1, 2] {
        let w = mixed(Shape::v2_7_2()).await;
        w.fake.set_random_faults(Some(RandomFaults {
            seed,
            per_mille: 50,
            kinds: vec![
                Fault::Status(500),
                Fault::Status(502),
                Fault::Reset,
                Fault::CutOff,
                Fault::Shortened,
                Fault::WrongByte,
            ],
        }));
        let reports = w.stage_to_the_end(8).await;
        assert!(reports.iter().map(|r| r.retried).sum::<u64>() > 0);
        assert_eq!(w.left_without_root(), expected);
        assert_eq!(w.fetched_twice(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn random_faults_do_not_change_what_v3_servers_give() {
    let expected = undisturbed(Shape::v3_2()).await;
    let w = mixed(Shape::v3_2()).await;
    w.fake.set_random_faults(Some(RandomFaults {
        seed: 5,
        per_mille: 200,
        kinds: vec![Fault::Status(500), Fault::Reset],
    }));
    let reports = w.stage_to_the_end(12).await;
    let n_faces_errors: u64 = reports.iter().map(|r| r.count(Bucket::FacesError)).sum();
    assert!(n_faces_errors > 0, "some faces failed twice in a row");
    assert_eq!(w.left_without_root(), expected);
}

#[tokio::test]
async fn a_killed_and_restarted_server_pauses_the_run_and_the_next_goes_on() {
    let expected = undisturbed(Shape::v2_7_2()).await;
    let mut w = mixed(Shape::v2_7_2()).await;
    w.fake.set_latency(Duration::from_millis(20));
    let mut n_outages = 0;
    for _ in 0..3 {
        let before = w.fake.n_requests("/original");
        let client = w.client();
        let root = w.dir.path().to_path_buf();
        let run = tokio::spawn(async move {
            stage_into(&root, &client, |s| s.workers = 8, &CancelToken::default()).await
        });
        while w.fake.n_requests("/original") < before + 30 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        w.fake.stop();
        let report = run.await.unwrap().unwrap();
        assert!(matches!(report.ended, Ended::Outage(_)), "{report:?}");
        assert!(report.count(Bucket::Staged) > 0);
        n_outages += 1;
        w.fake.restart().await;
    }
    w.fake.set_latency(Duration::ZERO);
    w.stage_to_the_end(2).await;
    assert_eq!(n_outages, 3);
    assert_eq!(w.left_without_root(), expected);
    assert_eq!(w.fetched_twice(), Vec::<String>::new());
}

#[tokio::test]
async fn a_server_that_hangs_is_left_and_come_back_to() {
    let expected = undisturbed(Shape::v2_7_2()).await;
    let w = mixed(Shape::v2_7_2()).await;
    // One hang is waited out; a server that only hangs is an outage.
    w.fake.fail("/original", 1, Fault::Hang);
    w.fake.fail("/search", 1, Fault::Hang);
    let reports = w.stage_to_the_end(2).await;
    assert_eq!(reports.len(), 1, "a hang is repeated within the run");
    assert_eq!(w.left_without_root(), expected);

    let w = mixed(Shape::v2_7_2()).await;
    w.fake.fail("GET /api/", 4, Fault::Slow(Duration::ZERO));
    w.fake.fail("/api/assets", 10_000, Fault::Hang);
    w.fake.fail("/api/api-keys", 10_000, Fault::Hang);
    let report = w.stage().await;
    assert!(matches!(report.ended, Ended::Outage(_)), "{report:?}");
    w.fake.heal();
    w.stage_to_the_end(2).await;
    assert_eq!(w.left_without_root(), expected);
}

#[tokio::test]
async fn truncated_and_wrong_bytes_are_never_kept() {
    let expected = undisturbed(Shape::v2_7_2()).await;
    for fault in [Fault::CutOff, Fault::Shortened, Fault::WrongByte] {
        let w = mixed(Shape::v2_7_2()).await;
        w.fake.fail("/original", 50, fault);
        w.stage_to_the_end(4).await;
        assert_eq!(w.left_without_root(), expected);
    }
}

#[tokio::test]
async fn maintenance_is_an_outage_and_not_the_end_of_photos() {
    let w = mixed(Shape::v2_7_2()).await;
    w.fake
        .fail("/original", 1, Fault::Slow(Duration::from_millis(150)));
    let client = w.client();
    let root = w.dir.path().to_path_buf();
    let run = tokio::spawn(async move {
        stage_into(&root, &client, |s| s.workers = 2, &CancelToken::default()).await
    });
    while w.fake.n_requests("/original") < 20 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    w.fake.set_maintenance(true);
    let report = run.await.unwrap().unwrap();
    assert!(matches!(report.ended, Ended::Outage(_)), "{report:?}");
    w.fake.heal();
    w.stage_to_the_end(2).await;
    assert_eq!(w.left_without_root(), undisturbed(Shape::v2_7_2()).await);
}

#[tokio::test]
async fn a_photo_left_whole_by_a_killed_run_is_not_fetched_again() {
    let w = world(Shape::v2_7_2(), |l, user| {
        photo(l, user, "/data/library/anna/a.jpg", 0, 200);
    })
    .await;
    w.stage().await;
    let left = w.left();
    // Killed after the rename and before a word was written.
    std::fs::remove_dir_all(w.dir.path().join("work")).unwrap();
    w.fake.clear_log();
    let report = w.stage().await;
    assert_eq!((report.adopted, report.count(Bucket::Staged)), (1, 1));
    assert_eq!(w.fake.n_requests("/original"), 0);
    assert_eq!(w.left(), left);
}

#[tokio::test]
async fn an_item_without_its_state_and_a_torn_line_are_made_good() {
    let w = mixed(Shape::v2_7_2()).await;
    w.stage().await;
    let left = w.left();
    let state = w.dir.path().join("work/immich/anna/state.jsonl");
    let text = std::fs::read_to_string(&state).unwrap();
    std::fs::write(&state, &text[..text.len() / 2 - 3]).unwrap();
    w.fake.clear_log();
    w.stage().await;
    assert_eq!(w.fake.n_requests("/original"), 0);
    assert_eq!(w.left(), left);
}

/// A file system of 64 kB: photos of 200 to 600 bytes take a block of 4 kB each.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_stops_the_run_with_everything_safe() {
    let w = world(Shape::v2_7_2(), |l, user| mixture(l, user, 120)).await;
    let disk = tempfile::tempdir().unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=128k", "none"])
        .arg(disk.path())
        .output()
        .is_ok_and(|output| output.status.success());
    if !mounted {
        use std::io::Write;
        let _ = writeln!(
            std::io::stderr(),
            "a_full_disk_stops_the_run_with_everything_safe did not run: it needs the right to mount a tmpfs"
        );
        return;
    }
    let unmount = Unmount(disk.path().to_path_buf());
    let none = CancelToken::default();
    let client = w.client();
    let error = stage_into(disk.path(), &client, |_| {}, &none)
        .await
        .unwrap_err();
    assert!(!error.is_outage(), "{error}");
    let fetched_before = w.n_fetched("/original");
    assert!(fetched_before > 5, "{fetched_before}");
    let enlarged = std::process::Command::new("mount")
        .args(["-o", "remount,size=8m"])
        .arg(disk.path())
        .status()
        .unwrap();
    assert!(enlarged.success());
    let report = stage_into(disk.path(), &client, |_| {}, &none)
        .await
        .unwrap();
    assert_eq!((report.open(), &report.ended), (0, &Ended::Done));
    let mut left = support::left(disk.path(), "anna");
    let root = support::called(disk.path());
    for line in left.aliases.values_mut() {
        *line = line.replace(&root, "");
    }
    let plain = world(Shape::v2_7_2(), |l, user| mixture(l, user, 120)).await;
    plain.stage().await;
    assert_eq!(left, plain.left_without_root());
    drop(unmount);
}

#[cfg(target_os = "linux")]
struct Unmount(std::path::PathBuf);

#[cfg(target_os = "linux")]
impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(&self.0).status();
    }
}
