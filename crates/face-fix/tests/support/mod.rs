//! A library of look-alikes in the fake server, and an engine on it.

#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "helpers of tests; each file uses some"
)]

pub(crate) mod cache;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use face_fix::{
    Action, Area, Decision, Engine, Error, Journal, Mode, PersonRef, Start, Transaction,
};
use immich_client::{ApiKey, BaseUrl, Client, ClientOptions, RetryPolicy};
use immich_fake::{Content, Fake, Library, Shape, Uuid};
use jiff::Timestamp;

/// Noon of 2020-06-01, in microseconds.
pub(crate) const NOON_US: i64 = 1_591_012_800_000_000;

pub(crate) const FRAME: (u32, u32) = (2160, 1440);

/// Anna has three faces, of which two are Berta's; Berta has one.
pub(crate) struct World {
    pub(crate) fake: Fake,
    pub(crate) key: String,
    pub(crate) user: Uuid,
    pub(crate) anna: Uuid,
    pub(crate) berta: Uuid,
    /// Photos 0 and 1 show a face of Anna's each, photo 2 shows one of hers and Berta's.
    pub(crate) photos: [Uuid; 3],
    /// Anna's three faces by photo; the first is her feature face.
    pub(crate) faces: [Uuid; 3],
    pub(crate) bertas_face: Uuid,
    pub(crate) folder: tempfile::TempDir,
}

/// What is there after the server forgot everything.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Forgotten {
    pub(crate) photos: [Uuid; 3],
    pub(crate) faces: [Uuid; 3],
    pub(crate) anna: Uuid,
    pub(crate) berta: Uuid,
}

