//! Where each face belongs: one home among sets, rejected groups, raw persons
//! and singletons, whatever the number of manifests that name it.
//!
//! Knows no numbers beyond those that the manifests carry; distances come later,
//! because who computes them needs these groups first.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use faceset_core::manifest::{
    DroppedFace, ExportedFace, RawManifest, RefineManifest, RefinedSet, SwapReadyManifest, SwapSet,
};
use faceset_core::{ContentHash, CosineDistance, FaceKey, Score, SourcePath};
use serde::Serialize;
use serde_json::Value;

/// The compared part of a [`FaceKey`].
pub(crate) type FaceId = (ContentHash, [i32; 4]);

/// The manifests of one result.
#[derive(Debug, Clone, Copy)]
pub struct Manifests<'a> {
    /// Of `cluster`: every face of the run.
    pub raw: &'a RawManifest,
    /// Of `refine`.
    pub refined: Option<&'a RefineManifest>,
    /// Of `export-swap`.
    pub swap: Option<&'a SwapReadyManifest>,
}

/// What became of a face in its group.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It is a PNG of the set.
    Exported {
        /// Rank by composite score, from 1.
        rank: u32,
        /// Composite score, 0..=1.
        composite: Score,
        /// Cosine distance to the set's centroid as the export measured it.
        distance: CosineDistance,
        /// Output edge divided by crop edge; above 1 the face was enlarged.
        upscale: f64,
        /// True when a neighbour's box was painted over.
        masked: bool,
    },
    /// A member that no step dropped.
    Kept,
    /// Left out.
    Dropped {
        /// The gate's name, e.g. `min_short`.
        reason: String,
        /// What was measured.
        value: Option<f64>,
        /// What would have been needed.
        limit: Option<f64>,
    },
}

/// A face in its group.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupedFace {
    /// The face.
    pub key: FaceKey,
    /// What became of it.
    pub standing: Standing,
}

/// What kind of group it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupKind {
    /// A set of `refine` or of the export.
    Set,
    /// An era set below the thin limit.
    ThinEra,
    /// A group that `refine` did not make a set.
    Rejected {
        /// Why, e.g. `min_faces`.
        reason: String,
        /// What was measured.
        value: Option<f64>,
        /// What would have been needed.
        limit: Option<f64>,
    },
    /// A person of `cluster`, or what is left of one when `refine` used the
    /// other faces.
    Person,
}

/// What the export made of a group.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportState {
    /// No export manifest was given, or the group is no set.
    None,
    /// The set is in the export manifest.
    Exported,
    /// Its number is reserved, for this reason.
    Reserved(String),
    /// There is an export, and this set is not in it.
    Missing,
}

/// A group and all its faces, each exactly once: exported by rank, then kept,
/// then dropped by reason, in manifest order within each.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// Name of its folder, e.g. `faceset_007`, `person_012`, `group_003`.
    pub name: String,
    /// A person's name, when one is known.
    pub label: Option<String>,
    /// What it is.
    pub kind: GroupKind,
    /// What the export made of it.
    pub export: ExportState,
    /// The faces.
    pub faces: Vec<GroupedFace>,
    /// For sets, the persons of `cluster` that its faces came from and how
    /// many; the largest share first.
    pub sources: Vec<(String, usize)>,
}

impl Group {
    /// Faces that were not dropped: whose centroid and distances mean something.
    pub fn members(&self) -> impl Iterator<Item = &FaceKey> {
        self.faces
            .iter()
            .filter(|f| !matches!(f.standing, Standing::Dropped { .. }))
            .map(|f| &f.key)
    }

    /// Number of distinct photos, by content, that its faces are on.
    pub fn n_photos(&self) -> usize {
        let photos: BTreeSet<_> = self.faces.iter().map(|f| f.key.sha256).collect();
        photos.len()
    }
}

/// Every face of the manifests in its one place.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Grouping {
    /// Sets by number, then rejected groups, then raw persons.
    pub groups: Vec<Group>,
    /// Faces that joined nobody.
    pub singletons: Vec<FaceKey>,
    /// Photos without a face.
    pub noface: Vec<SourcePath>,
    /// Further sets that list a face as theirs which is shown at another one.
    pub n_repeated: usize,
}

impl Grouping {
    /// Number of faces, each counted once.
    pub fn n_faces(&self) -> usize {
        self.groups.iter().map(|g| g.faces.len()).sum::<usize>() + self.singletons.len()
    }
}

/// Gives every face its home.
///
/// The first of these that names a face has it: an exported PNG, membership of
/// a refined set, a face that `refine` dropped from a set, a rejected group, a
/// raw person, the raw singletons, a face that only the export names as
/// dropped. So a face of another person that an export saw on a set's photos
/// stays with its own person.
pub fn group(manifests: &Manifests<'_>) -> Grouping {
    let mut homes = Homes::new(manifests);
    homes.claim_exported();
    homes.claim_refined();
    homes.claim_rejected();
    homes.claim_raw();
    homes.claim_export_drops();
    homes.finish()
}

