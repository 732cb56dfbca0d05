//! Who the key is and whether it may do what the run needs, asked once at the start.

use immich_client::{Client, Error, ServerVersion, UserId};

use faceset_queue::{read_users, write_users};

use crate::StagingError;
use crate::options::StageOptions;

/// Permissions for looking.
const TO_PLAN: &[&str] = &["asset.read", "face.read"];
/// Permissions for fetching.
const TO_STAGE: &[&str] = &["asset.read", "face.read", "asset.download"];

/// What was found.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) version: ServerVersion,
    pub(crate) owner: UserId,
}

impl Session {
    /// Checks server, key, permissions, and that the label means this key's user. With
    /// `write`, a new label is written down.
    pub(crate) async fn begin(
        client: &Client,
        options: &StageOptions,
        write: bool,
    ) -> Result<Self, StagingError> {
        let needed = if write { TO_STAGE } else { TO_PLAN };
        let check = client.check(needed).await?;
        if !check.missing.is_empty() {
            return Err(StagingError::Permissions {
                missing: check.missing,
            });
        }
        let path = &options.places.users;
        let mut users = read_users(path)?;
        let known = users.get(&options.label).cloned();
        let file = path.display().to_string();
        let owner = match (client.me().await, known) {
            (Ok(me), None) => {
                let other = users.iter().find(|(_, id)| **id == me.id.as_str());
                if let Some((known, _)) = other {
                    return Err(StagingError::OtherLabel {
                        label: options.label.clone(),
                        known: known.clone(),
                        users: file,
                    });
                }
                users.insert(options.label.clone(), me.id.to_string());
                if write {
                    write_users(path, &users)?;
                }
                me.id
            }
            (Ok(me), Some(known)) if me.id.as_str() != known => {
                return Err(StagingError::OtherUser {
                    label: options.label.clone(),
                    found: me.id.to_string(),
                    expected: known,
                    users: file,
                });
            }
            (Ok(me), Some(_)) => me.id,
            (Err(Error::Forbidden { .. }), Some(known)) => {
                known.parse().map_err(|_| StagingError::Setting {
                    name: "the user id",
                    value: known,
                    expected: "the id that Immich shows for the user",
                })?
            }
            (Err(Error::Forbidden { .. }), None) => {
                return Err(StagingError::UnknownUser {
                    label: options.label.clone(),
                    users: file,
                });
            }
            (Err(error), _) => return Err(error.into()),
        };
        Ok(Self {
            version: check.version,
            owner,
        })
    }
}
