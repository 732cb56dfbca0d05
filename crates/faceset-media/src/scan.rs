//! Finding picture files under a folder.
//!
//! Decides by name and, where the name says nothing, by the first bytes which
//! files are worth reading. Everything seen ends in exactly one of two lists;
//! nothing a folder can contain ends the scan.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::UNIX_EPOCH;

use faceset_core::{CancelToken, SourcePath};
use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};
use ignore::{DirEntry, WalkBuilder};

use crate::decode::why_unsupported;
use crate::sniff::lower_extension;
use crate::{Content, Format, MediaError, OtherKind, SNIFF_BYTES, root, sniff};

/// What to leave out and whether to follow links.
#[derive(Debug, Clone, Default)]
pub struct ScanOptions {
    exclude: GlobSet,
    /// Follow symbolic links to files and folders. Default no: a linked file
    /// is listed as skipped. A loop is skipped in both cases.
    pub follow_symlinks: bool,
}

impl ScanOptions {
    /// Checks the exclude patterns.
    ///
    /// A pattern is matched against the path below the root with `/` between
    /// parts, upper and lower case alike; `*` stays within one part, `**`
    /// crosses them. A folder that matches is not entered. `**/thumbs` leaves
    /// out every folder or file called `thumbs`, `**/*.png` all PNG files.
    pub fn new<S: AsRef<str>>(exclude: &[S], follow_symlinks: bool) -> Result<Self, MediaError> {
        let glob = |pattern: &str| -> Result<Glob, MediaError> {
            GlobBuilder::new(pattern)
                .literal_separator(true)
                .case_insensitive(true)
                .build()
                .map_err(|source| MediaError::Pattern {
                    pattern: pattern.to_owned(),
                    source,
                })
        };
        let mut set = GlobSetBuilder::new();
        for pattern in exclude {
            set.add(glob(pattern.as_ref())?);
        }
        let exclude = set.build().map_err(|source| MediaError::Pattern {
            pattern: source.glob().unwrap_or_default().to_owned(),
            source,
        })?;
        Ok(Self {
            exclude,
            follow_symlinks,
        })
    }
}

/// A file that is worth reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScannedFile {
    /// Absolute, as reached from the given root; links are not resolved.
    pub path: SourcePath,
    /// Size in bytes when it was listed.
    pub size: u64,
    /// Modification time, nanoseconds since 1970 UTC; 0 when unknown.
    pub mtime_ns: i64,
    /// Number that the file system gave the file, see [`file_number`]; 0 when
    /// unknown.
    pub number: u64,
}

/// Something that was seen and left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Where; bytes that are not UTF-8 are replaced, so this is for people.
    pub path: String,
    /// Why.
    pub reason: SkipReason,
}

/// Why something was left out of a scan.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SkipReason {
    /// Matches an exclude pattern; a folder counts once, with all below it.
    Excluded,
    /// The extension or the first bytes say that it is no picture.
    NotAPicture(OtherKind),
    /// A picture that this build does not decode, known by its extension.
    Unsupported(Format),
    /// The name cannot be written in UTF-8.
    NameNotUtf8,
    /// A symbolic link, and links are not followed.
    Link,
    /// A link to nowhere.
    DanglingLink,
    /// A link that leads back to a folder above it.
    LinkLoop,
    /// A pipe, socket or device; it was not opened.
    Special,
    /// It was there when the folder was read and is gone.
    Vanished,
    /// The folder or file cannot be opened, and why.
    Unreadable(String),
}

