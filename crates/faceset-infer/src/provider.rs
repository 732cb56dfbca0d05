//! Hardware that runs the models, by name, and how ONNX Runtime is told of it.
//!
//! Which one a run uses is decided by `choice`, whether it computes the right
//! thing by `selftest`.

use std::fmt;
use std::str::FromStr;

use ort::ep::{self, ExecutionProvider, ExecutionProviderDispatch};
use serde::{Deserialize, Serialize};

use crate::InferError;

/// Hardware, or the software that drives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// The processor; always there, and the reference for the others.
    Cpu,
    /// NVIDIA.
    Cuda,
    /// Any DirectX 12 device on Windows.
    DirectMl,
    /// Intel's runtime on the processor.
    OpenVino,
    /// Apple.
    CoreMl,
    /// AMD on Linux.
    MiGraphX,
}

/// What is tried when nobody named a provider, the usually fastest first.
pub const AUTO_ORDER: [Provider; 6] = [
    Provider::Cuda,
    Provider::DirectMl,
    Provider::CoreMl,
    Provider::MiGraphX,
    Provider::OpenVino,
    Provider::Cpu,
];

impl Provider {
    /// Name on the command line and in caches.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::DirectMl => "directml",
            Self::OpenVino => "openvino",
            Self::CoreMl => "coreml",
            Self::MiGraphX => "migraphx",
        }
    }

    /// True when the loaded library was built with it, which does not say that
    /// the hardware or its driver is there.
    pub(crate) fn is_compiled_in(self) -> bool {
        match self {
            Self::Cpu => Ok(true),
            Self::Cuda => ep::CUDA::is_available(),
            Self::DirectMl => ep::DirectML::is_available(),
            Self::OpenVino => ep::OpenVINO::is_available(),
            Self::CoreMl => ep::CoreML::is_available(),
            Self::MiGraphX => ep::MIGraphX::is_available(),
        }
        .unwrap_or(false)
    }

    /// How the runtime is told; `None` for the processor, which needs no words.
    /// A provider that cannot be registered is an error of the session: ONNX
    /// Runtime's own habit is to run on the processor and say nothing.
    pub(crate) fn registration(self, device: u32) -> Option<ExecutionProviderDispatch> {
        let device_id = device as i32;
        let dispatch = match self {
            Self::Cpu => return None,
            // TF32 keeps 10 bits of the mantissa: embeddings would move in the
            // third digit.
            Self::Cuda => ep::CUDA::default()
                .with_device_id(device_id)
                .with_tf32(false)
                .build(),
            Self::DirectMl => ep::DirectML::default().with_device_id(device_id).build(),
            // Full precision by word: on recent processors OpenVINO's own choice
            // may be bfloat16.
            Self::OpenVino => ep::OpenVINO::default()
                .with_device_type("CPU")
                .with_precision("FP32")
                .with_num_threads(1)
                .build(),
            Self::CoreMl => ep::CoreML::default()
                .with_model_format(ep::coreml::ModelFormat::MLProgram)
                .build(),
            Self::MiGraphX => ep::MIGraphX::default().with_device_id(device_id).build(),
        };
        Some(dispatch.error_on_failure())
    }

    /// True when graphs must name every dimension before the session is made:
    /// these compile for one shape, and fall back or recompile on others.
    pub(crate) fn wants_fixed_shapes(self) -> bool {
        matches!(
            self,
            Self::DirectMl | Self::OpenVino | Self::CoreMl | Self::MiGraphX
        )
    }

    /// True when only one run at a time may be in flight in the process.
    /// DirectML's sessions share a device queue that is not made for more.
    pub(crate) fn runs_alone(self) -> bool {
        self == Self::DirectMl
    }

    /// True for a device of its own, which many workers must share: one session
    /// there is worth many, and crops are best sent together.
    pub fn is_accelerator(self) -> bool {
        matches!(
            self,
            Self::Cuda | Self::DirectMl | Self::CoreMl | Self::MiGraphX
        )
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Provider {
    type Err = InferError;

    /// Takes [`Provider::name`] in any case, and `dml` for `directml`.
    fn from_str(text: &str) -> Result<Self, InferError> {
        let wanted = text.to_ascii_lowercase();
        AUTO_ORDER
            .into_iter()
            .find(|p| p.name() == wanted || (*p == Self::DirectMl && wanted == "dml"))
            .ok_or_else(|| InferError::Provider {
                provider: text.to_owned(),
                reason: format!(
                    "no such provider; known are {}",
                    AUTO_ORDER.map(Self::name).join(", ")
                ),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back_in_any_case() {
        for provider in AUTO_ORDER {
            let shouted = provider.to_string().to_uppercase();
            assert_eq!(shouted.parse::<Provider>().unwrap(), provider);
            assert_eq!(
                serde_json::to_string(&provider).unwrap(),
                format!("\"{provider}\"")
            );
        }
        assert_eq!("dml".parse::<Provider>().unwrap(), Provider::DirectMl);
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let text = "cudda".parse::<Provider>().unwrap_err().to_string();
        assert!(
            text.contains("cudda") && text.contains("cuda, directml"),
            "{text}"
        );
    }

    #[test]
    fn the_processor_is_the_last_resort_and_needs_no_registration() {
        assert_eq!(AUTO_ORDER.last(), Some(&Provider::Cpu));
        assert!(Provider::Cpu.registration(0).is_none());
        for provider in &AUTO_ORDER[..5] {
            assert!(provider.registration(0).is_some(), "{provider}");
        }
    }
}
