//! Who may depend on whom. Data goes one way: photos, records, groups,
//! identities, sets; no crate imports what it must not know.
//!
//! The rules look at what is compiled into a crate (its normal and build
//! dependencies). Tests may import more.

#![allow(clippy::unwrap_used, reason = "helpers of a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use faceset_testkit::repo_root;
use serde_json::Value;

/// Crates of the workspace that a crate may use.
enum Uses {
    Only(&'static [&'static str]),
    /// Everything but `key`: what stands above the crate, or beside it.
    AllBut(&'static [&'static str]),
    /// Nothing is above it: programs, benches, tools.
    Anything,
}

use Uses::{AllBut, Anything, Only};

/// One row a crate, lowest layer first. A crate without a row fails the test;
/// a row without a crate is a crate still to come.
const LAYERS: &[(&str, Uses)] = &[
    ("faceset-core", Only(&[])),
    ("faceset-fs", Only(&[])),
    ("immich-client", Only(&[])),
    ("faceset-media", Only(&["faceset-core"])),
    ("faceset-infer", Only(&["faceset-core"])),
    ("faceset-cluster", Only(&["faceset-core"])),
    ("faceset-quality", Only(&["faceset-core"])),
    ("faceset-cache", Only(&["faceset-core", "faceset-fs"])),
    ("faceset-queue", Only(&["faceset-core", "faceset-fs"])),
    (
        "faceset-identity",
        Only(&["faceset-core", "faceset-fs", "faceset-cluster"]),
    ),
    ("faceset-era", Only(&["faceset-core", "faceset-cluster"])),
    (
        "faceset-export",
        Only(&["faceset-core", "faceset-fs", "faceset-quality"]),
    ),
    ("faceset-report", Only(&["faceset-core", "faceset-fs"])),
    (
        "faceset-staging",
        Only(&[
            "faceset-core",
            "faceset-fs",
            "faceset-cache",
            "faceset-media",
            "faceset-queue",
            "immich-client",
        ]),
    ),
    (
        "face-fix",
        Only(&[
            "faceset-core",
            "faceset-fs",
            "faceset-cache",
            "faceset-cluster",
            "faceset-queue",
            "immich-client",
        ]),
    ),
    (
        "face-fix-web",
        Only(&["face-fix", "faceset-core", "immich-client"]),
    ),
    (
        "faceset-pipeline",
        AllBut(&[
            "faceset-cli",
            "immich-client",
            "faceset-staging",
            "face-fix",
            "face-fix-web",
        ]),
    ),
    (
        "faceset-cli",
        Only(&["faceset-core", "faceset-fs", "faceset-pipeline"]),
    ),
    // Tests only; see `test_crates_are_never_compiled_into_what_ships`.
    ("faceset-testkit", Only(&[])),
    ("immich-fake", Only(&["immich-client"])),
];

/// Crates for tests alone.
const FOR_TESTS: &[&str] = &["faceset-testkit", "immich-fake"];

/// Outside crates that only some of ours may name.
const FENCED: &[(&str, &[&str])] = &[
    ("ort", &["faceset-infer"]),
    ("ort-sys", &[]),
    ("reqwest", &["immich-client"]),
    (
        "tokio",
        &[
            "immich-client",
            "immich-fake",
            "faceset-staging",
            "face-fix",
            "face-fix-web",
        ],
    ),
    ("axum", &["immich-fake", "face-fix-web"]),
    ("clap", &["faceset-cli"]),
    ("clap_complete", &["faceset-cli"]),
    ("indicatif", &["faceset-cli"]),
];

/// A member of the workspace.
struct Member {
    name: String,
    /// `bins/NAME`, `crates/NAME`, `benches` or `xtask`.
    folder: String,
    manifest: String,
    /// Normal and build dependencies by package name.
    compiled_in: BTreeSet<String>,
}

impl Member {
    /// Programs, benches and tools stand above all crates.
    fn is_on_top(&self) -> bool {
        !self.folder.starts_with("crates/")
    }
}

fn members() -> Vec<Member> {
    let root = repo_root();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(&root)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let found: Vec<Member> = packages
        .iter()
        .map(|package| member(package, &root))
        .collect();
    assert!(
        found.iter().any(|m| m.name == "faceset-core"),
        "cargo metadata lists the workspace"
    );
    found
}

fn member(package: &Value, root: &Path) -> Member {
    let path = Path::new(package["manifest_path"].as_str().unwrap());
    let folder = path.parent().unwrap();
    let folder = folder.strip_prefix(root).unwrap_or(folder);
    let compiled_in = package["dependencies"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|d| d["kind"] != "dev")
        .map(|d| d["name"].as_str().unwrap().to_owned())
        .collect();
    Member {
        name: package["name"].as_str().unwrap().to_owned(),
        folder: folder.to_string_lossy().replace('\\', "/"),
        manifest: std::fs::read_to_string(path).unwrap(),
        compiled_in,
    }
}

