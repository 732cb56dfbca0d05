//! From a planned page to HTML: every text is put into words here and escaped
//! by the templates.

use std::collections::BTreeSet;

use askama::Template;
use faceset_core::{CosineDistance, FaceKey};

use crate::ReportError;
use crate::facts::{FaceFacts, FileProblem};
use crate::grouping::{ExportState, GroupKind, Standing, section_key};
use crate::histogram::Histogram;
use crate::link::{file_name, photo_href};
use crate::plan::{Content, FOLDER, FaceCard, GroupCard, PagePlan, ReportPlan};
use crate::thumbs::THUMB_PX;
use crate::words::{count, many, number, reason_numbers, reason_title};

/// The style sheet of all pages.
pub(crate) const STYLE: &str = include_str!("../templates/style.css");
/// Where it goes below the output folder.
pub(crate) const STYLE_FILE: &str = "report/style.css";
/// What every file of ours contains, so that we know it again.
pub(crate) const GENERATOR: &str = "face-sets contact sheet";
/// Crops on a card of the overview.
const BEST: usize = 8;
/// Crops of each of two groups that may be one person.
const SIDE_BY_SIDE: usize = 4;
/// Pairs shown on the overview; the cards tell of the others.
const MAX_PAIRS: usize = 24;
/// Unreadable photos named on the overview.
const MAX_UNREAD: usize = 100;

/// What the thumbnails could not show.
#[derive(Debug, Clone, Default)]
pub(crate) struct Missing {
    /// Thumbnails that are not there.
    pub(crate) thumbs: BTreeSet<String>,
    /// The photos at fault.
    pub(crate) photos: Vec<FileProblem>,
}

/// A link; the current page has no address.
struct Link {
    text: String,
    href: Option<String>,
}

/// What all pages share.
struct Frame {
    title: String,
    generator: &'static str,
    /// Prefix of the way to `report/`: `report/` on the index, else empty.
    below: &'static str,
    /// The way to the overview; `None` on it.
    home: Option<Link>,
    /// Links to the parts of a long list; empty for one part.
    parts: Vec<Link>,
}

/// A picture of a face.
struct Picture {
    src: Option<String>,
    alt: String,
    /// Address of the photo.
    href: Option<String>,
}

/// A face with its numbers.
struct FaceView {
    picture: Picture,
    class: &'static str,
    badge: String,
    name: String,
    lead: String,
    lines: Vec<String>,
}

struct Section {
    id: String,
    title: String,
    note: String,
    faces: Vec<FaceView>,
}

struct Badge {
    class: &'static str,
    text: String,
}

struct GroupView {
    href: String,
    title: String,
    name: Option<String>,
    badge: Badge,
    pictures: Vec<Picture>,
    facts: Vec<(&'static str, String)>,
    near: Option<NearView>,
}

struct NearView {
    text: String,
    href: Option<String>,
    distance: String,
    maybe: bool,
}

struct PairView {
    a: GroupView,
    b: GroupView,
    distance: String,
}

struct Tile {
    value: String,
    label: &'static str,
    href: Option<String>,
}

struct ChartView {
    height: String,
    top: String,
    base: String,
    tick_y: String,
    /// Outlines of the two distributions.
    own: String,
    other: String,
    bins: Vec<(String, String)>,
    cuts: Vec<CutView>,
    ticks: Vec<(String, String)>,
    n_own: String,
    n_other: String,
    tallest: String,
    sentences: Vec<String>,
}

struct CutView {
    x: String,
    label: String,
    /// Top of its line.
    y: String,
    anchor: &'static str,
    text_x: String,
    text_y: String,
}

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview<'a> {
    frame: Frame,
    first: bool,
    tiles: Vec<Tile>,
    rows: &'a [(String, String)],
    notes: Vec<String>,
    unread_title: String,
    unread: Vec<(String, String)>,
    n_unread_more: usize,
    chart: Option<ChartView>,
    pairs: Vec<PairView>,
    n_pairs_more: usize,
    maybe_same: String,
    groups_title: String,
    groups: Vec<GroupView>,
}

