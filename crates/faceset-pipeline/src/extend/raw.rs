//! The people of a raw result: who is known, who joins, who is new.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use faceset_cache::{Cache, FaceRow};
use faceset_cluster::{LinkageOptions, Vectors, average_linkage, centroid};
use faceset_core::manifest::{MANIFEST_VERSION, Person as RawPerson, RawManifest, RefineManifest};
use faceset_core::{ContentHash, FaceKey, FacesetNumber, SourcePath, canonical_faceset_number};
use faceset_identity::{Matched, Registry};
use serde_json::{Map, json};

use super::{ExtendOptions, ExtendReport, FOUNDING_FACES, Placed};
use crate::cluster::{self, NOFACE, SINGLETONS, cache_ref, places_of};
use crate::context::LooksBy;
use crate::matching::{Decision, Face, MATCH_THRESHOLD, NegativeMemory, Person, decide, matrix};
use crate::materialize::TreePlan;
use crate::refine::FIRST_PASS;
use crate::{Ctx, PipelineError};

pub(super) type FaceId = (ContentHash, [i32; 4]);

/// A raw manifest that is being extended.
pub(super) struct People {
    manifest: RawManifest,
    /// For each person, how many of the first faces founded the group.
    founding: Vec<usize>,
    /// For each person, the set that has most of their faces.
    set_of: Vec<Option<String>>,
    /// For each person, their number in the registry.
    number: Vec<Option<FacesetNumber>>,
}

impl People {
    /// Reads who is known. A person of an older manifest that lists photos and
    /// no faces gets the faces found on them by a mean taken twice.
    pub(super) fn new(
        mut manifest: RawManifest,
        cache: &Cache,
        refined: Option<&RefineManifest>,
        registry: &Registry,
    ) -> Result<Self, PipelineError> {
        let mut set_of_face: BTreeMap<FaceId, &str> = BTreeMap::new();
        for set in refined.into_iter().flat_map(|r| &r.facesets) {
            for face in &set.faces {
                set_of_face.entry(face.id()).or_insert(&set.name);
            }
        }
        let mut people = Self {
            founding: Vec::new(),
            set_of: Vec::new(),
            number: Vec::new(),
            manifest: RawManifest {
                persons: Vec::new(),
                ..manifest.clone()
            },
        };
        for person in &mut manifest.persons {
            if person.faces.is_empty() {
                person.faces = on_photos(&person.images, cache)?;
            }
            people.founding.push(founding(person));
            let mut shared: BTreeMap<&str, usize> = BTreeMap::new();
            for face in &person.faces {
                if let Some(set) = set_of_face.get(&face.id()) {
                    *shared.entry(set).or_default() += 1;
                }
            }
            // The most shared one; the smaller name among equals.
            let best = shared
                .iter()
                .max_by(|a, b| a.1.cmp(b.1).then(b.0.cmp(a.0)))
                .map(|(set, _)| (*set).to_owned());
            let number = match registry.match_set("", None, &person.faces).matched {
                Matched::Faces(number) | Matched::Label(number) => Some(number),
                Matched::Ambiguous(several) => several.first().copied(),
                Matched::New => best.as_deref().and_then(canonical_faceset_number),
            };
            people.number.push(number);
            people.set_of.push(best);
        }
        people.manifest.persons = manifest.persons;
        Ok(people)
    }

    /// The persons with the set that is theirs and the faces that joined after
    /// the group was founded.
    pub(super) fn joined(&self) -> impl Iterator<Item = (&str, &[FaceKey])> {
        self.manifest
            .persons
            .iter()
            .zip(&self.set_of)
            .zip(&self.founding)
            .filter_map(|((person, set), founding)| {
                Some((set.as_deref()?, person.faces.get(*founding..)?))
            })
    }

