//! The matching alone: people made from the truth, faces that ask, and each
//! rule with and without.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use faceset_cache::Cache;
use faceset_core::{CosineDistance, FacesetNumber};
use faceset_identity::RegistryWriter;
use faceset_pipeline::Ctx;
use faceset_pipeline::context::{ContextRules, LooksBy};
use faceset_pipeline::matching::{Face, MATCH_THRESHOLD, Person, decide};
use faceset_pipeline::people::today;
use serde_json::Value;

use crate::truth::{Labelled, Truth};

/// One way of matching.
#[derive(Clone, Copy)]
struct Way {
    name: &'static str,
    rules: ContextRules,
}

const fn way(name: &'static str, looks: LooksBy, time: bool, birth: bool, photo: bool) -> Way {
    Way {
        name,
        rules: ContextRules {
            looks,
            time,
            birth,
            photo,
        },
    }
}

const WAYS: [Way; 6] = [
    way("one mean", LooksBy::Mean, false, false, false),
    way("nearest look", LooksBy::Eras, false, false, false),
    way("look nearest in time", LooksBy::Eras, true, false, false),
    way(
        "one mean, not before birth",
        LooksBy::Mean,
        false,
        true,
        false,
    ),
    way(
        "one mean, two people a photo",
        LooksBy::Mean,
        false,
        false,
        true,
    ),
    way(
        "nearest look, birth, two people",
        LooksBy::Eras,
        false,
        true,
        true,
    ),
];

/// Answers, added up.
#[derive(Default, Clone, Copy)]
struct Tally {
    /// Faces of known people.
    known: usize,
    /// Faces that were given to somebody.
    given: usize,
    /// Of those, to the right person.
    right: usize,
    /// Faces of people with two looks, and those found.
    era_known: usize,
    era_right: usize,
}

/// Beside the usual threshold a wide one, at which people are confused: what a
/// rule does on faces that are harder than these.
const THRESHOLDS: [CosineDistance; 2] = [MATCH_THRESHOLD, CosineDistance::constant(0.65)];

pub(crate) fn measure(cache: &Cache, truth: &Truth, halves: u64, ctx: Ctx<'_>) -> Result<()> {
    let first = |face: &Labelled, _: u64| face.batch == 0;
    let half = |face: &Labelled, seed: u64| coin(&face.key.sha256.0, seed);
    for threshold in THRESHOLDS {
        println!("At most {threshold} away, the first batch known, the others ask:\n");
        table(cache, truth, threshold, 1, &first, ctx)?;
        println!(
            "At most {threshold} away, a random half of the photos known, the other asks; sum of {halves} halves:\n"
        );
        table(cache, truth, threshold, halves, &half, ctx)?;
    }
    Ok(())
}

/// A fair coin for a photo: FNV-1a of its hash and the seed.
fn coin(sha256: &[u8; 32], seed: u64) -> bool {
    let bytes = sha256.iter().copied().chain(seed.to_le_bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |h, b| {
        (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash >> 40) & 1 == 0
}

fn table(
    cache: &Cache,
    truth: &Truth,
    threshold: CosineDistance,
    rounds: u64,
    is_known: &dyn Fn(&Labelled, u64) -> bool,
    ctx: Ctx<'_>,
) -> Result<()> {
    println!(
        "| way | faces that ask | of known people | given | right | precision | recall | era people found |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let numbers: BTreeMap<&str, FacesetNumber> = truth
        .people()
        .into_iter()
        .zip(1..)
        .map(|(who, n)| Ok((who, FacesetNumber::new(n)?)))
        .collect::<Result<_>>()?;
    let dir = tempfile::tempdir()?;
    let writer = births(dir.path(), truth, &numbers, ctx)?;
    let era_people: BTreeSet<&str> = truth.era_people().into_iter().collect();
    for way in WAYS {
        let mut tally = Tally::default();
        let mut n_asking = 0;
        for round in 0..rounds {
            let (known, asking): (Vec<&Labelled>, Vec<&Labelled>) =
                truth.faces.values().partition(|f| is_known(f, round));
            n_asking += asking.len();
            let people = people(&known, cache, &numbers, way.rules.looks)?;
            let faces: Vec<Face<'_>> = asking.iter().filter_map(|f| face(f, cache)).collect();
            let rules = way.rules.with(writer.registry());
            let decisions = decide(&faces, &people, threshold, &rules)?;
            let names: BTreeSet<&str> = people.iter().map(|p| p.name.as_str()).collect();
            for (face, decision) in asking.iter().zip(&decisions) {
                let who = face.identity.as_str();
                let given = decision.person().map(|at| people[at].name.as_str());
                let right = given == Some(who);
                tally.known += usize::from(names.contains(who));
                tally.given += usize::from(given.is_some());
                tally.right += usize::from(right);
                if era_people.contains(who) && names.contains(who) {
                    tally.era_known += 1;
                    tally.era_right += usize::from(right);
                }
            }
        }
        println!(
            "| {} | {n_asking} | {} | {} | {} | {:.4} | {:.4} | {} of {} |",
            way.name,
            tally.known,
            tally.given,
            tally.right,
            tally.right as f64 / tally.given.max(1) as f64,
            tally.right as f64 / tally.known.max(1) as f64,
            tally.era_right,
            tally.era_known
        );
    }
    println!();
    Ok(())
}

/// Known people by their true names.
fn people(
    known: &[&Labelled],
    cache: &Cache,
    numbers: &BTreeMap<&str, FacesetNumber>,
    by: LooksBy,
) -> Result<Vec<Person>> {
    let mut faces: BTreeMap<&str, Vec<(&[f32], &str)>> = BTreeMap::new();
    for labelled in known {
        if let Some((file, at)) = cache.face(&labelled.key) {
            let embedding = file.faces()[at].embedding.as_slice();
            let of = faces.entry(&labelled.identity).or_default();
            of.push((embedding, file.taken.as_str()));
        }
    }
    faces
        .into_iter()
        .map(|(name, faces)| {
            Ok(Person {
                name: name.to_owned(),
                number: numbers.get(name).copied(),
                looks: by.of(&faces)?,
            })
        })
        .collect()
}

fn face<'a>(labelled: &Labelled, cache: &'a Cache) -> Option<Face<'a>> {
    let (file, at) = cache.face(&labelled.key)?;
    Some(Face {
        key: labelled.key.clone(),
        embedding: &file.faces()[at].embedding,
        taken: &file.taken,
    })
}

/// A registry in which everybody is born on the first day of the first year
/// that shows them: the best that a birth date could do here.
fn births(
    dir: &std::path::Path,
    truth: &Truth,
    numbers: &BTreeMap<&str, FacesetNumber>,
    ctx: Ctx<'_>,
) -> Result<RegistryWriter> {
    let mut writer = RegistryWriter::open(dir, "measurement", "2026-01-01".parse()?)?;
    let (plan, _) = writer.registry().plan_allocate(
        numbers.len(),
        &BTreeSet::new(),
        "measurement",
        &Value::Null,
    )?;
    writer.apply(&plan, ctx.now)?;
    for (who, number) in numbers {
        let of_person = truth.faces.values().filter(|f| f.identity == *who);
        if let Some(year) = of_person.map(|f| f.year).min() {
            let born = format!("{year:04}-01-01").parse()?;
            let day = today(ctx).max("2026-01-01".parse()?);
            let plan = writer
                .registry()
                .plan_birth_date(*number, Some(born), day)?;
            writer.apply(&plan, ctx.now)?;
        }
    }
    Ok(writer)
}
