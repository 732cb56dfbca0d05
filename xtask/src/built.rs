//! What cargo built: the programs of a build, read from cargo's own messages.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use serde::Deserialize;

/// One program that cargo built or found built.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Program {
    /// Folder of its package.
    pub(crate) folder: PathBuf,
    /// Name of the target: a library's, a test file's, a program's.
    pub(crate) name: String,
    /// Runs tests; else it is what ships.
    pub(crate) tests: bool,
    /// The file.
    pub(crate) path: PathBuf,
}

/// Runs a cargo command that builds and never runs what it built. Compiler errors
/// and progress go where this program's own go.
pub(crate) fn programs(mut cargo: Command) -> anyhow::Result<Vec<Program>> {
    let output = cargo
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    ensure!(output.status.success(), "the build failed, see above");
    programs_in(&String::from_utf8_lossy(&output.stdout))
}

/// The programs in cargo's messages, a JSON object a line, in the order of their
/// folders.
fn programs_in(messages: &str) -> anyhow::Result<Vec<Program>> {
    #[derive(Deserialize)]
    struct Message {
        manifest_path: PathBuf,
        target: Target,
        profile: Profile,
        executable: Option<PathBuf>,
    }
    #[derive(Deserialize)]
    struct Target {
        name: String,
        kind: Vec<String>,
    }
    #[derive(Deserialize)]
    struct Profile {
        test: bool,
    }
    let mut found = Vec::new();
    for line in messages.lines().filter(|line| line.starts_with('{')) {
        let value: serde_json::Value = serde_json::from_str(line)
            .with_context(|| format!("cargo wrote a line that is no JSON: {line}"))?;
        if value["reason"] != "compiler-artifact" {
            continue;
        }
        let message: Message = serde_json::from_value(value).context("one of cargo's messages")?;
        // A build script is a program too, and nobody's to run.
        if message
            .target
            .kind
            .iter()
            .any(|kind| kind == "custom-build")
        {
            continue;
        }
        if let Some(path) = message.executable {
            found.push(Program {
                folder: message
                    .manifest_path
                    .parent()
                    .context("a manifest lies in a folder")?
                    .to_path_buf(),
                name: message.target.name,
                tests: message.profile.test,
                path,
            });
        }
    }
    found.sort();
    Ok(found)
}

/// The shipped program of that name.
pub(crate) fn shipped<'a>(programs: &'a [Program], name: &str) -> anyhow::Result<&'a Program> {
    programs
        .iter()
        .find(|program| !program.tests && program.name == name)
        .with_context(|| format!("cargo did not build {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_and_tests_are_read_from_cargos_messages() {
        let messages = r#"
{"reason":"compiler-artifact","manifest_path":"/r/bins/b/Cargo.toml","target":{"kind":["test"],"name":"whole"},"profile":{"test":true},"executable":"/t/whole-1.exe"}
{"reason":"compiler-artifact","manifest_path":"/r/bins/b/Cargo.toml","target":{"kind":["bin"],"name":"b"},"profile":{"test":false},"executable":"/t/b.exe"}
{"reason":"compiler-artifact","manifest_path":"/r/crates/a/Cargo.toml","target":{"kind":["lib"],"name":"a"},"profile":{"test":false},"executable":null}
{"reason":"compiler-artifact","manifest_path":"/c/x/Cargo.toml","target":{"kind":["custom-build"],"name":"build-script-build"},"profile":{"test":false},"executable":"/t/build"}
{"reason":"build-script-executed","package_id":"x"}
{"reason":"build-finished","success":true}
"#;
        let found = programs_in(messages).unwrap();
        let names: Vec<_> = found.iter().map(|p| (p.name.as_str(), p.tests)).collect();
        assert_eq!(names, [("b", false), ("whole", true)]);
        assert_eq!(found[0].folder, std::path::Path::new("/r/bins/b"));
        assert_eq!(
            shipped(&found, "b").unwrap().path,
            std::path::Path::new("/t/b.exe")
        );
        assert!(shipped(&found, "whole").is_err());
        assert!(programs_in("{broken").is_err());
    }
}
