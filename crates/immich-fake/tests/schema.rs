//! The fake's answers have the shape of the real server's: checked against small
//! examples of our own always, and against the server's OpenAPI description and
//! recorded answers too where these lie beside the repository.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test")]

mod support;

use std::path::PathBuf;

use immich_fake::Shape;
use reqwest::Method;
use serde_json::{Value, json};
use support::{World, world};

const FIXTURE: &str = include_str!("fixtures/answers-2.7.2.json");

/// Every JSON answer that clients read: name, OpenAPI path and method, and the answer.
async fn answers(w: &World) -> Vec<(&'static str, &'static str, &'static str, u16, Value)> {
    let (anna, photo) = (w.anna, w.photos[1]);
    let mut all = Vec::new();
    let gets = [
        ("ping", "/server/ping", "/server/ping".to_owned()),
        ("version", "/server/version", "/server/version".to_owned()),
        ("config", "/server/config", "/server/config".to_owned()),
        (
            "features",
            "/server/features",
            "/server/features".to_owned(),
        ),
        ("about", "/server/about", "/server/about".to_owned()),
        (
            "statistics",
            "/server/statistics",
            "/server/statistics".to_owned(),
        ),
        ("me", "/users/me", "/users/me".to_owned()),
        ("key", "/api-keys/me", "/api-keys/me".to_owned()),
        ("faces", "/faces", format!("/faces?id={photo}")),
        ("asset", "/assets/{id}", format!("/assets/{photo}")),
        ("people", "/people", "/people?withHidden=true".to_owned()),
        ("person", "/people/{id}", format!("/people/{anna}")),
        (
            "person statistics",
            "/people/{id}/statistics",
            format!("/people/{anna}/statistics"),
        ),
        (
            "search person",
            "/search/person",
            "/search/person?name=Anna".to_owned(),
        ),
    ];
    for (name, route, path) in gets {
        let (status, body) = w.get(&path).await;
        all.push((name, route, "get", status, body));
    }
    let face = json!({"id": w.faces[2].to_string()});
    let entry = json!({"data": [{"personId": w.bea.to_string(), "assetId": photo.to_string()}]});
    let full = json!({"withExif": true, "withPeople": true, "order": "asc", "size": 3});
    let others = [
        (
            "search",
            "/search/metadata",
            Method::POST,
            "/search/metadata".to_owned(),
            full,
        ),
        (
            "total",
            "/search/statistics",
            Method::POST,
            "/search/statistics".to_owned(),
            json!({}),
        ),
        (
            "reassign",
            "/faces/{id}",
            Method::PUT,
            format!("/faces/{anna}"),
            face,
        ),
        (
            "reassign all",
            "/people/{id}/reassign",
            Method::PUT,
            format!("/people/{anna}/reassign"),
            entry,
        ),
        (
            "update",
            "/people/{id}",
            Method::PUT,
            format!("/people/{anna}"),
            json!({"birthDate": "1979-04-01"}),
        ),
        (
            "create",
            "/people",
            Method::POST,
            "/people".to_owned(),
            json!({}),
        ),
        (
            "merge",
            "/people/{id}/merge",
            Method::POST,
            format!("/people/{anna}/merge"),
            json!({"ids": [w.bea.to_string()]}),
        ),
        (
            "merge refused",
            "/people/{id}/merge",
            Method::POST,
            format!("/people/{anna}/merge"),
            json!({"ids": [photo.to_string()]}),
        ),
    ];
    for (name, route, method, path, body) in others {
        let verb = if method == Method::PUT { "put" } else { "post" };
        let (status, body) = w.call(method, &path, body).await;
        all.push((name, route, verb, status, body));
    }
    all
}

/// Same fields of the same JSON types, all the way down; of arrays the first entry
/// stands for all. Null fits anything.
fn same_shape(at: &str, found: &Value, example: &Value) -> Result<(), String> {
    match (found, example) {
        (Value::Object(found), Value::Object(example)) => {
            let names = |m: &serde_json::Map<String, Value>| {
                let mut names: Vec<String> = m.keys().cloned().collect();
                names.sort();
                names
            };
            if names(found) != names(example) {
                return Err(format!(
                    "{at}: fields {:?} instead of {:?}",
                    names(found),
                    names(example)
                ));
            }
            found.iter().try_for_each(|(name, value)| {
                same_shape(&format!("{at}.{name}"), value, &example[name])
            })
        }
        (Value::Array(found), Value::Array(example)) => match example.first() {
            None => Ok(()),
            Some(example) => found
                .iter()
                .enumerate()
                .try_for_each(|(n, value)| same_shape(&format!("{at}[{n}]"), value, example)),
        },
        (Value::Null, _)
        | (_, Value::Null)
        | (Value::String(_), Value::String(_))
        | (Value::Number(_), Value::Number(_))
        | (Value::Bool(_), Value::Bool(_)) => Ok(()),
        _ => Err(format!("{at}: {found} instead of something like {example}")),
    }
}

#[tokio::test]
async fn answers_have_the_shape_of_our_examples() {
    let examples: Value = serde_json::from_str(FIXTURE).unwrap();
    let w = world(Shape::v2_7_2()).await;
    let answers = answers(&w).await;
    assert_eq!(answers.len(), examples.as_object().unwrap().len());
    for (name, _, _, status, body) in answers {
        assert!((200..300).contains(&status), "{name}: {status} {body}");
        same_shape(name, &body, &examples[name]).unwrap();
    }
}

