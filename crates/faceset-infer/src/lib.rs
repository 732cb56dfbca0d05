//! Pixels to faces.
//!
//! Detection (SCRFD, UltraFace), five-point alignment to 112×112, ArcFace-type
//! embeddings, 106 and 68 landmarks and head pose, through ONNX Runtime loaded
//! at run time. The only crate that names `ort`; it knows no paths of photos,
//! no caches and no groups.

pub mod align;
mod analyzer;
mod choice;
pub mod detect;
mod error;
mod landmarks;
mod located;
mod mean_shape;
mod model;
mod onnx;
pub mod pack;
mod passes;
pub mod pixels;
pub mod pose;
mod provider;
pub mod repair;
mod runtime;
mod selftest;

pub use analyzer::{Analysis, AnalyzedFace, Analyzer, Purpose};
pub use choice::{Choice, Wanted, choose};
pub use detect::Detection;
pub use error::InferError;
pub use located::{LocatedPack, ModelFile};
pub use pack::{FREE_PACK, PREFERRED_PACK, Pack, PackThresholds};
pub use provider::{AUTO_ORDER, Provider};
pub use runtime::{LIBRARY_NAMES, Runtime, find_library};
pub use selftest::{
    MAX_DETECTOR_DIFFERENCE, MAX_POINTS_PX, MIN_COSINE, SelfTest, probe, self_test,
};
