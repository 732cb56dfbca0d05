//! The walk over a whole library that loses nothing while the library changes.
//!
//! Pages by number shift when assets come, go or change. The walk asks instead for
//! "taken at or after the last one seen", oldest first, and drops what it has seen.
//! What moves from before the cursor to behind it during the walk (a corrected
//! date, a change of visibility, an upload of old photos) is found by catching up
//! on everything that changed since the walk began. Why, in
//! `docs/decisions/0006-immich-client.md`.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::client::Client;
use crate::error::Error;
use crate::search::{MAX_PAGE_SIZE, Order, SearchFilter, SearchPage, floor_to_ms};
use crate::types::{Asset, ServerVersion, Visibility};
use crate::{AssetId, UserId};

/// How far before its start a pass counts a change as later. The `Date` header may
/// come from a proxy's clock, and a change is stamped before it becomes visible.
const CATCH_UP_MARGIN: Duration = Duration::from_mins(1);

/// Changes this little before a pass began may have come while it ran: the clocks of
/// `Date` and of `updatedAt` need not be the same.
const CLOCK_SKEW: Duration = Duration::from_secs(5);

/// Most passes over the assets of one millisecond, until two in a row are the same, and
/// over plain pages, until one finds nothing new. Rows of a busy library may move in
/// every pass; then it is enough that the last one found nothing that stood there before.
const MAX_REPEATS: u32 = 5;

/// What to walk over.
#[derive(Debug, Clone, PartialEq)]
pub struct WalkOptions {
    /// Filters; `visibility`, `order` and `updated_after` are the walk's own and get
    /// overwritten, `taken_after` is where it starts.
    pub filter: SearchFilter,
    /// The visibilities to cover, one after the other. `None` stands for a request
    /// without the field. Default: timeline, then archive.
    pub visibilities: Vec<Option<Visibility>>,
    /// Assets on a page, 1 to 1000. Default 1000.
    pub page_size: u32,
    /// Only this user's assets; others are counted. Default: all that is visible,
    /// partners' too.
    pub owner: Option<UserId>,
    /// Most passes of catching up. Default 5; each costs one request per visibility
    /// when little changed, and the first is the last when nothing did.
    pub max_catch_ups: u32,
}

impl Default for WalkOptions {
    fn default() -> Self {
        Self {
            filter: SearchFilter::default(),
            visibilities: vec![Some(Visibility::Timeline), Some(Visibility::Archive)],
            page_size: MAX_PAGE_SIZE,
            owner: None,
            max_catch_ups: 5,
        }
    }
}

impl WalkOptions {
    /// Timeline and archive in the words of a server of this version.
    pub fn for_version(version: &ServerVersion, filter: SearchFilter) -> Self {
        let visibilities = if version.has_visibility() {
            Self::default().visibilities
        } else {
            vec![None]
        };
        Self {
            filter: SearchFilter {
                with_archived: version.may_have_with_archived().then_some(true),
                ..filter
            },
            visibilities,
            ..Self::default()
        }
    }
}

/// How a walk went through the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WalkStrategy {
    /// By time taken.
    #[default]
    Keyset,
    /// By page numbers, repeated, because the server did not order or filter by time.
    Pages,
}

/// What a walk has seen so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WalkReport {
    /// Searches answered.
    pub n_requests: u64,
    /// Assets given to the caller, each once.
    pub n_assets: u64,
    /// Of these, found by catching up or repeating only.
    pub n_late: u64,
    /// Entries dropped because they came before.
    pub n_repeated: u64,
    /// Entries dropped because they are not the wanted owner's.
    pub n_foreign: u64,
    /// Entries that could not be read, not even an id.
    pub n_unreadable: u64,
    /// How the library was walked.
    pub strategy: WalkStrategy,
    /// True when the library kept changing until the walk gave up catching up (or
    /// repeating): what changed at the very end may be missing.
    pub unsettled: bool,
}

/// A walk under way. See [`Client::walk`].
#[derive(Debug)]
pub struct LibraryWalk {
    client: Client,
    options: WalkOptions,
    seen: Seen,
    report: WalkReport,
    /// 0 is the main pass, the others catch up.
    pass: u32,
    /// Since when this pass looks for changes; `None` in the main pass.
    changed_since: Option<Timestamp>,
    /// Server time of this pass's first answer.
    pass_began: Option<Timestamp>,
    pass_found_new: bool,
    /// Latest change among this pass's entries.
    latest_change: Option<Timestamp>,
    /// So far every visibility of this pass came in one answer: a snapshot, into whose
    /// back nothing can move.
    pass_is_snapshot: bool,
    n_lane_requests: u32,
    /// First asset of the page before: a server that pays no attention to `page` must
    /// not keep us for ever.
    page_before: Option<AssetId>,
    /// Index into the visibilities; their number when the pass is over.
    lane: usize,
    place: Place,
    done: bool,
}

