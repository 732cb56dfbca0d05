//! Packages of the system, by Debian's `apt-get`, as root or through a sudo that
//! asks nothing.

use std::process::Command;

use anyhow::Context as _;

use crate::clients::run_quietly;

/// Whether a program of that name can be started.
pub(crate) fn on_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    })
}

/// Fetches the lists of packages. A fresh machine has none, and old ones name
/// versions that are gone.
pub(crate) fn update() -> anyhow::Result<()> {
    run(&["update", "-qq"])
}

/// Installs packages with what they need and no more.
pub(crate) fn install(packages: &[&str]) -> anyhow::Result<()> {
    // What is in the lists may be there all the same.
    let updated = update();
    let arguments = ["install", "-y", "-qq", "--no-install-recommends"];
    let installed = run(&[&arguments[..], packages].concat());
    match updated {
        Err(error) if installed.is_err() => {
            installed.with_context(|| format!("the lists of packages could not be had ({error:#})"))
        }
        _ => installed,
    }
}

fn run(arguments: &[&str]) -> anyhow::Result<()> {
    let apt = |command: &mut Command| {
        run_quietly(
            command
                .args(arguments)
                .env("DEBIAN_FRONTEND", "noninteractive"),
        )
    };
    let first = apt(&mut Command::new("apt-get"));
    if first.is_ok() || !on_path("sudo") {
        return first;
    }
    apt(Command::new("sudo").args(["-n", "apt-get"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_programs_on_the_path_are_found() {
        assert!(on_path(if cfg!(windows) { "cargo.exe" } else { "cargo" }));
        assert!(!on_path("face-sets-no-such-program"));
    }
}
