//! Photos drawn in code: landscapes with simple faces, so that a person who looks at
//! the kept screens can see whether boxes and crops sit where they should.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::{Rgb, RgbImage};

/// How somebody looks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Looks {
    pub(crate) skin: [u8; 3],
    pub(crate) hair: [u8; 3],
    pub(crate) long_hair: bool,
    pub(crate) glasses: bool,
}

pub(crate) const MIA: Looks = Looks {
    skin: [238, 196, 164],
    hair: [104, 62, 34],
    long_hair: true,
    glasses: false,
};
pub(crate) const LEA: Looks = Looks {
    skin: [234, 188, 156],
    hair: [128, 76, 40],
    long_hair: true,
    glasses: true,
};
pub(crate) const TOM: Looks = Looks {
    skin: [206, 156, 122],
    hair: [40, 40, 46],
    long_hair: false,
    glasses: false,
};

/// A face whose box is `[x1, y1, x2, y2]` in pixels.
pub(crate) type Drawn = ([i32; 4], Looks);

/// A photo of this size, as JPEG.
pub(crate) fn photo(width: u32, height: u32, tone: u8, faces: &[Drawn]) -> Vec<u8> {
    let mut picture = RgbImage::from_fn(width, height, |x, y| {
        let down = (y * 255 / height) as u8;
        let hill = height * 3 / 5 + ((f64::from(x) / 90.0).sin() * 18.0) as u32;
        if y > hill {
            Rgb([70 + tone / 4, 120 - down / 6, 60])
        } else {
            Rgb([120 + tone / 3, 170 - down / 8, 220 - down / 5])
        }
    });
    for (area, looks) in faces {
        face(&mut picture, *area, *looks);
    }
    let mut bytes = Cursor::new(Vec::new());
    JpegEncoder::new_with_quality(&mut bytes, 85)
        .encode_image(&picture)
        .unwrap();
    bytes.into_inner()
}

/// A portrait for lists.
pub(crate) fn portrait(looks: Looks) -> Vec<u8> {
    photo(160, 160, 60, &[([30, 24, 130, 144], looks)])
}

fn face(picture: &mut RgbImage, [x1, y1, x2, y2]: [i32; 4], looks: Looks) {
    let (cx, cy) = (f64::from(x1 + x2) / 2.0, f64::from(y1 + y2) / 2.0);
    let (rx, ry) = (f64::from(x2 - x1) / 2.0, f64::from(y2 - y1) / 2.0);
    // In units of the box: x and y from -1 to 1.
    let spot = |u: f64, v: f64| -> Option<[u8; 3]> {
        let oval =
            |u0: f64, v0: f64, a: f64, b: f64| ((u - u0) / a).powi(2) + ((v - v0) / b).powi(2);
        let eye = oval(-0.38, -0.12, 0.13, 0.09) < 1.0 || oval(0.38, -0.12, 0.13, 0.09) < 1.0;
        let rim = |at: f64| (0.85..1.25).contains(&oval(at, -0.12, 0.28, 0.22));
        let mouth = oval(0.0, 0.42, 0.36, 0.2) < 1.0 && v > 0.45;
        let nose = oval(0.0, 0.14, 0.07, 0.14) < 1.0;
        match () {
            () if looks.glasses && (rim(-0.38) || rim(0.38)) => Some([30, 30, 40]),
            () if eye => Some([36, 40, 52]),
            () if mouth => Some([178, 62, 70]),
            () if nose => Some(looks.skin.map(|c| c.saturating_sub(26))),
            () if oval(0.0, 0.05, 0.78, 0.95) < 1.0 && v > -0.5 - 0.12 * (u * 3.0).cos() => {
                Some(looks.skin)
            }
            () if oval(0.0, -0.1, 0.92, 0.95) < 1.0 && v < 0.1 => Some(looks.hair),
            () if looks.long_hair && u.abs() > 0.62 && u.abs() < 0.98 && v > -0.2 && v < 1.0 => {
                Some(looks.hair)
            }
            () => None,
        }
    };
    for y in y1.max(0)..y2.min(picture.height() as i32) {
        for x in x1.max(0)..x2.min(picture.width() as i32) {
            let (u, v) = ((f64::from(x) - cx) / rx, (f64::from(y) - cy) / ry);
            if let Some(colour) = spot(u, v) {
                picture.put_pixel(x as u32, y as u32, Rgb(colour));
            }
        }
    }
}
