//! Verifying a journal against the server, and replaying it after the server has
//! forgotten: faces are found again by the photo's checksum and their place.

use std::collections::BTreeMap;

use faceset_core::{CancelToken, Progress};
use immich_client::{
    Asset, AssetId, Client, ErrorKind, Face, FaceId, PersonId, SearchFilter, UserId, Visibility,
};
use serde::Serialize;

use crate::Error;
use crate::decision::{Action, Area, By, Decision, PersonRef, Transaction};
use crate::journal::{Past, TransactionId};
use crate::own::SAME_FACE_IOU;
use crate::plan::{Word, last_words};

/// What became of a decision of the past.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Found {
    /// The face is with the person it was given to.
    AsDecided,
    /// It is with somebody else now; `None` for nobody.
    Elsewhere {
        /// With whom.
        now: Option<PersonRef>,
    },
    /// The photo is not in the library.
    PhotoGone,
    /// There is no face at that place.
    FaceGone,
    /// Two faces are at that place.
    Ambiguous,
    /// Several people bear the name of the one it was given to, who is gone.
    SeveralPeople {
        /// The name.
        name: String,
    },
}

/// One decision of the past and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FoundRow {
    /// The transaction.
    pub id: TransactionId,
    /// Position of the decision.
    pub decision: usize,
    /// The photo as it is known now, or was.
    pub asset: AssetId,
    /// What was found.
    pub found: Found,
}

/// What became of all decisions of a journal: the last word on each face, without what
/// was undone.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct VerifyReport {
    /// One row a face.
    pub rows: Vec<FoundRow>,
    /// True when cancelled: the rest was not looked at.
    pub cut_short: bool,
}

impl VerifyReport {
    /// Faces that are as decided.
    pub fn n_as_decided(&self) -> usize {
        self.rows
            .iter()
            .filter(|row| row.found == Found::AsDecided)
            .count()
    }

    /// Faces that are not.
    pub fn n_different(&self) -> usize {
        self.rows.len() - self.n_as_decided()
    }
}

/// A replay, decided but not sent.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Replay {
    /// What was found of every decision.
    pub report: VerifyReport,
    /// What to send: a transaction for each person that gets faces back.
    pub transactions: Vec<Transaction>,
}

