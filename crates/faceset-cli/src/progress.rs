//! Progress on stderr: bars with rate and time left on a terminal, a plain
//! line every 30 seconds otherwise; notes go above the bar and into the log.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use faceset_core::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::args::ProgressChoice;
use crate::log::LogFile;

/// Time between plain progress lines when there is no terminal.
const PLAIN_LINE_EVERY: Duration = Duration::from_secs(30);

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Bars,
    Lines,
    Silent,
}

#[derive(Debug)]
struct Phase {
    name: String,
    total: Option<u64>,
    done: u64,
    started: Instant,
    last_line: Instant,
    bar: Option<ProgressBar>,
}

/// The progress sink that binaries hand to the libraries.
#[derive(Debug)]
pub(crate) struct Terminal {
    mode: Mode,
    notes: bool,
    verbose: bool,
    log: Option<LogFile>,
    phase: Mutex<Option<Phase>>,
}

impl Terminal {
    pub(crate) fn new(
        choice: ProgressChoice,
        quiet: bool,
        verbose: bool,
        log: Option<LogFile>,
    ) -> Self {
        let mode = match choice {
            ProgressChoice::Never => Mode::Silent,
            _ if quiet => Mode::Silent,
            ProgressChoice::Always => Mode::Bars,
            ProgressChoice::Auto if std::io::stderr().is_terminal() => Mode::Bars,
            ProgressChoice::Auto => Mode::Lines,
        };
        Self {
            mode,
            notes: !quiet,
            verbose,
            log,
            phase: Mutex::new(None),
        }
    }

    pub(crate) fn log_path(&self) -> Option<&std::path::Path> {
        self.log.as_ref().map(LogFile::path)
    }

    pub(crate) fn log_line(&self, text: &str) {
        if let Some(log) = &self.log {
            log.line(text);
        }
    }

    /// Into the log, and with `-v` onto the terminal.
    fn detail(&self, text: &str) {
        self.log_line(text);
        if self.verbose {
            Self::print(text);
        }
    }

    fn with_phase<R>(&self, f: impl FnOnce(&mut Option<Phase>) -> R) -> R {
        f(&mut self
            .phase
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    fn print(line: &str) {
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}

fn bar(name: &str, total: Option<u64>) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
    let template = if total.is_some() {
        "{prefix:12} {wide_bar} {pos}/{len}  {per_sec}  {eta} left"
    } else {
        "{prefix:12} {spinner} {pos}  {per_sec}  {elapsed}"
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_prefix(name.to_owned());
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

impl Phase {
    fn line(&self) -> String {
        let seconds = self.started.elapsed().as_secs_f64().max(1e-3);
        let rate = self.done as f64 / seconds;
        match self.total {
            Some(total) if rate > 0.0 => {
                let left = total.saturating_sub(self.done) as f64 / rate;
                format!(
                    "{}: {} of {total}, {rate:.1}/s, {left:.0} s left",
                    self.name, self.done
                )
            }
            Some(total) => format!("{}: {} of {total}", self.name, self.done),
            None => format!("{}: {}, {rate:.1}/s", self.name, self.done),
        }
    }
}

impl Progress for Terminal {
    fn start(&self, phase: &str, total: Option<u64>) {
        self.detail(&match total {
            Some(total) => format!("{phase}: {total} to do"),
            None => format!("{phase}: started"),
        });
        let now = Instant::now();
        let bar = (self.mode == Mode::Bars).then(|| bar(phase, total));
        let next = Phase {
            name: phase.to_owned(),
            total,
            done: 0,
            started: now,
            last_line: now,
            bar,
        };
        self.with_phase(|slot| {
            if let Some(old) = slot.replace(next).and_then(|p| p.bar) {
                old.finish_and_clear();
            }
        });
    }

    fn advance(&self, n: u64) {
        self.with_phase(|slot| {
            let Some(phase) = slot else { return };
            phase.done += n;
            if let Some(bar) = &phase.bar {
                bar.inc(n);
            } else if self.mode == Mode::Lines && phase.last_line.elapsed() >= PLAIN_LINE_EVERY {
                phase.last_line = Instant::now();
                Self::print(&phase.line());
            }
        });
    }

    fn finish(&self) {
        let phase = self.with_phase(Option::take);
        let Some(phase) = phase else { return };
        let line = phase.line();
        if let Some(bar) = phase.bar {
            bar.finish_and_clear();
        }
        let seconds = phase.started.elapsed().as_secs_f64();
        self.detail(&format!(
            "{} done: {} in {seconds:.1} s",
            phase.name, phase.done
        ));
        if self.mode == Mode::Lines && seconds >= PLAIN_LINE_EVERY.as_secs_f64() {
            Self::print(&line);
        }
    }

    fn note(&self, line: &str) {
        self.log_line(line);
        if !self.notes {
            return;
        }
        self.with_phase(|slot| match slot.as_ref().and_then(|p| p.bar.as_ref()) {
            Some(bar) => bar.println(line),
            None => Self::print(line),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_lines_tell_rate_and_time_left() {
        let started = Instant::now().checked_sub(Duration::from_secs(10)).unwrap();
        let phase = Phase {
            name: "embed".to_owned(),
            total: Some(300),
            done: 100,
            started,
            last_line: started,
            bar: None,
        };
        let line = phase.line();
        assert!(
            line.starts_with("embed: 100 of 300, 10.0/s, 20 s left"),
            "{line}"
        );
    }

    #[test]
    fn notes_reach_the_log_even_when_quiet() {
        let path =
            std::env::temp_dir().join(format!("faceset-cli-note-{}.log", std::process::id()));
        let sink = Terminal::new(
            ProgressChoice::Auto,
            true,
            false,
            Some(LogFile::open(&path).unwrap()),
        );
        sink.note("one bad photo");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(text.ends_with("one bad photo\n"), "{text}");
    }
}
