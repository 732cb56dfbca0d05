//! What a staging run is asked for, checked once.

use std::path::{Path, PathBuf};

use faceset_queue::{PathStyle, PortablePath, QueueDir, RootId, RootPaths};

use crate::StagingError;
use crate::exclude::Excludes;
use crate::judge::MIN_FACE_SHORT_PX;
use crate::throttle::DEFAULT_CEILING;

/// As a person gives it.
#[derive(Debug, Clone)]
pub struct StageSettings {
    /// Absolute folder for photos (`immich/LABEL`) and bookkeeping (`work/immich/LABEL`).
    pub root: PathBuf,
    /// The same folder as Windows calls it, when this is Linux under Windows.
    pub windows_root: Option<String>,
    /// Name for the user whose library it is: a folder's name.
    pub label: String,
    /// Short edge of the biggest face, in pixels of the original, from which a photo is
    /// fetched; equal is fetched. Default 90.
    pub min_face_short_px: f64,
    /// Patterns of server paths that are left out.
    pub exclude: Vec<String>,
    /// Fetch Immich's own thumbnails too, where a library indexes them.
    pub keep_thumbnails: bool,
    /// Folders on the server whose paths names begin below of.
    pub library_roots: Vec<String>,
    /// Most requests at once. Default 64.
    pub workers: usize,
    /// Fetch the server's rendering of HEIC photos instead of the originals.
    pub render_heic: bool,
    /// Ask again for the faces of photos without big faces, where that costs a call.
    pub recheck_faces: bool,
    /// Caches whose photos are not fetched again.
    pub canonical: Vec<PathBuf>,
    /// Caches made from this queue: the staged photos that they could not read are fetched
    /// again as the server renders them.
    pub render_unread: Vec<PathBuf>,
}

impl StageSettings {
    /// The defaults for a folder and a label.
    pub fn new(root: impl Into<PathBuf>, label: impl Into<String>) -> Self {
        Self {
            root: root.into(),
            windows_root: None,
            label: label.into(),
            min_face_short_px: MIN_FACE_SHORT_PX,
            exclude: Vec::new(),
            keep_thumbnails: false,
            library_roots: Vec::new(),
            workers: DEFAULT_CEILING,
            render_heic: false,
            recheck_faces: false,
            canonical: Vec::new(),
            render_unread: Vec::new(),
        }
    }
}

/// Checked settings.
#[derive(Debug, Clone)]
pub struct StageOptions {
    pub(crate) label: String,
    pub(crate) min_face_short_px: f64,
    pub(crate) excludes: Excludes,
    pub(crate) library_roots: Vec<String>,
    pub(crate) workers: usize,
    pub(crate) render_heic: bool,
    pub(crate) recheck_faces: bool,
    pub(crate) canonical: Vec<PathBuf>,
    pub(crate) render_unread: Vec<PathBuf>,
    pub(crate) places: Places,
}

/// Where things of one library are.
#[derive(Debug, Clone)]
pub struct Places {
    /// The photos.
    pub photos: PathBuf,
    /// The queue's folder.
    pub queue: QueueDir,
    /// `users.json`, which all labels share.
    pub users: PathBuf,
    /// Holds a queue's folder for each label.
    pub(crate) all_queues: PathBuf,
    pub(crate) root_id: RootId,
    pub(crate) root_paths: RootPaths,
}

