//! A server with the sample pictures in two users' libraries, a folder for the results,
//! and the programs as a user runs them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use faceset_media::DecodeLimits;
use faceset_testkit::{home, program, sample_files, sample_library};
use immich_fake::{Content, Fake, Library, Shape, Uuid};
use serde_json::Value;

/// 2020-01-01T00:00:00Z in microseconds.
const T0: i64 = 1_577_836_800_000_000;
/// Of so many sample pictures in turn: Anna's, one later, Bob's, nobody's.
const TURN: usize = 6;
/// Longest wait for something that a program does, on a machine that is busy.
const PATIENCE: Duration = Duration::from_mins(5);

/// Everything.
pub(crate) struct Bench {
    pub(crate) fake: Fake,
    users: BTreeMap<&'static str, (Uuid, String)>,
    dir: tempfile::TempDir,
    /// Pictures that Anna takes later.
    later: Vec<PathBuf>,
}

impl Bench {
    /// Starts the server. Anna has a third of the pictures with a few more, Bob a sixth.
    pub(crate) async fn start() -> Self {
        // `finalize` finds them beside itself.
        for name in ["embed-worker", "sort-faces", "cluster-discover"] {
            program(env!("CARGO_BIN_EXE_immich-stage"), name);
        }
        let pictures = sample_files();
        let mut library = Library::new();
        let mut users = BTreeMap::new();
        for (label, name) in [("anna", "Anna"), ("bob", "Bob")] {
            let id = library.add_user(name);
            users.insert(label, (id, library.add_key(id, label, &["all"])));
        }
        let (anna, bob) = (users["anna"].0, users["bob"].0);
        let mut later = Vec::new();
        let mut first = None;
        for (nth, picture) in pictures.iter().enumerate() {
            match nth % TURN {
                0 | 3 => {
                    let id = add(&mut library, anna, picture, nth);
                    if first.is_none() && n_people(picture) == 1 {
                        first = Some((id, picture.clone()));
                    }
                }
                1 => later.push(picture.clone()),
                4 => {
                    add(&mut library, bob, picture, nth);
                }
                _ => {}
            }
        }
        later.truncate(4);
        // A copy within the library, and one in the other user's.
        let (_, picture) = first.expect("the samples show people");
        for owner in [anna, bob] {
            let id = add(&mut library, owner, &picture, pictures.len());
            library.update_asset(id, |asset| {
                "/data/library/copy.jpg".clone_into(&mut asset.path);
            });
        }
        // What is no picture, with a face that the server imagined; a small face; none.
        let notes = add(
            &mut library,
            anna,
            Path::new("notes.jpg"),
            pictures.len() + 1,
        );
        library.update_asset(notes, |asset| {
            asset.content = Content::Bytes((*b"buy milk, call Eve").into());
        });
        library.add_face(notes, None, [0, 0, 300, 300], (1500, 1000));
        // A phone's picture, which this build decodes, and a camera's, which it does not: the
        // server has a preview of it.
        let upright = faceset_media::decode(&fs::read(&picture).unwrap(), &DecodeLimits::default());
        let pixels = image::DynamicImage::from(upright.unwrap().rgb)
            .thumbnail(640, 640)
            .into_rgb8();
        let (width, height) = pixels.dimensions();
        let heic = heifer::encode_rgb8(width, height, &pixels, &heifer::EncodeOptions::default());
        let heic = add_bytes(
            &mut library,
            anna,
            "IMG_1.HEIC",
            "image/heic",
            heic.unwrap(),
        );
        let raw = add_bytes(
            &mut library,
            anna,
            "DSC_1.NEF",
            "image/x-nikon-nef",
            vec![1; 99],
        );
        let jpeg = |pixels: &image::RgbImage| -> Content {
            let mut bytes = std::io::Cursor::new(Vec::new());
            pixels
                .write_to(&mut bytes, image::ImageFormat::Jpeg)
                .unwrap();
            Content::Bytes(bytes.into_inner().into())
        };
        let mirrored = image::imageops::flip_horizontal(&pixels);
        for (id, pixels) in [(raw, &pixels), (notes, &mirrored)] {
            let preview = Some(jpeg(pixels));
            library.update_asset(id, |asset| asset.preview = preview);
        }
        for id in [heic, raw] {
            library.add_face(id, None, [0, 0, 300, 300], (1500, 1000));
        }
        let far = add(&mut library, anna, Path::new("far.jpg"), pictures.len() + 2);
        library.add_face(far, None, [0, 0, 20, 25], (1500, 1000));
        add(
            &mut library,
            anna,
            Path::new("beach.jpg"),
            pictures.len() + 3,
        );
        Self {
            fake: Fake::start(library, Shape::v2_7_2()).await,
            users,
            dir: tempfile::tempdir().unwrap(),
            later,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Photos in a user's library.
    pub(crate) fn n_photos(&self, user: &str) -> u64 {
        let id = self.users[user].0;
        let count = |library: &mut Library| library.assets().filter(|a| a.owner == id).count();
        self.fake.with_library(count) as u64
    }

    /// Anna takes more photos.
    pub(crate) fn add_photos(&self, user: &str) {
        let id = self.users[user].0;
        for (nth, picture) in self.later.iter().enumerate() {
            self.fake
                .with_library(|library| add(library, id, picture, 100_000 + nth));
        }
    }

    /// The chain of a user: embedding in two parts, their caches joined.
    pub(crate) fn write_chain(&self, user: &str, min_faces: u32) {
        let chain = format!(
            r#"
version = 1
user = "{user}"

[names]
part1 = "{{queue}}/part1.npz"
part2 = "{{queue}}/part2.npz"
cache = "{{queue}}/faces.npz"
collection = "{{root}}/work/cache/faces.npz"
sets = "{{root}}/facesets_swap_ready"

[[step]]
name = "embed 1"
run = ["embed-worker", "run", "{{queue}}", "{{part1}}", "--shard", "1/2",
       "--provider", "cpu", "--flush-every", "2", "--no-log", "--json"]
reads = ["{{queue}}/queue.items.jsonl"]
makes = ["{{part1}}"]

[[step]]
name = "embed 2"
run = ["embed-worker", "run", "{{queue}}", "{{part2}}", "--shard", "2/2",
       "--provider", "cpu", "--flush-every", "2", "--no-log", "--json"]
reads = ["{{queue}}/queue.items.jsonl"]
makes = ["{{part2}}"]

[[step]]
name = "join"
run = ["sort-faces", "merge-caches", "{{new}}", "{{part1}}", "{{part2}}"]
reads = ["{{part1}}", "{{part2}}"]
replaces = "{{cache}}"

[[step]]
name = "merge"
run = ["sort-faces", "merge-caches", "{{new}}", "{{collection|if-there}}", "{{cache}}"]
reads = ["{{cache}}"]
replaces = "{{collection}}"

[[step]]
name = "discover"
run = ["cluster-discover", "{{cache}}", "--known", "{{collection}}", "--in", "{{sets}}",
       "--marker", "{{user}}", "--min-faces", "{min_faces}", "--no-log", "--json"]
reads = ["{{cache}}"]
makes = ["{{sets}}/manifest.json"]
"#
        );
        fs::write(self.path(&format!("{user}.toml")), chain).unwrap();
    }

    /// A program `worker.exe` that stands for one of another system: it notes its
    /// arguments, takes `X:\faces` for the root, and has Bob's photos at `share`.
    #[cfg(unix)]
    pub(crate) fn write_far_worker(&self, share: &Path) {
        use std::os::unix::fs::PermissionsExt as _;

        let own = env!("CARGO_BIN_EXE_immich-stage");
        let script = format!(
            r#"#!/bin/sh
set -eu
printf '%s\n' "$@" > '{root}/arguments.txt'
here() {{ printf '%s' "$1" | sed -e 's|^X:.faces|{root}|' -e 's|\\|/|g'; }}
exec '{worker}' "$1" "$(here "$2")" "$(here "$3")" --root 'bob={share}' --provider cpu --no-log --json
"#,
            root = self.dir.path().display(),
            worker = program(own, "embed-worker").display(),
            share = share.display(),
        );
        let path = self.path("worker.exe");
        fs::write(&path, script).unwrap();
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(&path, mode).unwrap();
    }

    /// `immich-stage` for a user, with JSON.
    pub(crate) fn stage(&self, user: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_immich-stage"));
        command
            .args(["--user", user, "--root"])
            .arg(self.dir.path())
            .args(["--json", "--no-log", "--progress", "never"])
            .env("IMMICH_URL", self.fake.url())
            .env("IMMICH_API_KEY", &self.users[user].1);
        command
    }

    /// `immich-stage finalize` for a user, with JSON.
    pub(crate) fn finalize(&self, user: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_immich-stage"));
        command
            .arg("finalize")
            .arg(self.path(&format!("{user}.toml")))
            .args(["--json", "--no-log", "--progress", "never"])
            .env("FACE_SETS_HOME", home())
            .env_remove("FACE_SETS_PACK");
        command
    }

    /// Ids of the originals that were asked for since the log was cleared. Those that a
    /// killed program asked for last may come after that.
    pub(crate) fn originals(&self) -> Vec<String> {
        let log = self.fake.log();
        let mut ids: Vec<String> = log
            .iter()
            .filter_map(|entry| entry.request.strip_suffix("/original"))
            .map(|request| request.rsplit('/').next().unwrap().to_owned())
            .collect();
        ids.sort();
        ids
    }

    /// The files that the chain made: caches, sets and manifests.
    pub(crate) fn results(&self) -> BTreeMap<String, Vec<u8>> {
        let mut found = tree(self.dir.path());
        found.retain(|name, _| name.ends_with(".npz") || name.starts_with("facesets_swap_ready/"));
        found
    }

    /// Removes what the chain made; what staging made stays.
    pub(crate) fn forget_results(&self) {
        let queue = self.path("work/immich/anna");
        for entry in fs::read_dir(queue).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name.contains(".npz") || name == "chain.json" {
                fs::remove_file(path).unwrap();
            }
        }
        fs::remove_dir_all(self.path("work/cache")).unwrap();
        fs::remove_dir_all(self.path("facesets_swap_ready")).unwrap();
    }
}

/// A program under way; on Unix with everything that it started.
pub(crate) struct Running(Child);

impl Running {
    /// Starts a program, on Unix as the head of a group, so that what it starts can be
    /// killed too.
    pub(crate) fn start(mut command: Command) -> Self {
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }

