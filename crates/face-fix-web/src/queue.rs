//! The photos of a person in the order of the review: listed once per session, by a
//! keyset walk, while the first ones are looked at already.
//!
//! A queue keeps some 700 bytes a photo and no faces. Tabs share the
//! queues' store, not their position in one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use immich_client::{
    Asset, AssetId, Client, Error, ErrorKind, PersonId, SearchFilter, UserId, WalkOptions,
};
use tokio::sync::Notify;

use crate::app::lock;

/// Sessions whose lists are kept; the oldest goes. A tab whose list went gets a new one.
const MAX_QUEUES: usize = 4;

/// Photos asked for at once. Smaller than the server's 1000, so that the first photo
/// need not wait for a thousand records.
const PAGE: u32 = 250;

/// One photo, as far as the queue knows it: no faces but for edited photos, whose boxes
/// in the original only searches tell.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// The record without people and camera data.
    pub(crate) asset: Arc<Asset>,
}

impl From<Asset> for Row {
    fn from(mut asset: Asset) -> Self {
        if !asset.is_edited {
            asset.people = Vec::new();
            asset.unassigned_faces = None;
        }
        asset.exif_info = None;
        asset.original_path = None;
        asset.original_mime_type = None;
        Self {
            asset: Arc::new(asset),
        }
    }
}

impl Row {
    pub(crate) fn id(&self) -> &AssetId {
        &self.asset.id
    }
}

/// The lists of the last few sessions.
#[derive(Debug, Default)]
pub(crate) struct Queues(Mutex<Store>);

#[derive(Debug, Default)]
struct Store {
    next_id: u64,
    queues: VecDeque<(u64, PersonId, Arc<Queue>)>,
}

/// One session's list, growing until `state.ended`.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    grown: Notify,
}

#[derive(Debug, Default)]
struct State {
    rows: Vec<Row>,
    ended: bool,
    failed: Option<Refused>,
}

/// Why listing stopped: what the page is told, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) kind: ErrorKind,
    pub(crate) text: String,
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self {
            kind: error.kind(),
            text: error.to_string(),
        }
    }
}

impl Queues {
    /// The list of this number if it is still there and this person's, else a new one.
    pub(crate) fn open(
        &self,
        client: &Client,
        owner: Option<&UserId>,
        wrong: &PersonId,
        id: Option<u64>,
    ) -> (u64, Arc<Queue>, bool) {
        let mut store = lock(&self.0);
        let known = store
            .queues
            .iter()
            .find(|(known, person, _)| Some(*known) == id && person == wrong);
        if let Some((id, _, queue)) = known
            && !queue.has_failed()
        {
            return (*id, queue.clone(), false);
        }
        store.next_id += 1;
        let id = store.next_id;
        let queue = Arc::new(Queue::default());
        store.queues.push_back((id, wrong.clone(), queue.clone()));
        if store.queues.len() > MAX_QUEUES {
            store.queues.pop_front();
        }
        let weak = Arc::downgrade(&queue);
        tokio::spawn(fill(client.clone(), owner.cloned(), wrong.clone(), weak));
        (id, queue, true)
    }
}

/// Lists to the end, or until nobody needs the list any more.
async fn fill(
    client: Client,
    owner: Option<UserId>,
    wrong: PersonId,
    queue: std::sync::Weak<Queue>,
) {
    let filter = SearchFilter {
        person_ids: vec![wrong],
        with_people: true,
        ..SearchFilter::default()
    };
    let version = match client.version().await {
        Ok(version) => version,
        Err(error) => {
            if let Some(queue) = queue.upgrade() {
                queue.change(|state| state.failed = Some(error.into()));
            }
            return;
        }
    };
    // Older servers list the archive in another way.
    let options = WalkOptions {
        page_size: PAGE,
        owner,
        ..WalkOptions::for_version(&version, filter)
    };
    let mut walk = client.walk(options);
    loop {
        let page = walk.next().await;
        let Some(queue) = queue.upgrade() else {
            return;
        };
        match page {
            Ok(Some(assets)) => {
                queue.change(|state| state.rows.extend(assets.into_iter().map(Row::from)));
            }
            Ok(None) => return queue.change(|state| state.ended = true),
            Err(error) => return queue.change(|state| state.failed = Some(error.into())),
        }
    }
}

impl Queue {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut lock(&self.state));
        self.grown.notify_waiters();
    }

    fn has_failed(&self) -> bool {
        lock(&self.state).failed.is_some()
    }

    /// Photos so far, and whether these are all.
    pub(crate) fn length(&self) -> (usize, bool) {
        let state = lock(&self.state);
        (state.rows.len(), state.ended)
    }

    /// Up to `n` rows from position `from`; waits while there is none yet. Empty at the
    /// end of the list.
    pub(crate) async fn rows(&self, from: usize, n: usize) -> Result<Vec<Row>, Refused> {
        loop {
            let grown = self.grown.notified();
            tokio::pin!(grown);
            // Registered before looking, so that no growth in between is missed.
            grown.as_mut().enable();
            {
                let state = lock(&self.state);
                if state.rows.len() > from {
                    let to = state.rows.len().min(from + n);
                    return Ok(state.rows[from..to].to_vec());
                }
                if let Some(failed) = &state.failed {
                    return Err(failed.clone());
                }
                if state.ended {
                    return Ok(Vec::new());
                }
            }
            grown.await;
        }
    }
}
