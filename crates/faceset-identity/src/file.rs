//! `registry.json` as text: one identity after the other, one face a line.
//!
//! The format is described in docs/formats/registry.md.

use std::path::Path;

use faceset_core::CivilDate;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Flaw, IdentityError};
use crate::identity::{Faces, Identity};
use crate::registry::Registry;

/// Version that this build writes and the newest it reads.
pub const REGISTRY_VERSION: u32 = 1;

#[derive(Deserialize)]
struct Versioned {
    version: Option<Value>,
}

#[derive(Deserialize)]
struct RegistryFile {
    #[allow(
        dead_code,
        reason = "checked before; named so that it is no unknown key"
    )]
    version: u32,
    #[serde(default)]
    highest_number: u32,
    #[serde(default)]
    journal_entry: u64,
    #[serde(default)]
    no_faces: Faces,
    identities: Vec<Identity>,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

/// Reads the text of a registry. `path` is for messages.
pub(crate) fn parse(
    bytes: &[u8],
    path: &Path,
    today: CivilDate,
) -> Result<Registry, IdentityError> {
    let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let shape = |source| IdentityError::Shape {
        path: path.to_path_buf(),
        source,
    };
    let nonsense = |flaw| IdentityError::Nonsense {
        path: path.to_path_buf(),
        flaw,
    };
    let versioned: Versioned = serde_json::from_slice(text).map_err(shape)?;
    match versioned.version.as_ref().and_then(Value::as_u64) {
        Some(v) if v > u64::from(REGISTRY_VERSION) => {
            return Err(IdentityError::TooNew {
                path: path.to_path_buf(),
                found: v,
                supported: REGISTRY_VERSION,
            });
        }
        Some(v) if v > 0 => {}
        _ => {
            let what = format!("expected the number {REGISTRY_VERSION}");
            return Err(nonsense(Flaw::key("version", what)));
        }
    }
    let file: RegistryFile = serde_json::from_slice(text).map_err(shape)?;
    Registry::from_identities(
        file.identities,
        file.no_faces,
        (file.highest_number, file.journal_entry),
        file.extra,
        today,
    )
    .map_err(nonsense)
}

/// The text of a registry: the same registry gives the same bytes.
pub(crate) fn render(registry: &Registry) -> Vec<u8> {
    let mut out = Text::default();
    out.line(0, "{");
    out.key(1, "version", &REGISTRY_VERSION);
    out.key(1, "highest_number", &registry.highest);
    out.key(1, "journal_entry", &registry.entry);
    for (key, value) in &registry.extra {
        out.key(1, key, value);
    }
    faces_text(&mut out, 1, "no_faces", &registry.no_faces);
    out.line(1, "\"identities\": [");
    for (i, identity) in registry.identities.values().enumerate() {
        identity_text(&mut out, identity);
        out.line(
            2,
            if i + 1 < registry.identities.len() {
                "},"
            } else {
                "}"
            },
        );
    }
    out.line(1, "]");
    out.line(0, "}");
    out.0
}

fn identity_text(out: &mut Text, identity: &Identity) {
    out.line(2, "{");
    out.key(3, "number", &identity.number);
    if let Some(name) = &identity.name {
        out.key(3, "name", name);
    }
    out.key(3, "state", &identity.state);
    out.key(3, "consent", &identity.consent);
    if let Some(birth_date) = &identity.birth_date {
        out.key(3, "birth_date", birth_date);
    }
    if let Some(reserved) = &identity.reserved {
        out.key(3, "reserved", reserved);
    }
    if let Some(feature) = &identity.feature {
        out.key(3, "feature", feature);
    }
    if !identity.provenance.is_null() {
        out.key(3, "provenance", &identity.provenance);
    }
    for (key, value) in &identity.extra {
        out.key(3, key, value);
    }
    for (key, faces) in [
        ("faces", &identity.faces),
        ("not_this_person", &identity.not_this_person),
    ] {
        faces_text(out, 3, key, faces);
    }
    out.drop_comma();
}

/// A list of faces, one a line; nothing for an empty one.
fn faces_text(out: &mut Text, depth: usize, key: &str, faces: &Faces) {
    if faces.is_empty() {
        return;
    }
    out.line(depth, &format!("\"{key}\": ["));
    for (i, face) in faces.iter().enumerate() {
        let comma = if i + 1 < faces.len() { "," } else { "" };
        out.line(depth + 1, &format!("{}{comma}", compact(face)));
    }
    out.line(depth, "],");
}

fn compact<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("our own types serialise")
}

#[derive(Default)]
struct Text(Vec<u8>);

impl Text {
    fn line(&mut self, depth: usize, text: &str) {
        self.0.extend(std::iter::repeat_n(b' ', depth * 2));
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(b'\n');
    }

    fn key<T: Serialize>(&mut self, depth: usize, key: &str, value: &T) {
        self.line(depth, &format!("{}: {},", compact(&key), compact(value)));
    }

    /// The comma after the last key of an object.
    fn drop_comma(&mut self) {
        if self.0.ends_with(b",\n") {
            self.0.truncate(self.0.len() - 2);
            self.0.push(b'\n');
        }
    }
}
