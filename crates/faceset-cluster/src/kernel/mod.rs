//! Integer dot products of many rows with many columns, as fast as this
//! processor allows.
//!
//! Owns the layout of quantised rows and the choice of the kernel. A kernel
//! only has to multiply small integers exactly, so all of them give the same
//! bits: [`portable`] is written for the reader and is what the others are
//! tested against. What the numbers mean is said in [`crate::engine`].

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
pub(crate) mod wide;

use crate::ClusterError;

/// 64 bytes on one cache line.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Line(pub(crate) [u8; 64]);

impl Line {
    pub(crate) const ZERO: Self = Self([0; 64]);
}

/// Rows and columns of one block.
pub(crate) const SIDE: usize = 32;

/// Columns that share a panel group.
pub(crate) const GROUP: usize = 16;

/// Dot products of 32 rows with 32 columns, row by row.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
pub(crate) struct Block(pub(crate) [[i32; SIDE]; SIDE]);

impl Block {
    pub(crate) const ZERO: Self = Self([[0; SIDE]; SIDE]);
}

/// Integer dot products, behind one safe face.
///
/// Rows are unsigned bytes, `k_lines` lines a row, one row after the other.
/// Columns are signed bytes in groups of 16: line `k` of a group holds values
/// `4k..4k+4` of column 0, of column 1 and so on; `16 * k_lines` lines a group.
pub(crate) trait Kernel: std::fmt::Debug + Send + Sync {
    /// Columns must stay within plus and minus this, rows within twice this and
    /// 1: what the kernel's intermediate sums can hold.
    fn max_code(&self) -> u8 {
        127
    }

    /// Multiplies 32 rows with all columns and hands over each block of 32
    /// columns: its number from 0, and the dots.
    ///
    /// # Panics
    /// When `rows` is not 32 rows or `columns` is not whole blocks.
    fn sweep(
        &self,
        rows: &[Line],
        columns: &[Line],
        k_lines: usize,
        sink: &mut dyn FnMut(usize, &Block),
    );

    /// For each row `r` the set of columns `c` (bit `c`) with
    /// `dots[r][c] + add[c] >= least[r]`.
    fn masks(&self, block: &Block, add: &[i32; SIDE], least: &[i32; SIDE]) -> [u32; SIDE];
}

/// Which kernel multiplies. All give the same groups; they differ in speed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KernelKind {
    /// Plain Rust, every processor.
    Portable,
    /// Byte multiply-add of AVX2, on codes of 7 bits.
    Avx2,
    /// 256-bit byte dot products (12th generation Core, N100 and later).
    AvxVnni,
    /// 512-bit byte dot products.
    Avx512Vnni,
    /// Byte dot products of 64-bit ARM.
    NeonDot,
    /// Tiles of Sapphire Rapids and later, on Linux.
    Amx,
}

impl KernelKind {
    /// All kinds, slowest first.
    pub const ALL: [Self; 6] = [
        Self::Portable,
        Self::Avx2,
        Self::AvxVnni,
        Self::Avx512Vnni,
        Self::NeonDot,
        Self::Amx,
    ];

    /// The name that `FromStr` takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::AvxVnni => "avx-vnni",
            Self::Avx512Vnni => "avx512-vnni",
            Self::NeonDot => "neon-dot",
            Self::Amx => "amx",
        }
    }

    /// Whether this processor (and operating system) runs it.
    pub fn is_available(self) -> bool {
        self.kernel().is_some()
    }

    /// The fastest kind that is available.
    pub fn best() -> Self {
        let available = Self::ALL.into_iter().rev().find(|k| k.is_available());
        available.unwrap_or(Self::Portable)
    }

    /// The kernel of [`Self::best`].
    pub(crate) fn best_kernel() -> &'static dyn Kernel {
        Self::best().kernel().unwrap_or(&portable::Portable)
    }

    pub(crate) fn kernel(self) -> Option<&'static dyn Kernel> {
        match self {
            Self::Portable => Some(&portable::Portable),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => avx::Avx2::detect(),
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni => avx::AvxVnni::detect(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => avx::Avx512Vnni::detect(),
            #[cfg(target_arch = "x86_64")]
            Self::Amx => amx::Amx::detect(),
            #[cfg(target_arch = "aarch64")]
            Self::NeonDot => neon::NeonDot::detect(),
            _ => None,
        }
    }
}

impl std::fmt::Display for KernelKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for KernelKind {
    type Err = ClusterError;

    fn from_str(text: &str) -> Result<Self, ClusterError> {
        Self::ALL
            .into_iter()
            .find(|k| k.name() == text)
            .ok_or(ClusterError::Option {
                name: "kernel",
                expected: "portable, avx2, avx-vnni, avx512-vnni, neon-dot or amx",
            })
    }
}

