//! What the report will show, page by page, before a photo is read or a file
//! is written.

use std::collections::{BTreeMap, BTreeSet};

use faceset_core::{CosineDistance, FaceKey, SourcePath, hash_bytes};
use serde::Serialize;

use crate::facts::{FaceFacts, FileProblem, RunSummary};
use crate::grouping::{ExportState, Group, GroupKind, Grouping, Standing};
use crate::histogram::Histogram;
use crate::options::ReportOptions;
use crate::thumbs::thumb_name;

/// Folder of everything but the overview's first page.
pub(crate) const FOLDER: &str = "report";
/// The first page.
pub(crate) const INDEX: &str = "index.html";

/// What the report is made from.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    /// The faces in their places, from [`crate::group`].
    pub grouping: &'a Grouping,
    /// What is known of a face. Group names in it are those of `grouping`.
    pub facts: &'a (dyn Fn(&FaceKey) -> FaceFacts + Sync),
    /// The run.
    pub summary: &'a RunSummary,
}

impl std::fmt::Debug for Inputs<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inputs")
            .field("grouping", self.grouping)
            .field("summary", self.summary)
            .finish_non_exhaustive()
    }
}

/// One face of the report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FaceCard {
    /// The face.
    pub key: FaceKey,
    /// What became of it; `None` for singletons.
    pub standing: Option<Standing>,
    /// Its numbers.
    pub facts: FaceFacts,
    /// Its thumbnail below `report/thumbs/`.
    pub thumb: String,
}

/// The group that most of a group's faces are nearest to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NearestGroup {
    /// Its name.
    pub name: String,
    /// Its position among the groups; `None` for a name that is none of ours.
    pub group: Option<usize>,
    /// Median distance of those faces to its centroid (the lower one of two).
    pub distance: CosineDistance,
}

/// One group of the report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupCard {
    /// Folder name.
    pub name: String,
    /// A person's name, when one is known.
    pub label: Option<String>,
    /// What it is.
    pub kind: GroupKind,
    /// What the export made of it.
    pub export: ExportState,
    /// The raw persons it came from.
    pub sources: Vec<(String, usize)>,
    /// All faces: exported by rank, kept, dropped by reason.
    pub faces: Vec<FaceCard>,
    /// Faces exported.
    pub n_exported: usize,
    /// Faces kept and not exported.
    pub n_kept: usize,
    /// Faces dropped.
    pub n_dropped: usize,
    /// Distinct photos, by content.
    pub n_photos: usize,
    /// First and last year of its photos.
    pub years: Option<(i16, i16)>,
    /// Median distance of its members to their centroid (the lower one of two).
    pub tightness: Option<CosineDistance>,
    /// The nearest other group.
    pub nearest: Option<NearestGroup>,
    /// Its pages, in order.
    pub pages: Vec<String>,
}

/// Two groups that may be one person, `a` before `b` in group order.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pair {
    /// Position of one group.
    pub a: usize,
    /// Position of the other.
    pub b: usize,
    /// The smaller of their two distances.
    pub distance: CosineDistance,
}

/// What a page shows: a range of a list that the plan holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// Groups; the first part also has the summary.
    Overview,
    /// Faces of one group.
    Group(usize),
    /// Faces that joined nobody.
    Singletons,
    /// Photos without a face.
    NoFace,
    /// Files that failed, then files that were skipped.
    Problems,
}

/// One page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PagePlan {
    /// Path below the output folder, `/` between its parts.
    pub file: String,
    /// What it shows.
    pub content: Content,
    /// Which part of the list this is, from 0.
    pub part: usize,
    /// First item.
    pub from: usize,
    /// One past the last item.
    pub to: usize,
}

/// Faces counted once each; the parts add up to `faces`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Totals {
    /// All faces.
    pub faces: usize,
    /// Faces exported.
    pub exported: usize,
    /// Faces kept in a group and not exported.
    pub kept: usize,
    /// Faces dropped from a group.
    pub dropped: usize,
    /// Faces that joined nobody.
    pub singletons: usize,
    /// Distinct photos with a face, by content.
    pub photos: usize,
}

