//! What the arrays of an npz mean together: records from rows, and the other
//! way round nothing (that is `npz_write`).
//!
//! Every contradiction between arrays is an error here. Reads caches of schema
//! 0, too, which hold only the fields that docs/formats/cache.md calls
//! required.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use faceset_core::{BBox, Enrichment, FaceRecord, FileEntry, FileStatus, Pose, SourcePath};
use serde_json::Value;

use crate::change::unread_hash;
use crate::npz_read::{Npz, RowShape};
use crate::npz_write::StoredMeta;
use crate::validate::{check_embedding, length};
use crate::{Cache, CacheError, CacheMeta, PackIdentity, SCHEMA};

/// Longest embedding accepted; the longest of known face models is 512.
const MAX_DIM: usize = 16_384;

/// How much of a cache is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Everything.
    All,
    /// Which photos there are, their hashes and how many faces each has. Faces are
    /// blank, sizes and times unknown.
    Files,
}

/// The meta alone.
pub(crate) fn peek_npz(npz: &mut Npz, path: &Path) -> Result<CacheMeta, CacheError> {
    let head = read_meta(npz, path)?;
    if let Some((meta, _)) = head.stored {
        return Ok(meta);
    }
    let dim = embedding_dim(npz)?;
    Ok(head.legacy_meta(dim))
}

/// What the npz holds, to that depth, and its schema.
pub(crate) fn read_npz(
    npz: &mut Npz,
    path: &Path,
    depth: Depth,
) -> Result<(Cache, u32), CacheError> {
    let head = read_meta(npz, path)?;
    let legacy = head.stored.is_none();
    let (faces, dim) = match (depth, &head.stored) {
        (Depth::All, _) => read_faces(npz, path, &head)?,
        (Depth::Files, Some((meta, _))) => (blank_faces(npz)?, meta.pack.dim),
        (Depth::Files, None) => (blank_faces(npz)?, embedding_dim(npz)?),
    };
    let (meta, aliases) = match head.stored {
        Some(stored) => stored,
        None => (head.legacy_meta(dim), head.legacy_aliases()),
    };
    let bad = |member: &str, what: String| CacheError::BadArray {
        path: path.to_path_buf(),
        member: member.to_owned(),
        what,
    };
    let Files { entries, noface } = read_files(npz, path, legacy, &faces, depth)?;
    let mut files = BTreeMap::new();
    for file in entries {
        if let Some(twice) = files.insert(file.path.clone(), file) {
            return Err(bad("file_paths", format!("lists {} twice", twice.path)));
        }
    }
    for face in faces {
        match files.get_mut(&face.path).map(|file| &mut file.status) {
            Some(FileStatus::Faces(list)) => list.push(match depth {
                Depth::All => face,
                Depth::Files => blank(),
            }),
            Some(FileStatus::Failed(_)) => {
                return Err(bad(
                    "failed_paths",
                    format!("lists {}, which has faces", face.path),
                ));
            }
            None => {
                return Err(bad(
                    "paths",
                    format!("names {}, which file_paths lacks", face.path),
                ));
            }
        }
    }
    let mut cache = Cache::new(meta);
    for file in files.into_values() {
        if legacy {
            cache.put(file);
            continue;
        }
        let is_empty = matches!(&file.status, FileStatus::Faces(list) if list.is_empty());
        if is_empty != noface.contains(&file.path) {
            let what = format!("disagrees with paths about {}", file.path);
            return Err(bad("noface_paths", what));
        }
        if let Some(other) = cache.by_hash.get(&file.sha256) {
            let what = format!("gives {} and {other} the same content", file.path);
            return Err(bad("file_sha256", what));
        }
        cache.insert(file);
    }
    if !legacy && let Some(path) = noface.iter().find(|p| !cache.files.contains_key(*p)) {
        return Err(bad(
            "noface_paths",
            format!("names {path}, which file_paths lacks"),
        ));
    }
    let mut times = BTreeMap::new();
    if depth == Depth::All && (!legacy || npz.has("alias_paths")) {
        let paths = npz.strings("alias_paths", None)?;
        let mtimes = npz.integers("alias_mtime_ns", paths.len() as u64)?;
        times.extend(paths.into_iter().zip(mtimes));
    }
    for (canonical, paths) in aliases {
        if !cache.files.contains_key(&canonical) {
            if legacy {
                continue;
            }
            return Err(bad(
                "meta",
                format!("has aliases of the unknown {canonical}"),
            ));
        }
        for alias in paths {
            if cache.canonical(&alias).is_some() {
                if legacy {
                    continue;
                }
                return Err(bad("meta", format!("lists the place {alias} twice")));
            }
            let mtime_ns = times.get(alias.as_str()).copied().unwrap_or(0);
            cache.add_alias(&canonical, alias, mtime_ns);
        }
    }
    Ok((cache, head.schema))
}