/// What `name` may use; `None` for a crate that has no row.
fn uses<'a>(member: &Member, layers: &'a [(&str, Uses)]) -> Option<&'a Uses> {
    if member.is_on_top() {
        return Some(&Anything);
    }
    layers
        .iter()
        .find(|(name, _)| *name == member.name)
        .map(|(_, uses)| uses)
}

/// Every breach of the layers, one line each.
fn breaches(
    members: &[Member],
    layers: &[(&str, Uses)],
    fenced: &[(&str, &[&str])],
) -> Vec<String> {
    let ours: BTreeMap<&str, &Member> = members.iter().map(|m| (m.name.as_str(), m)).collect();
    let mut found = Vec::new();
    for member in members {
        let name = &member.name;
        let Some(uses) = uses(member, layers) else {
            found.push(format!(
                "{name} has no place in the layers: say in docs/ARCHITECTURE.md what it owns and \
                 what it must not know, then add its row to LAYERS"
            ));
            continue;
        };
        for used in &member.compiled_in {
            let allowed = match (ours.get(used.as_str()), uses) {
                (None, _) | (_, Anything) => true,
                (Some(_), Only(list)) => list.contains(&used.as_str()),
                (Some(used), AllBut(list)) => {
                    !list.contains(&used.name.as_str()) && !used.is_on_top()
                }
            };
            if !allowed {
                found.push(format!(
                    "{name} must not know {used} (docs/ARCHITECTURE.md)"
                ));
            }
            let fence = fenced.iter().find(|(outside, _)| outside == used);
            if let Some((outside, inside)) = fence
                && !member.is_on_top()
                && !inside.contains(&name.as_str())
            {
                found.push(format!(
                    "{name} must not name {outside}; {} may",
                    inside.join(", ")
                ));
            }
        }
    }
    found
}

#[test]
fn no_crate_imports_what_it_must_not_know() {
    let found = breaches(&members(), LAYERS, FENCED);
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn test_crates_are_never_compiled_into_what_ships() {
    for member in members() {
        // The tools of the repository are not shipped.
        if matches!(member.folder.as_str(), "xtask" | "benches")
            || FOR_TESTS.contains(&&*member.name)
        {
            continue;
        }
        for used in FOR_TESTS {
            assert!(
                !member.compiled_in.contains(*used),
                "{} uses {used} outside its tests; make it a dev-dependency",
                member.name
            );
        }
    }
}

#[test]
fn only_inference_names_ort_even_among_programs() {
    for member in members() {
        if member.name != "faceset-infer" {
            assert!(
                !member.compiled_in.contains("ort"),
                "{} names ort",
                member.name
            );
        }
    }
}

#[test]
fn every_member_takes_the_workspace_lints_and_describes_itself() {
    for member in members() {
        let mut lines = member.manifest.lines().map(str::trim);
        assert!(
            lines.any(|l| l == "[lints]") && lines.next() == Some("workspace = true"),
            "{}/Cargo.toml lacks `[lints]` with `workspace = true`: lints are not inherited silently",
            member.folder
        );
        assert!(
            member
                .manifest
                .lines()
                .any(|l| l.starts_with("description = ")),
            "{}/Cargo.toml lacks a description",
            member.folder
        );
    }
}

fn toy(name: &str, folder: &str, compiled_in: &[&str]) -> Member {
    Member {
        name: name.to_owned(),
        folder: folder.to_owned(),
        manifest: String::new(),
        compiled_in: compiled_in.iter().map(|&d| d.to_owned()).collect(),
    }
}

#[test]
fn the_rules_catch_each_kind_of_breach() {
    let layers = [
        ("low", Only(&[])),
        ("high", Only(&["low"])),
        ("wide", AllBut(&["high"])),
    ];
    let fenced: [(&str, &[&str]); 1] = [("ort", &["low"])];
    let line = |members: &[Member]| breaches(members, &layers, &fenced).join("; ");

    let low = || toy("low", "crates/low", &["ort", "serde"]);
    assert_eq!(line(&[low(), toy("high", "crates/high", &["low"])]), "");
    assert_eq!(line(&[low(), toy("app", "bins/app", &["low"])]), "");
    // An edge upwards.
    let upwards = [
        toy("low", "crates/low", &["high"]),
        toy("high", "crates/high", &[]),
    ];
    assert!(line(&upwards).starts_with("low must not know high"));
    // The one exception of a crate that may know nearly all.
    let wide = [
        low(),
        toy("high", "crates/high", &[]),
        toy("wide", "crates/wide", &["low", "high"]),
    ];
    assert_eq!(
        line(&wide),
        "wide must not know high (docs/ARCHITECTURE.md)"
    );
    // A fenced crate from outside.
    assert_eq!(
        line(&[toy("high", "crates/high", &["ort"])]),
        "high must not name ort; low may"
    );
    // A crate that nobody placed.
    assert!(line(&[toy("new", "crates/new", &[])]).contains("docs/ARCHITECTURE.md"));
}
