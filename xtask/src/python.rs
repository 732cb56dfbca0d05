//! NumPy for the tests that read caches as a user's script would.
//!
//! The packages go into a folder of their own and an interpreter wrapper names
//! that folder, since Debian's python3 has neither venv nor leave to install.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;

use crate::clients::{pip, python, run_quietly};
use crate::home::Home;
use crate::step::{self, State};

/// The newest NumPy that each Python takes, as pip reads it.
const NUMPY: [&str; 2] = [
    "numpy==2.2.6; python_version < '3.11'",
    "numpy==2.4.6; python_version >= '3.11'",
];

/// The interpreter that sees the packages.
pub(crate) fn interpreter(home: &Home) -> PathBuf {
    home.python().join(if cfg!(windows) {
        "python.cmd"
    } else {
        "python3"
    })
}

/// Ready when the interpreter loads a NumPy of ours.
pub(crate) fn state(home: &Home) -> State {
    let interpreter = interpreter(home);
    if !interpreter.is_file() {
        return State::Missing(format!("{} is not there", home.shown(&interpreter)));
    }
    let code = "import numpy, sys; sys.exit(numpy.__version__ not in ('2.2.6', '2.4.6'))";
    match run_quietly(Command::new(&interpreter).args(["-c", code])) {
        Ok(()) => State::Ready,
        Err(_) => State::Missing("its Python does not load the pinned numpy".to_owned()),
    }
}

/// Installs NumPy and writes the wrapper.
pub(crate) fn bring(home: &Home) -> anyhow::Result<()> {
    let packages = home.python().join("packages");
    println!("  fetching numpy by pip");
    // pip adds to a target folder and would leave an older version's files.
    if packages.exists() {
        std::fs::remove_dir_all(&packages)
            .with_context(|| format!("cannot clear {}", packages.display()))?;
    }
    run_quietly(
        pip()?
            .args(["install", "--no-deps", "--only-binary=:all:", "--target"])
            .arg(&packages)
            .args(NUMPY),
    )?;
    let interpreter = interpreter(home);
    step::write(&interpreter, wrapper(python()?).as_bytes())?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&interpreter, std::fs::Permissions::from_mode(0o755))
            .with_context(|| format!("cannot make {} executable", interpreter.display()))?;
    }
    println!("    {}", home.shown(&interpreter));
    Ok(())
}

/// A script that starts `python` with the packages beside the script.
fn wrapper(python: &str) -> String {
    if cfg!(windows) {
        format!("@set \"PYTHONPATH=%~dp0packages\"\r\n@{python} %*\r\n")
    } else {
        format!("#!/bin/sh\nPYTHONPATH=\"$(dirname \"$0\")/packages\" exec {python} \"$@\"\n")
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_wrapper_sees_the_packages_beside_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("p");
        // `env` stands in for an interpreter: it prints its environment.
        std::fs::write(&script, wrapper("env")).unwrap();
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&script, mode).unwrap();
        let output = Command::new("sh").arg(&script).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let expected = format!("PYTHONPATH={}/packages", dir.path().display());
        assert!(text.lines().any(|line| line == expected), "{text}");
    }
}
