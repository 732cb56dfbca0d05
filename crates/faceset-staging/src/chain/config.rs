//! The chain's configuration: a small TOML file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use faceset_fs::FsError;
use faceset_queue::{PathStyle, is_absolute, posix_to_windows};
use serde::Deserialize;

use crate::StagingError;
use crate::options::Places;

/// Version of the configuration that this build reads up to.
const CONFIG_VERSION: u32 = 1;
/// How deep names may stand for texts with names in them.
const MAX_DEPTH: usize = 8;

/// A configuration to begin with, as `finalize --print-config` shows it.
pub const STARTING_POINT: &str = include_str!("starting_point.toml");

/// As it stands in the file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    root: Option<PathBuf>,
    user: String,
    windows_root: Option<String>,
    #[serde(default)]
    names: BTreeMap<String, String>,
    #[serde(rename = "step", default)]
    steps: Vec<FileStep>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileStep {
    name: String,
    run: Vec<String>,
    #[serde(default)]
    reads: Vec<String>,
    #[serde(default)]
    makes: Vec<String>,
    #[serde(default)]
    may_make: Vec<String>,
    replaces: Option<String>,
}

/// A checked configuration with every name filled in.
#[derive(Debug, Clone)]
pub struct ChainConfig {
    /// The folder that was given to staging.
    pub root: PathBuf,
    /// The staged library.
    pub places: Places,
    /// Its user's label.
    pub label: String,
    /// The cache of the library's faces, by the name `cache`; the report reads it.
    pub cache: Option<PathBuf>,
    /// The swap-ready folder, by the name `sets`; the report reads it.
    pub sets: Option<PathBuf>,
    /// Where programs start.
    pub folder: PathBuf,
    /// In order.
    pub steps: Vec<Step>,
}

/// One program of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// For people and for the record of what is done; unique.
    pub name: String,
    /// Program and arguments.
    pub command: Vec<Word>,
    /// Files and folders that decide whether it has to run again.
    pub reads: Vec<PathBuf>,
    /// Files and folders that exist when it is done.
    pub makes: Vec<PathBuf>,
    /// Files and folders that exist when it is done if there was something to make. What
    /// was there then and is gone later makes it run again.
    pub may_make: Vec<PathBuf>,
    /// A file that the program writes under a new name, `{new}` in its command, and that
    /// replaces the old one when the program succeeded.
    pub replaces: Option<PathBuf>,
}

/// One word of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// As the program gets it.
    pub text: String,
    /// The word is left out while nothing is there.
    pub if_there: Option<PathBuf>,
}

impl Step {
    /// The command line as it would be run now.
    pub fn line(&self) -> Vec<String> {
        let words = self.command.iter();
        words
            .filter(|word| word.if_there.as_deref().is_none_or(Path::exists))
            .map(|word| word.text.clone())
            .collect()
    }
}

impl ChainConfig {
    /// Reads a configuration. Relative paths in it are below its own folder.
    ///
    /// # Errors
    /// [`StagingError::Config`] names what is wrong; [`StagingError::Fs`] when it cannot be
    /// read.
    pub fn read(path: &Path) -> Result<Self, StagingError> {
        let text = std::fs::read_to_string(path).map_err(FsError::io("read", path))?;
        let folder = std::path::absolute(path)
            .ok()
            .and_then(|path| path.parent().map(Path::to_path_buf))
            .unwrap_or_default();
        Self::parse(&text, &folder).map_err(|what| StagingError::Config {
            path: path.to_path_buf(),
            what,
        })
    }

