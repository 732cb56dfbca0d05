//! A person with 10,000 photos: the first photo waits for a page of the list and its own
//! faces, not for all of them. Counted in requests; times are measured by the example
//! `load`.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use face_fix::Mode;
use serde_json::{Value, json};
use support::World;
use support::direct::Direct;

const N_PHOTOS: usize = 10_000;

#[tokio::test(flavor = "multi_thread")]
async fn the_first_photo_of_ten_thousand_needs_few_requests_and_the_list_is_whole() {
    let world = World::new(|scene, library| {
        for n in 0..N_PHOTOS {
            // Many share their second: pages by number would lose some.
            let taken = 1_577_836_800_000_000 + (n as i64 / 40) * 1_000_000;
            let asset = library.add_photo(scene.owner, &format!("{n}.jpg"), taken);
            library.add_face(asset, Some(scene.mia), [10, 10, 60, 70], (720, 480));
        }
    })
    .await;
    let page = Direct::new(world.engine(Mode::default()).await);
    let next = async |queue: &Value, after: usize, n: usize| -> Value {
        let fields =
            json!({"filter": "both", "skip_both": true, "queue": queue, "after": after, "n": n});
        page.ask(&world.scene, "/api/next", fields).await.1
    };
    world.fake.clear_log();
    let first = next(&Value::Null, 0, 6).await;
    assert_eq!(first["photos"].as_array().unwrap().len(), 6);
    // Looked at four at a time: eight photos at most for six shown.
    assert!(world.fake.n_requests("GET /api/faces") <= 8);
    assert!(world.fake.n_requests("GET /api/people") <= 8 + 1);

    let mut answer = first.clone();
    while answer["complete"] != true {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        answer = next(&first["queue"], N_PHOTOS + 1, 1).await;
    }
    // With the portrait.
    assert_eq!(answer["total"], N_PHOTOS + 1);
    let last = next(&first["queue"], N_PHOTOS - 1, 6).await;
    assert_eq!(last["photos"].as_array().unwrap().len(), 2);
    assert_eq!(last["ended"], true);
    let listed = world.fake.n_requests("POST /api/search/metadata");
    assert!(listed < 100, "pages of the list: {listed}");
}
