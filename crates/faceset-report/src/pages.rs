//! From a planned page to HTML: which lists and links it holds. The words are
//! those of `captions`; the templates escape them.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;

use crate::ReportError;
use crate::captions::{
    badge, distance, facts_of, nearest_line, same_section, scores, section_title, sizes, sources,
    title,
};
use crate::chart::chart;
use crate::facts::FileProblem;
use crate::grouping::{ExportState, Standing};
use crate::link::{file_name, photo_href};
use crate::plan::{Content, FOLDER, FaceCard, GroupCard, PagePlan, ReportPlan};
use crate::views::{
    FaceView, Faces, FileRow, Files, Frame, GroupView, Link, NearView, Overview, PairView, Picture,
    Section, Tile,
};
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

/// Renders the pages of one plan.
pub(crate) struct Site<'a> {
    plan: &'a ReportPlan,
    missing: &'a Missing,
    parts: BTreeMap<&'a Content, Vec<&'a PagePlan>>,
}

impl<'a> Site<'a> {
    pub(crate) fn new(plan: &'a ReportPlan, missing: &'a Missing) -> Self {
        Self {
            plan,
            missing,
            parts: plan.parts(),
        }
    }

    /// The bytes of a page. The same plan and the same missing thumbnails give
    /// the same bytes.
    pub(crate) fn render(&self, page: &PagePlan) -> Result<String, ReportError> {
        let writer = Writer::new(self, page);
        let html = match &page.content {
            Content::Overview => writer.overview().render(),
            Content::Group(at) => writer.group(&self.plan.groups[*at]).render(),
            Content::Singletons => writer.singletons().render(),
            Content::NoFace => writer.noface().render(),
            Content::Problems => writer.problems().render(),
        };
        html.map_err(|source| ReportError::Render {
            file: page.file.clone(),
            source,
        })
    }
}

struct Writer<'a> {
    site: &'a Site<'a>,
    plan: &'a ReportPlan,
    page: &'a PagePlan,
    missing: &'a Missing,
    /// Folder of the page, when photos are linked relatively.
    base: Option<String>,
    below: &'static str,
}

impl<'a> Writer<'a> {
    fn new(site: &'a Site<'a>, page: &'a PagePlan) -> Self {
        let on_top = !page.file.starts_with(FOLDER);
        let base = site.plan.options.out.as_ref().map(|out| {
            if on_top {
                out.clone()
            } else {
                format!("{}/{FOLDER}", out.trim_end_matches(['/', '\\']))
            }
        });
        Self {
            site,
            plan: site.plan,
            page,
            missing: site.missing,
            base,
            below: if on_top { "report/" } else { "" },
        }
    }

    /// Pages that show the same list, in order.
    fn parts(&self, content: &Content) -> &[&'a PagePlan] {
        self.site.parts.get(content).map_or(&[], Vec::as_slice)
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
        self.parts(content).first().map(|p| self.to(&p.file))
    }

    fn frame(&self, heading: &str) -> Frame {
        let parts = self.parts(&self.page.content);
        let parts = parts
            .iter()
            .filter(|_| parts.len() > 1)
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
