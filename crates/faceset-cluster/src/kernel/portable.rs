//! The kernel for every processor and the reference for the others.

use super::{Block, GROUP, Kernel, Line, SIDE, column_blocks};

/// Plain Rust; the compiler vectorises it with what the target guarantees.
#[derive(Debug)]
pub(super) struct Portable;

impl Kernel for Portable {
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
            let groups = &columns[at * 2 * GROUP * k_lines..][..2 * GROUP * k_lines];
            for (row, dots) in rows.chunks_exact(k_lines).zip(&mut block.0) {
                for (half, group) in groups.chunks_exact(GROUP * k_lines).enumerate() {
                    let sums = dot_group(row, group);
                    dots[half * GROUP..][..GROUP].copy_from_slice(&sums);
                }
            }
            sink(at, &block);
        }
    }

    fn masks(&self, block: &Block, add: &[i32; SIDE], least: &[i32; SIDE]) -> [u32; SIDE] {
        std::array::from_fn(|r| row_mask(&block.0[r], add, least[r]))
    }
}

/// Dots of one row with the 16 columns of a group.
fn dot_group(row: &[Line], group: &[Line]) -> [i32; GROUP] {
    let mut sums = [0i32; GROUP];
    for (values, lines) in row.iter().zip(group.chunks_exact(GROUP)) {
        for (four, line) in values.0.as_chunks::<4>().0.iter().zip(lines) {
            let four = four.map(i16::from);
            for (sum, codes) in sums.iter_mut().zip(line.0.as_chunks::<4>().0) {
                let codes = codes.map(|c| i16::from(c as i8));
                for k in 0..4 {
                    *sum += i32::from(four[k]) * i32::from(codes[k]);
                }
            }
        }
    }
    sums
}

fn row_mask(dots: &[i32; SIDE], add: &[i32; SIDE], least: i32) -> u32 {
    let nearest = dots.iter().zip(add).map(|(d, a)| d + a).max();
    if nearest.is_none_or(|n| n < least) {
        return 0;
    }
    let bit = |(c, (d, a)): (usize, (&i32, &i32))| u32::from(d + a >= least) << c;
    dots.iter().zip(add).enumerate().map(bit).sum()
}
