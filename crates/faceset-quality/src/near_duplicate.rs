//! Pictures that show the same moment twice: resized copies, re-compressions,
//! bursts.
//!
//! Two tests must agree, since each alone errs: the 64-bit difference hash of
//! the face crop, and the cosine of the embeddings. Groups are star-shaped:
//! every member is within the limits of the one that is kept, so a slow burst
//! can't chain its first picture to its last.

use std::collections::BTreeMap;

use faceset_core::{BBox, FaceKey, Score};
use image::RgbImage;
use serde::{Deserialize, Serialize};

use crate::QualityError;
use crate::blur::grey;

/// Most differing bits of 64; a larger distance of two 8×8 hashes is common
/// between unrelated pictures.
const MAX_HAMMING: u32 = 6;
/// Least cosine similarity; the original tool's later within-set rule.
const MIN_COSINE: f64 = 0.95;
/// Width and height of the grid whose neighbouring cells are compared.
const GRID: [usize; 2] = [9, 8];

/// When two face pictures count as the same. Both limits are inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "UncheckedLimits", into = "UncheckedLimits")]
pub struct NearDuplicateLimits {
    max_hamming: u32,
    min_cosine: f64,
}

#[derive(Serialize, Deserialize)]
struct UncheckedLimits {
    max_hamming: u32,
    min_cosine: f64,
}

impl TryFrom<UncheckedLimits> for NearDuplicateLimits {
    type Error = QualityError;

    fn try_from(l: UncheckedLimits) -> Result<Self, QualityError> {
        Self::new(l.max_hamming, l.min_cosine)
    }
}

impl From<NearDuplicateLimits> for UncheckedLimits {
    fn from(l: NearDuplicateLimits) -> Self {
        Self {
            max_hamming: l.max_hamming,
            min_cosine: l.min_cosine,
        }
    }
}

impl Default for NearDuplicateLimits {
    /// At most 6 differing bits and a cosine of at least 0.95.
    fn default() -> Self {
        Self {
            max_hamming: MAX_HAMMING,
            min_cosine: MIN_COSINE,
        }
    }
}

impl NearDuplicateLimits {
    /// Checks the ranges: 0..=64 bits, cosine -1..=1.
    pub fn new(max_hamming: u32, min_cosine: f64) -> Result<Self, QualityError> {
        if max_hamming > 64 {
            return Err(QualityError::NearDuplicate {
                limit: "the largest Hamming distance",
                value: max_hamming.into(),
                expected: "0 to 64 bits",
            });
        }
        if !(-1.0..=1.0).contains(&min_cosine) {
            return Err(QualityError::NearDuplicate {
                limit: "the smallest cosine",
                value: min_cosine,
                expected: "a number from -1 to 1",
            });
        }
        Ok(Self {
            max_hamming,
            min_cosine,
        })
    }

    /// Largest Hamming distance of a duplicate, in bits.
    pub fn max_hamming(&self) -> u32 {
        self.max_hamming
    }

    /// Smallest cosine similarity of a duplicate.
    pub fn min_cosine(&self) -> f64 {
        self.min_cosine
    }
}

/// What the duplicate rule looks at in one face.
#[derive(Debug, Clone, Copy)]
pub struct FaceLook<'a> {
    /// The face; breaks ties between equal scores, by path and box.
    pub key: &'a FaceKey,
    /// Its composite score: the best of a group is kept.
    pub composite: Score,
    /// Difference hash of its crop, see [`face_dhash`].
    pub dhash: u64,
    /// Its embedding; need not be of unit length.
    pub embedding: &'a [f32],
}

/// One picture that repeats the kept one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DuplicateMember {
    /// Position in the input.
    pub face: usize,
    /// Differing bits against the kept face.
    pub hamming: u32,
    /// Cosine similarity to the kept face.
    pub cosine: f64,
}

/// One face that is kept and those that repeat it.
#[derive(Debug, Clone, PartialEq)]
pub struct DuplicateGroup {
    /// Position of the kept face in the input: the best composite score of the
    /// group, the smaller path and then box among equals.
    pub keep: usize,
    /// The others, best score first; never empty.
    pub members: Vec<DuplicateMember>,
}

/// Number of differing bits.
pub fn hamming(a: u64, b: u64) -> u32 {
    (a ^ b).count_ones()
}

/// Hamming distance and cosine of two faces when both are within the limits.
pub fn are_near_duplicates(
    a: &FaceLook<'_>,
    b: &FaceLook<'_>,
    limits: &NearDuplicateLimits,
) -> Option<(u32, f64)> {
    let bits = hamming(a.dhash, b.dhash);
    if bits > limits.max_hamming {
        return None;
    }
    let cosine = cosine(a.embedding, b.embedding);
    (cosine >= limits.min_cosine).then_some((bits, cosine))
}

