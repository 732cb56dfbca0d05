//! One photo from the server to its place on disk.
//!
//! Written beside, checked, renamed: a file under its own name is whole and is what the
//! server's checksum says. What the outcome means for the run is `run`'s business.

use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use faceset_core::ContentHash;
use faceset_fs::{AtomicFile, FsError};
use faceset_media::SNIFF_BYTES;
use faceset_queue::{Derivative, PortablePath, Sha1Hash};
use immich_client::{AssetId, Client, Downloaded, Error, MediaRequest, Sink};
use sha1::{Digest, Sha1};
use sha2::Sha256;

use crate::index::{Contents, Here};
use crate::source::{Source, is_decodable, renders};

/// What to fetch and where to.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) asset: AssetId,
    pub(crate) owner: String,
    pub(crate) original_path: String,
    pub(crate) sha1: Option<[u8; 20]>,
    pub(crate) source: Source,
    /// The bytes on the server are one of Immich's own thumbnails.
    pub(crate) thumbnail: bool,
    pub(crate) rel: PortablePath,
    pub(crate) dest: PathBuf,
    /// What the file will be called in caches.
    pub(crate) here: Here,
    pub(crate) n_faces: u32,
    pub(crate) max_short_px: Option<f64>,
    pub(crate) taken_at: Option<String>,
    pub(crate) size_px: (u32, u32),
}

/// A file that is in its place, or was found elsewhere.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) sha256: ContentHash,
    pub(crate) sha1: Sha1Hash,
    pub(crate) size: u64,
    pub(crate) rendered: Option<Derivative>,
    /// The same bytes were here: nothing was written.
    pub(crate) same: Option<Here>,
    /// The file lay in its place already, left by a run that was killed before it could
    /// say so.
    pub(crate) adopted: bool,
}

/// Why there is no file.
#[derive(Debug)]
pub(crate) enum FetchError {
    /// The server's side.
    Server(Error),
    /// Our disk: the next photo would fare no better.
    Disk(FsError),
}

