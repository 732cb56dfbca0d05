//! What of a person lies on disk: sets, crops, copies, pages, lines.
//!
//! Decides what goes into a plan and changes nothing. Which sets are the
//! person's is in `sets`, which words give them away in `needles`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use faceset_core::{FaceKey, FacesetNumber, SourcePath, canonical_faceset_number, safe_dst_name};
use serde_json::Value;

use super::needles::{FaceNeedles, Finder, Needles};
use super::plan::{ErasedSet, ForgetPlan, Scrubbed};
use super::scrub::{Scrubber, lines};
use super::sets::{DiskSet, Person, Share, set_number, sets_of};
use super::walk::{Originals, Tree, absolute};
use crate::change::Change;
use crate::error::IdentityError;
use crate::registry::Registry;

/// What kind of file, by its name.
enum Kind {
    Json,
    Lines,
    Page,
    Cache,
    Temporary,
    Picture,
    Other,
}

fn kind_of(path: &Path) -> Kind {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    if name.starts_with(".faceset-tmp-") {
        return Kind::Temporary;
    }
    if name.ends_with(".npz") || name.contains(".npz.") {
        return Kind::Cache;
    }
    match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
        // Other people's names are not ours to cut.
        "txt" if name == "name.txt" => Kind::Other,
        "json" => Kind::Json,
        "jsonl" | "ndjson" | "log" | "txt" | "csv" | "tsv" | "md" => Kind::Lines,
        "html" | "htm" | "svg" => Kind::Page,
        "jpg" | "jpeg" | "png" | "webp" | "heic" | "avif" | "tif" | "tiff" | "gif" | "bmp"
        | "psd" | "fsz" | "zip" | "onnx" | "lock" => Kind::Picture,
        _ => Kind::Other,
    }
}

/// Larger files of an unknown kind are not searched.
const MAX_SEARCHED_BYTES: u64 = 64 << 20;

/// What was found on disk.
pub(super) struct Survey<'a> {
    pub(super) person: Person<'a>,
    tree: &'a Tree,
    docs: BTreeMap<PathBuf, Value>,
    pub(super) sets: Vec<DiskSet>,
    originals: Originals,
    erased: BTreeSet<PathBuf>,
}

impl<'a> Survey<'a> {
    pub(super) fn new(
        registry: &'a Registry,
        members: Vec<FacesetNumber>,
        tree: &'a Tree,
    ) -> Result<Self, IdentityError> {
        let mut names: BTreeSet<String> = BTreeSet::new();
        let mut faces = BTreeMap::new();
        for n in &members {
            let identity = &registry.identities[n];
            names.extend(identity.name.clone());
            faces.extend(identity.faces.iter().map(|k| (k.id(), k.clone())));
        }
        for change in registry.history.iter().flat_map(|e| &e.changes) {
            match change {
                Change::Name(e) if members.contains(&e.number) => {
                    names.extend(e.before.clone());
                    names.extend(e.after.clone());
                }
                Change::Create(i) if members.contains(&i.number) => names.extend(i.name.clone()),
                _ => {}
            }
        }
        names.retain(|name| is_nobody_elses(registry, &members, name));
        let mut docs = BTreeMap::new();
        let mut sets = Vec::new();
        for file in tree
            .files
            .iter()
            .filter(|f| matches!(kind_of(f), Kind::Json))
        {
            if let Ok(doc) = faceset_fs::read_json::<Value>(file) {
                sets.extend(sets_of(file, &doc));
                docs.insert(file.clone(), doc);
            }
        }
        let mut originals = Originals::default();
        for key in registry.identities().flat_map(|i| i.faces.iter()) {
            originals.add(key.path.as_str());
        }
        for set in &sets {
            for face in &set.faces {
                originals.add(face.key.path.as_str());
                face.places.iter().for_each(|p| originals.add(p));
            }
            set.images.iter().for_each(|p| originals.add(p));
        }
        let mut survey = Self {
            person: Person {
                registry,
                members,
                names,
                faces,
            },
            tree,
            docs,
            sets,
            originals,
            erased: BTreeSet::new(),
        };
        survey.more_names()?;
        Ok(survey)
    }

