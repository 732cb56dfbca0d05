//! Paths on the server that are left out.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::StagingError;

/// Immich's own thumbnails, which an external library above them indexes as photos: more
/// than half of what the original tool staged for one user was such.
pub const THUMBNAILS: &str = "**/thumbs/**";

/// Patterns against the server's path of an asset, `/` between parts, case ignored.
#[derive(Debug, Clone)]
pub struct Excludes {
    set: GlobSet,
    patterns: Vec<String>,
    thumbnails: GlobSet,
}

impl Excludes {
    /// These patterns, and [`THUMBNAILS`] unless they are wanted.
    ///
    /// # Errors
    /// [`StagingError::Pattern`] for a text that is no glob.
    pub fn new<S: AsRef<str>>(patterns: &[S], keep_thumbnails: bool) -> Result<Self, StagingError> {
        let mut all: Vec<String> = patterns.iter().map(|p| p.as_ref().to_owned()).collect();
        if !keep_thumbnails {
            all.push(THUMBNAILS.to_owned());
        }
        Ok(Self {
            set: compile(&all)?,
            patterns: all,
            thumbnails: compile(&[THUMBNAILS.to_owned()])?,
        })
    }

    /// The first pattern that leaves this path out.
    pub fn matching(&self, path: &str) -> Option<&str> {
        let path = path.trim_start_matches('/').replace('\\', "/");
        let first = self.set.matches(&path).into_iter().min()?;
        Some(&self.patterns[first])
    }

    /// Whether the path is of one of Immich's own thumbnails, left out or not.
    pub fn is_thumbnail(&self, path: &str) -> bool {
        self.thumbnails.is_match(path.trim_start_matches('/'))
    }
}

fn compile(patterns: &[String]) -> Result<GlobSet, StagingError> {
    let bad = |pattern: &str, source: globset::Error| StagingError::Pattern {
        pattern: pattern.to_owned(),
        source,
    };
    let mut builder = GlobSetBuilder::new();
    for pattern in patterns {
        let glob = GlobBuilder::new(pattern.trim_start_matches('/'))
            .case_insensitive(true)
            .literal_separator(true)
            .build()
            .map_err(|source| bad(pattern, source))?;
        builder.add(glob);
    }
    builder
        .build()
        .map_err(|source| bad(&patterns.join(" "), source))
}

#[cfg(test)]
mod tests {
    use super::*;

    const THUMB: &str = "/data/thumbs/u/ab/cd/abcd-preview.jpeg";

    #[test]
    fn thumbnails_are_left_out_unless_wanted() {
        let default = Excludes::new::<&str>(&[], false).unwrap();
        assert_eq!(default.matching(THUMB), Some(THUMBNAILS));
        assert_eq!(default.matching("/data/upload/u/thumbs.jpg"), None);
        assert_eq!(default.matching("thumbs/x.jpg"), Some(THUMBNAILS));
        let wanted = Excludes::new::<&str>(&[], true).unwrap();
        assert_eq!(wanted.matching(THUMB), None);
        assert!(wanted.is_thumbnail(THUMB) && !wanted.is_thumbnail("/data/a.jpg"));
    }

    #[test]
    fn the_first_pattern_given_is_named_and_a_star_stays_within_a_part() {
        let excludes = Excludes::new(&["*.PNG", "**/screens/*"], false).unwrap();
        assert_eq!(excludes.matching("/a.png"), Some("*.PNG"));
        assert_eq!(excludes.matching("/x/a.png"), None);
        assert_eq!(excludes.matching("/x/screens/a.png"), Some("**/screens/*"));
        assert_eq!(excludes.matching("/x/screens/y/a.png"), None);
    }

    #[test]
    fn bad_patterns_are_named() {
        let error = Excludes::new(&["a[b"], false).unwrap_err();
        assert!(error.to_string().contains("a[b"), "{error}");
    }
}
