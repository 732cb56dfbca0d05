//! The records that the API sends. Only fields that somebody uses are read; all
//! but ids may be missing, and anything unknown is ignored.

mod asset;
mod face;
mod person;
mod server;

pub use asset::{Asset, AssetType, Exif, Visibility, sha1_of_checksum};
pub use face::{Face, FaceBox, FaceSource, NewFace};
pub(crate) use person::PeopleAnswer;
pub use person::{
    BulkResult, NewPerson, PeoplePage, PeopleQuery, Person, PersonFaces, PersonStatistics,
    PersonUpdate,
};
pub use server::{About, ApiKeyInfo, Features, LibraryTotals, Me, ServerConfig, ServerVersion};
