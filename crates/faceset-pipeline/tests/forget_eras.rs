//! Forgetting a person takes their eras along, and dates that were remembered
//! of their photos.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use faceset_cache::Cache;
use faceset_core::FacesetNumber;
use faceset_pipeline::era::{EraFile, EraOptions, PersonEras, plan_split, years, years_path};
use faceset_pipeline::{Ctx, people};
use serde_json::json;
use support::{cache, keys, look, photo, tree, unenriched, with_ctx};

/// Splits a person and writes what a run would: `eras.json`, a folder with the
/// set's own manifest, and the page.
fn with_eras(dir: &Path, cache: &Cache, who: u32, ctx: Ctx<'_>) -> Vec<PathBuf> {
    let mut options = EraOptions::new(who.to_string(), dir.join("c.npz"), dir.to_path_buf());
    options.export = unenriched();
    let person: PersonEras = plan_split(cache, &options, false, ctx).unwrap().person;
    let mut file = EraFile::load(dir).unwrap();
    let mut written = Vec::new();
    for era in &person.eras {
        let place = dir.join("_thin").join(&era.name);
        fs::create_dir_all(&place).unwrap();
        let faces: Vec<_> = era.faces.iter().map(|f| json!({"key": f.key})).collect();
        let set = json!({"name": era.name, "faces": faces});
        faceset_fs::write_json(&place.join("manifest.json"), &set).unwrap();
        written.push(place);
    }
    file.put(person);
    file.save(dir).unwrap();
    let page = dir.join(format!("_eras/faceset_{who:03}.html"));
    fs::create_dir_all(dir.join("_eras")).unwrap();
    fs::write(&page, format!("<h1>faceset_{who:03}</h1>")).unwrap();
    written.push(page);
    written
}

#[test]
fn eras_and_remembered_dates_of_the_forgotten_go_and_those_of_others_stay() {
    with_ctx(|ctx| {
        let dir = tempfile::tempdir().unwrap();
        let d = dir.path();
        let mut photos = look("/photos/ana", 4, Some(2003), 0.0);
        photos.extend(look("/photos/bob", 3, Some(2018), 120.0));
        // One of hers is undated, so its file is asked.
        let undated = d.join("ana_undated.jpg");
        fs::write(&undated, [0xFF, 0xD8, 0xFF, 0xD9]).unwrap();
        photos.push(photo(undated.to_str().unwrap(), None, 0.1));
        let path = d.join("c.npz");
        let cache = cache(&path, &photos);
        tree(
            d,
            &[
                ("faceset_001", keys(&cache, "/photos/ana")),
                ("faceset_002", keys(&cache, "/photos/bob")),
            ],
            ctx,
        );
        years(&cache, cache.files(), &years_path(&path), true, ctx).unwrap();
        assert!(years_path(&path).is_file());
        let hers = with_eras(d, &cache, 1, ctx);
        let his = with_eras(d, &cache, 2, ctx);
        assert!(hers.len() > 1 && his.len() > 1);

        let number = FacesetNumber::new(1).unwrap();
        let registry = people::load(d, ctx).unwrap();
        let roots = [d.to_path_buf()];
        let plan = people::plan_forget(
            &registry,
            number,
            d,
            &roots,
            &[],
            std::slice::from_ref(&path),
        )
        .unwrap();
        people::apply_forget(&plan, d, ctx).unwrap();

        assert!(hers.iter().all(|gone| !gone.exists()), "{hers:?}");
        assert!(his.iter().all(|there| there.exists()), "{his:?}");
        assert!(!years_path(&path).exists());
        let text = fs::read_to_string(d.join("eras.json")).unwrap();
        assert!(!text.contains("/photos/ana") && !text.contains("ana_undated"));
        let eras = EraFile::load(d).unwrap();
        let of = |n: u32| eras.of(FacesetNumber::new(n).unwrap()).unwrap().eras.len();
        assert_eq!(of(1), 0);
        assert!(of(2) > 0);
        assert!(undated.is_file(), "photos are never erased");
    });
}
