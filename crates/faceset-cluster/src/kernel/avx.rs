//! Kernels of x86-64 vector units, chosen at run time.
//!
//! Each is a private unit struct that only `detect` hands out, and only after
//! the processor was asked for every feature that its functions are compiled
//! with: that is the argument for all calls below. Pointers come from slices
//! whose lengths `column_blocks` has checked.

#![allow(
    unsafe_code,
    reason = "vector instructions that the compiler can't derive; 6 to 25 times the portable kernel"
)]
#![allow(
    clippy::wildcard_imports,
    reason = "intrinsics are one vocabulary and are named after their registers"
)]
#![allow(
    clippy::cast_ptr_alignment,
    reason = "aligned loads read whole `Line`s; all others are unaligned loads"
)]

use std::arch::x86_64::*;

use super::{Block, GROUP, Kernel, Line, SIDE, column_blocks};

/// Byte multiply-add with 16-bit sums.
#[derive(Debug)]
pub(super) struct Avx2(());

impl Avx2 {
    pub(super) fn detect() -> Option<&'static dyn Kernel> {
        is_x86_feature_detected!("avx2").then_some(&Self(()) as _)
    }
}

/// 256-bit byte dot products in their AVX encoding.
#[derive(Debug)]
pub(super) struct AvxVnni(());

impl AvxVnni {
    pub(super) fn detect() -> Option<&'static dyn Kernel> {
        let has = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("avxvnni");
        has.then_some(&Self(()) as _)
    }
}

/// 512-bit byte dot products.
#[derive(Debug)]
pub(super) struct Avx512Vnni(());

impl Avx512Vnni {
    pub(super) fn detect() -> Option<&'static dyn Kernel> {
        has_avx512_vnni().then_some(&Self(()) as _)
    }
}

fn has_avx512_vnni() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni")
}

impl Kernel for Avx2 {
    /// The instruction adds two products in 16 bits, and two such sums are added
    /// before they are widened: 4 * 127 * 63 is just below 2^15.
    fn max_code(&self) -> u8 {
        63
    }

    fn sweep(
        &self,
        rows: &[Line],
        columns: &[Line],
        k_lines: usize,
        sink: &mut dyn FnMut(usize, &Block),
    ) {
        let n_blocks = column_blocks(rows, columns, k_lines);
        let mut block = Block::ZERO;
        for at in 0..n_blocks {
            let panel = &columns[at * 2 * GROUP * k_lines..][..2 * GROUP * k_lines];
            // SAFETY: `detect` has found AVX2; lengths are checked.
            unsafe { avx2_block(rows, panel, k_lines, &mut block) };
            sink(at, &block);
        }
    }

    fn masks(&self, block: &Block, add: &[i32; SIDE], least: &[i32; SIDE]) -> [u32; SIDE] {
        // SAFETY: `detect` has found AVX2.
        unsafe { masks_avx2(block, add, least) }
    }
}

impl Kernel for AvxVnni {
    fn sweep(
        &self,
        rows: &[Line],
        columns: &[Line],
        k_lines: usize,
        sink: &mut dyn FnMut(usize, &Block),
    ) {
        let n_blocks = column_blocks(rows, columns, k_lines);
        let mut block = Block::ZERO;
        for at in 0..n_blocks {
            let panel = &columns[at * 2 * GROUP * k_lines..][..2 * GROUP * k_lines];
            // SAFETY: `detect` has found AVX2 and AVX-VNNI; lengths are checked.
            unsafe { avx_vnni_block(rows, panel, k_lines, &mut block) };
            sink(at, &block);
        }
    }

    fn masks(&self, block: &Block, add: &[i32; SIDE], least: &[i32; SIDE]) -> [u32; SIDE] {
        // SAFETY: `detect` has found AVX2.
        unsafe { masks_avx2(block, add, least) }
    }
}

impl Kernel for Avx512Vnni {
    fn sweep(
        &self,
        rows: &[Line],
        columns: &[Line],
        k_lines: usize,
        sink: &mut dyn FnMut(usize, &Block),
    ) {
        let n_blocks = column_blocks(rows, columns, k_lines);
        let mut block = Block::ZERO;
        for at in 0..n_blocks {
            let panel = &columns[at * 2 * GROUP * k_lines..][..2 * GROUP * k_lines];
            // SAFETY: `detect` has found AVX512F and AVX512-VNNI; lengths are
            // checked.
            unsafe { avx512_vnni_block(rows, panel, k_lines, &mut block) };
            sink(at, &block);
        }
    }

