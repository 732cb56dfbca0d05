//! Absolute paths of two systems, and the way from one to the other that Linux
//! under Windows offers: `/mnt/x/rest` is `X:\rest` for one letter `x`.
//!
//! Text only; nothing here asks the system. What a root is, is in `root`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::PortablePath;

/// Which system's paths are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PathStyle {
    /// `/a/b`.
    Posix,
    /// `X:\a\b`, `\\server\share\a`.
    Windows,
}

impl PathStyle {
    /// The style of the system that this was built for.
    pub fn here() -> Self {
        if cfg!(windows) {
            Self::Windows
        } else {
            Self::Posix
        }
    }
}

/// Why a path has no counterpart on the other system.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathRefusal {
    /// Relative, or of the other system.
    #[error("`{path}` is not an absolute path of {system}")]
    NotAbsolute {
        /// The path.
        path: String,
        /// `Linux` or `Windows`.
        system: &'static str,
    },
    /// Not below a drive that both systems see.
    #[error("`{0}` is on no drive that both systems see: only /mnt/LETTER is X:\\")]
    NoDrive(String),
    /// The other system can't store one of its names.
    #[error("`{path}` can't be opened on the other system: {reason}")]
    Name {
        /// The path.
        path: String,
        /// Which name, and why.
        reason: String,
    },
}

/// Whether `path` is absolute in `style`. On Windows a drive without a slash
/// (`X:a`) is relative, and so is a slash without a drive.
pub fn is_absolute(path: &str, style: PathStyle) -> bool {
    match style {
        PathStyle::Posix => path.starts_with('/'),
        PathStyle::Windows => {
            split_drive(path).is_some_and(|(_, rest)| rest.starts_with(is_slash)) || is_unc(path)
        }
    }
}

/// `\\server\share`, `\\?\...`: two slashes of either kind and something after.
pub(crate) fn is_unc(path: &str) -> bool {
    let mut chars = path.chars();
    matches!(
        (chars.next(), chars.next(), chars.next()),
        (Some('/' | '\\'), Some('/' | '\\'), Some(c)) if !is_slash(c)
    )
}

pub(crate) fn is_slash(c: char) -> bool {
    matches!(c, '/' | '\\')
}

/// Drive letter in upper case, and what follows its colon.
fn split_drive(path: &str) -> Option<(char, &str)> {
    let mut chars = path.chars();
    match (chars.next(), chars.next()) {
        (Some(letter), Some(':')) if letter.is_ascii_alphabetic() => {
            Some((letter.to_ascii_uppercase(), chars.as_str()))
        }
        _ => None,
    }
}

/// Without `\\?\` where a plain spelling exists: `\\?\X:\a` is `X:\a`,
/// `\\?\UNC\s\a` is `\\s\a`.
pub(crate) fn plain_windows(path: &str) -> String {
    if let Some(rest) = path.strip_prefix(r"\\?\UNC\") {
        return format!(r"\\{rest}");
    }
    match path.strip_prefix(r"\\?\") {
        Some(rest) if split_drive(rest).is_some() => rest.to_owned(),
        _ => path.to_owned(),
    }
}

/// The names between slashes, checked to be storable on both systems.
fn checked_parts(path: &str, rest: &str) -> Result<Vec<String>, PathRefusal> {
    rest.split(is_slash)
        .filter(|part| !part.is_empty() && *part != ".")
        .map(|part| {
            PortablePath::new(part)
                .map(String::from)
                .map_err(|refusal| PathRefusal::Name {
                    path: path.to_owned(),
                    reason: refusal.to_string(),
                })
        })
        .collect()
}

/// `/mnt/x/rest` as `X:\rest`. Only for one letter: `/mnt/wsl` is no drive. A
/// name that Windows can't store is refused.
pub fn posix_to_windows(path: &str) -> Result<String, PathRefusal> {
    if !is_absolute(path, PathStyle::Posix) {
        return Err(PathRefusal::NotAbsolute {
            path: path.to_owned(),
            system: "Linux",
        });
    }
    let no_drive = || PathRefusal::NoDrive(path.to_owned());
    let below = path.strip_prefix("/mnt/").ok_or_else(no_drive)?;
    let (drive, rest) = below.split_once('/').unwrap_or((below, ""));
    let mut letters = drive.chars();
    let letter = match (letters.next(), letters.next()) {
        (Some(letter), None) if letter.is_ascii_lowercase() => letter.to_ascii_uppercase(),
        _ => return Err(no_drive()),
    };
    // A backslash is a letter of a name here, and refused as such.
    if rest.contains('\\') {
        return Err(PathRefusal::Name {
            path: path.to_owned(),
            reason: "it holds a backslash".to_owned(),
        });
    }
    Ok(format!(
        "{letter}:\\{}",
        checked_parts(path, rest)?.join("\\")
    ))
}

