//! The server's state: users, keys, assets, faces, people, and what changing one
//! does to the others. No HTTP here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sha1::{Digest, Sha1};

use crate::ids::{Uuid, mix, noise};

/// The fake's first moment, in microseconds since 1970: 2026-01-01T00:00:00Z.
const EPOCH_US: i64 = 1_767_225_600_000_000;
/// People with fewer faces and no name are not listed.
pub(crate) const MIN_FACES: usize = 3;

/// A user.
#[derive(Debug, Clone)]
pub struct User {
    /// Their id.
    pub id: Uuid,
    /// Their name.
    pub name: String,
    /// May use routes for administrators.
    pub is_admin: bool,
    /// Users whose timeline they see.
    pub partners: Vec<Uuid>,
}

/// An API key.
#[derive(Debug, Clone)]
pub struct Key {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// What the client sends.
    pub secret: String,
    /// Whose it is.
    pub user: Uuid,
    /// Like `asset.read`, or `all`.
    pub permissions: Vec<String>,
}

/// The bytes of a file.
#[derive(Debug, Clone)]
pub enum Content {
    /// Noise of this many bytes, different for every asset.
    Noise(usize),
    /// These bytes.
    Bytes(Arc<[u8]>),
}

/// A crop made in Immich, in pixels of the upright original.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crop {
    /// Left edge.
    pub x: i32,
    /// Top edge.
    pub y: i32,
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

/// A photo or video. Times are microseconds since 1970, as the database has them.
#[derive(Debug, Clone)]
pub struct Asset {
    /// Its id.
    pub id: Uuid,
    /// Whose it is.
    pub owner: Uuid,
    /// `IMAGE`, `VIDEO`, ...
    pub kind: &'static str,
    /// The name it was uploaded with.
    pub file_name: String,
    /// Where the server keeps it.
    pub path: String,
    /// Like `image/jpeg`.
    pub mime: String,
    /// When it was taken.
    pub taken_us: i64,
    /// When it was uploaded.
    pub created_us: i64,
    /// When its row last changed.
    pub updated_us: i64,
    /// `timeline`, `archive`, `hidden` or `locked`.
    pub visibility: &'static str,
    /// In the trash.
    pub trashed: bool,
    /// Of an external library: the checksum is of the path then.
    pub external: Option<Uuid>,
    /// Stored width and height, before turning.
    pub stored: (u32, u32),
    /// EXIF orientation, 1 to 8.
    pub orientation: u8,
    /// Edited in Immich.
    pub crop: Option<Crop>,
    /// The original.
    pub content: Content,
    /// The preview; `None` when not rendered yet.
    pub preview: Option<Content>,
    /// The original is missing on the server's disk.
    pub missing_on_disk: bool,
    /// The upload is processed: there is camera data.
    pub has_exif: bool,
    pub(crate) checksum: [u8; 20],
    /// Position of the row in the table: an update moves it to the end, and rows of
    /// one time are read in this order.
    heap: u64,
}

impl Asset {
    /// The original's bytes.
    pub fn bytes(&self) -> Vec<u8> {
        bytes_of(&self.content, self.id.0 as u64)
    }

    pub(crate) fn n_bytes(&self) -> usize {
        match &self.content {
            Content::Noise(len) => *len,
            Content::Bytes(bytes) => bytes.len(),
        }
    }

    /// SHA-1 of the original, or of the path for external libraries.
    pub fn sha1(&self) -> [u8; 20] {
        self.checksum
    }

    /// The preview's bytes.
    pub fn preview_bytes(&self) -> Option<Vec<u8>> {
        let preview = self.preview.as_ref()?;
        Some(bytes_of(preview, self.id.0 as u64 ^ 1))
    }

    /// Upright width and height of the original.
    pub fn upright(&self) -> (u32, u32) {
        match self.orientation {
            5..=8 => (self.stored.1, self.stored.0),
            _ => self.stored,
        }
    }
}

