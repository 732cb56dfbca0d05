//! Bombs, damage and panics: each is one file's outcome, and cheap.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests stop the test like the tests do"
)]

mod support;

use faceset_media::{
    CaptureTime, DEFAULT_MAX_PIXELS, DateFlaw, DecodeLimits, Format, MediaError, capture_time,
    decode,
};
use image::{ImageFormat, Rgb, RgbImage};
use proptest::prelude::*;
use support::{
    Psd, encoded, exif_block, flat_jpeg, jpeg, lopsided, png, png_chunk, segment, tiff, webp,
};

fn refused(bytes: &[u8]) -> MediaError {
    decode(bytes, &DecodeLimits::default()).unwrap_err()
}

/// A picture whose rows all differ, large enough to be cut.
fn busy() -> RgbImage {
    let mut state = 12_345u32;
    RgbImage::from_fn(96, 64, |x, y| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Rgb([(x * 2) as u8, (y * 4) as u8, (state >> 24) as u8])
    })
}

fn sof(width: u16, height: u16, n: u8, marker: u8) -> Vec<u8> {
    let mut frame = vec![8];
    frame.extend(height.to_be_bytes());
    frame.extend(width.to_be_bytes());
    frame.push(n);
    for id in 1..=n {
        frame.extend([id, 0x11, 0]);
    }
    [
        vec![0xFF, 0xD8],
        segment(marker, &frame),
        segment(0xDA, &[1, 1, 0, 0, 63, 0]),
        vec![0x55; 16],
        vec![0xFF, 0xD9],
    ]
    .concat()
}

#[test]
fn a_header_of_60000_by_60000_pixels_is_refused_before_anything_is_allocated() {
    let edge = 60_000u32;
    let mut ihdr = edge.to_be_bytes().repeat(2);
    ihdr.extend([8, 2, 0, 0, 0]);
    let png_bomb = [
        b"\x89PNG\r\n\x1A\n".to_vec(),
        png_chunk(b"IHDR", &ihdr),
        png_chunk(b"IDAT", b"\x78\x9C"),
        png_chunk(b"IEND", b""),
    ]
    .concat();
    let mut tiff_bomb = tiff(&lopsided(), 1);
    tiff_bomb[18..22].copy_from_slice(&edge.to_le_bytes());
    tiff_bomb[30..34].copy_from_slice(&edge.to_le_bytes());
    // Rows per strip: all of them.
    tiff_bomb[114..118].copy_from_slice(&edge.to_le_bytes());
    let mut bmp_bomb = encoded(&lopsided(), ImageFormat::Bmp);
    bmp_bomb[18..22].copy_from_slice(&edge.to_le_bytes());
    bmp_bomb[22..26].copy_from_slice(&(-60_000i32).to_le_bytes());
    let mut gif_bomb = b"GIF89a".to_vec();
    gif_bomb.extend([0x60, 0xEA, 0x60, 0xEA, 0, 0, 0, 0x3B]);
    let psd_bomb = Psd {
        channels: 3,
        size: (edge, edge),
        depth: 8,
        mode: 3,
        palette: &[],
        resources: &[],
        compression: 0,
        data: &[],
    }
    .bytes();
    let pnm_bomb = b"P6 60000 60000 255\n".to_vec();
    for (bytes, format) in [
        (sof(60_000, 60_000, 3, 0xC0), Format::Jpeg),
        (png_bomb, Format::Png),
        (tiff_bomb, Format::Tiff),
        (bmp_bomb, Format::Bmp),
        (gif_bomb, Format::Gif),
        (psd_bomb, Format::Psd),
        (pnm_bomb, Format::Pnm),
    ] {
        let error = refused(&bytes);
        assert!(
            matches!(
                error,
                MediaError::TooLarge { format: f, width: 60_000, height: 60_000, .. } if f == format
            ),
            "{format}: {error:?}"
        );
        assert!(error.one_line().contains("60000 x 60000"));
    }
}

