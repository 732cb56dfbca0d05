//! Photos linked by a staging queue, and what was decided: it binds suggestions, and goes
//! into the registry's file by content hash and box.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use face_fix::{
    Action, AutoRule, By, Decision, Linked, Memory, Pair, PairIndex, PersonPhotos, Photo,
    PhotoFace, Side, Suggestion, Transaction, Verdict, export_decisions, link_by_queue,
    link_by_reading,
};
use faceset_cache::Cache;
use faceset_core::{CancelToken, ContentHash, NoProgress, hash_bytes};
use faceset_queue::{
    AliasRow, Derivative, PortablePath, QueueDir, QueueHead, QueueItem, RootId, RootPaths, Sha1Hash,
};
use immich_client::PersonId;
use immich_fake::Uuid;
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

/// Anna's photos with the face of each, by position.
async fn annas(world: &World) -> Vec<(Photo, PhotoFace)> {
    let photos = PersonPhotos::new(&world.client(), &id(world.anna), None).await;
    let photos = photos.unwrap().collect().await.unwrap();
    let of_anna = |photo: Photo| {
        let face = photo.faces_of(&id(world.anna)).next().unwrap().clone();
        (photo, face)
    };
    photos.into_iter().map(of_anna).collect()
}

/// A decision about a face of Anna's as the page makes it.
fn judged((photo, face): &(Photo, PhotoFace), action: Action) -> Decision {
    photo.decide(face, action)
}

fn for_pair(world: &World, decisions: Vec<Decision>) -> Transaction {
    Transaction {
        pair: Some(pair(world)),
        ..of(decisions)
    }
}

fn item(world: &World, at: usize) -> QueueItem {
    let asset = world
        .fake
        .with_library(|library| library.asset(world.photos[at]).unwrap().clone());
    QueueItem {
        root: RootId::new("uta").unwrap(),
        rel: PortablePath::new(format!("{at}.jpg")).unwrap(),
        sha256: hash_bytes(&asset.bytes()),
        sha1: Some(Sha1Hash(asset.sha1())),
        size: asset.bytes().len() as u64,
        asset_id: world.photos[at].to_string(),
        owner_id: world.user.to_string(),
        original_path: String::new(),
        taken_at: None,
        width: 3000,
        height: 2000,
        rendered: None,
    }
}

fn queue(folder: &Path, items: &[QueueItem], aliases: &[AliasRow]) -> QueueDir {
    let queue = QueueDir::new(folder.join("queue"));
    std::fs::create_dir_all(queue.folder()).unwrap();
    let root = RootPaths::new("/staged".to_owned(), None).unwrap();
    queue
        .write_head(&QueueHead::new("Uta", RootId::new("uta").unwrap(), root))
        .unwrap();
    let mut lines = queue.append_items().unwrap();
    for item in items {
        lines.append(item).unwrap();
    }
    lines.sync().unwrap();
    let mut lines = queue.append_aliases().unwrap();
    for row in aliases {
        lines.append(row).unwrap();
    }
    lines.sync().unwrap();
    queue
}

/// A cache of Anna's three faces at 0, 92 and 10 degrees; its photos are gone again.
fn cache_without_files(world: &World, folder: &Path) -> Cache {
    let angles = [0.0, 92.0, 10.0];
    let mut faces: Vec<_> = world.faces.into_iter().zip(angles).collect();
    faces.push((world.bertas_face, 90.0));
    let cache = cache::cache(world, folder, &faces);
    for photo in world.photos {
        std::fs::remove_file(folder.join(format!("{photo}.jpg"))).unwrap();
    }
    cache
}

