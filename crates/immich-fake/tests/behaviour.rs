//! The fake behaves as the real server was seen to.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test")]

mod support;

use immich_fake::{Churn, Fault, Shape};
use reqwest::Method;
use serde_json::{Value, json};
use support::{answer, world};

fn ids(page: &Value) -> Vec<String> {
    let items = page["assets"]["items"].as_array().unwrap();
    items
        .iter()
        .map(|item| item["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn path_is_the_person_and_feature_faces_follow() {
    let w = world(Shape::v2_7_2()).await;
    let (status, person) = w
        .call(
            Method::PUT,
            &format!("/faces/{}", w.bea),
            json!({"id": w.faces[0].to_string()}),
        )
        .await;
    assert_eq!((status, &person["name"]), (200, &json!("Bea")));
    w.fake.with_library(|library| {
        assert_eq!(library.face(w.faces[0]).unwrap().person, Some(w.bea));
        // Anna lost her feature face and got another of hers; Bea kept her own.
        let feature = library.person(w.anna).unwrap().feature;
        assert!(feature == Some(w.faces[2]) || feature == Some(w.faces[4]));
        assert_eq!(library.person(w.bea).unwrap().feature, Some(w.faces[1]));
    });
    // Swapped ids, an unknown face, and a hidden face.
    let swapped = format!("/faces/{}", w.faces[0]);
    let (status, body) = w
        .call(Method::PUT, &swapped, json!({"id": w.bea.to_string()}))
        .await;
    assert_eq!(
        (status, &body["message"]),
        (400, &json!("Not found or no person.update access"))
    );
    let to_bea = format!("/faces/{}", w.bea);
    let unknown = json!({"id": "00000000-0000-4000-8000-000000000000"});
    let (status, body) = w.call(Method::PUT, &to_bea, unknown).await;
    assert_eq!(
        (status, &body["message"]),
        (400, &json!("Not found or no person.create access"))
    );
    let hidden = format!("/faces/{}", w.faces[1]);
    assert_eq!(w.call(Method::DELETE, &hidden, json!({})).await.0, 400);
    assert_eq!(
        w.call(Method::DELETE, &hidden, json!({"force": false}))
            .await
            .0,
        204
    );
    let (status, _) = w
        .call(Method::PUT, &to_bea, json!({"id": w.faces[1].to_string()}))
        .await;
    assert_eq!(status, 500);
}

#[tokio::test]
async fn an_emptied_person_stays_but_is_not_listed() {
    let w = world(Shape::v2_7_2()).await;
    let to_anna = format!("/faces/{}", w.anna);
    w.call(Method::PUT, &to_anna, json!({"id": w.faces[1].to_string()}))
        .await;
    let (_, people) = w.get("/people?withHidden=true").await;
    assert_eq!(people["people"].as_array().unwrap().len(), 1);
    assert_eq!(w.get(&format!("/people/{}", w.bea)).await.0, 200);
    assert_eq!(w.get(&format!("/people/{}/thumbnail", w.bea)).await.0, 404);
    assert_eq!(
        w.call(Method::DELETE, &format!("/people/{}", w.bea), Value::Null)
            .await
            .0,
        204
    );
    assert_eq!(
        w.call(Method::DELETE, &format!("/people/{}", w.bea), Value::Null)
            .await
            .0,
        400
    );
}

#[tokio::test]
async fn favourites_come_first_and_hidden_last_whatever_the_distance() {
    let w = world(Shape::v2_7_2()).await;
    let first = async || {
        let path = format!(
            "/people?closestAssetId={}&withHidden=true&size=1000",
            w.faces[2]
        );
        let (_, body) = w.get(&path).await;
        body["people"][0]["name"].as_str().unwrap().to_owned()
    };
    w.fake.with_library(|library| {
        let set = |library: &mut immich_fake::Library, face, vector: [f32; 2]| {
            library.update_face(face, |f| f.embedding = Some(vector.to_vec()));
        };
        set(library, w.faces[0], [1.0, 0.0]);
        set(library, w.faces[1], [0.0, 1.0]);
        set(library, w.faces[2], [0.9, 0.1]);
    });
    assert_eq!(first().await, "Anna");
    w.fake
        .with_library(|l| l.update_person(w.bea, |p| p.favourite = true));
    assert_eq!(first().await, "Bea");
    w.fake
        .with_library(|l| l.update_person(w.bea, |p| p.hidden = true));
    assert_eq!(first().await, "Anna");
}

#[tokio::test]
async fn edited_assets_have_boxes_in_two_frames() {
    let w = world(Shape::v2_7_2()).await;
    let (_, faces) = w.get(&format!("/faces?id={}", w.photos[2])).await;
    // 720 * 3000 / 2160 = 1000, less the crop's 300; 360 -> 500 less 100.
    let edited = &faces[0];
    assert_eq!(
        (&edited["boundingBoxX1"], &edited["boundingBoxY1"]),
        (&json!(700), &json!(400))
    );
    assert_eq!(
        (&edited["imageWidth"], &edited["imageHeight"]),
        (&json!(2000), &json!(1500))
    );
    let body = json!({"id": w.photos[2].to_string(), "withPeople": true});
    let (_, page) = w.call(Method::POST, "/search/metadata", body).await;
    let item = &page["assets"]["items"][0];
    let original = &item["people"][0]["faces"][0];
    assert_eq!(
        (&original["boundingBoxX1"], &original["imageWidth"]),
        (&json!(720), &json!(2160))
    );
    assert_eq!(
        (&item["width"], &item["isEdited"]),
        (&json!(2000), &json!(true))
    );
}

#[tokio::test]
async fn gone_foreign_and_forbidden_are_told_as_the_server_does() {
    let w = world(Shape::v2_7_2()).await;
    let (status, body) = w.get(&format!("/faces?id={}", w.foreign)).await;
    assert_eq!(
        (status, &body["message"]),
        (400, &json!("Not found or no asset.read access"))
    );
    let (status, body) = w.get("/faces?id=x").await;
    assert_eq!(
        (status, &body["message"]),
        (400, &json!(["id must be a UUID"]))
    );
    let with = |key: &str| {
        w.request(Method::GET, "/people")
            .header("x-other", "1")
            .headers({
                let mut headers = reqwest::header::HeaderMap::new();
                headers.insert("x-api-key", key.parse().unwrap());
                headers
            })
    };
    let (status, body) = answer(with(&w.reader)).await;
    assert_eq!(status, 403);
    assert_eq!(body["message"], "Missing required permission: person.read");
    assert_eq!(answer(with("wrong")).await.1["message"], "Invalid API key");
    assert_eq!(answer(with(&w.stranger)).await.1["people"], json!([]));
    assert_eq!(w.get("/nope").await.1["message"], "Cannot GET /api/nope");
}

#[tokio::test]
async fn partners_assets_are_found_without_their_people() {
    let w = world(Shape::v2_7_2()).await;
    w.fake.with_library(|library| {
        let other = library.asset(w.foreign).unwrap().owner;
        let admin = library.asset(w.photos[0]).unwrap().owner;
        let theirs = library.add_person(other, "Theirs");
        library.add_face(w.foreign, Some(theirs), [1, 2, 30, 40], (300, 200));
        library.add_partner(admin, other);
    });
    let body = json!({"userIds": [w.anna.to_string()]});
    let (_, page) = w.call(Method::POST, "/search/metadata", body).await;
    assert_eq!(ids(&page).len(), 5);
    let (_, faces) = w.get(&format!("/faces?id={}", w.foreign)).await;
    assert_eq!(faces[0]["person"], Value::Null);
}

#[tokio::test]
async fn pages_shift_when_the_library_changes() {
    // The very trap that a client has to avoid: were it not here, tests of walks
    // would prove nothing.
    let w = world(Shape::v2_7_2()).await;
    let owner = w.fake.with_library(|l| l.asset(w.photos[0]).unwrap().owner);
    let churn = Churn {
        seed: 1,
        trashed: 1,
        ..Churn::default()
    };
    w.fake.set_churn(Some((churn, owner)));
    let page = async |page: u32| {
        let body = json!({"size": 2, "page": page, "order": "asc"});
        w.call(Method::POST, "/search/metadata", body).await.1
    };
    let (first, second) = (page(1).await, page(2).await);
    assert_eq!(first["assets"]["nextPage"], "2");
    let expected: Vec<String> = w.photos.iter().map(ToString::to_string).collect();
    assert_eq!(ids(&first), expected[..2]);
    // Photo 0 left the front, so photo 2 moved to page 1 and is missed.
    assert_eq!(ids(&second), expected[3..]);
}

#[tokio::test]
async fn maintenance_and_outage_look_like_the_real_ones() {
    let mut w = world(Shape::v2_7_2()).await;
    w.fake.set_maintenance(true);
    assert_eq!(w.get("/server/ping").await, (200, json!({"res": "pong"})));
    assert_eq!(
        w.get("/server/config").await,
        (200, json!({"maintenanceMode": true}))
    );
    assert_eq!(
        w.get("/people").await.1["message"],
        "Cannot GET /api/people"
    );
    w.fake.heal();
    assert_eq!(w.get("/people").await.0, 200);
    w.fake.stop();
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    assert!(w.request(Method::GET, "/people").send().await.is_err());
    w.fake.restart().await;
    assert_eq!(w.get("/people").await.0, 200);
}

#[tokio::test]
async fn broken_bodies_are_broken() {
    let w = world(Shape::v2_7_2()).await;
    let path = format!("/assets/{}/original", w.photos[0]);
    let whole = w
        .request(Method::GET, &path)
        .send()
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    assert_eq!(
        whole,
        w.fake
            .with_library(|l| l.asset(w.photos[0]).unwrap().bytes())
    );
    w.fake.fail("/original", 1, Fault::CutOff);
    let cut = w.request(Method::GET, &path).send().await.unwrap();
    assert_eq!(cut.content_length(), Some(whole.len() as u64));
    assert!(cut.bytes().await.is_err());
    w.fake.fail("/original", 1, Fault::WrongByte);
    let wrong = w
        .request(Method::GET, &path)
        .send()
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    assert_eq!(wrong.len(), whole.len());
    assert_ne!(wrong, whole);
    let past = w
        .request(Method::GET, &path)
        .header("range", "bytes=100000-");
    assert_eq!(past.send().await.unwrap().status(), 500);
    w.fake
        .with_library(|l| l.update_asset(w.photos[0], |a| a.missing_on_disk = true));
    let missing = w.request(Method::GET, &path).send().await.unwrap();
    assert_eq!(missing.status(), 500);
    assert_eq!(missing.headers()["content-type"], "image/jpeg");
}

#[tokio::test]
async fn releases_differ_where_they_did() {
    let old = world(Shape::v1_118()).await;
    assert_eq!(old.get("/api-keys/me").await.0, 404);
    let item = async |w: &support::World| {
        let body = json!({"withPeople": true, "order": "asc", "size": 1});
        w.call(Method::POST, "/search/metadata", body).await.1["assets"]["items"][0].clone()
    };
    let old_item = item(&old).await;
    for absent in ["visibility", "width", "createdAt"] {
        assert_eq!(old_item.get(absent), None, "{absent}");
    }
    let new = world(Shape::v3_2()).await;
    let new_item = item(&new).await;
    assert_eq!(new_item.get("unassignedFaces"), None);
    assert_eq!(new_item["people"][0].get("faces"), None);
    assert_eq!(new_item["duration"], Value::Null);
    let (status, body) = new
        .call(Method::POST, "/search/metadata", json!({"size": 1001}))
        .await;
    assert_eq!(status, 400);
    assert_eq!(body["message"], "Validation failed");
    assert_eq!(body["errors"][0]["path"], json!(["size"]));
    assert_eq!(
        new.get(&format!("/people/{}", new.photos[0]))
            .await
            .1
            .get("statusCode"),
        None
    );
}
