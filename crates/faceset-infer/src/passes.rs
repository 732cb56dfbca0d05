//! Finding faces on one picture: passes over the whole and over tiles.
//!
//! What comes out of a detector model is `detect`'s arithmetic; which faces are
//! embedded is `analyzer`'s decision.

use image::RgbImage;

use crate::InferError;
use crate::analyzer::Analyzer;
use crate::detect::{
    Detection, Overlap, SCRFD_STRIDES, ScrfdLevel, decode_scrfd, decode_ultraface, suppress, tiles,
};
use crate::model::Output;
use crate::pack::{DetectorKind, Normalization};
use crate::pixels::{resize_linear, to_tensor};

/// Overlap (intersection over the smaller box) above which two boxes of
/// different passes are one face: a face cut by a tile's border lies inside the
/// whole one. Measured on group photographs; faces that really overlap cover
/// less than half of each other.
const TILE_MERGE_OVERLAP: f32 = 0.65;

/// Distance in pixels to an inner tile border within which a box is taken to be
/// cut; the neighbouring tile or the whole picture shows that face complete.
const TILE_BORDER_PX: f32 = 2.0;
impl Analyzer {
    /// Finds faces at the pack's own input size; best score first.
    pub fn detect(&mut self, picture: &RgbImage) -> Result<Vec<Detection>, InferError> {
        let (w, h) = (
            self.pack.pack.detector.width,
            self.pack.pack.detector.height,
        );
        let spec_tiles = self.pack.pack.detector.tiles.clone();
        self.detect_at(picture, w, h, &spec_tiles)
    }

    /// Finds faces as an application with a square detector input of `edge`
    /// pixels would see them: the picture is first fitted into that square, so
    /// detail finer than it offers is gone, then detected with this pack.
    pub fn detect_as_seen_at(
        &mut self,
        picture: &RgbImage,
        edge: u32,
    ) -> Result<Vec<Detection>, InferError> {
        let spec = &self.pack.pack.detector;
        let longest = picture.width().max(picture.height()).max(1);
        if spec.kind == DetectorKind::Scrfd && self.detector_is_dynamic() {
            return self.detect_at(picture, edge, edge, &[]);
        }
        let (w, h, tiles) = (spec.width, spec.height, spec.tiles.clone());
        if longest == edge {
            return self.detect_at(picture, w, h, &tiles);
        }
        let scale = f64::from(edge) / f64::from(longest);
        let fit = |v: u32| ((f64::from(v) * scale) as u32).max(1);
        let fitted = resize_linear(picture, fit(picture.width()), fit(picture.height()));
        let back = (1.0 / scale) as f32;
        let found = self.detect_at(&fitted, w, h, &tiles)?;
        Ok(found
            .into_iter()
            .map(|d| d.map(|p| p.map(|v| v * back)))
            .collect())
    }

    /// Packs in circulation differ: InsightFace's files take any size, some
    /// conversions only 640.
    fn detector_is_dynamic(&self) -> bool {
        self.detector.input_is_dynamic()
    }

    fn detect_at(
        &mut self,
        picture: &RgbImage,
        width: u32,
        height: u32,
        grids: &[u32],
    ) -> Result<Vec<Detection>, InferError> {
        if picture.width() == 0 || picture.height() == 0 {
            return Ok(Vec::new());
        }
        let threshold = self.pack.pack.detector.score_threshold;
        let tile_threshold = self
            .pack
            .pack
            .detector
            .tile_score_threshold
            .unwrap_or(threshold);
        let (mut all, mut scale) = self.detect_pass(picture, width, height, threshold)?;
        for &n in grids {
            // Only while the previous pass shrank the picture does a finer one
            // show anything new.
            if scale >= 1.0 {
                break;
            }
            for [x, y, w, h] in tiles(picture.width(), picture.height(), n) {
                let tile = image::imageops::crop_imm(picture, x, y, w, h).to_image();
                let (found, tile_scale) = self.detect_pass(&tile, width, height, tile_threshold)?;
                scale = tile_scale;
                let inner = |edge: f32, at_picture_border: bool, limit: f32| {
                    !at_picture_border && (edge - limit).abs() <= TILE_BORDER_PX.max(0.01 * limit)
                };
                all.extend(found.into_iter().filter_map(|d| {
                    let cut = (x > 0 && d.bbox.x1 <= TILE_BORDER_PX)
                        || (y > 0 && d.bbox.y1 <= TILE_BORDER_PX)
                        || d.bbox.x2 > w as f32 && x + w < picture.width()
                        || d.bbox.y2 > h as f32 && y + h < picture.height()
                        || inner(d.bbox.x2, x + w == picture.width(), w as f32)
                        || inner(d.bbox.y2, y + h == picture.height(), h as f32);
                    (!cut).then(|| d.map(|[px, py]| [px + x as f32, py + y as f32]))
                }));
            }
        }
        let spec = &self.pack.pack.detector;
        let kept = suppress(all, spec.nms_threshold, Overlap::UnionPlusOne);
        if grids.is_empty() {
            return Ok(kept);
        }
        // Bigger boxes first would favour the whole picture's coarse boxes;
        // suppression by score keeps the sharper view of the two.
        Ok(suppress(kept, TILE_MERGE_OVERLAP, Overlap::Smaller))
    }

