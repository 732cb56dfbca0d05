//! What time and the photo itself say about who a face is: rules for
//! [`crate::matching`], each usable alone.
//!
//! On by default is what won on every library it was measured on: the nearest
//! look. docs/analysis/identities.md has the figures, and those of the others.

use std::collections::{BTreeMap, BTreeSet};

use faceset_cluster::{ClusterError, LinkageOptions, average_linkage};
use faceset_core::{CancelToken, CivilDate, ContentHash, CosineDistance, NoProgress, capture_year};
use faceset_era::{ERA_THRESHOLD, YearCounts};
use faceset_identity::Registry;
use serde::Serialize;

use crate::matching::{Decision, Face, Look, Person, Rules, look, matrix};

/// Faces that a look of its own needs: of fewer the mean is one evening's
/// light. A choice of ours.
pub const MIN_LOOK: usize = 3;

/// Faces of one person that looks are made from; of more, every second, third and
/// so on in the order given. Grouping grows with the square, and a thousand faces
/// show every look there is. A choice of ours.
pub const MAX_LOOK_FACES: usize = 1000;

/// Two faces of one photo at most this far apart may be one person: mirrors,
/// collages and photos of photos show the same picture or the same minute.
/// Equal may. The cut between looks of one person, 0.35.
pub const SAME_ON_PHOTO: CosineDistance = ERA_THRESHOLD;

/// Boxes of one photo that overlap at least this much (intersection over union)
/// are one face found twice; equal is. The usual criterion of detection
/// benchmarks.
pub const SAME_BOX_MIN_IOU: f32 = 0.5;

/// Faces of one person on one photo from which on it is taken for a collage. A
/// choice of ours: two may be a look-alike, three hardly.
pub const COLLAGE_FACES: usize = 3;

/// By which directions a person is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LooksBy {
    /// The mean of all faces.
    Mean,
    /// The mean of all faces, and of each look of three faces or more at 0.35,
    /// with its years; the nearest counts.
    #[default]
    Eras,
}

impl LooksBy {
    /// The looks of a person with these faces: embedding and capture time
    /// (`YYYY-MM-DDTHH:MM:SS`, or empty). None without faces.
    ///
    /// # Errors
    /// [`ClusterError`] when an embedding is no direction, or dimensions differ.
    pub fn of(self, faces: &[(&[f32], &str)]) -> Result<Vec<Look>, ClusterError> {
        let all = faces.iter().map(|(embedding, _)| *embedding);
        let mut looks: Vec<Look> = look(all, span(faces.iter().map(|f| f.1)))?
            .into_iter()
            .collect();
        if self == Self::Mean || faces.len() < 2 * MIN_LOOK {
            return Ok(looks);
        }
        let step = faces.len().div_ceil(MAX_LOOK_FACES);
        let some: Vec<_> = faces.iter().copied().step_by(step).collect();
        let rows = matrix(some.iter().map(|(embedding, _)| *embedding))?;
        let groups = average_linkage(
            rows.view(),
            &LinkageOptions::new(ERA_THRESHOLD),
            &NoProgress,
            &CancelToken::default(),
        )?;
        let large: Vec<&[u32]> = groups.clusters().filter(|g| g.len() >= MIN_LOOK).collect();
        // One look says what the mean says.
        if large.len() < 2 {
            return Ok(looks);
        }
        for group in large {
            let part = || group.iter().map(|row| some[*row as usize]);
            looks.extend(look(part().map(|f| f.0), span(part().map(|f| f.1)))?);
        }
        Ok(looks)
    }
}

/// First and last year of capture times; `None` when nothing is dated.
fn span<'a>(taken: impl Iterator<Item = &'a str>) -> Option<(i32, i32)> {
    taken.map(capture_year).collect::<YearCounts>().span()
}

/// A face is compared with the looks nearest in time only: those whose years
/// are fewest away from its own. Undated faces and looks are compared as ever.
#[derive(Debug, Clone, Copy, Default)]
pub struct NearestInTime;

impl NearestInTime {
    /// Years between a face and a look; 0 inside its years.
    fn gap(year: i32, look: &Look) -> Option<i32> {
        let (from, to) = look.years?;
        Some((from - year).max(year - to).max(0))
    }
}

impl Rules for NearestInTime {
    fn adjusted(
        &self,
        face: &Face<'_>,
        person: &Person,
        look: &Look,
        distance: CosineDistance,
    ) -> CosineDistance {
        let Some(year) = capture_year(face.taken) else {
            return distance;
        };
        let Some(own) = Self::gap(year, look) else {
            return distance;
        };
        let nearest = person.looks.iter().filter_map(|l| Self::gap(year, l)).min();
        if nearest.is_some_and(|nearest| nearest < own) {
            CosineDistance::constant(2.0)
        } else {
            distance
        }
    }
}

