//! Which faces of a set's photos are its person's, and which of those are good
//! enough.
//!
//! Every face on every photo of the set enters and leaves exactly once: chosen,
//! or dropped with the number that decided. The stages, in order: outlier, age,
//! size, one face per photo, near-duplicate. Size comes before the two "best
//! of" stages so that a face too small to ship never displaces one that could.

use std::collections::{BTreeMap, BTreeSet};

use faceset_core::manifest::{DroppedFace, RefinedSet, ScoreParts};
use faceset_core::{ContentHash, CosineDistance, FaceKey, Score};
use faceset_quality::{FaceLook, decimal, group_near_duplicates, parts};
use rayon::prelude::*;

use crate::bounds::NOT_THIS_PERSON;
use crate::consent::{Age, AgeRule, MIN_AGE_YEARS};
use crate::library::{Centroid, FaceRef, Library};
use crate::options::ExportSettings;

/// First pass of the centroid of a set that lists photos only: wide enough for
/// the person's own spread, as the original's hand-sorted folders used it.
const FIRST_PASS: CosineDistance = CosineDistance::constant(0.55);
/// Second pass, as the original's.
const SECOND_PASS: CosineDistance = CosineDistance::constant(0.45);

/// Reason of faces on photos taken before their person was of age.
pub(crate) const UNDER_AGE: &str = "under_age";
/// Reason of faces on undated photos of a person who is not of age on any.
pub(crate) const UNDATED_AND_UNDER_AGE: &str = "undated_and_under_age";

/// Difference hashes of faces, by key; see `hash_faces`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FaceHashes(pub(crate) BTreeMap<(ContentHash, [i32; 4]), u64>);

impl FaceHashes {
    /// Remembers a face's hash.
    pub fn insert(&mut self, key: &FaceKey, dhash: u64) {
        self.0.insert(key.id(), dhash);
    }

    /// The hash of a face, when it was computed.
    pub fn of(&self, key: &FaceKey) -> Option<u64> {
        self.0.get(&key.id()).copied()
    }

    /// Number of hashes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A face with its numbers.
#[derive(Debug, Clone)]
pub(crate) struct Scored {
    pub(crate) at: FaceRef,
    pub(crate) key: FaceKey,
    pub(crate) distance: CosineDistance,
    pub(crate) composite: Score,
    pub(crate) parts: ScoreParts,
}

/// The faces of one set.
#[derive(Debug)]
pub(crate) struct Selection {
    pub(crate) centroid: Option<Centroid>,
    /// Faces on the set's photos.
    pub(crate) n_input: usize,
    /// Chosen faces, best composite first, then by path and box.
    pub(crate) chosen: Vec<Scored>,
    pub(crate) dropped: Vec<DroppedFace>,
    /// Faces taken for the person's, chosen or not.
    pub(crate) of_person: BTreeSet<FaceRef>,
    pub(crate) notes: Vec<String>,
}

/// All stages before the near-duplicate one.
pub(crate) fn select(
    set: &RefinedSet,
    library: &Library<'_>,
    birth: AgeRule,
    options: &ExportSettings,
    forbids: &dyn Fn(&FaceKey) -> bool,
) -> Selection {
    let mut notes = Vec::new();
    let mut photos = BTreeSet::new();
    let mut missing_photos = 0;
    for image in &set.images {
        match library.photo_at(image) {
            Some(photo) => {
                photos.insert(photo);
            }
            None => missing_photos += 1,
        }
    }
    if missing_photos > 0 {
        notes.push(format!(
            "{}: {missing_photos} of {} photos are not in the cache; embed them or refine again",
            set.name,
            set.images.len()
        ));
    }
    let known: Vec<FaceRef> = set
        .faces
        .iter()
        .filter_map(|k| library.face_of(k))
        .collect();
    if known.len() < set.faces.len() {
        notes.push(format!(
            "{}: {} of {} faces are not in the cache; embed their photos or refine again",
            set.name,
            set.faces.len() - known.len(),
            set.faces.len()
        ));
    }
    photos.extend(known.iter().map(|at| at.0));
    let mut photos: Vec<usize> = photos.into_iter().collect();
    photos.sort_by(|a, b| {
        library
            .photo(*a)
            .entry
            .path
            .cmp(&library.photo(*b).entry.path)
    });
    let faces: Vec<FaceRef> = photos
        .iter()
        .flat_map(|&p| (0..library.photo(p).entry.faces().len()).map(move |f| (p, f)))
        .collect();
    let (forbidden, faces): (Vec<FaceRef>, Vec<FaceRef>) =
        faces.into_iter().partition(|at| forbids(&library.key(*at)));
    let is_listed = !known.is_empty();
    let known = known.into_iter().filter(|at| !forbidden.contains(at));
    let centroid = if is_listed {
        let unique: BTreeSet<FaceRef> = known.collect();
        centroid_of(unique.into_iter(), library)
    } else {
        two_pass_centroid(&faces, library)
    };
    let mut selection = Selection {
        centroid,
        n_input: faces.len() + forbidden.len(),
        chosen: Vec::new(),
        dropped: Vec::new(),
        of_person: BTreeSet::new(),
        notes,
    };
    for key in forbidden.iter().map(|at| library.key(*at)) {
        selection
            .dropped
            .push(dropped(key, NOT_THIS_PERSON, None, None));
    }
    selection.take_in(&faces, library, birth, options);
    selection
}

impl Selection {
    fn take_in(
        &mut self,
        faces: &[FaceRef],
        library: &Library<'_>,
        birth: AgeRule,
        options: &ExportSettings,
    ) {
        let mut survivors: Vec<(FaceRef, CosineDistance)> = Vec::new();
        for &at in faces {
            let face = library.face(at);
            let key = || library.key(at);
            let distance = match &self.centroid {
                Some(centroid) => centroid.distance(&face.embedding),
                None => CosineDistance::from_similarity(f64::NAN),
            };
            if distance > options.outlier_threshold {
                let limit = options.outlier_threshold.get();
                self.drop(key(), "outlier", distance.get(), limit);
                continue;
            }
            self.of_person.insert(at);
            if let Some((reason, age)) = too_young(birth, &library.photo(at.0).entry.taken) {
                self.drop(key(), reason, age, f64::from(MIN_AGE_YEARS));
                continue;
            }
            // In single precision, in which both are stored; NaN is too small.
            if face.face_short >= options.min_face_short {
                survivors.push((at, distance));
            } else {
                let limit = decimal(options.min_face_short);
                self.drop(key(), "min_face_short", decimal(face.face_short), limit);
            }
        }
        for (at, distance) in self.best_per_photo(survivors, library) {
            let parts = parts(library.face(at));
            self.chosen.push(Scored {
                at,
                key: library.key(at),
                distance,
                composite: options.weights.composite(&parts),
                parts,
            });
        }
        sort_best_first(&mut self.chosen);
    }