/// The whole report as values.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReportPlan {
    /// How it is laid out.
    pub options: ReportOptions,
    /// What the run says of itself.
    pub summary: RunSummary,
    /// The groups.
    pub groups: Vec<GroupCard>,
    /// Faces that joined nobody.
    pub singletons: Vec<FaceCard>,
    /// Photos without a face.
    pub noface: Vec<SourcePath>,
    /// Counts.
    pub totals: Totals,
    /// Sets that list a face which is shown at another one.
    pub n_repeated: usize,
    /// Distances, when any is known.
    pub histogram: Option<Histogram>,
    /// Groups that may be one person, nearest first.
    pub pairs: Vec<Pair>,
    /// All pages; the overview first.
    pub pages: Vec<PagePlan>,
}

impl ReportPlan {
    /// All faces, grouped ones first.
    pub(crate) fn faces(&self) -> impl Iterator<Item = &FaceCard> {
        self.groups
            .iter()
            .flat_map(|g| &g.faces)
            .chain(&self.singletons)
    }

    /// Failed files, then skipped ones.
    pub(crate) fn problems(&self) -> impl Iterator<Item = (&'static str, &FileProblem)> {
        let failed = self.summary.failed.iter().map(|p| ("failed", p));
        failed.chain(self.summary.skipped.iter().map(|p| ("skipped", p)))
    }

    /// The pages of each list, in order.
    pub(crate) fn parts(&self) -> BTreeMap<&Content, Vec<&PagePlan>> {
        let mut parts: BTreeMap<&Content, Vec<&PagePlan>> = BTreeMap::new();
        for page in &self.pages {
            parts.entry(&page.content).or_default().push(page);
        }
        parts
    }
}

/// Decides what is on which page. Reads and writes nothing.
pub fn plan(inputs: &Inputs<'_>, options: &ReportOptions) -> ReportPlan {
    let grouping = inputs.grouping;
    let by_name: BTreeMap<&str, usize> = grouping
        .groups
        .iter()
        .enumerate()
        .rev()
        .map(|(at, g)| (g.name.as_str(), at))
        .collect();
    let mut groups: Vec<GroupCard> = grouping
        .groups
        .iter()
        .map(|g| card(g, inputs, &by_name))
        .collect();
    let singletons: Vec<FaceCard> = grouping
        .singletons
        .iter()
        .map(|key| face_card(key, None, inputs))
        .collect();
    let mut plan = ReportPlan {
        options: options.clone(),
        summary: inputs.summary.clone(),
        totals: totals(&groups, &singletons),
        histogram: histogram(&groups, options),
        pairs: pairs(&groups, options.maybe_same),
        groups: Vec::new(),
        singletons,
        noface: grouping.noface.clone(),
        n_repeated: grouping.n_repeated,
        pages: Vec::new(),
    };
    plan.pages = pages(&mut groups, &plan);
    plan.groups = groups;
    plan
}

fn face_card(key: &FaceKey, standing: Option<Standing>, inputs: &Inputs<'_>) -> FaceCard {
    FaceCard {
        thumb: thumb_name(key),
        facts: (inputs.facts)(key).checked(),
        key: key.clone(),
        standing,
    }
}

fn card(group: &Group, inputs: &Inputs<'_>, by_name: &BTreeMap<&str, usize>) -> GroupCard {
    let faces: Vec<FaceCard> = group
        .faces
        .iter()
        .map(|f| face_card(&f.key, Some(f.standing.clone()), inputs))
        .collect();
    let count = |is: fn(&Standing) -> bool| group.faces.iter().filter(|f| is(&f.standing)).count();
    let members = || faces.iter().filter(|f| is_member(f));
    let years = || members().filter_map(|f| f.facts.year);
    let own: Vec<_> = members().filter_map(|f| f.facts.own_distance).collect();
    GroupCard {
        name: group.name.clone(),
        label: group.label.clone(),
        kind: group.kind.clone(),
        export: group.export.clone(),
        sources: group.sources.clone(),
        n_exported: count(|s| matches!(s, Standing::Exported { .. })),
        n_kept: count(|s| matches!(s, Standing::Kept)),
        n_dropped: count(|s| matches!(s, Standing::Dropped { .. })),
        n_photos: group.n_photos(),
        years: years().min().zip(years().max()),
        tightness: median(own),
        nearest: nearest(members(), by_name),
        faces,
        pages: Vec::new(),
    }
}

