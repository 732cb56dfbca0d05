//! One worker's models: a picture in, faces with embeddings out.

use faceset_core::{BBox, Enrichment, Landmarks5, Pose};
use image::RgbImage;
use ndarray::Array4;

use crate::align::{ALIGNED_EDGE, align};
use crate::detect::{
    Detection, Overlap, SCRFD_STRIDES, ScrfdLevel, decode_scrfd, decode_ultraface, suppress, tiles,
};
use crate::model::Model;
use crate::pack::{DetectorKind, LandmarkSpec, Normalization, PackThresholds};
use crate::pixels::{Affine, invert, resize_linear, to_tensor, warp_affine};
use crate::pose::{five_from_68, pose_from_68};
use crate::{InferError, LocatedPack, Runtime};

/// Overlap (intersection over the smaller box) above which two boxes of
/// different passes are one face: a face cut by a tile's border lies inside the
/// whole one. Measured on group photographs; faces that really overlap cover
/// less than half of each other.
const TILE_MERGE_OVERLAP: f32 = 0.65;

/// Distance in pixels to an inner tile border within which a box is taken to be
/// cut; the neighbouring tile or the whole picture shows that face complete.
const TILE_BORDER_PX: f32 = 2.0;

/// Margin of the crop for 2d106 and 3d68 models: edge = longer box edge × this.
/// InsightFace's value.
const LANDMARK_CROP_SCALE: f64 = 1.5;

/// A face with everything that `embed` stores, but for `blur`.
#[derive(Debug, Clone, PartialEq)]
pub struct AnalyzedFace {
    /// Box in upright pixels, unclamped.
    pub bbox: BBox,
    /// Five points in upright pixels.
    pub kps: Landmarks5,
    /// Detector confidence, 0..=1.
    pub det_score: f32,
    /// Unit-length embedding.
    pub embedding: Vec<f32>,
    /// Length of the raw embedding.
    pub embedding_norm: f32,
}

/// What one picture gave.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Analysis {
    /// Faces, best score first.
    pub faces: Vec<AnalyzedFace>,
    /// Detections that are no usable faces: points without spread, or an
    /// embedding shorter than the pack asks. They are only counted.
    pub n_unusable: usize,
}

/// The models of one worker. Not shared: each worker builds its own.
#[derive(Debug)]
pub struct Analyzer {
    pack: LocatedPack,
    detector: Model,
    points: Option<Model>,
    recognizer: Option<Model>,
    landmark_2d_106: Option<Model>,
    landmark_3d_68: Option<Model>,
}

/// Which models to load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Detection and recognition: `embed`.
    Embed,
    /// Landmarks and pose without recognition: `enrich`.
    Enrich,
    /// Detection only: the self-test of exported crops.
    Detect,
    /// Everything: the embed worker.
    All,
}

impl Analyzer {
    /// Loads the models that `purpose` needs.
    pub fn new(
        runtime: &Runtime,
        pack: &LocatedPack,
        purpose: Purpose,
    ) -> Result<Self, InferError> {
        let spec = &pack.pack;
        let load = |role: &str, repairs: &[_]| -> Result<Option<Model>, InferError> {
            pack.models
                .get(role)
                .map(|file| Model::load(runtime, file, repairs))
                .transpose()
        };
        let landmarks = matches!(purpose, Purpose::Enrich | Purpose::All);
        let optional = |wanted: bool, role: &str, repairs: Option<&[_]>| match (wanted, repairs) {
            (true, Some(repairs)) => load(role, repairs),
            _ => Ok(None),
        };
        let repairs = |landmark: &Option<LandmarkSpec>| landmark.as_ref().map(|l| l.repair.clone());
        let (repair_106, repair_68) = (
            repairs(&spec.landmark_2d_106),
            repairs(&spec.landmark_3d_68),
        );
        Ok(Self {
            detector: load("detector", &spec.detector.repair)?
                .expect("a located pack has a detector"),
            points: load("points", spec.points.as_ref().map_or(&[], |p| &p.repair))?,
            recognizer: optional(
                matches!(purpose, Purpose::Embed | Purpose::All),
                "recognizer",
                Some(&spec.recognizer.repair),
            )?,
            landmark_2d_106: optional(landmarks, "landmark_2d_106", repair_106.as_deref())?,
            landmark_3d_68: optional(landmarks, "landmark_3d_68", repair_68.as_deref())?,
            pack: pack.clone(),
        })
    }

