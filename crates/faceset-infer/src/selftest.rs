//! Does a provider compute what the processor computes, and how fast?
//!
//! Both get the same drawn pictures; nothing here needs a photo or a file but
//! the models. Drivers can crash a process, so programs run [`probe`] in a
//! child of their own and read its answer; which provider is then used is
//! `choice`'s decision.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use faceset_core::BBox;
use image::{Rgb, RgbImage};
use serde::{Deserialize, Serialize};

use crate::align::{ALIGNED_EDGE, ARCFACE_TEMPLATE};
use crate::{Analyzer, InferError, LocatedPack, Provider, Purpose, Runtime};

/// Least cosine between a face's embeddings on processor and provider; equal
/// passes. Two photos of one person lie around 0.6, and what providers differ
/// in at full precision was measured as 1.0000; bfloat16 gave 0.9996.
pub const MIN_COSINE: f64 = 0.999;

/// Largest difference of a detector output, relative to the larger of 1 and the
/// value; equal passes. Boxes are in units of the stride, so at the coarsest
/// stride of 32 px this is a tenth of a pixel.
pub const MAX_DETECTOR_DIFFERENCE: f32 = 0.003;

/// Largest distance of a landmark in a face 112 pixels high; equal passes. A
/// tenth of a pixel moves an aligned crop less than its interpolation does.
pub const MAX_POINTS_PX: f32 = 0.1;

/// Drawn faces that are compared, each another one.
const N_FACES: u32 = 8;

/// Timed rounds of each side, after one that warms up; the median counts.
const ROUNDS: usize = 3;

/// What a provider showed beside the processor, on the same pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SelfTest {
    /// What was tested.
    pub provider: Provider,
    /// Which of its devices.
    pub device: u32,
    /// Version and build of the runtime library, in its own words.
    pub library: String,
    /// Faces compared.
    pub n_faces: usize,
    /// Least cosine of a face's two embeddings.
    pub worst_cosine: f64,
    /// Largest relative difference of a detector output.
    pub worst_detector_difference: f32,
    /// Largest distance of a landmark, pixels of a face 112 pixels high; 0 for
    /// packs whose detector gives the points.
    pub worst_points_px: f32,
    /// True when the provider runs every node of every model; otherwise the
    /// processor has a part in it.
    pub whole: bool,
    /// One detection and [`SelfTest::n_faces`] embeddings on one thread of the
    /// processor, milliseconds.
    pub cpu_ms: f64,
    /// The same on the provider.
    pub provider_ms: f64,
}

impl SelfTest {
    /// What is wrong with the provider's numbers; empty when they may be used.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.worst_cosine < MIN_COSINE || self.worst_cosine.is_nan() {
            problems.push(format!(
                "embeddings differ: cosine {:.6}, needed {MIN_COSINE}",
                self.worst_cosine
            ));
        }
        if self.worst_detector_difference > MAX_DETECTOR_DIFFERENCE {
            problems.push(format!(
                "detector outputs differ by {:.5}, allowed {MAX_DETECTOR_DIFFERENCE}",
                self.worst_detector_difference
            ));
        }
        if self.worst_points_px > MAX_POINTS_PX {
            problems.push(format!(
                "landmarks differ by {:.3} px, allowed {MAX_POINTS_PX}",
                self.worst_points_px
            ));
        }
        problems
    }

    /// Times as fast as one thread of the processor.
    pub fn speedup(&self) -> f64 {
        self.cpu_ms / self.provider_ms.max(f64::MIN_POSITIVE)
    }
}

impl fmt::Display for SelfTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} device {}: cosine {:.6} at worst over {} faces, detector within {:.5}; \
             {:.1} ms where one thread of the processor takes {:.1} ms ({:.1} times as fast){}",
            self.provider,
            self.device,
            self.worst_cosine,
            self.n_faces,
            self.worst_detector_difference,
            self.provider_ms,
            self.cpu_ms,
            self.speedup(),
            if self.whole {
                ""
            } else {
                "; the processor runs a part of the models"
            }
        )
    }
}

