//! One face per PNG, proven on the PNG.
//!
//! Swap tools take every face they detect in a source picture, so a second face
//! in a crop spoils the identity. Each PNG is decoded again and searched at the
//! detector sizes that targets use. When that finds anything but exactly the
//! intended face, the crop is tightened step by step, then other faces are
//! painted over, and at last the face is left out. Nothing unverified leaves
//! this module.

use std::io::Cursor;

use faceset_core::BBox;
use faceset_core::manifest::VerifyPass;
use faceset_quality::decimal;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ImageEncoder, ImageError, ImageFormat, Rgb, RgbImage};

use crate::crop::SquareCrop;
use crate::options::ExportSettings;
use crate::pictures::FaceFinder;
use crate::plan::PlannedFace;

/// Detector input edges in pixels at which a PNG is searched: roop's default
/// and its small setting.
pub const VERIFY_DET_SIZES: [u32; 2] = [640, 320];

/// Shares of the pad ratio that are tried in turn: 0.5, 0.375, 0.25, 0.125 and
/// 0.05 per side with the default. Not down to zero, since detectors need some
/// surroundings.
const PAD_STEPS: [f64; 5] = [1.0, 0.75, 0.5, 0.25, 0.1];
/// A found box is the intended face from this overlap (IoU) on. Two searches of
/// one face agree far better, two neighbouring faces share far less; a choice.
const MIN_IOU: f32 = 0.3;
/// A painted-over box is grown by this share of its longer edge on each side,
/// so that no rim of a face is left to find. A choice.
const MASK_MARGIN: f32 = 0.15;
/// How often a crop is painted and searched again before the next is tried.
const MASK_ROUNDS: usize = 2;

/// A verified PNG.
#[derive(Debug)]
pub(crate) struct CutFace {
    pub(crate) png: Vec<u8>,
    pub(crate) crop: SquareCrop,
    pub(crate) pad_ratio: f64,
    pub(crate) masked: bool,
    pub(crate) verified: Vec<VerifyPass>,
}

/// What became of one face.
#[derive(Debug)]
pub(crate) enum Cut {
    Ready(Box<CutFace>),
    /// Left out: reason, measured value and limit as in manifests.
    Dropped {
        reason: &'static str,
        value: Option<f64>,
        limit: Option<f64>,
    },
}

/// Why a face could be neither cut nor left out.
#[derive(Debug)]
pub(crate) enum CutError {
    Finder(String),
    Png(ImageError),
}

impl From<ImageError> for CutError {
    fn from(error: ImageError) -> Self {
        Self::Png(error)
    }
}

/// Cuts a face so that exactly it is found, or says why that is impossible.
pub(crate) fn cut_face(
    face: &PlannedFace,
    picture: &RgbImage,
    options: &ExportSettings,
    finder: &dyn FaceFinder,
) -> Result<Cut, CutError> {
    let dims = [picture.width(), picture.height()];
    let pad_ratio = decimal(options.pad_ratio);
    let mut tries: Vec<Try> = Vec::new();
    for step in PAD_STEPS {
        let pad_ratio = pad_ratio * step;
        let Some(crop) = SquareCrop::around(&face.key.bbox, pad_ratio, dims) else {
            return Ok(Cut::Dropped {
                reason: "no_crop",
                value: None,
                limit: None,
            });
        };
        if tries.iter().any(|t| t.crop == crop) {
            continue;
        }
        let rendered = crop.render(picture, options.out_size);
        let intended = crop.map(&face.key.bbox, options.out_size);
        let (png, search) = Search::of(&rendered, &intended, finder)?;
        let ready = search.is_clean();
        tries.push(Try {
            crop,
            pad_ratio,
            intended,
            rendered,
            search,
        });
        if ready {
            let last = tries.pop().expect("one was just pushed");
            return Ok(last.into_ready(png, false));
        }
    }
    for mut attempt in tries.iter().filter(|t| t.search.sees_intended()).cloned() {
        for _ in 0..MASK_ROUNDS {
            for other in &attempt.search.others {
                paint_over(&mut attempt.rendered, other, &attempt.intended);
            }
            let (png, search) = Search::of(&attempt.rendered, &attempt.intended, finder)?;
            let clean = search.is_clean();
            attempt.search = search;
            if clean {
                return Ok(attempt.into_ready(png, true));
            }
            if !attempt.search.sees_intended() {
                break;
            }
        }
    }
    let most = tries
        .iter()
        .map(|t| t.search.most_found())
        .max()
        .unwrap_or(0);
    let seen_others = tries.iter().any(|t| !t.search.others.is_empty());
    Ok(Cut::Dropped {
        reason: if seen_others {
            "other_face_in_crop"
        } else {
            "not_found_again"
        },
        value: Some(f64::from(most)),
        limit: Some(1.0),
    })
}

