//! Named roots: where a queue's photos are, in each system's own words.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use faceset_core::SourcePath;
use serde::{Deserialize, Serialize};

use crate::style::{PathRefusal, PathStyle, is_absolute, plain_windows};
use crate::{PortablePath, QueueError, posix_to_windows, windows_to_posix};

/// Longest name of a root, letters.
const MAX_ID_LETTERS: usize = 64;

/// Name of a root: 1 to 64 of `a-z`, `0-9`, `-` and `_`, so that it can stand
/// before the `=` of `--root id=PATH`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RootId(String);

impl RootId {
    /// Checks a name.
    pub fn new(text: impl Into<String>) -> Result<Self, QueueError> {
        let text = text.into();
        let is_fine = (1..=MAX_ID_LETTERS).contains(&text.len())
            && text
                .bytes()
                .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'));
        if is_fine {
            Ok(Self(text))
        } else {
            Err(QueueError::Text {
                text: text.chars().take(80).collect(),
                expected: "a root's name is 1 to 64 of a-z, 0-9, - and _",
            })
        }
    }

    /// A name for any label: lower case, other letters become `_`; `root` when
    /// nothing is left. Different labels may give the same name.
    pub fn make(label: &str) -> Self {
        let text: String = label
            .trim()
            .chars()
            .map(|c| match c.to_ascii_lowercase() {
                c @ ('a'..='z' | '0'..='9' | '-' | '_') => c,
                _ => '_',
            })
            .take(MAX_ID_LETTERS)
            .collect();
        if text.is_empty() {
            Self("root".to_owned())
        } else {
            Self(text)
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for RootId {
    type Error = QueueError;

    fn try_from(text: String) -> Result<Self, QueueError> {
        Self::new(text)
    }
}

impl From<RootId> for String {
    fn from(id: RootId) -> Self {
        id.0
    }
}

/// A root as the stager sees it. The POSIX spelling also names the photos in
/// caches and manifests, on every system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawRoot")]
pub struct RootPaths {
    posix: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    windows: Option<String>,
}

#[derive(Deserialize)]
struct RawRoot {
    posix: String,
    #[serde(default)]
    windows: Option<String>,
}

impl TryFrom<RawRoot> for RootPaths {
    type Error = PathRefusal;

    fn try_from(raw: RawRoot) -> Result<Self, PathRefusal> {
        Self::new(raw.posix, raw.windows)
    }
}

impl RootPaths {
    /// A root from both spellings; both have to be absolute.
    pub fn new(posix: String, windows: Option<String>) -> Result<Self, PathRefusal> {
        if !is_absolute(&posix, PathStyle::Posix) {
            return Err(PathRefusal::NotAbsolute {
                path: posix,
                system: "Linux",
            });
        }
        let windows = windows.map(|w| plain_windows(&w));
        if let Some(path) = windows
            .clone()
            .filter(|w| !is_absolute(w, PathStyle::Windows))
        {
            return Err(PathRefusal::NotAbsolute {
                path,
                system: "Windows",
            });
        }
        let kept = posix.trim_end_matches('/').len().max(1);
        Ok(Self {
            posix: posix[..kept].to_owned(),
            windows,
        })
    }

    /// A root from this system's spelling alone: the other one follows where a
    /// drive is meant. A Windows path off the drives has no POSIX spelling and
    /// is refused.
    pub fn from_local(path: &str, style: PathStyle) -> Result<Self, PathRefusal> {
        match style {
            PathStyle::Posix => Self::new(path.to_owned(), posix_to_windows(path).ok()),
            PathStyle::Windows => Self::new(windows_to_posix(path)?, Some(plain_windows(path))),
        }
    }

    /// The POSIX spelling, without a slash at its end.
    pub fn posix(&self) -> &str {
        &self.posix
    }

    /// The Windows spelling, where the stager knew it.
    pub fn windows(&self) -> Option<&str> {
        self.windows.as_deref()
    }

    /// What a photo below this root is called in caches and manifests, on
    /// every system: the POSIX root, `/`, the relative path.
    pub fn logical(&self, rel: &PortablePath) -> SourcePath {
        SourcePath(format!("{}/{rel}", self.posix.trim_end_matches('/')))
    }

    /// Where the root is on a system of `style`: what a person said, else the
    /// stager's own words, else the drive that the POSIX spelling means.
    pub fn resolve(
        &self,
        id: &RootId,
        overrides: &RootOverrides,
        style: PathStyle,
    ) -> Result<RootPlace, QueueError> {
        let refuse = |reason| QueueError::Root {
            id: id.to_string(),
            reason,
        };
        let base = match (overrides.place_of(id), style, &self.windows) {
            (Some(place), ..) => place.to_owned(),
            (None, PathStyle::Posix, _) => self.posix.clone(),
            (None, PathStyle::Windows, Some(windows)) => windows.clone(),
            (None, PathStyle::Windows, None) => posix_to_windows(&self.posix).map_err(refuse)?,
        };
        Ok(RootPlace { base, style })
    }
}

/// A root on one system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootPlace {
    base: String,
    style: PathStyle,
}

impl RootPlace {
    /// The folder.
    pub fn folder(&self) -> &str {
        &self.base
    }

    /// The file below it, in the system's own slashes.
    pub fn file(&self, rel: &PortablePath) -> String {
        match self.style {
            PathStyle::Posix => format!("{}/{rel}", self.base.trim_end_matches('/')),
            PathStyle::Windows => format!(
                "{}\\{}",
                self.base.trim_end_matches(['/', '\\']),
                rel.as_str().replace('/', "\\")
            ),
        }
    }

    /// Whether Windows reaches the folder through the file server of Linux
    /// under Windows, which is many times slower than a drive.
    pub fn is_slow(&self) -> bool {
        let lower = self.base.to_ascii_lowercase().replace('/', "\\");
        self.style == PathStyle::Windows
            && (lower.starts_with(r"\\wsl.localhost\") || lower.starts_with(r"\\wsl$\"))
    }
}

/// `id=PATH` as given on a command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootOverride {
    /// Which root.
    pub id: RootId,
    /// Where it is on this system.
    pub place: String,
}

impl FromStr for RootOverride {
    type Err = QueueError;

    fn from_str(text: &str) -> Result<Self, QueueError> {
        match text.split_once('=') {
            Some((id, place)) if !place.is_empty() => Ok(Self {
                id: RootId::new(id)?,
                place: place.to_owned(),
            }),
            _ => Err(QueueError::Text {
                text: text.chars().take(80).collect(),
                expected: "a root is given as id=PATH",
            }),
        }
    }
}

/// What people said about where roots are. A later word on a root wins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RootOverrides(BTreeMap<RootId, String>);

impl RootOverrides {
    /// Where a person said that the root is.
    pub fn place_of(&self, id: &RootId) -> Option<&str> {
        self.0.get(id).map(String::as_str)
    }

    /// The names in it, sorted.
    pub fn ids(&self) -> impl Iterator<Item = &RootId> {
        self.0.keys()
    }
}

impl FromIterator<RootOverride> for RootOverrides {
    fn from_iter<I: IntoIterator<Item = RootOverride>>(all: I) -> Self {
        Self(all.into_iter().map(|o| (o.id, o.place)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rel() -> PortablePath {
        PortablePath::new("2024/a b.jpg").unwrap()
    }

    fn place(root: &RootPaths, overrides: &[&str], style: PathStyle) -> Result<String, String> {
        let overrides = overrides.iter().map(|o| o.parse().unwrap()).collect();
        root.resolve(&RootId::make("alice"), &overrides, style)
            .map(|place| place.file(&rel()))
            .map_err(|e| e.to_string())
    }

    #[test]
    fn each_system_finds_the_root_in_its_own_words() {
        let root = RootPaths::from_local("/mnt/x/immich/alice/", PathStyle::Posix).unwrap();
        assert_eq!(root.windows(), Some(r"X:\immich\alice"));
        assert_eq!(
            place(&root, &[], PathStyle::Posix).unwrap(),
            "/mnt/x/immich/alice/2024/a b.jpg"
        );
        assert_eq!(
            place(&root, &[], PathStyle::Windows).unwrap(),
            r"X:\immich\alice\2024\a b.jpg"
        );
        assert_eq!(
            root.logical(&rel()).as_str(),
            "/mnt/x/immich/alice/2024/a b.jpg"
        );
        // Staged on Windows: the same root, the same logical path.
        assert_eq!(
            RootPaths::from_local(r"X:\immich\alice", PathStyle::Windows).unwrap(),
            root
        );
    }

    #[test]
    fn a_linux_folder_is_refused_on_windows_until_somebody_says_where_it_is() {
        let root = RootPaths::from_local("/home/alice/photos", PathStyle::Posix).unwrap();
        assert_eq!(root.windows(), None);
        let refused = place(&root, &[], PathStyle::Windows).unwrap_err();
        assert!(refused.contains("--root alice=PATH"), "{refused}");
        assert_eq!(
            place(&root, &[r"alice=Z:\p\"], PathStyle::Windows).unwrap(),
            r"Z:\p\2024\a b.jpg"
        );
        assert_eq!(
            place(
                &root,
                &["alice=/srv/p", "alice=/srv/q", "bob=/x"],
                PathStyle::Posix
            )
            .unwrap(),
            "/srv/q/2024/a b.jpg"
        );
        // The override opens the file; it never names it.
        assert_eq!(
            root.logical(&rel()).as_str(),
            "/home/alice/photos/2024/a b.jpg"
        );
    }

    #[test]
    fn drive_and_system_roots_do_not_double_their_slash() {
        let root = RootPaths::from_local("/", PathStyle::Posix).unwrap();
        assert_eq!(root.logical(&rel()).as_str(), "/2024/a b.jpg");
        assert_eq!(
            place(&root, &[], PathStyle::Posix).unwrap(),
            "/2024/a b.jpg"
        );
        let drive = RootPaths::from_local("C:\\", PathStyle::Windows).unwrap();
        assert_eq!(
            place(&drive, &[], PathStyle::Windows).unwrap(),
            r"C:\2024\a b.jpg"
        );
    }

    #[test]
    fn the_file_server_of_linux_under_windows_is_known_to_be_slow() {
        let slow = |windows: &str| {
            let root = RootPaths::new("/home/a".to_owned(), Some(windows.to_owned())).unwrap();
            root.resolve(
                &RootId::make("a"),
                &RootOverrides::default(),
                PathStyle::Windows,
            )
            .unwrap()
            .is_slow()
        };
        assert!(slow(r"\\wsl.localhost\Debian\home\a"));
        assert!(slow("//wsl$/Debian/home/a"));
        assert!(slow(r"\\?\UNC\wsl.localhost\Debian\home\a"));
        assert!(!slow(r"\\nas\photos"));
    }

    #[test]
    fn roots_in_files_are_checked() {
        let read = |text: &str| serde_json::from_str::<RootPaths>(text);
        assert!(read(r#"{"posix": "/a", "windows": "X:\\a"}"#).is_ok());
        assert!(read(r#"{"posix": "a"}"#).is_err());
        assert!(read(r#"{"posix": "/a", "windows": "/a"}"#).is_err());
        assert!(RootPaths::from_local(r"\\nas\photos", PathStyle::Windows).is_err());
    }

    #[test]
    fn names_of_roots() {
        assert_eq!(RootId::make(" User A ").as_str(), "user_a");
        assert_eq!(RootId::make("").as_str(), "root");
        assert_eq!(RootId::make(&"x".repeat(80)).as_str().len(), 64);
        for bad in ["", "A", "a b", "a=b", &"x".repeat(65)] {
            assert!(RootId::new(bad).is_err(), "{bad}");
        }
        for bad in ["a", "a=", "=x", "A=x"] {
            assert!(bad.parse::<RootOverride>().is_err(), "{bad}");
        }
    }
}
