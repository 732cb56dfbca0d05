//! The browser that the tests of face-fix's page drive: any chromium on the PATH, else
//! the system's package.

use std::path::PathBuf;
use std::process::Command;

use anyhow::bail;

use crate::clients::run_quietly;
use crate::step::State;

/// Programs that will do; the tests look for the same.
const PROGRAMS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// What people are told to do.
pub(crate) const INSTALL: &str = "sudo apt-get install chromium";

/// Ready when one of the programs is on the PATH.
pub(crate) fn state() -> State {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let is_there = |name: &str| folders.iter().any(|folder| folder.join(name).is_file());
    if PROGRAMS.iter().any(|name| is_there(name)) {
        State::Ready
    } else {
        State::Missing(format!("no chromium on the PATH: {INSTALL}"))
    }
}

/// Installs Debian's package, as root or through a sudo that asks nothing.
pub(crate) fn bring() -> anyhow::Result<()> {
    println!("  installing chromium by apt-get");
    let apt = |before: &[&str]| {
        let mut words = before.to_vec();
        words.extend([
            "apt-get",
            "install",
            "--yes",
            "--no-install-recommends",
            "chromium",
        ]);
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .env("DEBIAN_FRONTEND", "noninteractive");
        run_quietly(&mut command)
    };
    if apt(&[]).is_err() && apt(&["sudo", "-n"]).is_err() {
        bail!("no chromium could be installed: {INSTALL}");
    }
    Ok(())
}
