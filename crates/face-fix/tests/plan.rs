//! Plans, their carrying out, verifying, and replaying after the server has forgotten.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use face_fix::{
    Action, By, Error, Found, Journal, Mode, Plan, Status, Transaction, TransactionId, apply,
    plan_replay, verify,
};
use faceset_core::{CancelToken, NoProgress};
use immich_fake::Fault;
use support::{Forgotten, World, at, new_person, of};

fn planned(world: &World) -> Vec<Transaction> {
    let by = By::Plan;
    vec![
        Transaction {
            by,
            ..of(vec![world.annas(0, world.to_berta())])
        },
        Transaction {
            by,
            ..of(vec![
                world.annas(1, new_person("Clara", 0)),
                world.annas(2, new_person("Clara", 0)),
            ])
        },
    ]
}

async fn run(engine: &face_fix::Engine, plan: &Plan) -> Result<face_fix::ApplyReport, Error> {
    apply(engine, plan, &NoProgress, &CancelToken::default()).await
}

#[tokio::test]
async fn a_plan_is_written_read_and_carried_out_once() {
    let world = World::new().await;
    let engine = world.engine().await;
    let plan = Plan::new(at(5), &engine, "test", planned(&world));
    let path = world.folder.path().join("plan.json");
    plan.write(&path).unwrap();
    let read = Plan::read(&path).unwrap();
    assert_eq!((&read, read.n_faces()), (&plan, 3));
    let report = run(&engine, &read).await.unwrap();
    assert!(report.is_complete() && report.n_applied == 2, "{report:?}");
    // By this a journal knows a plan again, also one that an older build wrote.
    let sum = crc32fast::hash(&std::fs::read(&path).unwrap());
    let origins: Vec<Option<String>> = engine
        .history()
        .into_iter()
        .map(|past| past.transaction.origin)
        .collect();
    assert_eq!(
        origins,
        [1, 2].map(|n| Some(format!("plan {sum:08x} #{n}")))
    );
    let state = world.state();
    let again = run(&engine, &read).await.unwrap();
    assert!(again.is_complete() && again.n_done_before == 2 && again.sent.is_empty());
    assert_eq!(world.state(), state);
    // What was undone is done again when asked for.
    engine.undo(TransactionId(1), at(6), "Uta").await.unwrap();
    let third = run(&engine, &read).await.unwrap();
    assert_eq!((third.n_applied, third.n_done_before), (1, 1));
    assert_eq!(world.state(), state);
}

#[tokio::test]
async fn a_plan_cut_at_any_request_goes_on_with_the_same_people() {
    for n in 0..24 {
        let world = World::new().await;
        let engine = world.engine().await;
        let plan = Plan::new(at(5), &engine, "test", planned(&world));
        world
            .fake
            .fail("", n, Fault::Slow(std::time::Duration::ZERO));
        world.fake.fail("", u32::MAX, Fault::Reset);
        let first = run(&engine, &plan).await.unwrap();
        world.fake.heal();
        drop(engine);
        let engine = world.engine().await;
        let second = run(&engine, &plan).await.unwrap();
        assert!(second.is_complete(), "{n}: {first:?} {second:?}");
        assert_eq!(world.n_people(), 3, "{n}");
        assert_eq!(
            world.person_of(world.faces[1]),
            world.person_of(world.faces[2]),
            "{n}"
        );
    }
}

#[tokio::test]
async fn a_plan_stops_at_what_changed_and_its_rest_goes_to_the_person_made_before() {
    let world = World::new().await;
    let engine = world.engine().await;
    let plan = Plan::new(at(5), &engine, "test", planned(&world));
    world
        .fake
        .with_library(|library| library.reassign(world.faces[2], world.berta));
    let report = run(&engine, &plan).await.unwrap();
    assert_eq!((report.n_applied, report.is_complete()), (1, false));
    let ended = report.ended.unwrap();
    assert!(
        matches!(ended.status, Status::Stopped { at_decision: 1, .. }),
        "{ended:?}"
    );
    world
        .fake
        .with_library(|library| library.reassign(world.faces[2], world.anna));
    assert!(run(&engine, &plan).await.unwrap().is_complete());
    assert_eq!(world.n_people(), 3);
    assert_eq!(
        world.person_of(world.faces[1]),
        world.person_of(world.faces[2])
    );
}