#[derive(Template)]
#[template(path = "faces.html")]
struct Faces {
    frame: Frame,
    heading: String,
    name: Option<String>,
    badge: Option<Badge>,
    facts: Vec<(&'static str, String)>,
    near: Option<NearView>,
    note: String,
    sections: Vec<Section>,
}

#[derive(Template)]
#[template(path = "files.html")]
struct Files {
    frame: Frame,
    heading: String,
    note: String,
    with_reason: bool,
    rows: Vec<FileRow>,
}

struct FileRow {
    path: String,
    href: Option<String>,
    kind: &'static str,
    reason: String,
}

/// The bytes of a page. The same plan and the same missing thumbnails give the
/// same bytes.
pub(crate) fn render(
    plan: &ReportPlan,
    page: &PagePlan,
    missing: &Missing,
) -> Result<String, ReportError> {
    let writer = Writer::new(plan, page, missing);
    let html = match &page.content {
        Content::Overview => writer.overview().render(),
        Content::Group(at) => writer.group(&plan.groups[*at]).render(),
        Content::Singletons => writer.singletons().render(),
        Content::NoFace => writer.noface().render(),
        Content::Problems => writer.problems().render(),
    };
    html.map_err(|source| ReportError::Render {
        file: page.file.clone(),
        source,
    })
}

struct Writer<'a> {
    plan: &'a ReportPlan,
    page: &'a PagePlan,
    missing: &'a Missing,
    /// Folder of the page, when photos are linked relatively.
    base: Option<String>,
    below: &'static str,
}

impl<'a> Writer<'a> {
    fn new(plan: &'a ReportPlan, page: &'a PagePlan, missing: &'a Missing) -> Self {
        let on_top = !page.file.starts_with(FOLDER);
        let base = plan.options.out.as_ref().map(|out| {
            if on_top {
                out.clone()
            } else {
                format!("{}/{FOLDER}", out.trim_end_matches(['/', '\\']))
            }
        });
        Self {
            plan,
            page,
            missing,
            base,
            below: if on_top { "report/" } else { "" },
        }
    }

    /// The way from this page to a file below the output folder.
    fn to(&self, file: &str) -> String {
        let here = if self.below.is_empty() { FOLDER } else { "" };
        match (here, file.strip_prefix("report/")) {
            (FOLDER, Some(rest)) => rest.to_owned(),
            (FOLDER, None) => format!("../{file}"),
            _ => file.to_owned(),
        }
    }

    fn photo(&self, path: &str) -> Option<String> {
        photo_href(self.base.as_deref(), path)
    }

    fn first_page(&self, content: &Content) -> Option<String> {
        self.plan.parts(content).next().map(|p| self.to(&p.file))
    }

    fn frame(&self, heading: &str) -> Frame {
        let n_parts = self.plan.parts(&self.page.content).count();
        let parts = self
            .plan
            .parts(&self.page.content)
            .filter(|_| n_parts > 1)
            .map(|p| Link {
                text: (p.part + 1).to_string(),
                href: (p.part != self.page.part).then(|| self.to(&p.file)),
            })
            .collect();
        let title = &self.plan.options.title;
        let is_overview = self.page.content == Content::Overview;
        let mut page_title = if is_overview {
            title.clone()
        } else {
            format!("{heading} · {title}")
        };
        if self.page.part > 0 {
            page_title = format!("{page_title} ({})", self.page.part + 1);
        }
        Frame {
            title: page_title,
            generator: GENERATOR,
            below: self.below,
            home: (!is_overview).then(|| Link {
                text: title.clone(),
                href: self.first_page(&Content::Overview),
            }),
            parts,
        }
    }

    fn picture(&self, face: &FaceCard, who: &str) -> Picture {
        let there = !self.missing.thumbs.contains(&face.thumb);
        Picture {
            src: there.then(|| format!("{}thumbs/{}", self.below, face.thumb)),
            alt: format!("{who}, {}", file_name(face.key.path.as_str())),
            href: self.photo(face.key.path.as_str()),
        }
    }

