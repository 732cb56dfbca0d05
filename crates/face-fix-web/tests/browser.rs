//! Whole sessions in a real browser: what is pressed, what is seen, what Immich and the
//! journal hold afterwards. Screens are kept below the target folder; look at them.
//!
//! Needs chromium (`sudo apt-get install chromium`); without it these tests fail. Not on
//! Windows: what the page does there is the browser's doing and not ours.

#![cfg(not(windows))]
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use face_fix::Mode;
use immich_fake::{Fault, Library};
use support::drawing::{LEA, MIA};
use support::scene::{PLACES, Scene, set_angle, with_one_clear_mistake};
use support::visit::{Visit, choose_pair, past_the_portrait, start};
use support::{Server, World, options};

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_single_faces_by_keyboard() {
    let mut faces = Vec::new();
    let mut world = World::new(|scene, library| {
        faces.push(scene.solo(library, "beach.jpg").1);
        faces.push(scene.solo(library, "garden.jpg").1);
        faces.push(scene.turned(library, "turned.jpg").1);
        faces.push(scene.edited(library, "cropped.jpg").1);
    })
    .await;
    let server = world.serve(Mode::default()).await;
    let Some(visit) = Visit::of(server).await else {
        return;
    };
    let tab = &visit.tab;
    tab.shot("setup").await;
    tab.resize(400, 800).await;
    tab.shot("setup-400").await;
    tab.resize(1280, 800).await;
    choose_pair(tab).await;
    start(tab, "off").await;
    past_the_portrait(tab).await;

    tab.until_photo("beach.jpg").await;
    tab.until_text(".hint", "Is this Lea Berg rather than Mia Berg?")
        .await;
    // The box sits where the face was drawn: 290 of 720 from the left.
    assert_eq!(
        tab.value("document.querySelector('.box').style.left").await,
        "40.2778%"
    );
    tab.shot("solo").await;
    tab.resize(400, 800).await;
    tab.shot("solo-400").await;
    let inner = tab
        .value("document.documentElement.scrollWidth <= 400")
        .await;
    assert_eq!(inner, true, "nothing sticks out at 400 px");
    tab.resize(1280, 800).await;
    tab.press("?").await;
    tab.until("document.querySelector('dialog[open]')").await;
    tab.shot("keys").await;
    tab.press("y").await;
    assert_eq!(
        world.owner_of(faces[0]),
        "Mia Berg",
        "keys do nothing behind the overlay"
    );
    tab.press("Escape").await;
    tab.until("!document.querySelector('dialog')").await;

    tab.press("y").await;
    tab.until_photo("garden.jpg").await;
    assert_eq!(world.owner_of(faces[0]), "Lea Berg");
    tab.press("u").await;
    tab.until_photo("turned.jpg").await;
    assert_eq!(world.owner_of(faces[1]), "(unnamed)");
    // Upright 480 x 720 although stored on its side: 150 / 480 and 180 / 720.
    assert_eq!(
        tab.value("document.querySelector('.box').style.left").await,
        "31.25%"
    );
    assert_eq!(
        tab.value("document.querySelector('.box').style.top").await,
        "25%"
    );
    tab.shot("turned").await;
    tab.press("y").await;
    tab.until_photo("cropped.jpg").await;
    // In the crop of the right half: (520 - 360) / 360.
    assert_eq!(
        tab.value("document.querySelector('.box').style.left").await,
        "44.4444%"
    );
    tab.shot("cropped").await;
    tab.press("s").await;
    tab.until_text("h1", "All photos of this pair are done")
        .await;
    tab.until_text(".stats", "faces given to the correct person")
        .await;
    tab.shot("summary").await;
    assert_eq!(world.owner_of(faces[3]), "Mia Berg", "skipped");
    visit.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_stays_until_every_wrong_face_is_decided() {
    let mut faces = Vec::new();
    let mut world = World::new(|scene, library| {
        faces = scene.twins(library, "twins.jpg").1;
        scene.solo(library, "after.jpg");
    })
    .await;
    let server = world.serve(Mode::default()).await;
    let Some(visit) = Visit::begun(server, "off").await else {
        return;
    };
    let tab = &visit.tab;
    past_the_portrait(tab).await;
    tab.until_photo("twins.jpg").await;
    tab.until_text(".hint", "2 faces of Mia Berg to decide")
        .await;
    tab.shot("twins").await;
    // The second face is Lea's.
    tab.press("2").await;
    tab.until("document.querySelectorAll('.faces .face.fix').length === 1")
        .await;
    assert_eq!(
        tab.text(".caption").await.split(' ').next(),
        Some("twins.jpg"),
        "still there"
    );
    assert_eq!(world.owner_of(faces[2]), "Lea Berg");
    tab.shot("twins-half").await;
    tab.press("n").await;
    tab.until_photo("after.jpg").await;
    assert_eq!(world.owner_of(faces[0]), "Mia Berg");
    // Undo brings the photo back with the judgement gone, then the other face too.
    tab.press("z").await;
    tab.until_photo("twins.jpg").await;
    tab.until_text(".hint", "1 face of Mia Berg").await;
    tab.press("z").await;
    tab.until_text(".hint", "2 faces of Mia Berg to decide")
        .await;
    assert_eq!(world.owner_of(faces[2]), "Mia Berg");
    // U, then a number; Escape leaves.
    tab.press("u").await;
    tab.until_text(".hint", "Unassign which face?").await;
    tab.press("Escape").await;
    tab.until_text(".hint", "2 faces of Mia Berg to decide")
        .await;
    tab.press("u").await;
    tab.press("1").await;
    tab.until("document.querySelectorAll('.faces .face.none').length === 1")
        .await;
    assert_eq!(world.owner_of(faces[0]), "(unnamed)");
    tab.press("y").await;
    tab.until_photo("after.jpg").await;
    assert_eq!(world.owner_of(faces[2]), "Lea Berg");
    visit.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn undo_works_across_a_restart_and_the_old_page_is_refused() {
    let mut face = None;
    let mut world = World::new(|scene, library| {
        face = Some(scene.solo(library, "beach.jpg").1);
        scene.solo(library, "garden.jpg");
    })
    .await;
    let face = face.unwrap();
    let server = world.serve(Mode::default()).await;
    let Some(Visit {
        server,
        browser,
        tab,
    }) = Visit::begun(server, "off").await
    else {
        return;
    };
    past_the_portrait(&tab).await;
    tab.until_photo("beach.jpg").await;
    tab.press("y").await;
    tab.until_photo("garden.jpg").await;
    assert_eq!(world.owner_of(face), "Lea Berg");
    let address = server.address;
    server.stop().await;
    tab.press("z").await;
    tab.until_text("#banner", "face-fix itself does not answer")
        .await;
    tab.shot("gone").await;

    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let server = Server::on(listener, world.engine(Mode::default()).await, 99, options());
    // The page of the earlier run has the earlier token.
    tab.press("r").await;
    tab.until_text("#banner", "belongs to an earlier run").await;
    let tab = browser.open(&server.link()).await;
    tab.until_text(".session", "2 reviewed").await;
    tab.click("button.primary").await;
    // Beach and portrait are done with: the session goes on where it was.
    tab.until_photo("garden.jpg").await;
    tab.press("z").await;
    tab.until_photo("beach.jpg").await;
    assert_eq!(world.owner_of(face), "Mia Berg");
    Visit {
        server,
        browser,
        tab,
    }
    .end()
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_in_the_middle_is_seen_and_the_decision_goes_out_afterwards() {
    let mut face = None;
    let mut world = World::new(|scene, library| {
        face = Some(scene.solo(library, "beach.jpg").1);
        scene.solo(library, "garden.jpg");
    })
    .await;
    let face = face.unwrap();
    let server = world.serve(Mode::default()).await;
    let Some(visit) = Visit::begun(server, "off").await else {
        return;
    };
    let tab = &visit.tab;
    past_the_portrait(tab).await;
    tab.until_photo("beach.jpg").await;
    world.fake.stop();
    tab.press("y").await;
    tab.until_text("#banner", "Immich is away").await;
    tab.until_text(".caption", "beach.jpg").await;
    tab.shot("outage").await;
    tab.press("r").await;
    tab.until_text("#banner", "still away").await;
    world.fake.restart().await;
    tab.press("r").await;
    tab.until_photo("garden.jpg").await;
    assert_eq!(world.owner_of(face), "Lea Berg");
    // A hiccup that is over by the time the client asks again is not even seen.
    world.fake.fail("PUT /api/faces", 1, Fault::Reset);
    tab.press("y").await;
    tab.until_text("h1", "All photos of this pair are done")
        .await;
    visit.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tabs_never_decide_the_same_face_twice() {
    let mut faces = Vec::new();
    let mut world = World::new(|scene, library| {
        for name in ["a.jpg", "b.jpg", "c.jpg"] {
            faces.push(scene.solo(library, name).1);
        }
    })
    .await;
    let server = world.serve(Mode::default()).await;
    let Some(visit) = Visit::begun(server, "off").await else {
        return;
    };
    let first = &visit.tab;
    past_the_portrait(first).await;
    first.until_photo("a.jpg").await;
    let second = visit.browser.open(&visit.server.link()).await;
    // Another browser would not hear of the first tab's decisions: neither does this.
    second
        .value("BroadcastChannel.prototype.postMessage = () => {}")
        .await;
    choose_pair(&second).await;
    start(&second, "off").await;
    second.until_photo("a.jpg").await;
    second.press("y").await;
    second.until_photo("b.jpg").await;
    assert_eq!(world.owner_of(faces[0]), "Lea Berg");
    // The first tab still shows the photo, and answers otherwise.
    first.press("u").await;
    first.until_photo("b.jpg").await;
    first.until_text("#status", "not").await;
    assert_eq!(
        world.owner_of(faces[0]),
        "Lea Berg",
        "the later answer changed nothing"
    );
    // Both on the same photo at the same moment.
    let (one, two) = (first.press("y"), second.press("y"));
    tokio::join!(one, two);
    first.until_photo("c.jpg").await;
    second.until_photo("c.jpg").await;
    let past = world.past();
    let n_moves = past
        .transactions()
        .iter()
        .filter(|past| (0..past.settled.len()).any(|at| past.moved_to(at).is_some()));
    assert_eq!(n_moves.count(), 2, "a and b, once each");
    second.is_clean();
    visit.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_shown_as_they_are_and_never_run() {
    const NAME: &str = "<img src=x onerror=\"document.title='run'\">";
    let mut world = World::new(|scene, library| {
        let nasty = library.add_person(scene.owner, NAME);
        scene.photo(
            library,
            "<b>bold</b>.jpg",
            &[
                (PLACES[0], LEA, Some(scene.mia)),
                (PLACES[2], MIA, Some(nasty)),
            ],
        );
    })
    .await;
    let server = world.serve(Mode::default()).await;
    let Some(visit) = Visit::begun(server, "off").await else {
        return;
    };
    let tab = &visit.tab;
    past_the_portrait(tab).await;
    tab.until_photo("<b>bold</b>.jpg").await;
    tab.until_text(".box.other .tag", "onerror").await;
    tab.shot("nasty-name").await;
    assert_eq!(tab.value("document.title").await, "Review · face-fix");
    assert_eq!(
        tab.value("document.querySelectorAll('img[onerror]').length")
            .await,
        0
    );
    // Were markup or a script ever to get in, the browser would not take it.
    for attempt in [
        "document.body.innerHTML = '<p>markup'",
        "document.createElement('script').textContent = 'document.title=1'",
        "setTimeout('document.title=1')",
    ] {
        let refused =
            format!("(() => {{ try {{ {attempt}; return false }} catch {{ return true }} }})()");
        assert_eq!(tab.value(&refused).await, true, "{attempt}");
    }
    assert_eq!(tab.value("document.title").await, "Review · face-fix");
    visit.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_goes_through_all_photos_and_changes_nothing() {
    let mut face = None;
    let mut world = World::new(|scene: &mut Scene, library: &mut Library| {
        face = Some(scene.solo(library, "beach.jpg").1);
    })
    .await;
    let server = world
        .serve(Mode {
            read_only: false,
            dry_run: true,
        })
        .await;
    let Some(visit) = Visit::begun(server, "off").await else {
        return;
    };
    let tab = &visit.tab;
    past_the_portrait(tab).await;
    tab.until_photo("beach.jpg").await;
    tab.until_text(".mode", "DRY RUN").await;
    tab.press("y").await;
    tab.until_text("h1", "All photos of this pair are done")
        .await;
    assert_eq!(world.owner_of(face.unwrap()), "Mia Berg");
    assert!(world.past().transactions().is_empty());
    visit.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_key_stops_the_countdown_and_does_what_it_always_does() {
    let mut face = None;
    let mut world = World::new(|scene, library| {
        face = Some(with_one_clear_mistake(scene, library));
        // Of unknown embedding: nothing can be said of it.
        scene.photo(library, "last.jpg", &[(PLACES[1], LEA, Some(scene.mia))]);
    })
    .await;
    let server = world.serve_with_own_faces().await;
    let face = face.unwrap();
    let Some(visit) = Visit::of(server).await else {
        return;
    };
    let tab = &visit.tab;
    tab.set(".options input[max='30']", "30").await;
    choose_pair(tab).await;
    start(tab, "confirm").await;
    tab.until_photo("portrait_0.jpg").await;
    tab.until_text(".countdown", "All faces judged right").await;
    // Escape only stops.
    tab.press("Escape").await;
    tab.until("document.querySelector('.countdown').hidden")
        .await;
    tab.until_text(".hint", "Is this Lea Berg rather than Mia Berg?")
        .await;
    tab.press("n").await;
    // Another key stops it and does its own.
    tab.until_photo("mine.jpg").await;
    tab.until_text(".countdown", "All faces judged right").await;
    tab.press("s").await;
    tab.until_photo("beach.jpg").await;
    tab.until_text(".countdown", "1 face to Lea Berg").await;
    tab.until_text(".faces .face.fix", "will go to Lea Berg")
        .await;
    tab.shot("countdown").await;
    tab.resize(400, 800).await;
    tab.shot("countdown-400").await;
    tab.resize(1280, 800).await;
    tab.press("n").await;
    tab.until_photo("last.jpg").await;
    assert_eq!(world.owner_of(face), "Mia Berg");
    // After an undo no rule acts on that photo.
    tab.press("z").await;
    tab.until_photo("beach.jpg").await;
    tab.until_text(".hint", "Is this Lea Berg rather than Mia Berg?")
        .await;
    assert_eq!(
        tab.value("document.querySelector('.countdown').hidden")
            .await,
        true
    );
    tab.press("y").await;
    tab.until_photo("last.jpg").await;
    assert_eq!(world.owner_of(face), "Lea Berg");
    tab.press("h").await;
    tab.until("document.querySelector('dialog .histogram')")
        .await;
    tab.until_text("dialog .stats", "as you did").await;
    tab.shot("coach").await;
    visit.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn auto_fix_goes_through_clear_photos_by_itself_and_stops_at_the_others() {
    let mut faces = Vec::new();
    let mut world = World::new(|scene, library| {
        faces.push(with_one_clear_mistake(scene, library));
        // Far from everybody, 1.94 from Mia's nearest and 1.86 from Lea's, and so of
        // no weight for the other faces either.
        let (_, unclear) =
            scene.photo(library, "unclear.jpg", &[(PLACES[1], LEA, Some(scene.mia))]);
        set_angle(library, unclear[0], 3.6);
        faces.push(unclear[0]);
    })
    .await;
    let server = world.serve_with_own_faces().await;
    let Some(visit) = Visit::of(server).await else {
        return;
    };
    let tab = &visit.tab;
    tab.set(".options input[max='30']", "1").await;
    choose_pair(tab).await;
    start(tab, "confirm").await;
    tab.until_photo("unclear.jpg").await;
    tab.until_text(".verdict", "not clear").await;
    tab.shot("unclear").await;
    assert_eq!(world.owner_of(faces[0]), "Lea Berg");
    assert_eq!(world.owner_of(faces[1]), "Mia Berg");
    tab.press("q").await;
    tab.until_text(".stats", "of these automatically\n1").await;
    visit.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_split_by_groups_and_years_in_one_plan() {
    let mut leas = Vec::new();
    let mut world = World::new(|scene, library| {
        for (year, angle, looks) in [
            (2019, 0.05, MIA),
            (2020, 0.1, MIA),
            (2019, 1.6, LEA),
            (2021, 1.7, LEA),
        ] {
            let name = format!("{year}-{angle}.jpg");
            let (asset, faces) =
                scene.photo(library, &name, &[(PLACES[1], looks, Some(scene.mia))]);
            set_angle(library, faces[0], angle);
            // The middle of June.
            let taken = (i64::from(year) - 1970) * 31_556_952_000_000 + 14_300_000_000_000;
            library.update_asset(asset, |asset| asset.taken_us = taken);
            if angle > 1.0 {
                leas.push(faces[0]);
            }
        }
    })
    .await;
    let server = world.serve_with_own_faces().await;
    let Some(visit) = Visit::of(server).await else {
        return;
    };
    let tab = &visit.tab;
    tab.click("[aria-label='Wrong person'] [title='Mia Berg']")
        .await;
    tab.click(".row.end button").await;
    tab.until("document.querySelectorAll('.split tbody tr').length === 2")
        .await;
    tab.until_text(".split thead", "2021").await;
    // The faces are drawn when they come into sight.
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    tab.shot("split").await;
    let lea = format!("to:{}", world.scene.lea);
    tab.set("[aria-label='Group 2 goes to']", &lea).await;
    tab.click(".sticky button.primary").await;
    tab.until_text("dialog li", "2 faces go to Lea Berg").await;
    assert_eq!(
        world.owner_of(leas[0]),
        "Mia Berg",
        "a plan changes nothing"
    );
    tab.shot("split-plan").await;
    tab.click("dialog button.primary").await;
    tab.until_text("#status", "2 faces were given to 1 person")
        .await;
    for face in leas {
        assert_eq!(world.owner_of(face), "Lea Berg");
    }
    visit.end().await;
}
