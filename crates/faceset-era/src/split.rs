//! One person's faces into eras: anchors that stand by themselves, fragments
//! that join one, and fragments that don't.

use faceset_cluster::{ClusterError, LinkageOptions, Vectors, average_linkage, centroid};
use faceset_core::{CancelToken, CosineDistance, Progress};
use ndarray::Array2;
use serde::Serialize;

use crate::attach::{Anchor, AttachRule, Attachment, attach};
use crate::years::YearCounts;

/// Farthest face from the seed's direction that is taken back in before the
/// gates; equal is taken. The original's.
pub const RECOVERY_MAX: CosineDistance = CosineDistance::constant(0.55);
/// Farthest face from the one new direction after the gates; equal is kept. The
/// original's.
pub const TIGHTEN_MAX: CosineDistance = CosineDistance::constant(0.50);
/// Sub-clusters nearer than this are one look; equal stays apart. The
/// original's.
pub const ERA_THRESHOLD: CosineDistance = CosineDistance::constant(0.35);
/// Faces of a sub-cluster that stands by itself; equal does. The original's.
pub const ANCHOR_MIN: usize = 20;
/// Eras with fewer faces are thin; equal is not. The original's.
pub const THIN_BELOW: usize = 20;

/// How to split; defaults are the original tool's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SplitRule {
    /// See [`TIGHTEN_MAX`].
    pub tighten: CosineDistance,
    /// See [`ERA_THRESHOLD`].
    pub threshold: CosineDistance,
    /// See [`ANCHOR_MIN`].
    pub anchor_min: usize,
    /// How fragments join.
    pub attach: AttachRule,
}

impl Default for SplitRule {
    fn default() -> Self {
        Self {
            tighten: TIGHTEN_MAX,
            threshold: ERA_THRESHOLD,
            anchor_min: ANCHOR_MIN,
            attach: AttachRule::default(),
        }
    }
}

/// One era. Rows ascend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Era {
    /// Rows of the sub-cluster that the era is; they alone make its direction
    /// and its dominant year.
    pub anchor: Vec<u32>,
    /// Rows of fragments that joined.
    pub attached: Vec<u32>,
    /// False for a fragment that joined nothing and stands alone.
    pub is_anchor: bool,
}

impl Era {
    /// All rows, ascending.
    pub fn rows(&self) -> Vec<u32> {
        let mut rows = [&*self.anchor, &*self.attached].concat();
        rows.sort_unstable();
        rows
    }

    /// Number of faces.
    pub fn len(&self) -> usize {
        self.anchor.len() + self.attached.len()
    }

    /// True without faces; no era of a [`Split`] is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A sub-cluster below the size of an anchor, and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fragment {
    /// Its rows, ascending.
    pub rows: Vec<u32>,
    /// What became of it; `anchor` counts the anchors by size, then first row.
    pub attachment: Attachment,
}

/// Every row is in exactly one era or in `loose`.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Split {
    /// Largest first, equal sizes by smallest row. Fragments that joined
    /// nothing are eras of their own.
    pub eras: Vec<Era>,
    /// What was decided for each fragment, in the order of the sub-clusters.
    pub fragments: Vec<Fragment>,
    /// Rows farther than [`SplitRule::tighten`] from the direction of all.
    pub loose: Vec<u32>,
}