    /// The pack in use.
    pub fn pack(&self) -> &LocatedPack {
        &self.pack
    }

    /// The pack's recommended thresholds.
    pub fn thresholds(&self) -> PackThresholds {
        self.pack.pack.thresholds
    }

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

    /// One run on one picture or tile: letterboxed top-left on black. Returns
    /// detections in the given picture's pixels and the scale that was applied.
    fn detect_pass(
        &mut self,
        picture: &RgbImage,
        width: u32,
        height: u32,
        threshold: f32,
    ) -> Result<(Vec<Detection>, f64), InferError> {
        let spec = &self.pack.pack.detector;
        let (fitted_w, fitted_h) = letterbox(picture.width(), picture.height(), width, height);
        let fitted = resize_linear(picture, fitted_w, fitted_h);
        let norm = Normalization {
            color: spec.color,
            mean: spec.mean,
            std: spec.std,
        };
        let tensor = to_tensor(&fitted, width, height, norm);
        let kind = spec.kind;
        let outputs = self.detector.run(&tensor)?;
        let found = match kind {
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
        let scale = f64::from(fitted_h) / f64::from(picture.height());
        let back = scale as f32;
        Ok((
            found
                .into_iter()
                .map(|d| d.map(|p| p.map(|v| v / back)))
                .collect(),
            scale,
        ))
    }

    /// Finds faces and embeds them; best score first.
    ///
    /// Needs [`Purpose::Embed`] or [`Purpose::All`].
    pub fn analyze(&mut self, picture: &RgbImage) -> Result<Analysis, InferError> {
        let mut analysis = Analysis::default();
        for detection in self.detect(picture)? {
            let points = match detection.kps {
                Some(kps) => Some(kps),
                None => self
                    .points_68(picture, &detection.bbox)?
                    .as_deref()
                    .and_then(five_from_68),
            };
            let Some(kps) = points else {
                analysis.n_unusable += 1;
                continue;
            };
            match self.embed(picture, &kps)? {
                Some((embedding, embedding_norm)) => analysis.faces.push(AnalyzedFace {
                    bbox: detection.bbox,
                    kps,
                    det_score: detection.score,
                    embedding,
                    embedding_norm,
                }),
                None => analysis.n_unusable += 1,
            }
        }
        Ok(analysis)
    }

    /// Unit embedding and raw length of the face at `kps`; `None` when the
    /// points have no spread or the embedding is shorter than the pack asks.
    pub fn embed(
        &mut self,
        picture: &RgbImage,
        kps: &Landmarks5,
    ) -> Result<Option<(Vec<f32>, f32)>, InferError> {
        let Some(transform) = align(kps) else {
            return Ok(None);
        };
        let aligned = warp_affine(picture, &transform, ALIGNED_EDGE, ALIGNED_EDGE);
        let spec = &self.pack.pack.recognizer;
        let norm = Normalization {
            color: spec.color,
            mean: spec.mean,
            std: spec.std,
        };
        let dim = spec.dim;
        let tensor = to_tensor(&aligned, ALIGNED_EDGE, ALIGNED_EDGE, norm);
        let recognizer = self
            .recognizer
            .as_mut()
            .expect("the caller asked for a recogniser");
        let raw = first_output(recognizer, &tensor, dim)?;
        let length = raw
            .iter()
            .map(|v| f64::from(*v) * f64::from(*v))
            .sum::<f64>()
            .sqrt();
        // Below the first there is no direction, below the second no face.
        if length < 1e-6
            || self
                .pack
                .pack
                .recognizer
                .min_embedding_norm
                .is_some_and(|least| (length as f32) < least)
        {
            return Ok(None);
        }
        let unit = raw
            .iter()
            .map(|v| (f64::from(*v) / length) as f32)
            .collect();
        Ok(Some((unit, length as f32)))
    }

    /// Landmarks and pose of a known face.
    ///
    /// Needs [`Purpose::Enrich`] or [`Purpose::All`].
    pub fn enrich(&mut self, picture: &RgbImage, bbox: &BBox) -> Result<Enrichment, InferError> {
        let landmark_2d_106 = self.landmarks(Landmarks::Flat106, picture, bbox)?;
        let mut landmark_3d_68 = self.landmarks(Landmarks::Spatial68, picture, bbox)?;
        if landmark_3d_68.is_none() {
            landmark_3d_68 = self
                .points_68(picture, bbox)?
                .map(|p| p.into_iter().map(|[x, y]| [x, y, f32::NAN]).collect());
        }
        let flat: Option<Vec<[f32; 2]>> = landmark_3d_68
            .as_ref()
            .map(|p| p.iter().map(|[x, y, _]| [*x, *y]).collect());
        let pose: Option<Pose> = flat.as_deref().and_then(pose_from_68);
        Ok(Enrichment {
            landmark_2d_106: landmark_2d_106
                .map(|p| p.into_iter().map(|[x, y, _]| [x, y]).collect()),
            landmark_3d_68,
            pose,
        })
    }

    /// 68 points of the pack's points model, in upright pixels.
    fn points_68(
        &mut self,
        picture: &RgbImage,
        bbox: &BBox,
    ) -> Result<Option<Vec<[f32; 2]>>, InferError> {
        let (Some(model), Some(spec)) = (self.points.as_mut(), self.pack.pack.points.as_ref())
        else {
            return Ok(None);
        };
        let edge = f64::from(bbox.height());
        if !(edge.is_finite() && edge >= 1.0) {
            return Ok(None);
        }
        let scale = f64::from(spec.size) / edge;
        let [cx, cy] = bbox.center().map(f64::from);
        let half = f64::from(spec.size) / 2.0;
        let transform: Affine = [
            [scale, 0.0, half - cx * scale],
            [0.0, scale, half - cy * scale],
        ];
        let crop = warp_affine(picture, &transform, spec.size, spec.size);
        let norm = Normalization {
            color: spec.color,
            mean: spec.mean,
            std: spec.std,
        };
        let values = first_output(model, &to_tensor(&crop, spec.size, spec.size, norm), 136)?;
        let origin = [cx - edge / 2.0, cy - edge / 2.0];
        let place = |v: f32, axis: usize| (origin[axis] + f64::from(v) * edge) as f32;
        Ok(Some(
            values
                .chunks_exact(2)
                .map(|p| [place(p[0], 0), place(p[1], 1)])
                .collect(),
        ))
    }

    /// Points of a 2d106 or 3d68 model in upright pixels, z in the same scale.
    fn landmarks(
        &mut self,
        which: Landmarks,
        picture: &RgbImage,
        bbox: &BBox,
    ) -> Result<Option<Vec<[f32; 3]>>, InferError> {
        let (model, spec) = match which {
            Landmarks::Flat106 => (
                self.landmark_2d_106.as_mut(),
                self.pack.pack.landmark_2d_106.as_ref(),
            ),
            Landmarks::Spatial68 => (
                self.landmark_3d_68.as_mut(),
                self.pack.pack.landmark_3d_68.as_ref(),
            ),
        };
        let (Some(model), Some(spec)) = (model, spec) else {
            return Ok(None);
        };
        let longest = f64::from(bbox.width().max(bbox.height()));
        if !(longest.is_finite() && longest >= 1.0) {
            return Ok(None);
        }
        let transform = landmark_crop(bbox, longest, spec.size);
        let crop = warp_affine(picture, &transform, spec.size, spec.size);
        let norm = Normalization {
            color: spec.color,
            mean: spec.mean,
            std: spec.std,
        };
        let outputs = model.run(&to_tensor(&crop, spec.size, spec.size, norm))?;
        let values = outputs
            .first()
            .map(|(_, v)| v.as_slice())
            .unwrap_or_default();
        landmarks_to_picture(which, values, &transform, spec.size)
            .map(Some)
            .ok_or_else(|| {
                model.refuse(format!(
                    "{} values are not landmarks of this kind",
                    values.len()
                ))
            })
    }
}

/// Kinds of landmark models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Landmarks {
    Flat106,
    Spatial68,
}

