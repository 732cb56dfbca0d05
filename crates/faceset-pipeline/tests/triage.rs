//! Strangers, with a number or straight from the grouping: ranked, hidden in
//! bulk, and back again.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod drawn;

use std::path::{Path, PathBuf};

use drawn::{Home, number, record, shot, shots, turned, with_ctx};
use faceset_cache::Cache;
use faceset_core::manifest::RawManifest;
use faceset_identity::{Plan, Registry, State, numbers_on_disk};
use faceset_pipeline::cluster::{self, ClusterOptions};
use faceset_pipeline::discover::{self, DiscoverOptions};
use faceset_pipeline::export::read_manifest;
use faceset_pipeline::triage::{Rank, Stranger, plan_hide, rank};
use faceset_pipeline::{PipelineError, people};

fn registry(swap: &Path) -> Registry {
    Registry::load(swap, "2026-02-02".parse().unwrap()).unwrap()
}

fn change(swap: &Path, decide: &dyn Fn(&Registry) -> Result<Plan, PipelineError>) {
    with_ctx(|ctx| people::change(swap, decide, ctx)).unwrap();
}

fn names(strangers: &[Stranger]) -> Vec<&str> {
    strangers.iter().map(|s| s.name.as_str()).collect()
}

#[test]
fn strangers_are_ranked_and_the_tail_hidden_in_one_undoable_change() {
    let home = Home::new();
    let mut all = shots("s", 3, turned(0, 0.0, 1));
    all.extend(shots("t", 2, turned(1, 0.0, 0)));
    // Somebody with a name, once together with the second stranger.
    all.push(shot("both", &[turned(2, 0.0, 0), turned(1, 0.0, 0)]));
    all[3].taken = "2009-05-01T10:00:00";
    all[4].taken = "2014-05-01T10:00:00";
    all[3].short_px = 250.0;
    let cache = home.embed(&all);
    let swap = home.path("swap");
    let key = |name: &str, nth| home.key(&cache, name, nth);
    let first = vec![key("s00", 0), key("s01", 0), key("s02", 0)];
    let second = vec![key("t00", 0), key("t01", 0), key("both", 1)];
    record(
        &swap,
        &[
            ("faceset_001", first),
            ("faceset_002", second),
            ("faceset_003", vec![key("both", 0)]),
        ],
    );
    change(&swap, &|r| Ok(r.plan_name(number(3), Some("Mia"))?));
    let order = |by| -> Vec<u32> {
        rank(&registry(&swap), None, Some(&cache), by)
            .iter()
            .map(|s| s.number.unwrap().get())
            .collect()
    };
    assert_eq!(order(Rank::Years), [2, 1]);
    assert_eq!(order(Rank::Company), [2, 1]);
    let known = registry(&swap);
    let strangers = rank(&known, None, Some(&cache), Rank::Count);
    let two = strangers.iter().find(|s| s.name == "faceset_002").unwrap();
    assert_eq!(two.years, [2009, 2014]);
    assert_eq!(two.with, [("Mia".to_owned(), 1)]);
    assert_eq!((two.photos, two.faces.len(), two.shared_photos), (3, 3, 1));
    let none = std::collections::BTreeSet::new();
    change(&swap, &|r| Ok(plan_hide(r, &strangers[1..], &none)?));
    assert_eq!(order(Rank::Count).len(), 1);
    change(&swap, &|r| Ok(r.plan_undo(r.history().last().unwrap().id)?));
    assert_eq!(order(Rank::Count).len(), 2);
}

/// One person with a set and a name; six, four, and two photos of others who
/// were only ever grouped.
struct Crowd {
    home: Home,
    cache: Cache,
    raw: RawManifest,
}

impl Crowd {
    fn new() -> Self {
        let home = Home::new();
        let mut all = shots("a", 7, turned(0, 0.0, 1));
        all.extend(shots("b", 6, turned(1, 0.0, 0)));
        all.extend(shots("c", 4, turned(2, 0.0, 0)));
        all.extend(shots("d", 2, turned(3, 0.0, 0)));
        // The smallest group is once beside the person with a name.
        all[6].faces.push(turned(3, 0.0, 0));
        for (at, year) in [(7, "2003"), (8, "2004"), (13, "2009"), (14, "2019")] {
            all[at].taken = match year {
                "2003" => "2003-05-01T10:00:00",
                "2004" => "2004-05-01T10:00:00",
                "2009" => "2009-05-01T10:00:00",
                _ => "2019-05-01T10:00:00",
            };
        }
        for shot in &mut all[13..17] {
            shot.short_px = 300.0;
        }
        let cache = home.embed(&all);
        let ana = (0..7)
            .map(|i| home.key(&cache, &format!("a{i:02}"), 0))
            .collect();
        let crowd_at = |home: &Home| home.path("swap");
        record(&crowd_at(&home), &[("faceset_001", ana)]);
        change(&crowd_at(&home), &|r| {
            Ok(r.plan_name(number(1), Some("Ana"))?)
        });
        let (path, out) = (home.path("c.npz"), home.path("raw"));
        with_ctx(|ctx| {
            let plan = cluster::plan(&cache, &path, &ClusterOptions::default(), ctx).unwrap();
            cluster::apply(&plan, &out, ctx).unwrap();
        });
        let raw = read_manifest(&out.join(cluster::MANIFEST)).unwrap();
        Self { home, cache, raw }
    }

