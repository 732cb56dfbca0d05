//! A second look at a photo on which no face was found.
//!
//! Faces are missed when they fill the photo (a detector is made for smaller
//! ones), when they are tiny, and when the photo lies on its side. Each has a
//! pass of its own; the first that finds a usable face ends the search, and the
//! caller records which one it was.

use std::fmt;

use faceset_core::BBox;
use image::{RgbImage, imageops};

use crate::detect::{Detection, Overlap, suppress};
use crate::pixels::resize_linear;
use crate::{Analysis, AnalyzedFace, Analyzer, InferError};

/// Share of the detector's input that the small second view fills: between
/// InsightFace's pair of sizes (128 of 640) and what a tight portrait needs.
pub const SMALL_VIEW_SHARE: f64 = 0.4;

/// Grid of the tiles, n by n: each shows its part nearly twice as large.
pub const RESCUE_TILES: u32 = 2;

/// Least score of a face found by a second look, unless the pack asks for more
/// on tiles; equal is kept. Our choice: looking harder sees more that is no
/// face, and nothing else confirms what it sees.
pub const RESCUE_SCORE: f32 = 0.6;

/// Which second look found the faces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RescueWay {
    /// The whole photo, smaller.
    Small,
    /// Parts of the photo, larger.
    Tiles,
    /// The photo turned clockwise by this many degrees.
    Turned(u32),
}

impl fmt::Display for RescueWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Small => f.write_str("small"),
            Self::Tiles => f.write_str("tiles"),
            Self::Turned(degrees) => write!(f, "turned-{degrees}"),
        }
    }
}

/// In the order in which they are tried: the cheapest first, then the turns by
/// how often photos lie so.
pub const RESCUE_WAYS: [RescueWay; 5] = [
    RescueWay::Small,
    RescueWay::Turned(90),
    RescueWay::Turned(270),
    RescueWay::Tiles,
    RescueWay::Turned(180),
];

impl Analyzer {
    /// Looks again, in the ways of [`RESCUE_WAYS`]; for a photo on which
    /// [`Analyzer::analyze`] found nothing. `None` when there is still no face.
    ///
    /// Boxes and points are in pixels of the picture as given. On a turned face
    /// "left" and "right" of the points are the face's own, so that alignment
    /// brings it upright; embeddings are made as for any other face.
    pub fn rescue(
        &mut self,
        picture: &RgbImage,
    ) -> Result<Option<(RescueWay, Analysis)>, InferError> {
        for way in RESCUE_WAYS {
            let mut analysis = match way {
                RescueWay::Small => {
                    let found = self.detect_small(picture)?;
                    self.embed_all(picture, found)?
                }
                RescueWay::Tiles => {
                    let found = self.detect_tiles(picture)?;
                    self.embed_all(picture, found)?
                }
                RescueWay::Turned(degrees) => self.analyze_turned(picture, degrees)?,
            };
            let least = self.rescue_score();
            analysis.faces.retain(|face| face.det_score >= least);
            if !analysis.faces.is_empty() {
                return Ok(Some((way, analysis)));
            }
        }
        Ok(None)
    }

    fn rescue_score(&self) -> f32 {
        let spec = &self.pack().pack.detector;
        spec.tile_score_threshold
            .unwrap_or(RESCUE_SCORE)
            .max(spec.score_threshold)
    }

    fn detect_small(&mut self, picture: &RgbImage) -> Result<Vec<Detection>, InferError> {
        let spec = &self.pack().pack.detector;
        let (width, height) = (spec.width, spec.height);
        let (threshold, nms) = (self.rescue_score(), spec.nms_threshold);
        let share = |edge: u32| f64::from(edge) * SMALL_VIEW_SHARE;
        let scale = (share(width) / f64::from(picture.width()))
            .min(share(height) / f64::from(picture.height()));
        let fit = |edge: u32| ((f64::from(edge) * scale) as u32).max(1);
        let (w, h) = (fit(picture.width()), fit(picture.height()));
        let mut canvas = RgbImage::new(width, height);
        imageops::replace(&mut canvas, &resize_linear(picture, w, h), 0, 0);
        let (found, _) = self.detect_pass(&canvas, width, height, threshold)?;
        let back = [
            picture.width() as f32 / w as f32,
            picture.height() as f32 / h as f32,
        ];
        let found = found
            .into_iter()
            .map(|d| d.map(|[x, y]| [x * back[0], y * back[1]]))
            .collect();
        Ok(suppress(found, nms, Overlap::UnionPlusOne))
    }