    /// Names that only the sets on disk know, if they are nobody else's.
    fn more_names(&mut self) -> Result<(), IdentityError> {
        let mut found: BTreeSet<String> = BTreeSet::new();
        for set in self
            .sets
            .iter()
            .filter(|s| self.person.share(s) == Share::Whole)
        {
            found.extend(set.label.clone());
            if let Some(parent) = set.folder.parent()
                && let Some(number) = canonical_faceset_number(&set.name)
            {
                found.extend(crate::tree::names_on_disk(parent)?.remove(&number));
            }
        }
        let person = &self.person;
        found.retain(|name| {
            crate::identity::name_flaw(name).is_none()
                && is_nobody_elses(person.registry, &person.members, name)
        });
        self.person.names.extend(found);
        Ok(())
    }

    pub(super) fn begin(&self, roots: Vec<PathBuf>) -> ForgetPlan {
        let registry = self.person.registry;
        let found = |k: &&FaceKey| registry.owner_by_id(&k.id()).is_none();
        let mut faces: Vec<FaceKey> = self.person.faces.values().cloned().collect();
        faces.sort_by(|a, b| a.path.cmp(&b.path).then_with(|| a.id().cmp(&b.id())));
        ForgetPlan {
            at_entry: registry.entry,
            numbers: self.person.members.clone(),
            names: self.person.names.iter().cloned().collect(),
            found: faces.iter().filter(found).cloned().collect(),
            faces,
            photos: Vec::new(),
            shared_photos: Vec::new(),
            sets: Vec::new(),
            files: Vec::new(),
            folders: Vec::new(),
            manifests: Vec::new(),
            logs: Vec::new(),
            n_pages: 0,
            kept: Vec::new(),
            caches: Vec::new(),
            notes: Vec::new(),
            gone: BTreeMap::new(),
            roots,
            quiet: Needles::default(),
            loud: Needles::default(),
        }
    }

    fn is_theirs(&self, key: &FaceKey) -> bool {
        self.person.faces.contains_key(&key.id())
    }

    /// Photos of the person, those of others, and what to look for.
    pub(super) fn gather_photos(&self, plan: &mut ForgetPlan) {
        let mut photos: BTreeSet<String> = BTreeSet::new();
        let mut contents = BTreeSet::new();
        let (mut others, mut other_contents) = (BTreeSet::new(), BTreeSet::new());
        for key in self.person.faces.values() {
            photos.insert(key.path.0.clone());
            contents.insert(key.sha256);
        }
        let known = self.person.registry.identities();
        for identity in known.filter(|i| !self.person.members.contains(&i.number)) {
            for key in identity.faces.iter() {
                others.insert(key.path.0.clone());
                other_contents.insert(key.sha256);
            }
        }
        for set in &self.sets {
            let is_whole = self.person.share(set) == Share::Whole;
            for face in &set.faces {
                let places = face.places.iter().chain([&face.key.path.0]).cloned();
                if self.is_theirs(&face.key) {
                    photos.extend(places);
                } else {
                    others.extend(places);
                    other_contents.insert(face.key.sha256);
                }
            }
            if is_whole {
                photos.extend(set.images.iter().cloned());
            } else if set.faces.is_empty() {
                others.extend(set.images.iter().cloned());
            }
        }
        let shared_contents: BTreeSet<_> = contents.intersection(&other_contents).collect();
        // Every place of a shared content is shared.
        for key in self.person.faces.values() {
            if shared_contents.contains(&key.sha256) {
                others.insert(key.path.0.clone());
            }
        }
        for set in &self.sets {
            for face in set
                .faces
                .iter()
                .filter(|f| other_contents.contains(&f.key.sha256))
            {
                others.extend(face.places.iter().cloned());
            }
        }
        let split = |shared: bool| {
            let wanted = photos.iter().filter(|p| others.contains(*p) == shared);
            wanted.cloned().collect::<BTreeSet<String>>()
        };
        plan.quiet = Needles {
            photos: split(false),
            hashes: contents
                .difference(&other_contents)
                .map(ToString::to_string)
                .collect(),
            names: self.person.names.clone(),
            folders: BTreeSet::new(),
        };
        plan.loud = Needles {
            photos: photos.clone(),
            folders: plan.numbers.iter().map(|n| n.folder_name()).collect(),
            ..plan.quiet.clone()
        };
        let paths = |set: &BTreeSet<String>| set.iter().cloned().map(SourcePath).collect();
        plan.photos = paths(&plan.quiet.photos);
        plan.shared_photos = paths(&split(true));
    }