    /// Keeps the largest box of each photo; equal boxes by distance, then by
    /// place on the photo.
    fn best_per_photo(
        &mut self,
        survivors: Vec<(FaceRef, CosineDistance)>,
        library: &Library<'_>,
    ) -> Vec<(FaceRef, CosineDistance)> {
        let area = |at: FaceRef| library.face(at).bbox.area();
        let mut best: BTreeMap<usize, (FaceRef, CosineDistance)> = BTreeMap::new();
        for &(at, distance) in &survivors {
            let better = best.get(&at.0).is_none_or(|(held, held_distance)| {
                let by_area = area(at).total_cmp(&area(*held));
                let box_of = |at| library.face(at).bbox.tenths();
                by_area
                    .then(held_distance.cmp(&distance))
                    .then_with(|| box_of(*held).cmp(&box_of(at)))
                    .is_gt()
            });
            if better {
                best.insert(at.0, (at, distance));
            }
        }
        let (kept, others): (Vec<_>, Vec<_>) = survivors
            .into_iter()
            .partition(|(at, _)| best[&at.0].0 == *at);
        for (at, _) in others {
            let limit = decimal(area(best[&at.0].0));
            self.drop(
                library.key(at),
                "smaller_on_photo",
                decimal(area(at)),
                limit,
            );
        }
        kept
    }

    /// Collapses near-duplicates among the chosen faces. Faces without a hash
    /// are nobody's duplicate.
    pub(crate) fn collapse_duplicates(
        &mut self,
        library: &Library<'_>,
        hashes: &FaceHashes,
        options: &ExportSettings,
    ) {
        let hashed: Vec<(usize, u64)> = self
            .chosen
            .iter()
            .enumerate()
            .filter_map(|(i, s)| hashes.of(&s.key).map(|hash| (i, hash)))
            .collect();
        let looks: Vec<FaceLook<'_>> = hashed
            .iter()
            .map(|&(i, dhash)| FaceLook {
                key: &self.chosen[i].key,
                composite: self.chosen[i].composite,
                dhash,
                embedding: &library.face(self.chosen[i].at).embedding,
            })
            .collect();
        let mut cosine_of = BTreeMap::new();
        for group in group_near_duplicates(&looks, &options.near_duplicates) {
            for member in group.members {
                cosine_of.insert(hashed[member.face].0, member.cosine);
            }
        }
        let limit = options.near_duplicates.min_cosine();
        for (i, scored) in std::mem::take(&mut self.chosen).into_iter().enumerate() {
            match cosine_of.get(&i) {
                Some(cosine) => self.drop(scored.key, "near_duplicate", *cosine, limit),
                None => self.chosen.push(scored),
            }
        }
    }