/// Checks shapes once for all kernels; returns the number of column blocks.
fn column_blocks(rows: &[Line], columns: &[Line], k_lines: usize) -> usize {
    assert_eq!(rows.len(), SIDE * k_lines, "a sweep takes 32 rows");
    let block = 2 * GROUP * k_lines;
    assert_eq!(columns.len() % block, 0, "columns come in blocks of 32");
    columns.len() / block
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Rows and columns as lines, from a cheap generator: rows up to twice
    /// `max_code` and 1, columns up to `max_code` either way.
    fn lines(n: usize, seed: u64, max_code: u8, are_rows: bool) -> Vec<Line> {
        let mut state = seed;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let code = ((state >> 40) % (2 * u64::from(max_code) + 1)) as u8;
            if are_rows {
                code + 1
            } else {
                code.wrapping_sub(max_code)
            }
        };
        (0..n)
            .map(|_| Line(std::array::from_fn(|_| next())))
            .collect()
    }

    fn all_dots(kernel: &dyn Kernel, rows: &[Line], columns: &[Line], k: usize) -> Vec<Block> {
        let mut blocks = Vec::new();
        kernel.sweep(rows, columns, k, &mut |at, block| {
            assert_eq!(at, blocks.len());
            blocks.push(block.clone());
        });
        blocks
    }

    #[test]
    fn the_portable_kernel_multiplies_row_values_with_column_values() {
        // One value each: row 3 holds 200 at k 6, column 17 holds -5 there.
        let mut rows = vec![Line::ZERO; SIDE];
        rows[3].0[6] = 200;
        let mut columns = vec![Line::ZERO; 2 * GROUP];
        columns[GROUP + 1].0[4 + 2] = (-5i8) as u8;
        let blocks = all_dots(&portable::Portable, &rows, &columns, 1);
        assert_eq!(blocks[0].0[3][17], -1000);
        let total: i32 = blocks[0].0.iter().flatten().sum();
        assert_eq!(total, -1000, "every other dot is 0");
    }

    #[test]
    fn every_kernel_of_this_machine_gives_the_portable_bits() {
        for k_lines in [1, 3, 8] {
            for kind in KernelKind::ALL {
                let Some(kernel) = kind.kernel() else {
                    continue;
                };
                let rows = lines(SIDE * k_lines, 7, kernel.max_code(), true);
                let columns = lines(3 * 2 * GROUP * k_lines, 8, kernel.max_code(), false);
                let expected = all_dots(&portable::Portable, &rows, &columns, k_lines);
                let found = all_dots(kernel, &rows, &columns, k_lines);
                assert_eq!(found.len(), 3);
                for (found, expected) in found.iter().zip(&expected) {
                    assert_eq!(found.0, expected.0, "{kind}");
                }
            }
        }
    }

    #[test]
    fn extreme_codes_do_not_saturate() {
        for kind in KernelKind::ALL {
            let Some(kernel) = kind.kernel() else {
                continue;
            };
            let most = kernel.max_code();
            let rows = vec![Line([2 * most + 1; 64]); SIDE * 8];
            for code in [-(most as i8), most as i8] {
                let columns = vec![Line([code as u8; 64]); 2 * GROUP * 8];
                let blocks = all_dots(kernel, &rows, &columns, 8);
                let expected = 512 * i32::from(2 * most + 1) * i32::from(code);
                assert!(
                    blocks[0].0.iter().flatten().all(|&d| d == expected),
                    "{kind}"
                );
            }
        }
    }

    #[test]
    fn names_round_trip_and_the_best_kind_is_available() {
        for kind in KernelKind::ALL {
            assert_eq!(kind.name().parse::<KernelKind>().unwrap(), kind);
        }
        assert!("fast".parse::<KernelKind>().is_err());
        assert!(KernelKind::best().is_available());
    }

    proptest! {
        #[test]
        fn masks_agree_and_equal_counts(
            seed in any::<u64>(), add in -50i32..50, least in -100i32..100
        ) {
            let values = lines(64, seed, 127, false);
            let mut block = Block::ZERO;
            for (at, dot) in block.0.iter_mut().flatten().enumerate() {
                *dot = i32::from(values[at / 64].0[at % 64] as i8);
            }
            let adds: [i32; SIDE] = std::array::from_fn(|c| add + c as i32);
            let leasts: [i32; SIDE] = std::array::from_fn(|r| least - r as i32);
            let mut expected = [0u32; SIDE];
            for (r, mask) in expected.iter_mut().enumerate() {
                for (c, add) in adds.iter().enumerate() {
                    *mask |= u32::from(block.0[r][c] + add >= leasts[r]) << c;
                }
            }
            for kind in KernelKind::ALL {
                if let Some(kernel) = kind.kernel() {
                    prop_assert_eq!(kernel.masks(&block, &adds, &leasts), expected, "{}", kind);
                }
            }
        }
    }
}