/// One crop and what was found in it.
#[derive(Debug, Clone)]
struct Try {
    crop: SquareCrop,
    pad_ratio: f64,
    /// The face in pixels of the PNG.
    intended: BBox,
    rendered: RgbImage,
    search: Search,
}

impl Try {
    fn into_ready(self, png: Vec<u8>, masked: bool) -> Cut {
        Cut::Ready(Box::new(CutFace {
            png,
            crop: self.crop,
            pad_ratio: self.pad_ratio,
            masked,
            verified: self.search.passes,
        }))
    }
}

/// What all detector sizes found in one PNG.
#[derive(Debug, Clone)]
struct Search {
    passes: Vec<VerifyPass>,
    /// Number of passes that found the intended face.
    n_intended: usize,
    /// Every box of every pass that is not the intended face.
    others: Vec<BBox>,
}

impl Search {
    /// Encodes the picture, reads the PNG back and searches that.
    fn of(
        rendered: &RgbImage,
        intended: &BBox,
        finder: &dyn FaceFinder,
    ) -> Result<(Vec<u8>, Self), CutError> {
        let png = encode_png(rendered)?;
        let written = image::load_from_memory_with_format(&png, ImageFormat::Png)?.into_rgb8();
        let mut search = Self {
            passes: Vec::new(),
            n_intended: 0,
            others: Vec::new(),
        };
        for det_size in VERIFY_DET_SIZES {
            let mut boxes = finder.find(&written, det_size).map_err(CutError::Finder)?;
            search.passes.push(VerifyPass {
                det_size,
                n_faces: boxes.len() as u32,
            });
            let best = (0..boxes.len())
                .filter(|&i| boxes[i].iou(intended) >= MIN_IOU)
                .max_by(|&a, &b| {
                    let (x, y) = (boxes[a].iou(intended), boxes[b].iou(intended));
                    x.total_cmp(&y).then(b.cmp(&a))
                });
            if let Some(best) = best {
                boxes.swap_remove(best);
                search.n_intended += 1;
            }
            search.others.append(&mut boxes);
        }
        Ok((png, search))
    }

    fn sees_intended(&self) -> bool {
        self.n_intended == self.passes.len()
    }

    fn is_clean(&self) -> bool {
        self.sees_intended() && self.others.is_empty()
    }

    fn most_found(&self) -> u32 {
        self.passes.iter().map(|p| p.n_faces).max().unwrap_or(0)
    }
}

/// Deterministic PNG: no times, no text, fixed filter and compression.
fn encode_png(picture: &RgbImage) -> Result<Vec<u8>, ImageError> {
    let mut png = Cursor::new(Vec::new());
    PngEncoder::new_with_quality(&mut png, CompressionType::Default, FilterType::Adaptive)
        .write_image(
            picture.as_raw(),
            picture.width(),
            picture.height(),
            image::ExtendedColorType::Rgb8,
        )?;
    Ok(png.into_inner())
}

/// Blackens a grown box, but no pixel of the intended face's own box.
fn paint_over(picture: &mut RgbImage, other: &BBox, intended: &BBox) {
    let margin = MASK_MARGIN * other.width().max(other.height());
    let limit = |v: f32, end: u32| v.clamp(0.0, end as f32) as u32;
    let (w, h) = picture.dimensions();
    let columns = limit((other.x1 - margin).floor(), w)..limit((other.x2 + margin).ceil(), w);
    let rows = limit((other.y1 - margin).floor(), h)..limit((other.y2 + margin).ceil(), h);
    for y in rows {
        for x in columns.clone() {
            // A pixel belongs to the face when any part of it does.
            let (px, py) = (x as f32, y as f32);
            let of_face = px + 1.0 > intended.x1
                && px < intended.x2
                && py + 1.0 > intended.y1
                && py < intended.y2;
            if !of_face {
                picture.put_pixel(x, y, Rgb([0; 3]));
            }
        }
    }
}
