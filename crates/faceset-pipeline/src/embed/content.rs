//! What was found in one content, and who is looking at which content now.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use faceset_core::{ContentHash, FaceRecord, FileEntry, FileStatus};
use faceset_media::recycle;
use faceset_quality::blur;

use super::find::{FindError, FindFaces};
use super::second_look::{SecondLook, marked};
use super::task::Task;
use crate::photo;

/// What a worker found in one file's bytes.
#[derive(Debug, Clone)]
pub(super) struct Content {
    dims: [u32; 2],
    taken: String,
    pub(super) truncated: bool,
    pub(super) n_unusable: usize,
    pub(super) status: FileStatus,
    pub(super) second_look: SecondLook,
    /// Set when not the picture but the device is to blame.
    pub(super) device_problem: Option<String>,
}

impl Content {
    pub(super) fn failed(reason: String) -> Self {
        Self {
            dims: [0, 0],
            taken: String::new(),
            truncated: false,
            n_unusable: 0,
            status: FileStatus::Failed(reason),
            second_look: SecondLook::NotTaken,
            device_problem: None,
        }
    }

    /// Decodes and looks.
    pub(super) fn of(
        bytes: &[u8],
        task: &Task,
        finder: &mut impl FindFaces,
        current_year: i32,
    ) -> Self {
        let picture = match photo::pixels(bytes, current_year) {
            Ok(picture) => picture,
            Err(reason) => return Self::failed(reason),
        };
        let found = match finder.find(&picture.rgb) {
            Ok(found) => found,
            Err(FindError::Picture(reason)) => return Self::failed(reason),
            Err(FindError::Device(reason)) => {
                return Self {
                    device_problem: Some(reason.clone()),
                    ..Self::failed(reason)
                };
            }
        };
        let faces = found
            .faces
            .into_iter()
            .map(|face| FaceRecord {
                path: task.path.clone(),
                bbox: face.bbox,
                kps: face.kps,
                det_score: face.det_score,
                face_short: face.bbox.short_edge_px(),
                blur: blur(&picture.rgb, &face.bbox),
                embedding: face.embedding,
                embedding_norm: face.embedding_norm,
                enrichment: face.enrichment,
            })
            .collect();
        let dims = [picture.rgb.width(), picture.rgb.height()];
        recycle(picture.rgb);
        Self {
            dims,
            taken: picture.taken.unwrap_or_default(),
            truncated: picture.truncated,
            n_unusable: found.n_unusable,
            status: FileStatus::Faces(faces),
            second_look: found.second_look,
            device_problem: None,
        }
    }

    /// The record of this content under a task's name.
    pub(super) fn entry(&self, task: &Task, sha256: ContentHash, size: u64) -> FileEntry {
        let mut status = self.status.clone();
        if let FileStatus::Faces(faces) = &mut status {
            for face in faces {
                face.path = task.path.clone();
            }
        }
        let taken = if self.taken.is_empty() && matches!(status, FileStatus::Faces(_)) {
            task.taken.clone().unwrap_or_default()
        } else {
            self.taken.clone()
        };
        FileEntry {
            path: task.path.clone(),
            sha256,
            size,
            mtime_ns: task.mtime_ns,
            dims: self.dims,
            taken,
            source: marked(&task.source, self.second_look),
            status,
        }
    }
}

/// Contents in progress, so that two workers never embed the same bytes.
pub(super) struct Claims(Mutex<State>);

struct State {
    known: HashSet<ContentHash>,
    slots: HashMap<ContentHash, Arc<Slot>>,
}

/// What a worker may do about a content.
pub(super) enum Claim {
    /// The cache has it.
    Known,
    /// It is this worker's to look at.
    Mine(Arc<Slot>),
    /// Another worker looks at it.
    Theirs(Arc<Slot>),
}

impl Claims {
    /// Begins with what the cache has.
    pub(super) fn new(known: HashSet<ContentHash>) -> Self {
        Self(Mutex::new(State {
            known,
            slots: HashMap::new(),
        }))
    }

    pub(super) fn claim(&self, sha256: ContentHash) -> Claim {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.known.contains(&sha256) {
            return Claim::Known;
        }
        match state.slots.get(&sha256) {
            Some(slot) => Claim::Theirs(Arc::clone(slot)),
            None => {
                let slot = Arc::new(Slot::default());
                state.slots.insert(sha256, Arc::clone(&slot));
                Claim::Mine(slot)
            }
        }
    }

    /// The cache has it from now on.
    pub(super) fn stored(&self, sha256: ContentHash) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.known.insert(sha256);
        state.slots.remove(&sha256);
    }

    /// The cache lost it.
    pub(super) fn lost(&self, sha256: &ContentHash) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.known.remove(sha256);
    }
}

/// Where a worker leaves what it found for those that met the same bytes.
#[derive(Default)]
pub(super) struct Slot {
    content: Mutex<Option<Arc<Content>>>,
    ready: Condvar,
}

impl Slot {
    /// Fills the slot with what `look` finds, also when that unwinds: nobody
    /// waits for ever.
    pub(super) fn fill(&self, look: impl FnOnce() -> Content) {
        let guard = FillOnDrop(self);
        let content = Arc::new(look());
        *self.content.lock().unwrap_or_else(PoisonError::into_inner) = Some(content);
        drop(guard);
    }

    pub(super) fn wait(&self) -> Arc<Content> {
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(content) = content.as_ref() {
                return Arc::clone(content);
            }
            content = self
                .ready
                .wait(content)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

struct FillOnDrop<'a>(&'a Slot);

impl Drop for FillOnDrop<'_> {
    fn drop(&mut self) {
        let mut content = self
            .0
            .content
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        content.get_or_insert_with(|| {
            Arc::new(Content::failed(
                "a worker panicked on this picture".to_owned(),
            ))
        });
        drop(content);
        self.0.ready.notify_all();
    }
}
