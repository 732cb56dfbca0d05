//! The same work by the Windows programs and by this machine's, then every byte
//! compared: cache, manifests, pictures, bundles, pages.
//!
//! Both read one queue over the sample pictures, as a stager would have left it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, bail, ensure};
use faceset_queue::{PortablePath, QueueDir, QueueHead, QueueItem, RootId, RootPaths};

use super::Stage;
use super::wine::windows_path;
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

/// The exit code for a device that was asked for and is not there.
const DEVICE_MISSING: i32 = 3;
/// What DirectML says without a DirectX 12 device: DXGI_ERROR_UNSUPPORTED.
const NO_DIRECTX_DEVICE: &str = "887A0004";

/// Runs the work twice and compares; fails with the files that differ.
pub(super) fn outputs(stage: &Stage<'_>, programs: &Path) -> anyhow::Result<()> {
    let folder = stage.toolchain.folder.join("compare");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let queue = folder.join("queue");
    let n_photos = make_queue(&stage.home.sample_library(), &queue)?;
    let native = crate::cargo::target_folder(stage.home)?.join("debug");
    crate::cargo::build(stage.home, &["embed-worker", "sort-faces"])?;

    let linux = folder.join("linux");
    let windows = folder.join("windows");
    for (system, out) in [("linux", &linux), ("windows", &windows)] {
        fs::create_dir_all(out)?;
        for (program, arguments) in WORK {
            let mut command = if system == "linux" {
                let mut command = Command::new(native.join(program));
                command.env("FACE_SETS_HOME", &stage.home.root);
                command
            } else {
                let mut command = stage.program(programs, program);
                command.env("FACE_SETS_HOME", windows_path(&stage.windows_home));
                command
            };
            let queue = if system == "linux" {
                queue.display().to_string()
            } else {
                windows_path(&queue)
            };
            command
                .args(
                    arguments
                        .iter()
                        .map(|a| if *a == "QUEUE" { &queue } else { *a }),
                )
                .arg("--no-log")
                .current_dir(out)
                .stdin(Stdio::null());
            let output = command
                .output()
                .with_context(|| format!("cannot run {program} on {system}"))?;
            ensure!(
                output.status.success(),
                "{program} {} on {system} ended with {}: {}",
                arguments.join(" "),
                output.status,
                said(&output)
            );
        }
    }
    let (n_files, different) = differences(&linux, &windows)?;
    if !different.is_empty() {
        bail!(
            "{} of {n_files} files differ between Linux and Windows: {}",
            different.len(),
            different.join(", ")
        );
    }
    println!(
        "  {n_photos} photos through embed-worker, cluster, refine and export-swap: {n_files} files, all equal"
    );
    directml_speaks(stage, programs, &queue, &folder)
}

/// Without a device, DirectML by name stops and says why; `auto` falls back and
/// says so.
fn directml_speaks(
    stage: &Stage<'_>,
    programs: &Path,
    queue: &Path,
    folder: &Path,
) -> anyhow::Result<()> {
    let run = |provider: &str| {
        stage
            .program(programs, "embed-worker")
            .env("FACE_SETS_HOME", windows_path(&stage.windows_home))
            .args(["run", &windows_path(queue)])
            .arg(format!("{provider}.npz"))
            .args(["--provider", provider, "--no-log"])
            .current_dir(folder)
            .output()
            .context("cannot run embed-worker")
    };
    let named = run("directml")?;
    ensure!(
        named.status.code() == Some(DEVICE_MISSING) && said(&named).contains(NO_DIRECTX_DEVICE),
        "embed-worker --provider directml should end with {DEVICE_MISSING} and the driver's \
         {NO_DIRECTX_DEVICE}; it ended with {}: {}",
        named.status,
        said(&named)
    );
    let auto = run("auto")?;
    ensure!(
        auto.status.success() && said(&auto).contains("directml"),
        "embed-worker --provider auto should say that directml failed and run on the processor; \
         it ended with {}: {}",
        auto.status,
        said(&auto)
    );
    println!(
        "  directml by name stops with {NO_DIRECTX_DEVICE}; auto says so and runs on the processor"
    );
    Ok(())
}

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr]
        .map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned())
        .join("\n")
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
fn differences(one: &Path, other: &Path) -> anyhow::Result<(usize, Vec<String>)> {
    let (one, other) = (files_below(one)?, files_below(other)?);
    let mut names: Vec<&String> = one.keys().chain(other.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let mut different = Vec::new();
    for name in &names {
        let same = match (one.get(*name), other.get(*name)) {
            (Some(a), Some(b)) => fs::read(a)? == fs::read(b)?,
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
        assert_eq!(differences(&one, &other).unwrap(), (1, vec![]));
        fs::write(one.join("byte"), b"1").unwrap();
        fs::write(other.join("byte"), b"2").unwrap();
        fs::write(other.join("sub/more"), b"").unwrap();
        assert_eq!(
            differences(&one, &other).unwrap(),
            (3, vec!["byte".to_owned(), "sub/more".to_owned()])
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
