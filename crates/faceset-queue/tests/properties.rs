//! Any text becomes a portable path; any queue resolves on the other system or
//! is refused with a reason.

#![allow(clippy::unwrap_used, reason = "helpers of a test")]

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use faceset_queue::{
    NameBook, PathStyle, PortablePath, RootId, RootOverrides, RootPaths, is_absolute,
    posix_to_windows, windows_to_posix,
};
use proptest::prelude::*;

/// Text full of what goes wrong: separators, devices, dots, forms of one letter.
fn nasty() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("/".to_owned()),
        Just("\\".to_owned()),
        Just("..".to_owned()),
        Just(".".to_owned()),
        Just(" ".to_owned()),
        Just("CON".to_owned()),
        Just("lpt¹".to_owned()),
        Just("C:".to_owned()),
        Just(r"\\?\".to_owned()),
        Just("e\u{301}".to_owned()),
        Just("\u{338}".to_owned()),
        Just("<".to_owned()),
        Just("\u{F03A}".to_owned()),
        Just("\u{0}".to_owned()),
        Just("ß".to_owned()),
        Just("İ".to_owned()),
        Just("x".repeat(130)),
        Just("ü/".repeat(250)),
        "\\PC{0,6}",
        any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

/// Slow and obvious: what each rule of docs/formats/queue.md says.
fn keeps_the_rules(path: &str) -> bool {
    let devices = [
        "con", "prn", "aux", "nul", "com0", "com1", "com9", "lpt0", "lpt1", "lpt9", "com¹", "lpt¹",
    ];
    path.len() <= 1024
        && unicode_nfc(path) == path
        && path.split('/').all(|part| {
            let stem = part.split('.').next().unwrap().trim_end_matches(' ');
            !part.is_empty()
                && part.len() <= 255
                && !part.ends_with('.')
                && !part.ends_with(' ')
                && !part.contains(['<', '>', ':', '"', '|', '?', '*', '\\'])
                && !part.chars().any(char::is_control)
                && !part.contains('\u{F03A}')
                && !devices.contains(&stem.to_lowercase().as_str())
        })
}

fn unicode_nfc(text: &str) -> String {
    use unicode_normalization::UnicodeNormalization;
    text.nfc().collect()
}

/// The files below a folder as this system lists them. Names folded: where case does
/// not count, a folder keeps the case of its first file.
fn files_below(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(at) = folders.pop() {
        for entry in std::fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let below = path.strip_prefix(folder).unwrap().to_str().unwrap();
                let name = PortablePath::new(below.replace(std::path::MAIN_SEPARATOR, "/"));
                found.insert(name.unwrap().folded(), std::fs::read(&path).unwrap());
            }
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// The rules are about this system's own habits: dropped dots and spaces, devices,
    /// case, long paths.
    #[test]
    fn this_system_keeps_every_claimed_name_as_a_file_of_its_own(
        texts in prop::collection::vec(nasty(), 1..10)
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut book = NameBook::new();
        let mut written = BTreeMap::new();
        for (nth, text) in texts.iter().enumerate() {
            // Hundreds of folders in each other take minutes on a slow disk.
            let text = &text.replace("ü/ü/ü/ü/ü/", "ü/");
            let name = book.claim(&PortablePath::make(text), &format!("{nth:08}-rest"));
            let path = dir.path().join(name.as_str());
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            prop_assert!(!path.exists(), "{name} is another's file");
            std::fs::write(&path, text).unwrap();
            written.insert(name.folded(), text.clone().into_bytes());
            prop_assert_eq!(std::fs::read(&path).unwrap(), text.as_bytes());
        }
        prop_assert_eq!(files_below(dir.path()), written);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_text_becomes_a_portable_path(text in nasty()) {
        let made = PortablePath::make(&text);
        prop_assert!(keeps_the_rules(made.as_str()), "{made:?}");
        prop_assert_eq!(&PortablePath::new(made.as_str()).unwrap(), &made);
        prop_assert_eq!(&PortablePath::make(made.as_str()), &made);
    }

    #[test]
    fn the_door_lets_in_what_keeps_the_rules_and_nothing_else(text in nasty()) {
        match PortablePath::new(text.clone()) {
            Ok(path) => prop_assert!(keeps_the_rules(path.as_str())),
            Err(reason) => {
                prop_assert!(!keeps_the_rules(&text) || text.contains(['\u{F03A}']), "{reason}");
                prop_assert!(!reason.to_string().is_empty());
            }
        }
    }

    #[test]
    fn claimed_names_are_different_files_on_every_system(
        texts in prop::collection::vec(nasty(), 1..10)
    ) {
        let mut book = NameBook::new();
        let mut again = NameBook::new();
        let mut folded = HashSet::new();
        let mut all = Vec::new();
        for (nth, text) in texts.iter().enumerate() {
            let owner = format!("{nth:08}-rest");
            let name = book.claim(&PortablePath::make(text), &owner);
            prop_assert!(keeps_the_rules(name.as_str()));
            prop_assert!(folded.insert(name.folded()), "{name} twice");
            prop_assert_eq!(&again.claim(&PortablePath::make(text), &owner), &name);
            prop_assert_eq!(&again.claim(&PortablePath::make(text), &owner), &name);
            all.push(name);
        }
        // No file is the folder of another one.
        let folded: Vec<String> = all.iter().map(PortablePath::folded).collect();
        for name in &folded {
            let inside = format!("{name}/");
            prop_assert!(!folded.iter().any(|n| n.starts_with(&inside)));
        }
    }

    #[test]
    fn drives_go_there_and_back(letter in proptest::char::range('a', 'z'), text in nasty()) {
        let below = PortablePath::make(&text);
        let posix = format!("/mnt/{letter}/{below}");
        let windows = posix_to_windows(&posix).unwrap();
        prop_assert!(is_absolute(&windows, PathStyle::Windows));
        prop_assert_eq!(windows_to_posix(&windows).unwrap(), posix);
    }

    #[test]
    fn any_root_resolves_on_the_other_system_or_says_why(
        text in nasty(), windows_side in any::<bool>(), rel in nasty()
    ) {
        let id = RootId::make("r");
        let rel = PortablePath::make(&rel);
        let (path, style) = if windows_side {
            (format!("Q:\\{text}"), PathStyle::Windows)
        } else {
            (format!("/mnt/q/{text}"), PathStyle::Posix)
        };
        let root = match RootPaths::from_local(&path, style) {
            Ok(root) => root,
            Err(reason) => {
                prop_assert!(!reason.to_string().is_empty());
                return Ok(());
            }
        };
        for side in [PathStyle::Posix, PathStyle::Windows] {
            match root.resolve(&id, &RootOverrides::default(), side) {
                Ok(place) => {
                    prop_assert!(is_absolute(&place.file(&rel), side));
                    // What one side calls the file, the other calls it too.
                    if side == PathStyle::Windows
                        && let Ok(back) = windows_to_posix(&place.file(&rel))
                        && style == PathStyle::Windows
                    {
                        let logical = root.logical(&rel);
                        prop_assert_eq!(back, logical.as_str());
                    }
                }
                Err(reason) => prop_assert!(reason.to_string().contains("--root r=PATH")),
            }
            // A person's word always works.
            let said = RootOverrides::from_iter(["r=/elsewhere".parse().unwrap()]);
            prop_assert!(root.resolve(&id, &said, side).is_ok());
        }
        // The logical name does not depend on the system.
        prop_assert!(root.logical(&rel).as_str().starts_with('/'));
    }
}
