//! Calls about the server, its user, the key, and single assets and faces.

use std::sync::atomic::Ordering;

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use crate::client::Client;
use crate::error::Error;
use crate::lenient::Rows;
use crate::types::{
    About, ApiKeyInfo, Asset, Face, Features, LibraryTotals, Me, NewFace, Person, ServerConfig,
    ServerVersion,
};
use crate::{AssetId, FaceId, PersonId};

/// What [`Client::check`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerCheck {
    /// The server's version.
    pub version: ServerVersion,
    /// The key; `None` on servers before 1.144, which cannot tell.
    pub key: Option<ApiKeyInfo>,
    /// The needed permissions that the key lacks; empty when it cannot be told.
    pub missing: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Pong {
    #[serde(default)]
    res: String,
}

impl Client {
    /// `GET /server/ping`: an Immich server answers here, healthy or not.
    ///
    /// # Errors
    /// [`Error::Protocol`] when something else answers.
    pub async fn ping(&self) -> Result<(), Error> {
        let call = self.call(Method::GET, ["server", "ping"]);
        let pong: Pong = self.json(&call).await?;
        if pong.res == "pong" {
            return Ok(());
        }
        Err(Error::Protocol {
            call: call.label,
            what: format!(
                "expected \"pong\"; is {} the address of an Immich server?",
                self.base_url()
            ),
        })
    }

    /// `GET /server/version`; needs no key.
    pub async fn version(&self) -> Result<ServerVersion, Error> {
        self.json(&self.call(Method::GET, ["server", "version"]))
            .await
    }

    /// `GET /server/config`; needs no key.
    pub async fn config(&self) -> Result<ServerConfig, Error> {
        self.json(&self.call(Method::GET, ["server", "config"]))
            .await
    }

    /// `GET /server/features`; needs no key.
    pub async fn features(&self) -> Result<Features, Error> {
        self.json(&self.call(Method::GET, ["server", "features"]))
            .await
    }

    /// `GET /server/about`; needs `server.about`.
    pub async fn about(&self) -> Result<About, Error> {
        self.json(&self.call(Method::GET, ["server", "about"]))
            .await
    }

    /// `GET /server/statistics`; needs `server.statistics` and an administrator.
    pub async fn library_totals(&self) -> Result<LibraryTotals, Error> {
        self.json(&self.call(Method::GET, ["server", "statistics"]))
            .await
    }

    /// `GET /users/me`: whose key this is; needs `user.read`.
    pub async fn me(&self) -> Result<Me, Error> {
        self.json(&self.call(Method::GET, ["users", "me"])).await
    }

    /// `GET /api-keys/me`: the key and its permissions; needs only a valid key.
    ///
    /// # Errors
    /// [`Error::UnknownRoute`] on servers before 1.144.
    pub async fn api_key(&self) -> Result<ApiKeyInfo, Error> {
        self.json(&self.call(Method::GET, ["api-keys", "me"])).await
    }

    /// The start-up check: is this an Immich server, of which version, is the key
    /// valid, and what of `needed` does it lack?
    ///
    /// # Errors
    /// As the calls it makes: [`Error::Outage`], [`Error::Protocol`],
    /// [`Error::Unauthorized`]. On servers before 1.144 the key is tried with
    /// `/users/me`, and lacking `user.read` is no error.
    pub async fn check(&self, needed: &[&str]) -> Result<ServerCheck, Error> {
        self.ping().await?;
        let version = self.version().await?;
        match self.api_key().await {
            Ok(key) => Ok(ServerCheck {
                version,
                missing: key.missing(needed).into_iter().map(str::to_owned).collect(),
                key: Some(key),
            }),
            Err(Error::UnknownRoute { .. }) => {
                match self.me().await {
                    Ok(_) | Err(Error::Forbidden { .. }) => {}
                    Err(error) => return Err(error),
                }
                Ok(ServerCheck {
                    version,
                    key: None,
                    missing: Vec::new(),
                })
            }
            Err(error) => Err(error),
        }
    }

    /// `GET /assets/{id}`; needs `asset.read`. Boxes of an edited asset are in the
    /// edited frame here.
    pub async fn asset(&self, id: &AssetId) -> Result<Asset, Error> {
        self.json(&self.call(Method::GET, ["assets", id.as_str()]))
            .await
    }

    /// `GET /faces?id=`: the visible faces of an asset by their left edge; needs
    /// `face.read`. Boxes of an edited asset are in the edited frame.
    ///
    /// Servers that refuse `id` are asked with `assetId`, from then on at once.
    pub async fn faces(&self, asset: &AssetId) -> Result<Vec<Face>, Error> {
        let by = |name: &str| {
            self.call(Method::GET, ["faces"])
                .query(name, asset.as_str())
        };
        let switched = &self.0.faces_by_asset_id;
        if switched.load(Ordering::Relaxed) {
            return self.face_rows(by("assetId")).await;
        }
        match self.face_rows(by("id")).await {
            Err(refused @ Error::Rejected { .. }) => match self.face_rows(by("assetId")).await {
                Ok(faces) => {
                    switched.store(true, Ordering::Relaxed);
                    Ok(faces)
                }
                Err(Error::Rejected { .. }) => Err(refused),
                Err(other) => Err(other),
            },
            other => other,
        }
    }

    /// All or nothing: a face that goes unseen here could be lost on a merge.
    async fn face_rows(&self, call: crate::transport::Call) -> Result<Vec<Face>, Error> {
        let rows: Rows<Face> = self.json(&call).await?;
        if rows.unreadable == 0 {
            return Ok(rows.items);
        }
        Err(Error::Protocol {
            call: call.label,
            what: format!("{} faces without a usable id", rows.unreadable),
        })
    }

    /// `PUT /faces/{person}` with the face in the body: gives one face to a person
    /// and returns that person; needs `face.update`. Safe to repeat.
    ///
    /// The server may choose new feature photos for both people; the person who
    /// loses the face stays, even without any.
    pub async fn reassign_face(&self, face: &FaceId, to: &PersonId) -> Result<Person, Error> {
        let call = self
            .call(Method::PUT, ["faces", to.as_str()])
            .body(json!({ "id": face }));
        self.json(&call).await
    }

    /// `POST /faces`: draws a face by hand; needs `face.create`. The server gives no
    /// id back: read the asset's faces again to find it. Not repeated when it is
    /// unclear whether it arrived.
    pub async fn create_face(&self, face: &NewFace) -> Result<(), Error> {
        let call = self
            .call(Method::POST, ["faces"])
            .body(json!(face))
            .unsafe_to_repeat();
        self.effect(&call, false).await
    }

    /// `DELETE /faces/{id}`; needs `face.delete`. Without `force` the face is hidden
    /// for good: the API has no way back.
    pub async fn delete_face(&self, face: &FaceId, force: bool) -> Result<(), Error> {
        let call = self
            .call(Method::DELETE, ["faces", face.as_str()])
            .body(json!({ "force": force }));
        self.effect(&call, true).await
    }
}
