//! The parts of the composite score, each 0..=1 and larger is better.

use faceset_core::manifest::ScoreParts;
use faceset_core::{Enrichment, FaceRecord, Landmarks5, Pose};

use crate::decimal;
use crate::symmetry::{landmark_symmetry, midpoint};

/// Yaw in degrees at which a face counts as not frontal at all.
const YAW_LIMIT_DEG: f64 = 60.0;
/// Pitch in degrees at which a face counts as not frontal at all.
const PITCH_LIMIT_DEG: f64 = 45.0;
/// A face is large enough at this short edge: with pad ratio 0.5 a 512 px PNG
/// shows it at 256 px, so more is thrown away.
const FULL_SIZE_PX: f64 = 256.0;
/// Laplacian variance that scores 0: the gate of `refine`.
const BLUR_FLOOR: f64 = 40.0;
/// Laplacian variance that scores 1.
const BLUR_CEILING: f64 = 1000.0;

/// How far the nose tip stands out of the plane of eyes and mouth, in
/// interocular distances. A guess from adult proportions; see
/// docs/decisions/0005.
const NOSE_PROTRUSION: f64 = 0.45;
/// Where the nose tip lies between the eye line (0) and the mouth line (1) on a
/// frontal face. Measured: median 0.555 of the near-frontal among 149 photos,
/// with the landmarks of two SCRFD detectors. The ArcFace template has 0.495.
const NOSE_HEIGHT: f64 = 0.55;
/// Interocular distance over eye-to-mouth distance of a frontal face. Measured
/// on the same photos: 0.93 and 0.95. The ArcFace template has 0.866.
const EYE_SPAN_PER_FACE_LENGTH: f64 = 0.94;

/// All five parts of a face's score.
///
/// Frontality uses the head pose where there is one and the five landmarks
/// otherwise; symmetry uses 106, else 68, else five landmarks.
pub fn parts(face: &FaceRecord) -> ScoreParts {
    ScoreParts {
        frontality: frontality(face),
        det_score: det_score_part(face.det_score),
        landmark_symmetry: landmark_symmetry(face),
        face_size: face_size(face.face_short),
        sharpness: sharpness(face.blur),
    }
}

/// Frontality from the pose, or from the five landmarks when the record has no
/// pose (or one that is no number).
pub fn frontality(face: &FaceRecord) -> f64 {
    let pose = face.enrichment.as_ref().and_then(|e: &Enrichment| e.pose);
    match pose {
        Some(pose) if pose.yaw_deg.is_finite() && pose.pitch_deg.is_finite() => {
            frontality_of_pose(pose)
        }
        _ => frontality_of_landmarks(&face.kps),
    }
}

/// `(1 - |yaw|/60) · (1 - |pitch|/45)`, each factor clamped to 0..=1. Roll
/// does not count: alignment turns it away.
pub fn frontality_of_pose(pose: Pose) -> f64 {
    turned(f64::from(pose.yaw_deg), f64::from(pose.pitch_deg))
}

/// Frontality from five landmarks: the nose tip's sideways and vertical offset
/// from where a frontal face has it gives yaw and pitch of a rigid head.
///
/// Independent of roll, position and scale. 0 when the eyes, or the eye and
/// mouth lines, coincide or a coordinate is no number.
pub fn frontality_of_landmarks(kps: &Landmarks5) -> f64 {
    let [eye_l, eye_r, nose, mouth_l, mouth_r] = kps.map(|p| p.map(f64::from));
    let across = [eye_r[0] - eye_l[0], eye_r[1] - eye_l[1]];
    let span = libm::hypot(across[0], across[1]);
    if !(span.is_finite() && span > 0.0) {
        return 0.0;
    }
    let right = across.map(|v| v / span);
    // y runs down the picture, so this is down the face.
    let down = [-right[1], right[0]];
    let eyes = midpoint(eye_l, eye_r);
    let mouth = midpoint(mouth_l, mouth_r);
    let along =
        |axis: [f64; 2], p: [f64; 2]| (p[0] - eyes[0]) * axis[0] + (p[1] - eyes[1]) * axis[1];
    let length = along(down, mouth);
    if !length.is_finite() || length <= 0.0 {
        return 0.0;
    }
    let height = along(down, nose) / length;
    let sideways = (along(right, nose) - height * along(right, mouth)) / span;
    if !height.is_finite() || !sideways.is_finite() {
        return 0.0;
    }
    let yaw = libm::atan(sideways / NOSE_PROTRUSION).to_degrees();
    let rise = NOSE_PROTRUSION * EYE_SPAN_PER_FACE_LENGTH;
    let pitch = libm::atan((height - NOSE_HEIGHT) / rise).to_degrees();
    turned(yaw, pitch)
}

fn turned(yaw_deg: f64, pitch_deg: f64) -> f64 {
    let factor = |angle: f64, limit: f64| (1.0 - angle.abs() / limit).clamp(0.0, 1.0);
    let product = factor(yaw_deg, YAW_LIMIT_DEG) * factor(pitch_deg, PITCH_LIMIT_DEG);
    if product.is_nan() { 0.0 } else { product }
}

/// `min(face_short, 256) / 256`; 0 for a box without an edge.
pub fn face_size(face_short_px: f32) -> f64 {
    if face_short_px > 0.0 {
        (f64::from(face_short_px) / FULL_SIZE_PX).min(1.0)
    } else {
        0.0
    }
}

/// Laplacian variance on a log scale: 40 and below is 0, 1000 and above is 1.
pub fn sharpness(blur: f32) -> f64 {
    if blur > 0.0 {
        (libm::log(f64::from(blur) / BLUR_FLOOR) / libm::log(BLUR_CEILING / BLUR_FLOOR))
            .clamp(0.0, 1.0)
    } else {
        0.0
    }
}

