//! Who is on a face: faces and known people in, one decision a face out.
//!
//! Owns the order of the questions: how far is each person, who may not be
//! chosen, who is left. Knows no files and no manifests. The rules that go
//! beyond "the nearest within the threshold" (refusals, capture dates, two
//! faces of one photo) plug in as [`Rules`]; pairs of rules are rules.

use faceset_cache::FaceRow;
use faceset_cluster::{ClusterError, Vectors, centroid};
use faceset_core::{CosineDistance, FaceKey, FacesetNumber};
use faceset_identity::Registry;
use ndarray::Array2;

/// Farthest a face may be from a person's centroid to be that person; equal is
/// a match. The original tool's cut for every test against a known identity.
pub const MATCH_THRESHOLD: CosineDistance = CosineDistance::constant(0.45);

/// A face that asks who it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Face<'a> {
    /// Its key.
    pub key: FaceKey,
    /// Its embedding; of any length but zero, finite.
    pub embedding: &'a [f32],
    /// When the photo was taken: `YYYY-MM-DDTHH:MM:SS`, or empty.
    pub taken: &'a str,
}

impl<'a> Face<'a> {
    /// A face of a cache.
    pub fn of(row: &FaceRow<'a>) -> Self {
        Self {
            key: row.key(),
            embedding: &row.face.embedding,
            taken: &row.file.taken,
        }
    }
}

/// One direction in which a person is found, e.g. the mean of all their faces,
/// or of those of one era.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// The direction; of the faces' dimension and of any length but zero.
    pub centroid: Vec<f32>,
    /// First and last year of the faces it was made from; `None` when unknown.
    pub years: Option<(i32, i32)>,
}

/// Somebody who is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Person {
    /// What the caller calls them, e.g. `person_007` or `faceset_003`.
    pub name: String,
    /// Their number in the registry, when they have one.
    pub number: Option<FacesetNumber>,
    /// Where they are found: the nearest look counts. Nobody is found who has
    /// none.
    pub looks: Vec<Look>,
}

