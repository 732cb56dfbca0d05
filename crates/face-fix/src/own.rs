//! Our own embeddings of the faces that Immich knows.
//!
//! A cache knows photos by SHA-256, Immich by SHA-1; a link ties both. Within a photo,
//! a face of ours and one of Immich's are the same when their boxes overlap enough.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;

use faceset_cache::Cache;
use faceset_core::{CancelToken, ContentHash, CosineDistance, Progress};
use ndarray::{Array2, ArrayView1, Axis};
use serde::Serialize;
use sha1::{Digest, Sha1};
use sha2::Sha256;

use crate::decision::Area;
use crate::photos::{Photo, PhotoFace};

/// Boxes that overlap by this share (intersection over union) or more are of the same
/// face. 0.5 is the customary bar for "found the same object" (PASCAL VOC). Two faces
/// of one photo can't both reach it against a third unless they cover each other.
pub const SAME_FACE_IOU: f64 = 0.5;

/// The same photo's two names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PhotoLink {
    /// SHA-1 of the file, as Immich's checksum is.
    pub sha1: [u8; 20],
    /// SHA-256 of the file, as caches know it.
    pub sha256: ContentHash,
}

/// What became of linking a cache's photos.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct LinkReport {
    /// Photos read and linked.
    pub n_linked: usize,
    /// Photos whose file is not there or can't be read.
    pub n_unreadable: usize,
    /// Photos whose file holds other bytes now.
    pub n_changed: usize,
}

/// Links a cache's photos by reading their files where the cache saw them. Stops early,
/// with what there is, when cancelled.
pub fn link_by_reading(
    cache: &Cache,
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> (Vec<PhotoLink>, LinkReport) {
    let with_faces = || cache.files().filter(|file| !file.faces().is_empty());
    progress.start("link photos to Immich", Some(with_faces().count() as u64));
    let (mut links, mut report) = (Vec::new(), LinkReport::default());
    for file in with_faces() {
        if cancel.is_cancelled() {
            break;
        }
        match hashes(file.path.as_path()) {
            Err(_) => report.n_unreadable += 1,
            Ok((_, sha256)) if sha256 != file.sha256 => report.n_changed += 1,
            Ok((sha1, sha256)) => {
                report.n_linked += 1;
                links.push(PhotoLink { sha1, sha256 });
            }
        }
        progress.advance(1);
    }
    progress.finish();
    (links, report)
}

fn hashes(path: &std::path::Path) -> std::io::Result<([u8; 20], ContentHash)> {
    let mut file = File::open(path)?;
    let (mut sha1, mut sha256) = (Sha1::new(), Sha256::new());
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        sha1.update(&buffer[..n]);
        sha256.update(&buffer[..n]);
    }
    Ok((
        sha1.finalize().into(),
        ContentHash(sha256.finalize().into()),
    ))
}

/// Why a face has no embedding of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoVector {
    /// The photo is not in the cache.
    PhotoUnknown,
    /// We found no face at this place.
    FaceUnknown,
    /// Two of our faces are at this place.
    Ambiguous,
    /// The server does not say where the face is in the original.
    NoBox,
}

impl std::fmt::Display for NoVector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::PhotoUnknown => "the photo is not in the cache",
            Self::FaceUnknown => "the cache has no face at this place",
            Self::Ambiguous => "the cache has two faces at this place",
            Self::NoBox => "the server does not say where the face is in the original",
        })
    }
}

/// The embeddings of a cache, to be found by Immich's checksum and box.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnFaces {
    photos: BTreeMap<[u8; 20], Vec<(Area, usize)>>,
    rows: Array2<f32>,
}

impl OwnFaces {
    /// Takes the embeddings of the linked photos.
    pub fn new(cache: &Cache, links: &[PhotoLink]) -> Self {
        let mut sha1_of: BTreeMap<ContentHash, Vec<[u8; 20]>> = BTreeMap::new();
        for link in links {
            sha1_of.entry(link.sha256).or_default().push(link.sha1);
        }
        let mut photos: BTreeMap<[u8; 20], Vec<(Area, usize)>> = BTreeMap::new();
        for face in cache.faces() {
            let [width, height] = face.file.dims;
            let Some(area) = share(&face.face.bbox, width, height) else {
                continue;
            };
            for sha1 in sha1_of.get(&face.file.sha256).into_iter().flatten() {
                photos.entry(*sha1).or_default().push((area, face.row));
            }
        }
        Self {
            photos,
            rows: cache.embeddings(),
        }
    }

    /// Linked photos with faces.
    pub fn n_photos(&self) -> usize {
        self.photos.len()
    }

    /// Our row for a face of a photo.
    pub fn row_of(&self, photo: &Photo, face: &PhotoFace) -> Result<usize, NoVector> {
        let sha1 = photo.sha1.ok_or(NoVector::PhotoUnknown)?;
        let area = face.original_area.ok_or(NoVector::NoBox)?;
        self.row_at(&sha1, &area)
    }

    /// Our row for the face at this place of the upright original.
    pub fn row_at(&self, sha1: &[u8; 20], area: &Area) -> Result<usize, NoVector> {
        let faces = self.photos.get(sha1).ok_or(NoVector::PhotoUnknown)?;
        let mut same = faces
            .iter()
            .filter(|(own, _)| own.iou(area) >= SAME_FACE_IOU);
        match (same.next(), same.next()) {
            (Some((_, row)), None) => Ok(*row),
            (None, _) => Err(NoVector::FaceUnknown),
            (Some(_), Some(_)) => Err(NoVector::Ambiguous),
        }
    }

    /// Cosine distance of two rows.
    pub fn distance(&self, a: usize, b: usize) -> CosineDistance {
        let (a, b) = (self.row(a), self.row(b));
        let dot = |x: ArrayView1<'_, f32>, y: ArrayView1<'_, f32>| {
            x.iter()
                .zip(y)
                .map(|(x, y)| f64::from(*x) * f64::from(*y))
                .sum::<f64>()
        };
        CosineDistance::from_similarity(dot(a, b) / (dot(a, a) * dot(b, b)).sqrt())
    }

    /// The vectors of these rows, in this order.
    pub(crate) fn select(&self, rows: &[usize]) -> Array2<f32> {
        self.rows.select(Axis(0), rows)
    }

    fn row(&self, row: usize) -> ArrayView1<'_, f32> {
        self.rows.row(row)
    }
}

/// A box of ours in shares of the upright photo.
fn share(bbox: &faceset_core::BBox, width: u32, height: u32) -> Option<Area> {
    if width == 0 || height == 0 {
        return None;
    }
    let (w, h) = (f64::from(width), f64::from(height));
    let x = |v: f32| (f64::from(v) / w).clamp(0.0, 1.0);
    let y = |v: f32| (f64::from(v) / h).clamp(0.0, 1.0);
    Some(Area {
        x1: x(bbox.x1),
        y1: y(bbox.y1),
        x2: x(bbox.x2),
        y2: y(bbox.y2),
        frame: [width, height],
    })
}