#[test]
fn a_later_frame_that_is_a_bomb_does_not_matter() {
    let mut bytes = encoded(&lopsided(), ImageFormat::Gif);
    assert_eq!(bytes.pop(), Some(0x3B));
    // Image descriptor of 65535 x 65535 and a code stream that goes nowhere.
    bytes.extend([0x2C, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0, 2, 1, 0x44, 0]);
    bytes.push(0x3B);
    let picture = decode(&bytes, &DecodeLimits::default()).unwrap();
    assert_eq!(picture.rgb.dimensions(), (40, 24));
    assert_eq!(picture.frames, Some(2));
}

#[test]
fn each_limit_keeps_the_equal_and_refuses_the_next() {
    let with = |change: &dyn Fn(&mut DecodeLimits)| {
        let mut limits = DecodeLimits::default();
        change(&mut limits);
        limits
    };
    let files = [
        png(&lopsided(), None),
        jpeg(&lopsided(), None),
        webp(&lopsided(), None),
        tiff(&lopsided(), 1),
        encoded(&lopsided(), ImageFormat::Bmp),
        encoded(&lopsided(), ImageFormat::Gif),
        heifer::encode_rgb8(
            40,
            24,
            lopsided().as_raw(),
            &heifer::EncodeOptions::default(),
        )
        .unwrap(),
    ];
    for bytes in files {
        assert!(decode(&bytes, &with(&|l| l.max_pixels = 40 * 24)).is_ok());
        assert!(matches!(
            decode(&bytes, &with(&|l| l.max_pixels = 40 * 24 - 1)),
            Err(MediaError::TooLarge { .. })
        ));
        assert!(decode(&bytes, &with(&|l| l.max_edge_px = 40)).is_ok());
        assert!(matches!(
            decode(&bytes, &with(&|l| l.max_edge_px = 39)),
            Err(MediaError::TooLarge {
                width: 40,
                height: 24,
                ..
            })
        ));
    }
    // A baseline JPEG needs three bytes a pixel, a progressive one six more.
    let baseline = flat_jpeg(&[100, 128, 128], 0xC0, None);
    assert!(decode(&baseline, &with(&|l| l.max_alloc_bytes = 3 * 64)).is_ok());
    assert!(matches!(
        decode(&baseline, &with(&|l| l.max_alloc_bytes = 3 * 64 - 1)),
        Err(MediaError::TooMuchMemory {
            need: 192,
            limit: 191,
            ..
        })
    ));
    let progressive = flat_jpeg(&[100, 128, 128], 0xC2, None);
    assert!(decode(&progressive, &with(&|l| l.max_alloc_bytes = 9 * 64)).is_ok());
    assert!(matches!(
        decode(&progressive, &with(&|l| l.max_alloc_bytes = 9 * 64 - 1)),
        Err(MediaError::TooMuchMemory { .. })
    ));
    assert_eq!(DEFAULT_MAX_PIXELS, 16_384 * 16_384);
}

#[test]
fn a_jpeg_cut_in_the_middle_keeps_its_upper_rows_and_is_marked() {
    let whole = jpeg(&busy(), None);
    let full = decode(&whole, &DecodeLimits::default()).unwrap();
    assert!(!full.truncated);
    let cut = decode(&whole[..whole.len() / 2], &DecodeLimits::default()).unwrap();
    assert!(cut.truncated);
    assert_eq!(cut.rgb.dimensions(), (96, 64));
    let upper = 96 * 3 * 8;
    assert!(cut.rgb.as_raw()[..upper] == full.rgb.as_raw()[..upper]);
    assert!(cut.rgb.as_raw() != full.rgb.as_raw());
    // Only the end marker is missing: everything is there, and it is said.
    let no_end = decode(&whole[..whole.len() - 2], &DecodeLimits::default()).unwrap();
    assert!(no_end.truncated);
    assert!(no_end.rgb == full.rgb);
}

