//! The report at the end of a chain: from assets seen to sets, who was found most, and
//! what to do next.

use std::collections::BTreeMap;
use std::fmt::Write;

use faceset_cache::{FileTable, Found};
use faceset_core::manifest::{SwapReadyManifest, check_version};
use faceset_queue::{QueueItem, StageStatus, latest_states, read_rows};
use serde::Serialize;
use serde_json::Value;

use crate::StagingError;
use crate::chain::config::ChainConfig;
use crate::chain::run::{ChainEnd, ChainOutcome, StepEnd};
use crate::report::bytes_words;

/// People named in the text; all are in the JSON.
const NAMED_HITS: usize = 20;

/// The numbers of one library, in the order they come about. What a step did not report is
/// unknown.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Numbers {
    /// Assets that staging decided on.
    pub seen: u64,
    /// Photos staged.
    pub staged: u64,
    /// Their bytes.
    pub staged_bytes: u64,
    /// The same as a photo of the collection.
    pub dup_canonical: u64,
    /// The same as another of the library.
    pub dup_internal: u64,
    /// Without a face.
    pub no_face: u64,
    /// With small faces only.
    pub small_face: u64,
    /// Left out by pattern.
    pub excluded: u64,
    /// Failed when last tried.
    pub failed: u64,
    /// Faces in the library's cache.
    pub faces: Option<u64>,
    /// Photos there on which the embedder found no face.
    pub noface: Option<u64>,
    /// Photos there that it could not read.
    pub unreadable: Option<u64>,
    /// Faces of people who had a set, as discovery reports it.
    pub matched: Option<u64>,
    /// Groups of the others.
    pub raw_clusters: Option<u64>,
    /// Groups that passed the gates.
    pub candidates: Option<u64>,
    /// New sets exported.
    pub new_sets: Option<u64>,
}

/// A person and how many faces of this library are in their set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hit {
    /// `faceset_NNN`.
    pub set: String,
    /// Their name, when one is known.
    pub label: Option<String>,
    /// Exported faces on photos of this library.
    pub faces: u64,
    /// Faces that discovery matched to the person.
    pub matched: Option<u64>,
}

/// The report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChainReport {
    /// The user's label.
    pub label: String,
    /// What ran, or not.
    pub outcome: ChainOutcome,
    /// From assets to sets.
    pub numbers: Numbers,
    /// Most faces first.
    pub hits: Vec<Hit>,
    /// What a person could do next.
    pub next: Vec<String>,
}

impl ChainReport {
    /// Gathers the report from the queue, the cache, the swap-ready folder and what the
    /// programs printed.
    ///
    /// # Errors
    /// When one of the files is there and cannot be read.
    pub fn gather(config: &ChainConfig, outcome: ChainOutcome) -> Result<Self, StagingError> {
        let mut numbers = staged_numbers(config)?;
        if let Some(cache) = config.cache.as_deref().filter(|cache| cache.exists()) {
            let (table, _) = FileTable::load(cache)?;
            let photos = config.places.root_paths.posix();
            let (mut faces, mut noface, mut unreadable) = (0, 0, 0);
            for file in table.under(photos) {
                match file.found {
                    Found::Failed(_) => unreadable += 1,
                    Found::Faces(0) => noface += 1,
                    Found::Faces(n) => faces += n as u64,
                }
            }
            numbers.faces = Some(faces);
            numbers.noface = Some(noface);
            numbers.unreadable = Some(unreadable);
        }
        let mut matched = BTreeMap::new();
        for report in outcome.reports.values() {
            read_discovery(report, &mut numbers, &mut matched);
        }
        let hits = hits(config, &matched)?;
        let next = next_steps(config, &outcome, &numbers);
        Ok(Self {
            label: config.label.clone(),
            outcome,
            numbers,
            hits,
            next,
        })
    }

