//! Photos that show one person twice: a mirror, a collage, or a mistake that
//! somebody should look at.
//!
//! Looks only; what to do about a wrong face is `people not-this-person`. One
//! face that a detector found twice is none of these: the registry holds it once.

use std::collections::BTreeMap;

use faceset_cache::Cache;
use faceset_core::{ContentHash, CosineDistance, FaceKey, FacesetNumber};
use faceset_identity::{Registry, State};
use serde::Serialize;

use crate::context::SAME_ON_PHOTO;
use crate::pick;

/// What two faces of one person on one photo are, most worth a look first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Pair {
    /// They differ by more than [`SAME_ON_PHOTO`]: probably two people.
    Differ,
    /// The cache does not have both.
    Unknown,
    /// They look alike: a mirror, a collage, a photo of a photo.
    Alike,
}

/// Two faces of one photo that are one person's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Twice {
    /// The person.
    pub number: FacesetNumber,
    /// What people call them, or the folder.
    pub name: String,
    /// The two, by box.
    pub faces: [FaceKey; 2],
    /// What they are.
    pub pair: Pair,
    /// How far apart; `None` when the cache does not have both.
    pub distance: Option<CosineDistance>,
}

impl Twice {
    /// For people.
    pub fn line(&self) -> String {
        let what = match self.pair {
            Pair::Differ => "look at it: they differ",
            Pair::Unknown => "not in the cache",
            Pair::Alike => "alike: a mirror or a collage",
        };
        let apart = self
            .distance
            .map_or_else(String::new, |d| format!(" ({:.3} apart)", d.get()));
        format!(
            "{}  {what}{apart}\n    {}\n    {}",
            self.name,
            pick::describe(&self.faces[0]),
            pick::describe(&self.faces[1])
        )
    }
}

/// Every two faces of one photo that the registry gives to one person, `who` or
/// everybody who is neither hidden nor forgotten. Sorted by [`Pair`], the most
/// different first, then by person, photo and box.
pub fn twice(registry: &Registry, cache: Option<&Cache>, who: Option<FacesetNumber>) -> Vec<Twice> {
    let people = registry.identities().filter(|i| match who {
        Some(who) => i.number == registry.root(who),
        None => matches!(i.state, State::Active | State::Thin),
    });
    let mut found = Vec::new();
    for identity in people {
        let mut photos: BTreeMap<ContentHash, Vec<&FaceKey>> = BTreeMap::new();
        let faces = registry.faces_of(identity.number);
        for key in faces.iter() {
            photos.entry(key.sha256).or_default().push(key);
        }
        for mut on_photo in photos.into_values() {
            on_photo.sort_by_key(|key| key.bbox.tenths());
            for (at, first) in on_photo.iter().enumerate() {
                for second in &on_photo[at + 1..] {
                    let distance = distance(cache, first, second);
                    found.push(Twice {
                        number: identity.number,
                        name: registry
                            .name_of(identity.number)
                            .map_or_else(|| identity.number.folder_name(), str::to_owned),
                        faces: [(*first).clone(), (*second).clone()],
                        pair: pair(distance),
                        distance,
                    });
                }
            }
        }
    }
    let place = |t: &Twice| {
        let [a, b] = &t.faces;
        (t.number, a.path.clone(), a.bbox.tenths(), b.bbox.tenths())
    };
    found.sort_by(|a, b| {
        a.pair
            .cmp(&b.pair)
            .then_with(|| b.distance.cmp(&a.distance))
            .then_with(|| place(a).cmp(&place(b)))
    });
    found
}

fn distance(cache: Option<&Cache>, a: &FaceKey, b: &FaceKey) -> Option<CosineDistance> {
    let of = |key: &FaceKey| {
        let (file, at) = cache?.face(key)?;
        Some(&file.faces()[at].embedding)
    };
    Some(CosineDistance::of_units(of(a)?, of(b)?))
}

fn pair(distance: Option<CosineDistance>) -> Pair {
    match distance {
        None => Pair::Unknown,
        Some(distance) if distance <= SAME_ON_PHOTO => Pair::Alike,
        Some(_) => Pair::Differ,
    }
}
