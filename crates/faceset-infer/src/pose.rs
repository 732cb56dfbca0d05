//! Head pose from 68 landmarks, and the five points in them.

use faceset_core::{Landmarks5, Pose};

use crate::mean_shape::MEAN_SHAPE_68;

/// Head pose in degrees from 68 points of a face in upright pixels.
///
/// Fits the affine camera that takes the mean face to the points (least
/// squares), normalises its first two rows, takes their cross product as the
/// third and reads Euler angles off that rotation: the procedure of InsightFace,
/// with this project's own mean face. Depth of the points is not needed.
///
/// `None` when the points have no spread.
pub fn pose_from_68(points: &[[f32; 2]]) -> Option<Pose> {
    let rows = fit_affine(points)?;
    let normalize = |r: [f64; 3]| {
        let length = r.iter().map(|v| v * v).sum::<f64>().sqrt();
        (length > 1e-12).then(|| r.map(|v| v / length))
    };
    let (r1, r2) = (normalize(rows[0])?, normalize(rows[1])?);
    let r3 = [
        r1[1] * r2[2] - r1[2] * r2[1],
        r1[2] * r2[0] - r1[0] * r2[2],
        r1[0] * r2[1] - r1[1] * r2[0],
    ];
    let sy = libm::hypot(r1[0], r2[0]);
    let (pitch, yaw, roll) = if sy < 1e-6 {
        (libm::atan2(-r2[2], r2[1]), libm::atan2(-r3[0], sy), 0.0)
    } else {
        (
            libm::atan2(r3[1], r3[2]),
            libm::atan2(-r3[0], sy),
            libm::atan2(r2[0], r1[0]),
        )
    };
    Some(Pose::from(
        [pitch, yaw, roll].map(|a| a.to_degrees() as f32),
    ))
}

/// First three columns of the affine map from the mean face to image x and y.
fn fit_affine(points: &[[f32; 2]]) -> Option<[[f64; 3]; 2]> {
    if points.len() != MEAN_SHAPE_68.len() {
        return None;
    }
    // Normal equations of [X Y Z 1] · p = x, for x and for y.
    let mut normal = [[0.0f64; 4]; 4];
    let mut right = [[0.0f64; 2]; 4];
    for (shape, point) in MEAN_SHAPE_68.iter().zip(points) {
        let row = [
            f64::from(shape[0]),
            f64::from(shape[1]),
            f64::from(shape[2]),
            1.0,
        ];
        for i in 0..4 {
            for j in 0..4 {
                normal[i][j] += row[i] * row[j];
            }
            for axis in 0..2 {
                right[i][axis] += row[i] * f64::from(point[axis]);
            }
        }
    }
    let solution = solve(normal, right)?;
    let rows = [0, 1].map(|axis| [0, 1, 2].map(|i| solution[i][axis]));
    rows.iter().flatten().all(|v| v.is_finite()).then_some(rows)
}

/// Gaussian elimination with partial pivoting.
fn solve(mut a: [[f64; 4]; 4], mut b: [[f64; 2]; 4]) -> Option<[[f64; 2]; 4]> {
    for column in 0..4 {
        let pivot =
            (column..4).max_by(|i, j| a[*i][column].abs().total_cmp(&a[*j][column].abs()))?;
        if a[pivot][column].abs() < 1e-9 {
            return None;
        }
        a.swap(column, pivot);
        b.swap(column, pivot);
        for row in (0..4).filter(|row| *row != column) {
            let factor = a[row][column] / a[column][column];
            let (pivot_a, pivot_b) = (a[column], b[column]);
            a[row]
                .iter_mut()
                .zip(pivot_a)
                .for_each(|(v, p)| *v -= factor * p);
            b[row]
                .iter_mut()
                .zip(pivot_b)
                .for_each(|(v, p)| *v -= factor * p);
        }
    }
    Some(std::array::from_fn(|i| b[i].map(|v| v / a[i][i])))
}

/// The five points in the usual 68-point layout: eye centres as the mean of
/// upper and lower lid points, nose tip, mouth corners as the mean of outer and
/// inner lip corner.
pub fn five_from_68(p: &[[f32; 2]]) -> Option<Landmarks5> {
    if p.len() != 68 {
        return None;
    }
    let mean = |indices: &[usize]| {
        let n = indices.len() as f32;
        [0, 1].map(|axis| indices.iter().map(|i| p[*i][axis]).sum::<f32>() / n)
    };
    Some([
        mean(&[37, 38, 40, 41]),
        mean(&[43, 44, 46, 47]),
        p[30],
        mean(&[48, 60]),
        mean(&[54, 64]),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mean face turned by angles in degrees and projected.
    fn turned(pitch: f64, yaw: f64, roll: f64) -> Vec<[f32; 2]> {
        let (sx, cx) = pitch.to_radians().sin_cos();
        let (sy, cy) = yaw.to_radians().sin_cos();
        let (sz, cz) = roll.to_radians().sin_cos();
        // R = Rz · Ry · Rx
        let rows = [
            [cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx],
            [sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx],
        ];
        MEAN_SHAPE_68
            .iter()
            .map(|s| {
                let s = s.map(f64::from);
                rows.map(|r| (150.0 * (r[0] * s[0] + r[1] * s[1] + r[2] * s[2]) + 400.0) as f32)
            })
            .collect()
    }

    #[test]
    fn known_turns_are_read_back_each_on_its_own_axis() {
        for [pitch, yaw, roll] in [
            [0.0, 0.0, 0.0],
            [20.0, 0.0, 0.0],
            [0.0, -35.0, 0.0],
            [0.0, 0.0, 15.0],
            [-12.0, 30.0, -8.0],
        ] {
            let got = <[f32; 3]>::from(pose_from_68(&turned(pitch, yaw, roll)).unwrap());
            for (got, expected) in got.iter().zip([pitch, yaw, roll]) {
                assert!(
                    (f64::from(*got) - expected).abs() < 0.1,
                    "{got} for {expected}"
                );
            }
        }
    }

    #[test]
    fn collapsed_or_missing_points_have_no_pose() {
        assert!(pose_from_68(&[[5.0, 5.0]; 68]).is_none());
        assert!(pose_from_68(&[[5.0, 5.0]; 5]).is_none());
    }

    #[test]
    fn the_mean_face_is_mirror_symmetric_and_its_nose_points_at_the_viewer() {
        let tip = MEAN_SHAPE_68[30];
        assert!(tip[2] > MEAN_SHAPE_68[0][2] && tip[2] > MEAN_SHAPE_68[36][2]);
        for (left, right) in [(0, 16), (36, 45), (48, 54), (31, 35)] {
            let (l, r) = (MEAN_SHAPE_68[left], MEAN_SHAPE_68[right]);
            assert!(
                (l[0] + r[0]).abs() < 1e-3
                    && (l[1] - r[1]).abs() < 1e-3
                    && (l[2] - r[2]).abs() < 1e-3
            );
        }
    }

    #[test]
    fn five_points_come_from_the_lids_nose_and_lips() {
        let mut points = vec![[0.0, 0.0]; 68];
        for i in [37, 38, 40, 41] {
            points[i] = [10.0, 20.0];
        }
        points[30] = [15.0, 30.0];
        (points[54], points[64]) = ([20.0, 40.0], [18.0, 42.0]);
        let five = five_from_68(&points).unwrap();
        assert_eq!(
            (five[0], five[2], five[4]),
            ([10.0, 20.0], [15.0, 30.0], [19.0, 41.0])
        );
        assert!(five_from_68(&points[..67]).is_none());
    }
}
