//! The server goes away, or the program ends, at every moment of a transaction.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::time::Duration;

use face_fix::{Action, Error, Journal, Standing, Status, TransactionId};
use immich_fake::Fault;
use support::{World, at, new_person, of};

/// Lets `n` requests through; then `fault` once, then nothing but resets.
fn cut_after(world: &World, n: u32, fault: Fault) {
    world.fake.fail("", n, Fault::Slow(Duration::ZERO));
    world.fake.fail("", 1, fault);
    world.fake.fail("", u32::MAX, Fault::Reset);
}

fn three_kinds(world: &World) -> Vec<face_fix::Decision> {
    vec![
        world.annas(0, world.to_berta()),
        world.annas(1, new_person("Clara", 0)),
        world.annas(2, new_person("Clara", 0)),
    ]
}

/// Removes the last `n` lines of the journal: the program ended before it wrote them.
/// What is written before a request cannot be missing after it.
fn forget_lines(world: &World, n: usize) {
    let text = std::fs::read_to_string(world.journal_path()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let ahead = ["sending", "creating"].map(|entry| format!("\"line\":{{\"entry\":\"{entry}\""));
    let last = lines[lines.len() - 1];
    if ahead.iter().any(|entry| last.contains(entry)) {
        return;
    }
    let kept: String = lines[..lines.len() - n]
        .iter()
        .map(|line| format!("{line}\n"))
        .collect();
    std::fs::write(world.journal_path(), kept).unwrap();
}

async fn expected_after(undo: bool) -> (String, usize) {
    let world = World::new().await;
    let engine = world.engine().await;
    let outcome = engine.decide(of(three_kinds(&world))).await.unwrap();
    assert_eq!(outcome.status, Status::Applied);
    world.fake.clear_log();
    if undo {
        engine
            .undo(outcome.id.unwrap(), at(1), "Uta")
            .await
            .unwrap();
    }
    (who_has_what(&world), world.fake.log().len())
}

/// Names of the people with each face, in order; made people have other ids each time.
fn who_has_what(world: &World) -> String {
    let names: Vec<Option<String>> = world
        .faces
        .iter()
        .map(|face| world.person_of(*face))
        .map(|person| {
            let person = person?;
            world
                .fake
                .with_library(|library| Some(library.person(person)?.name.clone()))
        })
        .collect();
    let clara_is_one = world.person_of(world.faces[1]) == world.person_of(world.faces[2]);
    format!("{names:?} {clara_is_one}")
}

#[tokio::test]
async fn a_decision_cut_at_any_request_is_finished_by_the_next_start() {
    let (expected, _) = expected_after(false).await;
    let mut n_waited = 0;
    for lost_answer in [false, true] {
        for forgotten in [0, 1] {
            for n in 0..40 {
                let world = World::new().await;
                let engine = world.engine().await;
                let fault = if lost_answer {
                    Fault::LostAnswer
                } else {
                    Fault::Reset
                };
                cut_after(&world, n, fault);
                let outcome = engine.decide(of(three_kinds(&world))).await.unwrap();
                let finished = outcome.status == Status::Applied;
                drop(engine);
                world.fake.heal();
                if !finished {
                    n_waited += 1;
                    assert!(
                        matches!(outcome.status, Status::Waiting { .. }),
                        "{outcome:?}"
                    );
                    forget_lines(&world, forgotten);
                }
                let case = format!("lost {lost_answer}, forgotten {forgotten}, after {n}");
                let known = Journal::read(&world.journal_path()).unwrap();
                let (engine, _) = world.start().await;
                if known.transactions().is_empty() {
                    // Ended before the decision was written: it was never made.
                    assert_eq!(world.person_of(world.faces[0]), Some(world.anna), "{case}");
                    continue;
                }
                assert_eq!(who_has_what(&world), expected, "{case}");
                assert_eq!(engine.history()[0].standing(), Standing::Applied, "{case}");
                // Clara was made once, also when the answer got lost.
                assert_eq!(world.n_people(), 3, "{case}");
                let undone = engine.undo(TransactionId(1), at(1), "Uta").await.unwrap();
                assert!(undone.is_complete(), "{case}: {undone:?}");
                assert_eq!(world.n_people(), 2, "{case}");
                assert_eq!(world.feature_of(world.anna), Some(world.faces[0]), "{case}");
                if finished {
                    break;
                }
            }
        }
    }
    assert!(n_waited > 40, "only {n_waited} cuts hit");
}

#[tokio::test]
async fn an_undo_cut_at_any_request_is_finished_by_the_next_start() {
    let (expected, n_requests) = expected_after(true).await;
    for fault in [Fault::Reset, Fault::LostAnswer] {
        for forgotten in [0, 1] {
            for n in 0..n_requests as u32 {
                let world = World::new().await;
                let before = world.state();
                let engine = world.engine().await;
                let id = engine
                    .decide(of(three_kinds(&world)))
                    .await
                    .unwrap()
                    .id
                    .unwrap();
                cut_after(&world, n, fault.clone());
                let report = engine.undo(id, at(1), "Uta").await.unwrap();
                let case = format!("{fault:?}, forgotten {forgotten}, after {n}: {report:?}");
                drop(engine);
                world.fake.heal();
                if !report.done {
                    forget_lines(&world, forgotten);
                }
                let (engine, _) = world.start().await;
                if engine.history()[0].standing() == Standing::Applied {
                    // Ended before the undoing was written.
                    engine.undo(id, at(2), "Uta").await.unwrap();
                }
                assert_eq!(engine.history()[0].standing(), Standing::Undone, "{case}");
                assert_eq!(who_has_what(&world), expected, "{case}");
                assert_eq!(world.state(), before, "{case}");
            }
        }
    }
}

#[tokio::test]
async fn an_outage_keeps_the_decision_and_the_next_one_waits_its_turn() {
    let mut world = World::new().await;
    let engine = world.engine().await;
    world.fake.stop();
    let first = engine
        .decide(of(vec![world.annas(0, world.to_berta())]))
        .await
        .unwrap();
    assert!(matches!(first.status, Status::Waiting { .. }), "{first:?}");
    let second = engine
        .decide(of(vec![world.annas(1, world.to_berta())]))
        .await;
    assert!(
        matches!(
            second,
            Err(Error::Waiting {
                id: TransactionId(1),
                ..
            })
        ),
        "{second:?}"
    );
    world.fake.restart().await;
    let second = engine
        .decide(of(vec![world.annas(1, world.to_berta())]))
        .await
        .unwrap();
    assert_eq!(second.status, Status::Applied);
    assert_eq!(world.person_of(world.faces[0]), Some(world.berta));
    assert_eq!(engine.history().len(), 2);
}

#[tokio::test]
async fn a_waiting_decision_can_be_taken_back() {
    for n in [0, 1, 2, 3, 6, 9] {
        let world = World::new().await;
        let before = world.state();
        let engine = world.engine().await;
        cut_after(&world, n, Fault::LostAnswer);
        let outcome = engine.decide(of(three_kinds(&world))).await.unwrap();
        assert!(
            matches!(outcome.status, Status::Waiting { .. }),
            "{n}: {outcome:?}"
        );
        let report = engine.undo(TransactionId(1), at(1), "Uta").await.unwrap();
        world.fake.heal();
        // Where nothing had been sent, nothing needs the server.
        let n_sent = world.fake.n_requests("PUT /api/faces/");
        assert_eq!(report.done, n_sent == 0, "{n}: {report:?}");
        if report.done {
            assert_eq!(engine.history()[0].standing(), Standing::Undone, "{n}");
        } else if engine.history()[0].standing() == Standing::Open {
            engine.undo(TransactionId(1), at(1), "Uta").await.unwrap();
        } else {
            engine.resume().await.unwrap();
        }
        assert_eq!(engine.history()[0].standing(), Standing::Undone, "{n}");
        assert_eq!(world.state(), before, "{n}");
    }
}

#[tokio::test]
async fn maintenance_and_proxy_pages_are_outages() {
    let world = World::new().await;
    let engine = world.engine().await;
    world.fake.set_maintenance(true);
    let outcome = engine
        .decide(of(vec![world.annas(0, world.to_berta())]))
        .await
        .unwrap();
    assert!(
        matches!(outcome.status, Status::Waiting { .. }),
        "{outcome:?}"
    );
    world.fake.heal();
    world.fake.fail("GET /api/faces", 1, Fault::WebPage);
    let (outcomes, _) = engine.resume().await.unwrap();
    assert!(
        matches!(outcomes[0].status, Status::Waiting { .. }),
        "{outcomes:?}"
    );
    let (outcomes, _) = engine.resume().await.unwrap();
    assert_eq!(outcomes[0].status, Status::Applied);
}

#[tokio::test]
async fn unassigning_through_a_lost_answer_leaves_one_more_person_without_faces_at_most() {
    let world = World::new().await;
    let engine = world.engine().await;
    world.fake.fail("POST /api/people", 1, Fault::LostAnswer);
    let outcome = engine
        .decide(of(vec![world.annas(0, Action::Unassign)]))
        .await
        .unwrap();
    assert!(
        matches!(outcome.status, Status::Waiting { .. }),
        "{outcome:?}"
    );
    engine.resume().await.unwrap();
    assert_eq!(engine.history()[0].standing(), Standing::Applied);
    assert_eq!(world.n_people(), 4);
    let report = engine.undo(TransactionId(1), at(1), "Uta").await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(world.n_people(), 3);
}
