//! Taking a person out of JSON and of lines of text.

use std::collections::BTreeSet;

use faceset_core::{BBox, FaceKey, SourcePath};
use serde_json::{Value, json};

use super::needles::{FaceNeedles, Finder, Needles};
use crate::journal::BLOTTED;

/// What is looked for in manifests.
#[derive(Debug)]
pub(crate) struct Scrubber<'a> {
    pub(crate) faces: &'a FaceNeedles,
    pub(crate) needles: &'a Needles,
    pub(crate) finder: &'a Finder,
    /// Folder names of the person's numbers.
    pub(crate) numbers: &'a BTreeSet<String>,
}

impl Scrubber<'_> {
    /// Takes the person out of a document. `gone` are the names of its sets
    /// that are theirs as a whole. Returns how many things were taken out.
    ///
    /// Records of the person's faces and photos go as a whole; a set that loses
    /// its last face goes, too; a set that loses a face loses the bundles that
    /// had it in; other mentions are blotted out where they stand, so that the
    /// document keeps its form. A number of theirs that had an entry is reserved.
    pub(crate) fn json(&self, doc: &mut Value, gone: &BTreeSet<String>) -> usize {
        let mut n = 0;
        let mut freed = BTreeSet::new();
        if let Some(sets) = doc.get("facesets").and_then(Value::as_array) {
            let names = sets.iter().filter_map(|s| s.get("name")?.as_str());
            freed.extend(names.map(str::to_owned));
        }
        self.value(doc, gone, &mut n);
        if let Some(sets) = doc.get("facesets").and_then(Value::as_array) {
            for name in sets.iter().filter_map(|s| s.get("name")?.as_str()) {
                freed.remove(name);
            }
        }
        if let Some(reserved) = doc.get_mut("reserved").and_then(Value::as_array_mut) {
            for name in freed.intersection(self.numbers) {
                reserved.push(json!({"name": name, "reason": "forgotten"}));
            }
        }
        n
    }

    /// True when the value itself has to go.
    fn value(&self, value: &mut Value, gone: &BTreeSet<String>, n: &mut usize) -> bool {
        match value {
            Value::String(text) => self.finder.mentions(text),
            Value::Array(items) => {
                items.retain_mut(|item| {
                    let goes = self.value(item, gone, n);
                    *n += usize::from(goes);
                    !goes
                });
                false
            }
            Value::Object(_) => self.object(value, gone, n),
            _ => false,
        }
    }

    fn object(&self, value: &mut Value, gone: &BTreeSet<String>, n: &mut usize) -> bool {
        if self.is_theirs(value, gone) {
            return true;
        }
        let map = value.as_object_mut().expect("the caller looked");
        let len = |v: Option<&Value>| v.and_then(Value::as_array).map_or(0, Vec::len);
        let (n_faces, n_images) = (len(map.get("faces")), len(map.get("images")));
        let has_pngs = map
            .get("faces")
            .and_then(Value::as_array)
            .is_some_and(|f| f.iter().any(|f| f.get("png").is_some()));
        map.retain(|key, child| {
            if let ("name" | "label", Some(name)) = (key.as_str(), child.as_str()) {
                // Another's name may have the person's in it.
                let goes = key == "label" && self.is_name(name);
                *n += usize::from(goes);
                return !goes;
            }
            let is_mention = self.value(child, gone, n);
            let goes = self.finder.mentions(key) || (is_mention && !child.is_string());
            if is_mention && !goes {
                *child = json!(BLOTTED);
            }
            *n += usize::from(is_mention || goes);
            !goes
        });
        let (faces_left, images_left) = (len(map.get("faces")), len(map.get("images")));
        if faces_left < n_faces && has_pngs && map.get("bundles").is_some() {
            map.insert("bundles".to_owned(), json!([]));
        }
        // A set of which nothing is left.
        map.contains_key("name")
            && faces_left == 0
            && images_left == 0
            && (n_faces > 0 || n_images > 0)
    }

    /// A record of one of the person's faces, photos or sets.
    fn is_theirs(&self, value: &Value, gone: &BTreeSet<String>) -> bool {
        let text = |key: &str| value.get(key).and_then(Value::as_str);
        let is_list = |key: &str| value.get(key).is_some_and(Value::is_array);
        if let Some(key) = value.get("key").filter(|k| k.is_object()) {
            return self.is_theirs(key, gone);
        }
        if text("name").is_some_and(|name| gone.contains(name))
            && (is_list("faces") || is_list("images"))
        {
            return true;
        }
        let Some(path) = text("path").or_else(|| text("source")) else {
            return false;
        };
        let bbox: Option<BBox> = value
            .get("bbox")
            .and_then(|b| serde_json::from_value(b.clone()).ok());
        match (bbox, text("sha256").map(str::parse)) {
            (Some(bbox), Some(Ok(sha256))) => {
                let path = SourcePath::from(path);
                self.faces.has(&FaceKey { path, sha256, bbox }) || self.is_photo(value)
            }
            (Some(bbox), None) => self.faces.has_spot(path, bbox.tenths()) || self.is_photo(value),
            _ => self.is_photo(value),
        }
    }

    fn is_name(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        self.needles.names.iter().any(|n| n.to_lowercase() == text)
    }

    fn is_photo(&self, value: &Value) -> bool {
        let is_one = |key: &str| {
            let text = value.get(key).and_then(Value::as_str);
            text.is_some_and(|t| self.needles.photos.contains(t))
        };
        is_one("path") || is_one("source")
    }
}