fn bytes_of(content: &Content, seed: u64) -> Vec<u8> {
    match content {
        Content::Noise(len) => noise(seed, *len),
        Content::Bytes(bytes) => bytes.to_vec(),
    }
}

/// A face box in pixels of its frame.
#[derive(Debug, Clone)]
pub struct Face {
    /// Its id.
    pub id: Uuid,
    /// Where it is.
    pub asset: Uuid,
    /// Whose it is.
    pub person: Option<Uuid>,
    /// x1, y1, x2, y2.
    pub area: [i32; 4],
    /// Width and height of the frame, mostly the preview's.
    pub frame: (u32, u32),
    /// `machine-learning`, `exif` or `manual`.
    pub source: &'static str,
    /// Hidden by a soft delete.
    pub deleted: bool,
    /// For suggestions; manual faces have none.
    pub embedding: Option<Vec<f32>>,
}

/// A person.
#[derive(Debug, Clone)]
pub struct Person {
    /// Their id.
    pub id: Uuid,
    /// Whose library they are in.
    pub owner: Uuid,
    /// Empty when unnamed.
    pub name: String,
    /// `yyyy-MM-dd`.
    pub birth_date: Option<String>,
    /// Hidden from lists unless asked for.
    pub hidden: bool,
    /// First in every list.
    pub favourite: bool,
    /// Hexadecimal colour.
    pub color: Option<String>,
    /// The face of the person's picture, which suggestions compare with.
    pub feature: Option<Uuid>,
    /// When it was created.
    pub created_us: i64,
    /// When its row last changed.
    pub updated_us: i64,
}

/// Everything that the server knows.
#[derive(Debug)]
pub struct Library {
    pub(crate) users: BTreeMap<Uuid, User>,
    pub(crate) keys: Vec<Key>,
    pub(crate) assets: BTreeMap<Uuid, Asset>,
    /// (taken, heap position, id): the order in which searches read.
    pub(crate) by_taken: BTreeSet<(i64, u64, Uuid)>,
    pub(crate) faces: BTreeMap<Uuid, Face>,
    faces_of_asset: BTreeMap<Uuid, Vec<Uuid>>,
    faces_of_person: BTreeMap<Uuid, BTreeSet<Uuid>>,
    pub(crate) people: BTreeMap<Uuid, Person>,
    pub(crate) now_us: i64,
    n_ids: u64,
    heap: u64,
}

impl Default for Library {
    fn default() -> Self {
        Self {
            users: BTreeMap::new(),
            keys: Vec::new(),
            assets: BTreeMap::new(),
            by_taken: BTreeSet::new(),
            faces: BTreeMap::new(),
            faces_of_asset: BTreeMap::new(),
            faces_of_person: BTreeMap::new(),
            people: BTreeMap::new(),
            now_us: EPOCH_US,
            n_ids: 0,
            heap: 0,
        }
    }
}

impl Library {
    /// An empty library.
    pub fn new() -> Self {
        Self::default()
    }

    fn new_id(&mut self) -> Uuid {
        self.n_ids += 1;
        Uuid::numbered(self.n_ids)
    }

    /// Lets time pass. The fake has no other clock.
    pub fn advance_clock_s(&mut self, seconds: i64) {
        self.now_us += seconds * 1_000_000;
    }

    pub(crate) fn tick(&mut self) -> i64 {
        self.now_us += 1000;
        self.now_us
    }

    /// Adds a user.
    pub fn add_user(&mut self, name: &str) -> Uuid {
        let id = self.new_id();
        let user = User {
            id,
            name: name.to_owned(),
            is_admin: self.users.is_empty(),
            partners: Vec::new(),
        };
        self.users.insert(id, user);
        id
    }

    /// Shows the timeline of `partner` to `user`.
    pub fn add_partner(&mut self, user: Uuid, partner: Uuid) {
        if let Some(user) = self.users.get_mut(&user) {
            user.partners.push(partner);
        }
    }

