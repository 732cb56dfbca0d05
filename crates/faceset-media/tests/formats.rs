//! Every format: right pixels, right way up, first frame.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests stop the test like the tests do"
)]

mod support;

use faceset_media::{DecodeLimits, Format, MediaError, Picture, decode, extension_fits};
use image::codecs::gif::GifEncoder;
use image::{
    DynamicImage, Frame, GrayImage, ImageBuffer, ImageFormat, Luma, Rgb, RgbImage, Rgba, RgbaImage,
};
use support::{
    Psd, encoded, exif_block, flat_jpeg, jpeg, lopsided, png, png_chunk, psd_resource, riff_chunk,
    segment, stored_as, tiff, webp,
};

fn decoded(bytes: &[u8]) -> Picture {
    decode(bytes, &DecodeLimits::default()).unwrap()
}

/// Like `assert_eq!`, without printing thousands of numbers.
fn assert_same(left: &RgbImage, right: &RgbImage, what: &str) {
    assert_eq!(left.dimensions(), right.dimensions(), "{what}");
    assert!(left == right, "{what}: other pixels");
}

fn assert_near(left: &RgbImage, right: &RgbImage, tolerance: u8) {
    assert_eq!(left.dimensions(), right.dimensions());
    let worst = left
        .as_raw()
        .iter()
        .zip(right.as_raw())
        .map(|(a, b)| a.abs_diff(*b))
        .max();
    assert!(worst <= Some(tolerance), "differs by {worst:?}");
}

#[test]
fn all_eight_orientations_come_out_upright_in_every_format_that_has_them() {
    let upright = lopsided();
    for orientation in 1..=8u8 {
        let stored = stored_as(&upright, orientation);
        let exif = || Some(exif_block(Some(orientation.into()), &[], &[]));
        for (bytes, format) in [
            (png(&stored, exif()), Format::Png),
            (webp(&stored, exif()), Format::WebP),
            (tiff(&stored, orientation.into()), Format::Tiff),
        ] {
            let picture = decoded(&bytes);
            assert_same(&picture.rgb, &upright, &format!("{format} {orientation}"));
            assert_eq!((picture.format, picture.orientation), (format, orientation));
        }
        let picture = decoded(&jpeg(&stored, exif()));
        assert_near(&picture.rgb, &upright, 40);
        assert_eq!(picture.rgb.get_pixel(38, 2)[1], upright.get_pixel(38, 2)[1]);
        assert_eq!(picture.orientation, orientation);
    }
}

#[test]
fn an_orientation_outside_the_table_is_ignored() {
    for value in [0, 9, 300] {
        let picture = decoded(&png(&lopsided(), Some(exif_block(Some(value), &[], &[]))));
        assert_same(&picture.rgb, &lopsided(), "unturned");
        assert_eq!(picture.orientation, 1);
    }
}

#[test]
fn exif_with_its_signature_left_in_front_is_read_in_webp() {
    let block = [b"Exif\0\0".to_vec(), exif_block(Some(6), &[], &[])].concat();
    let picture = decoded(&webp(&stored_as(&lopsided(), 6), Some(block)));
    assert_same(&picture.rgb, &lopsided(), "first frame");
}

#[test]
fn the_lossless_formats_give_the_very_pixels() {
    for (kind, format) in [
        (ImageFormat::Png, Format::Png),
        (ImageFormat::WebP, Format::WebP),
        (ImageFormat::Tiff, Format::Tiff),
        (ImageFormat::Bmp, Format::Bmp),
        (ImageFormat::Pnm, Format::Pnm),
    ] {
        let picture = decoded(&encoded(&lopsided(), kind));
        assert_same(&picture.rgb, &lopsided(), format.name());
        assert_eq!(picture.format, format);
        assert_eq!((picture.frames, picture.truncated), (None, false));
    }
}

