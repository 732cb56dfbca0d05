//! `probe`: one provider's self-test, in a process of its own; and starting it.

use std::io::{BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use faceset_cli::{Context, Report};
use faceset_infer::{Provider, SelfTest};
use faceset_pipeline::{Engine, PackChoice};

use crate::args::EngineArgs;
use crate::session::for_people;

/// Longest a probe may take: providers that compile models for a device take
/// up to a minute, a driver that hangs takes for ever.
const TIMEOUT: Duration = Duration::from_mins(3);

/// How long a probe that has ended is listened to: what a driver started may live on and
/// hold its pipes open.
const LISTEN_AFTER_END: Duration = Duration::from_secs(2);

/// How often a running probe is looked at.
const POLL: Duration = Duration::from_millis(20);

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Provider to test
    #[arg(long)]
    provider: Provider,
    /// Which of its devices, from 0
    #[arg(long, default_value_t = 0)]
    device: u32,
    #[command(flatten)]
    engine: EngineArgs,
}

/// Runs it: the report is the self-test as JSON, also without `--json`.
///
/// # Errors
/// When library, models or provider are not there or fail.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<Report> {
    let roots = context.home.model_roots(&args.engine.model_root);
    let libraries = context
        .home
        .library_candidates(args.engine.ort_lib.as_deref());
    let pack = Engine::locate(&args.engine.choice(), &roots).map_err(for_people)?;
    let library =
        faceset_infer::find_library(&libraries).context("found no ONNX Runtime library")?;
    let start = Instant::now();
    let clock = || start.elapsed();
    let test = faceset_infer::probe(&library, args.provider, args.device, &pack, &clock)
        .map_err(|e| anyhow::anyhow!("failed to {e}"))?;
    let json = serde_json::to_value(&test)?;
    Ok(Report::done(json.to_string(), json))
}

/// Runs a provider's self-test in a child process, by the hidden command `probe`
/// that every program with a choice of providers has.
///
/// # Errors
/// Why there is no result, in one line.
pub fn in_child(
    provider: Provider,
    device: u32,
    engine: &Engine,
    args: &EngineArgs,
) -> Result<SelfTest, String> {
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut command = Command::new(program);
    command
        .args(["probe", "--quiet", "--no-log"])
        .args(["--provider", provider.name()])
        .args(["--device", &device.to_string()])
        .arg("--ort-lib")
        .arg(engine.runtime().library())
        .arg("--pack")
        .arg(match args.choice() {
            PackChoice::File(path) => path.into_os_string(),
            PackChoice::Named(name) => name.into(),
            PackChoice::Default => engine.pack().pack.name.clone().into(),
        });
    for root in &args.model_root {
        command.arg("--model-root").arg(root);
    }
    let (ended, out, errors) = wait(command)?;
    if ended {
        return serde_json::from_str(out.trim()).map_err(|_| last_line(&errors));
    }
    Err(format!(
        "its self-test did not end within {} s",
        TIMEOUT.as_secs()
    ))
}

/// Whether it ended in time, and what it said.
fn wait(mut command: Command) -> Result<(bool, String, String), String> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| e.to_string())?;
    let out = child.stdout.take().map(reader);
    let errors = child.stderr.take().map(reader);
    let start = Instant::now();
    let ended = loop {
        match child.try_wait().map_err(|e| e.to_string())? {
            Some(_) => break true,
            None if start.elapsed() > TIMEOUT => {
                let _ = child.kill();
                let _ = child.wait();
                break false;
            }
            None => sleep(POLL),
        }
    };
    let by = Instant::now() + LISTEN_AFTER_END;
    Ok((ended, said(out, by), said(errors, by)))
}

/// Reads a pipe to its end: a full one must not stop the child.
fn reader(from: impl Read + Send + 'static) -> Receiver<u8> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for byte in BufReader::new(from).bytes().map_while(Result::ok) {
            let _ = sender.send(byte);
        }
    });
    receiver
}

/// What came through a pipe until it closed, or until `by`.
fn said(pipe: Option<Receiver<u8>>, by: Instant) -> String {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        while let Ok(byte) = pipe.recv_timeout(by.saturating_duration_since(Instant::now())) {
            bytes.push(byte);
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What a child that failed said last; drivers talk before.
fn last_line(errors: &str) -> String {
    errors
        .lines()
        .rev()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .map_or_else(
            || "its self-test crashed without a word".to_owned(),
            |line| line.strip_prefix("error: ").unwrap_or(line).to_owned(),
        )
}

#[cfg(test)]
mod tests {
    use super::last_line;

    #[test]
    fn the_last_word_of_a_failed_probe_is_its_reason() {
        assert_eq!(
            last_line("driver: hello\nerror: failed to use cuda: no device\n\n"),
            "failed to use cuda: no device"
        );
        assert!(last_line(" \n").contains("crashed"));
    }
}
