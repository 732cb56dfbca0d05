//! The staging run: listing, judging, fetching, recording, all under way at once.
//!
//! One task holds all state and decides in the listing's order, so that which of two
//! equal photos is kept does not depend on the speed of downloads. Requests run beside it,
//! as many as the throttle allows. At most about two pages of assets are held.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use faceset_core::{CancelToken, Progress};
use faceset_queue::{QueueHead, read_rows};
use immich_client::{Asset, Client, Error, ErrorKind, Face};
use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::StagingError;
use crate::decide::Waiter;
use crate::fetch::{FetchError, Fetched, Job, fetch};
use crate::index::Index;
use crate::judge::{BoxSource, Verdict};
use crate::listing::{self, Listed, Page};
use crate::options::StageOptions;
use crate::record::Recorder;
use crate::report::{Bucket, Ended, StageReport};
use crate::session::Session;
use crate::throttle::Throttle;

/// How often the run looks for a request to stop and saves what was decided.
const TICK: Duration = Duration::from_millis(200);
/// Time between lines that say where the run is.
const LINE_EVERY: Duration = Duration::from_secs(30);
/// The next page is asked for when fewer assets than this wait for their turn.
const LOW_WATER: usize = 500;
/// Answers in a row that make no sense before the run stops: a proxy's login page, another
/// API. As many as failed calls open the breaker.
const MAX_SENSELESS: u32 = 12;

/// What a run may use besides the server.
pub struct StageCtx<'a> {
    /// Where it says how far it is.
    pub progress: &'a dyn Progress,
    /// Asked several times a second.
    pub cancel: &'a CancelToken,
    /// Who runs, for the lock: `immich-stage, process 4711`.
    pub holder: &'a str,
    /// Name of this machine, for the queue's head. May be empty.
    pub host: &'a str,
    /// The time, for the states.
    pub now: &'a (dyn Fn() -> Timestamp + Sync),
}

impl std::fmt::Debug for StageCtx<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StageCtx")
            .field("holder", &self.holder)
            .finish_non_exhaustive()
    }
}

/// Stages the library of the client's key. The same call resumes a run that ended early,
/// however it ended.
///
/// # Errors
/// What keeps it from beginning or going on; see [`StagingError`]. An outage after the
/// start is no error but [`Ended::Outage`]. Photos that fail are counted in the report.
pub async fn stage(
    client: &Client,
    options: &StageOptions,
    ctx: &StageCtx<'_>,
) -> Result<StageReport, StagingError> {
    let places = &options.places;
    let _lock = places.queue.lock_staging(ctx.holder)?;
    let session = Session::begin(client, options, true).await?;
    let index = Index::load(places, &options.canonical, &options.render_unread)?;
    let new = QueueHead {
        host: ctx.host.to_owned(),
        ..QueueHead::new(
            &options.label,
            places.root_id.clone(),
            places.root_paths.clone(),
        )
    };
    let head = if places.queue.head_path().exists() {
        new.after(places.queue.read_head()?)
    } else {
        new
    };
    places.queue.write_head(&head)?;
    let recorder = Recorder::open(&places.queue)?;
    let run = Run::new(client, options, ctx, index, Some(recorder));
    let mut report = run.go(&session).await?;
    report.queued = n_queued(options)?;
    Ok(report)
}

/// What [`stage`] would do: lists and judges, fetches and writes nothing.
///
/// Equal photos without a checksum of the server are found only when fetched, and so are
/// copies of photos in the caches to compare with.
///
/// # Errors
/// As [`stage`].
pub async fn plan(
    client: &Client,
    options: &StageOptions,
    ctx: &StageCtx<'_>,
) -> Result<StageReport, StagingError> {
    let session = Session::begin(client, options, false).await?;
    let index = Index::load(&options.places, &options.canonical, &options.render_unread)?;
    let run = Run::new(client, options, ctx, index, None);
    let mut report = run.go(&session).await?;
    report.queued = n_queued(options)?;
    Ok(report)
}

