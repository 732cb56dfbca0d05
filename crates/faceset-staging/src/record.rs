//! Writes what was decided: items, aliases, states.
//!
//! An item or alias goes to its file before the state that speaks of it, and a file on
//! disk exists before its item: whatever moment a kill comes at, what the state calls
//! done is there.

use std::time::Duration;

use faceset_queue::{AliasRow, Appender, QueueDir, QueueItem, StateRow};
use tokio::time::Instant;

use crate::StagingError;

/// Longest time for which decisions may be unsafe from a power cut. A kill loses nothing
/// that was flushed.
const SYNC_EVERY: Duration = Duration::from_secs(2);

/// The queue's files, open for adding.
#[derive(Debug)]
pub(crate) struct Recorder {
    items: Appender<QueueItem>,
    aliases: Appender<AliasRow>,
    states: Appender<StateRow>,
    synced: Instant,
    dirty: bool,
}

impl Recorder {
    pub(crate) fn open(queue: &QueueDir) -> Result<Self, StagingError> {
        Ok(Self {
            items: queue.append_items()?,
            aliases: queue.append_aliases()?,
            states: queue.append_state()?,
            synced: Instant::now(),
            dirty: false,
        })
    }

    pub(crate) fn item(&mut self, item: &QueueItem) -> Result<(), StagingError> {
        self.dirty = true;
        Ok(self.items.append(item)?)
    }

    pub(crate) fn alias(&mut self, alias: &AliasRow) -> Result<(), StagingError> {
        self.dirty = true;
        Ok(self.aliases.append(alias)?)
    }

    pub(crate) fn state(&mut self, row: &StateRow) -> Result<(), StagingError> {
        self.dirty = true;
        Ok(self.states.append(row)?)
    }

    /// Hands everything to the system, and now and then waits for the disk.
    pub(crate) fn save(&mut self) -> Result<(), StagingError> {
        if !self.dirty {
            return Ok(());
        }
        if self.synced.elapsed() >= SYNC_EVERY {
            return self.sync();
        }
        self.items.flush()?;
        self.aliases.flush()?;
        Ok(self.states.flush()?)
    }

    /// Waits until the disk has everything.
    pub(crate) fn sync(&mut self) -> Result<(), StagingError> {
        self.items.sync()?;
        self.aliases.sync()?;
        self.states.sync()?;
        self.synced = Instant::now();
        self.dirty = false;
        Ok(())
    }
}
