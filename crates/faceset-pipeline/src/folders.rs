//! `build-folders`: folders that somebody sorted by hand become identities.
//!
//! A trusted folder says who the person is that most of its photos show; mixed
//! folders are searched for everybody. Decides the sets and hands them to the
//! export; sets of others are not touched.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use faceset_cache::{Cache, FaceRow};
use faceset_cluster::{Vectors, centroid};
use faceset_core::manifest::{MANIFEST_VERSION, RefineManifest, RefinedSet};
use faceset_core::{ContentHash, CosineDistance, FaceKey, FacesetNumber};
use faceset_export::{ExportOptions, ExportPlan, Marker};
use faceset_fs::write_json;
use faceset_identity::{Matched, Registry, numbers_on_disk};
use serde::Serialize;
use serde_json::{Map, json};

use crate::cluster::{best_first, cache_ref, places_of};
use crate::export::{ExportSources, plan_sets};
use crate::matching::{Face, Look, MATCH_THRESHOLD, NegativeMemory, Person, decide, matrix};
use crate::obey::PeopleBounds;
use crate::refine::{FIRST_PASS, MANIFEST};
use crate::{Ctx, PipelineError, known_as};

/// A folder that shows one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trusted {
    /// The folder.
    pub folder: PathBuf,
    /// What the person is called: bundles and the marker are named so.
    pub label: String,
}

impl Trusted {
    /// `DIR`, named after the folder, or `LABEL=DIR`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (label, folder) = match text.split_once('=') {
            Some((label, folder)) => (Some(label.to_owned()), folder),
            None => (None, text),
        };
        let folder = PathBuf::from(folder);
        let label = label
            .or_else(|| Some(folder.file_name()?.to_string_lossy().into_owned()))
            .filter(|l| !l.trim().is_empty())
            .ok_or_else(|| format!("{text:?} names no folder; expected DIR or LABEL=DIR"))?;
        Ok(Self { folder, label })
    }
}

/// What to build.
#[derive(Debug, Clone)]
pub struct FolderOptions {
    /// Folders of one person each.
    pub trusted: Vec<Trusted>,
    /// Folders of anybody: each face goes to every person within the threshold.
    pub mixed: Vec<PathBuf>,
    /// Second pass of a trusted folder's mean, and the farthest a face of a
    /// mixed folder may be from it; equal is kept. Default 0.45.
    pub threshold: CosineDistance,
}

impl Default for FolderOptions {
    fn default() -> Self {
        Self {
            trusted: Vec::new(),
            mixed: Vec::new(),
            threshold: MATCH_THRESHOLD,
        }
    }
}

/// One trusted folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FolderReport {
    /// The label.
    pub label: String,
    /// `faceset_NNN`; `None` when no set could be made.
    pub set: Option<String>,
    /// Faces below the folder: the person's plus bystanders.
    pub faces: usize,
    /// Faces that are the person.
    pub person: usize,
    /// Faces that are not.
    pub bystanders: usize,
    /// Faces of mixed folders that joined.
    pub from_mixed: usize,
    /// Faces that the registry knew of the person and that are in the cache.
    pub known_before: usize,
    /// Why there is no set, or what else a person should know.
    pub note: Option<String>,
}

/// What will be built.
#[derive(Debug, Clone)]
pub struct FolderPlan {
    /// The sets, as a refine manifest.
    pub manifest: RefineManifest,
    /// Their export.
    pub export: ExportPlan,
    /// Each trusted folder.
    pub folders: Vec<FolderReport>,
    /// Faces below the mixed folders.
    pub mixed_faces: usize,
    /// Faces of mixed folders that joined nobody.
    pub mixed_nobody: usize,
}

/// The person of one trusted folder.
struct Asserted<'c> {
    label: String,
    rows: Vec<FaceRow<'c>>,
    centroid: Option<Vec<f32>>,
    n_below: usize,
}

