//! What differs between releases of the server, as far as clients notice.

/// The release that a fake imitates.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one independent difference"
)]
pub struct Shape {
    /// Major, minor, patch.
    pub version: (u32, u32, u32),
    /// Searches know `visibility`; without it they know `withArchived`.
    pub visibility: bool,
    /// `GET /api-keys/me` exists, and assets carry `createdAt`.
    pub api_keys_me: bool,
    /// People have `isFavorite` and `color`.
    pub favourites: bool,
    /// `GET /people` knows `closestAssetId`.
    pub closest: bool,
    /// Assets carry `width`, `height` and `isEdited`.
    pub sizes: bool,
    /// Searches send face boxes with people, and `unassignedFaces`.
    pub faces_in_search: bool,
    /// Answers, errors and date rules of v3.
    pub v3: bool,
    /// Searches pay no attention to `order` and `takenAfter`: no release known, but what
    /// clients fear of the next one.
    pub unordered: bool,
    /// Status of a merge: 201 on old servers.
    pub merge_status: u16,
    /// Name of the query field of `GET /faces`.
    pub faces_query: &'static str,
}

impl Shape {
    /// 1.118: no visibility, no `/api-keys/me`, no favourites, no suggestions.
    pub fn v1_118() -> Self {
        Self {
            version: (1, 118, 2),
            visibility: false,
            api_keys_me: false,
            favourites: false,
            closest: false,
            sizes: false,
            faces_in_search: true,
            v3: false,
            unordered: false,
            merge_status: 201,
            faces_query: "id",
        }
    }

    /// 2.7.2, the release that the recorded facts are from.
    pub fn v2_7_2() -> Self {
        Self {
            version: (2, 7, 2),
            visibility: true,
            api_keys_me: true,
            favourites: true,
            closest: true,
            sizes: true,
            faces_in_search: true,
            v3: false,
            unordered: false,
            merge_status: 200,
            faces_query: "id",
        }
    }

    /// 3.2: no faces in searches, other error bodies, strict dates.
    pub fn v3_2() -> Self {
        Self {
            version: (3, 2, 0),
            faces_in_search: false,
            v3: true,
            ..Self::v2_7_2()
        }
    }
}
