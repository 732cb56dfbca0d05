//! Writes a contact sheet of drawn people into the folder given as argument:
//! the way to look at the pages, in colour schemes and sizes, without a photo
//! of anybody.
//!
//! `cargo run -p faceset-report --example contact_sheet -- FOLDER [GROUPS] [FACES]`

#![allow(clippy::print_stdout, reason = "an example tells where to look")]

use std::path::PathBuf;

use faceset_core::manifest::{
    CacheRef, DroppedFace, ExportedFace, Person, RawManifest, RefineManifest, RefinedSet, Reserved,
    ScoreParts, SwapReadyManifest, SwapSet,
};
use faceset_core::{
    BBox, CancelToken, CosineDistance, FaceKey, NoProgress, Pose, SourcePath, hash_bytes,
};
use faceset_report::{
    CutLine, FaceFacts, FileProblem, Inputs, Manifests, Neighbour, Pictures, ReportOptions,
    RunSummary, apply, group, plan,
};
use image::{Rgb, RgbImage};
use serde_json::{Map, Value, json};

/// Photos are this large; the face is somewhere in the middle.
const PHOTO: (u32, u32) = (420, 320);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let out = PathBuf::from(args.next().ok_or("name a folder to write into")?);
    let n_groups = args.next().map_or(Ok(14), |n| n.parse())?;
    let n_faces = args.next().map_or(Ok(26), |n| n.parse())?;
    std::fs::create_dir_all(&out)?;
    let out = out.canonicalize()?;

    let town = Town { n_groups, n_faces };
    let (raw, refined, swap) = town.manifests();
    let grouping = group(&Manifests {
        raw: &raw,
        refined: Some(&refined),
        swap: Some(&swap),
    });
    let options = ReportOptions {
        out: Some(out.to_string_lossy().into_owned()),
        cuts: [("export", 0.45), ("cluster", 0.55)]
            .map(|(label, at)| CutLine {
                label: label.to_owned(),
                distance: CosineDistance::constant(at),
            })
            .to_vec(),
        ..ReportOptions::default()
    };
    let facts = |key: &FaceKey| town.facts(key);
    let report = plan(
        &Inputs {
            grouping: &grouping,
            facts: &facts,
            summary: &summary(),
        },
        &options,
    );
    let outcome = apply(&report, &town, &out, &NoProgress, &CancelToken::default())?;
    println!("{outcome:#?}");
    Ok(())
}

fn summary() -> RunSummary {
    let row = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    let problem = |path: &str, reason: &str| FileProblem {
        path: path.into(),
        reason: reason.to_owned(),
    };
    RunSummary {
        rows: vec![
            row("Source", "/drawn/town"),
            row("Model pack", "drawn"),
            row("Files seen", "402"),
            row("Photos read", "381"),
            row("Byte-identical copies", "17"),
            row("Grouped at distance", "0.55"),
            row("Time", "1 min 12 s"),
        ],
        failed: vec![
            problem(
                "/drawn/town/broken #1.jpg",
                "the JPEG ends after 12 of 96 rows",
            ),
            problem("/drawn/town/empty.png", "the file is empty"),
        ],
        skipped: vec![problem("/drawn/town/notes.txt", "not a picture")],
    }
}

/// Everybody there is. A photo's path says who is on it and which one it is.
struct Town {
    n_groups: usize,
    n_faces: usize,
}

const LABELS: [&str; 6] = ["Ada", "Béla", "Chiara", "", "Émile <3", ""];

impl Town {
    fn key(who: usize, photo: usize) -> FaceKey {
        let path = format!(
            "/drawn/town/{}/photo_{who:03}_{photo:04}.jpg",
            2009 + photo % 15
        );
        let (x, y, r) = place(who, photo);
        FaceKey {
            sha256: hash_bytes(path.as_bytes()),
            path: path.into(),
            bbox: BBox::from([x - r * 0.8, y - r, x + r * 0.8, y + r].map(|v| v as f32)),
        }
    }

    /// Later people have fewer photos.
    fn n_of(&self, who: usize) -> usize {
        (self.n_faces * (2 * self.n_groups - who) / (2 * self.n_groups)).max(2)
    }

