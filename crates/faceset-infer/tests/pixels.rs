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

/// Both sides work in whole numbers, so nothing less than equality is asked.
fn assert_same_bytes(ours: &RgbImage, theirs: &RgbImage, what: &str) {
    assert_eq!(ours.dimensions(), theirs.dimensions(), "{what}");
    let pairs = ours.as_raw().iter().zip(theirs.as_raw());
    let off: Vec<u8> = pairs.map(|(a, b)| a.abs_diff(*b)).collect();
    assert!(
        ours == theirs,
        "{what}: {} of {} bytes differ, by up to {:?}",
        off.iter().filter(|d| **d > 0).count(),
        off.len(),
        off.iter().max()
    );
}

#[test]
fn resizing_gives_the_bytes_of_opencv() {
    let fixture = fixture();
    let source = fixture.source.picture();
    assert!(!fixture.resized.is_empty());
    for theirs in &fixture.resized {
        assert_same_bytes(
            &resize_linear(&source, theirs.width, theirs.height),
            &theirs.picture(),
            &format!("{}x{}", theirs.width, theirs.height),
        );
    }
}

#[test]
fn halving_gives_the_bytes_of_opencv() {
    let fixture = fixture();
    let (even, halved) = (fixture.even.picture(), fixture.halved.picture());
    let (width, height) = halved.dimensions();
    assert_eq!(even.dimensions(), (2 * width, 2 * height));
    assert_same_bytes(&resize_linear(&even, width, height), &halved, "half");
}

#[test]
fn warping_gives_the_bytes_of_opencv() {
    let fixture = fixture();
    let source = fixture.source.picture();
    assert!(!fixture.warped.is_empty());
    for Warped { matrix, target } in &fixture.warped {
        assert_same_bytes(
            &warp_affine(&source, matrix, target.width, target.height),
            &target.picture(),
            &format!("{matrix:?}"),
        );
    }
}
