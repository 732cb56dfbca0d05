//! Which face a person means: a rank in a set, a photo, or a photo and a box.

use std::path::Path;

use faceset_core::manifest::SwapSet;
use faceset_core::{BBox, FaceKey, FacesetNumber};
use faceset_identity::Registry;

use crate::PipelineError;

/// Finds the face that `text` means for this person:
///
/// - `12` or `0012.png`: the face of that rank in the person's exported set,
/// - a photo's path, or the end of it: the one face of the person there,
/// - `PHOTO@x1,y1,x2,y2`: the face with that box, to 0.1 px.
///
/// Faces of the person come first; when none fits, all faces that the registry
/// or this set names. Errors say what fits instead.
pub fn face(
    registry: &Registry,
    swap_ready: &Path,
    number: FacesetNumber,
    text: &str,
) -> Result<FaceKey, PipelineError> {
    let number = registry.root(number);
    let set = read_set(swap_ready, number);
    if let Some(rank) = rank(text) {
        return set
            .as_ref()
            .and_then(|s| s.faces.iter().find(|f| f.rank == rank))
            .map(|f| f.key.clone())
            .ok_or_else(|| {
                PipelineError::Options(format!(
                    "{} has no face of rank {rank} on disk",
                    number.folder_name()
                ))
            });
    }
    let own: Vec<FaceKey> = registry.faces_of(number).iter().cloned().collect();
    let mut others: Vec<FaceKey> = set
        .iter()
        .flat_map(|s| {
            let exported = s.faces.iter().map(|f| &f.key);
            exported.chain(s.dropped.iter().map(|d| &d.key))
        })
        .cloned()
        .collect();
    for identity in registry.identities() {
        others.extend(identity.faces.iter().cloned());
        others.extend(identity.not_this_person.iter().cloned());
    }
    let (photo, bbox) = match text.rsplit_once('@') {
        Some((photo, numbers)) if bbox(numbers).is_some() => (photo, bbox(numbers)),
        _ => (text, None),
    };
    let fits = |keys: &[FaceKey]| -> Vec<FaceKey> {
        let mut found: Vec<FaceKey> = keys
            .iter()
            .filter(|key| is_tail(key.path.as_str(), photo))
            .filter(|key| bbox.is_none_or(|b| b.tenths() == key.bbox.tenths()))
            .cloned()
            .collect();
        found.sort_by_key(FaceKey::id);
        found.dedup_by_key(|key| key.id());
        found
    };
    for pool in [&own, &others] {
        let found = fits(pool);
        match found.as_slice() {
            [] => {}
            [one] => return Ok(one.clone()),
            several => {
                let lines: Vec<String> = several.iter().take(10).map(describe).collect();
                return Err(PipelineError::Options(format!(
                    "{text} fits {} faces; name one: {}",
                    several.len(),
                    lines.join("  ")
                )));
            }
        }
    }
    Err(PipelineError::Options(format!(
        "no known face is on {text}; give the rank in the set (1), the photo's path, or PHOTO@x1,y1,x2,y2"
    )))
}

/// A face as [`face`] reads it.
pub fn describe(key: &FaceKey) -> String {
    let [x1, y1, x2, y2] = <[f32; 4]>::from(key.bbox);
    format!("{}@{x1:.1},{y1:.1},{x2:.1},{y2:.1}", key.path)
}

fn read_set(swap_ready: &Path, number: FacesetNumber) -> Option<SwapSet> {
    let path = swap_ready.join(number.folder_name()).join("manifest.json");
    faceset_fs::read_json(&path).ok()
}

/// `12`, `0012.png`, `faces/0012.png`.
fn rank(text: &str) -> Option<u32> {
    let name = text.strip_prefix("faces/").unwrap_or(text);
    let digits = name.strip_suffix(".png").unwrap_or(name);
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

fn bbox(text: &str) -> Option<BBox> {
    let values: Vec<f32> = text
        .split(',')
        .map(|v| v.trim().parse().ok())
        .collect::<Option<_>>()?;
    let edges: [f32; 4] = values.try_into().ok()?;
    Some(BBox::from(edges)).filter(BBox::is_finite)
}

/// The whole path, or its end from a separator on.
fn is_tail(path: &str, tail: &str) -> bool {
    path.strip_suffix(tail)
        .is_some_and(|head| head.is_empty() || head.ends_with(['/', '\\']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_numbers_and_png_names() {
        assert_eq!(rank("12"), Some(12));
        assert_eq!(rank("faces/0012.png"), Some(12));
        assert_eq!(rank("a12.png"), None);
        assert_eq!(rank(""), None);
    }

    #[test]
    fn a_tail_begins_at_a_separator() {
        assert!(is_tail("/photos/a.jpg", "a.jpg"));
        assert!(is_tail("C:\\p\\a.jpg", "p\\a.jpg"));
        assert!(!is_tail("/photos/banana.jpg", "ana.jpg"));
    }

    #[test]
    fn boxes_are_four_finite_numbers() {
        assert_eq!(bbox("1,2,3.5,4").unwrap().tenths(), [10, 20, 35, 40]);
        assert!(bbox("1,2,3").is_none() && bbox("1,2,3,inf").is_none());
    }
}
