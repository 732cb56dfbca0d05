//! A cache as an npz: members in a fixed order, written row by row.
//!
//! Equal caches give equal bytes on every system: fixed order, fixed times,
//! fixed "made on" field, a compressor whose output does not depend on the
//! processor. Nothing is collected in memory.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Seek, Write};

use faceset_core::{ContentHash, FaceRecord, FileEntry, SourcePath};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, System, ZipWriter};

use crate::npy::{Header, Kind, write_str};
use crate::validate::{N_LANDMARKS_2D, N_LANDMARKS_3D};
use crate::{Cache, CacheMeta, SCHEMA};

/// From this size on a member needs the 64-bit fields of zip; below 4 GiB by a
/// margin for data that deflate makes larger.
const ZIP64_FROM_BYTES: u64 = 0xF000_0000;
/// Deflate level. 1 is as small as 6 on our arrays within 2 % and several
/// times as fast (docs/decisions/0003-cache-format.md).
const DEFLATE_LEVEL: i64 = 1;
const BUFFER_BYTES: usize = 1 << 16;
/// Comment of the archive: tells a cache of ours whose `meta` was damaged from
/// one of schema 0, which may have none.
pub(crate) const COMMENT: &str = "face-sets cache";

/// The `meta` member: [`CacheMeta`] with what only the file needs.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StoredMeta {
    pub(crate) schema: u32,
    #[serde(flatten)]
    pub(crate) meta: CacheMeta,
    /// Canonical path to its other places, sorted.
    #[serde(default)]
    pub(crate) aliases: BTreeMap<SourcePath, Vec<SourcePath>>,
}

/// Digest of an npz's content: of every member's name, size and crc32, in the
/// order of the archive. Cheap to get from an archive's directory.
#[derive(Debug, Default)]
pub(crate) struct ContentDigest(Sha256);

impl ContentDigest {
    pub(crate) fn member(&mut self, name: &str, size: u64, crc32: u32) {
        self.0
            .update(format!("{name} {size} {crc32:08x}\n").as_bytes());
    }

    pub(crate) fn finish(self) -> String {
        ContentHash(self.0.finalize().into()).to_string()
    }
}

/// Writes the archive and returns its content digest.
pub(crate) fn write_npz<W: Write + Seek>(cache: &Cache, out: W) -> io::Result<String> {
    let out = FailOnce {
        inner: out,
        has_failed: false,
        position: 0,
    };
    let mut zip = ZipWriter::new(BufWriter::with_capacity(BUFFER_BYTES, out));
    zip.set_comment(COMMENT).map_err(io::Error::other)?;
    let mut npz = Archive {
        zip,
        digest: ContentDigest::default(),
    };
    npz.text("meta", &meta_json(cache))?;
    write_faces(cache, &mut npz)?;
    write_files(cache, &mut npz)?;
    let mut buffer = npz.zip.finish().map_err(io::Error::other)?;
    buffer.flush()?;
    Ok(npz.digest.finish())
}

fn meta_json(cache: &Cache) -> String {
    let aliases = cache
        .aliases_of
        .iter()
        .map(|(canonical, paths)| (canonical.clone(), paths.iter().cloned().collect()))
        .collect();
    serde_json::to_string(&StoredMeta {
        schema: SCHEMA,
        meta: cache.meta.clone(),
        aliases,
    })
    .expect("the meta is text keys and plain values")
}