    /// For people.
    pub fn text(&self) -> String {
        let n = &self.numbers;
        let mut lines = Vec::new();
        for (name, end) in &self.outcome.steps {
            lines.push(match end {
                StepEnd::Skipped => format!("{name}: done before"),
                StepEnd::Ran { seconds } => format!("{name}: done in {seconds:.1} s"),
                StepEnd::Paused => format!("{name}: paused"),
                StepEnd::Interrupted => format!("{name}: interrupted"),
                StepEnd::Failed { reason } => format!("{name}: failed: {reason}"),
            });
        }
        lines.push(format!("{}:", self.label));
        let skipped = n.no_face + n.small_face;
        let mut row = |n: Option<u64>, words: &str, more: String| {
            if let Some(n) = n {
                lines.push(format!("  {n:>8} {words}{more}"));
            }
        };
        row(Some(n.seen), "assets decided on", String::new());
        let size = format!(" ({})", bytes_words(n.staged_bytes));
        row(Some(n.staged), "photos staged", size);
        row(
            Some(n.dup_canonical),
            "the same as a known photo",
            String::new(),
        );
        row(
            Some(n.dup_internal),
            "the same as another of them",
            String::new(),
        );
        row(Some(skipped), "without a big face", String::new());
        row(Some(n.excluded), "left out by pattern", String::new());
        row(Some(n.failed), "failed when last tried", String::new());
        let noface = n.noface.unwrap_or_default();
        row(
            n.faces,
            "faces",
            format!(" and {noface} photos without one"),
        );
        row(
            n.unreadable.filter(|n| *n > 0),
            "photos that could not be read",
            String::new(),
        );
        let share = n.matched.zip(n.faces.filter(|faces| *faces > 0));
        let share = share.map_or_else(String::new, |(matched, faces)| {
            format!(" ({:.0} %)", matched as f64 / faces as f64 * 100.0)
        });
        row(n.matched, "of people who had a set", share);
        row(n.raw_clusters, "groups of the others", String::new());
        row(n.candidates, "groups that passed the gates", String::new());
        row(n.new_sets, "new sets", String::new());
        if !self.hits.is_empty() {
            lines.push("most faces of:".to_owned());
        }
        for hit in self.hits.iter().take(NAMED_HITS) {
            let mut line = format!("  {:>8} {}", hit.faces, hit.set);
            if let Some(label) = &hit.label {
                let _ = write!(line, " {label}");
            }
            if let Some(matched) = hit.matched.filter(|n| *n > 0) {
                let _ = write!(line, " (+{matched} matched)");
            }
            lines.push(line);
        }
        if self.hits.len() > NAMED_HITS {
            lines.push(format!(
                "  and {} more people",
                self.hits.len() - NAMED_HITS
            ));
        }
        if !self.next.is_empty() {
            lines.push("next:".to_owned());
            lines.extend(self.next.iter().map(|step| format!("  {step}")));
        }
        lines.join("\n")
    }
}

fn staged_numbers(config: &ChainConfig) -> Result<Numbers, StagingError> {
    let queue = &config.places.queue;
    let (states, _) = latest_states(&queue.state_path())?;
    let mut numbers = Numbers {
        seen: states.len() as u64,
        ..Numbers::default()
    };
    for row in states.values() {
        *match row.status {
            StageStatus::Staged => &mut numbers.staged,
            StageStatus::DupCanonical => &mut numbers.dup_canonical,
            StageStatus::DupInternal => &mut numbers.dup_internal,
            StageStatus::NoFace => &mut numbers.no_face,
            StageStatus::SmallFace => &mut numbers.small_face,
            StageStatus::Excluded => &mut numbers.excluded,
            StageStatus::FacesError | StageStatus::DownloadError => &mut numbers.failed,
        } += 1;
    }
    let mut sizes = BTreeMap::new();
    read_rows(&queue.items_path(), |_, item: QueueItem| {
        sizes.insert(item.rel.folded(), item.size);
    })?;
    numbers.staged_bytes = sizes.values().sum();
    Ok(numbers)
}

