//! Retries, waits, the breaker, lost answers, and the key that is never shown.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test")]

mod support;

use std::time::{Duration, Instant};

use immich_client::{
    BreakerState, ClientOptions, Error, ErrorKind, MediaRequest, NewPerson, Outage, RetryPolicy,
    SearchFilter,
};
use immich_fake::{Fault, Shape};
use support::{asset, client_with, face, fast, person, world};

#[tokio::test]
async fn safe_calls_are_sent_four_times_and_then_fail_as_an_outage() {
    let faults = [
        Fault::Status(502),
        Fault::Status(503),
        Fault::Reset,
        Fault::CutOff,
    ];
    for fault in faults {
        let w = world(Shape::v2_7_2(), 1).await;
        let id = asset(w.photos[0]);
        w.fake.fail("/assets/", 3, fault.clone());
        assert_eq!(w.client.asset(&id).await.unwrap().id, id, "{fault:?}");
        assert_eq!(w.fake.n_requests("/assets/"), 4);
        assert_eq!(w.client.stats().n_retried, 3);
        w.fake.fail("/assets/", 4, fault.clone());
        match w.client.asset(&id).await.unwrap_err() {
            Error::Outage { attempts, why, .. } => {
                assert_eq!(attempts, 4);
                let expected = match fault {
                    Fault::Status(status) => Outage::Status(status),
                    Fault::Reset => Outage::Reset,
                    _ => Outage::CutOff,
                };
                assert_eq!(why, expected);
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(w.fake.n_requests("/assets/"), 8);
    }
}

#[tokio::test]
async fn one_broken_item_is_asked_for_twice() {
    let w = world(Shape::v2_7_2(), 1).await;
    w.fake.fail("/faces", 9, Fault::Status(500));
    let error = w.client.faces(&asset(w.photos[0])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ServerFault);
    assert_eq!(w.fake.n_requests("/faces"), 2);
}

#[tokio::test]
async fn searches_are_repeated_though_they_are_posts() {
    let w = world(Shape::v2_7_2(), 2).await;
    w.fake.fail("/search", 2, Fault::LostAnswer);
    let page = w
        .client
        .search(&SearchFilter::default(), 1, 10)
        .await
        .unwrap();
    assert_eq!(page.assets.len(), 2);
}

#[tokio::test]
async fn creating_is_not_repeated_when_the_answer_was_lost() {
    let w = world(Shape::v2_7_2(), 1).await;
    w.fake.fail("POST /api/people", 1, Fault::LostAnswer);
    let error = w
        .client
        .create_person(&NewPerson::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Outage);
    assert_eq!(w.fake.n_requests("POST /api/people"), 1);
    // 429 is said before anything is done.
    w.fake.fail("POST /api/people", 1, Fault::Status(429));
    w.client.create_person(&NewPerson::default()).await.unwrap();
}

#[tokio::test]
async fn a_deletion_whose_answer_was_lost_counts_as_done() {
    let w = world(Shape::v2_7_2(), 1).await;
    let (who, what) = w.fake.with_library(|library| {
        let who = library.add_person(w.user, "Gone");
        (
            who,
            library.add_face(w.photos[0], Some(who), [1, 2, 3, 4], (10, 8)),
        )
    });
    w.fake.fail("DELETE", 1, Fault::LostAnswer);
    w.client.delete_face(&face(what), true).await.unwrap();
    w.fake.fail("DELETE", 1, Fault::LostAnswer);
    w.client.delete_person(&person(who)).await.unwrap();
    assert!(
        w.fake
            .with_library(|l| l.person(who).is_none() && l.face(what).is_none())
    );
    // Without a lost answer, gone is gone.
    let again = w.client.delete_person(&person(who)).await;
    assert!(matches!(again, Err(Error::Missing { .. })));
}

#[tokio::test]
async fn retry_after_is_obeyed_up_to_the_limit() {
    let w = world(Shape::v2_7_2(), 1).await;
    w.fake
        .fail("/people", 1, Fault::RetryAfter(503, "1".into()));
    let began = Instant::now();
    w.client.all_people(false).await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(1));
    w.fake
        .fail("/people", 1, Fault::RetryAfter(429, "121".into()));
    w.fake.clear_log();
    match w.client.all_people(false).await.unwrap_err() {
        Error::Outage {
            retry_after,
            attempts,
            ..
        } => {
            assert_eq!((retry_after, attempts), (Some(Duration::from_secs(121)), 1));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(w.fake.n_requests("/people"), 1);
}

#[tokio::test]
async fn a_hanging_server_times_out() {
    let w = world(Shape::v2_7_2(), 1).await;
    let options = ClientOptions {
        timeout: Duration::from_millis(1500),
        retry: RetryPolicy {
            max_retries: 0,
            ..RetryPolicy::default()
        },
        ..fast()
    };
    let client = client_with(&w.fake, &w.key, options);
    w.fake.fail("/users/me", 1, Fault::Hang);
    let error = client.me().await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Outage {
                why: Outage::TimedOut,
                ..
            }
        ),
        "{error:?}"
    );
    client.me().await.unwrap();
}

#[tokio::test]
async fn breaker_opens_after_twelve_failed_calls_and_a_failed_probe_for_all_clones() {
    let mut w = world(Shape::v2_7_2(), 1).await;
    let options = ClientOptions {
        retry: RetryPolicy {
            max_retries: 0,
            ..RetryPolicy::default()
        },
        breaker_cool_down: Duration::from_millis(1500),
        ..fast()
    };
    let client = client_with(&w.fake, &w.key, options);
    w.fake.stop();
    tokio::time::sleep(Duration::from_millis(20)).await;
    for n in 0..12 {
        assert_eq!(client.breaker_state(), BreakerState::Closed, "after {n}");
        let error = client.me().await.unwrap_err();
        assert!(!error.is_circuit_open());
    }
    assert_eq!(client.breaker_state(), BreakerState::Suspect);
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let clone = client.clone();
            tokio::spawn(async move { clone.me().await.unwrap_err().is_circuit_open() })
        })
        .collect();
    for task in tasks {
        assert!(task.await.unwrap());
    }
    assert_eq!(client.breaker_state(), BreakerState::Open);
    // One probe for all eight.
    assert_eq!(client.stats().n_sent, 13);

    w.fake.restart().await;
    assert!(client.me().await.unwrap_err().is_circuit_open());
    tokio::time::sleep(Duration::from_millis(1510)).await;
    client.me().await.unwrap();
    assert_eq!(client.breaker_state(), BreakerState::Closed);
    assert_eq!(w.fake.n_requests("/api-keys/me"), 1);
}