fn is_member(face: &FaceCard) -> bool {
    !matches!(face.standing, Some(Standing::Dropped { .. }))
}

/// The lower one of two middle values.
fn median(mut values: Vec<CosineDistance>) -> Option<CosineDistance> {
    values.sort();
    values.get(values.len().saturating_sub(1) / 2).copied()
}

/// The group that most faces are nearest to; ties go to the smaller median,
/// then to the name.
fn nearest<'a>(
    members: impl Iterator<Item = &'a FaceCard>,
    by_name: &BTreeMap<&str, usize>,
) -> Option<NearestGroup> {
    let mut votes: BTreeMap<&str, Vec<CosineDistance>> = BTreeMap::new();
    for neighbour in members.filter_map(|f| f.facts.nearest.as_ref()) {
        let name = neighbour.group.as_str();
        votes.entry(name).or_default().push(neighbour.distance);
    }
    votes
        .into_iter()
        .filter_map(|(name, distances)| {
            let n = distances.len();
            median(distances).map(|m| (std::cmp::Reverse(n), m, name))
        })
        .min()
        .map(|(_, distance, name)| NearestGroup {
            name: name.to_owned(),
            group: by_name.get(name).copied(),
            distance,
        })
}

fn totals(groups: &[GroupCard], singletons: &[FaceCard]) -> Totals {
    let sum = |of: fn(&GroupCard) -> usize| groups.iter().map(of).sum::<usize>();
    let photos: BTreeSet<_> = groups
        .iter()
        .flat_map(|g| &g.faces)
        .chain(singletons)
        .map(|f| f.key.sha256)
        .collect();
    Totals {
        faces: sum(|g| g.faces.len()) + singletons.len(),
        exported: sum(|g| g.n_exported),
        kept: sum(|g| g.n_kept),
        dropped: sum(|g| g.n_dropped),
        singletons: singletons.len(),
        photos: photos.len(),
    }
}

/// Members only: a dropped outlier is no sign of a bad threshold.
fn histogram(groups: &[GroupCard], options: &ReportOptions) -> Option<Histogram> {
    let facts = || {
        groups
            .iter()
            .flat_map(|g| &g.faces)
            .filter(|f| is_member(f))
            .map(|f| &f.facts)
    };
    let own: Vec<_> = facts().filter_map(|f| f.own_distance).collect();
    let other: Vec<_> = facts()
        .filter_map(|f| f.nearest.as_ref().map(|n| n.distance))
        .collect();
    Histogram::of(&own, &other, &options.cuts)
}

fn pairs(groups: &[GroupCard], limit: CosineDistance) -> Vec<Pair> {
    let mut found: BTreeMap<(usize, usize), CosineDistance> = BTreeMap::new();
    for (at, group) in groups.iter().enumerate() {
        let Some(near) = &group.nearest else { continue };
        match near.group {
            Some(other) if other != at && near.distance <= limit => {
                let key = (at.min(other), at.max(other));
                let held = found.entry(key).or_insert(near.distance);
                *held = near.distance.min(*held);
            }
            _ => {}
        }
    }
    let mut pairs: Vec<Pair> = found
        .into_iter()
        .map(|((a, b), distance)| Pair { a, b, distance })
        .collect();
    pairs.sort_by_key(|p| (p.distance, p.a, p.b));
    pairs
}

