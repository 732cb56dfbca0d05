//! What gives a person away in a text: paths of their photos, names, hashes.

use std::collections::{BTreeSet, HashMap};

use faceset_core::{FaceKey, safe_dst_name};
use serde::{Deserialize, Serialize};

use crate::identity::FaceId;

/// Length of the part by which long needles are looked up.
const TAIL: usize = 8;

/// What to look for. Paths are compared to the letter, names in any case.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Needles {
    /// Photos, by path.
    pub(crate) photos: BTreeSet<String>,
    /// Content hashes, hexadecimal.
    pub(crate) hashes: BTreeSet<String>,
    /// Names of the person.
    pub(crate) names: BTreeSet<String>,
    /// Set folders; looked for in report pages only.
    pub(crate) folders: BTreeSet<String>,
}

/// Face keys, with and without content hash.
#[derive(Debug, Clone, Default)]
pub(crate) struct FaceNeedles {
    ids: BTreeSet<FaceId>,
    spots: BTreeSet<(String, [i32; 4])>,
}

impl FaceNeedles {
    pub(crate) fn new<'a>(faces: impl Iterator<Item = &'a FaceKey>) -> Self {
        let mut needles = Self::default();
        for key in faces {
            needles.ids.insert(key.id());
            needles
                .spots
                .insert((key.path.0.clone(), key.bbox.tenths()));
        }
        needles
    }

    pub(crate) fn has(&self, key: &FaceKey) -> bool {
        self.ids.contains(&key.id())
    }

    /// For keys of the original tool, which have no content hash.
    pub(crate) fn has_spot(&self, path: &str, tenths: [i32; 4]) -> bool {
        self.spots.contains(&(path.to_owned(), tenths))
    }
}

/// Finds needles in text.
#[derive(Debug)]
pub(crate) struct Finder {
    texts: Vec<String>,
    by_tail: HashMap<[u8; TAIL], Vec<usize>>,
    short: Vec<usize>,
    names: Vec<String>,
}

impl Finder {
    pub(crate) fn new(needles: &Needles) -> Self {
        let mut texts: BTreeSet<String> = needles.hashes.clone();
        for photo in &needles.photos {
            // The flat name of a photo right below the root is its bare file name,
            // which other photos have, too.
            let flat = safe_dst_name(photo);
            let is_telling = !photo.ends_with(&flat);
            let texts_of_it = is_telling.then_some(flat).into_iter();
            for text in texts_of_it.chain([photo.clone()]) {
                texts.insert(json_escaped(&text));
                texts.insert(html_escaped(&text));
                texts.insert(percent_escaped(&text));
                texts.insert(text);
            }
        }
        texts.extend(needles.folders.iter().cloned());
        let mut finder = Self {
            texts: texts.into_iter().filter(|t| !t.is_empty()).collect(),
            by_tail: HashMap::new(),
            short: Vec::new(),
            names: Vec::new(),
        };
        for (i, text) in finder.texts.iter().enumerate() {
            match text.as_bytes().last_chunk::<TAIL>() {
                Some(tail) => finder.by_tail.entry(*tail).or_default().push(i),
                None => finder.short.push(i),
            }
        }
        let names: BTreeSet<String> = needles
            .names
            .iter()
            .flat_map(|n| {
                [
                    n.clone(),
                    json_escaped(n),
                    html_escaped(n),
                    percent_escaped(n),
                ]
            })
            .map(|n| n.to_lowercase())
            .collect();
        finder.names = names.into_iter().collect();
        finder
    }

    /// True when the text mentions a needle as a whole word or path.
    pub(crate) fn mentions(&self, text: &str) -> bool {
        let bytes = text.as_bytes();
        let long = bytes.windows(TAIL).enumerate().any(|(at, tail)| {
            let end = at + TAIL;
            self.by_tail.get(tail).is_some_and(|found| {
                found.iter().any(|i| {
                    let needle = &self.texts[*i];
                    end.checked_sub(needle.len()).is_some_and(|start| {
                        &bytes[start..end] == needle.as_bytes() && stands_alone(text, start, end)
                    })
                })
            })
        });
        if long {
            return true;
        }
        let is_in = |text: &str, needle: &str| {
            text.match_indices(needle)
                .any(|(at, _)| stands_alone(text, at, at + needle.len()))
        };
        if self.short.iter().any(|i| is_in(text, &self.texts[*i])) {
            return true;
        }
        if self.names.is_empty() {
            return false;
        }
        let folded = text.to_lowercase();
        self.names.iter().any(|name| is_in(&folded, name))
    }
}

