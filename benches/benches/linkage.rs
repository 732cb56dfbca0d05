//! Average linkage on made-up faces, and on real ones when `FACESET_ROWS` names
//! a record cache (`.npz`) or a file of 512 little-endian f32 a row.
//!
//! `cargo bench -p faceset-benches` measures 1,000, 5,000 and 20,000 rows;
//! 100,000 are measured when `FACESET_BENCH_LARGE` is set.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use faceset_benches::real_rows;
use faceset_cluster::centroid::merge_close;
use faceset_cluster::synthetic::{Shape, embeddings};
use faceset_cluster::{
    DbscanOptions, KernelKind, LinkageOptions, Vectors, average_linkage, average_linkage_saved,
    dbscan,
};
use faceset_core::{CancelToken, CosineDistance, NoProgress};
use ndarray::{Array2, s};

const THRESHOLD: CosineDistance = CosineDistance::constant(0.55);

fn link(rows: &Array2<f32>, options: &LinkageOptions) -> usize {
    let cancel = CancelToken::default();
    average_linkage(rows.view(), options, &NoProgress, &cancel)
        .expect("made-up rows are usable")
        .n_clusters()
}

fn sizes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("average_linkage");
    group.sample_size(10);
    let mut sizes = vec![1_000, 5_000, 20_000];
    if std::env::var_os("FACESET_BENCH_LARGE").is_some() {
        sizes.push(100_000);
    }
    for n in sizes {
        let rows = embeddings(n, 1, Shape::Collection);
        group.throughput(Throughput::Elements(n as u64));
        group.bench_with_input(BenchmarkId::new("made-up", n), &rows, |bencher, rows| {
            bencher.iter(|| link(black_box(rows), &LinkageOptions::new(THRESHOLD)));
        });
    }
    if let Some(rows) = real_rows() {
        group.bench_function("real", |bencher| {
            bencher.iter(|| link(black_box(&rows), &LinkageOptions::new(THRESHOLD)));
        });
    }
    group.finish();
}

fn kernels(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("kernel");
    group.sample_size(10);
    let rows = embeddings(5_000, 1, Shape::Collection);
    for kind in KernelKind::ALL.into_iter().filter(|k| k.is_available()) {
        let options = LinkageOptions::new(THRESHOLD).with_kernel(kind);
        group.bench_function(kind.name(), |bencher| {
            bencher.iter(|| link(black_box(&rows), &options));
        });
    }
    group.finish();
}

fn others(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("others");
    group.sample_size(10);
    let rows = embeddings(5_000, 1, Shape::Collection);
    let cancel = CancelToken::default();
    let options = LinkageOptions::new(THRESHOLD);
    let old = rows.slice(s![..4_950, ..]);
    let (_, saved) = average_linkage_saved(old, &options, &NoProgress, &cancel)
        .expect("made-up rows are usable");
    group.bench_function("extend 4950 rows by 50", |bencher| {
        bencher.iter(|| {
            let extended = saved.extend(rows.view(), &options, &NoProgress, &cancel);
            extended.expect("the rows are those of the run").clustering
        });
    });
    let vectors = Vectors::new(rows.view()).expect("made-up rows are usable");
    group.bench_function("dbscan 5000", |bencher| {
        bencher.iter(|| dbscan(&vectors, &DbscanOptions::IMMICH, &NoProgress, &cancel));
    });
    let found = average_linkage(rows.view(), &options, &NoProgress, &cancel)
        .expect("made-up rows are usable");
    let groups: Vec<&[u32]> = found.clusters().collect();
    let limit = CosineDistance::constant(0.40);
    group.bench_function(format!("merge_close {} groups", groups.len()), |bencher| {
        bencher.iter(|| merge_close(&vectors, &groups, limit, &NoProgress, &cancel));
    });
    group.finish();
}

criterion_group!(benches, sizes, kernels, others);
criterion_main!(benches);