/// What the npz says of itself.
struct Head {
    /// Schema 1 and later.
    stored: Option<(CacheMeta, BTreeMap<SourcePath, Vec<SourcePath>>)>,
    schema: u32,
    /// Schema 0: whatever there was.
    legacy: Value,
}

impl Head {
    fn legacy_meta(&self, dim: u32) -> CacheMeta {
        let roots = match &self.legacy["src_root"] {
            Value::String(root) => vec![root.clone()],
            _ => texts(&self.legacy["src_roots"]),
        };
        CacheMeta {
            pack: PackIdentity::unknown(dim),
            det_size: [0, 0],
            det_thresh: 0.0,
            src_roots: roots.into_iter().collect(),
            provider: String::new(),
            extra: BTreeMap::new(),
        }
    }

    fn legacy_aliases(&self) -> BTreeMap<SourcePath, Vec<SourcePath>> {
        let map = ["path_aliases", "aliases"]
            .iter()
            .find_map(|key| self.legacy[*key].as_object());
        map.into_iter()
            .flatten()
            .map(|(canonical, paths)| {
                let paths = texts(paths).into_iter().map(SourcePath).collect();
                (SourcePath(canonical.clone()), paths)
            })
            .collect()
    }
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(|v| v.as_str().map(str::to_owned))
        .collect()
}

fn read_meta(npz: &mut Npz, path: &Path) -> Result<Head, CacheError> {
    let bad = |what: String| CacheError::BadArray {
        path: path.to_path_buf(),
        member: "meta".into(),
        what,
    };
    if !npz.has("meta") && npz.is_ours() {
        return Err(CacheError::Corrupt {
            path: path.to_path_buf(),
            what: "the archive's directory is damaged, `meta` is not in it".into(),
            source: None,
        });
    }
    if !npz.is_ours() {
        npz.refuse_pickles()?;
    }
    if !npz.has("meta") {
        return Ok(Head {
            stored: None,
            schema: 0,
            legacy: Value::Null,
        });
    }
    let text = npz.text("meta")?;
    let value: Value =
        serde_json::from_str(&text).map_err(|e| bad(format!("is not valid JSON: {e}")))?;
    match value.get("schema").map(Value::as_u64) {
        None => Ok(Head {
            stored: None,
            schema: 0,
            legacy: value,
        }),
        Some(Some(schema @ 1..)) if schema <= u64::from(SCHEMA) => {
            let stored: StoredMeta =
                serde_json::from_value(value).map_err(|e| bad(format!("is incomplete: {e}")))?;
            Ok(Head {
                stored: Some((stored.meta, stored.aliases)),
                schema: schema as u32,
                legacy: Value::Null,
            })
        }
        Some(Some(newer)) if newer > u64::from(SCHEMA) => Err(CacheError::TooNew {
            path: path.to_path_buf(),
            found: newer,
            supported: SCHEMA,
        }),
        Some(_) => Err(bad("has a schema that is no version number".into())),
    }
}

fn embedding_dim(npz: &mut Npz) -> Result<u32, CacheError> {
    let header = npz.floats("embeddings", None, RowShape::Vectors, |_, _| Ok(()))?;
    Ok(header.shape[1] as u32)
}

/// A face of which nothing is known.
pub(crate) fn blank() -> FaceRecord {
    FaceRecord {
        path: SourcePath(String::new()),
        bbox: [f32::NAN; 4].into(),
        kps: [[f32::NAN; 2]; 5],
        det_score: f32::NAN,
        face_short: f32::NAN,
        blur: f32::NAN,
        embedding: Vec::new(),
        embedding_norm: 1.0,
        enrichment: None,
    }
}

/// A face for each row, of which the photo is known and nothing else.
fn blank_faces(npz: &mut Npz) -> Result<Vec<FaceRecord>, CacheError> {
    let paths = npz.strings("paths", None)?;
    Ok(paths
        .into_iter()
        .map(|path| FaceRecord {
            path: SourcePath(path),
            ..blank()
        })
        .collect())
}

