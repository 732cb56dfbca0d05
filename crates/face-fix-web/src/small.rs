//! Unnamed people with few faces. The server's list leaves them out, photos name them:
//! so all photos are walked once, on demand, and who is on no list is remembered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use immich_client::{Client, Error, PersonId, SearchFilter, UserId, WalkOptions};
use serde::Serialize;

use crate::app::{App, lock};
use crate::error::Refusal;

/// People remembered at most; beyond it the page says that there are more.
const MAX_FOUND: usize = 5000;

/// Photos asked for at once: the server's most, since nobody waits for the first.
const PAGE: u32 = 1000;

/// What was found so far.
#[derive(Debug, Default)]
pub(crate) struct Small(Mutex<Found>);

#[derive(Debug, Default)]
struct Found {
    running: bool,
    done: bool,
    n_photos: usize,
    photos_of: BTreeMap<PersonId, usize>,
    cut: bool,
    failed: Option<(immich_client::ErrorKind, String)>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct SmallPerson {
    id: PersonId,
    /// On how many photos.
    n_photos: usize,
}

/// How far the looking is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct SmallView {
    /// Looked at so far.
    n_photos: usize,
    done: bool,
    /// There are more people than these.
    cut: bool,
    /// Most photos first.
    people: Vec<SmallPerson>,
}

impl App {
    /// Begins looking, or tells how far it is; after a failure tells that once.
    pub(crate) fn look_for_small_people(&self) -> Result<SmallView, Refusal> {
        let mut found = lock(&self.0.small.0);
        if let Some((kind, text)) = found.failed.take() {
            return Err(crate::queue::Refused { kind, text }.into());
        }
        if !found.running && !found.done {
            *found = Found {
                running: true,
                ..Found::default()
            };
            let app = self.clone();
            tokio::spawn(async move { app.walk_for_small_people().await });
        }
        let mut people: Vec<SmallPerson> = found
            .photos_of
            .iter()
            .map(|(id, n_photos)| SmallPerson {
                id: id.clone(),
                n_photos: *n_photos,
            })
            .collect();
        people.sort_by(|a, b| (b.n_photos, &a.id).cmp(&(a.n_photos, &b.id)));
        Ok(SmallView {
            n_photos: found.n_photos,
            done: found.done,
            cut: found.cut,
            people,
        })
    }

    async fn walk_for_small_people(&self) {
        let (client, user) = (self.0.engine.client(), self.0.engine.user());
        let outcome = walk(client, user, &self.0.small).await;
        let mut found = lock(&self.0.small.0);
        found.running = false;
        match outcome {
            Ok(()) => found.done = true,
            Err(error) => found.failed = Some((error.kind(), error.to_string())),
        }
    }
}

async fn walk(client: &Client, user: Option<&UserId>, small: &Small) -> Result<(), Error> {
    let listed: BTreeSet<PersonId> = client
        .all_people(true)
        .await?
        .into_iter()
        .map(|person| person.id)
        .collect();
    let version = client.version().await?;
    let filter = SearchFilter {
        with_people: true,
        ..SearchFilter::default()
    };
    let options = WalkOptions {
        page_size: PAGE,
        owner: user.cloned(),
        ..WalkOptions::for_version(&version, filter)
    };
    let mut walk = client.walk(options);
    while let Some(assets) = walk.next().await? {
        let mut found = lock(&small.0);
        found.n_photos += assets.len();
        for person in assets.iter().flat_map(|asset| &asset.people) {
            let (id, name) = (person.person.id.clone(), &person.person.name);
            if !name.is_empty() || listed.contains(&id) {
                continue;
            }
            if found.photos_of.len() < MAX_FOUND || found.photos_of.contains_key(&id) {
                *found.photos_of.entry(id).or_default() += 1;
            } else {
                found.cut = true;
            }
        }
    }
    Ok(())
}
