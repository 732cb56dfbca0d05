//! What all requests share: the engine, the clock, people, queues.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use face_fix::{Engine, OwnFaces};
use jiff::Timestamp;

use crate::advice::Indices;
use crate::people::People;
use crate::photo::Photos;
use crate::pretend::Pretended;
use crate::queue::Queues;
use crate::small::Small;
use crate::split::Splits;

/// What a program tells the page's server.
pub struct AppOptions {
    pub(crate) who: String,
    pub(crate) clock: Box<dyn Fn() -> Timestamp + Send + Sync>,
    pub(crate) own: Option<Arc<OwnFaces>>,
}

impl AppOptions {
    /// `who` is written into the journal beside every decision, `clock` tells when.
    pub fn new(
        who: impl Into<String>,
        clock: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Self {
        Self {
            who: who.into(),
            clock: Box::new(clock),
            own: None,
        }
    }

    /// Our own embeddings of the library's faces, for suggestions, the threshold coach
    /// and splitting. Without them suggestions come from Immich's order.
    #[must_use]
    pub fn with_own_faces(mut self, own: Arc<OwnFaces>) -> Self {
        self.own = Some(own);
        self
    }
}

impl fmt::Debug for AppOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppOptions")
            .field("who", &self.who)
            .field("own", &self.own.is_some())
            .finish_non_exhaustive()
    }
}

/// The page's server. Clones share everything.
#[derive(Debug, Clone)]
pub struct App(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) engine: Engine,
    pub(crate) options: AppOptions,
    pub(crate) people: People,
    pub(crate) photos: Photos,
    pub(crate) queues: Queues,
    pub(crate) indices: Indices,
    pub(crate) splits: Splits,
    pub(crate) small: Small,
    /// What a dry run would have done.
    pub(crate) pretended: Mutex<Pretended>,
}

impl App {
    /// A server of what this engine may do: its read-only and dry-run modes are the
    /// page's too.
    pub fn new(engine: Engine, options: AppOptions) -> Self {
        Self(Arc::new(Inner {
            engine,
            options,
            people: People::default(),
            photos: Photos::default(),
            queues: Queues::default(),
            indices: Indices::default(),
            splits: Splits::default(),
            small: Small::default(),
            pretended: Mutex::default(),
        }))
    }
}

impl Inner {
    pub(crate) fn now(&self) -> Timestamp {
        (self.options.clock)()
    }

    pub(crate) fn is_dry(&self) -> bool {
        self.engine.mode().dry_run
    }
}

/// A lock that no panic can poison, as none happens while it is held.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .expect("no code panics while it holds this lock")
}
