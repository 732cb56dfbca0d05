//! The groups are scikit-learn's, whatever the kernel, ladder, budget, number
//! of threads or order of the rows.
//!
//! Fixtures are made by `benches/compare/golden.py`; the rows are made again
//! from the seed. 20,000 rows are not there for show: three mistakes in the
//! lazy chain of an earlier prototype left the groups of 5,000 rows unchanged.

#![allow(
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    reason = "test helpers; views are passed as ndarray does"
)]

use std::path::Path;

use faceset_cluster::synthetic::{Shape, embeddings};
use faceset_cluster::{Clustering, KernelKind, LinkageOptions, average_linkage};
use faceset_core::{CancelToken, CosineDistance, NoProgress};
use ndarray::{Array2, ArrayView2, Axis};

fn options(threshold: f64) -> LinkageOptions {
    LinkageOptions::new(CosineDistance::new(threshold).unwrap())
}

fn ladder(rungs: &[f64]) -> Vec<CosineDistance> {
    rungs
        .iter()
        .map(|&t| CosineDistance::new(t).unwrap())
        .collect()
}

fn run(rows: ArrayView2<'_, f32>, options: &LinkageOptions) -> Clustering {
    average_linkage(rows, options, &NoProgress, &CancelToken::default()).unwrap()
}

fn golden(name: &str) -> Vec<u32> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name);
    let bytes = std::fs::read(path).unwrap();
    bytes
        .as_chunks::<2>()
        .0
        .iter()
        .map(|b| u16::from_le_bytes(*b).into())
        .collect()
}

/// Every available kernel, but the slow ones only where `n` is small.
fn kernels(n: usize) -> impl Iterator<Item = KernelKind> {
    let fast = move |k: &KernelKind| n <= 5_000 || *k >= KernelKind::AvxVnni;
    KernelKind::ALL
        .into_iter()
        .filter(|k| k.is_available())
        .filter(fast)
}

fn shuffled(n: usize) -> Vec<usize> {
    // 7919 is prime and larger than any common divisor with n here.
    (0..n).map(|i| (i * 7919 + 13) % n).collect()
}

/// Labels of `moved` rows, back at the places of the rows.
fn unshuffled(found: &Clustering, order: &[usize]) -> Vec<Vec<u32>> {
    let mut groups: Vec<Vec<u32>> = found
        .clusters()
        .map(|group| {
            let mut rows: Vec<u32> = group.iter().map(|&r| order[r as usize] as u32).collect();
            rows.sort_unstable();
            rows
        })
        .collect();
    groups.sort_unstable_by(|a, b| b.len().cmp(&a.len()).then(a[0].cmp(&b[0])));
    groups
}

fn groups(found: &Clustering) -> Vec<Vec<u32>> {
    found.clusters().map(<[u32]>::to_vec).collect()
}

fn check_invariance(rows: &Array2<f32>, expected: &Clustering) {
    let n = rows.nrows();
    for kernel in kernels(n) {
        let found = run(rows.view(), &options(0.55).with_kernel(kernel));
        assert!(found == *expected, "kernel {kernel}");
    }
    for rungs in [
        &[0.35][..],
        &[0.25, 0.35, 0.45],
        &[0.1, 0.2, 0.3, 0.4, 0.5, 0.54],
    ] {
        let found = run(rows.view(), &options(0.55).with_ladder(ladder(rungs)));
        assert!(found == *expected, "ladder {rungs:?}");
    }
    for budget in [n, 5 * n] {
        let found = run(rows.view(), &options(0.55).with_edge_budget(budget));
        assert!(found == *expected, "budget {budget}");
    }
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let found = pool.install(|| run(rows.view(), &options(0.55)));
        assert!(found == *expected, "{threads} threads");
    }
    let order = shuffled(n);
    let moved = rows.select(Axis(0), &order);
    let found = run(moved.view(), &options(0.55));
    assert!(unshuffled(&found, &order) == groups(expected), "shuffled");
    let heights = |c: &Clustering| c.merges().iter().map(|m| m.distance).collect::<Vec<_>>();
    assert!(
        heights(&found) == heights(expected),
        "heights after shuffling"
    );
}

#[test]
fn groups_of_5000_faces_are_those_of_scikit_learn_at_every_height() {
    let rows = embeddings(5_000, 1, Shape::Collection);
    let found = run(rows.view(), &options(0.55));
    for (percent, height) in [(35, 0.35), (40, 0.40), (45, 0.45), (55, 0.55)] {
        let cut = found.cut(CosineDistance::new(height).unwrap()).unwrap();
        let expected = golden(&format!("sklearn-5000-seed1-t{percent:03}.u16"));
        assert!(cut.labels() == expected, "cut at {height}");
        assert!(run(rows.view(), &options(height)) == cut, "run at {height}");
    }
    check_invariance(&rows, &found);
}

#[test]
fn groups_of_20000_faces_are_those_of_scikit_learn() {
    let rows = embeddings(20_000, 1, Shape::Collection);
    let found = run(rows.view(), &options(0.55));
    assert!(found.labels() == golden("sklearn-20000-seed1-t055.u16"));
    check_invariance(&rows, &found);
}