#[tokio::test]
async fn photos_are_linked_by_the_queue_without_their_files() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let cache = cache_without_files(&world, folder.path());
    // Photo 2 was staged as what the server had rendered of it: the hash of those bytes
    // is not the photo's.
    let rendered = QueueItem {
        sha1: Some(Sha1Hash([7; 20])),
        rendered: Some(Derivative::Preview),
        ..item(&world, 2)
    };
    // Another asset has the bytes of photo 1, and one is not in the cache.
    let twin = AliasRow {
        asset_id: "11111111-2222-4333-8444-555555555555".to_owned(),
        owner_id: String::new(),
        path: "copy.jpg".to_owned(),
        canonical: "/staged/1.jpg".to_owned(),
        sha256: None,
        sha1: None,
    };
    let unknown = QueueItem {
        rel: PortablePath::new("9.jpg").unwrap(),
        sha256: hash_bytes(b"never embedded"),
        asset_id: "99999999-2222-4333-8444-555555555555".to_owned(),
        ..item(&world, 0)
    };
    let items = [item(&world, 0), item(&world, 1), rendered, unknown];
    let queue = queue(folder.path(), &items, &[twin]);

    let (links, report) = link_by_queue(&cache, &queue).unwrap();
    assert_eq!(
        (report.n_linked, report.n_not_in_cache, report.n_bad_lines),
        (4, 1, 0)
    );
    let (read, by_reading) = link_by_reading(&cache, &links, &NoProgress, &CancelToken::default());
    assert_eq!(read, [], "nothing is read that the queue knows");
    assert_eq!(by_reading.n_unreadable, 0);
    let own = face_fix::OwnFaces::new(&cache, &links);
    let linked = Linked {
        by_queue: 3,
        by_reading: 0,
    };
    assert_eq!(own.linked(), linked);
    let annas = annas(&world).await;
    for (photo, face) in &annas {
        assert!(own.row_of(photo, face).is_ok(), "{}", photo.asset);
    }
    // The copy is the same content: its faces are the same rows.
    let mut copy = annas[1].0.clone();
    copy.asset = "11111111-2222-4333-8444-555555555555".parse().unwrap();
    copy.sha1 = None;
    assert_eq!(
        own.row_of(&copy, &annas[1].1),
        own.row_of(&annas[1].0, &annas[1].1)
    );
    // A photo that was replaced on the server since it was staged is not the one we saw.
    let mut replaced = annas[0].0.clone();
    replaced.sha1 = Some([9; 20]);
    assert_eq!(
        own.row_of(&replaced, &annas[0].1),
        Err(face_fix::NoVector::PhotoUnknown)
    );
}

#[tokio::test]
async fn photos_that_no_queue_knows_are_read() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let faces: Vec<_> = world.faces.into_iter().map(|face| (face, 0.0)).collect();
    let cache = cache::cache(&world, folder.path(), &faces);
    let queue = queue(folder.path(), &[item(&world, 0)], &[]);
    let (mut links, _) = link_by_queue(&cache, &queue).unwrap();
    let (read, report) = link_by_reading(&cache, &links, &NoProgress, &CancelToken::default());
    assert_eq!(report.n_linked, 2);
    links.extend(read);
    let linked = face_fix::OwnFaces::new(&cache, &links).linked();
    assert_eq!((linked.by_queue, linked.by_reading), (1, 2));
}

#[tokio::test]
async fn the_last_word_on_a_face_counts_and_rules_say_nothing() {
    let world = World::new().await;
    let engine = world.engine().await;
    let annas = annas(&world).await;
    // 0: kept; 1: given to Berta; 2: no face.
    let keep = for_pair(&world, vec![judged(&annas[0], Action::Keep)]);
    let give = for_pair(&world, vec![judged(&annas[1], world.to_berta())]);
    let none = for_pair(&world, vec![judged(&annas[2], Action::NotAFace)]);
    engine.decide(keep).await.unwrap();
    let given = engine.decide(give).await.unwrap().id.unwrap();
    let struck = engine.decide(none).await.unwrap().id.unwrap();
    let (anna, berta) = (id(world.anna), id(world.berta));
    let refuses = |at: usize| {
        let memory = engine.look(Memory::of);
        let (photo, face) = &annas[at];
        assert_eq!(
            memory.said(photo, face),
            engine
                .look(|past| Memory::of_photo(past, photo))
                .said(photo, face)
        );
        [&anna, &berta].map(|who| memory.refuses(photo, face, who))
    };
    assert_eq!(refuses(0), [false, true]);
    assert_eq!(refuses(1), [true, false]);
    assert_eq!(refuses(2), [true, true]);
    assert_ne!(world.person_of(world.faces[2]), Some(world.anna));

    // Ids that were given anew: the photo's checksum and the place tell.
    let memory = engine.look(Memory::of);
    let (photo, mut face) = annas[1].clone();
    face.face = "another-id".parse().unwrap();
    assert!(memory.refuses(&photo, &face, &anna));
    face.original_area = None;
    assert!(!memory.refuses(&photo, &face, &anna));

    engine.undo(given, at(1), "Uta").await.unwrap();
    engine.undo(struck, at(2), "Uta").await.unwrap();
    assert_eq!(
        refuses(1),
        [false, false],
        "undone decisions are not remembered"
    );
    assert_eq!(refuses(2), [false, false]);
    assert_eq!(world.person_of(world.faces[2]), Some(world.anna));

    // A rule's own decision must not bind the rule.
    let by_rule = Transaction {
        by: By::AutoFix,
        ..for_pair(&world, vec![judged(&annas[1], Action::Keep)])
    };
    engine.decide(by_rule).await.unwrap();
    assert_eq!(refuses(1), [false, false]);

    // Said otherwise later: the last word holds, what was not contradicted stays.
    let mut again = annas[0].clone();
    again.1.person = Some(person_ref(world.anna, "Anna"));
    let take = for_pair(&world, vec![judged(&again, world.to_berta())]);
    engine.decide(take).await.unwrap();
    assert_eq!(refuses(0), [true, false]);
}

