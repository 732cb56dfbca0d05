//! House rules that no lint knows: nothing of one machine in the files, files
//! of a readable length, a page for every versioned format.

#![allow(clippy::unwrap_used, reason = "helpers of a test")]

use std::path::Path;
use std::process::Command;

use faceset_testkit::repo_root;

/// Most lines of a source file: past it, find the seam.
const MAX_LINES: usize = 600;

/// Files that are longer for a reason.
const OVERLONG: &[(&str, &str)] = &[];

/// Versioned formats: the constant that stamps each, and the page that says
/// what the format holds.
const FORMATS: &[(&str, &str)] = &[
    (
        "crates/face-fix/src/journal/entry.rs JOURNAL_VERSION",
        "docs/formats/face-fix-journal.md",
    ),
    (
        "crates/face-fix/src/plan.rs PLAN_VERSION",
        "docs/formats/face-fix-plan.md",
    ),
    (
        "crates/faceset-cache/src/meta.rs SCHEMA",
        "docs/formats/cache.md",
    ),
    (
        "crates/faceset-cluster/src/saved/format.rs STATE_VERSION",
        "docs/formats/cluster-state.md",
    ),
    (
        "crates/faceset-core/src/manifest.rs MANIFEST_VERSION",
        "docs/formats/manifests.md",
    ),
    (
        "crates/faceset-core/src/said.rs DECISIONS_VERSION",
        "docs/formats/face-decisions.md",
    ),
    (
        "crates/faceset-identity/src/file.rs REGISTRY_VERSION",
        "docs/formats/registry.md",
    ),
    (
        "crates/faceset-infer/src/pack.rs PACK_FORMAT",
        "docs/formats/pack.md",
    ),
    (
        "crates/faceset-pipeline/src/dedup.rs DUPLICATES_VERSION",
        "docs/formats/duplicates.md",
    ),
    (
        "crates/faceset-pipeline/src/embed/numbers.rs NUMBERS_VERSION",
        "docs/formats/file-numbers.md",
    ),
    (
        "crates/faceset-queue/src/head.rs QUEUE_VERSION",
        "docs/formats/queue.md",
    ),
    (
        "crates/faceset-queue/src/item.rs ITEMS_VERSION",
        "docs/formats/queue.md",
    ),
    (
        "crates/faceset-queue/src/state.rs STATE_VERSION",
        "docs/formats/queue.md",
    ),
    (
        "crates/faceset-queue/src/state.rs ALIASES_VERSION",
        "docs/formats/queue.md",
    ),
    (
        "crates/faceset-queue/src/users.rs USERS_VERSION",
        "docs/formats/queue.md",
    ),
    (
        "crates/faceset-pipeline/src/era/file.rs ERAS_VERSION",
        "docs/formats/eras.md",
    ),
    (
        "crates/faceset-pipeline/src/era/years.rs YEARS_VERSION",
        "docs/formats/eras.md",
    ),
    (
        "crates/faceset-staging/src/chain/record.rs CHAIN_VERSION",
        "docs/immich.md",
    ),
];

