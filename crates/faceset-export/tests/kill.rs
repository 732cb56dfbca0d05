//! An export killed outright at thirty moments ends, after resuming, with the
//! bytes of an undisturbed one.
//!
//! Has its own `main`: the program starts itself as the process to be killed.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_imports,
    clippy::print_stdout,
    reason = "tests"
)]

mod support;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use faceset_core::{CancelToken, NoProgress};
use faceset_export::{ExportPlan, apply};
use support::*;

const KILLS: u32 = 30;

fn library_and_plans() -> (Library, ExportPlan, ExportPlan) {
    let mut library = Library::new();
    let sets: Vec<_> = [("anna", ANNA), ("bert", BERT), ("cleo", CLEO)]
        .iter()
        .enumerate()
        .map(|(i, (name, person))| {
            let photos = library.solos(name, *person, 4);
            library.set(&format!("faceset_{:03}", i + 1), &photos)
        })
        .collect();
    let old = plain_plan(&library, sets, &options(|s| s.out_size = 64));
    let mut new = old.clone();
    for set in &mut new.sets {
        set.faces.truncate(3);
    }
    (library, old, new)
}

fn export(plan: &ExportPlan, library: &Library, out: &Path) {
    let pixels = Drawn::of(library);
    let never = CancelToken::default();
    apply(plan, &pixels, &Squares::default(), out, &NoProgress, &never).unwrap();
}

/// The process to be killed: over the old export, the new one.
fn child(out: &Path) {
    let (library, _, new) = library_and_plans();
    export(&new, &library, out);
}

fn start(out: &Path) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--export-into".as_ref(), out.as_os_str()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn main() {
    let arguments: Vec<_> = std::env::args_os().collect();
    if arguments.len() == 3 && arguments[1] == "--export-into" {
        return child(Path::new(&arguments[2]));
    }
    let (library, old, new) = library_and_plans();
    let dir = tempfile::tempdir().unwrap();
    let undisturbed = dir.path().join("undisturbed");
    export(&old, &library, &undisturbed);
    let began = Instant::now();
    assert!(start(&undisturbed).wait().unwrap().success());
    let whole = began.elapsed();
    let expected = tree(&undisturbed);
    let mut interrupted = 0;
    for kill in 0..KILLS {
        let out = dir.path().join(format!("{kill}"));
        export(&old, &library, &out);
        let mut process = start(&out);
        // Spread over the time of a whole run, and odd so that moments differ.
        std::thread::sleep(whole * kill / KILLS + Duration::from_micros(u64::from(kill) * 37));
        process.kill().unwrap();
        if !process.wait().unwrap().success() {
            interrupted += 1;
        }
        export(&new, &library, &out);
        let found = tree(&out);
        let differing: Vec<_> = expected
            .keys()
            .chain(found.keys())
            .filter(|name| expected.get(*name) != found.get(*name))
            .collect();
        assert!(
            differing.is_empty(),
            "kill {kill} left other bytes in {differing:?}"
        );
    }
    println!("{interrupted} of {KILLS} runs were killed before their end");
    assert!(
        interrupted >= 5,
        "only {interrupted} runs were killed in time"
    );
}
