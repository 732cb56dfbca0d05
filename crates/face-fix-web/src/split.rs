//! Splitting a person, as the page shows it: groups by year, a plan, its carrying out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use face_fix::{
    Action, GroupTarget, PersonPhotos, SPLIT_DISTANCE, Split, SplitGroup, Transaction, split,
};
use faceset_core::{CancelToken, NoProgress};
use immich_client::{AssetId, PersonId};
use serde::{Deserialize, Serialize};

use crate::app::{Inner, lock};
use crate::error::{Kind, Refusal};

/// Splits and plans that are kept for their next step.
const MAX_KEPT: usize = 4;

/// Faces sent for each year of a group; the page says how many more there are.
const FACES_SHOWN: usize = 6;

/// Splits waiting for a plan, and plans waiting for a yes.
#[derive(Debug, Default)]
pub(crate) struct Splits(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    next_id: u64,
    splits: VecDeque<(u64, Arc<Split>)>,
    plans: VecDeque<(u64, PersonId, Vec<Transaction>)>,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct SplitView {
    /// False: `note` says why.
    available: bool,
    note: String,
    id: u64,
    n_faces: usize,
    /// Every year that has a face; `None` for photos without a date.
    years: Vec<Option<i16>>,
    groups: Vec<GroupView>,
}

#[derive(Debug, Serialize)]
struct GroupView {
    number: usize,
    n_faces: usize,
    /// One for each of the years above.
    cells: Vec<Cell>,
}

#[derive(Debug, Serialize)]
struct Cell {
    n_faces: usize,
    faces: Vec<Shown>,
}

#[derive(Debug, Serialize)]
struct Shown {
    asset: AssetId,
    area: Option<[f64; 4]>,
}

/// What is to become of the groups.
#[derive(Debug, Deserialize)]
pub(crate) struct PlanRequest {
    split: u64,
    groups: Vec<GroupChoice>,
}

#[derive(Debug, Deserialize)]
struct GroupChoice {
    group: usize,
    #[serde(flatten)]
    to: Target,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "to", rename_all = "snake_case")]
enum Target {
    Person { person: PersonId },
    New { name: String },
}

#[derive(Debug, Serialize)]
pub(crate) struct PlanView {
    id: u64,
    n_faces: usize,
    lines: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ApplyRequest {
    plan: u64,
}

impl Inner {
    /// Groups the faces of a person.
    pub(crate) async fn split(&self, person: &PersonId) -> Result<SplitView, Refusal> {
        let Some(own) = self.options.own.clone() else {
            return Ok(SplitView {
                note: "Splitting needs our own embeddings: start face-fix with the cache of this library."
                    .to_owned(),
                ..SplitView::default()
            });
        };
        let client = self.engine.client();
        let person = self.people.of(client, person).await?;
        let photos = PersonPhotos::new(client, &person.id, self.engine.user()).await?;
        let photos = photos.collect().await?;
        let work = move || {
            let cancel = CancelToken::default();
            split(&own, &person, &photos, SPLIT_DISTANCE, &NoProgress, &cancel)
        };
        let failed = |_| Refusal::new(Kind::Server, "The faces could not be grouped.");
        let found = tokio::task::spawn_blocking(work).await.map_err(failed)??;
        let found = Arc::new(found);
        let mut kept = lock(&self.splits.0);
        kept.next_id += 1;
        let id = kept.next_id;
        kept.splits.push_back((id, found.clone()));
        if kept.splits.len() > MAX_KEPT {
            kept.splits.pop_front();
        }
        Ok(view(id, &found))
    }

