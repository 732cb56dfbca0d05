//! Pictures: passed on from Immich as they come, none kept here.

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures::stream;
use immich_client::{Client, MediaRequest};

use crate::error::{Kind, Refusal};

/// What may be passed on: anything else could be a page that runs scripts.
const PICTURES: [&str; 5] = [
    "image/jpeg",
    "image/png",
    "image/webp",
    "image/gif",
    "image/avif",
];

/// The picture, streamed.
pub(crate) async fn pass_on(client: &Client, request: &MediaRequest) -> Result<Response, Refusal> {
    let media = client.open(request).await?;
    let kind = PICTURES
        .iter()
        .find(|kind| media.content_type().starts_with(*kind));
    let Some(kind) = kind else {
        return Err(Refusal::new(
            Kind::Server,
            "Immich sent something that is no picture.",
        ));
    };
    let length = media.length();
    let chunks = stream::try_unfold(Some(media), |media| async {
        let Some(mut media) = media else {
            return Ok(None);
        };
        match media.chunk().await? {
            Some(bytes) => Ok(Some((bytes, Some(media)))),
            None => media.finish().map(|_| None),
        }
    });
    let chunks = Box::pin(chunks);
    let body: Body = Body::from_stream(chunks);
    let mut response = (
        [(header::CONTENT_TYPE, HeaderValue::from_static(kind))],
        body,
    )
        .into_response();
    if let Some(length) = length {
        response
            .headers_mut()
            .insert(header::CONTENT_LENGTH, length.into());
    }
    Ok(response)
}