    fn overview(&self) -> Overview<'_> {
        let plan = self.plan;
        let first = self.page.part == 0;
        let groups = plan.groups[self.page.from..self.page.to]
            .iter()
            .map(|g| self.group_view(g, BEST))
            .collect();
        let shown_pairs = if first { MAX_PAIRS } else { 0 };
        Overview {
            frame: self.frame(&plan.options.title),
            first,
            tiles: self.tiles(),
            rows: &plan.summary.rows,
            notes: self.notes(),
            unread_title: self.unread_title(),
            unread: self
                .missing
                .photos
                .iter()
                .take(MAX_UNREAD)
                .map(|p| (p.path.to_string(), p.reason.clone()))
                .collect(),
            n_unread_more: self.missing.photos.len().saturating_sub(MAX_UNREAD),
            chart: plan.histogram.as_ref().filter(|_| first).map(chart),
            pairs: plan
                .pairs
                .iter()
                .take(shown_pairs)
                .map(|p| PairView {
                    a: self.group_view(&plan.groups[p.a], SIDE_BY_SIDE),
                    b: self.group_view(&plan.groups[p.b], SIDE_BY_SIDE),
                    distance: distance(p.distance),
                })
                .collect(),
            n_pairs_more: plan.pairs.len().saturating_sub(MAX_PAIRS),
            maybe_same: distance(plan.options.maybe_same),
            groups_title: self.groups_title(),
            groups,
        }
    }

    fn groups_title(&self) -> String {
        let n = self.plan.groups.len();
        match (self.page.part, self.page.to == n) {
            (0, true) => many(n, "group", "groups"),
            _ => format!(
                "Groups {} to {} of {}",
                count(self.page.from + 1),
                count(self.page.to),
                count(n)
            ),
        }
    }

    fn tiles(&self) -> Vec<Tile> {
        let plan = self.plan;
        let totals = plan.totals;
        let tile = |n: usize, label, href| Tile {
            value: count(n),
            label,
            href,
        };
        let n_sets = plan
            .groups
            .iter()
            .filter(|g| g.export == ExportState::Exported)
            .count();
        let exports = plan.groups.iter().any(|g| g.export != ExportState::None);
        let mut tiles = vec![
            tile(totals.photos, "photos with a face", None),
            tile(totals.faces, "faces", None),
            tile(plan.groups.len(), "groups", Some("#groups".to_owned())),
        ];
        if exports {
            tiles.push(tile(n_sets, "sets exported", None));
            tiles.push(tile(totals.exported, "faces exported", None));
        }
        let kept = if exports {
            "faces kept, not exported"
        } else {
            "faces in groups"
        };
        tiles.push(tile(totals.kept, kept, None));
        tiles.push(tile(totals.dropped, "faces dropped", None));
        let lists = [
            (totals.singletons, "single faces", Content::Singletons),
            (plan.noface.len(), "photos without a face", Content::NoFace),
            (plan.problems().count(), "files not read", Content::Problems),
        ];
        for (n, label, content) in lists {
            tiles.push(tile(n, label, self.first_page(&content)));
        }
        tiles
    }

    fn notes(&self) -> Vec<String> {
        let n = self.plan.n_repeated;
        let note = format!(
            "Sets list faces of other sets {}; each face is shown once, at its first set.",
            many(n, "time", "times"),
        );
        Vec::from_iter((n > 0).then_some(note))
    }

    fn unread_title(&self) -> String {
        format!(
            "{} without a picture here, because {} could not be shown",
            many(self.missing.thumbs.len(), "face is", "faces are"),
            many(self.missing.photos.len(), "photo", "photos"),
        )
    }

    fn group_view(&self, group: &GroupCard, n_pictures: usize) -> GroupView {
        let title = title(group);
        let best = match group.n_exported + group.n_kept {
            0 => &group.faces[..],
            n => &group.faces[..n],
        };
        GroupView {
            href: self.to(&group.pages[0]),
            name: group.label.as_ref().map(|_| group.name.clone()),
            badge: badge(group),
            pictures: best
                .iter()
                .take(n_pictures)
                .map(|f| self.picture(f, &title))
                .collect(),
            facts: facts_of(group),
            near: self.near(group),
            title,
        }
    }

    fn near(&self, group: &GroupCard) -> Option<NearView> {
        let near = group.nearest.as_ref()?;
        let other = near.group.map(|at| &self.plan.groups[at]);
        Some(NearView {
            text: other.map_or_else(|| near.name.clone(), title),
            href: other.map(|g| self.to(&g.pages[0])),
            distance: distance(near.distance),
            maybe: other.is_some() && near.distance <= self.plan.options.maybe_same,
        })
    }

    fn group(&self, group: &GroupCard) -> Faces {
        let heading = title(group);
        let faces = &group.faces[self.page.from..self.page.to];
        let mut facts = facts_of(group);
        if !group.sources.is_empty() {
            facts.push(("From", sources(&group.sources)));
        }
        Faces {
            frame: self.frame(&heading),
            name: group.label.as_ref().map(|_| group.name.clone()),
            badge: Some(badge(group)),
            facts,
            near: self.near(group),
            note: if group.faces.is_empty() {
                "The manifest lists photos of this set but no faces.".to_owned()
            } else {
                String::new()
            },
            sections: self.sections(group, faces, &heading),
            heading,
        }
    }

    /// Runs of equal standing; a run that began on an earlier page says so.
    fn sections(&self, group: &GroupCard, faces: &[FaceCard], who: &str) -> Vec<Section> {
        let mut sections: Vec<Section> = Vec::new();
        let mut at = self.page.from;
        for run in faces.chunk_by(same_section) {
            let before = at > 0 && same_section(&group.faces[at - 1], &run[0]);
            let whole = group
                .faces
                .iter()
                .filter(|f| same_section(f, &run[0]))
                .count();
            at += run.len();
            let mut title = section_title(group, &run[0]);
            if before {
                title.push_str(" (continued)");
            }
            let note = if whole == run.len() {
                many(whole, "face", "faces")
            } else {
                format!("{} of {}", count(run.len()), many(whole, "face", "faces"))
            };
            sections.push(Section {
                id: format!("s{}", sections.len() + 1),
                title,
                note,
                faces: run.iter().map(|f| self.face_view(f, who)).collect(),
            });
        }
        sections
    }

    fn face_view(&self, face: &FaceCard, who: &str) -> FaceView {
        let path = face.key.path.as_str();
        let facts = &face.facts;
        let (class, badge, lead) = match &face.standing {
            Some(Standing::Exported {
                rank, composite, ..
            }) => (
                "exported",
                rank.to_string(),
                format!("score {:.2}", composite.get()),
            ),
            Some(Standing::Dropped {
                reason,
                value,
                limit,
            }) => (
                "dropped",
                String::new(),
                reason_numbers(reason, *value, *limit),
            ),
            Some(Standing::Kept) => ("kept", String::new(), sizes(&face.key, facts)),
            None => ("single", String::new(), nearest_line(facts)),
        };
        let mut lines = vec![path.to_owned()];
        if let Some(Standing::Exported {
            distance: d,
            upscale,
            masked,
            ..
        }) = &face.standing
        {
            let mut line = format!("{} from the set’s centre", distance(*d));
            if *upscale > 1.0 {
                line = format!("{line}, enlarged {}×", number(*upscale, 1));
            }
            if *masked {
                line.push_str(", neighbour painted over");
            }
            lines.push(line);
        }
        if let Some(Standing::Dropped { reason, .. }) = &face.standing {
            lines.push(reason_title(reason));
        }
        lines.push(sizes(&face.key, facts));
        lines.extend(scores(facts));
        let near = nearest_line(facts);
        if face.standing.is_some() && !near.is_empty() {
            lines.push(near);
        }
        FaceView {
            picture: self.picture(face, who),
            class,
            badge,
            name: file_name(path).to_owned(),
            lead,
            lines,
        }
    }

    fn singletons(&self) -> Faces {
        let heading = "Faces that joined nobody".to_owned();
        let faces = &self.plan.singletons[self.page.from..self.page.to];
        let total = self.plan.singletons.len();
        Faces {
            frame: self.frame(&heading),
            heading,
            name: None,
            badge: None,
            facts: Vec::new(),
            near: None,
            note: "No other face was near enough to any of these to make a group.".to_owned(),
            sections: vec![Section {
                id: "s1".to_owned(),
                title: "Single faces".to_owned(),
                note: if faces.len() == total {
                    many(total, "face", "faces")
                } else {
                    format!("{} of {}", count(faces.len()), many(total, "face", "faces"))
                },
                faces: faces
                    .iter()
                    .map(|f| self.face_view(f, "Single face"))
                    .collect(),
            }],
        }
    }

    fn noface(&self) -> Files {
        let heading = "Photos without a face".to_owned();
        Files {
            frame: self.frame(&heading),
            heading,
            note: many(self.plan.noface.len(), "photo", "photos"),
            with_reason: false,
            rows: self.plan.noface[self.page.from..self.page.to]
                .iter()
                .map(|path| self.file_row(path.as_str(), "", ""))
                .collect(),
        }
    }

    fn problems(&self) -> Files {
        let heading = "Files not read".to_owned();
        let summary = &self.plan.summary;
        Files {
            frame: self.frame(&heading),
            heading,
            note: format!(
                "{} failed, {} skipped",
                count(summary.failed.len()),
                count(summary.skipped.len())
            ),
            with_reason: true,
            rows: self
                .plan
                .problems()
                .skip(self.page.from)
                .take(self.page.to - self.page.from)
                .map(|(kind, p)| self.file_row(p.path.as_str(), kind, &p.reason))
                .collect(),
        }
    }

    fn file_row(&self, path: &str, kind: &'static str, reason: &str) -> FileRow {
        FileRow {
            path: path.to_owned(),
            href: self.photo(path),
            kind,
            reason: reason.to_owned(),
        }
    }
}