/// What a decision asks beyond the distance. Every method has a default that
/// changes nothing.
pub trait Rules: Sync {
    /// Why this face can't be this person; `None` when it can. Asked only for
    /// people within the threshold.
    fn veto(&self, _face: &Face<'_>, _person: &Person) -> Option<&'static str> {
        None
    }

    /// The distance that counts for one look. `distance` is the cosine distance
    /// of the face to the look; the result must not be smaller, since only
    /// looks within the threshold are asked for.
    fn adjusted(
        &self,
        _face: &Face<'_>,
        _person: &Person,
        _look: &Look,
        distance: CosineDistance,
    ) -> CosineDistance {
        distance
    }

    /// Looks at all decisions at once and may choose others of the candidates,
    /// e.g. the second of a face whose photo shows the first already.
    fn settle(&self, _faces: &[Face<'_>], _people: &[Person], _decisions: &mut [Decision]) {}
}

impl<R: Rules + ?Sized> Rules for &R {
    fn veto(&self, face: &Face<'_>, person: &Person) -> Option<&'static str> {
        (**self).veto(face, person)
    }

    fn adjusted(
        &self,
        face: &Face<'_>,
        person: &Person,
        look: &Look,
        distance: CosineDistance,
    ) -> CosineDistance {
        (**self).adjusted(face, person, look, distance)
    }

    fn settle(&self, faces: &[Face<'_>], people: &[Person], decisions: &mut [Decision]) {
        (**self).settle(faces, people, decisions);
    }
}

/// The nearest person, whoever it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nearest;

impl Rules for Nearest {}

/// Both rules: a veto of either holds, distances go through the first and then
/// the second, and the second settles last.
impl<A: Rules, B: Rules> Rules for (A, B) {
    fn veto(&self, face: &Face<'_>, person: &Person) -> Option<&'static str> {
        self.0
            .veto(face, person)
            .or_else(|| self.1.veto(face, person))
    }

    fn adjusted(
        &self,
        face: &Face<'_>,
        person: &Person,
        look: &Look,
        distance: CosineDistance,
    ) -> CosineDistance {
        let first = self.0.adjusted(face, person, look, distance);
        self.1.adjusted(face, person, look, first)
    }

    fn settle(&self, faces: &[Face<'_>], people: &[Person], decisions: &mut [Decision]) {
        self.0.settle(faces, people, decisions);
        self.1.settle(faces, people, decisions);
    }
}

/// What people said of faces: a face that was refused for a person, or for one
/// that is merged with them, is never theirs; what is no face is nobody's.
#[derive(Debug, Clone, Copy)]
pub struct NegativeMemory<'a>(pub &'a Registry);

/// The veto of [`NegativeMemory`], and the reason of faces it takes out of sets.
pub const NOT_THIS_PERSON: &str = "not_this_person";

/// The same for what people said is no face at all.
pub const NO_FACE: &str = "no_face";

impl Rules for NegativeMemory<'_> {
    fn veto(&self, face: &Face<'_>, person: &Person) -> Option<&'static str> {
        if self.0.is_no_face(&face.key) {
            return Some(NO_FACE);
        }
        let number = person.number?;
        self.0.forbids(&face.key, number).then_some(NOT_THIS_PERSON)
    }
}

/// Somebody within the threshold.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Position in the people.
    pub person: usize,
    /// Position of the nearest look of that person.
    pub look: usize,
    /// How far it is, by the rules.
    pub distance: CosineDistance,
    /// Why it can't be chosen.
    pub veto: Option<&'static str>,
}

/// The answer for one face.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Everybody within the threshold, each once, nearest first; equally near
    /// ones in the order of the people. Vetoed ones are among them.
    pub candidates: Vec<Candidate>,
    /// Position of the choice in `candidates`: the first without a veto, unless
    /// a rule settled otherwise. `None`: the face is nobody known.
    pub chosen: Option<usize>,
    /// The nearest person, however far and whatever was said, and the plain
    /// cosine distance; `None` without people.
    pub nearest: Option<(usize, CosineDistance)>,
}

impl Decision {
    /// Position in the people of who it is.
    pub fn person(&self) -> Option<usize> {
        Some(self.candidates[self.chosen?].person)
    }
}

/// Decides for every face who it is: the nearest person at most `threshold`
/// away (equal is a match) whom no rule vetoes.
///
/// Each face is decided by itself (until [`Rules::settle`]), against the people
/// as they were before: a face that joins somebody does not move the centroid
/// for the next one, so that the order of the faces does not matter.
///
/// # Errors
/// [`ClusterError`] when an embedding or a look is no direction, or dimensions
/// differ.
pub fn decide(
    faces: &[Face<'_>],
    people: &[Person],
    threshold: CosineDistance,
    rules: &dyn Rules,
) -> Result<Vec<Decision>, ClusterError> {
    let looks: Vec<(usize, usize)> = people
        .iter()
        .enumerate()
        .flat_map(|(p, person)| (0..person.looks.len()).map(move |l| (p, l)))
        .collect();
    let queries = matrix(faces.iter().map(|f| f.embedding))?;
    let centroids = matrix(
        looks
            .iter()
            .map(|(p, l)| people[*p].looks[*l].centroid.as_slice()),
    )?;
    let ranked = centroid::ranked(
        &Vectors::new(queries.view())?,
        &Vectors::new(centroids.view())?,
        threshold,
    )?;
    let mut decisions: Vec<Decision> = faces
        .iter()
        .zip(ranked)
        .map(|(face, near)| one(face, people, &looks, &near, threshold, rules))
        .collect();
    rules.settle(faces, people, &mut decisions);
    Ok(decisions)
}

fn one(
    face: &Face<'_>,
    people: &[Person],
    looks: &[(usize, usize)],
    near: &[(u32, CosineDistance)],
    threshold: CosineDistance,
    rules: &dyn Rules,
) -> Decision {
    let nearest = near.first().map(|(at, d)| (looks[*at as usize].0, *d));
    let mut candidates: Vec<Candidate> = Vec::new();
    for (at, plain) in near {
        let (person, look) = looks[*at as usize];
        let who = &people[person];
        let distance = rules.adjusted(face, who, &who.looks[look], *plain);
        if *plain > threshold || distance > threshold {
            continue;
        }
        match candidates.iter_mut().find(|c| c.person == person) {
            Some(held) if distance < held.distance => {
                held.look = look;
                held.distance = distance;
            }
            Some(_) => {}
            None => candidates.push(Candidate {
                person,
                look,
                distance,
                veto: rules.veto(face, who),
            }),
        }
    }
    candidates.sort_by(|a, b| a.distance.cmp(&b.distance).then(a.person.cmp(&b.person)));
    let chosen = candidates.iter().position(|c| c.veto.is_none());
    Decision {
        candidates,
        chosen,
        nearest,
    }
}

/// Rows of one length; the length of the first is expected of all.
pub(crate) fn matrix<'e>(
    rows: impl Iterator<Item = &'e [f32]>,
) -> Result<Array2<f32>, ClusterError> {
    let mut flat = Vec::new();
    let (mut n, mut dim) = (0, 0);
    for row in rows {
        if n == 0 {
            dim = row.len();
        } else if row.len() != dim {
            return Err(ClusterError::Dimension {
                expected: dim,
                found: row.len(),
            });
        }
        flat.extend_from_slice(row);
        n += 1;
    }
    Ok(Array2::from_shape_vec((n, dim), flat).expect("every row has the dimension"))
}

/// The look that all these embeddings have in common: their unit mean. `None`
/// without embeddings, or when they cancel out.
///
/// # Errors
/// As [`decide`].
pub fn look<'e>(
    embeddings: impl Iterator<Item = &'e [f32]>,
    years: Option<(i32, i32)>,
) -> Result<Option<Look>, ClusterError> {
    let rows = matrix(embeddings)?;
    let vectors = Vectors::new(rows.view())?;
    let members: Vec<u32> = (0..vectors.len() as u32).collect();
    Ok(centroid::unit_mean(&vectors, &members).map(|centroid| Look { centroid, years }))
}

#[cfg(test)]
mod tests {
    use faceset_core::{BBox, hash_bytes};

    use super::*;

    fn key(n: u8) -> FaceKey {
        FaceKey {
            path: format!("/p/{n}.jpg").into(),
            sha256: hash_bytes(&[n]),
            bbox: BBox {
                x1: 1.0,
                y1: 2.0,
                x2: 5.0,
                y2: 9.0,
            },
        }
    }

    fn face(n: u8, embedding: &[f32]) -> Face<'_> {
        Face {
            key: key(n),
            embedding,
            taken: "",
        }
    }

    fn person(name: &str, looks: &[[f32; 2]]) -> Person {
        Person {
            name: name.to_owned(),
            number: None,
            looks: looks
                .iter()
                .map(|c| Look {
                    centroid: c.to_vec(),
                    years: None,
                })
                .collect(),
        }
    }

    fn at(value: f64) -> CosineDistance {
        CosineDistance::new(value).unwrap()
    }

    #[test]
    fn equal_to_the_threshold_is_a_match_and_more_is_not() {
        let people = [person("a", &[[0.6, 0.8]])];
        let faces = [face(1, &[2.0, 0.0])];
        let hit = decide(&faces, &people, at(0.4), &Nearest).unwrap();
        assert_eq!(hit[0].person(), Some(0));
        let miss = decide(&faces, &people, at(0.399), &Nearest).unwrap();
        assert_eq!(miss[0].person(), None);
        let (nearest, distance) = miss[0].nearest.unwrap();
        assert_eq!(nearest, 0);
        assert!((distance.get() - 0.4).abs() < 1e-6);
    }

    #[test]
    fn the_nearest_look_of_a_person_counts_and_the_person_is_listed_once() {
        let people = [
            person("a", &[[0.8, 0.6]]),
            person("b", &[[0.0, 1.0], [0.96, 0.28]]),
            person("nobody", &[]),
        ];
        let found = decide(&[face(1, &[1.0, 0.0])], &people, at(1.0), &Nearest).unwrap();
        assert_eq!(found[0].person(), Some(1));
        let order: Vec<_> = found[0]
            .candidates
            .iter()
            .map(|c| (c.person, c.look))
            .collect();
        assert_eq!(order, [(1, 1), (0, 0)]);
    }

    struct NotB;
    impl Rules for NotB {
        fn veto(&self, _: &Face<'_>, person: &Person) -> Option<&'static str> {
            (person.name == "b").then_some("not b")
        }
    }

    struct Farther;
    impl Rules for Farther {
        fn adjusted(
            &self,
            _: &Face<'_>,
            person: &Person,
            _: &Look,
            distance: CosineDistance,
        ) -> CosineDistance {
            if person.name == "a" {
                CosineDistance::new(distance.get() + 0.5).unwrap()
            } else {
                distance
            }
        }
    }

    /// The second face of two is moved to its second candidate.
    struct Second;
    impl Rules for Second {
        fn settle(&self, _: &[Face<'_>], _: &[Person], decisions: &mut [Decision]) {
            decisions[1].chosen = Some(1);
        }
    }

    #[test]
    fn a_vetoed_person_is_passed_over_for_the_next_one() {
        let people = [person("a", &[[0.8, 0.6]]), person("b", &[[1.0, 0.0]])];
        let faces = [face(1, &[1.0, 0.0])];
        let found = decide(&faces, &people, at(0.45), &NotB).unwrap();
        assert_eq!(found[0].person(), Some(0));
        assert_eq!(found[0].candidates[0].veto, Some("not b"));
        let found = decide(&faces, &people, at(0.1), &NotB).unwrap();
        assert_eq!(found[0].person(), None);
    }

    #[test]
    fn pairs_of_rules_apply_both() {
        let people = [person("a", &[[1.0, 0.0]]), person("b", &[[0.8, 0.6]])];
        let faces = [face(1, &[1.0, 0.0]), face(2, &[1.0, 0.0])];
        let plain = decide(&faces, &people, at(0.45), &(Nearest, Second)).unwrap();
        assert_eq!((plain[0].person(), plain[1].person()), (Some(0), Some(1)));
        let found = decide(&faces, &people, at(0.45), &(Farther, NotB)).unwrap();
        assert_eq!(found[0].person(), None, "a is too far now and b is vetoed");
        assert_eq!(found[0].candidates.len(), 1);
    }

    #[test]
    fn without_people_or_faces_there_is_nothing_to_decide() {
        assert!(decide(&[], &[], at(0.45), &Nearest).unwrap().is_empty());
        let alone = decide(&[face(1, &[1.0, 0.0])], &[], at(0.45), &Nearest).unwrap();
        assert_eq!((alone[0].person(), alone[0].nearest), (None, None));
    }

    #[test]
    fn rows_of_another_length_are_refused() {
        let people = [person("a", &[[1.0, 0.0]])];
        assert!(decide(&[face(1, &[1.0, 0.0, 0.0])], &people, at(0.45), &Nearest).is_err());
    }

    #[test]
    fn a_look_is_the_mean_direction() {
        let rows: [&[f32]; 2] = [&[10.0, 0.0], &[0.0, 0.1]];
        let found = look(rows.into_iter(), Some((1999, 2004))).unwrap().unwrap();
        assert!((found.centroid[0] - found.centroid[1]).abs() < 1e-6);
        let opposite: [&[f32]; 2] = [&[1.0, 0.0], &[-3.0, 0.0]];
        assert_eq!(look(opposite.into_iter(), None).unwrap(), None);
        assert_eq!(look(std::iter::empty(), None).unwrap(), None);
    }
}
