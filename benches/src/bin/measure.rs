//! One clustering run in a process of its own, so that its time and memory can
//! be measured from outside; `benches/compare/compare.py` drives it.

#![allow(
    clippy::print_stdout,
    reason = "the result of a measurement goes to stdout"
)]

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use faceset_benches::read_rows;
use faceset_cluster::synthetic::{self, Shape};
use faceset_cluster::{
    KernelKind, LinkageOptions, SavedRun, average_linkage, average_linkage_saved,
};
use faceset_core::{CancelToken, CosineDistance, Progress};
use ndarray::Array2;

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Method {
    /// faceset-cluster.
    Ours,
    /// faceset-cluster, on the rows before the last --new; saves the run.
    Save,
    /// faceset-cluster, carrying a saved run on to all rows.
    Extend,
    /// kodama on distances from a matrix product, single precision.
    KodamaF32,
    /// kodama on distances from a matrix product, double precision.
    KodamaF64,
    /// Only writes the rows.
    Rows,
}

/// Clusters made-up or given embeddings and writes one label a row.
#[derive(Debug, Parser)]
struct Args {
    method: Method,
    /// A record cache (`.npz`) or rows of 512 little-endian f32; made up when
    /// absent.
    #[arg(long)]
    rows: Option<PathBuf>,
    /// Number of rows to make up.
    #[arg(long, default_value_t = 20_000)]
    n: usize,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Every made-up face shows the same person.
    #[arg(long)]
    one_person: bool,
    #[arg(long, default_value_t = 0.55)]
    threshold: f64,
    /// Default: the environment's FACESET_KERNEL, else the best.
    #[arg(long, env = "FACESET_KERNEL")]
    kernel: Option<KernelKind>,
    /// Rungs, ascending; default: chosen by the edge budget.
    #[arg(long, value_delimiter = ',')]
    ladder: Vec<f64>,
    #[arg(long)]
    edge_budget: Option<usize>,
    /// Where the saved run is.
    #[arg(long)]
    state: Option<PathBuf>,
    /// Rows at the end that the saved run does not have.
    #[arg(long, default_value_t = 0)]
    new: usize,
    /// Writes the labels (or the rows) here, little-endian.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Prints phases to stderr.
    #[arg(long)]
    verbose: bool,
}

/// Phases with their wall time.
struct Phases {
    since: std::sync::Mutex<(String, Instant)>,
    verbose: bool,
}

impl Progress for Phases {
    fn start(&self, phase: &str, total: Option<u64>) {
        let name = format!("{phase} {}", total.unwrap_or(0));
        *self.since.lock().expect("no phase panics") = (name, Instant::now());
    }

    fn advance(&self, _n: u64) {}

    fn finish(&self) {
        if self.verbose {
            let since = self.since.lock().expect("no phase panics");
            println!("# {:7.3} s {}", since.1.elapsed().as_secs_f64(), since.0);
        }
    }

    fn note(&self, line: &str) {
        if self.verbose {
            println!("# {line}");
        }
    }
}

fn main() -> Result<()> {
    let args = Args::parse();
    let shape = if args.one_person {
        Shape::OnePerson
    } else {
        Shape::Collection
    };
    let rows = if let Some(path) = &args.rows {
        read_rows(path)?
    } else {
        synthetic::embeddings(args.n, args.seed, shape)
    };
    let start = Instant::now();
    let labels = match args.method {
        Method::Rows => {
            let bytes = rows
                .iter()
                .flat_map(|v| v.to_le_bytes())
                .collect::<Vec<u8>>();
            std::fs::write(args.out.context("rows need --out")?, bytes)?;
            return Ok(());
        }
        Method::Ours => ours(&rows, &args)?,
        Method::Save => save(&rows, &args)?,
        Method::Extend => extend(&rows, &args)?,
        Method::KodamaF32 => kodama_labels(rows, args.threshold as f32),
        Method::KodamaF64 => kodama_labels(rows.mapv(f64::from), args.threshold),
    };
    let seconds = start.elapsed().as_secs_f64();
    let groups = labels.iter().max().map_or(0, |l| l + 1);
    println!("rows {} groups {groups} wall_s {seconds:.3}", labels.len());
    if let Some(path) = args.out {
        let bytes: Vec<u8> = labels.iter().flat_map(|l| l.to_le_bytes()).collect();
        std::fs::write(path, bytes)?;
    }
    Ok(())
}

