//! How mirror-symmetric a face's landmarks are: a second witness of
//! frontality, and one of a good landmark fit.
//!
//! Every layout is mirrored at the same axis, the best line through the middle
//! of the eyes, the nose tip and the middle of the mouth, all from the five
//! detector points. Where the layout's left and right partners are known (5 and
//! 68 points) the error is that between partners. The 106-point layout is
//! treated as a cloud: the error of a mirrored point is its distance to the
//! nearest point. That needs no table of 106 indices, is zero exactly for
//! symmetric clouds, and reads a little more kindly than a partner table would;
//! the kinds are not compared with each other, since a pack has one.

use faceset_core::{FaceRecord, Landmarks5};

type Point = [f64; 2];

/// Symmetry of the best landmarks the record has: 106, else 68, else 5 points.
/// Landmarks of another count, or with a coordinate that is no number, are
/// passed over.
pub fn landmark_symmetry(face: &FaceRecord) -> f64 {
    if let Some(enrichment) = &face.enrichment {
        if let Some(points) = &enrichment.landmark_2d_106
            && points.len() == 106
            && points.iter().flatten().all(|v| v.is_finite())
        {
            return symmetry_of_cloud(&face.kps, points);
        }
        if let Some(points) = &enrichment.landmark_3d_68 {
            let flat: Vec<[f32; 2]> = points.iter().map(|p| [p[0], p[1]]).collect();
            if let Ok(flat) = <&[[f32; 2]; 68]>::try_from(flat.as_slice())
                && flat.iter().flatten().all(|v| v.is_finite())
            {
                return symmetry_of_68(&face.kps, flat);
            }
        }
    }
    symmetry_of_5(&face.kps)
}

/// `1 - mean partner error / interocular distance` of the five points, clamped
/// to 0..=1; 0 when the eyes coincide or a coordinate is no number.
pub fn symmetry_of_5(kps: &Landmarks5) -> f64 {
    const PARTNER: [usize; 5] = [1, 0, 2, 4, 3];
    partner_symmetry(kps, kps, |i| PARTNER[i])
}

/// As [`symmetry_of_5`] for the 68 points of the iBUG 300-W layout (17 jaw, 10
/// brow, 9 nose, 12 eye, 20 mouth points).
pub fn symmetry_of_68(kps: &Landmarks5, points: &[[f32; 2]; 68]) -> f64 {
    partner_symmetry(kps, points, partner_of_68)
}

/// `1 - mean nearest-point error / interocular distance` of a cloud of points
/// whose partners are unknown, clamped to 0..=1; 0 for an empty cloud, when the
/// eyes coincide or a coordinate is no number.
pub fn symmetry_of_cloud(kps: &Landmarks5, points: &[[f32; 2]]) -> f64 {
    let points: Vec<Point> = points.iter().map(|p| p.map(f64::from)).collect();
    score(kps, &points, |mirrored, _| {
        points
            .iter()
            .map(|&p| distance(mirrored, p))
            .fold(f64::INFINITY, f64::min)
    })
}

fn partner_symmetry(
    kps: &Landmarks5,
    points: &[[f32; 2]],
    partner: impl Fn(usize) -> usize,
) -> f64 {
    let points: Vec<Point> = points.iter().map(|p| p.map(f64::from)).collect();
    score(kps, &points, |mirrored, i| {
        distance(mirrored, points[partner(i)])
    })
}

fn score(kps: &Landmarks5, points: &[Point], error: impl Fn(Point, usize) -> f64) -> f64 {
    let [eye_l, eye_r, ..] = kps.map(|p| p.map(f64::from));
    let span = distance(eye_l, eye_r);
    let Some(axis) = Axis::of(kps) else {
        return 0.0;
    };
    let total: f64 = points
        .iter()
        .enumerate()
        .map(|(i, &p)| error(axis.mirror(p), i))
        .sum();
    let symmetry = 1.0 - total / points.len() as f64 / span;
    if symmetry.is_nan() {
        0.0
    } else {
        symmetry.clamp(0.0, 1.0)
    }
}

/// A line through `origin` with unit direction `along`.
struct Axis {
    origin: Point,
    along: Point,
}

