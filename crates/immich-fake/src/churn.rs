//! A library that changes while somebody walks through it.

use crate::ids::{Uuid, mix};
use crate::library::Library;

/// What changes after every search answered. All picks follow from the seed.
#[derive(Debug, Clone, Default)]
pub struct Churn {
    /// Seed.
    pub seed: u64,
    /// Searches after which the library comes to rest; 0 for never.
    pub rounds: u64,
    /// Seconds that pass with every search.
    pub pause_s: i64,
    /// Rows updated without a visible change: they move in the table and so among
    /// assets of the same time.
    pub touched: u32,
    /// Assets that leave from the old end of the library, into the trash.
    pub trashed: u32,
    /// Assets whose date is corrected to another time within the library's.
    pub redated: u32,
    /// Assets moved from the timeline to the archive.
    pub archived: u32,
    /// Assets uploaded with a time within the library's.
    pub uploaded: u32,
}

impl Churn {
    /// One round of changes, the `round`-th. Trashed ones never come back.
    pub(crate) fn apply(&self, library: &mut Library, owner: Uuid, round: u64) {
        library.advance_clock_s(self.pause_s);
        if self.rounds > 0 && round >= self.rounds {
            return;
        }
        let mut dice = mix(self.seed ^ round.wrapping_mul(0x0100_0000_01B3));
        let mut roll = move |below: usize| {
            dice = mix(dice);
            (dice % below.max(1) as u64) as usize
        };
        let ids: Vec<Uuid> = library
            .assets()
            .filter(|asset| asset.owner == owner && !asset.trashed)
            .map(|asset| asset.id)
            .collect();
        if ids.is_empty() {
            return;
        }
        for _ in 0..self.touched {
            library.update_asset(ids[roll(ids.len())], |_| {});
        }
        for _ in 0..self.redated {
            let other = library
                .asset(ids[roll(ids.len())])
                .map_or(0, |asset| asset.taken_us);
            let shift = roll(2_000_000) as i64;
            library.update_asset(ids[roll(ids.len())], |asset| asset.taken_us = other + shift);
        }
        for _ in 0..self.archived {
            library.update_asset(ids[roll(ids.len())], |asset| asset.visibility = "archive");
        }
        for n in 0..self.uploaded {
            let near = library
                .asset(ids[roll(ids.len())])
                .map_or(0, |asset| asset.taken_us);
            library.add_photo(owner, &format!("new_{round}_{n}.jpg"), near + 1);
        }
        let oldest: Vec<Uuid> = library
            .by_taken
            .iter()
            .map(|(_, _, id)| *id)
            .filter(|id| {
                library
                    .asset(*id)
                    .is_some_and(|a| a.owner == owner && !a.trashed)
            })
            .take(self.trashed as usize)
            .collect();
        for id in oldest {
            library.update_asset(id, |asset| asset.trashed = true);
        }
    }
}