    fn masks(&self, block: &Block, add: &[i32; SIDE], least: &[i32; SIDE]) -> [u32; SIDE] {
        // SAFETY: `detect` has found AVX512F.
        unsafe { masks_avx512(block, add, least) }
    }
}

/// The 16 fours of values of a line. Lengths that the compiler knows keep
/// checks out of the loops below; and those loops are written without closures,
/// which would not be compiled with their features.
#[inline]
fn fours(line: &Line) -> &[[u8; 4]; 16] {
    let fours: Result<&[[u8; 4]; 16], _> = line.0.as_chunks().0.try_into();
    fours.expect("64 bytes are 16 fours")
}

/// The same line of consecutive rows.
#[inline]
fn rows_at<const ROWS: usize>(
    rows: &[Line],
    k_lines: usize,
    k_line: usize,
) -> [&[[u8; 4]; 16]; ROWS] {
    let mut at = [fours(&rows[k_line]); ROWS];
    for (r, at) in at.iter_mut().enumerate().skip(1) {
        *at = fours(&rows[r * k_lines + k_line]);
    }
    at
}

/// Four rows by 16 columns at a time, two lines of the group a step.
#[target_feature(enable = "avx2")]
fn avx2_block(rows: &[Line], panel: &[Line], k_lines: usize, block: &mut Block) {
    let ones = _mm256_set1_epi16(1);
    for (half, group) in panel.chunks_exact(GROUP * k_lines).enumerate() {
        let four_rows = rows.chunks_exact(4 * k_lines);
        for (rows, dots) in four_rows.zip(block.0.chunks_exact_mut(4)) {
            let mut sums = [[_mm256_setzero_si256(); 2]; 4];
            for (k_line, lines) in group.as_chunks::<GROUP>().0.iter().enumerate() {
                let row = rows_at::<4>(rows, k_lines, k_line);
                for k in (0..GROUP).step_by(2) {
                    let one = halves(&lines[k]);
                    let two = halves(&lines[k + 1]);
                    for (row, sums) in row.iter().zip(&mut sums) {
                        let a = _mm256_set1_epi32(i32::from_le_bytes(row[k]));
                        let b = _mm256_set1_epi32(i32::from_le_bytes(row[k + 1]));
                        for side in 0..2 {
                            let first = _mm256_maddubs_epi16(a, one[side]);
                            let second = _mm256_maddubs_epi16(b, two[side]);
                            let pairs = _mm256_madd_epi16(_mm256_add_epi16(first, second), ones);
                            sums[side] = _mm256_add_epi32(sums[side], pairs);
                        }
                    }
                }
            }
            for (dots, sums) in dots.iter_mut().zip(sums) {
                for (eight, sum) in dots[half * GROUP..][..GROUP].chunks_exact_mut(8).zip(sums) {
                    // SAFETY: `eight` is 32 writable bytes.
                    unsafe { _mm256_storeu_si256(eight.as_mut_ptr().cast(), sum) };
                }
            }
        }
    }
}

/// A line as two registers: columns 0 to 7 and 8 to 15.
#[inline]
#[target_feature(enable = "avx2")]
fn halves(line: &Line) -> [__m256i; 2] {
    let at = line.0.as_ptr().cast::<__m256i>();
    // SAFETY: a line is 64 bytes on a 64-byte boundary.
    unsafe { [_mm256_load_si256(at), _mm256_load_si256(at.add(1))] }
}

/// Four rows by 16 columns at a time.
#[target_feature(enable = "avx2,avxvnni")]
fn avx_vnni_block(rows: &[Line], panel: &[Line], k_lines: usize, block: &mut Block) {
    for (half, group) in panel.chunks_exact(GROUP * k_lines).enumerate() {
        let four_rows = rows.chunks_exact(4 * k_lines);
        for (rows, dots) in four_rows.zip(block.0.chunks_exact_mut(4)) {
            let mut sums = [[_mm256_setzero_si256(); 2]; 4];
            for (k_line, lines) in group.as_chunks::<GROUP>().0.iter().enumerate() {
                let row = rows_at::<4>(rows, k_lines, k_line);
                for k in 0..GROUP {
                    let [left, right] = halves(&lines[k]);
                    for (row, sums) in row.iter().zip(&mut sums) {
                        let four = _mm256_set1_epi32(i32::from_le_bytes(row[k]));
                        sums[0] = _mm256_dpbusd_avx_epi32(sums[0], four, left);
                        sums[1] = _mm256_dpbusd_avx_epi32(sums[1], four, right);
                    }
                }
            }
            for (dots, sums) in dots.iter_mut().zip(sums) {
                for (eight, sum) in dots[half * GROUP..][..GROUP].chunks_exact_mut(8).zip(sums) {
                    // SAFETY: `eight` is 32 writable bytes.
                    unsafe { _mm256_storeu_si256(eight.as_mut_ptr().cast(), sum) };
                }
            }
        }
    }
}