/// Why a face can't be somebody who was not born yet.
pub const BEFORE_BIRTH: &str = "before_birth";

/// Nobody is on a photo that was taken before the day of their birth; the day
/// itself is possible. Undated faces and people without a birth date are not
/// asked.
#[derive(Debug, Clone, Copy)]
pub struct AfterBirth<'a>(pub &'a Registry);

impl Rules for AfterBirth<'_> {
    fn veto(&self, face: &Face<'_>, person: &Person) -> Option<&'static str> {
        let taken = CivilDate::of_capture_time(face.taken)?;
        // The strictest of merged identities is the latest date, which is not
        // what is asked here: any of them may be the mistaken one.
        let births = self.0.same_person(person.number?);
        let earliest = births
            .into_iter()
            .filter_map(|n| self.0.identity(n)?.birth_date)
            .min()?;
        (taken < earliest).then_some(BEFORE_BIRTH)
    }
}

/// Two faces of one photo prefer two people.
///
/// When several faces of a photo are one person, the nearest stays. Another one
/// goes to the next person within the threshold who is not on the photo, or is
/// nobody known, unless the photo explains it:
///
/// - it looks like the one that stays (a mirror, a photo of a photo, a burst in
///   one picture): [`SAME_ON_PHOTO`];
/// - its box is the same face found twice: [`SAME_BOX_MIN_IOU`];
/// - the photo is a collage: one person is on it [`COLLAGE_FACES`] times, or
///   two people are on it twice each.
#[derive(Debug, Clone, Copy, Default)]
pub struct TwoPeople;

impl Rules for TwoPeople {
    fn settle(&self, faces: &[Face<'_>], _people: &[Person], decisions: &mut [Decision]) {
        let mut photos: BTreeMap<ContentHash, Vec<usize>> = BTreeMap::new();
        for (at, face) in faces.iter().enumerate() {
            photos.entry(face.key.sha256).or_default().push(at);
        }
        for on_photo in photos.values().filter(|p| p.len() > 1) {
            settle_photo(faces, on_photo, decisions);
        }
    }
}

fn settle_photo(faces: &[Face<'_>], on_photo: &[usize], decisions: &mut [Decision]) {
    let mut claims: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for &at in on_photo {
        if let Some(person) = decisions[at].person() {
            claims.entry(person).or_default().push(at);
        }
    }
    let doubled: Vec<usize> = claims
        .iter()
        .filter(|(_, claims)| distinct(faces, claims) > 1)
        .map(|(person, _)| *person)
        .collect();
    let is_collage = doubled.len() > 1
        || claims
            .values()
            .any(|claims| distinct(faces, claims) >= COLLAGE_FACES);
    if is_collage {
        return;
    }
    let mut taken: BTreeSet<usize> = claims.keys().copied().collect();
    for person in doubled {
        let mut rivals = claims[&person].clone();
        rivals.sort_by_key(|&at| (distance(&decisions[at]), faces[at].key.bbox.tenths()));
        let first = rivals[0];
        for &other in &rivals[1..] {
            if same_box(&faces[first], &faces[other]) || look_alike(&faces[first], &faces[other]) {
                continue;
            }
            let decision = &mut decisions[other];
            decision.chosen = decision
                .candidates
                .iter()
                .position(|c| c.veto.is_none() && !taken.contains(&c.person));
            taken.extend(decision.person());
        }
    }
}

/// Faces of a claim, each found face once.
fn distinct(faces: &[Face<'_>], claims: &[usize]) -> usize {
    claims
        .iter()
        .enumerate()
        .filter(|(nth, at)| {
            !claims[..*nth]
                .iter()
                .any(|b| same_box(&faces[**at], &faces[*b]))
        })
        .count()
}

fn distance(decision: &Decision) -> Option<CosineDistance> {
    Some(decision.candidates[decision.chosen?].distance)
}

fn same_box(a: &Face<'_>, b: &Face<'_>) -> bool {
    a.key.bbox.iou(&b.key.bbox) >= SAME_BOX_MIN_IOU
}

fn look_alike(a: &Face<'_>, b: &Face<'_>) -> bool {
    let norm = |v: &[f32]| v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    let dot: f64 = a
        .embedding
        .iter()
        .zip(b.embedding)
        .map(|(x, y)| f64::from(*x) * f64::from(*y))
        .sum();
    let similarity = dot / (norm(a.embedding) * norm(b.embedding));
    CosineDistance::from_similarity(similarity) <= SAME_ON_PHOTO
}

/// Which rules a step uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ContextRules {
    /// By which directions people are found. Default [`LooksBy::Eras`].
    pub looks: LooksBy,
    /// See [`NearestInTime`]; of use with [`LooksBy::Eras`] only. Default off.
    pub time: bool,
    /// See [`AfterBirth`]. Default off.
    pub birth: bool,
    /// See [`TwoPeople`]. Default off.
    pub photo: bool,
}

impl ContextRules {
    /// The rules, with what people said.
    pub fn with(self, registry: &Registry) -> Context<'_> {
        Context {
            registry,
            rules: self,
        }
    }
}

/// The rules of a step, ready to be asked.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    registry: &'a Registry,
    rules: ContextRules,
}

