//! How the page's server bears a person with many photos: time to the first photo,
//! decisions a minute, a session taken up again, memory. Prints figures; `docs/analysis/face-fix.md` keeps some.
//!
//! `cargo run -p face-fix-web --example load [PHOTOS] [DECISIONS]`, by default 10000 and
//! 500. The fake Immich runs in the same process, over loopback; its answers are part of
//! the times, its library part of the memory before the session.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measuring script"
)]

use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use face_fix::{Engine, Journal, Mode, Pair, Review, ReviewHow, Transaction};
use face_fix_web::{App, AppOptions, Names, SessionToken, router};
use immich_client::{ApiKey, BaseUrl, Client, ClientOptions};
use immich_fake::{Content, Fake, Library, Shape};
use jiff::Timestamp;
use serde_json::{Value, json};
use tower::ServiceExt;

const HOST: &str = "127.0.0.1:2300";
/// A preview of a common size.
const PREVIEW_BYTES: usize = 500_000;

struct Page {
    router: Router,
    token: SessionToken,
    wrong: String,
    correct: String,
}

impl Page {
    async fn send(&self, request: Request<Body>) -> Vec<u8> {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = to_bytes(response.into_body(), 50_000_000).await.unwrap();
        assert!(
            status.is_success(),
            "{status}: {}",
            String::from_utf8_lossy(&bytes)
        );
        bytes.to_vec()
    }

    async fn post(&self, path: &str, mut body: Value) -> Value {
        body["wrong"] = self.wrong.as_str().into();
        body["correct"] = self.correct.as_str().into();
        body["margin"] = 0.1.into();
        let request = Request::post(path)
            .header(header::HOST, HOST)
            .header(header::ORIGIN, format!("http://{HOST}"))
            .header(
                header::AUTHORIZATION,
                format!("Bearer {}", self.token.to_hex()),
            )
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_string()));
        serde_json::from_slice(&self.send(request.unwrap()).await).unwrap()
    }

    async fn next(&self, queue: &Value, after: &Value, n: usize) -> Value {
        let body =
            json!({"filter": "both", "skip_both": true, "queue": queue, "after": after, "n": n});
        self.post("/api/next", body).await
    }

    async fn preview(&self, asset: &Value) -> usize {
        let path = format!("/api/asset/{}/preview", asset.as_str().unwrap());
        let request = Request::get(path)
            .header(header::HOST, HOST)
            .header(
                header::AUTHORIZATION,
                format!("Bearer {}", self.token.to_hex()),
            )
            .body(Body::empty());
        self.send(request.unwrap()).await.len()
    }
}