impl Places {
    /// The places for a label below an absolute folder.
    ///
    /// # Errors
    /// [`StagingError::Setting`] for a label that is no folder's name on every system
    /// and for a folder that is not absolute.
    pub fn new(root: &Path, windows_root: Option<&str>, label: &str) -> Result<Self, StagingError> {
        let is_name = PortablePath::new(label).is_ok() && !label.contains('/');
        if !is_name {
            return Err(StagingError::Setting {
                name: "the user label",
                value: format!("{label:?}"),
                expected: "one that can name a folder on Linux and Windows: no / \\ : * ? \" < > |, \
                           no dot or space at its end",
            });
        }
        let photos = root.join("immich").join(label);
        let refused = |value: String| StagingError::Setting {
            name: "the folder",
            value,
            expected: "an absolute path in UTF-8 letters",
        };
        let text = photos
            .to_str()
            .ok_or_else(|| refused(photos.display().to_string()))?;
        let style = if cfg!(windows) {
            PathStyle::Windows
        } else {
            PathStyle::Posix
        };
        let root_paths = match windows_root {
            Some(windows) => {
                let windows = windows.replace('/', "\\");
                let windows = format!("{}\\immich\\{label}", windows.trim_end_matches('\\'));
                RootPaths::new(text.to_owned(), Some(windows))
            }
            None => RootPaths::from_local(text, style),
        };
        let all_queues = root.join("work").join("immich");
        Ok(Self {
            root_paths: root_paths.map_err(|why| refused(format!("{text} ({why})")))?,
            root_id: RootId::make(label),
            queue: QueueDir::new(all_queues.join(label)),
            users: all_queues.join("users.json"),
            all_queues,
            photos,
        })
    }
}

impl TryFrom<StageSettings> for StageOptions {
    type Error = StagingError;

    fn try_from(given: StageSettings) -> Result<Self, StagingError> {
        let limit = given.min_face_short_px;
        if !limit.is_finite() || limit < 0.0 {
            return Err(StagingError::Setting {
                name: "the shortest face",
                value: limit.to_string(),
                expected: "pixels, 0 or more",
            });
        }
        if given.workers == 0 {
            return Err(StagingError::Setting {
                name: "workers",
                value: "0".to_owned(),
                expected: "1 or more",
            });
        }
        Ok(Self {
            excludes: Excludes::new(&given.exclude, given.keep_thumbnails)?,
            places: Places::new(&given.root, given.windows_root.as_deref(), &given.label)?,
            label: given.label,
            min_face_short_px: limit,
            library_roots: given.library_roots,
            workers: given.workers,
            render_heic: given.render_heic,
            recheck_faces: given.recheck_faces,
            canonical: given.canonical,
            render_unread: given.render_unread,
        })
    }
}

impl StageOptions {
    /// Where this run reads and writes.
    pub fn places(&self) -> &Places {
        &self.places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = if cfg!(windows) {
        r"C:\srv\faces"
    } else {
        "/srv/faces"
    };

    fn checked(change: impl FnOnce(&mut StageSettings)) -> Result<StageOptions, StagingError> {
        let mut settings = StageSettings::new(ROOT, "anna");
        change(&mut settings);
        settings.try_into()
    }

    #[test]
    fn places_lie_below_the_root_by_label() {
        let places = checked(|_| {}).unwrap().places;
        let root = Path::new(ROOT);
        assert_eq!(places.photos, root.join("immich/anna"));
        assert_eq!(
            places.queue.head_path(),
            root.join("work/immich/anna/queue.json")
        );
        assert_eq!(places.users, root.join("work/immich/users.json"));
    }

    #[test]
    fn labels_that_are_no_folder_are_refused() {
        for label in ["", "..", "a/b", "a:b", "nul", "trail."] {
            let error = checked(|s| label.clone_into(&mut s.label)).unwrap_err();
            assert!(error.to_string().contains("user label"), "{label}: {error}");
        }
        assert!(checked(|s| "Anna B.-2".clone_into(&mut s.label)).is_ok());
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        assert!(checked(|s| s.min_face_short_px = f64::NAN).is_err());
        assert!(checked(|s| s.min_face_short_px = -1.0).is_err());
        assert!(checked(|s| s.min_face_short_px = 0.0).is_ok());
        assert!(checked(|s| s.workers = 0).is_err());
        assert!(checked(|s| s.root = "relative".into()).is_err());
    }
}