#[tokio::test]
async fn a_dry_run_checks_the_whole_plan_and_changes_nothing() {
    let world = World::new().await;
    let before = world.state();
    let (engine, _) = world
        .start_as(Mode {
            dry_run: true,
            read_only: false,
        })
        .await
        .unwrap();
    let plan = Plan::new(at(5), &engine, "test", planned(&world));
    assert!(run(&engine, &plan).await.unwrap().is_complete());
    assert_eq!(world.state(), before);
    assert!(engine.history().is_empty());
}

#[tokio::test]
async fn plans_of_others_newer_ones_and_senseless_ones_are_refused() {
    let world = World::new().await;
    let engine = world.engine().await;
    let plan = Plan::new(at(5), &engine, "test", planned(&world));
    let path = world.folder.path().join("plan.json");
    plan.write(&path).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let read = |text: String| {
        std::fs::write(&path, text).unwrap();
        Plan::read(&path)
    };
    let newer = read(text.replace("\"version\": 1", "\"version\": 2")).unwrap_err();
    assert!(
        matches!(
            newer,
            Error::TooNew {
                found: 2,
                supported: 1,
                ..
            }
        ),
        "{newer}"
    );
    let stranger = read("{\"format\": \"other\", \"version\": 1}".to_owned()).unwrap_err();
    assert!(matches!(stranger, Error::NotOurs { .. }), "{stranger}");
    let twice = text.replace(&world.faces[1].to_string(), &world.faces[2].to_string());
    assert!(matches!(read(twice).unwrap_err(), Error::Invalid { .. }));
    let user = world.user.to_string();
    let others = read(text.replace(&user, "somebody-else")).unwrap();
    let refused = run(&engine, &others).await.unwrap_err();
    assert!(matches!(refused, Error::Invalid { .. }), "{refused}");
}

#[test]
fn the_frozen_plan_of_version_1_reads_as_it_did() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures/face-fix/v1.plan.json");
    let plan = Plan::read(&path).unwrap();
    assert_eq!(
        (plan.transactions.len(), plan.n_faces(), plan.what.as_str()),
        (1, 2, "split Anna")
    );
    let action = &plan.transactions[0].decisions[1].action;
    assert_eq!(*action, new_person("Clara", 0));
}

#[tokio::test]
async fn verify_names_what_is_not_as_decided() {
    let world = World::new().await;
    let engine = world.engine().await;
    let all = (0..3).map(|i| world.annas(i, world.to_berta())).collect();
    engine.decide(of(all)).await.unwrap();
    world.fake.with_library(|library| {
        library.reassign(world.faces[1], world.anna);
        library.remove_asset(world.photos[2]);
    });
    let past = engine.look(Clone::clone);
    let cancel = CancelToken::default();
    let report = verify(&world.client(), &past, None, &NoProgress, &cancel)
        .await
        .unwrap();
    assert_eq!((report.n_as_decided(), report.n_different()), (1, 2));
    assert_eq!(report.rows[0].found, Found::AsDecided);
    assert!(
        matches!(&report.rows[1].found, Found::Elsewhere { now: Some(now) } if now.name == "Anna")
    );
    assert_eq!(report.rows[2].found, Found::PhotoGone);
    engine.undo(TransactionId(1), at(1), "Uta").await.unwrap();
    let past = engine.look(Clone::clone);
    let report = verify(&world.client(), &past, None, &NoProgress, &cancel)
        .await
        .unwrap();
    assert!(report.rows.is_empty(), "what was undone is not asked for");
}

