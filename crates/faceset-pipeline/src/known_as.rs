//! What a cache calls a photo or a folder of photos that a person names.

use std::path::{Path, PathBuf};

use crate::PipelineError;

/// The absolute name that `embed` gives to `path` ([`faceset_media::absolute`]). What is not
/// on this system has no other name than its own.
pub fn known_as(path: &Path) -> Result<String, PipelineError> {
    let name = if path.exists() {
        faceset_media::absolute(path)?
    } else {
        std::path::absolute(path).map_err(PipelineError::io("find", path))?
    };
    Ok(name.to_string_lossy().into_owned())
}

/// The same for folders that may be another system's: one that is not here is taken as it
/// is written.
pub fn roots_known_as(roots: &[String]) -> Result<Vec<String>, PipelineError> {
    roots
        .iter()
        .map(|root| match Path::new(root) {
            here if here.exists() => known_as(here),
            _ => Ok(root.clone()),
        })
        .collect()
}

/// Where a path leads, links and `..` resolved as far as it exists.
pub(crate) fn real(path: &Path) -> Result<PathBuf, PipelineError> {
    let path = std::path::absolute(path).map_err(PipelineError::io("find", path))?;
    for there in path.ancestors() {
        if let (Ok(real), Ok(rest)) = (there.canonicalize(), path.strip_prefix(there)) {
            return Ok(real.join(rest));
        }
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_name_by_whatever_way_it_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let photos = dir.path().join("photos");
        std::fs::create_dir_all(photos.join("2024")).unwrap();
        let plain = known_as(&photos).unwrap();
        assert_eq!(known_as(&photos.join("2024/..")).unwrap(), plain);
        assert_eq!(known_as(&photos.join(".")).unwrap(), plain);
        let roots = ["/no/such/../folder".to_owned(), plain.clone() + "/2024/.."];
        let known = roots_known_as(&roots).unwrap();
        assert_eq!(known, ["/no/such/../folder".to_owned(), plain]);
    }
}
