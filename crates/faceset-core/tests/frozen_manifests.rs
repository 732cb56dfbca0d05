//! Manifests of version 1 are read for ever, and nothing in them gets lost.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;

use faceset_core::manifest::{RawManifest, RefineManifest, SwapReadyManifest, check_version};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

fn frozen(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures/manifests")
        .join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Reads a sample, writes it again and compares every value.
fn survives<T: DeserializeOwned + Serialize>(name: &str) -> T {
    let value = frozen(name);
    assert_eq!(check_version(&value), Ok(1));
    let read: T = serde_json::from_value(value.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), value, "{name}");
    read
}

#[test]
fn the_raw_manifest_survives() {
    let raw: RawManifest = survives("raw.v1.json");
    assert_eq!(
        raw.persons[0].images[1].as_str(),
        "/photos/2019/b (copy).jpg"
    );
    assert_eq!(raw.singletons[0].bbox.short_edge_px(), 129.5);
    assert_eq!(raw.extra["made_by"], "hand");
}

#[test]
fn the_refine_manifest_survives() {
    let refined: RefineManifest = survives("refine.v1.json");
    assert_eq!(refined.facesets[0].dropped[0].value, Some(89.5));
    assert_eq!(refined.rejected[0].extra["rejected"]["limit"], 15);
}

#[test]
fn the_swap_ready_manifest_survives() {
    let swap: SwapReadyManifest = survives("swap-ready.v1.json");
    assert_eq!(swap.facesets[0].faces[0].verified[1].det_size, 320);
    assert_eq!(swap.reserved[0].name, "faceset_002");
    assert_eq!(swap.facesets[0].extra["mood"], "kept");
}
