//! The same work by the Windows programs and by this machine's, then every byte
//! compared: cache, manifests, pictures, bundles, pages.
//!
//! Both read one queue over the sample pictures, as a stager would have left it; the
//! pages come from a folder that both sort.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use faceset_queue::{PortablePath, QueueDir, QueueHead, QueueItem, RootId, RootPaths};

use super::pair::{Pair, Side, ends};
use super::wine::windows_path;
use super::{Stage, directml, exchange, interrupt};
use crate::built::Program;
use crate::digest;

/// What runs on each system, in a folder of its own; `QUEUE` stands for the
/// queue's folder.
const WORK: [(&str, &[&str]); 4] = [
    (
        "embed-worker",
        &[
            "run",
            "QUEUE",
            "faces.npz",
            "--provider",
            "cpu",
            "--jobs",
            "2",
        ],
    ),
    ("sort-faces", &["cluster", "faces.npz", "raw_full"]),
    ("sort-faces", &["refine", "faces.npz", "facesets_full"]),
    (
        "sort-faces",
        &[
            "export-swap",
            "faces.npz",
            "facesets_full/refine_manifest.json",
            "facesets_swap_ready",
        ],
    ),
];

/// Of every so many sample pictures one is sorted for its pages.
const SORTED_STEP: usize = 3;
/// Of every so many one is staged and worked on both systems.
const STAGED_STEP: usize = 12;

/// Runs the work twice and compares; fails with the files that differ. Returns what
/// was found, for the last line.
pub(super) fn outputs(stage: &Stage<'_>, programs: &[Program]) -> anyhow::Result<String> {
    let folder = stage.target.join("compare");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let queue = folder.join("queue");
    let library = stage.home.sample_library();
    let n_photos = make_queue(&library, &queue)?;
    let pair = Pair::new(stage, programs)?;

    let mut found = vec![chain(&pair, &queue, &folder, n_photos)?];
    println!("  {}", found[0]);
    let mut add = |what: String| {
        println!("  {what}");
        found.push(what);
    };
    let sorted = some(&library, &folder.join("photos"), SORTED_STEP)?;
    add(pages(&pair, &sorted, &folder)?);
    let staged = some(&library, &folder.join("few"), STAGED_STEP)?;
    add(exchange::both_ways(&pair, &staged, &folder)?.to_owned());
    let calm = folder.join(Side::Linux.name()).join("faces.npz");
    add(interrupt::stops_and_resumes(&pair, &queue, &calm, &folder)?.to_owned());
    add(directml::speaks(&pair, &queue, &folder)?.to_owned());
    Ok(found.join("; "))
}

/// [`WORK`] on each system; every file must be equal.
fn chain(pair: &Pair<'_>, queue: &Path, folder: &Path, n_photos: usize) -> anyhow::Result<String> {
    for side in Side::BOTH {
        let out = folder.join(side.name());
        fs::create_dir_all(&out)?;
        let queue = side.path(queue);
        for (program, arguments) in WORK {
            let arguments = arguments
                .iter()
                .map(|a| if *a == "QUEUE" { &queue } else { *a });
            ends(
                pair.command(side, program)?
                    .args(arguments)
                    .current_dir(&out),
                0,
            )?;
        }
    }
    // The journal says when.
    let is_one = |name: &str| !name.ends_with("registry.journal.jsonl");
    let n_files = same(folder, is_one, |bytes| bytes)?;
    Ok(format!(
        "{n_photos} photos through embed-worker, cluster, refine and export-swap: \
         {n_files} files, all equal"
    ))
}

/// Sorts `photos` on each system. Manifests say where photos are and differ in that;
/// the pages link them relatively and must be equal, with every picture they show, once
/// the paths that people read are spelled alike.
fn pages(pair: &Pair<'_>, photos: &Path, folder: &Path) -> anyhow::Result<String> {
    for side in Side::BOTH {
        let out = folder.join(side.name()).join("sorted");
        ends(
            pair.command(side, "sort-faces")?
                .args(["sort", &side.path(photos), &side.path(&out)]),
            0,
        )?;
    }
    let is_one = |name: &str| {
        let below = name.strip_prefix("sorted/");
        below.is_some_and(|name| name == "index.html" || name.starts_with("report/"))
    };
    let [linux, windows] = Side::BOTH.map(|side| side.path(photos));
    let n_files = same(folder, is_one, |bytes| match String::from_utf8(bytes) {
        Ok(page) => page
            .replace(&format!("{windows}\\"), &format!("{linux}/"))
            .into_bytes(),
        Err(picture) => picture.into_bytes(),
    })?;
    Ok(format!(
        "the pages of a sorted folder: {n_files} files, all equal"
    ))
}

/// Compares the files of both systems that `counts` names, those of Windows as
/// `respelled`; their number, which is not 0.
fn same(
    folder: &Path,
    counts: impl Fn(&str) -> bool,
    respelled: impl Fn(Vec<u8>) -> Vec<u8>,
) -> anyhow::Result<usize> {
    let [one, other] = Side::BOTH.map(|side| folder.join(side.name()));
    let (n_files, different) = differences(&one, &other, counts, respelled)?;
    if !different.is_empty() {
        bail!(
            "{} of {n_files} files differ between Linux and Windows: {}",
            different.len(),
            different.join(", ")
        );
    }
    anyhow::ensure!(n_files > 0, "there was nothing to compare");
    Ok(n_files)
}

