//! Asks libjpeg's build whether it has vector code. Without an assembler it has
//! none, and its own warning about that is not shown to who builds this
//! workspace.

#![allow(clippy::print_stdout, reason = "how a build script talks to cargo")]

use std::env;
use std::fs;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(jpeg_vector_code)");
    // `links = "jpeg"`: the folders of its headers, among them its settings.
    let folders = env::var_os("DEP_JPEG_INCLUDE").unwrap_or_default();
    let has_vector_code = env::split_paths(&folders).any(|folder| {
        fs::read_to_string(folder.join("jconfig.h"))
            .is_ok_and(|settings| settings.contains("#define WITH_SIMD 1"))
    });
    if has_vector_code {
        println!("cargo::rustc-cfg=jpeg_vector_code");
    } else {
        println!(
            "cargo::warning=JPEGs will be decoded by slower code, with the same pixels: libjpeg \
             was built without nasm. Install nasm (or run `cargo xtask setup`, which brings it for \
             its own builds), then `cargo clean -p mozjpeg-sys` and build again."
        );
    }
}
