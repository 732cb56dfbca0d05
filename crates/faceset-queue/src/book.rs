//! Two photos, two names: also on a file system without case.

use std::collections::{HashMap, HashSet};

use faceset_core::hash_bytes;

use crate::PortablePath;
use crate::portable::fold;

/// Letters of the owner's id that tell two photos of the same name apart.
const TAG_LETTERS: usize = 8;

/// What a folder gets whose name is taken by a photo.
const FOLDER_SUFFIX: &str = "-dir";

/// 128 bits of the sha256 of a folded name or an owner: a million names take
/// 50 MB, and no two names meet by chance.
type Key = [u8; 16];

/// Which names are taken below one root, and by whom.
///
/// The names depend on the order of the claims: claim in an order that comes
/// back, such as that of the listing, or feed the book from the queue first.
#[derive(Debug, Clone, Default)]
pub struct NameBook {
    files: HashMap<Key, Key>,
    folders: HashSet<Key>,
}

impl NameBook {
    /// A book without names.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes `wanted`, or the nearest name that is free, for `owner` (an asset's
    /// id). The same claim again gets the same name again.
    ///
    /// A taken name gets `-` and the first 8 letters or digits of `owner`, then
    /// all of them, then `-2`, `-3` and so on. A folder whose name a photo has
    /// gets `-dir`.
    pub fn claim(&mut self, wanted: &PortablePath, owner: &str) -> PortablePath {
        let owner_key = key(owner);
        let letters: String = owner.chars().filter(char::is_ascii_alphanumeric).collect();
        let wanted = self.past_files(wanted);
        let mut attempt = 0;
        loop {
            let candidate = match attempt {
                0 => wanted.clone(),
                1 if !letters.is_empty() => {
                    wanted.with_suffix(&letters[..letters.len().min(TAG_LETTERS)])
                }
                2 if !letters.is_empty() => wanted.with_suffix(&letters),
                1 | 2 => {
                    attempt += 1;
                    continue;
                }
                n => wanted.with_suffix(&format!("{letters}-{}", n - 1)),
            };
            attempt += 1;
            let folded = candidate.folded();
            let file = key(&folded);
            let is_free = match self.files.get(&file) {
                Some(holder) => *holder == owner_key,
                None => !self.folders.contains(&file),
            };
            if is_free {
                self.files.insert(file, owner_key);
                self.folders.extend(folders(&folded).map(key));
                return candidate;
            }
        }
    }

    /// Names in the book.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether no name is taken.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// `wanted`, with a `-dir` on each folder whose name a photo has.
    fn past_files(&self, wanted: &PortablePath) -> PortablePath {
        let mut path = wanted.clone();
        loop {
            let clash = folders(path.as_str())
                .find(|folder| self.files.contains_key(&key(&fold(folder))))
                .map(str::len);
            let Some(clash) = clash else {
                return path;
            };
            let (folder, rest) = path.as_str().split_at(clash);
            path = PortablePath::make(&format!("{folder}{FOLDER_SUFFIX}{rest}"));
        }
    }
}

/// Every folder above the last part: `a/b/c` gives `a` and `a/b`.
fn folders(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

fn key(text: &str) -> Key {
    let digest = hash_bytes(text.as_bytes()).0;
    let mut key = Key::default();
    key.copy_from_slice(&digest[..16]);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> PortablePath {
        PortablePath::new(text).unwrap()
    }

    fn claim(book: &mut NameBook, text: &str, owner: &str) -> String {
        book.claim(&path(text), owner).into()
    }

    #[test]
    fn the_second_owner_gets_its_id_into_the_name() {
        let mut book = NameBook::new();
        assert_eq!(claim(&mut book, "x/A.jpg", "1111-2222-3333"), "x/A.jpg");
        assert_eq!(
            claim(&mut book, "x/a.JPG", "4444-5555-6666"),
            "x/a-44445555.JPG"
        );
        // The same owner again: the same name again.
        assert_eq!(
            claim(&mut book, "x/a.JPG", "4444-5555-6666"),
            "x/a-44445555.JPG"
        );
        assert_eq!(claim(&mut book, "x/A.jpg", "1111-2222-3333"), "x/A.jpg");
        // The same first eight letters.
        assert_eq!(
            claim(&mut book, "x/A.jpg", "4444-5555-7777"),
            "x/A-444455557777.jpg"
        );
        assert_eq!(claim(&mut book, "x/A.jpg", "---"), "x/A--2.jpg");
        assert_eq!(book.len(), 4);
    }

    #[test]
    fn a_photo_and_a_folder_never_share_a_name() {
        let mut book = NameBook::new();
        assert_eq!(claim(&mut book, "a", "one"), "a");
        assert_eq!(claim(&mut book, "A/b.jpg", "two"), "A-dir/b.jpg");
        assert_eq!(claim(&mut book, "A/c.jpg", "three"), "A-dir/c.jpg");
        assert_eq!(claim(&mut book, "a-DIR", "four"), "a-DIR-four");
    }

    #[test]
    fn a_suffix_fits_into_the_longest_name() {
        let mut book = NameBook::new();
        let long = format!("{}.jpg", "a".repeat(251));
        assert_eq!(claim(&mut book, &long, "one"), long);
        let second = claim(&mut book, &long, "two");
        assert!(second.len() <= 255 && second.ends_with(".jpg") && second != long);
    }
}
