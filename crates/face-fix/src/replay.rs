//! Verifying a journal against the server, and replaying it after the server has
//! forgotten: faces are found again by the photo's checksum and their place.

use std::collections::{BTreeMap, BTreeSet};

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
///
/// Where several decisions lead to one face, as its id changed, the newest counts and
/// the others get no row; where the newest says that the face is right, none does.
/// Looks at the newest first, so that is what a cancelled run has looked at.
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
    progress.start("verify decisions", Some(n_given(&words)));
    for word in words.iter().rev() {
        let Some(to) = word.to else {
            seeker.note_kept(word.decision);
            continue;
        };
        if cancel.is_cancelled() {
            report.cut_short = true;
            break;
        }
        progress.advance(1);
        let (asset, found) = match seeker.face(word.decision).await? {
            Sought::SaidSince => continue,
            Sought::No(found) => (word.decision.asset.clone(), found),
            Sought::Face(asset, face) => (asset.id, compare(&face, to, word.decision)),
        };
        report.rows.push(row(word, asset, found));
    }
    progress.finish();
    report.rows.reverse();
    Ok(report)
}

/// Plans how to bring back every decision of a journal that is not as decided any more.
///
/// A face is found by its id, or by its photo's checksum and its place (intersection
/// over union of at least [`SAME_FACE_IOU`], one face only). A person is found by their
/// id, or by their name when just one person bears it, or made again. A face that was
/// taken from everybody is as decided with any unnamed person but its giver: there is no
/// name to find the person by that was made for it. Of several decisions about one face
/// the newest counts, as in [`verify`]. `blank` gives time and author.
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
    let mut decisions: Vec<(&PersonId, Decision)> = Vec::new();
    let words = last_words(past.transactions());
    progress.start("find faces again", Some(n_given(&words)));
    for word in words.iter().rev() {
        let Some(given_to) = word.to else {
            seeker.note_kept(word.decision);
            continue;
        };
        if cancel.is_cancelled() {
            replay.report.cut_short = true;
            break;
        }
        progress.advance(1);
        let (asset, face) = match seeker.face(word.decision).await? {
            Sought::SaidSince => continue,
            Sought::No(found) => {
                let row = row(word, word.decision.asset.clone(), found);
                replay.report.rows.push(row);
                continue;
            }
            Sought::Face(asset, face) => (*asset, *face),
        };
        let target = match seeker.target(word.decision, given_to).await? {
            Ok(target) => target,
            Err(name) => {
                let found = Found::SeveralPeople { name };
                replay.report.rows.push(row(word, asset.id, found));
                continue;
            }
        };
        let to = match &target {
            Action::Reassign { to } => &to.id,
            _ => given_to,
        };
        let found = compare(&face, to, word.decision);
        let as_decided = found == Found::AsDecided;
        replay.report.rows.push(row(word, asset.id.clone(), found));
        if !as_decided {
            let decision = Decision {
                asset: asset.id,
                checksum: asset.checksum,
                area: Area::of(&face.area),
                edited: asset.is_edited,
                original: word.decision.in_original().filter(|_| asset.is_edited),
                from: face.person.as_ref().map(PersonRef::from),
                face: face.id,
                action: target,
            };
            decisions.push((given_to, decision));
        }
    }
    progress.finish();
    replay.report.rows.reverse();
    replay.transactions = by_person(decisions.into_iter().rev(), blank);
    Ok(replay)
}

/// A transaction for each person, in the order in which they come first.
fn by_person<'a>(
    decisions: impl Iterator<Item = (&'a PersonId, Decision)>,
    blank: &Transaction,
) -> Vec<Transaction> {
    let mut transactions: Vec<Transaction> = Vec::new();
    let mut place: BTreeMap<&PersonId, usize> = BTreeMap::new();
    for (given_to, decision) in decisions {
        let at = *place.entry(given_to).or_insert_with(|| {
            transactions.push(Transaction {
                by: By::Replay,
                label: format!("replay: {}", label(&decision.action)),
                decisions: Vec::new(),
                ..blank.clone()
            });
            transactions.len() - 1
        });
        transactions[at].decisions.push(decision);
    }
    transactions
}

