//! Exact search: the index on codes beside a scan of all rows, on made-up faces
//! and on real ones when `FACESET_ROWS` names a cache or a file of rows.
//!
//! `cargo bench -p faceset-benches --bench index` searches 20,000 rows; 100,000
//! when `FACESET_BENCH_LARGE` is set.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use faceset_benches::real_rows;
use faceset_cluster::synthetic::{Shape, embeddings};
use faceset_cluster::{Index, Vectors, centroid};
use faceset_core::{CancelToken, CosineDistance, NoProgress};
use ndarray::{Array2, s};

/// Queries of the two searches that are set beside each other.
const QUERIES: usize = 512;

/// The distance at which `dedup` looks for look-alikes.
const LOOK_ALIKE: CosineDistance = CosineDistance::constant(0.05);

/// The distance at which faces are grouped.
const SAME_PERSON: CosineDistance = CosineDistance::constant(0.55);

fn search(criterion: &mut Criterion, name: &str, rows: &Array2<f32>) {
    let mut group = criterion.benchmark_group(format!("index {name} {}", rows.nrows()));
    group.sample_size(10);
    let vectors = Vectors::new(rows.view()).expect("usable rows");
    let n_queries = QUERIES.min(rows.nrows());
    let queries = Vectors::new(rows.slice(s![..n_queries, ..])).expect("usable rows");
    let cancel = CancelToken::default();
    group.throughput(Throughput::Elements(n_queries as u64));
    for (how, index) in [
        ("scan", Index::scanning(&vectors)),
        ("codes", Index::new(&vectors)),
    ] {
        group.bench_function(format!("top 5, {how}"), |bencher| {
            bencher.iter(|| index.top_k(black_box(&queries), 5, &cancel));
        });
        group.bench_function(format!("within 0.55, {how}"), |bencher| {
            bencher.iter(|| index.within(black_box(&queries), SAME_PERSON, &cancel));
        });
    }
    group.throughput(Throughput::Elements(rows.nrows() as u64));
    group.bench_function("has_neighbour at 0.05, all rows", |bencher| {
        let index = Index::new(&vectors);
        bencher.iter(|| index.has_neighbour(LOOK_ALIKE, &NoProgress, &cancel));
    });
    let centroids = rows.slice(s![..(rows.nrows() / 20).max(1), ..]);
    let centroids = Vectors::new(centroids).expect("usable rows");
    group.bench_function("nearest of n/20 centroids, all rows", |bencher| {
        bencher.iter(|| centroid::nearest(black_box(&vectors), &centroids));
    });
    group.finish();
}

fn all(criterion: &mut Criterion) {
    let n = if std::env::var_os("FACESET_BENCH_LARGE").is_some() {
        100_000
    } else {
        20_000
    };
    search(criterion, "made-up", &embeddings(n, 1, Shape::Collection));
    if let Some(rows) = real_rows() {
        search(criterion, "real", &rows);
    }
}

criterion_group!(benches, all);
criterion_main!(benches);