fn write_faces<W: Write + Seek>(cache: &Cache, npz: &mut Archive<W>) -> io::Result<()> {
    let n = cache.n_faces() as u64;
    let dim = u64::from(cache.meta.pack.dim);
    npz.floats("embeddings", &[n, dim], cache, |f, row| {
        row.extend_from_slice(&f.embedding);
    })?;
    npz.floats("embedding_norm", &[n], cache, |f, row| {
        row.push(f.embedding_norm);
    })?;
    npz.strings("paths", || cache.faces().map(|r| r.face.path.as_str()))?;
    npz.floats("bbox", &[n, 4], cache, |f, row| {
        row.extend(<[f32; 4]>::from(f.bbox));
    })?;
    npz.floats("kps", &[n, 5, 2], cache, |f, row| {
        row.extend_from_slice(f.kps.as_flattened());
    })?;
    npz.floats("det_score", &[n], cache, |f, row| row.push(f.det_score))?;
    npz.floats("face_short", &[n], cache, |f, row| row.push(f.face_short))?;
    npz.floats("blur", &[n], cache, |f, row| row.push(f.blur))?;
    npz.floats("landmark_2d_106", &[n, 106, 2], cache, |f, row| {
        let points = f
            .enrichment
            .as_ref()
            .and_then(|e| e.landmark_2d_106.as_ref());
        extend_or_nan(row, points.map(|p| p.as_flattened()), N_LANDMARKS_2D * 2);
    })?;
    npz.floats("landmark_3d_68", &[n, 68, 3], cache, |f, row| {
        let points = f
            .enrichment
            .as_ref()
            .and_then(|e| e.landmark_3d_68.as_ref());
        extend_or_nan(row, points.map(|p| p.as_flattened()), N_LANDMARKS_3D * 3);
    })?;
    npz.floats("pose", &[n, 3], cache, |f, row| {
        let pose = f
            .enrichment
            .as_ref()
            .and_then(|e| e.pose)
            .map(<[f32; 3]>::from);
        extend_or_nan(row, pose.as_ref().map(<[f32; 3]>::as_slice), 3);
    })?;
    npz.member("enriched", Kind::Bool, &[n], |out| {
        cache
            .faces()
            .try_for_each(|r| out.write_all(&[u8::from(r.face.enrichment.is_some())]))
    })
}

fn extend_or_nan(row: &mut Vec<f32>, values: Option<&[f32]>, n: usize) {
    match values {
        Some(values) => row.extend_from_slice(values),
        None => row.extend(std::iter::repeat_n(f32::NAN, n)),
    }
}

fn write_files<W: Write + Seek>(cache: &Cache, npz: &mut Archive<W>) -> io::Result<()> {
    npz.strings("noface_paths", || cache.noface().map(|f| f.path.as_str()))?;
    npz.strings("failed_paths", || {
        cache.failed().map(|(f, _)| f.path.as_str())
    })?;
    npz.strings("failed_reasons", || {
        cache.failed().map(|(_, reason)| reason)
    })?;
    npz.strings("file_paths", || cache.files().map(|f| f.path.as_str()))?;
    let n = cache.n_files() as u64;
    npz.member("file_sha256", Kind::Str(64), &[n], |out| {
        cache
            .files()
            .try_for_each(|f| write_str(out, &f.sha256.to_string(), 64))
    })?;
    npz.member("file_size", Kind::I64, &[n], |out| {
        cache.files().try_for_each(|f| {
            let size = i64::try_from(f.size).expect("checked at the door");
            out.write_all(&size.to_le_bytes())
        })
    })?;
    npz.member("file_mtime_ns", Kind::I64, &[n], |out| {
        cache
            .files()
            .try_for_each(|f| out.write_all(&f.mtime_ns.to_le_bytes()))
    })?;
    npz.member("file_dims", Kind::U32, &[n, 2], |out| {
        cache.files().try_for_each(|f: &FileEntry| {
            out.write_all(&f.dims[0].to_le_bytes())?;
            out.write_all(&f.dims[1].to_le_bytes())
        })
    })?;
    npz.strings("file_taken", || cache.files().map(|f| f.taken.as_str()))?;
    npz.strings("file_source", || cache.files().map(|f| f.source.as_str()))?;
    npz.strings("alias_paths", || {
        cache.aliases.keys().map(SourcePath::as_str)
    })?;
    npz.member(
        "alias_mtime_ns",
        Kind::I64,
        &[cache.aliases.len() as u64],
        |out| {
            cache
                .aliases
                .values()
                .try_for_each(|a| out.write_all(&a.mtime_ns.to_le_bytes()))
        },
    )
}

struct Archive<W: Write + Seek> {
    zip: ZipWriter<BufWriter<FailOnce<W>>>,
    digest: ContentDigest,
}