    /// Adds a key and returns its secret.
    pub fn add_key(&mut self, user: Uuid, name: &str, permissions: &[&str]) -> String {
        let id = self.new_id();
        let secret = format!("{:016x}{name}", mix(id.0 as u64));
        self.keys.push(Key {
            id,
            name: name.to_owned(),
            secret: secret.clone(),
            user,
            permissions: permissions.iter().map(|&p| p.to_owned()).collect(),
        });
        secret
    }

    /// Adds a 3000 x 2000 JPEG photo of some noise, with a preview. Change it with
    /// [`Library::update_asset`].
    pub fn add_photo(&mut self, owner: Uuid, file_name: &str, taken_us: i64) -> Uuid {
        let id = self.new_id();
        let now = self.tick();
        self.heap += 1;
        let mut asset = Asset {
            id,
            owner,
            kind: "IMAGE",
            file_name: file_name.to_owned(),
            path: format!("/data/upload/{owner}/{id}/{file_name}"),
            mime: "image/jpeg".to_owned(),
            taken_us,
            created_us: now,
            updated_us: now,
            visibility: "timeline",
            trashed: false,
            external: None,
            stored: (3000, 2000),
            orientation: 1,
            crop: None,
            content: Content::Noise(200 + (mix(id.0 as u64) % 400) as usize),
            preview: Some(Content::Noise(100)),
            missing_on_disk: false,
            has_exif: true,
            checksum: [0; 20],
            heap: self.heap,
        };
        asset.checksum = checksum(&asset);
        self.by_taken.insert((taken_us, asset.heap, id));
        self.assets.insert(id, asset);
        id
    }

    /// The asset.
    pub fn asset(&self, id: Uuid) -> Option<&Asset> {
        self.assets.get(&id)
    }

    /// Every asset, by id.
    pub fn assets(&self) -> impl Iterator<Item = &Asset> {
        self.assets.values()
    }

    /// Changes an asset's row: its position in the table and its `updatedAt` change
    /// too. Nothing happens when there is no such asset.
    pub fn update_asset(&mut self, id: Uuid, change: impl FnOnce(&mut Asset)) {
        let now = self.tick();
        let Some(asset) = self.assets.get_mut(&id) else {
            return;
        };
        self.by_taken.remove(&(asset.taken_us, asset.heap, id));
        change(asset);
        asset.checksum = checksum(asset);
        asset.updated_us = now;
        self.heap += 1;
        asset.heap = self.heap;
        self.by_taken.insert((asset.taken_us, asset.heap, id));
    }

    /// Deletes an asset for good, with its faces.
    pub fn remove_asset(&mut self, id: Uuid) {
        if let Some(asset) = self.assets.remove(&id) {
            self.by_taken.remove(&(asset.taken_us, asset.heap, id));
            for face in self.faces_of_asset.remove(&id).unwrap_or_default() {
                self.remove_face(face);
            }
        }
    }

    /// Adds a person without faces.
    pub fn add_person(&mut self, owner: Uuid, name: &str) -> Uuid {
        let id = self.new_id();
        let now = self.tick();
        let person = Person {
            id,
            owner,
            name: name.to_owned(),
            birth_date: None,
            hidden: false,
            favourite: false,
            color: None,
            feature: None,
            created_us: now,
            updated_us: now,
        };
        self.people.insert(id, person);
        id
    }

    /// The person.
    pub fn person(&self, id: Uuid) -> Option<&Person> {
        self.people.get(&id)
    }

    /// Every person, by id.
    pub fn people(&self) -> impl Iterator<Item = &Person> {
        self.people.values()
    }

    /// Changes a person's row.
    pub fn update_person(&mut self, id: Uuid, change: impl FnOnce(&mut Person)) {
        let now = self.tick();
        if let Some(person) = self.people.get_mut(&id) {
            change(person);
            person.updated_us = now;
        }
    }

    /// Deletes a person; their faces become nobody's.
    pub fn remove_person(&mut self, id: Uuid) {
        self.people.remove(&id);
        for face in self.faces_of_person.remove(&id).unwrap_or_default() {
            if let Some(face) = self.faces.get_mut(&face) {
                face.person = None;
            }
        }
    }

