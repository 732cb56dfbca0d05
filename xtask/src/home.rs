//! Where set-up puts things. The layout is shared with the tools, which look in
//! the same folders.

use std::path::{Path, PathBuf};

/// The repository and the folder that set-up fills.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    /// Root of the repository.
    pub(crate) repository: PathBuf,
    /// Everything that set-up brings is below this folder.
    pub(crate) root: PathBuf,
}

impl Home {
    /// `FACE_SETS_HOME`, else `.faceset` in the repository.
    pub(crate) fn from_environment() -> Self {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .expect("xtask is a folder of the repository")
            .to_path_buf();
        let root = match std::env::var_os("FACE_SETS_HOME").filter(|v| !v.is_empty()) {
            Some(root) => std::path::absolute(&root).unwrap_or_else(|_| root.into()),
            None => repository.join(".faceset"),
        };
        Self { repository, root }
    }

    /// Folder of the runtime library.
    pub(crate) fn runtime(&self) -> PathBuf {
        self.root.join("runtime")
    }

    /// Folder of one pack's models.
    pub(crate) fn models(&self, pack: &str) -> PathBuf {
        self.root.join("models").join(pack)
    }

    /// Folder of the sample pictures and what belongs to them.
    pub(crate) fn samples(&self) -> PathBuf {
        self.root.join("samples")
    }

    /// The varied library, the default input of `cargo xtask sort`.
    pub(crate) fn sample_library(&self) -> PathBuf {
        self.samples().join("library")
    }

    /// Folder of the Python packages of the tests.
    pub(crate) fn python(&self) -> PathBuf {
        self.root.join("python")
    }

    /// `path` below the root with forward slashes, for messages.
    pub(crate) fn shown(&self, path: &Path) -> String {
        let below = path.strip_prefix(&self.root).unwrap_or(path);
        below.display().to_string().replace('\\', "/")
    }
}