impl SkipReason {
    /// Short key for counting by reason.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Excluded => "excluded",
            Self::NotAPicture(OtherKind::Video) => "video",
            Self::NotAPicture(OtherKind::Document) => "document",
            Self::NotAPicture(OtherKind::Archive) => "archive",
            Self::NotAPicture(OtherKind::Unknown) => "not_a_picture",
            Self::Unsupported(_) => "unsupported",
            Self::NameNotUtf8 => "name_not_utf8",
            Self::Link => "link",
            Self::DanglingLink => "dangling_link",
            Self::LinkLoop => "link_loop",
            Self::Special => "special",
            Self::Vanished => "vanished",
            Self::Unreadable(_) => "unreadable",
        }
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Excluded => f.write_str("left out by an exclude pattern"),
            Self::NotAPicture(kind) => write!(f, "not a picture but {kind}"),
            Self::Unsupported(format) => {
                write!(f, "{format} is not supported: {}", why_unsupported(*format))
            }
            Self::NameNotUtf8 => f.write_str("the name is not UTF-8: rename it"),
            Self::Link => f.write_str("a symbolic link, and links are not followed"),
            Self::DanglingLink => f.write_str("a symbolic link to something that is not there"),
            Self::LinkLoop => f.write_str("a symbolic link back to a folder above it"),
            Self::Special => f.write_str("a pipe, socket or device"),
            Self::Vanished => f.write_str("vanished while the folder was read; run again"),
            Self::Unreadable(why) => write!(f, "cannot be opened: {why}"),
        }
    }
}

/// The result of a scan: both lists sorted by path, byte by byte.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scan {
    /// Worth reading.
    pub files: Vec<ScannedFile>,
    /// Left out, with the reason.
    pub skipped: Vec<Skipped>,
}

/// Lists the picture files under `root`, which may also be a single file.
///
/// Hidden files are included and no ignore file is honoured. Which files are
/// worth reading is decided by extension; files without a known one are opened
/// and their first [`SNIFF_BYTES`] bytes decide. Folders that could be read are
/// not listed; everything else that was seen is in exactly one of the lists.
///
/// # Errors
/// [`MediaError::Root`] when the root itself cannot be used and
/// [`MediaError::Cancelled`]; nothing below the root is an error.
pub fn scan(root: &Path, options: &ScanOptions, cancel: &CancelToken) -> Result<Scan, MediaError> {
    let root = root::absolute(root)?;
    let excluded = Arc::new(Mutex::new(Vec::new()));
    let mut walk = WalkBuilder::new(&root);
    walk.standard_filters(false)
        .follow_links(options.follow_symlinks)
        .filter_entry(exclusion(&root, options, &excluded));

    let mut scan = Scan::default();
    for entry in walk.build() {
        if cancel.is_cancelled() {
            return Err(MediaError::Cancelled);
        }
        match entry {
            Ok(entry) => scan.add(&entry),
            Err(error) => {
                let (path, reason) = explain(&error);
                scan.skip(path.as_deref().unwrap_or(&root), reason);
            }
        }
    }
    let mut excluded = excluded
        .lock()
        .expect("the filter does not panic while it holds the list");
    for path in excluded.drain(..) {
        scan.skip(&path, SkipReason::Excluded);
    }
    drop(excluded);
    scan.files.sort_by(|a, b| a.path.cmp(&b.path));
    scan.skipped
        .sort_by(|a, b| a.path.cmp(&b.path).then_with(|| a.reason.cmp(&b.reason)));
    Ok(scan)
}

/// The walker's filter: false for what matches a pattern, and notes it.
fn exclusion(
    root: &Path,
    options: &ScanOptions,
    excluded: &Arc<Mutex<Vec<PathBuf>>>,
) -> impl Fn(&DirEntry) -> bool + Send + Sync + 'static {
    let root = root.to_path_buf();
    let patterns = options.exclude.clone();
    let excluded = Arc::clone(excluded);
    move |entry| {
        // The root itself was asked for by name.
        if entry.depth() == 0 || patterns.is_empty() {
            return true;
        }
        let below = entry.path().strip_prefix(&root).unwrap_or(entry.path());
        let matches = patterns.is_match(below);
        if matches {
            excluded
                .lock()
                .expect("pushing to a list does not panic")
                .push(entry.path().to_path_buf());
        }
        !matches
    }
}

