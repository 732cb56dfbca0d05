//! What the staging tests share: a lopsided library in a fake server, a client that waits
//! milliseconds where it would wait seconds, and what a run leaves on disk.
#![allow(dead_code, reason = "every test file uses its own part of this")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use faceset_core::{CancelToken, NoProgress};
use faceset_queue::{
    AliasRow, PathStyle, QueueDir, QueueItem, RootPaths, latest_states, read_rows,
};
use faceset_staging::{StageCtx, StageOptions, StageReport, StageSettings, StagingError};
use immich_client::{ApiKey, BaseUrl, Client, ClientOptions, RetryPolicy};
use immich_fake::{Content, Fake, Library, Shape, Uuid};
use jiff::Timestamp;

/// 2020-01-01T00:00:00Z in microseconds.
pub(crate) const T0: i64 = 1_577_836_800_000_000;

pub(crate) fn fast() -> ClientOptions {
    ClientOptions {
        timeout: Duration::from_millis(400),
        probe_timeout: Duration::from_millis(200),
        breaker_cool_down: Duration::from_millis(300),
        retry: RetryPolicy {
            base: Duration::from_millis(2),
            ..RetryPolicy::default()
        },
        jitter_seed: 1,
        ..ClientOptions::default()
    }
}

pub(crate) struct World {
    pub(crate) fake: Fake,
    pub(crate) user: Uuid,
    pub(crate) key: String,
    pub(crate) dir: tempfile::TempDir,
}

/// A server with one user, whose photos `fill` adds.
pub(crate) async fn world(shape: Shape, fill: impl FnOnce(&mut Library, Uuid)) -> World {
    let mut library = Library::new();
    let user = library.add_user("Anna");
    let key = library.add_key(user, "all", &["all"]);
    fill(&mut library, user);
    World {
        fake: Fake::start(library, shape).await,
        user,
        key,
        dir: tempfile::tempdir().unwrap(),
    }
}

impl World {
    pub(crate) fn client(&self) -> Client {
        self.client_with(&self.key, fast())
    }

    pub(crate) fn client_with(&self, key: &str, options: ClientOptions) -> Client {
        let base = BaseUrl::parse(&self.fake.url()).unwrap();
        Client::new(base, ApiKey::new(key).unwrap(), options).unwrap()
    }

    pub(crate) async fn stage(&self) -> StageReport {
        self.stage_with(|_| {}).await.unwrap()
    }

    pub(crate) async fn stage_with(
        &self,
        change: impl FnOnce(&mut StageSettings),
    ) -> Result<StageReport, StagingError> {
        stage_into(
            self.dir.path(),
            &self.client(),
            change,
            &CancelToken::default(),
        )
        .await
    }

    pub(crate) fn left(&self) -> Left {
        left(self.dir.path(), "anna")
    }

    /// How often each original was asked for with an answer.
    pub(crate) fn n_fetched(&self, part: &str) -> usize {
        let log = self.fake.log();
        let good = log
            .iter()
            .filter(|entry| !entry.faulty && entry.status == 200);
        good.filter(|entry| entry.request.contains(part)).count()
    }
}

pub(crate) async fn stage_into(
    root: &Path,
    client: &Client,
    change: impl FnOnce(&mut StageSettings),
    cancel: &CancelToken,
) -> Result<StageReport, StagingError> {
    let options = options(root, change)?;
    let ctx = ctx(cancel);
    faceset_staging::stage(client, &options, &ctx).await
}

pub(crate) fn options(
    root: &Path,
    change: impl FnOnce(&mut StageSettings),
) -> Result<StageOptions, StagingError> {
    let mut settings = StageSettings::new(root, "anna");
    change(&mut settings);
    StageOptions::try_from(settings)
}

pub(crate) fn ctx(cancel: &CancelToken) -> StageCtx<'_> {
    StageCtx {
        progress: &NoProgress,
        cancel,
        holder: "test",
        host: "here",
        now: &|| Timestamp::UNIX_EPOCH,
    }
}

/// Writes a cache that knows one photo without a face, of these bytes.
pub(crate) fn cache_with(path: &Path, photo: &str, bytes: &[u8]) {
    let found = faceset_core::FileStatus::Faces(Vec::new());
    cache_that_found(path, photo, bytes, found);
}