    fn parse(text: &str, folder: &Path) -> Result<Self, String> {
        let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
        // The version first: a newer file may have words that this build does not know.
        let version = toml::from_str::<toml::Table>(text)
            .map_err(|error| error.to_string())?
            .get("version")
            .and_then(toml::Value::as_integer);
        if version.is_some_and(|version| version > i64::from(CONFIG_VERSION)) {
            return Err(format!(
                "it has version {}; this build reads up to {CONFIG_VERSION}",
                version.unwrap_or_default()
            ));
        }
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        if file.version == 0 {
            return Err("version 0 does not exist; expected 1".to_owned());
        }
        // Without `.` and a slash at its end, which would stay in every path below it.
        let root = folder.join(file.root.clone().unwrap_or_default());
        let root: PathBuf = root.components().collect();
        let places = Places::new(&root, file.windows_root.as_deref(), &file.user)
            .map_err(|error| format!("{error}"))?;
        let names = names(&file, &root, &places);
        let windows = Windows {
            folder,
            root: &root,
            root_there: file.windows_root.clone().or_else(|| staged_for(&places)),
        };
        let fill = |text: &str| fill(text, &names, &windows, MAX_DEPTH);
        let path = |text: &String| fill(text).map(|text| folder.join(text));
        let mut steps: Vec<Step> = Vec::new();
        for step in &file.steps {
            let within = |what: String| format!("step {:?}: {what}", step.name);
            if step.run.is_empty() || step.run[0].is_empty() {
                return Err(within("`run` names no program".to_owned()));
            }
            if step.name.is_empty() || steps.iter().any(|other| other.name == step.name) {
                return Err(within("steps need names of their own".to_owned()));
            }
            let paths = |list: &[String]| list.iter().map(path).collect::<Result<Vec<_>, _>>();
            let replaces = step
                .replaces
                .as_ref()
                .map(path)
                .transpose()
                .map_err(within)?;
            let mut own = names.clone();
            if let Some(old) = &replaces {
                own.insert("new".to_owned(), new_name(old).display().to_string());
            }
            let word = |text: &String| {
                let plain = text.replace("|if-there}", "}");
                let filled = self::fill(&plain, &own, &windows, MAX_DEPTH)?;
                Ok(Word {
                    if_there: (plain != *text).then(|| folder.join(&filled)),
                    text: filled,
                })
            };
            let command: Result<Vec<Word>, String> = step.run.iter().map(word).collect();
            let command = command.map_err(within)?;
            if replaces.is_some() && !step.run.iter().any(|word| word.contains("{new")) {
                return Err(within("`replaces` needs {new} in `run`".to_owned()));
            }
            steps.push(Step {
                name: step.name.clone(),
                command,
                reads: paths(&step.reads).map_err(within)?,
                makes: paths(&step.makes).map_err(within)?,
                may_make: paths(&step.may_make).map_err(within)?,
                replaces,
            });
        }
        let known = |name: &str| {
            names
                .contains_key(name)
                .then(|| path(&format!("{{{name}}}")))
        };
        Ok(Self {
            cache: known("cache").transpose()?,
            sets: known("sets").transpose()?,
            label: file.user,
            root,
            folder: folder.to_path_buf(),
            places,
            steps,
        })
    }
}

/// Where a step writes a file that will replace `old`: beside it, so that a rename is
/// enough.
pub(crate) fn new_name(old: &Path) -> PathBuf {
    let stem = old.file_stem().unwrap_or_default().to_string_lossy();
    let name = match old.extension() {
        Some(extension) => format!("{stem}.new.{}", extension.to_string_lossy()),
        None => format!("{stem}.new"),
    };
    old.with_file_name(name)
}

fn names(file: &File, root: &Path, places: &Places) -> BTreeMap<String, String> {
    let mut names = file.names.clone();
    let mut own = |name: &str, value: String| {
        names.insert(name.to_owned(), value);
    };
    own("root", root.display().to_string());
    own("user", file.user.clone());
    own("photos", places.photos.display().to_string());
    own("queue", places.queue.folder().display().to_string());
    names
}

/// What Windows calls the root, as staging wrote it into the queue; only staging can ask the
/// system for folders that are on no drive.
fn staged_for(places: &Places) -> Option<String> {
    let head = places.queue.read_head().ok()?;
    let photos = head.roots.get(&places.root_id)?.windows()?;
    let mut parts = photos.rsplitn(3, ['/', '\\']);
    let (_label, _immich) = (parts.next()?, parts.next()?);
    parts.next().map(str::to_owned)
}

/// How paths of this system become those of Windows.
struct Windows<'a> {
    /// Relative paths are below it.
    folder: &'a Path,
    root: &'a Path,
    /// What Windows calls `root`, where that is known.
    root_there: Option<String>,
}

impl Windows<'_> {
    fn path(&self, value: &str) -> Result<String, String> {
        if is_absolute(value, PathStyle::Windows) && !value.starts_with('/') {
            return Ok(value.to_owned());
        }
        let whole = self.folder.join(value);
        let below = whole.strip_prefix(self.root).ok();
        if let (Some(there), Some(below)) = (&self.root_there, below.and_then(Path::to_str)) {
            let there = there.replace('/', "\\");
            let there = there.trim_end_matches('\\');
            return Ok(match below {
                // A drive alone keeps its slash.
                "" if there.ends_with(':') => format!("{there}\\"),
                "" => there.to_owned(),
                below => format!("{there}\\{}", below.replace('/', "\\")),
            });
        }
        posix_to_windows(&whole.to_string_lossy()).map_err(|why| {
            format!(
                "{why}; `windows_root` says what Windows calls {}",
                self.root.display()
            )
        })
    }
}