impl Scan {
    fn skip(&mut self, path: &Path, reason: SkipReason) {
        self.skipped.push(Skipped {
            path: path.to_string_lossy().into_owned(),
            reason,
        });
    }

    fn add(&mut self, entry: &DirEntry) {
        let path = entry.path();
        let Some(kind) = entry.file_type() else {
            return self.skip(path, SkipReason::Special);
        };
        if kind.is_dir() {
            return;
        }
        if kind.is_symlink() {
            return self.skip(path, SkipReason::Link);
        }
        if !kind.is_file() {
            return self.skip(path, SkipReason::Special);
        }
        let Some(text) = path.to_str() else {
            return self.skip(path, SkipReason::NameNotUtf8);
        };
        let about = match entry.metadata() {
            Ok(about) => about,
            Err(error) => return self.skip(path, explain(&error).1),
        };
        if let Some(reason) = why_not(path) {
            return self.skip(path, reason);
        }
        self.files.push(ScannedFile {
            path: SourcePath(text.to_owned()),
            size: about.len(),
            mtime_ns: mtime_ns(&about),
            number: file_number(path, &about),
        });
    }
}

/// Extensions that are skipped without opening the file.
const NEVER: &[(OtherKind, &[&str])] = &[
    (
        OtherKind::Video,
        &[
            "3g2", "3gp", "aac", "aiff", "amr", "asf", "avi", "flac", "flv", "insv", "lrv", "m2ts",
            "m4a", "m4v", "mid", "mkv", "mov", "mp3", "mp4", "mpeg", "mpg", "mts", "oga", "ogg",
            "ogv", "opus", "qt", "vob", "wav", "webm", "wma", "wmv",
        ],
    ),
    (
        OtherKind::Document,
        &[
            "aae", "c", "cfg", "conf", "cpp", "css", "csv", "doc", "docx", "eml", "epub", "h",
            "htm", "html", "ics", "ini", "ipynb", "js", "json", "lnk", "log", "md", "odp", "ods",
            "odt", "pdf", "pp3", "ppt", "pptx", "ps", "py", "rs", "rtf", "sh", "srt", "svg", "tex",
            "toml", "ts", "tsv", "txt", "url", "vcf", "vtt", "xls", "xlsx", "xml", "xmp", "yaml",
            "yml",
        ],
    ),
    (
        OtherKind::Archive,
        &[
            "7z", "apk", "bz2", "cab", "dmg", "fsz", "gz", "img", "iso", "jar", "npy", "npz",
            "rar", "tar", "tgz", "xz", "zip", "zst",
        ],
    ),
    (
        OtherKind::Unknown,
        &[
            "db", "dll", "exe", "lock", "o", "onnx", "pt", "so", "sqlite", "sqlite3", "ttf",
            "woff", "woff2",
        ],
    ),
];

/// Why a regular file is not worth reading; `None` when it is.
fn why_not(path: &Path) -> Option<SkipReason> {
    if let Some(extension) = lower_extension(path) {
        let extension = extension.as_str();
        if Format::Raw.extensions().contains(&extension) {
            return Some(SkipReason::Unsupported(Format::Raw));
        }
        let known = Format::ALL
            .iter()
            .any(|format| format.extensions().contains(&extension));
        if known {
            return None;
        }
        let never = NEVER.iter().find(|(_, list)| list.contains(&extension));
        if let Some((kind, _)) = never {
            return Some(SkipReason::NotAPicture(*kind));
        }
    }
    // Only a look inside can tell. What cannot be opened now stays in the list,
    // so that reading it reports the failure.
    match first_bytes(path).map(|start| sniff(&start)) {
        Ok(Content::Other(kind)) => Some(SkipReason::NotAPicture(kind)),
        Ok(Content::Empty) => Some(SkipReason::NotAPicture(OtherKind::Unknown)),
        Ok(Content::Picture(_)) | Err(_) => None,
    }
}

