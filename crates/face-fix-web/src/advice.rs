//! What a face looks like more, as the page shows it, and whether a rule may act on it.
//!
//! The judging is `face_fix`'s. Here: which source there is, waiting a moment for our
//! embeddings of a pair to be gathered, and words.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use face_fix::{
    AutoRule, Linked, Memory, OwnFaces, Pair, PairIndex, Photo, PhotoFace, Said, Side, Suggestion,
    Verdict, suggest_by_immich,
};
use immich_client::FaceId;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::app::{Inner, lock};
use crate::photo::{PhotoView, State};

/// Pairs whose embeddings are kept gathered.
const MAX_INDICES: usize = 4;

/// How long a photo waits for the embeddings of its pair. The first photo comes without
/// them when the pair has thousands of photos; later ones have them.
const PATIENCE: Duration = Duration::from_millis(500);

/// When the user lets a rule act, as the page sends it.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct RuleChoice {
    /// Cosine distance; not below 0.
    pub(crate) margin: f64,
    /// Whether Immich's order may move faces.
    #[serde(default)]
    pub(crate) trust_order: bool,
}

impl RuleChoice {
    pub(crate) fn rule(self) -> AutoRule {
        AutoRule {
            margin: self.margin,
            trust_immich_order: self.trust_order,
            ..AutoRule::default()
        }
    }
}

/// A suggestion for one face.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Advice {
    pub(crate) verdict: Verdict,
    /// Cosine distance to the nearest face of the wrong person, from our embeddings.
    pub(crate) to_wrong: Option<f64>,
    /// The same for the correct person.
    pub(crate) to_correct: Option<f64>,
    /// Where it comes from, or why there is none.
    pub(crate) note: Option<String>,
}

/// Embeddings of a pair, gathered in a task of their own.
type Index = Arc<Mutex<PairIndex>>;
type Coming = watch::Receiver<Option<Result<Index, String>>>;

/// The last pairs' embeddings.
#[derive(Debug, Default)]
pub(crate) struct Indices(Mutex<VecDeque<(Pair, Coming)>>);

impl Inner {
    /// What suggestions come from, for the first screen.
    pub(crate) fn advice_note(&self) -> String {
        match &self.options.own {
            Some(own) => format!(
                "Suggestions compare with the nearest faces of both people, by our own embeddings of {} photos{}.",
                own.n_photos(),
                match own.linked() {
                    Linked { by_queue: 0, .. } => ", found by reading the files",
                    Linked { by_reading: 0, .. } => ", found by the staging queue",
                    _ => ", found by the staging queue and by reading files",
                }
            ),
            None => "There is no face-sets cache for this library: suggestions come from Immich's order \
                     of people, which compares with one face of each person and tells no distances."
                .to_owned(),
        }
    }

    /// Adds suggestions to the open faces of a photo.
    pub(crate) async fn advise(
        &self,
        pair: &Pair,
        photo: &Photo,
        view: &mut PhotoView,
        choice: RuleChoice,
    ) {
        let rule = choice.rule();
        let memory = self.engine.look(|past| Memory::of_photo(past, photo));
        for (face, shown) in photo.faces.iter().zip(&mut view.faces) {
            if shown.state == State::Open {
                let suggestion = self.suggestion(pair, photo, face).await;
                let said = memory.said(photo, face);
                let verdict = rule.judge_said(&suggestion, said, pair);
                let mut advice = advice(verdict, suggestion);
                if let Some(words) = said.and_then(|said| remembered(said, pair)) {
                    let note = advice.note.take();
                    advice.note =
                        Some(note.map_or(words.to_owned(), |note| format!("{words}; {note}")));
                }
                shown.advice = Some(advice);
            }
        }
    }