/// Words on faces that were given to somebody.
fn n_given(words: &[Word<'_>]) -> u64 {
    words.iter().filter(|word| word.to.is_some()).count() as u64
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

fn compare(face: &Face, to: &PersonId, decision: &Decision) -> Found {
    let giver = decision.from.as_ref().map(|from| &from.id);
    match &face.person {
        Some(person) if person.id == *to => Found::AsDecided,
        Some(person)
            if wants_nobody(&decision.action)
                && person.name.is_empty()
                && Some(&person.id) != giver =>
        {
            Found::AsDecided
        }
        _ => elsewhere(face),
    }
}

/// True when the face was to go to an unnamed person: a replay writes that as a new
/// person without a name.
fn wants_nobody(action: &Action) -> bool {
    match action {
        Action::Unassign | Action::NotAFace => true,
        Action::CreatePerson { name, .. } => name.is_empty(),
        Action::Reassign { .. } | Action::Keep => false,
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
    /// A newer word is about this face.
    SaidSince,
}

/// Looks for photos, faces and people, remembering what it was told. Faces are to be
/// looked for by the newest word first.
struct Seeker<'a> {
    client: &'a Client,
    owner: Option<&'a UserId>,
    /// The last photo, as the faces of a photo mostly come together.
    last: Option<(AssetId, Option<PhotoFaces>)>,
    /// Faces that were found.
    found: BTreeSet<FaceId>,
    /// Faces that were judged right, by their photo's id and by its checksum.
    kept: BTreeMap<&'a str, Vec<&'a Decision>>,
    targets: BTreeMap<PersonId, Result<Action, String>>,
}

impl<'a> Seeker<'a> {
    fn new(client: &'a Client, owner: Option<&'a UserId>) -> Self {
        Self {
            client,
            owner,
            last: None,
            found: BTreeSet::new(),
            kept: BTreeMap::new(),
            targets: BTreeMap::new(),
        }
    }

    /// From here on words on this face are older ones. Asks the server nothing.
    fn note_kept(&mut self, decision: &'a Decision) {
        let names = [Some(decision.asset.as_str()), decision.checksum.as_deref()];
        for name in names.into_iter().flatten() {
            self.kept.entry(name).or_default().push(decision);
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
        let face = match pick(faces, &decision.face, decision.area.as_ref()) {
            Ok(face) => face,
            Err(found) => return Ok(Sought::No(found)),
        };
        let names = [Some(asset.id.as_str()), asset.checksum.as_deref()];
        let mut kept = names
            .into_iter()
            .flatten()
            .filter_map(|name| self.kept.get(name))
            .flatten();
        let is_it = |kept: &&Decision| {
            pick(faces, &kept.face, kept.area.as_ref()).is_ok_and(|found| found.id == face.id)
        };
        if kept.any(is_it) || !self.found.insert(face.id.clone()) {
            return Ok(Sought::SaidSince);
        }
        Ok(Sought::Face(
            Box::new(asset.clone()),
            Box::new(face.clone()),
        ))
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

    /// Whom the face goes to now that was given to this person: `Err` with the name that
    /// several people bear.
    async fn target(
        &mut self,
        decision: &Decision,
        given_to: &PersonId,
    ) -> Result<Result<Action, String>, Error> {
        if let Some(known) = self.targets.get(given_to) {
            return Ok(known.clone());
        }
        let target = match self.client.person(given_to).await {
            Ok(person) => Ok(Action::Reassign {
                to: PersonRef::from(&person),
            }),
            Err(error) if error.kind() == ErrorKind::Missing => {
                self.by_name(&decision.action).await?
            }
            Err(error) => return Err(error.into()),
        };
        self.targets.insert(given_to.clone(), target.clone());
        Ok(target)
    }

    async fn by_name(&self, action: &Action) -> Result<Result<Action, String>, Error> {
        let name = match action {
            Action::Reassign { to } => to.name.as_str(),
            Action::CreatePerson { name, .. } => name.as_str(),
            Action::Unassign | Action::NotAFace | Action::Keep => "",
        };
        let again = match action {
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