impl Axis {
    /// The line with the smallest squared distances to eye middle, nose and
    /// mouth middle; `None` when these are one point.
    fn of(kps: &Landmarks5) -> Option<Self> {
        let [eye_l, eye_r, nose, mouth_l, mouth_r] = kps.map(|p| p.map(f64::from));
        let spine = [midpoint(eye_l, eye_r), nose, midpoint(mouth_l, mouth_r)];
        let mean = |axis: usize| spine.iter().map(|p| p[axis]).sum::<f64>() / 3.0;
        let origin = [mean(0), mean(1)];
        let [mut xx, mut xy, mut yy] = [0.0; 3];
        for p in spine {
            let [dx, dy] = [p[0] - origin[0], p[1] - origin[1]];
            xx += dx * dx;
            xy += dx * dy;
            yy += dy * dy;
        }
        let spread = xx + yy;
        if spread.is_nan() || spread <= 0.0 {
            return None;
        }
        let (sin, cos) = libm::sincos(0.5 * libm::atan2(2.0 * xy, xx - yy));
        Some(Self {
            origin,
            along: [cos, sin],
        })
    }

    fn mirror(&self, p: Point) -> Point {
        let [dx, dy] = [p[0] - self.origin[0], p[1] - self.origin[1]];
        let t = dx * self.along[0] + dy * self.along[1];
        [
            self.origin[0] + 2.0 * t * self.along[0] - dx,
            self.origin[1] + 2.0 * t * self.along[1] - dy,
        ]
    }
}

/// Index of the mirror partner in the 68-point layout; points on the axis are
/// their own.
fn partner_of_68(i: usize) -> usize {
    match i {
        0..=16 => 16 - i,
        17..=26 => 43 - i,
        27..=30 => i,
        31..=35 => 66 - i,
        36..=39 | 42..=45 => 81 - i,
        40 | 41 | 46 | 47 => 87 - i,
        48..=54 => 102 - i,
        55..=59 => 114 - i,
        60..=64 => 124 - i,
        _ => 132 - i,
    }
}

pub(crate) fn midpoint(a: Point, b: Point) -> Point {
    [f64::midpoint(a[0], b[0]), f64::midpoint(a[1], b[1])]
}