/// The face arrays, one record per row, in row order.
fn read_faces(
    npz: &mut Npz,
    path: &Path,
    head: &Head,
) -> Result<(Vec<FaceRecord>, u32), CacheError> {
    let legacy = head.stored.is_none();
    let mut faces = blank_faces(npz)?;
    let n = Some(faces.len() as u64);
    let wanted_dim = head.stored.as_ref().map(|(meta, _)| meta.pack.dim);

    // Version 0 may hold raw vectors; their length is then the norm.
    let header = npz.floats("embeddings", n, RowShape::Vectors, |i, row| {
        let face = &mut faces[i];
        let explain = |what: String| format!("row {i} ({}): {what}", face.path);
        let dim = wanted_dim.unwrap_or(row.len() as u32);
        if row.len() > MAX_DIM {
            return Err(format!("has {} numbers a row", row.len()));
        }
        face.embedding = row.to_vec();
        if legacy {
            let norm = length(row);
            if !norm.is_finite() || norm == 0.0 {
                return Err(explain("its embedding has no finite length".into()));
            }
            if check_embedding(row, dim).is_err() {
                face.embedding_norm = norm as f32;
                for v in &mut face.embedding {
                    *v = (f64::from(*v) / norm) as f32;
                }
            }
        }
        check_embedding(&face.embedding, dim).map_err(explain)
    })?;
    let dim = wanted_dim.unwrap_or(header.shape[1] as u32);
    if u64::from(dim) != header.shape[1] {
        return Err(CacheError::BadArray {
            path: path.to_path_buf(),
            member: "embeddings".into(),
            what: format!("has {} numbers a row, meta says {dim}", header.shape[1]),
        });
    }
    npz.floats("bbox", n, RowShape::Exactly(&[4]), |i, row| {
        let bbox = BBox::from([row[0], row[1], row[2], row[3]]);
        faces[i].bbox = bbox;
        faces[i].face_short = bbox.short_edge_px();
        if bbox.is_finite() {
            Ok(())
        } else {
            Err(format!("row {i} ({}): not finite", faces[i].path))
        }
    })?;
    let one = RowShape::Exactly(&[]);
    npz.floats("det_score", n, one, |i, row| {
        faces[i].det_score = row[0];
        if (0.0..=1.0).contains(&row[0]) {
            Ok(())
        } else {
            Err(format!(
                "row {i} ({}): {} is not 0 to 1",
                faces[i].path, row[0]
            ))
        }
    })?;
    npz.floats("blur", n, one, |i, row| {
        faces[i].blur = row[0];
        finite(i, row)
    })?;
    if !legacy || npz.has("face_short") {
        npz.floats("face_short", n, one, |i, row| {
            faces[i].face_short = row[0];
            finite(i, row)
        })?;
    }
    if !legacy || npz.has("embedding_norm") {
        npz.floats("embedding_norm", n, one, |i, row| {
            faces[i].embedding_norm = row[0];
            finite(i, row)
        })?;
    }
    if !legacy || npz.has("kps") {
        npz.floats("kps", n, RowShape::Exactly(&[5, 2]), |i, row| {
            faces[i].kps.as_flattened_mut().copy_from_slice(row);
            Ok(())
        })?;
    }
    if !legacy || npz.has("enriched") {
        read_enrichment(npz, &mut faces)?;
    }
    Ok((faces, dim))
}

fn finite(i: usize, row: &[f32]) -> Result<(), String> {
    if row[0].is_finite() {
        Ok(())
    } else {
        Err(format!("row {i} is not a finite number"))
    }
}

fn read_enrichment(npz: &mut Npz, faces: &mut [FaceRecord]) -> Result<(), CacheError> {
    let n = faces.len() as u64;
    let enriched = npz.bools("enriched", n)?;
    // Nothing but NaN is in the large arrays then.
    if !enriched.contains(&true) {
        return Ok(());
    }
    for (face, enriched) in faces.iter_mut().zip(enriched) {
        face.enrichment = enriched.then(Enrichment::default);
    }
    let present = |row: &[f32]| !row.iter().all(|v| v.is_nan());
    npz.floats(
        "landmark_2d_106",
        Some(n),
        RowShape::Exactly(&[106, 2]),
        |i, row| {
            if let Some(e) = faces[i].enrichment.as_mut().filter(|_| present(row)) {
                e.landmark_2d_106 = Some(row.as_chunks().0.to_vec());
            }
            Ok(())
        },
    )?;
    npz.floats(
        "landmark_3d_68",
        Some(n),
        RowShape::Exactly(&[68, 3]),
        |i, row| {
            if let Some(e) = faces[i].enrichment.as_mut().filter(|_| present(row)) {
                e.landmark_3d_68 = Some(row.as_chunks().0.to_vec());
            }
            Ok(())
        },
    )?;
    npz.floats("pose", Some(n), RowShape::Exactly(&[3]), |i, row| {
        if let Some(e) = faces[i].enrichment.as_mut().filter(|_| present(row)) {
            e.pose = Some(Pose::from([row[0], row[1], row[2]]));
        }
        Ok(())
    })?;
    Ok(())
}

