//! One worker's models: a picture in, faces with embeddings out.

use faceset_core::{BBox, Landmarks5};
use image::RgbImage;
use ndarray::Array4;

use crate::align::{ALIGNED_EDGE, align};
use crate::model::Model;
use crate::pack::{ColorOrder, LandmarkSpec, Normalization, PackThresholds, Repair};
use crate::pixels::{to_tensor, warp_affine};
use crate::pose::five_from_68;
use crate::{InferError, LocatedPack, Provider, Runtime};

/// A face with everything that `embed` stores, but for `blur`.
#[derive(Debug, Clone, PartialEq)]
pub struct AnalyzedFace {
    /// Box in upright pixels, unclamped.
    pub bbox: BBox,
    /// Five points in upright pixels.
    pub kps: Landmarks5,
    /// Detector confidence, 0..=1.
    pub det_score: f32,
    /// Unit-length embedding.
    pub embedding: Vec<f32>,
    /// Length of the raw embedding.
    pub embedding_norm: f32,
}

/// What one picture gave.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Analysis {
    /// Faces, best score first.
    pub faces: Vec<AnalyzedFace>,
    /// Detections that are no usable faces: points without spread, or an
    /// embedding shorter than the pack asks. They are only counted.
    pub n_unusable: usize,
}

/// The models of one worker. Not shared: each worker builds its own.
#[derive(Debug)]
pub struct Analyzer {
    pub(crate) pack: LocatedPack,
    pub(crate) detector: Model,
    pub(crate) points: Option<Model>,
    recognizer: Option<Model>,
    pub(crate) landmark_2d_106: Option<Model>,
    pub(crate) landmark_3d_68: Option<Model>,
    provider: Provider,
}

/// Which models to load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Detection and recognition: `embed`.
    Embed,
    /// Landmarks and pose without recognition: `enrich`.
    Enrich,
    /// Detection only: the self-test of exported crops.
    Detect,
    /// Everything: the embed worker.
    All,
}

impl Analyzer {
    /// Loads the models that `purpose` needs.
    pub fn new(
        runtime: &Runtime,
        pack: &LocatedPack,
        purpose: Purpose,
    ) -> Result<Self, InferError> {
        let spec = &pack.pack;
        let load =
            |role: &str, wanted: bool, color: ColorOrder, [w, h]: [u32; 2], repair: &[Repair]| {
                let input = [1, planes(color), h, w];
                pack.models
                    .get(role)
                    .filter(|_| wanted)
                    .map(|file| Model::load(runtime, file, repair, input))
                    .transpose()
            };
        let landmarks = |role: &str, spec: Option<&LandmarkSpec>| match spec {
            Some(s) => {
                let wanted = matches!(purpose, Purpose::Enrich | Purpose::All);
                load(role, wanted, s.color, [s.size; 2], &s.repair)
            }
            None => Ok(None),
        };
        let (d, r) = (&spec.detector, &spec.recognizer);
        let embeds = matches!(purpose, Purpose::Embed | Purpose::All);
        Ok(Self {
            detector: load("detector", true, d.color, [d.width, d.height], &d.repair)?
                .expect("a located pack has a detector"),
            points: match &spec.points {
                Some(p) => load("points", true, p.color, [p.size; 2], &p.repair)?,
                None => None,
            },
            recognizer: load("recognizer", embeds, r.color, [r.size; 2], &r.repair)?,
            landmark_2d_106: landmarks("landmark_2d_106", spec.landmark_2d_106.as_ref())?,
            landmark_3d_68: landmarks("landmark_3d_68", spec.landmark_3d_68.as_ref())?,
            provider: runtime.provider(),
            pack: pack.clone(),
        })
    }

    /// What runs the models.
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// The pack in use.
    pub fn pack(&self) -> &LocatedPack {
        &self.pack
    }

    /// The pack's recommended thresholds.
    pub fn thresholds(&self) -> PackThresholds {
        self.pack.pack.thresholds
    }

    /// Finds faces and embeds them; best score first.
    ///
    /// Needs [`Purpose::Embed`] or [`Purpose::All`].
    pub fn analyze(&mut self, picture: &RgbImage) -> Result<Analysis, InferError> {
        let mut analysis = Analysis::default();
        for detection in self.detect(picture)? {
            let points = match detection.kps {
                Some(kps) => Some(kps),
                None => self
                    .points_68(picture, &detection.bbox)?
                    .as_deref()
                    .and_then(five_from_68),
            };
            let Some(kps) = points else {
                analysis.n_unusable += 1;
                continue;
            };
            match self.embed(picture, &kps)? {
                Some((embedding, embedding_norm)) => analysis.faces.push(AnalyzedFace {
                    bbox: detection.bbox,
                    kps,
                    det_score: detection.score,
                    embedding,
                    embedding_norm,
                }),
                None => analysis.n_unusable += 1,
            }
        }
        Ok(analysis)
    }

    /// Unit embedding and raw length of the face at `kps`; `None` when the
    /// points have no spread or the embedding is shorter than the pack asks.
    pub fn embed(
        &mut self,
        picture: &RgbImage,
        kps: &Landmarks5,
    ) -> Result<Option<(Vec<f32>, f32)>, InferError> {
        let Some(raw) = self.raw_embedding(picture, kps)? else {
            return Ok(None);
        };
        let length = raw
            .iter()
            .map(|v| f64::from(*v) * f64::from(*v))
            .sum::<f64>()
            .sqrt();
        // Below the first there is no direction, below the second no face.
        if length < 1e-6
            || self
                .pack
                .pack
                .recognizer
                .min_embedding_norm
                .is_some_and(|least| (length as f32) < least)
        {
            return Ok(None);
        }
        let unit = raw
            .iter()
            .map(|v| (f64::from(*v) / length) as f32)
            .collect();
        Ok(Some((unit, length as f32)))
    }

    /// The recogniser's own answer for the face at `kps`; `None` when the
    /// points have no spread.
    pub(crate) fn raw_embedding(
        &mut self,
        picture: &RgbImage,
        kps: &Landmarks5,
    ) -> Result<Option<Vec<f32>>, InferError> {
        let Some(transform) = align(kps) else {
            return Ok(None);
        };
        let aligned = warp_affine(picture, &transform, ALIGNED_EDGE, ALIGNED_EDGE);
        let spec = &self.pack.pack.recognizer;
        let norm = Normalization {
            color: spec.color,
            mean: spec.mean,
            std: spec.std,
        };
        let dim = spec.dim;
        let tensor = to_tensor(&aligned, ALIGNED_EDGE, ALIGNED_EDGE, norm);
        let recognizer = self
            .recognizer
            .as_mut()
            .expect("the caller asked for a recogniser");
        first_output(recognizer, &tensor, dim).map(Some)
    }
}

fn planes(color: ColorOrder) -> u32 {
    if color == ColorOrder::Grey { 1 } else { 3 }
}

/// The first output, which must have `expected` values.
pub(crate) fn first_output(
    model: &mut Model,
    tensor: &Array4<f32>,
    expected: usize,
) -> Result<Vec<f32>, InferError> {
    let values = model
        .run(tensor)?
        .into_iter()
        .next()
        .map(|(_, v)| v)
        .unwrap_or_default();
    if values.len() == expected {
        Ok(values)
    } else {
        Err(model.refuse(format!(
            "expected {expected} values, the model gives {}",
            values.len()
        )))
    }
}