impl Rules for Context<'_> {
    fn veto(&self, face: &Face<'_>, person: &Person) -> Option<&'static str> {
        self.rules
            .birth
            .then(|| AfterBirth(self.registry).veto(face, person))
            .flatten()
    }

    fn adjusted(
        &self,
        face: &Face<'_>,
        person: &Person,
        look: &Look,
        distance: CosineDistance,
    ) -> CosineDistance {
        if self.rules.time {
            NearestInTime.adjusted(face, person, look, distance)
        } else {
            distance
        }
    }

    fn settle(&self, faces: &[Face<'_>], people: &[Person], decisions: &mut [Decision]) {
        if self.rules.photo {
            TwoPeople.settle(faces, people, decisions);
        }
    }
}

#[cfg(test)]
mod tests {
    use faceset_core::{BBox, FaceKey, hash_bytes};

    use super::*;
    use crate::matching::{MATCH_THRESHOLD, Nearest, decide};

    /// A face on photo `photo`, `left` px from the left, 100 px wide.
    fn face<'a>(photo: u8, left: f32, embedding: &'a [f32], taken: &'a str) -> Face<'a> {
        Face {
            key: FaceKey {
                path: format!("/p/{photo}.jpg").into(),
                sha256: hash_bytes(&[photo]),
                bbox: BBox {
                    x1: left,
                    y1: 5.0,
                    x2: left + 100.0,
                    y2: 125.0,
                },
            },
            embedding,
            taken,
        }
    }

    /// A centroid, and the years it stands for.
    type DatedLook = ([f32; 2], Option<(i32, i32)>);

    fn person(name: &str, looks: &[DatedLook]) -> Person {
        Person {
            name: name.to_owned(),
            number: None,
            looks: looks
                .iter()
                .map(|(centroid, years)| Look {
                    centroid: centroid.to_vec(),
                    years: *years,
                })
                .collect(),
        }
    }

    fn turned(degrees: f64) -> [f32; 2] {
        [
            degrees.to_radians().cos() as f32,
            degrees.to_radians().sin() as f32,
        ]
    }

    fn chosen(faces: &[Face<'_>], people: &[Person], rules: &dyn Rules) -> Vec<Option<usize>> {
        decide(faces, people, MATCH_THRESHOLD, rules)
            .unwrap()
            .iter()
            .map(Decision::person)
            .collect()
    }

    #[test]
    fn a_face_is_compared_with_the_look_of_its_years_only() {
        let people = [person(
            "a",
            &[
                (turned(0.0), Some((1999, 2004))),
                (turned(80.0), Some((2015, 2020))),
            ],
        )];
        let near_first = turned(5.0);
        let of = |taken: &str| chosen(&[face(1, 0.0, &near_first, taken)], &people, &NearestInTime);
        assert_eq!(of("2004-05-05T00:00:00"), [Some(0)]);
        assert_eq!(
            of("2009-05-05T00:00:00"),
            [Some(0)],
            "five years to one, six to the other"
        );
        assert_eq!(of("2010-05-05T00:00:00"), [None]);
        assert_eq!(of(""), [Some(0)], "undated: as ever");
        let tie = [person(
            "a",
            &[
                (turned(0.0), Some((2000, 2000))),
                (turned(80.0), Some((2010, 2010))),
            ],
        )];
        let both = chosen(
            &[face(1, 0.0, &near_first, "2005-01-01T00:00:00")],
            &tie,
            &NearestInTime,
        );
        assert_eq!(both, [Some(0)], "equally near in time: both count");
    }

    #[test]
    fn looks_need_three_faces_each_and_there_must_be_two() {
        let (a, b) = (turned(0.0), turned(60.0));
        let faces = |n_b: usize| {
            let mut all: Vec<(&[f32], &str)> = vec![(&a, "2001-01-01T00:00:00"); 4];
            all.extend(vec![(&b[..], "2011-01-01T00:00:00"); n_b]);
            all
        };
        let n = |by: LooksBy, n_b| by.of(&faces(n_b)).unwrap().len();
        assert_eq!(
            (
                n(LooksBy::Mean, 3),
                n(LooksBy::Eras, 2),
                n(LooksBy::Eras, 3)
            ),
            (1, 1, 3)
        );
        let looks = LooksBy::Eras.of(&faces(3)).unwrap();
        assert_eq!(looks[1].years, Some((2001, 2001)));
        assert_eq!(looks[2].years, Some((2011, 2011)));
        assert!(LooksBy::Eras.of(&[]).unwrap().is_empty());
    }

    #[test]
    fn of_many_faces_a_part_shows_the_looks_and_all_make_the_mean() {
        let (a, b) = (turned(0.0), turned(60.0));
        let mut faces: Vec<(&[f32], &str)> = vec![(&a, ""); MAX_LOOK_FACES + 2];
        // Every second one is taken: of these four two, which are no look.
        faces.extend(vec![(&b[..], ""); 4]);
        assert_eq!(LooksBy::Eras.of(&faces).unwrap().len(), 1);
        faces.extend(vec![(&b[..], ""); 2]);
        let looks = LooksBy::Eras.of(&faces).unwrap();
        assert_eq!(looks.len(), 3);
        assert!(looks[0].centroid[1] > 0.0, "the mean knows of the others");
    }

    #[test]
    fn two_faces_of_a_photo_are_two_people() {
        let people = [
            person("a", &[(turned(0.0), None)]),
            person("b", &[(turned(70.0), None)]),
        ];
        // 3 and -50 degrees are a's; they are 53 apart. 50 is nearer to b's 70
        // than to a only by 20 to 50, so take 34: a by 34, b by 36.
        let (near, far, between) = (turned(3.0), turned(-50.0), turned(-34.0));
        let alone = [face(1, 0.0, &near, ""), face(2, 300.0, &far, "")];
        assert_eq!(
            chosen(&alone, &people, &TwoPeople),
            [Some(0), Some(0)],
            "two photos"
        );
        let together = [face(1, 300.0, &far, ""), face(1, 0.0, &near, "")];
        assert_eq!(chosen(&together, &people, &Nearest), [Some(0), Some(0)]);
        assert_eq!(chosen(&together, &people, &TwoPeople), [None, Some(0)]);
        // 37 degrees apart: a distance of 0.2, a mirror.
        let mirror = [face(1, 300.0, &between, ""), face(1, 0.0, &near, "")];
        assert_eq!(chosen(&mirror, &people, &TwoPeople), [Some(0), Some(0)]);
    }

    #[test]
    fn the_second_face_goes_to_the_next_person_who_is_not_there() {
        let people = [
            person("a", &[(turned(0.0), None)]),
            person("b", &[(turned(80.0), None)]),
        ];
        // 39 degrees: nearer to a (39) than to b (41); 50 apart from the first.
        let (first, second) = (turned(-11.0), turned(39.0));
        let faces = [face(1, 0.0, &first, ""), face(1, 300.0, &second, "")];
        assert_eq!(chosen(&faces, &people, &Nearest), [Some(0), Some(0)]);
        assert_eq!(chosen(&faces, &people, &TwoPeople), [Some(0), Some(1)]);
        let b_is_there = turned(80.0);
        let three = [
            faces[0].clone(),
            faces[1].clone(),
            face(1, 600.0, &b_is_there, ""),
        ];
        assert_eq!(
            chosen(&three, &people, &TwoPeople),
            [Some(0), None, Some(1)]
        );
    }

    #[test]
    fn collages_and_faces_found_twice_are_let_through() {
        let people = [
            person("a", &[(turned(0.0), None)]),
            person("b", &[(turned(180.0), None)]),
        ];
        let (plus, minus) = (turned(50.0), turned(-50.0));
        let (plus_b, minus_b) = (turned(230.0), turned(130.0));
        let mid = turned(0.0);
        let triple = [
            face(1, 0.0, &plus, ""),
            face(1, 200.0, &minus, ""),
            face(1, 400.0, &mid, ""),
        ];
        assert_eq!(chosen(&triple, &people, &TwoPeople), [Some(0); 3]);
        let pairs = [
            face(1, 0.0, &plus, ""),
            face(1, 200.0, &minus, ""),
            face(1, 400.0, &plus_b, ""),
            face(1, 600.0, &minus_b, ""),
        ];
        assert_eq!(
            chosen(&pairs, &people, &TwoPeople),
            [Some(0), Some(0), Some(1), Some(1)]
        );
        // Widths of 100, 33 px apart: a third of the union missing on each side.
        let twice = [face(1, 0.0, &plus, ""), face(1, 33.0, &minus, "")];
        assert_eq!(chosen(&twice, &people, &TwoPeople), [Some(0), Some(0)]);
        let beside = [face(1, 0.0, &plus, ""), face(1, 34.0, &minus, "")];
        assert_eq!(
            chosen(&beside, &people, &TwoPeople)
                .iter()
                .flatten()
                .count(),
            1
        );
    }
}
