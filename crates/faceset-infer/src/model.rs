//! One model in one worker: bytes in, named shapes checked, floats out.

use std::fs;
use std::sync::{Mutex, PoisonError};

use faceset_core::{ContentHash, hash_bytes};
use ndarray::Array4;

use crate::pack::Repair;
use crate::session::{Output, Session};
use crate::shapes::{fix_input_shape, free_input_size};
use crate::{InferError, ModelFile, Provider, Runtime, repair};

/// How a pack feeds a model.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Feed<'a> {
    /// What is changed in the file first.
    pub(crate) repairs: &'a [Repair],
    /// Digest of the file with all of them.
    pub(crate) repaired: Option<ContentHash>,
    /// Batch, planes, height, width.
    pub(crate) input: [u32; 4],
    /// Other heights and widths come too.
    pub(crate) any_size: bool,
}

/// A loaded model with one picture input.
#[derive(Debug)]
pub(crate) struct Model {
    name: String,
    session: Session,
    provider: Provider,
}

/// Held during a run of a provider that takes one at a time.
static ONE_RUN: Mutex<()> = Mutex::new(());

impl Model {
    /// Reads, repairs and hands the file to the runtime.
    pub(crate) fn load(
        runtime: &Runtime,
        file: &ModelFile,
        feed: &Feed<'_>,
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
        let provider = runtime.provider();
        let wanted: Vec<Repair> = feed
            .repairs
            .iter()
            .copied()
            .filter(|r| provider == Provider::Cpu || r.changes_values())
            .collect();
        if !wanted.is_empty() {
            bytes = repair::apply(bytes, &wanted).ok_or_else(unreadable)?;
        }
        if let Some(expected) = feed.repaired.filter(|_| wanted == feed.repairs) {
            let found = hash_bytes(&bytes);
            if found != expected {
                return Err(InferError::WrongModel {
                    path: file.path.clone(),
                    expected: format!("{expected} after repair"),
                    found: found.to_string(),
                });
            }
        }
        let [_, planes, ..] = feed.input;
        if feed.any_size {
            if provider.wants_fixed_shapes() {
                return Err(InferError::Provider {
                    provider: provider.to_string(),
                    reason: "it takes one input size only, and the variant asks for others"
                        .to_owned(),
                });
            }
            bytes = free_input_size(&bytes, planes).ok_or_else(unreadable)?;
        } else if provider.wants_fixed_shapes() {
            bytes = fix_input_shape(&bytes, feed.input).ok_or_else(unreadable)?;
        }
        Self::from_bytes(runtime, &name, bytes)
    }

    /// Hands bytes to the runtime as they are.
    pub(crate) fn from_bytes(
        runtime: &Runtime,
        name: &str,
        bytes: Vec<u8>,
    ) -> Result<Self, InferError> {
        Ok(Self {
            name: name.to_owned(),
            session: runtime.session(name, bytes)?,
            provider: runtime.provider(),
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
        self.session.input_is_dynamic()
    }

    /// Runs the model; outputs come in the model's own order.
    pub(crate) fn run(&mut self, input: &Array4<f32>) -> Result<Vec<Output>, InferError> {
        let _alone = self
            .provider
            .runs_alone()
            .then(|| ONE_RUN.lock().unwrap_or_else(PoisonError::into_inner));
        let outputs = self.session.run(input).map_err(|reason| InferError::Run {
            model: self.name.clone(),
            provider: self.provider.to_string(),
            reason,
        })?;
        match outputs
            .iter()
            .position(|(_, values)| values.iter().any(|v| !v.is_finite()))
        {
            Some(at) => Err(self.refuse(format!(
                "output {at} holds values that are not finite numbers"
            ))),
            None => Ok(outputs),
        }
    }
}
