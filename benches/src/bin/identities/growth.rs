//! The verbs batch by batch, beside everything grouped at once.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use faceset_cache::{Cache, CacheWriter};
use faceset_core::manifest::RawManifest;
use faceset_identity::Registry;
use faceset_pipeline::Ctx;
use faceset_pipeline::cluster::{self, ClusterOptions};
use faceset_pipeline::context::{ContextRules, LooksBy};
use faceset_pipeline::extend::{self, ExtendOptions, ExtendSources};
use faceset_pipeline::materialize::LinkMode;

use crate::truth::{FaceId, Truth};

/// How an extension looks at people.
const WAYS: [(&str, ContextRules); 4] = [
    ("extend, one mean", rules(LooksBy::Mean, false, false)),
    ("extend, nearest look", rules(LooksBy::Eras, false, false)),
    (
        "extend, look nearest in time",
        rules(LooksBy::Eras, true, false),
    ),
    (
        "extend, one mean, two people a photo",
        rules(LooksBy::Mean, false, true),
    ),
];

const fn rules(looks: LooksBy, time: bool, photo: bool) -> ContextRules {
    ContextRules {
        looks,
        time,
        birth: false,
        photo,
    }
}

pub(crate) fn measure(cache: &Cache, truth: &Truth, ctx: Ctx<'_>) -> Result<()> {
    println!(
        "| after batch | way | faces | P | R | F | renumbered | lost | era people re-joined |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let dir = tempfile::tempdir()?;
    let mut caches = Vec::new();
    for batch in 0..truth.n_batches {
        let path = dir.path().join(format!("{batch}.npz"));
        caches.push(part(cache, truth, batch, &path)?);
        let whole = caches.last().expect("just pushed");
        let options = ClusterOptions {
            link: LinkMode::None,
            ..ClusterOptions::default()
        };
        let plan = cluster::plan(whole, &path, &options, ctx)?;
        row(batch, "all at once", &plan.manifest, truth, None);
        if batch == 0 {
            for (at, _) in WAYS.iter().enumerate() {
                cluster::apply(&plan, &dir.path().join(format!("raw{at}")), ctx)?;
            }
        }
    }
    for (at, (way, context)) in WAYS.iter().enumerate() {
        let raw = dir.path().join(format!("raw{at}"));
        for batch in 1..truth.n_batches {
            let before: RawManifest = read(&raw)?;
            let sources = ExtendSources {
                cache: dir.path().join(format!("{batch}.npz")),
                raw: raw.clone(),
                refined: None,
            };
            let options = ExtendOptions {
                context: *context,
                link: Some(LinkMode::None),
                ..ExtendOptions::default()
            };
            let registry = Registry::default();
            let grown = &caches[batch as usize];
            let plan = extend::plan(grown, &sources, &options, &registry, ctx)?;
            extend::apply(&plan, &sources, ctx)?;
            row(batch, way, &plan.raw, truth, Some(&before));
        }
    }
    println!();
    Ok(())
}

fn read(raw: &Path) -> Result<RawManifest> {
    Ok(faceset_pipeline::export::read_manifest(
        &raw.join(cluster::MANIFEST),
    )?)
}

/// The photos that have arrived by a batch.
fn part(cache: &Cache, truth: &Truth, batch: u64, path: &Path) -> Result<Cache> {
    let mut writer = CacheWriter::open(path, cache.meta(), "measurement")?;
    for file in cache.files() {
        if truth.batch_of.get(&file.sha256).is_none_or(|b| *b <= batch) {
            writer.put(file.clone())?;
        }
    }
    Ok(writer.finish()?)
}

fn row(batch: u64, way: &str, manifest: &RawManifest, truth: &Truth, before: Option<&RawManifest>) {
    let groups = groups(manifest);
    let (p, r, n) = b_cubed(&groups, truth);
    let f = 2.0 * p * r / (p + r);
    let (renumbered, lost) = before.map_or((String::new(), String::new()), |before| {
        let (renumbered, lost) = moved(before, manifest);
        (renumbered.to_string(), lost.to_string())
    });
    println!(
        "| {} | {way} | {n} | {p:.4} | {r:.4} | {f:.4} | {renumbered} | {lost} | {} |",
        batch + 1,
        rejoined(&groups, truth)
    );
}

/// The group of every face; single faces have one of their own.
fn groups(manifest: &RawManifest) -> BTreeMap<FaceId, usize> {
    let persons = manifest.persons.iter().map(|p| p.faces.as_slice());
    let singles = manifest.singletons.iter().map(std::slice::from_ref);
    persons
        .chain(singles)
        .enumerate()
        .flat_map(|(at, faces)| faces.iter().map(move |f| (f.id(), at)))
        .collect()
}

/// B-cubed precision and recall over the labelled faces in the groups.
fn b_cubed(groups: &BTreeMap<FaceId, usize>, truth: &Truth) -> (f64, f64, usize) {
    let mut both: BTreeMap<(usize, &str), usize> = BTreeMap::new();
    let mut in_group: BTreeMap<usize, usize> = BTreeMap::new();
    let mut of_person: BTreeMap<&str, usize> = BTreeMap::new();
    for (id, face) in &truth.faces {
        let Some(group) = groups.get(id) else {
            continue;
        };
        *both.entry((*group, &face.identity)).or_default() += 1;
        *in_group.entry(*group).or_default() += 1;
        *of_person.entry(&face.identity).or_default() += 1;
    }
    let n: usize = in_group.values().sum();
    let (mut p, mut r) = (0.0, 0.0);
    for ((group, person), shared) in &both {
        let shared = *shared as f64;
        p += shared * shared / in_group[group] as f64;
        r += shared * shared / of_person[person] as f64;
    }
    (p / n as f64, r / n as f64, n)
}

/// People whose faces of before are no longer all under their name, and names
/// that are gone.
fn moved(before: &RawManifest, after: &RawManifest) -> (usize, usize) {
    let now: BTreeMap<FaceId, &str> = after
        .persons
        .iter()
        .flat_map(|p| p.faces.iter().map(|f| (f.id(), p.name.as_str())))
        .collect();
    let renumbered = before
        .persons
        .iter()
        .filter(|p| {
            p.faces
                .iter()
                .any(|f| now.get(&f.id()) != Some(&p.name.as_str()))
        })
        .count();
    let lost = before
        .persons
        .iter()
        .filter(|p| !after.persons.iter().any(|q| q.name == p.name))
        .count();
    (renumbered, lost)
}

/// For each person with two looks: pairs of an early and a late face in one
/// group, of all such pairs.
fn rejoined(groups: &BTreeMap<FaceId, usize>, truth: &Truth) -> String {
    let parts: Vec<String> = truth
        .era_people()
        .into_iter()
        .map(|who| {
            let look = |era: &str| -> Vec<usize> {
                truth
                    .faces
                    .iter()
                    .filter(|(_, f)| f.identity == who && f.era == era)
                    .filter_map(|(id, _)| groups.get(id).copied())
                    .collect()
            };
            let (early, late) = (look("a"), look("b"));
            let joined: usize = early
                .iter()
                .map(|e| late.iter().filter(|l| *l == e).count())
                .sum();
            format!("{joined} of {}", early.len() * late.len())
        })
        .collect();
    parts.join("; ")
}
