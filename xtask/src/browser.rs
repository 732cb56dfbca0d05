//! The browser that the tests of face-fix's page drive: any chromium on the PATH, else
//! the system's package.

use anyhow::Context as _;

use crate::apt;
use crate::step::State;

/// Programs that will do; the tests look for the same.
const PROGRAMS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// What people are told to do.
pub(crate) const INSTALL: &str = "sudo apt-get install chromium";

/// Ready when one of the programs is on the PATH.
pub(crate) fn state() -> State {
    if PROGRAMS.into_iter().any(apt::on_path) {
        State::Ready
    } else {
        State::Missing(format!("no chromium on the PATH: {INSTALL}"))
    }
}

/// Installs Debian's package.
pub(crate) fn bring() -> anyhow::Result<()> {
    println!("  installing chromium by apt-get");
    apt::install(&["chromium"])
        .with_context(|| format!("no chromium could be installed: {INSTALL}"))
}