    fn manifests(&self) -> (RawManifest, RefineManifest, SwapReadyManifest) {
        let mut raw = RawManifest {
            version: 1,
            params: Value::Null,
            cache: CacheRef::default(),
            persons: Vec::new(),
            singletons: (0..9).map(|i| Self::key(900 + i, i)).collect(),
            noface: (0..5)
                .map(|i| format!("/drawn/town/beach {i}.jpg").into())
                .collect(),
            extra: Map::new(),
        };
        let mut refined = RefineManifest {
            version: 1,
            params: Value::Null,
            cache: CacheRef::default(),
            facesets: Vec::new(),
            rejected: Vec::new(),
            extra: Map::new(),
        };
        let mut swap = SwapReadyManifest::default();
        for who in 0..self.n_groups {
            let keys: Vec<FaceKey> = (0..self.n_of(who)).map(|p| Self::key(who, p)).collect();
            raw.persons.push(Person {
                name: format!("person_{:03}", who + 1),
                faces: keys.clone(),
                images: Vec::new(),
                extra: Map::new(),
            });
            let cut = keys.len() * 4 / 5;
            let dropped = keys[cut..]
                .iter()
                .enumerate()
                .map(|(i, key)| refine_drop(i, key))
                .collect();
            let small = who * 5 >= self.n_groups * 4;
            let mut set = RefinedSet {
                name: format!("faceset_{:03}", who + 1),
                label: Some(LABELS[who % LABELS.len()].to_owned()).filter(|l| !l.is_empty()),
                images: Vec::new(),
                faces: keys[..cut].to_vec(),
                dropped,
                extra: Map::new(),
            };
            if small {
                set.name = format!("group_{:03}", who + 1);
                set.label = None;
                let why = json!({"reason": "min_faces", "value": cut, "limit": 15});
                set.extra.insert("rejected".to_owned(), why);
                refined.rejected.push(set);
                continue;
            }
            if who == 2 {
                swap.reserved.push(Reserved {
                    name: set.name.clone(),
                    reason: "consent denied".to_owned(),
                    extra: Map::new(),
                });
            } else {
                swap.facesets.push(export(&set));
            }
            refined.facesets.push(set);
        }
        (raw, refined, swap)
    }

    fn facts(&self, key: &FaceKey) -> FaceFacts {
        let (who, photo) = who_and_photo(&key.path);
        let noise = |salt: usize| f64::from(hash(who * 7919 + photo, salt)) / f64::from(u32::MAX);
        let bell = (0..4).map(|i| noise(40 + i)).sum::<f64>() / 4.0;
        let twin = who < 2;
        let other = match who {
            0 => 1,
            1 => 0,
            _ => (who + 3) % self.n_groups.max(1),
        };
        let (own, near) = if twin {
            (0.18 + 0.4 * bell, 0.3 + 0.4 * bell)
        } else {
            (
                0.14 + 0.45 * bell,
                0.55 + 0.45 * (noise(50) + noise(51)) / 2.0,
            )
        };
        let lone = who >= 900;
        let other = if other * 5 >= self.n_groups * 4 {
            format!("group_{:03}", other + 1)
        } else {
            format!("faceset_{:03}", other + 1)
        };
        FaceFacts {
            det_score: Some((0.6 + 0.39 * noise(1)) as f32),
            face_short_px: Some(key.bbox.short_edge_px()),
            blur: Some((20.0 + 300.0 * noise(2)) as f32),
            pose: Some(Pose::from([3.0, (noise(3) * 60.0 - 30.0) as f32, 1.5])),
            year: Some(2009 + (photo % 15) as i16),
            own_distance: (!lone).then(|| CosineDistance::from_similarity(1.0 - own)),
            nearest: Some(Neighbour {
                group: other,
                distance: CosineDistance::from_similarity(1.0 - near),
            }),
        }
    }
}

fn refine_drop(i: usize, key: &FaceKey) -> DroppedFace {
    let (reason, value, limit) = [
        ("min_short", 61.0 + i as f64, 90.0),
        ("outlier", 0.581, 0.55),
        ("min_blur", 12.4 + i as f64, 40.0),
    ][i % 3];
    DroppedFace {
        key: key.clone(),
        reason: reason.to_owned(),
        value: Some(value),
        limit: Some(limit),
    }
}

/// Three quarters are exported; of the rest, every other one is a duplicate.
fn export(set: &RefinedSet) -> SwapSet {
    let n = set.faces.len() * 3 / 4;
    let faces = set.faces[..n]
        .iter()
        .enumerate()
        .map(|(i, key)| ExportedFace {
            rank: i as u32 + 1,
            png: format!("{:04}.png", i + 1),
            png_sha256: key.sha256,
            key: key.clone(),
            places: Vec::new(),
            composite: 0.93 - 0.02 * i as f64,
            parts: ScoreParts::default(),
            distance: 0.2 + 0.01 * i as f64,
            crop: key.bbox,
            upscale: 1.4,
            pad_ratio: 0.5,
            masked: i == 3,
            verified: Vec::new(),
        })
        .collect();
    let dropped = set.faces[n..].iter().step_by(2).map(|key| DroppedFace {
        key: key.clone(),
        reason: "near_duplicate".to_owned(),
        value: Some(0.971),
        limit: Some(0.95),
    });
    SwapSet {
        name: set.name.clone(),
        label: set.label.clone(),
        faces,
        dropped: dropped.collect(),
        bundles: Vec::new(),
        params: Value::Null,
        provenance: Value::Null,
        extra: Map::new(),
    }
}

