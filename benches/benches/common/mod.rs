//! CPU time as what criterion measures: of all threads, and not of the other
//! programs on a busy machine. On two idle cores wall time is half of it at best.

use std::time::Instant;

use criterion::Criterion;
use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use faceset_benches::cpu_seconds;

/// CPU time where the system tells it, else wall time.
#[derive(Debug, Default)]
pub(crate) struct CpuTime;

/// A moment on both clocks.
#[derive(Debug)]
pub(crate) struct Moment {
    wall: Instant,
    cpu: Option<f64>,
}

impl Measurement for CpuTime {
    type Intermediate = Moment;
    /// Nanoseconds.
    type Value = f64;

    fn start(&self) -> Moment {
        Moment {
            wall: Instant::now(),
            cpu: cpu_seconds(),
        }
    }

    fn end(&self, from: Moment) -> f64 {
        let cpu = from.cpu.zip(cpu_seconds()).map(|(from, to)| to - from);
        1e9 * cpu.unwrap_or_else(|| from.wall.elapsed().as_secs_f64())
    }

    fn add(&self, a: &f64, b: &f64) -> f64 {
        a + b
    }

    fn zero(&self) -> f64 {
        0.0
    }

    fn to_f64(&self, value: &f64) -> f64 {
        *value
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

/// Criterion on CPU time, ten samples each.
pub(crate) fn criterion() -> Criterion<CpuTime> {
    Criterion::default()
        .with_measurement(CpuTime)
        .sample_size(10)
}
