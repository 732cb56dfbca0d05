//! Photos that show one person twice, the doubtful ones first.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod drawn;

use drawn::{Home, number, record, shot, turned, with_ctx};
use faceset_identity::Registry;
use faceset_pipeline::people;
use faceset_pipeline::twice::{Pair, Twice, twice};

#[test]
fn two_faces_of_one_person_on_one_photo_are_listed_by_what_they_are() {
    let home = Home::new();
    let ana = turned(0, 0.0, 1);
    // 49 degrees are a distance of 0.344, 50 of 0.357.
    let cache = home.embed(&[
        shot("mirror", &[ana, turned(0, 49.0, 1)]),
        shot("mistake", &[ana, turned(0, 50.0, 1)]),
        shot("worse", &[ana, turned(0, 80.0, 1)]),
        shot("alone", &[ana, turned(2, 0.0, 1)]),
        shot("bobs", &[turned(3, 0.0, 1), turned(3, 1.0, 1)]),
    ]);
    let key = |name: &str, nth| home.key(&cache, name, nth);
    let mut hers = vec![key("alone", 0)];
    for name in ["mirror", "mistake", "worse"] {
        hers.extend([key(name, 0), key(name, 1)]);
    }
    let swap = home.path("swap");
    let his = vec![key("bobs", 0), key("bobs", 1)];
    record(&swap, &[("faceset_001", hers), ("faceset_002", his)]);
    let registry = || Registry::load(&swap, "2026-02-02".parse().unwrap()).unwrap();
    let shape = |found: &[Twice]| -> Vec<(u32, String, Pair)> {
        found
            .iter()
            .map(|t| {
                let file = t.faces[0].path.as_str().rsplit(['/', '\\']).next().unwrap();
                (t.number.get(), file.to_owned(), t.pair)
            })
            .collect()
    };
    let found = twice(&registry(), Some(&cache), None);
    let expected = [
        (1, "worse.jpg", Pair::Differ),
        (1, "mistake.jpg", Pair::Differ),
        (1, "mirror.jpg", Pair::Alike),
        (2, "bobs.jpg", Pair::Alike),
    ]
    .map(|(n, file, pair)| (n, file.to_owned(), pair));
    assert_eq!(shape(&found), expected);
    assert!(
        found[0].line().contains("look at it"),
        "{}",
        found[0].line()
    );

    let of_bob = twice(&registry(), Some(&cache), Some(number(2)));
    assert_eq!(shape(&of_bob), expected[3..4]);
    let blind = twice(&registry(), None, Some(number(2)));
    assert_eq!((blind[0].pair, blind[0].distance), (Pair::Unknown, None));

    let hide = |r: &Registry| Ok(r.plan_hide_all(&[number(1)])?);
    with_ctx(|ctx| people::change(&swap, hide, ctx)).unwrap();
    assert_eq!(
        shape(&twice(&registry(), Some(&cache), None)),
        expected[3..4]
    );
}
