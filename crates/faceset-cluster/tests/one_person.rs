//! One huge identity. Alone in its process, so that the process's peak memory
//! is this run's.

#![allow(clippy::unwrap_used, reason = "test helpers")]

use faceset_cluster::synthetic::{Shape, embeddings};
use faceset_cluster::{Clustering, LinkageOptions, average_linkage};
use faceset_core::{CancelToken, CosineDistance, NoProgress};
use ndarray::Array2;

fn run(rows: &Array2<f32>, edge_budget: Option<usize>) -> Clustering {
    let mut options = LinkageOptions::new(CosineDistance::constant(0.55));
    if let Some(budget) = edge_budget {
        options = options.with_edge_budget(budget);
    }
    let cancel = CancelToken::default();
    average_linkage(rows.view(), &options, &NoProgress, &cancel).unwrap()
}

/// Most memory that this process ever held.
#[cfg(target_os = "linux")]
fn peak_mb() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<usize>()
        .unwrap()
        / 1024
}

/// 200 million pairs within the threshold would be 4.8 GB; the default budget
/// is 2 million. The rows are 41 MB, their codes 10 MB.
#[test]
fn twenty_thousand_faces_of_one_person_fit_the_budget() {
    let rows = embeddings(20_000, 2, Shape::OnePerson);
    let found = run(&rows, None);
    #[cfg(target_os = "linux")]
    assert!(peak_mb() < 160, "{} MB", peak_mb());
    assert!(
        found.members(0).len() > 15_000,
        "{}",
        found.members(0).len()
    );
    assert!(found == run(&rows, Some(12_000_000)), "another budget");
}
