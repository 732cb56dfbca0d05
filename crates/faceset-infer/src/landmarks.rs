//! Landmarks and pose of known faces.

use faceset_core::{BBox, Enrichment, Pose};
use image::RgbImage;

use crate::InferError;
use crate::analyzer::{Analyzer, first_output};
use crate::pack::Normalization;
use crate::pixels::{Affine, invert, to_tensor, warp_affine};
use crate::pose::pose_from_68;

/// Margin of the crop for 2d106 and 3d68 models: edge = longer box edge × this.
/// InsightFace's value.
const LANDMARK_CROP_SCALE: f64 = 1.5;
impl Analyzer {
    /// Landmarks and pose of a known face.
    ///
    /// Needs [`crate::Purpose::Enrich`] or [`crate::Purpose::All`].
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
    pub(crate) fn points_68(
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
    let scale = libm::hypot(inverse[0][0], inverse[0][1]);
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

#[cfg(test)]
mod tests {
    use super::*;

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