fn same_section(a: &FaceCard, b: &FaceCard) -> bool {
    match (&a.standing, &b.standing) {
        (Some(a), Some(b)) => section_key(a) == section_key(b),
        _ => a.standing.is_none() && b.standing.is_none(),
    }
}

fn section_title(group: &GroupCard, face: &FaceCard) -> String {
    match &face.standing {
        Some(Standing::Exported { .. }) => "Exported, best first".to_owned(),
        Some(Standing::Dropped { reason, .. }) => {
            format!("Dropped: {}", lower(&reason_title(reason)))
        }
        _ if group.n_exported > 0 => "Kept, not exported".to_owned(),
        _ => "Faces".to_owned(),
    }
}

fn lower(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_lowercase().collect::<String>() + letters.as_str()
    })
}

fn title(group: &GroupCard) -> String {
    group.label.clone().unwrap_or_else(|| group.name.clone())
}

fn badge(group: &GroupCard) -> Badge {
    let (class, text) = match (&group.kind, &group.export) {
        (
            GroupKind::Rejected {
                reason,
                value,
                limit,
            },
            _,
        ) => {
            let numbers = reason_numbers(reason, *value, *limit);
            let title = reason_title(reason);
            let text = if numbers.is_empty() {
                title
            } else {
                format!("{title}: {numbers}")
            };
            ("off", text)
        }
        (GroupKind::Person, _) => ("plain", "Group".to_owned()),
        (GroupKind::ThinEra, _) => ("plain", "Thin era".to_owned()),
        (_, ExportState::Exported) => ("on", "Exported".to_owned()),
        (_, ExportState::Reserved(reason)) => ("off", format!("Not exported: {reason}")),
        (_, ExportState::Missing) => ("off", "Not exported".to_owned()),
        (_, ExportState::None) => ("plain", "Set".to_owned()),
    };
    Badge { class, text }
}