    /// Chosen faces with another one as similar as a near-duplicate must be:
    /// only their pictures need a hash.
    pub(crate) fn similar_enough(
        &self,
        library: &Library<'_>,
        options: &ExportSettings,
    ) -> Vec<FaceRef> {
        let units: Vec<Vec<f32>> = self
            .chosen
            .iter()
            .map(|s| unit(&library.face(s.at).embedding))
            .collect();
        // Single precision is off by far less than this from the exact cosine,
        // which the duplicate rule computes afterwards.
        let floor = options.near_duplicates.min_cosine() as f32 - 1e-4;
        (0..units.len())
            .into_par_iter()
            .filter(|&i| (0..units.len()).any(|j| j != i && dot(&units[i], &units[j]) >= floor))
            .map(|i| self.chosen[i].at)
            .collect()
    }

    fn drop(&mut self, key: FaceKey, reason: &str, value: f64, limit: f64) {
        self.dropped
            .push(dropped(key, reason, Some(value), Some(limit)));
    }
}

/// Reason and age when the dates forbid export.
pub(crate) fn too_young(rule: AgeRule, taken: &str) -> Option<(&'static str, f64)> {
    match rule.judge(taken) {
        Age::Allowed => None,
        Age::TooYoung(age) => Some((UNDER_AGE, f64::from(age))),
        Age::NeverAdult(age) => Some((UNDATED_AND_UNDER_AGE, f64::from(age))),
    }
}

pub(crate) fn dropped(
    key: FaceKey,
    reason: &str,
    value: Option<f64>,
    limit: Option<f64>,
) -> DroppedFace {
    // JSON has no NaN; an unknown value is null.
    DroppedFace {
        key,
        reason: reason.to_owned(),
        value: value.filter(|v| v.is_finite()),
        limit: limit.filter(|v| v.is_finite()),
    }
}

/// Best composite first; equal ones by path, then box.
pub(crate) fn sort_best_first(faces: &mut [Scored]) {
    faces.sort_by(|a, b| {
        b.composite
            .cmp(&a.composite)
            .then_with(|| a.key.path.cmp(&b.key.path))
            .then_with(|| a.key.bbox.tenths().cmp(&b.key.bbox.tenths()))
            .then_with(|| a.at.cmp(&b.at))
    });
}

fn centroid_of(faces: impl Iterator<Item = FaceRef>, library: &Library<'_>) -> Option<Centroid> {
    Centroid::of(faces.map(|at| library.face(at).embedding.as_slice()))
}

/// The person most present on the photos: the mean of all faces, of those
/// within 0.55 of it, and of those within 0.45 of that. `None` when a pass
/// leaves no face.
fn two_pass_centroid(faces: &[FaceRef], library: &Library<'_>) -> Option<Centroid> {
    let near = |centroid: &Centroid, limit: CosineDistance| {
        let kept: Vec<FaceRef> = faces
            .iter()
            .copied()
            .filter(|at| centroid.distance(&library.face(*at).embedding) <= limit)
            .collect();
        centroid_of(kept.into_iter(), library)
    };
    let all = centroid_of(faces.iter().copied(), library)?;
    let first = near(&all, FIRST_PASS)?;
    near(&first, SECOND_PASS)
}

fn unit(embedding: &[f32]) -> Vec<f32> {
    let norm = dot(embedding, embedding).sqrt();
    embedding.iter().map(|v| v / norm).collect()
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    if a.len() != b.len() {
        return f32::NAN;
    }
    // Eight running sums let the compiler use vector instructions.
    let mut sums = [0.0_f32; 8];
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a8
        .remainder()
        .iter()
        .zip(b8.remainder())
        .map(|(x, y)| x * y)
        .sum();
    for (x, y) in a8.zip(b8) {
        for (s, (x, y)) in sums.iter_mut().zip(x.iter().zip(y)) {
            *s += x * y;
        }
    }
    sums.iter().sum::<f32>() + rest
}
