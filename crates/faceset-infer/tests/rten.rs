//! The kernels that are compiled in, beside ONNX Runtime on the processor.

#![allow(clippy::unwrap_used, reason = "helpers of a test")]

#[allow(dead_code, reason = "each test file uses a part of it")]
mod support;

use faceset_infer::{Analyzer, FREE_PACK, InferError, Pack, Provider, Purpose, Runtime};
use support::{Reference, cosine, free_analyzer, free_models};

#[test]
fn without_a_library_the_same_faces_are_found_and_embedded() {
    let pack = Pack::built_in(FREE_PACK).unwrap();
    let pack = pack.locate(&[free_models()]).unwrap();
    let runtime = Runtime::compiled_in();
    assert_eq!(runtime.available(), [Provider::Rten]);
    let mut there = Analyzer::new(&runtime, &pack, Purpose::Embed).unwrap();
    assert_eq!(there.provider(), Provider::Rten);
    let mut here = free_analyzer(Purpose::Embed);
    let mut n_faces = 0;
    // One portrait and the picture with most faces: a whole run takes minutes
    // without optimisation.
    for picture in Reference::load().pictures.iter().take(2) {
        let pixels = picture.pixels();
        let (a, b) = (
            here.analyze(&pixels).unwrap(),
            there.analyze(&pixels).unwrap(),
        );
        assert_eq!(a.faces.len(), b.faces.len(), "{}", picture.file);
        for (a, b) in a.faces.iter().zip(&b.faces) {
            assert!(
                a.bbox.iou(&b.bbox) >= 0.999,
                "{}: {:?} {:?}",
                picture.file,
                a.bbox,
                b.bbox
            );
            let same = cosine(&a.embedding, &b.embedding);
            assert!(same >= 0.9999, "{}: cosine {same}", picture.file);
            n_faces += 1;
        }
    }
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