/// A group under construction with the manifest entries it comes from.
struct Seed<'a> {
    group: Group,
    refined: Option<&'a RefinedSet>,
    swap: Option<&'a SwapSet>,
}

struct Homes<'a> {
    manifests: Manifests<'a>,
    seeds: Vec<Seed<'a>>,
    n_sets: usize,
    /// Group of a claimed face; `None` for singletons.
    home: BTreeMap<FaceId, Option<usize>>,
    singletons: Vec<FaceKey>,
    n_repeated: usize,
}

impl<'a> Homes<'a> {
    fn new(manifests: &Manifests<'a>) -> Self {
        let mut seeds = set_seeds(manifests);
        let n_sets = seeds.len();
        for set in manifests.refined.iter().flat_map(|m| &m.rejected) {
            let kind = rejected_kind(set);
            seeds.push(Seed {
                group: empty_group(&set.name, set.label.as_ref(), kind),
                refined: Some(set),
                swap: None,
            });
        }
        Self {
            manifests: *manifests,
            seeds,
            n_sets,
            home: BTreeMap::new(),
            singletons: Vec::new(),
            n_repeated: 0,
        }
    }

    /// Puts a face into a group unless it has a home; true when it was put.
    fn claim(&mut self, group: usize, key: &FaceKey, standing: Standing) -> bool {
        match self.home.entry(key.id()) {
            Entry::Occupied(_) => return false,
            Entry::Vacant(place) => place.insert(Some(group)),
        };
        let key = key.clone();
        self.seeds[group]
            .group
            .faces
            .push(GroupedFace { key, standing });
        true
    }

    /// As `claim` for a list that says "this is mine": a face that lives in
    /// another set is counted.
    fn claim_own(&mut self, group: usize, key: &FaceKey, standing: Standing) {
        if !self.claim(group, key, standing) && self.home[&key.id()] != Some(group) {
            self.n_repeated += 1;
        }
    }

    fn claim_exported(&mut self) {
        for at in 0..self.n_sets {
            let Some(set) = self.seeds[at].swap else {
                continue;
            };
            let mut faces: Vec<&ExportedFace> = set.faces.iter().collect();
            faces.sort_by_key(|f| (f.rank, f.key.id()));
            for face in faces {
                self.claim_own(at, &face.key, exported(face));
            }
        }
    }

    fn claim_refined(&mut self) {
        for at in 0..self.n_sets {
            let Some(set) = self.seeds[at].refined else {
                continue;
            };
            let drops: BTreeMap<FaceId, &DroppedFace> = self.seeds[at]
                .swap
                .iter()
                .flat_map(|s| &s.dropped)
                .map(|d| (d.key.id(), d))
                .collect();
            for key in &set.faces {
                let standing = drops
                    .get(&key.id())
                    .map_or(Standing::Kept, |d| dropped_standing(d));
                self.claim_own(at, key, standing);
            }
        }
        for at in 0..self.n_sets {
            let refined = self.seeds[at].refined;
            for drop in refined.iter().flat_map(|s| &s.dropped) {
                self.claim(at, &drop.key, dropped_standing(drop));
            }
        }
    }

    fn claim_rejected(&mut self) {
        for at in self.n_sets..self.seeds.len() {
            let Some(set) = self.seeds[at].refined else {
                continue;
            };
            for key in &set.faces {
                self.claim(at, key, Standing::Kept);
            }
            for drop in &set.dropped {
                self.claim(at, &drop.key, dropped_standing(drop));
            }
        }
    }

    fn claim_raw(&mut self) {
        for person in &self.manifests.raw.persons {
            let at = self.seeds.len();
            self.seeds.push(Seed {
                group: empty_group(&person.name, None, GroupKind::Person),
                refined: None,
                swap: None,
            });
            for key in &person.faces {
                self.claim(at, key, Standing::Kept);
            }
            if self.seeds[at].group.faces.is_empty() {
                self.seeds.pop();
            }
        }
        for key in &self.manifests.raw.singletons {
            if let Entry::Vacant(place) = self.home.entry(key.id()) {
                place.insert(None);
                self.singletons.push(key.clone());
            }
        }
    }

    fn claim_export_drops(&mut self) {
        for at in 0..self.n_sets {
            let swap = self.seeds[at].swap;
            for drop in swap.iter().flat_map(|s| &s.dropped) {
                self.claim(at, &drop.key, dropped_standing(drop));
            }
        }
    }