#[tokio::test]
async fn replay_finds_faces_by_checksum_and_place_and_people_by_name() {
    let world = World::new().await;
    let engine = world.engine().await;
    engine
        .decide(of(vec![world.annas(0, world.to_berta())]))
        .await
        .unwrap();
    engine
        .decide(of(vec![world.annas(1, Action::Unassign)]))
        .await
        .unwrap();
    let undone = engine
        .decide(of(vec![world.annas(2, world.to_berta())]))
        .await
        .unwrap();
    engine.undo(undone.id.unwrap(), at(1), "Uta").await.unwrap();
    drop(engine);
    let past = Journal::read(&world.journal_path()).unwrap();
    let Forgotten {
        faces, anna, berta, ..
    } = world.forget(world.photos);

    let journal = Journal::open(&world.folder.path().join("new.jsonl"), "test").unwrap();
    let (engine, _) = face_fix::Engine::new(world.client(), journal, Mode::default())
        .await
        .unwrap();
    let (client, cancel) = (world.client(), CancelToken::default());
    let blank = Transaction::new(at(9), "Uta");
    let replay = plan_replay(&client, &past, engine.user(), &blank, &NoProgress, &cancel)
        .await
        .unwrap();
    assert_eq!(
        (replay.report.n_as_decided(), replay.report.n_different()),
        (0, 2)
    );
    let plan = Plan::new(at(9), &engine, "replay", replay.transactions);
    assert!(run(&engine, &plan).await.unwrap().is_complete());
    assert_eq!(world.person_of(faces[0]), Some(berta));
    let unassigned = world.person_of(faces[1]).unwrap();
    assert!(unassigned != anna && unassigned != berta);
    assert_eq!(world.person_of(faces[2]), Some(anna));
    // The new journal tells the same as the old one did: nothing is left to replay.
    let now = engine.look(Clone::clone);
    let report = verify(&client, &now, None, &NoProgress, &cancel)
        .await
        .unwrap();
    assert_eq!((report.n_as_decided(), report.n_different()), (2, 0));
}

#[tokio::test]
async fn replay_does_not_guess_between_faces_or_people() {
    let world = World::new().await;
    let engine = world.engine().await;
    let all = (0..3).map(|i| world.annas(i, world.to_berta())).collect();
    engine.decide(of(all)).await.unwrap();
    let past = engine.look(Clone::clone);
    let Forgotten { faces, berta, .. } = world.forget(world.photos);
    world.fake.with_library(|library| {
        let photo = library.face(faces[0]).unwrap().asset;
        // A second face at nearly the same place.
        library.add_face(photo, None, [110, 72, 220, 360], (1080, 720));
        // The other one went elsewhere: 0.1..0.2 against 0.15..0.25 wide is a third.
        library.update_face(faces[1], |face| face.area = [162, 72, 270, 360]);
    });
    let (client, cancel) = (world.client(), CancelToken::default());
    let blank = Transaction::new(at(9), "Uta");
    let replay = plan_replay(&client, &past, None, &blank, &NoProgress, &cancel)
        .await
        .unwrap();
    let found: Vec<&Found> = replay.report.rows.iter().map(|row| &row.found).collect();
    assert_eq!(found[..2], [&Found::Ambiguous, &Found::FaceGone]);
    assert_eq!(replay.transactions.len(), 1);
    let to = &replay.transactions[0].decisions[0].action;
    assert!(matches!(to, Action::Reassign { to } if to.id.as_str() == berta.to_string()));
    world
        .fake
        .with_library(|library| library.add_person(world.user, "Berta"));
    let replay = plan_replay(&client, &past, None, &blank, &NoProgress, &cancel)
        .await
        .unwrap();
    let name = "Berta".to_owned();
    assert_eq!(replay.report.rows[2].found, Found::SeveralPeople { name });
    assert!(replay.transactions.is_empty());
}
