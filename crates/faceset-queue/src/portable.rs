//! A relative path that means one file on Linux and on Windows.
//!
//! Owns the rules and their refusals. How such a path is made from any text is
//! in `make`, how two photos get two names in `book`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use unicode_normalization::{UnicodeNormalization, is_nfc};

/// Longest part between two slashes, UTF-8 bytes: what ext4 and most network
/// file systems store. NTFS counts 255 UTF-16 units, which is never less room.
pub const MAX_PART_BYTES: usize = 255;

/// Longest whole path, UTF-8 bytes. Linux opens 4095 with the root before it;
/// this leaves roots the greater part. Our choice.
pub const MAX_PATH_BYTES: usize = 1024;

/// A relative, `/`-separated path that can be created below a folder on Linux
/// and on Windows, and that comes back from both as it was.
///
/// Not empty; no empty, `.` or `..` part; none of `<>:"|?*\` and no control
/// characters; no part that ends in a space or a dot; no name of a Windows
/// device, with any extension; parts of at most [`MAX_PART_BYTES`], the whole
/// of at most [`MAX_PATH_BYTES`] bytes; Unicode in composed form (NFC). A value
/// of this type always keeps these rules, read from a file or not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PortablePath(String);

/// Why a text is no portable path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameRefusal {
    /// Nothing, or nothing between two slashes, before the first or after the last.
    #[error("`{0}` is not portable: it has an empty part")]
    EmptyPart(String),
    /// `.` or `..`.
    #[error("`{0}` is not portable: `.` and `..` are not allowed in it")]
    Dots(String),
    /// A character that Windows keeps for itself or changes.
    #[error("`{name}` is not portable: Windows does not store the character {character:?}")]
    Character {
        /// The path.
        name: String,
        /// The first such character.
        character: char,
    },
    /// Windows drops trailing spaces and dots, so that two names become one.
    #[error("`{0}` is not portable: a part ends in a space or a dot, which Windows drops")]
    TrailingDotOrSpace(String),
    /// CON, NUL, COM1 and so on open devices on Windows.
    #[error("`{0}` is not portable: a part is the name of a Windows device")]
    Device(String),
    /// A part or the whole is too long.
    #[error(
        "`{0}` is not portable: longer than {MAX_PART_BYTES} bytes a part or {MAX_PATH_BYTES} in all"
    )]
    TooLong(String),
    /// Two spellings of one text would be two files on one system and one on another.
    #[error("`{0}` is not portable: not in composed Unicode form (NFC)")]
    NotComposed(String),
}