impl<W: Write + Seek> Archive<W> {
    /// One array; `fill` writes exactly its data.
    fn member(
        &mut self,
        name: &str,
        kind: Kind,
        shape: &[u64],
        fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        let name = format!("{name}.npy");
        let header = Header {
            kind,
            shape: shape.to_vec(),
        };
        let start = header.to_bytes();
        let size = start.len() as u64 + header.data_bytes();
        // Embeddings are noise to a compressor: it would spend most of the
        // time of a compaction on saving 7 % (measured, see the decision).
        let options = if name == "embeddings.npy" {
            SimpleFileOptions::default().compression_method(CompressionMethod::Stored)
        } else {
            SimpleFileOptions::default()
                .compression_method(CompressionMethod::Deflated)
                .compression_level(Some(DEFLATE_LEVEL))
        }
        .last_modified_time(DateTime::default())
        .system(System::Unix)
        .unix_permissions(0o644)
        .large_file(size >= ZIP64_FROM_BYTES);
        self.zip
            .start_file(name.as_str(), options)
            .map_err(io::Error::other)?;
        let mut out = BufWriter::with_capacity(
            BUFFER_BYTES,
            Counted {
                inner: &mut self.zip,
                crc: crc32fast::Hasher::new(),
                bytes: 0,
            },
        );
        out.write_all(&start)?;
        fill(&mut out)?;
        out.flush()?;
        let (bytes, crc) = (out.get_ref().bytes, out.get_ref().crc.clone().finalize());
        if bytes != size {
            return Err(io::Error::other(format!(
                "array {name} came out with {bytes} bytes instead of {size}"
            )));
        }
        drop(out);
        self.digest.member(&name, size, crc);
        Ok(())
    }

    fn floats(
        &mut self,
        name: &str,
        shape: &[u64],
        cache: &Cache,
        fill_row: impl Fn(&FaceRecord, &mut Vec<f32>),
    ) -> io::Result<()> {
        self.member(name, Kind::F32, shape, |out| {
            let (mut row, mut bytes) = (Vec::new(), Vec::new());
            cache.files().try_for_each(|file| {
                file.faces().iter().try_for_each(|face| {
                    row.clear();
                    bytes.clear();
                    fill_row(face, &mut row);
                    bytes.extend(
                        row.iter()
                            .flat_map(|v: &f32| canonical_nan(*v).to_le_bytes()),
                    );
                    out.write_all(&bytes)
                })
            })
        })
    }

    /// `values` is called twice: once for the width, once for the text.
    fn strings<'a, I: Iterator<Item = &'a str>>(
        &mut self,
        name: &str,
        values: impl Fn() -> I,
    ) -> io::Result<()> {
        let (mut n, mut width) = (0, 1);
        for text in values() {
            n += 1;
            width = width.max(text.chars().count() as u64);
        }
        self.member(name, Kind::Str(width), &[n], |out| {
            values().try_for_each(|text| write_str(out, text, width))
        })
    }

    /// A single text without dimensions.
    fn text(&mut self, name: &str, text: &str) -> io::Result<()> {
        let width = text.chars().count().max(1) as u64;
        self.member(name, Kind::Str(width), &[], |out| {
            write_str(out, text, width)
        })
    }
}

/// One bit pattern for every NaN: which one arithmetic makes differs between
/// processors.
fn canonical_nan(v: f32) -> f32 {
    if v.is_nan() { f32::NAN } else { v }
}

struct Counted<'a, W> {
    inner: &'a mut W,
    crc: crc32fast::Hasher,
    bytes: u64,
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(buf)?;
        self.crc.update(&buf[..n]);
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reports the first error and swallows everything after it. `ZipWriter` tries
/// to complete a failed archive when it is dropped, and prints to stderr when
/// that fails too; the file is thrown away in any case.
struct FailOnce<W> {
    inner: W,
    has_failed: bool,
    position: u64,
}

impl<W> FailOnce<W> {
    fn note<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        let retried = io::ErrorKind::Interrupted;
        self.has_failed |= result.as_ref().is_err_and(|e| e.kind() != retried);
        result
    }
}

impl<W: Write> Write for FailOnce<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = if self.has_failed {
            buf.len()
        } else {
            let result = self.inner.write(buf);
            self.note(result)?
        };
        self.position += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.has_failed {
            return Ok(());
        }
        let result = self.inner.flush();
        self.note(result)
    }
}

impl<W: Seek> Seek for FailOnce<W> {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        if self.has_failed {
            // Archives are written by absolute positions.
            if let io::SeekFrom::Start(position) = to {
                self.position = position;
            }
        } else {
            let result = self.inner.seek(to);
            self.position = self.note(result)?;
        }
        Ok(self.position)
    }
}
