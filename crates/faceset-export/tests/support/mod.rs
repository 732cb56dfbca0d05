//! A drawn photo library: flat-coloured squares stand for faces, the finder
//! finds squares, and a person is a direction in a small embedding space.

// Every test binary uses its own part of this.
#![allow(dead_code, reason = "shared by several test binaries")]
#![allow(
    missing_docs,
    unreachable_pub,
    missing_debug_implementations,
    reason = "test support"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use faceset_core::manifest::{CacheRef, RawManifest, RefineManifest, RefinedSet};
use faceset_core::{
    BBox, Enrichment, FaceKey, FaceRecord, FileEntry, FileStatus, Pose, SourcePath, hash_bytes,
};
use faceset_export::{
    ExportOptions, ExportPlan, ExportSettings, FaceFinder, FaceHashes, NoBounds, PersonFacts,
    Photo, PixelSource, PlanInputs,
};
use image::{Rgb, RgbImage};
use serde_json::{Map, Value, json};

/// Background of every photo; not black, so that padding can be told apart.
pub const BACKGROUND: Rgb<u8> = Rgb([90, 90, 90]);

/// A face colour: bright red channel, never the background's.
pub fn face_colour(n: u8) -> Rgb<u8> {
    Rgb([200 + n % 50, 10, 40])
}

/// Unit vector of three numbers, scaled to length 1.
pub fn toward(v: [f32; 3]) -> Vec<f32> {
    let norm = v.iter().map(|x| x * x).sum::<f32>().sqrt();
    v.iter().map(|x| x / norm).collect()
}

pub const ANNA: [f32; 3] = [1.0, 0.0, 0.0];
pub const BERT: [f32; 3] = [0.0, 1.0, 0.0];
pub const CLEO: [f32; 3] = [0.0, 0.0, 1.0];

/// A face record with good values everywhere.
pub fn face(path: &str, bbox: [f32; 4], embedding: [f32; 3]) -> FaceRecord {
    let b: BBox = bbox.into();
    FaceRecord {
        path: path.into(),
        bbox: b,
        kps: [[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]]
            .map(|[x, y]: [f32; 2]| [b.x1 + x * b.width(), b.y1 + y * b.height()]),
        det_score: 0.8,
        face_short: b.short_edge_px(),
        blur: 200.0,
        embedding: toward(embedding),
        embedding_norm: 20.0,
        enrichment: Some(Enrichment {
            pose: Some(Pose::from([0.0, 6.0, 0.0])),
            ..Enrichment::default()
        }),
    }
}

#[derive(Debug, Clone)]
pub struct Library {
    pub entries: Vec<FileEntry>,
    pub places: Vec<Vec<SourcePath>>,
}

impl Library {
    pub fn new() -> Self {
        Self {
            entries: Vec::new(),
            places: Vec::new(),
        }
    }

    /// Adds a 1000×700 photo with these faces.
    pub fn photo(&mut self, path: &str, faces: &[([f32; 4], [f32; 3])]) -> usize {
        let faces = faces.iter().map(|(b, e)| face(path, *b, *e)).collect();
        self.entries.push(FileEntry {
            path: path.into(),
            sha256: hash_bytes(path.as_bytes()),
            size: 1000,
            mtime_ns: 0,
            dims: [1000, 700],
            taken: "2015-06-01T12:00:00".to_owned(),
            source: "original".to_owned(),
            status: FileStatus::Faces(faces),
        });
        self.places.push(vec![path.into()]);
        self.entries.len() - 1
    }

    pub fn faces_mut(&mut self, photo: usize) -> &mut Vec<FaceRecord> {
        match &mut self.entries[photo].status {
            FileStatus::Faces(faces) => faces,
            FileStatus::Failed(_) => panic!("drawn photos have faces"),
        }
    }

    pub fn key(&self, photo: usize, face: usize) -> FaceKey {
        let entry = &self.entries[photo];
        entry.key(&entry.faces()[face])
    }

