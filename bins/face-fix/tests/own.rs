//! The program with our own embeddings: linked by a staging queue or by reading, `plan
//! auto`, `plan split`, `coach`, `export-decisions`; and what may run while the page does.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use faceset_cache::{CacheMeta, CacheWriter, PackIdentity};
use faceset_core::{BBox, FaceRecord, FileEntry, FileStatus, SourcePath, hash_bytes};
use faceset_queue::{
    PathStyle, PortablePath, QueueDir, QueueHead, QueueItem, RootId, RootPaths, Sha1Hash,
};
use immich_fake::{Fake, Library, Shape, Uuid};
use serde_json::{Value, json};

/// Anna's faces at 0, 8 and 92 degrees, one on each photo; Berta's at 90 and 100. The
/// third of Anna's is Berta's: 0.0006 from hers, 0.8955 from Anna's other ones.
const ANGLES: [f32; 5] = [0.0, 8.0, 92.0, 90.0, 100.0];

const YEAR_US: i64 = 31_556_952_000_000;

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
        let key = library.add_key(user, "fix", &["all"]);
        let anna = library.add_person(user, "Anna");
        let berta = library.add_person(user, "Berta");
        let (mut photos, mut faces) = (Vec::new(), Vec::new());
        for at in 0..ANGLES.len() {
            // The middle of 2000, 2001 and so on.
            let taken = (30 + at as i64) * YEAR_US + YEAR_US / 2;
            let photo = library.add_photo(user, &format!("{at}.jpg"), taken);
            let person = if at < 3 { anna } else { berta };
            let area = [200, 100, 600, 700];
            faces.push(library.add_face(photo, Some(person), area, (2000, 1000)));
            photos.push(photo);
        }
        let world = Self {
            fake: Fake::start(library, Shape::v2_7_2()).await,
            key,
            anna,
            berta,
            photos,
            faces,
            folder: tempfile::tempdir().unwrap(),
        };
        world.write_cache_and_queue();
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write_cache_and_queue(&self) {
        let meta = CacheMeta {
            pack: PackIdentity::unknown(2),
            det_size: [640, 640],
            det_thresh: 0.5,
            src_roots: [self.folder.path().to_str().unwrap().to_owned()].into(),
            provider: "cpu".to_owned(),
            extra: [].into(),
        };
        let mut cache = CacheWriter::open(&self.path("c.npz"), &meta, "test").unwrap();
        let queue = QueueDir::new(self.path("queue"));
        std::fs::create_dir_all(queue.folder()).unwrap();
        let root = RootId::new("uta").unwrap();
        let folder = self.folder.path().to_str().unwrap();
        let paths = RootPaths::from_local(folder, PathStyle::here()).unwrap();
        let head = QueueHead::new("Uta", root.clone(), paths);
        queue.write_head(&head).unwrap();
        let mut items = queue.append_items().unwrap();
        for (at, photo) in self.photos.iter().enumerate() {
            let asset = self
                .fake
                .with_library(|library| library.asset(*photo).unwrap().clone());
            let bytes = asset.bytes();
            let path = self.path(&format!("{at}.jpg"));
            std::fs::write(&path, &bytes).unwrap();
            let path = SourcePath(path.to_str().unwrap().to_owned());
            cache.put(entry(&path, &bytes, ANGLES[at])).unwrap();
            let item = QueueItem {
                root: root.clone(),
                rel: PortablePath::new(format!("{at}.jpg")).unwrap(),
                sha256: hash_bytes(&bytes),
                sha1: Some(Sha1Hash(asset.sha1())),
                size: bytes.len() as u64,
                asset_id: photo.to_string(),
                owner_id: String::new(),
                original_path: String::new(),
                taken_at: None,
                width: 2000,
                height: 1000,
                rendered: None,
            };
            items.append(&item).unwrap();
        }
        items.sync().unwrap();
        cache.finish().unwrap();
    }

    fn forget_files(&self) {
        for at in 0..self.photos.len() {
            std::fs::remove_file(self.path(&format!("{at}.jpg"))).unwrap();
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
        output.await.unwrap()
    }

    /// Runs what must succeed; its words and what it said on the way.
    async fn good(&self, args: &[&str]) -> (String, String) {
        let output = self.run(args).await;
        assert_eq!(output.status.code(), Some(0), "{args:?}: {output:?}");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(&output.stdout), text(&output.stderr))
    }

    fn owner(&self, at: usize) -> Uuid {
        let of = |library: &mut Library| library.face(self.faces[at]).unwrap().person;
        self.fake.with_library(of).unwrap()
    }

    /// A plan that a person decided by hand in the review of the pair: Anna's first two
    /// faces stay; the third is Berta's, or stays too.
    fn write_review(&self, gives: bool) {
        let person = |id: Uuid, name: &str| json!({"id": id.to_string(), "name": name});
        let decision = |at: usize| {
            let action = match at {
                2 if gives => json!({"do": "reassign", "to": person(self.berta, "Berta")}),
                _ => json!({"do": "keep"}),
            };
            let checksum = self
                .fake
                .with_library(|library| library.asset(self.photos[at]).unwrap().sha1());
            let hex = Sha1Hash(checksum).to_string();
            json!({"asset": self.photos[at].to_string(), "face": self.faces[at].to_string(),
                "checksum": hex, "from": person(self.anna, "Anna"), "action": action,
                "area": {"x1": 0.1, "y1": 0.1, "x2": 0.3, "y2": 0.7, "frame": [2000, 1000]}})
        };
        let transactions: Vec<Value> = (0..3)
            .map(|at| {
                json!({"at": "2026-01-02T03:04:05Z", "who": "Uta", "by": "hand",
                "pair": {"wrong": self.anna.to_string(), "correct": self.berta.to_string()},
                "decisions": [decision(at)]})
            })
            .collect();
        let plan = json!({"format": "face-fix plan", "version": 1, "server": "http://nas",
            "made_at": "2026-01-02T03:04:05Z", "user": null, "what": "review",
            "transactions": transactions});
        std::fs::write(self.path("review.json"), plan.to_string()).unwrap();
    }
}