#[tokio::test]
async fn a_healthy_probe_lets_work_go_on_after_a_streak() {
    // Twelve assets that the server cannot serve are no outage.
    let w = world(Shape::v2_7_2(), 14).await;
    w.fake.fail("/faces", 24, Fault::Status(500));
    for photo in &w.photos[..12] {
        assert!(w.client.faces(&asset(*photo)).await.is_err());
    }
    assert_eq!(w.client.breaker_state(), BreakerState::Suspect);
    w.client.faces(&asset(w.photos[12])).await.unwrap();
    assert_eq!(w.client.breaker_state(), BreakerState::Closed);
    assert_eq!(w.fake.n_requests("/api-keys/me"), 1);
}

#[tokio::test]
async fn a_probe_that_finds_a_bad_key_says_so() {
    let w = world(Shape::v2_7_2(), 1).await;
    let options = ClientOptions {
        breaker_threshold: 1,
        ..fast()
    };
    let client = client_with(&w.fake, "wrong", options);
    w.fake.fail("/faces", 4, Fault::Status(502));
    assert_eq!(
        client.faces(&asset(w.photos[0])).await.unwrap_err().kind(),
        ErrorKind::Outage
    );
    assert_eq!(
        client.faces(&asset(w.photos[0])).await.unwrap_err().kind(),
        ErrorKind::Auth
    );
}

#[tokio::test]
async fn idle_connections_are_dropped_before_the_server_drops_them() {
    let w = world(Shape::v2_7_2(), 1).await;
    let options = ClientOptions {
        pool_idle_timeout: Duration::from_secs(1),
        ..fast()
    };
    let client = client_with(&w.fake, &w.key, options);
    client.me().await.unwrap();
    client.me().await.unwrap();
    assert_eq!(w.fake.n_connections(), 1);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    client.me().await.unwrap();
    assert_eq!(w.fake.n_connections(), 2);
    assert_eq!(
        ClientOptions::default().pool_idle_timeout,
        Duration::from_secs(4)
    );
}

#[tokio::test]
async fn a_connection_that_the_server_closed_while_idle_does_no_harm() {
    let w = world(Shape::v2_7_2(), 1).await;
    w.fake.set_idle_timeout(Duration::from_millis(60));
    w.client.me().await.unwrap();
    tokio::time::sleep(Duration::from_millis(120)).await;
    w.client.me().await.unwrap();
    assert_eq!(w.fake.n_connections(), 2);
}

#[tokio::test]
async fn redirects_to_other_hosts_do_not_get_the_key() {
    let (here, there) = (
        world(Shape::v2_7_2(), 1).await,
        world(Shape::v2_7_2(), 1).await,
    );
    let elsewhere = format!("{}/api/users/me", there.fake.url());
    here.fake
        .fail("/users/me", 1, Fault::Redirect(elsewhere.clone()));
    let error = here.client.me().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(error.to_string().contains(&elsewhere), "{error}");
    assert_eq!(there.fake.n_requests(""), 0);
}

#[tokio::test]
async fn the_key_is_in_no_message_whatever_the_server_says() {
    let w = world(Shape::v2_7_2(), 1).await;
    let mut shown = vec![format!("{:?}", w.client), format!("{:?}", fast())];
    for status in [302, 400, 401, 403, 404, 418, 429, 500, 502] {
        w.fake.fail("/users/me", 4, Fault::EchoKey(status));
        let error = w.client.me().await.unwrap_err();
        shown.push(format!("{error} {error:?}"));
        w.fake.heal();
    }
    w.fake.fail(
        "/users/me",
        4,
        Fault::Redirect(format!("http://h/?apiKey={}", w.key)),
    );
    shown.push(format!("{:?}", w.client.me().await.unwrap_err()));
    w.fake.heal();
    w.fake.fail("/users/me", 4, Fault::Reset);
    shown.push(format!("{:?}", w.client.me().await.unwrap_err()));
    for text in shown {
        assert!(!text.contains(&w.key), "{text}");
    }
    // The test's own ground: the server did see the key, and the echo reached us.
    w.fake.fail("/users/me", 1, Fault::EchoKey(418));
    let error = w.client.me().await.unwrap_err().to_string();
    assert!(
        error.contains("bad header x-api-key: [redacted]"),
        "{error}"
    );
}

#[tokio::test]
async fn long_answers_come_compressed_and_originals_do_not() {
    let w = world(Shape::v2_7_2(), 30).await;
    let page = w
        .client
        .search(&SearchFilter::default(), 1, 30)
        .await
        .unwrap();
    assert_eq!(page.assets.len(), 30);
    let original = MediaRequest::original(&page.assets[0].id);
    w.client.fetch(&original, 9999).await.unwrap();
    let gzipped: Vec<bool> = w.fake.log().iter().map(|entry| entry.gzipped).collect();
    assert_eq!(gzipped, [true, false]);
}