/// `/a/b.jpg` is not in `/x/a/b.jpg` nor in `/a/b.jpgx`, and `Ana` not in
/// `Anabel`.
fn stands_alone(text: &str, start: usize, end: usize) -> bool {
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    // Only of a path: the hyphen joins words, but a name may be said in one.
    let joins = |c: char| inside(c) || (c == '-' && text[start..].starts_with('/'));
    !text[..start].chars().next_back().is_some_and(joins)
        && !text[end..].chars().next().is_some_and(inside)
}

fn json_escaped(text: &str) -> String {
    let quoted = serde_json::to_string(text).expect("text serialises");
    quoted[1..quoted.len() - 1].to_owned()
}

fn html_escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#x27;")
}

/// As in a link: everything but unreserved characters and `/` is `%XX`.
fn percent_escaped(text: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::new(), |mut out, b| {
        if b.is_ascii_alphanumeric() || b"-._~/".contains(&b) {
            out.push(char::from(b));
        } else {
            write!(out, "%{b:02X}").expect("a string takes everything");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn finder(photos: &[&str], names: &[&str]) -> Finder {
        let owned = |list: &[&str]| list.iter().map(|t| (*t).to_owned()).collect();
        Finder::new(&Needles {
            photos: owned(photos),
            names: owned(names),
            ..Needles::default()
        })
    }

    #[test]
    fn paths_are_found_whole_in_every_spelling() {
        let f = finder(&["/photos/Zoë & co/p1.jpg", "C:\\p\\q.jpg", "/a"], &[]);
        for text in [
            "read /photos/Zoë & co/p1.jpg: ok",
            "<img src=\"file:///photos/Zoë &amp; co/p1.jpg\">",
            "href='/photos/Zo%C3%AB%20%26%20co/p1.jpg'",
            "photos__Zoë & co__p1.jpg",
            "{\"path\":\"C:\\\\p\\\\q.jpg\"}",
            "C:\\p\\q.jpg",
            "/a",
            "moved /photos/Zoë & co/p1.jpg-2",
        ] {
            assert!(f.mentions(text), "{text}");
        }
        for text in [
            "",
            "/x/photos/Zoë & co/p1.jpg",
            "/photos/Zoë & co/p1.jpgx",
            "x/a",
            "/ab",
        ] {
            assert!(!f.mentions(text), "{text}");
        }
    }

    #[test]
    fn names_are_found_as_words_in_any_case() {
        let f = finder(&[], &["Ana Å", "O'Neil"]);
        for text in [
            "ANA å!",
            "to_x (ana å)",
            "o'neil",
            "<b>O&#x27;Neil</b>",
            "Ana%20%C3%85",
        ] {
            assert!(f.mentions(text), "{text}");
        }
        for text in ["Ana", "ana åse", "Mo'Neil", "Diana Å"] {
            assert!(!f.mentions(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn looking_up_tails_finds_what_a_plain_search_finds(
            needles in prop::collection::vec("/[ab]{1,12}", 1..4), text in "[/ab ]{0,40}"
        ) {
            let photos: Vec<&str> = needles.iter().map(String::as_str).collect();
            let plain = needles.iter().any(|n| {
                text.match_indices(n.as_str()).any(|(at, _)| stands_alone(&text, at, at + n.len()))
                    // match_indices skips overlapping hits.
                    || (0..text.len()).any(|at| text[at..].starts_with(n.as_str())
                        && stands_alone(&text, at, at + n.len()))
            });
            prop_assert_eq!(finder(&photos, &[]).mentions(&text), plain);
        }
    }
}
