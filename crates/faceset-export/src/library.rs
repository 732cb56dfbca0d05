//! The photos and faces an export may draw from, looked up by path and by key.

use std::collections::BTreeMap;

use faceset_core::{ContentHash, CosineDistance, FaceKey, FaceRecord, FileEntry, SourcePath};

use crate::consent::CivilDate;

/// One distinct photo of the cache.
#[derive(Debug, Clone, Copy)]
pub struct Photo<'a> {
    /// Its record: canonical path, content hash, upright size, capture time,
    /// faces.
    pub entry: &'a FileEntry,
    /// Every path it lies at. The canonical path may be among them or not; it
    /// is always taken in.
    pub places: &'a [SourcePath],
}

impl Photo<'_> {
    /// Canonical path first, then the other places, sorted, each once.
    pub(crate) fn all_places(&self) -> Vec<SourcePath> {
        let mut others: Vec<_> = self
            .places
            .iter()
            .filter(|p| **p != self.entry.path)
            .cloned()
            .collect();
        others.sort();
        others.dedup();
        others.insert(0, self.entry.path.clone());
        others
    }
}

/// Position of a face: photo, then face on the photo.
pub(crate) type FaceRef = (usize, usize);

/// Index over the photos of one export.
#[derive(Debug)]
pub(crate) struct Library<'a> {
    photos: &'a [Photo<'a>],
    by_path: BTreeMap<&'a str, usize>,
    by_key: BTreeMap<(ContentHash, [i32; 4]), FaceRef>,
    newest: Option<CivilDate>,
}

impl<'a> Library<'a> {
    /// When two photos claim one path the first keeps it; two faces with one
    /// key are found as the first.
    pub(crate) fn new(photos: &'a [Photo<'a>]) -> Self {
        let mut by_path = BTreeMap::new();
        let mut by_key = BTreeMap::new();
        // Canonical paths win over places.
        for (p, photo) in photos.iter().enumerate() {
            by_path.entry(photo.entry.path.as_str()).or_insert(p);
        }
        for (p, photo) in photos.iter().enumerate() {
            for place in photo.places {
                by_path.entry(place.as_str()).or_insert(p);
            }
            for (f, face) in photo.entry.faces().iter().enumerate() {
                let id = (photo.entry.sha256, face.bbox.tenths());
                by_key.entry(id).or_insert((p, f));
            }
        }
        let newest = photos
            .iter()
            .filter_map(|p| CivilDate::of_capture_time(&p.entry.taken))
            .max();
        Self {
            photos,
            by_path,
            by_key,
            newest,
        }
    }

    pub(crate) fn photo_at(&self, path: &SourcePath) -> Option<usize> {
        self.by_path.get(path.as_str()).copied()
    }

    pub(crate) fn face_of(&self, key: &FaceKey) -> Option<FaceRef> {
        self.by_key.get(&key.id()).copied()
    }

    pub(crate) fn photo(&self, photo: usize) -> &'a Photo<'a> {
        &self.photos[photo]
    }

    pub(crate) fn face(&self, (photo, face): FaceRef) -> &'a FaceRecord {
        &self.photos[photo].entry.faces()[face]
    }

    pub(crate) fn key(&self, at: FaceRef) -> FaceKey {
        self.photos[at.0].entry.key(self.face(at))
    }

    /// The newest capture date of any photo.
    pub(crate) fn newest(&self) -> Option<CivilDate> {
        self.newest
    }
}

/// The unit mean direction of a group of faces.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Centroid(Vec<f64>);

impl Centroid {
    /// Mean of the unit vectors, scaled to length 1. Embeddings that are no
    /// direction (zero, not finite, of another dimension than the first) do not
    /// count; `None` when none is left or they cancel out.
    pub(crate) fn of<'e>(embeddings: impl Iterator<Item = &'e [f32]>) -> Option<Self> {
        let mut sum: Vec<f64> = Vec::new();
        for embedding in embeddings {
            let norm = length(embedding);
            if !(norm.is_finite() && norm > 0.0)
                || !(sum.is_empty() || sum.len() == embedding.len())
            {
                continue;
            }
            sum.resize(embedding.len(), 0.0);
            for (s, v) in sum.iter_mut().zip(embedding) {
                *s += f64::from(*v) / norm;
            }
        }
        let norm = norm(sum.iter().copied());
        // Below this the sum is rounding noise of vectors that cancel out.
        (norm > 1e-9).then(|| Self(sum.into_iter().map(|v| v / norm).collect()))
    }

    /// Cosine distance of an embedding; 2 when it is no direction or of another
    /// dimension.
    pub(crate) fn distance(&self, embedding: &[f32]) -> CosineDistance {
        self.distance_of(embedding, length(embedding))
    }

    /// [`Centroid::distance`] of an embedding whose [`length`] is known.
    pub(crate) fn distance_of(&self, embedding: &[f32], length: f64) -> CosineDistance {
        if embedding.len() != self.0.len() {
            return CosineDistance::from_similarity(f64::NAN);
        }
        let dot: f64 = self
            .0
            .iter()
            .zip(embedding)
            .map(|(a, b)| a * f64::from(*b))
            .sum();
        CosineDistance::from_similarity(dot / length)
    }
}

/// Euclidean length.
pub(crate) fn length(embedding: &[f32]) -> f64 {
    norm(embedding.iter().map(|v| f64::from(*v)))
}

fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|v| v * v).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_centroid_is_the_mean_direction_whatever_the_lengths() {
        let c = Centroid::of([&[10.0_f32, 0.0][..], &[0.0, 0.5]].into_iter()).unwrap();
        let half = 0.5_f64.sqrt();
        assert!((c.0[0] - half).abs() < 1e-12 && (c.0[1] - half).abs() < 1e-12);
        assert!((c.distance(&[3.0, 0.0]).get() - (1.0 - half)).abs() < 1e-12);
    }

    #[test]
    fn what_is_no_direction_neither_counts_nor_matches() {
        let odd: [&[f32]; 4] = [&[1.0, 0.0], &[0.0, 0.0], &[f32::NAN, 1.0], &[1.0]];
        let c = Centroid::of(odd.into_iter()).unwrap();
        assert_eq!(c, Centroid(vec![1.0, 0.0]));
        for bad in &odd[1..] {
            assert_eq!(c.distance(bad).get(), 2.0);
        }
        assert_eq!(Centroid::of([&[1.0_f32][..], &[-1.0]].into_iter()), None);
        assert_eq!(Centroid::of(std::iter::empty()), None);
    }
}