/// Compares `runtime`'s provider with the processor on drawn pictures. `clock`
/// tells the time since any fixed moment.
///
/// # Errors
/// Whatever stops the provider from being used at all; numbers that are wrong
/// are no error but [`SelfTest::problems`].
pub fn self_test(
    runtime: &Runtime,
    pack: &LocatedPack,
    clock: &dyn Fn() -> Duration,
) -> Result<SelfTest, InferError> {
    let processor = runtime.with_provider(Provider::Cpu, 0)?;
    let mut reference = Analyzer::new(&processor, pack, Purpose::Embed)?;
    let (mut tested, whole) = match Analyzer::new(&runtime.whole(), pack, Purpose::Embed) {
        Ok(analyzer) => (analyzer, true),
        Err(_) => (Analyzer::new(runtime, pack, Purpose::Embed)?, false),
    };
    let faces: Vec<RgbImage> = (0..N_FACES).map(drawn_face).collect();
    let scene = scene(&faces);
    let (ours, cpu_ms) = timed(&mut reference, &scene, &faces, clock)?;
    let (theirs, provider_ms) = timed(&mut tested, &scene, &faces, clock)?;

    let cosines = ours.embeddings.iter().zip(&theirs.embeddings);
    let points = ours.points.iter().zip(&theirs.points);
    Ok(SelfTest {
        provider: runtime.provider(),
        device: runtime.device(),
        library: runtime.build_info(),
        n_faces: faces.len(),
        worst_cosine: cosines
            .map(|(a, b)| cosine(a, b))
            .fold(f64::INFINITY, |worst, c| {
                // `min` would forget a NaN.
                if c.is_nan() || worst.is_nan() {
                    f64::NAN
                } else {
                    worst.min(c)
                }
            }),
        worst_detector_difference: relative_difference(&ours.detector, &theirs.detector),
        worst_points_px: points
            .map(|(a, b)| (a[0] - b[0]).hypot(a[1] - b[1]))
            .fold(0.0, f32::max),
        whole,
        cpu_ms,
        provider_ms,
    })
}

/// What a child process runs to find out whether a provider works: loads the
/// library, makes sessions and compares. A driver that crashes takes the child.
pub fn probe(
    library: &Path,
    provider: Provider,
    device: u32,
    pack: &LocatedPack,
    clock: &dyn Fn() -> Duration,
) -> Result<SelfTest, InferError> {
    let runtime = Runtime::load(library)?.with_provider(provider, device)?;
    self_test(&runtime, pack, clock)
}

/// Everything that one side says of the pictures.
struct Answers {
    detector: Vec<f32>,
    points: Vec<[f32; 2]>,
    embeddings: Vec<Vec<f32>>,
}

fn timed(
    analyzer: &mut Analyzer,
    scene: &RgbImage,
    faces: &[RgbImage],
    clock: &dyn Fn() -> Duration,
) -> Result<(Answers, f64), InferError> {
    let answers = answers(analyzer, scene, faces)?;
    let mut rounds = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let start = clock();
        self::answers(analyzer, scene, faces)?;
        rounds.push(clock().saturating_sub(start));
    }
    rounds.sort();
    Ok((answers, rounds[ROUNDS / 2].as_secs_f64() * 1e3))
}

fn answers(
    analyzer: &mut Analyzer,
    scene: &RgbImage,
    faces: &[RgbImage],
) -> Result<Answers, InferError> {
    let spec = &analyzer.pack().pack.detector;
    let (width, height) = (spec.width, spec.height);
    let (outputs, _) = analyzer.detector_outputs(scene, width, height)?;
    let edge = ALIGNED_EDGE as f32;
    let whole = BBox {
        x1: 0.0,
        y1: 0.0,
        x2: edge,
        y2: edge,
    };
    let mut answers = Answers {
        detector: outputs.into_iter().flat_map(|(_, values)| values).collect(),
        points: Vec::new(),
        embeddings: Vec::new(),
    };
    for face in faces {
        let points = analyzer.points_68(face, &whole)?;
        answers.points.extend(points.unwrap_or_default());
        let embedding = analyzer.raw_embedding(face, &ARCFACE_TEMPLATE)?;
        answers
            .embeddings
            .push(embedding.expect("the template has spread"));
    }
    Ok(answers)
}