    fn detect_tiles(&mut self, picture: &RgbImage) -> Result<Vec<Detection>, InferError> {
        let spec = &self.pack().pack.detector;
        if spec.tiles.contains(&RESCUE_TILES) {
            // The first look had them.
            return Ok(Vec::new());
        }
        let (width, height) = (spec.width, spec.height);
        self.detect_at(picture, width, height, &[RESCUE_TILES])
    }

    fn analyze_turned(&mut self, picture: &RgbImage, degrees: u32) -> Result<Analysis, InferError> {
        let turned = match degrees {
            90 => imageops::rotate90(picture),
            180 => imageops::rotate180(picture),
            _ => imageops::rotate270(picture),
        };
        let analysis = self.analyze(&turned)?;
        let size = [picture.width() as f32, picture.height() as f32];
        Ok(Analysis {
            faces: analysis
                .faces
                .into_iter()
                .map(|face| upright(face, degrees, size))
                .collect(),
            ..analysis
        })
    }
}

/// A face of the turned picture in pixels of the picture itself.
fn upright(face: AnalyzedFace, degrees: u32, [width, height]: [f32; 2]) -> AnalyzedFace {
    // Centres of pixels, as box and point coordinates count them.
    let place = |[x, y]: [f32; 2]| match degrees {
        90 => [y, height - 1.0 - x],
        180 => [width - 1.0 - x, height - 1.0 - y],
        _ => [width - 1.0 - y, x],
    };
    let [ax, ay] = place([face.bbox.x1, face.bbox.y1]);
    let [bx, by] = place([face.bbox.x2, face.bbox.y2]);
    AnalyzedFace {
        bbox: BBox {
            x1: ax.min(bx),
            y1: ay.min(by),
            x2: ax.max(bx),
            y2: ay.max(by),
        },
        kps: face.kps.map(place),
        ..face
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    /// A picture 7 wide and 4 high with one red pixel at (5, 1).
    fn marked() -> RgbImage {
        let mut picture = RgbImage::new(7, 4);
        picture.put_pixel(5, 1, Rgb([255, 0, 0]));
        picture
    }

    #[test]
    fn a_point_of_the_turned_picture_is_found_again_in_the_picture() {
        for (degrees, turned) in [
            (90, imageops::rotate90(&marked())),
            (180, imageops::rotate180(&marked())),
            (270, imageops::rotate270(&marked())),
        ] {
            let (x, y, _) = turned
                .enumerate_pixels()
                .find(|(_, _, p)| p[0] == 255)
                .unwrap();
            let (x, y) = (x as f32, y as f32);
            let face = AnalyzedFace {
                bbox: BBox {
                    x1: x,
                    y1: y,
                    x2: x + 1.0,
                    y2: y + 2.0,
                },
                kps: [[x, y]; 5],
                det_score: 0.8,
                embedding: Vec::new(),
                embedding_norm: 1.0,
            };
            let back = upright(face, degrees, [7.0, 4.0]);
            assert_eq!(back.kps[0], [5.0, 1.0], "{degrees}");
            // Sides change places with a quarter turn, and stay in order.
            let sides = [back.bbox.width(), back.bbox.height()];
            assert_eq!(
                sides,
                if degrees == 180 {
                    [1.0, 2.0]
                } else {
                    [2.0, 1.0]
                }
            );
        }
    }

    #[test]
    fn names_are_those_that_records_carry() {
        let names = RESCUE_WAYS.map(|w| w.to_string());
        assert_eq!(
            names,
            ["small", "turned-90", "turned-270", "tiles", "turned-180"]
        );
    }
}
