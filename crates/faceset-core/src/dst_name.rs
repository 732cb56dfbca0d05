//! Flat, collision-free file names for photos collected from a whole tree.

/// Longest name produced, in bytes: below every file system's 255 with room for
/// a suffix such as `.part`.
const MAX_NAME_BYTES: usize = 200;

/// Hex digits of the path's sha256 in a suffix: 48 bits, no collision to be
/// expected among a billion paths of one person.
const SUFFIX_DIGITS: usize = 12;

/// Flattens an absolute path into one file name.
///
/// `/`, `\` and `:` become `__`, the extension stays. The whole absolute path
/// is always used, so a name does not change when the source root does. Names
/// are injective: a path for which the plain flattening could be mistaken for
/// another's (it already contains `__`, `\`, `:` or a character that some file
/// system refuses), or which is longer than 200 bytes, carries `-` and 12 hex
/// digits of its sha256 before the extension. Names that differ only in case
/// stay different here; a writer on a case-folding file system resolves those.
///
/// ```
/// assert_eq!(faceset_core::safe_dst_name("/mnt/x/a.jpg"), "mnt__x__a.jpg");
/// ```
pub fn safe_dst_name(absolute_path: &str) -> String {
    let trimmed = absolute_path.trim_start_matches(['/', '\\']);
    let mut ambiguous = !absolute_path.starts_with('/')
        || absolute_path.len() != trimmed.len() + 1
        || trimmed.contains("__")
        || trimmed.contains("_/")
        || trimmed.contains("/_");
    let mut flat = String::with_capacity(trimmed.len() + 16);
    for c in trimmed.chars() {
        match c {
            '/' => flat.push_str("__"),
            '\\' | ':' => {
                ambiguous = true;
                flat.push_str("__");
            }
            '<' | '>' | '"' | '|' | '?' | '*' => {
                ambiguous = true;
                flat.push('_');
            }
            c if c.is_control() => {
                ambiguous = true;
                flat.push('_');
            }
            c => flat.push(c),
        }
    }
    if flat.ends_with(['.', ' ']) || flat.is_empty() || looks_like_suffixed(&flat) {
        ambiguous = true;
    }
    if !ambiguous && flat.len() <= MAX_NAME_BYTES {
        return flat;
    }
    let digest = crate::hash_bytes(absolute_path.as_bytes()).to_string();
    let digest = &digest[..SUFFIX_DIGITS];
    let (stem, extension) = split_extension(&flat);
    let room = MAX_NAME_BYTES - 1 - SUFFIX_DIGITS - extension.len();
    let mut cut = stem.len().min(room);
    while !stem.is_char_boundary(cut) {
        cut -= 1;
    }
    format!("{}-{digest}{extension}", &stem[..cut])
}

/// Whether the tail already looks like our own `-<12 hex>` suffix.
fn looks_like_suffixed(flat: &str) -> bool {
    let (stem, _) = split_extension(flat);
    let Some((_, tail)) = stem.rsplit_once('-') else {
        return false;
    };
    tail.len() == SUFFIX_DIGITS && tail.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Splits `name.ext` before the last dot; an extension is at most 10 bytes and does
/// not end in a space.
fn split_extension(name: &str) -> (&str, &str) {
    let is_extension = |dot: usize| (2..=10).contains(&(name.len() - dot)) && !name.ends_with(' ');
    match name.rfind('.') {
        Some(dot) if dot > 0 && is_extension(dot) => name.split_at(dot),
        _ => (name.trim_end_matches(['.', ' ']), ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_paths_flatten_readably() {
        assert_eq!(
            safe_dst_name("/photos/2019/Été/IMG_1.JPG"),
            "photos__2019__Été__IMG_1.JPG"
        );
    }

    #[test]
    fn no_name_ends_in_a_space_or_a_dot() {
        for path in ["/a.jp ", "/a.jpg. ", "/a. . ", "/a.", "/ "] {
            let name = safe_dst_name(path);
            assert!(!name.ends_with(['.', ' ']), "{path:?}: {name:?}");
        }
    }

    #[test]
    fn separators_and_literal_underscores_do_not_collide() {
        let names = [
            "/a/b.jpg",
            "/a__b.jpg",
            "/a\\b.jpg",
            "a/b.jpg",
            "//a/b.jpg",
            "/a:b.jpg",
            "/a_/b.jpg",
            "/a/_b.jpg",
        ]
        .map(safe_dst_name);
        let distinct: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len(), "{names:?}");
    }

    #[test]
    fn long_paths_are_cut_and_keep_their_extension() {
        let long = format!("/{}/photo.jpeg", "ä".repeat(300));
        let name = safe_dst_name(&long);
        assert!(
            name.len() <= MAX_NAME_BYTES && name.ends_with(".jpeg"),
            "{name}"
        );
        assert_ne!(name, safe_dst_name(&long.replace("photo", "other")));
    }

    #[test]
    fn a_name_that_imitates_our_suffix_gets_its_own() {
        let long = format!("/{}.jpg", "x".repeat(300));
        let imitation = format!("/{}", safe_dst_name(&long));
        assert_ne!(safe_dst_name(&long), safe_dst_name(&imitation));
    }

    proptest! {
        #[test]
        fn different_paths_have_different_names(
            a in "(/|C:)?[a-b_/\\\\:. -]{0,12}(\\.jpg)?", b in "(/|C:)?[a-b_/\\\\:. -]{0,12}(\\.jpg)?"
        ) {
            prop_assume!(a != b);
            prop_assert_ne!(safe_dst_name(&a), safe_dst_name(&b));
        }

        #[test]
        fn names_are_single_path_components(path in "\\PC{0,300}") {
            let name = safe_dst_name(&path);
            prop_assert!(!name.is_empty() && name.len() <= MAX_NAME_BYTES);
            prop_assert!(!name.contains(['/', '\\', ':', '*', '?', '"', '<', '>', '|']));
            prop_assert!(name != "." && name != ".." && !name.ends_with(['.', ' ']));
        }
    }
}