/// Replaces `{name}` by its text, and `{name|win}` by what Windows calls that path; `{{` is
/// a brace.
fn fill(
    text: &str,
    names: &BTreeMap<String, String>,
    system: &Windows<'_>,
    depth: usize,
) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('{') {
            out.push('{');
            rest = after;
            continue;
        }
        let (inner, after) = rest
            .split_once('}')
            .ok_or_else(|| format!("{text:?} has a {{ without its }}"))?;
        rest = after;
        let (name, windows) = match inner.split_once('|') {
            None => (inner, false),
            Some((name, "win")) => (name, true),
            Some((_, filter)) => {
                return Err(format!(
                    "{text:?}: {filter:?} is unknown; known are `win` and `if-there`"
                ));
            }
        };
        let value = names.get(name).ok_or_else(|| {
            let known: Vec<&str> = names.keys().map(String::as_str).collect();
            format!(
                "{text:?}: the name {name:?} is unknown; known are {}",
                known.join(", ")
            )
        })?;
        if depth == 0 {
            return Err(format!("{text:?}: names stand for each other in a circle"));
        }
        let value = fill(value, names, system, depth - 1)?;
        out.push_str(&if windows { system.path(&value)? } else { value });
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ChainConfig, String> {
        let folder = if cfg!(windows) {
            r"D:\faces"
        } else {
            "/mnt/d/faces"
        };
        ChainConfig::parse(text, Path::new(folder))
    }

    #[test]
    fn the_starting_point_is_valid_and_has_the_chain() {
        let config = parse(STARTING_POINT).unwrap();
        let names: Vec<&str> = config.steps.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["embed", "merge", "discover"]);
        assert!(config.cache.is_some() && config.sets.is_some());
        let merge = &config.steps[1];
        let new = merge.replaces.as_ref().map(|old| new_name(old)).unwrap();
        assert!(
            merge.line().contains(&new.display().to_string()),
            "{merge:?}"
        );
    }

    // A chain that runs on Windows writes no paths of Linux.
    #[cfg(not(windows))]
    #[test]
    fn names_stand_for_paths_on_either_system() {
        let config = parse(
            r#"
            version = 1
            user = "anna"
            [names]
            cache = "{queue}/faces.npz"
            [[step]]
            name = "embed"
            run = ["worker.exe", "{queue|win}", "--out={cache}", "{{literal}"]
            reads = ["{queue}/queue.items.jsonl", "extra.txt"]
            "#,
        )
        .unwrap();
        let step = &config.steps[0];
        assert_eq!(
            step.line(),
            [
                "worker.exe",
                "D:\\faces\\work\\immich\\anna",
                "--out=/mnt/d/faces/work/immich/anna/faces.npz",
                "{literal}"
            ]
        );
        assert_eq!(step.reads[1], Path::new("/mnt/d/faces/extra.txt"));
        let root = parse("version = 1\nuser = \"anna\"\nroot = \".\"")
            .unwrap()
            .root;
        assert_eq!(root.as_os_str(), "/mnt/d/faces");
    }

    #[cfg(not(windows))]
    #[test]
    fn windows_has_its_own_words_for_a_root_that_is_on_no_drive() {
        let line = |windows_root: &str| {
            let text = format!(
                r#"
                version = 1
                user = "anna"
                root = "/home/a/faces"
                {windows_root}
                [names]
                cache = "{{queue}}/faces.npz"
                near = "side.txt"
                [[step]]
                name = "embed"
                run = ["w.exe", "{{queue|win}}", "--out={{cache|win}}", "{{root|win}}", "{{near|win}}"]
                "#
            );
            parse(&text).map(|config| config.steps[0].line())
        };
        let words = line(r"windows_root = '\\wsl.localhost\Debian\home\a\faces'").unwrap();
        let there = r"\\wsl.localhost\Debian\home\a\faces";
        assert_eq!(words[1], format!(r"{there}\work\immich\anna"));
        assert_eq!(
            words[2],
            format!(r"--out={there}\work\immich\anna\faces.npz")
        );
        assert_eq!(words[3], there);
        // Not below the root: on a drive, by its place beside the configuration.
        assert_eq!(words[4], r"D:\faces\side.txt");
        assert_eq!(line(r#"windows_root = "X:/""#).unwrap()[3], r"X:\");
        let unknown = line("").unwrap_err();
        assert!(unknown.contains("windows_root"), "{unknown}");
    }

    #[test]
    fn mistakes_are_named() {
        let step = |body: &str| {
            format!(
                "version = 1\nuser = \"a\"\n[names]\nx = \"{{y}}\"\ny = \"{{x}}\"\n[[step]]\nname = \"s\"\n{body}"
            )
        };
        for (body, word) in [
            ("run = []", "no program"),
            ("run = [\"a\", \"{nobody}\"]", "nobody"),
            ("run = [\"a\", \"{x}\"]", "circle"),
            ("run = [\"a\", \"{root|mac}\"]", "mac"),
            ("run = [\"a\", \"{root\"]", "without its }"),
            ("run = [\"a\"]\nreplaces = \"b\"", "{new}"),
            ("run = [\"a\"]\nruns = 2", "runs"),
            (
                "run = [\"a\"]\n[[step]]\nname = \"s\"\nrun = [\"b\"]",
                "names of their own",
            ),
        ] {
            let error = parse(&step(body)).unwrap_err();
            assert!(error.contains(word), "{body}: {error}");
        }
        assert!(
            parse("version = 2\nuser = \"a\"\nnovel = 1")
                .unwrap_err()
                .contains("version 2")
        );
        assert!(
            parse("version = 1\nuser = \"a/b\"")
                .unwrap_err()
                .contains("label")
        );
    }
}
