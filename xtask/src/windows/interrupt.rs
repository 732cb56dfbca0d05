//! A worker on Windows that is asked to stop keeps what it has, and the next run ends
//! with the bytes of an undisturbed one.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::pair::{Pair, Side, ends};
use crate::clients::run_quietly;

/// The exit code of a run that was asked to stop.
const INTERRUPTED: i32 = 130;
/// How often the journal is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Stops the worker by Ctrl-C and by the queue's stop file, then lets it finish;
/// `calm` is the cache of an undisturbed run.
pub(super) fn stops_and_resumes(
    pair: &Pair<'_>,
    queue: &Path,
    calm: &Path,
    folder: &Path,
) -> anyhow::Result<&'static str> {
    let cache = folder.join("interrupted.npz");
    let journal = folder.join("interrupted.npz.journal");
    let arguments = [
        "run".to_owned(),
        Side::Windows.path(queue),
        Side::Windows.path(&cache),
        "--provider=cpu".to_owned(),
        "--flush-every=1".to_owned(),
    ];
    let size = || fs::metadata(&journal).map_or(0, |about| about.len());
    let stopped_by = |ask: &dyn Fn(u32) -> anyhow::Result<()>| {
        let before = size();
        let mut child = pair
            .bare("embed-worker")?
            .args(&arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run embed-worker")?;
        // Once the journal grows the run is in its middle.
        while size() <= before && child.try_wait()?.is_none() {
            sleep(LOOK_EVERY);
        }
        ask(child.id())?;
        let output = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(
            output.status.code() == Some(INTERRUPTED),
            "an interrupted worker should end with {INTERRUPTED}; it ended with {}: {said}",
            output.status
        );
        Ok(())
    };
    stopped_by(&|process| {
        // Wine makes a Ctrl-C of it.
        run_quietly(Command::new("kill").args(["-INT", &process.to_string()]))
    })?;
    let stop = queue.join("embed.stop");
    stopped_by(&|_| Ok(fs::write(&stop, "")?))?;
    fs::remove_file(&stop)?;
    let said = ends(
        pair.command(Side::Windows, "embed-worker")?
            .args(&arguments)
            .arg("--json"),
        0,
    )?;
    let report = said.lines().find(|line| line.starts_with('{'));
    let report: serde_json::Value = serde_json::from_str(report.unwrap_or_default())
        .with_context(|| format!("embed-worker gave no report: {said}"))?;
    // Each of the two runs had saved a photo when it was asked to stop.
    ensure!(
        report["known"].as_u64() >= Some(2),
        "what was saved before an interruption should be known: {report}"
    );
    ensure!(
        fs::read(&cache)? == fs::read(calm)?,
        "a worker that was interrupted twice made another cache"
    );
    Ok("Ctrl-C and embed.stop end the worker with 130, and the third run made the same cache")
}
