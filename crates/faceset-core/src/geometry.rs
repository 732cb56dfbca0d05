//! Boxes, landmarks and head pose in upright pixels.
//!
//! "Upright" is the picture after its EXIF orientation was applied; the origin
//! is the top-left corner of the top-left pixel, x runs right, y runs down.

use serde::{Deserialize, Serialize};

/// Five `[x, y]` points of a face in upright pixels: image-left eye,
/// image-right eye, nose tip, image-left mouth corner, image-right mouth corner.
pub type Landmarks5 = [[f32; 2]; 5];

/// A face box in upright pixels, **not** clamped to the picture: a face cut by
/// the border has negative or overlarge coordinates, as InsightFace reports it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "[f32; 4]", into = "[f32; 4]")]
pub struct BBox {
    /// Left edge.
    pub x1: f32,
    /// Top edge.
    pub y1: f32,
    /// Right edge.
    pub x2: f32,
    /// Bottom edge.
    pub y2: f32,
}

impl From<[f32; 4]> for BBox {
    fn from([x1, y1, x2, y2]: [f32; 4]) -> Self {
        Self { x1, y1, x2, y2 }
    }
}

impl From<BBox> for [f32; 4] {
    fn from(b: BBox) -> Self {
        [b.x1, b.y1, b.x2, b.y2]
    }
}

impl BBox {
    /// Width in pixels; negative when the edges are swapped.
    pub fn width(&self) -> f32 {
        self.x2 - self.x1
    }

    /// Height in pixels; negative when the edges are swapped.
    pub fn height(&self) -> f32 {
        self.y2 - self.y1
    }

    /// The shorter edge in pixels: the original tool's `face_short`.
    pub fn short_edge_px(&self) -> f32 {
        self.width().min(self.height())
    }

    /// Area in square pixels; 0 for an empty or inverted box.
    pub fn area(&self) -> f32 {
        self.width().max(0.0) * self.height().max(0.0)
    }

    /// Centre `[x, y]`.
    pub fn center(&self) -> [f32; 2] {
        [
            f32::midpoint(self.x1, self.x2),
            f32::midpoint(self.y1, self.y2),
        ]
    }

    /// Intersection over union in 0..=1; 0 when either box is empty.
    pub fn iou(&self, other: &Self) -> f32 {
        let w = (self.x2.min(other.x2) - self.x1.max(other.x1)).max(0.0);
        let h = (self.y2.min(other.y2) - self.y1.max(other.y1)).max(0.0);
        let shared = w * h;
        let union = self.area() + other.area() - shared;
        if union > 0.0 { shared / union } else { 0.0 }
    }

    /// The box in tenths of a pixel, rounded half away from zero: the precision
    /// at which two boxes count as the same face (`FaceKey`).
    pub fn tenths(&self) -> [i32; 4] {
        <[f32; 4]>::from(*self).map(|v| (f64::from(v) * 10.0).round() as i32)
    }

    /// True when all four edges are finite numbers.
    pub fn is_finite(&self) -> bool {
        <[f32; 4]>::from(*self).iter().all(|v| v.is_finite())
    }
}

/// Head pose in degrees, in the order in which InsightFace stores it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "[f32; 3]", into = "[f32; 3]")]
pub struct Pose {
    /// Nodding; positive looks up.
    pub pitch_deg: f32,
    /// Shaking; the sign tells the side, 0 is frontal.
    pub yaw_deg: f32,
    /// Tilting in the picture plane.
    pub roll_deg: f32,
}

impl From<[f32; 3]> for Pose {
    fn from([pitch_deg, yaw_deg, roll_deg]: [f32; 3]) -> Self {
        Self {
            pitch_deg,
            yaw_deg,
            roll_deg,
        }
    }
}

impl From<Pose> for [f32; 3] {
    fn from(p: Pose) -> Self {
        [p.pitch_deg, p.yaw_deg, p.roll_deg]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TALL: BBox = BBox {
        x1: -5.0,
        y1: 10.0,
        x2: 25.0,
        y2: 70.0,
    };

    #[test]
    fn short_edge_is_the_smaller_of_the_unclamped_sides() {
        assert_eq!(TALL.short_edge_px(), 30.0);
        assert_eq!(TALL.center(), [10.0, 40.0]);
    }

    #[test]
    fn iou_of_a_box_shifted_by_half_its_width_is_one_third() {
        let shifted = BBox {
            x1: 10.0,
            x2: 40.0,
            ..TALL
        };
        assert!((TALL.iou(&shifted) - 1.0 / 3.0).abs() < 1e-6);
        assert_eq!(TALL.iou(&TALL), 1.0);
    }

    #[test]
    fn empty_boxes_share_nothing() {
        let empty = BBox {
            x1: 5.0,
            y1: 5.0,
            x2: 5.0,
            y2: 9.0,
        };
        assert_eq!(empty.iou(&empty), 0.0);
        assert_eq!(
            BBox {
                x1: 9.0,
                y1: 0.0,
                x2: 1.0,
                y2: 5.0
            }
            .area(),
            0.0
        );
    }

    #[test]
    fn boxes_are_json_arrays_of_four() {
        assert_eq!(
            serde_json::to_string(&TALL).unwrap(),
            "[-5.0,10.0,25.0,70.0]"
        );
    }

    #[test]
    fn tenths_round_half_away_from_zero() {
        let b = BBox {
            x1: -0.25,
            y1: 0.25,
            x2: 1.04,
            y2: 1.06,
        };
        assert_eq!(b.tenths(), [-3, 3, 10, 11]);
    }
}