impl PortablePath {
    /// Checks a text that claims to be portable.
    pub fn new(text: impl Into<String>) -> Result<Self, NameRefusal> {
        let text = text.into();
        match refusal(&text) {
            Some(refuse) => Err(refuse(shortened(&text))),
            None => Ok(Self(text)),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The parts, first folder first.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// The last part.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// The same for all spellings that a file system without case takes for
    /// one file. Wider than any one system's table: two paths with different
    /// folded forms are two files everywhere.
    pub fn folded(&self) -> String {
        fold(&self.0)
    }

    /// For texts that `make` built by the rules.
    pub(crate) fn trusted(text: String) -> Self {
        debug_assert!(refusal(&text).is_none(), "{text:?} keeps the rules");
        Self(text)
    }
}

impl fmt::Display for PortablePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for PortablePath {
    type Err = NameRefusal;

    fn from_str(text: &str) -> Result<Self, NameRefusal> {
        Self::new(text)
    }
}

impl TryFrom<String> for PortablePath {
    type Error = NameRefusal;

    fn try_from(text: String) -> Result<Self, NameRefusal> {
        Self::new(text)
    }
}

impl From<PortablePath> for String {
    fn from(path: PortablePath) -> Self {
        path.0
    }
}

/// Upper case first, so that letters with two lower-case forms (σ, ς) meet.
pub(crate) fn fold(text: &str) -> String {
    let upper: String = text.chars().flat_map(char::to_uppercase).collect();
    let lower: String = upper.chars().flat_map(char::to_lowercase).collect();
    lower.nfc().collect()
}

/// Messages stay one line even for a text of megabytes.
fn shortened(text: &str) -> String {
    text.chars().take(120).collect()
}

fn refusal(text: &str) -> Option<Box<dyn FnOnce(String) -> NameRefusal>> {
    if text.len() > MAX_PATH_BYTES {
        return Some(Box::new(NameRefusal::TooLong));
    }
    for part in text.split('/') {
        if part.is_empty() {
            return Some(Box::new(NameRefusal::EmptyPart));
        }
        if part == "." || part == ".." {
            return Some(Box::new(NameRefusal::Dots));
        }
        if let Some(character) = part.chars().find(|c| is_forbidden(*c)) {
            return Some(Box::new(move |name| NameRefusal::Character {
                name,
                character,
            }));
        }
        if part.ends_with([' ', '.']) {
            return Some(Box::new(NameRefusal::TrailingDotOrSpace));
        }
        if is_device(part) {
            return Some(Box::new(NameRefusal::Device));
        }
        if part.len() > MAX_PART_BYTES {
            return Some(Box::new(NameRefusal::TooLong));
        }
    }
    if !is_nfc(text) {
        return Some(Box::new(NameRefusal::NotComposed));
    }
    None
}

/// Characters that no part may hold. Beside those that Windows refuses: the
/// private-use block that Linux under Windows and Cygwin store them as, since
/// such a name reads differently on the two sides.
pub(crate) fn is_forbidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*' | '\\' | '/')
        || ('\u{F000}'..='\u{F0FF}').contains(&c)
}

/// Windows looks at what stands before the first dot, without spaces at its
/// end, whatever the case; superscript digits count as digits.
pub(crate) fn is_device(part: &str) -> bool {
    let stem = part.split('.').next().unwrap_or(part).trim_end_matches(' ');
    let stem = stem.to_ascii_uppercase();
    if matches!(
        stem.as_str(),
        "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$"
    ) {
        return true;
    }
    let Some(rest) = stem.strip_prefix("COM").or(stem.strip_prefix("LPT")) else {
        return false;
    };
    let mut chars = rest.chars();
    matches!(
        (chars.next(), chars.next()),
        (Some('0'..='9' | '¹' | '²' | '³'), None)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(text: &str) -> String {
        PortablePath::new(text).unwrap_err().to_string()
    }

    #[test]
    fn ordinary_and_foreign_names_are_fine() {
        for text in [
            "a",
            "2024/06/IMG 0001.JPG",
            "日本/写真.jpg",
            "é.jpg",
            ".hidden",
            "console.jpg",
            "com10.txt",
            "COM.txt",
            "a.b.c/..d",
        ] {
            assert_eq!(PortablePath::new(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn each_rule_refuses_with_its_reason() {
        assert!(why("").contains("empty part"));
        assert!(why("/abs").contains("empty part"));
        assert!(why("a//b").contains("empty part"));
        assert!(why("a/").contains("empty part"));
        assert!(why("a/../b").contains("`..`"));
        assert!(why("./a").contains("`..`"));
        assert!(why("a:b").contains("':'"));
        assert!(why("a\\b").contains("'\\\\'"));
        assert!(why("a\u{7}b").contains("character"));
        assert!(why("a\u{F03A}b").contains("character"));
        assert!(why("a /b").contains("space or a dot"));
        assert!(why("a.").contains("space or a dot"));
        assert!(why("e\u{301}.jpg").contains("NFC"));
    }

    #[test]
    fn devices_are_known_with_any_extension_and_case() {
        for text in [
            "nul",
            "NUL.jpg",
            "x/Aux.tar.gz",
            "com1",
            "LPT9.txt",
            "com¹.png",
            "con .jpg",
            "conin$",
        ] {
            assert!(why(text).contains("device"), "{text}");
        }
    }

    #[test]
    fn lengths_at_the_boundary() {
        assert!(PortablePath::new("a".repeat(MAX_PART_BYTES)).is_ok());
        assert!(why(&"a".repeat(MAX_PART_BYTES + 1)).contains("longer"));
        // 127 letters of two bytes fit, one more byte does not: 254 + 2 > 255.
        assert!(PortablePath::new("é".repeat(127)).is_ok());
        assert!(why(&"é".repeat(128)).contains("longer"));
        let long = format!("{}/{}", "ab/".repeat(300), "c".repeat(123));
        assert!(why(&long).contains("empty"), "900 + `/`: an empty part");
        let exact = format!("{}{}", "ab/".repeat(300), "c".repeat(124));
        assert_eq!(exact.len(), MAX_PATH_BYTES);
        assert!(PortablePath::new(exact.clone()).is_ok());
        assert!(why(&format!("{exact}c")).contains("longer"));
    }

    #[test]
    fn a_file_cannot_smuggle_a_bad_name_in() {
        assert!(serde_json::from_str::<PortablePath>("\"../x\"").is_err());
        let good: PortablePath = serde_json::from_str("\"a/b.jpg\"").unwrap();
        assert_eq!(good.file_name(), "b.jpg");
        assert_eq!(serde_json::to_string(&good).unwrap(), "\"a/b.jpg\"");
    }

    #[test]
    fn folding_joins_what_some_file_system_joins() {
        let folded = |t: &str| PortablePath::new(t).unwrap().folded();
        assert_eq!(folded("A/Straße.JPG"), folded("a/STRASSE.jpg"));
        assert_eq!(folded("ΟΔΟΣ"), folded("οδος"));
        assert_eq!(folded("É"), folded("é"));
        assert_ne!(folded("e"), folded("é"));
    }
}
