//! What the tests of the fake share: a small library with one of everything, and a
//! client that knows nothing of Immich.

#![allow(dead_code, reason = "every test file uses its own part of this")]

use immich_fake::{Crop, Fake, Library, Shape, Uuid};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;

/// 2020-01-01T00:00:00Z in microseconds.
pub(crate) const T0: i64 = 1_577_836_800_000_000;

pub(crate) struct World {
    pub(crate) fake: Fake,
    pub(crate) key: String,
    pub(crate) reader: String,
    pub(crate) stranger: String,
    pub(crate) anna: Uuid,
    pub(crate) bea: Uuid,
    pub(crate) photos: [Uuid; 4],
    pub(crate) faces: Vec<Uuid>,
    pub(crate) foreign: Uuid,
    http: Client,
}

/// Photos: 0 with Anna and Bea, 1 with Anna and an unassigned face, 2 edited with Anna,
/// 3 turned and empty. Anna's first face has the lowest left edge.
pub(crate) async fn world(shape: Shape) -> World {
    let mut library = Library::new();
    let admin = library.add_user("Admin");
    let other = library.add_user("Other");
    let key = library.add_key(admin, "all", &["all"]);
    let reader = library.add_key(admin, "reader", &["asset.read", "face.read"]);
    let stranger = library.add_key(other, "stranger", &["all"]);
    let photos: [Uuid; 4] = std::array::from_fn(|n| {
        library.add_photo(admin, &format!("p{n}.jpg"), T0 + n as i64 * 1_000_000)
    });
    library.update_asset(photos[2], |asset| {
        asset.crop = Some(Crop {
            x: 300,
            y: 100,
            width: 2000,
            height: 1500,
        });
    });
    library.update_asset(photos[3], |asset| asset.orientation = 6);
    let foreign = library.add_photo(other, "foreign.jpg", T0);
    let (anna, bea) = (
        library.add_person(admin, "Anna"),
        library.add_person(admin, "Bea"),
    );
    let frame = (2160, 1440);
    let faces = vec![
        library.add_face(photos[0], Some(anna), [100, 200, 300, 460], frame),
        library.add_face(photos[0], Some(bea), [900, 220, 1100, 470], frame),
        library.add_face(photos[1], Some(anna), [500, 300, 700, 560], frame),
        library.add_face(photos[1], None, [1500, 310, 1600, 430], frame),
        library.add_face(photos[2], Some(anna), [720, 360, 1080, 792], frame),
    ];
    let provider = rustls::crypto::ring::default_provider();
    let tls = rustls::ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    World {
        fake: Fake::start(library, shape).await,
        key,
        reader,
        stranger,
        anna,
        bea,
        photos,
        faces,
        foreign,
        http: Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .tls_backend_preconfigured(tls)
            .build()
            .unwrap(),
    }
}

impl World {
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}/api{path}", self.fake.url()))
            .header("x-api-key", &self.key)
    }

    /// Status and JSON of a call with the key of all permissions.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let mut request = self.request(method, path);
        if !body.is_null() {
            request = request.json(&body);
        }
        answer(request).await
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        self.call(Method::GET, path, Value::Null).await
    }
}

pub(crate) async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}
