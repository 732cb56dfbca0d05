//! Small square pictures of faces, and what they are called.

use faceset_core::{BBox, FaceKey, SourcePath};
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};
use image::{GenericImageView, ImageError, Rgb, RgbImage};

/// Edge of a thumbnail in pixels: sharp at the 112 CSS pixels it is shown at.
pub const THUMB_PX: u32 = 128;
/// JPEG quality: about 5 KB a face.
const QUALITY: u8 = 82;
/// Padding on each side as a share of the box's longer edge: hair and chin.
const PAD_RATIO: f64 = 0.25;
/// Where the square leaves the photo: a grey that reads as "nothing" on light
/// and dark pages.
const OUTSIDE: Rgb<u8> = Rgb([128; 3]);

/// Reads photos.
pub trait Pictures: Sync {
    /// The whole photo, upright, three colours. The error is one line for
    /// people, without the path.
    fn upright_rgb(&self, path: &SourcePath) -> Result<RgbImage, String>;
}

/// Path of a face's thumbnail below `report/thumbs/`: made from what identifies
/// the face for ever, so that it is drawn once and found again.
pub(crate) fn thumb_name(key: &FaceKey) -> String {
    let hash = key.sha256.to_string();
    let [x1, y1, x2, y2] = key.bbox.tenths();
    // 64 bits of the content: no collision among the photos of one report.
    format!("{}/{}_{x1}_{y1}_{x2}_{y2}.jpg", &hash[..2], &hash[..16])
}

/// Cuts a square around a box and encodes it. The error is one line for people.
pub(crate) fn thumbnail(picture: &RgbImage, bbox: &BBox) -> Result<Vec<u8>, String> {
    let square = cut(picture, bbox).ok_or("the face's box lies outside the photo")?;
    encode(&square).map_err(|e| format!("the thumbnail could not be encoded: {e}"))
}

fn encode(square: &RgbImage) -> Result<Vec<u8>, ImageError> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, QUALITY).encode_image(square)?;
    Ok(bytes)
}

/// `None` when the box is no box or does not touch the photo.
fn cut(picture: &RgbImage, bbox: &BBox) -> Option<RgbImage> {
    let edge = f64::from(bbox.width().max(bbox.height()));
    if !bbox.is_finite() || edge <= 0.0 {
        return None;
    }
    let side = (edge * (1.0 + 2.0 * PAD_RATIO)).max(1.0);
    let [cx, cy] = bbox.center().map(f64::from);
    let (x, out_x) = axis(cx - side / 2.0, side, picture.width())?;
    let (y, out_y) = axis(cy - side / 2.0, side, picture.height())?;
    let part = picture.view(x.start, y.start, x.end - x.start, y.end - y.start);
    let (width, height) = (out_x.end - out_x.start, out_y.end - out_y.start);
    let scaled = if part.width() > width {
        imageops::thumbnail(&*part, width, height)
    } else {
        imageops::resize(&*part, width, height, FilterType::CatmullRom)
    };
    let mut square = RgbImage::from_pixel(THUMB_PX, THUMB_PX, OUTSIDE);
    imageops::replace(
        &mut square,
        &scaled,
        i64::from(out_x.start),
        i64::from(out_y.start),
    );
    Some(square)
}