fn first_bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut start = Vec::with_capacity(SNIFF_BYTES);
    File::open(path)?
        .take(SNIFF_BYTES as u64)
        .read_to_end(&mut start)?;
    Ok(start)
}

/// Modification time in nanoseconds since 1970 UTC, negative before; 0 when the
/// file system does not tell.
pub fn mtime_ns(about: &Metadata) -> i64 {
    let Ok(time) = about.modified() else { return 0 };
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(0),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(0, |ns| -ns),
    }
}

/// What the file system calls a file whatever its name: the inode, on Windows
/// the file index. 0 when unknown. Another file put in a file's place has
/// another number, also with the same size and time.
///
/// On Windows the file is opened for it, without reading.
#[cfg(unix)]
pub fn file_number(_path: &Path, about: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(about)
}

/// What the file system calls a file whatever its name: the inode, on Windows
/// the file index. 0 when unknown. Another file put in a file's place has
/// another number, also with the same size and time.
///
/// On Windows the file is opened for it, without reading.
#[cfg(windows)]
pub fn file_number(path: &Path, _about: &Metadata) -> u64 {
    winapi_util::Handle::from_path_any(path)
        .and_then(|handle| winapi_util::file::information(&handle))
        .map_or(0, |about| about.file_index())
}

/// No such number is known here.
#[cfg(not(any(unix, windows)))]
pub fn file_number(_path: &Path, _about: &Metadata) -> u64 {
    0
}

/// The path and the reason inside the walker's nested errors.
fn explain(error: &ignore::Error) -> (Option<PathBuf>, SkipReason) {
    match error {
        ignore::Error::WithPath { path, err } => {
            let (inner, reason) = explain(err);
            let reason = match reason {
                // A name that is listed but leads nowhere: a link, or it went.
                SkipReason::Vanished if path.is_symlink() => SkipReason::DanglingLink,
                other => other,
            };
            (inner.or_else(|| Some(path.clone())), reason)
        }
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => {
            explain(err)
        }
        ignore::Error::Loop { child, .. } => (Some(child.clone()), SkipReason::LinkLoop),
        ignore::Error::Io(io) if io.kind() == std::io::ErrorKind::NotFound => {
            (None, SkipReason::Vanished)
        }
        ignore::Error::Io(io) => (None, SkipReason::Unreadable(io.to_string())),
        other => (None, SkipReason::Unreadable(other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Error, ErrorKind};

    /// A test that runs as the superuser cannot make an unreadable folder, so
    /// the walker's error is made by hand.
    #[test]
    fn the_walkers_errors_keep_their_path_and_say_why() {
        let nested = |kind| ignore::Error::WithDepth {
            depth: 2,
            err: Box::new(ignore::Error::WithPath {
                path: PathBuf::from("/a/private"),
                err: Box::new(ignore::Error::Io(Error::from(kind))),
            }),
        };
        let (path, reason) = explain(&nested(ErrorKind::PermissionDenied));
        assert_eq!(path.as_deref(), Some(Path::new("/a/private")));
        assert_eq!(reason.key(), "unreadable");
        assert!(reason.to_string().contains("permission denied"), "{reason}");
        assert_eq!(
            explain(&nested(ErrorKind::NotFound)).1,
            SkipReason::Vanished
        );
        let around = ignore::Error::Loop {
            ancestor: PathBuf::from("/a"),
            child: PathBuf::from("/a/b"),
        };
        assert_eq!(
            explain(&around),
            (Some(PathBuf::from("/a/b")), SkipReason::LinkLoop)
        );
    }

    #[test]
    fn no_extension_is_both_a_pictures_and_never_opened() {
        for (_, list) in NEVER {
            for extension in *list {
                assert_eq!(*extension, extension.to_ascii_lowercase());
                assert!(
                    Format::ALL
                        .iter()
                        .all(|f| !f.extensions().contains(extension)),
                    "{extension}"
                );
            }
        }
    }
}