    fn swap(&self) -> PathBuf {
        self.home.path("swap")
    }

    fn rank(&self, by: Rank) -> Vec<Stranger> {
        rank(
            &registry(&self.swap()),
            Some(&self.raw),
            Some(&self.cache),
            by,
        )
    }

    fn hide_after(&self, keep: usize) {
        let tail = self.rank(Rank::Count).split_off(keep);
        change(&self.swap(), &|r| {
            Ok(plan_hide(r, &tail, &numbers_on_disk(&self.swap())?)?)
        });
    }

    /// Names of the sets that discovery would make, from photos of three on.
    fn discovered(&self) -> Vec<String> {
        let options = DiscoverOptions {
            min_faces: 3,
            export: faceset_export::ExportOptions::try_from(faceset_export::ExportSettings {
                allow_unenriched: true,
                ..faceset_export::ExportSettings::default()
            })
            .unwrap(),
            ..DiscoverOptions::default()
        };
        let path = self.home.path("c.npz");
        let plan = with_ctx(|ctx| {
            discover::plan(&self.cache, &path, &[], &self.swap(), &options, ctx).unwrap()
        });
        plan.report.sets.iter().map(|s| s.name.clone()).collect()
    }
}

#[test]
fn groups_that_are_nobody_known_are_ranked_with_the_others() {
    let crowd = Crowd::new();
    // person_001 is Ana with seven photos; then by size.
    let by_count = crowd.rank(Rank::Count);
    assert_eq!(
        names(&by_count),
        ["person_002", "person_003", "person_004"],
        "who has a name is no stranger"
    );
    assert_eq!(by_count[0].years, [2003, 2004]);
    assert_eq!(by_count[2].with, [("Ana".to_owned(), 1)]);
    assert_eq!(by_count[2].photos, 3);
    let largest_first = crowd.rank(Rank::Size);
    assert_eq!(names(&largest_first)[0], "person_003");
    assert!((largest_first[0].median_px - 300.0).abs() < 1e-6);
    assert_eq!(names(&crowd.rank(Rank::Company))[0], "person_004");
    let line = by_count[2].line();
    assert!(
        line.contains("person_004") && line.contains("Ana 1x"),
        "{line}"
    );
}

#[test]
fn groups_are_hidden_in_bulk_and_one_undo_brings_all_back() {
    let crowd = Crowd::new();
    assert_eq!(
        crowd.discovered(),
        ["faceset_002", "faceset_003", "faceset_004"]
    );
    crowd.hide_after(1);
    assert_eq!(names(&crowd.rank(Rank::Count)), ["person_002"]);
    let known = registry(&crowd.swap());
    let states: Vec<_> = known
        .identities()
        .map(|i| (i.number.get(), i.state, i.faces.len()))
        .collect();
    assert_eq!(
        states,
        [
            (1, State::Active, 7),
            (2, State::Hidden, 4),
            (3, State::Hidden, 3)
        ]
    );
    // What is hidden is known: it is not discovered, and its number is its own.
    assert_eq!(crowd.discovered(), ["faceset_004"]);
    change(&crowd.swap(), &|r| {
        Ok(r.plan_undo(r.history().last().unwrap().id)?)
    });
    assert_eq!(crowd.rank(Rank::Count).len(), 3);
    assert_eq!(
        crowd.discovered(),
        ["faceset_004", "faceset_005", "faceset_006"],
        "numbers are never given twice"
    );
}

#[test]
fn one_of_many_is_shown_again_by_number_and_hiding_twice_changes_nothing() {
    let crowd = Crowd::new();
    crowd.hide_after(1);
    change(&crowd.swap(), &|r| Ok(r.plan_unhide_all(&[number(3)])?));
    // Its faces are known now: it is ranked under its number, once.
    assert_eq!(
        names(&crowd.rank(Rank::Count)),
        ["person_002", "faceset_003"]
    );
    let entries = registry(&crowd.swap()).history().len();
    crowd.hide_after(2);
    assert_eq!(registry(&crowd.swap()).history().len(), entries);
}
