//! Portable paths out of any text: what the stager calls for names that a
//! server or another system gave.

use faceset_core::hash_bytes;
use unicode_normalization::UnicodeNormalization;

use crate::portable::{MAX_PART_BYTES, MAX_PATH_BYTES, PortablePath, is_device, is_forbidden};

/// Longest extension that a shortened name keeps, bytes with its dot.
const MAX_EXTENSION_BYTES: usize = 16;

/// Hexadecimal digits that tell shortened names apart.
const SHORT_HASH_DIGITS: usize = 16;

/// Folder of paths that are too long as a whole.
const LONG_FOLDER: &str = "_long";

impl PortablePath {
    /// A portable path for any text: an original path of either system, a
    /// title, garbage. Never fails, and leaves a portable path as it is.
    ///
    /// Slashes of both kinds separate. Drive letters, `\\?\`, `.`, `..` and empty
    /// parts vanish, so the result always stays below its root. Characters that
    /// Windows refuses become `_`; a part that ends in dots or spaces loses them
    /// and gets a `_`; devices get a `_` after the stem; long parts are cut and
    /// get a hash of the whole before the extension. Different texts may give
    /// the same path: [`NameBook`](crate::NameBook) keeps them apart.
    pub fn make(text: &str) -> Self {
        let text = text
            .strip_prefix(r"\\?\")
            .or_else(|| text.strip_prefix(r"\\.\"))
            .unwrap_or(text);
        let text = without_drive(text);
        let parts: Vec<String> = text
            .split(['/', '\\'])
            .filter(|part| !matches!(*part, "" | "." | ".."))
            .map(make_part)
            .collect();
        let path = parts.join("/");
        if path.is_empty() {
            return Self::trusted("_".to_owned());
        }
        if path.len() > MAX_PATH_BYTES {
            let name = parts.last().expect("a path has a part");
            return Self::trusted(format!("{LONG_FOLDER}/{}/{name}", short_hash(&path)));
        }
        Self::trusted(path)
    }

    /// The path with `-suffix` before the extension of its last part.
    pub(crate) fn with_suffix(&self, suffix: &str) -> Self {
        let (folder, name) = match self.as_str().rsplit_once('/') {
            Some((folder, name)) => (Some(folder), name),
            None => (None, self.as_str()),
        };
        let (stem, extension) = split_extension(name);
        let name = format!("{stem}-{suffix}{extension}");
        Self::make(&match folder {
            Some(folder) => format!("{folder}/{name}"),
            None => name,
        })
    }
}

/// The part of `original` below the folder `prefix`, compared part by part with
/// slashes of either kind; `None` when it is not below it, or is it.
pub fn below<'a>(original: &'a str, prefix: &str) -> Option<&'a str> {
    let is_slash = |c: char| matches!(c, '/' | '\\');
    let mut rest = original.trim_start_matches(is_slash);
    for part in prefix.split(is_slash).filter(|p| !p.is_empty()) {
        rest = rest.strip_prefix(part)?;
        let inner = rest.trim_start_matches(is_slash);
        if inner.len() == rest.len() {
            return None;
        }
        rest = inner;
    }
    (!rest.is_empty()).then_some(rest)
}

/// Without `X:` at the start.
fn without_drive(text: &str) -> &str {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(letter), Some(':')) if letter.is_ascii_alphabetic() => chars.as_str(),
        _ => text,
    }
}

fn make_part(part: &str) -> String {
    let mut made: String = part
        .nfc()
        .map(|c| if is_forbidden(c) { '_' } else { c })
        .collect();
    let kept = made.trim_end_matches([' ', '.']).len();
    if kept < made.len() {
        made.truncate(kept);
        made.push('_');
    }
    if is_device(&made) {
        let stem = made.find('.').unwrap_or(made.len());
        made.insert(stem, '_');
    }
    if made.len() > MAX_PART_BYTES {
        made = shorten(&made);
    }
    made
}

fn shorten(part: &str) -> String {
    let (stem, extension) = split_extension(part);
    let tail = format!("~{}{extension}", short_hash(part));
    let mut keep = MAX_PART_BYTES - tail.len();
    while !stem.is_char_boundary(keep) {
        keep -= 1;
    }
    format!("{}{tail}", &stem[..keep])
}

/// Stem and extension with its dot; an extension that is too long to be one
/// belongs to the stem.
fn split_extension(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(dot) if dot > 0 && name.len() - dot <= MAX_EXTENSION_BYTES => name.split_at(dot),
        _ => (name, ""),
    }
}

fn short_hash(text: &str) -> String {
    let mut digits = hash_bytes(text.as_bytes()).to_string();
    digits.truncate(SHORT_HASH_DIGITS);
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(text: &str) -> String {
        PortablePath::make(text).into()
    }

    #[test]
    fn paths_of_both_systems_become_portable() {
        assert_eq!(
            made("/data/library/alice/2024/a.jpg"),
            "data/library/alice/2024/a.jpg"
        );
        assert_eq!(made(r"C:\Photos\trip\a.jpg"), "Photos/trip/a.jpg");
        assert_eq!(made(r"\\?\D:\x\y.jpg"), "x/y.jpg");
        assert_eq!(made(r"\\nas\share\y.jpg"), "nas/share/y.jpg");
        assert_eq!(made("../../etc/passwd"), "etc/passwd");
        assert_eq!(made("a/./b//c/../d.jpg"), "a/b/c/d.jpg");
    }

    #[test]
    fn what_windows_refuses_is_replaced() {
        assert_eq!(made("12:30 \"party\"?.jpg"), "12_30 _party__.jpg");
        assert_eq!(made("trail. /x."), "trail_/x_");
        assert_eq!(made("... /b"), "_/b");
        assert_eq!(made("con.jpg"), "con_.jpg");
        assert_eq!(made("nul"), "nul_");
        assert_eq!(made("AUX .tar"), "AUX _.tar");
        assert_eq!(made("e\u{301}.jpg"), "é.jpg");
    }

    #[test]
    fn nothing_becomes_something() {
        for text in ["", "/", "..", "C:", r"\\?\C:\", "./."] {
            assert_eq!(made(text), "_", "{text}");
        }
    }

    #[test]
    fn long_names_keep_their_extension_and_stay_apart() {
        let one = made(&format!("{}1.jpeg", "é".repeat(200)));
        let two = made(&format!("{}2.jpeg", "é".repeat(200)));
        assert!(one.len() <= MAX_PART_BYTES && one.len() > 240, "{one}");
        assert!(one.ends_with(".jpeg"), "{one}");
        assert_ne!(one, two);
        let deep = |n: u32| format!("{}x{n}/name.jpg", "folder/".repeat(200));
        assert!(made(&deep(1)).starts_with("_long/"));
        assert!(made(&deep(1)).ends_with("/name.jpg"));
        assert_ne!(made(&deep(1)), made(&deep(2)));
    }

    #[test]
    fn below_compares_parts_not_letters() {
        assert_eq!(below("/photos/a/b.jpg", "/photos"), Some("a/b.jpg"));
        assert_eq!(below("/photos/a/b.jpg", "/photos/"), Some("a/b.jpg"));
        assert_eq!(below("/photosets/b.jpg", "/photos"), None);
        assert_eq!(below("/photos", "/photos"), None);
        assert_eq!(below(r"D:\lib\a.jpg", "D:/lib"), Some("a.jpg"));
        assert_eq!(below("/x/a.jpg", ""), Some("x/a.jpg"));
    }
}
