//! JPEG pixels are OpenCV's, byte for byte, whether libjpeg was built with its
//! vector code or without: what embeddings are compared on.

#![allow(clippy::unwrap_used, reason = "helpers of a test")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;

use faceset_core::hash_bytes;
use faceset_media::{DecodeLimits, JPEG_VECTOR_CODE, decode, recycle};
use faceset_testkit::{home, repo_root};
use serde::Deserialize;

/// `fixtures/media/sample-pixels.json`, made by `pixels.py` beside it.
#[derive(Deserialize)]
struct Golden {
    pictures: BTreeMap<String, Picture>,
}

#[derive(Deserialize)]
struct Picture {
    file_sha256: String,
    width: u32,
    height: u32,
    pixels_sha256: String,
}

#[test]
fn jpeg_pixels_are_those_of_opencv() {
    let path = repo_root().join("fixtures/media/sample-pixels.json");
    let golden: Golden = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    assert!(golden.pictures.len() >= 5);
    writeln!(
        std::io::stderr(),
        "libjpeg's vector code: {JPEG_VECTOR_CODE}"
    )
    .unwrap();
    for (name, expected) in &golden.pictures {
        let path = home().join("samples/sources").join(name);
        let bytes = fs::read(&path)
            .unwrap_or_else(|e| panic!("{}: {e}; run `cargo xtask setup`", path.display()));
        assert_eq!(
            hash_bytes(&bytes).to_string(),
            expected.file_sha256,
            "{name}"
        );
        let picture = decode(&bytes, &DecodeLimits::default()).unwrap();
        assert_eq!(
            picture.rgb.dimensions(),
            (expected.width, expected.height),
            "{name}"
        );
        let found = hash_bytes(picture.rgb.as_raw());
        assert_eq!(found.to_string(), expected.pixels_sha256, "{name}");
        // The next one is decoded into the same memory.
        recycle(picture.rgb);
    }
}
