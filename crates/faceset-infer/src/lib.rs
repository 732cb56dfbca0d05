//! Pixels to faces.
//!
//! Detection (SCRFD, UltraFace), five-point alignment to 112×112, ArcFace-type
//! embeddings, 106 and 68 landmarks and head pose, through ONNX Runtime loaded
//! at run time. The only crate that names `ort`; it knows no paths of photos,
//! no caches and no groups.

pub mod align;
mod analyzer;
pub mod detect;
mod error;
mod located;
mod mean_shape;
mod model;
pub mod pack;
pub mod pixels;
pub mod pose;
pub mod repair;
mod runtime;

pub use analyzer::{Analysis, AnalyzedFace, Analyzer, Purpose};
pub use detect::Detection;
pub use error::InferError;
pub use located::{LocatedPack, ModelFile};
pub use pack::{FREE_PACK, PREFERRED_PACK, Pack, PackThresholds};
pub use runtime::{LIBRARY_NAMES, Provider, Runtime, find_library};
