//! What finds the faces of a picture: the models of an engine, or whatever else
//! can say as much.

use faceset_core::{BBox, Enrichment, Landmarks5};
use faceset_infer::{Analyzer, InferError, Provider, Purpose};
use image::RgbImage;

use super::second_look::SecondLook;
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
    /// What looking again gave, for pictures that showed no face at first.
    pub second_look: SecondLook,
}

/// Why there is no answer for a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FindError {
    /// This picture can't be looked at; one line for people.
    Picture(String),
    /// Nothing can be looked at any more, e.g. because the device is gone: the
    /// run ends with what it has, and the picture is tried again by the next.
    Device(String),
}

/// Finds the faces of one picture after the other. Each worker has its own; the
/// same picture must give the same faces from each.
pub trait FindFaces {
    /// The faces of an upright picture.
    fn find(&mut self, picture: &RgbImage) -> Result<Found, FindError>;
}

/// The models of an engine.
pub(crate) struct Models {
    analyzer: Analyzer,
    with_landmarks: bool,
    look_again: bool,
}

impl Models {
    pub(crate) fn new(
        engine: &Engine,
        with_landmarks: bool,
        look_again: bool,
    ) -> Result<Self, PipelineError> {
        let purpose = if with_landmarks {
            Purpose::All
        } else {
            Purpose::Embed
        };
        Ok(Self {
            analyzer: engine.analyzer(purpose)?,
            with_landmarks,
            look_again,
        })
    }
}

impl FindFaces for Models {
    fn find(&mut self, picture: &RgbImage) -> Result<Found, FindError> {
        let on_processor = matches!(self.analyzer.provider(), Provider::Cpu | Provider::Rten);
        let refuse = |error: InferError| match &error {
            // The processor stays; another device may have been lost.
            InferError::Run { .. } if !on_processor => FindError::Device(error.to_string()),
            _ => FindError::Picture(error.to_string()),
        };
        let mut analysis = self.analyzer.analyze(picture).map_err(refuse)?;
        let mut second_look = SecondLook::NotTaken;
        if self.look_again && analysis.faces.is_empty() {
            second_look = match self.analyzer.rescue(picture).map_err(refuse)? {
                None => SecondLook::InVain,
                Some((way, found)) => {
                    analysis = found;
                    SecondLook::Found(way)
                }
            };
        }
        let mut faces = Vec::with_capacity(analysis.faces.len());
        for face in analysis.faces {
            let enrichment = if self.with_landmarks {
                let found = self.analyzer.enrich(picture, &face.bbox);
                Some(found.map_err(refuse)?)
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
            second_look,
        })
    }
}
