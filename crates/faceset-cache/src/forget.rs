//! Which rows a person's wish to be forgotten erases: plan and report.
//!
//! Decides only; [`CacheWriter::forget`](crate::CacheWriter::forget) does it.

use std::collections::BTreeSet;

use faceset_core::{ContentHash, FaceKey, FileEntry, FileStatus, SourcePath};
use serde::{Deserialize, Serialize};

use crate::Cache;

/// What will be erased.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ForgetPlan {
    /// Faces whose rows go. Their photos stay known, so that the next `embed`
    /// does not find the faces again.
    pub faces: Vec<FaceKey>,
    /// Contents that go with all their faces and places, by canonical path.
    pub files: Vec<SourcePath>,
    /// Faces and paths asked for that the cache does not hold.
    pub absent: Vec<String>,
}

impl ForgetPlan {
    /// True when nothing would be erased.
    pub fn is_empty(&self) -> bool {
        self.faces.is_empty() && self.files.is_empty()
    }
}

/// What was erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ForgetReport {
    /// Face rows, those of erased files included.
    pub n_faces: usize,
    /// Contents.
    pub n_files: usize,
}

impl Cache {
    /// Plans to erase single faces and whole photos (by any of their places).
    pub fn plan_forget(&self, faces: &[FaceKey], photos: &[SourcePath]) -> ForgetPlan {
        let mut plan = ForgetPlan::default();
        let mut files = BTreeSet::new();
        for photo in photos {
            match self.canonical(photo) {
                Some(canonical) => {
                    files.insert(canonical.clone());
                }
                None => plan.absent.push(photo.0.clone()),
            }
        }
        let mut seen = BTreeSet::new();
        for wanted in faces {
            let Some((file, face_idx)) = self.face(wanted) else {
                let [x1, y1, x2, y2] = wanted.bbox.into();
                plan.absent
                    .push(format!("{} at {x1},{y1},{x2},{y2}", wanted.path));
                continue;
            };
            let key = file.key(&file.faces()[face_idx]);
            if !files.contains(&file.path) && seen.insert(key.id()) {
                plan.faces.push(key);
            }
        }
        plan.faces
            .sort_by(|a, b| a.path.cmp(&b.path).then_with(|| a.id().cmp(&b.id())));
        plan.files = files.into_iter().collect();
        plan
    }

    pub(crate) fn erase(&mut self, plan: &ForgetPlan) -> ForgetReport {
        let mut report = ForgetReport::default();
        for path in &plan.files {
            let Some(file) = self.files.remove(path) else {
                continue;
            };
            report.n_files += 1;
            report.n_faces += file.faces().len();
            self.by_hash.remove(&file.sha256);
            for alias in self.aliases_of.remove(path).into_iter().flatten() {
                self.aliases.remove(&alias);
            }
        }
        let ids: BTreeSet<(ContentHash, [i32; 4])> = plan.faces.iter().map(FaceKey::id).collect();
        for key in &plan.faces {
            let Some(path) = self.by_hash.get(&key.sha256) else {
                continue;
            };
            if let Some(FileEntry {
                sha256,
                status: FileStatus::Faces(faces),
                ..
            }) = self.files.get_mut(path)
            {
                let before = faces.len();
                faces.retain(|face| !ids.contains(&(*sha256, face.bbox.tenths())));
                report.n_faces += before - faces.len();
            }
        }
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{cache_of, entry, faces};

    #[test]
    fn a_plan_names_what_goes_and_what_is_not_there() {
        let mut cache = cache_of([entry("/a.jpg", faces(2)), entry("/b.jpg", faces(1))]);
        cache.add_alias(&"/b.jpg".into(), "/c.jpg".into(), 1);
        let file = cache.file(&"/a.jpg".into()).unwrap();
        let key = file.key(&file.faces()[1]);
        let mut absent = key.clone();
        absent.bbox.x1 += 5.0;
        let plan = cache.plan_forget(
            &[key.clone(), key.clone(), absent],
            &["/c.jpg".into(), "/no.jpg".into()],
        );
        assert_eq!(plan.faces, [key]);
        assert_eq!(plan.files, ["/b.jpg".into()]);
        assert_eq!(plan.absent.len(), 2);
        assert_eq!(plan.absent[0], "/no.jpg");

        let report = cache.erase(&plan);
        assert_eq!((report.n_faces, report.n_files), (2, 1));
        assert_eq!((cache.n_files(), cache.n_faces()), (1, 1));
        assert!(cache.canonical(&"/c.jpg".into()).is_none());
        assert_eq!(cache.erase(&plan), ForgetReport::default());
    }

    #[test]
    fn a_photo_whose_faces_were_all_forgotten_stays_known() {
        let mut cache = cache_of([entry("/a.jpg", faces(1))]);
        let key = cache.faces().next().unwrap().key();
        let plan = cache.plan_forget(&[key], &[]);
        cache.erase(&plan);
        assert_eq!(cache.noface().count(), 1);
    }

    #[test]
    fn faces_of_a_forgotten_photo_are_not_planned_twice() {
        let cache = cache_of([entry("/a.jpg", faces(2))]);
        let keys: Vec<_> = cache.faces().map(|row| row.key()).collect();
        let plan = cache.plan_forget(&keys, &["/a.jpg".into()]);
        assert!(plan.faces.is_empty() && !plan.is_empty());
    }
}
