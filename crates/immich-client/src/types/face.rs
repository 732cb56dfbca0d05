//! Face boxes.

use serde::{Deserialize, Serialize};

use crate::lenient;
use crate::types::Person;
use crate::{AssetId, FaceId, PersonId};

/// Who made a face box.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaceSource {
    /// Detected by the server.
    MachineLearning,
    /// Read from the file's metadata.
    Exif,
    /// Drawn by a user; it has no embedding.
    Manual,
    /// Something newer than this crate.
    #[serde(other)]
    Unknown,
}

/// One face on an asset.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Face {
    /// Its id.
    pub id: FaceId,
    /// Where it is.
    #[serde(flatten)]
    pub area: FaceBox,
    /// Who made the box; old servers do not say.
    #[serde(default, deserialize_with = "lenient::opt")]
    pub source_type: Option<FaceSource>,
    /// Whose face it is; `None` for nobody's, and on partners' assets by `/faces`.
    #[serde(default, deserialize_with = "lenient::opt")]
    pub person: Option<Person>,
}

/// A box in pixels of the frame it was measured in, origin top left, which is the
/// upright preview for detected faces and the edited picture for `/faces` of an
/// edited asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct FaceBox {
    /// Left edge.
    #[serde(
        rename = "boundingBoxX1",
        default,
        deserialize_with = "lenient::coordinate"
    )]
    pub x1: i32,
    /// Top edge.
    #[serde(
        rename = "boundingBoxY1",
        default,
        deserialize_with = "lenient::coordinate"
    )]
    pub y1: i32,
    /// Right edge.
    #[serde(
        rename = "boundingBoxX2",
        default,
        deserialize_with = "lenient::coordinate"
    )]
    pub x2: i32,
    /// Bottom edge.
    #[serde(
        rename = "boundingBoxY2",
        default,
        deserialize_with = "lenient::coordinate"
    )]
    pub y2: i32,
    /// Width of the frame; `None` or 0 when the server does not know it.
    #[serde(rename = "imageWidth", default, deserialize_with = "lenient::pixels")]
    pub frame_width: Option<u32>,
    /// Height of the frame; see `frame_width`.
    #[serde(rename = "imageHeight", default, deserialize_with = "lenient::pixels")]
    pub frame_height: Option<u32>,
}

impl FaceBox {
    /// `[x1, y1, x2, y2]` in pixels of a picture of `width` x `height` that shows
    /// the same as the frame, clipped to it.
    ///
    /// The factor is the ratio of the long edges, which a turned frame cannot upset.
    /// Returns `None` when the frame or the picture has no size.
    pub fn scaled_to(&self, width: u32, height: u32) -> Option<[f64; 4]> {
        let frame = self.frame_width?.max(self.frame_height?);
        let long = width.max(height);
        if frame == 0 || long == 0 {
            return None;
        }
        let factor = f64::from(long) / f64::from(frame);
        let x = |v: i32| (f64::from(v) * factor).clamp(0.0, f64::from(width));
        let y = |v: i32| (f64::from(v) * factor).clamp(0.0, f64::from(height));
        Some([x(self.x1), y(self.y1), x(self.x2), y(self.y2)])
    }
}

/// A face to draw by hand: a box in pixels of a frame that the caller chooses.
/// The server gives no id back and computes no embedding for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewFace {
    /// The photo.
    pub asset_id: AssetId,
    /// Whose face it is.
    pub person_id: PersonId,
    /// Width of the frame.
    pub image_width: u32,
    /// Height of the frame.
    pub image_height: u32,
    /// Left edge.
    pub x: u32,
    /// Top edge.
    pub y: u32,
    /// Width of the box.
    pub width: u32,
    /// Height of the box.
    pub height: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn area(frame: Option<(u32, u32)>) -> FaceBox {
        FaceBox {
            x1: 100,
            y1: -4,
            x2: 1500,
            y2: 200,
            frame_width: frame.map(|f| f.0),
            frame_height: frame.map(|f| f.1),
        }
    }

    #[test]
    fn box_scales_by_the_long_edges_and_is_clipped() {
        // 2160 -> 3000 long edge: factor 1.388..; x2 1500 * 1.388 = 2083 > 2000.
        let scaled = area(Some((1440, 2160))).scaled_to(2000, 3000).unwrap();
        let expected = [138.888_888, 0.0, 2000.0, 277.777_777];
        for (found, expected) in scaled.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-5, "{scaled:?}");
        }
    }

    #[test]
    fn frames_without_size_scale_to_nothing() {
        assert_eq!(area(None).scaled_to(10, 10), None);
        assert_eq!(area(Some((0, 0))).scaled_to(10, 10), None);
        assert_eq!(area(Some((10, 10))).scaled_to(0, 0), None);
    }
}