/// What `cluster-discover --json` prints; programs that print something else tell nothing.
fn read_discovery(report: &Value, numbers: &mut Numbers, matched: &mut BTreeMap<String, u64>) {
    let found = &report["report"];
    let number = |name: &str| found.get(name).and_then(Value::as_u64);
    numbers.matched = number("covered").or(numbers.matched);
    numbers.raw_clusters = number("raw_clusters").or(numbers.raw_clusters);
    numbers.candidates = number("candidates").or(numbers.candidates);
    let exported = report["export"]["sets"].as_array().map(|sets| {
        let full = sets
            .iter()
            .filter(|set| set["n_exported"].as_u64().unwrap_or(0) > 0);
        full.count() as u64
    });
    numbers.new_sets = exported.or(numbers.new_sets);
    for hit in found["hits"].as_array().into_iter().flatten() {
        if let (Some(name), Some(n)) = (hit["name"].as_str(), hit["n_new"].as_u64()) {
            matched.insert(name.to_owned(), n);
        }
    }
}

fn hits(config: &ChainConfig, matched: &BTreeMap<String, u64>) -> Result<Vec<Hit>, StagingError> {
    let Some(path) = config.sets.as_ref().map(|sets| sets.join("manifest.json")) else {
        return Ok(Vec::new());
    };
    if !path.exists() {
        return Ok(Vec::new());
    }
    let refuse = |what: String| StagingError::Config {
        path: path.clone(),
        what,
    };
    let value: Value = faceset_fs::read_json(&path)?;
    check_version(&value).map_err(|newer| {
        refuse(format!(
            "it has version {newer}, newer than this build reads"
        ))
    })?;
    let manifest: SwapReadyManifest =
        serde_json::from_value(value).map_err(|error| refuse(error.to_string()))?;
    let photos = format!("{}/", config.places.root_paths.posix());
    let mut hits: Vec<Hit> = manifest
        .facesets
        .iter()
        .map(|set| {
            let ours = set.faces.iter().filter(|face| {
                let at_home = |path: &faceset_core::SourcePath| path.as_str().starts_with(&photos);
                at_home(&face.key.path) || face.places.iter().any(at_home)
            });
            Hit {
                set: set.name.clone(),
                label: set.label.clone(),
                faces: ours.count() as u64,
                matched: matched.get(&set.name).copied(),
            }
        })
        .filter(|hit| hit.faces > 0 || hit.matched.is_some_and(|n| n > 0))
        .collect();
    let weight = |hit: &Hit| hit.faces + hit.matched.unwrap_or(0);
    hits.sort_by(|a, b| weight(b).cmp(&weight(a)).then_with(|| a.set.cmp(&b.set)));
    Ok(hits)
}

fn next_steps(config: &ChainConfig, outcome: &ChainOutcome, numbers: &Numbers) -> Vec<String> {
    let mut next = Vec::new();
    match outcome.end {
        ChainEnd::Failed => {
            next.push("mend what the failed step says, then run the same command".to_owned());
        }
        ChainEnd::Paused | ChainEnd::Interrupted => {
            next.push("run the same command again: it goes on where it stopped".to_owned());
        }
        ChainEnd::Done => {}
    }
    if numbers.seen == 0 && numbers.staged_bytes == 0 {
        next.push(format!(
            "stage first: immich-stage --user {} --root ...",
            config.label
        ));
    }
    if numbers.failed > 0 {
        next.push(format!(
            "stage again: {} photos failed when last tried",
            numbers.failed
        ));
    }
    if let (Some(n @ 1..), Some(cache)) = (numbers.unreadable, &config.cache) {
        next.push(format!(
            "have the server's picture of the {n} photos that could not be read: immich-stage ... \
             --render-unread {}",
            cache.display()
        ));
    }
    if outcome.end == ChainEnd::Done && numbers.matched.is_some_and(|n| n > 0) {
        next.push("put the matched faces into their people's sets: sort-faces extend".to_owned());
    }
    if outcome.end == ChainEnd::Done && numbers.new_sets.is_some_and(|n| n > 0) {
        next.push("look at the new sets and name them: sort-faces people".to_owned());
    }
    next
}