/// Decides who is in which folder and what is exported. `swap_ready` is where
/// the sets go; its registry is `registry`.
pub fn plan(
    cache: &Cache,
    cache_path: &Path,
    swap_ready: &Path,
    options: &FolderOptions,
    export: &ExportOptions,
    registry: &Registry,
    ctx: Ctx<'_>,
) -> Result<FolderPlan, PipelineError> {
    check(options)?;
    let rows: Vec<FaceRow<'_>> = cache.faces().collect();
    let mut asserted = Vec::new();
    for trusted in &options.trusted {
        asserted.push(assert_person(cache, &rows, trusted, options.threshold)?);
        ctx.check()?;
    }
    let numbers = number(&asserted, registry, swap_ready)?;
    let mut plan = FolderPlan {
        manifest: RefineManifest {
            version: MANIFEST_VERSION,
            params: json!({"step": "build-folders", "threshold": options.threshold}),
            cache: cache_ref(cache, cache_path),
            facesets: Vec::new(),
            rejected: Vec::new(),
            extra: Map::new(),
        },
        export: ExportPlan {
            options: export.clone(),
            cache: cache_ref(cache, cache_path),
            provenance: json!(null),
            sets: Vec::new(),
            refused: Vec::new(),
            candidates: None,
            candidates_dropped: Vec::new(),
            retired: Vec::new(),
            notes: Vec::new(),
        },
        folders: Vec::new(),
        mixed_faces: 0,
        mixed_nobody: 0,
    };
    let routed = route(
        cache, &rows, options, &asserted, &numbers, registry, &mut plan,
    )?;
    for ((person, decided), mixed) in asserted.iter().zip(numbers).zip(routed) {
        build(person, decided, &mixed, cache, registry, &mut plan);
    }
    plan.manifest.facesets.sort_by(|a, b| a.name.cmp(&b.name));
    let sources = ExportSources {
        cache: cache_path.to_path_buf(),
        refined: manifest_path(swap_ready),
        raw: None,
    };
    let bounds = PeopleBounds::new(registry, &plan.manifest, false);
    let facts = |set: &RefinedSet| registry.export_facts(set);
    plan.export = plan_sets(
        cache,
        &sources,
        &plan.manifest,
        export,
        &facts,
        &bounds,
        ctx,
    )?;
    for set in &mut plan.export.sets {
        if let Some(label) = &set.label {
            let stem = file_stem(label);
            set.markers = vec![Marker {
                file: format!("{stem}.txt"),
                text: format!("{label}: built from a folder sorted by hand\n"),
            }];
            set.bundle_stem = stem;
        }
    }
    Ok(plan)
}

/// Where the manifest of the sets is kept: `work/build_folders/` beside the
/// swap-ready folder.
pub fn manifest_path(swap_ready: &Path) -> PathBuf {
    let work = swap_ready.with_file_name("work");
    work.join("build_folders").join(MANIFEST)
}

/// Keeps the manifest for later steps. The export is the caller's next call.
pub fn write_manifest(plan: &FolderPlan, swap_ready: &Path) -> Result<PathBuf, PipelineError> {
    let path = manifest_path(swap_ready);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(PipelineError::io("create the folder", folder))?;
    }
    write_json(&path, &plan.manifest)?;
    Ok(path)
}

fn check(options: &FolderOptions) -> Result<(), PipelineError> {
    let refuse = |what: String| Err(PipelineError::Options(what));
    if options.trusted.is_empty() {
        return refuse("no trusted folder was given; name at least one with --trusted".to_owned());
    }
    let mut labels = BTreeSet::new();
    let mut stems = BTreeSet::new();
    for trusted in &options.trusted {
        let label = &trusted.label;
        if let Some(flaw) = faceset_identity::name_flaw(label) {
            return refuse(format!("{label:?} can't be a label: {flaw}; use LABEL=DIR"));
        }
        if !labels.insert(label.to_lowercase()) || !stems.insert(file_stem(label).to_lowercase()) {
            return refuse(format!(
                "two trusted folders are called {label:?}; use LABEL=DIR to tell them apart"
            ));
        }
        let inside = |outer: &Path| trusted.folder.starts_with(outer) && trusted.folder != *outer;
        if let Some(outer) = options.trusted.iter().find(|t| inside(&t.folder)) {
            return refuse(format!(
                "the trusted folder {} lies inside {}; both can't be one person's",
                trusted.folder.display(),
                outer.folder.display()
            ));
        }
    }
    Ok(())
}

fn below<'c>(
    cache: &Cache,
    rows: &[FaceRow<'c>],
    folder: &Path,
) -> Result<Vec<FaceRow<'c>>, PipelineError> {
    let root = known_as(folder)?;
    Ok(rows
        .iter()
        .filter(|row| cache.is_under(&row.file.path, &root))
        .copied()
        .collect())
}

