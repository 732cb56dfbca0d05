//! The log file of a long step: one line per note, with the time.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::Context as _;
use jiff::Zoned;

/// An open log; lines are written through at once, so that a killed run's log
/// ends with the last thing it did.
#[derive(Debug)]
pub(crate) struct LogFile {
    file: Mutex<File>,
    path: PathBuf,
}

impl LogFile {
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot create {}", folder.display()))?;
        }
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .with_context(|| format!("cannot write the log {}", path.display()))?;
        Ok(Self {
            file: Mutex::new(file),
            path: path.to_path_buf(),
        })
    }

    /// `<folder>/<command>-<date>-<time>.log`.
    pub(crate) fn default_path(folder: &Path, command: &str) -> PathBuf {
        folder.join(format!(
            "{command}-{}.log",
            Zoned::now().strftime("%Y%m%d-%H%M%S")
        ))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn line(&self, text: &str) {
        let stamp = Zoned::now().strftime("%Y-%m-%d %H:%M:%S").to_string();
        let mut file = self
            .file
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        // A full disk must not end the run for the sake of its log.
        let _ = writeln!(file, "{stamp} {text}");
    }
}