/// Groups near-duplicates; faces without one are in no group.
///
/// Faces are taken from the best score down. Each joins the first kept face
/// whose duplicate it is, or is kept itself. The result does not depend on the
/// order of the input; groups are ordered by their kept face's score.
pub fn group_near_duplicates(
    faces: &[FaceLook<'_>],
    limits: &NearDuplicateLimits,
) -> Vec<DuplicateGroup> {
    let mut order: Vec<usize> = (0..faces.len()).collect();
    order.sort_by(|&a, &b| {
        let rank = |i: usize| {
            let key = faces[i].key;
            (key.path.as_str(), key.bbox.tenths(), key.sha256)
        };
        faces[b]
            .composite
            .cmp(&faces[a].composite)
            .then_with(|| rank(a).cmp(&rank(b)))
            .then(a.cmp(&b))
    });
    let mut kept = KeptByHash::new(limits.max_hamming);
    let mut groups: Vec<DuplicateGroup> = Vec::new();
    for i in order {
        let leader = kept.near(faces[i].dhash).into_iter().find_map(|g| {
            let keep = &faces[groups[g].keep];
            are_near_duplicates(keep, &faces[i], limits).map(|numbers| (g, numbers))
        });
        if let Some((g, (hamming, cosine))) = leader {
            groups[g].members.push(DuplicateMember {
                face: i,
                hamming,
                cosine,
            });
        } else {
            kept.insert(faces[i].dhash, groups.len());
            groups.push(DuplicateGroup {
                keep: i,
                members: Vec::new(),
            });
        }
    }
    groups.retain(|g| !g.members.is_empty());
    groups
}

/// Finds kept hashes that may be near: two hashes that differ in at most `k`
/// bits agree in at least one of `k + 1` slices, so only hashes that share a
/// slice are looked at.
struct KeptByHash {
    n_slices: u32,
    by_slice: BTreeMap<(u32, u64), Vec<usize>>,
}

impl KeptByHash {
    fn new(max_hamming: u32) -> Self {
        Self {
            // With 64 bits allowed everything is near: one slice of no bits.
            n_slices: if max_hamming >= 64 {
                0
            } else {
                max_hamming + 1
            },
            by_slice: BTreeMap::new(),
        }
    }

    fn slices(&self, hash: u64) -> Vec<(u32, u64)> {
        if self.n_slices == 0 {
            return vec![(0, 0)];
        }
        (0..self.n_slices)
            .map(|s| {
                let from = 64 * s / self.n_slices;
                let to = 64 * (s + 1) / self.n_slices;
                let width = to - from;
                let mask = if width == 64 {
                    u64::MAX
                } else {
                    (1 << width) - 1
                };
                (s, (hash >> from) & mask)
            })
            .collect()
    }

    fn insert(&mut self, hash: u64, group: usize) {
        for slice in self.slices(hash) {
            self.by_slice.entry(slice).or_default().push(group);
        }
    }

    /// Groups that share a slice with the hash, in the order of insertion.
    fn near(&self, hash: u64) -> Vec<usize> {
        let mut found: Vec<usize> = self
            .slices(hash)
            .iter()
            .filter_map(|slice| self.by_slice.get(slice))
            .flatten()
            .copied()
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// Cosine similarity; NaN, which is within no limit, for vectors of different
/// or no length.
fn cosine(a: &[f32], b: &[f32]) -> f64 {
    if a.len() != b.len() {
        return f64::NAN;
    }
    let dot = |x: &[f32], y: &[f32]| -> f64 {
        x.iter()
            .zip(y)
            .map(|(x, y)| f64::from(*x) * f64::from(*y))
            .sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// 64-bit difference hash of the square around a face: bit `8·row + column` is
/// set when the grey mean of a grid cell is larger than that of its left
/// neighbour, on 9×8 cells.
///
/// The square has the box's centre and longer edge. Only pixels on the picture
/// are averaged; a cell without any counts as black. The hash of a box without
/// an edge, or with one that is no number, is 0.
pub fn face_dhash(rgb: &RgbImage, bbox: &BBox) -> u64 {
    let side = f64::from(bbox.width().max(bbox.height()));
    if !bbox.is_finite() || side <= 0.0 {
        return 0;
    }
    let [cx, cy] = bbox.center().map(f64::from);
    let [left, top] = [cx - side / 2.0, cy - side / 2.0];
    let columns: [_; GRID[0]] =
        std::array::from_fn(|i| coverage(left, side, i, GRID[0], rgb.width()));
    let rows: [_; GRID[1]] = std::array::from_fn(|i| coverage(top, side, i, GRID[1], rgb.height()));
    let mut hash = 0_u64;
    for (r, row) in rows.iter().enumerate() {
        let means = columns
            .each_ref()
            .map(|column| weighted_mean(rgb, column, row));
        for c in 0..GRID[0] - 1 {
            if means[c + 1] > means[c] {
                hash |= 1 << (8 * r + c);
            }
        }
    }
    hash
}

/// The pixels of one line that cell `i` of `n` covers, each with the covered
/// part of its width.
fn coverage(start: f64, side: f64, i: usize, n: usize, limit: u32) -> Vec<(u32, f64)> {
    let from = (start + side * i as f64 / n as f64).max(0.0);
    let to = (start + side * (i + 1) as f64 / n as f64).min(f64::from(limit));
    if from >= to {
        return Vec::new();
    }
    (from.floor() as u32..to.ceil() as u32)
        .map(|p| (p, to.min(f64::from(p) + 1.0) - from.max(f64::from(p))))
        .filter(|(_, part)| *part > 0.0)
        .collect()
}

fn weighted_mean(rgb: &RgbImage, columns: &[(u32, f64)], rows: &[(u32, f64)]) -> f64 {
    let (mut sum, mut weight) = (0.0, 0.0);
    for (y, part_y) in rows {
        for (x, part_x) in columns {
            let part = part_x * part_y;
            sum += part * f64::from(grey(rgb.get_pixel(*x, *y).0));
            weight += part;
        }
    }
    if weight > 0.0 { sum / weight } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use faceset_core::hash_bytes;
    use image::Rgb;
    use proptest::prelude::*;

    fn key(path: &str) -> FaceKey {
        FaceKey {
            path: path.into(),
            sha256: hash_bytes(path.as_bytes()),
            bbox: [0.0, 0.0, 10.0, 20.0].into(),
        }
    }

    fn look<'a>(
        key: &'a FaceKey,
        composite: f64,
        dhash: u64,
        embedding: &'a [f32],
    ) -> FaceLook<'a> {
        FaceLook {
            key,
            composite: Score::saturating(composite),
            dhash,
            embedding,
        }
    }

    #[test]
    fn six_bits_are_a_duplicate_and_seven_are_not() {
        let (a, b) = (key("/a"), key("/b"));
        let limits = NearDuplicateLimits::default();
        let e = [1.0, 0.0];
        let near =
            |bits| are_near_duplicates(&look(&a, 0.5, 0, &e), &look(&b, 0.5, bits, &e), &limits);
        assert_eq!(near(0b11_1111), Some((6, 1.0)));
        assert_eq!(near(0b111_1111), None);
    }

    #[test]
    fn the_cosine_limit_itself_is_a_duplicate() {
        let (a, b) = (key("/a"), key("/b"));
        // 24/25 = 0.96 exactly enough in both precisions.
        let (e, f) = ([1.0, 0.0], [24.0, 7.0]);
        let near = |min| {
            let limits = NearDuplicateLimits::new(6, min).unwrap();
            are_near_duplicates(&look(&a, 0.5, 0, &e), &look(&b, 0.5, 0, &f), &limits)
        };
        assert_eq!(near(0.96), Some((0, 0.96)));
        assert_eq!(near(0.96_f64.next_up()), None);
        let default = NearDuplicateLimits::default();
        assert_eq!((default.max_hamming(), default.min_cosine()), (6, 0.95));
    }

    #[test]
    fn the_best_of_a_group_is_kept_and_its_path_breaks_ties() {
        let keys = [key("/c"), key("/a"), key("/b")];
        let e = [1.0];
        let limits = NearDuplicateLimits::default();
        let scored = |s: [f64; 3]| {
            let faces: Vec<_> = (0..3).map(|i| look(&keys[i], s[i], i as u64, &e)).collect();
            group_near_duplicates(&faces, &limits)
        };
        let by_score = scored([0.3, 0.1, 0.2]);
        assert_eq!((by_score.len(), by_score[0].keep), (1, 0));
        assert_eq!(
            by_score[0]
                .members
                .iter()
                .map(|m| m.face)
                .collect::<Vec<_>>(),
            [2, 1]
        );
        assert_eq!(scored([0.3, 0.3, 0.3])[0].keep, 1);
    }

    #[test]
    fn chains_do_not_form() {
        // 0 - 5 bits - 1 - 5 bits - 2: the ends are 10 bits apart.
        let keys = [key("/a"), key("/b"), key("/c")];
        let e = [1.0];
        let hashes = [0, 0b1_1111, 0b11_1111_1111];
        let faces: Vec<_> = (0..3)
            .map(|i| look(&keys[i], 0.9 - 0.1 * i as f64, hashes[i], &e))
            .collect();
        let groups = group_near_duplicates(&faces, &NearDuplicateLimits::default());
        assert_eq!(groups.len(), 1);
        assert_eq!((groups[0].keep, groups[0].members.len()), (0, 1));
        assert_eq!(groups[0].members[0].face, 1);
    }

    #[test]
    fn looking_alike_is_not_enough_without_the_same_person() {
        let keys = [key("/a"), key("/b")];
        let faces = [
            look(&keys[0], 0.5, 9, &[1.0, 0.0]),
            look(&keys[1], 0.4, 9, &[0.0, 1.0]),
        ];
        assert!(group_near_duplicates(&faces, &NearDuplicateLimits::default()).is_empty());
    }

    #[test]
    fn limits_out_of_range_are_refused() {
        assert!(NearDuplicateLimits::new(65, 0.95).is_err());
        assert!(NearDuplicateLimits::new(6, f64::NAN).is_err());
        assert!(NearDuplicateLimits::new(6, 1.01).is_err());
    }

    /// Brightness rises to the right in the upper half and to the left in the
    /// lower half of the square (20, 10)..(92, 82).
    fn two_ramps(scale: u32) -> RgbImage {
        RgbImage::from_fn(120 * scale, 100 * scale, |x, y| {
            let v = (x / scale) as u8;
            Rgb([if y / scale < 46 { v } else { 200 - v }; 3])
        })
    }

    #[test]
    fn the_hash_of_two_ramps_by_hand() {
        let rgb = two_ramps(1);
        // 72 wide, 60 high: the square is 72 on a side around (56, 46).
        let hash = face_dhash(&rgb, &[20.0, 16.0, 92.0, 76.0].into());
        assert_eq!(hash, 0x0000_0000_FFFF_FFFF);
        let mirrored = image::imageops::flip_horizontal(&rgb);
        let hash = face_dhash(&mirrored, &[28.0, 16.0, 100.0, 76.0].into());
        assert_eq!(hash, 0xFFFF_FFFF_0000_0000);
    }

    #[test]
    fn a_resized_copy_has_the_same_hash() {
        let small = face_dhash(&two_ramps(1), &[20.0, 16.0, 92.0, 76.0].into());
        let large = face_dhash(&two_ramps(3), &[60.0, 48.0, 276.0, 228.0].into());
        assert_eq!(small, large);
    }

    #[test]
    fn boxes_off_the_picture_or_without_size_are_no_panic() {
        let rgb = two_ramps(1);
        assert_eq!(face_dhash(&rgb, &[500.0, 500.0, 600.0, 600.0].into()), 0);
        assert_eq!(face_dhash(&rgb, &[50.0, 50.0, 50.0, 50.0].into()), 0);
        assert_eq!(face_dhash(&rgb, &[f32::NAN, 0.0, 9.0, 9.0].into()), 0);
        assert_ne!(face_dhash(&rgb, &[-30.0, -30.0, 60.0, 60.0].into()), 0);
    }

    proptest! {
        #[test]
        fn slices_find_what_comparing_all_pairs_finds(
            raw in prop::collection::vec((0_u64..64, 0_u64..1 << 9, 0_u8..4), 1..40),
            max_hamming in 0_u32..=64
        ) {
            let keys: Vec<FaceKey> = (0..raw.len()).map(|i| key(&format!("/{i:03}"))).collect();
            let e = [1.0];
            let faces: Vec<_> = raw
                .iter()
                .enumerate()
                .map(|(i, (turn, bits, s))| {
                    look(&keys[i], f64::from(*s) / 4.0, bits.rotate_left(*turn as u32), &e)
                })
                .collect();
            let limits = NearDuplicateLimits::new(max_hamming, 0.95).unwrap();
            // The obvious way: best first, the first kept one within reach.
            let mut order: Vec<usize> = (0..faces.len()).collect();
            order.sort_by(|&a, &b| faces[b].composite.cmp(&faces[a].composite).then(a.cmp(&b)));
            let mut kept: Vec<(usize, Vec<usize>)> = Vec::new();
            for i in order {
                match kept.iter_mut().find(|(k, _)| hamming(faces[*k].dhash, faces[i].dhash) <= max_hamming) {
                    Some((_, members)) => members.push(i),
                    None => kept.push((i, vec![])),
                }
            }
            kept.retain(|(_, members)| !members.is_empty());
            let found: Vec<_> = group_near_duplicates(&faces, &limits)
                .into_iter()
                .map(|g| (g.keep, g.members.iter().map(|m| m.face).collect::<Vec<_>>()))
                .collect();
            prop_assert_eq!(found, kept);
        }
    }
}
