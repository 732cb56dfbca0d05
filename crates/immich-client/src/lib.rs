//! A client of the [Immich](https://immich.app) photo server's REST API for programs
//! that read whole libraries and correct faces in them.
//!
//! - Typed calls for the routes listed in `docs/formats/immich-api.md`; lenient
//!   reading, so that servers from 1.118 to 3.2 work.
//! - One [`Error`] that tells an outage from a bad key, a missing permission, a
//!   missing item and a bad request ([`Error::kind`]).
//! - Retries with back-off and jitter, obeying `Retry-After`; a circuit breaker that
//!   all clones of a [`Client`] share.
//! - A [walk](Client::walk) over a library that loses nothing while it changes.
//! - Downloads streamed into a [`Sink`], hashed and verified on the way.
//!
//! The API key is never printed: not by `Debug`, not in errors, not in logs of the
//! HTTP layer.
//!
//! ```no_run
//! # async fn run() -> Result<(), immich_client::Error> {
//! use immich_client::{ApiKey, BaseUrl, Client, ClientOptions, WalkOptions};
//!
//! let base = BaseUrl::parse("http://nas:2283")?;
//! let client = Client::new(base, ApiKey::new("…")?, ClientOptions::default())?;
//! client.check(&["asset.read"]).await?;
//! let mut walk = client.walk(WalkOptions::default());
//! while let Some(assets) = walk.next().await? {
//!     for asset in assets {
//!         let file_name = asset.original_file_name;
//!         # let _ = file_name;
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod answer;
mod base_url;
mod breaker;
mod calls;
mod client;
mod error;
mod ids;
mod key;
mod lenient;
mod media;
mod people;
mod retry;
mod search;
mod transport;
mod types;
mod walk;

pub use base_url::BaseUrl;
pub use breaker::BreakerState;
pub use calls::ServerCheck;
pub use client::{Client, ClientOptions, ClientStats};
pub use error::{Error, ErrorKind, Outage};
pub use ids::{AssetId, FaceId, InvalidId, PersonId, UserId};
pub use key::ApiKey;
pub use media::{Downloaded, MediaRequest, MediaStream, Sink, ThumbnailSize};
pub use retry::RetryPolicy;
pub use search::{MAX_PAGE_SIZE, Order, SearchFilter, SearchPage};
pub use types::{
    About, ApiKeyInfo, Asset, AssetType, BulkResult, Exif, Face, FaceBox, FaceSource, Features,
    LibraryTotals, Me, NewFace, NewPerson, PeoplePage, PeopleQuery, Person, PersonFaces,
    PersonStatistics, PersonUpdate, ServerConfig, ServerVersion, Visibility, sha1_of_checksum,
};
pub use walk::{LibraryWalk, WalkOptions, WalkReport, WalkStrategy};