/// Splits the rows, which are one person's after the gates. `years` holds the
/// capture year of each row.
///
/// One new direction of all rows, one tightening, average linkage, then each
/// small sub-cluster is offered to its nearest anchor. Nothing joins through a
/// third: an anchor never moves while fragments attach.
///
/// # Errors
/// Those of the clustering; [`ClusterError::Cancelled`].
///
/// # Panics
/// When `years` is shorter than `vectors`.
pub fn split(
    vectors: &Vectors<'_>,
    years: &[Option<i32>],
    rule: &SplitRule,
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> Result<Split, ClusterError> {
    let all: Vec<u32> = (0..vectors.len() as u32).collect();
    let kept = match centroid::unit_mean(vectors, &all) {
        Some(mean) => centroid::members_within(vectors, &all, &mean, rule.tighten)?,
        None => Vec::new(),
    };
    let loose: Vec<u32> = all
        .into_iter()
        .filter(|row| kept.binary_search(row).is_err())
        .collect();
    let groups = sub_clusters(vectors, &kept, rule.threshold, progress, cancel)?;
    let (anchors, small): (Vec<_>, Vec<_>) =
        groups.into_iter().partition(|g| g.len() >= rule.anchor_min);
    let fixed: Vec<Anchor> = anchors
        .iter()
        .map(|rows| Anchor {
            centroid: direction(vectors, rows),
            year: dominant(years, rows),
        })
        .collect();
    let directions: Vec<f32> = small.iter().flat_map(|g| direction(vectors, g)).collect();
    let directions = Array2::from_shape_vec((small.len(), vectors.dim()), directions)
        .expect("one direction of this width each");
    let fragment_years: Vec<Option<i32>> = small.iter().map(|g| dominant(years, g)).collect();
    let decided = attach(
        &fixed,
        &Vectors::new(directions.view())?,
        &fragment_years,
        &rule.attach,
    )?;
    let mut eras: Vec<Era> = anchors
        .into_iter()
        .map(|anchor| Era {
            anchor,
            attached: Vec::new(),
            is_anchor: true,
        })
        .collect();
    let mut fragments = Vec::new();
    for (rows, attachment) in small.into_iter().zip(decided) {
        match attachment.joined() {
            Some(anchor) => eras[anchor].attached.extend(&rows),
            None => eras.push(Era {
                anchor: rows.clone(),
                attached: Vec::new(),
                is_anchor: false,
            }),
        }
        fragments.push(Fragment { rows, attachment });
    }
    for era in &mut eras {
        era.attached.sort_unstable();
    }
    eras.sort_by_key(|era| (std::cmp::Reverse(era.len()), era.rows()[0]));
    Ok(Split {
        eras,
        fragments,
        loose,
    })
}

/// Average linkage of some rows; groups by size, then first row.
pub(crate) fn sub_clusters(
    vectors: &Vectors<'_>,
    rows: &[u32],
    threshold: CosineDistance,
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> Result<Vec<Vec<u32>>, ClusterError> {
    let flat: Vec<f32> = rows
        .iter()
        .flat_map(|row| vectors.row(*row as usize))
        .copied()
        .collect();
    let chosen =
        Array2::from_shape_vec((rows.len(), vectors.dim()), flat).expect("rows of this width each");
    let found = average_linkage(
        chosen.view(),
        &LinkageOptions::new(threshold),
        progress,
        cancel,
    )?;
    Ok(found
        .clusters()
        .map(|members| members.iter().map(|at| rows[*at as usize]).collect())
        .collect())
}

/// Unit mean of a sub-cluster.
fn direction(vectors: &Vectors<'_>, rows: &[u32]) -> Vec<f32> {
    centroid::unit_mean(vectors, rows)
        .expect("rows that average linkage joined below distance 1 have a common direction")
}

fn dominant(years: &[Option<i32>], rows: &[u32]) -> Option<i32> {
    rows.iter()
        .map(|row| years[*row as usize])
        .collect::<YearCounts>()
        .dominant()
}

#[cfg(test)]
mod tests {
    use faceset_core::NoProgress;
    use proptest::prelude::*;

    use super::*;

    /// Unit vectors at these degrees in a plane.
    fn fan(degrees: &[f64]) -> Array2<f32> {
        let flat = degrees
            .iter()
            .flat_map(|d| [d.to_radians().cos() as f32, d.to_radians().sin() as f32])
            .collect();
        Array2::from_shape_vec((degrees.len(), 2), flat).unwrap()
    }

    fn run(rows: &Array2<f32>, years: &[Option<i32>], rule: &SplitRule) -> Split {
        let vectors = Vectors::new(rows.view()).unwrap();
        split(&vectors, years, rule, &NoProgress, &CancelToken::default()).unwrap()
    }

    /// Anchors of two, everything near enough, one look within 8 degrees
    /// (distance 0.01).
    fn rule() -> SplitRule {
        SplitRule {
            threshold: CosineDistance::constant(0.01),
            anchor_min: 2,
            ..SplitRule::default()
        }
    }

    #[test]
    fn twenty_faces_are_an_anchor_and_nineteen_are_not() {
        for (n, is_anchor) in [(20, true), (19, false)] {
            let rows = fan(&vec![0.0; n]);
            let got = run(&rows, &vec![None; n], &SplitRule::default());
            assert_eq!(got.eras.len(), 1);
            assert_eq!(got.eras[0].is_anchor, is_anchor);
        }
    }

    #[test]
    fn fragments_join_the_nearest_anchor_of_their_years_only() {
        // Anchors at 0 (2000) and 40 (2010); fragments at 15, 28 and 60.
        let rows = fan(&[0.0, 1.0, 40.0, 41.0, 40.5, 15.0, 28.0, 60.0]);
        let y = |v: &[i32]| v.iter().map(|y| Some(*y)).collect::<Vec<_>>();
        let years = y(&[2000, 2000, 2010, 2010, 2010, 2003, 2003, 2015]);
        let got = run(&rows, &years, &rule());
        // Row 6 is nearest to the anchor of 2010, seven years off: it stays
        // alone although the other anchor's years would do.
        let eras: Vec<_> = got
            .eras
            .iter()
            .map(|e| (e.anchor.clone(), e.attached.clone()))
            .collect();
        assert_eq!(
            eras,
            [
                (vec![2, 3, 4], vec![7]),
                (vec![0, 1], vec![5]),
                (vec![6], vec![]),
            ]
        );
        assert!(matches!(
            got.fragments[1].attachment,
            Attachment::OtherYears { years: 7, .. }
        ));
    }

    #[test]
    fn anchors_do_not_move_while_fragments_attach() {
        // A chain of single faces, 12 degrees apart: with moving anchors each
        // would pull the next one in. 53 degrees is the limit (distance 0.4).
        let degrees = [0.0, 0.5, 12.0, 24.0, 36.0, 48.0, 60.0, 72.0];
        let wide = SplitRule {
            tighten: CosineDistance::constant(2.0),
            ..rule()
        };
        let got = run(&fan(&degrees), &[Some(2000); 8], &wide);
        assert_eq!(got.eras[0].rows(), [0, 1, 2, 3, 4, 5]);
        assert_eq!(got.eras.len(), 3);
    }

    #[test]
    fn what_is_far_from_the_common_direction_is_loose_and_in_no_era() {
        let rows = fan(&[0.0, 1.0, 2.0, 3.0, 100.0]);
        let got = run(&rows, &[None; 5], &rule());
        assert_eq!(got.loose, [4]);
        assert_eq!(got.eras.iter().map(Era::len).sum::<usize>(), 4);
    }

    #[test]
    fn nobody_has_no_eras() {
        let rows = Array2::<f32>::zeros((0, 2));
        assert_eq!(run(&rows, &[], &rule()), Split::default());
    }

    proptest! {
        #[test]
        fn every_row_is_in_one_place_and_each_join_obeys_the_rule(
            faces in prop::collection::vec((0.0..90.0f64, prop::option::of(1995..2025i32)), 1..40),
        ) {
            let degrees: Vec<f64> = faces.iter().map(|f| f.0).collect();
            let years: Vec<Option<i32>> = faces.iter().map(|f| f.1).collect();
            let rows = fan(&degrees);
            let rule = SplitRule { anchor_min: 4, threshold: CosineDistance::constant(0.02), ..SplitRule::default() };
            let got = run(&rows, &years, &rule);
            let mut seen: Vec<u32> = got.eras.iter().flat_map(Era::rows).chain(got.loose.clone()).collect();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..faces.len() as u32).collect::<Vec<_>>());
            // The oracle: each attached row's fragment against every anchor.
            let vectors = Vectors::new(rows.view()).unwrap();
            for fragment in &got.fragments {
                let home = got.eras.iter().find(|e| e.rows().contains(&fragment.rows[0])).unwrap();
                if fragment.attachment.joined().is_none() {
                    prop_assert!(!home.is_anchor);
                    continue;
                }
                let to = |e: &Era| {
                    let (a, b) = (direction(&vectors, &e.anchor), direction(&vectors, &fragment.rows));
                    1.0 - f64::from(a[0]) * f64::from(b[0]) - f64::from(a[1]) * f64::from(b[1])
                };
                let anchors = got.eras.iter().filter(|e| e.is_anchor);
                prop_assert!(anchors.clone().all(|e| to(home) <= to(e) + 1e-6));
                prop_assert!(to(home) <= 0.4 + 1e-6);
                let gap = dominant(&years, &home.anchor).unwrap() - dominant(&years, &fragment.rows).unwrap();
                prop_assert!(gap.abs() <= 5);
            }
        }
    }
}