    /// Places every face that the manifest does not know.
    pub(super) fn take_in(
        &mut self,
        cache: &Cache,
        options: &ExtendOptions,
        registry: &Registry,
        raw_dir: &Path,
        report: &mut ExtendReport,
        ctx: Ctx<'_>,
    ) -> Result<(), PipelineError> {
        let known: BTreeSet<FaceId> = self
            .manifest
            .persons
            .iter()
            .flat_map(|p| &p.faces)
            .chain(&self.manifest.singletons)
            .map(FaceKey::id)
            .collect();
        let rows: Vec<FaceRow<'_>> = cache.faces().collect();
        let mut seen = BTreeSet::new();
        let new: Vec<&FaceRow<'_>> = rows
            .iter()
            .filter(|row| !known.contains(&row.key().id()) && seen.insert(row.key().id()))
            .collect();
        report.faces = rows.len();
        report.new = new.len();
        report.known = rows.len() - new.len();
        self.note_missing(cache, report);
        if new.is_empty() {
            return Ok(());
        }
        let persons = self.compared(cache, registry, options.context.looks)?;
        let faces: Vec<Face<'_>> = new.iter().map(|row| Face::of(row)).collect();
        ctx.progress
            .start("matching faces", Some(faces.len() as u64));
        let rules = (NegativeMemory(registry), options.context.with(registry));
        let decisions = decide(&faces, &persons, options.match_threshold, &rules)?;
        ctx.progress.advance(faces.len() as u64);
        ctx.progress.finish();
        ctx.check()?;
        let mut strangers: Vec<usize> = Vec::new();
        let mut no_faces: Vec<usize> = Vec::new();
        let mut joining: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (at, decision) in decisions.iter().enumerate() {
            report.refused += usize::from(
                decision
                    .candidates
                    .first()
                    .is_some_and(|c| c.veto.is_some()),
            );
            match decision.person() {
                Some(person) => joining.entry(person).or_default().push(at),
                None if registry.is_no_face(&faces[at].key) => no_faces.push(at),
                None => strangers.push(at),
            }
        }
        let mut placed: Vec<Option<String>> = vec![None; faces.len()];
        for (person, at) in joining {
            report.matched += at.len();
            for &face in &at {
                placed[face] = Some(self.manifest.persons[person].name.clone());
            }
            let rows: Vec<&FaceRow<'_>> = at.iter().map(|&i| new[i]).collect();
            self.join(person, &rows);
        }
        // Known from now on, and of no group.
        let keys = no_faces.into_iter().map(|at| new[at].key());
        self.manifest.singletons.extend(keys);
        self.sort_singletons();
        self.group_strangers(
            &strangers,
            &new,
            cache,
            options,
            registry,
            raw_dir,
            &mut placed,
            report,
            ctx,
        )?;
        report.alone = report.new - report.matched - report.in_new_persons;
        report.placed = faces
            .iter()
            .zip(&decisions)
            .zip(placed)
            .map(|((face, decision), person)| place(face, decision, person))
            .collect();
        Ok(())
    }

    /// Faces of the manifest that the cache no longer has.
    fn note_missing(&self, cache: &Cache, report: &mut ExtendReport) {
        let persons = self.manifest.persons.iter().flat_map(|p| &p.faces);
        let missing: Vec<&FaceKey> = persons
            .chain(&self.manifest.singletons)
            .filter(|key| cache.face(key).is_none())
            .collect();
        if let Some(first) = missing.first() {
            report.notes.push(format!(
                "{} faces of the groups are not in the cache and stay as they are (first: {})",
                missing.len(),
                first.path
            ));
        }
    }

    /// The known people as newcomers are compared with them: by their founding
    /// faces, without those that were refused for them.
    fn compared(
        &self,
        cache: &Cache,
        registry: &Registry,
        by: LooksBy,
    ) -> Result<Vec<Person>, PipelineError> {
        let mut persons = Vec::new();
        for ((person, founding), number) in self
            .manifest
            .persons
            .iter()
            .zip(&self.founding)
            .zip(&self.number)
        {
            let own = person
                .faces
                .iter()
                .take(*founding)
                .filter(|key| !registry.is_no_face(key))
                .filter(|key| !number.is_some_and(|n| registry.forbids(key, n)));
            let faces: Vec<(&[f32], &str)> = own
                .filter_map(|key| {
                    let (file, at) = cache.face(key)?;
                    Some((file.faces()[at].embedding.as_slice(), file.taken.as_str()))
                })
                .collect();
            persons.push(Person {
                name: person.name.clone(),
                number: *number,
                looks: by.of(&faces)?,
            });
        }
        Ok(persons)
    }

