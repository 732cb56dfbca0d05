//! The EXIF block that cameras put into a JPEG: orientation and date taken.

use anyhow::ensure;

/// Tag of the orientation, in the first directory.
const ORIENTATION: u16 = 0x0112;
/// Tag of the pointer to the directory of the exposure.
const EXIF_DIRECTORY: u16 = 0x8769;
/// Tag of the moment the picture was taken.
const DATE_TIME_ORIGINAL: u16 = 0x9003;
/// Type codes of TIFF.
const ASCII: u16 = 2;
const SHORT: u16 = 3;
const LONG: u16 = 4;

/// Puts an APP1 block right after a JPEG's start marker.
///
/// `orientation` is 1 to 8 as the standard counts, `taken` is
/// `YYYY:MM:DD HH:MM:SS`.
pub(crate) fn insert(jpeg: &[u8], orientation: u16, taken: &str) -> anyhow::Result<Vec<u8>> {
    ensure!(jpeg.starts_with(&[0xff, 0xd8]), "this is no JPEG");
    ensure!(
        (1..=8).contains(&orientation),
        "no orientation {orientation}"
    );
    ensure!(
        taken.len() == 19 && taken.is_ascii(),
        "{taken:?} is no date of EXIF"
    );
    let tiff = tiff(orientation, taken);
    let length = u16::try_from(2 + 6 + tiff.len()).expect("the block is of a fixed small size");
    let mut out = Vec::with_capacity(jpeg.len() + tiff.len() + 10);
    out.extend_from_slice(&jpeg[..2]);
    out.extend_from_slice(&[0xff, 0xe1]);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(b"Exif\0\0");
    out.extend_from_slice(&tiff);
    out.extend_from_slice(&jpeg[2..]);
    Ok(out)
}

/// Two directories, little-endian; offsets count from the start.
fn tiff(orientation: u16, taken: &str) -> Vec<u8> {
    const HEADER: u32 = 8;
    /// Of a directory with `n` entries: count, entries, pointer to the next.
    const fn directory(n: u32) -> u32 {
        2 + 12 * n + 4
    }
    let exposure_at = HEADER + directory(2);
    let date_at = exposure_at + directory(1);

    let mut out = Vec::new();
    out.extend_from_slice(b"II*\0");
    out.extend_from_slice(&HEADER.to_le_bytes());
    let entry = |out: &mut Vec<u8>, tag: u16, kind: u16, count: u32, value: u32| {
        out.extend_from_slice(&tag.to_le_bytes());
        out.extend_from_slice(&kind.to_le_bytes());
        out.extend_from_slice(&count.to_le_bytes());
        out.extend_from_slice(&value.to_le_bytes());
    };
    out.extend_from_slice(&2_u16.to_le_bytes());
    entry(&mut out, ORIENTATION, SHORT, 1, orientation.into());
    entry(&mut out, EXIF_DIRECTORY, LONG, 1, exposure_at);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&1_u16.to_le_bytes());
    // The closing zero byte counts.
    entry(&mut out, DATE_TIME_ORIGINAL, ASCII, 20, date_at);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(taken.as_bytes());
    out.push(0);
    out
}

#[cfg(test)]
mod tests {
    use exif::{In, Tag};

    use super::*;

    fn jpeg() -> Vec<u8> {
        let mut bytes = Vec::new();
        let picture = image::RgbImage::from_pixel(9, 5, image::Rgb([10, 200, 30]));
        image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 90)
            .encode_image(&picture)
            .unwrap();
        bytes
    }

    #[test]
    fn a_reader_finds_orientation_and_date() {
        let bytes = insert(&jpeg(), 6, "2021:05:09 14:03:22").unwrap();
        let exif = exif::Reader::new()
            .read_from_container(&mut std::io::Cursor::new(&bytes))
            .unwrap();
        let orientation = exif.get_field(Tag::Orientation, In::PRIMARY).unwrap();
        assert_eq!(orientation.value.get_uint(0), Some(6));
        let date = exif.get_field(Tag::DateTimeOriginal, In::PRIMARY).unwrap();
        assert_eq!(date.display_value().to_string(), "2021-05-09 14:03:22");
    }

    #[test]
    fn the_picture_is_still_the_same() {
        let with = insert(&jpeg(), 3, "2021:05:09 14:03:22").unwrap();
        let decode = |bytes: &[u8]| image::load_from_memory(bytes).unwrap().to_rgb8();
        assert_eq!(decode(&with), decode(&jpeg()));
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(insert(b"PNG", 1, "2021:05:09 14:03:22").is_err());
        assert!(insert(&jpeg(), 0, "2021:05:09 14:03:22").is_err());
        assert!(insert(&jpeg(), 9, "2021:05:09 14:03:22").is_err());
        assert!(insert(&jpeg(), 1, "2021-05-09").is_err());
    }
}
