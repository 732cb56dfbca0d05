//! Exit codes, the same for every binary.

use std::process::ExitCode;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, or nothing to do.
    Ok,
    /// Failed; the message says why.
    Error,
    /// Stopped early because the other side is down; state is saved, the same
    /// command resumes.
    Paused,
    /// The device that was asked for is not there or does not work.
    NoDevice,
    /// Wrong usage. clap's own code for this is 2, which here means "paused".
    Usage,
    /// Interrupted; state is saved, the same command resumes.
    Interrupted,
}

impl Exit {
    /// The process exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Error => 1,
            Self::Paused => 2,
            Self::NoDevice => 3,
            Self::Usage => 64,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// An error that ends the program with a code of its own. Any other error of a
/// command ends it with [`Exit::Error`], after Ctrl-C with [`Exit::Interrupted`].
#[derive(Debug)]
pub struct Failure {
    /// How the run ended.
    pub exit: Exit,
    /// Why, for people.
    pub message: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Shown at the end of every `--help`.
pub const EXIT_CODES_HELP: &str = "Exit codes: 0 done; 1 failed; 2 paused because the other side is down, \
the same command resumes; 3 the device asked for does not work; 64 wrong usage; 130 interrupted, the same command resumes.";