#[test]
fn a_jpeg_that_ends_before_its_pixels_has_none() {
    let whole = jpeg(&busy(), None);
    let scan = whole.windows(2).position(|w| w == [0xFF, 0xDA]).unwrap();
    for end in [scan + 14, scan, 20] {
        assert!(matches!(
            refused(&whole[..end]),
            MediaError::NoPixels {
                format: Format::Jpeg
            }
        ));
    }
    let with_end = [&whole[..scan + 14], &[0xFF, 0xD9]].concat();
    assert!(matches!(refused(&with_end), MediaError::NoPixels { .. }));
}

#[test]
fn other_formats_that_end_early_are_damaged() {
    for (bytes, format) in [
        (png(&busy(), None), Format::Png),
        (webp(&busy(), None), Format::WebP),
        (tiff(&busy(), 1), Format::Tiff),
        (encoded(&busy(), ImageFormat::Bmp), Format::Bmp),
    ] {
        let error = refused(&bytes[..bytes.len() / 2]);
        assert!(
            matches!(error, MediaError::Damaged { format: f, .. } if f == format),
            "{format}: {error:?}"
        );
        let line = error.one_line();
        assert!(
            line.starts_with(&format!("decode {format}: damaged: ")),
            "{line}"
        );
        assert!(!line.contains('\n'));
    }
}

const NONE: Option<i32> = None;

fn dated(main: &[(u16, &str)], exif: &[(u16, &str)], latest: Option<i32>) -> CaptureTime {
    let bytes = jpeg(&lopsided(), Some(exif_block(None, main, exif)));
    let time = capture_time(&bytes, latest);
    let limits = DecodeLimits {
        latest_year: latest,
        ..DecodeLimits::default()
    };
    let picture = decode(&bytes, &limits).unwrap();
    assert_eq!(
        (&picture.taken, &picture.taken_problem),
        (&time.taken, &time.problem)
    );
    time
}

#[test]
fn original_wins_over_digitized_over_changed_in_whatever_directory_it_stands() {
    let original = (0x9003, "2001:02:03 04:05:06");
    let digitized = (0x9004, "2002:02:03 04:05:06");
    let changed = (0x0132, "2003:02:03 04:05:06");
    let taken = |main: &[_], exif: &[_]| dated(main, exif, NONE).taken.unwrap();
    assert_eq!(
        taken(&[changed], &[digitized, original]),
        "2001-02-03T04:05:06"
    );
    assert_eq!(
        taken(&[original, changed], &[digitized]),
        "2001-02-03T04:05:06"
    );
    assert_eq!(taken(&[changed], &[digitized]), "2002-02-03T04:05:06");
    assert_eq!(taken(&[changed], &[]), "2003-02-03T04:05:06");
    assert_eq!(dated(&[], &[], NONE), CaptureTime::default());
}

#[test]
fn a_blank_date_is_passed_over_and_named() {
    let time = dated(
        &[(0x0132, "2003:02:03 04:05:06")],
        &[(0x9003, "0000:00:00 00:00:00")],
        NONE,
    );
    assert_eq!(time.taken.as_deref(), Some("2003-02-03T04:05:06"));
    assert!(time.problem.unwrap().contains("DateTimeOriginal"));
    let only = dated(&[], &[(0x9003, "    :  :     :  :  ")], NONE);
    assert_eq!(only.taken, None);
    assert!(only.problem.unwrap().contains("is not a date"));
}

#[test]
fn years_before_1990_and_after_the_callers_year_are_refused_without_fallback() {
    let edit = (0x0132, "2015:01:01 00:00:00");
    let of = |text| dated(&[edit], &[(0x9003, text)], Some(2024));
    assert_eq!(
        of("1990:01:01 00:00:00").taken.as_deref(),
        Some("1990-01-01T00:00:00")
    );
    let early = of("1989:12:31 23:59:59");
    assert_eq!(early.taken, None);
    assert!(early.problem.unwrap().contains("before 1990"));
    assert_eq!(
        of("2024:12:31 23:59:59").taken.as_deref(),
        Some("2024-12-31T23:59:59")
    );
    let future = of("2025:01:01 00:00:00");
    assert_eq!(future.taken, None);
    assert!(future.problem.unwrap().contains("future"));
    let believed = dated(&[], &[(0x9003, "2025:01:01 00:00:00")], NONE);
    assert_eq!(believed.taken.as_deref(), Some("2025-01-01T00:00:00"));
}

