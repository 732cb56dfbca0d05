//! Which transaction is taken back last, and that an undoing always comes to an end.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use face_fix::{
    Action, Pair, Restored, Review, ReviewHow, Standing, Status, Transaction, TransactionId,
};
use immich_fake::Fault;
use support::{World, at, new_person, of};

fn pair(world: &World) -> Pair {
    Pair {
        wrong: world.anna.to_string().parse().unwrap(),
        correct: world.berta.to_string().parse().unwrap(),
    }
}

fn skip(world: &World, photo: usize, how: ReviewHow) -> Transaction {
    Transaction {
        pair: Some(pair(world)),
        review: Some(Review {
            asset: world.photos[photo].to_string().parse().unwrap(),
            how,
        }),
        ..of(vec![])
    }
}

#[tokio::test]
async fn the_last_decision_is_a_persons_not_a_rules_note_nor_what_did_nothing() {
    let world = World::new().await;
    let engine = world.engine().await;
    let pair = pair(&world);
    let last = |of: Option<&Pair>| engine.look(|past| past.last_decision(of).map(|past| past.id.0));
    assert_eq!(last(None), None);
    let moved = Transaction {
        pair: Some(pair.clone()),
        ..of(vec![world.annas(0, world.to_berta())])
    };
    let mut stale = world.annas(2, world.to_berta());
    engine.decide(moved).await.unwrap();
    engine
        .decide(skip(&world, 1, ReviewHow::SkippedByRule))
        .await
        .unwrap();
    assert_eq!((last(None), last(Some(&pair))), (Some(1), Some(1)));
    engine
        .decide(skip(&world, 1, ReviewHow::Skipped))
        .await
        .unwrap();
    assert_eq!(last(None), Some(3), "a person's skip is a decision");
    // Of no pair.
    engine
        .decide(of(vec![world.annas(1, Action::Keep)]))
        .await
        .unwrap();
    assert_eq!((last(None), last(Some(&pair))), (Some(4), Some(3)));
    // Stopped before anything was sent; then with one face sent.
    stale.from.as_mut().unwrap().id = pair.correct.clone();
    stale.action = Action::Unassign;
    let stopped = engine.decide(of(vec![stale.clone()])).await.unwrap();
    assert!(matches!(stopped.status, Status::Stopped { .. }));
    assert_eq!(last(None), Some(4));
    let partly = of(vec![world.annas(1, world.to_berta()), stale]);
    let stopped = engine.decide(partly).await.unwrap();
    assert!(matches!(stopped.status, Status::Stopped { .. }));
    assert_eq!(last(None), Some(6));
    // Undone ones are passed by.
    for id in [6, 4, 3] {
        assert_eq!(last(None), Some(id));
        engine.undo(TransactionId(id), at(1), "Uta").await.unwrap();
    }
    assert_eq!(last(None), Some(1));
}

#[tokio::test]
async fn a_transaction_that_stopped_after_making_a_person_can_still_be_the_last() {
    let world = World::new().await;
    let engine = world.engine().await;
    world
        .fake
        .fail("PUT /api/faces/", u32::MAX, Fault::Status(400));
    let decision = world.annas(0, new_person("Clara", 0));
    let outcome = engine.decide(of(vec![decision])).await.unwrap();
    assert!(matches!(outcome.status, Status::Stopped { .. }));
    world.fake.heal();
    let last = engine.look(|past| past.last_decision(None).map(|past| past.id));
    assert_eq!((last, world.n_people()), (outcome.id, 3));
    engine.undo(last.unwrap(), at(1), "Uta").await.unwrap();
    assert_eq!(world.n_people(), 2);
}

#[tokio::test]
async fn an_undo_that_the_server_refuses_ends_and_holds_up_nothing() {
    let world = World::new().await;
    let engine = world.engine().await;
    let decisions = vec![
        world.annas(1, world.to_berta()),
        world.annas(2, world.to_berta()),
    ];
    let outcome = engine.decide(of(decisions)).await.unwrap();
    // The last face is the first to be taken back.
    let faces_of = format!("GET /api/faces?id={}", world.photos[2]);
    world.fake.fail(&faces_of, u32::MAX, Fault::Status(400));
    let report = engine
        .undo(outcome.id.unwrap(), at(1), "Uta")
        .await
        .unwrap();
    assert!(report.done && !report.is_complete(), "{report:?}");
    assert_eq!(report.faces[0], (0, Restored::Back));
    assert!(
        matches!(&report.faces[1], (1, Restored::Refused { why }) if why.contains("400")),
        "{report:?}"
    );
    assert_eq!(world.person_of(world.faces[1]), Some(world.anna));
    assert_eq!(engine.history()[0].standing(), Standing::Undone);
    let next = engine.decide(of(vec![world.annas(0, world.to_berta())]));
    assert_eq!(next.await.unwrap().status, Status::Applied);
}

#[tokio::test]
async fn a_person_that_cannot_be_looked_for_is_told_and_the_undo_ends() {
    let world = World::new().await;
    let engine = world.engine().await;
    // Whether Clara was made is not known, as the answer got lost.
    world.fake.fail("POST /api/people", 1, Fault::LostAnswer);
    world.fake.fail("POST /api/people", u32::MAX, Fault::Reset);
    let decision = world.annas(0, new_person("Clara", 0));
    let outcome = engine.decide(of(vec![decision])).await.unwrap();
    assert!(matches!(outcome.status, Status::Waiting { .. }));
    world.fake.heal();
    world
        .fake
        .fail("GET /api/search/person", u32::MAX, Fault::Status(400));
    let report = engine
        .undo(outcome.id.unwrap(), at(1), "Uta")
        .await
        .unwrap();
    assert!(report.done && !report.is_complete(), "{report:?}");
    assert!(report.why.unwrap().contains("400"));
    let next = engine.decide(of(vec![world.annas(1, world.to_berta())]));
    assert_eq!(next.await.unwrap().status, Status::Applied);
}

#[tokio::test]
async fn an_undo_waits_for_a_key_that_the_server_knows() {
    let world = World::new().await;
    let before = world.state();
    let engine = world.engine().await;
    let decisions = vec![world.annas(0, world.to_berta())];
    let outcome = engine.decide(of(decisions)).await.unwrap();
    world.fake.fail("", u32::MAX, Fault::Status(401));
    let report = engine
        .undo(outcome.id.unwrap(), at(1), "Uta")
        .await
        .unwrap();
    assert!(!report.done && report.faces.is_empty(), "{report:?}");
    world.fake.heal();
    let (_, undone) = engine.resume().await.unwrap();
    assert!(undone[0].is_complete(), "{undone:?}");
    assert_eq!(world.state(), before);
}