#[tokio::main]
async fn main() {
    let arguments: Vec<usize> = std::env::args()
        .skip(1)
        .map(|a| a.parse().unwrap())
        .collect();
    let n_photos = arguments.first().copied().unwrap_or(10_000);
    let n_decisions = arguments.get(1).copied().unwrap_or(500);
    let (fake, key, wrong, correct) = fake(n_photos).await;
    let folder = tempfile::tempdir().unwrap();
    let base = BaseUrl::parse(&fake.url()).unwrap();
    let client = Client::new(base, ApiKey::new(&key).unwrap(), ClientOptions::default()).unwrap();
    let journal = Journal::open(&folder.path().join("j.jsonl"), "load").unwrap();
    let (engine, _) = Engine::new(client, journal, Mode::default()).await.unwrap();
    let names = Names::new(HOST.parse().unwrap(), &[]);
    let token = SessionToken::new([1; 32]);
    let app = App::new(
        engine.clone(),
        AppOptions::new("load", || Timestamp::UNIX_EPOCH),
    );
    let page = Page {
        router: router(app, names, token.clone()),
        token,
        wrong,
        correct,
    };
    let before_kb = resident_kb();

    let start = Instant::now();
    let first = page.next(&Value::Null, &json!(0), 6).await;
    let listed = first["total"].clone();
    let faces = start.elapsed();
    let n_bytes = page.preview(&first["photos"][0]["asset"]).await;
    println!("{n_photos} photos of one person");
    println!("first photos with faces: {faces:.0?} ({listed} listed by then)");
    println!(
        "first preview ({n_bytes} bytes) after: {:.0?}",
        start.elapsed()
    );
    let queue = first["queue"].clone();
    loop {
        let answer = page.next(&queue, &json!(n_photos), 1).await;
        if answer["complete"] == true {
            println!("whole list ({}): {:.0?}", answer["total"], start.elapsed());
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!(
        "memory: {} MB before the session, {} MB with the list",
        before_kb / 1024,
        resident_kb() / 1024
    );

    let mut coming: Vec<Value> = first["photos"].as_array().unwrap().clone();
    let mut after = first["after"].clone();
    let start = Instant::now();
    let mut slowest = Duration::ZERO;
    for _ in 0..n_decisions {
        if coming.is_empty() {
            let answer = page.next(&queue, &after, 6).await;
            after = answer["after"].clone();
            coming.clone_from(answer["photos"].as_array().unwrap());
        }
        let photo = coming.remove(0);
        let face = &photo["faces"][0]["id"];
        let begun = Instant::now();
        let body = json!({"asset": photo["asset"], "auto": false, "decisions": [{"face": face, "action": "fix"}]});
        page.post("/api/decide", body).await;
        slowest = slowest.max(begun.elapsed());
    }
    let took = start.elapsed();
    println!(
        "{n_decisions} decisions, each journaled, sent and read back, photos fetched between: {:.0} a minute, slowest {slowest:.0?}",
        n_decisions as f64 * 60.0 / took.as_secs_f64()
    );
    resume(&page, &engine, &coming, &queue, after).await;
    println!("memory: {} MB at the end", resident_kb() / 1024);
}

/// Reviews all the photos left but a handful, and takes the session up again.
async fn resume(page: &Page, engine: &Engine, coming: &[Value], queue: &Value, mut after: Value) {
    let mut left = coming.to_vec();
    loop {
        let answer = page.next(queue, &after, 24).await;
        left.extend(answer["photos"].as_array().unwrap().iter().cloned());
        if answer["ended"] == true {
            break;
        }
        after = answer["after"].clone();
    }
    let pair = Pair {
        wrong: page.wrong.parse().unwrap(),
        correct: page.correct.parse().unwrap(),
    };
    let n_reviewed = left.len().saturating_sub(6);
    for photo in &left[..n_reviewed] {
        let mut transaction = Transaction::new(Timestamp::UNIX_EPOCH, "load");
        transaction.pair = Some(pair.clone());
        transaction.review = Some(Review {
            asset: photo["asset"].as_str().unwrap().parse().unwrap(),
            how: ReviewHow::Skipped,
        });
        engine.decide(transaction).await.unwrap();
    }
    let start = Instant::now();
    let answer = page.next(&Value::Null, &json!(0), 6).await;
    assert_eq!(
        answer["photos"].as_array().unwrap().len(),
        left.len() - n_reviewed
    );
    println!(
        "first photos after {n_reviewed} reviewed ones: {} ms",
        start.elapsed().as_millis()
    );
}

async fn fake(n_photos: usize) -> (Fake, String, String, String) {
    let mut library = Library::new();
    let owner = library.add_user("Ada");
    let key = library.add_key(owner, "k", &["all"]);
    let (wrong, correct) = (
        library.add_person(owner, "Mia"),
        library.add_person(owner, "Lea"),
    );
    for n in 0..n_photos {
        let asset = library.add_photo(
            owner,
            &format!("{n}.jpg"),
            1_577_836_800_000_000 + n as i64 * 3_600_000_000,
        );
        library.update_asset(asset, |asset| {
            asset.preview = Some(Content::Noise(PREVIEW_BYTES));
        });
        library.add_face(asset, Some(wrong), [100, 100, 400, 420], (2160, 1440));
    }
    let of_correct = library.add_photo(owner, "lea.jpg", 1_577_836_800_000_000);
    library.add_face(
        of_correct,
        Some(correct),
        [100, 100, 400, 420],
        (2160, 1440),
    );
    let fake = Fake::start(library, Shape::v2_7_2()).await;
    (fake, key, wrong.to_string(), correct.to_string())
}

/// What the process holds in memory; 0 where Linux's /proc is not there.
fn resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.and_then(|kb| kb.parse().ok()).unwrap_or(0)
}