fn entry(path: &SourcePath, bytes: &[u8], angle_deg: f32) -> FileEntry {
    let angle = angle_deg.to_radians();
    let face = FaceRecord {
        path: path.clone(),
        bbox: BBox {
            x1: 402.0,
            y1: 199.0,
            x2: 1196.0,
            y2: 1404.0,
        },
        kps: [[0.0; 2]; 5],
        det_score: 0.9,
        face_short: 800.0,
        blur: 50.0,
        embedding: vec![angle.cos(), angle.sin()],
        embedding_norm: 1.0,
        enrichment: None,
    };
    FileEntry {
        sha256: hash_bytes(bytes),
        size: bytes.len() as u64,
        mtime_ns: 1,
        dims: [4000, 2000],
        taken: String::new(),
        source: "original".to_owned(),
        status: FileStatus::Faces(vec![face]),
        path: path.clone(),
    }
}

const BY_QUEUE: [&str; 4] = ["--cache", "c.npz", "--queue", "queue"];

#[tokio::test(flavor = "multi_thread")]
async fn plan_auto_moves_what_is_clear_and_says_how_photos_were_linked() {
    let world = World::new().await;
    let auto = ["plan", "auto", "Anna", "Berta", "--out", "auto.json"];
    let (said, on_the_way) = world
        .good(&[&auto[..], &["--cache", "c.npz"]].concat())
        .await;
    assert!(said.contains("3 faces of Anna"), "{said}");
    assert!(
        said.contains("1 face in 1 transaction are planned"),
        "{said}"
    );
    assert!(
        on_the_way.contains("by the staging queue: 0, by reading their files: 5"),
        "{on_the_way}"
    );

    world.forget_files();
    let unlinked = world
        .run(&[&auto[..], &["--cache", "c.npz"]].concat())
        .await;
    assert_eq!(unlinked.status.code(), Some(1));
    let why = String::from_utf8_lossy(&unlinked.stderr);
    assert!(
        why.contains("--queue") && why.contains("5 unreadable"),
        "{why}"
    );
    let (_, on_the_way) = world.good(&[&auto[..], &BY_QUEUE].concat()).await;
    assert!(
        on_the_way.contains("by the staging queue: 5, by reading their files: 0"),
        "{on_the_way}"
    );
    assert_eq!(world.owner(2), world.anna, "a plan sends nothing");
    // A margin that not even the clear one reaches.
    let strict = ["--margin", "0.9"];
    let (said, _) = world.good(&[&auto[..], &BY_QUEUE, &strict].concat()).await;
    assert!(said.contains("0 faces in 0 transactions"), "{said}");

    world.good(&[&auto[..], &BY_QUEUE].concat()).await;
    world.good(&["apply", "auto.json"]).await;
    assert_eq!(
        [0, 1, 2].map(|at| world.owner(at)),
        [world.anna, world.anna, world.berta]
    );
    let alone = world
        .run(&[
            "plan", "auto", "Anna", "Berta", "--queue", "queue", "--out", "x",
        ])
        .await;
    assert_eq!(
        alone.status.code(),
        Some(64),
        "a queue says nothing without a cache"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn plan_auto_leaves_alone_what_a_person_decided_otherwise() {
    let world = World::new().await;
    world.write_review(false);
    world.good(&["apply", "review.json"]).await;
    let auto = ["plan", "auto", "Anna", "Berta", "--out", "auto.json"];
    let (said, _) = world.good(&[&auto[..], &BY_QUEUE].concat()).await;
    assert!(said.contains("1 left as you decided before"), "{said}");
    assert!(said.contains("0 faces in 0 transactions"), "{said}");
    // Taken back, the rule may act again.
    world.good(&["undo", "3"]).await;
    let (said, _) = world.good(&[&auto[..], &BY_QUEUE].concat()).await;
    assert!(said.contains("1 face in 1 transaction"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn plan_split_shows_groups_by_year_and_gives_them_away() {
    let world = World::new().await;
    let split = ["plan", "split", "Anna"];
    let (said, _) = world.good(&[&split[..], &BY_QUEUE].concat()).await;
    assert!(
        said.contains("group   1  2 faces     2000: 1, 2001: 1"),
        "{said}"
    );
    assert!(said.contains("group   2  1 face      2002: 1"), "{said}");
    let assign = ["--assign", "2=new:Clara", "--out", "split.json"];
    let (said, _) = world.good(&[&split[..], &BY_QUEUE, &assign].concat()).await;
    assert!(
        said.contains("1 face in 1 transaction are planned"),
        "{said}"
    );
    world.good(&["apply", "split.json"]).await;
    let clara = world.owner(2);
    let name = world
        .fake
        .with_library(|library| library.person(clara).unwrap().name.clone());
    assert_eq!(name, "Clara");
    assert_eq!([world.owner(0), world.owner(1)], [world.anna; 2]);
    let nobody = ["--assign", "7=Berta", "--out", "x.json"];
    let refused = world.run(&[&split[..], &BY_QUEUE, &nobody].concat()).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no group 7"));
}

#[tokio::test(flavor = "multi_thread")]
async fn coach_and_export_learn_from_what_was_decided_by_hand() {
    let world = World::new().await;
    world.write_review(true);
    world.good(&["apply", "review.json"]).await;
    let (said, _) = world
        .good(&[&["coach", "Anna", "Berta"][..], &BY_QUEUE].concat())
        .await;
    assert!(
        said.contains("2 of the wrong person, 1 of the correct one"),
        "{said}"
    );
    // Half way between 0.0097 (8 degrees) and 0.8955 (84 degrees).
    assert!(said.contains("best cut 0.453"), "{said}");
    assert!(said.contains("margin 0.10: 3 right, 0 wrong"), "{said}");

    let export = ["export-decisions", "--out", "said.json"];
    let (said, _) = world.good(&[&export[..], &BY_QUEUE].concat()).await;
    assert!(
        said.contains("decisions about 3 faces are in said.json"),
        "{said}"
    );
    let file: Value =
        serde_json::from_slice(&std::fs::read(world.path("said.json")).unwrap()).unwrap();
    let faces = file["faces"].as_array().unwrap();
    let of_photo = |at: usize| {
        let bytes = world
            .fake
            .with_library(|library| library.asset(world.photos[at]).unwrap().bytes());
        let hash = hash_bytes(&bytes).to_string();
        faces
            .iter()
            .find(|f| f["face"]["sha256"] == hash.as_str())
            .unwrap()
    };
    let (anna, berta) = (world.anna.to_string(), world.berta.to_string());
    assert_eq!(of_photo(2)["is"], berta.as_str());
    assert_eq!(of_photo(2)["not"], json!([anna]));
    assert_eq!(of_photo(0)["is"], anna.as_str());
    assert_eq!(of_photo(0)["not"], json!([berta]));
    assert_eq!(
        of_photo(0)["face"]["bbox"],
        json!([402.0, 199.0, 1196.0, 1404.0])
    );
}

/// A program that is ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the page and waits for its link.
fn serve(world: &World, more: &[&str]) -> Running {
    let args = [&["serve", "--port", "0"][..], more].concat();
    let mut child = world.command(&args).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut running = Running(child);
    for line in lines {
        if line.unwrap().contains("http://") {
            return running;
        }
    }
    panic!("no link: {:?}", running.0.wait());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_page_runs_what_reads_works_and_what_writes_says_who_holds_the_journal() {
    let world = World::new().await;
    world.write_review(true);
    world.good(&["apply", "review.json"]).await;
    let page = serve(&world, &[]);
    let pid = page.0.id();
    world.good(&["verify"]).await;
    let (history, _) = world.good(&["history"]).await;
    assert!(history.contains("3 transactions"), "{history}");
    let auto = ["plan", "auto", "Anna", "Berta", "--out", "a.json"];
    world.good(&[&auto[..], &BY_QUEUE].concat()).await;
    world
        .good(&[&["plan", "split", "Anna"][..], &BY_QUEUE].concat())
        .await;
    world.good(&["plan", "replay", "--out", "r.json"]).await;
    world
        .good(&[&["coach", "Anna", "Berta"][..], &BY_QUEUE].concat())
        .await;
    world
        .good(&[&["export-decisions", "--out", "e.json"][..], &BY_QUEUE].concat())
        .await;
    world.good(&["apply", "a.json", "--dry-run"]).await;
    world.good(&["check", "--read-only"]).await;
    for args in [
        &["undo", "last"][..],
        &["apply", "a.json"],
        &["replay"],
        &["check"],
        &["serve", "--port", "0"],
    ] {
        let output = world.run(args).await;
        assert_eq!(output.status.code(), Some(1), "{args:?}: {output:?}");
        let why = String::from_utf8_lossy(&output.stderr);
        assert!(
            why.contains(&format!("face-fix, process {pid}")),
            "{args:?}: {why}"
        );
    }
    assert_eq!(world.owner(2), world.berta, "nothing was taken back");
    let looking = serve(&world, &["--read-only"]);
    drop(looking);
    drop(page);
    world.good(&["undo", "last"]).await;
    assert_eq!(world.owner(2), world.anna);
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_at_a_journal_that_is_not_there_makes_none() {
    let world = World::new().await;
    world.good(&["verify"]).await;
    assert!(!Path::new(&world.path("face-fix.journal.jsonl")).exists());
}

#[cfg(unix)]
mod interrupted {
    use std::io::Read;

    use super::*;

    /// Runs a command, and interrupts it while it reads the second photo: with what is
    /// linked until then it must not go on. Gives its exit code and what it said.
    fn while_linking(world: &World, args: &[&str]) -> (Option<i32>, String) {
        let photo = world.path("1.jpg");
        let mut child = world
            .command(args)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A pipe is open when the program has it open, too.
        let pipe = std::fs::OpenOptions::new()
            .write(true)
            .open(&photo)
            .unwrap();
        let pid = child.id().to_string();
        let sent = Command::new("kill").args(["-INT", &pid]).status();
        assert!(sent.unwrap().success());
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("stopping at the next safe point") {
            assert!(stderr.read_line(&mut said).unwrap() > 0, "{said}");
        }
        drop(pipe);
        stderr.read_to_string(&mut said).unwrap();
        (child.wait().unwrap().code(), said)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn linking_that_is_interrupted_writes_no_file_and_replaces_none() {
        let world = World::new().await;
        world.write_review(true);
        world.good(&["apply", "review.json"]).await;
        std::fs::write(world.path("said.json"), "of an earlier run").unwrap();
        std::fs::remove_file(world.path("1.jpg")).unwrap();
        let made = Command::new("mkfifo").arg(world.path("1.jpg")).status();
        assert!(made.unwrap().success());
        let commands = [
            &["export-decisions", "--out", "said.json"][..],
            &["plan", "auto", "Anna", "Berta", "--out", "auto.json"],
            &[
                "plan",
                "split",
                "Anna",
                "--assign",
                "1=Berta",
                "--out",
                "split.json",
            ],
            &["coach", "Anna", "Berta"],
        ];
        for args in commands {
            let args = [args, &["--cache", "c.npz"]].concat();
            let (code, said) = tokio::task::block_in_place(|| while_linking(&world, &args));
            assert_eq!(code, Some(130), "{args:?}: {said}");
            assert!(said.contains("nothing is written"), "{args:?}: {said}");
        }
        let kept = std::fs::read_to_string(world.path("said.json")).unwrap();
        assert_eq!(kept, "of an earlier run");
        assert!(!world.path("auto.json").exists() && !world.path("split.json").exists());
    }
}
