//! The steps of set-up. Each is skipped when its result is there and right, so
//! running set-up again costs a look at the files.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde::Deserialize;

use crate::clients::Package;
use crate::home::Home;
use crate::step::{self, State, Wanted};
use crate::{axe, browser, digest, nasm, python, runtime, samples};

/// What can be brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// ONNX Runtime's library.
    Runtime,
    /// The free model pack.
    Models,
    /// The sample pictures and the library varied from them.
    Samples,
    /// The Python packages that tests read caches with.
    Python,
    /// The accessibility rules that tests of face-fix's page check it with.
    Axe,
    /// The browser that tests of face-fix's page drive.
    Browser,
    /// The assembler for libjpeg's vector code; builds do without it, slower.
    Assembler,
}

/// What the main job needs on a person's own photos.
pub(crate) const FOR_SORTING: [Step; 2] = [Step::Runtime, Step::Models];
/// What it needs besides when there are none.
pub(crate) const FOR_THE_DEMO: [Step; 1] = [Step::Samples];
/// What the tests need.
const EVERYTHING: [Step; 7] = [
    Step::Runtime,
    Step::Models,
    Step::Samples,
    Step::Python,
    Step::Axe,
    Step::Browser,
    Step::Assembler,
];
/// The same but for the browser, which not every machine can install.
pub(crate) const FOR_TESTS: [Step; 5] = [
    Step::Runtime,
    Step::Models,
    Step::Samples,
    Step::Python,
    Step::Axe,
];

/// The pack that set-up installs. Its file is the one place that names the
/// models and their digests.
const FREE_PACK: &str = include_str!("../../crates/faceset-infer/packs/faceplugin.toml");
/// The package that carries the models of [`FREE_PACK`].
const FREE_PACK_SOURCE: Package = Package::Npm {
    name: "faceplugin-face-recognition-js",
    version: "0.0.1",
};

impl Step {
    fn title(self) -> &'static str {
        match self {
            Self::Runtime => "runtime library",
            Self::Models => "face models",
            Self::Samples => "sample pictures",
            Self::Python => "Python for tests",
            Self::Axe => "accessibility rules for tests",
            Self::Browser => "browser for tests",
            Self::Assembler => "assembler",
        }
    }

    fn state(self, home: &Home) -> anyhow::Result<State> {
        match self {
            Self::Runtime => {
                let choices = runtime::choices(home);
                // Either package's library will do.
                for (_, files) in &choices {
                    if step::state(files)? == State::Ready {
                        return Ok(State::Ready);
                    }
                }
                match choices.first() {
                    Some((_, files)) => step::state(files),
                    None => Ok(State::Missing(no_library_for_this_system(home))),
                }
            }
            Self::Models => step::state(&free_pack(home)?),
            Self::Samples => samples::state(home),
            Self::Python => Ok(python::state(home)),
            Self::Axe => step::state(&axe::files(home)),
            Self::Browser => Ok(browser::state()),
            Self::Assembler => Ok(nasm::state(home)),
        }
    }

    fn bring(self, home: &Home) -> anyhow::Result<()> {
        match self {
            Self::Runtime => {
                let choices = runtime::choices(home);
                let Some((package, files)) = runtime::preferred(&choices) else {
                    bail!(no_library_for_this_system(home));
                };
                fetch(home, package, files)
            }
            Self::Models => fetch(home, &FREE_PACK_SOURCE, &free_pack(home)?),
            Self::Samples => samples::bring(home),
            Self::Python => python::bring(home),
            Self::Axe => fetch(home, &axe::SOURCE, &axe::files(home)),
            Self::Browser => browser::bring(),
            Self::Assembler => nasm::bring(home),
        }
    }

    /// Why this system does without the step's result; `None` where set-up can
    /// bring it.
    fn done_without(self, home: &Home) -> Option<String> {
        match self {
            Self::Runtime => no_runtime(&runtime::choices(home), home),
            _ => None,
        }
    }
}

/// What to say where no package carries the runtime library. Sorting goes on:
/// `sort-faces` has kernels of its own, and says that it uses them.
fn no_runtime(choices: &[runtime::Choice], home: &Home) -> Option<String> {
    let why = no_library_for_this_system(home);
    choices
        .is_empty()
        .then(|| format!("{why}; without it the built-in kernels are used, which are slower"))
}

/// Runs all steps that the tests need whose result is missing.
pub(crate) fn bring_everything(home: &Home) -> anyhow::Result<()> {
    println!("set-up in {}", home.root.display());
    bring(home, &FOR_TESTS)?;
    bring(home, &[Step::Browser])
}

/// Brings the assembler if that can be done, before anything is built; says so
/// where not.
pub(crate) fn assembler(home: &Home) {
    if let Err(error) = bring(home, &[Step::Assembler]) {
        println!("  assembler missing, JPEGs will be decoded by slower code: {error:#}");
    }
}