/// The years that clocks write who know no date, and the last of FAT's.
#[test]
fn years_0000_and_2107_are_counted_for_what_they_are() {
    let flaw = |text| dated(&[], &[(0x9003, text)], Some(2026)).flaw;
    assert_eq!(flaw("0000:00:00 00:00:00"), Some(DateFlaw::Garbled));
    assert_eq!(flaw("0000:01:01 00:00:00"), Some(DateFlaw::Garbled));
    assert_eq!(flaw("2107:12:31 23:59:58"), Some(DateFlaw::Future));
    assert_eq!(flaw("1989:12:31 23:59:59"), Some(DateFlaw::TooEarly));
    assert_eq!(flaw("1990:01:01 00:00:00"), None);
    assert_eq!(dated(&[], &[], Some(2026)).flaw, None, "no date is no flaw");
}

#[test]
fn broken_exif_is_a_remark_and_the_picture_stays() {
    let bytes = jpeg(&lopsided(), Some(b"XX*\0 not a directory".to_vec()));
    let picture = decode(&bytes, &DecodeLimits::default()).unwrap();
    assert_eq!(picture.taken, None);
    assert!(
        picture
            .taken_problem
            .unwrap()
            .contains("EXIF could not be read")
    );
    // A second, whole block behind the broken one is used.
    let block = exif_block(Some(3), &[], &[(0x9003, "2001:02:03 04:05:06")]);
    let mut two = bytes.clone();
    let behind = two.windows(2).position(|w| w == [0xFF, 0xDB]).unwrap();
    two.splice(
        behind..behind,
        segment(0xE1, &[b"Exif\0\0".to_vec(), block].concat()),
    );
    let picture = decode(&two, &DecodeLimits::default()).unwrap();
    assert_eq!(picture.orientation, 3);
    assert_eq!(picture.taken.as_deref(), Some("2001-02-03T04:05:06"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever happens to the bytes, there is an outcome, and a picture is
    /// never larger than allowed.
    #[test]
    fn mutilated_files_always_have_an_outcome(
        which in 0usize..9,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in any::<prop::sample::Index>(),
        shorten in any::<bool>(),
    ) {
        let exif = || Some(exif_block(Some(6), &[(0x0132, "2003:02:03 04:05:06")], &[]));
        let mut bytes = match which {
            0 => jpeg(&busy(), exif()),
            1 => png(&busy(), exif()),
            2 => webp(&busy(), exif()),
            3 => tiff(&busy(), 5),
            4 => encoded(&busy(), ImageFormat::Bmp),
            5 => encoded(&busy(), ImageFormat::Gif),
            6 => flat_jpeg(&[200, 100, 50, 128], 0xC2, Some(2)),
            7 => heifer::encode_rgb8(96, 64, busy().as_raw(), &heifer::EncodeOptions::default())
                .unwrap(),
            _ => Psd {
                channels: 3, size: (4, 2), depth: 8, mode: 3, palette: &[], resources: &[],
                compression: 1,
                data: &[[0, 2].repeat(6), [253, 9].repeat(6)].concat(),
            }.bytes(),
        };
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if shorten {
            bytes.truncate(cut.index(bytes.len()));
        }
        let limits = DecodeLimits { max_pixels: 1 << 20, ..DecodeLimits::default() };
        if let Ok(picture) = decode(&bytes, &limits) {
            let (w, h) = picture.rgb.dimensions();
            prop_assert!(u64::from(w) * u64::from(h) <= 1 << 20);
        }
    }
}