fn facts_of(group: &GroupCard) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("Faces", count(group.faces.len())),
        ("Photos", count(group.n_photos)),
    ];
    if group.export == ExportState::Exported {
        facts.push(("Exported", count(group.n_exported)));
    }
    if group.n_dropped > 0 {
        facts.push(("Dropped", count(group.n_dropped)));
    }
    if let Some((first, last)) = group.years {
        facts.push((
            "Years",
            if first == last {
                first.to_string()
            } else {
                format!("{first}–{last}")
            },
        ));
    }
    if let Some(tightness) = group.tightness {
        facts.push(("Spread", distance(tightness)));
    }
    facts
}

/// `person_003 (24), person_017 (3)`; the five largest.
fn sources(sources: &[(String, usize)]) -> String {
    let mut text = sources
        .iter()
        .take(5)
        .map(|(name, n)| format!("{name} ({})", count(*n)))
        .collect::<Vec<_>>()
        .join(", ");
    if sources.len() > 5 {
        text = format!("{text} and {} more", count(sources.len() - 5));
    }
    text
}

fn distance(d: CosineDistance) -> String {
    format!("{:.2}", d.get())
}

/// Short edge and detector score. The size is also in the key.
fn sizes(key: &FaceKey, facts: &FaceFacts) -> String {
    let short = facts.face_short_px.unwrap_or(key.bbox.short_edge_px());
    let mut text = format!("{} px", number(f64::from(short), 0));
    if let Some(score) = facts.det_score {
        text = format!("{text} · {score:.2}");
    }
    text
}