fn n_queued(options: &StageOptions) -> Result<u64, StagingError> {
    let path = options.places.queue.items_path();
    let mut seen = std::collections::HashSet::new();
    read_rows(&path, |_, item: faceset_queue::QueueItem| {
        seen.insert(item.rel.folded());
    })?;
    Ok(seen.len() as u64)
}

/// An asset whose turn has not come.
#[derive(Debug)]
enum Slot {
    /// Its faces are known.
    Ready(Box<Asset>, Vec<Face>, BoxSource),
    /// Its faces have to be asked for.
    Unasked(Box<Asset>),
    /// They are being asked for.
    Asking,
    /// They could not be had.
    Failed(Box<Asset>, Error),
}

#[derive(Debug)]
enum Finished {
    Faces(u64, Box<Asset>, Result<Vec<Face>, Error>),
    File(Box<Job>, Result<Fetched, FetchError>),
}

/// Why no more work is handed out.
#[derive(Debug)]
pub(crate) enum Stop {
    Outage(String),
    Interrupted,
    Fatal(StagingError),
}

#[derive(Debug)]
pub(crate) struct Run<'a> {
    client: &'a Client,
    pub(crate) options: &'a StageOptions,
    pub(crate) ctx: &'a StageCtx<'a>,
    pub(crate) index: Index<Waiter>,
    /// `None` in a plan.
    pub(crate) recorder: Option<Recorder>,
    pub(crate) report: StageReport,
    throttle: Throttle,
    /// In the listing's order; the first has the number `first_slot`.
    slots: VecDeque<Slot>,
    first_slot: u64,
    unasked: VecDeque<u64>,
    pub(crate) downloads: VecDeque<Box<Job>>,
    /// Photos that failed in several runs: their turn comes last.
    pub(crate) last: VecDeque<(Box<Asset>, Verdict)>,
    tasks: JoinSet<Finished>,
    stop: Option<Stop>,
    listed_all: bool,
    n_senseless: u32,
    /// The last request that ended did so by an outage.
    ends_in_outage: bool,
    distress_before: u64,
    window_began: Instant,
    window_was_busy: bool,
}

impl<'a> Run<'a> {
    fn new(
        client: &'a Client,
        options: &'a StageOptions,
        ctx: &'a StageCtx<'a>,
        index: Index<Waiter>,
        recorder: Option<Recorder>,
    ) -> Self {
        Self {
            client,
            options,
            ctx,
            report: StageReport::new(&options.label, recorder.is_none()),
            index,
            recorder,
            throttle: Throttle::new(options.workers),
            slots: VecDeque::new(),
            first_slot: 0,
            unasked: VecDeque::new(),
            downloads: VecDeque::new(),
            last: VecDeque::new(),
            tasks: JoinSet::new(),
            stop: None,
            listed_all: false,
            n_senseless: 0,
            ends_in_outage: false,
            distress_before: client.stats().n_distressed,
            window_began: Instant::now(),
            window_was_busy: true,
        }
    }

