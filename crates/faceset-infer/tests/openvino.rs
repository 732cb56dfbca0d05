//! Intel's runtime on the processor, for real: the one provider beside the
//! processor whose library comes by a package client to any x86-64 Linux.
//!
//! A process loads one runtime library, so this has a file of its own.
//! `cargo xtask openvino` brings the library; without it, this says SKIPPED.

#![allow(clippy::unwrap_used, reason = "helpers of a test")]

#[allow(dead_code, reason = "each test file uses a part of it")]
mod support;

use std::io::Write as _;
use std::time::Instant;

use faceset_infer::{Analyzer, InferError};
use faceset_infer::{
    FREE_PACK, MIN_COSINE, Pack, Provider, Purpose, Runtime, Wanted, choose, find_library, probe,
};
use faceset_testkit::home;
use support::{Reference, free_models, n_same_faces};

#[test]
fn openvino_finds_and_embeds_what_the_processor_does() {
    let folder = home().join("openvino");
    let Some(library) = find_library(std::slice::from_ref(&folder)) else {
        writeln!(
            std::io::stderr(),
            "SKIPPED: OpenVINO on the processor, for want of {}; run `cargo xtask openvino`",
            folder.display()
        )
        .unwrap();
        return;
    };
    let pack = Pack::built_in(FREE_PACK).unwrap();
    let pack = pack.locate(&[free_models()]).unwrap();
    let start = Instant::now();
    let clock = || start.elapsed();

    let test = probe(&library, Provider::OpenVino, 0, &pack, &clock).unwrap();
    writeln!(std::io::stderr(), "{test}").unwrap();
    assert_eq!(test.problems(), [""; 0]);
    assert!(test.n_faces >= 8 && test.cpu_ms > 0.0 && test.provider_ms > 0.0);

    // The same library has the processor too, and says what it lacks.
    let runtime = Runtime::load(&library).unwrap();
    let available = runtime.available();
    assert_eq!(available, [Provider::OpenVino, Provider::Cpu]);
    let refused = runtime.with_provider(Provider::Cuda, 0).unwrap_err();
    assert!(matches!(refused, InferError::Provider { .. }), "{refused}");
    let wanted = Wanted::Named(Provider::OpenVino);
    let choice = choose(wanted, true, &available, |_| Ok(test.clone())).unwrap();
    assert_eq!(choice.provider, Provider::OpenVino);

    // Real faces, end to end.
    let openvino = runtime.with_provider(Provider::OpenVino, 0).unwrap();
    let mut there = Analyzer::new(&openvino, &pack, Purpose::Embed).unwrap();
    let mut here = Analyzer::new(&runtime, &pack, Purpose::Embed).unwrap();
    assert_eq!(
        (there.provider(), here.provider()),
        (Provider::OpenVino, Provider::Cpu)
    );
    let pictures = Reference::load().pictures;
    let n_faces = n_same_faces(&mut here, &mut there, &pictures, MIN_COSINE);
    assert!(n_faces >= 10, "{n_faces} faces were compared");
}