    pub(crate) fn is_over(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }

    /// Ends it at once: no handler of its own runs.
    pub(crate) fn kill(mut self) {
        #[cfg(unix)]
        {
            let group = format!("-{}", self.0.id());
            let _ = Command::new("kill")
                .args(["-KILL", "--", &group])
                .stderr(Stdio::null())
                .status()
                .unwrap();
        }
        // A program that is over is killed already.
        let _ = self.0.kill();
        self.0.wait().unwrap();
    }
}

/// Waits for something; what never comes fails the test.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{what}: never");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What a program printed; one that failed fails the test with its words.
pub(crate) fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", text(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

pub(crate) fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Every file below a folder, named with `/`, but locks, what was moved aside, and the
/// registry, whose journal tells times.
pub(crate) fn tree(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut todo = vec![root.to_path_buf()];
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            let name = path
                .strip_prefix(root)
                .unwrap()
                .to_string_lossy()
                .replace('\\', "/");
            if name.ends_with(".lock") || name.contains("registry.") || name.contains("_dropped") {
                continue;
            }
            if path.is_dir() {
                todo.push(path);
            } else {
                found.insert(name, fs::read(path).unwrap());
            }
        }
    }
    found
}

/// How many people set-up's list names on a sample picture.
fn n_people(picture: &Path) -> usize {
    let truth = read_json(&home().join("samples").join("truth.json"));
    let Ok(name) = picture.strip_prefix(sample_library()) else {
        return 0;
    };
    let name = name.to_string_lossy().replace('\\', "/");
    let people = truth["photos"][&name].as_array();
    people.map_or(0, Vec::len)
}