    /// Appends faces to a person, best detector score first.
    fn join(&mut self, at: usize, rows: &[&FaceRow<'_>]) {
        let mut rows = rows.to_vec();
        cluster::best_first(&mut rows);
        let founding = self.founding[at];
        let person = &mut self.manifest.persons[at];
        person
            .extra
            .insert(FOUNDING_FACES.to_owned(), json!(founding));
        person.faces.extend(rows.iter().map(|row| row.key()));
    }

    /// Groups the strangers among themselves and with the single faces of
    /// before. A group becomes a person when a new face is in it.
    #[expect(clippy::too_many_arguments, reason = "the parts of one plan")]
    fn group_strangers(
        &mut self,
        strangers: &[usize],
        new: &[&FaceRow<'_>],
        cache: &Cache,
        options: &ExtendOptions,
        registry: &Registry,
        raw_dir: &Path,
        placed: &mut [Option<String>],
        report: &mut ExtendReport,
        ctx: Ctx<'_>,
    ) -> Result<(), PipelineError> {
        if strangers.is_empty() {
            return Ok(());
        }
        let singles: BTreeSet<FaceId> = self
            .manifest
            .singletons
            .iter()
            .filter(|key| !registry.is_no_face(key))
            .map(FaceKey::id)
            .collect();
        let asked: BTreeMap<FaceId, usize> = strangers
            .iter()
            .map(|&at| (new[at].key().id(), at))
            .collect();
        // In the order of the cache, as `cluster` would see them.
        let rows: Vec<FaceRow<'_>> = cache
            .faces()
            .filter(|row| {
                let id = row.key().id();
                asked.contains_key(&id) || singles.contains(&id)
            })
            .collect();
        let matrix = matrix(rows.iter().map(|row| row.face.embedding.as_slice()))?;
        let mut linkage = LinkageOptions::new(options.cluster_threshold);
        if let Some(kernel) = ctx.kernel {
            linkage = linkage.with_kernel(kernel);
        }
        let clustering = average_linkage(matrix.view(), &linkage, ctx.progress, ctx.cancel)?;
        let mut groups: Vec<Vec<&FaceRow<'_>>> = clustering
            .clusters()
            .map(|members| members.iter().map(|i| &rows[*i as usize]).collect())
            .filter(|g: &Vec<&FaceRow<'_>>| {
                g.len() > 1 && g.iter().any(|row| asked.contains_key(&row.key().id()))
            })
            .collect();
        groups.sort_by_key(|g| (std::cmp::Reverse(g.len()), g.iter().map(|r| r.row).min()));
        let first = self.last_number(raw_dir)? + 1;
        let mut grouped: BTreeSet<FaceId> = BTreeSet::new();
        for (number, mut group) in (first..).zip(groups) {
            cluster::best_first(&mut group);
            let name = format!("person_{number:03}");
            let photos: BTreeSet<_> = group.iter().map(|row| row.file.sha256).collect();
            if photos.len() >= options.min_faces {
                report.notes.push(format!(
                    "{name} is new and on {} photos, enough for a set; cluster-discover makes one",
                    photos.len()
                ));
            }
            for row in &group {
                let id = row.key().id();
                grouped.insert(id);
                match asked.get(&id) {
                    Some(at) => {
                        placed[*at] = Some(name.clone());
                        report.in_new_persons += 1;
                    }
                    None => report.singletons_joined += 1,
                }
            }
            report.new_persons.push((name.clone(), group.len()));
            self.founding.push(group.len());
            self.set_of.push(None);
            self.number.push(None);
            self.manifest.persons.push(RawPerson {
                name,
                faces: group.iter().map(|row| row.key()).collect(),
                images: Vec::new(),
                extra: Map::new(),
            });
        }
        let alone = rows
            .iter()
            .map(FaceRow::key)
            .filter(|key| !grouped.contains(&key.id()));
        let alone: Vec<FaceKey> = alone.collect();
        // Those that the cache lacks stay where they are, and what is no face.
        let stays = |key: &FaceKey| cache.face(key).is_none() || registry.is_no_face(key);
        self.manifest.singletons.retain(stays);
        self.manifest.singletons.extend(alone);
        self.sort_singletons();
        Ok(())
    }

    fn sort_singletons(&mut self) {
        self.manifest
            .singletons
            .sort_by_key(|key| (key.path.clone(), key.bbox.tenths()));
    }

    /// Highest person number in the manifest or on disk; 0 when there is none.
    fn last_number(&self, raw_dir: &Path) -> Result<u32, PipelineError> {
        let mut last = 0;
        for person in &self.manifest.persons {
            last = last.max(cluster::person_number(&person.name).unwrap_or(0));
        }
        let entries = match std::fs::read_dir(raw_dir) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(last),
            other => other.map_err(PipelineError::io("list", raw_dir))?,
        };
        for entry in entries {
            let entry = entry.map_err(PipelineError::io("list", raw_dir))?;
            let name = entry.file_name();
            let number = name.to_str().and_then(cluster::person_number);
            last = last.max(number.unwrap_or(0));
        }
        Ok(last)
    }