/// Where in one visibility of one pass the walk is.
#[derive(Debug, Clone, Copy)]
struct Place {
    from: Option<Timestamp>,
    page: u32,
    mode: Mode,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// One page at each cursor.
    Keyset,
    /// The cursor's millisecond fills more than a page: number the pages within.
    /// `seen` and `before` are fingerprints of the ids of this and the previous pass in
    /// their order: rows that move or leave change it, and only then can one be missed.
    Tie {
        repeats: u32,
        seen: u64,
        before: Option<u64>,
        found_new: bool,
    },
    /// The server does not do keysets.
    Pages { repeats: u32, found_new: bool },
}

impl Place {
    fn start(from: Option<Timestamp>) -> Self {
        Self {
            from,
            page: 1,
            mode: Mode::Keyset,
        }
    }
}

impl Client {
    /// Walks over everything that the options cover; needs `asset.read`.
    ///
    /// Every asset that exists during the whole walk is given exactly once, in what
    /// order is not promised. Remembers all ids: 16 to 40 bytes for each asset.
    pub fn walk(&self, options: WalkOptions) -> LibraryWalk {
        LibraryWalk {
            client: self.clone(),
            place: Place::start(options.filter.taken_after),
            done: options.visibilities.is_empty(),
            options,
            seen: Seen::default(),
            report: WalkReport::default(),
            pass: 0,
            changed_since: None,
            pass_began: None,
            pass_found_new: false,
            latest_change: None,
            pass_is_snapshot: true,
            n_lane_requests: 0,
            page_before: None,
            lane: 0,
        }
    }
}

impl LibraryWalk {
    /// The next assets, at most a page; `None` at the end.
    ///
    /// # Errors
    /// As [`Client::search`]. The walk stays where it was: calling again continues
    /// without a loss.
    pub async fn next(&mut self) -> Result<Option<Vec<Asset>>, Error> {
        while !self.done {
            let filter = SearchFilter {
                visibility: self.options.visibilities[self.lane],
                order: Some(Order::Asc),
                taken_after: self.place.from,
                updated_after: self.changed_since,
                ..self.options.filter.clone()
            };
            let page = self
                .client
                .search(&filter, self.place.page, self.options.page_size)
                .await?;
            let fresh = self.take(page);
            if !fresh.is_empty() {
                return Ok(Some(fresh));
            }
        }
        Ok(None)
    }

    /// What was seen so far.
    pub fn report(&self) -> &WalkReport {
        &self.report
    }

    fn take(&mut self, page: SearchPage) -> Vec<Asset> {
        self.report.n_requests += 1;
        self.n_lane_requests += 1;
        self.report.n_unreadable += page.n_unreadable as u64;
        if self.pass_began.is_none() {
            // Without a `Date`, the latest change on the page is surely not later than now.
            let latest = page
                .assets
                .iter()
                .filter_map(|a| a.updated_at.max(a.created_at));
            self.pass_began = page.server_time.or_else(|| latest.max());
        }
        let step = self.step(&page);
        let fingerprint = self.fingerprint(&page);
        let latest = page
            .assets
            .iter()
            .filter_map(|asset| asset.updated_at)
            .max();
        self.latest_change = self.latest_change.max(latest);
        self.page_before = page.assets.first().map(|asset| asset.id.clone());

        let mut fresh = Vec::new();
        for asset in page.assets {
            let foreign = self.options.owner.is_some() && asset.owner_id != self.options.owner;
            if !self.seen.insert(&asset.id) {
                self.report.n_repeated += 1;
            } else if foreign {
                self.report.n_foreign += 1;
            } else {
                fresh.push(asset);
            }
        }
        let found_new = !fresh.is_empty();
        self.report.n_assets += fresh.len() as u64;
        let repeating = matches!(
            self.place.mode,
            Mode::Tie { repeats: 1.., .. } | Mode::Pages { repeats: 1.., .. }
        );
        if self.pass > 0 || repeating {
            self.report.n_late += fresh.len() as u64;
        }
        self.pass_found_new |= found_new;
        // What changed since the pass began is the catch-up's to find.
        let overlooked = fresh
            .iter()
            .any(|asset| asset.updated_at.is_none() || asset.updated_at < self.pass_began);
        let counts = match self.place.mode {
            Mode::Tie { .. } => overlooked,
            _ => found_new,
        };
        self.advance(step, counts, fingerprint);
        fresh
    }

