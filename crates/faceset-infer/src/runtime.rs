//! Loading ONNX Runtime, at run time and from a named file.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use ort::environment::Environment;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};

use crate::provider::AUTO_ORDER;
use crate::session::{RtenSession, Session};
use crate::{InferError, Provider};

/// File names of the library by system, the plain one first.
pub const LIBRARY_NAMES: &[&str] = if cfg!(windows) {
    &["onnxruntime.dll"]
} else if cfg!(target_os = "macos") {
    &["libonnxruntime.dylib"]
} else {
    &["libonnxruntime.so"]
};

/// Library that DirectML needs beside the runtime's. Windows has one of its own
/// which is older than what the runtime asks for.
const DIRECTML_LIBRARY: &str = "DirectML.dll";

/// The loaded library and the provider that sessions run on, the processor
/// unless [`Runtime::with_provider`] said otherwise. Cheap to clone; a process
/// loads one library.
#[derive(Clone)]
pub struct Runtime {
    /// Nothing for the kernels that are compiled in.
    environment: Option<Environment>,
    library: PathBuf,
    provider: Provider,
    device: u32,
    /// Sessions of which the provider cannot run every node are refused.
    whole: bool,
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime")
            .field("library", &self.library)
            .field("provider", &self.provider)
            .field("device", &self.device)
            .finish_non_exhaustive()
    }
}

/// The first library among `candidates`: files are taken as they are, folders
/// are searched for the system's library name, versioned ones included.
pub fn find_library(candidates: &[PathBuf]) -> Option<PathBuf> {
    candidates.iter().find_map(|candidate| {
        if candidate.is_file() {
            return Some(candidate.clone());
        }
        let mut names: Vec<String> = std::fs::read_dir(candidate)
            .ok()?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| is_library_name(name))
            .collect();
        // The plain name sorts first; otherwise the highest version wins.
        names.sort_by_key(|name| {
            (
                !LIBRARY_NAMES.contains(&name.as_str()),
                std::cmp::Reverse(name.clone()),
            )
        });
        names.first().map(|name| candidate.join(name))
    })
}

fn is_library_name(name: &str) -> bool {
    LIBRARY_NAMES.iter().any(|plain| {
        name == *plain
            || name
                .strip_prefix(plain)
                .is_some_and(|rest| rest.starts_with('.'))
            || (cfg!(target_os = "macos")
                && name.starts_with("libonnxruntime.")
                && name.ends_with(".dylib"))
    })
}

impl Runtime {
    /// Loads the library at `path`, once per process: a second call with
    /// another path is refused, with the same path it returns the first one.
    pub fn load(path: &Path) -> Result<Self, InferError> {
        static LOADED: OnceLock<Mutex<Option<Runtime>>> = OnceLock::new();
        let refuse = |reason: String| InferError::Runtime {
            path: path.display().to_string(),
            advice: advice(&reason).to_owned(),
            reason,
        };
        let path = std::path::absolute(path).map_err(|e| refuse(e.to_string()))?;
        let mut slot = LOADED
            .get_or_init(Mutex::default)
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(loaded) = slot.as_ref() {
            return if loaded.library == path {
                Ok(loaded.clone())
            } else {
                Err(refuse(format!(
                    "{} is loaded already",
                    loaded.library.display()
                )))
            };
        }
        if !path.is_file() {
            return Err(refuse("no such file".to_owned()));
        }
        // By absolute path, before the runtime asks the system for any.
        let directml = path.with_file_name(DIRECTML_LIBRARY);
        if cfg!(windows) && directml.is_file() {
            open(&directml).map_err(refuse)?;
        }
        // The next call would do it too, and keep the system's reason to itself.
        open(&path).map_err(refuse)?;
        let builder = ort::init_from(&path).map_err(|e| refuse(with_causes(&e)))?;
        let environment = builder
            .with_name("face-sets")
            .with_telemetry(false)
            .build()
            .map_err(|e| refuse(e.to_string()))?;
        let runtime = Self {
            environment: Some(environment),
            library: path,
            provider: Provider::Cpu,
            device: 0,
            whole: false,
        };
        *slot = Some(runtime.clone());
        Ok(runtime)
    }

    /// What runs models without any library: kernels compiled into this
    /// program. Gives the same faces, slower; callers say so.
    pub fn compiled_in() -> Self {
        Self {
            environment: None,
            library: PathBuf::new(),
            provider: Provider::Rten,
            device: 0,
            whole: false,
        }
    }

    /// The library file; empty for [`Runtime::compiled_in`].
    pub fn library(&self) -> &Path {
        &self.library
    }

    /// Version and build of the library, in its own words.
    pub fn build_info(&self) -> String {
        match self.environment {
            Some(_) => ort::info().to_owned(),
            None => "rten 0.27.0, compiled in".to_owned(),
        }
    }

    /// Providers that this library was built with, in the order in which they
    /// are tried, the processor last. Whether hardware and driver are there too
    /// shows when a session is made.
    pub fn available(&self) -> Vec<Provider> {
        if self.environment.is_none() {
            return vec![Provider::Rten];
        }
        AUTO_ORDER
            .into_iter()
            .filter(|p| p.is_compiled_in())
            .collect()
    }