fn scores(facts: &FaceFacts) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(blur) = facts.blur {
        lines.push(format!("sharpness {}", number(f64::from(blur), 0)));
    }
    if let Some(pose) = facts.pose {
        let deg = |v: f32| number(f64::from(v), 0);
        lines.push(format!(
            "pitch {}°, yaw {}°, roll {}°",
            deg(pose.pitch_deg),
            deg(pose.yaw_deg),
            deg(pose.roll_deg)
        ));
    }
    if let Some(own) = facts.own_distance {
        lines.push(format!("{} from its group", distance(own)));
    }
    if let Some(year) = facts.year {
        lines.push(year.to_string());
    }
    lines
}

fn nearest_line(facts: &FaceFacts) -> String {
    facts.nearest.as_ref().map_or_else(String::new, |n| {
        format!("{} from {}", distance(n.distance), n.group)
    })
}

/// Left edge, width and height of the chart's plot in its own units.
const PLOT: (f64, f64, f64) = (8.0, 464.0, 140.0);
/// Height of a row of names above the plot.
const ROW: f64 = 14.0;

fn chart(histogram: &Histogram) -> ChartView {
    let (left, width, height) = PLOT;
    // Names of the lower lines stand to their left, of the upper ones to their
    // right, the innermost on top: so none crosses another line.
    let n_cuts = histogram.cuts.len();
    let middle = n_cuts.div_ceil(2);
    let top = 10.0 + ROW * middle as f64;
    let n = histogram.bins.len();
    let tallest = histogram
        .bins
        .iter()
        .map(|b| b.own.max(b.other))
        .max()
        .unwrap_or(0)
        .max(1);
    let step = width / n as f64;
    let x = |bin: usize| number(left + bin as f64 * step, 2);
    let y = |count: usize| number(top + height - height * count as f64 / tallest as f64, 2);
    let base = number(top + height, 2);
    let outline = |of: &dyn Fn(usize) -> usize| {
        use std::fmt::Write;
        let mut path = format!("M{} {base}", x(0));
        for bin in 0..n {
            write!(path, "V{}H{}", y(of(bin)), x(bin + 1)).expect("a string takes all");
        }
        path + "V" + &base + "Z"
    };
    let bins = histogram
        .bins
        .iter()
        .enumerate()
        .filter(|(_, b)| b.own + b.other > 0)
        .map(|(at, b)| {
            let from = number(Histogram::edge(at), 2);
            let to = if at + 1 == n {
                "and more".to_owned()
            } else {
                format!("to {}", number(Histogram::edge(at + 1), 2))
            };
            let text = format!(
                "{from} {to}: {} to own group, {} to nearest other",
                count(b.own),
                count(b.other)
            );
            (x(at), text)
        })
        .collect();
    let cuts = histogram
        .cuts
        .iter()
        .enumerate()
        .map(|(at, cut)| {
            let x = left + width * Histogram::position(cut.line.distance);
            let (is_lower, row) = if at < middle {
                (true, middle - 1 - at)
            } else {
                (false, at - middle)
            };
            let text_y = 11.0 + ROW * row as f64;
            CutView {
                x: number(x, 2),
                y: number(text_y - 9.0, 2),
                label: format!("{} {}", cut.line.label, number(cut.line.distance.get(), 3)),
                anchor: if is_lower { "end" } else { "start" },
                text_x: number(if is_lower { x - 4.0 } else { x + 4.0 }, 2),
                text_y: number(text_y, 2),
            }
        })
        .collect();
    let sentences = histogram
        .cuts
        .iter()
        .map(|cut| {
            format!(
                "At or below {} ({}): {} of {} faces to their own group, {} of {} to another one.",
                number(cut.line.distance.get(), 3),
                cut.line.label,
                count(cut.own_within),
                count(histogram.n_own),
                count(cut.other_within),
                count(histogram.n_other),
            )
        })
        .collect();
    ChartView {
        height: number(top + height + 24.0, 2),
        top: number(top, 2),
        tick_y: number(top + height + 16.0, 2),
        own: outline(&|bin| histogram.bins[bin].own),
        other: outline(&|bin| histogram.bins[bin].other),
        bins,
        cuts,
        ticks: (0..=n)
            .step_by(10)
            .map(|bin| (x(bin), number(Histogram::edge(bin), 1)))
            .collect(),
        base,
        n_own: count(histogram.n_own),
        n_other: count(histogram.n_other),
        tallest: many(tallest, "face", "faces"),
        sentences,
    }
}
