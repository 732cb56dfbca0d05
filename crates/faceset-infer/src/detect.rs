//! Detector outputs to boxes and points: SCRFD and UltraFace.
//!
//! Pure arithmetic on model outputs; running the model is `analyzer`'s work.

use faceset_core::{BBox, Landmarks5};

/// A face as the detector sees it, in the coordinates of the detector's input
/// or, after scaling, of the picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// Box, unclamped.
    pub bbox: BBox,
    /// Confidence, 0..=1.
    pub score: f32,
    /// Points, when the detector gives them.
    pub kps: Option<Landmarks5>,
}

impl Detection {
    pub(crate) fn map(self, f: impl Fn([f32; 2]) -> [f32; 2]) -> Self {
        let [x1, y1] = f([self.bbox.x1, self.bbox.y1]);
        let [x2, y2] = f([self.bbox.x2, self.bbox.y2]);
        Self {
            bbox: BBox { x1, y1, x2, y2 },
            kps: self.kps.map(|k| k.map(f)),
            ..self
        }
    }
}

/// SCRFD's strides in pixels.
pub const SCRFD_STRIDES: [u32; 3] = [8, 16, 32];
/// SCRFD's anchors per grid cell.
const SCRFD_ANCHORS: usize = 2;

/// One stride's outputs: scores `[n]`, boxes `[n, 4]` as distances to the four
/// sides and points `[n, 10]` as offsets, both in units of the stride.
#[derive(Debug, Clone, Copy)]
pub struct ScrfdLevel<'a> {
    /// Stride in pixels.
    pub stride: u32,
    /// Confidences.
    pub scores: &'a [f32],
    /// Side distances.
    pub boxes: &'a [f32],
    /// Point offsets.
    pub points: &'a [f32],
}

/// Decodes one stride: the anchor of a cell is its corner (`cell * stride`,
/// without a half-cell offset, as InsightFace does it). Scores equal to
/// `threshold` are kept.
pub fn decode_scrfd(level: &ScrfdLevel<'_>, input_width: u32, threshold: f32) -> Vec<Detection> {
    let stride = level.stride as f32;
    let cells_per_row = input_width.div_ceil(level.stride) as usize;
    level
        .scores
        .iter()
        .enumerate()
        .filter(|(_, score)| **score >= threshold)
        .map(|(anchor, score)| {
            let cell = anchor / SCRFD_ANCHORS;
            let cx = (cell % cells_per_row) as f32 * stride;
            let cy = (cell / cells_per_row) as f32 * stride;
            let d = &level.boxes[anchor * 4..anchor * 4 + 4];
            let p = &level.points[anchor * 10..anchor * 10 + 10];
            Detection {
                bbox: BBox {
                    x1: cx - d[0] * stride,
                    y1: cy - d[1] * stride,
                    x2: cx + d[2] * stride,
                    y2: cy + d[3] * stride,
                },
                score: *score,
                kps: Some(std::array::from_fn(|i| {
                    [cx + p[2 * i] * stride, cy + p[2 * i + 1] * stride]
                })),
            }
        })
        .collect()
}

/// Decodes UltraFace: `scores` `[n, 2]` (background, face) and `boxes` `[n, 4]`
/// as corners in shares of the input's width and height (these exports carry
/// the SSD decoding inside). Scores equal to `threshold` are kept.
pub fn decode_ultraface(
    scores: &[f32],
    boxes: &[f32],
    width: u32,
    height: u32,
    threshold: f32,
) -> Vec<Detection> {
    let (w, h) = (width as f32, height as f32);
    scores
        .chunks_exact(2)
        .zip(boxes.chunks_exact(4))
        .filter(|(score, _)| score[1] >= threshold)
        .map(|(score, b)| Detection {
            bbox: BBox {
                x1: b[0] * w,
                y1: b[1] * h,
                x2: b[2] * w,
                y2: b[3] * h,
            },
            score: score[1],
            kps: None,
        })
        .collect()
}

/// How two boxes' overlap is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// Intersection over union with InsightFace's areas, one pixel added to
    /// each side.
    UnionPlusOne,
    /// Intersection over the smaller box: drops parts of a face that a tile's
    /// border cut.
    Smaller,
}

/// Greedy non-maximum suppression, best score first (ties: the later input
/// first, as a reversed stable sort gives it). A box overlapping a kept one by
/// more than `threshold` is dropped; equal is kept.
pub fn suppress(
    mut detections: Vec<Detection>,
    threshold: f32,
    overlap: Overlap,
) -> Vec<Detection> {
    detections.reverse();
    detections.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept: Vec<Detection> = Vec::new();
    for candidate in detections {
        if kept
            .iter()
            .all(|k| measure(&k.bbox, &candidate.bbox, overlap) <= threshold)
        {
            kept.push(candidate);
        }
    }
    kept
}

fn measure(a: &BBox, b: &BBox, overlap: Overlap) -> f32 {
    let one = if overlap == Overlap::UnionPlusOne {
        1.0
    } else {
        0.0
    };
    let w = (a.x2.min(b.x2) - a.x1.max(b.x1) + one).max(0.0);
    let h = (a.y2.min(b.y2) - a.y1.max(b.y1) + one).max(0.0);
    let area = |c: &BBox| (c.width() + one) * (c.height() + one);
    let shared = w * h;
    match overlap {
        Overlap::UnionPlusOne => shared / (area(a) + area(b) - shared),
        Overlap::Smaller => shared / area(a).min(area(b)).max(f32::MIN_POSITIVE),
    }
}

