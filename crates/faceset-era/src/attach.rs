//! The rule by which a fragment, or one new face, joins an era.

use faceset_cluster::grid::GridSim;
use faceset_cluster::{ClusterError, Vectors, centroid};
use faceset_core::CosineDistance;
use serde::Serialize;

/// Farthest fragment that joins an anchor; equal joins. The original's.
pub const ATTACH_MAX: CosineDistance = CosineDistance::constant(0.40);
/// Most years between the dominant years of a fragment and an anchor; equal
/// joins. The original's.
pub const ATTACH_YEARS: i32 = 5;

/// The two limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct AttachRule {
    /// Farthest distance; equal joins. Default 0.40.
    pub distance: CosineDistance,
    /// Most years apart; equal joins. Default 5.
    pub years: i32,
}

impl Default for AttachRule {
    fn default() -> Self {
        Self {
            distance: ATTACH_MAX,
            years: ATTACH_YEARS,
        }
    }
}

/// What a fragment is compared with. Fixed: what attaches later moves neither
/// the direction nor the year, since moving them let eras drift through time.
#[derive(Debug, Clone, PartialEq)]
pub struct Anchor {
    /// Direction of the anchor's own faces.
    pub centroid: Vec<f32>,
    /// Dominant year of the anchor's own faces.
    pub year: Option<i32>,
}

/// What became of a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Attachment {
    /// It joins this anchor.
    Joins {
        /// Position of the anchor.
        anchor: usize,
        /// How far it is.
        distance: CosineDistance,
    },
    /// The nearest anchor is too far.
    TooFar {
        /// Position of the anchor.
        anchor: usize,
        /// How far it is.
        distance: CosineDistance,
    },
    /// The nearest anchor is of other years. A second nearest is not asked.
    OtherYears {
        /// Position of the anchor.
        anchor: usize,
        /// Years between the two.
        years: i32,
    },
    /// The fragment or the nearest anchor has no dated face.
    Undated {
        /// Position of the anchor.
        anchor: usize,
    },
    /// There is no anchor, or the fragment has no direction.
    NoAnchor,
}

impl Attachment {
    /// The anchor joined.
    pub fn joined(&self) -> Option<usize> {
        match self {
            Self::Joins { anchor, .. } => Some(*anchor),
            _ => None,
        }
    }
}

/// Decides for each row of `fragments` (one direction each, its dominant year
/// in `years`) which anchor it joins: only ever the nearest one (ties: the
/// first), and only when distance **and** years allow it.
///
/// # Errors
/// [`ClusterError::Dimension`] when anchors and fragments differ in width, and
/// the errors of [`Vectors::new`] for anchors without a direction.
///
/// # Panics
/// When `years` is shorter than `fragments`.
pub fn attach(
    anchors: &[Anchor],
    fragments: &Vectors<'_>,
    years: &[Option<i32>],
    rule: &AttachRule,
) -> Result<Vec<Attachment>, ClusterError> {
    let Some(first) = anchors.first() else {
        return Ok(vec![Attachment::NoAnchor; fragments.len()]);
    };
    let width = first.centroid.len();
    if let Some(other) = anchors.iter().find(|a| a.centroid.len() != width) {
        return Err(ClusterError::Dimension {
            expected: width,
            found: other.centroid.len(),
        });
    }
    let flat: Vec<f32> = anchors.iter().flat_map(|a| a.centroid.clone()).collect();
    let rows = ndarray::ArrayView2::from_shape((anchors.len(), width), &flat)
        .expect("every anchor was checked to have this width");
    let anchor_rows = Vectors::new(rows)?;
    let nearest = centroid::nearest(fragments, &anchor_rows)?;
    Ok(nearest
        .into_iter()
        .enumerate()
        .map(|(at, near)| match near {
            None => Attachment::NoAnchor,
            Some((anchor, distance)) => judge(anchors, anchor as usize, distance, years[at], rule),
        })
        .collect())
}

fn judge(
    anchors: &[Anchor],
    anchor: usize,
    distance: CosineDistance,
    year: Option<i32>,
    rule: &AttachRule,
) -> Attachment {
    // On the grid of the clustering crate, where equal is equal.
    if GridSim::new(1.0 - distance.get()) < GridSim::at(rule.distance) {
        return Attachment::TooFar { anchor, distance };
    }
    match (anchors[anchor].year, year) {
        (Some(of_anchor), Some(year)) => {
            let years = (of_anchor - year).abs();
            if years <= rule.years {
                Attachment::Joins { anchor, distance }
            } else {
                Attachment::OtherYears { anchor, years }
            }
        }
        _ => Attachment::Undated { anchor },
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    fn anchor(x: f32, y: f32, year: Option<i32>) -> Anchor {
        Anchor {
            centroid: vec![x, y],
            year,
        }
    }

    fn run(anchors: &[Anchor], rows: &Array2<f32>, years: &[Option<i32>]) -> Vec<Attachment> {
        let vectors = Vectors::new(rows.view()).unwrap();
        attach(anchors, &vectors, years, &AttachRule::default()).unwrap()
    }

    #[test]
    fn equal_distance_and_equal_years_join_and_more_does_not() {
        // (3, 4) is exactly 0.4 from (1, 0).
        let rows = array![[3.0_f32, 4.0], [3.0, 4.001], [1.0, 0.0], [1.0, 0.0]];
        let years = [Some(2010), Some(2010), Some(2015), Some(2016)];
        let got = run(&[anchor(1.0, 0.0, Some(2010))], &rows, &years);
        assert_eq!(got[0].joined(), Some(0));
        assert!(matches!(got[1], Attachment::TooFar { .. }));
        assert_eq!(got[2].joined(), Some(0), "five years are near enough");
        assert_eq!(
            got[3],
            Attachment::OtherYears {
                anchor: 0,
                years: 6
            }
        );
    }

    #[test]
    fn the_second_nearest_anchor_is_never_asked() {
        let anchors = [
            anchor(1.0, 0.0, Some(1995)),
            anchor(0.9, 0.435_9, Some(2015)),
        ];
        let got = run(&anchors, &array![[1.0_f32, 0.1]], &[Some(2015)]);
        assert_eq!(
            got,
            [Attachment::OtherYears {
                anchor: 0,
                years: 20
            }]
        );
    }

    #[test]
    fn without_a_date_on_either_side_nothing_joins() {
        let rows = array![[1.0_f32, 0.0]];
        let dated = anchor(1.0, 0.0, Some(2001));
        assert_eq!(
            run(&[dated], &rows, &[None]),
            [Attachment::Undated { anchor: 0 }]
        );
        let undated = anchor(1.0, 0.0, None);
        assert_eq!(
            run(&[undated], &rows, &[Some(2001)]),
            [Attachment::Undated { anchor: 0 }]
        );
        assert_eq!(run(&[], &rows, &[None]), [Attachment::NoAnchor]);
    }

    #[test]
    fn anchors_of_another_width_are_refused() {
        let rows = array![[1.0_f32, 0.0]];
        let vectors = Vectors::new(rows.view()).unwrap();
        let wide = Anchor {
            centroid: vec![1.0, 0.0, 0.0],
            year: None,
        };
        let rule = AttachRule::default();
        assert!(attach(&[wide], &vectors, &[None], &rule).is_err());
    }
}
