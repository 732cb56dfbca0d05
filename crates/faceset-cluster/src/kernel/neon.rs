//! The kernel of 64-bit ARM processors with byte dot products (Cortex-A76,
//! Apple M1, Graviton 2 and later).
//!
//! The instruction multiplies signed with signed bytes. Rows are unsigned with
//! 128 added; their top bit is flipped here, which takes 128 from each, and 128
//! times the sum of each column is added back.

#![allow(
    unsafe_code,
    reason = "vector instructions that the compiler can't derive"
)]
#![allow(
    clippy::wildcard_imports,
    reason = "intrinsics are one vocabulary and are named after their registers"
)]

use std::arch::aarch64::*;
use std::arch::asm;

use super::{Block, GROUP, Kernel, Line, SIDE, column_blocks, portable::Portable};

/// Only `detect` makes one, after the processor was asked for the instruction.
#[derive(Debug)]
pub(super) struct NeonDot(());

impl NeonDot {
    pub(super) fn detect() -> Option<&'static dyn Kernel> {
        std::arch::is_aarch64_feature_detected!("dotprod").then_some(&Self(()) as _)
    }
}

impl Kernel for NeonDot {
    fn sweep(
        &self,
        rows: &[Line],
        columns: &[Line],
        k_lines: usize,
        sink: &mut dyn FnMut(usize, &Block),
    ) {
        let n_blocks = column_blocks(rows, columns, k_lines);
        let signed: Vec<Line> = rows.iter().map(|l| Line(l.0.map(|v| v ^ 0x80))).collect();
        let mut block = Block::ZERO;
        for at in 0..n_blocks {
            let panel = &columns[at * 2 * GROUP * k_lines..][..2 * GROUP * k_lines];
            // SAFETY: `detect` has found the dot product instruction.
            unsafe { block_32x32(&signed, panel, k_lines, &mut block) };
            sink(at, &block);
        }
    }

    fn masks(&self, block: &Block, add: &[i32; SIDE], least: &[i32; SIDE]) -> [u32; SIDE] {
        Portable.masks(block, add, least)
    }
}

/// Four rows by 16 columns at a time; four columns a register.
#[target_feature(enable = "neon,dotprod")]
fn block_32x32(rows: &[Line], panel: &[Line], k_lines: usize, block: &mut Block) {
    for (half, group) in panel.chunks_exact(GROUP * k_lines).enumerate() {
        let back = column_sums(group);
        let four_rows = rows.chunks_exact(4 * k_lines);
        for (rows, dots) in four_rows.zip(block.0.chunks_exact_mut(4)) {
            let row: [&[Line]; 4] = std::array::from_fn(|r| &rows[r * k_lines..][..k_lines]);
            let mut sums = [back; 4];
            for (k_line, lines) in group.as_chunks::<GROUP>().0.iter().enumerate() {
                let row = row.map(|row| row[k_line].0.as_chunks::<4>().0);
                for (k, line) in lines.iter().enumerate() {
                    let codes = quarters(line);
                    for (row, sums) in row.iter().zip(&mut sums) {
                        let four = vdupq_n_s32(i32::from_le_bytes(row[k]));
                        let four = vreinterpretq_s8_s32(four);
                        for (sum, codes) in sums.iter_mut().zip(codes) {
                            *sum = dot_bytes(*sum, four, codes);
                        }
                    }
                }
            }
            for (dots, sums) in dots.iter_mut().zip(sums) {
                for (four, sum) in dots[half * GROUP..][..GROUP].chunks_exact_mut(4).zip(sums) {
                    // SAFETY: `four` is 16 writable bytes.
                    unsafe { vst1q_s32(four.as_mut_ptr(), sum) };
                }
            }
        }
    }
}

/// 128 times the sum of each column of a group.
#[target_feature(enable = "neon,dotprod")]
fn column_sums(group: &[Line]) -> [int32x4_t; 4] {
    let ones = vdupq_n_s8(1);
    let mut sums = [vdupq_n_s32(0); 4];
    for line in group {
        for (sum, codes) in sums.iter_mut().zip(quarters(line)) {
            *sum = dot_bytes(*sum, ones, codes);
        }
    }
    sums.map(|sum| vshlq_n_s32::<7>(sum))
}

/// Adds to each of four sums the dot product of four signed bytes with four
/// signed bytes.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn dot_bytes(mut sum: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: the function is compiled for the instruction (its intrinsic is
    // not stable yet); it reads and writes only the named registers.
    unsafe {
        asm!(
            "sdot {sum:v}.4s, {a:v}.16b, {b:v}.16b",
            sum = inout(vreg) sum,
            a = in(vreg) a,
            b = in(vreg) b,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sum
}

/// A line as four registers of four columns.
#[target_feature(enable = "neon")]
fn quarters(line: &Line) -> [int8x16_t; 4] {
    let at = line.0.as_ptr().cast::<i8>();
    // SAFETY: a line is 64 bytes.
    unsafe { [0, 16, 32, 48].map(|offset| vld1q_s8(at.add(offset))) }
}