fn who_and_photo(path: &SourcePath) -> (usize, usize) {
    let stem = path.as_str().trim_end_matches(".jpg");
    let mut parts = stem.rsplit('_').map(|p| p.parse().unwrap_or(0));
    let photo = parts.next().unwrap_or(0);
    (parts.next().unwrap_or(0), photo)
}

/// Centre and half height of the face.
fn place(who: usize, photo: usize) -> (f64, f64, f64) {
    let r = 60.0 + f64::from(hash(who * 131 + photo, 9) % 40);
    let x = 150.0 + f64::from(hash(who + photo * 31, 10) % 120);
    (x, 160.0, r)
}

fn hash(value: usize, salt: usize) -> u32 {
    let mut x = (value as u64) << 20 ^ (salt as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    for _ in 0..3 {
        x ^= x >> 29;
        x = x.wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x ^= x >> 32;
    }
    x as u32
}

impl Pictures for Town {
    fn upright_rgb(&self, path: &SourcePath) -> Result<RgbImage, String> {
        let (who, photo) = who_and_photo(path);
        if photo % 23 == 22 {
            return Err("the file is gone".to_owned());
        }
        Ok(draw(who, photo))
    }
}

/// A friendly round person: skin, hair, shirt and glasses say who it is, the
/// background and the light change from photo to photo.
fn draw(who: usize, photo: usize) -> RgbImage {
    const SKIN: [[u8; 3]; 5] = [
        [246, 213, 186],
        [226, 176, 138],
        [188, 132, 94],
        [141, 92, 62],
        [98, 64, 46],
    ];
    const HAIR: [[u8; 3]; 6] = [
        [42, 30, 26],
        [104, 62, 34],
        [214, 164, 82],
        [176, 74, 40],
        [150, 150, 156],
        [30, 34, 60],
    ];
    let pick = |n: usize, salt| hash(who, salt) as usize % n;
    let (skin, hair) = (SKIN[pick(5, 1)], HAIR[pick(6, 2)]);
    let shirt = [3, 4, 5].map(|s| 60 + (hash(who, s) % 150) as u8);
    let wall = [6, 7, 8].map(|s| 110 + (hash(who * 97 + photo, s) % 120) as u8);
    let (long_hair, glasses, beard) = (pick(2, 9) == 0, pick(3, 10) == 0, pick(4, 11) == 0);
    let light = 0.76 + f64::from(hash(who * 97 + photo, 12) % 26) / 100.0;
    let (cx, cy, r) = place(who, photo);
    let turn = f64::from(hash(who * 97 + photo, 13) % 40) / 100.0 - 0.2;
    let smile = 0.1 + f64::from(hash(who * 97 + photo, 14) % 20) / 100.0;
    RgbImage::from_fn(PHOTO.0, PHOTO.1, |px, py| {
        let (x, y) = ((f64::from(px) - cx) / r, (f64::from(py) - cy) / r);
        let inside = |x0: f64, y0: f64, w: f64, h: f64| {
            ((x - x0) / w).powi(2) + ((y - y0) / h).powi(2) <= 1.0
        };
        let ring = |x0: f64| inside(x0, -0.1, 0.25, 0.2) && !inside(x0, -0.1, 0.2, 0.15);
        let eye = |x0: f64| inside(x0, -0.1, 0.085, 0.1);
        let brow = |x0: f64| inside(x0, -0.34, 0.17, 0.04);
        let mouth = y > 0.42 && inside(turn, 0.42, 0.32, smile);
        let (left, right) = (turn - 0.3, turn + 0.3);
        let dark = [38, 28, 28];
        let face = inside(0.0, 0.0, 0.74, 0.96);
        let around_the_head = (inside(0.0, -0.12, 0.92, 1.05) && (long_hair || y < 0.0))
            || (long_hair && x.abs() < 0.9 && (0.0..1.1).contains(&y));
        let base = if face && glasses && (ring(left) || ring(right)) {
            [30, 30, 36]
        } else if face && (eye(left) || eye(right)) {
            dark
        } else if face && mouth {
            [176, 58, 66]
        } else if face && (brow(left) || brow(right)) {
            hair
        } else if face && inside(turn * 1.3, 0.14, 0.07, 0.16) {
            skin.map(|v| (f64::from(v) * 0.88) as u8)
        } else if face && (y < -0.48 - x * turn || (beard && y > 0.36)) {
            hair
        } else if face {
            skin
        } else if around_the_head {
            hair
        } else if inside(0.0, 2.3, 1.5, 1.35) {
            shirt
        } else {
            let fade = 1.0 - 0.25 * f64::from(py) / f64::from(PHOTO.1);
            wall.map(|v| (f64::from(v) * fade) as u8)
        };
        let shade = light - 0.1 * x.clamp(-1.0, 1.0);
        Rgb(base.map(|v| (f64::from(v) * shade).clamp(0.0, 255.0) as u8))
    })
}