/// Looks at every decision of a journal on the server; changes nothing.
pub async fn verify(
    client: &Client,
    past: &Past,
    owner: Option<&UserId>,
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> Result<VerifyReport, Error> {
    let mut seeker = Seeker::new(client, owner);
    let mut report = VerifyReport::default();
    let words = last_words(past.transactions());
    progress.start("verify decisions", Some(words.len() as u64));
    for word in words {
        if cancel.is_cancelled() {
            report.cut_short = true;
            break;
        }
        let (asset, found) = match seeker.face(word.decision).await? {
            Sought::No(found) => (word.decision.asset.clone(), found),
            Sought::Face(asset, face) => (asset.id, compare(&face, word.to)),
        };
        report.rows.push(row(&word, asset, found));
        progress.advance(1);
    }
    progress.finish();
    Ok(report)
}

/// Plans how to bring back every decision of a journal that is not as decided any more.
///
/// A face is found by its id, or by its photo's checksum and its place (intersection
/// over union of at least [`SAME_FACE_IOU`], one face only). A person is found by their
/// id, or by their name when just one person bears it, or made again. `blank` gives
/// time and author.
pub async fn plan_replay(
    client: &Client,
    past: &Past,
    owner: Option<&UserId>,
    blank: &Transaction,
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> Result<Replay, Error> {
    let mut seeker = Seeker::new(client, owner);
    let mut replay = Replay::default();
    let mut by_target: BTreeMap<usize, Transaction> = BTreeMap::new();
    let mut targets: Vec<PersonId> = Vec::new();
    let words = last_words(past.transactions());
    progress.start("find faces again", Some(words.len() as u64));
    for word in words {
        if cancel.is_cancelled() {
            replay.report.cut_short = true;
            break;
        }
        progress.advance(1);
        let (asset, face) = match seeker.face(word.decision).await? {
            Sought::No(found) => {
                let row = row(&word, word.decision.asset.clone(), found);
                replay.report.rows.push(row);
                continue;
            }
            Sought::Face(asset, face) => (*asset, *face),
        };
        let target = match seeker.target(&word).await? {
            Ok(target) => target,
            Err(name) => {
                let found = Found::SeveralPeople { name };
                replay.report.rows.push(row(&word, asset.id, found));
                continue;
            }
        };
        let found = match &target {
            Action::Reassign { to } => compare(&face, &to.id),
            _ => elsewhere(&face),
        };
        replay
            .report
            .rows
            .push(row(&word, asset.id.clone(), found.clone()));
        if found == Found::AsDecided {
            continue;
        }
        let at = targets
            .iter()
            .position(|id| id == word.to)
            .unwrap_or_else(|| {
                targets.push(word.to.clone());
                targets.len() - 1
            });
        let transaction = by_target.entry(at).or_insert_with(|| Transaction {
            by: By::Replay,
            label: format!("replay: {}", label(&target)),
            decisions: Vec::new(),
            ..blank.clone()
        });
        let already = transaction.decisions.iter().any(|d| d.face == face.id);
        if !already {
            transaction.decisions.push(Decision {
                asset: asset.id,
                checksum: asset.checksum,
                area: Area::of(&face.area),
                edited: asset.is_edited,
                original: word.decision.in_original().filter(|_| asset.is_edited),
                from: face.person.as_ref().map(PersonRef::from),
                face: face.id,
                action: target,
            });
        }
    }
    progress.finish();
    replay.transactions = by_target.into_values().collect();
    Ok(replay)
}

fn label(target: &Action) -> &str {
    match target {
        Action::Reassign { to } => &to.name,
        Action::CreatePerson { name, .. } => name,
        Action::Unassign | Action::NotAFace | Action::Keep => "",
    }
}

fn row(word: &Word<'_>, asset: AssetId, found: Found) -> FoundRow {
    FoundRow {
        id: word.id,
        decision: word.at,
        asset,
        found,
    }
}

fn compare(face: &Face, to: &PersonId) -> Found {
    match &face.person {
        Some(person) if person.id == *to => Found::AsDecided,
        _ => elsewhere(face),
    }
}

fn elsewhere(face: &Face) -> Found {
    Found::Elsewhere {
        now: face.person.as_ref().map(PersonRef::from),
    }
}

/// A photo with its faces.
type PhotoFaces = (Asset, Vec<Face>);

/// A face that was looked for.
enum Sought {
    Face(Box<Asset>, Box<Face>),
    No(Found),
}

/// Looks for photos, faces and people, remembering what it was told.
struct Seeker<'a> {
    client: &'a Client,
    owner: Option<&'a UserId>,
    /// The last photo, as the faces of a photo mostly come together.
    last: Option<(AssetId, Option<PhotoFaces>)>,
    targets: BTreeMap<PersonId, Result<Action, String>>,
}

impl<'a> Seeker<'a> {
    fn new(client: &'a Client, owner: Option<&'a UserId>) -> Self {
        Self {
            client,
            owner,
            last: None,
            targets: BTreeMap::new(),
        }
    }

    async fn face(&mut self, decision: &Decision) -> Result<Sought, Error> {
        let known = self
            .last
            .as_ref()
            .is_some_and(|(asset, _)| *asset == decision.asset);
        if !known {
            let photo = self.photo(decision).await?;
            self.last = Some((decision.asset.clone(), photo));
        }
        let Some((_, Some((asset, faces)))) = &self.last else {
            return Ok(Sought::No(Found::PhotoGone));
        };
        Ok(match pick(faces, &decision.face, decision.area.as_ref()) {
            Ok(face) => Sought::Face(Box::new(asset.clone()), Box::new(face.clone())),
            Err(found) => Sought::No(found),
        })
    }

    async fn photo(&self, decision: &Decision) -> Result<Option<PhotoFaces>, Error> {
        let asset = match self.client.asset(&decision.asset).await {
            Ok(asset) => Some(asset),
            Err(error) if error.kind() == ErrorKind::Missing => {
                self.by_checksum(decision.checksum.as_deref()).await?
            }
            Err(error) => return Err(error.into()),
        };
        let Some(asset) = asset else { return Ok(None) };
        match self.client.faces(&asset.id).await {
            Ok(faces) => Ok(Some((asset, faces))),
            Err(error) if error.kind() == ErrorKind::Missing => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The user's photo with these bytes, of several the one with the smallest id.
    async fn by_checksum(&self, checksum: Option<&str>) -> Result<Option<Asset>, Error> {
        let Some(checksum) = checksum else {
            return Ok(None);
        };
        let version = self.client.version().await?;
        let visibilities: &[Option<Visibility>] = if version.has_visibility() {
            &[Some(Visibility::Timeline), Some(Visibility::Archive)]
        } else {
            &[None]
        };
        let mut found: Vec<Asset> = Vec::new();
        for visibility in visibilities {
            let filter = SearchFilter {
                visibility: *visibility,
                with_archived: visibility.is_none().then_some(true),
                checksum: Some(checksum.to_owned()),
                ..SearchFilter::default()
            };
            found.extend(self.client.search(&filter, 1, 100).await?.assets);
        }
        let mine = |asset: &Asset| self.owner.is_none() || asset.owner_id.as_ref() == self.owner;
        found.retain(|asset| mine(asset) && asset.checksum.as_deref() == Some(checksum));
        found.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(found.into_iter().next())
    }

    /// Whom the face goes to now: `Err` with the name that several people bear.
    async fn target(&mut self, word: &Word<'_>) -> Result<Result<Action, String>, Error> {
        if let Some(known) = self.targets.get(word.to) {
            return Ok(known.clone());
        }
        let target = match self.client.person(word.to).await {
            Ok(person) => Ok(Action::Reassign {
                to: PersonRef::from(&person),
            }),
            Err(error) if error.kind() == ErrorKind::Missing => self.by_name(word).await?,
            Err(error) => return Err(error.into()),
        };
        self.targets.insert(word.to.clone(), target.clone());
        Ok(target)
    }

    async fn by_name(&self, word: &Word<'_>) -> Result<Result<Action, String>, Error> {
        let name = match &word.decision.action {
            Action::Reassign { to } => to.name.as_str(),
            Action::CreatePerson { name, .. } => name.as_str(),
            Action::Unassign | Action::NotAFace | Action::Keep => "",
        };
        let again = match &word.decision.action {
            Action::NotAFace => Action::NotAFace,
            _ => Action::CreatePerson {
                name: name.to_owned(),
                group: 0,
            },
        };
        if name.is_empty() {
            return Ok(Ok(again));
        }
        let named = self.client.search_people(name, true).await?;
        let mut named = named.iter().filter(|person| person.name == name);
        Ok(match (named.next(), named.next()) {
            (Some(person), None) => Ok(Action::Reassign {
                to: PersonRef::from(person),
            }),
            (None, _) => Ok(again),
            (Some(_), Some(_)) => Err(name.to_owned()),
        })
    }
}

/// The face of this id, or the only one at this place.
fn pick<'f>(faces: &'f [Face], id: &FaceId, area: Option<&Area>) -> Result<&'f Face, Found> {
    if let Some(face) = faces.iter().find(|face| face.id == *id) {
        return Ok(face);
    }
    let area = area.ok_or(Found::FaceGone)?;
    let mut there = faces.iter().filter(|face| {
        let now = Area::of(&face.area);
        now.is_some_and(|now| now.iou(area) >= SAME_FACE_IOU)
    });
    match (there.next(), there.next()) {
        (Some(face), None) => Ok(face),
        (None, _) => Err(Found::FaceGone),
        (Some(_), Some(_)) => Err(Found::Ambiguous),
    }
}
