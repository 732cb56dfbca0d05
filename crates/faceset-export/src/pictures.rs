//! Pixels and faces, as this crate asks for them.

use std::collections::BTreeMap;

use faceset_core::{BBox, CancelToken, Progress, SourcePath};
use faceset_quality::face_dhash;
use image::RgbImage;
use rayon::prelude::*;

use crate::plan::HashTarget;
use crate::select::FaceHashes;

/// Reads photos.
pub trait PixelSource: Sync {
    /// The whole photo, upright, three colours. The error is one line for
    /// people, without the path.
    fn upright_rgb(&self, path: &SourcePath) -> Result<RgbImage, String>;
}

/// Finds faces the way the target application will.
pub trait FaceFinder: Sync {
    /// Boxes in pixels of the picture, found at a detector input of
    /// `det_size`×`det_size`. An error means that the detector is broken, not
    /// the picture, and ends the export.
    fn find(&self, picture: &RgbImage, det_size: u32) -> Result<Vec<BBox>, String>;
}

/// Pictures held in memory at a time are at most this many per step.
const BATCH: usize = 16;

/// Opens a photo at the first of its places that works; the error is that of
/// the first place.
pub(crate) fn open_first(
    pixels: &dyn PixelSource,
    places: &[SourcePath],
) -> Result<RgbImage, String> {
    let mut first_error = None;
    for place in places {
        match pixels.upright_rgb(place) {
            Ok(picture) => return Ok(picture),
            Err(message) => first_error = first_error.or(Some(message)),
        }
    }
    Err(first_error.unwrap_or_else(|| "no place of the photo is known".to_owned()))
}

/// Result of [`hash_faces`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Hashed {
    /// The hashes.
    pub hashes: FaceHashes,
    /// Photos that could not be read, with the reason, by path.
    pub failed: Vec<(SourcePath, String)>,
    /// True when a stop was requested before the end.
    pub cancelled: bool,
}

/// Computes the difference hashes that planning asks for. Each photo is read
/// once.
pub fn hash_faces(
    targets: &[HashTarget],
    pixels: &dyn PixelSource,
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> Hashed {
    let mut by_photo: BTreeMap<&SourcePath, Vec<&HashTarget>> = BTreeMap::new();
    for target in targets {
        by_photo.entry(&target.key.path).or_default().push(target);
    }
    let photos: Vec<_> = by_photo.into_iter().collect();
    let mut hashed = Hashed::default();
    progress.start("compare look-alikes", Some(photos.len() as u64));
    for batch in photos.chunks(BATCH) {
        if cancel.is_cancelled() {
            hashed.cancelled = true;
            break;
        }
        let results: Vec<_> = batch
            .par_iter()
            .map(|(_, targets)| {
                let picture = open_first(pixels, &targets[0].places)?;
                let hash = |t: &&HashTarget| (t.key.clone(), face_dhash(&picture, &t.key.bbox));
                Ok::<_, String>(targets.iter().map(hash).collect::<Vec<_>>())
            })
            .collect();
        for ((path, _), result) in batch.iter().zip(results) {
            match result {
                Ok(faces) => faces
                    .iter()
                    .for_each(|(key, hash)| hashed.hashes.insert(key, *hash)),
                Err(message) => hashed.failed.push(((*path).clone(), message)),
            }
        }
        progress.advance(batch.len() as u64);
    }
    progress.finish();
    hashed
}