/// Eight rows by 32 columns at a time.
#[target_feature(enable = "avx512f,avx512vnni")]
fn avx512_vnni_block(rows: &[Line], panel: &[Line], k_lines: usize, block: &mut Block) {
    let (left, right) = panel.split_at(GROUP * k_lines);
    let eight_rows = rows.chunks_exact(8 * k_lines);
    for (rows, dots) in eight_rows.zip(block.0.chunks_exact_mut(8)) {
        let mut sums = [[_mm512_setzero_si512(); 2]; 8];
        let both = left
            .as_chunks::<GROUP>()
            .0
            .iter()
            .zip(right.as_chunks::<GROUP>().0);
        for (k_line, (lefts, rights)) in both.enumerate() {
            let row = rows_at::<8>(rows, k_lines, k_line);
            for k in 0..GROUP {
                // SAFETY: a line is 64 bytes on a 64-byte boundary.
                let (left, right) = unsafe {
                    (
                        _mm512_load_si512(lefts[k].0.as_ptr().cast()),
                        _mm512_load_si512(rights[k].0.as_ptr().cast()),
                    )
                };
                for (row, sums) in row.iter().zip(&mut sums) {
                    let four = _mm512_set1_epi32(i32::from_le_bytes(row[k]));
                    sums[0] = _mm512_dpbusd_epi32(sums[0], four, left);
                    sums[1] = _mm512_dpbusd_epi32(sums[1], four, right);
                }
            }
        }
        for (dots, sums) in dots.iter_mut().zip(sums) {
            let at = dots.as_mut_ptr();
            // SAFETY: a row of dots is 32 integers: two registers.
            unsafe {
                _mm512_storeu_si512(at.cast(), sums[0]);
                _mm512_storeu_si512(at.add(16).cast(), sums[1]);
            }
        }
    }
}

#[target_feature(enable = "avx2")]
fn masks_avx2(block: &Block, add: &[i32; SIDE], least: &[i32; SIDE]) -> [u32; SIDE] {
    // SAFETY: each array is 32 integers: four registers.
    let load = |from: &[i32; SIDE]| unsafe {
        let at = from.as_ptr().cast::<__m256i>();
        [
            _mm256_loadu_si256(at),
            _mm256_loadu_si256(at.add(1)),
            _mm256_loadu_si256(at.add(2)),
            _mm256_loadu_si256(at.add(3)),
        ]
    };
    let add = load(add);
    let mut masks = [0u32; SIDE];
    for ((dots, &least), mask) in block.0.iter().zip(least).zip(&mut masks) {
        let below = _mm256_set1_epi32(least.saturating_sub(1));
        for (eighth, (dots, add)) in load(dots).into_iter().zip(add).enumerate() {
            let over = _mm256_cmpgt_epi32(_mm256_add_epi32(dots, add), below);
            let bits = _mm256_movemask_ps(_mm256_castsi256_ps(over)) as u32;
            *mask |= bits << (8 * eighth);
        }
    }
    masks
}

#[target_feature(enable = "avx512f")]
pub(super) fn masks_avx512(block: &Block, add: &[i32; SIDE], least: &[i32; SIDE]) -> [u32; SIDE] {
    // SAFETY: each array is 32 integers: two registers.
    let load = |from: &[i32; SIDE]| unsafe {
        let at = from.as_ptr();
        (
            _mm512_loadu_si512(at.cast()),
            _mm512_loadu_si512(at.add(16).cast()),
        )
    };
    let (add_low, add_high) = load(add);
    let mut masks = [0u32; SIDE];
    for ((dots, &least), mask) in block.0.iter().zip(least).zip(&mut masks) {
        let (low, high) = load(dots);
        let least = _mm512_set1_epi32(least);
        let low = _mm512_cmpge_epi32_mask(_mm512_add_epi32(low, add_low), least);
        let high = _mm512_cmpge_epi32_mask(_mm512_add_epi32(high, add_high), least);
        *mask = u32::from(low) | u32::from(high) << 16;
    }
    masks
}
