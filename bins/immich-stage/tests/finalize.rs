//! The chain with a stand-in program (`examples/step.rs`) that copies, prints, fails, pauses.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use faceset_queue::{
    PathStyle, PortablePath, QueueDir, QueueItem, RootId, RootPaths, StageStatus, StateRow,
};
use faceset_testkit::example;

struct Bench {
    dir: tempfile::TempDir,
}

/// A staged library of one photo, and a chain of three steps that count how often they run.
fn bench() -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let queue = QueueDir::new(dir.path().join("work/immich/anna"));
    let mut items = queue.append_items().unwrap();
    items.append(&item("a.jpg", "1")).unwrap();
    items.sync().unwrap();
    let mut states = queue.append_state().unwrap();
    for (id, status) in [
        ("1", StageStatus::Staged),
        ("2", StageStatus::NoFace),
        ("3", StageStatus::SmallFace),
        ("4", StageStatus::DupCanonical),
        ("5", StageStatus::DownloadError),
    ] {
        states.append(&state(id, status)).unwrap();
    }
    states.sync().unwrap();
    let bench = Bench { dir };
    bench.write_chain(&[]);
    bench
}

fn item(rel: &str, id: &str) -> QueueItem {
    QueueItem {
        root: RootId::make("anna"),
        rel: PortablePath::new(rel).unwrap(),
        sha256: faceset_core::hash_bytes(rel.as_bytes()),
        sha1: None,
        size: 2_500_000,
        asset_id: id.to_owned(),
        owner_id: String::new(),
        original_path: String::new(),
        taken_at: None,
        width: 0,
        height: 0,
        rendered: None,
    }
}

fn state(id: &str, status: StageStatus) -> StateRow {
    StateRow {
        asset_id: id.to_owned(),
        status,
        checksum: None,
        n_faces: 0,
        max_short: None,
        root: None,
        rel: None,
        reason: None,
        ts: String::new(),
    }
}

const DISCOVERY: &str = r#"{"report":{"covered":8,"raw_clusters":5,"candidates":2,"hits":[{"name":"faceset_007","n_new":3}]},"export":{"sets":[{"n_exported":9},{"n_exported":0}]}}"#;

/// What a step of the chain runs: the stand-in with its actions, as TOML writes a list.
fn run(actions: &[&str]) -> String {
    let program = example(env!("CARGO_BIN_EXE_immich-stage"), "immich-stage", "step");
    let mut words = vec![program.to_str().unwrap()];
    words.extend(actions);
    format!("{words:?}")
}

impl Bench {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `trouble` is what the middle program does before its work.
    fn write_chain(&self, trouble: &[&str]) {
        let joins = [
            "note",
            "merge",
            "join",
            "{new}",
            "{mine}",
            "{collection|if-there}",
        ];
        let merge = [trouble, &joins].concat();
        // The JSON's braces are no names.
        let discovery = DISCOVERY.replace('{', "{{");
        let chain = format!(
            r#"
version = 1
user = "anna"
[names]
mine = "{{queue}}/faces.txt"
collection = "all-faces.txt"
sets = "sets"
[[step]]
name = "embed"
run = {embed}
reads = ["{{queue}}/queue.items.jsonl"]
makes = ["{{mine}}"]
[[step]]
name = "merge"
run = {merge}
reads = ["{{mine}}"]
replaces = "{{collection}}"
[[step]]
name = "discover"
run = {discover}
reads = ["{{collection}}"]
"#,
            embed = run(&[
                "note",
                "embed",
                "say",
                "reading",
                "join",
                "{mine}",
                "{queue}/queue.items.jsonl",
            ]),
            merge = run(&merge),
            discover = run(&["note", "discover", "report", &discovery]),
        );
        fs::write(self.path("chain.toml"), chain).unwrap();
    }