/// Brings the browser if that can be done. `None` when there is one, else why not.
pub(crate) fn browser(home: &Home) -> Option<String> {
    bring(home, &[Step::Browser])
        .err()
        .map(|error| format!("{error:#}"))
}

/// Runs those of `steps` whose result is missing.
pub(crate) fn bring(home: &Home, steps: &[Step]) -> anyhow::Result<()> {
    for step in steps {
        if step.state(home)? == State::Ready {
            println!("  {} ready", step.title());
            continue;
        }
        if let Some(note) = step.done_without(home) {
            println!("  {}: {note}", step.title());
            continue;
        }
        step.bring(home)
            .with_context(|| format!("failed to set up the {}", step.title()))?;
        if let State::Missing(why) = step.state(home)? {
            bail!("the {} is still not complete: {why}", step.title());
        }
        println!("  {} done", step.title());
    }
    Ok(())
}

/// Says what is there; success when nothing is missing.
pub(crate) fn check(home: &Home) -> ExitCode {
    println!("set-up in {}", home.root.display());
    let mut complete = true;
    for step in EVERYTHING {
        let line = match step.state(home) {
            Ok(State::Ready) => "ready".to_owned(),
            Ok(State::Missing(why)) => step.done_without(home).unwrap_or_else(|| {
                complete = false;
                format!("missing: {why}")
            }),
            Err(error) => {
                complete = false;
                format!("{error:#}")
            }
        };
        println!("  {}: {line}", step.title());
    }
    if complete {
        ExitCode::SUCCESS
    } else {
        println!("run `cargo xtask setup` to bring what is missing");
        ExitCode::FAILURE
    }
}

/// Takes files out of a package, checks each, then writes each.
pub(crate) fn fetch(home: &Home, package: &Package, files: &[Wanted]) -> anyhow::Result<()> {
    let names: Vec<&str> = files.iter().map(|f| f.member.as_str()).collect();
    let members = package.members(&names)?;
    for file in files {
        digest::require(&file.member, &members[&file.member], &file.sha256)?;
    }
    for file in files {
        step::write(&file.path, &members[&file.member])?;
        println!("    {}", home.shown(&file.path));
    }
    Ok(())
}

fn no_library_for_this_system(home: &Home) -> String {
    format!(
        "no package carries ONNX Runtime for {} on {}; put its shared library \
         (1.17 or newer) into {}",
        std::env::consts::OS,
        std::env::consts::ARCH,
        home.runtime().display()
    )
}

/// The files that the pack names, and where they belong.
fn free_pack(home: &Home) -> anyhow::Result<Vec<Wanted>> {
    /// A role's table; the pack's other tables have no file.
    #[derive(Deserialize)]
    struct Role {
        file: String,
        sha256: String,
    }
    let pack: toml::Table = toml::from_str(FREE_PACK).context("the free pack is no TOML")?;
    let name = pack
        .get("name")
        .and_then(toml::Value::as_str)
        .context("the free pack has no name")?;
    let folder = home.models(name);
    pack.values()
        .filter(|value| value.get("file").is_some())
        .map(|value| {
            let role: Role = value
                .clone()
                .try_into()
                .context("a role of the free pack")?;
            Ok(Wanted {
                member: format!("package/model/{}", role.file),
                path: folder.join(&role.file),
                sha256: role.sha256,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> Home {
        Home {
            repository: "r".into(),
            root: "h".into(),
        }
    }

    #[test]
    fn the_models_are_those_that_the_pack_names() {
        let files = free_pack(&home()).unwrap();
        let detector = files
            .iter()
            .find(|f| f.member == "package/model/fr_detect.onnx")
            .unwrap();
        assert_eq!(
            detector.path,
            std::path::Path::new("h/models/faceplugin/fr_detect.onnx")
        );
        assert!(files.len() >= 3);
        assert!(files.iter().all(|f| f.sha256.len() == 64));
    }

    #[test]
    fn a_system_without_a_package_is_told_and_not_refused() {
        let note = no_runtime(&[], &home()).unwrap();
        assert!(note.contains("built-in kernels"), "{note}");
        let package = Package::Npm {
            name: "x",
            version: "1",
        };
        assert_eq!(no_runtime(&[(package, Vec::new())], &home()), None);
        // Nothing else can be done without.
        for step in EVERYTHING.into_iter().filter(|s| *s != Step::Runtime) {
            assert_eq!(step.done_without(&home()), None);
        }
    }

    #[test]
    fn sorting_own_photos_needs_neither_samples_nor_python() {
        assert!(!FOR_SORTING.contains(&Step::Python));
        assert!(!FOR_SORTING.contains(&Step::Samples));
    }
}
