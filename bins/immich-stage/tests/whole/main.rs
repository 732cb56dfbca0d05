//! The real programs as one chain: a fake Immich server with the sample pictures,
//! `immich-stage`, and `immich-stage finalize` with the real `embed-worker` in two
//! parts, `sort-faces merge-caches` and `cluster-discover`, killed on the way.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test")]
mod bench;

use std::collections::BTreeSet;
use std::fs;

use bench::{Bench, Running, json, read_json, tree, until};
use faceset_queue::{QueueDir, StageStatus, latest_states};

/// Sets need photos of this many moments of a person: the samples are few.
const MIN_FACES: u32 = 3;

/// Where the chain is killed with all that it started, and the file that tells.
#[cfg(unix)]
const KILLS: [(&str, &str); 3] = [
    ("the first part", "work/immich/anna/part1.npz.journal"),
    ("the second part", "work/immich/anna/part2.npz.journal"),
    ("the export", "facesets_swap_ready/faceset_001"),
];
/// On Windows what a killed program started lives on and keeps its locks.
#[cfg(not(unix))]
const KILLS: [(&str, &str); 0] = [];

fn accepted(bench: &Bench, user: &str) -> BTreeSet<String> {
    let queue = QueueDir::new(bench.path(&format!("work/immich/{user}")));
    let states = latest_states(&queue.state_path()).unwrap().0;
    let staged = states
        .into_values()
        .filter(|row| row.status == StageStatus::Staged);
    staged.map(|row| row.asset_id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_a_server_to_sets_of_people_through_kills_and_a_second_library() {
    let bench = Bench::start().await;
    bench.write_chain("anna", MIN_FACES);
    bench.write_chain("bob", MIN_FACES);

    // A dry run sees the library and leaves no trace.
    let plan = json(&bench.stage("anna").arg("--dry-run").output().unwrap());
    assert_eq!(
        fs::read_dir(bench.path("")).unwrap().count(),
        2,
        "the chains"
    );

    // Staging, killed three times; what was accepted is not asked for again.
    bench.fake.set_latency(std::time::Duration::from_millis(15));
    for n_accepted in [3, 9, 16] {
        let before = accepted(&bench, "anna");
        bench.fake.clear_log();
        let mut child = Running::start(bench.stage("anna"));
        until("some photos are staged", || {
            child.is_over() || accepted(&bench, "anna").len() >= n_accepted
        });
        child.kill();
        for id in bench.originals() {
            assert!(!before.contains(&id), "{id} was accepted and fetched again");
        }
    }
    bench.fake.set_latency(std::time::Duration::ZERO);
    let staged = json(&bench.stage("anna").output().unwrap());
    let counts = &staged["counts"];
    assert_eq!(
        counts["staged"].as_u64().unwrap_or(0) + counts["staged_before"].as_u64().unwrap_or(0),
        plan["counts"]["would_fetch"].as_u64().unwrap(),
        "{counts} after {plan}"
    );
    assert_eq!(staged["seen"].as_u64(), Some(bench.n_photos("anna")));
    assert!(
        counts["dup_internal"].as_u64() >= Some(1),
        "a copy has the same checksum"
    );
    assert!(counts["no_face"].as_u64() > Some(0) && counts["small_face"].as_u64() > Some(0));
    bench.fake.clear_log();
    let again = json(&bench.stage("anna").output().unwrap());
    assert_eq!(bench.originals().len(), 0);
    assert_eq!(again["counts"]["staged_before"], staged["queued"]);

    // The chain undisturbed, for comparison: its results are put aside.
    let calm = json(&bench.finalize("anna").output().unwrap());
    let expected = bench.results();
    assert!(expected.keys().any(|name| name.ends_with(".fsz")));
    bench.forget_results();

    // The same, killed in the middle of each of its programs.
    for (what, seen) in KILLS {
        let seen = bench.path(seen);
        let mut child = Running::start(bench.finalize("anna"));
        until(what, || child.is_over() || seen.exists());
        child.kill();
    }
    let resumed = json(&bench.finalize("anna").output().unwrap());
    let steps = resumed["report"]["outcome"]["steps"].as_array().unwrap();
    let ends: Vec<String> = steps.iter().map(|step| step[1].to_string()).collect();
    if !KILLS.is_empty() {
        assert_eq!(
            ends[..2],
            ["\"skipped\"", "\"skipped\""],
            "parts that were done before the last kill are not worked again"
        );
    }
    let after = bench.results();
    let names =
        |of: &std::collections::BTreeMap<String, Vec<u8>>| of.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&after), names(&expected));
    for (name, bytes) in &expected {
        assert!(after[name] == *bytes, "{name} differs after the kills");
    }

    // The report goes from assets to sets.
    let numbers = &calm["report"]["numbers"];
    let (cache, _) = faceset_cache::load(&bench.path("work/immich/anna/faces.npz")).unwrap();
    assert_eq!(numbers["seen"], staged["seen"]);
    assert_eq!(numbers["staged"], staged["queued"]);
    assert_eq!(numbers["dup_internal"], counts["dup_internal"]);
    assert_eq!(numbers["faces"].as_u64(), Some(cache.n_faces() as u64));
    assert_eq!(numbers["unreadable"], 1, "notes.jpg is no picture");
    assert_eq!(numbers["matched"], 0, "nobody was known");
    assert!(numbers["new_sets"].as_u64() >= Some(2), "{numbers}");
    assert!(cache.faces().all(|row| row.face.enrichment.is_some()));
    // HEIC is read as it is, camera raw as the server renders it, and both say so.
    for (name, source) in [("IMG_1.HEIC", "original"), ("DSC_1.NEF.jpg", "preview")] {
        let file = cache
            .files()
            .find(|f| f.path.as_str().ends_with(name))
            .unwrap();
        assert_eq!(
            (file.source.as_str(), file.faces().len()),
            (source, 1),
            "{name}"
        );
    }
    let sets = read_json(&bench.path("facesets_swap_ready/manifest.json"));
    let n_sets = sets["facesets"].as_array().unwrap().len() as u64;
    assert_eq!(numbers["new_sets"].as_u64(), Some(n_sets));

    // Again: every step is done, nothing is written, nobody is asked.
    bench.fake.clear_log();
    let second = bench.finalize("anna").output().unwrap();
    let steps = json(&second)["report"]["outcome"]["steps"].clone();
    let steps = steps.as_array().unwrap();
    assert_eq!(steps.len(), 5);
    assert!(steps.iter().all(|step| step[1] == "skipped"), "{steps:?}");
    assert_eq!(bench.fake.log().len(), 0);
    assert!(tree(&bench.path("facesets_swap_ready")) == sets_of(&bench.results()));

    // Another user's library: one photo is Anna's, her people are matched.
    let staged = json(&bench.stage("bob").output().unwrap());
    assert!(
        staged["counts"]["dup_canonical"].as_u64() >= Some(1),
        "{staged}"
    );
    let chain = bench.finalize("bob").output().unwrap();
    let chain = json(&chain);
    let numbers = &chain["report"]["numbers"];
    assert!(numbers["matched"].as_u64() > Some(0), "{numbers}");
    let hits = chain["report"]["hits"].as_array().unwrap();
    let best = hits[0]["set"].as_str().unwrap();
    assert!(hits[0]["matched"].as_u64() > Some(0), "{hits:?}");
    assert!(
        sets["facesets"]
            .as_array()
            .unwrap()
            .iter()
            .any(|set| set["name"] == best),
        "{best} is one of Anna's sets"
    );
    let next = chain["report"]["next"].to_string();
    assert!(next.contains("sort-faces extend"), "{next}");
    // Her sets are as they were; the collection holds both libraries.
    let now = tree(&bench.path("facesets_swap_ready"));
    for (name, bytes) in sets_of(&expected) {
        if name.starts_with("faceset_") {
            assert!(now[&name] == bytes, "{name} changed");
        }
    }
    let all = faceset_cache::load(&bench.path("work/cache/faces.npz"))
        .unwrap()
        .0;
    let bobs = faceset_cache::load(&bench.path("work/immich/bob/faces.npz"))
        .unwrap()
        .0;
    assert_eq!(all.n_files(), cache.n_files() + bobs.n_files());

    // What the worker could not read comes as the server's picture, in its place.
    let mut mend = bench.stage("anna");
    mend.arg("--render-unread")
        .arg(bench.path("work/immich/anna/faces.npz"));
    let mended = json(&mend.output().unwrap());
    assert_eq!(mended["rendered"], 1, "{mended}");
    assert_eq!(mended["queued"], calm["report"]["numbers"]["staged"]);

    // New photos on the server: the chain goes on from there.
    let before = accepted(&bench, "anna");
    bench.add_photos("anna");
    bench.fake.clear_log();
    let staged = json(&bench.stage("anna").output().unwrap());
    assert!(staged["counts"]["staged"].as_u64() > Some(0));
    let fetched = bench.originals();
    assert!(fetched.is_sorted_by(|a, b| a < b), "twice: {fetched:?}");
    assert!(fetched.iter().all(|id| !before.contains(id)));
    let plan = json(&bench.finalize("anna").arg("--dry-run").output().unwrap());
    let why = plan["plan"]["steps"][0]["why"]["changed"].as_str().unwrap();
    assert!(why.ends_with("queue.items.jsonl"), "{plan}");
    let chain = json(&bench.finalize("anna").output().unwrap());
    let numbers = &chain["report"]["numbers"];
    assert!(numbers["matched"].as_u64() > Some(0), "{numbers}");
    assert_eq!(numbers["unreadable"], 0, "notes.jpg has a picture now");
}

