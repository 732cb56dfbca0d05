//! A queue staged on one system and worked on the other, in both directions, by the
//! programs themselves against a made-up Immich server.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use anyhow::{Context as _, ensure};

use super::pair::{Pair, Side, ends};

/// Whose photos are staged; names the root and the folders.
const USER: &str = "anna";

/// Stages `photos` on each system and works each queue on both; fails unless the
/// caches are equal byte for byte.
pub(super) fn both_ways(
    pair: &Pair<'_>,
    photos: &Path,
    folder: &Path,
) -> anyhow::Result<&'static str> {
    let server = Server::start(pair, photos)?;
    for staged_on in Side::BOTH {
        let root = folder.join(format!("staged-on-{}", staged_on.name()));
        ends(
            pair.command(staged_on, "immich-stage")?
                .args(["--user", USER, "--progress", "never", "--root"])
                .arg(staged_on.path(&root))
                .env("IMMICH_URL", &server.url)
                .env("IMMICH_API_KEY", &server.key),
            0,
        )?;
        let queue = Queue {
            pair,
            folder: root.join("work/immich").join(USER),
            photos: root.join("immich").join(USER),
        };
        let other = staged_on.other();
        // Its paths mean nothing on the other system, which says what to do.
        let refused = queue.work(other, "refused.npz", false, 1)?;
        ensure!(
            refused.contains(&format!("--root {USER}=")),
            "{} should name --root: {refused}",
            other.name()
        );
        queue.work(staged_on, "own.npz", false, 0)?;
        queue.work(other, "other.npz", true, 0)?;
        let own = queue.cache("own.npz")?;
        ensure!(
            own == queue.cache("other.npz")?,
            "a queue staged on {} gave another cache on {}: see {}",
            staged_on.name(),
            other.name(),
            queue.folder.display()
        );
        if staged_on == Side::Windows {
            // Without its Windows spelling, /mnt/z is drive Z:.
            queue.forget_windows_spelling()?;
            queue.work(Side::Windows, "by-drive.npz", false, 0)?;
            ensure!(
                own == queue.cache("by-drive.npz")?,
                "/mnt/z should be Z: and give the same cache"
            );
        }
    }
    Ok(
        "a queue of immich-stage worked on the other system, both ways, gave the same cache; \
         a root it does not know is refused, --root and /mnt/x map it",
    )
}

/// A staged queue.
struct Queue<'a> {
    pair: &'a Pair<'a>,
    folder: PathBuf,
    photos: PathBuf,
}

impl Queue<'_> {
    /// Runs the worker; `tell` gives it the photos' folder. Returns what it said.
    fn work(&self, side: Side, cache: &str, tell: bool, code: i32) -> anyhow::Result<String> {
        let mut command = self.pair.command(side, "embed-worker")?;
        command
            .args(["run", &side.path(&self.folder)])
            .arg(side.path(&self.folder.join(cache)))
            .args(["--provider", "cpu", "--progress", "never"]);
        if tell {
            command.arg("--root");
            command.arg(format!("{USER}={}", side.path(&self.photos)));
        }
        ends(&mut command, code)
    }

    fn cache(&self, name: &str) -> anyhow::Result<Vec<u8>> {
        let path = self.folder.join(name);
        fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    fn forget_windows_spelling(&self) -> anyhow::Result<()> {
        let path = self.folder.join("queue.json");
        let mut head: serde_json::Value = serde_json::from_slice(&fs::read(&path)?)?;
        head["roots"][USER]
            .as_object_mut()
            .and_then(|root| root.remove("windows"))
            .context("a queue staged on Windows has a Windows spelling")?;
        fs::write(&path, head.to_string())?;
        Ok(())
    }
}

/// The made-up server; ends when dropped.
struct Server {
    process: Child,
    url: String,
    key: String,
}

impl Server {
    fn start(pair: &Pair<'_>, photos: &Path) -> anyhow::Result<Self> {
        let mut process = pair
            .server()?
            .arg("--photos")
            .arg(photos)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the made-up server")?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().context("it was asked for")?).read_line(&mut line)?;
        let place: serde_json::Value =
            serde_json::from_str(&line).context("the made-up server said no address")?;
        let text = |name: &str| place[name].as_str().unwrap_or_default().to_owned();
        Ok(Self {
            process,
            url: text("url"),
            key: text("key"),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
