//! Suggestions, the rule, the coach and splitting, from embeddings and from Immich.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use face_fix::{
    Action, AutoRule, By, GroupTarget, Memory, NoVector, Pair, PairIndex, PersonPhotos, Photo,
    PhotoFace, SPLIT_DISTANCE, Side, Suggestion, Transaction, Verdict, coach, confirmed,
    link_by_reading, split, suggest_by_immich, try_rule,
};
use faceset_core::{CancelToken, CosineDistance, NoProgress};
use immich_client::{FaceSource, PersonId};
use immich_fake::{Crop, Shape, Uuid};
use support::{World, at, cache, of, person_ref};

fn id(uuid: Uuid) -> PersonId {
    uuid.to_string().parse().unwrap()
}

fn pair(world: &World) -> Pair {
    Pair {
        wrong: id(world.anna),
        correct: id(world.berta),
    }
}

async fn photos(world: &World, person: Uuid) -> Vec<Photo> {
    let photos = PersonPhotos::new(&world.client(), &id(person), None)
        .await
        .unwrap();
    photos.collect().await.unwrap()
}

fn find(photos: &[Photo], face: Uuid) -> (&Photo, &PhotoFace) {
    let faces = photos
        .iter()
        .flat_map(|photo| photo.faces.iter().map(move |face| (photo, face)));
    let face_id = face.to_string();
    faces
        .into_iter()
        .find(|(_, face)| face.face.as_str() == face_id)
        .unwrap()
}

/// Anna's faces at 0, 92 and 10 degrees: the second is Berta's, who is at 90 (on the
/// third photo, beside Anna) and at 95 (on a photo of her own).
async fn mixed_up() -> (World, PairIndex, Uuid) {
    let world = World::new().await;
    let lone = world.fake.with_library(|library| {
        let photo = library.add_photo(world.user, "3.jpg", support::NOON_US + 400 * 86_400_000_000);
        library.add_face(
            photo,
            Some(world.berta),
            [300, 300, 500, 600],
            support::FRAME,
        )
    });
    let own = cache::own(
        &world,
        &[
            (world.faces[0], 0.0),
            (world.faces[1], 92.0),
            (world.faces[2], 10.0),
            (world.bertas_face, 90.0),
            (lone, 95.0),
        ],
    );
    let index = PairIndex::load(
        &world.client(),
        Arc::new(own),
        &pair(&world),
        None,
        &Memory::default(),
    )
    .await
    .unwrap();
    (world, index, lone)
}

fn distances(suggestion: &Suggestion) -> (f64, f64) {
    match suggestion {
        Suggestion::Own {
            to_wrong: Some(wrong),
            to_correct: Some(correct),
        } => (wrong.distance.get(), correct.distance.get()),
        other => panic!("{other:?}"),
    }
}

fn apart(degrees: f64) -> f64 {
    1.0 - degrees.to_radians().cos()
}

#[tokio::test]
async fn a_face_is_compared_with_the_nearest_of_both_but_never_within_its_photo() {
    let (world, index, lone) = mixed_up().await;
    assert_eq!(
        (index.n_faces(Side::Wrong), index.n_faces(Side::Correct)),
        (3, 2)
    );
    let photos = photos(&world, world.anna).await;
    let rule = AutoRule::default();

    let (photo, face) = find(&photos, world.faces[1]);
    let suggestion = index.suggest(photo, face);
    let (wrong, correct) = distances(&suggestion);
    assert!((wrong - apart(82.0)).abs() < 1e-6 && (correct - apart(2.0)).abs() < 1e-6);
    assert_eq!(rule.judge(&suggestion), Verdict::Correct);

    // Berta at 90 is on this very photo: the nearest that counts is the one at 95.
    let (photo, face) = find(&photos, world.faces[2]);
    let suggestion = index.suggest(photo, face);
    let (wrong, correct) = distances(&suggestion);
    assert!((wrong - apart(10.0)).abs() < 1e-6 && (correct - apart(85.0)).abs() < 1e-6);
    assert_eq!(rule.judge(&suggestion), Verdict::Wrong);
    let Suggestion::Own {
        to_correct: Some(nearest),
        ..
    } = &suggestion
    else {
        panic!()
    };
    assert_eq!(nearest.face.as_str(), lone.to_string());
}