    /// The same library, with sessions on another provider. `device` counts
    /// the provider's devices from 0 and means nothing to the processor.
    ///
    /// # Errors
    /// [`InferError::Provider`] when the library was built without it. What is
    /// missing beyond that is an error when a session is made, never a session
    /// that runs on the processor instead.
    pub fn with_provider(&self, provider: Provider, device: u32) -> Result<Self, InferError> {
        if self.environment.is_none() && provider == Provider::Rten {
            return Ok(self.clone());
        }
        if self.environment.is_none() {
            return Err(InferError::Provider {
                provider: provider.to_string(),
                reason: "there is no ONNX Runtime library; run `cargo xtask setup`, or name one with --ort-lib".to_owned(),
            });
        }
        if provider == Provider::Rten {
            return Ok(Self::compiled_in());
        }
        if !provider.is_compiled_in() {
            let there: Vec<_> = self.available().iter().map(|p| p.name()).collect();
            return Err(InferError::Provider {
                provider: provider.to_string(),
                reason: format!(
                    "{} was built without it; it has {} (docs/inference.md says which library has which)",
                    self.library.display(),
                    there.join(", ")
                ),
            });
        }
        Ok(Self {
            provider,
            device,
            ..self.clone()
        })
    }

    /// What sessions run on.
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// Which of the provider's devices, from 0.
    pub fn device(&self) -> u32 {
        self.device
    }

    /// The same, refusing models of which the provider leaves a part to the
    /// processor.
    pub(crate) fn whole(&self) -> Self {
        Self {
            whole: self.provider != Provider::Cpu,
            ..self.clone()
        }
    }

    /// A session for one worker: one thread, since face-sets runs one worker a
    /// core and the runtime's own threads would only spin against each other.
    pub(crate) fn session(&self, model: &str, bytes: Vec<u8>) -> Result<Session, InferError> {
        let refuse = |reason: String| InferError::Model {
            model: model.to_owned(),
            reason,
        };
        let Some(environment) = &self.environment else {
            return RtenSession::load(bytes)
                .map(|session| Session::Rten(Box::new(session)))
                .map_err(refuse);
        };
        let mut builder = self
            .configure(environment)
            .map_err(|e| refuse(e.to_string()))?;
        if let Some(registration) = self.provider.registration(self.device) {
            builder = builder
                .with_execution_providers([registration])
                .map_err(|e| InferError::Provider {
                    provider: self.provider.to_string(),
                    reason: e.to_string(),
                })?;
        }
        if self.whole {
            builder = builder
                .with_disable_cpu_fallback()
                .map_err(|e| refuse(e.to_string()))?;
        }
        builder
            .commit_from_memory(&bytes)
            .map(|session| Session::Ort(Box::new(session)))
            .map_err(|e| refuse(e.to_string()))
    }

    fn configure(&self, environment: &Environment) -> ort::Result<SessionBuilder> {
        let builder = ort::session::Session::builder(environment)?
            .with_optimization_level(GraphOptimizationLevel::All)?
            .with_log_level(ort::logging::LogLevel::Error)?
            .with_intra_threads(1)?
            .with_inter_threads(1)?
            .with_parallel_execution(false)?;
        // ONNX Runtime's condition for DirectML, which plans memory itself.
        Ok(builder.with_memory_pattern(self.provider != Provider::DirectMl)?)
    }
}

/// Opens a library for as long as the process lives.
fn open(path: &Path) -> Result<(), String> {
    ort::util::preload_dylib(path.as_os_str()).map_err(|e| with_causes(&e))
}

/// An error and what lies behind it: the system's own reason stands last.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}

/// What to do about a library that was refused for `reason`.
fn advice(reason: &str) -> &'static str {
    // Windows' ERROR_MOD_NOT_FOUND: the file is there and a library that it needs is not,
    // in ONNX Runtime's common builds Microsoft's C++ runtime.
    if cfg!(windows) && reason.contains("os error 126") {
        "install Microsoft's Visual C++ Redistributable, or run `cargo xtask setup`, whose library needs none"
    } else {
        "run `cargo xtask setup`, or name a library with --ort-lib"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plain_name_wins_over_versions_and_other_files_are_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let plain = LIBRARY_NAMES[0];
        for name in ["readme.txt", "libonnxruntime_providers_shared.so"] {
            std::fs::write(dir.path().join(name), b"").unwrap();
        }
        assert_eq!(find_library(&[dir.path().to_path_buf()]), None);
        if cfg!(target_os = "linux") {
            for version in ["1.24.4", "1.31.1"] {
                std::fs::write(dir.path().join(format!("{plain}.{version}")), b"").unwrap();
            }
            let found =
                find_library(&[dir.path().join("absent"), dir.path().to_path_buf()]).unwrap();
            assert!(
                found.to_string_lossy().ends_with("1.31.1"),
                "{}",
                found.display()
            );
        }
        std::fs::write(dir.path().join(plain), b"").unwrap();
        assert_eq!(
            find_library(&[dir.path().to_path_buf()]),
            Some(dir.path().join(plain))
        );
    }

    #[test]
    fn a_missing_or_foreign_library_is_an_error_with_advice() {
        let dir = tempfile::tempdir().unwrap();
        let missing = Runtime::load(&dir.path().join("nothing.so"))
            .unwrap_err()
            .to_string();
        assert!(
            missing.contains("nothing.so") && missing.contains("setup"),
            "{missing}"
        );
        let foreign = dir.path().join("text.so");
        std::fs::write(&foreign, b"no library").unwrap();
        assert!(matches!(
            Runtime::load(&foreign),
            Err(InferError::Runtime { .. })
        ));
        let refused = open(&foreign).unwrap_err();
        let reason = if cfg!(windows) {
            "os error"
        } else {
            "text.so: "
        };
        assert!(refused.contains(reason), "{refused}");
    }

    #[test]
    fn on_windows_a_missing_runtime_of_the_compiler_is_named() {
        let named = advice("LoadLibraryExW failed: not found (os error 126)");
        assert_eq!(named.contains("Redistributable"), cfg!(windows), "{named}");
        assert!(!advice("no such file").contains("Redistributable"));
    }
}
