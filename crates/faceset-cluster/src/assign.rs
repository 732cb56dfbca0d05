//! One row after the other to the person of its nearest neighbour: how an
//! Immich server assigns faces.
//!
//! Offered so that a result can be compared with what such a server shows. The
//! outcome depends on the order of the rows, and two persons that turn out to
//! be one are never joined: [`crate::linkage`] has neither flaw.

use faceset_core::{CancelToken, Progress};
use ndarray::ArrayView2;

use crate::{ClusterError, DbscanOptions, Index, Neighbour, Vectors};

/// Rows whose neighbours are looked up at a time; bounds the memory of the
/// lists.
const BLOCK: usize = 512;

/// Assigns every row after the first `known.len()` to a person, in row order.
///
/// `known` holds the persons of the first rows, `None` for those without; they
/// stay as they are. A new row with at least `min_points` rows within `eps`
/// (**itself included**, known and new rows alike, equal distance counts) is a
/// core row. First all core rows, in order: each joins the person of the
/// nearest row within `eps` that has one at that moment (equally near rows by
/// number), or becomes a new person. Then all others, in order: each joins in
/// the same way or stays `None`.
///
/// All rows are there before the first is assigned, as in a server's run over
/// newly detected faces. New persons are numbered from the largest known number
/// plus 1, in the order in which they appear.
///
/// # Errors
/// [`ClusterError::Length`] when `known` is longer than the rows,
/// [`ClusterError::Cancelled`].
pub fn assign_in_order(
    vectors: &Vectors<'_>,
    known: &[Option<u32>],
    options: &DbscanOptions,
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> Result<Vec<Option<u32>>, ClusterError> {
    let n = vectors.len();
    if known.len() > n {
        return Err(ClusterError::Length {
            what: "known persons",
            expected: n,
            found: known.len(),
        });
    }
    let mut person = known.to_vec();
    person.resize(n, None);
    let mut next = known
        .iter()
        .flatten()
        .max()
        .map_or(0, |largest| largest + 1);
    let mut others: Vec<(usize, Vec<Neighbour>)> = Vec::new();
    let index = Index::new(vectors);
    progress.start("assigning faces", Some((n - known.len()) as u64));
    for start in (known.len()..n).step_by(BLOCK) {
        let end = (start + BLOCK).min(n);
        let block = ArrayView2::from_shape((end - start, vectors.dim()), vectors.rows(start..end))
            .expect("whole rows");
        let found = index.within(&Vectors::new(block)?, options.eps(), cancel)?;
        for (row, near) in (start..end).zip(found) {
            if near.len() < options.min_points() {
                // Fewer than `min_points` neighbours: a short list.
                others.push((row, near));
                continue;
            }
            person[row] = nearest_person(&near, &person).or_else(|| {
                next += 1;
                Some(next - 1)
            });
        }
        progress.advance((end - start) as u64);
    }
    for (row, near) in others {
        person[row] = nearest_person(&near, &person);
    }
    progress.finish();
    Ok(person)
}

/// The person of the nearest row that has one; `near` is sorted.
fn nearest_person(near: &[Neighbour], person: &[Option<u32>]) -> Option<u32> {
    near.iter().find_map(|n| person[n.row as usize])
}

#[cfg(test)]
mod tests {
    use faceset_core::{CosineDistance, NoProgress};
    use ndarray::Array2;
    use proptest::prelude::*;

    use super::*;

    fn at_degrees(angles: &[f64]) -> Array2<f32> {
        let row = |d: &f64| [d.to_radians().cos() as f32, d.to_radians().sin() as f32];
        Array2::from(angles.iter().map(row).collect::<Vec<_>>())
    }

    fn assign(
        rows: &Array2<f32>,
        known: &[Option<u32>],
        eps: f64,
        min_points: usize,
    ) -> Vec<Option<u32>> {
        let vectors = Vectors::new(rows.view()).unwrap();
        let options = DbscanOptions::new(CosineDistance::new(eps).unwrap(), min_points).unwrap();
        assign_in_order(
            &vectors,
            known,
            &options,
            &NoProgress,
            &CancelToken::default(),
        )
        .unwrap()
    }

    fn within(degrees: f64) -> f64 {
        1.0 - degrees.to_radians().cos()
    }

    #[test]
    fn a_row_between_two_persons_joins_the_nearer_and_never_joins_them() {
        // Two trios, then a row 9 from the one and 8 degrees from the other.
        let rows = at_degrees(&[0.0, 1.0, 2.0, 19.0, 20.0, 21.0, 11.0]);
        let found = assign(&rows, &[], within(9.5), 3);
        let (a, b) = (Some(0), Some(1));
        assert_eq!(found, [a, a, a, b, b, b, b]);
    }

    #[test]
    fn rows_that_are_not_core_wait_for_those_that_are() {
        // The first row has one neighbour beside itself: it is not core, and
        // the person that it joins does not exist yet when its turn comes.
        let rows = at_degrees(&[0.0, 5.0, 10.0, 90.0]);
        assert_eq!(
            assign(&rows, &[], within(6.0), 3),
            [Some(0), Some(0), Some(0), None]
        );
        // With two rows asked for, a pair is a person; one is nobody.
        let pair = at_degrees(&[0.0, 5.0, 90.0]);
        assert_eq!(assign(&pair, &[], within(6.0), 2), [Some(0), Some(0), None]);
        assert_eq!(assign(&pair, &[], within(6.0), 3), [None, None, None]);
        assert_eq!(
            assign(&pair, &[], within(6.0), 1),
            [Some(0), Some(0), Some(1)]
        );
    }

    #[test]
    fn known_persons_stay_and_new_ones_get_new_numbers() {
        let rows = at_degrees(&[0.0, 40.0, 1.0, 2.0, 80.0, 81.0, 82.0, 41.0]);
        // Row 1 has no person, so its neighbour, which is not core, stays alone.
        let found = assign(&rows, &[Some(7), None], within(3.0), 3);
        assert_eq!(
            found,
            [
                Some(7),
                None,
                Some(7),
                Some(7),
                Some(8),
                Some(8),
                Some(8),
                None
            ]
        );
        let vectors = Vectors::new(rows.view()).unwrap();
        let too_many = assign_in_order(
            &vectors,
            &[None; 9],
            &DbscanOptions::IMMICH,
            &NoProgress,
            &CancelToken::default(),
        );
        assert!(matches!(
            too_many,
            Err(ClusterError::Length {
                expected: 8,
                found: 9,
                ..
            })
        ));
    }

    /// The rule by the letter.
    fn oracle(
        vectors: &Vectors<'_>,
        known: &[Option<u32>],
        eps: f64,
        min_points: usize,
    ) -> Vec<Option<u32>> {
        let n = vectors.len();
        let distance = |a: usize, b: usize| vectors.similarity(a, b).distance().get();
        let near = |a: usize| (0..n).filter(move |&b| distance(a, b) <= eps);
        let mut person = known.to_vec();
        person.resize(n, None);
        for wants_core in [true, false] {
            for row in known.len()..n {
                if (near(row).count() >= min_points) != wants_core {
                    continue;
                }
                let best = near(row)
                    .filter(|&b| person[b].is_some())
                    .min_by(|&b, &c| distance(row, b).total_cmp(&distance(row, c)));
                let fresh = person.iter().flatten().max().map_or(0, |p| p + 1);
                person[row] = match best {
                    Some(best) => person[best],
                    None => wants_core.then_some(fresh),
                };
            }
        }
        person
    }

    proptest! {
        #[test]
        fn persons_are_those_of_the_rule(
            values in prop::collection::vec(-1.0f32..1.0, 40 * 3),
            known in prop::collection::vec(prop::option::of(0u32..4), 0..12),
            eps in 0.01..0.4f64,
            min_points in 1usize..6,
        ) {
            let rows = Array2::from_shape_vec((40, 3), values).unwrap();
            prop_assume!(rows.outer_iter().all(|r| r.iter().any(|v| v.abs() > 1e-3)));
            let vectors = Vectors::new(rows.view()).unwrap();
            prop_assert_eq!(
                assign(&rows, &known, eps, min_points),
                oracle(&vectors, &known, eps, min_points)
            );
        }
    }
}