fn options(args: &Args) -> Result<LinkageOptions> {
    let mut options = LinkageOptions::new(CosineDistance::new(args.threshold)?);
    let ladder: Result<Vec<_>, _> = args
        .ladder
        .iter()
        .map(|&t| CosineDistance::new(t))
        .collect();
    options = options.with_ladder(ladder?);
    if let Some(kernel) = args.kernel {
        options = options.with_kernel(kernel);
    }
    if let Some(budget) = args.edge_budget {
        options = options.with_edge_budget(budget);
    }
    Ok(options)
}

fn phases(args: &Args) -> Phases {
    Phases {
        since: std::sync::Mutex::new((String::new(), Instant::now())),
        verbose: args.verbose,
    }
}

fn ours(rows: &Array2<f32>, args: &Args) -> Result<Vec<u32>> {
    let cancel = CancelToken::default();
    let found = average_linkage(rows.view(), &options(args)?, &phases(args), &cancel)?;
    Ok(found.labels().to_vec())
}

fn save(rows: &Array2<f32>, args: &Args) -> Result<Vec<u32>> {
    let path = args.state.as_ref().context("a saved run needs --state")?;
    let old = rows.slice(ndarray::s![..rows.nrows() - args.new, ..]);
    let cancel = CancelToken::default();
    let (found, run) = average_linkage_saved(old, &options(args)?, &phases(args), &cancel)?;
    run.write_to(&mut std::fs::File::create(path)?)?;
    Ok(found.labels().to_vec())
}

fn extend(rows: &Array2<f32>, args: &Args) -> Result<Vec<u32>> {
    let path = args.state.as_ref().context("a saved run needs --state")?;
    let run = SavedRun::read_from(&mut std::fs::File::open(path)?)?;
    let cancel = CancelToken::default();
    let done = run.extend(rows.view(), &options(args)?, &phases(args), &cancel)?;
    done.saved
        .write_to(&mut std::fs::File::create(path.with_extension("next"))?)?;
    println!("recomputed {:?}", done.recomputed);
    Ok(done.clustering.labels().to_vec())
}

/// Rows of a block of the distance matrix.
const BLOCK: usize = 256;

/// Average linkage on a stored matrix of distances, cut below the threshold.
fn kodama_labels<T>(mut unit: Array2<T>, threshold: T) -> Vec<u32>
where
    T: ndarray::LinalgScalar + kodama::Float + PartialOrd + std::ops::DivAssign,
{
    let n = unit.nrows();
    let norms: Vec<T> = unit.outer_iter().map(|r| r.dot(&r).sqrt()).collect();
    for (mut row, norm) in unit.outer_iter_mut().zip(norms) {
        row.mapv_inplace(|v| v / norm);
    }
    let mut distances = Vec::with_capacity(n * n.saturating_sub(1) / 2);
    for start in (0..n).step_by(BLOCK) {
        let end = (start + BLOCK).min(n);
        let left = unit.slice(ndarray::s![start..end, ..]);
        let products = left.dot(&unit.slice(ndarray::s![start.., ..]).t());
        for i in start..end {
            let row = products.row(i - start);
            distances.extend(row.iter().skip(i - start + 1).map(|&p| T::one() - p));
        }
    }
    let dendrogram = kodama::linkage(&mut distances, n, kodama::Method::Average);
    let mut parent: Vec<usize> = (0..2 * n).collect();
    for (at, step) in dendrogram.steps().iter().enumerate() {
        if step.dissimilarity < threshold {
            parent[step.cluster1] = n + at;
            parent[step.cluster2] = n + at;
        }
    }
    let mut names = std::collections::BTreeMap::new();
    (0..n)
        .map(|row| {
            let mut node = row;
            while parent[node] != node {
                node = parent[node];
            }
            let next = names.len() as u32;
            *names.entry(node).or_insert(next)
        })
        .collect()
}