/// Lays out all pages and tells the groups theirs.
fn pages(groups: &mut [GroupCard], plan: &ReportPlan) -> Vec<PagePlan> {
    let options = &plan.options;
    let (n_faces, n_rows) = (options.faces_per_page.get(), options.rows_per_page.get());
    let mut layout = Layout::default();
    layout.list(
        "overview",
        &Content::Overview,
        groups.len(),
        options.groups_per_page.get(),
    );
    INDEX.clone_into(&mut layout.pages[0].file);
    for (stem, content, n, per_page) in [
        (
            "singletons",
            Content::Singletons,
            plan.singletons.len(),
            n_faces,
        ),
        ("no-face", Content::NoFace, plan.noface.len(), n_rows),
        (
            "problems",
            Content::Problems,
            plan.problems().count(),
            n_rows,
        ),
    ] {
        if n > 0 {
            layout.list(stem, &content, n, per_page);
        }
    }
    for (at, group) in groups.iter_mut().enumerate() {
        let stem = stem(&group.name);
        group.pages = layout.list(&stem, &Content::Group(at), group.faces.len(), n_faces);
    }
    layout.pages
}

#[derive(Default)]
struct Layout {
    pages: Vec<PagePlan>,
    /// Files in use, lower case: some file systems fold it.
    taken: BTreeSet<String>,
}

impl Layout {
    /// Adds the pages of a list of `n` items, at least one, and returns their
    /// files.
    fn list(&mut self, stem: &str, content: &Content, n: usize, per_page: usize) -> Vec<String> {
        let n_parts = n.div_ceil(per_page).max(1);
        let mut files = Vec::with_capacity(n_parts);
        for part in 0..n_parts {
            let file = self.free_name(stem, part);
            self.pages.push(PagePlan {
                file: file.clone(),
                content: content.clone(),
                part,
                from: part * per_page,
                to: ((part + 1) * per_page).min(n),
            });
            files.push(file);
        }
        files
    }

    fn free_name(&mut self, stem: &str, part: usize) -> String {
        let base = match part {
            0 => stem.to_owned(),
            _ => format!("{stem}-p{}", part + 1),
        };
        let mut name = format!("{FOLDER}/{base}.html");
        let mut n = 2;
        while !self.taken.insert(name.to_lowercase()) {
            name = format!("{FOLDER}/{base}~{n}.html");
            n += 1;
        }
        name
    }
}

/// File stem of a group's pages: its name where that is plain, else a digest.
///
/// Plain names hold an underscore, which keeps them apart from our fixed pages
/// and from the device names of Windows.
fn stem(name: &str) -> String {
    let plain = name.contains('_')
        && name.len() <= 80
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if plain {
        name.to_owned()
    } else {
        format!("group_{}", &hash_bytes(name.as_bytes()).to_string()[..12])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn d(v: f64) -> CosineDistance {
        CosineDistance::new(v).unwrap()
    }

    #[test]
    fn a_full_page_does_not_start_another_one() {
        let spans = |n: usize| {
            let mut layout = Layout::default();
            layout.list("a_b", &Content::Group(0), n, 4);
            layout
                .pages
                .iter()
                .map(|p| (p.from, p.to))
                .collect::<Vec<_>>()
        };
        assert_eq!(spans(0), [(0, 0)]);
        assert_eq!(spans(3), [(0, 3)]);
        assert_eq!(spans(4), [(0, 4)]);
        assert_eq!(spans(5), [(0, 4), (4, 5)]);
        assert_eq!(spans(9), [(0, 4), (4, 8), (8, 9)]);
    }

    #[test]
    fn page_names_are_plain_and_differ_even_without_case() {
        let mut layout = Layout::default();
        let mut file = |name: &str| {
            layout
                .list(&stem(name), &Content::Singletons, 1, 9)
                .remove(0)
        };
        assert_eq!(file("faceset_001"), "report/faceset_001.html");
        assert_eq!(file("Faceset_001"), "report/Faceset_001~2.html");
        for odd in [
            "con",
            "singletons",
            "../x_y",
            "a_b/c",
            "Zoë_1",
            "",
            &"x_".repeat(60),
        ] {
            let file = file(odd);
            assert!(file.starts_with("report/group_"), "{odd}: {file}");
            assert_eq!(file.len(), "report/group_.html".len() + 12, "{odd}: {file}");
        }
    }

    #[test]
    fn the_median_is_the_lower_of_two_middle_values() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![d(0.5)]), Some(d(0.5)));
        assert_eq!(median(vec![d(0.9), d(0.1)]), Some(d(0.1)));
        assert_eq!(median(vec![d(0.9), d(0.1), d(0.3)]), Some(d(0.3)));
    }
}
