//! Splitting a person into the people that Immich put together: groups by our own
//! embeddings, shown by year, assigned by a person, carried out as a plan.

use std::collections::BTreeMap;

use faceset_cluster::{LinkageOptions, average_linkage};
use faceset_core::{CancelToken, CosineDistance, Progress};
use immich_client::PersonId;
use serde::Serialize;

use crate::Error;
use crate::decision::{Action, Decision, PersonRef, Transaction};
use crate::own::{NoVector, OwnFaces};
use crate::photos::Photo;

/// Faces nearer than this are grouped; equal stays apart. 0.45 is the stricter of the
/// original tool's two thresholds: a person in two groups is mended by naming both
/// alike, two people in one group are not.
pub const SPLIT_DISTANCE: CosineDistance = CosineDistance::constant(0.45);

/// A face of the person to be split.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SplitFace {
    /// The face as it is: kept where it is.
    #[serde(flatten)]
    pub decision: Decision,
    /// Year of the photo by the camera's clock; `None` when unknown.
    pub year: Option<i16>,
}

/// Faces that look alike.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SplitGroup {
    /// Number from 1, largest group first.
    pub number: usize,
    /// The faces by year and id.
    pub faces: Vec<SplitFace>,
    /// How many faces of each year; photos without a date are not counted.
    pub years: BTreeMap<i16, usize>,
}

/// A person's faces in groups.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Split {
    /// Whose.
    pub person: PersonRef,
    /// Largest first; equally large ones by their first face.
    pub groups: Vec<SplitGroup>,
    /// Faces that can't be grouped, and why; they stay.
    pub left_out: Vec<(SplitFace, NoVector)>,
}

/// What becomes of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupTarget {
    /// It stays.
    Stay,
    /// It goes to a person that exists.
    Person(PersonRef),
    /// It goes to a new person. Groups with the same name, which is not empty, go to
    /// the same new person.
    New {
        /// The name; empty for an unnamed one.
        name: String,
    },
}

/// Groups the faces of a person.
///
/// # Errors
/// [`Error::Cluster`] when cancelled or when an embedding can't be used.
pub fn split(
    own: &OwnFaces,
    person: &PersonRef,
    photos: &[Photo],
    threshold: CosineDistance,
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> Result<Split, Error> {
    let (mut faces, mut rows, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
    for photo in photos {
        for face in photo.faces_of(&person.id) {
            let own_face = SplitFace {
                decision: photo.decide(face, Action::Keep),
                year: photo
                    .taken
                    .map(|at| at.to_zoned(jiff::tz::TimeZone::UTC).year()),
            };
            match own.row_of(photo, face) {
                Ok(row) => {
                    faces.push(own_face);
                    rows.push(row);
                }
                Err(why) => left_out.push((own_face, why)),
            }
        }
    }
    let vectors = own.select(&rows);
    let found = average_linkage(
        vectors.view(),
        &LinkageOptions::new(threshold),
        progress,
        cancel,
    )
    .map_err(|source| Error::Cluster {
        person: person.name.clone(),
        source,
    })?;
    let mut groups: Vec<SplitGroup> = found
        .clusters()
        .map(|members| {
            group(
                members
                    .iter()
                    .map(|at| faces[*at as usize].clone())
                    .collect(),
            )
        })
        .collect();
    groups.sort_by(|a, b| {
        let first = |group: &SplitGroup| group.faces.first().map(|f| f.decision.face.clone());
        b.faces
            .len()
            .cmp(&a.faces.len())
            .then_with(|| first(a).cmp(&first(b)))
    });
    for (at, group) in groups.iter_mut().enumerate() {
        group.number = at + 1;
    }
    Ok(Split {
        person: person.clone(),
        groups,
        left_out,
    })
}

fn group(mut faces: Vec<SplitFace>) -> SplitGroup {
    faces.sort_by(|a, b| (a.year, &a.decision.face).cmp(&(b.year, &b.decision.face)));
    let mut years = BTreeMap::new();
    for year in faces.iter().filter_map(|face| face.year) {
        *years.entry(year).or_default() += 1;
    }
    SplitGroup {
        number: 0,
        faces,
        years,
    }
}

impl Split {
    /// One transaction for each person that gets faces, in order of their first group;
    /// groups that are not named stay. `blank` gives time and author.
    ///
    /// # Errors
    /// [`Error::Invalid`] for numbers without a group, and for giving faces to the
    /// person being split.
    pub fn plan(
        &self,
        targets: &BTreeMap<usize, GroupTarget>,
        blank: &Transaction,
    ) -> Result<Vec<Transaction>, Error> {
        let mut transactions: Vec<(GroupTarget, Transaction)> = Vec::new();
        for (number, target) in targets {
            let Some(group) = self.groups.iter().find(|group| group.number == *number) else {
                return Err(Error::Invalid {
                    what: format!("there is no group {number}"),
                });
            };
            let action = match target {
                GroupTarget::Stay => continue,
                GroupTarget::Person(to) if is(&self.person.id, to) => {
                    return Err(Error::Invalid {
                        what: format!("group {number} is given to the person being split"),
                    });
                }
                GroupTarget::Person(to) => Action::Reassign { to: to.clone() },
                GroupTarget::New { name } => Action::CreatePerson {
                    name: name.clone(),
                    group: 0,
                },
            };
            let joins = !matches!(target, GroupTarget::New { name } if name.is_empty());
            let known = transactions
                .iter_mut()
                .find(|(other, _)| joins && other == target);
            let transaction = match known {
                Some((_, transaction)) => transaction,
                None => {
                    let mut fresh = blank.clone();
                    fresh.label = format!("split {}", self.person.name);
                    transactions.push((target.clone(), fresh));
                    &mut transactions.last_mut().expect("just pushed").1
                }
            };
            transaction
                .decisions
                .extend(group.faces.iter().map(|face| Decision {
                    action: action.clone(),
                    ..face.decision.clone()
                }));
        }
        Ok(transactions
            .into_iter()
            .map(|(_, transaction)| transaction)
            .collect())
    }
}

fn is(id: &PersonId, person: &PersonRef) -> bool {
    person.id == *id
}
