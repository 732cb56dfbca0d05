//! Photos and videos.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::lenient;
use crate::types::{Face, PersonFaces};
use crate::{AssetId, UserId};

/// What kind of file an asset is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum AssetType {
    /// A still picture.
    Image,
    /// A video.
    Video,
    /// A sound file.
    Audio,
    /// Anything else, and what the server did not say.
    #[default]
    #[serde(other)]
    Other,
}

/// Where an asset is shown. A search covers one visibility; without any, the timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// The main view.
    Timeline,
    /// Archived by the user.
    Archive,
    /// Video halves of live photos and the like.
    Hidden,
    /// Behind the PIN; keys never see it.
    Locked,
}

/// A photo or video as search and `GET /assets/{id}` describe it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Asset {
    /// Its id.
    pub id: AssetId,
    /// Whose it is: partners' assets appear in searches too.
    #[serde(default, deserialize_with = "lenient::opt")]
    pub owner_id: Option<UserId>,
    /// What kind of file it is.
    #[serde(default, rename = "type", deserialize_with = "lenient::or_default")]
    pub asset_type: AssetType,
    /// Where the server keeps the file.
    #[serde(default, deserialize_with = "lenient::opt")]
    pub original_path: Option<String>,
    /// The name it was uploaded with.
    #[serde(default, deserialize_with = "lenient::opt")]
    pub original_file_name: Option<String>,
    /// Like `image/heic`.
    #[serde(default, deserialize_with = "lenient::opt")]
    pub original_mime_type: Option<String>,
    /// The checksum as sent; see [`Asset::expected_sha1`].
    #[serde(default, deserialize_with = "lenient::opt")]
    pub checksum: Option<String>,
    /// When it was taken, UTC, milliseconds. The order of searches.
    #[serde(default, deserialize_with = "lenient::time")]
    pub file_created_at: Option<Timestamp>,
    /// The camera's wall clock written as if it were UTC.
    #[serde(default, deserialize_with = "lenient::time")]
    pub local_date_time: Option<Timestamp>,
    /// The file's own modification time.
    #[serde(default, deserialize_with = "lenient::time")]
    pub file_modified_at: Option<Timestamp>,
    /// When the record last changed.
    #[serde(default, deserialize_with = "lenient::time")]
    pub updated_at: Option<Timestamp>,
    /// When it was uploaded (servers from 1.144).
    #[serde(default, deserialize_with = "lenient::time")]
    pub created_at: Option<Timestamp>,
    /// Upright width in pixels; of the edited picture when `is_edited` (servers from 2.5).
    #[serde(default, deserialize_with = "lenient::pixels")]
    pub width: Option<u32>,
    /// Upright height in pixels; see `width`.
    #[serde(default, deserialize_with = "lenient::pixels")]
    pub height: Option<u32>,
    /// Edited in Immich: `/faces` then speaks of the edited frame, search of the
    /// original one.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub is_edited: bool,
    /// In the trash.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub is_trashed: bool,
    /// Its file in an external library is away.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub is_offline: bool,
    /// Where it is shown (servers from 1.135).
    #[serde(default, deserialize_with = "lenient::opt")]
    pub visibility: Option<Visibility>,
    /// The video half of a live photo.
    #[serde(default, deserialize_with = "lenient::opt")]
    pub live_photo_video_id: Option<AssetId>,
    /// Set for assets of external libraries.
    #[serde(default, deserialize_with = "lenient::opt")]
    pub library_id: Option<String>,
    /// Camera data, when asked for.
    #[serde(default, deserialize_with = "lenient::opt")]
    pub exif_info: Option<Exif>,
    /// People on it, when asked for.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub people: Vec<PersonFaces>,
    /// Faces of nobody. `None` when the server does not send faces with assets.
    #[serde(default, deserialize_with = "lenient::opt")]
    pub unassigned_faces: Option<Vec<Face>>,
}

/// The part of the camera data that somebody uses.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Exif {
    /// Stored width in pixels, before turning by `orientation`.
    #[serde(default, deserialize_with = "lenient::pixels")]
    pub exif_image_width: Option<u32>,
    /// Stored height in pixels, before turning by `orientation`.
    #[serde(default, deserialize_with = "lenient::pixels")]
    pub exif_image_height: Option<u32>,
    /// EXIF orientation, "1" to "8".
    #[serde(default, deserialize_with = "lenient::opt")]
    pub orientation: Option<String>,
    /// Size of the original file.
    #[serde(default, deserialize_with = "lenient::opt")]
    pub file_size_in_byte: Option<u64>,
    /// Filled from the *file date* when the photo has no EXIF date: it cannot tell
    /// "taken" from "copied".
    #[serde(default, deserialize_with = "lenient::time")]
    pub date_time_original: Option<Timestamp>,
}

/// The SHA-1 that a checksum of the server writes, in base64 or hexadecimal; `None` when
/// it is neither, or not of 20 bytes.
pub fn sha1_of_checksum(text: &str) -> Option<[u8; 20]> {
    if text.len() == 40 && text.is_ascii() {
        let mut bytes = [0; 20];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).ok()?;
            *byte = u8::from_str_radix(pair, 16).ok()?;
        }
        return Some(bytes);
    }
    STANDARD.decode(text).ok()?.try_into().ok()
}

