//! The package clients. They know where packages come from and how to get
//! there, a proxy included; nothing here names a host.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use crate::archive;
use std::collections::BTreeMap;

/// A version of a package and the client that brings it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Package {
    /// The wheel of a Python package for CPython 3.12 on a platform of pip's
    /// naming; `any` for pure Python. Which Python runs pip does not matter.
    Wheel {
        name: &'static str,
        version: &'static str,
        platform: &'static str,
    },
    /// The source archive of a Python package.
    Sdist {
        name: &'static str,
        version: &'static str,
    },
    /// A package of npm.
    Npm {
        name: &'static str,
        version: &'static str,
    },
}

impl std::fmt::Display for Package {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Wheel { name, version, .. } => write!(f, "wheel {name} {version} by pip"),
            Self::Sdist { name, version } => write!(f, "source of {name} {version} by pip"),
            Self::Npm { name, version } => write!(f, "package {name} {version} by npm"),
        }
    }
}

impl Package {
    /// Downloads the package into a folder of its own and takes `names` out.
    pub(crate) fn members(&self, names: &[&str]) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
        let folder = tempfile::Builder::new()
            .prefix("face-sets-setup-")
            .tempdir()
            .context("cannot make a folder for the download")?;
        println!("  fetching {self}");
        self.download(folder.path())
            .with_context(|| format!("cannot fetch the {self}"))?;
        let archive = only_file(folder.path())?;
        archive::members(&archive, names)
    }

    fn download(&self, folder: &Path) -> anyhow::Result<()> {
        match self {
            Self::Wheel {
                name,
                version,
                platform,
            } => {
                let mut command = pip()?;
                command
                    .args(["download", "--no-deps", "--only-binary=:all:"])
                    .args(["--implementation", "cp", "--python-version", "3.12"])
                    .args(["--platform", platform]);
                if *platform != "any" {
                    command.args(["--abi", "cp312"]);
                }
                command.arg("--dest").arg(folder);
                run_quietly(command.arg(format!("{name}=={version}")))
            }
            // Only this package is wanted as source: pip reads its metadata with
            // setuptools, which may come as a wheel.
            Self::Sdist { name, version } => run_quietly(
                pip()?
                    .args(["download", "--no-deps", &format!("--no-binary={name}")])
                    .arg("--dest")
                    .arg(folder)
                    .arg(format!("{name}=={version}")),
            ),
            Self::Npm { name, version } => run_quietly(&mut npm_pack(name, version, folder)),
        }
    }
}

/// The interpreter on the path that has pip.
///
/// # Errors
/// Says what to install when there is none.
pub(crate) fn python() -> anyhow::Result<&'static str> {
    let candidates = if cfg!(windows) {
        ["python", "python3"]
    } else {
        ["python3", "python"]
    };
    candidates
        .into_iter()
        .find(|python| answers(Command::new(python).args(["-m", "pip", "--version"])))
        .context(
            "found no python3 with pip; install them \
             (Debian and Ubuntu: apt install python3-pip; Windows: the Python installer)",
        )
}

/// `pip`, quiet and without questions.
pub(crate) fn pip() -> anyhow::Result<Command> {
    let mut command = Command::new(python()?);
    command.args(["-m", "pip", "--quiet", "--no-input"]);
    command.arg("--disable-pip-version-check");
    Ok(command)
}

fn npm() -> Command {
    // npm is a script on Windows, which only starts by its full name.
    Command::new(if cfg!(windows) { "npm.cmd" } else { "npm" })
}

/// Packs into `folder`: npm before 7.19 knows no other way to say where, and
/// passes an option that it does not know over.
fn npm_pack(name: &str, version: &str, folder: &Path) -> Command {
    let mut command = npm();
    command
        .args(["pack", "--silent", &format!("{name}@{version}")])
        .current_dir(folder);
    command
}

fn answers(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs a client; what it says is shown only when it fails.
pub(crate) fn run_quietly(command: &mut Command) -> anyhow::Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = match command.stdin(Stdio::null()).output() {
        Ok(output) => output,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            bail!("{program} is not installed, or not on the PATH")
        }
        Err(e) => return Err(e).with_context(|| format!("cannot run {program}")),
    };
    if !output.status.success() {
        let arguments: Vec<_> = command.get_args().map(OsStr::to_string_lossy).collect();
        bail!(
            "`{program} {}` ended with {}: {}",
            arguments.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}

/// The single file that a client left in its folder.
fn only_file(folder: &Path) -> anyhow::Result<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<io::Result<_>>()?;
    files.sort();
    match files.as_slice() {
        [file] => Ok(file.clone()),
        _ => bail!("the client left {} files where one was due", files.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn npm_packs_into_the_folder_it_runs_in() {
        let command = npm_pack("a", "1.2.3", Path::new("f"));
        assert_eq!(command.get_current_dir(), Some(Path::new("f")));
        let arguments: Vec<_> = command.get_args().collect();
        assert_eq!(arguments, ["pack", "--silent", "a@1.2.3"]);
    }

    #[test]
    fn a_missing_client_is_named() {
        let error = run_quietly(&mut Command::new("face-sets-no-such-client")).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("face-sets-no-such-client is not installed"),
            "{error}"
        );
    }

    #[test]
    fn exactly_one_file_is_a_download() {
        let dir = tempfile::tempdir().unwrap();
        assert!(only_file(dir.path()).is_err());
        std::fs::write(dir.path().join("a.whl"), b"").unwrap();
        assert_eq!(only_file(dir.path()).unwrap(), dir.path().join("a.whl"));
        std::fs::write(dir.path().join("b.whl"), b"").unwrap();
        assert!(only_file(dir.path()).is_err());
    }
}