    /// The detector's own answer for a picture letterboxed top-left on black,
    /// and the scale that was applied.
    pub(crate) fn detector_outputs(
        &mut self,
        picture: &RgbImage,
        width: u32,
        height: u32,
    ) -> Result<(Vec<Output>, f64), InferError> {
        let spec = &self.pack.pack.detector;
        let (fitted_w, fitted_h) = letterbox(picture.width(), picture.height(), width, height);
        let fitted = resize_linear(picture, fitted_w, fitted_h);
        let norm = Normalization {
            color: spec.color,
            mean: spec.mean,
            std: spec.std,
        };
        let tensor = to_tensor(&fitted, width, height, norm);
        let scale = f64::from(fitted_h) / f64::from(picture.height());
        Ok((self.detector.run(&tensor)?, scale))
    }

    /// One run on one picture or tile: letterboxed top-left on black. Returns
    /// detections in the given picture's pixels and the scale that was applied.
    fn detect_pass(
        &mut self,
        picture: &RgbImage,
        width: u32,
        height: u32,
        threshold: f32,
    ) -> Result<(Vec<Detection>, f64), InferError> {
        let (outputs, scale) = self.detector_outputs(picture, width, height)?;
        let found = match self.pack.pack.detector.kind {
            DetectorKind::Scrfd => {
                let expected = |i: usize, per_anchor: usize| {
                    let stride = SCRFD_STRIDES[i];
                    (width.div_ceil(stride) * height.div_ceil(stride)) as usize * 2 * per_anchor
                };
                let complete = outputs.len() == 9
                    && (0..3).all(|i| {
                        outputs[i].1.len() == expected(i, 1)
                            && outputs[i + 3].1.len() == expected(i, 4)
                            && outputs[i + 6].1.len() == expected(i, 10)
                    });
                if !complete {
                    return Err(self.detector.refuse(
                        "expected nine outputs (scores, boxes, points at strides 8, 16, 32): not an SCRFD model with points",
                    ));
                }
                let mut found = Vec::new();
                for (i, stride) in SCRFD_STRIDES.into_iter().enumerate() {
                    let level = ScrfdLevel {
                        stride,
                        scores: &outputs[i].1,
                        boxes: &outputs[i + 3].1,
                        points: &outputs[i + 6].1,
                    };
                    found.extend(decode_scrfd(&level, width, threshold));
                }
                found
            }
            DetectorKind::Ultraface => {
                let by_width =
                    |k: usize| outputs.iter().find(|(shape, _)| shape.last() == Some(&k));
                let (Some((_, scores)), Some((_, boxes))) = (by_width(2), by_width(4)) else {
                    return Err(self.detector.refuse(
                        "expected outputs [1, n, 2] and [1, n, 4]: not an UltraFace model",
                    ));
                };
                decode_ultraface(scores, boxes, width, height, threshold)
            }
        };
        let back = scale as f32;
        Ok((
            found
                .into_iter()
                .map(|d| d.map(|p| p.map(|v| v / back)))
                .collect(),
            scale,
        ))
    }
}

/// Size of a picture fitted into `width`×`height`, keeping its aspect, with
/// InsightFace's truncation.
fn letterbox(picture_w: u32, picture_h: u32, width: u32, height: u32) -> (u32, u32) {
    let picture_ratio = f64::from(picture_h) / f64::from(picture_w);
    let input_ratio = f64::from(height) / f64::from(width);
    if picture_ratio > input_ratio {
        (((f64::from(height) / picture_ratio) as u32).max(1), height)
    } else {
        (width, ((f64::from(width) * picture_ratio) as u32).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letterbox_truncates_like_the_reference() {
        assert_eq!(letterbox(1000, 667, 640, 640), (640, 426));
        assert_eq!(letterbox(667, 1000, 640, 640), (426, 640));
        assert_eq!(letterbox(300, 300, 640, 640), (640, 640));
        assert_eq!(letterbox(10_000, 1, 640, 640), (640, 1));
        assert_eq!(letterbox(400, 400, 320, 240), (240, 240));
    }
}
