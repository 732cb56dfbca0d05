//! Originals and pictures: streamed, hashed on the way, never resumed halfway.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::sync::atomic::Ordering;

use bytes::Bytes;
use reqwest::{Method, Response};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::answer::Wanted;
use crate::client::Client;
use crate::error::{Error, Outage};
use crate::transport::{Call, Next, content_type};
use crate::{AssetId, PersonId};

/// Which rendering of an asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThumbnailSize {
    /// WebP, short edge 250 pixels.
    Thumbnail,
    /// JPEG, upright, short edge 1440 pixels unless the administrator changed it.
    Preview,
    /// The largest that a browser can show: the original itself for web formats (the
    /// key then needs `asset.download` too), a rendering for others.
    Fullsize,
}

/// One file to get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaRequest {
    segments: Vec<String>,
    query: Option<(&'static str, &'static str)>,
    expected_sha1: Option<[u8; 20]>,
}

impl MediaRequest {
    /// The file as it was uploaded; needs `asset.download`.
    pub fn original(asset: &AssetId) -> Self {
        Self::new(["assets", asset.as_str(), "original"])
    }

    /// The file with the edits made in Immich (servers from 2.5).
    pub fn edited(asset: &AssetId) -> Self {
        Self {
            query: Some(("edited", "true")),
            ..Self::original(asset)
        }
    }

    /// A rendering; needs `asset.view`.
    pub fn thumbnail(asset: &AssetId, size: ThumbnailSize) -> Self {
        let size = match size {
            ThumbnailSize::Thumbnail => "thumbnail",
            ThumbnailSize::Preview => "preview",
            ThumbnailSize::Fullsize => "fullsize",
        };
        Self {
            query: Some(("size", size)),
            ..Self::new(["assets", asset.as_str(), "thumbnail"])
        }
    }

    /// A person's picture; needs `person.read`.
    pub fn person(person: &PersonId) -> Self {
        Self::new(["people", person.as_str(), "thumbnail"])
    }

    /// Accept only bytes of this SHA-1, as [`crate::Asset::expected_sha1`] gives it
    /// for originals; `None` accepts any.
    #[must_use]
    pub fn expecting(mut self, sha1: Option<[u8; 20]>) -> Self {
        self.expected_sha1 = sha1;
        self
    }

    fn new(segments: [&str; 3]) -> Self {
        Self {
            segments: segments.map(str::to_owned).to_vec(),
            query: None,
            expected_sha1: None,
        }
    }

    fn call(&self, client: &Client) -> Call {
        let call = client.call(Method::GET, self.segments.iter().map(String::as_str));
        match self.query {
            Some((name, value)) => call.query(name, value),
            None => call,
        }
    }
}

/// What a complete download was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Downloaded {
    /// Bytes.
    pub n_bytes: u64,
    /// SHA-1, the server's checksum of originals.
    pub sha1: [u8; 20],
    /// SHA-256.
    pub sha256: [u8; 32],
    /// Like `image/jpeg`; empty when the server did not say.
    pub content_type: String,
    /// Path and query that answered in the end: a full-size picture is redirected to the
    /// original, or to the preview where the server has no larger one.
    pub served: String,
}

/// Takes the bytes of a download. Writes are made on the runtime's threads: give it
/// local files or memory.
pub trait Sink: Send {
    /// A (further) attempt starts: forget all bytes of an earlier one.
    fn restart(&mut self) -> io::Result<()>;
    /// The next bytes.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
}

impl Sink for Vec<u8> {
    fn restart(&mut self) -> io::Result<()> {
        self.clear();
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.extend_from_slice(bytes);
        Ok(())
    }
}

impl Sink for File {
    fn restart(&mut self) -> io::Result<()> {
        self.rewind()?;
        self.set_len(0)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }
}

/// A download under way, for passing it on as it comes.
#[derive(Debug)]
pub struct MediaStream {
    response: Response,
    client: Client,
    label: String,
    content_type: String,
    served: String,
    length: Option<u64>,
    n_bytes: u64,
    sha1: Sha1,
    sha256: Sha256,
    expected_sha1: Option<[u8; 20]>,
}

impl Client {
    /// Downloads into `sink`, again from the start after a failed attempt.
    ///
    /// # Errors
    /// [`Error::Checksum`] when the bytes are not the expected ones, also at the second
    /// attempt; [`Error::NotReady`] for a picture not rendered yet; [`Error::Sink`]
    /// when the sink fails. After an error the sink holds nothing of worth.
    pub async fn download(
        &self,
        request: &MediaRequest,
        sink: &mut dyn Sink,
    ) -> Result<Downloaded, Error> {
        let call = request.call(self);
        let mut attempts = self.begin(&call).await?;
        loop {
            let outcome = self.download_once(request, &call, sink).await;
            if let Next::Done(result) = attempts.settle(outcome).await {
                return result;
            }
        }
    }

