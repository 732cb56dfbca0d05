//! The kernels that are compiled in, beside ONNX Runtime on the processor.

#![allow(clippy::unwrap_used, reason = "helpers of a test")]

#[allow(dead_code, reason = "each test file uses a part of it")]
mod support;

use faceset_infer::{Analyzer, FREE_PACK, InferError, Pack, Provider, Purpose, Runtime};
use support::{Reference, free_analyzer, free_models, n_same_faces};

#[test]
fn without_a_library_the_same_faces_are_found_and_embedded() {
    let pack = Pack::built_in(FREE_PACK).unwrap();
    let pack = pack.locate(&[free_models()]).unwrap();
    let runtime = Runtime::compiled_in();
    assert_eq!(runtime.available(), [Provider::Rten]);
    let mut there = Analyzer::new(&runtime, &pack, Purpose::Embed).unwrap();
    assert_eq!(there.provider(), Provider::Rten);
    let mut here = free_analyzer(Purpose::Embed);
    // One portrait and the picture with most faces: a whole run takes minutes
    // without optimisation.
    let pictures = &Reference::load().pictures[..2];
    let n_faces = n_same_faces(&mut here, &mut there, pictures, 0.9999);
    assert!(n_faces >= 2, "{n_faces} faces were compared");
}

#[test]
fn another_provider_without_a_library_is_refused_with_advice() {
    let error = Runtime::compiled_in()
        .with_provider(Provider::Cuda, 0)
        .unwrap_err();
    assert!(matches!(error, InferError::Provider { .. }));
    assert!(error.to_string().contains("xtask setup"), "{error}");
}
