//! The program against a fake server: that it is wired, what it says, how it exits,
//! and that a kill in the middle of a plan loses nothing.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use immich_fake::{Fake, Fault, Library, Shape, Uuid};

struct World {
    fake: Fake,
    key: String,
    anna: Uuid,
    berta: Uuid,
    photos: Vec<Uuid>,
    faces: Vec<Uuid>,
    folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let mut library = Library::new();
        let user = library.add_user("Uta");
        let allowed = [
            "asset.read",
            "face.read",
            "face.update",
            "person.read",
            "person.create",
            "person.delete",
            "person.update",
            "user.read",
        ];
        let key = library.add_key(user, "fix", &allowed);
        let anna = library.add_person(user, "Anna");
        let berta = library.add_person(user, "Berta");
        let photos: Vec<Uuid> = (0..4)
            .map(|i| library.add_photo(user, &format!("{i}.jpg"), i * 1_000_000))
            .collect();
        let area = [100, 100, 300, 400];
        let faces = photos
            .iter()
            .enumerate()
            .map(|(i, photo)| {
                let person = if i == 3 { berta } else { anna };
                library.add_face(*photo, Some(person), area, (2160, 1440))
            })
            .collect();
        let fake = Fake::start(library, Shape::v2_7_2()).await;
        Self {
            fake,
            key,
            anna,
            berta,
            photos,
            faces,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_face-fix"));
        command
            .args(args)
            .current_dir(self.folder.path())
            .env("IMMICH_URL", self.fake.url())
            .env("IMMICH_API_KEY", &self.key)
            .stdin(Stdio::null());
        command
    }

