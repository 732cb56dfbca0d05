//! The photos of a person with their faces, page by page, for looking at only.

use futures::{StreamExt, TryStreamExt};
use immich_client::{
    Asset, AssetId, Client, ErrorKind, Face, FaceId, FaceSource, LibraryWalk, PersonId,
    SearchFilter, UserId, WalkOptions,
};
use jiff::Timestamp;

use crate::Error;
use crate::decision::{Action, Area, Decision, PersonRef};

/// Photos on a page: small enough that the first come quickly.
const PAGE: u32 = 250;

/// Calls for faces under way at a time: more made the server slower (8 workers 306
/// photos a second, 16 only 254, live on 2.7.2).
const N_AHEAD: usize = 8;

/// A photo and every visible face on it.
#[derive(Debug, Clone, PartialEq)]
pub struct Photo {
    /// Its id.
    pub asset: AssetId,
    /// Its checksum as the server writes it.
    pub checksum: Option<String>,
    /// SHA-1 of the original file; `None` for external libraries, whose checksum is of
    /// the path.
    pub sha1: Option<[u8; 20]>,
    /// The name it was uploaded with.
    pub file_name: Option<String>,
    /// Wall-clock time of the camera, written as if it were UTC.
    pub taken: Option<Timestamp>,
    /// Edited in Immich: previews and [`PhotoFace::area`] show the edited picture.
    pub is_edited: bool,
    /// By their left edge.
    pub faces: Vec<PhotoFace>,
}

/// A face on a photo.
#[derive(Debug, Clone, PartialEq)]
pub struct PhotoFace {
    /// Its id.
    pub face: FaceId,
    /// Where it is in the photo as Immich shows it.
    pub area: Option<Area>,
    /// Where it is in the upright original; `None` for edited photos on servers that
    /// do not say.
    pub original_area: Option<Area>,
    /// Whose it is.
    pub person: Option<PersonRef>,
    /// How it was found. Only found faces have a place in Immich's suggestions.
    pub source: Option<FaceSource>,
}

impl Photo {
    /// A photo from its record and the faces that `GET /faces` gives for it.
    pub fn new(asset: &Asset, mut faces: Vec<Face>) -> Self {
        faces.sort_by(|a, b| (a.area.x1, &a.id).cmp(&(b.area.x1, &b.id)));
        // Searches give boxes in the original's frame, `GET /faces` in the edited one.
        let in_original = asset.faces().unwrap_or_default();
        let original_area = |face: &Face| {
            if !asset.is_edited {
                return Area::of(&face.area);
            }
            let same = in_original.iter().find(|other| other.id == face.id)?;
            Area::of(&same.area)
        };
        Self {
            asset: asset.id.clone(),
            checksum: asset.checksum.clone(),
            sha1: asset.expected_sha1(),
            file_name: asset.original_file_name.clone(),
            taken: asset.local_date_time.or(asset.file_created_at),
            is_edited: asset.is_edited,
            faces: faces
                .iter()
                .map(|face| PhotoFace {
                    face: face.id.clone(),
                    area: Area::of(&face.area),
                    original_area: original_area(face),
                    person: face.person.as_ref().map(PersonRef::from),
                    source: face.source_type,
                })
                .collect(),
        }
    }

    /// The faces of this person.
    pub fn faces_of<'a>(&'a self, person: &'a PersonId) -> impl Iterator<Item = &'a PhotoFace> {
        let is_theirs = |face: &&PhotoFace| face.person.as_ref().is_some_and(|p| p.id == *person);
        self.faces.iter().filter(is_theirs)
    }

    /// A decision about one of its faces.
    pub fn decide(&self, face: &PhotoFace, action: Action) -> Decision {
        Decision {
            asset: self.asset.clone(),
            checksum: self.checksum.clone(),
            face: face.face.clone(),
            area: face.area,
            edited: self.is_edited,
            original: face.original_area.filter(|_| self.is_edited),
            from: face.person.clone(),
            action,
        }
    }
}

/// The photos that show a person, oldest first, each once, also while faces are being
/// moved meanwhile: paged by time taken, not by number.
#[derive(Debug)]
pub struct PersonPhotos {
    client: Client,
    walk: LibraryWalk,
    n_gone: usize,
}

impl PersonPhotos {
    /// Begins; `owner` leaves out photos of partners.
    pub async fn new(
        client: &Client,
        person: &PersonId,
        owner: Option<&UserId>,
    ) -> Result<Self, Error> {
        let version = client.version().await?;
        let filter = SearchFilter {
            person_ids: vec![person.clone()],
            with_people: true,
            ..SearchFilter::default()
        };
        let options = WalkOptions {
            page_size: PAGE,
            owner: owner.cloned(),
            ..WalkOptions::for_version(&version, filter)
        };
        Ok(Self {
            walk: client.walk(options),
            client: client.clone(),
            n_gone: 0,
        })
    }

    /// The next photos with their faces; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<Photo>>, Error> {
        let Some(assets) = self.walk.next().await? else {
            return Ok(None);
        };
        let client = &self.client;
        let photos: Vec<Option<Photo>> = futures::stream::iter(assets)
            .map(|asset| async move {
                let faces = match asset.faces() {
                    Some(faces) if !asset.is_edited => faces,
                    _ => match client.faces(&asset.id).await {
                        Ok(faces) => faces,
                        Err(error) if error.kind() == ErrorKind::Missing => return Ok(None),
                        Err(error) => return Err(Error::from(error)),
                    },
                };
                Ok(Some(Photo::new(&asset, faces)))
            })
            .buffered(N_AHEAD)
            .try_collect()
            .await?;
        self.n_gone += photos.iter().filter(|photo| photo.is_none()).count();
        Ok(Some(photos.into_iter().flatten().collect()))
    }

    /// Photos that went away between being listed and being looked at.
    pub fn n_gone(&self) -> usize {
        self.n_gone
    }

    /// All that is left, in one list.
    pub async fn collect(mut self) -> Result<Vec<Photo>, Error> {
        let mut photos = Vec::new();
        while let Some(page) = self.next().await? {
            photos.extend(page);
        }
        Ok(photos)
    }
}