/// Adds a picture to a library, with a box where the server would have found one.
fn add(library: &mut Library, owner: Uuid, picture: &Path, nth: usize) -> Uuid {
    let name = picture.file_name().unwrap().to_string_lossy().into_owned();
    let id = library.add_photo(owner, &name, T0 + nth as i64 * 1_000_000);
    let Ok(bytes) = fs::read(picture) else {
        return id;
    };
    let size = image::image_dimensions(picture).ok();
    library.update_asset(id, |asset| {
        asset.path = format!("/data/library/{nth:03}/{name}");
        asset.content = Content::Bytes(bytes.into());
        asset.stored = size.unwrap_or(asset.stored);
    });
    if n_people(picture) > 0 {
        let (width, height) = size.unwrap_or((3000, 2000));
        let area = [0, 0, width.min(400) as i32, height.min(500) as i32];
        library.add_face(id, None, area, (width, height));
    }
    id
}

/// Adds a file that is no sample picture, a minute before them.
fn add_bytes(library: &mut Library, owner: Uuid, name: &str, mime: &str, bytes: Vec<u8>) -> Uuid {
    let id = library.add_photo(owner, name, T0 - 60_000_000);
    library.update_asset(id, |asset| {
        asset.path = format!("/data/library/{name}");
        mime.clone_into(&mut asset.mime);
        asset.content = Content::Bytes(bytes.into());
    });
    id
}
