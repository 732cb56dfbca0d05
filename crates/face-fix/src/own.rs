//! Our own embeddings of the faces that Immich knows.
//!
//! A cache knows photos by SHA-256, Immich by id and SHA-1; links (see `link`) tie them.
//! Within a photo, a face of ours and one of Immich's are the same when their boxes
//! overlap enough.

use std::collections::{BTreeMap, BTreeSet};

use faceset_cache::Cache;
use faceset_core::{ContentHash, CosineDistance};
use immich_client::AssetId;
use ndarray::{Array2, ArrayView1, Axis};
use serde::Serialize;

use crate::decision::Area;
use crate::link::PhotoLink;
use crate::photos::{Photo, PhotoFace};

/// Boxes that overlap by this share (intersection over union) or more are of the same
/// face. 0.5 is the customary bar for "found the same object" (PASCAL VOC). Two faces
/// of one photo can't both reach it against a third unless they cover each other.
pub const SAME_FACE_IOU: f64 = 0.5;

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

/// How many photos with faces were linked by what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Linked {
    /// By the items of a staging queue: no file was read.
    pub by_queue: usize,
    /// By reading the files where the cache saw them.
    pub by_reading: usize,
}

/// A photo of the server in the cache.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Staged {
    content: ContentHash,
    /// The original's SHA-1 when it was staged.
    sha1: Option<[u8; 20]>,
}

/// The embeddings of a cache, to be found by Immich's photo and box.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnFaces {
    by_asset: BTreeMap<AssetId, Staged>,
    by_sha1: BTreeMap<[u8; 20], ContentHash>,
    photos: BTreeMap<ContentHash, Vec<(Area, usize)>>,
    rows: Array2<f32>,
    linked: Linked,
}

impl OwnFaces {
    /// Takes the embeddings of the linked photos.
    pub fn new(cache: &Cache, links: &[PhotoLink]) -> Self {
        let mut faces: BTreeMap<ContentHash, Vec<(Area, usize)>> = BTreeMap::new();
        for face in cache.faces() {
            let [width, height] = face.file.dims;
            if let Some(area) = share(&face.face.bbox, width, height) {
                let of_photo = faces.entry(face.file.sha256).or_default();
                of_photo.push((area, face.row));
            }
        }
        let (mut by_asset, mut by_sha1) = (BTreeMap::new(), BTreeMap::new());
        let (mut queued, mut linked) = (BTreeSet::new(), BTreeSet::new());
        for link in links.iter().filter(|link| faces.contains_key(&link.sha256)) {
            linked.insert(link.sha256);
            if let Some(asset) = &link.asset {
                let staged = Staged {
                    content: link.sha256,
                    sha1: link.sha1,
                };
                by_asset.insert(asset.clone(), staged);
                queued.insert(link.sha256);
            }
            if let Some(sha1) = link.sha1 {
                by_sha1.insert(sha1, link.sha256);
            }
        }
        faces.retain(|content, _| linked.contains(content));
        Self {
            by_asset,
            by_sha1,
            linked: Linked {
                by_queue: queued.len(),
                by_reading: linked.len() - queued.len(),
            },
            photos: faces,
            rows: cache.embeddings(),
        }
    }

    /// Linked photos with faces.
    pub fn n_photos(&self) -> usize {
        self.photos.len()
    }

    /// What linked them.
    pub fn linked(&self) -> Linked {
        self.linked
    }

    /// The content that the cache has of a photo of the server; `None` when it has none,
    /// or one from before the photo was replaced.
    pub fn content_of(&self, asset: &AssetId, sha1: Option<&[u8; 20]>) -> Option<ContentHash> {
        let is_same = |staged: &&Staged| match (staged.sha1.as_ref(), sha1) {
            (Some(then), Some(now)) => then == now,
            // A rendering was staged, or the server's checksum is none of the bytes.
            _ => true,
        };
        let staged = self.by_asset.get(asset).filter(is_same);
        staged
            .map(|staged| staged.content)
            .or_else(|| self.by_sha1.get(sha1?).copied())
    }

    /// Our row for a face of a photo.
    pub fn row_of(&self, photo: &Photo, face: &PhotoFace) -> Result<usize, NoVector> {
        self.find(photo, face).map(|(_, row)| row)
    }

    /// The content and our row for a face of a photo.
    pub(crate) fn find(
        &self,
        photo: &Photo,
        face: &PhotoFace,
    ) -> Result<(ContentHash, usize), NoVector> {
        let content = self
            .content_of(&photo.asset, photo.sha1.as_ref())
            .ok_or(NoVector::PhotoUnknown)?;
        let area = face.original_area.ok_or(NoVector::NoBox)?;
        Ok((content, self.row_at(&content, &area)?))
    }

    /// Our row for the face at this place of the upright original.
    pub fn row_at(&self, content: &ContentHash, area: &Area) -> Result<usize, NoVector> {
        let faces = self.photos.get(content).ok_or(NoVector::PhotoUnknown)?;
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