/// `X:\rest` (or `X:/rest`) as `/mnt/x/rest`. Network shares have no such path.
pub fn windows_to_posix(path: &str) -> Result<String, PathRefusal> {
    let plain = plain_windows(path);
    if !is_absolute(&plain, PathStyle::Windows) {
        return Err(PathRefusal::NotAbsolute {
            path: path.to_owned(),
            system: "Windows",
        });
    }
    let (letter, rest) =
        split_drive(&plain).ok_or_else(|| PathRefusal::NoDrive(path.to_owned()))?;
    let mut posix = format!("/mnt/{}", letter.to_ascii_lowercase());
    for part in checked_parts(path, rest)? {
        posix.push('/');
        posix.push_str(&part);
    }
    Ok(posix)
}

/// How a photo that a cache calls `path` is spelled where it is opened. What lies
/// on a drive of the other system's spelling is respelled; anything else, also
/// what has no counterpart, is itself.
pub fn respelled(path: &str, style: PathStyle) -> Cow<'_, str> {
    let other = match style {
        PathStyle::Posix => windows_to_posix(path),
        PathStyle::Windows => posix_to_windows(path),
    };
    other.map_or(Cow::Borrowed(path), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_other_systems_drives_are_respelled() {
        let posix = |path| respelled(path, PathStyle::Posix).into_owned();
        let windows = |path| respelled(path, PathStyle::Windows).into_owned();
        assert_eq!(posix(r"E:\Bilder\a.jpg"), "/mnt/e/Bilder/a.jpg");
        assert_eq!(windows("/mnt/e/Bilder/a.jpg"), r"E:\Bilder\a.jpg");
        for kept in [
            "/home/ada/a.jpg",
            "/mnt/wsl/a.jpg",
            r"\nas\photos\a.jpg",
            "a.jpg",
        ] {
            assert_eq!((posix(kept), windows(kept)), (kept.into(), kept.into()));
        }
        assert_eq!(posix("/mnt/e/a.jpg"), "/mnt/e/a.jpg");
        assert_eq!(windows(r"E:\a.jpg"), r"E:\a.jpg");
    }

    #[test]
    fn drives_map_both_ways() {
        for (posix, windows) in [
            ("/mnt/x/src/immich/alice", r"X:\src\immich\alice"),
            ("/mnt/c", r"C:\"),
            ("/mnt/d/Familie Ö/日本", r"D:\Familie Ö\日本"),
        ] {
            assert_eq!(posix_to_windows(posix).unwrap(), windows);
            assert_eq!(windows_to_posix(windows).unwrap(), posix);
        }
        assert_eq!(windows_to_posix("e:/a/b/").unwrap(), "/mnt/e/a/b");
        assert_eq!(windows_to_posix(r"\\?\E:\a").unwrap(), "/mnt/e/a");
        assert_eq!(posix_to_windows("/mnt/e//a/./b/").unwrap(), r"E:\a\b");
    }

    #[test]
    fn what_is_no_drive_is_refused() {
        for path in [
            "/mnt/wsl/x",
            "/home/a",
            "/mnt/X/a",
            "/mnt/ä/a",
            "/mnt/",
            "/mnt",
        ] {
            assert!(
                matches!(posix_to_windows(path), Err(PathRefusal::NoDrive(_))),
                "{path}"
            );
        }
        assert!(matches!(
            windows_to_posix(r"\\nas\photos"),
            Err(PathRefusal::NoDrive(_))
        ));
        for path in [r"X:a", r"\a", "a", "", "/mnt/x"] {
            assert!(
                matches!(windows_to_posix(path), Err(PathRefusal::NotAbsolute { .. })),
                "{path}"
            );
        }
        assert!(matches!(
            posix_to_windows("mnt/x"),
            Err(PathRefusal::NotAbsolute { .. })
        ));
    }

    #[test]
    fn names_that_one_side_cannot_store_are_refused() {
        for path in [
            "/mnt/x/a:b",
            "/mnt/x/nul",
            "/mnt/x/a.",
            r"/mnt/x/a\b",
            "/mnt/x/../y",
        ] {
            assert!(
                matches!(posix_to_windows(path), Err(PathRefusal::Name { .. })),
                "{path}"
            );
        }
        assert!(matches!(
            windows_to_posix(r"X:\a\..\b"),
            Err(PathRefusal::Name { .. })
        ));
    }
}
