//! `--rescue`: which photos are looked at again, and how their records say so.
//!
//! The looking is `faceset-infer`'s. A record's `source` keeps what a second
//! look gave, so that no photo is looked at twice in vain.

use faceset_core::{FileEntry, FileStatus};
use faceset_infer::RescueWay;

/// Follows a photo's own source; after it comes the way or [`IN_VAIN`].
const MARK: &str = "+rescue:";
/// In place of a way: no look found a face.
const IN_VAIN: &str = "none";

/// What a second look at a photo gave.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SecondLook {
    /// There was none: the first one found faces, or nobody asked for more.
    #[default]
    NotTaken,
    /// It found nothing either.
    InVain,
    /// It found the faces, in this way.
    Found(RescueWay),
}

/// Whether a record is one that a run with second looks takes up again.
pub(super) fn is_wanted(entry: &FileEntry) -> bool {
    matches!(&entry.status, FileStatus::Faces(faces) if faces.is_empty())
        && !entry.source.contains(MARK)
}

/// A record's source after the look.
pub(super) fn marked(source: &str, look: SecondLook) -> String {
    match look {
        SecondLook::NotTaken => source.to_owned(),
        SecondLook::InVain => format!("{source}{MARK}{IN_VAIN}"),
        SecondLook::Found(way) => format!("{source}{MARK}{way}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use faceset_core::hash_bytes;

    fn entry(source: &str, status: FileStatus) -> FileEntry {
        FileEntry {
            path: "/p".into(),
            sha256: hash_bytes(b"p"),
            size: 1,
            mtime_ns: 2,
            dims: [4, 3],
            taken: String::new(),
            source: source.to_owned(),
            status,
        }
    }

    #[test]
    fn only_photos_without_a_face_that_were_not_tried_are_wanted() {
        let none = || FileStatus::Faces(Vec::new());
        assert!(is_wanted(&entry("original", none())));
        assert!(is_wanted(&entry("preview", none())));
        assert!(!is_wanted(&entry("original+rescue:none", none())));
        let damaged = FileStatus::Failed("damaged".to_owned());
        assert!(!is_wanted(&entry("original", damaged)));
    }

    #[test]
    fn the_record_names_the_way_after_its_own_source() {
        let found = SecondLook::Found(RescueWay::Turned(90));
        assert_eq!(marked("preview", found), "preview+rescue:turned-90");
        assert_eq!(
            marked("original", SecondLook::InVain),
            "original+rescue:none"
        );
        assert_eq!(marked("original", SecondLook::NotTaken), "original");
    }
}
