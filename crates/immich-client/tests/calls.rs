//! Every call against the fake, in three releases, and what refusals become.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test")]

mod support;

use immich_client::{
    AssetType, Error, ErrorKind, NewFace, NewPerson, PeopleQuery, PersonUpdate, SearchFilter,
    ServerVersion,
};
use immich_fake::{Fault, Shape};
use support::{asset, client_with, face, fast, person, world};

const FRAME: (u32, u32) = (2160, 1440);

fn everybody() -> PeopleQuery {
    PeopleQuery {
        page: 1,
        size: 1000,
        with_hidden: true,
    }
}

#[tokio::test]
async fn reading_works_on_every_release() {
    for shape in [Shape::v1_118(), Shape::v2_7_2(), Shape::v3_2()] {
        let w = world(shape.clone(), 3).await;
        let (anna, first) = w.fake.with_library(|library| {
            let anna = library.add_person(w.user, "Anna");
            let first = library.add_face(w.photos[1], Some(anna), [100, 200, 300, 460], FRAME);
            library.add_face(w.photos[1], None, [900, 220, 1100, 470], FRAME);
            (anna, first)
        });
        let client = &w.client;
        let check = client.check(&["asset.read", "face.update"]).await.unwrap();
        let (major, minor, patch) = shape.version;
        assert_eq!(check.version, ServerVersion::new(major, minor, patch));
        assert_eq!(check.key.is_some(), shape.api_keys_me);
        assert!(check.missing.is_empty());
        assert!(client.about().await.unwrap().version.starts_with('v'));
        assert!(!client.config().await.unwrap().maintenance_mode);
        assert!(client.features().await.unwrap().facial_recognition);
        assert_eq!(client.library_totals().await.unwrap().photos, 3);
        assert_eq!(
            client.me().await.unwrap().id.to_string(),
            w.user.to_string()
        );

        let filter = SearchFilter {
            asset_type: Some(AssetType::Image),
            person_ids: vec![person(anna)],
            with_people: true,
            with_exif: true,
            ..SearchFilter::default()
        };
        let page = client.search(&filter, 1, 10).await.unwrap();
        assert_eq!(
            (page.assets.len(), page.next_page, page.n_unreadable),
            (1, None, 0)
        );
        let found = &page.assets[0];
        assert_eq!(found.upright_size(), Some((3000, 2000)));
        assert_eq!(
            found.expected_sha1(),
            w.fake
                .with_library(|l| l.asset(w.photos[1]).map(immich_fake::Asset::sha1))
        );
        match found.faces() {
            Some(faces) => assert_eq!((faces.len(), faces[0].id.clone()), (2, face(first))),
            None => assert!(shape.v3, "only v3 sends no faces with searches"),
        }
        let faces = client.faces(&asset(w.photos[1])).await.unwrap();
        assert_eq!(faces[0].person.as_ref().unwrap().name, "Anna");
        assert_eq!((faces[0].area.x1, faces[0].area.y2), (100, 460));
        assert_eq!(faces[1].person, None);
        assert_eq!(
            client.asset(&asset(w.photos[1])).await.unwrap().id,
            asset(w.photos[1])
        );

        let people = client.all_people(true).await.unwrap();
        assert_eq!(people.len(), 1);
        assert_eq!(client.person(&person(anna)).await.unwrap(), people[0]);
        assert_eq!(client.search_people("anna", false).await.unwrap(), people);
        assert_eq!(
            client
                .person_statistics(&person(anna))
                .await
                .unwrap()
                .assets,
            1
        );
        if shape.api_keys_me {
            assert_eq!(client.search_total(&filter).await.unwrap(), 1);
        }
    }
}

#[tokio::test]
async fn changing_people_and_faces_works() {
    let w = world(Shape::v2_7_2(), 2).await;
    let (from, moved, other) = w.fake.with_library(|library| {
        let from = library.add_person(w.user, "From");
        let moved = library.add_face(w.photos[0], Some(from), [1, 2, 30, 40], FRAME);
        (
            from,
            moved,
            library.add_face(w.photos[1], Some(from), [5, 6, 70, 80], FRAME),
        )
    });
    let client = &w.client;
    let new = client.create_person(&NewPerson::default()).await.unwrap();
    assert_eq!(new.name, "");
    let update = PersonUpdate {
        name: Some("To".into()),
        birth_date: Some(Some("1979-04-01".into())),
        is_favorite: Some(true),
        ..PersonUpdate::default()
    };
    let new = client.update_person(&new.id, &update).await.unwrap();
    assert_eq!((new.name.as_str(), new.is_favorite), ("To", true));
    assert_eq!(new.birth_date.as_deref(), Some("1979-04-01"));

    let owner_of = |id| {
        w.fake
            .with_library(move |l| l.face(id).unwrap().person.unwrap().to_string())
    };
    assert_eq!(
        client
            .reassign_face(&face(moved), &new.id)
            .await
            .unwrap()
            .id,
        new.id
    );
    assert_eq!(owner_of(moved), new.id.to_string());
    client
        .reassign_all_on_assets(&new.id, &person(from), &[asset(w.photos[1])])
        .await
        .unwrap();
    assert_eq!(owner_of(other), new.id.to_string());

    let drawn = NewFace {
        asset_id: asset(w.photos[0]),
        person_id: new.id.clone(),
        image_width: 3000,
        image_height: 2000,
        x: 700,
        y: 10,
        width: 30,
        height: 40,
    };
    client.create_face(&drawn).await.unwrap();
    let faces = client.faces(&asset(w.photos[0])).await.unwrap();
    let area = faces[1].area;
    assert_eq!((area.x1, area.y1, area.x2, area.y2), (700, 10, 730, 50));
    client.delete_face(&faces[1].id, true).await.unwrap();
    assert_eq!(client.faces(&asset(w.photos[0])).await.unwrap().len(), 1);

    let nobody = person(w.user);
    let merged = client
        .merge_people(&new.id, &[person(from), nobody])
        .await
        .unwrap();
    assert_eq!((merged[0].success, merged[1].success), (true, false));
    assert_eq!(merged[1].error.as_deref(), Some("no_permission"));
    assert_eq!(
        client.person(&person(from)).await.unwrap_err().kind(),
        ErrorKind::Missing
    );
    client.delete_person(&new.id).await.unwrap();
    assert!(matches!(
        client.delete_person(&new.id).await,
        Err(Error::Missing { .. })
    ));
}