    /// This pass's fingerprint, continued by the assets of the cursor's millisecond.
    fn fingerprint(&self, page: &SearchPage) -> u64 {
        let so_far = match self.place.mode {
            Mode::Tie { seen, .. } => seen,
            _ => 0,
        };
        let from = self.place.from.map(floor_to_ms);
        let tied = page
            .assets
            .iter()
            .filter(|asset| asset.file_created_at.map(floor_to_ms) == from);
        tied.fold(so_far, |hash, asset| {
            let mut hasher = DefaultHasher::new();
            (hash, &asset.id).hash(&mut hasher);
            hasher.finish()
        })
    }

    /// What this page says about where to go, before looking at what is new.
    fn step(&self, page: &SearchPage) -> Step {
        let first = page.assets.first().map(|asset| &asset.id);
        let stuck = self.place.page > 1 && first == self.page_before.as_ref();
        let more = page.next_page.is_some() && first.is_some() && !stuck;
        if matches!(self.place.mode, Mode::Pages { .. }) {
            return if more {
                Step::NextPage
            } else {
                Step::EndOfPages
            };
        }
        let times: Option<Vec<Timestamp>> = page
            .assets
            .iter()
            .map(|asset| asset.file_created_at.map(floor_to_ms))
            .collect();
        let from = self.place.from.map(floor_to_ms);
        let Some(times) = times.filter(|times| {
            times.is_sorted()
                && times
                    .first()
                    .is_none_or(|&first| from.is_none_or(|f| first >= f))
        }) else {
            return Step::FallBack;
        };
        let beyond = times
            .last()
            .copied()
            .filter(|&last| from.is_none_or(|f| last > f));
        match (self.place.mode, beyond) {
            (Mode::Keyset, _) if !more => Step::EndOfLane,
            (Mode::Keyset, Some(last)) => Step::To(last),
            (Mode::Keyset, None) => Step::EnterTie,
            (_, None) if more => Step::NextPage,
            _ => Step::EndOfTie,
        }
    }

    fn advance(&mut self, step: Step, new_here: bool, fingerprint: u64) {
        let place = &mut self.place;
        match &mut place.mode {
            Mode::Keyset => {}
            Mode::Tie {
                seen, found_new, ..
            } => {
                *seen = fingerprint;
                *found_new |= new_here;
            }
            Mode::Pages { found_new, .. } => *found_new |= new_here,
        }
        match (step, place.mode) {
            (Step::To(last), _) => *place = Place::start(Some(last)),
            (Step::NextPage, _) => place.page += 1,
            (Step::EnterTie, _) => {
                place.page = 2;
                place.mode = Mode::Tie {
                    repeats: 0,
                    seen: fingerprint,
                    before: None,
                    found_new: false,
                };
            }
            (Step::FallBack, _) => {
                self.report.strategy = WalkStrategy::Pages;
                *place = Place {
                    mode: Mode::Pages {
                        repeats: 0,
                        found_new: true,
                    },
                    ..Place::start(self.options.filter.taken_after)
                };
            }
            (
                Step::EndOfTie,
                Mode::Tie {
                    repeats,
                    before,
                    found_new,
                    ..
                },
            ) => {
                let same = before == Some(fingerprint);
                if !same && repeats + 1 < MAX_REPEATS {
                    place.page = 1;
                    place.mode = Mode::Tie {
                        repeats: repeats + 1,
                        seen: 0,
                        before: Some(fingerprint),
                        found_new: false,
                    };
                } else {
                    self.report.unsettled |= !same && found_new;
                    // The database knows microseconds, the API shows milliseconds: the
                    // next millisecond is beyond all of this one.
                    let next = place
                        .from
                        .map(floor_to_ms)
                        .and_then(|at| at.checked_add(SignedDuration::from_millis(1)).ok());
                    match next {
                        Some(next) => *place = Place::start(Some(next)),
                        None => self.next_lane(),
                    }
                }
            }
            (Step::EndOfPages, Mode::Pages { repeats, found_new }) => {
                if found_new && repeats + 1 < MAX_REPEATS {
                    place.page = 1;
                    place.mode = Mode::Pages {
                        repeats: repeats + 1,
                        found_new: false,
                    };
                } else {
                    self.report.unsettled |= found_new;
                    self.next_lane();
                }
            }
            (Step::EndOfLane | Step::EndOfTie | Step::EndOfPages, _) => self.next_lane(),
        }
    }

    fn next_lane(&mut self) {
        self.place = Place::start(self.options.filter.taken_after);
        self.pass_is_snapshot &= std::mem::take(&mut self.n_lane_requests) <= 1;
        self.lane += 1;
        if self.lane < self.options.visibilities.len() {
            return;
        }
        self.lane = 0;
        let calm = self.pass_was_calm();
        let began = self.pass_began.take();
        self.pass_found_new = false;
        self.latest_change = None;
        self.pass_is_snapshot = true;
        let since = began.and_then(|at| at.checked_sub(CATCH_UP_MARGIN).ok());
        if calm || since.is_none() || self.pass >= self.options.max_catch_ups {
            self.report.unsettled |= self.pass > 0 && !calm;
            self.done = true;
            return;
        }
        self.pass += 1;
        self.changed_since = since;
    }