    /// Sets that go, and crops and bundles of sets that lose a face.
    pub(super) fn gather_sets(&mut self, plan: &mut ForgetPlan) {
        let mut folders: BTreeSet<PathBuf> = BTreeSet::new();
        let mut singles: BTreeSet<PathBuf> = BTreeSet::new();
        for set in &self.sets {
            match self.person.share(set) {
                Share::Whole => {
                    folders.insert(set.folder.clone());
                    let gone = plan.gone.entry(set.file.clone()).or_default();
                    gone.insert(set.name.clone());
                }
                Share::Part(n) => {
                    plan.notes.push(format!(
                        "{} in {} shares {n} of its {} faces with the person and loses only those; look at it",
                        set.name,
                        set.file.display(),
                        set.faces.len()
                    ));
                    if set.is_own {
                        singles.extend(self.crops_of(set));
                    }
                }
                Share::NumberOnly => plan.notes.push(format!(
                    "{} in {} has the person's number and none of their faces; it stays, look at it",
                    set.name,
                    set.file.display()
                )),
                Share::None => {}
            }
        }
        for folder in &self.tree.folders {
            if self.is_left_over(folder, &plan.numbers) {
                folders.insert(folder.clone());
            }
        }
        folders.retain(|f| self.tree.folders.contains(f) && !plan.roots.contains(f));
        for folder in &folders {
            let (kept, erased): (Vec<_>, Vec<_>) = self
                .tree
                .below(folder)
                .cloned()
                .partition(|f| self.originals.has(f));
            plan.sets.push(ErasedSet {
                folder: folder.clone(),
                n_files: erased.len(),
            });
            plan.kept.extend(kept);
            self.erased.extend(erased);
            let inside = self.tree.folders.iter().filter(|f| f.starts_with(folder));
            plan.folders.extend(inside.cloned());
        }
        self.erased.extend(singles);
        plan.kept.sort();
        plan.kept.dedup();
        plan.folders.sort_by(|a, b| b.cmp(a));
        plan.folders.dedup();
    }

    /// Folders that only their name ties to the person: what a killed export or
    /// a killed forgetting left, and suggestions for the person's set.
    fn is_left_over(&self, folder: &Path, numbers: &[FacesetNumber]) -> bool {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let is_theirs = |name: &str| set_number(name).is_some_and(|n| numbers.contains(&n));
        let begun = [".faceset-partial-", ".faceset-ready-", "to_"];
        begun
            .iter()
            .any(|p| name.strip_prefix(p).is_some_and(is_theirs))
            || (is_theirs(&name) && self.tree.below(folder).next().is_none())
    }

    fn crops_of(&self, set: &DiskSet) -> Vec<PathBuf> {
        let pngs = set
            .faces
            .iter()
            .filter(|f| self.is_theirs(&f.key))
            .filter_map(|f| f.png.as_ref())
            .map(|png| set.folder.join("faces").join(png));
        let bundles = set.bundles.iter().map(|b| set.folder.join(b));
        pngs.chain(bundles)
            .filter(|f| self.tree.files.contains(f) && !self.originals.has(f))
            .collect()
    }

    /// Every other file below the roots.
    pub(super) fn gather_files(&mut self, plan: &mut ForgetPlan) -> Result<(), IdentityError> {
        let copies: BTreeSet<String> = plan.quiet.photos.iter().map(|p| safe_dst_name(p)).collect();
        let faces = FaceNeedles::new(self.person.faces.values());
        let (quiet, loud) = (Finder::new(&plan.quiet), Finder::new(&plan.loud));
        let spoken = Finder::new(&plan.loud_lines());
        let scrubber = Scrubber {
            faces: &faces,
            needles: &plan.quiet,
            finder: &quiet,
            numbers: &plan.loud.folders,
        };
        let no_sets = BTreeSet::new();
        for file in &self.tree.files {
            if self.erased.contains(file) || plan.kept.contains(file) {
                continue;
            }
            if is_copy(file, &copies, &plan.quiet) {
                if self.originals.has(file) {
                    plan.kept.push(file.clone());
                } else {
                    self.erased.insert(file.clone());
                }
                continue;
            }
            match kind_of(file) {
                Kind::Json => {
                    let Some(doc) = self.docs.get(file) else {
                        search(file, &loud, &mut plan.notes)?;
                        continue;
                    };
                    let gone = plan.gone.get(file).unwrap_or(&no_sets);
                    let n = scrubber.json(&mut doc.clone(), gone);
                    if n > 0 {
                        plan.manifests.push(Scrubbed {
                            file: file.clone(),
                            n,
                        });
                    }
                }
                Kind::Lines => scrub_lines(file, &spoken, &mut plan.logs)?,
                Kind::Page => {
                    if loud.mentions(&read_text(file)?) {
                        plan.n_pages += 1;
                        self.erased.insert(file.clone());
                    }
                }
                Kind::Temporary => {
                    self.erased.insert(file.clone());
                }
                Kind::Cache => plan.caches.push(file.clone()),
                Kind::Picture => {}
                Kind::Other => search(file, &loud, &mut plan.notes)?,
            }
        }
        // A set's own manifest last: until then a killed run recognises the set.
        let is_manifest = |f: &Path| f.file_name().is_some_and(|n| n == "manifest.json");
        plan.files = self.erased.iter().cloned().collect();
        plan.files.sort_by_key(|f| is_manifest(f));
        Ok(())
    }