/// Along one axis: the photo's pixels that `start..start + side` covers, and
/// where they go in the thumbnail. `None` when it covers none.
fn axis(start: f64, side: f64, limit: u32) -> Option<(std::ops::Range<u32>, std::ops::Range<u32>)> {
    let from = start.round().max(0.0);
    let to = (start + side).round().min(f64::from(limit));
    if from >= to {
        return None;
    }
    let scale = f64::from(THUMB_PX) / side;
    let place = |v: f64| {
        ((v - start) * scale)
            .round()
            .clamp(0.0, f64::from(THUMB_PX)) as u32
    };
    let (out_from, out_to) = (place(from), place(to));
    // A sliver still gets one line of the thumbnail.
    let out_from = out_from.min(THUMB_PX - 1);
    Some((from as u32..to as u32, out_from..out_to.max(out_from + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use faceset_core::hash_bytes;
    use proptest::prelude::*;

    /// Red grows to the right, green grows downwards.
    fn ramp(w: u32, h: u32) -> RgbImage {
        RgbImage::from_fn(w, h, |x, y| {
            Rgb([(x * 255 / w) as u8, (y * 255 / h) as u8, 10])
        })
    }

    #[test]
    fn the_box_sits_in_the_middle_with_a_quarter_of_padding() {
        // Box 100×200 at (300, 100): square of 300 px from (200, 50).
        let mut picture = RgbImage::from_pixel(800, 400, Rgb([0, 0, 200]));
        for y in 50..350 {
            for x in 200..500 {
                picture.put_pixel(x, y, Rgb([((x - 200) / 2) as u8, ((y - 50) / 2) as u8, 0]));
            }
        }
        let square = cut(&picture, &[300.0, 100.0, 400.0, 300.0].into()).unwrap();
        assert_eq!(square.dimensions(), (THUMB_PX, THUMB_PX));
        // Nothing blue came in, and the corners are those of the square.
        assert!(square.pixels().all(|p| p.0[2] == 0));
        let right_top = square.get_pixel(127, 0).0;
        assert!(right_top[0] > 140 && right_top[1] < 6, "{right_top:?}");
        let left_bottom = square.get_pixel(0, 127).0;
        assert!(
            left_bottom[0] < 6 && left_bottom[1] > 140,
            "{left_bottom:?}"
        );
    }

    #[test]
    fn outside_the_photo_is_grey_and_the_face_stays_in_the_middle() {
        // Square from (-50, 0) to (50, 100) of a 400 px photo: left half grey.
        let box_ = BBox::from([-100.0 / 3.0, 100.0 / 6.0, 100.0 / 3.0, 500.0 / 6.0]);
        let square = cut(&ramp(400, 400), &box_).unwrap();
        assert_eq!(*square.get_pixel(60, 64), OUTSIDE);
        assert_ne!(*square.get_pixel(66, 64), OUTSIDE);
    }

    #[test]
    fn boxes_off_the_photo_or_without_an_edge_have_no_thumbnail() {
        let picture = ramp(50, 40);
        for b in [
            [200.0, 0.0, 220.0, 20.0],
            [0.0, -90.0, 20.0, -60.0],
            [5.0, 5.0, 5.0, 5.0],
            [9.0, 9.0, 1.0, 1.0],
            [f32::NAN, 0.0, 1.0, 1.0],
        ] {
            assert!(thumbnail(&picture, &b.into()).is_err(), "{b:?}");
        }
    }

    #[test]
    fn the_file_is_a_jpeg_of_128_pixels() {
        let bytes = thumbnail(&ramp(300, 200), &[50.0, 50.0, 90.0, 100.0].into()).unwrap();
        let read = image::load_from_memory_with_format(&bytes, image::ImageFormat::Jpeg).unwrap();
        assert_eq!((read.width(), read.height()), (THUMB_PX, THUMB_PX));
    }

    #[test]
    fn the_name_follows_the_content_and_the_box_not_the_path() {
        let key = |path: &str, x: f32| FaceKey {
            path: path.into(),
            sha256: hash_bytes(b"abc"),
            bbox: [x, 2.5, 30.0, 44.04].into(),
        };
        assert_eq!(
            thumb_name(&key("/a.jpg", -1.5)),
            "ba/ba7816bf8f01cfea_-15_25_300_440.jpg"
        );
        assert_eq!(
            thumb_name(&key("/a.jpg", 1.0)),
            thumb_name(&key("/b.jpg", 1.0))
        );
        assert_ne!(
            thumb_name(&key("/a.jpg", 1.0)),
            thumb_name(&key("/a.jpg", 1.1))
        );
    }

    proptest! {
        #[test]
        fn any_box_gives_a_whole_square_or_none(
            x in -500.0_f32..900.0, y in -500.0_f32..900.0,
            w in 0.1_f32..700.0, h in 0.1_f32..700.0
        ) {
            let bbox = BBox::from([x, y, x + w, y + h]);
            if let Some(square) = cut(&ramp(37, 211), &bbox) {
                prop_assert_eq!(square.dimensions(), (THUMB_PX, THUMB_PX));
            }
        }
    }
}