#[tokio::test]
async fn moved_faces_count_for_their_new_person_at_once() {
    let (world, mut index, lone) = mixed_up().await;
    let lone = lone.to_string().parse().unwrap();
    let before = distances(&index.suggest_member(&lone).unwrap());
    assert!((before.0 - apart(3.0)).abs() < 1e-6, "{before:?}");
    index.moved(
        &world.faces[1].to_string().parse().unwrap(),
        Some(Side::Correct),
    );
    let after = distances(&index.suggest_member(&lone).unwrap());
    assert!((after.0 - apart(85.0)).abs() < 1e-6 && (after.1 - apart(3.0)).abs() < 1e-6);
    index.moved(&lone, None);
    assert_eq!(
        (index.n_faces(Side::Correct), index.suggest_member(&lone)),
        (2, None)
    );
}

#[test]
fn the_rule_takes_equal_margins_and_distances_and_nothing_below() {
    let judge = |margin: f64, max: f64, wrong: f64, correct: f64| {
        let rule = AutoRule {
            margin,
            max_distance: CosineDistance::constant(max),
            trust_immich_order: false,
        };
        let [wrong, correct] = [wrong, correct].map(CosineDistance::constant);
        rule.judge_distances(wrong, correct)
    };
    // Eighths are exact.
    assert_eq!(judge(0.25, 0.5, 0.75, 0.5), Verdict::Correct);
    assert_eq!(judge(0.25, 0.5, 0.5, 0.75), Verdict::Wrong);
    assert_eq!(judge(0.25, 0.5, 0.625, 0.5), Verdict::Unsure);
    assert_eq!(judge(0.25, 0.5, 1.0, 0.625), Verdict::Unsure);
    assert_eq!(judge(0.0, 0.5, 0.5, 0.5), Verdict::Unsure);
    assert_eq!(judge(-1.0, 0.5, 0.25, 0.5), Verdict::Wrong);
    let one_sided = Suggestion::Own {
        to_wrong: None,
        to_correct: None,
    };
    assert_eq!(AutoRule::default().judge(&one_sided), Verdict::Unsure);
}

#[tokio::test]
async fn edited_photos_are_found_in_the_originals_frame() {
    let crop = Crop {
        x: 200,
        y: 100,
        width: 1500,
        height: 1200,
    };
    let (world, index, _) = mixed_up().await;
    world
        .fake
        .with_library(|l| l.update_asset(world.photos[1], |asset| asset.crop = Some(crop)));
    let photos = photos(&world, world.anna).await;
    let (photo, face) = find(&photos, world.faces[1]);
    assert!(photo.is_edited && face.area != face.original_area);
    let suggestion = index.suggest(photo, face);
    assert!((distances(&suggestion).1 - apart(2.0)).abs() < 1e-6);

    // Newer servers do not send the original's boxes: nothing is said rather than
    // something wrong.
    let world = World::with(Shape::v3_2(), support::ALL).await;
    let own = cache::own(&world, &[(world.faces[1], 0.0)]);
    world
        .fake
        .with_library(|l| l.update_asset(world.photos[1], |asset| asset.crop = Some(crop)));
    let photos = self::photos(&world, world.anna).await;
    let (photo, face) = find(&photos, world.faces[1]);
    assert_eq!(own.row_of(photo, face), Err(NoVector::NoBox));
    let (photo, face) = find(&photos, world.faces[0]);
    assert_eq!(own.row_of(photo, face), Err(NoVector::PhotoUnknown));
}

