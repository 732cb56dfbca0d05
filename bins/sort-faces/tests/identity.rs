//! People and extending through the binary: kills at any moment, two runs at
//! once, and files edited into nonsense.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;
#[path = "../../../crates/faceset-pipeline/tests/drawn/mod.rs"]
mod drawn;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::{failure, report, run, sort_faces, text};
use drawn::{Home, files, record, shots, turned};
use serde_json::Value;

/// Kills that must hit a running process.
const N_KILLS: usize = 25;

/// A small generator of moments: splitmix64, seeded.
struct Moments(u64);

impl Moments {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % below.max(1)
    }
}

/// Starts a command and kills it after `us` microseconds; true when it was
/// still running.
fn kill_after(mut command: Command, us: u64) -> bool {
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    sleep(Duration::from_micros(us));
    let ended = child.try_wait().unwrap();
    let _ = child.kill();
    let output = child.wait_with_output().unwrap();
    if let Some(status) = ended {
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            status.success(),
            "a resumed run ended with {status}: {said}"
        );
    }
    ended.is_none()
}

fn command(arguments: &[&str]) -> Command {
    let mut command = sort_faces();
    command.args(arguments);
    command
}

/// How long one undisturbed run takes, in microseconds.
fn time_us(f: impl FnOnce()) -> u64 {
    let start = Instant::now();
    f();
    u64::try_from(start.elapsed().as_micros()).unwrap()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Two people with a set each; four and three faces.
fn two_people(home: &Home) -> std::path::PathBuf {
    let mut all = shots("a", 4, turned(0, 0.0, 1));
    all.extend(shots("b", 3, turned(1, 0.0, 0)));
    let cache = home.embed(&all);
    let keys = |prefix, n| home.keys(&cache, prefix, n);
    let swap = home.path("facesets_swap_ready");
    record(
        &swap,
        &[("faceset_001", keys("a", 4)), ("faceset_002", keys("b", 3))],
    );
    swap
}

/// The pictures below a tree, by content, wherever they lie.
fn pictures(root: &Path) -> BTreeMap<Vec<u8>, usize> {
    let mut found = BTreeMap::new();
    for (name, bytes) in files(root) {
        if name.ends_with(".png") {
            *found.entry(bytes).or_insert(0) += 1;
        }
    }
    found
}

#[test]
fn merging_killed_at_any_moment_is_done_or_not_and_loses_nothing() {
    let home = Home::new();
    let swap = two_people(&home);
    let before = pictures(&swap);
    let merge = ["people", "merge", "2", "1", "--in", text(&swap)];
    let unmerge = ["people", "unmerge", "2", "--in", text(&swap)];
    let state = || -> String {
        let registry = json(&swap.join("registry.json"));
        registry["identities"][1]["state"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let whole_us = time_us(|| assert!(run(&merge).status.success()));
    assert_eq!(state(), "merged into 1");
    let mut moments = Moments(20_261_122);
    let (mut n_kills, mut n_changed) = (0, 0);
    while n_kills < N_KILLS {
        let was_merged = state() == "merged into 1";
        let next = if was_merged { &unmerge[..] } else { &merge[..] };
        n_kills += usize::from(kill_after(command(next), moments.next(whole_us)));
        // The next command of any kind finishes what was begun.
        report(&["people", "sync", "--in", text(&swap)]);
        let is_merged = state() == "merged into 1";
        n_changed += usize::from(is_merged != was_merged);
        let top = json(&swap.join("manifest.json"));
        let listed = |list: &str| {
            let list = top[list].as_array().cloned().unwrap_or_default();
            list.iter().any(|s| s["name"] == "faceset_002")
        };
        assert_eq!(swap.join("faceset_002").is_dir(), !is_merged);
        assert_eq!(swap.join("_merged/faceset_002").is_dir(), is_merged);
        assert_eq!(
            (listed("facesets"), listed("merged")),
            (!is_merged, is_merged)
        );
        assert_eq!(pictures(&swap), before);
    }
    assert!(n_changed > 0, "no kill came late enough to change anything");
}

#[test]
fn extending_killed_at_any_moment_ends_with_the_result_of_an_undisturbed_run() {
    let home = Home::new();
    let mut all = shots("a", 20, turned(0, 0.0, 1));
    all.extend(shots("b", 15, turned(1, 0.0, 0)));
    home.embed(&all);
    let cache = home.path("c.npz");
    let cache = text(&cache);
    let start = home.path("start");
    report(&["cluster", cache, text(&start.join("raw"))]);
    report(&["refine", cache, text(&start.join("sets"))]);
    let mut new = shots("a_new", 120, turned(0, 15.0, 2));
    new.extend(shots("c", 60, turned(4, 0.0, 0)));
    home.embed(&new);

    let copy = |name: &str| {
        let to = home.path(name);
        let _ = fs::remove_dir_all(&to);
        for (file, bytes) in files(&start) {
            let target = to.join(file);
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::write(&target, bytes).unwrap();
        }
        to
    };
    let extend = |root: &Path| {
        let (raw, sets) = (root.join("raw"), root.join("sets"));
        command(&["extend", cache, text(&raw), "--refine-out", text(&sets)])
    };
    let results = |root: &Path| {
        let mut found = files(root);
        found.retain(|name, _| !name.contains("_dropped/"));
        found
    };
    let calm = copy("calm");
    let whole_us = time_us(|| assert!(extend(&calm).output().unwrap().status.success()));
    let expected = results(&calm);
    assert!(
        expected
            .keys()
            .any(|name| name.starts_with("raw/person_003/"))
    );

    let mut moments = Moments(7);
    let mut n_kills = 0;
    let mut root = copy("killed");
    while n_kills < N_KILLS {
        if kill_after(extend(&root), moments.next(whole_us)) {
            n_kills += 1;
        } else {
            same(&results(&root), &expected);
            root = copy("killed");
        }
    }
    assert!(extend(&root).output().unwrap().status.success());
    same(&results(&root), &expected);
}

/// The files are those of a calm run, byte for byte.
fn same(found: &BTreeMap<String, Vec<u8>>, expected: &BTreeMap<String, Vec<u8>>) {
    let names: BTreeSet<_> = found.keys().chain(expected.keys()).collect();
    let different: Vec<_> = names
        .into_iter()
        .filter(|name| found.get(*name) != expected.get(*name))
        .collect();
    assert!(different.is_empty(), "not as in a calm run: {different:?}");
}

#[test]
fn a_registry_edited_into_nonsense_is_one_clear_line_and_stays_as_it_is() {
    let home = Home::new();
    let swap = two_people(&home);
    let path = swap.join("registry.json");
    let good = fs::read_to_string(&path).unwrap();
    let mut both: Value = serde_json::from_str(&good).unwrap();
    both["identities"][0]["state"] = "merged into 2".into();
    both["identities"][1]["state"] = "merged into 1".into();
    let mut future: Value = serde_json::from_str(&good).unwrap();
    future["identities"][0]["birth_date"] = "2190-01-01".into();
    let mut newer: Value = serde_json::from_str(&good).unwrap();
    newer["version"] = 99.into();
    for (bad, word) in [
        ("{ not json".to_owned(), "mend the file"),
        (both.to_string(), "circle"),
        (future.to_string(), "2190-01-01"),
        (newer.to_string(), "version 99"),
        (good.replacen("\"active\"", "\"asleep\"", 1), "asleep"),
    ] {
        fs::write(&path, &bad).unwrap();
        for arguments in [
            ["people", "list", "--in", text(&swap)],
            ["people", "sync", "--in", text(&swap)],
        ] {
            let message = failure(&arguments, 1);
            assert!(message.contains(word), "{word}: {message}");
            assert_eq!(message.trim().lines().count(), 1, "{message}");
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), bad);
    }
    fs::write(&path, good).unwrap();
    report(&["people", "list", "--in", text(&swap)]);
}

#[test]
fn what_a_person_gets_wrong_is_one_clear_line_and_changes_nothing() {
    let home = Home::new();
    let swap = two_people(&home);
    let before = files(&swap);
    let long = "n".repeat(300);
    for (arguments, word) in [
        (&["birth-date", "1", "2190-01-01"][..], "after today"),
        (&["birth-date", "1", "2001-02-30"], "2001-02-30"),
        (&["name", "1", "../../etc"], "path"),
        (&["name", "1", &long], "300 characters"),
        (&["merge", "1", "1"], "one person already"),
        (&["merge", "1", "9"], "\"9\""),
        (&["unmerge", "1"], "not merged"),
        (&["feature", "1", "99"], "rank 99"),
        (&["not-this-person", "1", "nowhere.jpg"], "nowhere.jpg"),
        (&["undo", "77"], "77"),
    ] {
        let whole = [&["people"], arguments, &["--in", text(&swap)]].concat();
        let message = failure(&whole, 1);
        assert!(message.contains(word), "{word}: {message}");
        assert_eq!(message.trim().lines().count(), 1, "{message}");
    }
    let after = files(&swap);
    assert!(before.keys().eq(after.keys()), "{:?}", after.keys());
    for (name, bytes) in &before {
        assert!(after[name] == *bytes, "{name} differs");
    }
}

#[test]
fn a_second_run_says_who_holds_the_tree() {
    let home = Home::new();
    let swap = two_people(&home);
    let held = faceset_fs::DirLock::acquire(&swap, "sort-faces, process 4711").unwrap();
    let message = failure(&["people", "hide", "1", "--in", text(&swap)], 1);
    assert!(message.contains("process 4711"), "{message}");
    drop(held);
    report(&["people", "hide", "1", "--in", text(&swap)]);
    assert!(swap.join("_dropped/faceset_001").is_dir());
    report(&["people", "undo", "--in", text(&swap)]);
    assert!(swap.join("faceset_001/NAME.txt").is_file());
}

#[test]
fn thin_people_and_groups_without_a_number_through_the_binary() {
    let home = Home::new();
    let swap = two_people(&home);
    let people = |arguments: &[&str]| -> Vec<String> {
        let whole = [&["people"], arguments, &["--in", text(&swap)]].concat();
        let said = report(&whole);
        let lines = said["lines"].as_array().unwrap();
        lines
            .iter()
            .map(|l| l.as_str().unwrap().to_owned())
            .collect()
    };
    people(&["thin", "2"]);
    assert!(swap.join("_thin/faceset_002").is_dir());
    let shown = people(&["show", "2"]).join("\n");
    assert!(shown.contains("_thin"), "{shown}");
    people(&["unthin", "2"]);
    assert!(swap.join("faceset_002").is_dir());

    home.embed(&shots("c", 2, turned(4, 0.0, 0)));
    let (cache, raw) = (home.path("c.npz"), home.path("raw"));
    report(&["cluster", text(&cache), text(&raw)]);
    let triage = ["triage", "--raw", text(&raw), "--cache", text(&cache)];
    let who = |lines: &[String]| -> Vec<String> {
        let first = |l: &String| l.split_whitespace().next().unwrap().to_owned();
        lines.iter().map(first).collect()
    };
    let all = ["faceset_001", "faceset_002", "person_003"];
    assert_eq!(who(&people(&triage)), all);
    people(&[&triage[..], &["--hide-after", "1"]].concat());
    assert_eq!(who(&people(&triage)), all[..1]);
    assert_eq!(
        people(&["list", "--all"]).len(),
        3,
        "the group has a number"
    );
    people(&["undo"]);
    assert_eq!(who(&people(&triage)), all);
    assert_eq!(people(&["twice"]), ["no photo shows one person twice"]);
}