fn assert_person<'c>(
    cache: &Cache,
    rows: &[FaceRow<'c>],
    trusted: &Trusted,
    threshold: CosineDistance,
) -> Result<Asserted<'c>, PipelineError> {
    let faces = below(cache, rows, &trusted.folder)?;
    let matrix = matrix(faces.iter().map(|row| row.face.embedding.as_slice()))?;
    let vectors = Vectors::new(matrix.view())?;
    let all: Vec<u32> = (0..vectors.len() as u32).collect();
    let found = centroid::two_pass_members(&vectors, &all, FIRST_PASS, threshold);
    Ok(Asserted {
        label: trusted.label.clone(),
        n_below: faces.len(),
        rows: found.kept.iter().map(|i| faces[*i as usize]).collect(),
        centroid: found.centroid,
    })
}

/// A number, or why there is none.
type Numbered = Result<FacesetNumber, String>;

/// Known people keep their number; others get free ones in the order given.
fn number(
    asserted: &[Asserted<'_>],
    registry: &Registry,
    swap_ready: &Path,
) -> Result<Vec<Numbered>, PipelineError> {
    let taken = numbers_on_disk(swap_ready)?;
    let mut free = registry.free_numbers(asserted.len(), &taken)?.into_iter();
    let mut used: BTreeMap<FacesetNumber, String> = BTreeMap::new();
    let mut numbers = Vec::new();
    for person in asserted {
        if person.rows.is_empty() {
            let why = if person.n_below == 0 {
                "the cache holds no face below it; embed the folder first"
            } else {
                "no person is on most of its photos"
            };
            numbers.push(Err(why.to_owned()));
            continue;
        }
        let keys: Vec<FaceKey> = person.rows.iter().map(FaceRow::key).collect();
        let by_name = registry
            .find(&person.label)
            .ok()
            .map(|i| registry.root(i.number));
        let found = registry.match_set(&person.label, None, &keys).matched;
        let number = match (by_name, found) {
            (Some(number), _) | (None, Matched::Faces(number) | Matched::Label(number)) => number,
            (None, Matched::Ambiguous(several)) => {
                let names: Vec<_> = several.iter().map(|n| n.folder_name()).collect();
                numbers.push(Err(format!(
                    "its faces are as much those of {}; merge them, or name the folder after one",
                    names.join(" and ")
                )));
                continue;
            }
            (None, Matched::New) => free.next().expect("one for each folder"),
        };
        numbers.push(match used.get(&number) {
            Some(other) => Err(format!(
                "it shows the same person as {other:?}, {}; give both folders one label by moving them together",
                number.folder_name()
            )),
            None => {
                used.insert(number, person.label.clone());
                Ok(number)
            }
        });
    }
    Ok(numbers)
}

/// The faces of mixed folders for each person: every one within the threshold
/// whom nobody refused, so that a face may be in several sets.
fn route<'c>(
    cache: &Cache,
    rows: &[FaceRow<'c>],
    options: &FolderOptions,
    asserted: &[Asserted<'c>],
    numbers: &[Numbered],
    registry: &Registry,
    plan: &mut FolderPlan,
) -> Result<Vec<Vec<FaceRow<'c>>>, PipelineError> {
    let mut mixed: BTreeMap<usize, FaceRow<'c>> = BTreeMap::new();
    for folder in &options.mixed {
        mixed.extend(below(cache, rows, folder)?.into_iter().map(|r| (r.row, r)));
    }
    let mixed: Vec<FaceRow<'c>> = mixed.into_values().collect();
    let people: Vec<Person> = asserted
        .iter()
        .zip(numbers)
        .map(|(person, number)| Person {
            name: person.label.clone(),
            number: number.as_ref().ok().copied(),
            looks: person
                .centroid
                .iter()
                .filter(|_| number.is_ok())
                .map(|centroid| Look {
                    centroid: centroid.clone(),
                    years: None,
                })
                .collect(),
        })
        .collect();
    let faces: Vec<Face<'_>> = mixed.iter().map(Face::of).collect();
    let decisions = decide(
        &faces,
        &people,
        options.threshold,
        &NegativeMemory(registry),
    )?;
    let mut routed = vec![Vec::new(); asserted.len()];
    for (row, decision) in mixed.iter().zip(&decisions) {
        for candidate in decision.candidates.iter().filter(|c| c.veto.is_none()) {
            routed[candidate.person].push(*row);
        }
        plan.mixed_nobody += usize::from(decision.chosen.is_none());
    }
    plan.mixed_faces = mixed.len();
    Ok(routed)
}

/// The set of one folder.
fn build(
    person: &Asserted<'_>,
    number: Numbered,
    mixed: &[FaceRow<'_>],
    cache: &Cache,
    registry: &Registry,
    plan: &mut FolderPlan,
) {
    let mut report = FolderReport {
        label: person.label.clone(),
        set: None,
        faces: person.n_below,
        person: person.rows.len(),
        bystanders: person.n_below - person.rows.len(),
        from_mixed: 0,
        known_before: 0,
        note: None,
    };
    let number = match number {
        Ok(number) => number,
        Err(why) => {
            report.note = Some(why);
            plan.folders.push(report);
            return;
        }
    };
    let allowed = |row: &&FaceRow<'_>| !registry.forbids(&row.key(), number);
    let mut members: BTreeMap<(ContentHash, [i32; 4]), FaceRow<'_>> = person
        .rows
        .iter()
        .filter(allowed)
        .map(|row| (row.key().id(), *row))
        .collect();
    for row in mixed {
        if members.insert(row.key().id(), *row).is_none() {
            report.from_mixed += 1;
        }
    }
    // What is known on photos of the set came by an earlier run of this step, or
    // is found there again by the export.
    let photos: BTreeSet<ContentHash> = members.keys().map(|(photo, _)| *photo).collect();
    let known = registry.faces_of(number);
    for row in cache.faces().filter(|r| !photos.contains(&r.file.sha256)) {
        let id = row.key().id();
        if known.contains(&id) && members.insert(id, row).is_none() {
            report.known_before += 1;
        }
    }
    if report.known_before > 0 {
        report.note = Some(format!(
            "{} is known already: the folder adds to the set",
            number.folder_name()
        ));
    }
    let rows: Vec<FaceRow<'_>> = members.into_values().collect();
    let mut ordered: Vec<&FaceRow<'_>> = rows.iter().collect();
    best_first(&mut ordered);
    report.set = Some(number.folder_name());
    plan.manifest.facesets.push(RefinedSet {
        name: number.folder_name(),
        label: Some(person.label.clone()),
        images: places_of(cache, ordered.iter().copied()),
        faces: ordered.iter().map(|row| row.key()).collect(),
        dropped: Vec::new(),
        extra: Map::new(),
    });
    plan.folders.push(report);
}

/// A label as the first part of a file name: what file systems or the export
/// refuse becomes `_`, and a long one is cut.
fn file_stem(label: &str) -> String {
    const MAX_CHARS: usize = 40;
    let plain: String = label
        .chars()
        .take(MAX_CHARS)
        .map(|c| match c {
            ':' | '*' | '?' | '"' | '<' | '>' | '|' | '/' | '\\' => '_',
            c if c.is_control() => '_',
            c => c,
        })
        .collect();
    let plain = plain.trim_end_matches(['.', ' ']);
    match plain.chars().next() {
        None => "person".to_owned(),
        Some('.' | '_') => format!("x{plain}"),
        // The export has a NAME.txt of its own.
        Some(_) if plain.eq_ignore_ascii_case("name") => format!("{plain}_"),
        Some(_) => plain.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_become_file_names_that_every_system_takes() {
        assert_eq!(file_stem("Zoë 山田"), "Zoë 山田");
        assert_eq!(file_stem("a:b?"), "a_b_");
        assert_eq!(file_stem(".hidden. "), "x.hidden");
        assert_eq!(file_stem("NAME"), "NAME_");
        assert_eq!(file_stem(&"x".repeat(99)).len(), 40);
    }

    #[test]
    fn a_folder_is_named_after_itself_unless_a_label_is_given() {
        let plain = Trusted::parse("photos/ana").unwrap();
        assert_eq!(plain.label, "ana");
        let named = Trusted::parse("Ana Quill=photos/x").unwrap();
        assert_eq!(
            (named.label.as_str(), named.folder.as_path()),
            ("Ana Quill", Path::new("photos/x"))
        );
        assert!(Trusted::parse("/").is_err() && Trusted::parse("=x").is_err());
    }
}