/// Files that git tracks or would track.
fn files() -> Vec<String> {
    let output = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(repo_root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let root = repo_root();
    let list = String::from_utf8(output.stdout).unwrap();
    let files: Vec<String> = list
        .split('\0')
        .filter(|path| !path.is_empty() && root.join(path).is_file())
        .map(str::to_owned)
        .collect();
    assert!(
        files.iter().any(|f| f == "Cargo.toml"),
        "git lists the repository"
    );
    files
}

fn is_source(path: &str) -> bool {
    let in_src = path.contains("/src/")
        && ["crates/", "bins/", "xtask/"]
            .iter()
            .any(|top| path.starts_with(top));
    in_src && Path::new(path).extension().is_some_and(|e| e == "rs")
}

/// What names one machine or one mirror, put together here so that this file
/// does not hold it.
fn forbidden() -> Vec<String> {
    let hosts = [
        ["pypi", ".org"],
        ["pythonhosted", ".org"],
        ["registry.npmjs", ".org"],
        ["static.crates", ".io"],
        ["index.crates", ".io"],
        ["deb.debian", ".org"],
    ];
    let folders = [["/wo", "rk/"], ["/tm", "p/"], ["/ro", "ot/"]];
    hosts
        .iter()
        .chain(&folders)
        .map(|parts| parts.concat())
        .collect()
}

/// Whether `text` holds `needle`; an absolute folder only counts where a path
/// begins, so that `out` + the same name below it is fine.
fn names(text: &str, needle: &str) -> bool {
    text.match_indices(needle).any(|(at, _)| {
        !needle.starts_with('/')
            || text[..at]
                .chars()
                .next_back()
                .is_none_or(|before| before.is_whitespace() || "\"'`(=:<".contains(before))
    })
}

#[test]
fn no_file_names_this_machine_or_a_package_registry() {
    let forbidden = forbidden();
    let mut found = Vec::new();
    for path in files() {
        // cargo writes the one; the other keeps a folder of that name out.
        if matches!(path.as_str(), "Cargo.lock" | ".gitignore") {
            continue;
        }
        let bytes = std::fs::read(repo_root().join(&path)).unwrap();
        let Ok(text) = String::from_utf8(bytes) else {
            continue;
        };
        for (nth, line) in text.lines().enumerate() {
            for needle in forbidden.iter().filter(|needle| names(line, needle)) {
                found.push(format!("{path}:{}: {needle}", nth + 1));
            }
        }
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn a_folder_counts_only_where_a_path_begins() {
    let folder = &forbidden()[6];
    assert!(names(&format!("see {folder}x"), folder));
    assert!(names(&format!("\"{folder}x\""), folder));
    assert!(!names(&format!("demo{folder}x"), folder));
    let host = &forbidden()[0];
    assert!(names(&format!("files.{host}/simple"), host));
}

#[test]
fn no_source_file_is_too_long() {
    let mut wrong = Vec::new();
    for path in files().iter().filter(|path| is_source(path)) {
        let n_lines = std::fs::read_to_string(repo_root().join(path))
            .unwrap()
            .lines()
            .count();
        let excused = OVERLONG.iter().any(|(file, _)| file == path);
        if n_lines > MAX_LINES && !excused {
            wrong.push(format!(
                "{path} has {n_lines} lines; find the seam (or a reason for OVERLONG)"
            ));
        }
        if n_lines <= MAX_LINES && excused {
            wrong.push(format!(
                "{path} has {n_lines} lines; take it out of OVERLONG"
            ));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_source_file_says_what_it_owns() {
    let silent: Vec<String> = files()
        .into_iter()
        .filter(|path| is_source(path))
        .filter(|path| {
            !std::fs::read_to_string(repo_root().join(path))
                .unwrap()
                .starts_with("//!")
        })
        .collect();
    assert!(
        silent.is_empty(),
        "these open without `//!`: {}",
        silent.join(", ")
    );
}

/// `pub const X_VERSION: u32`, `X_FORMAT` and `SCHEMA` stamp what we write.
fn version_constant(line: &str) -> Option<&str> {
    let (name, kind) = line.trim().strip_prefix("pub const ")?.split_once(':')?;
    let stamps = name == "SCHEMA" || name.ends_with("_VERSION") || name.ends_with("_FORMAT");
    (stamps && kind.trim_start().starts_with("u32")).then_some(name)
}

#[test]
fn every_versioned_format_has_a_page() {
    let mut stamped = Vec::new();
    for path in files().iter().filter(|path| is_source(path)) {
        let text = std::fs::read_to_string(repo_root().join(path)).unwrap();
        stamped.extend(
            text.lines()
                .filter_map(version_constant)
                .map(|name| format!("{path} {name}")),
        );
    }
    for constant in &stamped {
        assert!(
            FORMATS.iter().any(|(known, _)| known == constant),
            "{constant} stamps a format: write its page in docs/formats/ and add it to FORMATS"
        );
    }
    for (constant, page) in FORMATS {
        assert!(
            stamped.iter().any(|s| s == constant),
            "{constant} is gone; mend FORMATS"
        );
        assert!(repo_root().join(page).is_file(), "{page} is missing");
    }
}

#[test]
fn version_constants_are_told_from_others() {
    assert_eq!(
        version_constant("pub const PACK_FORMAT: u32 = 1;"),
        Some("PACK_FORMAT")
    );
    assert_eq!(
        version_constant("    pub const SCHEMA: u32 = 1;"),
        Some("SCHEMA")
    );
    assert_eq!(
        version_constant("pub const TESTED_VERSION: &str = \"2.7.2\";"),
        None
    );
    assert_eq!(version_constant("pub const MAX_LINES: u32 = 600;"), None);
}
