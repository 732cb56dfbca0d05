//! Originals and pictures: hashed, verified, retried from the start.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test")]

mod support;

use std::io;
use std::sync::Arc;

use immich_client::{Error, ErrorKind, MediaRequest, Sink, ThumbnailSize};
use immich_fake::{Asset, Content, Fault, Shape};
use support::{World, asset, world};

/// sha256 of "abc", FIPS 180-4.
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |hex, b| hex + &format!("{b:02x}"))
}

async fn one_photo() -> (World, MediaRequest, Vec<u8>) {
    let w = world(Shape::v2_7_2(), 1).await;
    let (bytes, sha1) = w
        .fake
        .with_library(|l| l.asset(w.photos[0]).map(|a| (a.bytes(), a.sha1())).unwrap());
    let request = MediaRequest::original(&asset(w.photos[0])).expecting(Some(sha1));
    (w, request, bytes)
}

#[tokio::test]
async fn both_hashes_are_those_of_the_bytes() {
    let w = world(Shape::v2_7_2(), 1).await;
    w.fake.with_library(|l| {
        l.update_asset(w.photos[0], |a| {
            a.content = Content::Bytes(Arc::from(&b"abc"[..]));
        });
    });
    let record = w.client.asset(&asset(w.photos[0])).await.unwrap();
    let request = MediaRequest::original(&record.id).expecting(record.expected_sha1());
    let (bytes, downloaded) = w.client.fetch(&request, 3).await.unwrap();
    assert_eq!((bytes.as_slice(), downloaded.n_bytes), (&b"abc"[..], 3));
    assert_eq!(hex(&downloaded.sha256), ABC);
    assert_eq!(
        hex(&downloaded.sha1),
        "a9993e364706816aba3e25717850c26c9cd0d89d"
    );
    assert_eq!(downloaded.content_type, "image/jpeg");
    assert_eq!(w.client.stats().media_bytes, 3);
    // One byte more than allowed.
    let error = w.client.fetch(&request, 2).await.unwrap_err();
    assert!(
        matches!(error, Error::TooLarge { limit: 2, .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn truncated_bodies_are_fetched_again_from_the_start() {
    let (w, request, bytes) = one_photo().await;
    w.fake.fail("/original", 3, Fault::CutOff);
    let mut sink = b"rubbish".to_vec();
    w.client.download(&request, &mut sink).await.unwrap();
    assert_eq!(sink, bytes);
    assert_eq!(w.fake.n_requests("/original"), 4);
    w.fake.fail("/original", 4, Fault::CutOff);
    let error = w.client.download(&request, &mut sink).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Outage);
}

#[tokio::test]
async fn wrong_bytes_are_refused_after_a_second_try() {
    for fault in [Fault::WrongByte, Fault::Shortened] {
        let (w, request, bytes) = one_photo().await;
        w.fake.fail("/original", 1, fault.clone());
        assert_eq!(w.client.fetch(&request, 9999).await.unwrap().0, bytes);
        w.fake.fail("/original", 2, fault.clone());
        w.fake.clear_log();
        let error = w.client.fetch(&request, 9999).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Integrity, "{fault:?}");
        assert_eq!(w.fake.n_requests("/original"), 2);
        // Without an expectation there is nothing to compare with.
        w.fake.fail("/original", 1, fault);
        let any = MediaRequest::original(&asset(w.photos[0]));
        assert_ne!(w.client.fetch(&any, 9999).await.unwrap().0, bytes);
    }
}

#[tokio::test]
async fn external_libraries_are_not_verified_by_their_checksum_of_the_path() {
    let w = world(Shape::v2_7_2(), 1).await;
    w.fake
        .with_library(|l| l.update_asset(w.photos[0], |a| a.external = Some(a.owner)));
    let record = w.client.asset(&asset(w.photos[0])).await.unwrap();
    assert!(record.checksum.is_some());
    let request = MediaRequest::original(&record.id).expecting(record.expected_sha1());
    w.client.fetch(&request, 9999).await.unwrap();
}

#[tokio::test]
async fn a_file_missing_on_the_servers_disk_is_a_fault_of_the_item() {
    let (w, request, _) = one_photo().await;
    w.fake
        .with_library(|l| l.update_asset(w.photos[0], |a| a.missing_on_disk = true));
    let error = w.client.fetch(&request, 9999).await.unwrap_err();
    assert!(
        matches!(error, Error::ServerFault { status: 500, .. }),
        "{error:?}"
    );
    w.fake.fail("/original", 1, Fault::WebPage);
    let error = w.client.fetch(&request, 9999).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
}

#[tokio::test]
async fn pictures_come_in_every_size_or_not_yet() {
    let w = world(Shape::v2_7_2(), 1).await;
    let get = async |size| {
        let request = MediaRequest::thumbnail(&asset(w.photos[0]), size);
        w.client.fetch(&request, 9999).await
    };
    let photo = w
        .fake
        .with_library(|l| l.asset(w.photos[0]).cloned().unwrap());
    assert_eq!(
        get(ThumbnailSize::Preview).await.unwrap().0,
        photo.preview_bytes().unwrap()
    );
    assert_eq!(
        get(ThumbnailSize::Thumbnail).await.unwrap().1.content_type,
        "image/webp"
    );
    // Redirected to the original for JPEG, to the preview for HEIC.
    let (bytes, told) = get(ThumbnailSize::Fullsize).await.unwrap();
    assert_eq!(bytes, photo.bytes());
    assert!(told.served.ends_with("/original"), "{}", told.served);
    let set = |change: fn(&mut Asset)| w.fake.with_library(|l| l.update_asset(w.photos[0], change));
    set(|a| a.mime = "image/heic".to_owned());
    assert_eq!(
        get(ThumbnailSize::Fullsize).await.unwrap().0,
        photo.preview_bytes().unwrap()
    );
    set(|a| a.preview = None);
    let error = get(ThumbnailSize::Preview).await.unwrap_err();
    assert!(matches!(error, Error::NotReady { .. }), "{error:?}");
    let edited = MediaRequest::edited(&asset(w.photos[0]));
    assert_eq!(
        w.client.fetch(&edited, 9999).await.unwrap().0,
        photo.bytes()
    );
}

#[tokio::test]
async fn streams_can_be_passed_on_as_they_come() {
    let (w, request, bytes) = one_photo().await;
    w.fake.fail("/original", 1, Fault::Status(502));
    let mut stream = w.client.open(&request).await.unwrap();
    assert_eq!(stream.length(), Some(bytes.len() as u64));
    assert_eq!(stream.content_type(), "image/jpeg");
    let mut got = Vec::new();
    while let Some(chunk) = stream.chunk().await.unwrap() {
        got.extend_from_slice(&chunk);
    }
    assert_eq!(got, bytes);
    stream.finish().unwrap();
    // Stopping halfway is not finishing.
    let early = w.client.open(&request).await.unwrap();
    assert_eq!(early.finish().unwrap_err().kind(), ErrorKind::Outage);
}

/// A disk that is full after some bytes.
struct Full(usize);

impl Sink for Full {
    fn restart(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0 = self
            .0
            .checked_sub(bytes.len())
            .ok_or(io::ErrorKind::StorageFull)?;
        Ok(())
    }
}

#[tokio::test]
async fn a_full_disk_is_our_own_failure_and_not_retried() {
    let (w, request, _) = one_photo().await;
    let error = w
        .client
        .download(&request, &mut Full(10))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Local);
    assert_eq!(w.fake.n_requests("/original"), 1);
}

#[tokio::test]
async fn files_are_rewound_and_cut_before_each_attempt() {
    use std::io::{Read, Seek, Write};

    let (w, request, bytes) = one_photo().await;
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&vec![7; 5000]).unwrap();
    w.fake.fail("/original", 1, Fault::CutOff);
    w.client.download(&request, &mut file).await.unwrap();
    let mut found = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut found).unwrap();
    assert_eq!(found, bytes);
}