    /// What the choices would do. Nothing is done yet.
    pub(crate) async fn plan_split(
        &self,
        person: &PersonId,
        request: PlanRequest,
    ) -> Result<PlanView, Refusal> {
        let found = {
            let kept = lock(&self.splits.0);
            let found = kept
                .splits
                .iter()
                .find(|(id, split)| *id == request.split && split.person.id == *person);
            found.map(|(_, split)| split.clone()).ok_or_else(outdated)?
        };
        let mut targets = BTreeMap::new();
        for choice in request.groups {
            let target = match choice.to {
                Target::New { name } => GroupTarget::New { name },
                Target::Person { person } => {
                    GroupTarget::Person(self.people.of(self.engine.client(), &person).await?)
                }
            };
            targets.insert(choice.group, target);
        }
        let blank = Transaction::new(self.now(), &*self.options.who);
        let transactions = found.plan(&targets, &blank)?;
        let lines = transactions.iter().map(line).collect();
        let n_faces = transactions.iter().map(|t| t.decisions.len()).sum();
        let mut kept = lock(&self.splits.0);
        kept.next_id += 1;
        let id = kept.next_id;
        kept.plans.push_back((id, person.clone(), transactions));
        if kept.plans.len() > MAX_KEPT {
            kept.plans.pop_front();
        }
        Ok(PlanView { id, n_faces, lines })
    }

    /// Carries a plan out, one person after the other; says how far it came.
    pub(crate) async fn apply_split(
        &self,
        person: &PersonId,
        request: &ApplyRequest,
    ) -> Result<String, Refusal> {
        let transactions = {
            let mut kept = lock(&self.splits.0);
            let is_it = |(id, of, _): &(u64, PersonId, Vec<Transaction>)| {
                *id == request.plan && of == person
            };
            let at = kept.plans.iter().position(is_it).ok_or_else(outdated)?;
            // A second click must not do it twice.
            kept.plans.remove(at).ok_or_else(outdated)?.2
        };
        let n_people = transactions.len();
        let mut n_faces = 0;
        for (done, transaction) in transactions.into_iter().enumerate() {
            let n = transaction.decisions.len();
            self.carry_out(transaction).await.map_err(|refusal| {
                let so_far = format!("{done} of {n_people} people of the plan are done. ");
                Refusal {
                    message: so_far + &refusal.message,
                    ..refusal
                }
            })?;
            n_faces += n;
        }
        let what = if self.is_dry() {
            "would have been"
        } else {
            "were"
        };
        let people = if n_people == 1 { "person" } else { "people" };
        Ok(format!(
            "{n_faces} faces {what} given to {n_people} {people}."
        ))
    }
}

fn outdated() -> Refusal {
    Refusal::new(Kind::Conflict, "This is out of date: open the split again.")
}

/// A transaction of a split in words.
fn line(transaction: &Transaction) -> String {
    let n_faces = transaction.decisions.len();
    let faces = if n_faces == 1 {
        "1 face goes".to_owned()
    } else {
        format!("{n_faces} faces go")
    };
    match transaction.decisions.first().map(|d| &d.action) {
        Some(Action::Reassign { to }) if to.name.is_empty() => {
            format!("{faces} to an unnamed person ({})", to.id)
        }
        Some(Action::Reassign { to }) => format!("{faces} to {}", to.name),
        Some(Action::CreatePerson { name, .. }) if !name.is_empty() => {
            format!("{faces} to a new person: {name}")
        }
        _ => format!("{faces} to a new person without a name"),
    }
}

fn view(id: u64, found: &Split) -> SplitView {
    let years: BTreeSet<Option<i16>> = found
        .groups
        .iter()
        .flat_map(|group| group.faces.iter().map(|face| face.year))
        .collect();
    let years: Vec<Option<i16>> = years.into_iter().collect();
    let n_left_out = found.left_out.len();
    SplitView {
        available: true,
        note: if n_left_out == 0 {
            String::new()
        } else {
            format!("{n_left_out} faces have no embedding of ours; they stay.")
        },
        id,
        n_faces: found.groups.iter().map(|group| group.faces.len()).sum(),
        groups: found
            .groups
            .iter()
            .map(|group| group_view(group, &years))
            .collect(),
        years,
    }
}

fn group_view(group: &SplitGroup, years: &[Option<i16>]) -> GroupView {
    let cell = |year: &Option<i16>| {
        let faces = group.faces.iter().filter(|face| face.year == *year);
        Cell {
            n_faces: faces.clone().count(),
            faces: faces
                .take(FACES_SHOWN)
                .map(|face| Shown {
                    asset: face.decision.asset.clone(),
                    area: face.decision.area.map(|a| [a.x1, a.y1, a.x2, a.y2]),
                })
                .collect(),
        }
    };
    GroupView {
        number: group.number,
        n_faces: group.faces.len(),
        cells: years.iter().map(cell).collect(),
    }
}