#[tokio::test]
async fn immichs_order_counts_only_between_equals_and_never_keeps_a_face() {
    let world = World::new().await;
    let face = world.faces[1];
    let embed = |face: Uuid, angle: f32| {
        let vector = vec![angle.to_radians().cos(), angle.to_radians().sin()];
        world
            .fake
            .with_library(|l| l.update_face(face, |face| face.embedding = Some(vector)));
    };
    embed(world.faces[0], 0.0);
    embed(world.bertas_face, 90.0);
    embed(face, 80.0);
    let ask = async |face: Uuid, source| {
        let face = face.to_string().parse().unwrap();
        suggest_by_immich(&world.client(), &pair(&world), &face, source)
            .await
            .unwrap()
    };
    let machine = Some(FaceSource::MachineLearning);
    let trusting = AutoRule {
        trust_immich_order: true,
        ..AutoRule::default()
    };
    let suggestion = ask(face, machine).await;
    assert_eq!(
        suggestion,
        Suggestion::Immich {
            first: Side::Correct
        }
    );
    assert_eq!(AutoRule::default().judge(&suggestion), Verdict::Unsure);
    assert_eq!(trusting.judge(&suggestion), Verdict::Correct);
    // A feature face is nearest to itself: that says nothing.
    let suggestion = ask(world.faces[0], machine).await;
    assert_eq!(suggestion, Suggestion::Immich { first: Side::Wrong });
    assert_eq!(trusting.judge(&suggestion), Verdict::Unsure);
    assert!(matches!(
        ask(face, Some(FaceSource::Manual)).await,
        Suggestion::Nothing { .. }
    ));
    world
        .fake
        .with_library(|l| l.update_person(world.anna, |anna| anna.favourite = true));
    assert!(matches!(
        ask(face, machine).await,
        Suggestion::Nothing { .. }
    ));
    world.fake.with_library(|l| {
        l.update_person(world.anna, |anna| anna.favourite = false);
        l.update_person(world.berta, |berta| berta.hidden = true);
    });
    assert!(matches!(
        ask(face, machine).await,
        Suggestion::Nothing { .. }
    ));
}

#[tokio::test]
async fn the_coach_learns_from_hand_made_decisions_only() {
    let (world, index, _) = mixed_up().await;
    let engine = world.engine().await;
    let of_pair = |decisions, by| Transaction {
        pair: Some(pair(&world)),
        by,
        ..of(decisions)
    };
    let kept = vec![world.annas(2, Action::Keep)];
    engine.decide(of_pair(kept, By::Hand)).await.unwrap();
    let auto = vec![world.annas(0, Action::Keep)];
    engine.decide(of_pair(auto, By::AutoFix)).await.unwrap();
    let moved = vec![world.annas(1, world.to_berta())];
    let last = engine.decide(of_pair(moved, By::Hand)).await.unwrap();
    let known = engine.look(|past| confirmed(past, &pair(&world)));
    let mut sides: Vec<Side> = known.iter().map(|(_, side)| *side).collect();
    sides.sort_unstable();
    assert_eq!(sides, [Side::Wrong, Side::Correct]);
    let trial = try_rule(&index, &known, &AutoRule::default());
    assert_eq!((trial.n_right, trial.n_wrong, trial.n_unsure), (2, 0, 0));

    let rows = |face: Uuid| index.row_of(&face.to_string().parse().unwrap()).unwrap();
    let wrong = [rows(world.faces[0]), rows(world.faces[2])];
    let correct = [rows(world.faces[1]), rows(world.bertas_face)];
    let coach = coach(index.own(), &wrong, &correct);
    assert_eq!(coach.same.iter().sum::<u64>(), 2);
    assert_eq!(coach.different.iter().sum::<u64>(), 4);
    let cut = coach.cut.unwrap();
    // Between 10 degrees apart within Anna and 80 across.
    let expected = f64::midpoint(apart(10.0), apart(80.0));
    assert!(
        (cut.distance.get() - expected).abs() < 1e-6 && !cut.overlap,
        "{cut:?}"
    );

    engine.undo(last.id.unwrap(), at(1), "Uta").await.unwrap();
    assert_eq!(engine.look(|past| confirmed(past, &pair(&world))).len(), 1);
}

