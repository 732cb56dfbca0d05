//! What a person decides about faces: the vocabulary of journal, plans and pages.
//!
//! Owns the shapes and what makes them sensible. Sending them is `engine`, keeping
//! them is `journal`.

use std::collections::BTreeSet;

use immich_client::{AssetId, FaceBox, FaceId, Person, PersonId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Error;

/// A person of the server. The id decides; the name is for readers and may be stale.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PersonRef {
    /// The server's id.
    pub id: PersonId,
    /// The name at that time; empty for unnamed people.
    #[serde(default)]
    pub name: String,
}

impl From<&Person> for PersonRef {
    fn from(person: &Person) -> Self {
        Self {
            id: person.id.clone(),
            name: person.name.clone(),
        }
    }
}

/// Where a face is in the upright photo as people see it, in shares of its width and
/// height: 0 to 1, origin top left, `x1 <= x2`, `y1 <= y2`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Area {
    /// Left edge.
    pub x1: f64,
    /// Top edge.
    pub y1: f64,
    /// Right edge.
    pub x2: f64,
    /// Bottom edge.
    pub y2: f64,
    /// Width and height in pixels of the picture that the box was measured in. Edited
    /// photos have a frame of another shape than their original.
    pub frame: [u32; 2],
}

impl Area {
    /// The share that a box of the server covers of the frame it was measured in,
    /// clipped to the picture. `None` when the server does not say how big that frame
    /// was: such a box cannot be drawn, nor found again by place.
    pub fn of(area: &FaceBox) -> Option<Self> {
        let (width, height) = (area.frame_width?, area.frame_height?);
        if width == 0 || height == 0 {
            return None;
        }
        let x = |v: i32| (f64::from(v) / f64::from(width)).clamp(0.0, 1.0);
        let y = |v: i32| (f64::from(v) / f64::from(height)).clamp(0.0, 1.0);
        Some(Self {
            x1: x(area.x1.min(area.x2)),
            y1: y(area.y1.min(area.y2)),
            x2: x(area.x1.max(area.x2)),
            y2: y(area.y1.max(area.y2)),
            frame: [width, height],
        })
    }

    /// Left, top, right and bottom edge in a picture of this size.
    pub fn scaled_to(&self, width: f64, height: f64) -> [f64; 4] {
        [
            self.x1 * width,
            self.y1 * height,
            self.x2 * width,
            self.y2 * height,
        ]
    }

    /// Intersection over union, 0 to 1; 0 for boxes without extent. Frames of
    /// different size do not matter, as shares are compared.
    pub fn iou(&self, other: &Self) -> f64 {
        let size = |x1: f64, y1: f64, x2: f64, y2: f64| (x2 - x1).max(0.0) * (y2 - y1).max(0.0);
        let common = size(
            self.x1.max(other.x1),
            self.y1.max(other.y1),
            self.x2.min(other.x2),
            self.y2.min(other.y2),
        );
        let own = |a: &Self| size(a.x1, a.y1, a.x2, a.y2);
        let union = own(self) + own(other) - common;
        if union > 0.0 { common / union } else { 0.0 }
    }

    fn is_sensible(&self) -> bool {
        let edges = [self.x1, self.y1, self.x2, self.y2];
        edges.iter().all(|edge| (0.0..=1.0).contains(edge))
            && self.x1 <= self.x2
            && self.y1 <= self.y2
    }
}

/// What is to happen to one face.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Action {
    /// Give it to a person that exists.
    Reassign {
        /// To whom.
        to: PersonRef,
    },
    /// Give it to a person made for it. Faces of one transaction with the same group
    /// get the same person.
    CreatePerson {
        /// The new person's name; empty for an unnamed one.
        name: String,
        /// Tells the new people of one transaction apart.
        group: u32,
    },
    /// Take it from everybody: it gets an unnamed person of its own, because the API
    /// cannot set a face to nobody and the nightly recognition would guess again.
    Unassign,
    /// It is no face at all. On the server as [`Action::Unassign`], since a face that is
    /// deleted there is gone for good; the judgement is kept, so that no step of ours
    /// takes it for a face again.
    NotAFace,
    /// Leave it: the person it has is right. Nothing is sent; the judgement is kept.
    Keep,
}

impl Action {
    /// True when nothing is to be sent.
    pub fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }
}