/// The detector's confidence itself, clamped to 0..=1; NaN is 0.
pub fn det_score_part(det_score: f32) -> f64 {
    if det_score.is_nan() {
        0.0
    } else {
        decimal(det_score).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A rigid head in interocular units (x right, y down, z towards the
    /// viewer), turned and projected without perspective.
    fn turned_head(yaw_deg: f64, pitch_deg: f64, roll_deg: f64) -> Landmarks5 {
        let length = 1.0 / EYE_SPAN_PER_FACE_LENGTH;
        let head = [
            [-0.5, 0.0, 0.0],
            [0.5, 0.0, 0.0],
            [0.0, NOSE_HEIGHT * length, NOSE_PROTRUSION],
            [-0.4, length, 0.0],
            [0.4, length, 0.0],
        ];
        let (sy, cy) = yaw_deg.to_radians().sin_cos();
        let (sp, cp) = pitch_deg.to_radians().sin_cos();
        let (sr, cr) = roll_deg.to_radians().sin_cos();
        head.map(|[x, y, z]| {
            let (x, z) = (cy * x + sy * z, -sy * x + cy * z);
            let y = cp * y + sp * z;
            let (x, y) = (cr * x - sr * y, sr * x + cr * y);
            [(300.0 + 80.0 * x) as f32, (200.0 + 80.0 * y) as f32]
        })
    }

    fn pose(pitch_deg: f32, yaw_deg: f32, roll_deg: f32) -> Pose {
        Pose {
            pitch_deg,
            yaw_deg,
            roll_deg,
        }
    }

    #[test]
    fn pose_counts_yaw_and_pitch_by_their_own_limits_and_not_roll() {
        assert_eq!(frontality_of_pose(pose(0.0, 0.0, 80.0)), 1.0);
        assert_eq!(frontality_of_pose(pose(0.0, -30.0, 0.0)), 0.5);
        assert!((frontality_of_pose(pose(9.0, 30.0, 0.0)) - 0.4).abs() < 1e-12);
        assert_eq!(frontality_of_pose(pose(0.0, 60.0, 0.0)), 0.0);
        assert!(frontality_of_pose(pose(0.0, 59.9, 0.0)) > 0.0);
        assert_eq!(frontality_of_pose(pose(-45.0, 0.0, 0.0)), 0.0);
        assert!(frontality_of_pose(pose(44.9, 0.0, 0.0)) > 0.0);
        assert_eq!(frontality_of_pose(pose(90.0, 90.0, 0.0)), 0.0);
    }

    #[test]
    fn landmarks_of_a_turned_head_give_the_frontality_of_its_pose() {
        for (yaw, pitch) in [
            (0.0, 0.0),
            (20.0, 0.0),
            (-35.0, 0.0),
            (0.0, 15.0),
            (0.0, -20.0),
        ] {
            for roll in [0.0, 25.0, -160.0] {
                let found = frontality_of_landmarks(&turned_head(yaw, pitch, roll));
                let expected = frontality_of_pose(pose(pitch as f32, yaw as f32, 0.0));
                assert!(
                    (found - expected).abs() < 0.02,
                    "{yaw} {pitch} {roll}: {found} {expected}"
                );
            }
        }
    }

    #[test]
    fn a_head_turned_and_nodding_scores_below_either_alone() {
        let both = frontality_of_landmarks(&turned_head(20.0, 15.0, 0.0));
        assert!(both < frontality_of_landmarks(&turned_head(20.0, 0.0, 0.0)));
        assert!(both < frontality_of_landmarks(&turned_head(0.0, 15.0, 0.0)));
    }

    #[test]
    fn landmarks_without_spread_have_no_frontality() {
        assert_eq!(frontality_of_landmarks(&[[3.0, 4.0]; 5]), 0.0);
        let mut kps = turned_head(0.0, 0.0, 0.0);
        kps[2] = [f32::NAN, 1.0];
        assert_eq!(frontality_of_landmarks(&kps), 0.0);
        // Eyes and mouth on one line.
        let flat = [[0.0, 0.0], [2.0, 0.0], [1.0, 1.0], [0.0, 0.0], [2.0, 0.0]];
        assert_eq!(frontality_of_landmarks(&flat), 0.0);
    }

    #[test]
    fn size_is_linear_up_to_256_px() {
        assert_eq!(face_size(64.0), 0.25);
        assert_eq!(face_size(256.0), 1.0);
        assert!(face_size(256_f32.next_down()) < 1.0);
        assert_eq!(face_size(4000.0), 1.0);
        assert_eq!(face_size(-3.0), 0.0);
        assert_eq!(face_size(f32::NAN), 0.0);
    }

    #[test]
    fn sharpness_runs_from_40_to_1000_on_a_log_scale() {
        assert_eq!(sharpness(40.0), 0.0);
        assert!(sharpness(40_f32.next_up()) > 0.0);
        assert_eq!(sharpness(200.0), 0.5);
        assert_eq!(sharpness(1000.0), 1.0);
        assert!(sharpness(999.0) < 1.0);
        assert_eq!(sharpness(0.0), 0.0);
        assert_eq!(sharpness(f32::NAN), 0.0);
    }

    #[test]
    fn confidence_is_taken_as_it_is() {
        assert_eq!(det_score_part(0.83), 0.83);
        assert_eq!(det_score_part(1.0001), 1.0);
        assert_eq!(det_score_part(f32::NAN), 0.0);
    }
}