    /// Adds a detected face; `area` is x1, y1, x2, y2 in a frame of width x height.
    /// The first face of a person becomes their feature face.
    pub fn add_face(
        &mut self,
        asset: Uuid,
        person: Option<Uuid>,
        area: [i32; 4],
        frame: (u32, u32),
    ) -> Uuid {
        let id = self.new_id();
        let face = Face {
            id,
            asset,
            person,
            area,
            frame,
            source: "machine-learning",
            deleted: false,
            embedding: None,
        };
        self.faces.insert(id, face);
        self.faces_of_asset.entry(asset).or_default().push(id);
        if let Some(person) = person {
            self.faces_of_person.entry(person).or_default().insert(id);
            if let Some(person) = self.people.get_mut(&person) {
                person.feature.get_or_insert(id);
            }
        }
        id
    }

    /// The face.
    pub fn face(&self, id: Uuid) -> Option<&Face> {
        self.faces.get(&id)
    }

    /// Changes a face's box, source, embedding or visibility; persons change by
    /// [`Library::reassign`].
    pub fn update_face(&mut self, id: Uuid, change: impl FnOnce(&mut Face)) {
        if let Some(face) = self.faces.get_mut(&id) {
            let person = face.person;
            change(face);
            face.person = person;
        }
    }

    pub(crate) fn remove_face(&mut self, id: Uuid) {
        let Some(face) = self.faces.remove(&id) else {
            return;
        };
        if let Some(ids) = self.faces_of_asset.get_mut(&face.asset) {
            ids.retain(|other| *other != id);
        }
        if let Some(ids) = face.person.and_then(|p| self.faces_of_person.get_mut(&p)) {
            ids.remove(&id);
        }
    }

    /// Gives a face to a person, with the server's side effects: a person without
    /// feature face gets one, and a person who loses the feature face gets an
    /// arbitrary other (here the one of the smallest id). Nobody is deleted.
    pub fn reassign(&mut self, face_id: Uuid, to: Uuid) {
        let Some(face) = self.faces.get_mut(&face_id) else {
            return;
        };
        let from = face.person.replace(to);
        if let Some(ids) = from.and_then(|p| self.faces_of_person.get_mut(&p)) {
            ids.remove(&face_id);
        }
        self.faces_of_person.entry(to).or_default().insert(face_id);
        let arbitrary = |library: &Self, person: Uuid| {
            library.visible_faces_of(person).map(|face| face.id).next()
        };
        if let Some(from) = from.filter(|from| *from != to) {
            let lost = self
                .people
                .get(&from)
                .is_some_and(|p| p.feature == Some(face_id));
            if lost {
                let next = arbitrary(self, from);
                self.update_person(from, |person| person.feature = next);
            }
        }
        if self.people.get(&to).is_some_and(|p| p.feature.is_none()) {
            let next = arbitrary(self, to);
            self.update_person(to, |person| person.feature = next);
        }
    }

    /// The visible faces of an asset by their left edge.
    pub fn faces_of(&self, asset: Uuid) -> Vec<&Face> {
        let ids = self.faces_of_asset.get(&asset);
        let mut faces: Vec<&Face> = ids
            .into_iter()
            .flatten()
            .filter_map(|id| self.faces.get(id))
            .filter(|face| !face.deleted)
            .collect();
        faces.sort_by_key(|face| (face.area[0], face.id));
        faces
    }

    /// The visible faces of a person, by id.
    pub fn visible_faces_of(&self, person: Uuid) -> impl Iterator<Item = &Face> {
        let ids = self.faces_of_person.get(&person);
        ids.into_iter()
            .flatten()
            .filter_map(|id| self.faces.get(id))
            .filter(|face| !face.deleted)
    }
}

fn checksum(asset: &Asset) -> [u8; 20] {
    match asset.external {
        Some(_) => Sha1::digest(format!("path:{}", asset.path)).into(),
        None => Sha1::digest(asset.bytes()).into(),
    }
}
