//! Groups as small integers with a proven error, for the all-pairs pass.
//!
//! The mean `m` of a group's unit rows becomes codes `q`, integers in
//! -127..=127 (fewer where the kernel asks for it), with one scale `s` for all groups; `e = |m - s·q|` is measured,
//! not assumed. As `|m| <= 1`, for two groups
//!
//! `|m1·m2 - s²·(q1·q2)| <= e1·|m2| + |s·q1|·e2 <= e1 + (1 + e1)·e2`
//!
//! and `e1·e2 <= (e1 + e2)·e_max/2`, so with `E = e·(1 + e_max/2)` the true
//! similarity is at most `s²·(q1·q2) + E1 + E2`: a bound whose parts belong to
//! one group each and can be added in integers.

#![allow(
    clippy::inline_always,
    reason = "the loops must be compiled with the caller's target features"
)]

use rayon::prelude::*;

use super::group::{Body, Group};
use crate::Vectors;
use crate::dot::{Element, dot};
use crate::kernel::wide::{Work, with_widest_vectors};
use crate::kernel::{GROUP, Line, SIDE};

/// Added to a measured error: f64 rounding of the residual's length, of the
/// mean, and of the exact similarity, each far smaller than this.
const ERROR_MARGIN: f64 = 1e-9;

/// Clips tried for the scale, in standard deviations of the values; the one
/// with the smallest mean error on a sample is taken. Values beyond the clip
/// only make their group's measured error larger.
const CLIPS: [f64; 6] = [3.6, 4.2, 5.0, 7.0, 12.0, 24.0];

/// Groups looked at to choose the scale.
const SCALE_SAMPLE: usize = 256;

/// Quantised groups.
#[derive(Debug)]
pub(crate) struct Quantised {
    /// Rows of unsigned codes (`q + bias`), padded to a multiple of 32 rows.
    codes: Vec<Line>,
    /// One more than the largest code.
    bias: u8,
    /// Lines a row.
    k_lines: usize,
    /// Number of groups, without padding.
    n: usize,
    /// Per group `E` in units of `s²`, rounded up.
    slack: Vec<i32>,
    /// Per group the sum of its codes.
    code_sum: Vec<i32>,
    /// `s`.
    scale: f64,
    /// `s²`.
    unit: f64,
    /// The largest `e` of all groups.
    largest_error: f64,
}

/// Codes, error and sum of one group go into these.
struct QuantiseRow<'a> {
    group: &'a Group,
    vectors: &'a Vectors<'a>,
    /// The value of code 1.
    scale: f64,
    /// The largest code; its negative is the smallest.
    max_code: u8,
    codes: &'a mut [u8],
}

impl Work for QuantiseRow<'_> {
    type Output = (f64, i32);

    /// Writes biased codes; returns the squared error and the sum of codes.
    #[inline(always)]
    fn run(self) -> (f64, i32) {
        match &self.group.body {
            Body::Row(row) => {
                let factor = self.vectors.inverse_norm(*row as usize);
                let values = self.vectors.row(*row as usize);
                quantise(values, factor, self.scale, self.max_code, self.codes)
            }
            Body::Sum(sum) => {
                let factor = 1.0 / f64::from(self.group.size);
                quantise(sum, factor, self.scale, self.max_code, self.codes)
            }
        }
    }
}

/// Quantises `values * factor`; see [`QuantiseRow`].
#[inline(always)]
fn quantise<T: Element>(
    values: &[T],
    factor: f64,
    scale: f64,
    max_code: u8,
    codes: &mut [u8],
) -> (f64, i32) {
    const LANES: usize = 16;
    let inverse = 1.0 / scale;
    let most = f64::from(max_code);
    let bias = max_code + 1;
    // Independent running sums, or every addition waits for the last.
    let mut squares = [0.0f64; LANES];
    let mut sums = [0i32; LANES];
    let (value_chunks, value_rest) = values.as_chunks::<LANES>();
    let (code_chunks, code_rest) = codes.as_chunks_mut::<LANES>();
    for (values, codes) in value_chunks.iter().zip(code_chunks) {
        for lane in 0..LANES {
            let (square, q) = code_of(values[lane].wide() * factor, scale, inverse, most);
            squares[lane] += square;
            sums[lane] += q;
            codes[lane] = (q as u8).wrapping_add(bias);
        }
    }
    for (lane, (value, code)) in value_rest.iter().zip(code_rest).enumerate() {
        let (square, q) = code_of(value.wide() * factor, scale, inverse, most);
        squares[lane] += square;
        sums[lane] += q;
        *code = (q as u8).wrapping_add(bias);
    }
    (squares.iter().sum(), sums.iter().sum())
}