#[tokio::test]
async fn a_rule_never_acts_against_what_was_said() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let cache = cache_without_files(&world, folder.path());
    let items = [0, 1, 2].map(|at| item(&world, at));
    let (links, _) = link_by_queue(&cache, &queue(folder.path(), &items, &[])).unwrap();
    let own = Arc::new(face_fix::OwnFaces::new(&cache, &links));
    let engine = world.engine().await;
    let annas = annas(&world).await;
    let rule = AutoRule::default();
    let judge = async |at: usize| {
        let memory = engine.look(Memory::of);
        let client = world.client();
        let pair = pair(&world);
        let index = PairIndex::load(&client, own.clone(), &pair, None, &memory);
        let index = index.await.unwrap();
        let (photo, face) = &annas[at];
        let suggestion = index.suggest(photo, face);
        let verdict = rule.judge_said(&suggestion, memory.said(photo, face), &pair);
        let distance = match &suggestion {
            Suggestion::Own {
                to_correct: Some(near),
                ..
            } => near.distance.get(),
            other => panic!("{other:?}"),
        };
        (verdict, distance, index.n_faces(Side::Wrong))
    };
    // 92 degrees, Berta at 90.
    let (verdict, distance, n_wrong) = judge(1).await;
    assert_eq!((verdict, n_wrong), (Verdict::Correct, 3));
    assert!((distance - (1.0 - 2f64.to_radians().cos())).abs() < 1e-6);
    let keep = for_pair(&world, vec![judged(&annas[1], Action::Keep)]);
    engine.decide(keep).await.unwrap();
    assert_eq!(judge(1).await.0, Verdict::Unsure);

    // A face that was given away and has come back is no example of the one who has it.
    let give = for_pair(&world, vec![judged(&annas[0], world.to_berta())]);
    engine.decide(give).await.unwrap();
    world
        .fake
        .with_library(|library| library.reassign(world.faces[0], world.anna));
    let (_, _, n_wrong) = judge(1).await;
    assert_eq!(n_wrong, 2);
    assert_eq!(
        judge(0).await.0,
        Verdict::Unsure,
        "nearest to Anna, who was refused"
    );
}

#[tokio::test]
async fn decisions_are_written_down_by_content_hash_and_box() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let cache = cache_without_files(&world, folder.path());
    // Photo 2 is not known by any queue, and its file is gone.
    let items = [0, 1].map(|at| item(&world, at));
    let (links, _) = link_by_queue(&cache, &queue(folder.path(), &items, &[])).unwrap();
    let own = face_fix::OwnFaces::new(&cache, &links);
    let engine = world.engine().await;
    let annas = annas(&world).await;
    for decision in [
        judged(&annas[0], Action::Keep),
        judged(&annas[1], world.to_berta()),
        judged(&annas[2], Action::NotAFace),
    ] {
        engine
            .decide(for_pair(&world, vec![decision]))
            .await
            .unwrap();
    }
    let (file, report) = engine.look(|past| export_decisions(past, &cache, &own));
    assert_eq!((report.n_exported, report.n_photo_unknown), (2, 1));
    let (anna, berta) = (world.anna.to_string(), world.berta.to_string());
    let by_photo: BTreeMap<ContentHash, _> =
        file.faces.iter().map(|d| (d.face.sha256, d)).collect();
    let kept = by_photo[&item(&world, 0).sha256];
    assert_eq!(
        (kept.is.as_ref(), &kept.not),
        (Some(&anna), &vec![berta.clone()])
    );
    let given = by_photo[&item(&world, 1).sha256];
    assert_eq!(
        (given.is.as_ref(), &given.not),
        (Some(&berta), &vec![anna.clone()])
    );
    // The cache's own box, 9 px right of the server's in a photo of 3000 px.
    assert!((given.face.bbox.x1 - 309.0).abs() < 0.5, "{:?}", given.face);
    let names: Vec<_> = [&anna, &berta]
        .map(|id| &*file.person(id).unwrap().name)
        .into();
    assert_eq!(names, ["Anna", "Berta"]);
    let bytes = serde_json::to_vec(&file).unwrap();
    assert_eq!(
        faceset_core::said::FaceDecisions::parse(&bytes).unwrap(),
        file
    );
}