/// Fetches a photo, or adopts what a killed run left in its place.
pub(crate) async fn fetch(
    client: &Client,
    contents: Arc<Contents>,
    job: &Job,
) -> Result<Fetched, FetchError> {
    if let (Some(expected), Source::Original) = (job.sha1, job.source) {
        let path = job.dest.clone();
        let found = blocking(move || hash_file(&path, Some(expected))).await;
        if let Some(found) = found {
            return Ok(Fetched {
                same: contents.claim(found.sha256.0, &job.here),
                rendered: job.thumbnail.then_some(Derivative::Thumbnail),
                ..found
            });
        }
    }
    let (landed, rendered) = match job.source {
        Source::Original => original_or_render(client, job).await?,
        Source::Render | Source::RenderedOnly => render(client, job).await?,
    };
    let Landed {
        file,
        downloaded,
        start: _,
    } = landed;
    let fetched = Fetched {
        sha256: ContentHash(downloaded.sha256),
        sha1: Sha1Hash(downloaded.sha1),
        size: downloaded.n_bytes,
        rendered: rendered.or_else(|| job.thumbnail.then_some(Derivative::Thumbnail)),
        same: contents.claim(downloaded.sha256, &job.here),
        adopted: false,
    };
    if fetched.same.is_some() {
        return Ok(fetched);
    }
    // Renaming waits for the disk.
    match blocking(move || file.commit()).await {
        Ok(()) => Ok(fetched),
        Err(error) => {
            contents.release(&fetched.sha256.0, &job.here.path);
            Err(FetchError::Disk(error))
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(failed) => std::panic::resume_unwind(failed.into_panic()),
    }
}

async fn original_or_render(
    client: &Client,
    job: &Job,
) -> Result<(Landed, Option<Derivative>), FetchError> {
    let request = MediaRequest::original(&job.asset).expecting(job.sha1);
    let landed = land(client, &request, &job.dest).await?;
    if is_decodable(&landed.start) {
        return Ok((landed, None));
    }
    // The name lied: a format inside that the embedder could not read.
    drop(landed.file);
    render(client, job).await
}

async fn render(client: &Client, job: &Job) -> Result<(Landed, Option<Derivative>), FetchError> {
    let mut last = None;
    for (request, kind) in renders(&job.asset) {
        match land(client, &request, &job.dest).await {
            // A full-size picture may be the original again, or turn out a preview.
            Ok(landed) if landed.downloaded.served.contains("size=preview") => {
                return Ok((landed, Some(Derivative::Preview)));
            }
            Ok(landed) if is_original(&landed.downloaded.served) => {
                if is_decodable(&landed.start) && job.source != Source::RenderedOnly {
                    return Ok((landed, None));
                }
            }
            Ok(landed) => return Ok((landed, Some(kind))),
            Err(FetchError::Server(error @ Error::NotReady { .. })) => last = Some(error),
            Err(other) => return Err(other),
        }
    }
    Err(FetchError::Server(last.unwrap_or_else(|| {
        Error::NotReady {
            call: format!("a picture of {}", job.asset),
            message: "only the original in a format that is not decoded".to_owned(),
        }
    })))
}

/// Whether a download was of the original in the end, by the path that answered.
fn is_original(served: &str) -> bool {
    let path = served.split('?').next().unwrap_or_default();
    path.ends_with("/original")
}

struct Landed {
    file: AtomicFile,
    downloaded: Downloaded,
    start: Vec<u8>,
}

async fn land(client: &Client, request: &MediaRequest, dest: &Path) -> Result<Landed, FetchError> {
    let mut landing = Landing {
        dest: dest.to_path_buf(),
        file: None,
        start: Vec::new(),
        failed: None,
    };
    let downloaded = match client.download(request, &mut landing).await {
        Ok(downloaded) => downloaded,
        Err(error) => {
            return Err(match landing.failed {
                Some(disk) => FetchError::Disk(disk),
                None => FetchError::Server(error),
            });
        }
    };
    Ok(Landed {
        file: landing.file.expect("a download that succeeds was started"),
        start: landing.start,
        downloaded,
    })
}

/// Takes a download into an unfinished file beside its place.
struct Landing {
    dest: PathBuf,
    file: Option<AtomicFile>,
    start: Vec<u8>,
    failed: Option<FsError>,
}

impl Landing {
    fn fail(&mut self, source: io::Error) -> io::Error {
        let kind = source.kind();
        self.failed = Some(FsError::Io {
            action: "write",
            path: self.dest.clone(),
            source,
        });
        kind.into()
    }
}

impl Sink for Landing {
    fn restart(&mut self) -> io::Result<()> {
        self.file = None;
        self.start.clear();
        match AtomicFile::create_exclusive(&self.dest) {
            Ok(file) => self.file = Some(file),
            Err(error) => {
                self.failed = Some(error);
                return Err(io::ErrorKind::Other.into());
            }
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let wanted = SNIFF_BYTES.saturating_sub(self.start.len());
        self.start
            .extend_from_slice(&bytes[..wanted.min(bytes.len())]);
        let file = self.file.as_mut().expect("restart comes first");
        file.write_all(bytes).map_err(|source| self.fail(source))
    }
}

/// Hashes the file at `path`; `None` when there is none, or when its SHA-1 is not the
/// expected one.
fn hash_file(path: &Path, expected: Option<[u8; 20]>) -> Option<Fetched> {
    let mut file = std::fs::File::open(path).ok()?;
    let (mut sha1, mut sha256) = (Sha1::new(), Sha256::new());
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer).ok()? {
            0 => break,
            n => {
                sha1.update(&buffer[..n]);
                sha256.update(&buffer[..n]);
            }
        }
    }
    let size = file.stream_position().ok()?;
    let sha1: [u8; 20] = sha1.finalize().into();
    if expected.is_some_and(|expected| expected != sha1) {
        return None;
    }
    Some(Fetched {
        sha256: ContentHash(sha256.finalize().into()),
        sha1: Sha1Hash(sha1),
        size,
        rendered: None,
        same: None,
        adopted: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_original_is_told_by_its_path_alone() {
        assert!(is_original("/api/assets/1/original"));
        assert!(is_original("/api/assets/1/original?"));
        assert!(is_original("/api/assets/1/original?edited=true"));
        assert!(!is_original("/api/assets/1/thumbnail?size=fullsize"));
        assert!(!is_original("/api/assets/original/thumbnail?size=preview"));
    }
}
