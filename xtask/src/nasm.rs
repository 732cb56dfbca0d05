//! The assembler that libjpeg's vector code is written for: the one on the PATH,
//! else Debian's package, unpacked into a folder of ours and never installed.
//!
//! Builds do without it, and then decode JPEGs with the same pixels in a half
//! more time; `faceset-media` says so while it is built.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::apt::{self, on_path};
use crate::clients::run_quietly;
use crate::home::Home;
use crate::step::State;

/// Program and package.
const NASM: &str = "nasm";

/// What people are told to do.
pub(crate) const INSTALL: &str = "sudo apt-get install nasm, or another nasm on the PATH";

/// Where the package is unpacked.
fn folder(home: &Home) -> PathBuf {
    home.root.join(NASM)
}

/// The folder that a build needs on its PATH; `None` when it needs none or has
/// none.
fn added(home: &Home) -> Option<PathBuf> {
    let programs = folder(home).join("usr").join("bin");
    (!is_on_path() && programs.join(NASM).is_file()).then_some(programs)
}

fn is_on_path() -> bool {
    on_path(NASM) || on_path("nasm.exe")
}

/// Whether this system's builds use an assembler of their own instead.
fn is_needed() -> bool {
    cfg!(any(target_arch = "x86_64", target_arch = "x86"))
}

/// Ready when builds find it, or need none.
pub(crate) fn state(home: &Home) -> State {
    if !is_needed() || is_on_path() || added(home).is_some() {
        State::Ready
    } else {
        State::Missing(format!(
            "no nasm: JPEGs are decoded by slower code; {INSTALL}"
        ))
    }
}

/// The search path of a build.
pub(crate) fn path(home: &Home) -> Option<OsString> {
    let added = added(home)?;
    let usual = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(std::iter::once(added).chain(std::env::split_paths(&usual))).ok()
}

/// Fetches and unpacks the package.
pub(crate) fn bring(home: &Home) -> anyhow::Result<()> {
    if !on_path("apt-get") || !on_path("dpkg") {
        bail!("apt-get is not here: {INSTALL}");
    }
    println!("  fetching nasm by apt-get, unpacked and not installed");
    let place = folder(home);
    let packages = place.join("packages");
    fs::create_dir_all(&packages).with_context(|| format!("cannot make {}", packages.display()))?;
    let download = || {
        run_quietly(
            Command::new("apt-get")
                .current_dir(&packages)
                .args(["download", "-qq", NASM]),
        )
    };
    // What is in the lists may be there all the same: they are fetched only if not.
    if download().is_err() {
        let updated = apt::update();
        download().with_context(|| match updated {
            Ok(()) => format!("nasm can't be had: {INSTALL}"),
            Err(error) => format!("nasm can't be had ({error:#}): {INSTALL}"),
        })?;
    }
    for package in fs::read_dir(&packages)? {
        run_quietly(
            Command::new("dpkg")
                .arg("-x")
                .arg(package?.path())
                .arg(&place),
        )?;
    }
    fs::remove_dir_all(&packages)?;
    let program = place.join("usr").join("bin").join(NASM);
    run_quietly(Command::new(&program).arg("-v"))
        .with_context(|| format!("{} does not run: {INSTALL}", program.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unpacked_assembler_comes_first_on_the_path() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home {
            repository: dir.path().to_path_buf(),
            root: dir.path().to_path_buf(),
        };
        if is_on_path() {
            // Whoever installed one keeps it.
            assert_eq!((path(&home), state(&home)), (None, State::Ready));
            return;
        }
        assert_eq!(path(&home), None);
        let programs = dir.path().join("nasm").join("usr").join("bin");
        fs::create_dir_all(&programs).unwrap();
        fs::write(programs.join("nasm"), "").unwrap();
        let path = path(&home).unwrap();
        assert_eq!(std::env::split_paths(&path).next(), Some(programs));
        assert_eq!(state(&home), State::Ready);
    }
}
