//! Verifying and replaying go by the last word on a face, also when its id changed.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use face_fix::{
    Action, Engine, Found, Past, Plan, Replay, Transaction, TransactionId, VerifyReport, apply,
    plan_replay, verify,
};
use faceset_core::{CancelToken, NoProgress};
use support::{World, at, new_person, of, person_ref};

async fn verified(world: &World, past: &Past) -> VerifyReport {
    let cancel = CancelToken::default();
    verify(&world.client(), past, None, &NoProgress, &cancel)
        .await
        .unwrap()
}

async fn replayed(world: &World, past: &Past) -> Replay {
    let (client, cancel) = (world.client(), CancelToken::default());
    let blank = Transaction::new(at(9), "Uta");
    plan_replay(&client, past, None, &blank, &NoProgress, &cancel)
        .await
        .unwrap()
}

async fn send(engine: &Engine, replay: Replay) {
    let plan = Plan::new(at(9), engine, "replay", replay.transactions);
    let cancel = CancelToken::default();
    let report = apply(engine, &plan, &NoProgress, &cancel).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
}

fn past(engine: &Engine) -> Past {
    engine.look(Clone::clone)
}

#[tokio::test]
async fn a_face_that_was_kept_later_is_not_moved_against_that() {
    let world = World::new().await;
    let engine = world.engine().await;
    let decisions = vec![
        world.annas(0, world.to_berta()),
        world.annas(1, world.to_berta()),
    ];
    engine.decide(of(decisions)).await.unwrap();
    // Given back in Immich, then judged right where it is.
    world
        .fake
        .with_library(|library| library.reassign(world.faces[0], world.anna));
    let kept = engine.decide(of(vec![world.annas(0, Action::Keep)])).await;
    let kept = kept.unwrap().id.unwrap();
    let report = verified(&world, &past(&engine)).await;
    assert_eq!((report.n_as_decided(), report.rows.len()), (1, 1));
    assert_eq!(report.rows[0].decision, 1);
    let replay = replayed(&world, &past(&engine)).await;
    assert!(replay.transactions.is_empty() && replay.report == report);
    // A judgement that was taken back does not count.
    engine.undo(kept, at(1), "Uta").await.unwrap();
    let replay = replayed(&world, &past(&engine)).await;
    assert_eq!(replay.report.n_different(), 1);
    assert_eq!(replay.transactions.len(), 1);
    // Given away again after it was kept, that counts.
    let kept = vec![world.annas(0, Action::Keep)];
    engine.decide(of(kept)).await.unwrap();
    let given = vec![world.annas(0, world.to_berta())];
    engine.decide(of(given)).await.unwrap();
    assert_eq!(verified(&world, &past(&engine)).await.n_as_decided(), 2);
}

#[tokio::test]
async fn what_was_kept_asks_the_server_nothing() {
    let world = World::new().await;
    let engine = world.engine().await;
    let kept = (0..3).map(|i| world.annas(i, Action::Keep)).collect();
    engine.decide(of(kept)).await.unwrap();
    world.fake.clear_log();
    assert!(verified(&world, &past(&engine)).await.rows.is_empty());
    assert!(
        replayed(&world, &past(&engine))
            .await
            .report
            .rows
            .is_empty()
    );
    assert!(world.fake.log().is_empty());
}

#[tokio::test]
async fn a_face_that_was_kept_under_a_new_id_is_not_moved_by_the_old_word() {
    let world = World::new().await;
    let engine = world.engine().await;
    let given = vec![world.annas(0, world.to_berta())];
    engine.decide(of(given)).await.unwrap();
    let anew = world.forget(world.photos);
    assert_eq!(
        replayed(&world, &past(&engine)).await.transactions.len(),
        1,
        "the old word leads to the new face"
    );
    let kept = world.decide(anew.photos[0], anew.faces[0], Action::Keep);
    engine.decide(of(vec![kept])).await.unwrap();
    let replay = replayed(&world, &past(&engine)).await;
    assert!(replay.report.rows.is_empty() && replay.transactions.is_empty());
    // The photo and the face get new ids once more: what was kept is found as others are.
    world.forget(anew.photos);
    let replay = replayed(&world, &past(&engine)).await;
    assert!(replay.report.rows.is_empty() && replay.transactions.is_empty());
}

