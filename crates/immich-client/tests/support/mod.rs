//! What the client's tests share: a fake server with one user, and a client that
//! waits milliseconds where it would wait seconds.
#![allow(dead_code, reason = "every test file uses its own part of this")]

use std::time::Duration;

use immich_client::{
    ApiKey, AssetId, BaseUrl, Client, ClientOptions, FaceId, PersonId, RetryPolicy,
};
use immich_fake::{Fake, Library, Shape, Uuid};

/// 2020-01-01T00:00:00Z in microseconds.
pub(crate) const T0: i64 = 1_577_836_800_000_000;

/// Waits little between tries, and long for an answer: on a busy machine a repeated
/// call is one too many for the tests that count.
pub(crate) fn fast() -> ClientOptions {
    ClientOptions {
        timeout: Duration::from_mins(1),
        probe_timeout: Duration::from_mins(1),
        retry: RetryPolicy {
            base: Duration::from_millis(2),
            ..RetryPolicy::default()
        },
        jitter_seed: 1,
        ..ClientOptions::default()
    }
}

pub(crate) fn client_with(fake: &Fake, key: &str, options: ClientOptions) -> Client {
    let base = BaseUrl::parse(&fake.url()).unwrap();
    Client::new(base, ApiKey::new(key).unwrap(), options).unwrap()
}

pub(crate) struct World {
    pub(crate) fake: Fake,
    pub(crate) client: Client,
    pub(crate) user: Uuid,
    pub(crate) key: String,
    pub(crate) photos: Vec<Uuid>,
}

/// A server with one user and `n_photos`, one a second from `T0`.
pub(crate) async fn world(shape: Shape, n_photos: i64) -> World {
    let mut library = Library::new();
    let user = library.add_user("Anna");
    let key = library.add_key(user, "all", &["all"]);
    let photos = (0..n_photos)
        .map(|n| library.add_photo(user, &format!("p{n}.jpg"), T0 + n * 1_000_000))
        .collect();
    let fake = Fake::start(library, shape).await;
    World {
        client: client_with(&fake, &key, fast()),
        fake,
        user,
        key,
        photos,
    }
}

pub(crate) fn asset(id: Uuid) -> AssetId {
    id.to_string().parse().unwrap()
}

pub(crate) fn face(id: Uuid) -> FaceId {
    id.to_string().parse().unwrap()
}

pub(crate) fn person(id: Uuid) -> PersonId {
    id.to_string().parse().unwrap()
}