    /// True when this pass proves that nothing is missing.
    ///
    /// "Nothing new" alone does not: an asset may have moved behind the cursor again.
    /// But when nothing changed since the *previous* pass began, that one saw all there
    /// is; and a pass of one answer sees everything at one moment.
    fn pass_was_calm(&self) -> bool {
        let Some(since) = self.changed_since.filter(|_| !self.pass_found_new) else {
            return false;
        };
        let previous_began = since.checked_add(CATCH_UP_MARGIN.saturating_sub(CLOCK_SKEW));
        let unchanged = match (self.latest_change, previous_began) {
            (Some(latest), Ok(began)) => latest < began,
            _ => false,
        };
        unchanged || self.pass_is_snapshot
    }
}

/// Where a page leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    To(Timestamp),
    NextPage,
    EnterTie,
    EndOfTie,
    EndOfPages,
    EndOfLane,
    FallBack,
}

/// Ids seen, UUIDs in 16 bytes. Membership only: the order never matters.
#[derive(Debug, Default)]
struct Seen {
    uuids: HashSet<u128>,
    others: HashSet<AssetId>,
}

impl Seen {
    /// True when `id` is new.
    fn insert(&mut self, id: &AssetId) -> bool {
        match uuid(id.as_str()) {
            Some(uuid) => self.uuids.insert(uuid),
            None => self.others.insert(id.clone()),
        }
    }
}

/// The number of a UUID in its one canonical writing; `None` for anything else, so
/// that different texts are never the same id.
fn uuid(text: &str) -> Option<u128> {
    let mut value = 0u128;
    if text.len() != 36 {
        return None;
    }
    for (at, byte) in text.bytes().enumerate() {
        match (at, byte) {
            (8 | 13 | 18 | 23, b'-') => {}
            (8 | 13 | 18 | 23, _) => return None,
            (_, b'0'..=b'9') => value = value << 4 | u128::from(byte - b'0'),
            (_, b'a'..=b'f') => value = value << 4 | u128::from(byte - b'a' + 10),
            _ => return None,
        }
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_differ_in_text_are_different() {
        let mut seen = Seen::default();
        let mut insert = |text: &str| seen.insert(&text.parse().unwrap());
        assert!(insert("947e374b-2819-44da-b375-4fb248f4dd53"));
        assert!(!insert("947e374b-2819-44da-b375-4fb248f4dd53"));
        assert!(insert("947E374B-2819-44DA-B375-4FB248F4DD53"));
        assert!(insert("947e374b281944dab3754fb248f4dd53"));
        assert!(insert("947e374b-2819-44da-b375-4fb248f4dd54"));
    }

    /// Answers every request with this one page and says that another follows.
    fn requests_until_done(items: &str) -> (u64, u64) {
        let base = crate::BaseUrl::parse("http://localhost").unwrap();
        let key = crate::ApiKey::new("k").unwrap();
        let client = Client::new(base, key, crate::ClientOptions::default()).unwrap();
        let mut walk = client.walk(WalkOptions::default());
        while !walk.done {
            assert!(walk.report.n_requests < 200, "the walk does not end");
            walk.take(SearchPage {
                assets: serde_json::from_str(items).unwrap(),
                next_page: Some(2),
                n_unreadable: 0,
                server_time: Some("2026-01-01T00:00:00Z".parse().unwrap()),
            });
        }
        (walk.report.n_requests, walk.report.n_assets)
    }

    #[test]
    fn walk_ends_when_the_server_repeats_one_page_for_ever() {
        let tie = r#"[{"id":"a","fileCreatedAt":"2020-01-01T00:00:00.000Z"},
                      {"id":"b","fileCreatedAt":"2020-01-01T00:00:00.000Z"}]"#;
        let undated = r#"[{"id":"a"},{"id":"b"}]"#;
        for items in [tie, undated] {
            let (_, n_assets) = requests_until_done(items);
            assert_eq!(n_assets, 2);
        }
        assert_eq!(requests_until_done("[]"), (4, 0));
    }

    #[test]
    fn old_servers_are_asked_without_visibility() {
        let options = |minor| {
            WalkOptions::for_version(&ServerVersion::new(1, minor, 0), SearchFilter::default())
        };
        assert_eq!(options(118).visibilities, [None]);
        assert_eq!(options(118).filter.with_archived, Some(true));
        assert_eq!(options(135).visibilities.len(), 2);
        assert_eq!(options(144).filter.with_archived, None);
    }
}
