//! Strangers: people without a name, ranked by how likely they matter. Those
//! with a number, and the groups of `cluster` that are nobody known yet.
//!
//! Looks, and plans the hiding; both are the registry's to carry out.

use std::collections::{BTreeMap, BTreeSet};

use faceset_cache::Cache;
use faceset_core::manifest::RawManifest;
use faceset_core::{ContentHash, FaceKey, FacesetNumber, capture_year};
use faceset_identity::{IdentityError, Matched, Plan, Registry, State};
use serde::Serialize;

/// What strangers are ranked by; the other numbers break ties in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rank {
    /// Distinct photos.
    #[default]
    Count,
    /// Median short edge of their faces.
    Size,
    /// Distinct years.
    Years,
    /// Photos that they share with people who have a name.
    Company,
}

/// A person without a name.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stranger {
    /// `faceset_NNN`, or the name of the group, `person_NNN`.
    pub name: String,
    /// Their number; a group has none.
    pub number: Option<FacesetNumber>,
    /// Their faces, those of merged numbers included.
    pub faces: Vec<FaceKey>,
    /// Distinct photos.
    pub photos: usize,
    /// Median short edge in pixels of the faces in the cache; 0 without any.
    pub median_px: f32,
    /// Years of the photos, sorted; those without a date have none.
    pub years: Vec<i32>,
    /// People with a name on the same photos, and on how many; most first.
    pub with: Vec<(String, usize)>,
    /// Photos that show somebody with a name, too.
    pub shared_photos: usize,
}

impl Stranger {
    fn weight(&self, by: Rank) -> [u64; 5] {
        let count = self.photos as u64;
        let size = (self.median_px.max(0.0) * 10.0) as u64;
        let years = self.years.len() as u64;
        let company = self.shared_photos as u64;
        let first = match by {
            Rank::Count => count,
            Rank::Size => size,
            Rank::Years => years,
            Rank::Company => company,
        };
        [first, count, size, years, company]
    }

    /// For people.
    pub fn line(&self) -> String {
        let years = match (self.years.first(), self.years.last()) {
            (Some(a), Some(b)) if a == b => format!("{a}"),
            (Some(a), Some(b)) => format!("{a}-{b} ({} years)", self.years.len()),
            _ => "no dates".to_owned(),
        };
        let with: Vec<String> = self
            .with
            .iter()
            .take(3)
            .map(|(name, n)| format!("{name} {n}x"))
            .collect();
        let with = if with.is_empty() {
            "with nobody named".to_owned()
        } else {
            format!("with {}", with.join(", "))
        };
        format!(
            "{}  {} photos, {} faces of {:.0} px, {years}, {with}",
            self.name,
            self.photos,
            self.faces.len(),
            self.median_px
        )
    }
}

/// Everybody who has no name and is neither hidden, merged nor forgotten, the
/// weightiest first; equals with a number first, by number, then by group.
/// Numbers without a face are nobody yet.
///
/// With `raw`, its groups that are nobody of the registry, too. Sizes and years
/// come from the cache, faces it lacks count without them.
pub fn rank(
    registry: &Registry,
    raw: Option<&RawManifest>,
    cache: Option<&Cache>,
    by: Rank,
) -> Vec<Stranger> {
    let mut named: BTreeMap<ContentHash, BTreeSet<FacesetNumber>> = BTreeMap::new();
    for identity in registry.identities() {
        let root = registry.root(identity.number);
        if registry.name_of(root).is_some() {
            for face in identity.faces.iter() {
                named.entry(face.sha256).or_default().insert(root);
            }
        }
    }
    let mut strangers: Vec<Stranger> = registry
        .identities()
        .filter(|i| matches!(i.state, State::Active | State::Thin))
        .filter(|i| registry.name_of(i.number).is_none())
        .filter_map(|i| {
            let faces = registry.faces_of(i.number).iter().cloned().collect();
            let name = i.number.folder_name();
            one(registry, name, Some(i.number), faces, cache, &named)
        })
        .collect();
    let groups = raw.into_iter().flat_map(|raw| &raw.persons);
    strangers.extend(groups.filter_map(|group| {
        let is_known = registry.match_set("", None, &group.faces).matched != Matched::New;
        let faces = group.faces.iter();
        let own = faces.filter(|f| !is_known && registry.owner(f).is_none());
        let own = own.cloned().collect();
        one(registry, group.name.clone(), None, own, cache, &named)
    }));
    let order = |s: &Stranger| (s.number.is_none(), s.number, s.name.clone());
    strangers.sort_by(|a, b| {
        b.weight(by)
            .cmp(&a.weight(by))
            .then_with(|| order(a).cmp(&order(b)))
    });
    strangers
}

/// Plans to hide these strangers in one change that one undo takes back. Groups
/// get a number past those that are `taken`, see
/// [`Registry::plan_hide_strangers`].
pub fn plan_hide(
    registry: &Registry,
    strangers: &[Stranger],
    taken: &BTreeSet<FacesetNumber>,
) -> Result<Plan, IdentityError> {
    let numbers: Vec<FacesetNumber> = strangers.iter().filter_map(|s| s.number).collect();
    let groups: Vec<(String, Vec<FaceKey>)> = strangers
        .iter()
        .filter(|s| s.number.is_none())
        .map(|s| (s.name.clone(), s.faces.clone()))
        .collect();
    registry.plan_hide_strangers(&numbers, &groups, taken)
}

fn one(
    registry: &Registry,
    name: String,
    number: Option<FacesetNumber>,
    faces: Vec<FaceKey>,
    cache: Option<&Cache>,
    named: &BTreeMap<ContentHash, BTreeSet<FacesetNumber>>,
) -> Option<Stranger> {
    let photos: BTreeSet<ContentHash> = faces.iter().map(|f| f.sha256).collect();
    if photos.is_empty() {
        return None;
    }
    let mut sizes = Vec::new();
    let mut years = BTreeSet::new();
    for key in &faces {
        if let Some((file, at)) = cache.and_then(|c| c.face(key)) {
            sizes.push(file.faces()[at].face_short);
            years.extend(capture_year(&file.taken));
        }
    }
    sizes.sort_by(f32::total_cmp);
    let mut with: BTreeMap<FacesetNumber, usize> = BTreeMap::new();
    let mut shared_photos = 0;
    for photo in &photos {
        let others = named.get(photo);
        shared_photos += usize::from(others.is_some());
        for who in others.into_iter().flatten() {
            *with.entry(*who).or_default() += 1;
        }
    }
    let mut with: Vec<(FacesetNumber, usize)> = with.into_iter().collect();
    with.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    Some(Stranger {
        name,
        number,
        faces,
        photos: photos.len(),
        median_px: sizes.get(sizes.len() / 2).copied().unwrap_or(0.0),
        years: years.into_iter().collect(),
        with: with
            .into_iter()
            .map(|(n, count)| (registry.name_of(n).unwrap_or_default().to_owned(), count))
            .collect(),
        shared_photos,
    })
}
