//! Where set-up put the runtime library, the models and the samples.

use std::path::{Path, PathBuf};

/// Folders to search, best first. Nothing here has to exist.
#[derive(Debug, Clone)]
pub struct Home {
    /// Roots that may hold `runtime/`, `models/` and `samples/`.
    pub roots: Vec<PathBuf>,
    /// Where InsightFace keeps its packs, when the user has a home folder.
    pub insightface_models: Option<PathBuf>,
}

impl Home {
    /// `FACE_SETS_HOME` alone when it is set; otherwise a `.faceset` folder
    /// beside or above the current folder and the executable, then the user's
    /// data folder.
    pub fn from_environment() -> Self {
        let home = etcetera::home_dir().ok();
        let roots = match std::env::var_os("FACE_SETS_HOME").filter(|v| !v.is_empty()) {
            Some(root) => vec![PathBuf::from(root)],
            None => {
                let mut roots: Vec<PathBuf> =
                    [std::env::current_dir().ok(), std::env::current_exe().ok()]
                        .into_iter()
                        .flatten()
                        .flat_map(|start| dot_faceset_candidates(&start))
                        .collect();
                roots.extend(user_data_folder());
                roots.dedup();
                roots
            }
        };
        Self {
            roots,
            insightface_models: home.map(|h| h.join(".insightface").join("models")),
        }
    }

    /// Where the runtime library may be: the one named by the caller or by
    /// `FACE_SETS_ORT` first, then the executable's folder, then each root.
    pub fn library_candidates(&self, named: Option<&Path>) -> Vec<PathBuf> {
        if let Some(named) = named {
            return vec![named.to_path_buf()];
        }
        let mut candidates: Vec<PathBuf> = std::env::var_os("FACE_SETS_ORT")
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
            .into_iter()
            .collect();
        if let Some(folder) = std::env::current_exe()
            .ok()
            .as_deref()
            .and_then(Path::parent)
        {
            candidates.push(folder.to_path_buf());
        }
        candidates.extend(self.roots.iter().map(|root| root.join("runtime")));
        candidates
    }

    /// Where model packs may be: `--model-root` first, then each root, then
    /// InsightFace's place.
    pub fn model_roots(&self, named: &[PathBuf]) -> Vec<PathBuf> {
        let mut roots = named.to_vec();
        roots.extend(self.roots.iter().map(|root| root.join("models")));
        roots.extend(self.insightface_models.clone());
        roots
    }
}

/// `.faceset` in `start` and in every folder above it.
pub fn dot_faceset_candidates(start: &Path) -> Vec<PathBuf> {
    start
        .ancestors()
        .map(|folder| folder.join(".faceset"))
        .collect()
}

fn user_data_folder() -> Option<PathBuf> {
    use etcetera::BaseStrategy;
    etcetera::choose_base_strategy()
        .ok()
        .map(|s| s.data_dir().join("face-sets"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_above_are_searched_nearest_first() {
        let found = dot_faceset_candidates(Path::new("/a/b"));
        assert_eq!(
            found,
            [
                PathBuf::from("/a/b/.faceset"),
                PathBuf::from("/a/.faceset"),
                PathBuf::from("/.faceset")
            ]
        );
    }

    #[test]
    fn a_named_library_or_root_comes_first() {
        let home = Home {
            roots: vec!["/r".into()],
            insightface_models: Some("/h/models".into()),
        };
        assert_eq!(
            home.library_candidates(Some(Path::new("/x.so"))),
            [PathBuf::from("/x.so")]
        );
        let roots = home.model_roots(&["/mine".into()]);
        assert_eq!(
            roots,
            ["/mine", "/r/models", "/h/models"].map(PathBuf::from)
        );
    }
}
