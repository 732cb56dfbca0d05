//! What the templates in `templates/` are given: texts and addresses, no values
//! that still need a decision.

use askama::Template;

use crate::chart::ChartView;
use crate::thumbs::THUMB_PX;

/// A link; the current page has no address.
pub(crate) struct Link {
    pub(crate) text: String,
    pub(crate) href: Option<String>,
}

/// What all pages share.
pub(crate) struct Frame {
    pub(crate) title: String,
    pub(crate) generator: &'static str,
    /// Prefix of the way to `report/`: `report/` on the index, else empty.
    pub(crate) below: &'static str,
    /// The way to the overview; `None` on it.
    pub(crate) home: Option<Link>,
    /// Links to the parts of a long list; empty for one part.
    pub(crate) parts: Vec<Link>,
}

/// A picture of a face.
pub(crate) struct Picture {
    pub(crate) src: Option<String>,
    pub(crate) alt: String,
    /// Address of the photo.
    pub(crate) href: Option<String>,
}

/// A face with its numbers.
pub(crate) struct FaceView {
    pub(crate) picture: Picture,
    pub(crate) class: &'static str,
    pub(crate) badge: String,
    pub(crate) name: String,
    pub(crate) lead: String,
    pub(crate) lines: Vec<String>,
}

pub(crate) struct Section {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) note: String,
    pub(crate) faces: Vec<FaceView>,
}

pub(crate) struct Badge {
    pub(crate) class: &'static str,
    pub(crate) text: String,
}

pub(crate) struct GroupView {
    pub(crate) href: String,
    pub(crate) title: String,
    pub(crate) name: Option<String>,
    pub(crate) badge: Badge,
    pub(crate) pictures: Vec<Picture>,
    pub(crate) facts: Vec<(&'static str, String)>,
    pub(crate) near: Option<NearView>,
}

pub(crate) struct NearView {
    pub(crate) text: String,
    pub(crate) href: Option<String>,
    pub(crate) distance: String,
    pub(crate) maybe: bool,
}

pub(crate) struct PairView {
    pub(crate) a: GroupView,
    pub(crate) b: GroupView,
    pub(crate) distance: String,
}

pub(crate) struct Tile {
    pub(crate) value: String,
    pub(crate) label: &'static str,
    pub(crate) href: Option<String>,
}

#[derive(Template)]
#[template(path = "overview.html")]
pub(crate) struct Overview<'a> {
    pub(crate) frame: Frame,
    pub(crate) first: bool,
    pub(crate) tiles: Vec<Tile>,
    pub(crate) rows: &'a [(String, String)],
    pub(crate) notes: Vec<String>,
    pub(crate) unread_title: String,
    pub(crate) unread: Vec<(String, String)>,
    pub(crate) n_unread_more: usize,
    pub(crate) chart: Option<ChartView>,
    pub(crate) pairs: Vec<PairView>,
    pub(crate) n_pairs_more: usize,
    pub(crate) maybe_same: String,
    pub(crate) groups_title: String,
    pub(crate) groups: Vec<GroupView>,
}

#[derive(Template)]
#[template(path = "faces.html")]
pub(crate) struct Faces {
    pub(crate) frame: Frame,
    pub(crate) heading: String,
    pub(crate) name: Option<String>,
    pub(crate) badge: Option<Badge>,
    pub(crate) facts: Vec<(&'static str, String)>,
    pub(crate) near: Option<NearView>,
    pub(crate) note: String,
    pub(crate) sections: Vec<Section>,
}

#[derive(Template)]
#[template(path = "files.html")]
pub(crate) struct Files {
    pub(crate) frame: Frame,
    pub(crate) heading: String,
    pub(crate) note: String,
    pub(crate) with_reason: bool,
    pub(crate) rows: Vec<FileRow>,
}

pub(crate) struct FileRow {
    pub(crate) path: String,
    pub(crate) href: Option<String>,
    pub(crate) kind: &'static str,
    pub(crate) reason: String,
}