    async fn run(&self, args: &[&str]) -> Output {
        let mut command = self.command(args);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap());
        let output = output.await.unwrap();
        let shown = [&output.stdout[..], &output.stderr[..]].concat();
        let shown = String::from_utf8_lossy(&shown).into_owned();
        assert!(!shown.contains(&self.key), "{args:?} shows the key");
        output
    }

    /// A plan that gives Anna's three faces to Berta, a transaction each.
    fn write_plan(&self) {
        let transactions: Vec<String> = (0..3)
            .map(|i| {
                format!(
                    r#"{{"at":"2026-01-02T03:04:05Z","who":"Uta","by":"plan","decisions":[{{
                        "asset":"{}","face":"{}","from":{{"id":"{}","name":"Anna"}},
                        "action":{{"do":"reassign","to":{{"id":"{}","name":"Berta"}}}}}}]}}"#,
                    self.photos[i], self.faces[i], self.anna, self.berta
                )
            })
            .collect();
        let plan = format!(
            r#"{{"format":"face-fix plan","version":1,"made_at":"2026-01-02T03:04:05Z",
                "server":"http://nas","user":null,"what":"test","transactions":[{}]}}"#,
            transactions.join(",")
        );
        std::fs::write(self.folder.path().join("plan.json"), plan).unwrap();
    }

    fn owners(&self) -> Vec<Option<Uuid>> {
        let of = |face: &Uuid| {
            self.fake
                .with_library(|library| library.face(*face).unwrap().person)
        };
        self.faces[..3].iter().map(of).collect()
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn check_plan_apply_verify_history_and_undo_work_from_files() {
    let world = World::new().await;
    world.write_plan();
    let check = world.run(&["check"]).await;
    assert_eq!(check.status.code(), Some(0));
    assert!(
        text(&check).contains("the key lacks asset.view: it can't show photos"),
        "{}",
        text(&check)
    );

    let dry = world.run(&["apply", "plan.json", "--dry-run"]).await;
    assert_eq!(dry.status.code(), Some(0), "{dry:?}");
    assert_eq!(world.owners(), [Some(world.anna); 3]);
    let refused = world.run(&["apply", "plan.json", "--read-only"]).await;
    assert_eq!(refused.status.code(), Some(1));

    let apply = world.run(&["apply", "plan.json"]).await;
    assert_eq!(apply.status.code(), Some(0), "{apply:?}");
    assert!(
        text(&apply).contains("3 of 3 transactions through"),
        "{}",
        text(&apply)
    );
    assert_eq!(world.owners(), [Some(world.berta); 3]);
    let again = world.run(&["apply", "plan.json"]).await;
    assert!(
        text(&again).contains("3 by an earlier run"),
        "{}",
        text(&again)
    );

    assert_eq!(world.run(&["verify"]).await.status.code(), Some(0));
    world
        .fake
        .with_library(|library| library.reassign(world.faces[1], world.anna));
    let verify = world.run(&["verify"]).await;
    assert_eq!(verify.status.code(), Some(1));
    assert!(
        text(&verify).contains("2 of 3 faces as decided"),
        "{}",
        text(&verify)
    );
    let replay = world.run(&["replay"]).await;
    assert_eq!(replay.status.code(), Some(0), "{replay:?}");
    assert_eq!(world.run(&["verify"]).await.status.code(), Some(0));

    let undo = world.run(&["undo", "1"]).await;
    assert_eq!(undo.status.code(), Some(0), "{undo:?}");
    assert_eq!(world.owners()[0], Some(world.anna));
    let twice = world.run(&["undo", "1"]).await;
    assert!(
        String::from_utf8_lossy(&twice.stderr).contains("undone already"),
        "{twice:?}"
    );
    let history = world.run(&["history", "--json"]).await;
    let history: serde_json::Value = serde_json::from_slice(&history.stdout).unwrap();
    let standing: Vec<&str> = history["transactions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["standing"].as_str().unwrap())
        .collect();
    assert_eq!(standing, ["undone", "applied", "applied", "applied"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_while_a_face_is_on_its_way_loses_nothing() {
    for arrives in [false, true] {
        let world = World::new().await;
        world.write_plan();
        // The second face is on its way when the program is killed: it arrives, with
        // nobody left to hear of it, or it does not.
        let put = format!("PUT /api/faces/{}", world.berta);
        world.fake.fail(&put, 1, Fault::Slow(Duration::ZERO));
        world.fake.fail(&put, 1, Fault::Hang);
        let mut child = world
            .command(&["apply", "plan.json"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let journal = world.folder.path().join("face-fix.journal.jsonl");
        while n_sending(&journal) < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        world.fake.heal();
        if arrives {
            world
                .fake
                .with_library(|library| library.reassign(world.faces[1], world.berta));
        }
        let apply = world.run(&["apply", "plan.json"]).await;
        assert_eq!(apply.status.code(), Some(0), "{apply:?}");
        assert!(
            text(&apply).contains("left open by an earlier run"),
            "{}",
            text(&apply)
        );
        assert!(
            text(&apply).contains("2 by an earlier run"),
            "{}",
            text(&apply)
        );
        assert_eq!(world.owners(), [Some(world.berta); 3]);
        for id in ["3", "2", "1"] {
            assert_eq!(world.run(&["undo", id]).await.status.code(), Some(0));
        }
        assert_eq!(world.owners(), [Some(world.anna); 3]);
        let feature = world
            .fake
            .with_library(|library| library.person(world.anna).unwrap().feature);
        assert_eq!(feature, Some(world.faces[0]), "arrives: {arrives}");
    }
}

fn n_sending(journal: &Path) -> usize {
    let text = std::fs::read_to_string(journal).unwrap_or_default();
    text.matches("\"entry\":\"sending\"").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_said_with_its_exit_code() {
    let world = World::new().await;
    let mut command = world.command(&["check"]);
    let output = command.env_remove("IMMICH_API_KEY").output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("IMMICH_API_KEY"),
        "{output:?}"
    );
    assert_eq!(world.run(&["apply"]).await.status.code(), Some(64));
    let nobody = world
        .run(&[
            "plan",
            "auto",
            "Anna",
            "Zoe",
            "--trust-immich-order",
            "--out",
            "p",
        ])
        .await;
    assert!(
        String::from_utf8_lossy(&nobody.stderr).contains("no person \"Zoe\""),
        "{nobody:?}"
    );
    let people = world.run(&["people", "bert"]).await;
    assert_eq!(text(&people).trim(), format!("{}  Berta", world.berta));
}

#[tokio::test(flavor = "multi_thread")]
async fn undo_last_passes_by_what_a_rule_noted() {
    let world = World::new().await;
    world.write_plan();
    world.run(&["apply", "plan.json"]).await;
    let note = format!(
        r#"{{"format":"face-fix plan","version":1,"made_at":"2026-01-02T03:04:05Z",
            "server":"http://nas","user":null,"what":"note","transactions":[
            {{"at":"2026-01-02T03:04:05Z","who":"rule","pair":{{"wrong":"{}","correct":"{}"}},
            "review":{{"asset":"{}","how":"skipped-by-rule"}}}}]}}"#,
        world.anna, world.berta, world.photos[0]
    );
    std::fs::write(world.folder.path().join("note.json"), note).unwrap();
    let noted = world.run(&["apply", "note.json"]).await;
    assert_eq!(noted.status.code(), Some(0), "{noted:?}");
    for left in [2, 1, 0] {
        let undo = world.run(&["undo", "last"]).await;
        assert_eq!(undo.status.code(), Some(0), "{undo:?}");
        assert!(text(&undo).contains("1 of 1 face back"), "{}", text(&undo));
        let with_berta = world
            .owners()
            .into_iter()
            .filter(|o| *o == Some(world.berta));
        assert_eq!(with_berta.count(), left);
    }
    let nothing = world.run(&["undo", "last"]).await;
    assert_eq!(nothing.status.code(), Some(1));
    let why = String::from_utf8_lossy(&nothing.stderr);
    assert!(why.contains("nothing is left to undo"), "{why}");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_is_interrupted_while_looking_plans_and_sends_nothing() {
    for args in [&["plan", "replay", "--out", "r.json"][..], &["replay"]] {
        let world = World::new().await;
        world.write_plan();
        world.run(&["apply", "plan.json"]).await;
        world.fake.with_library(|library| {
            for face in &world.faces[..3] {
                library.reassign(*face, world.anna);
            }
        });
        world.fake.clear_log();
        // The first photo is found; its faces leave time to interrupt it in.
        let slow = Fault::Slow(Duration::from_secs(3));
        world.fake.fail("GET /api/faces?id=", 1, slow);
        let child = world
            .command(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        while world.fake.n_requests("GET /api/assets/") == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let pid = child.id().to_string();
        let sent = Command::new("kill").args(["-INT", &pid]).status();
        assert!(sent.unwrap().success());
        let output = tokio::task::block_in_place(|| child.wait_with_output().unwrap());
        assert_eq!(output.status.code(), Some(130), "{output:?}");
        let why = String::from_utf8_lossy(&output.stderr);
        assert!(why.contains("nothing is written"), "{why}");
        assert!(!world.folder.path().join("r.json").exists());
        assert_eq!(world.owners(), [Some(world.anna); 3]);
    }
}