#[test]
fn shapes_that_differ_are_noticed() {
    let example = json!({"a": [{"b": 1}]});
    assert!(same_shape("x", &json!({"a": [{"b": 2}, {"b": 3}]}), &example).is_ok());
    assert!(same_shape("x", &json!({"a": [{"b": 2}, {"b": "3"}]}), &example).is_err());
    assert!(same_shape("x", &json!({"a": [{"b": 2, "c": 1}]}), &example).is_err());
    assert!(same_shape("x", &json!({}), &example).is_err());
}

fn beside_the_repository(name: &str) -> Option<Value> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/immich")
        .join(name);
    let text = std::fs::read_to_string(path).ok()?;
    Some(serde_json::from_str(&text).expect("a description that is there is JSON"))
}

/// The part of JSON Schema that the description uses for our answers. Unknown fields
/// are refused: the fake must not invent any.
fn validate(api: &Value, at: &str, value: &Value, schema: &Value) -> Result<(), String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = api
            .pointer(reference.trim_start_matches('#'))
            .expect("references resolve");
        return validate(api, at, value, target);
    }
    if value.is_null() && schema["nullable"] == true {
        return Ok(());
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        validate(api, at, value, part)?;
    }
    let choices = schema["enum"].as_array();
    if choices.is_some_and(|choices| !choices.contains(value)) {
        return Err(format!("{at}: {value} is none of {choices:?}"));
    }
    let wrong = |what: &str| Err(format!("{at}: {value} is no {what}"));
    match schema["type"].as_str() {
        Some("object") => {
            let Some(fields) = value.as_object() else {
                return wrong("object");
            };
            for name in schema["required"].as_array().into_iter().flatten() {
                if !fields.contains_key(name.as_str().unwrap()) {
                    return Err(format!("{at}: {name} is missing"));
                }
            }
            for (name, value) in fields {
                let Some(schema) = schema["properties"].get(name) else {
                    return Err(format!("{at}: {name} is unknown"));
                };
                validate(api, &format!("{at}.{name}"), value, schema)?;
            }
            Ok(())
        }
        Some("array") => {
            let Some(items) = value.as_array() else {
                return wrong("array");
            };
            items.iter().enumerate().try_for_each(|(n, item)| {
                validate(api, &format!("{at}[{n}]"), item, &schema["items"])
            })
        }
        Some("integer") if value.as_i64().is_none() => wrong("integer"),
        Some("number") if value.as_f64().is_none() => wrong("number"),
        Some("boolean") if !value.is_boolean() => wrong("boolean"),
        Some("string") => match (value.as_str(), schema["format"].as_str()) {
            (None, _) => wrong("string"),
            (Some(text), Some("date-time")) if text.parse::<jiff::Timestamp>().is_err() => {
                wrong("date-time")
            }
            (Some(text), Some("date")) if text.parse::<jiff::civil::Date>().is_err() => {
                wrong("date")
            }
            (Some(text), Some("uuid")) if text.parse::<immich_fake::Uuid>().is_err() => {
                wrong("uuid")
            }
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Also where the description is not there, this checks the examples' own coverage,
/// so that it never passes without having looked at anything.
#[tokio::test]
async fn answers_fit_the_openapi_description() {
    let w = world(Shape::v2_7_2()).await;
    let answers = answers(&w).await;
    let Some(api) = beside_the_repository("openapi-2.7.2.json") else {
        let examples: Value = serde_json::from_str(FIXTURE).unwrap();
        for (name, ..) in &answers {
            assert!(
                examples.get(name).is_some(),
                "no OpenAPI description here, and no example of {name}"
            );
        }
        return;
    };
    for (name, route, method, status, body) in answers {
        let responses = &api["paths"][route][method]["responses"];
        let answer = &responses[status.to_string()];
        let schema = &answer["content"]["application/json"]["schema"];
        assert!(
            schema.is_object(),
            "{name}: {method} {route} has no answer {status} in {responses}"
        );
        validate(&api, name, &body, schema).unwrap();
    }
}

/// Error bodies and items against what a live server sent, where that is there, and
/// against fields written down here otherwise.
#[tokio::test]
async fn refusals_have_the_recorded_fields() {
    let w = world(Shape::v2_7_2()).await;
    let nobody = "00000000-0000-4000-8000-000000000000";
    let cases = [
        (
            "person unknown",
            Method::GET,
            format!("/people/{nobody}"),
            Value::Null,
        ),
        (
            "faces unknown",
            Method::GET,
            format!("/faces?id={nobody}"),
            Value::Null,
        ),
        (
            "faces not uuid",
            Method::GET,
            "/faces?id=x".to_owned(),
            Value::Null,
        ),
        (
            "search size too big",
            Method::POST,
            "/search/metadata".to_owned(),
            json!({"size": 1001}),
        ),
        (
            "unknown route",
            Method::GET,
            "/nope".to_owned(),
            Value::Null,
        ),
    ];
    let recorded = beside_the_repository("samples-2.7.2.json");
    for (name, method, path, body) in cases {
        let (status, found) = w.call(method, &path, body).await;
        let written = json!({"message": found["message"], "error": "x", "statusCode": 1, "correlationId": "x"});
        same_shape(name, &found, &written).unwrap();
        let sample = recorded.as_ref().map(|samples| {
            let samples = samples.as_array().unwrap();
            samples
                .iter()
                .find(|sample| sample["what"] == name)
                .unwrap()
        });
        if let Some(sample) = sample {
            assert_eq!(status, sample["status"], "{name}");
            for field in ["message", "error", "statusCode"] {
                assert_eq!(found[field], sample["body"][field], "{name}");
            }
        }
        assert_eq!(found["statusCode"], status, "{name}");
    }
}
