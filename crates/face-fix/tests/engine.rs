//! The engine against a server: what is sent, what is refused, what is taken back.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use face_fix::{
    Action, DecisionOutcome, Engine, Error, Feature, FeatureRestored, Function, Journal, Mode,
    Pair, PersonRemoved, Restored, Review, ReviewHow, Settled, Standing, Status, Transaction,
    TransactionId,
};
use immich_fake::{Fault, Shape};
use support::{World, at, new_person, of, person_ref};

fn settled(outcome: &face_fix::Outcome, at: usize) -> &Settled {
    match &outcome.decisions[at] {
        DecisionOutcome::Settled { how } => how,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_face_is_moved_read_back_and_undone_with_its_feature_photo() {
    let world = World::new().await;
    let before = world.state();
    let engine = world.engine().await;
    let outcome = engine
        .decide(of(vec![world.annas(0, world.to_berta())]))
        .await
        .unwrap();
    assert_eq!(outcome.status, Status::Applied);
    assert_eq!(world.person_of(world.faces[0]), Some(world.berta));
    let Settled::Moved { to, feature } = settled(&outcome, 0) else {
        panic!("{outcome:?}");
    };
    assert_eq!(
        (to.as_str(), *feature),
        (world.berta.to_string().as_str(), Feature::Lost)
    );
    assert_ne!(world.feature_of(world.anna), Some(world.faces[0]));

    let report = engine
        .undo(outcome.id.unwrap(), at(1), "Uta")
        .await
        .unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(report.features[0].2, FeatureRestored::Set);
    assert_eq!(world.state(), before);
    assert_eq!(engine.history()[0].standing(), Standing::Undone);
}

#[tokio::test]
async fn a_face_that_is_nobodys_feature_leaves_feature_photos_alone() {
    let world = World::new().await;
    let engine = world.engine().await;
    let outcome = engine
        .decide(of(vec![world.annas(1, world.to_berta())]))
        .await
        .unwrap();
    assert!(matches!(
        settled(&outcome, 0),
        Settled::Moved {
            feature: Feature::Untouched,
            ..
        }
    ));
    let report = engine
        .undo(outcome.id.unwrap(), at(1), "Uta")
        .await
        .unwrap();
    assert!(
        report.is_complete() && report.features.is_empty(),
        "{report:?}"
    );
    assert_eq!(world.fake.n_requests("PUT /api/people/"), 0);
}

#[tokio::test]
async fn undo_says_where_the_key_may_not_restore_the_feature_photo() {
    let allowed = [
        "asset.read",
        "face.read",
        "face.update",
        "person.read",
        "person.create",
        "person.delete",
        "user.read",
    ];
    let world = World::with(Shape::v2_7_2(), &allowed).await;
    let (engine, start) = world.start().await;
    let missing: Vec<&str> = start
        .permissions
        .missing
        .iter()
        .map(|m| m.permission.as_str())
        .collect();
    assert_eq!(missing, ["asset.view", "person.update"]);
    assert!(!start.permissions.allow(Function::RestoreFeature));
    assert!(start.permissions.allow(Function::Reassign));
    let outcome = engine
        .decide(of(vec![world.annas(0, world.to_berta())]))
        .await
        .unwrap();
    let report = engine
        .undo(outcome.id.unwrap(), at(1), "Uta")
        .await
        .unwrap();
    assert_eq!(world.person_of(world.faces[0]), Some(world.anna));
    assert!(report.done && !report.is_complete());
    let permission = "person.update".to_owned();
    assert_eq!(
        report.features[0].2,
        FeatureRestored::NotAllowed { permission }
    );
}

#[tokio::test]
async fn unassigned_faces_get_a_person_that_undo_deletes() {
    let world = World::new().await;
    let before = world.state();
    let engine = world.engine().await;
    let decisions = vec![
        world.annas(1, Action::Unassign),
        world.annas(2, Action::Unassign),
    ];
    let outcome = engine.decide(of(decisions)).await.unwrap();
    assert_eq!(outcome.status, Status::Applied);
    assert_eq!(world.n_people(), 4);
    assert_ne!(
        world.person_of(world.faces[1]),
        world.person_of(world.faces[2])
    );
    let report = engine
        .undo(outcome.id.unwrap(), at(1), "Uta")
        .await
        .unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(report.people.len(), 2);
    assert_eq!(world.state(), before);
}

#[tokio::test]
async fn a_made_person_that_is_used_stays_on_undo() {
    let world = World::new().await;
    let engine = world.engine().await;
    let decisions = vec![
        world.annas(0, Action::Unassign),
        world.annas(1, Action::Unassign),
    ];
    let outcome = engine.decide(of(decisions)).await.unwrap();
    let [first, second] = [0, 1].map(|i| world.person_of(world.faces[i]).unwrap());
    // One gets a face on an archived photo, the other a name.
    world.fake.with_library(|library| {
        library.update_asset(world.photos[2], |asset| asset.visibility = "archive");
        library.reassign(world.faces[2], first);
        library.update_person(second, |person| person.name = "Clara".to_owned());
    });
    let report = engine
        .undo(outcome.id.unwrap(), at(1), "Uta")
        .await
        .unwrap();
    assert!(
        report.faces.iter().all(|(_, how)| *how == Restored::Back),
        "{report:?}"
    );
    let in_use = report
        .people
        .iter()
        .all(|(_, how)| matches!(how, PersonRemoved::InUse { .. }));
    assert!(in_use, "{report:?}");
    assert_eq!(world.person_of(world.faces[2]), Some(first));
    assert!(!report.is_complete());
}

#[tokio::test]
async fn faces_of_one_group_get_one_new_person_with_the_name() {
    let world = World::new().await;
    let before = world.state();
    let engine = world.engine().await;
    let outcome = engine
        .decide(of(vec![
            world.annas(0, new_person("Clara", 0)),
            world.annas(1, new_person("Clara", 1)),
            world.annas(2, new_person("Clara", 0)),
        ]))
        .await
        .unwrap();
    assert_eq!(outcome.status, Status::Applied);
    let people = [0, 1, 2].map(|i| world.person_of(world.faces[i]).unwrap());
    assert_eq!(people[0], people[2]);
    assert_ne!(people[0], people[1]);
    let name = world
        .fake
        .with_library(|library| library.person(people[1]).unwrap().name.clone());
    assert_eq!(name, "Clara");
    // All three of Anna's faces are gone: her feature photo was lost on the way.
    let report = engine
        .undo(outcome.id.unwrap(), at(1), "Uta")
        .await
        .unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(world.state(), before);
}

#[tokio::test]
async fn a_face_of_nobody_is_nobodys_again_after_undo() {
    let world = World::new().await;
    let face = world.fake.with_library(|library| {
        library.add_face(world.photos[0], None, [900, 100, 1000, 220], support::FRAME)
    });
    let before = world.state();
    let engine = world.engine().await;
    let decision = world.decide(world.photos[0], face, world.to_berta());
    let outcome = engine.decide(of(vec![decision])).await.unwrap();
    assert_eq!(world.person_of(face), Some(world.berta));
    let report = engine
        .undo(outcome.id.unwrap(), at(1), "Uta")
        .await
        .unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(world.person_of(face), None);
    assert_eq!(world.state(), before);
}

#[tokio::test]
async fn what_changed_meanwhile_stops_before_anything_is_sent() {
    let world = World::new().await;
    let engine = world.engine().await;
    let clara = world
        .fake
        .with_library(|library| library.add_person(world.user, "Clara"));
    let decisions = vec![
        world.annas(0, world.to_berta()),
        world.annas(1, world.to_berta()),
    ];
    world
        .fake
        .with_library(|library| library.reassign(world.faces[0], clara));
    let outcome = engine.decide(of(decisions)).await.unwrap();
    let Status::Stopped {
        at_decision: 0,
        why,
    } = &outcome.status
    else {
        panic!("{outcome:?}");
    };
    assert!(why.contains(&clara.to_string()), "{why}");
    assert_eq!(outcome.decisions[1], DecisionOutcome::Open);
    assert_eq!(world.fake.n_requests("PUT "), 0);
    // The next decision is not held up.
    let outcome = engine
        .decide(of(vec![world.annas(1, world.to_berta())]))
        .await
        .unwrap();
    assert_eq!(outcome.status, Status::Applied);
}

#[tokio::test]
async fn undo_leaves_alone_what_somebody_moved_since() {
    let world = World::new().await;
    let engine = world.engine().await;
    let outcome = engine
        .decide(of(vec![world.annas(1, world.to_berta())]))
        .await
        .unwrap();
    let clara = world.fake.with_library(|library| {
        let clara = library.add_person(world.user, "Clara");
        library.reassign(world.faces[1], clara);
        clara
    });
    let report = engine
        .undo(outcome.id.unwrap(), at(1), "Uta")
        .await
        .unwrap();
    let now = Some(clara.to_string().parse().unwrap());
    assert_eq!(report.faces, [(0, Restored::MovedSince { now })]);
    assert_eq!(world.person_of(world.faces[1]), Some(clara));
    let again = engine
        .undo(outcome.id.unwrap(), at(2), "Uta")
        .await
        .unwrap_err();
    assert!(matches!(again, Error::CannotUndo { .. }), "{again}");
}

#[tokio::test]
async fn undo_says_when_the_giver_or_the_face_is_gone() {
    let world = World::new().await;
    let engine = world.engine().await;
    let decisions = vec![
        world.annas(1, world.to_berta()),
        world.annas(2, world.to_berta()),
    ];
    let outcome = engine.decide(of(decisions)).await.unwrap();
    world.fake.with_library(|library| {
        library.remove_asset(world.photos[2]);
        library.remove_person(world.anna);
    });
    let report = engine
        .undo(outcome.id.unwrap(), at(1), "Uta")
        .await
        .unwrap();
    assert_eq!(
        report.faces,
        [(0, Restored::GiverGone), (1, Restored::Gone)]
    );
    assert!(report.done && !report.is_complete());
}

#[tokio::test]
async fn gone_faces_and_photos_are_counted_and_the_rest_is_done() {
    let world = World::new().await;
    let engine = world.engine().await;
    let decisions: Vec<_> = (0..3).map(|i| world.annas(i, world.to_berta())).collect();
    world.fake.with_library(|library| {
        library.remove_asset(world.photos[0]);
        library.update_face(world.faces[1], |face| face.deleted = true);
    });
    let outcome = engine.decide(of(decisions)).await.unwrap();
    assert_eq!(outcome.status, Status::Applied);
    assert_eq!(
        [settled(&outcome, 0), settled(&outcome, 1)],
        [&Settled::Gone, &Settled::Gone]
    );
    assert_eq!(world.person_of(world.faces[2]), Some(world.berta));
}

#[tokio::test]
async fn a_face_that_is_there_already_is_not_sent_and_not_undone() {
    let world = World::new().await;
    let engine = world.engine().await;
    let decision = world.annas(0, world.to_berta());
    world
        .fake
        .with_library(|library| library.reassign(world.faces[0], world.berta));
    let outcome = engine.decide(of(vec![decision])).await.unwrap();
    assert!(matches!(settled(&outcome, 0), Settled::AlreadyThere { .. }));
    engine
        .undo(outcome.id.unwrap(), at(1), "Uta")
        .await
        .unwrap();
    assert_eq!(world.person_of(world.faces[0]), Some(world.berta));
    assert_eq!(world.fake.n_requests("PUT "), 0);
}

#[tokio::test]
async fn a_success_that_changed_nothing_is_found_by_reading_back() {
    let world = World::new().await;
    let engine = world.engine().await;
    let person = format!("{{\"id\":\"{}\",\"name\":\"Berta\"}}", world.berta);
    world
        .fake
        .fail("PUT /api/faces/", 1, Fault::Pretend(person));
    let decisions = vec![
        world.annas(0, world.to_berta()),
        world.annas(1, world.to_berta()),
    ];
    let outcome = engine.decide(of(decisions)).await.unwrap();
    let Status::Stopped {
        at_decision: 0,
        why,
    } = &outcome.status
    else {
        panic!("{outcome:?}");
    };
    assert!(why.contains("reading it back"), "{why}");
    assert_eq!(world.person_of(world.faces[1]), Some(world.anna));
    assert_eq!(engine.history()[0].standing(), Standing::Stopped);
}

#[tokio::test]
async fn missing_permission_stops_and_is_named_on_both_server_generations() {
    for shape in [Shape::v2_7_2(), Shape::v3_2()] {
        let allowed = ["asset.read", "face.read", "person.read", "user.read"];
        let world = World::with(shape, &allowed).await;
        let engine = world.engine().await;
        let outcome = engine
            .decide(of(vec![world.annas(0, world.to_berta())]))
            .await
            .unwrap();
        let Status::Stopped { why, .. } = &outcome.status else {
            panic!("{outcome:?}");
        };
        assert!(why.contains("face.update"), "{why}");
    }
}

#[tokio::test]
async fn a_target_that_is_gone_stops_and_the_face_stays() {
    let world = World::new().await;
    let engine = world.engine().await;
    let decision = world.annas(0, world.to_berta());
    world
        .fake
        .with_library(|library| library.remove_person(world.berta));
    let outcome = engine.decide(of(vec![decision])).await.unwrap();
    assert!(
        matches!(outcome.status, Status::Stopped { .. }),
        "{outcome:?}"
    );
    assert_eq!(world.person_of(world.faces[0]), Some(world.anna));
}

#[tokio::test]
async fn old_and_new_servers_move_and_undo_alike() {
    for shape in [Shape::v1_118(), Shape::v3_2()] {
        let world = World::with(shape, support::ALL).await;
        let before = world.state();
        let (engine, _) = world.start().await;
        let decisions = vec![
            world.annas(0, world.to_berta()),
            world.annas(1, Action::Unassign),
        ];
        let outcome = engine.decide(of(decisions)).await.unwrap();
        assert_eq!(outcome.status, Status::Applied);
        let report = engine
            .undo(outcome.id.unwrap(), at(1), "Uta")
            .await
            .unwrap();
        assert!(report.is_complete(), "{report:?}");
        assert_eq!(world.state(), before);
    }
}

#[tokio::test]
async fn edited_photos_are_corrected_like_others() {
    let world = World::new().await;
    world.fake.with_library(|library| {
        library.update_asset(world.photos[0], |asset| {
            asset.crop = Some(immich_fake::Crop {
                x: 10,
                y: 20,
                width: 1500,
                height: 1900,
            });
        });
    });
    let engine = world.engine().await;
    let outcome = engine
        .decide(of(vec![world.annas(0, world.to_berta())]))
        .await
        .unwrap();
    assert_eq!(outcome.status, Status::Applied);
    assert_eq!(world.person_of(world.faces[0]), Some(world.berta));
}

#[tokio::test]
async fn read_only_refuses_and_dry_run_tells_without_a_trace() {
    let world = World::new().await;
    let before = world.state();
    let read_only = Mode {
        read_only: true,
        dry_run: false,
    };
    let (engine, _) = world.start_as(read_only).await.unwrap();
    let refused = engine
        .decide(of(vec![world.annas(0, world.to_berta())]))
        .await;
    assert!(matches!(refused, Err(Error::ReadOnly)));
    drop(engine);
    let dry = Mode {
        read_only: false,
        dry_run: true,
    };
    let (engine, _) = world.start_as(dry).await.unwrap();
    let mut decisions = vec![
        world.annas(0, world.to_berta()),
        world.annas(1, Action::Unassign),
    ];
    decisions.push(world.annas(2, Action::Keep));
    let outcome = engine.decide(of(decisions)).await.unwrap();
    assert_eq!((outcome.id, &outcome.status), (None, &Status::DryRun));
    assert_eq!(
        outcome.decisions[..2],
        [DecisionOutcome::WouldSend, DecisionOutcome::WouldSend]
    );
    assert!(matches!(
        engine.undo(TransactionId(1), at(0), "Uta").await,
        Err(Error::ReadOnly)
    ));
    assert_eq!(world.state(), before);
    assert!(engine.history().is_empty());
    drop(engine);
    let journal = std::fs::read_to_string(world.journal_path()).unwrap();
    assert_eq!(journal.lines().count(), 1);
    let mut looked_at = Journal::open_to_look(&world.journal_path()).unwrap();
    assert!(looked_at.past().transactions().is_empty());
    let _writer = world.journal();
    looked_at = Journal::open_to_look(&world.journal_path()).unwrap();
    let engine = Engine::new(world.client(), looked_at, Mode::default()).await;
    assert!(
        matches!(engine, Err(Error::ReadOnly)),
        "who only looks cannot write"
    );
}

#[tokio::test]
async fn a_journal_of_another_user_is_refused() {
    let world = World::new().await;
    drop(world.engine().await);
    let other = world.fake.with_library(|library| {
        let other = library.add_user("Vera");
        library.add_key(other, "fix", support::ALL)
    });
    let started =
        face_fix::Engine::new(world.client_with(&other), world.journal(), Mode::default());
    let error = started.await.unwrap_err();
    assert!(matches!(error, Error::ForeignJournal { .. }), "{error}");
}

#[tokio::test]
async fn reviewed_photos_and_figures_follow_undo_and_reset() {
    let world = World::new().await;
    let engine = world.engine().await;
    let pair = Pair {
        wrong: world.anna.to_string().parse().unwrap(),
        correct: world.berta.to_string().parse().unwrap(),
    };
    let reviewed = |how, photo: usize, decisions| Transaction {
        pair: Some(pair.clone()),
        review: Some(Review {
            asset: world.photos[photo].to_string().parse().unwrap(),
            how,
        }),
        ..of(decisions)
    };
    let moved = vec![world.annas(0, world.to_berta())];
    let first = engine
        .decide(reviewed(ReviewHow::Decided, 0, moved))
        .await
        .unwrap();
    engine
        .decide(reviewed(ReviewHow::Skipped, 1, vec![]))
        .await
        .unwrap();
    let kept = vec![world.annas(2, Action::Keep)];
    engine
        .decide(reviewed(ReviewHow::Decided, 2, kept))
        .await
        .unwrap();
    let stats = engine.look(|past| past.stats(&pair));
    assert_eq!(
        (
            stats.n_reviewed,
            stats.n_skipped,
            stats.n_reassigned,
            stats.n_kept
        ),
        (3, 1, 1, 1)
    );
    engine.undo(first.id.unwrap(), at(1), "Uta").await.unwrap();
    let stats = engine.look(|past| past.stats(&pair));
    assert_eq!(
        (stats.n_reviewed, stats.n_reassigned, stats.n_undone),
        (2, 0, 1)
    );
    engine
        .reset_review(pair.clone(), at(2), "Uta")
        .await
        .unwrap();
    assert_eq!(engine.look(|past| past.reviewed(&pair).len()), 0);
    assert_eq!(engine.history().len(), 3);
    drop(engine);
    let engine = world.engine().await;
    assert_eq!(engine.look(|past| past.reviewed(&pair).len()), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tabs_with_the_same_face_move_it_once() {
    let world = World::new().await;
    let engine = world.engine().await;
    let clara = world
        .fake
        .with_library(|library| library.add_person(world.user, "Clara"));
    let to_clara = Action::Reassign {
        to: person_ref(clara, "Clara"),
    };
    let (one, two) = tokio::join!(
        engine.decide(of(vec![world.annas(0, world.to_berta())])),
        engine.decide(of(vec![world.annas(0, to_clara)])),
    );
    let statuses = [one.unwrap().status, two.unwrap().status];
    let applied = statuses
        .iter()
        .filter(|status| **status == Status::Applied)
        .count();
    let stopped = statuses
        .iter()
        .filter(|status| matches!(status, Status::Stopped { .. }))
        .count();
    assert_eq!((applied, stopped), (1, 1), "{statuses:?}");
    assert_eq!(world.fake.n_requests("PUT /api/faces/"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_does_not_stop_its_decision() {
    let world = World::new().await;
    let engine = world.engine().await;
    world.fake.set_latency(std::time::Duration::from_millis(20));
    let decide = engine.decide(of(vec![world.annas(0, world.to_berta())]));
    let gave_up = tokio::time::timeout(std::time::Duration::from_millis(30), decide).await;
    assert!(gave_up.is_err());
    world.fake.heal();
    // The next call has its turn when the first is through.
    engine.resume().await.unwrap();
    assert_eq!(engine.history()[0].standing(), Standing::Applied);
    assert_eq!(world.person_of(world.faces[0]), Some(world.berta));
}

#[tokio::test]
async fn senseless_decisions_are_refused_at_the_door() {
    let world = World::new().await;
    let engine = world.engine().await;
    let face = world.annas(0, world.to_berta());
    let mut outside = world.annas(0, world.to_berta());
    outside.area.as_mut().unwrap().x2 = 1.5;
    let anna = Action::Reassign {
        to: person_ref(world.anna, "Anna"),
    };
    let names = vec![
        world.annas(0, new_person("Clara", 0)),
        world.annas(1, new_person("Dora", 0)),
    ];
    for bad in [
        of(vec![]),
        of(vec![face.clone(), face]),
        of(vec![outside]),
        of(vec![world.annas(0, anna)]),
        of(names),
    ] {
        let refused = engine.decide(bad).await;
        assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
    }
    assert!(engine.history().is_empty());
}