/// The nearest code of a value, and the squared residual.
#[inline(always)]
fn code_of(value: f64, scale: f64, inverse: f64, most: f64) -> (f64, i32) {
    // 1.5 * 2^52: adding it leaves the nearest integer in the low bits, which
    // vectorises on every processor; the clamp keeps the value small enough.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    let shifted = (value * inverse).clamp(-most, most) + ROUND;
    let residual = value - scale * (shifted - ROUND);
    (residual * residual, shifted.to_bits() as i32)
}

impl Quantised {
    /// Added to a column's dots, keeps every sum below every threshold.
    pub(crate) const UNREACHABLE: i32 = i32::MIN / 2;

    /// Quantises `groups` to codes of at most `max_code`, up to 127.
    pub(crate) fn new(groups: &[Group], vectors: &Vectors<'_>, max_code: u8) -> Self {
        let scale = best_scale(groups, vectors, max_code);
        let coded = Coded::new(groups, vectors, scale, max_code);
        let grow = 1.0 + coded.largest_error() / 2.0;
        coded.finish(grow)
    }

    /// Quantises other groups so that their products with these are bounded:
    /// the same scale, and a slack that carries the whole `e1·e2`. As
    /// `e1·e2 <= e1·e_max` with the `e_max` of `self`, for `q` of the result
    /// and `r` of `self` the similarity is at most
    /// `s²·(q·r) + e_q·(1 + e_max) + e_r`, and at least that with both errors
    /// taken away instead.
    pub(crate) fn matching(&self, groups: &[Group], vectors: &Vectors<'_>) -> Self {
        let coded = Coded::new(groups, vectors, self.scale, self.bias - 1);
        coded.finish(1.0 + self.largest_error)
    }

    /// Gives the memory of the codes back; [`Self::block`] and [`Self::pack`]
    /// can't be used any more.
    pub(crate) fn drop_codes(&mut self) {
        self.codes = Vec::new();
    }

    pub(crate) fn len(&self) -> usize {
        self.n
    }

    pub(crate) fn k_lines(&self) -> usize {
        self.k_lines
    }

    /// Blocks of 32 rows, the last padded.
    pub(crate) fn n_blocks(&self) -> usize {
        self.n.div_ceil(SIDE)
    }

    /// The codes of 32 rows.
    pub(crate) fn block(&self, block: usize) -> &[Line] {
        &self.codes[block * SIDE * self.k_lines..][..SIDE * self.k_lines]
    }

    /// Integer threshold: groups whose similarity is at least `similarity` have
    /// `q1·q2 + slack1 + slack2` of at least this.
    pub(crate) fn threshold(&self, similarity: f64) -> i32 {
        ((similarity - ERROR_MARGIN) / self.unit).floor() as i32
    }

    /// `E` of a group, in units.
    pub(crate) fn slack(&self, at: usize) -> i32 {
        self.slack[at]
    }

    /// The similarity that a number of units is.
    pub(crate) fn value_of(&self, units: i32) -> f64 {
        f64::from(units) * self.unit
    }

    /// What a row's `dots + column_add` must reach; padding reaches nothing.
    pub(crate) fn row_least(&self, row: usize, threshold: i32) -> i32 {
        self.slack
            .get(row)
            .map_or(i32::MAX, |slack| threshold - slack)
    }

    /// Takes the bias out of a column's dots and adds its slack; padding is
    /// sent below everything.
    pub(crate) fn column_add(&self, column: usize) -> i32 {
        if column < self.n {
            self.slack[column] - i32::from(self.bias) * self.code_sum[column]
        } else {
            Self::UNREACHABLE
        }
    }

    /// Upper bound of the similarity, from `dots + column_add` and the row.
    pub(crate) fn bound(&self, sum: i32, row: usize) -> f64 {
        f64::from(sum + self.slack[row] + 1) * self.unit
    }

    /// Upper bound of the similarity of two groups, one pair at a time.
    pub(crate) fn bound_of_pair(&self, a: usize, b: usize) -> f64 {
        let row = |i: usize| &self.codes[i * self.k_lines..][..self.k_lines];
        let dot = with_widest_vectors(CodeDot(row(a), row(b), self.bias));
        f64::from(dot + self.slack[a] + self.slack[b] + 1) * self.unit
    }