/// The file table.
struct Files {
    /// In the order of the arrays; with empty lists where faces belong.
    entries: Vec<FileEntry>,
    noface: BTreeSet<SourcePath>,
}

fn read_files(
    npz: &mut Npz,
    path: &Path,
    legacy: bool,
    faces: &[FaceRecord],
    depth: Depth,
) -> Result<Files, CacheError> {
    let bad = |member: &str, what: String| CacheError::BadArray {
        path: path.to_path_buf(),
        member: member.to_owned(),
        what,
    };
    let wanted = |npz: &Npz, name: &str| !legacy || npz.has(name);
    let mut noface = BTreeSet::new();
    if wanted(npz, "noface_paths") {
        noface.extend(
            npz.strings("noface_paths", None)?
                .into_iter()
                .map(SourcePath),
        );
    }
    let mut failed = BTreeMap::new();
    if wanted(npz, "failed_paths") {
        let paths = npz.strings("failed_paths", None)?;
        let reasons = npz.strings("failed_reasons", Some(paths.len() as u64))?;
        failed.extend(paths.into_iter().map(SourcePath).zip(reasons));
    }
    let mut entries: Vec<FileEntry> = if wanted(npz, "file_paths") {
        let paths = npz.strings("file_paths", None)?;
        paths.into_iter().map(|p| unread_file(p.into())).collect()
    } else {
        let named: BTreeSet<&SourcePath> = faces
            .iter()
            .map(|face| &face.path)
            .chain(&noface)
            .chain(failed.keys())
            .collect();
        named.into_iter().cloned().map(unread_file).collect()
    };
    let n = entries.len() as u64;
    if wanted(npz, "file_sha256") {
        for (file, hash) in entries.iter_mut().zip(npz.strings("file_sha256", Some(n))?) {
            file.sha256 = hash
                .parse()
                .map_err(|e| bad("file_sha256", format!("{}: {e}", file.path)))?;
        }
    }
    let wanted = |npz: &Npz, name: &str| depth == Depth::All && wanted(npz, name);
    if wanted(npz, "file_size") {
        for (file, size) in entries.iter_mut().zip(npz.integers("file_size", n)?) {
            file.size = u64::try_from(size)
                .map_err(|_| bad("file_size", format!("{}: {size}", file.path)))?;
        }
    }
    if wanted(npz, "file_mtime_ns") {
        for (file, mtime_ns) in entries.iter_mut().zip(npz.integers("file_mtime_ns", n)?) {
            file.mtime_ns = mtime_ns;
        }
    }
    if wanted(npz, "file_dims") {
        for (file, dims) in entries.iter_mut().zip(npz.pairs("file_dims", n)?) {
            file.dims = dims;
        }
    }
    if wanted(npz, "file_taken") {
        for (file, taken) in entries.iter_mut().zip(npz.strings("file_taken", Some(n))?) {
            file.taken = taken;
        }
    }
    if wanted(npz, "file_source") {
        for (file, source) in entries.iter_mut().zip(npz.strings("file_source", Some(n))?) {
            file.source = source;
        }
    }
    for file in &mut entries {
        if let Some(reason) = failed.remove(&file.path) {
            file.status = FileStatus::Failed(reason);
        }
    }
    match failed.into_keys().next() {
        Some(path) => Err(bad(
            "failed_paths",
            format!("names {path}, which file_paths lacks"),
        )),
        None => Ok(Files { entries, noface }),
    }
}

fn unread_file(path: SourcePath) -> FileEntry {
    FileEntry {
        sha256: unread_hash(&path),
        path,
        size: 0,
        mtime_ns: 0,
        dims: [0, 0],
        taken: String::new(),
        source: "original".into(),
        status: FileStatus::Faces(Vec::new()),
    }
}
