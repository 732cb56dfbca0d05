//! Runs a plain function compiled for the widest vectors of this processor.
//!
//! The function stays ordinary safe Rust and gives the same bits whatever it
//! is compiled for: Rust neither reorders nor fuses floating-point operations.

#![allow(
    unsafe_code,
    reason = "calling a function compiled for features needs the check made here; 2 to 4 times faster"
)]
#![allow(
    clippy::inline_always,
    reason = "the loops must be compiled with the caller's target features"
)]

/// Something to compute; `run` must be `#[inline(always)]` to profit.
pub(crate) trait Work {
    type Output;
    fn run(self) -> Self::Output;
}

/// Runs `work` with the widest vectors that this processor has.
#[inline(always)]
pub(crate) fn with_widest_vectors<W: Work>(work: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the one feature was just found.
            return unsafe { with_avx512(work) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the one feature was just found.
            return unsafe { with_avx2(work) };
        }
    }
    work.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn with_avx512<W: Work>(work: W) -> W::Output {
    work.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn with_avx2<W: Work>(work: W) -> W::Output {
    work.run()
}