    /// Bounds of up to `n` random pairs: always the same for the same codes.
    pub(crate) fn sample_bounds(&self, n: usize) -> Vec<f64> {
        // SplitMix64 (Steele, Lea, Flood 2014) on the number of the draw.
        let draw = |at: usize| {
            let mut z = (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) % self.n as u64) as usize
        };
        (0..n)
            .into_par_iter()
            .with_min_len(4096)
            .map(|at| (draw(2 * at + 1), draw(2 * at + 2)))
            .filter(|(a, b)| a != b)
            .map(|(a, b)| self.bound_of_pair(a, b))
            .collect()
    }

    /// Writes the codes of blocks `blocks` as columns: see
    /// [`crate::kernel::Kernel`].
    pub(crate) fn pack(&self, blocks: std::ops::Range<usize>, columns: &mut Vec<Line>) {
        columns.clear();
        columns.resize(blocks.len() * SIDE * self.k_lines, Line::ZERO);
        self.pack_into(blocks.start, columns);
    }

    /// The same for whole blocks from `first_block` on, into memory that is
    /// there.
    pub(crate) fn pack_into(&self, first_block: usize, columns: &mut [Line]) {
        let group_lines = GROUP * self.k_lines;
        let first = first_block * SIDE;
        for (at, group) in columns.chunks_exact_mut(group_lines).enumerate() {
            for c in 0..GROUP {
                let row = first + at * GROUP + c;
                let lines = &self.codes[row * self.k_lines..][..self.k_lines];
                let fours = lines.iter().flat_map(|l| l.0.as_chunks::<4>().0);
                for (four, line) in fours.zip(group.iter_mut()) {
                    let signed = four.map(|byte| byte.wrapping_sub(self.bias));
                    line.0[c * 4..c * 4 + 4].copy_from_slice(&signed);
                }
            }
        }
    }
}

/// Codes whose slack is not decided yet.
struct Coded {
    codes: Vec<Line>,
    k_lines: usize,
    scale: f64,
    max_code: u8,
    /// Per group `e`, rounded up, and the sum of its codes.
    measured: Vec<(f64, i32)>,
}

impl Coded {
    fn new(groups: &[Group], vectors: &Vectors<'_>, scale: f64, max_code: u8) -> Self {
        let k_lines = vectors.dim().div_ceil(64).max(1);
        let bias = max_code + 1;
        let padded = groups.len().next_multiple_of(SIDE);
        let mut codes = vec![Line([bias; 64]); padded * k_lines];
        let measured = codes
            .par_chunks_exact_mut(k_lines)
            .with_min_len(64)
            .zip(groups)
            .map(|(lines, group)| {
                let mut row = vec![bias; k_lines * 64];
                let (square, sum) = with_widest_vectors(QuantiseRow {
                    group,
                    vectors,
                    scale,
                    max_code,
                    codes: &mut row[..vectors.dim()],
                });
                for (line, bytes) in lines.iter_mut().zip(row.as_chunks::<64>().0) {
                    line.0 = *bytes;
                }
                (square.sqrt() * (1.0 + 1e-12) + ERROR_MARGIN, sum)
            })
            .collect();
        Self {
            codes,
            k_lines,
            scale,
            max_code,
            measured,
        }
    }

    fn largest_error(&self) -> f64 {
        self.measured.iter().fold(0.0, |most: f64, m| most.max(m.0))
    }

    /// With `E = e·grow`.
    fn finish(self, grow: f64) -> Quantised {
        let unit = self.scale * self.scale;
        let slack = |m: &(f64, i32)| (m.0 * grow / unit).ceil() as i32 + 1;
        Quantised {
            bias: self.max_code + 1,
            k_lines: self.k_lines,
            n: self.measured.len(),
            slack: self.measured.iter().map(slack).collect(),
            code_sum: self.measured.iter().map(|m| m.1).collect(),
            scale: self.scale,
            unit,
            largest_error: self.largest_error(),
            codes: self.codes,
        }
    }
}

/// Dot product of two rows of codes.
struct CodeDot<'a>(&'a [Line], &'a [Line], u8);

impl Work for CodeDot<'_> {
    type Output = i32;

    #[inline(always)]
    fn run(self) -> i32 {
        let code = |byte: u8| i32::from(byte.wrapping_sub(self.2) as i8);
        let mut dot = 0;
        for (a, b) in self.0.iter().zip(self.1) {
            for (a, b) in a.0.iter().zip(&b.0) {
                dot += code(*a) * code(*b);
            }
        }
        dot
    }
}

/// The scale with the smallest mean error on a sample of the groups.
fn best_scale(groups: &[Group], vectors: &Vectors<'_>, max_code: u8) -> f64 {
    let step = (groups.len() / SCALE_SAMPLE).max(1);
    let sample = || groups.iter().step_by(step);
    let mut codes = vec![0u8; vectors.dim()];
    let (mut square, mut n) = (0.0, 0);
    for group in sample() {
        square += mean_square(group);
        n += vectors.dim();
    }
    let deviation = (square / (n as f64).max(1.0)).sqrt().max(1e-6);
    CLIPS
        .into_iter()
        .map(|clip| {
            let scale = clip * deviation / f64::from(max_code);
            let error: f64 = sample()
                .map(|group| {
                    let codes = &mut codes;
                    let row = QuantiseRow {
                        group,
                        vectors,
                        scale,
                        max_code,
                        codes,
                    };
                    with_widest_vectors(row).0.sqrt()
                })
                .sum();
            (error, scale)
        })
        .min_by(|a, b| a.0.total_cmp(&b.0))
        .map_or(1.0, |(_, scale)| scale)
}

