//! Small faces for tests.

use faceset_core::{BBox, FaceKey, FacesetNumber, hash_bytes};

pub(crate) fn number(n: u32) -> FacesetNumber {
    FacesetNumber::new(n).unwrap()
}

/// A face of 40 x 60 px on photo `photo`, `left` px from the left.
pub(crate) fn face(photo: u32, left: u16) -> FaceKey {
    let left = f32::from(left);
    FaceKey {
        path: format!("/photos/p{photo:05}.jpg").into(),
        sha256: hash_bytes(&photo.to_le_bytes()),
        bbox: BBox {
            x1: left,
            y1: 7.25,
            x2: left + 40.0,
            y2: 67.25,
        },
    }
}
