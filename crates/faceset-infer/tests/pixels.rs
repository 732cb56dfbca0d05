//! Resize and warp against OpenCV's own output, on a drawn picture
//! (fixtures/parity/make_pixels.py).

#![allow(clippy::unwrap_used, reason = "helpers of a test")]

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use faceset_infer::pixels::{Affine, resize_linear, warp_affine};
use faceset_testkit::repo_root;
use image::RgbImage;
use serde::Deserialize;

/// Share of bytes that may be off by one when a resize enlarges: OpenCV's vector
/// code rounds once less there.
const ENLARGED_SHARE: f64 = 0.001;
/// Share of bytes that may be off by one after a warp.
const WARPED_SHARE: f64 = 0.002;

#[derive(Deserialize)]
struct Fixture {
    source: Stored,
    resized: Vec<Stored>,
    even: Stored,
    halved: Stored,
    warped: Vec<Warped>,
}

#[derive(Deserialize)]
struct Stored {
    width: u32,
    height: u32,
    pixels: String,
}

#[derive(Deserialize)]
struct Warped {
    matrix: Affine,
    target: Stored,
}

impl Stored {
    fn picture(&self) -> RgbImage {
        let bytes = STANDARD.decode(&self.pixels).unwrap();
        RgbImage::from_raw(self.width, self.height, bytes).unwrap()
    }
}

fn fixture() -> Fixture {
    let path = repo_root().join("fixtures/parity/pixels.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Panics unless no byte is off by more than one, and no more than `share` of
/// them by one.
fn assert_close(ours: &RgbImage, theirs: &RgbImage, share: f64, what: &str) {
    assert_eq!(ours.dimensions(), theirs.dimensions(), "{what}");
    let off = |least: u8| {
        let pairs = ours.as_raw().iter().zip(theirs.as_raw());
        pairs.filter(|(a, b)| a.abs_diff(**b) >= least).count()
    };
    assert_eq!(off(2), 0, "{what}: bytes off by more than one");
    let allowed = (ours.as_raw().len() as f64 * share) as usize;
    let n_off = off(1);
    assert!(
        n_off <= allowed,
        "{what}: {n_off} bytes off by one, {allowed} allowed"
    );
}

#[test]
fn resizing_gives_the_bytes_of_opencv() {
    let fixture = fixture();
    let source = fixture.source.picture();
    let mut n_enlarged = 0;
    for theirs in &fixture.resized {
        let enlarged = theirs.width > source.width() || theirs.height > source.height();
        n_enlarged += usize::from(enlarged);
        assert_close(
            &resize_linear(&source, theirs.width, theirs.height),
            &theirs.picture(),
            if enlarged { ENLARGED_SHARE } else { 0.0 },
            &format!("{}x{}", theirs.width, theirs.height),
        );
    }
    assert!(n_enlarged > 0 && n_enlarged < fixture.resized.len());
}

#[test]
fn halving_gives_the_bytes_of_opencv() {
    let fixture = fixture();
    let (even, halved) = (fixture.even.picture(), fixture.halved.picture());
    assert_eq!(
        (even.width(), even.height()),
        (2 * halved.width(), 2 * halved.height())
    );
    assert_eq!(
        resize_linear(&even, halved.width(), halved.height()),
        halved
    );
}

#[test]
fn warping_gives_the_bytes_of_opencv() {
    let fixture = fixture();
    let source = fixture.source.picture();
    assert!(!fixture.warped.is_empty());
    for Warped { matrix, target } in &fixture.warped {
        assert_close(
            &warp_affine(&source, matrix, target.width, target.height),
            &target.picture(),
            WARPED_SHARE,
            &format!("{matrix:?}"),
        );
    }
}