/// Squared length of a group's mean.
fn mean_square(group: &Group) -> f64 {
    match &group.body {
        Body::Row(_) => 1.0,
        Body::Sum(sum) => dot(sum, sum) / f64::from(group.size).powi(2),
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use proptest::prelude::*;

    use super::*;

    /// Rows of very different shapes: even, one-hot, with an outlier value.
    fn rows() -> impl Strategy<Value = Array2<f32>> {
        (2usize..40, 1usize..70).prop_flat_map(|(n, d)| {
            let value = prop_oneof![
                4 => -1.0f32..1.0,
                1 => Just(0.0f32),
                1 => prop::sample::select(vec![30.0f32, -9.0, 1e-6]),
            ];
            prop::collection::vec(value, n * d)
                .prop_map(move |v| Array2::from_shape_vec((n, d), v).unwrap())
                .prop_filter("rows have a direction", |a| {
                    a.outer_iter().all(|r| r.iter().any(|&v| v != 0.0))
                })
        })
    }

    proptest! {
        #[test]
        fn bounds_are_never_below_the_similarity(
            rows in rows(), max_code in prop::sample::select(vec![63u8, 127])
        ) {
            let vectors = Vectors::new(rows.view()).unwrap();
            let n = rows.nrows() as u32;
            let one = |row: u32| Group::single(row, row);
            let mut groups: Vec<Group> = (0..n).map(one).collect();
            groups.extend((1..n).map(|row| one(row).merge(one(row / 2), n, &vectors)));
            let codes = Quantised::new(&groups, &vectors, max_code);
            let mut columns = Vec::new();
            codes.pack(0..codes.n_blocks(), &mut columns);
            prop_assert_eq!(columns.len(), codes.n_blocks() * SIDE * codes.k_lines());
            for i in 0..groups.len() {
                for j in 0..groups.len() {
                    let exact = groups[i].similarity(&groups[j], &vectors).value();
                    let bound = codes.bound_of_pair(i, j);
                    prop_assert!(exact <= bound, "{exact} > {bound}");
                    // The packed form says the same number.
                    let line = |k: usize| &columns[(j / GROUP) * GROUP * codes.k_lines() + k / 4];
                    let row = &codes.codes[i * codes.k_lines()..];
                    let dots: i32 = (0..codes.k_lines() * 64)
                        .map(|k| {
                            let column = line(k).0[(j % GROUP) * 4 + k % 4] as i8;
                            i32::from(row[k / 64].0[k % 64]) * i32::from(column)
                        })
                        .sum();
                    prop_assert_eq!(codes.bound(dots + codes.column_add(j), i), bound);
                    // And the threshold test lets it pass.
                    let least = codes.row_least(i, codes.threshold(exact));
                    prop_assert!(dots + codes.column_add(j) >= least);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn products_with_other_rows_are_bounded_from_both_sides(
            rows in rows(), max_code in prop::sample::select(vec![63u8, 127]), n in 1usize..39
        ) {
            let n = n.min(rows.nrows() - 1);
            let split = rows.view().split_at(ndarray::Axis(0), n);
            let (vectors, others) = (Vectors::new(split.0).unwrap(), Vectors::new(split.1).unwrap());
            let singles = |n: usize| -> Vec<Group> {
                (0..n as u32).map(|row| Group::single(row, row)).collect()
            };
            let codes = Quantised::new(&singles(n), &vectors, max_code);
            let queries = codes.matching(&singles(others.len()), &others);
            let code = |of: &Quantised, row: usize, k: usize| {
                i32::from(of.codes[row * of.k_lines + k / 64].0[k % 64]) - i32::from(of.bias)
            };
            for i in 0..others.len() {
                for j in 0..n {
                    let product: i32 = (0..codes.k_lines * 64)
                        .map(|k| code(&queries, i, k) * code(&codes, j, k))
                        .sum();
                    let slack = queries.slack(i) + codes.slack(j);
                    let scale = others.inverse_norm(i) * vectors.inverse_norm(j);
                    let exact = dot(others.row(i), vectors.row(j)) * scale;
                    prop_assert!(exact < codes.value_of(product + slack), "{i} {j}");
                    prop_assert!(exact > codes.value_of(product - slack), "{i} {j}");
                }
            }
        }
    }

    #[test]
    fn padding_reaches_no_threshold() {
        let rows = ndarray::array![[1.0f32, 0.0]];
        let vectors = Vectors::new(rows.view()).unwrap();
        let codes = Quantised::new(&[Group::single(0, 0)], &vectors, 127);
        assert_eq!(codes.row_least(1, -1000), i32::MAX);
        assert!(codes.column_add(1) < codes.row_least(0, codes.threshold(-1.0)));
    }
}