/// Writes a cache that knows one photo of these bytes, with what was found on it.
pub(crate) fn cache_that_found(
    path: &Path,
    photo: &str,
    bytes: &[u8],
    found: faceset_core::FileStatus,
) {
    use faceset_cache::{CacheMeta, CacheWriter, PackIdentity};
    let meta = CacheMeta {
        pack: PackIdentity {
            name: "none".to_owned(),
            digest: "00".to_owned(),
            ..PackIdentity::unknown(4)
        },
        det_size: [640, 640],
        det_thresh: 0.5,
        src_roots: BTreeSet::new(),
        provider: String::new(),
        extra: BTreeMap::new(),
    };
    let mut writer = CacheWriter::open(path, &meta, "test").unwrap();
    writer
        .put(faceset_core::FileEntry {
            path: photo.into(),
            sha256: faceset_core::hash_bytes(bytes),
            size: bytes.len() as u64,
            mtime_ns: 0,
            dims: [0, 0],
            taken: String::new(),
            source: "original".to_owned(),
            status: found,
        })
        .unwrap();
    writer.finish().unwrap();
}

/// What a run leaves, in a form that does not depend on the order of downloads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Left {
    /// Relative path and bytes of every file among the photos.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    pub(crate) items: BTreeMap<String, String>,
    pub(crate) aliases: BTreeMap<String, String>,
    pub(crate) states: BTreeMap<String, String>,
}

/// What a folder is called in queues and caches: as Linux spells it, on Windows too.
pub(crate) fn called(folder: &Path) -> String {
    let root = RootPaths::from_local(folder.to_str().unwrap(), PathStyle::here()).unwrap();
    root.posix().to_owned()
}

pub(crate) fn left(root: &Path, label: &str) -> Left {
    let mut files = BTreeMap::new();
    let photos = root.join("immich").join(label);
    walk(&photos, &photos, &mut files);
    let queue = QueueDir::new(root.join("work/immich").join(label));
    let mut items = BTreeMap::new();
    let report = read_rows(&queue.items_path(), |_, item: QueueItem| {
        let text = serde_json::to_string(&item).unwrap();
        let before = items.insert(item.asset_id.clone(), text.clone());
        assert!(
            before.is_none_or(|b| b == text),
            "one item an asset: {text}"
        );
    })
    .unwrap();
    assert_eq!(report.damaged, []);
    let mut aliases = BTreeMap::new();
    read_rows(&queue.aliases_path(), |_, alias: AliasRow| {
        // Whether the sha256 was known depends on who came first; the rest does not.
        let text = format!("{} -> {}", alias.path, alias.canonical);
        let before = aliases.insert(alias.asset_id.clone(), text.clone());
        assert!(before.is_none_or(|b| b == text), "one alias an asset");
    })
    .unwrap();
    let states = latest_states(&queue.state_path()).unwrap().0;
    let states = states
        .into_iter()
        .map(|(id, row)| (id, format!("{:?} {:?}", row.status, row.rel)))
        .collect();
    Left {
        files,
        items,
        aliases,
        states,
    }
}

fn walk(root: &Path, folder: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(root, &path, files);
        } else {
            let rel = path
                .strip_prefix(root)
                .unwrap()
                .to_string_lossy()
                .replace('\\', "/");
            files.insert(rel, std::fs::read(&path).unwrap());
        }
    }
}

impl Left {
    pub(crate) fn names(&self) -> BTreeSet<&str> {
        self.files.keys().map(String::as_str).collect()
    }
}

/// A photo with one face of this short edge in pixels of the original, in a preview of
/// half the size.
pub(crate) fn photo(library: &mut Library, user: Uuid, path: &str, nth: i64, short: i32) -> Uuid {
    let name = path.rsplit('/').next().unwrap();
    let id = library.add_photo(user, name, T0 + nth * 1_000_000);
    library.update_asset(id, |asset| path.clone_into(&mut asset.path));
    if short > 0 {
        let area = [100, 50, 100 + short / 2, 50 + short];
        library.add_face(id, None, area, (1500, 1000));
    }
    id
}

/// Gives a photo these bytes.
pub(crate) fn set_bytes(library: &mut Library, id: Uuid, bytes: &[u8]) {
    library.update_asset(id, |asset| asset.content = Content::Bytes(bytes.into()));
}

/// A library of `n` photos in a fixed mixture: a third without a face, a third with small
/// ones, the rest big; every tenth has the bytes of the one
/// seven before it.
pub(crate) fn mixture(library: &mut Library, user: Uuid, n: i64) {
    let mut ids = Vec::new();
    for nth in 0..n {
        let short = [200, 0, 40, 180, 90, 0, 60][(nth % 7) as usize];
        let path = format!("/data/library/anna/{}/p{}.jpg", nth % 5, nth / 2);
        let id = photo(library, user, &path, nth / 3, short);
        if nth % 10 == 9 {
            let source: Uuid = ids[ids.len() - 7];
            let bytes = library.asset(source).unwrap().bytes();
            set_bytes(library, id, &bytes);
        }
        ids.push(id);
    }
}
