//! Which photo of a cache is which photo of the server.
//!
//! A staging queue knows both names of what it fetched, so nothing has to be read. For
//! photos that no queue knows, the files are read where the cache saw them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::Path;

use faceset_cache::Cache;
use faceset_core::{CancelToken, ContentHash, Progress, SourcePath};
use faceset_queue::{AliasRow, PathStyle, Queue, QueueDir, QueueError, read_rows, respelled};
use immich_client::AssetId;
use serde::Serialize;
use sha1::{Digest, Sha1};
use sha2::Sha256;

/// The same photo's names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PhotoLink {
    /// SHA-256 of the bytes that the cache saw.
    pub sha256: ContentHash,
    /// SHA-1 of the original, as Immich's checksum is; `None` when it is not known, or
    /// when the cache saw what the server had rendered of it.
    pub sha1: Option<[u8; 20]>,
    /// Its id on the server; `None` when the link was made by reading a file.
    pub asset: Option<AssetId>,
}

/// What became of linking a cache's photos by a queue.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct QueueLinkReport {
    /// Photos of the server that are in the cache with faces.
    pub n_linked: usize,
    /// Photos of the queue without faces in the cache: none were found, or they are not
    /// embedded yet.
    pub n_not_in_cache: usize,
    /// Lines of the queue that could not be used.
    pub n_bad_lines: usize,
}

/// Links a cache's photos by the items of the queue folder that they were staged in, and
/// by its list of duplicates. No photo is opened.
///
/// # Errors
/// When the folder holds no queue, or one of a newer version.
pub fn link_by_queue(
    cache: &Cache,
    folder: &QueueDir,
) -> Result<(Vec<PhotoLink>, QueueLinkReport), QueueError> {
    let queue = folder.load()?;
    let mut aliases: Vec<AliasRow> = Vec::new();
    let alias_report = read_rows(&folder.aliases_path(), |_, row: AliasRow| aliases.push(row))?;
    let mut report = QueueLinkReport {
        n_bad_lines: queue.refused.len() + queue.report.damaged.len() + alias_report.damaged.len(),
        ..QueueLinkReport::default()
    };
    // A photo that was staged after all is what it was staged as.
    let mut links: BTreeMap<AssetId, PhotoLink> = BTreeMap::new();
    for (asset, sha256, sha1) in duplicates(&queue, cache, &aliases).chain(staged(&queue)) {
        let Ok(asset) = asset.parse::<AssetId>() else {
            report.n_bad_lines += 1;
            continue;
        };
        let link = PhotoLink {
            sha256,
            sha1,
            asset: Some(asset.clone()),
        };
        links.insert(asset, link);
    }
    let has_faces = |link: &PhotoLink| {
        let file = cache.by_hash(&link.sha256);
        file.is_some_and(|file| !file.faces().is_empty())
    };
    let n_known = links.len();
    let links: Vec<PhotoLink> = links.into_values().filter(has_faces).collect();
    report.n_linked = links.len();
    report.n_not_in_cache = n_known - links.len();
    Ok((links, report))
}

type Named<'a> = (&'a str, ContentHash, Option<[u8; 20]>);

/// Items that came from a server.
fn staged(queue: &Queue) -> impl Iterator<Item = Named<'_>> {
    let items = queue.items.iter().filter(|item| !item.asset_id.is_empty());
    items.map(|item| {
        // The hash of a rendering is not the original's.
        let original = item.sha1.filter(|_| item.rendered.is_none());
        (&*item.asset_id, item.sha256, original.map(|sha1| sha1.0))
    })
}

/// Photos that were not staged since their bytes were there: they are what the photo
/// that stands for them is.
fn duplicates<'a>(
    queue: &'a Queue,
    cache: &'a Cache,
    aliases: &'a [AliasRow],
) -> impl Iterator<Item = Named<'a>> {
    let by_place: BTreeMap<SourcePath, ContentHash> = queue
        .items
        .iter()
        .map(|item| (queue.logical(item), item.sha256))
        .collect();
    aliases.iter().filter_map(move |alias| {
        let place = SourcePath::from(alias.canonical.as_str());
        let sha256 = alias
            .sha256
            .or_else(|| by_place.get(&place).copied())
            .or_else(|| cache.resolve(&place).map(|file| file.sha256))?;
        Some((&*alias.asset_id, sha256, alias.sha1.map(|sha1| sha1.0)))
    })
}

/// What became of linking a cache's photos by reading them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct LinkReport {
    /// Photos read and linked.
    pub n_linked: usize,
    /// Photos whose file is not there or can't be read.
    pub n_unreadable: usize,
    /// Photos whose file holds other bytes now.
    pub n_changed: usize,
}

/// Links a cache's photos by reading their files where the cache saw them, but for those
/// that `linked` names already. Stops early, with what there is, when cancelled.
pub fn link_by_reading(
    cache: &Cache,
    linked: &[PhotoLink],
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> (Vec<PhotoLink>, LinkReport) {
    let known: BTreeSet<&ContentHash> = linked.iter().map(|link| &link.sha256).collect();
    let left = || {
        let files = cache.files().filter(|file| !file.faces().is_empty());
        files.filter(|file| !known.contains(&file.sha256))
    };
    progress.start("link photos to Immich", Some(left().count() as u64));
    let (mut links, mut report) = (Vec::new(), LinkReport::default());
    for file in left() {
        if cancel.is_cancelled() {
            break;
        }
        let place = respelled(file.path.as_str(), PathStyle::here());
        match hashes(Path::new(&*place)) {
            Err(_) => report.n_unreadable += 1,
            Ok((_, sha256)) if sha256 != file.sha256 => report.n_changed += 1,
            Ok((sha1, sha256)) => {
                report.n_linked += 1;
                links.push(PhotoLink {
                    sha256,
                    sha1: Some(sha1),
                    asset: None,
                });
            }
        }
        progress.advance(1);
    }
    progress.finish();
    (links, report)
}

fn hashes(path: &Path) -> std::io::Result<([u8; 20], ContentHash)> {
    let mut file = File::open(path)?;
    let (mut sha1, mut sha256) = (Sha1::new(), Sha256::new());
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        sha1.update(&buffer[..n]);
        sha256.update(&buffer[..n]);
    }
    Ok((
        sha1.finalize().into(),
        ContentHash(sha256.finalize().into()),
    ))
}
