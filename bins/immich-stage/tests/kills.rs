//! The program itself: exit codes, keys, and SIGKILL at any moment.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use faceset_queue::{AliasRow, QueueDir, QueueItem, StageStatus, latest_states, read_rows};
use immich_fake::{Content, Fake, Library, Shape, Uuid};

const T0: i64 = 1_577_836_800_000_000;

fn library(n: i64) -> (Library, String) {
    let mut library = Library::new();
    let user = library.add_user("Anna");
    let key = library.add_key(user, "all", &["all"]);
    let mut ids: Vec<Uuid> = Vec::new();
    for nth in 0..n {
        let id = library.add_photo(user, "x.jpg", T0 + nth * 1_000_000);
        let path = format!("/data/library/anna/{}/p{}.jpg", nth % 7, nth / 2);
        library.update_asset(id, |asset| asset.path = path);
        if nth % 3 != 0 {
            library.add_face(id, None, [0, 0, 90, 120], (1500, 1000));
        }
        if nth % 11 == 10 {
            let bytes = library.asset(ids[ids.len() - 3]).unwrap().bytes();
            library.update_asset(id, |asset| asset.content = Content::Bytes(bytes.into()));
        }
        ids.push(id);
    }
    (library, key)
}

fn command(fake: &Fake, key: &str, root: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_immich-stage"));
    command
        .args([
            "--user",
            "anna",
            "--no-log",
            "--progress",
            "never",
            "--timeout",
            "2",
            "--root",
        ])
        .arg(root)
        .env("IMMICH_URL", fake.url())
        .env("IMMICH_API_KEY_ANNA", key)
        .env_remove("IMMICH_API_KEY")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

async fn output(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap()
}

#[derive(Debug, PartialEq, Eq)]
struct Left {
    files: BTreeMap<String, Vec<u8>>,
    items: BTreeMap<String, String>,
    aliases: BTreeMap<String, String>,
}

fn left(root: &Path) -> Left {
    let queue = QueueDir::new(root.join("work/immich/anna"));
    let mut left = Left {
        files: BTreeMap::new(),
        items: BTreeMap::new(),
        aliases: BTreeMap::new(),
    };
    read_rows(&queue.items_path(), |_, item: QueueItem| {
        let text = serde_json::to_string(&item).unwrap();
        assert!(
            left.items.insert(item.asset_id.clone(), text).is_none(),
            "one item an asset"
        );
    })
    .unwrap();
    // What photos are called begins with the root as Linux spells it, on Windows too.
    let head = queue.load().unwrap().head;
    let photos_root = head.roots.values().next().unwrap().posix().to_owned();
    read_rows(&queue.aliases_path(), |_, alias: AliasRow| {
        let target = alias.canonical.replace(&photos_root, "");
        assert!(
            left.aliases.insert(alias.asset_id, target).is_none(),
            "one alias an asset"
        );
    })
    .unwrap();
    let photos = root.join("immich/anna");
    let mut folders = vec![photos.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let rel = path.strip_prefix(&photos).unwrap().display().to_string();
                left.files.insert(rel, std::fs::read(&path).unwrap());
            }
        }
    }
    left
}

fn accepted(root: &Path) -> BTreeSet<String> {
    let states = latest_states(&root.join("work/immich/anna/state.jsonl"))
        .unwrap()
        .0;
    let staged = states
        .into_values()
        .filter(|row| row.status == StageStatus::Staged);
    staged.map(|row| row.asset_id).collect()
}