    async fn suggestion(&self, pair: &Pair, photo: &Photo, face: &PhotoFace) -> Suggestion {
        let nothing = |why: String| Suggestion::Nothing { why };
        let Some(index) = self.index(pair).await else {
            let client = self.engine.client();
            return suggest_by_immich(client, pair, &face.face, face.source)
                .await
                .unwrap_or_else(|error| nothing(format!("failed to {error}")));
        };
        match index {
            Ok(index) => lock(&index).suggest(photo, face),
            Err(why) => nothing(why),
        }
    }

    /// The embeddings of a pair, if there are any at all.
    pub(crate) async fn index(&self, pair: &Pair) -> Option<Result<Index, String>> {
        let own = self.options.own.clone()?;
        let mut coming = self.coming(pair, own);
        let found = tokio::time::timeout(PATIENCE, coming.wait_for(Option::is_some)).await;
        Some(match found {
            Ok(Ok(found)) => found.clone().expect("waited until there is one"),
            Ok(Err(_)) => Err("the embeddings of this pair could not be gathered".to_owned()),
            Err(_) => Err("our embeddings of this pair are still being gathered".to_owned()),
        })
    }

    fn coming(&self, pair: &Pair, own: Arc<OwnFaces>) -> Coming {
        let mut indices = lock(&self.indices.0);
        let failed = |coming: &Coming| matches!(&*coming.borrow(), Some(Err(_)));
        // A failure was told once; the next photo tries again.
        indices.retain(|(other, coming)| other != pair || !failed(coming));
        if let Some((_, coming)) = indices.iter().find(|(other, _)| other == pair) {
            return coming.clone();
        }
        let (done, coming) = watch::channel(None);
        indices.push_back((pair.clone(), coming.clone()));
        if indices.len() > MAX_INDICES {
            indices.pop_front();
        }
        let (client, user) = (self.engine.client().clone(), self.engine.user().cloned());
        let pair = pair.clone();
        let memory = self.engine.look(Memory::of);
        tokio::spawn(async move {
            let loaded = PairIndex::load(&client, own, &pair, user.as_ref(), &memory).await;
            let loaded = loaded
                .map(|index| Arc::new(Mutex::new(index)))
                .map_err(|error| format!("failed to {error}"));
            let _ = done.send(Some(loaded));
        });
        coming
    }

    /// Takes a decision into the embeddings that are gathered: the face is this side's
    /// now, or neither's.
    pub(crate) fn moved(&self, pair: &Pair, face: &FaceId, to: Option<Side>) {
        let indices = lock(&self.indices.0);
        let gathered = indices.iter().find(|(other, _)| other == pair);
        if let Some((_, coming)) = gathered
            && let Some(Ok(index)) = &*coming.borrow()
        {
            lock(index).moved(face, to);
        }
    }
}

/// What was decided before of a face that is open again.
fn remembered(said: &Said, pair: &Pair) -> Option<&'static str> {
    let is_not = |person| said.refuses(person);
    match (is_not(&pair.wrong), is_not(&pair.correct)) {
        _ if said.no_face => Some("you said it is no face"),
        (true, true) => Some("you said it is neither of the two"),
        (true, false) => Some("you said it is not the wrong person's"),
        (false, true) => Some("you said it is not the correct person's"),
        (false, false) => None,
    }
}

fn advice(verdict: Verdict, suggestion: Suggestion) -> Advice {
    let mut advice = Advice {
        verdict,
        to_wrong: None,
        to_correct: None,
        note: None,
    };
    match suggestion {
        Suggestion::Own {
            to_wrong,
            to_correct,
        } => {
            advice.to_wrong = to_wrong.map(|nearest| nearest.distance.get());
            advice.to_correct = to_correct.map(|nearest| nearest.distance.get());
            if advice.to_wrong.is_none() || advice.to_correct.is_none() {
                advice.note = Some("no other face of one of them is known".to_owned());
            }
        }
        Suggestion::Immich { first } => {
            let first = match first {
                Side::Wrong => "wrong",
                Side::Correct => "correct",
            };
            advice.note = Some(format!("Immich ranks the {first} person first"));
        }
        Suggestion::Nothing { why } => advice.note = Some(why),
    }
    advice
}