fn landmark_crop(bbox: &BBox, longest: f64, size: u32) -> Affine {
    let scale = f64::from(size) / (longest * LANDMARK_CROP_SCALE);
    let [cx, cy] = bbox.center().map(f64::from);
    let half = f64::from(size) / 2.0;
    [
        [scale, 0.0, half - cx * scale],
        [0.0, scale, half - cy * scale],
    ]
}

/// Model outputs are in -1..=1 of the crop; models with further points in
/// front carry the wanted 68 last.
fn landmarks_to_picture(
    which: Landmarks,
    values: &[f32],
    transform: &Affine,
    size: u32,
) -> Option<Vec<[f32; 3]>> {
    let (count, per_point) = match which {
        Landmarks::Flat106 => (106, 2),
        Landmarks::Spatial68 => (68, 3),
    };
    if !values.len().is_multiple_of(per_point) || values.len() < count * per_point {
        return None;
    }
    let half = f64::from(size) / 2.0;
    let inverse = invert(transform);
    let scale = inverse[0][0].hypot(inverse[0][1]);
    let last = &values[values.len() - count * per_point..];
    let point = |p: &[f32]| {
        let (x, y) = (
            (f64::from(p[0]) + 1.0) * half,
            (f64::from(p[1]) + 1.0) * half,
        );
        let [px, py] = inverse.map(|r| (r[0] * x + r[1] * y + r[2]) as f32);
        [
            px,
            py,
            p.get(2)
                .map_or(f32::NAN, |z| (f64::from(*z) * half * scale) as f32),
        ]
    };
    Some(last.chunks_exact(per_point).map(point).collect())
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

fn first_output(
    model: &mut Model,
    tensor: &Array4<f32>,
    expected: usize,
) -> Result<Vec<f32>, InferError> {
    let values = model
        .run(tensor)?
        .into_iter()
        .next()
        .map(|(_, v)| v)
        .unwrap_or_default();
    if values.len() == expected {
        Ok(values)
    } else {
        Err(model.refuse(format!(
            "expected {expected} values, the model gives {}",
            values.len()
        )))
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

    #[test]
    fn landmarks_return_to_picture_pixels_with_depth_in_the_same_scale() {
        let bbox = BBox {
            x1: 100.0,
            y1: 50.0,
            x2: 140.0,
            y2: 130.0,
        };
        let transform = landmark_crop(&bbox, 80.0, 192);
        // The crop's edge is 80 * 1.5 = 120 px around (120, 90).
        let mut values = vec![0.25f32; 3 * 5];
        values.extend([[0.0f32, 0.0, 0.5]; 67].concat());
        values.extend([1.0f32, -1.0, -1.0]);
        let points = landmarks_to_picture(Landmarks::Spatial68, &values, &transform, 192).unwrap();
        assert_eq!(points.len(), 68);
        let close = |a: [f32; 3], b: [f32; 3]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-3);
        assert!(close(points[0], [120.0, 90.0, 30.0]), "{:?}", points[0]);
        assert!(close(points[67], [180.0, 30.0, -60.0]), "{:?}", points[67]);
        assert!(landmarks_to_picture(Landmarks::Flat106, &values, &transform, 192).is_none());
    }
}