/// Cosine of two vectors; NaN when one has no length or they differ in length.
fn cosine(a: &[f32], b: &[f32]) -> f64 {
    if a.len() != b.len() {
        return f64::NAN;
    }
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter()
            .zip(b)
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn relative_difference(ours: &[f32], theirs: &[f32]) -> f32 {
    if ours.len() != theirs.len() {
        return f32::INFINITY;
    }
    ours.iter()
        .zip(theirs)
        .map(|(a, b)| (a - b).abs() / a.abs().max(1.0))
        .fold(0.0, f32::max)
}

/// A face in the place where alignment puts one: an oval with eyes, nose and
/// mouth whose sizes and colours follow from `seed`.
fn drawn_face(seed: u32) -> RgbImage {
    // A few independent shares of 0..=1 from the seed.
    let share = |salt: u32| {
        let mixed = (seed.wrapping_mul(0x9E37_79B9) ^ salt.wrapping_mul(0x85EB_CA6B)) >> 8;
        (mixed & 0xff) as f32 / 255.0
    };
    let [left, right, nose, mouth, mouth_end] = ARCFACE_TEMPLATE;
    let middle = [f32::midpoint(mouth[0], mouth_end[0]), mouth[1]];
    let skin = [
        200.0 - 90.0 * share(1),
        160.0 - 80.0 * share(2),
        130.0 - 60.0 * share(3),
    ];
    RgbImage::from_fn(ALIGNED_EDGE, ALIGNED_EDGE, |x, y| {
        let (fx, fy) = (x as f32, y as f32);
        let near = |[px, py]: [f32; 2], rx: f32, ry: f32| {
            ((fx - px) / rx).powi(2) + ((fy - py) / ry).powi(2) <= 1.0
        };
        let brow = |[px, py]: [f32; 2]| near([px, py - 9.0], 11.0, 1.5 + 2.0 * share(4));
        if near(left, 3.0, 3.0) || near(right, 3.0, 3.0) {
            Rgb([30, 25, 20])
        } else if near(left, 8.0, 4.0 + 2.0 * share(5)) || near(right, 8.0, 4.0 + 2.0 * share(5)) {
            Rgb([235, 235, 230])
        } else if brow(left) || brow(right) {
            Rgb([50, 40, 30])
        } else if near(middle, 13.0 + 6.0 * share(6), 3.0 + 3.0 * share(7)) {
            Rgb([165, 65, 70])
        } else if near(nose, 4.0 + 3.0 * share(8), 8.0) {
            Rgb(skin.map(|c| (c * 0.85) as u8))
        } else if near([56.0, 62.0], 38.0 + 6.0 * share(9), 54.0) {
            // Light from one side.
            Rgb(skin.map(|c| (c + 0.3 * (fx - 56.0)) as u8))
        } else {
            Rgb([(90.0 * share(10)) as u8, 60 + y as u8 / 2, 80])
        }
    })
}

/// A picture wider than high with every face on it, two of them side by side in
/// each row that fits.
fn scene(faces: &[RgbImage]) -> RgbImage {
    let mut scene = RgbImage::from_fn(640, 480, |x, y| {
        Rgb([(x / 4) as u8, (y / 3) as u8, ((x ^ y) % 61) as u8])
    });
    for (i, face) in faces.iter().enumerate() {
        let (column, row) = (i as i64 % 4, i as i64 / 4);
        image::imageops::overlay(&mut scene, face, 20 + 155 * column, 60 + 200 * row);
    }
    scene
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passing() -> SelfTest {
        SelfTest {
            provider: Provider::OpenVino,
            device: 0,
            library: "made up".to_owned(),
            n_faces: 8,
            worst_cosine: MIN_COSINE,
            worst_detector_difference: MAX_DETECTOR_DIFFERENCE,
            worst_points_px: MAX_POINTS_PX,
            whole: true,
            cpu_ms: 30.0,
            provider_ms: 20.0,
        }
    }

    #[test]
    fn values_equal_to_the_limits_pass_and_each_limit_counts() {
        assert!(passing().problems().is_empty());
        let worse = [
            SelfTest {
                worst_cosine: 0.998_999,
                ..passing()
            },
            SelfTest {
                worst_detector_difference: 0.003_01,
                ..passing()
            },
            SelfTest {
                worst_points_px: 0.1001,
                ..passing()
            },
            SelfTest {
                worst_cosine: f64::NAN,
                ..passing()
            },
        ];
        for test in worse {
            assert_eq!(test.problems().len(), 1, "{test:?}");
        }
    }

    #[test]
    fn it_is_read_back_as_it_was_written() {
        let text = serde_json::to_string(&passing()).unwrap();
        assert_eq!(serde_json::from_str::<SelfTest>(&text).unwrap(), passing());
    }

    #[test]
    fn other_lengths_and_nothing_at_all_never_look_alike() {
        assert!(cosine(&[1.0, 0.0], &[1.0]).is_nan());
        assert!(cosine(&[0.0, 0.0], &[1.0, 0.0]).is_nan());
        assert_eq!(cosine(&[3.0, 4.0], &[6.0, 8.0]), 1.0);
        assert_eq!(relative_difference(&[1.0], &[1.0, 2.0]), f32::INFINITY);
        // 300 against 303 is a hundredth, 0.1 against 0.12 two.
        let worst = relative_difference(&[300.0, 0.1], &[303.0, 0.12]);
        assert!((worst - 0.02).abs() < 1e-6, "{worst}");
    }

    #[test]
    fn drawn_faces_differ_from_each_other() {
        let faces: Vec<_> = (0..N_FACES).map(drawn_face).collect();
        for (i, face) in faces.iter().enumerate() {
            assert!(faces[..i].iter().all(|other| other != face), "{i}");
        }
    }
}