pub(crate) const ALL: &[&str] = &["all"];

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Shape::v2_7_2(), ALL).await
    }

    pub(crate) async fn with(shape: Shape, permissions: &[&str]) -> Self {
        let mut library = Library::new();
        let user = library.add_user("Uta");
        let key = library.add_key(user, "fix", permissions);
        let anna = library.add_person(user, "Anna");
        let berta = library.add_person(user, "Berta");
        let photos = [0, 1, 2].map(|i| {
            let taken = NOON_US + i * 86_400_000_000;
            library.add_photo(user, &format!("{i}.jpg"), taken)
        });
        let faces =
            photos.map(|photo| library.add_face(photo, Some(anna), [216, 144, 432, 720], FRAME));
        let bertas_face = library.add_face(photos[2], Some(berta), [1000, 200, 1200, 500], FRAME);
        Self {
            fake: Fake::start(library, shape).await,
            key,
            user,
            anna,
            berta,
            photos,
            faces,
            bertas_face,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn client(&self) -> Client {
        self.client_with(&self.key)
    }

    pub(crate) fn client_with(&self, key: &str) -> Client {
        let options = ClientOptions {
            retry: RetryPolicy {
                max_retries: 1,
                base: Duration::from_millis(1),
                ..RetryPolicy::default()
            },
            timeout: Duration::from_millis(500),
            breaker_threshold: 10_000,
            ..ClientOptions::default()
        };
        let base = BaseUrl::parse(&self.fake.url()).unwrap();
        Client::new(base, ApiKey::new(key).unwrap(), options).unwrap()
    }

    pub(crate) fn journal_path(&self) -> PathBuf {
        self.folder.path().join("faces.journal.jsonl")
    }

    pub(crate) fn journal(&self) -> Journal {
        Journal::open(&self.journal_path(), "test").unwrap()
    }

    pub(crate) async fn start(&self) -> (Engine, Start) {
        self.start_as(Mode::default()).await.unwrap()
    }

    pub(crate) async fn start_as(&self, mode: Mode) -> Result<(Engine, Start), Error> {
        Engine::new(self.client(), self.journal(), mode).await
    }

    pub(crate) async fn engine(&self) -> Engine {
        self.start().await.0
    }

    pub(crate) fn person_of(&self, face: Uuid) -> Option<Uuid> {
        self.fake
            .with_library(|library| library.face(face).unwrap().person)
    }

    pub(crate) fn feature_of(&self, person: Uuid) -> Option<Uuid> {
        self.fake
            .with_library(|library| library.person(person).unwrap().feature)
    }

    pub(crate) fn n_people(&self) -> usize {
        self.fake.with_library(|library| library.people().count())
    }

    /// What undo has to bring back: who has which face, whose feature face is which,
    /// and who exists.
    pub(crate) fn state(&self) -> String {
        self.fake.with_library(|library| {
            let people: Vec<_> = library
                .people()
                .map(|person| {
                    let faces: Vec<_> = library.visible_faces_of(person.id).map(|f| f.id).collect();
                    (person.id, person.name.clone(), person.feature, faces)
                })
                .collect();
            format!("{people:?}")
        })
    }

    pub(crate) fn decide(&self, photo: Uuid, face: Uuid, action: Action) -> Decision {
        let (checksum, person) = self.fake.with_library(|library| {
            let face = library.face(face).unwrap();
            let person = face.person.map(|id| library.person(id).unwrap().clone());
            (library.asset(photo).unwrap().sha1(), person)
        });
        Decision {
            asset: photo.to_string().parse().unwrap(),
            checksum: Some(base64::engine::general_purpose::STANDARD.encode(checksum)),
            face: face.to_string().parse().unwrap(),
            area: Some(Area {
                x1: 0.1,
                y1: 0.1,
                x2: 0.2,
                y2: 0.5,
                frame: [FRAME.0, FRAME.1],
            }),
            edited: false,
            original: None,
            from: person.map(|person| person_ref(person.id, &person.name)),
            action,
        }
    }

    /// Every one of these photos is uploaded anew, every face found anew (a little
    /// elsewhere, in another frame), all given to one new Anna; everybody else is gone
    /// but Berta, who is there under a new id.
    pub(crate) fn forget(&self, photos: [Uuid; 3]) -> Forgotten {
        self.fake.with_library(|library| {
            let people: Vec<Uuid> = library.people().map(|person| person.id).collect();
            for person in people {
                library.remove_person(person);
            }
            let anna = library.add_person(self.user, "Anna");
            let berta = library.add_person(self.user, "Berta");
            let photos = photos.map(|old| {
                let bytes: Arc<[u8]> = library.asset(old).unwrap().bytes().into();
                let taken = library.asset(old).unwrap().taken_us;
                library.remove_asset(old);
                let photo = library.add_photo(self.user, "again.jpg", taken);
                library.update_asset(photo, |asset| asset.content = Content::Bytes(bytes));
                photo
            });
            // 0.1..0.2 x 0.1..0.5 becomes 0.11..0.21 x 0.1..0.5 of a smaller preview.
            let faces = photos
                .map(|photo| library.add_face(photo, Some(anna), [119, 72, 227, 360], (1080, 720)));
            Forgotten {
                photos,
                faces,
                anna,
                berta,
            }
        })
    }

    /// Anna's face of this photo, by position.
    pub(crate) fn annas(&self, at: usize, action: Action) -> Decision {
        self.decide(self.photos[at], self.faces[at], action)
    }

    pub(crate) fn to_berta(&self) -> Action {
        Action::Reassign {
            to: person_ref(self.berta, "Berta"),
        }
    }
}

pub(crate) fn person_ref(id: Uuid, name: &str) -> PersonRef {
    PersonRef {
        id: id.to_string().parse().unwrap(),
        name: name.to_owned(),
    }
}

pub(crate) fn new_person(name: &str, group: u32) -> Action {
    Action::CreatePerson {
        name: name.to_owned(),
        group,
    }
}

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

pub(crate) fn of(decisions: Vec<Decision>) -> Transaction {
    Transaction {
        decisions,
        ..Transaction::new(at(0), "Uta")
    }
}
