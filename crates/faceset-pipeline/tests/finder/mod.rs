//! Drawn photos and a finder that needs no models: what it finds depends on the
//! pixels alone, so any number of them agree.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "tests share it, each its own part"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use faceset_cache::{CacheMeta, PackIdentity};
use faceset_core::{BBox, CancelToken, NoProgress};
use faceset_infer::RescueWay;
use faceset_pipeline::Ctx;
use faceset_pipeline::embed::{FindError, FindFaces, Found, FoundFace, SecondLook};
use image::{Rgb, RgbImage};

pub(crate) const EDGE: u32 = 12;

/// A photo of its own for each `n`; the red of its first pixel is `n % 3`, the
/// number of faces that the finder sees on it.
pub(crate) fn photo(n: u32) -> RgbImage {
    RgbImage::from_fn(EDGE, EDGE, |x, y| {
        if (x, y) == (0, 0) {
            Rgb([(n % 3) as u8, (n / 256) as u8, n as u8])
        } else {
            Rgb([(n * 7 + x * 3) as u8, (n * 5 + y * 11) as u8, 90])
        }
    })
}

/// Writes photo `n` as PNG.
pub(crate) fn save(path: &Path, n: u32) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    photo(n).save(path).unwrap();
}

/// Photos `0..n` in `folder`, every tenth a second time under another name, one
/// that is none.
pub(crate) fn library(folder: &Path, n: u32) {
    for i in 0..n {
        save(&folder.join(format!("{:02}/{i:04}.png", i % 7)), i);
        if i % 10 == 3 {
            save(&folder.join(format!("copies/{i:04}.png")), i);
        }
    }
    std::fs::write(folder.join("broken.png"), b"\x89PNG\r\n\x1a\nno more").unwrap();
}

pub(crate) fn meta() -> CacheMeta {
    CacheMeta {
        pack: PackIdentity {
            name: "drawn".to_owned(),
            digest: "00".repeat(32),
            dim: 4,
            files: BTreeMap::new(),
            pipeline: "drawn".to_owned(),
        },
        det_size: [640, 640],
        det_thresh: 0.5,
        src_roots: BTreeSet::new(),
        provider: "cpu".to_owned(),
        extra: BTreeMap::new(),
    }
}

/// Looks at the first pixel; may take its time, keep a diary, lose its device.
pub(crate) struct Drawn {
    pub(crate) pause: Duration,
    /// A file that gets a line for every picture that was looked at.
    pub(crate) diary: Option<PathBuf>,
    /// The picture at which the device is lost.
    pub(crate) lost_at: Option<u32>,
    /// Looks again at pictures without a face: every other one has some.
    pub(crate) look_again: bool,
}

pub(crate) fn quick() -> Drawn {
    Drawn {
        pause: Duration::ZERO,
        diary: None,
        lost_at: None,
        look_again: false,
    }
}

/// Number of a drawn photo.
pub(crate) fn number(picture: &RgbImage) -> u32 {
    let Rgb([_, high, low]) = *picture.get_pixel(0, 0);
    u32::from(high) * 256 + u32::from(low)
}

impl FindFaces for Drawn {
    fn find(&mut self, picture: &RgbImage) -> Result<Found, FindError> {
        let n = number(picture);
        std::thread::sleep(self.pause);
        if self.lost_at == Some(n) {
            return Err(FindError::Device("the device is gone".to_owned()));
        }
        if let Some(diary) = &self.diary {
            use std::io::Write;
            let mut file = std::fs::OpenOptions::new()
                .append(true)
                .create(true)
                .open(diary)
                .unwrap();
            // One write: the lines of several workers don't mix.
            file.write_all(format!("{n}\n").as_bytes()).unwrap();
        }
        let Rgb([mut n_faces, ..]) = *picture.get_pixel(0, 0);
        let mut second_look = SecondLook::NotTaken;
        if self.look_again && n_faces == 0 {
            n_faces = (n % 2) as u8;
            second_look = match n_faces {
                0 => SecondLook::InVain,
                _ => SecondLook::Found(RescueWay::Turned(90)),
            };
        }
        let faces = (0..n_faces).map(|i| {
            let shift = f32::from(i);
            let angle = f32::from(n as u16) + shift;
            FoundFace {
                bbox: BBox {
                    x1: shift,
                    y1: 1.0,
                    x2: shift + 8.0,
                    y2: 10.0,
                },
                kps: [[2.0, 3.0], [5.0, 3.0], [3.5, 4.0], [2.0, 6.0], [5.0, 6.5]],
                det_score: 0.9,
                embedding: vec![angle.cos(), angle.sin(), 0.0, 0.0],
                embedding_norm: 20.0,
                enrichment: None,
            }
        });
        Ok(Found {
            faces: faces.collect(),
            second_look,
            n_unusable: 0,
        })
    }
}

pub(crate) fn ctx(cancel: &CancelToken, n_workers: usize) -> Ctx<'_> {
    Ctx {
        progress: &NoProgress,
        cancel,
        holder: "test",
        n_workers,
        current_year: 2026,
        now: jiff::Timestamp::UNIX_EPOCH,
        kernel: None,
    }
}
