//! A small library of two sisters whom the server mixed up.

use std::sync::Arc;

use immich_fake::{Content, Crop, Library, Uuid};

use super::drawing::{self, Drawn, LEA, Looks, MIA, TOM};

/// 2020-01-01, in microseconds, and a day.
const START_US: i64 = 1_577_836_800_000_000;
const DAY_US: i64 = 86_400_000_000;

/// Size of previews here, and so the frame of the boxes.
const PREVIEW: (u32, u32) = (720, 480);

/// Left, middle and right place for a face.
pub(crate) const PLACES: [[i32; 4]; 3] = [
    [60, 120, 220, 320],
    [290, 110, 450, 310],
    [520, 130, 680, 330],
];

/// Who is who, and the key.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    pub(crate) owner: Uuid,
    pub(crate) key: String,
    /// Has faces of Lea.
    pub(crate) mia: Uuid,
    pub(crate) lea: Uuid,
    pub(crate) tom: Uuid,
    n_photos: i64,
}

impl Scene {
    /// Three people with a portrait each; no photos under review yet.
    pub(crate) fn new(library: &mut Library) -> Self {
        let owner = library.add_user("Ada");
        let key = library.add_key(owner, "face-fix", &["all"]);
        let [mia, lea, tom] =
            ["Mia Berg", "Lea Berg", "Tom"].map(|name| library.add_person(owner, name));
        let mut scene = Self {
            owner,
            key,
            mia,
            lea,
            tom,
            n_photos: 0,
        };
        for (person, looks, near) in [(mia, MIA, 0.0), (lea, LEA, 1.0), (tom, TOM, 3.0)] {
            let name = format!("portrait_{}.jpg", scene.n_photos);
            let (_, faces) = scene.photo(library, &name, &[(PLACES[1], looks, Some(person))]);
            set_angle(library, faces[0], near);
            let picture: Arc<[u8]> = drawing::portrait(looks).into();
            library.update_person(person, |p| p.picture = Some(picture));
        }
        scene
    }

    /// Adds a photo, one day after the last.
    pub(crate) fn photo(
        &mut self,
        library: &mut Library,
        name: &str,
        faces: &[([i32; 4], Looks, Option<Uuid>)],
    ) -> (Uuid, Vec<Uuid>) {
        self.photo_of(library, name, PREVIEW, faces)
    }

    /// Adds a photo whose preview has this size.
    pub(crate) fn photo_of(
        &mut self,
        library: &mut Library,
        name: &str,
        (width, height): (u32, u32),
        faces: &[([i32; 4], Looks, Option<Uuid>)],
    ) -> (Uuid, Vec<Uuid>) {
        let asset = library.add_photo(self.owner, name, START_US + self.n_photos * DAY_US);
        let tone = (self.n_photos * 37 % 200) as u8;
        self.n_photos += 1;
        let drawn: Vec<Drawn> = faces
            .iter()
            .map(|(area, looks, _)| (*area, *looks))
            .collect();
        let preview = drawing::photo(width, height, tone, &drawn);
        library.update_asset(asset, |asset| {
            asset.preview = Some(Content::Bytes(preview.into()));
            asset.stored = (width * 2, height * 2);
        });
        let ids = faces
            .iter()
            .map(|(area, _, person)| library.add_face(asset, *person, *area, (width, height)))
            .collect();
        (asset, ids)
    }

    /// A photo where one face of Mia's is Lea.
    pub(crate) fn solo(&mut self, library: &mut Library, name: &str) -> (Uuid, Uuid) {
        let (asset, faces) = self.photo(library, name, &[(PLACES[1], LEA, Some(self.mia))]);
        set_angle(library, faces[0], 0.8);
        (asset, faces[0])
    }

    /// A photo where both of Mia's faces are there, the right one being Lea; and Tom.
    pub(crate) fn twins(&mut self, library: &mut Library, name: &str) -> (Uuid, Vec<Uuid>) {
        let mia = Some(self.mia);
        let faces = [
            (PLACES[0], MIA, mia),
            (PLACES[1], TOM, Some(self.tom)),
            (PLACES[2], LEA, mia),
        ];
        let (asset, ids) = self.photo(library, name, &faces);
        for (face, near) in ids.iter().zip([0.1, 3.0, 0.9]) {
            set_angle(library, *face, near);
        }
        (asset, ids)
    }

    /// An upright photo of a phone held upright: stored on its side.
    pub(crate) fn turned(&mut self, library: &mut Library, name: &str) -> (Uuid, Uuid) {
        let area = [150, 180, 330, 420];
        let (asset, faces) =
            self.photo_of(library, name, (480, 720), &[(area, LEA, Some(self.mia))]);
        library.update_asset(asset, |asset| {
            asset.stored = (1440, 960);
            asset.orientation = 6;
        });
        (asset, faces[0])
    }

    /// A photo cropped in Immich to its right half: the preview shows the crop.
    pub(crate) fn edited(&mut self, library: &mut Library, name: &str) -> (Uuid, Uuid) {
        let (asset, faces) = self.photo(library, name, &[(PLACES[2], LEA, Some(self.mia))]);
        // The full picture is twice the preview; the crop is its right half, whose
        // preview is drawn at half that size again.
        let [x1, y1, x2, y2] = PLACES[2];
        let shown = drawing::photo(360, 480, 90, &[([x1 - 360, y1, x2 - 360, y2], LEA)]);
        library.update_asset(asset, |asset| {
            asset.crop = Some(Crop {
                x: 720,
                y: 0,
                width: 720,
                height: 960,
            });
            asset.preview = Some(Content::Bytes(shown.into()));
        });
        (asset, faces[0])
    }
}

/// Mia at 0 (her portrait) and 0.1, a face of Lea's at 0.8, Lea at 1: in cosine distance
/// the last one is at 0.24 from Mia's nearest and at 0.02 from Lea's.
pub(crate) fn with_one_clear_mistake(scene: &mut Scene, library: &mut Library) -> Uuid {
    let (_, faces) = scene.photo(library, "mine.jpg", &[(PLACES[0], MIA, Some(scene.mia))]);
    set_angle(library, faces[0], 0.1);
    scene.solo(library, "beach.jpg").1
}

/// An embedding in a plane: the cosine distance of two is 1 - cos of the difference.
/// Mia is at 0, Lea at 1, Tom at 3.
pub(crate) fn set_angle(library: &mut Library, face: Uuid, radians: f32) {
    library.update_face(face, |face| {
        face.embedding = Some(vec![radians.cos(), radians.sin()]);
    });
}
