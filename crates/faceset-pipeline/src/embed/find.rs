//! What finds the faces of a picture: the models of an engine, or whatever else
//! can say as much.

use faceset_core::{BBox, Enrichment, Landmarks5};
use faceset_infer::{Analyzer, Purpose};
use image::RgbImage;

use crate::{Engine, PipelineError};

/// A face as it was found on a picture; see [`faceset_core::FaceRecord`].
#[derive(Debug, Clone, PartialEq)]
pub struct FoundFace {
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
    /// Landmarks and pose, when they were asked for.
    pub enrichment: Option<Enrichment>,
}

/// What was found on a picture.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// Faces in detector order.
    pub faces: Vec<FoundFace>,
    /// Detections that turned out to be no usable faces.
    pub n_unusable: usize,
}

/// Finds the faces of one picture after the other. Each worker has its own; the
/// same picture must give the same faces from each.
pub trait FindFaces {
    /// The faces of an upright picture; the error is one line for people.
    fn find(&mut self, picture: &RgbImage) -> Result<Found, String>;
}

/// The models of an engine.
pub(crate) struct Models {
    analyzer: Analyzer,
    with_landmarks: bool,
}

impl Models {
    pub(crate) fn new(engine: &Engine, with_landmarks: bool) -> Result<Self, PipelineError> {
        let purpose = if with_landmarks {
            Purpose::All
        } else {
            Purpose::Embed
        };
        Ok(Self {
            analyzer: engine.analyzer(purpose)?,
            with_landmarks,
        })
    }
}

impl FindFaces for Models {
    fn find(&mut self, picture: &RgbImage) -> Result<Found, String> {
        let analysis = self.analyzer.analyze(picture).map_err(|e| e.to_string())?;
        let mut faces = Vec::with_capacity(analysis.faces.len());
        for face in analysis.faces {
            let enrichment = if self.with_landmarks {
                let found = self.analyzer.enrich(picture, &face.bbox);
                Some(found.map_err(|e| e.to_string())?)
            } else {
                None
            };
            faces.push(FoundFace {
                bbox: face.bbox,
                kps: face.kps,
                det_score: face.det_score,
                embedding: face.embedding,
                embedding_norm: face.embedding_norm,
                enrichment,
            });
        }
        Ok(Found {
            faces,
            n_unusable: analysis.n_unusable,
        })
    }
}