#[tokio::test]
async fn suggestions_take_a_face_and_pages_of_people_add_up() {
    let w = world(Shape::v2_7_2(), 1).await;
    let near = w.fake.with_library(|library| {
        let mut faces = Vec::new();
        for n in 0..1003u16 {
            let id = library.add_person(w.user, &format!("P{n:04}"));
            let new = library.add_face(w.photos[0], Some(id), [1, 2, 3, 4], FRAME);
            let angle = f32::from(n) / 700.0;
            library.update_face(new, |f| f.embedding = Some(vec![angle.cos(), angle.sin()]));
            faces.push(new);
        }
        faces[500]
    });
    let people = w.client.all_people(true).await.unwrap();
    assert_eq!(people.len(), 1003);
    assert_eq!(w.fake.n_requests("/people?"), 2);
    let page = w
        .client
        .closest_people(&face(near), &everybody())
        .await
        .unwrap();
    assert_eq!(page.people[0].name, "P0500");
    assert!(["P0499", "P0501"].contains(&page.people[1].name.as_str()));
    assert!(page.has_next_page);
}

#[tokio::test]
async fn older_servers_are_asked_for_faces_by_their_own_field() {
    let shape = Shape {
        faces_query: "assetId",
        ..Shape::v1_118()
    };
    let w = world(shape, 1).await;
    let id = asset(w.photos[0]);
    assert!(w.client.faces(&id).await.unwrap().is_empty());
    assert!(w.client.faces(&id).await.unwrap().is_empty());
    // One try with `id`, then never again.
    assert_eq!(
        (
            w.fake.n_requests("/faces?id="),
            w.fake.n_requests("?assetId=")
        ),
        (1, 2)
    );
    // An id that is refused either way gives the first refusal.
    let w = world(Shape::v2_7_2(), 1).await;
    match w.client.faces(&"not-a-uuid".parse().unwrap()).await {
        Err(Error::Rejected { messages, .. }) => assert_eq!(messages, ["id must be a UUID"]),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn refusals_are_told_apart_and_not_retried() {
    for shape in [Shape::v2_7_2(), Shape::v3_2()] {
        let w = world(shape, 1).await;
        let reader = w
            .fake
            .with_library(|l| l.add_key(w.user, "reader", &["face.read"]));
        let reader = client_with(&w.fake, &reader, fast());
        let kind = |result: Result<(), Error>| result.unwrap_err().kind();

        match reader.all_people(false).await.unwrap_err() {
            Error::Forbidden { permission, .. } => {
                assert_eq!(permission.as_deref(), Some("person.read"));
            }
            other => panic!("{other:?}"),
        }
        let stranger = client_with(&w.fake, "wrong-key", fast());
        assert_eq!(kind(stranger.me().await.map(drop)), ErrorKind::Auth);
        let gone = asset(w.user);
        assert_eq!(
            kind(w.client.faces(&gone).await.map(drop)),
            ErrorKind::Missing
        );
        match w
            .client
            .search(&SearchFilter::default(), 1, 1001)
            .await
            .unwrap_err()
        {
            Error::Rejected {
                status, messages, ..
            } => {
                assert_eq!(status, 400);
                assert!(messages[0].starts_with("size"), "{messages:?}");
            }
            other => panic!("{other:?}"),
        }
        let missing = reader
            .check(&["face.read", "asset.read"])
            .await
            .unwrap()
            .missing;
        assert_eq!(missing, ["asset.read"]);
        assert_eq!(w.client.stats().n_retried + reader.stats().n_retried, 0);
    }
}

#[tokio::test]
async fn a_page_that_is_no_api_is_a_protocol_error() {
    let w = world(Shape::v2_7_2(), 1).await;
    w.fake.fail("/server/ping", 1, Fault::WebPage);
    let error = w.client.check(&[]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(error.to_string().contains("is http://127.0.0.1"), "{error}");
    w.fake.fail("/faces", 1, Fault::Shortened);
    let error = w.client.faces(&asset(w.photos[0])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
}

#[tokio::test]
async fn unknown_routes_and_maintenance_are_told_apart() {
    let w = world(Shape::v1_118(), 1).await;
    assert!(matches!(
        w.client.api_key().await,
        Err(Error::UnknownRoute { .. })
    ));
    w.fake.set_maintenance(true);
    let error = w.client.me().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Outage);
    assert!(error.to_string().contains("maintenance"), "{error}");
    // Ping is fine all the while, the probe is not.
    w.client.ping().await.unwrap();
    assert!(w.client.probe().await.is_err());
    w.fake.heal();
    w.client.probe().await.unwrap();
}