    /// Downloads into memory, at most `limit` bytes; equal is taken.
    ///
    /// # Errors
    /// As [`Client::download`], and [`Error::TooLarge`].
    pub async fn fetch(
        &self,
        request: &MediaRequest,
        limit: u64,
    ) -> Result<(Vec<u8>, Downloaded), Error> {
        let mut sink = Bounded {
            bytes: Vec::new(),
            limit,
            exceeded: false,
        };
        match self.download(request, &mut sink).await {
            Err(Error::Sink { call, .. }) if sink.exceeded => Err(Error::TooLarge { call, limit }),
            Err(error) => Err(error),
            Ok(downloaded) => Ok((sink.bytes, downloaded)),
        }
    }

    /// Opens a download for passing it on; only the opening is retried.
    pub async fn open(&self, request: &MediaRequest) -> Result<MediaStream, Error> {
        let call = request.call(self);
        let mut attempts = self.begin(&call).await?;
        loop {
            let outcome = self.open_once(request, &call).await;
            if let Next::Done(result) = attempts.settle(outcome).await {
                return result;
            }
        }
    }

    async fn open_once(&self, request: &MediaRequest, call: &Call) -> Result<MediaStream, Error> {
        let response = self.once(call, Wanted::Media).await?;
        let content_type = content_type(response.headers());
        if content_type.starts_with("text/html") {
            return Err(Error::Protocol {
                call: call.label.clone(),
                what: "expected a file, found a web page".to_owned(),
            });
        }
        let url = response.url();
        Ok(MediaStream {
            // The server redirects to `original?`, with a query of nothing.
            served: match url.query().filter(|query| !query.is_empty()) {
                Some(query) => format!("{}?{query}", url.path()),
                None => url.path().to_owned(),
            },
            length: response.content_length(),
            client: self.clone(),
            label: call.label.clone(),
            content_type,
            response,
            n_bytes: 0,
            sha1: Sha1::new(),
            sha256: Sha256::new(),
            expected_sha1: request.expected_sha1,
        })
    }

    async fn download_once(
        &self,
        request: &MediaRequest,
        call: &Call,
        sink: &mut dyn Sink,
    ) -> Result<Downloaded, Error> {
        let failed = |source| Error::Sink {
            call: call.label.clone(),
            source,
        };
        let mut stream = self.open_once(request, call).await?;
        sink.restart().map_err(failed)?;
        while let Some(bytes) = stream.chunk().await? {
            sink.write(&bytes).map_err(failed)?;
        }
        stream.finish()
    }
}

impl MediaStream {
    /// Like `image/jpeg`; empty when the server did not say.
    pub fn content_type(&self) -> &str {
        &self.content_type
    }

    /// The length that the server announced.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// The next bytes; `None` at the end. Then call [`MediaStream::finish`].
    ///
    /// # Errors
    /// [`Error::Outage`] when the connection breaks or stalls.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let chunk = self
            .response
            .chunk()
            .await
            .map_err(|source| Error::transport(&self.label, source, true))?;
        if let Some(bytes) = &chunk {
            self.n_bytes += bytes.len() as u64;
            self.sha1.update(bytes);
            self.sha256.update(bytes);
            let received = &self.client.0.counters.media_bytes;
            received.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
        Ok(chunk)
    }

    /// Checks that everything came and is what was expected.
    ///
    /// # Errors
    /// [`Error::Outage`] when bytes are missing, [`Error::Checksum`] when they are
    /// others than expected.
    pub fn finish(self) -> Result<Downloaded, Error> {
        if self.length.is_some_and(|length| length != self.n_bytes) {
            return Err(Error::outage(&self.label, Outage::CutOff, None));
        }
        let sha1: [u8; 20] = self.sha1.finalize().into();
        if let Some(expected) = self.expected_sha1.filter(|expected| *expected != sha1) {
            return Err(Error::Checksum {
                call: self.label,
                expected: hex(&expected),
                found: hex(&sha1),
            });
        }
        Ok(Downloaded {
            n_bytes: self.n_bytes,
            sha1,
            sha256: self.sha256.finalize().into(),
            content_type: self.content_type,
            served: self.served,
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String cannot fail");
        text
    })
}

/// Memory with a lid.
struct Bounded {
    bytes: Vec<u8>,
    limit: u64,
    exceeded: bool,
}

impl Sink for Bounded {
    fn restart(&mut self) -> io::Result<()> {
        self.bytes.clear();
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if (self.bytes.len() + bytes.len()) as u64 > self.limit {
            self.exceeded = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
}