#[tokio::test]
async fn the_newest_word_counts_after_ids_changed_and_rows_stay_in_the_journals_order() {
    let world = World::new().await;
    let engine = world.engine().await;
    let decisions = vec![
        world.annas(0, world.to_berta()),
        world.annas(1, world.to_berta()),
    ];
    engine.decide(of(decisions)).await.unwrap();
    let anew = world.forget(world.photos);
    let replay = replayed(&world, &past(&engine)).await;
    let order: Vec<usize> = replay.report.rows.iter().map(|row| row.decision).collect();
    assert_eq!(order, [0, 1]);
    let sent = &replay.transactions[0].decisions;
    let sent: Vec<&str> = sent.iter().map(|d| d.face.as_str()).collect();
    assert_eq!(sent, [0, 1].map(|i| anew.faces[i].to_string()));
    send(&engine, replay).await;
    let clara = vec![world.decide(anew.photos[0], anew.faces[0], new_person("Clara", 0))];
    engine.decide(of(clara)).await.unwrap();
    let owner = world.person_of(anew.faces[0]);
    assert!(owner != Some(anew.berta) && world.person_of(anew.faces[1]) == Some(anew.berta));

    let report = verified(&world, &past(&engine)).await;
    let rows: Vec<(TransactionId, usize)> = report
        .rows
        .iter()
        .map(|row| (row.id, row.decision))
        .collect();
    assert_eq!(rows, [(TransactionId(2), 1), (TransactionId(3), 0)]);
    assert_eq!(report.n_as_decided(), 2);
    let replay = replayed(&world, &past(&engine)).await;
    assert!(replay.transactions.is_empty(), "{replay:?}");
}

#[tokio::test]
async fn a_face_taken_from_everybody_is_so_with_any_unnamed_person_but_its_giver() {
    for action in [Action::Unassign, Action::NotAFace] {
        let world = World::new().await;
        let engine = world.engine().await;
        let decision = world.annas(0, action.clone());
        engine.decide(of(vec![decision])).await.unwrap();
        let old = past(&engine);
        let first = world.forget(world.photos);
        send(&engine, replayed(&world, &past(&engine)).await).await;
        let n_people = world.n_people();
        // The old journal again: nobody is made once more.
        let replay = replayed(&world, &old).await;
        assert_eq!(replay.report.rows[0].found, Found::AsDecided, "{action:?}");
        assert!(replay.transactions.is_empty());
        // Two words want an unnamed person for the same face now: one is sent.
        let second = world.forget(first.photos);
        let replay = replayed(&world, &past(&engine)).await;
        assert_eq!(
            (replay.report.rows.len(), replay.transactions.len()),
            (1, 1)
        );
        send(&engine, replay).await;
        assert_eq!(world.n_people(), n_people);
        assert_ne!(world.person_of(second.faces[0]), Some(second.anna));
        let report = verified(&world, &past(&engine)).await;
        assert_eq!((report.n_as_decided(), report.rows.len()), (1, 1));
    }
}

#[tokio::test]
async fn a_face_that_is_back_with_its_unnamed_giver_or_nobody_is_not_as_decided() {
    let world = World::new().await;
    let (giver, other) = world.fake.with_library(|library| {
        let giver = library.add_person(world.user, "");
        library.reassign(world.faces[1], giver);
        (giver, library.add_person(world.user, ""))
    });
    let engine = world.engine().await;
    let decision = world.annas(1, Action::Unassign);
    assert_eq!(decision.from, Some(person_ref(giver, "")));
    engine.decide(of(vec![decision])).await.unwrap();
    for (now, as_decided) in [(other, 1), (giver, 0)] {
        world
            .fake
            .with_library(|library| library.reassign(world.faces[1], now));
        let report = verified(&world, &past(&engine)).await;
        assert_eq!((report.n_as_decided(), report.rows.len()), (as_decided, 1));
    }
    world
        .fake
        .with_library(|library| library.remove_person(giver));
    assert_eq!(world.person_of(world.faces[1]), None);
    let report = verified(&world, &past(&engine)).await;
    assert_eq!(report.rows[0].found, Found::Elsewhere { now: None });
}
