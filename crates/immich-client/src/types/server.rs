//! The server, its user and the key.

use std::fmt;

use serde::Deserialize;

use crate::UserId;
use crate::lenient;

/// The server's version. Orders by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct ServerVersion {
    /// First number.
    pub major: u32,
    /// Second number.
    pub minor: u32,
    /// Third number.
    pub patch: u32,
}

impl ServerVersion {
    /// A version from its numbers.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self {
            major,
            minor,
            patch,
        }
    }

    /// Whether searches know `visibility`; before, archived assets came by
    /// `withArchived`. The change fell between 1.130.3 and 1.135.3; servers in
    /// between are asked in both ways.
    pub fn has_visibility(&self) -> bool {
        *self >= Self::new(1, 131, 0)
    }

    /// Whether searches may still know `withArchived`.
    pub(crate) fn may_have_with_archived(self) -> bool {
        self < Self::new(1, 136, 0)
    }
}

impl fmt::Display for ServerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// `GET /server/about`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct About {
    /// Like `v2.7.2`.
    pub version: String,
}

/// `GET /server/config`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerConfig {
    /// True while the server answers nothing else.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub maintenance_mode: bool,
    /// The address that the administrator wants links to use; empty when unset.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub external_domain: String,
}

/// `GET /server/features`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Features {
    /// Whether the server looks for faces.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub facial_recognition: bool,
    /// Whether deleted assets go to a trash first.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub trash: bool,
}

/// `GET /server/statistics`, for administrators. It counts less than the users'
/// libraries hold together: no denominator for progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct LibraryTotals {
    /// Photos of all users.
    pub photos: u64,
    /// Videos of all users.
    pub videos: u64,
}

/// `GET /users/me`: the user of the key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Me {
    /// Their id, for telling own assets from partners'.
    pub id: UserId,
    /// Their name.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub name: String,
    /// Whether routes for administrators are open to them.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub is_admin: bool,
}

/// `GET /api-keys/me`: the key itself (servers from 1.144).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ApiKeyInfo {
    /// The key's name.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub name: String,
    /// Permissions like `asset.read`, or `all`.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub permissions: Vec<String>,
}

impl ApiKeyInfo {
    /// Those of `needed` that the key lacks, in the given order.
    pub fn missing<'a>(&self, needed: &[&'a str]) -> Vec<&'a str> {
        let has = |name: &str| self.permissions.iter().any(|p| p == name || p == "all");
        needed.iter().copied().filter(|name| !has(name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_with_all_lacks_nothing_and_others_are_compared_by_name() {
        let key = |permissions: &[&str]| ApiKeyInfo {
            name: "k".into(),
            permissions: permissions.iter().map(|&p| p.to_owned()).collect(),
        };
        let needed = ["face.read", "asset.read"];
        assert_eq!(key(&["asset.read"]).missing(&needed), ["face.read"]);
        assert!(key(&["all"]).missing(&needed).is_empty());
        assert_eq!(key(&[]).missing(&needed), needed);
    }

    #[test]
    fn versions_order_by_number() {
        assert!(ServerVersion::new(1, 118, 2) < ServerVersion::new(1, 131, 0));
        assert!(!ServerVersion::new(1, 130, 9).has_visibility());
        assert!(ServerVersion::new(1, 131, 0).has_visibility());
        assert!(ServerVersion::new(10, 0, 0).has_visibility());
        assert!(ServerVersion::new(1, 135, 3).may_have_with_archived());
        assert!(!ServerVersion::new(1, 136, 0).may_have_with_archived());
    }
}