    /// `n` solo photos of one person, a little apart from each other.
    pub fn solos(&mut self, prefix: &str, person: [f32; 3], n: usize) -> Vec<usize> {
        (0..n)
            .map(|i| {
                let mut e = person;
                // Distances to the mean stay below 0.2.
                e[i % 3] += 0.45 + 0.02 * i as f32;
                let x = 300.0 + 7.0 * i as f32;
                self.photo(
                    &format!("/p/{prefix}{i:02}.jpg"),
                    &[([x, 200.0, x + 160.0, 400.0], e)],
                )
            })
            .collect()
    }

    pub fn photos(&self) -> Vec<Photo<'_>> {
        self.entries
            .iter()
            .zip(&self.places)
            .map(|(entry, places)| Photo { entry, places })
            .collect()
    }

    /// A set that names every first face of these photos.
    pub fn set(&self, name: &str, photos: &[usize]) -> RefinedSet {
        let mut set = self.image_set(name, photos);
        set.faces = photos.iter().map(|&p| self.key(p, 0)).collect();
        set
    }

    /// A set as the original tool wrote it: photos only.
    pub fn image_set(&self, name: &str, photos: &[usize]) -> RefinedSet {
        RefinedSet {
            name: name.to_owned(),
            label: None,
            images: photos
                .iter()
                .map(|&p| self.entries[p].path.clone())
                .collect(),
            faces: Vec::new(),
            dropped: Vec::new(),
            extra: Map::new(),
        }
    }
}

pub fn refined(sets: Vec<RefinedSet>) -> RefineManifest {
    RefineManifest {
        version: 1,
        params: Value::Null,
        cache: CacheRef {
            path: "cache.npz".to_owned(),
            pack: "drawn".to_owned(),
            pack_digest: "0".to_owned(),
            n_faces: 0,
        },
        facesets: sets,
        rejected: Vec::new(),
        extra: Map::new(),
    }
}

pub fn raw(singletons: Vec<FaceKey>) -> RawManifest {
    RawManifest {
        version: 1,
        params: Value::Null,
        cache: CacheRef::default(),
        persons: Vec::new(),
        singletons,
        noface: Vec::new(),
        extra: Map::new(),
    }
}

pub fn options(edit: impl FnOnce(&mut ExportSettings)) -> ExportOptions {
    let mut settings = ExportSettings::default();
    edit(&mut settings);
    ExportOptions::try_from(settings).unwrap()
}

pub fn nobody_known(_: &RefinedSet) -> PersonFacts {
    PersonFacts::default()
}

pub fn no_groups(_: &[&[f32]]) -> Vec<Vec<usize>> {
    Vec::new()
}

/// Plans without facts, candidates or hashes.
pub fn plain_plan(library: &Library, sets: Vec<RefinedSet>, options: &ExportOptions) -> ExportPlan {
    let photos = library.photos();
    let refined = refined(sets);
    let inputs = PlanInputs {
        photos: &photos,
        refined: &refined,
        raw: None,
        facts: &nobody_known,
        bounds: &NoBounds,
        group_orphans: &no_groups,
        provenance: &json!({"tool": "test"}),
    };
    faceset_export::plan(&inputs, options, &FaceHashes::default()).unwrap()
}

/// Draws the photos of a library; may fail or panic on the nth read.
#[derive(Debug, Default)]
pub struct Drawn {
    pictures: BTreeMap<String, RgbImage>,
    pub missing: BTreeSet<String>,
    pub panic_at: Option<usize>,
    pub reads: AtomicUsize,
}

impl Drawn {
    pub fn of(library: &Library) -> Self {
        let mut drawn = Self::default();
        for (entry, places) in library.entries.iter().zip(&library.places) {
            let mut picture = RgbImage::from_pixel(entry.dims[0], entry.dims[1], BACKGROUND);
            for (i, face) in entry.faces().iter().enumerate() {
                fill(&mut picture, &face.bbox, face_colour(i as u8 * 7));
            }
            for place in places.iter().chain([&entry.path]) {
                drawn.pictures.insert(place.to_string(), picture.clone());
            }
        }
        drawn
    }

