//! What passes between a stager (which fetches photos) and an embed worker
//! (which looks for faces), on two systems if need be.
//!
//! Owns names that are valid on Linux and on Windows, named roots that each
//! system finds in its own spelling, and the files of a queue folder: the head,
//! the items, the states, the aliases, the users. Format pages:
//! `docs/formats/queue.md`. Knows nothing of servers, pictures or caches, and
//! asks the system nothing but to read and write those files: which system's
//! paths are meant is an argument ([`PathStyle`]).

mod book;
mod dir;
mod error;
mod head;
mod item;
mod lines;
mod make;
mod portable;
mod root;
mod shard;
mod state;
mod style;
mod users;

pub use book::NameBook;
pub use dir::{Queue, QueueDir, Refused};
pub use error::QueueError;
pub use head::{QUEUE_VERSION, QueueHead};
pub use item::{Derivative, ITEMS_VERSION, QueueItem, Sha1Hash};
pub use lines::{Appender, DamagedLine, LineReport, Row, read_rows};
pub use make::below;
pub use portable::{MAX_PART_BYTES, MAX_PATH_BYTES, NameRefusal, PortablePath};
pub use root::{RootId, RootOverride, RootOverrides, RootPaths, RootPlace};
pub use shard::Shard;
pub use state::{ALIASES_VERSION, AliasRow, STATE_VERSION, StageStatus, StateRow, latest_states};
pub use style::{
    PathRefusal, PathStyle, is_absolute, posix_to_windows, respelled, windows_to_posix,
};
pub use users::{USERS_VERSION, read_users, write_users};