/// Waits until a request with this ending came, or the program ended because nothing
/// was left to ask for.
async fn asked(fake: &Fake, ending: &str, child: &mut Child) {
    let came = || fake.log().iter().any(|e| e.request.ends_with(ending));
    while !came() && child.try_wait().unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_kills_change_nothing_and_accepted_photos_are_never_fetched_again() {
    let plain = tempfile::tempdir().unwrap();
    let (photos, key) = library(1500);
    let fake = Fake::start(photos, Shape::v2_7_2()).await;
    let done = output(command(&fake, &key, plain.path())).await;
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let expected = left(plain.path());
    assert!(expected.files.len() > 800 && expected.aliases.len() > 50);

    let (photos, key) = library(1500);
    let fake = Fake::start(photos, Shape::v2_7_2()).await;
    fake.set_latency(Duration::from_millis(10));
    let root = tempfile::tempdir().unwrap();
    let mut dice = 0x2545_F491_4F6C_DD1D_u64;
    for round in 0..30 {
        let before = accepted(root.path());
        fake.clear_log();
        let mut child = command(&fake, &key, root.path()).spawn().unwrap();
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        // A busy machine starts programs slowly: by turns counted from the start, from
        // the first request and from the first download.
        match round % 3 {
            0 => {}
            1 => asked(&fake, "", &mut child).await,
            _ => asked(&fake, "/original", &mut child).await,
        }
        tokio::time::sleep(Duration::from_millis((dice >> 33) % 300)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        for entry in fake.log() {
            let Some(id) = entry.request.strip_suffix("/original") else {
                continue;
            };
            let id = id.rsplit('/').next().unwrap();
            assert!(!before.contains(id), "{id} was accepted and fetched again");
        }
    }
    assert!(!accepted(root.path()).is_empty(), "some runs came so far");
    fake.set_latency(Duration::ZERO);
    let done = output(command(&fake, &key, root.path())).await;
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert_eq!(left(root.path()), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_ends_in_code_2_and_no_key_in_1() {
    let (photos, key) = library(5);
    let mut fake = Fake::start(photos, Shape::v2_7_2()).await;
    let root = tempfile::tempdir().unwrap();
    let mut nameless = command(&fake, &key, root.path());
    nameless.env_remove("IMMICH_API_KEY_ANNA");
    let answer = output(nameless).await;
    assert_eq!(answer.status.code(), Some(1));
    let words = String::from_utf8_lossy(&answer.stderr).into_owned();
    assert!(words.contains("IMMICH_API_KEY_ANNA"), "{words}");

    let mut general = command(&fake, &key, root.path());
    general
        .env_remove("IMMICH_API_KEY_ANNA")
        .env("IMMICH_API_KEY", &key)
        .arg("--dry-run");
    let answer = output(general).await;
    assert_eq!(answer.status.code(), Some(0), "{answer:?}");
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);

    // A key that the server does not know, and one that may not download.
    let weak = fake.with_library(|library| {
        let user = library.assets().next().unwrap().owner;
        library.add_key(user, "weak", &["asset.read", "face.read", "user.read"])
    });
    for (key, words) in [("wrong", "check the API key"), (&weak, "asset.download")] {
        let answer = output(command(&fake, key, root.path())).await;
        assert_eq!(answer.status.code(), Some(1), "{answer:?}");
        let said = String::from_utf8_lossy(&answer.stderr).into_owned();
        assert!(said.contains(words), "{said}");
        assert!(!root.path().join("immich").exists(), "nothing is begun");
    }

    fake.stop();
    let answer = output(command(&fake, &key, root.path())).await;
    assert_eq!(answer.status.code(), Some(2), "{answer:?}");
    let all = format!("{answer:?}");
    assert!(!all.contains(&key), "the key is never shown");
}

#[test]
fn wrong_usage_ends_in_code_64() {
    let answer = Command::new(env!("CARGO_BIN_EXE_immich-stage"))
        .arg("--nonsense")
        .output()
        .unwrap();
    assert_eq!(answer.status.code(), Some(64));
    let stage = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_immich-stage"));
        command
            .args(["--no-log", "--root", "nowhere", "--user", "anna"])
            .args(more)
            .env("IMMICH_URL", "http://127.0.0.1:9")
            .env("IMMICH_API_KEY", "key");
        command.output().unwrap()
    };
    for more in [
        ["--min-face", "-1"],
        ["--min-face", "NaN"],
        ["--exclude", "["],
        ["--url", "ftp://nas"],
    ] {
        let answer = stage(&more);
        assert_eq!(answer.status.code(), Some(64), "{more:?}: {answer:?}");
    }
    assert!(!Path::new("nowhere").exists());
    let help = Command::new(env!("CARGO_BIN_EXE_immich-stage"))
        .arg("--help")
        .output()
        .unwrap();
    assert_eq!(help.status.code(), Some(0));
    let none = Command::new(env!("CARGO_BIN_EXE_immich-stage"))
        .output()
        .unwrap();
    assert_eq!(none.status.code(), Some(64), "{none:?}");
}
