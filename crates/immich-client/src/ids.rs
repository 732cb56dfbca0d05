//! Ids as types of their own: the API answers 200 or moves the wrong thing when
//! a face id stands where a person id belongs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest id taken. Immich's are UUIDs of 36 characters; the rest is headroom.
const MAX_ID_LEN: usize = 64;

/// A text that is no id: empty, too long, or with characters that could change
/// the path of a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an id: expected 1 to 64 ASCII letters, digits, '-' or '_'")]
pub struct InvalidId {
    /// The first 80 characters of what was given.
    pub text: String,
}

fn check(text: &str) -> Result<(), InvalidId> {
    let ok = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if !text.is_empty() && text.len() <= MAX_ID_LEN && text.bytes().all(ok) {
        return Ok(());
    }
    Err(InvalidId {
        text: text.chars().take(80).collect(),
    })
}

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The id as the server writes it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                check(text)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                check(&text)?;
                Ok(Self(text))
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

id_type!(
    /// A photo or video.
    AssetId
);
id_type!(
    /// One face box on an asset.
    FaceId
);
id_type!(
    /// A person, named or not.
    PersonId
);
id_type!(
    /// A user of the server.
    UserId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_could_change_a_path_are_refused() {
        assert!(
            "947e374b-2819-44da-b375-4fb248f4dd53"
                .parse::<AssetId>()
                .is_ok()
        );
        assert!("a".repeat(64).parse::<FaceId>().is_ok());
        for bad in ["", "..", "a/b", "a?b", "a b", "é", &"a".repeat(65)] {
            assert!(bad.parse::<PersonId>().is_err(), "{bad:?}");
        }
    }
}