    /// A chain of one step that may make `sets`.
    fn write_one_step(&self, run: &str) {
        let chain = format!(
            "version = 1\nuser = \"anna\"\n[[step]]\nname = \"find\"\n\
             run = {run}\nmay_make = [\"sets\"]\n"
        );
        fs::write(self.path("chain.toml"), chain).unwrap();
    }

    fn command(&self) -> Command {
        self.command_of("chain.toml")
    }

    fn command_of(&self, chain: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_immich-stage"));
        command
            .arg("finalize")
            .arg(self.path(chain))
            .args(["--progress", "never"]);
        command
    }

    fn run(&self, more: &[&str]) -> Output {
        self.command().args(more).output().unwrap()
    }

    fn ran(&self) -> String {
        fs::read_to_string(self.path("ran"))
            .unwrap_or_default()
            .replace('\n', " ")
    }
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn each_step_runs_once_and_again_only_when_what_it_reads_has_changed() {
    let b = bench();
    let first = b.run(&[]);
    assert_eq!(first.status.code(), Some(0), "{}", text(&first));
    assert_eq!(b.ran(), "embed merge discover ");
    let again = b.run(&[]);
    assert_eq!(again.status.code(), Some(0));
    assert_eq!(b.ran(), "embed merge discover ");
    assert!(
        text(&again).contains("embed: done before"),
        "{}",
        text(&again)
    );

    let queue = QueueDir::new(b.path("work/immich/anna"));
    let mut items = queue.append_items().unwrap();
    items.append(&item("b.jpg", "9")).unwrap();
    items.sync().unwrap();
    drop(items);
    let plan = b.run(&["--dry-run"]);
    let words = text(&plan);
    assert!(words.contains("queue.items.jsonl has changed"), "{words}");
    assert!(words.contains("embed runs before it"), "{words}");
    assert_eq!(b.ran(), "embed merge discover ", "a plan runs nothing");
    b.run(&[]);
    assert_eq!(b.ran(), "embed merge discover embed merge discover ");
    assert!(
        b.path("all-faces.txt.before").exists(),
        "the file before is kept"
    );
    fs::remove_file(b.path("work/immich/anna/faces.txt")).unwrap();
    b.run(&[]);
    // Made again as it was: what follows has nothing to do.
    assert_eq!(b.ran(), "embed merge discover embed merge discover embed ");
}

#[test]
fn the_report_goes_from_assets_to_sets() {
    let b = bench();
    fs::create_dir(b.path("sets")).unwrap();
    let output = b.run(&["--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let numbers = &json["report"]["numbers"];
    for (name, expected) in [
        ("seen", 5),
        ("staged", 1),
        ("staged_bytes", 2_500_000),
        ("dup_canonical", 1),
        ("no_face", 1),
        ("small_face", 1),
        ("failed", 1),
        ("matched", 8),
        ("raw_clusters", 5),
        ("candidates", 2),
        ("new_sets", 1),
    ] {
        assert_eq!(numbers[name], expected, "{name} in {numbers}");
    }
    let words = text(&b.run(&[]));
    for expected in [
        "5 assets decided on",
        "(2.5 MB)",
        "1 new sets",
        "next:",
        "sort-faces extend",
    ] {
        assert!(words.contains(expected), "{expected} in {words}");
    }
}

#[test]
fn the_people_found_most_stand_in_the_report() {
    use faceset_core::manifest::{ExportedFace, ScoreParts, SwapReadyManifest, SwapSet};
    let b = bench();
    let face = |path: String| -> ExportedFace {
        let bbox = [1.0, 2.0, 30.0, 40.0];
        let hash = faceset_core::hash_bytes(path.as_bytes());
        serde_json::from_value(serde_json::json!({
            "rank": 1, "png": "0001.png", "png_sha256": hash,
            "key": {"path": path, "sha256": hash, "bbox": bbox},
            "composite": 0.5, "parts": ScoreParts::default(), "distance": 0.1, "crop": bbox,
            "upscale": 1.0, "pad_ratio": 0.5, "masked": false, "verified": [],
        }))
        .unwrap()
    };
    let photos = b.path("immich/anna").to_str().unwrap().to_owned();
    let photos = RootPaths::from_local(&photos, PathStyle::here()).unwrap();
    let ours = photos.logical(&PortablePath::new("a.jpg").unwrap()).0;
    let set = |name: &str, paths: &[String]| -> SwapSet {
        let faces: Vec<ExportedFace> = paths.iter().cloned().map(face).collect();
        serde_json::from_value(serde_json::json!({"name": name, "faces": faces})).unwrap()
    };
    let manifest = SwapReadyManifest {
        version: 1,
        facesets: vec![
            set("faceset_003", &["/elsewhere/b.jpg".to_owned()]),
            set("faceset_007", &[]),
            set("faceset_012", &[ours.clone(), ours]),
        ],
        ..SwapReadyManifest::default()
    };
    fs::create_dir(b.path("sets")).unwrap();
    let text = serde_json::to_string(&manifest).unwrap();
    fs::write(b.path("sets/manifest.json"), text).unwrap();
    let output = b.run(&["--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    // 007 by discovery's three matched faces, 012 by two exported ones, 003 by none of ours.
    let hits = json["report"]["hits"].as_array().unwrap();
    let names: Vec<_> = hits
        .iter()
        .map(|hit| hit["set"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["faceset_007", "faceset_012"], "{hits:?}");
    assert_eq!(
        (&hits[0]["matched"], &hits[1]["faces"]),
        (&3.into(), &2.into())
    );
}

#[test]
fn a_failed_step_stops_the_chain_and_names_itself() {
    let b = bench();
    b.write_chain(&["say", "no room", "exit", "1"]);
    let output = b.run(&[]);
    assert_eq!(output.status.code(), Some(1));
    let words = text(&output);
    assert!(
        words.contains("merge: failed") && words.contains("no room"),
        "{words}"
    );
    assert_eq!(b.ran(), "embed ");
    b.write_chain(&[]);
    assert_eq!(b.run(&[]).status.code(), Some(0));
    assert_eq!(
        b.ran(),
        "embed merge discover ",
        "what succeeded is not done again"
    );
}

#[test]
fn what_a_step_may_make_counts_once_it_was_there() {
    let b = bench();
    b.write_one_step(&run(&["note", "find"]));
    for _ in 0..2 {
        assert_eq!(b.run(&[]).status.code(), Some(0));
    }
    assert_eq!(b.ran(), "find ", "nothing was found, and that is done");
    b.write_one_step(&run(&["note", "find", "touch", "sets"]));
    for _ in 0..2 {
        assert_eq!(b.run(&[]).status.code(), Some(0));
    }
    assert_eq!(b.ran(), "find find ");
    fs::remove_file(b.path("sets")).unwrap();
    let plan = text(&b.run(&["--dry-run"]));
    assert!(plan.contains("sets is not there"), "{plan}");
    b.run(&[]);
    assert_eq!(b.ran(), "find find find ");
}

#[test]
fn pauses_and_missing_programs_have_their_codes() {
    let b = bench();
    b.write_chain(&["exit", "2"]);
    assert_eq!(b.run(&[]).status.code(), Some(2));
    b.write_chain(&["exit", "130"]);
    assert_eq!(b.run(&[]).status.code(), Some(130));
    b.write_one_step(r#"["no-such-program"]"#);
    let output = b.run(&[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("no-such-program cannot be started"));
}

#[test]
fn one_log_holds_what_all_programs_said() {
    let b = bench();
    b.run(&[]);
    let logs: Vec<PathBuf> = fs::read_dir(b.path("work/logs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(logs.len(), 1, "{logs:?}");
    let log = fs::read_to_string(&logs[0]).unwrap();
    assert!(log.contains("embed: reading"), "{log}");
    assert!(log.contains(" note merge join "), "{log}");
}

#[test]
fn a_broken_configuration_is_refused_with_its_path() {
    let b = bench();
    fs::write(b.path("chain.toml"), "version = 9\nuser = \"anna\"").unwrap();
    let output = b.run(&[]);
    assert_eq!(output.status.code(), Some(1));
    let words = text(&output);
    assert!(
        words.contains("chain.toml") && words.contains("version 9"),
        "{words}"
    );
    let shown = Command::new(env!("CARGO_BIN_EXE_immich-stage"))
        .args(["finalize", "--print-config"])
        .output()
        .unwrap();
    assert!(text(&shown).contains("[[step]]"));
}

/// Longest wait for a program, on a machine that is busy.
const PATIENCE: Duration = Duration::from_mins(1);

/// Waits until something is so; what never comes fails the test.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{what}: never");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until a file is there.
fn wait_for(path: &Path) {
    until(&path.display().to_string(), || path.exists());
}

#[test]
fn two_chains_on_one_library_do_not_meet() {
    let b = bench();
    b.write_chain(&["touch", "here", "await", "go"]);
    let mut first = b
        .command()
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for(&b.path("here"));
    let second = b.run(&[]);
    assert_eq!(second.status.code(), Some(1));
    assert!(
        text(&second).contains("in use by another run"),
        "{}",
        text(&second)
    );
    fs::write(b.path("go"), "").unwrap();
    assert!(first.wait().unwrap().success());
    assert_eq!(b.ran(), "embed merge discover ");
}

#[test]
fn chains_of_two_libraries_that_replace_one_file_take_turns() {
    let b = bench();
    b.write_chain(&["touch", "here", "await", "go"]);
    let anna = fs::read_to_string(b.path("chain.toml")).unwrap();
    let queue = QueueDir::new(b.path("work/immich/bob"));
    let mut items = queue.append_items().unwrap();
    items.append(&item("bobs.jpg", "7")).unwrap();
    items.sync().unwrap();
    drop(items);
    let bob = anna
        .replace("\"anna\"", "\"bob\"")
        .replace("\"await\", \"go\", ", "");
    assert_ne!(bob, anna);
    fs::write(b.path("bob.toml"), bob).unwrap();
    let quiet = |mut command: Command| command.stdout(Stdio::null()).spawn().unwrap();
    let mut first = quiet(b.command());
    wait_for(&b.path("here"));
    let mut second = b.command_of("bob.toml");
    second.stderr(fs::File::create(b.path("words")).unwrap());
    let mut second = quiet(second);
    until("the second chain waits", || {
        let words = fs::read_to_string(b.path("words")).unwrap();
        words.contains("another chain")
    });
    fs::write(b.path("go"), "").unwrap();
    assert!(first.wait().unwrap().success());
    assert!(second.wait().unwrap().success());
    let all = fs::read_to_string(b.path("all-faces.txt")).unwrap();
    assert!(all.contains("a.jpg") && all.contains("bobs.jpg"), "{all}");
}

#[test]
fn a_program_that_leaves_another_one_behind_holds_nothing_up() {
    let b = bench();
    b.write_one_step(&run(&[
        "leave",
        "go",
        "note",
        "find",
        "report",
        "{{\"a\":1}",
    ]));
    // Into files: on Windows what is left behind holds a pipe of ours too.
    let words = fs::File::create(b.path("words")).unwrap();
    let mut chain = b.command().stdout(Stdio::null()).stderr(words).spawn();
    let chain = chain.as_mut().unwrap();
    let began = Instant::now();
    let status = loop {
        if let Some(status) = chain.try_wait().unwrap() {
            break Some(status);
        }
        if began.elapsed() > PATIENCE {
            break None;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    fs::write(b.path("go"), "").unwrap();
    wait_for(&b.path("left"));
    let status = status.expect("the chain ends before what its program left");
    let words = fs::read_to_string(b.path("words")).unwrap();
    assert!(
        status.success() && words.contains("still running"),
        "{words}"
    );
    assert_eq!(b.ran(), "find ");
}