/// Tiles of an `n`×`n` grid over a picture, overlapping by a quarter of their
/// size: `[x, y, width, height]` in pixels.
pub fn tiles(width: u32, height: u32, n: u32) -> Vec<[u32; 4]> {
    /// Share of a tile that its neighbour sees too.
    const OVERLAP: f64 = 0.25;
    let edge = |full: u32| f64::from(full) / (f64::from(n) - f64::from(n - 1) * OVERLAP);
    let (tw, th) = (edge(width), edge(height));
    let start = |i: u32, size: f64| (f64::from(i) * size * (1.0 - OVERLAP)) as u32;
    let mut list = Vec::new();
    for row in 0..n {
        for column in 0..n {
            let (x, y) = (start(column, tw), start(row, th));
            let (w, h) = (
                (tw.ceil() as u32).min(width - x),
                (th.ceil() as u32).min(height - y),
            );
            list.push([x, y, w.max(1), h.max(1)]);
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(x: f32, y: f32, edge: f32, score: f32) -> Detection {
        Detection {
            bbox: BBox {
                x1: x,
                y1: y,
                x2: x + edge,
                y2: y + 2.0 * edge,
            },
            score,
            kps: None,
        }
    }

    #[test]
    fn scrfd_anchors_sit_on_cell_corners_and_distances_are_in_strides() {
        // Input 32 wide at stride 8: 4 cells a row. Anchor 11 is cell 5: column 1, row 1.
        let mut scores = vec![0.0; 32];
        let (mut boxes, mut points) = (vec![0.0; 32 * 4], vec![0.0; 32 * 10]);
        scores[11] = 0.5;
        boxes[44..48].copy_from_slice(&[1.0, 2.0, 3.0, 4.0]);
        points[110] = 0.5;
        points[111] = -0.5;
        let level = ScrfdLevel {
            stride: 8,
            scores: &scores,
            boxes: &boxes,
            points: &points,
        };
        let found = decode_scrfd(&level, 32, 0.5);
        assert_eq!(found.len(), 1, "a score equal to the threshold is kept");
        assert_eq!(<[f32; 4]>::from(found[0].bbox), [0.0, -8.0, 32.0, 40.0]);
        assert_eq!(found[0].kps.unwrap()[0], [12.0, 4.0]);
        assert!(decode_scrfd(&level, 32, 0.500_1).is_empty());
    }

    #[test]
    fn ultraface_boxes_are_shares_of_the_input_and_the_second_score_counts() {
        let scores = [0.9, 0.1, 0.35, 0.65];
        let boxes = [0.0, 0.0, 1.0, 1.0, 0.25, 0.5, 0.5, 0.75];
        let found = decode_ultraface(&scores, &boxes, 320, 240, 0.65);
        assert_eq!(found.len(), 1, "a score equal to the threshold is kept");
        assert_eq!(<[f32; 4]>::from(found[0].bbox), [80.0, 120.0, 160.0, 180.0]);
    }

    #[test]
    fn the_better_of_two_overlapping_boxes_stays_and_order_is_by_score() {
        let kept = suppress(
            vec![
                at(0.0, 0.0, 10.0, 0.7),
                at(1.0, 0.0, 10.0, 0.9),
                at(50.0, 0.0, 10.0, 0.8),
            ],
            0.4,
            Overlap::UnionPlusOne,
        );
        assert_eq!(kept.iter().map(|d| d.score).collect::<Vec<_>>(), [0.9, 0.8]);
    }

    #[test]
    fn overlap_equal_to_the_threshold_is_kept() {
        // With one pixel added: 5x20 and 15x20 of union, a third.
        let pair = vec![at(0.0, 0.0, 9.0, 0.9), at(5.0, 0.0, 9.0, 0.8)];
        let pair = pair
            .into_iter()
            .map(|d| Detection {
                bbox: BBox { y2: 19.0, ..d.bbox },
                ..d
            })
            .collect::<Vec<_>>();
        assert_eq!(
            suppress(pair.clone(), 100.0 / 300.0, Overlap::UnionPlusOne).len(),
            2
        );
        assert_eq!(suppress(pair, 0.333, Overlap::UnionPlusOne).len(), 1);
    }

    #[test]
    fn a_part_inside_a_face_is_dropped_by_the_smaller_rule_only() {
        let pair = vec![at(0.0, 0.0, 100.0, 0.9), at(10.0, 10.0, 20.0, 0.8)];
        assert_eq!(suppress(pair.clone(), 0.6, Overlap::Smaller).len(), 1);
        assert_eq!(suppress(pair, 0.4, Overlap::UnionPlusOne).len(), 2);
    }

    #[test]
    fn tiles_cover_the_picture_and_overlap() {
        let list = tiles(1000, 400, 2);
        assert_eq!(list.len(), 4);
        assert_eq!(list[0], [0, 0, 572, 229]);
        let [x, y, w, h] = list[3];
        assert!(x + w == 1000 && y + h == 400 && x < 572 && y < 229);
    }
}
