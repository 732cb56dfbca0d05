//! `search` on made-up faces, with and without a registry.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod planar;

use faceset_cache::Cache;
use faceset_core::{CosineDistance, SourcePath};
use faceset_pipeline::PipelineError;
use faceset_pipeline::search::{Asked, SearchAnswer, SearchOptions, known, resolve};
use planar::{at, cache_of, photo, with_ctx};

/// Two people and a stranger; photo b shows both people.
fn cache(dir: &tempfile::TempDir) -> Cache {
    let photos = vec![
        photo("/p/a.jpg", &[0.0]),
        photo("/p/b.jpg", &[10.0, 90.0]),
        photo("/p/c.jpg", &[100.0]),
        photo("/p/d.jpg", &[200.0]),
        photo("/p/empty.jpg", &[]),
    ];
    cache_of(&at(dir, "c.npz"), "drawn", photos)
}

fn search(cache: &Cache, path: &str, face: Option<usize>, options: &SearchOptions) -> SearchAnswer {
    with_ctx(|ctx| known(cache, &SourcePath::from(path), face, None, options, ctx)).unwrap()
}

fn listed(answer: &SearchAnswer, face: usize) -> Vec<(String, usize)> {
    let near = answer.faces[face].nearest.iter();
    near.map(|n| (n.path.clone(), n.number)).collect()
}

#[test]
fn each_face_of_a_photo_gets_its_nearest_without_itself() {
    let dir = tempfile::tempdir().unwrap();
    let cache = cache(&dir);
    let answer = search(&cache, "/p/b.jpg", None, &SearchOptions::default());
    assert_eq!((answer.faces.len(), answer.faces_in_cache), (2, 5));
    assert_eq!(listed(&answer, 0), [("/p/a.jpg".to_owned(), 1)]);
    assert_eq!(listed(&answer, 1), [("/p/c.jpg".to_owned(), 1)]);
    let distance = answer.faces[0].nearest[0].distance;
    assert!((distance - (1.0 - 10_f64.to_radians().cos())).abs() < 1e-6);
    assert!(answer.faces[0].people.is_empty());

    let second = search(&cache, "/p/b.jpg", Some(1), &SearchOptions::default());
    assert_eq!((second.faces.len(), second.faces[0].number), (1, 2));
    assert!(
        search(&cache, "/p/empty.jpg", None, &SearchOptions::default())
            .faces
            .is_empty()
    );
}

#[test]
fn the_limit_keeps_what_is_exactly_that_far_and_the_number_is_a_ceiling() {
    let dir = tempfile::tempdir().unwrap();
    let cache = cache(&dir);
    // Photo c at 100 degrees: b's second face 10 away, its first 90, a 100.
    let within = |max_distance, n_faces| {
        let options = SearchOptions {
            n_faces,
            max_distance: CosineDistance::new(max_distance).unwrap(),
        };
        listed(&search(&cache, "/p/c.jpg", None, &options), 0).len()
    };
    let exact = {
        let options = SearchOptions {
            n_faces: 9,
            max_distance: CosineDistance::constant(2.0),
        };
        search(&cache, "/p/c.jpg", None, &options).faces[0].nearest[1].distance
    };
    assert_eq!(within(2.0, 9), 4);
    assert_eq!(within(2.0, 3), 3);
    assert_eq!(within(exact, 9), 2);
    assert_eq!(within(exact - 1e-9, 9), 1);
}

#[test]
fn a_photo_is_found_by_path_tail_number_or_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let cache = cache(&dir);
    let found = |asked: &str| resolve(&cache, asked);
    assert!(matches!(found("/p/b.jpg"), Ok(Asked::Known(p, None)) if p.as_str() == "/p/b.jpg"));
    assert!(matches!(found("b.jpg#2"), Ok(Asked::Known(p, Some(1))) if p.as_str() == "/p/b.jpg"));
    let beyond = found("b.jpg#3").unwrap_err().to_string();
    assert!(
        beyond.contains("has 2 faces, there is no face 3"),
        "{beyond}"
    );
    assert!(matches!(
        found("nowhere.jpg"),
        Err(PipelineError::Options(_))
    ));
    // The bytes of a made-up photo are its path: a copy elsewhere is known.
    let copy = at(&dir, "copy.jpg");
    std::fs::write(&copy, "/p/d.jpg").unwrap();
    assert!(
        matches!(found(copy.to_str().unwrap()), Ok(Asked::Known(p, None)) if p.as_str() == "/p/d.jpg")
    );
    std::fs::write(&copy, "other bytes").unwrap();
    assert!(matches!(found(copy.to_str().unwrap()), Ok(Asked::New(p)) if p == copy));
}
