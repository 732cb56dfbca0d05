//! Reading one photo: bytes, identity, upright pixels.

use std::borrow::Cow;
use std::path::Path;

use faceset_cache::Cache;
use faceset_core::SourcePath;
use faceset_export::PixelSource;
use faceset_media::{DEFAULT_MAX_FILE_BYTES, DecodeLimits, FileBytes, Picture, decode, read_bytes};
use faceset_queue::{PathStyle, respelled};
use faceset_report::Pictures;
use image::RgbImage;

/// Where a photo of a cache lies on this system: a cache of Windows is read on Linux
/// below Windows, and the other way round.
pub(crate) fn place_of(path: &SourcePath) -> Cow<'_, Path> {
    match respelled(path.as_str(), PathStyle::here()) {
        Cow::Borrowed(text) => Cow::Borrowed(Path::new(text)),
        Cow::Owned(text) => Cow::Owned(text.into()),
    }
}

/// Reads and hashes; the error is one line for people.
pub(crate) fn read(path: &SourcePath) -> Result<FileBytes, String> {
    read_place(&place_of(path))
}

/// The same for a file that is called otherwise in the cache.
pub(crate) fn read_place(place: &Path) -> Result<FileBytes, String> {
    read_bytes(place, DEFAULT_MAX_FILE_BYTES).map_err(|e| e.one_line())
}

/// Decodes upright; the error is one line for people.
pub(crate) fn pixels(bytes: &[u8], current_year: i32) -> Result<Picture, String> {
    let limits = DecodeLimits {
        latest_year: Some(current_year),
        ..DecodeLimits::default()
    };
    decode(bytes, &limits).map_err(|e| e.one_line())
}

/// Upright pixels of a photo in the cache, from whichever of its places still
/// holds the bytes that were embedded.
pub(crate) fn load_known(
    cache: &Cache,
    canonical: &SourcePath,
    current_year: i32,
) -> Result<RgbImage, String> {
    let Some(entry) = cache.resolve(canonical) else {
        return Err(format!("{canonical} is not in the cache"));
    };
    let mut problems = Vec::new();
    for place in cache.places(&entry.path) {
        match read(place) {
            Ok(file) if file.sha256 == entry.sha256 => {
                return pixels(&file.bytes, current_year).map(|p| p.rgb);
            }
            Ok(_) => problems.push(format!(
                "{place} changed since it was embedded; run embed again"
            )),
            Err(problem) => problems.push(problem),
        }
    }
    Err(problems.join("; "))
}

/// The photos of a cache, for steps that ask for pixels by path: any place that
/// still holds the embedded bytes serves.
pub(crate) struct CachePhotos<'a> {
    pub(crate) cache: &'a Cache,
    pub(crate) current_year: i32,
}

impl PixelSource for CachePhotos<'_> {
    fn upright_rgb(&self, path: &SourcePath) -> Result<RgbImage, String> {
        load_known(self.cache, path, self.current_year)
    }
}

impl Pictures for CachePhotos<'_> {
    fn upright_rgb(&self, path: &SourcePath) -> Result<RgbImage, String> {
        load_known(self.cache, path, self.current_year)
    }
}
