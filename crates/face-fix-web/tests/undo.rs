//! Taking back what cannot be taken back as it was: what the page is told, and that
//! nothing is done twice.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use axum::http::StatusCode;
use face_fix::{Mode, Standing};
use immich_fake::{Fault, Uuid};
use serde_json::{Value, json};
use support::World;
use support::direct::Direct;

/// Photos with one face of Mia's that is Lea, the page, and the photos' ids and faces.
async fn solos(names: &[&str]) -> (World, Direct, Vec<(Uuid, Uuid)>) {
    let mut photos = Vec::new();
    let world = World::new(|scene, library| {
        photos.extend(names.iter().map(|name| scene.solo(library, name)));
    })
    .await;
    let page = Direct::new(world.engine(Mode::default()).await);
    (world, page, photos)
}

/// Decides about the face of a photo.
async fn decide(
    (world, page): (&World, &Direct),
    (asset, face): (Uuid, Uuid),
    action: &str,
) -> (StatusCode, Value) {
    let decision = json!({"face": face.to_string(), "action": action});
    let fields = json!({"asset": asset.to_string(), "auto": false, "decisions": [decision]});
    page.ask(&world.scene, "/api/decide", fields).await
}

async fn undo((world, page): (&World, &Direct), transaction: &Value) -> (StatusCode, Value) {
    let fields = json!({"transaction": transaction});
    page.ask(&world.scene, "/api/undo", fields).await
}

fn standings(world: &World) -> Vec<Standing> {
    let past = world.past();
    let all = past.transactions().iter();
    all.map(face_fix::PastTransaction::standing).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_undo_of_a_photo_that_is_gone_is_an_answer_and_leaves_the_decision_before() {
    let (world, page, photos) = solos(&["beach.jpg", "garden.jpg"]).await;
    let at = (&world, &page);
    for photo in &photos {
        assert_eq!(decide(at, *photo, "fix").await.0, StatusCode::OK);
    }
    world
        .fake
        .with_library(|library| library.remove_asset(photos[1].0));
    let (status, answer) = undo(at, &Value::Null).await;
    assert_eq!((status, &answer["photo"]), (StatusCode::OK, &Value::Null));
    assert_eq!(answer["asset"], photos[1].0.to_string());
    assert_eq!(
        answer["text"],
        "The judgement is forgotten, but no face was given back. A face is gone from its photo. \
         The photo cannot be shown. Immich does not have this any more."
    );
    assert_eq!(standings(&world), [Standing::Applied, Standing::Undone]);
    assert_eq!(world.owner_of(photos[0].1), "Lea Berg");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_whose_photo_cannot_be_read_afterwards_is_an_answer_too() {
    let (world, page, photos) = solos(&["beach.jpg", "garden.jpg"]).await;
    let at = (&world, &page);
    // Seen by the page, and deleted before the key is pressed.
    let path = format!(
        "/api/photo/{}?wrong={}&correct={}&margin=0.1",
        photos[0].0, world.scene.mia, world.scene.lea
    );
    let seen = page.get(&path).body(axum::body::Body::empty()).unwrap();
    assert_eq!(page.send(seen).await.0, StatusCode::OK);
    world
        .fake
        .with_library(|library| library.remove_asset(photos[0].0));
    let (status, answer) = decide(at, photos[0], "fix").await;
    assert_eq!((status, &answer["photo"]), (StatusCode::OK, &Value::Null));
    assert_eq!(
        answer["note"],
        "The photo cannot be shown. Immich does not have this any more."
    );
    // One that can be read needs no words.
    let (_, answer) = decide(at, photos[1], "fix").await;
    assert_eq!(
        (&answer["note"], answer["photo"].is_object()),
        (&Value::Null, true)
    );
    assert_eq!(standings(&world), [Standing::Applied, Standing::Applied]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_wrong_person_the_face_stays_and_the_text_says_so() {
    let (world, page, photos) = solos(&["beach.jpg"]).await;
    let at = (&world, &page);
    decide(at, photos[0], "fix").await;
    let mia = world.scene.mia;
    world
        .fake
        .with_library(|library| library.remove_person(mia));
    let (status, answer) = undo(at, &Value::Null).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        answer["text"],
        "The judgement is forgotten, but no face was given back. \
         A face stays where it is: the person it came from is gone."
    );
    assert_eq!(world.owner_of(photos[0].1), "Lea Berg");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_that_waits_is_gone_on_with_by_its_number_whatever_was_decided_since() {
    let (mut world, page, photos) = solos(&["beach.jpg", "garden.jpg"]).await;
    // On its way: written as sent, and never arrived.
    world.fake.fail("PUT /api/faces", 9, Fault::Reset);
    let (status, answer) = decide((&world, &page), photos[0], "fix").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer["error"]["kind"], "waiting");
    world.fake.heal();
    world.fake.stop();
    let (status, answer) = undo((&world, &page), &Value::Null).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let text = answer["error"]["message"].as_str().unwrap();
    assert!(text.contains("nothing is taken back yet"), "{text}");
    assert_eq!(standings(&world), [Standing::Open]);
    world.fake.restart().await;
    // Another tab decides: what waits goes first.
    assert_eq!(
        decide((&world, &page), photos[1], "fix").await.0,
        StatusCode::OK
    );
    let named = &answer["error"]["transaction"];
    let (status, answer) = undo((&world, &page), named).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        answer["text"],
        "Taken back: the face has its former person again."
    );
    assert_eq!(standings(&world), [Standing::Undone, Standing::Applied]);
    assert_eq!(world.owner_of(photos[0].1), "Mia Berg");
    assert_eq!(world.owner_of(photos[1].1), "Lea Berg");
    // Asked for once more, and asked for with the number of something else.
    let (_, answer) = undo((&world, &page), named).await;
    assert_eq!(answer["text"], "Taken back meanwhile.");
    let (_, answer) = undo((&world, &page), &json!(99)).await;
    assert_eq!(answer["text"], "There is nothing to undo for this pair.");
    assert_eq!(standings(&world), [Standing::Undone, Standing::Applied]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_that_was_written_says_so_and_goes_on() {
    let (mut world, page, photos) = solos(&["beach.jpg"]).await;
    decide((&world, &page), photos[0], "fix").await;
    world.fake.stop();
    let (_, answer) = undo((&world, &page), &Value::Null).await;
    let text = answer["error"]["message"].as_str().unwrap();
    assert!(text.contains("The undo is in the journal"), "{text}");
    assert_eq!(standings(&world), [Standing::Undoing]);
    world.fake.restart().await;
    let (status, _) = undo((&world, &page), &answer["error"]["transaction"]).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(standings(&world), [Standing::Undone]);
    assert_eq!(world.owner_of(photos[0].1), "Mia Berg");
}