    pub fn edit(&mut self, path: &str, edit: impl FnOnce(&mut RgbImage)) {
        edit(self.pictures.get_mut(path).unwrap());
    }

    pub fn replace(&mut self, path: &str, picture: RgbImage) {
        self.pictures.insert(path.to_owned(), picture);
    }
}

pub fn fill(picture: &mut RgbImage, bbox: &BBox, colour: Rgb<u8>) {
    for (x, y, pixel) in picture.enumerate_pixels_mut() {
        let (x, y) = (x as f32 + 0.5, y as f32 + 0.5);
        if x > bbox.x1 && x < bbox.x2 && y > bbox.y1 && y < bbox.y2 {
            *pixel = colour;
        }
    }
}

impl PixelSource for Drawn {
    fn upright_rgb(&self, path: &SourcePath) -> Result<RgbImage, String> {
        let read = self.reads.fetch_add(1, Ordering::SeqCst);
        assert!(self.panic_at != Some(read), "killed at read {read}");
        if self.missing.contains(path.as_str()) {
            return Err("no such file".to_owned());
        }
        self.pictures
            .get(path.as_str())
            .cloned()
            .ok_or_else(|| "no such file".to_owned())
    }
}

/// Finds connected areas of face colour, at least 12 px wide and high after
/// scaling the picture to the detector size.
#[derive(Debug, Default)]
pub struct Squares {
    /// Smallest edge in pixels of the detector input.
    pub min_edge: f32,
    pub broken: bool,
    pub searches: AtomicUsize,
}

impl FaceFinder for Squares {
    fn find(&self, picture: &RgbImage, det_size: u32) -> Result<Vec<BBox>, String> {
        self.searches.fetch_add(1, Ordering::SeqCst);
        if self.broken {
            return Err("the model file is damaged".to_owned());
        }
        let (w, h) = picture.dimensions();
        let is_face = |x: u32, y: u32| {
            let [r, g, _] = picture.get_pixel(x, y).0;
            r > 150 && g < 50
        };
        let mut seen = vec![false; (w * h) as usize];
        let mut boxes = Vec::new();
        for start_y in 0..h {
            for start_x in 0..w {
                if seen[(start_y * w + start_x) as usize] || !is_face(start_x, start_y) {
                    continue;
                }
                let (mut x1, mut y1, mut x2, mut y2) = (start_x, start_y, start_x, start_y);
                let mut stack = vec![(start_x, start_y)];
                seen[(start_y * w + start_x) as usize] = true;
                while let Some((x, y)) = stack.pop() {
                    (x1, y1, x2, y2) = (x1.min(x), y1.min(y), x2.max(x), y2.max(y));
                    let around = [
                        (x.wrapping_sub(1), y),
                        (x + 1, y),
                        (x, y.wrapping_sub(1)),
                        (x, y + 1),
                    ];
                    for (nx, ny) in around {
                        if nx < w && ny < h && !seen[(ny * w + nx) as usize] && is_face(nx, ny) {
                            seen[(ny * w + nx) as usize] = true;
                            stack.push((nx, ny));
                        }
                    }
                }
                let found: BBox = [x1 as f32, y1 as f32, (x2 + 1) as f32, (y2 + 1) as f32].into();
                let scale = det_size as f32 / w as f32;
                if found.short_edge_px() * scale >= self.min_edge.max(12.0) {
                    boxes.push(found);
                }
            }
        }
        Ok(boxes)
    }
}

/// Every file below a folder with its bytes, except what moved aside and locks.
pub fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    walk(folder, folder, &mut files);
    files
}

fn walk(root: &Path, folder: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name == "_dropped" || name.ends_with(".lock") {
            continue;
        }
        if path.is_dir() {
            walk(root, &path, files);
        } else {
            let relative = path
                .strip_prefix(root)
                .unwrap()
                .to_string_lossy()
                .replace('\\', "/");
            files.insert(relative, std::fs::read(&path).unwrap());
        }
    }
}