/// One face and what is to happen to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// The photo.
    pub asset: AssetId,
    /// The photo's checksum as the server writes it. With `area`, this finds the face
    /// again after ids have changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
    /// The face.
    pub face: FaceId,
    /// Where the face is; `None` when the server does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub area: Option<Area>,
    /// The photo was edited in Immich: `area` is in the picture as edited, not in the
    /// original.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub edited: bool,
    /// Where the face is in the upright original of an edited photo, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<Area>,
    /// Whose it was when the decision was made; `None` for a face of nobody.
    pub from: Option<PersonRef>,
    /// What is to happen.
    pub action: Action,
}

impl Decision {
    /// Where the face is in the upright original; `None` when that is not known.
    pub fn in_original(&self) -> Option<Area> {
        if self.edited {
            self.original
        } else {
            self.area
        }
    }
}

/// Two people who get mixed up: faces of `wrong` that belong to `correct`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Pair {
    /// Who has the faces.
    pub wrong: PersonId,
    /// Whose they may be.
    pub correct: PersonId,
}

/// A photo that is done with for a pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// The photo.
    pub asset: AssetId,
    /// How it was left.
    pub how: ReviewHow,
}

/// How a photo was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReviewHow {
    /// Every wrong face in it is decided.
    Decided,
    /// The person skipped it.
    Skipped,
    /// Skipped because both people are in it, or no wrong face is left.
    SkippedByRule,
}

/// Who made the decision: a key press or the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// A person.
    #[default]
    Hand,
    /// The auto-fix rule.
    AutoFix,
    /// A plan file.
    Plan,
    /// Replaying another journal.
    Replay,
}

/// Everything that one keystroke decides, undone as one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transaction {
    /// When, as the caller says.
    pub at: Timestamp,
    /// Who decided, as the caller says: a user name or the program's.
    pub who: String,
    /// Key press or rule.
    #[serde(default)]
    pub by: By,
    /// What it is about in the user's words, for the history; may be empty.
    #[serde(default)]
    pub label: String,
    /// Where it comes from, for carrying the same plan on: "plan CRC #n".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// The pair under review.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pair: Option<Pair>,
    /// The photo that is done with by this; needs `pair`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<Review>,
    /// The faces, in the order in which they are sent. May be empty with a review.
    #[serde(default)]
    pub decisions: Vec<Decision>,
}

impl Transaction {
    /// A transaction without faces.
    pub fn new(at: Timestamp, who: impl Into<String>) -> Self {
        Self {
            at,
            who: who.into(),
            by: By::Hand,
            label: String::new(),
            origin: None,
            pair: None,
            review: None,
            decisions: Vec::new(),
        }
    }

    /// Refuses what could not be carried out or undone: the same face twice, a face
    /// given to the one it comes from, a box outside the photo, one group with two
    /// names, a review without a pair, a pair of one person, or nothing at all.
    pub fn check(&self) -> Result<(), Error> {
        let refuse = |what: String| Err(Error::Invalid { what });
        let mut faces = BTreeSet::new();
        let mut groups = std::collections::BTreeMap::new();
        for decision in &self.decisions {
            let face = &decision.face;
            if !faces.insert(face) {
                return refuse(format!("face {face} is decided twice"));
            }
            let mut areas = decision.area.iter().chain(&decision.original);
            if areas.any(|area| !area.is_sensible()) {
                return refuse(format!("the box of face {face} is not within the photo"));
            }
            match &decision.action {
                Action::Reassign { to }
                    if decision.from.as_ref().is_some_and(|f| f.id == to.id) =>
                {
                    return refuse(format!("face {face} is given to the person it comes from"));
                }
                Action::CreatePerson { name, group }
                    if groups.insert(group, name).is_some_and(|n| n != name) =>
                {
                    return refuse(format!("new person {group} has two names"));
                }
                _ => {}
            }
        }
        if self.pair.as_ref().is_some_and(|p| p.wrong == p.correct) {
            return refuse("both people of the pair are the same".to_owned());
        }
        if self.review.is_some() && self.pair.is_none() {
            return refuse("a reviewed photo needs the pair it was reviewed for".to_owned());
        }
        if self.decisions.is_empty() && self.review.is_none() {
            return refuse("nothing is decided".to_owned());
        }
        Ok(())
    }
}