#[test]
fn alpha_is_dropped_not_blended() {
    let clear = RgbaImage::from_fn(3, 2, |x, y| Rgba([200, 90, 10 * (x + y) as u8, 0]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    clear.write_to(&mut bytes, ImageFormat::Png).unwrap();
    let picture = decoded(bytes.get_ref());
    assert_eq!(*picture.rgb.get_pixel(2, 1), Rgb([200, 90, 30]));
}

#[test]
fn sixteen_bit_pictures_keep_their_high_byte() {
    let deep: ImageBuffer<Rgb<u16>, _> =
        ImageBuffer::from_fn(3, 2, |x, _| Rgb([0x01FF, 0x8000 + x as u16, 0xFEFF]));
    for kind in [ImageFormat::Png, ImageFormat::Tiff] {
        let mut bytes = std::io::Cursor::new(Vec::new());
        DynamicImage::ImageRgb16(deep.clone())
            .write_to(&mut bytes, kind)
            .unwrap();
        let picture = decoded(bytes.get_ref());
        assert_eq!(
            *picture.rgb.get_pixel(1, 1),
            Rgb([0x01, 0x80, 0xFE]),
            "{kind:?}"
        );
    }
}

#[test]
fn float_pictures_are_scaled_from_zero_to_one() {
    let float: ImageBuffer<Rgb<f32>, _> =
        ImageBuffer::from_fn(3, 2, |x, _| Rgb([0.5 * x as f32, -1.0, 0.25]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    DynamicImage::ImageRgb32F(float)
        .write_to(&mut bytes, ImageFormat::Tiff)
        .unwrap();
    let picture = decoded(bytes.get_ref());
    assert_eq!(*picture.rgb.get_pixel(1, 1), Rgb([128, 0, 64]));
    assert_eq!(*picture.rgb.get_pixel(2, 0), Rgb([255, 0, 64]));
}

#[test]
fn grey_becomes_three_equal_channels() {
    let grey = GrayImage::from_fn(9, 5, |x, y| Luma([(20 * x + 3 * y) as u8]));
    for kind in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Tiff] {
        let mut bytes = std::io::Cursor::new(Vec::new());
        grey.write_to(&mut bytes, kind).unwrap();
        let px = *decoded(bytes.get_ref()).rgb.get_pixel(7, 2);
        assert!(
            px[0].abs_diff(146) <= 3 && px[0] == px[1] && px[1] == px[2],
            "{px:?}"
        );
    }
}

#[test]
fn jpeg_colour_models_are_converted() {
    let pixel =
        |values: &[u8], sof, adobe| *decoded(&flat_jpeg(values, sof, adobe)).rgb.get_pixel(6, 3);
    // YCbCr of pure mid-luma with strong red: R = 100 + 1.402 * 60.
    let red = pixel(&[100, 128, 188], 0xC0, None);
    assert_eq!((red[0], red[2]), (184, 100));
    // Grey.
    assert_eq!(pixel(&[77], 0xC0, None), Rgb([77; 3]));
    // Adobe stores CMYK as light: R = C * K / 255.
    let cmyk = pixel(&[200, 100, 50, 128], 0xC0, Some(0));
    for (got, expected) in cmyk.0.into_iter().zip([100u8, 50, 25]) {
        assert!(got.abs_diff(expected) <= 1, "{cmyk:?}");
    }
    // Adobe RGB: no conversion.
    assert_eq!(pixel(&[10, 150, 240], 0xC0, Some(0)), Rgb([10, 150, 240]));
    // Progressive.
    assert_eq!(pixel(&[77], 0xC2, None), Rgb([77; 3]));
}

#[test]
fn a_ycck_jpeg_is_turned_into_light_and_multiplied_by_black() {
    // Y, Cb, Cr of neutral 55, black plate stored as 128: 255 - 55 = 200 would
    // be the ink; as light it is 55 * 128 / 255 or 200 * 128 / 255 depending on
    // the reading. libjpeg (and OpenCV) take the inverted one.
    let px = *decoded(&flat_jpeg(&[55, 128, 128, 128], 0xC0, Some(2)))
        .rgb
        .get_pixel(1, 1);
    assert!(
        px[0].abs_diff(100) <= 1 && px[0] == px[1] && px[1] == px[2],
        "{px:?}"
    );
}

#[test]
fn segments_that_no_pixel_needs_may_be_broken() {
    let mut bytes = jpeg(&lopsided(), None);
    let whole = decoded(&bytes);
    // An Adobe segment too short for what it should hold.
    bytes.splice(2..2, segment(0xEE, b"Adobe"));
    let picture = decoded(&bytes);
    assert_same(&picture.rgb, &whole.rgb, "without the segment");
    assert!(!picture.truncated);
}

#[test]
fn the_first_frame_of_an_animated_gif_is_used() {
    let second = RgbaImage::from_pixel(40, 24, Rgba([255, 0, 255, 255]));
    let mut bytes = Vec::new();
    {
        let mut encoder = GifEncoder::new(&mut bytes);
        let first = DynamicImage::ImageRgb8(lopsided()).into_rgba8();
        encoder
            .encode_frames([first, second.clone(), second].map(Frame::new))
            .unwrap();
    }
    let picture = decoded(&bytes);
    assert_eq!(picture.frames, Some(3));
    assert_near(&picture.rgb, &lopsided(), 8);
}

#[test]
fn the_first_frame_of_an_animated_png_is_used() {
    let still = png(&lopsided(), None);
    let (header, rest) = still.split_at(8 + 25);
    let control = png_chunk(b"acTL", &[0, 0, 0, 7, 0, 0, 0, 0]);
    let picture = decoded(&[header, &control, rest].concat());
    assert_same(&picture.rgb, &lopsided(), "first frame");
    assert_eq!(picture.frames, Some(7));
}

#[test]
fn the_first_frame_of_an_animated_webp_is_used() {
    let frame = |picture: &RgbImage| {
        let still = webp(picture, None);
        let mut data = vec![0, 0, 0, 0, 0, 0, 39, 0, 0, 23, 0, 0, 100, 0, 0, 0];
        data.extend(&still[12..]);
        riff_chunk(b"ANMF", &data)
    };
    let other = RgbImage::from_pixel(40, 24, Rgb([255, 0, 255]));
    let body = [
        b"WEBP".to_vec(),
        riff_chunk(b"VP8X", &[0b10, 0, 0, 0, 39, 0, 0, 23, 0, 0]),
        riff_chunk(b"ANIM", &[0, 0, 0, 0, 0, 0]),
        frame(&lopsided()),
        frame(&other),
    ]
    .concat();
    let picture = decoded(&riff_chunk(b"RIFF", &body));
    // Composing on the empty canvas costs a rounding.
    assert_near(&picture.rgb, &lopsided(), 1);
    assert_eq!(picture.frames, Some(2));
}

#[test]
fn heic_keeps_its_own_rotation_and_ignores_the_exif_one() {
    let source = lopsided();
    let metadata = heifer::Metadata {
        exif: Some(exif_block(Some(6), &[], &[(0x9003, "2021:05:06 07:08:09")])),
        ..heifer::Metadata::default()
    };
    let wide = heifer::Image {
        width: 40,
        height: 24,
        bit_depth: 8,
        has_alpha: false,
        data: source
            .pixels()
            .flat_map(|p| [p[0], p[1], p[2], 255].map(u16::from))
            .collect(),
    };
    let options = heifer::EncodeOptions {
        quality: 100,
        ..heifer::EncodeOptions::default()
    };
    let bytes = heifer::encode_with_metadata(&wide, &metadata, &options).unwrap();
    let picture = decoded(&bytes);
    assert_eq!((picture.format, picture.orientation), (Format::Heic, 1));
    assert_eq!(picture.taken.as_deref(), Some("2021-05-06T07:08:09"));
    assert_eq!(picture.rgb.dimensions(), (40, 24));
    // Away from the edges, which the coarser colour planes smear.
    for (x, y) in [(3, 3), (12, 12), (30, 6), (6, 20), (30, 20)] {
        let (got, expected) = (picture.rgb.get_pixel(x, y), source.get_pixel(x, y));
        for (a, b) in got.0.iter().zip(expected.0) {
            assert!(a.abs_diff(b) <= 12, "{x},{y}: {got:?} for {expected:?}");
        }
    }
}

/// Two rows of three pixels, plane by plane.
const R: [u8; 6] = [1, 2, 3, 4, 5, 6];
const G: [u8; 6] = [50, 50, 50, 50, 50, 60];
const B: [u8; 6] = [200, 201, 202, 203, 204, 255];

fn psd() -> Psd<'static> {
    Psd {
        channels: 3,
        size: (3, 2),
        depth: 8,
        mode: 3,
        palette: &[],
        resources: &[],
        compression: 0,
        data: &[],
    }
}

#[test]
fn photoshop_documents_give_their_merged_picture() {
    let planes = [R, G, B].concat();
    let expected = [
        Rgb([1, 50, 200]),
        Rgb([2, 50, 201]),
        Rgb([3, 50, 202]),
        Rgb([4, 50, 203]),
        Rgb([5, 50, 204]),
        Rgb([6, 60, 255]),
    ];
    let check = |document: Psd<'_>, what: &str| {
        let picture = decoded(&document.bytes());
        assert_eq!(picture.rgb.dimensions(), (3, 2), "{what}");
        assert!(picture.rgb.pixels().eq(&expected), "{what}");
    };
    check(
        Psd {
            data: &planes,
            ..psd()
        },
        "raw",
    );
    let deep: Vec<u8> = planes.iter().flat_map(|v| [*v, 0xAB]).collect();
    check(
        Psd {
            depth: 16,
            data: &deep,
            ..psd()
        },
        "16 bits",
    );
    // Two further channels, as documents with masks have.
    let five = [planes.clone(), vec![9; 12]].concat();
    check(
        Psd {
            channels: 5,
            data: &five,
            ..psd()
        },
        "5 channels",
    );
    // Run lengths: literals of three; a repeat; a do-nothing in between.
    let lens = [4u8, 4, 2, 5, 4, 4].map(|n| [0, n]).concat();
    let packed = [
        &[2, 1, 2, 3][..],
        &[2, 4, 5, 6],
        &[254, 50],
        &[128, 255, 50, 0, 60],
        &[2, 200, 201, 202],
        &[2, 203, 204, 255],
    ]
    .concat();
    let data = [lens, packed].concat();
    check(
        Psd {
            compression: 1,
            data: &data,
            ..psd()
        },
        "run lengths",
    );
}

#[test]
fn photoshop_grey_indexed_and_cmyk_are_converted() {
    let first = |document: Psd<'_>| *decoded(&document.bytes()).rgb.get_pixel(2, 1);
    let base = || Psd {
        channels: 1,
        data: &R,
        ..psd()
    };
    assert_eq!(first(Psd { mode: 1, ..base() }), Rgb([6; 3]));
    assert_eq!(first(Psd { mode: 8, ..base() }), Rgb([6; 3]));
    let mut palette = vec![0; 768];
    (palette[6], palette[256 + 6], palette[512 + 6]) = (11, 22, 33);
    let indexed = Psd {
        mode: 2,
        palette: &palette,
        ..base()
    };
    assert_eq!(first(indexed), Rgb([11, 22, 33]));
    let cmyk = [[200; 6], [100; 6], [50; 6], [128; 6]].concat();
    let document = Psd {
        mode: 4,
        channels: 4,
        data: &cmyk,
        ..psd()
    };
    assert_eq!(first(document), Rgb([100, 50, 25]));
}

#[test]
fn photoshop_documents_that_cannot_be_read_say_why() {
    let outcome = |document: Psd<'_>| {
        decode(&document.bytes(), &DecodeLimits::default())
            .unwrap_err()
            .one_line()
    };
    let planes = [R, G, B].concat();
    let no_merge = psd_resource(0x0421, &[0, 0, 0, 1, 0, 0]);
    let without = Psd {
        resources: &no_merge,
        data: &planes,
        ..psd()
    };
    assert!(outcome(without).contains("maximise compatibility"));
    assert!(
        outcome(Psd {
            mode: 9,
            data: &planes,
            ..psd()
        })
        .contains("save as RGB")
    );
    assert!(
        outcome(Psd {
            depth: 32,
            data: &planes,
            ..psd()
        })
        .contains("32 bits")
    );
    assert!(
        outcome(Psd {
            compression: 3,
            data: &planes,
            ..psd()
        })
        .contains("ZIP")
    );
    assert!(
        outcome(Psd {
            channels: 2,
            data: &planes,
            ..psd()
        })
        .contains("2 channels")
    );
    assert!(
        outcome(Psd {
            data: &planes[..17],
            ..psd()
        })
        .contains("ends before")
    );
    // A row of three whose run is four long.
    let data = [[0, 2].repeat(6), [253, 50].repeat(6)].concat();
    let overlong = Psd {
        compression: 1,
        data: &data,
        ..psd()
    };
    assert!(outcome(overlong).contains("does not unpack"));
}