    /// The manifest, with every photo of every person, and its folders.
    pub(super) fn finish(self, cache: &Cache, cache_path: &Path) -> (RawManifest, TreePlan) {
        let mut manifest = self.manifest;
        manifest.version = MANIFEST_VERSION;
        manifest.cache = cache_ref(cache, cache_path);
        let rows: BTreeMap<FaceId, FaceRow<'_>> =
            cache.faces().map(|row| (row.key().id(), row)).collect();
        let mut tree = TreePlan::default();
        for person in &mut manifest.persons {
            person.images = images(&person.faces, &person.images, &rows, cache);
            for key in &mut person.faces {
                follow(key, &rows);
            }
            tree.add(&person.name, &person.images);
        }
        for key in &mut manifest.singletons {
            follow(key, &rows);
        }
        let singles = images(&manifest.singletons, &[], &rows, cache);
        if !singles.is_empty() {
            tree.add(SINGLETONS, &singles);
        }
        let noface: BTreeSet<SourcePath> = cache
            .noface()
            .flat_map(|file| cache.places(&file.path))
            .cloned()
            .collect();
        manifest.noface = noface.into_iter().collect();
        if !manifest.noface.is_empty() {
            tree.add(NOFACE, &manifest.noface);
        }
        (manifest, tree)
    }
}

/// The number of founding faces: all, unless the manifest says less.
fn founding(person: &RawPerson) -> usize {
    person
        .extra
        .get(FOUNDING_FACES)
        .and_then(serde_json::Value::as_u64)
        .and_then(|n| usize::try_from(n).ok())
        .map_or(person.faces.len(), |n| n.min(person.faces.len()))
}

/// The path of a face whose photo moved.
fn follow(key: &mut FaceKey, rows: &BTreeMap<FaceId, FaceRow<'_>>) {
    if let Some(row) = rows.get(&key.id()) {
        key.path = row.file.path.clone();
    }
}

/// Every place of the photos of these faces, and those listed photos that the
/// cache does not know.
pub(super) fn images(
    faces: &[FaceKey],
    listed: &[SourcePath],
    rows: &BTreeMap<FaceId, FaceRow<'_>>,
    cache: &Cache,
) -> Vec<SourcePath> {
    let own = faces.iter().filter_map(|key| rows.get(&key.id()));
    let mut images: BTreeSet<SourcePath> = places_of(cache, own).into_iter().collect();
    let unknown = listed.iter().filter(|path| cache.resolve(path).is_none());
    images.extend(unknown.cloned());
    images.into_iter().collect()
}

fn place(face: &Face<'_>, decision: &Decision, person: Option<String>) -> Placed {
    let chosen = decision.chosen.map(|c| decision.candidates[c].distance);
    Placed {
        path: face.key.path.to_string(),
        bbox: face.key.bbox.into(),
        person,
        distance: chosen
            .or_else(|| decision.nearest.map(|(_, d)| d))
            .map(faceset_core::CosineDistance::get),
    }
}

/// The faces of the person most present on these photos: those within 0.55 of
/// the mean of all, then those within 0.45 of the mean of these.
pub(super) fn on_photos(
    images: &[SourcePath],
    cache: &Cache,
) -> Result<Vec<FaceKey>, PipelineError> {
    let files: BTreeMap<ContentHash, _> = images
        .iter()
        .filter_map(|path| cache.resolve(path))
        .map(|file| (file.sha256, file))
        .collect();
    let mut faces: Vec<(&SourcePath, FaceKey, &[f32])> = files
        .values()
        .flat_map(|file| {
            file.faces()
                .iter()
                .map(|face| (&file.path, file.key(face), face.embedding.as_slice()))
        })
        .collect();
    faces.sort_by(|a, b| (a.0, a.1.bbox.tenths()).cmp(&(b.0, b.1.bbox.tenths())));
    let rows = matrix(faces.iter().map(|(_, _, e)| *e))?;
    let vectors = Vectors::new(rows.view())?;
    let all: Vec<u32> = (0..vectors.len() as u32).collect();
    let found = centroid::two_pass_members(&vectors, &all, FIRST_PASS, MATCH_THRESHOLD);
    Ok(found
        .kept
        .iter()
        .map(|row| faces[*row as usize].1.clone())
        .collect())
}