/// The text without the lines that mention the person, and how many those are.
/// Bytes that are no UTF-8 are kept as they are.
pub(crate) fn lines(bytes: &[u8], finder: &Finder) -> (Vec<u8>, usize) {
    let mut kept = Vec::with_capacity(bytes.len());
    let mut n = 0;
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        if finder.mentions(&String::from_utf8_lossy(line)) {
            n += 1;
        } else {
            kept.extend_from_slice(line);
        }
    }
    (kept, n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::face;

    fn scrubbed(mut doc: Value, gone: &[&str]) -> (Value, usize) {
        let own = |list: &[&str]| list.iter().map(|t| (*t).to_owned()).collect();
        let hers = [face(1, 0)];
        let needles = Needles {
            photos: own(&["/photos/p00001.jpg"]),
            names: own(&["Ana"]),
            ..Needles::default()
        };
        let n = Scrubber {
            faces: &FaceNeedles::new(hers.iter()),
            needles: &needles,
            finder: &Finder::new(&needles),
            numbers: &own(&["faceset_001"]),
        }
        .json(&mut doc, &own(gone));
        (doc, n)
    }

    #[test]
    fn mentions_are_blotted_where_they_stand_and_records_of_photos_go() {
        let (doc, n) = scrubbed(
            json!({"cache": {"path": "/caches/ana.npz", "pack": "x"}, "label": "ana",
                "failed": [{"path": "/photos/p00001.jpg", "why": "torn"}, {"path": "/b.jpg"}],
                "years": {"/photos/p00001.jpg": 2001, "/b.jpg": 2002},
                "lines": ["of Ana", "of Anabel"]}),
            &[],
        );
        assert_eq!(
            doc,
            json!({"cache": {"path": BLOTTED, "pack": "x"}, "failed": [{"path": "/b.jpg"}],
                "years": {"/b.jpg": 2002}, "lines": ["of Anabel"]})
        );
        assert_eq!(n, 5);
    }

    #[test]
    fn a_name_of_another_that_has_the_persons_in_it_stays() {
        let doc = json!({"facesets": [{"name": "faceset_002", "label": "Bob, Ana's brother"}]});
        assert_eq!(scrubbed(doc.clone(), &[]), (doc, 0));
    }

    #[test]
    fn faces_of_the_original_tool_are_known_by_path_and_box() {
        let doc = json!({"facesets": [{"name": "faceset_002", "faces": [
            {"source": "/photos/p00001.jpg", "bbox": [0.0, 7.25, 40.0, 67.25], "png": "1.png"},
            {"source": "/b.jpg", "bbox": [0.0, 7.25, 40.0, 67.25], "png": "2.png"}],
            "bundles": [{"file": "all.fsz"}]}]});
        let (doc, n) = scrubbed(doc, &[]);
        let set = &doc["facesets"][0];
        assert_eq!((set["faces"].as_array().unwrap().len(), n), (1, 1));
        assert_eq!(set["bundles"], json!([]));
    }

    #[test]
    fn sets_without_face_keys_go_by_name_and_free_no_number() {
        let doc = json!({"facesets": [{"name": "faceset_001", "images": ["/x.jpg"]},
            {"name": "faceset_002", "images": ["/y.jpg"]}], "reserved": []});
        let (doc, _) = scrubbed(doc, &["faceset_001"]);
        assert_eq!(doc["facesets"].as_array().unwrap().len(), 1);
        assert_eq!(
            doc["reserved"],
            json!([{"name": "faceset_001", "reason": "forgotten"}])
        );
    }

    #[test]
    fn lines_go_whole_and_other_bytes_stay_as_they_are() {
        let finder = Finder::new(&Needles {
            names: BTreeSet::from(["Ana".to_owned()]),
            ..Needles::default()
        });
        let (kept, n) = lines(b"\xff\r\nana\r\nAnabel\nend", &finder);
        assert_eq!((kept.as_slice(), n), (&b"\xff\r\nAnabel\nend"[..], 1));
    }
}
