//! More sessions in a real browser: people whom no list has, filters, auto-fix at once,
//! a session begun anew, an undo that is tried again, boxes against the picture, and who
//! uses the page without a mouse, with a screen reader, by day, or on a narrow screen.
//!
//! Needs chromium and axe-core (`cargo xtask setup`).

#![cfg(not(windows))]
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use face_fix::{Mode, PastTransaction, Standing};
use immich_fake::Fault;
use serde_json::Value;
use support::browser::Tab;
use support::drawing::LEA;
use support::scene::{PLACES, set_angle, with_one_clear_mistake};
use support::visit::{SELECT_FILTER, Visit, choose_pair, past_the_portrait, start};
use support::{World, access};

#[tokio::test(flavor = "multi_thread")]
async fn instant_auto_fix_needs_no_key_and_undo_brings_the_photo_back_to_be_looked_at() {
    let mut faces = Vec::new();
    let mut world = World::new(|scene, library| {
        faces.push(with_one_clear_mistake(scene, library));
        let (_, unclear) =
            scene.photo(library, "unclear.jpg", &[(PLACES[1], LEA, Some(scene.mia))]);
        set_angle(library, unclear[0], 3.6);
        faces.push(unclear[0]);
    })
    .await;
    let server = world.serve_with_own_faces().await;
    let Some(visit) = Visit::begun(server, "instant").await else {
        return;
    };
    let tab = &visit.tab;
    tab.until_photo("unclear.jpg").await;
    tab.until_text(".verdict", "not clear").await;
    assert_eq!(world.owner_of(faces[0]), "Lea Berg");
    assert_eq!(world.owner_of(faces[1]), "Mia Berg");
    tab.until_text(".place", "3 reviewed").await;
    tab.press("z").await;
    tab.until_photo("beach.jpg").await;
    assert_eq!(world.owner_of(faces[0]), "Mia Berg");
    // The rule would act at once; after an undo it leaves the photo to the person.
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    tab.until_text(".caption", "beach.jpg").await;
    tab.press("n").await;
    tab.until_photo("unclear.jpg").await;
    tab.press("q").await;
    tab.until_text(".stats", "of these automatically\n0").await;
    tab.until_text(".stats", "decisions undone\n1").await;
    // Begun anew, what was said of the face binds the rule.
    tab.click("button.primary").await;
    tab.until_text(".session", "3 reviewed").await;
    tab.click(".session button").await;
    tab.until_text("dialog", "Decisions stay in the journal")
        .await;
    tab.shot("reset").await;
    tab.click("dialog button.primary").await;
    tab.until_text("#status", "starts afresh").await;
    tab.until_text(".session", "0 reviewed").await;
    start(tab, "instant").await;
    tab.until_photo("beach.jpg").await;
    tab.until_text(".verdict", "you said it is not the correct person's")
        .await;
    tab.shot("remembered").await;
    assert_eq!(world.owner_of(faces[0]), "Mia Berg");
    visit.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_show_their_photos_and_leave_the_others_to_be_reviewed() {
    let mut world = World::new(|scene, library| {
        scene.solo(library, "beach.jpg");
        scene.twins(library, "twins.jpg");
        let both = [
            (PLACES[0], LEA, Some(scene.mia)),
            (PLACES[2], LEA, Some(scene.lea)),
        ];
        scene.photo(library, "both.jpg", &both);
    })
    .await;
    let server = world.serve(Mode::default()).await;
    let Some(visit) = Visit::of(server).await else {
        return;
    };
    let tab = &visit.tab;
    choose_pair(tab).await;
    tab.set(".check:last-of-type input", "false").await;
    tab.set(SELECT_FILTER, "duplicates").await;
    start(tab, "off").await;
    tab.until_photo("twins.jpg").await;
    tab.press("a").await;
    tab.until_photo("both.jpg").await;
    tab.until_text(".hint", "Lea Berg is on the photo already")
        .await;
    tab.press("n").await;
    tab.until_text("h1", "All photos of this pair are done")
        .await;
    tab.until_text(".stats", "photos reviewed\n2").await;
    tab.click("button.primary").await;
    tab.set(SELECT_FILTER, "solos").await;
    start(tab, "off").await;
    // The portrait and the beach were not reviewed by being filtered out.
    past_the_portrait(tab).await;
    tab.until_photo("beach.jpg").await;
    tab.press("n").await;
    tab.until_text("h1", "All photos of this pair are done")
        .await;
    visit.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unnamed_people_with_few_faces_and_hidden_ones_can_be_chosen() {
    let (mut lone, mut hidden, mut hers) = (None, None, None);
    let mut world = World::new(|scene, library| {
        let nobody = library.add_person(scene.owner, "");
        let (_, faces) = scene.photo(library, "lone.jpg", &[(PLACES[1], LEA, Some(nobody))]);
        lone = Some((nobody, faces[0]));
        let secret = library.add_person(scene.owner, "Secret");
        library.update_person(secret, |person| person.hidden = true);
        let (_, faces) = scene.photo(library, "secret.jpg", &[(PLACES[1], LEA, Some(secret))]);
        hidden = Some(faces[0]);
        hers = Some(scene.solo(library, "beach.jpg").1);
    })
    .await;
    let (nobody, lone) = lone.unwrap();
    let server = world.serve(Mode::default()).await;
    let Some(visit) = Visit::of(server).await else {
        return;
    };
    let tab = &visit.tab;
    let of_wrong = "[aria-label='Wrong person'] .person";
    let wrong = |what: &str| format!("[...document.querySelectorAll(\"{of_wrong}\")]{what}");
    let is_there = |name: &str| wrong(&format!(".some((p) => p.title.startsWith('{name}'))"));
    assert_eq!(tab.value(&is_there("Secret")).await, false);
    assert_eq!(tab.value(&is_there("unnamed")).await, false);
    let section = "section:has([aria-label='Wrong person'])";
    tab.set(&format!("{section} label:nth-of-type(1) input"), "true")
        .await;
    tab.until_text(&format!("{section} .few"), "only from 3 faces on")
        .await;
    assert_eq!(tab.value(&is_there("unnamed")).await, false);
    access::check(tab, "unnamed").await;
    tab.click(&format!("{section} .look")).await;
    tab.until(&is_there("unnamed")).await;
    tab.until_text(&format!("{section} .few"), "Found 1 unnamed person")
        .await;
    tab.click(&format!("{of_wrong}[title^='unnamed']")).await;
    tab.click("[aria-label='Correct person'] [title='Lea Berg']")
        .await;
    start(tab, "off").await;
    tab.until_photo("lone.jpg").await;
    tab.press("y").await;
    tab.until_text("h1", "All photos of this pair are done")
        .await;
    assert_eq!(world.owner_of(lone), "Lea Berg");
    tab.press("z").await;
    tab.click("button.primary").await;
    tab.set(&format!("{section} label:nth-of-type(2) input"), "true")
        .await;
    tab.click(&format!("{of_wrong}[title='Secret']")).await;
    tab.shot("hidden").await;
    start(tab, "off").await;
    tab.until_photo("secret.jpg").await;
    tab.press("y").await;
    tab.until_text("h1", "All photos of this pair are done")
        .await;
    assert_eq!(world.owner_of(hidden.unwrap()), "Lea Berg");
    // A link to a person's page finds them too, as the correct one.
    let tab = visit.browser.open(&visit.server.link()).await;
    let link = format!("http://nas:2283/people/{nobody}");
    tab.set("[aria-label='Search: Correct person']", &link)
        .await;
    tab.click("[aria-label='Correct person'] [title^='unnamed']")
        .await;
    tab.click("[aria-label='Wrong person'] [title='Mia Berg']")
        .await;
    start(&tab, "off").await;
    past_the_portrait(&tab).await;
    tab.until_photo("beach.jpg").await;
    tab.press("y").await;
    tab.until_text("h1", "All photos of this pair are done")
        .await;
    assert_eq!(world.owner_of(hers.unwrap()), "(unnamed)");
    visit.end().await;
}

/// Where the drawn mouth lies, from 0 to 1 in the box on the photo and in the crop beside
/// it: left, top, right, bottom. It is the only red of these pictures; it goes from 0.32 to
/// 0.68 of a face's width and from 0.725 to 0.81 of its height.
async fn mouth(tab: &Tab) -> [Vec<f64>; 2] {
    let script = "(() => { \
        const red = (width, height, draw) => { \
          const canvas = Object.assign(document.createElement('canvas'), { width, height }); \
          const pen = canvas.getContext('2d'); draw(pen); \
          const at = pen.getImageData(0, 0, width, height).data; \
          const found = [1e9, 1e9, -1, -1]; \
          for (let y = 0; y < height; y += 1) for (let x = 0; x < width; x += 1) { \
            const i = 4 * (y * width + x); \
            if (at[i] > 140 && at[i] - at[i + 1] > 85) { \
              found[0] = Math.min(found[0], x); found[1] = Math.min(found[1], y); \
              found[2] = Math.max(found[2], x + 1); found[3] = Math.max(found[3], y + 1); \
            } } \
          return found; }; \
        const image = document.querySelector('.photo img'); \
        const frame = image.getBoundingClientRect(); \
        const box = document.querySelector('.box.open').getBoundingClientRect(); \
        const red1 = red(image.naturalWidth, image.naturalHeight, (pen) => pen.drawImage(image, 0, 0)); \
        const on = [0, 1, 2, 3].map((i) => { \
          const [start, size, natural] = i % 2 ? [frame.top, frame.height, image.naturalHeight] : [frame.left, frame.width, image.naturalWidth]; \
          const [from, extent] = i % 2 ? [box.top, box.height] : [box.left, box.width]; \
          return (start + red1[i] / natural * size - from) / extent; }); \
        const crop = document.querySelector('.face.open .crop'); \
        const red2 = red(crop.width, crop.height, (pen) => pen.drawImage(crop, 0, 0)); \
        const inside = red2.map((v, i) => v / (i % 2 ? crop.height : crop.width)); \
        return [on, inside]; })()";
    let found = tab.value(script).await;
    [0, 1].map(|at| {
        let edges = found[at].as_array().unwrap();
        edges.iter().filter_map(Value::as_f64).collect()
    })
}

fn near(found: &[f64], wanted: [f64; 4], what: &str) {
    let off = found.iter().zip(wanted).map(|(a, b)| (a - b).abs());
    let most = off.fold(0.0, f64::max);
    assert!(most < 0.04, "{what}: {found:?}, not {wanted:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn boxes_and_crops_sit_on_the_faces_of_turned_and_edited_photos() {
    let mut world = World::new(|scene, library| {
        scene.solo(library, "beach.jpg");
        scene.turned(library, "turned.jpg");
        scene.edited(library, "cropped.jpg");
    })
    .await;
    let server = world.serve(Mode::default()).await;
    let Some(visit) = Visit::begun(server, "off").await else {
        return;
    };
    let tab = &visit.tab;
    past_the_portrait(tab).await;
    // Face boxes of 160 x 200, 180 x 240 and 160 x 200 pixels.
    for (photo, ratio) in [
        ("beach.jpg", 0.8),
        ("turned.jpg", 0.75),
        ("cropped.jpg", 0.8),
    ] {
        tab.until_photo(photo).await;
        tab.until("document.querySelector('.face.open .crop')")
            .await;
        for width in [1280, access::NARROW] {
            tab.resize(width, 800).await;
            let [on, inside] = mouth(tab).await;
            let what = format!("{photo} at {width} px");
            near(&on, [0.32, 0.725, 0.68, 0.81], &what);
            // The crop shows 1.4 times the longer edge around the face.
            let across = |share: f64| 0.5 + (share - 0.5) * ratio / 1.4;
            let down = |share: f64| 0.5 + (share - 0.5) / 1.4;
            let wanted = [across(0.32), down(0.725), across(0.68), down(0.81)];
            near(&inside, wanted, &format!("{what}, crop"));
        }
        tab.resize(1280, 800).await;
        tab.press("n").await;
    }
    visit.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_face_is_taken_from_everybody_and_remembered_as_such() {
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
    tab.press("x").await;
    tab.until_text(".hint", "Which one is no face?").await;
    tab.press("1").await;
    tab.until_text(".faces .face.none", "no face").await;
    assert_eq!(world.owner_of(faces[0]), "(unnamed)");
    tab.press("n").await;
    tab.until_photo("after.jpg").await;
    let past = world.past();
    let memory = face_fix::Memory::of(&past);
    let struck = past
        .transactions()
        .iter()
        .flat_map(|t| &t.transaction.decisions);
    let struck = struck.filter(|d| d.action == face_fix::Action::NotAFace);
    assert_eq!(struck.count(), 1);
    assert_ne!(memory, face_fix::Memory::default());
    tab.press("z").await;
    tab.until_photo("twins.jpg").await;
    tab.press("z").await;
    tab.until_text(".hint", "2 faces of Mia Berg to decide")
        .await;
    assert_eq!(world.owner_of(faces[0]), "Mia Berg");
    visit.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn try_again_after_an_undo_takes_back_that_decision_and_no_other() {
    let mut photos = Vec::new();
    let mut world = World::new(|scene, library| {
        photos.push(scene.solo(library, "beach.jpg"));
        photos.push(scene.solo(library, "garden.jpg"));
    })
    .await;
    let server = world.serve(Mode::default()).await;
    let Some(visit) = Visit::begun(server, "off").await else {
        return;
    };
    let tab = &visit.tab;
    past_the_portrait(tab).await;
    tab.until_photo("beach.jpg").await;
    // On its way when Immich goes.
    world.fake.fail("PUT /api/faces", 9, Fault::Reset);
    tab.press("y").await;
    tab.until_text("#banner", "The decision is in the journal")
        .await;
    world.fake.heal();
    world.fake.stop();
    tab.press("z").await;
    tab.until_text("#banner", "nothing is taken back yet").await;
    tab.shot("undo-unknown").await;
    world.fake.restart().await;
    tab.press("r").await;
    tab.until_text("#status", "Taken back").await;
    tab.until_photo("beach.jpg").await;
    assert_eq!(world.owner_of(photos[0].1), "Mia Berg");
    assert_eq!(
        world.past().transactions()[1].moved_to(0),
        None,
        "never sent"
    );

    // A photo that goes after it was decided: the one in front stays, nothing is to be
    // tried again.
    tab.press("y").await;
    tab.until_photo("garden.jpg").await;
    world
        .fake
        .with_library(|library| library.remove_asset(photos[0].0));
    tab.press("z").await;
    tab.until_text("#status", "A face is gone from its photo")
        .await;
    tab.until_photo("garden.jpg").await;
    assert_eq!(tab.text("#banner").await, "");
    tab.press("r").await;
    // One that goes while it is in front is left behind.
    world
        .fake
        .with_library(|library| library.remove_asset(photos[1].0));
    tab.press("y").await;
    tab.until_text("h1", "All photos of this pair are done")
        .await;
    assert_eq!(tab.text("#banner").await, "");
    let past = world.past();
    let standings = past.transactions().iter().map(PastTransaction::standing);
    let standings: Vec<_> = standings.collect();
    assert_eq!(
        standings,
        [
            // The portrait is right, whatever was tried again.
            Standing::Applied,
            Standing::Undone,
            Standing::Undone,
            Standing::Applied
        ]
    );
    visit.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_screen_keeps_the_rules_of_accessibility_in_both_themes_and_at_400_px() {
    let mut world = World::new(|scene, library| {
        with_one_clear_mistake(scene, library);
        scene.twins(library, "twins.jpg");
        scene.solo(library, "garden.jpg");
        // A group of its own.
        let (_, far) = scene.photo(library, "far.jpg", &[(PLACES[1], LEA, Some(scene.mia))]);
        set_angle(library, far[0], 2.6);
    })
    .await;
    let server = world.serve_with_own_faces().await;
    let Some(visit) = Visit::of(server).await else {
        return;
    };
    let tab = &visit.tab;
    access::check(tab, "setup").await;
    choose_pair(tab).await;
    tab.set(".options input[max='30']", "30").await;
    access::check(tab, "setup-chosen").await;
    // Splitting.
    tab.click(".row.end > button:not(.primary)").await;
    tab.until("document.querySelectorAll('.split tbody tr').length >= 2")
        .await;
    tab.set("[aria-label='Group 2 goes to']", "new").await;
    access::check(tab, "split").await;
    tab.click(".sticky button.primary").await;
    tab.until_text("dialog li", "to a new person").await;
    access::check(tab, "split-plan").await;
    tab.press("Escape").await;
    tab.until("!document.querySelector('dialog')").await;
    tab.click(".sticky button:not(.primary)").await;
    choose_pair(tab).await;
    // The review: a countdown, one face, several, dialogs.
    start(tab, "confirm").await;
    tab.until_photo("portrait_0.jpg").await;
    tab.until_text(".countdown", "All faces judged right").await;
    tab.until_text("#announce", "in 30 seconds. Any key stops.")
        .await;
    access::check(tab, "countdown").await;
    tab.press("n").await;
    tab.until_photo("mine.jpg").await;
    tab.press("Escape").await;
    access::check(tab, "one-face").await;
    tab.press("n").await;
    tab.until_photo("beach.jpg").await;
    tab.press("n").await;
    tab.until_photo("twins.jpg").await;
    tab.until_text("#announce", "twins.jpg").await;
    access::check(tab, "several-faces").await;
    tab.press("2").await;
    tab.until("document.querySelectorAll('.faces .face.fix').length === 1")
        .await;
    access::check(tab, "half-decided").await;
    tab.press("h").await;
    tab.until("document.querySelector('dialog .histogram')")
        .await;
    access::check(tab, "coach").await;
    tab.press("Escape").await;
    tab.press("?").await;
    tab.until_text("dialog", "It is no face at all").await;
    access::check(tab, "keys").await;
    tab.press("Escape").await;
    world.fake.stop();
    tab.press("y").await;
    tab.until_text("#banner", "Immich is away").await;
    access::check(tab, "outage").await;
    world.fake.restart().await;
    tab.press("r").await;
    tab.until_photo("garden.jpg").await;
    tab.press("q").await;
    tab.until_text("h1", "Stopped for now").await;
    access::check(tab, "summary").await;
    tab.is_clean();
    let stranger = format!("http://{}/", visit.server.address);
    let tab = visit.browser.open(&stranger).await;
    tab.until_text("h1", "Open the link from the terminal")
        .await;
    access::check(&tab, "no-token").await;
    visit.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tab_key_goes_through_every_control_in_order_and_the_focus_is_not_lost() {
    let mut world = World::new(|scene, library| {
        scene.twins(library, "twins.jpg");
        scene.solo(library, "after.jpg");
    })
    .await;
    let server = world.serve(Mode::default()).await;
    let Some(visit) = Visit::of(server).await else {
        return;
    };
    let tab = &visit.tab;
    choose_pair(tab).await;
    let names = access::walk(tab).await;
    assert_eq!(names[0], "Search: Wrong person");
    assert_eq!(names.last().unwrap(), "Start the review");
    start(tab, "off").await;
    past_the_portrait(tab).await;
    tab.until_photo("twins.jpg").await;
    let names = access::walk(tab).await;
    for wanted in [
        "Undo",
        "Face 1: to decide",
        "Face 2: to decide",
        "open in Immich",
    ] {
        assert!(
            names.iter().any(|name| name.starts_with(wanted)),
            "{wanted}: {names:?}"
        );
    }
    // On the second box, Enter marks it; it is drawn anew and keeps the focus.
    tab.value("document.querySelectorAll('.box.open')[1].focus()")
        .await;
    tab.press("Enter").await;
    tab.until("document.querySelectorAll('.box.open')[1].classList.contains('marked')")
        .await;
    let focused = "document.activeElement.getAttribute('aria-label')";
    assert_eq!(tab.value(focused).await, "Face 2: to decide");
    // A button that sends keeps the focus for the next face.
    tab.value("document.querySelector('.actions button:nth-child(2)').focus()")
        .await;
    tab.press("Enter").await;
    tab.until_text(".hint", "1 face of Mia Berg").await;
    tab.until("document.activeElement.innerText.startsWith('It is right')")
        .await;
    // The overlay holds the focus and gives it back.
    tab.press("?").await;
    tab.until("document.querySelector('dialog[open]')").await;
    for _ in 0..3 {
        tab.press("Tab").await;
        let inside = "document.activeElement === document.body || !!document.activeElement.closest('dialog')";
        assert_eq!(tab.value(inside).await, true);
    }
    tab.press("Escape").await;
    tab.until("document.activeElement.innerText.startsWith('It is right')")
        .await;
    // What there is nothing of is said, in a place that was there before.
    for _ in 0..4 {
        tab.press("z").await;
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    tab.until_text("#status[role=status]", "There is nothing to undo")
        .await;
    visit.end().await;
}
