//! One model in one worker: bytes in, named shapes checked, floats out.

use std::fs;
use std::sync::{Mutex, PoisonError};

use ndarray::Array4;
use ort::session::Session;
use ort::value::TensorRef;

use crate::pack::Repair;
use crate::repair::{fix_input_shape, zero_tiny_weights};
use crate::{InferError, ModelFile, Provider, Runtime};

/// A loaded model with one picture input.
#[derive(Debug)]
pub(crate) struct Model {
    name: String,
    session: Session,
    provider: Provider,
}

/// Held during a run of a provider that takes one at a time.
static ONE_RUN: Mutex<()> = Mutex::new(());

/// One output: shape and values in row-major order.
pub(crate) type Output = (Vec<usize>, Vec<f32>);

impl Model {
    /// Reads, repairs and hands the file to the runtime. `input` is what the
    /// pack will feed: batch, planes, height, width.
    pub(crate) fn load(
        runtime: &Runtime,
        file: &ModelFile,
        repairs: &[Repair],
        input: [u32; 4],
    ) -> Result<Self, InferError> {
        let name = file
            .path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let mut bytes = fs::read(&file.path).map_err(|source| InferError::Io {
            path: file.path.clone(),
            source,
        })?;
        let unreadable = || InferError::Model {
            model: name.clone(),
            reason: "the file is not readable as ONNX".to_owned(),
        };
        if repairs.contains(&Repair::ZeroTinyWeights) {
            zero_tiny_weights(&mut bytes).ok_or_else(unreadable)?;
        }
        let provider = runtime.provider();
        if provider.wants_fixed_shapes() {
            bytes = fix_input_shape(&bytes, input).ok_or_else(unreadable)?;
        }
        let session = runtime.session(&name, &bytes)?;
        Ok(Self {
            name,
            session,
            provider,
        })
    }

    pub(crate) fn refuse(&self, reason: impl Into<String>) -> InferError {
        InferError::Model {
            model: self.name.clone(),
            reason: reason.into(),
        }
    }

    /// True when the picture input has free height and width.
    pub(crate) fn input_is_dynamic(&self) -> bool {
        let shape = self
            .session
            .inputs()
            .first()
            .and_then(|input| input.dtype().tensor_shape());
        shape.is_some_and(|s| s.len() == 4 && s[2] < 0 && s[3] < 0)
    }

    /// Runs the model; outputs come in the model's own order.
    pub(crate) fn run(&mut self, input: &Array4<f32>) -> Result<Vec<Output>, InferError> {
        let name = self.name.clone();
        let refuse = |reason: String| InferError::Model {
            model: name.clone(),
            reason,
        };
        let _alone = self
            .provider
            .runs_alone()
            .then(|| ONE_RUN.lock().unwrap_or_else(PoisonError::into_inner));
        let tensor = TensorRef::from_array_view(input.view()).map_err(|e| refuse(e.to_string()))?;
        let outputs = self
            .session
            .run(ort::inputs![tensor])
            .map_err(|e| InferError::Run {
                model: name.clone(),
                provider: self.provider.to_string(),
                reason: e.to_string(),
            })?;
        (0..outputs.len())
            .map(|i| {
                let (shape, values) = outputs[i]
                    .try_extract_tensor::<f32>()
                    .map_err(|e| refuse(e.to_string()))?;
                if values.iter().any(|v| !v.is_finite()) {
                    return Err(refuse(format!(
                        "output {i} holds values that are not finite numbers"
                    )));
                }
                Ok((shape.iter().map(|d| *d as usize).collect(), values.to_vec()))
            })
            .collect()
    }
}
