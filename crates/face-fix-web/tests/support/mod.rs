//! What the page's tests share: a library, a fake Immich, our server, a browser.

#![allow(dead_code, reason = "each test program uses its own part")]

#[cfg(not(windows))]
pub(crate) mod access;
#[cfg(not(windows))]
pub(crate) mod browser;
pub(crate) mod direct;
pub(crate) mod drawing;
pub(crate) mod own;
pub(crate) mod scene;
#[cfg(not(windows))]
pub(crate) mod visit;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use face_fix::{Engine, Journal, Mode, Past};
use face_fix_web::{App, AppOptions, Names, SessionToken};
use immich_client::{ApiKey, BaseUrl, Client, ClientOptions, RetryPolicy};
use immich_fake::{Fake, Library, Shape};
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use scene::Scene;

/// A fake Immich with a scene, and a folder for the journal.
pub(crate) struct World {
    pub(crate) fake: Fake,
    pub(crate) scene: Scene,
    folder: tempfile::TempDir,
    n_runs: u8,
}

/// A running server of the page.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) token: SessionToken,
    stop: Option<oneshot::Sender<()>>,
    done: tokio::task::JoinHandle<()>,
}

impl World {
    /// `arrange` adds the photos.
    pub(crate) async fn new(arrange: impl FnOnce(&mut Scene, &mut Library)) -> Self {
        let mut library = Library::new();
        let mut scene = Scene::new(&mut library);
        arrange(&mut scene, &mut library);
        Self {
            fake: Fake::start(library, Shape::v2_7_2()).await,
            scene,
            folder: tempfile::tempdir().unwrap(),
            n_runs: 0,
        }
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.folder.path().join("corrections.jsonl")
    }

    pub(crate) fn past(&self) -> Past {
        Journal::read(&self.journal()).unwrap()
    }

    pub(crate) fn client(&self) -> Client {
        client(&self.fake.url(), &self.scene.key)
    }

    pub(crate) async fn engine(&self, mode: Mode) -> Engine {
        let journal = Journal::open(&self.journal(), "a test").unwrap();
        Engine::new(self.client(), journal, mode).await.unwrap().0
    }

    /// Starts the page's server; each run has another token, as in life.
    pub(crate) async fn serve(&mut self, mode: Mode) -> Server {
        self.n_runs += 1;
        let engine = self.engine(mode).await;
        Server::start(engine, self.n_runs, options()).await
    }

    /// As [`World::serve`], with our own embeddings of every face that has one.
    pub(crate) async fn serve_with_own_faces(&mut self) -> Server {
        self.n_runs += 1;
        let engine = self.engine(Mode::default()).await;
        let own = self.fake.with_library(|library| own::faces(library));
        Server::start(engine, self.n_runs, options().with_own_faces(own.into())).await
    }

    /// Who has a face now: the name, or the start of what there is instead.
    pub(crate) fn owner_of(&self, face: immich_fake::Uuid) -> String {
        self.fake.with_library(|library| {
            let person = library.face(face).unwrap().person;
            match person.and_then(|id| library.person(id)) {
                Some(person) if person.name.is_empty() => "(unnamed)".to_owned(),
                Some(person) => person.name.clone(),
                None => "(nobody)".to_owned(),
            }
        })
    }
}

/// A client that gives up soon: tests wait for its failures.
pub(crate) fn client(url: &str, key: &str) -> Client {
    let options = ClientOptions {
        retry: RetryPolicy {
            max_retries: 1,
            base: Duration::from_millis(20),
            ..RetryPolicy::default()
        },
        ..ClientOptions::default()
    };
    Client::new(
        BaseUrl::parse(url).unwrap(),
        ApiKey::new(key).unwrap(),
        options,
    )
    .unwrap()
}

/// The clock stands still: the order of the journal is its own.
pub(crate) fn options() -> AppOptions {
    AppOptions::new("a test", || Timestamp::UNIX_EPOCH)
}

impl Server {
    pub(crate) async fn start(engine: Engine, run: u8, options: AppOptions) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener, engine, run, options)
    }

    pub(crate) fn on(listener: TcpListener, engine: Engine, run: u8, options: AppOptions) -> Self {
        let address = listener.local_addr().unwrap();
        let names = Names::new(address, &[]);
        let token = SessionToken::new([run; face_fix_web::TOKEN_BYTES]);
        let app = App::new(engine, options);
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = face_fix_web::serve(listener, app, names, token.clone(), async {
            let _ = stopped.await;
        });
        Self {
            address,
            token,
            stop: Some(stop),
            done: tokio::spawn(async { serving.await.unwrap() }),
        }
    }

    pub(crate) fn link(&self) -> String {
        face_fix_web::link(&Names::new(self.address, &[]), &self.token).unwrap()
    }

    /// Ends it, as Ctrl-C does, so that the journal is free for the next run.
    pub(crate) async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        // Open connections of a browser must not keep it.
        let abort = self.done.abort_handle();
        if tokio::time::timeout(Duration::from_secs(2), &mut self.done)
            .await
            .is_err()
        {
            abort.abort();
            let _ = (&mut self.done).await;
        }
    }
}