/// The files below the swap-ready folder.
fn sets_of(
    results: &std::collections::BTreeMap<String, Vec<u8>>,
) -> std::collections::BTreeMap<String, Vec<u8>> {
    results
        .iter()
        .filter_map(|(name, bytes)| {
            let name = name.strip_prefix("facesets_swap_ready/")?;
            Some((name.to_owned(), bytes.clone()))
        })
        .collect()
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_of_another_system_is_a_command_line_that_gets_that_systems_paths() {
    let bench = Bench::start().await;
    let staged = bench
        .stage("bob")
        .args(["--windows-root", r"X:\faces"])
        .output();
    let staged = json(&staged.unwrap());
    // The other system reaches the photos by another way alone.
    let share = bench.path("share");
    fs::rename(bench.path("immich/bob"), &share).unwrap();
    bench.write_far_worker(&share);
    fs::write(
        bench.path("bob.toml"),
        r#"
version = 1
user = "bob"
[names]
cache = "{queue}/faces.npz"
[[step]]
name = "embed"
run = ["./worker.exe", "run", "{queue|win}", "{cache|win}"]
reads = ["{queue}/queue.items.jsonl"]
makes = ["{cache}"]
"#,
    )
    .unwrap();
    let chain = json(&bench.finalize("bob").output().unwrap());
    assert_eq!(
        fs::read_to_string(bench.path("arguments.txt")).unwrap(),
        "run\nX:\\faces\\work\\immich\\bob\nX:\\faces\\work\\immich\\bob\\faces.npz\n"
    );
    let queue = QueueDir::new(bench.path("work/immich/bob"));
    let head = queue.read_head().unwrap();
    let roots: Vec<_> = head
        .roots
        .values()
        .filter_map(|root| root.windows())
        .collect();
    assert_eq!(roots, [r"X:\faces\immich\bob"]);
    // What it found is known by the queue's names, wherever it was read.
    let (cache, _) = faceset_cache::load(&bench.path("work/immich/bob/faces.npz")).unwrap();
    let photos = format!("{}/", bench.path("immich/bob").display());
    assert!(
        cache
            .files()
            .all(|file| file.path.as_str().starts_with(&photos))
    );
    assert_eq!(Some(cache.n_files() as u64), staged["queued"].as_u64());
    let numbers = &chain["report"]["numbers"];
    assert_eq!(numbers["faces"].as_u64(), Some(cache.n_faces() as u64));
}
