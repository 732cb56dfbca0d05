//! The name that an asset's file is given below the folder of the library.
//!
//! Which part of the server's path it comes from is decided here; what makes it safe
//! on every system and different from all others is `faceset_queue`'s.

use faceset_queue::{PortablePath, below};
use immich_client::{Asset, UserId};

/// Longest last part in bytes. File systems take 255; the rest is for a suffix and for
/// the prefix of unfinished files.
const MAX_LAST_PART_BYTES: usize = 200;

/// The name wished for an asset's file.
///
/// The path on the server below the longest of `roots` that fits, else below the folder
/// of its owner (`.../upload/UUID/`, `.../library/LABEL/`), else the whole of it; without
/// a path the file's name, without that the id. `render` is the extension of a picture
/// that the server rendered, put behind the name.
pub fn wished_name(asset: &Asset, roots: &[String], render: Option<&str>) -> PortablePath {
    let path = asset.original_path.as_deref().unwrap_or_default();
    let mut name = PortablePath::make(below_root(path, asset, roots));
    if !path.contains(|c: char| !matches!(c, '/' | '\\' | '.' | ' ')) {
        let file = asset.original_file_name.as_deref().unwrap_or_default();
        let file = file.rsplit(['/', '\\']).next().unwrap_or_default();
        let usable = file.contains(|c: char| c != '.' && c != ' ');
        name = PortablePath::make(if usable { file } else { asset.id.as_str() });
    }
    if let Some(extension) = render {
        name = PortablePath::make(&format!("{name}.{extension}"));
    }
    let last = name.file_name();
    if last.len() <= MAX_LAST_PART_BYTES {
        return name;
    }
    let folder = &name.as_str()[..name.as_str().len() - last.len()];
    let extension = last.rfind('.').map_or("", |at| &last[at..]);
    let extension = if extension.len() <= 16 { extension } else { "" };
    let mut end = MAX_LAST_PART_BYTES - extension.len();
    while !last.is_char_boundary(end) {
        end -= 1;
    }
    PortablePath::make(&format!("{folder}{}{extension}", &last[..end]))
}

fn below_root<'a>(path: &'a str, asset: &Asset, roots: &[String]) -> &'a str {
    let given = roots
        .iter()
        .filter_map(|root| Some((root.len(), below(path, root)?)))
        .max_by_key(|(len, _)| *len);
    if let Some((_, rest)) = given {
        return rest;
    }
    let owner = asset.owner_id.as_ref().map(UserId::as_str);
    let mut at = 0;
    let mut before = "";
    for part in path.split_inclusive('/') {
        let name = part.trim_end_matches('/');
        at += part.len();
        let is_owner = owner == Some(name) || (before == "library" && !name.is_empty());
        if is_owner && at < path.len() {
            return &path[at..];
        }
        before = name;
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn asset(path: &str) -> Asset {
        let mut asset: Asset =
            serde_json::from_str(r#"{"id":"0a1b2c3d-0000","ownerId":"owner-1"}"#).unwrap();
        asset.original_path = Some(path.to_owned());
        asset
    }

    fn name(path: &str) -> String {
        wished_name(&asset(path), &[], None).into()
    }

    #[test]
    fn the_librarys_folder_is_left_out() {
        assert_eq!(name("/data/upload/owner-1/ab/cd/x.jpg"), "ab/cd/x.jpg");
        assert_eq!(name("/data/library/anna/2020/x.jpg"), "2020/x.jpg");
        assert_eq!(name("/mnt/photos/2020/x.jpg"), "mnt/photos/2020/x.jpg");
        assert_eq!(name("/data/library/x.jpg"), "data/library/x.jpg");
    }

    #[test]
    fn the_longest_given_root_wins_and_roots_are_whole_folders() {
        let roots = ["/mnt".to_owned(), "/mnt/photos/".to_owned()];
        let inside = wished_name(&asset("/mnt/photos/2020/x.jpg"), &roots, None);
        assert_eq!(inside.as_str(), "2020/x.jpg");
        let beside = wished_name(&asset("/mnt/photos2/x.jpg"), &roots[1..], None);
        assert_eq!(beside.as_str(), "mnt/photos2/x.jpg");
    }

    #[test]
    fn nothing_leads_out_of_the_folder() {
        assert_eq!(name("/../../etc/passwd"), "etc/passwd");
        assert_eq!(name("/data/library/anna/../../../x.jpg"), "x.jpg");
        assert_eq!(name("C:\\Users\\..\\a.jpg"), "Users/a.jpg");
    }

    #[test]
    fn without_a_path_the_files_name_is_used_and_without_that_the_id() {
        let mut bare = asset("");
        bare.original_file_name = Some("../evil/IMG 1.jpg".to_owned());
        assert_eq!(wished_name(&bare, &[], None).as_str(), "IMG 1.jpg");
        bare.original_path = Some("/../..".to_owned());
        assert_eq!(wished_name(&bare, &[], None).as_str(), "IMG 1.jpg");
        bare.original_file_name = None;
        assert_eq!(wished_name(&bare, &[], None).as_str(), "0a1b2c3d-0000");
    }

    #[test]
    fn renders_get_their_own_extension_behind() {
        let render = wished_name(&asset("/a/IMG_1.NEF"), &[], Some("jpg"));
        assert_eq!(render.as_str(), "a/IMG_1.NEF.jpg");
    }

    #[test]
    fn long_names_leave_room_for_the_name_of_the_unfinished_file() {
        let long = name(&format!("/x/{}.jpeg", "ü".repeat(120)));
        assert!(long.ends_with("ü.jpeg") && long.len() <= 2 + MAX_LAST_PART_BYTES);
    }

    proptest! {
        #[test]
        fn whatever_the_server_says_the_name_stays_below_the_folder(
            path in ".{0,300}", tail in "[./\\\\: a-zA-Z0-9]{0,80}",
        ) {
            let name = name(&format!("{path}{tail}"));
            prop_assert!(PortablePath::new(name.clone()).is_ok(), "{}", name);
            let last = name.rsplit('/').next().unwrap();
            prop_assert!(last.len() <= MAX_LAST_PART_BYTES + 2, "{}", name);
        }
    }
}
