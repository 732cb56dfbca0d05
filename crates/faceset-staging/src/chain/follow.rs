//! Follows one program of a chain to its end: its words into the one log, its report kept.

use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::process::{Child, ExitStatus};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use faceset_core::{CancelToken, Progress};
use serde_json::Value;

/// How often a running program is looked at.
const POLL: Duration = Duration::from_millis(50);
/// How long an interrupted program has to come to a safe point. Ctrl-C reaches it too.
const GRACE: Duration = Duration::from_secs(30);
/// How long a program that has ended is listened to: what it started may live on and hold
/// its end of the pipes, which then never close.
const LISTEN_AFTER_END: Duration = Duration::from_secs(2);
/// Longest report of a program that is kept, in bytes.
const MAX_REPORT: usize = 16 << 20;
/// Last words of a failed program in the error.
const LAST_WORDS: usize = 5;
/// Pieces that were heard and not yet taken; then the program waits.
const HEARD_AHEAD: usize = 256;

/// What a program said and how it ended.
pub(crate) struct Said {
    pub(crate) status: ExitStatus,
    /// The JSON object that it printed, if it printed one.
    pub(crate) report: Option<Value>,
    /// The last lines otherwise.
    pub(crate) last: Vec<String>,
}

/// A piece of what a program says.
enum Heard {
    /// A line for people.
    Line(String),
    /// A part of what it prints.
    Printed(Vec<u8>),
}

/// Waits for the end of a program. Its error lines, and what it prints unless that is a
/// report, become notes with `name` before them.
pub(crate) fn follow(
    mut child: Child,
    name: &str,
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> std::io::Result<Said> {
    let (sender, heard) = sync_channel(HEARD_AHEAD);
    if let Some(stderr) = child.stderr.take() {
        let sender = sender.clone();
        std::thread::spawn(move || pass_lines(stderr, &sender));
    }
    if let Some(stdout) = child.stdout.take() {
        std::thread::spawn(move || pass_report(stdout, &sender));
    }
    let mut last = Vec::new();
    let mut printed = Vec::new();
    let mut silent = false;
    let mut take = |piece: Heard, last: &mut Vec<String>| match piece {
        Heard::Line(line) => {
            progress.note(&format!("{name}: {line}"));
            last.push(line);
            keep_last(last);
        }
        Heard::Printed(part) => printed.extend(part),
    };
    let mut asked_at: Option<Instant> = None;
    let mut ended: Option<(ExitStatus, Instant)> = None;
    let status = loop {
        match heard.recv_timeout(POLL) {
            Ok(piece) => take(piece, &mut last),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                silent = true;
                if ended.is_none() {
                    std::thread::sleep(POLL);
                }
            }
        }
        if ended.is_none() {
            ended = child.try_wait()?.map(|status| (status, Instant::now()));
        }
        match ended {
            Some((status, _)) if silent => break status,
            Some((status, at)) if at.elapsed() >= LISTEN_AFTER_END => {
                // What was said in time, however slow we were to take it.
                for piece in heard.try_iter().take(HEARD_AHEAD) {
                    take(piece, &mut last);
                }
                progress.note(&format!("{name}: ended; what it started is still running"));
                break status;
            }
            None if cancel.is_cancelled() => {
                let since = *asked_at.get_or_insert_with(Instant::now);
                if since.elapsed() >= GRACE {
                    child.kill()?;
                }
            }
            _ => {}
        }
    };
    let text = String::from_utf8_lossy(&printed);
    let report = serde_json::from_str::<Value>(&text)
        .ok()
        .filter(Value::is_object);
    if report.is_none() {
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            progress.note(&format!("{name}: {line}"));
            last.push(line.to_owned());
        }
        keep_last(&mut last);
    }
    Ok(Said {
        status,
        report,
        last,
    })
}

fn keep_last(lines: &mut Vec<String>) {
    let surplus = lines.len().saturating_sub(LAST_WORDS);
    lines.drain(..surplus);
}

/// Passes lines on, to the end: a program whose words nobody takes would wait, or break.
fn pass_lines(from: impl Read, to: &SyncSender<Heard>) {
    for line in BufReader::new(from).split(b'\n') {
        let Ok(line) = line else { break };
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        if !line.is_empty() {
            let _ = to.send(Heard::Line(line));
        }
    }
}

/// Passes on as much as a report may have, and reads the rest to its end.
fn pass_report(mut from: impl Read, to: &SyncSender<Heard>) {
    let mut left = MAX_REPORT;
    let mut part = [0; 8192];
    loop {
        let n = match from.read(&mut part) {
            Ok(n @ 1..) => n,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Ok(0) | Err(_) => break,
        };
        let kept = n.min(left);
        left -= kept;
        if kept > 0 {
            let _ = to.send(Heard::Printed(part[..kept].to_vec()));
        }
    }
}
