//! From an Immich server to a folder of photos with faces and a queue for the embedder.
//!
//! [`stage`] lists a user's whole library, keeps what shows a face that is big enough by
//! the server's own boxes, fetches each content once and writes the queue that
//! `faceset_queue` describes. It survives the server's outages, kills and full disks: the
//! same call resumes, and what was accepted is never fetched again.
//!
//! [`chain`] runs the programs that come after, and reports on all of it.
//!
//! Leaves to others: what is found on a photo (the embedder), how the server is spoken to
//! (`immich_client`), the files of the queue (`faceset_queue`).

pub mod chain;
mod decide;
mod error;
mod exclude;
mod fetch;
mod index;
mod judge;
mod listing;
mod names;
mod options;
mod record;
mod report;
mod run;
mod session;
mod source;
mod throttle;

pub use error::StagingError;
pub use exclude::{Excludes, THUMBNAILS};
pub use judge::{BoxSource, Keep, MIN_FACE_SHORT_PX, Verdict, judge};
pub use names::wished_name;
pub use options::{Places, StageOptions, StageSettings};
pub use report::{Bucket, Ended, Failure, StageReport};
pub use run::{StageCtx, plan, stage};
pub use source::Source;
pub use throttle::{DEFAULT_CEILING, START_LIMIT, Throttle};