#[tokio::test]
async fn a_person_is_split_into_groups_by_year_and_given_away_as_planned() {
    let (world, index, _) = mixed_up().await;
    world.fake.with_library(|library| {
        let next_year = support::NOON_US + 400 * 86_400_000_000;
        library.update_asset(world.photos[2], |asset| asset.taken_us = next_year);
        let photo = library.add_photo(world.user, "4.jpg", support::NOON_US);
        library.add_face(photo, Some(world.anna), [1, 1, 90, 90], support::FRAME);
    });
    let photos = photos(&world, world.anna).await;
    let anna = person_ref(world.anna, "Anna");
    let cancel = CancelToken::default();
    let split = split(
        index.own(),
        &anna,
        &photos,
        SPLIT_DISTANCE,
        &NoProgress,
        &cancel,
    )
    .unwrap();
    let sizes: Vec<usize> = split.groups.iter().map(|group| group.faces.len()).collect();
    assert_eq!(sizes, [2, 1]);
    assert_eq!(
        split.groups[0].years,
        BTreeMap::from([(2020, 1), (2021, 1)])
    );
    assert_eq!(split.left_out[0].1, NoVector::PhotoUnknown);

    let to_herself = BTreeMap::from([(2, GroupTarget::Person(anna))]);
    assert!(split.plan(&to_herself, &of(vec![])).is_err());
    assert!(
        split
            .plan(&BTreeMap::from([(3, GroupTarget::Stay)]), &of(vec![]))
            .is_err()
    );
    let clara = GroupTarget::New {
        name: "Clara".to_owned(),
    };
    let targets = BTreeMap::from([(1, clara.clone()), (2, clara)]);
    let together = split.plan(&targets, &of(vec![])).unwrap();
    assert_eq!((together.len(), together[0].decisions.len()), (1, 3));

    let targets = BTreeMap::from([
        (
            1,
            GroupTarget::New {
                name: "Clara".to_owned(),
            },
        ),
        (2, GroupTarget::Person(person_ref(world.berta, "Berta"))),
    ]);
    let engine = world.engine().await;
    for transaction in split.plan(&targets, &of(vec![])).unwrap() {
        engine.decide(transaction).await.unwrap();
    }
    assert_eq!(world.person_of(world.faces[1]), Some(world.berta));
    let clara = world.person_of(world.faces[0]).unwrap();
    assert_eq!(world.person_of(world.faces[2]), Some(clara));
    assert_ne!(clara, world.anna);
}

#[tokio::test]
async fn photos_that_changed_or_went_are_not_linked() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let faces = world.faces.map(|face| (face, 0.0));
    let cache = cache::cache(&world, folder.path(), &faces);
    std::fs::write(
        folder.path().join(format!("{}.jpg", world.photos[0])),
        b"other",
    )
    .unwrap();
    std::fs::remove_file(folder.path().join(format!("{}.jpg", world.photos[1]))).unwrap();
    let (links, report) = link_by_reading(&cache, &[], &NoProgress, &CancelToken::default());
    assert_eq!(
        (report.n_linked, report.n_changed, report.n_unreadable),
        (1, 1, 1)
    );
    let sha1 = world
        .fake
        .with_library(|library| library.asset(world.photos[2]).unwrap().sha1());
    assert_eq!(links[0].sha1, Some(sha1));
}

#[tokio::test]
async fn photos_of_a_person_come_with_boxes_in_shares_of_their_frame() {
    for shape in [Shape::v2_7_2(), Shape::v3_2(), Shape::v1_118()] {
        let world = World::with(shape, support::ALL).await;
        let photos = photos(&world, world.anna).await;
        assert_eq!(photos.len(), 3);
        assert_eq!(photos[2].faces.len(), 2);
        let (photo, face) = find(&photos, world.faces[0]);
        let area = face.area.unwrap();
        assert_eq!([area.x1, area.y1, area.x2, area.y2], [0.1, 0.1, 0.2, 0.5]);
        assert_eq!(area.frame, [2160, 1440]);
        assert_eq!(photo.faces_of(&id(world.anna)).count(), 1);
        assert_eq!(face.person.as_ref().unwrap().name, "Anna");
    }
}