fn distance(a: Point, b: Point) -> f64 {
    libm::hypot(a[0] - b[0], a[1] - b[1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use faceset_core::Enrichment;
    use proptest::prelude::*;

    /// Eyes 40 apart, upright, axis x = 100.
    const SYMMETRIC: Landmarks5 = [
        [80.0, 50.0],
        [120.0, 50.0],
        [100.0, 75.0],
        [85.0, 100.0],
        [115.0, 100.0],
    ];

    fn record(enrichment: Option<Enrichment>, kps: Landmarks5) -> FaceRecord {
        FaceRecord {
            path: "/a.jpg".into(),
            bbox: [60.0, 20.0, 140.0, 120.0].into(),
            kps,
            det_score: 0.8,
            face_short: 80.0,
            blur: 100.0,
            embedding: vec![1.0],
            embedding_norm: 1.0,
            enrichment,
        }
    }

    #[test]
    fn five_symmetric_points_score_one_and_a_shifted_corner_costs_its_share() {
        assert!((symmetry_of_5(&SYMMETRIC) - 1.0).abs() < 1e-9);
        // Eye middle, nose and mouth middle stay on x = 100: both mouth corners
        // move out by different amounts along y only, by 4 px each way.
        let mut tilted = SYMMETRIC;
        tilted[3][1] = 96.0;
        tilted[4][1] = 104.0;
        // Partner error 8 for two of five points: 16 / 5 / 40 = 0.08.
        assert!((symmetry_of_5(&tilted) - 0.92).abs() < 1e-6);
    }

    #[test]
    fn a_turned_face_is_less_symmetric() {
        let mut turned = SYMMETRIC;
        turned[2][0] = 112.0;
        assert!(symmetry_of_5(&turned) < 0.9);
    }

    #[test]
    fn no_axis_or_no_eyes_is_no_symmetry() {
        assert_eq!(symmetry_of_5(&[[1.0, 1.0]; 5]), 0.0);
        let mut nan = SYMMETRIC;
        nan[0][0] = f32::NAN;
        assert_eq!(symmetry_of_5(&nan), 0.0);
        assert_eq!(symmetry_of_cloud(&SYMMETRIC, &[]), 0.0);
    }

    #[test]
    fn partners_of_the_68_layout_are_mutual_and_known() {
        for i in 0..68 {
            assert!(partner_of_68(i) < 68, "{i}");
            assert_eq!(partner_of_68(partner_of_68(i)), i);
        }
        let known = [
            (0, 16),
            (8, 8),
            (17, 26),
            (21, 22),
            (27, 27),
            (31, 35),
            (33, 33),
        ];
        let more = [
            (36, 45),
            (39, 42),
            (40, 47),
            (41, 46),
            (48, 54),
            (51, 51),
            (55, 59),
            (57, 57),
        ];
        for (a, b) in known
            .into_iter()
            .chain(more)
            .chain([(60, 64), (62, 62), (65, 67), (66, 66)])
        {
            assert_eq!(partner_of_68(a), b, "{a}");
        }
    }

    /// 68 points, each partner pair mirrored at x = 100.
    fn symmetric_68() -> [[f32; 2]; 68] {
        std::array::from_fn(|i| {
            let partner = partner_of_68(i);
            let low = i.min(partner) as f32;
            let side = match i.cmp(&partner) {
                std::cmp::Ordering::Less => -1.0,
                std::cmp::Ordering::Equal => 0.0,
                std::cmp::Ordering::Greater => 1.0,
            };
            [100.0 + side * (10.0 + low), 30.0 + 1.3 * low]
        })
    }

    #[test]
    fn sixty_eight_points_are_compared_with_their_partners() {
        let mut points = symmetric_68();
        assert!((symmetry_of_68(&SYMMETRIC, &points) - 1.0).abs() < 1e-6);
        points[0][1] += 34.0;
        // The moved point and its partner are each 34 px off: 68 / 68 / 40.
        assert!((symmetry_of_68(&SYMMETRIC, &points) - 0.975).abs() < 1e-6);
    }

    #[test]
    fn the_best_landmarks_of_the_record_decide() {
        let mut lopsided = symmetric_68();
        lopsided[3][1] += 200.0;
        let lopsided_3d = lopsided.map(|[x, y]| [x, y, f32::NAN]).to_vec();
        let cloud: Vec<[f32; 2]> = (0..53)
            .flat_map(|i| [[60.0, i as f32], [140.0, i as f32]])
            .collect();
        let both = Enrichment {
            landmark_2d_106: Some(cloud),
            landmark_3d_68: Some(lopsided_3d),
            pose: None,
        };
        let only_68 = Enrichment {
            landmark_2d_106: None,
            ..both.clone()
        };
        let mut turned = SYMMETRIC;
        turned[3][1] = 80.0;
        turned[4][1] = 120.0;
        let of = |e: Option<Enrichment>, kps| landmark_symmetry(&record(e, kps));
        assert!((of(Some(both), SYMMETRIC) - 1.0).abs() < 1e-6);
        let with_68 = of(Some(only_68.clone()), SYMMETRIC);
        assert_eq!(with_68, symmetry_of_68(&SYMMETRIC, &lopsided));
        assert!(with_68 < 1.0);
        assert_eq!(of(None, turned), symmetry_of_5(&turned));
        let broken = Enrichment {
            landmark_3d_68: Some(vec![[f32::NAN; 3]; 68]),
            ..only_68
        };
        assert_eq!(of(Some(broken), turned), symmetry_of_5(&turned));
    }

    proptest! {
        #[test]
        fn turning_moving_and_scaling_the_face_changes_nothing(
            angle in -3.1_f64..3.1, scale in 0.5_f64..4.0, dx in -500.0_f64..500.0,
            nose in -15.0_f32..15.0, corner in -15.0_f32..15.0
        ) {
            let mut kps = SYMMETRIC;
            kps[2][0] += nose;
            kps[3][1] += corner;
            let (sin, cos) = angle.sin_cos();
            let moved = kps.map(|p| {
                let [x, y] = p.map(f64::from);
                [(scale * (cos * x - sin * y) + dx) as f32, (scale * (sin * x + cos * y)) as f32]
            });
            prop_assert!((symmetry_of_5(&kps) - symmetry_of_5(&moved)).abs() < 1e-3);
        }
    }
}
