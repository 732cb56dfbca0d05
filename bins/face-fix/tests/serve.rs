//! The program as people start it: its link opens the page, its key stays hidden.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use immich_fake::{Fake, Library, Shape};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test(flavor = "multi_thread")]
async fn serve_prints_a_link_that_works_and_never_the_key() {
    let mut library = Library::new();
    let ada = library.add_user("Ada");
    let key = library.add_key(
        ada,
        "k",
        &["asset.read", "face.read", "person.read", "user.read"],
    );
    let fake = Fake::start(library, Shape::v2_7_2()).await;
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_face-fix"))
        .args([
            "serve",
            "--port",
            "0",
            "--log-file",
            "log.txt",
            "--journal",
            "j.jsonl",
        ])
        .current_dir(folder.path())
        .env("IMMICH_URL", fake.url())
        .env("IMMICH_API_KEY", &key)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = Vec::new();
    for line in lines {
        said.push(line.unwrap());
        if said.last().unwrap().contains("http://") {
            break;
        }
    }
    let said = said.join("\n");
    let link = said.split(' ').next_back().unwrap().to_owned();
    let (page, token) = link.split_once("/#").unwrap();
    let host = page.strip_prefix("http://").unwrap();
    assert!(host.starts_with("127.0.0.1:"), "{link}");
    let with = ask(host, token).await;
    let without = ask(host, "0").await;
    child.kill().unwrap();
    child.wait().unwrap();

    assert!(
        said.contains("lacks face.update: cannot give a face to another person"),
        "{said}"
    );
    assert!(
        with.starts_with("HTTP/1.1 200") && with.contains("face.update"),
        "{with}"
    );
    assert!(without.starts_with("HTTP/1.1 401"), "{without}");
    let log = std::fs::read_to_string(folder.path().join("log.txt")).unwrap();
    for text in [&said, &with, &without, &log] {
        assert!(!text.contains(&key) && !text.contains(&key[..6]), "{text}");
    }
    assert!(!log.contains(token), "{log}");
}

#[test]
fn without_address_or_key_it_is_wrong_usage() {
    let output = Command::new(env!("CARGO_BIN_EXE_face-fix"))
        .arg("serve")
        .env_remove("IMMICH_URL")
        .env_remove("IMMICH_API_KEY")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(64));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.contains("--immich-url") && text.contains("--api-key"),
        "{text}"
    );
}

async fn ask(host: &str, token: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
    let request = format!(
        "GET /api/state HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}
