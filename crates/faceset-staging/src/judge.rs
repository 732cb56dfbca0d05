//! Whether a photo is worth fetching, by the boxes that the server found.
//!
//! Arithmetic on one asset; where the boxes come from is `run`'s business.

use immich_client::{Asset, Face};

/// Shortest box edge in pixels of the upright original that is worth fetching; equal
/// is kept. The original tool's value, and the gate of `refine`.
pub const MIN_FACE_SHORT_PX: f64 = 90.0;

/// Boxes are whole numbers times a ratio: what is equal on paper may differ here by
/// the last bits.
const ROUNDING_PX: f64 = 1e-6;

/// Where a list of boxes came from, which decides the frame of an edited asset's boxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoxSource {
    /// With the search page: the original's frame, always.
    Search,
    /// From `/faces`: the edited picture's frame where the asset was edited.
    FacesRoute,
}

/// What the boxes say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// Boxes that are boxes: wider and higher than nothing.
    pub n_faces: u32,
    /// Longest short edge in pixels of the upright original; `None` without faces, and
    /// where the server does not know a size to scale by.
    pub max_short_px: Option<f64>,
    /// What follows.
    pub keep: Keep,
}

/// What follows from the boxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Fetch it.
    Yes,
    /// No box at all.
    NoFace,
    /// Every box is too small.
    TooSmall,
}

/// Judges an asset by its boxes.
///
/// A box whose size in the original cannot be told keeps the photo: this is a filter
/// against needless downloads, not a gate.
pub fn judge(asset: &Asset, faces: &[Face], source: BoxSource, min_short_px: f64) -> Verdict {
    let size = match source {
        BoxSource::FacesRoute if asset.is_edited => asset.width.zip(asset.height),
        _ => asset.upright_size(),
    };
    let mut n_faces = 0;
    let mut max_short: Option<f64> = None;
    let mut unknown = false;
    for face in faces {
        let area = face.area;
        if area.x2 <= area.x1 || area.y2 <= area.y1 {
            continue;
        }
        n_faces += 1;
        match size.and_then(|(width, height)| area.scaled_to(width, height)) {
            Some([x1, y1, x2, y2]) => {
                let short = (x2 - x1).min(y2 - y1);
                max_short = Some(max_short.map_or(short, |m| m.max(short)));
            }
            None => unknown = true,
        }
    }
    let big_enough = max_short.is_some_and(|short| short + ROUNDING_PX >= min_short_px);
    let keep = match n_faces {
        0 => Keep::NoFace,
        _ if unknown || big_enough => Keep::Yes,
        _ => Keep::TooSmall,
    };
    Verdict {
        n_faces,
        max_short_px: max_short.map(|short| (short * 10.0).round() / 10.0),
        keep,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asset(fields: &str) -> Asset {
        serde_json::from_str(&format!(r#"{{"id":"a-1"{fields}}}"#)).unwrap()
    }

    fn face(area: [i32; 4], frame: (u32, u32)) -> Face {
        let [x1, y1, x2, y2] = area;
        serde_json::from_str(&format!(
            r#"{{"id":"f","boundingBoxX1":{x1},"boundingBoxY1":{y1},"boundingBoxX2":{x2},
                "boundingBoxY2":{y2},"imageWidth":{},"imageHeight":{}}}"#,
            frame.0, frame.1
        ))
        .unwrap()
    }

    const LANDSCAPE: &str = r#","width":3000,"height":2000"#;

    #[test]
    fn short_edges_are_measured_in_the_original_and_ninety_is_kept() {
        // 3000 / 2160 = 1.3889: 65 x 1.3889 = 90.28, 64 x 1.3889 = 88.9.
        let judged = |short: i32| {
            let face = face([100, 50, 400, 50 + short], (2160, 1440));
            judge(&asset(LANDSCAPE), &[face], BoxSource::Search, 90.0)
        };
        assert_eq!(judged(65).keep, Keep::Yes);
        assert_eq!(judged(65).max_short_px, Some(90.3));
        assert_eq!(judged(64).keep, Keep::TooSmall);
        // 3000 / 1000 = 3: 30 x 3 is 90 exactly.
        let exact = face([10, 10, 40, 200], (1000, 667));
        let verdict = judge(&asset(LANDSCAPE), &[exact], BoxSource::Search, 90.0);
        assert_eq!(verdict.keep, Keep::Yes);
    }

    #[test]
    fn a_turned_original_does_not_change_the_factor() {
        let turned = asset(
            r#","exifInfo":{"exifImageWidth":3000,"exifImageHeight":2000,"orientation":"6"}"#,
        );
        // The preview is upright: 1440 x 2160. 65 px wide is 90.3 px in the original.
        let face = face([10, 10, 75, 500], (1440, 2160));
        let verdict = judge(&turned, &[face], BoxSource::Search, 90.0);
        assert_eq!(verdict.max_short_px, Some(90.3));
    }

    #[test]
    fn the_biggest_of_several_faces_counts_and_empty_boxes_are_none() {
        let faces = [
            face([0, 0, 50, 50], (3000, 2000)),
            face([0, 0, 200, 100], (3000, 2000)),
            face([9, 9, 9, 90], (3000, 2000)),
        ];
        let verdict = judge(&asset(LANDSCAPE), &faces, BoxSource::Search, 90.0);
        assert_eq!((verdict.n_faces, verdict.max_short_px), (2, Some(100.0)));
        let none = judge(&asset(LANDSCAPE), &faces[2..], BoxSource::Search, 90.0);
        assert_eq!(none.keep, Keep::NoFace);
        assert_eq!(none.max_short_px, None);
    }

    #[test]
    fn boxes_are_clipped_to_the_picture_before_they_are_measured() {
        // 200 px wide, but only 60 of them are in the picture.
        let face = face([2940, 100, 3140, 400], (3000, 2000));
        let verdict = judge(&asset(LANDSCAPE), &[face], BoxSource::Search, 90.0);
        assert_eq!(verdict.max_short_px, Some(60.0));
        assert_eq!(verdict.keep, Keep::TooSmall);
    }

    #[test]
    fn without_a_size_to_scale_by_the_photo_is_kept() {
        let no_frame = face([0, 0, 5, 5], (0, 0));
        let kept = judge(&asset(LANDSCAPE), &[no_frame], BoxSource::Search, 90.0);
        assert_eq!((kept.keep, kept.max_short_px), (Keep::Yes, None));
        let no_size = face([0, 0, 5, 5], (1000, 1000));
        let kept = judge(&asset(""), &[no_size], BoxSource::Search, 90.0);
        assert_eq!(kept.keep, Keep::Yes);
    }

    #[test]
    fn the_faces_route_speaks_of_the_edited_picture() {
        // Cropped to 600 x 400; /faces gives boxes in that frame at full size.
        let edited = asset(
            r#","width":600,"height":400,"isEdited":true,
               "exifInfo":{"exifImageWidth":3000,"exifImageHeight":2000}"#,
        );
        let in_edited = face([0, 0, 80, 80], (600, 400));
        let verdict = judge(&edited, &[in_edited], BoxSource::FacesRoute, 90.0);
        assert_eq!(verdict.max_short_px, Some(80.0));
        let in_preview = face([0, 0, 80, 80], (1500, 1000));
        let verdict = judge(&edited, &[in_preview], BoxSource::Search, 90.0);
        assert_eq!(verdict.max_short_px, Some(160.0));
    }
}
