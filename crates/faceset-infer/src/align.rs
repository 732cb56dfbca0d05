//! From five points to the 112×112 crop that recognisers expect.

use faceset_core::Landmarks5;

use crate::pixels::Affine;

/// Edge of the aligned crop in pixels.
pub const ALIGNED_EDGE: u32 = 112;

/// ArcFace's template: where the five points lie in the 112×112 crop. Published
/// with the ArcFace paper and used by every model of that family.
pub const ARCFACE_TEMPLATE: Landmarks5 = [
    [38.2946, 51.6963],
    [73.5318, 51.5014],
    [56.0252, 71.7366],
    [41.5493, 92.3655],
    [70.7299, 92.2041],
];

/// Similarity transform (rotation, uniform scale, shift) taking five points to
/// [`ARCFACE_TEMPLATE`] in the least-squares sense (Umeyama 1991, without
/// reflection).
///
/// Points are `[x, y]` in upright pixels in the order of [`Landmarks5`].
/// Returns `None` when they have no spread: no transform exists.
pub fn align(points: &Landmarks5) -> Option<Affine> {
    let mean = |p: &Landmarks5| {
        let sum = p.iter().fold([0.0; 2], |s, q| {
            [s[0] + f64::from(q[0]), s[1] + f64::from(q[1])]
        });
        [sum[0] / 5.0, sum[1] / 5.0]
    };
    let (from, to) = (mean(points), mean(&ARCFACE_TEMPLATE));
    // As complex numbers, the best map is a·s + t with a = Σ conj(s)·d / Σ |s|².
    let (mut re, mut im, mut spread) = (0.0, 0.0, 0.0);
    for (p, q) in points.iter().zip(&ARCFACE_TEMPLATE) {
        let (sx, sy) = (f64::from(p[0]) - from[0], f64::from(p[1]) - from[1]);
        let (dx, dy) = (f64::from(q[0]) - to[0], f64::from(q[1]) - to[1]);
        re += sx * dx + sy * dy;
        im += sx * dy - sy * dx;
        spread += sx * sx + sy * sy;
    }
    if !(spread.is_finite() && spread > f64::EPSILON && (re != 0.0 || im != 0.0)) {
        return None;
    }
    let (a, b) = (re / spread, im / spread);
    Some([
        [a, -b, to[0] - a * from[0] + b * from[1]],
        [b, a, to[1] - b * from[0] - a * from[1]],
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(m: &Affine, p: [f32; 2]) -> [f64; 2] {
        let [x, y] = p.map(f64::from);
        m.map(|r| r[0] * x + r[1] * y + r[2])
    }

    #[test]
    fn a_turned_scaled_shifted_template_is_brought_back() {
        // 90 degrees clockwise in image coordinates, doubled, shifted.
        let points = ARCFACE_TEMPLATE.map(|[x, y]| [-2.0 * y + 300.0, 2.0 * x + 40.0]);
        let m = align(&points).unwrap();
        for (p, q) in points.iter().zip(&ARCFACE_TEMPLATE) {
            let got = apply(&m, *p);
            assert!(
                (got[0] - f64::from(q[0])).abs() < 1e-3 && (got[1] - f64::from(q[1])).abs() < 1e-3
            );
        }
    }

    #[test]
    fn a_mirrored_face_is_not_mirrored_back() {
        let points = ARCFACE_TEMPLATE.map(|[x, y]| [-x, y]);
        let m = align(&points).unwrap();
        let determinant = m[0][0] * m[1][1] - m[0][1] * m[1][0];
        assert!(determinant > 0.0);
    }

    #[test]
    fn points_without_spread_have_no_transform() {
        assert!(align(&[[7.0, 9.0]; 5]).is_none());
        assert!(align(&[[f32::NAN, 9.0]; 5]).is_none());
    }
}
