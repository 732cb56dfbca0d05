//! Building, testing and checking by cargo, with the set-up's places in the
//! environment.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use crate::home::Home;
use crate::windows::{self, Verdict};
use crate::{nasm, openvino, python, setup};

/// Builds `sort-faces` and sorts `src` into `out`.
pub(crate) fn sort(
    home: &Home,
    src: &Path,
    out: &Path,
    extra: &[String],
) -> anyhow::Result<ExitCode> {
    setup::assembler(home);
    println!("building sort-faces");
    let built = cargo(home)
        .args(["build", "--release", "--package", "sort-faces"])
        .status()
        .context("cannot run cargo")?;
    ensure!(built.success(), "building sort-faces failed");
    let program = target_folder(home)?
        .join("release")
        .join(format!("sort-faces{}", std::env::consts::EXE_SUFFIX));
    println!("sorting {} into {}", src.display(), out.display());
    let sorted = Command::new(&program)
        .env("FACE_SETS_HOME", &home.root)
        .arg("sort")
        .args([src, out])
        .args(extra)
        .status()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let page = out.join("index.html");
    if page.is_file() {
        let page = std::path::absolute(&page).unwrap_or(page);
        println!("look at the result: {}", page.display());
    }
    Ok(code(sorted))
}

/// Tells the tests of face-fix's page that there is no browser and none can be had.
/// Only this program sets it; without it they fail, so that nobody misses them.
pub(crate) const NO_BROWSER: &str = "FACE_SETS_NO_BROWSER";

/// Runs every test, or those of the packages that `extra` names. A failed test
/// does not keep the others from running. `no_browser` says why there is none; the
/// last line then names what was not tested.
pub(crate) fn test(
    home: &Home,
    extra: &[String],
    no_browser: Option<&str>,
) -> anyhow::Result<ExitCode> {
    setup::assembler(home);
    let status = cargo(home)
        .env("FACE_SETS_PYTHON", python::interpreter(home))
        .envs(no_browser.map(|why| (NO_BROWSER, why)))
        .args(["test", "--no-fail-fast"])
        .args((!names_packages(extra)).then_some("--workspace"))
        .args(extra)
        .status()
        .context("cannot run cargo")?;
    if let Some(why) = no_browser {
        println!("SKIPPED: face-fix's page in a browser ({why})");
    }
    Ok(code(status))
}

/// Whether the arguments, up to those for the tests themselves, choose packages.
pub(crate) fn names_packages(extra: &[String]) -> bool {
    extra
        .iter()
        .take_while(|a| *a != "--")
        .any(|a| a == "-p" || a.starts_with("--package"))
}

/// A check that needs no set-up.
struct Check {
    title: &'static str,
    arguments: &'static [&'static str],
}

const CHECKS: [Check; 3] = [
    Check {
        title: "format",
        arguments: &["fmt", "--all", "--check"],
    },
    Check {
        title: "lints",
        arguments: &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ],
    },
    Check {
        title: "documentation",
        arguments: &["doc", "--workspace", "--no-deps"],
    },
];

/// The Windows stage of the checks is skipped, and says so, when the rest took longer
/// than this: the checks as a whole must end.
const WINDOWS_BEGINS_BY: Duration = Duration::from_mins(50);

/// Runs every check to its end, then set-up, the tests and the Windows stage; fails
/// when any failed. What took how long is said.
pub(crate) fn ci(home: &Home) -> anyhow::Result<ExitCode> {
    let begun = Instant::now();
    // Before the first build: a build without it is not made again with it.
    setup::assembler(home);
    let mut failed = Vec::new();
    for check in &CHECKS {
        println!("== {}: cargo {}", check.title, check.arguments.join(" "));
        let passed = timed(|| {
            cargo(home)
                .env("RUSTDOCFLAGS", "-D warnings")
                .args(check.arguments)
                .status()
                .context("cannot run cargo")
        })?;
        if !passed.success() {
            failed.push(check.title);
        }
    }
    if !failed.is_empty() {
        println!("== failed so far: {}", failed.join(", "));
    }
    println!("== set-up");
    if let Err(error) = timed(|| setup::bring_everything(home)) {
        // Tests that need nothing from set-up still tell something.
        eprintln!("error: {error:#}");
        failed.push("set-up");
    }
    // The one provider beside the processor that a package client brings to a
    // machine without such hardware; its test then runs for real.
    let no_openvino = openvino::bring(home).err();
    println!("== tests");
    // Without a browser the tests of the page fail here, and say what to install.
    if timed(|| test(home, &[], None))? != ExitCode::SUCCESS {
        failed.push("tests");
    }
    let windows = if begun.elapsed() < WINDOWS_BEGINS_BY {
        timed(|| windows::stage(home, &[]))
    } else {
        Verdict::Skipped(format!(
            "everything before it took {} minutes on this machine; run `cargo xtask windows`",
            begun.elapsed().as_secs() / 60
        ))
    };
    if let Verdict::Failed(_) = windows {
        failed.push("windows");
    }
    if let Some(why) = no_openvino {
        println!("SKIPPED: OpenVINO on the processor ({why:#})");
    }
    println!("{windows}");
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("error: failed: {}", failed.join(", "));
    Ok(ExitCode::FAILURE)
}

/// Does something and says how long it took.
fn timed<T>(what: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let result = what();
    println!("  took {} s", begun.elapsed().as_secs());
    result
}

/// The cargo that runs this program, in the repository.
pub(crate) fn cargo(home: &Home) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command
        .current_dir(&home.repository)
        .env("FACE_SETS_HOME", &home.root)
        .envs(nasm::path(home).map(|path| ("PATH", path)))
        .stdin(Stdio::null());
    command
}

/// Where cargo builds, whatever set it: variable, configuration or default.
pub(crate) fn target_folder(home: &Home) -> anyhow::Result<PathBuf> {
    let output = cargo(home)
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    ensure!(output.status.success(), "cargo metadata failed");
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).context("cannot read cargo's metadata")?;
    metadata["target_directory"]
        .as_str()
        .map(PathBuf::from)
        .context("cargo's metadata names no target directory")
}

/// A child's exit code as ours; a child ended by a signal counts as failed.
fn code(status: std::process::ExitStatus) -> ExitCode {
    status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_package_replaces_the_workspace() {
        let names = |arguments: &[&str]| {
            names_packages(
                &arguments
                    .iter()
                    .map(|a| (*a).to_owned())
                    .collect::<Vec<_>>(),
            )
        };
        assert!(names(&["-p", "xtask"]));
        assert!(names(&["--package=xtask"]));
        assert!(!names(&["--release", "--", "-p"]));
        assert!(!names(&[]));
    }

    #[test]
    fn the_target_folder_is_the_one_cargo_names() {
        let home = Home::from_environment();
        let folder = target_folder(&home).unwrap();
        assert!(folder.is_absolute());
        // The running test itself was built below it.
        assert!(
            std::env::current_exe().unwrap().starts_with(&folder),
            "{}",
            folder.display()
        );
    }
}
