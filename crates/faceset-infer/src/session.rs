//! A loaded model in the hands of whichever library runs it.
//!
//! Two do: ONNX Runtime, and rten, whose kernels are Rust and compiled in.

use ndarray::Array4;
use ort::value::TensorRef;
use rten::{NodeId, RunOptions, ThreadPool, Value};
use rten_tensor::NdTensorView;
use rten_tensor::prelude::*;

/// One output: shape and values in row-major order.
pub(crate) type Output = (Vec<usize>, Vec<f32>);

/// A session of one of the two.
pub(crate) enum Session {
    Ort(Box<ort::session::Session>),
    Rten(Box<RtenSession>),
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ort(_) => "ONNX Runtime session",
            Self::Rten(_) => "rten session",
        })
    }
}

impl Session {
    /// True when the picture input has free height and width.
    pub(crate) fn input_is_dynamic(&self) -> bool {
        match self {
            Self::Ort(session) => session
                .inputs()
                .first()
                .and_then(|input| input.dtype().tensor_shape())
                .is_some_and(|s| s.len() == 4 && s[2] < 0 && s[3] < 0),
            Self::Rten(session) => session.model.input_shape(0).is_some_and(|shape| {
                let is_free = |d: &rten::Dimension| matches!(d, rten::Dimension::Symbolic(_));
                shape.len() == 4 && is_free(&shape[2]) && is_free(&shape[3])
            }),
        }
    }

    /// All outputs in the model's own order; the error is the library's words.
    pub(crate) fn run(&mut self, input: &Array4<f32>) -> Result<Vec<Output>, String> {
        match self {
            Self::Ort(session) => {
                let tensor = TensorRef::from_array_view(input.view()).map_err(|e| e.to_string())?;
                let outputs = session
                    .run(ort::inputs![tensor])
                    .map_err(|e| e.to_string())?;
                (0..outputs.len())
                    .map(|i| {
                        let (shape, values) = outputs[i]
                            .try_extract_tensor::<f32>()
                            .map_err(|e| e.to_string())?;
                        Ok((shape.iter().map(|d| *d as usize).collect(), values.to_vec()))
                    })
                    .collect()
            }
            Self::Rten(session) => session.run(input),
        }
    }
}

/// A model in rten, with a pool of one thread: face-sets runs one worker a core.
pub(crate) struct RtenSession {
    model: rten::Model,
    input: NodeId,
    outputs: Vec<NodeId>,
    pool: std::sync::Arc<ThreadPool>,
}

impl RtenSession {
    pub(crate) fn load(bytes: Vec<u8>) -> Result<Self, String> {
        let model = rten::Model::load(bytes).map_err(|e| e.to_string())?;
        let input = *model.input_ids().first().ok_or("the model has no input")?;
        let outputs = model.output_ids().to_vec();
        Ok(Self {
            model,
            input,
            outputs,
            pool: std::sync::Arc::new(ThreadPool::with_num_threads(1)),
        })
    }

    fn run(&self, input: &Array4<f32>) -> Result<Vec<Output>, String> {
        let (n, c, h, w) = input.dim();
        let values = input.as_slice().ok_or("the input is not contiguous")?;
        let view = NdTensorView::from_data([n, c, h, w], values);
        let mut options = RunOptions::default();
        options.thread_pool = Some(self.pool.clone());
        let outputs = self
            .model
            .run(
                vec![(self.input, view.into())],
                &self.outputs,
                Some(options),
            )
            .map_err(|e| e.to_string())?;
        outputs
            .into_iter()
            .map(|output| match output {
                Value::FloatTensor(tensor) => Ok((tensor.shape().to_vec(), tensor.to_vec())),
                _ => Err("an output is no tensor of floats".to_owned()),
            })
            .collect()
    }
}