    fn finish(self) -> Grouping {
        let raw = self.manifests.raw;
        let person_of: BTreeMap<FaceId, usize> = raw
            .persons
            .iter()
            .enumerate()
            .flat_map(|(at, p)| p.faces.iter().map(move |k| (k.id(), at)))
            .collect();
        let groups = self
            .seeds
            .into_iter()
            .map(|seed| {
                let mut group = seed.group;
                group
                    .faces
                    .sort_by(|a, b| section_key(&a.standing).cmp(&section_key(&b.standing)));
                if group.kind != GroupKind::Person {
                    group.sources = sources(&group.faces, &person_of, raw);
                }
                group
            })
            .collect();
        Grouping {
            groups,
            singletons: self.singletons,
            noface: raw.noface.clone(),
            n_repeated: self.n_repeated,
        }
    }
}

/// Exported, kept, then dropped by reason; a stable sort keeps the rest.
pub(crate) fn section_key(standing: &Standing) -> (u8, &str) {
    match standing {
        Standing::Exported { .. } => (0, ""),
        Standing::Kept => (1, ""),
        Standing::Dropped { reason, .. } => (2, reason),
    }
}

/// The sets of both manifests, matched by name, in the order of their numbers.
fn set_seeds<'a>(manifests: &Manifests<'a>) -> Vec<Seed<'a>> {
    let mut seeds: BTreeMap<(u32, &str), Seed<'a>> = BTreeMap::new();
    for set in manifests.refined.iter().flat_map(|m| &m.facesets) {
        seeds.entry(order(&set.name)).or_insert_with(|| Seed {
            group: empty_group(&set.name, set.label.as_ref(), GroupKind::Set),
            refined: Some(set),
            swap: None,
        });
    }
    if let Some(swap) = manifests.swap {
        let thin = swap.thin_eras.iter().map(|s| (s, GroupKind::ThinEra));
        for (set, kind) in swap
            .facesets
            .iter()
            .map(|s| (s, GroupKind::Set))
            .chain(thin)
        {
            let seed = seeds.entry(order(&set.name)).or_insert_with(|| Seed {
                group: empty_group(&set.name, None, kind.clone()),
                refined: None,
                swap: None,
            });
            if seed.swap.is_none() {
                seed.swap = Some(set);
                seed.group.kind = kind;
                seed.group.export = ExportState::Exported;
                // The export is the later word on a name.
                if set.label.is_some() {
                    seed.group.label.clone_from(&set.label);
                }
            }
        }
        for seed in seeds.values_mut().filter(|s| s.swap.is_none()) {
            let reserved = swap.reserved.iter().find(|r| r.name == seed.group.name);
            seed.group.export = reserved.map_or(ExportState::Missing, |r| {
                ExportState::Reserved(r.reason.clone())
            });
        }
    }
    seeds.into_values().collect()
}

/// Sets by the number in their name, era sets behind their canonical one,
/// names without a number last.
fn order(name: &str) -> (u32, &str) {
    let digits = name.strip_prefix("faceset_").map_or("", |rest| {
        rest.split(|c: char| !c.is_ascii_digit())
            .next()
            .unwrap_or("")
    });
    (digits.parse().unwrap_or(u32::MAX), name)
}

fn empty_group(name: &str, label: Option<&String>, kind: GroupKind) -> Group {
    Group {
        name: name.to_owned(),
        label: label.filter(|l| !l.trim().is_empty()).cloned(),
        kind,
        export: ExportState::None,
        faces: Vec::new(),
        sources: Vec::new(),
    }
}

/// `refine` writes the reason as `rejected: {reason, value, limit}`.
fn rejected_kind(set: &RefinedSet) -> GroupKind {
    let said = set.extra.get("rejected");
    let number = |key| said.and_then(|v| v.get(key)).and_then(Value::as_f64);
    GroupKind::Rejected {
        reason: said
            .and_then(|v| v.get("reason"))
            .and_then(Value::as_str)
            .unwrap_or("rejected")
            .to_owned(),
        value: number("value"),
        limit: number("limit"),
    }
}

fn exported(face: &ExportedFace) -> Standing {
    Standing::Exported {
        rank: face.rank,
        composite: Score::saturating(face.composite),
        // Out of range says as much as "farthest": the manifest is broken.
        distance: CosineDistance::new(face.distance)
            .unwrap_or(CosineDistance::from_similarity(f64::NAN)),
        upscale: face.upscale,
        masked: face.masked,
    }
}

fn dropped_standing(drop: &DroppedFace) -> Standing {
    Standing::Dropped {
        reason: drop.reason.clone(),
        value: drop.value,
        limit: drop.limit,
    }
}

fn sources(
    faces: &[GroupedFace],
    person_of: &BTreeMap<FaceId, usize>,
    raw: &RawManifest,
) -> Vec<(String, usize)> {
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    for at in faces.iter().filter_map(|f| person_of.get(&f.key.id())) {
        *counts.entry(*at).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(at, n)| (std::cmp::Reverse(*n), *at));
    counts
        .into_iter()
        .map(|(at, n)| (raw.persons[at].name.clone(), n))
        .collect()
}
