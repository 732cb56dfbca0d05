//! The routes that the page needs, one line each, and nothing else of Immich's API.

use axum::Json;
use axum::Router;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::{get, post};
use face_fix::Pair;
use immich_client::{AssetId, MediaRequest, PersonId, ThumbnailSize};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::advice::RuleChoice;
use crate::app::App;
use crate::error::Refusal;
use crate::people::PersonView;
use crate::pictures;
use crate::review::{DecideRequest, NextRequest, UndoRequest};
use crate::split::{ApplyRequest, PlanRequest};

type Answer<T> = Result<Json<T>, Refusal>;
type Body<T> = Result<Json<T>, JsonRejection>;
type Part<T> = Result<Path<T>, PathRejection>;
type Ask<T> = Result<Query<T>, QueryRejection>;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/api/state", get(state))
        .route("/api/people", get(people))
        .route("/api/people/small", post(small_people))
        .route("/api/person/{id}", get(person))
        .route("/api/person/{id}/thumbnail", get(portrait))
        .route("/api/asset/{id}/preview", get(preview))
        .route("/api/next", post(next))
        .route("/api/photo/{id}", get(photo))
        .route("/api/decide", post(decide))
        .route("/api/resume", post(resume))
        .route("/api/skip", post(skip))
        .route("/api/undo", post(undo))
        .route("/api/reset", post(reset))
        .route("/api/coach", get(coach))
        .route("/api/split/{id}", get(split))
        .route("/api/split/{id}/plan", post(split_plan))
        .route("/api/split/{id}/apply", post(split_apply))
}

/// A person and another, and how clear a suggestion must be.
#[derive(Debug, Deserialize)]
struct PairAndRule {
    wrong: PersonId,
    correct: PersonId,
    // Not flattened: a query string's values are texts, which flattening cannot read
    // as numbers.
    margin: f64,
    #[serde(default)]
    trust_order: bool,
}

impl PairAndRule {
    fn rule(&self) -> RuleChoice {
        RuleChoice {
            margin: self.margin,
            trust_order: self.trust_order,
        }
    }

    fn pair(&self) -> Pair {
        Pair {
            wrong: self.wrong.clone(),
            correct: self.correct.clone(),
        }
    }
}

#[derive(Debug, Deserialize)]
struct PairAndAsset {
    #[serde(flatten)]
    pair: Pair,
    asset: AssetId,
}

async fn state(State(app): State<App>) -> Json<impl Serialize> {
    Json(app.0.state())
}

async fn people(State(app): State<App>) -> Answer<Value> {
    let people = app.0.people.list(app.0.engine.client()).await?;
    Ok(Json(json!({ "people": people })))
}

async fn small_people(State(app): State<App>) -> Answer<impl Serialize> {
    Ok(Json(app.look_for_small_people()?))
}

async fn person(State(app): State<App>, id: Part<PersonId>) -> Answer<impl Serialize> {
    let Path(id) = id?;
    let person = app.0.engine.client().person(&id).await?;
    app.0.people.note(&person);
    Ok(Json(PersonView::from(person)))
}

async fn portrait(State(app): State<App>, id: Part<PersonId>) -> Result<Response, Refusal> {
    let Path(id) = id?;
    pictures::pass_on(app.0.engine.client(), &MediaRequest::person(&id)).await
}

async fn preview(State(app): State<App>, id: Part<AssetId>) -> Result<Response, Refusal> {
    let Path(id) = id?;
    let request = MediaRequest::thumbnail(&id, ThumbnailSize::Preview);
    pictures::pass_on(app.0.engine.client(), &request).await
}

async fn next(State(app): State<App>, body: Body<NextRequest>) -> Answer<impl Serialize> {
    let Json(request) = body?;
    Ok(Json(app.0.next(request).await?))
}

async fn photo(
    State(app): State<App>,
    id: Part<AssetId>,
    ask: Ask<PairAndRule>,
) -> Answer<impl Serialize> {
    let (Path(id), Query(ask)) = (id?, ask?);
    Ok(Json(app.0.photo(&ask.pair(), &id, ask.rule()).await?))
}

async fn decide(State(app): State<App>, body: Body<DecideRequest>) -> Answer<impl Serialize> {
    let Json(request) = body?;
    Ok(Json(app.0.decide(request).await?))
}

async fn resume(State(app): State<App>) -> Answer<Value> {
    app.0.resume().await?;
    Ok(Json(json!({})))
}

async fn skip(State(app): State<App>, body: Body<PairAndAsset>) -> Answer<Value> {
    let Json(PairAndAsset { pair, asset }) = body?;
    let stats = app.0.skip(&pair, &asset).await?;
    Ok(Json(json!({ "stats": stats })))
}

async fn undo(State(app): State<App>, body: Body<UndoRequest>) -> Answer<impl Serialize> {
    let Json(request) = body?;
    Ok(Json(app.0.undo(&request).await?))
}

async fn reset(State(app): State<App>, body: Body<Pair>) -> Answer<Value> {
    let Json(pair) = body?;
    app.0.reset(pair).await?;
    Ok(Json(json!({})))
}

async fn coach(State(app): State<App>, ask: Ask<PairAndRule>) -> Answer<impl Serialize> {
    let Query(ask) = ask?;
    Ok(Json(app.0.coach(&ask.pair(), ask.rule()).await))
}

async fn split(State(app): State<App>, id: Part<PersonId>) -> Answer<impl Serialize> {
    let Path(id) = id?;
    Ok(Json(app.0.split(&id).await?))
}

async fn split_plan(
    State(app): State<App>,
    id: Part<PersonId>,
    body: Body<PlanRequest>,
) -> Answer<impl Serialize> {
    let (Path(id), Json(request)) = (id?, body?);
    Ok(Json(app.0.plan_split(&id, request).await?))
}

async fn split_apply(
    State(app): State<App>,
    id: Part<PersonId>,
    body: Body<ApplyRequest>,
) -> Answer<Value> {
    let (Path(id), Json(request)) = (id?, body?);
    let text = app.0.apply_split(&id, &request).await?;
    Ok(Json(json!({ "text": text })))
}