/// Copies every `step`-th picture below `library` into a folder; returns it.
fn some(library: &Path, to: &Path, step: usize) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(to)?;
    for (at, path) in files_below(library)?.values().step_by(step).enumerate() {
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        fs::copy(path, to.join(format!("{at:03}.{extension}")))?;
    }
    Ok(to.to_path_buf())
}

/// A queue of every picture below `photos`, with both systems' spelling of the
/// folder. Returns their number.
fn make_queue(photos: &Path, folder: &Path) -> anyhow::Result<usize> {
    fs::create_dir_all(folder)?;
    let queue = QueueDir::new(folder);
    let root = RootId::make("samples");
    let posix = photos.to_str().context("the samples' path is UTF-8")?;
    let places = RootPaths::new(posix.to_owned(), Some(windows_path(photos)))
        .map_err(|refusal| anyhow::anyhow!("{refusal}"))?;
    queue.write_head(&QueueHead::new("samples", root.clone(), places))?;
    let mut items = queue.append_items()?;
    let mut n_items = 0;
    for (rel, path) in files_below(photos)? {
        let bytes = fs::read(&path)?;
        // The samples have file names that no portable path can have, too.
        let Ok(rel) = PortablePath::new(rel) else {
            continue;
        };
        items.append(&QueueItem {
            root: root.clone(),
            rel,
            sha256: digest::of_bytes(&bytes)
                .parse()
                .map_err(|e| anyhow::anyhow!("{e}"))?,
            sha1: None,
            size: bytes.len() as u64,
            asset_id: String::new(),
            owner_id: String::new(),
            original_path: String::new(),
            taken_at: None,
            width: 0,
            height: 0,
            rendered: None,
        })?;
        n_items += 1;
    }
    items.sync()?;
    Ok(n_items)
}

/// Names of files that are not the same on both sides, and how many there are.
fn differences(
    one: &Path,
    other: &Path,
    counts: impl Fn(&str) -> bool,
    respelled: impl Fn(Vec<u8>) -> Vec<u8>,
) -> anyhow::Result<(usize, Vec<String>)> {
    let (one, other) = (files_below(one)?, files_below(other)?);
    let names = one.keys().chain(other.keys());
    let mut names: Vec<&String> = names.filter(|name| counts(name)).collect();
    names.sort_unstable();
    names.dedup();
    let mut different = Vec::new();
    for name in &names {
        let same = match (one.get(*name), other.get(*name)) {
            (Some(a), Some(b)) => fs::read(a)? == respelled(fs::read(b)?),
            _ => false,
        };
        if !same {
            different.push((*name).clone());
        }
    }
    Ok((names.len(), different))
}

/// Every file below `folder` but locks, by its name below it with `/`.
fn files_below(folder: &Path) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(&at).with_context(|| format!("cannot list {}", at.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_none_or(|e| e != "lock") {
                let below = path.strip_prefix(folder).context("listed below it")?;
                let name = below.to_string_lossy().replace('\\', "/");
                found.insert(name, path);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_byte_or_a_missing_file_is_a_difference_and_a_lock_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (dir.path().join("a"), dir.path().join("b"));
        for side in [&one, &other] {
            fs::create_dir_all(side.join("sub")).unwrap();
            fs::write(side.join("sub/same"), b"1").unwrap();
        }
        fs::write(one.join("sub/x.lock"), b"").unwrap();
        let different =
            |counts: fn(&str) -> bool| differences(&one, &other, counts, |b| b).unwrap();
        assert_eq!(different(|_| true), (1, vec![]));
        fs::write(one.join("byte"), b"1").unwrap();
        fs::write(other.join("byte"), b"2").unwrap();
        fs::write(other.join("sub/more"), b"").unwrap();
        assert_eq!(
            different(|_| true),
            (3, vec!["byte".to_owned(), "sub/more".to_owned()])
        );
        assert_eq!(
            different(|name| name.starts_with("sub/")),
            (2, vec!["sub/more".to_owned()])
        );
        let as_one = |bytes: Vec<u8>| if bytes == b"2" { b"1".to_vec() } else { bytes };
        assert_eq!(
            differences(&one, &other, |name| name == "byte", as_one).unwrap(),
            (1, vec![])
        );
    }

    #[test]
    fn the_queue_holds_every_picture_with_a_portable_name() {
        let dir = tempfile::tempdir().unwrap();
        let photos = dir.path().join("photos");
        fs::create_dir_all(photos.join("a b")).unwrap();
        fs::write(photos.join("a b/1.jpg"), b"one").unwrap();
        fs::write(photos.join("what?.jpg"), b"two").unwrap();
        let queue = dir.path().join("queue");
        assert_eq!(make_queue(&photos, &queue).unwrap(), 1);
        let loaded = QueueDir::new(&queue).load().unwrap();
        assert_eq!(loaded.items.len(), 1);
        assert_eq!(loaded.items[0].rel.as_str(), "a b/1.jpg");
    }
}