impl Asset {
    /// SHA-1 of the original file, where the server's checksum is one.
    ///
    /// `None` for external libraries, whose checksum may be of the path, and for
    /// checksums that are neither base64 nor hexadecimal of 20 bytes.
    pub fn expected_sha1(&self) -> Option<[u8; 20]> {
        if self.library_id.is_some() {
            return None;
        }
        sha1_of_checksum(self.checksum.as_deref()?)
    }

    /// Every face that came with the asset, those of people first, in frame of the
    /// *original* picture even for edited assets.
    ///
    /// `None` when the server sent none with the asset (v3, or `with_people` was
    /// off): ask `/faces` then.
    pub fn faces(&self) -> Option<Vec<Face>> {
        let unassigned = self.unassigned_faces.as_ref()?;
        let of_people = self.people.iter().flat_map(PersonFaces::faces);
        Some(of_people.chain(unassigned.iter().cloned()).collect())
    }

    /// Width and height of the upright original in pixels, as far as the record
    /// tells: from the camera data where there, else from the asset's own size,
    /// which is of no use when it was edited. Zero sizes count as unknown.
    pub fn upright_size(&self) -> Option<(u32, u32)> {
        let exif = self.exif_info.as_ref();
        let stored = exif.and_then(|e| Some((e.exif_image_width?, e.exif_image_height?)));
        let turned = exif
            .and_then(|e| e.orientation.as_deref())
            .is_some_and(|o| matches!(o.trim(), "5" | "6" | "7" | "8"));
        let own = (!self.is_edited)
            .then_some(self.width.zip(self.height))
            .flatten();
        own.filter(|(w, h)| *w > 0 && *h > 0).or_else(|| {
            stored
                .map(|(w, h)| if turned { (h, w) } else { (w, h) })
                .filter(|(w, h)| *w > 0 && *h > 0)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asset(fields: &str) -> Asset {
        serde_json::from_str(&format!(r#"{{"id":"a-1",{fields}"new":[1]}}"#)).unwrap()
    }

    #[test]
    fn an_id_alone_is_enough_and_odd_types_count_as_absent() {
        let bare = asset("");
        assert_eq!(bare.asset_type, AssetType::Other);
        assert_eq!(bare.faces(), None);
        let odd = asset(
            r#""type":"HOLOGRAM","ownerId":7,"people":null,"isTrashed":"no","visibility":"attic",
               "exifInfo":7,"fileCreatedAt":1,"#,
        );
        assert_eq!(odd, bare);
    }

    #[test]
    fn checksum_is_read_from_base64_and_hex_but_not_for_external_libraries() {
        // SHA-1 of "abc", FIPS 180-4: a9993e36 4706816a ba3e2571 7850c26c 9cd0d89d.
        let base64 = asset(r#""checksum":"qZk+NkcGgWq6PiVxeFDCbJzQ2J0=","libraryId":null,"#);
        let hex = asset(r#""checksum":"a9993e364706816aba3e25717850c26c9cd0d89d","#);
        let expected = base64.expected_sha1().unwrap();
        assert_eq!(expected[..4], [0xa9, 0x99, 0x3e, 0x36]);
        assert_eq!(hex.expected_sha1(), Some(expected));
        let external = asset(r#""checksum":"qZk+NkcGgWq6PiVxeFDCbJzQ2J0=","libraryId":"l","#);
        assert_eq!(external.expected_sha1(), None);
        assert_eq!(asset(r#""checksum":"abc","#).expected_sha1(), None);
    }

    #[test]
    fn faces_of_people_carry_their_person_and_unassigned_ones_none() {
        let face = r#""boundingBoxX1":1,"boundingBoxY1":2,"boundingBoxX2":30,"boundingBoxY2":40,
            "imageWidth":100,"imageHeight":80"#;
        let asset = asset(&format!(
            r#""people":[{{"id":"p","name":"Anna","faces":[{{"id":"f1",{face}}}]}}],
               "unassignedFaces":[{{"id":"f2",{face}}}],"#
        ));
        let faces = asset.faces().unwrap();
        assert_eq!(faces.len(), 2);
        assert_eq!(faces[0].person.as_ref().unwrap().name, "Anna");
        assert_eq!(faces[1].person, None);
        assert_eq!(faces[1].area.y2, 40);
    }

    #[test]
    fn upright_size_turns_stored_sizes_and_distrusts_edited_ones() {
        let exif =
            r#""exifInfo":{"exifImageWidth":3000,"exifImageHeight":2000,"orientation":"6"},"#;
        assert_eq!(asset(exif).upright_size(), Some((2000, 3000)));
        let own = format!(r#"{exif}"width":1200,"height":900,"#);
        assert_eq!(asset(&own).upright_size(), Some((1200, 900)));
        let edited = format!(r#"{own}"isEdited":true,"#);
        assert_eq!(asset(&edited).upright_size(), Some((2000, 3000)));
        let lone = r#""width":1200,"height":900,"isEdited":true,"#;
        assert_eq!(asset(lone).upright_size(), None);
        assert_eq!(asset(r#""width":0,"height":900,"#).upright_size(), None);
    }
}