    pub(super) fn gather_logs(
        &self,
        logs: &[PathBuf],
        plan: &mut ForgetPlan,
    ) -> Result<(), IdentityError> {
        let loud = Finder::new(&plan.loud_lines());
        for log in logs.iter().filter(|l| l.is_file()) {
            let log = absolute(log);
            if !plan.logs.iter().any(|l| l.file == log) && !self.erased.contains(&log) {
                scrub_lines(&log, &loud, &mut plan.logs)?;
            }
        }
        Ok(())
    }
}

/// A name that was given by mistake may by now be the right one's.
fn is_nobody_elses(registry: &Registry, members: &[FacesetNumber], name: &str) -> bool {
    registry
        .find(name)
        .map_or(true, |i| members.contains(&i.number))
}

/// A copy of, or a link to, a photo of the person, as the trees of `cluster`
/// and `refine` have them, moved aside or not.
fn is_copy(file: &Path, copies: &BTreeSet<String>, quiet: &Needles) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let target = std::fs::read_link(file).ok();
    let is_link = target.is_some_and(|t| quiet.photos.contains(t.to_string_lossy().as_ref()));
    is_link
        || copies.contains(name.as_ref())
        || unsuffixed(&name).iter().any(|n| copies.contains(n))
}

/// `a~2.jpg` (names that differ in case) and `a.jpg-2` (moved aside) are `a.jpg`.
fn unsuffixed(name: &str) -> Vec<String> {
    let mut plain = Vec::new();
    let is_number = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    let mut name = name.to_owned();
    if let Some((rest, n)) = name.rsplit_once('-')
        && is_number(n)
    {
        let rest = rest.to_owned();
        plain.push(rest.clone());
        name = rest;
    }
    if let Some((stem, rest)) = name.rsplit_once('~') {
        let (n, extension) = rest.split_once('.').map_or((rest, ""), |(n, e)| (n, e));
        if is_number(n) {
            let dot = if extension.is_empty() { "" } else { "." };
            plain.push(format!("{stem}{dot}{extension}"));
        }
    }
    plain
}

fn read_text(file: &Path) -> Result<String, IdentityError> {
    let bytes = std::fs::read(file).map_err(IdentityError::io("read", file))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn scrub_lines(
    file: &Path,
    finder: &Finder,
    logs: &mut Vec<Scrubbed>,
) -> Result<(), IdentityError> {
    let bytes = std::fs::read(file).map_err(IdentityError::io("read", file))?;
    let (_, n) = lines(&bytes, finder);
    if n > 0 {
        logs.push(Scrubbed {
            file: file.to_path_buf(),
            n,
        });
    }
    Ok(())
}

/// A file that we don't know how to clean is only pointed at.
fn search(file: &Path, finder: &Finder, notes: &mut Vec<String>) -> Result<(), IdentityError> {
    let is_small =
        std::fs::metadata(file).is_ok_and(|m| m.is_file() && m.len() <= MAX_SEARCHED_BYTES);
    if is_small && finder.mentions(&read_text(file)?) {
        notes.push(format!(
            "{} mentions the person and is no file that can be cleaned; look at it",
            file.display()
        ));
    }
    Ok(())
}