    async fn go(mut self, session: &Session) -> Result<StageReport, StagingError> {
        let began = Instant::now();
        let before = self.client.stats();
        for note in std::mem::take(&mut self.index.notes) {
            self.ctx.progress.note(&note);
        }
        self.record_leftovers()?;
        let walk = listing::walk_options(&session.version, session.owner.clone());
        let total = listing::expected_total(self.client, &walk).await;
        self.ctx.progress.start("staging", total);
        let mut pages = listing::list(self.client, walk);
        let mut tick = tokio::time::interval(TICK);
        let mut line_at = began + LINE_EVERY;
        loop {
            self.fill()?;
            if self.is_over() {
                break;
            }
            tokio::select! {
                Some(done) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    match done {
                        Ok(finished) => self.finish(finished)?,
                        Err(failed) if failed.is_panic() => {
                            std::panic::resume_unwind(failed.into_panic());
                        }
                        Err(_) => {}
                    }
                }
                listed = pages.recv(), if self.wants_page() => self.take_page(listed)?,
                _ = tick.tick() => {
                    self.save()?;
                    if self.ctx.cancel.is_cancelled() && self.stop.is_none() {
                        self.stop = Some(Stop::Interrupted);
                        // What is half-way is no loss: unfinished files vanish.
                        self.tasks.shutdown().await;
                    }
                    if Instant::now() >= line_at {
                        line_at += LINE_EVERY;
                        let seconds = began.elapsed().as_secs_f64();
                        self.ctx.progress.note(&self.report.progress_line(total, seconds));
                    }
                }
            }
        }
        drop(pages);
        if self.stop.is_none() && self.ends_in_outage {
            // The last photos failed, too few for the breaker: is the server there?
            if let Err(error) = self.client.probe().await {
                self.stop = Some(Stop::Outage(error.to_string()));
            }
        }
        self.sync()?;
        self.ctx.progress.finish();
        let after = self.client.stats();
        let report = &mut self.report;
        report.seconds = began.elapsed().as_secs_f64();
        report.bytes_received = after.media_bytes - before.media_bytes;
        report.retried = after.n_retried - before.n_retried;
        report.workers = self.throttle.limit();
        let settled: u64 = report.counts.values().sum();
        let not_reached = report.seen.saturating_sub(settled);
        if not_reached > 0 {
            report.counts.insert(Bucket::NotReached, not_reached);
        }
        match self.stop {
            None => {}
            Some(Stop::Interrupted) => report.ended = Ended::Interrupted,
            Some(Stop::Outage(why)) => report.ended = Ended::Outage(why),
            Some(Stop::Fatal(error)) => return Err(error),
        }
        Ok(self.report)
    }

    /// Counts an asset as settled.
    pub(crate) fn settle(&mut self, bucket: Bucket) {
        self.report.add(bucket);
        self.ctx.progress.advance(1);
    }

    fn save(&mut self) -> Result<(), StagingError> {
        self.recorder.as_mut().map_or(Ok(()), Recorder::save)
    }

    fn sync(&mut self) -> Result<(), StagingError> {
        self.recorder.as_mut().map_or(Ok(()), Recorder::sync)
    }

    fn wants_page(&self) -> bool {
        let waiting = self.slots.len() + self.downloads.len();
        self.stop.is_none() && !self.listed_all && waiting < LOW_WATER
    }

    fn is_over(&self) -> bool {
        let idle = self.tasks.is_empty();
        let nothing_left =
            self.slots.is_empty() && self.downloads.is_empty() && self.last.is_empty();
        idle && (self.stop.is_some() || (self.listed_all && nothing_left))
    }

    fn take_page(&mut self, listed: Option<Listed>) -> Result<(), StagingError> {
        // The sender ends with a last page, so nothing means that it was aborted.
        let Some(Listed { page, walk }) = listed else {
            self.listed_all = true;
            return Ok(());
        };
        self.report.seen = walk.n_assets;
        self.report.foreign = walk.n_foreign;
        self.report.unreadable = walk.n_unreadable;
        self.report.found_late = walk.n_late;
        self.report.by_pages = walk.strategy == immich_client::WalkStrategy::Pages;
        self.report.unsettled = walk.unsettled;
        match page {
            Page::Assets(assets) => {
                for asset in assets {
                    self.intake(Box::new(asset))?;
                }
                self.decide_ready()?;
            }
            Page::Repeating => self.report.listing_errors += 1,
            Page::End => self.listed_all = true,
            Page::Failed(error) => {
                self.report.listing_errors += 1;
                self.stop(error);
            }
        }
        Ok(())
    }

    /// Settles what needs no faces, and queues the rest.
    fn intake(&mut self, asset: Box<Asset>) -> Result<(), StagingError> {
        if self.settle_at_sight(&asset)? {
            return Ok(());
        }
        let number = self.first_slot + self.slots.len() as u64;
        match asset.faces() {
            Some(faces) => self
                .slots
                .push_back(Slot::Ready(asset, faces, BoxSource::Search)),
            None => {
                self.slots.push_back(Slot::Unasked(asset));
                self.unasked.push_back(number);
            }
        }
        Ok(())
    }

    /// Decides from the front, so in the listing's order.
    fn decide_ready(&mut self) -> Result<(), StagingError> {
        while let Some(Slot::Ready(..) | Slot::Failed(..)) = self.slots.front() {
            self.first_slot += 1;
            match self.slots.pop_front() {
                Some(Slot::Ready(asset, faces, source)) => self.decide(asset, &faces, source)?,
                Some(Slot::Failed(asset, error)) => self.faces_failed(&asset, &error)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Starts requests up to the limit.
    fn fill(&mut self) -> Result<(), StagingError> {
        while self.stop.is_none() && self.tasks.len() < self.throttle.limit() {
            if let Some(job) = self.downloads.pop_front() {
                let client = self.client.clone();
                let contents = Arc::clone(&self.index.contents);
                self.tasks.spawn(async move {
                    let result = fetch(&client, contents, &job).await;
                    Finished::File(job, result)
                });
            } else if let Some(number) = self.unasked.pop_front() {
                self.ask_for_faces(number);
            } else if self.listed_all && self.tasks.is_empty() && self.slots.is_empty() {
                let Some((asset, verdict)) = self.last.pop_front() else {
                    break;
                };
                self.try_at_last(&asset, verdict)?;
            } else {
                break;
            }
        }
        self.window_was_busy &= self.tasks.len() >= self.throttle.limit();
        Ok(())
    }

    fn ask_for_faces(&mut self, number: u64) {
        let at = (number - self.first_slot) as usize;
        let Slot::Unasked(asset) = std::mem::replace(&mut self.slots[at], Slot::Asking) else {
            unreachable!("only unasked slots are in the list of them");
        };
        let client = self.client.clone();
        self.tasks.spawn(async move {
            let faces = client.faces(&asset.id).await;
            Finished::Faces(number, asset, faces)
        });
    }

    fn finish(&mut self, finished: Finished) -> Result<(), StagingError> {
        self.note_pace();
        match finished {
            Finished::Faces(number, asset, result) => {
                let at = (number - self.first_slot) as usize;
                self.slots[at] = match result {
                    Ok(faces) => {
                        self.went_well();
                        Slot::Ready(asset, faces, BoxSource::FacesRoute)
                    }
                    Err(error) => match self.weigh(error) {
                        Some(error) => Slot::Failed(asset, error),
                        None => Slot::Asking,
                    },
                };
                self.decide_ready()
            }
            Finished::File(job, Ok(fetched)) => {
                self.went_well();
                self.accept(&job, &fetched)?;
                self.save()
            }
            Finished::File(job, Err(FetchError::Server(error))) => match self.weigh(error) {
                Some(error) => self.download_failed(&job, &error),
                None => Ok(()),
            },
            Finished::File(_, Err(FetchError::Disk(error))) => {
                self.stop.get_or_insert(Stop::Fatal(error.into()));
                Ok(())
            }
        }
    }

    fn went_well(&mut self) {
        self.n_senseless = 0;
        self.ends_in_outage = false;
    }

    /// Returns the error when it is one photo's; stops the run when it is not.
    fn weigh(&mut self, error: Error) -> Option<Error> {
        self.ends_in_outage = error.kind() == ErrorKind::Outage;
        match error.kind() {
            ErrorKind::Auth | ErrorKind::Permission | ErrorKind::Setup | ErrorKind::Local => {}
            ErrorKind::Outage if error.is_circuit_open() => {}
            ErrorKind::Protocol | ErrorKind::BadRequest => {
                self.n_senseless += 1;
                if self.n_senseless < MAX_SENSELESS {
                    return Some(error);
                }
            }
            _ => return Some(error),
        }
        self.stop(error);
        None
    }

    fn stop(&mut self, error: Error) {
        let away = matches!(error.kind(), ErrorKind::Outage | ErrorKind::ServerFault);
        let stop = if away {
            Stop::Outage(error.to_string())
        } else {
            Stop::Fatal(error.into())
        };
        self.stop.get_or_insert(stop);
    }

    fn note_pace(&mut self) {
        let distressed = self.client.stats().n_distressed;
        let distress = distressed > self.distress_before;
        self.distress_before = distressed;
        if self.throttle.done(distress) {
            let seconds = self.window_began.elapsed().as_secs_f64();
            let busy = self.window_was_busy.then_some(seconds);
            self.throttle.close_window(busy);
            self.window_began = Instant::now();
            self.window_was_busy = true;
        }
    }
}