#[test]
fn a_photoshop_document_with_a_real_merged_picture_and_exif_is_dated() {
    let planes = [R, G, B].concat();
    let exif = exif_block(Some(6), &[], &[(0x9003, "2011:02:03 04:05:06")]);
    let resources = [
        psd_resource(0x0421, &[0, 0, 0, 1, 1, 0]),
        psd_resource(0x0422, &exif),
    ]
    .concat();
    let document = Psd {
        resources: &resources,
        data: &planes,
        ..psd()
    };
    let picture = decoded(&document.bytes());
    assert_eq!(picture.taken.as_deref(), Some("2011-02-03T04:05:06"));
    // Photoshop stores what it shows: its pixels are upright already.
    assert_eq!((picture.rgb.dimensions(), picture.orientation), ((3, 2), 1));
}

#[test]
fn content_decides_and_the_name_is_only_compared() {
    use std::path::Path;
    let picture = decoded(&png(&lopsided(), None));
    assert!(!extension_fits(Path::new("/a/photo.jpg"), picture.format));
    assert!(extension_fits(Path::new("/a/photo.PNG"), picture.format));
    assert!(extension_fits(Path::new("/a/photo"), picture.format));
}

#[test]
fn what_is_not_decoded_is_named_with_the_reason() {
    let refused = |bytes: &[u8]| decode(bytes, &DecodeLimits::default()).unwrap_err();
    for (bytes, format) in [
        (&b"\0\0\0\x1Cftypavif\0\0\0\0mif1miaf"[..], Format::Avif),
        (b"\0\0\0\x1Cftypmif1\0\0\0\0avifmiaf", Format::Avif),
        (b"\xFF\x0A\x00\x10", Format::Jxl),
        (b"\0\0\0\x0CjP  \r\n\x87\n\0\0", Format::Jpeg2000),
        (b"II*\0\x10\0\0\0CR\x02\0", Format::Raw),
        (b"IIU\0\x18\0\0\0", Format::Raw),
        (b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom", Format::Raw),
        (b"8BPS\0\x02\0\0\0\0\0\0", Format::Psb),
    ] {
        let error = refused(bytes);
        assert!(
            matches!(&error, MediaError::Unsupported { format: f, .. } if *f == format),
            "{error:?}"
        );
        assert!(error.one_line().contains("not supported in this build: "));
    }
    for (bytes, what) in [
        (&b"\0\0\0\x18ftypmp42\0\0\0\0isom"[..], "a video"),
        (b"\x1A\x45\xDF\xA3\0\0", "a video"),
        (b"%PDF-1.7", "a document"),
        (b"<html><body>Not found</body></html>", "a document"),
        (b"PK\x03\x04\x14\0", "an archive"),
        (b"\0\0\0\0\0\0\0\0", "unknown content"),
        (b"\xFF\xD8", "unknown content"),
    ] {
        let line = refused(bytes).one_line();
        assert!(line.contains(what), "{line}");
    }
    assert!(matches!(refused(b""), MediaError::Empty));
}

#[test]
fn a_raw_file_built_on_tiff_is_not_taken_for_its_thumbnail() {
    let mut bytes = tiff(&lopsided(), 1);
    // The first entry becomes "this directory is a reduced picture".
    bytes[10..12].copy_from_slice(&254u16.to_le_bytes());
    bytes[18..22].copy_from_slice(&1u32.to_le_bytes());
    let error = decode(&bytes, &DecodeLimits::default()).unwrap_err();
    assert!(matches!(
        error,
        MediaError::Unsupported {
            format: Format::Raw,
            ..
        }
    ));
}

#[test]
fn a_big_jpeg_may_be_decoded_smaller_and_keeps_its_size_in_mind() {
    // Stored 96 wide and 40 high, shown turned.
    let stored = RgbImage::from_fn(96, 40, |x, y| Rgb([x as u8 * 2, y as u8 * 5, 90]));
    let bytes = jpeg(&stored, Some(exif_block(Some(6), &[], &[])));
    let at = |jpeg_long_edge_px| {
        let limits = DecodeLimits {
            jpeg_long_edge_px,
            ..DecodeLimits::default()
        };
        let picture = decode(&bytes, &limits).unwrap();
        assert_eq!((picture.full_width, picture.full_height), (40, 96));
        picture.rgb
    };
    assert_eq!(at(None).dimensions(), (40, 96));
    assert_eq!(at(Some(49)), at(None), "half the size would keep 48");
    let half = at(Some(48));
    assert_eq!(half.dimensions(), (20, 48));
    // The same picture: each pixel stands for two by two.
    let (small, large) = (half.get_pixel(5, 30), at(None).get_pixel(10, 60).0);
    let off = small.0.iter().zip(large).map(|(a, b)| a.abs_diff(b)).max();
    assert!(off <= Some(12), "{small:?} {large:?}");
}
