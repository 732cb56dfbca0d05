//! What tests share: where things are in a checkout, sample pictures, programs of other
//! packages.
//!
//! A development dependency only; nothing that ships may use it. The rules that
//! hold the workspace together are tested in this crate's `tests/`: who may
//! depend on whom (`layering`), and the house style (`tidy`).

use std::path::{Path, PathBuf};
use std::process::Command;

/// The repository root, from where this crate was compiled.
///
/// # Panics
/// When the crate no longer lies two folders below the root.
pub fn repo_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("crates/NAME lies two folders below the root")
        .to_path_buf()
}

/// Where `cargo xtask setup` put runtime, models and samples: `FACE_SETS_HOME`
/// (cargo sets it in this repository), else `.faceset` in the root.
pub fn home() -> PathBuf {
    match std::env::var_os("FACE_SETS_HOME").filter(|v| !v.is_empty()) {
        Some(home) => PathBuf::from(home),
        None => repo_root().join(".faceset"),
    }
}

/// The sample library that `cargo xtask setup` made.
///
/// # Panics
/// When it is not there, with what to run.
pub fn sample_library() -> PathBuf {
    let library = home().join("samples").join("library");
    assert!(
        library.is_dir(),
        "{} is missing: run `cargo xtask setup`",
        library.display()
    );
    library
}

/// Every file of the sample library, in the order of their paths.
///
/// # Panics
/// When the library is not there or a folder of it can't be listed.
pub fn sample_files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut todo = vec![sample_library()];
    while let Some(folder) = todo.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder of the samples is listed") {
            let path = entry.expect("an entry of the samples is read").path();
            if path.is_dir() {
                todo.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The program `name` of the package of that name, beside `beside`: a program that
/// cargo built for this test (`env!("CARGO_BIN_EXE_...")`).
///
/// `cargo test --workspace` builds every program before it runs a test. When only some
/// packages are tested and the program was never built, cargo builds it here, which may
/// take minutes; one that is there is taken as it is, so test its package too when you
/// changed it (`-p immich-stage -p embed-worker ...`).
///
/// # Panics
/// When it cannot be built.
pub fn program(beside: &str, name: &str) -> PathBuf {
    built(Path::new(beside), "", &["--package", name, "--bin", name])
}

/// The example `name` of `package`, of the same build as `beside`: built, or taken as it
/// is, like a [`program`].
///
/// # Panics
/// When it cannot be built.
pub fn example(beside: &str, package: &str, name: &str) -> PathBuf {
    let arguments = ["--package", package, "--example", name];
    built(Path::new(beside), "examples", &arguments)
}

/// The program that the last of `arguments` names, in `folder` below that of `beside`.
fn built(beside: &Path, folder: &str, arguments: &[&str]) -> PathBuf {
    let builds = beside.parent().expect("a program lies in a folder");
    let name = arguments.last().expect("what is built has a name");
    let program = builds
        .join(folder)
        .join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    if program.is_file() {
        return program;
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build
        .current_dir(repo_root())
        .args(["build", "--quiet"])
        .args(arguments);
    if builds.ends_with("release") {
        build.arg("--release");
    } else {
        build.args(["--profile", "test"]);
    }
    let status = build.status().expect("cargo runs");
    assert!(status.success(), "cargo could not build {name}");
    assert!(program.is_file(), "{} is not there", program.display());
    program
}
