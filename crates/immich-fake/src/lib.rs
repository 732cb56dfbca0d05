//! A stateful stand-in for an Immich server, for tests over loopback.
//!
//! It keeps users, keys with permissions, assets, faces and people, and behaves as
//! the real server was seen to: side effects on feature faces, favourites first, 400
//! for gone, pages by offset with ties in table order, boxes of edited assets in two
//! frames. On top it misbehaves on demand ([`Fault`]), changes while it is read
//! ([`Churn`]), can be killed and restarted, and imitates several releases ([`Shape`]).
//!
//! Nothing here is random: ids, bytes, faults and changes follow from counters and
//! seeds, and the clock is the library's own.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use immich_fake::{Fake, Library, Shape};
//!
//! let mut library = Library::new();
//! let anna = library.add_user("Anna");
//! let key = library.add_key(anna, "test", &["all"]);
//! library.add_photo(anna, "beach.jpg", 1_600_000_000_000_000);
//! let fake = Fake::start(library, Shape::v2_7_2()).await;
//! assert!(fake.url().starts_with("http://127.0.0.1:"));
//! # let _ = key;
//! # });
//! ```

mod churn;
mod fake;
mod faults;
mod ids;
mod library;
mod people;
mod render;
mod reply;
mod routes;
mod search;
mod shape;

pub use churn::Churn;
pub use fake::{Fake, LogEntry};
pub use faults::{Fault, RandomFaults};
pub use ids::Uuid;
pub use library::{Asset, Content, Crop, Face, Key, Library, Person, User};
pub use shape::Shape;
