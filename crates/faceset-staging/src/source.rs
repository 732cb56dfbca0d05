//! Which file of an asset to fetch: the original, or what the server renders of it.

use faceset_media::{Content, Format, extension_fits, sniff};
use faceset_queue::Derivative;
use immich_client::{Asset, MediaRequest, ThumbnailSize};

/// Formats that Immich takes and this build does not decode, as the server names them.
const UNDECODABLE_MIME: &[&str] = &[
    "image/avif",
    "image/jxl",
    "image/jp2",
    "image/jpx",
    "image/svg+xml",
    "image/x-",
    "image/dng",
];
/// MIME types under `image/x-` that are no camera raw.
const PLAIN_X_MIME: &[&str] = &[
    "image/x-ms-bmp",
    "image/x-png",
    "image/x-portable-",
    "image/x-psd",
    "image/x-photoshop",
];
/// Formats that are refused when decoding, HEIC aside.
const UNDECODABLE: &[Format] = &[
    Format::Psb,
    Format::Avif,
    Format::Jxl,
    Format::Jpeg2000,
    Format::Raw,
];

/// Where the bytes come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The file as it was uploaded.
    Original,
    /// A picture that the server rendered from it: full size where it has one, else
    /// the preview.
    Render,
    /// The same, but never the original again: a worker could not read that.
    RenderedOnly,
}

impl Source {
    /// Judges by the server's MIME type, then by the extension. `render_heic` sends HEIC
    /// the way of formats that this build does not decode.
    pub fn choose(asset: &Asset, render_heic: bool) -> Self {
        let mime = asset.original_mime_type.as_deref().unwrap_or_default();
        let mime = mime.to_ascii_lowercase();
        let starts = |list: &[&str]| list.iter().any(|start| mime.starts_with(start));
        let name = asset
            .original_path
            .as_deref()
            .filter(|path| !path.is_empty())
            .or(asset.original_file_name.as_deref())
            .unwrap_or_default();
        let path = std::path::Path::new(name);
        // No extension fits every format.
        let named = |format| path.extension().is_some() && extension_fits(path, format);
        let heic =
            mime.starts_with("image/heic") || mime.starts_with("image/heif") || named(Format::Heic);
        let refused_name = UNDECODABLE.iter().any(|format| named(*format));
        let refused_mime = starts(UNDECODABLE_MIME) && !starts(PLAIN_X_MIME);
        if refused_mime || refused_name || (heic && render_heic) {
            Self::Render
        } else {
            Self::Original
        }
    }
}

/// Whether a file that came as an original starts like one that the embedder might
/// decode; [`faceset_media::SNIFF_BYTES`] are enough. What is no picture at all counts as
/// decodable: the server's rendering would be of no use either, and the embedder says
/// what is wrong with it.
pub(crate) fn is_decodable(start: &[u8]) -> bool {
    !matches!(sniff(start), Content::Picture(format) if UNDECODABLE.contains(&format))
}

/// The renderings to try, best first, with what they are when the bytes are a picture.
pub(crate) fn renders(asset: &immich_client::AssetId) -> [(MediaRequest, Derivative); 2] {
    [
        (
            MediaRequest::thumbnail(asset, ThumbnailSize::Fullsize),
            Derivative::Fullsize,
        ),
        (
            MediaRequest::thumbnail(asset, ThumbnailSize::Preview),
            Derivative::Preview,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(mime: &str, path: &str, render_heic: bool) -> Source {
        let mut asset: Asset = serde_json::from_str(r#"{"id":"a"}"#).unwrap();
        asset.original_mime_type = (!mime.is_empty()).then(|| mime.to_owned());
        asset.original_path = Some(path.to_owned());
        Source::choose(&asset, render_heic)
    }

    #[test]
    fn what_this_build_decodes_is_fetched_as_it_is() {
        for (mime, path) in [
            ("image/jpeg", "/a.jpg"),
            ("", "/a.JPEG"),
            ("image/png", "/a.png"),
            ("image/x-ms-bmp", "/a.bmp"),
            ("image/heic", "/a.heic"),
            ("", "/without"),
        ] {
            assert_eq!(chosen(mime, path, false), Source::Original, "{mime} {path}");
        }
    }

    #[test]
    fn camera_raw_and_new_formats_are_rendered_by_either_sign() {
        for (mime, path) in [
            ("image/x-sony-arw", "/a.bin"),
            ("image/dng", "/a"),
            ("", "/a.NEF"),
            ("image/jpeg", "/a.cr2"),
            ("image/avif", "/a.avif"),
            ("image/jxl", "/a"),
        ] {
            assert_eq!(chosen(mime, path, false), Source::Render, "{mime} {path}");
        }
    }

    #[test]
    fn heic_is_rendered_only_when_asked_for() {
        assert_eq!(chosen("image/heic", "/a.heic", true), Source::Render);
        assert_eq!(chosen("", "/a.HEIF", true), Source::Render);
        assert_eq!(chosen("image/jpeg", "/a.jpg", true), Source::Original);
    }

    #[test]
    fn content_decides_whether_an_original_is_of_use() {
        assert!(is_decodable(b"\xFF\xD8\xFF\xE0\x00\x10JFIF\x00"));
        assert!(is_decodable(b"neither fish nor fowl"));
        assert!(!is_decodable(
            b"\x00\x00\x00\x1Cftypavif\x00\x00\x00\x00avifmif1miaf"
        ));
    }
}
