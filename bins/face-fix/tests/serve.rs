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

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn open_hands_the_link_to_the_system() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut library = Library::new();
    let ada = library.add_user("Ada");
    let key = library.add_key(ada, "k", &["all"]);
    let fake = Fake::start(library, Shape::v2_7_2()).await;
    let folder = tempfile::tempdir().unwrap();
    let opener = folder.path().join("xdg-open");
    let opened = folder.path().join("opened");
    let script = format!(
        "#!/bin/sh\necho \"$1\" > {0}.new && mv {0}.new {0}\n",
        opened.display()
    );
    std::fs::write(&opener, script).unwrap();
    std::fs::set_permissions(&opener, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_face-fix"))
        .args(["serve", "--port", "0", "--open"])
        .current_dir(folder.path())
        .env("PATH", format!("{}:{path}", folder.path().display()))
        .env("IMMICH_URL", fake.url())
        .env("IMMICH_API_KEY", &key)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        said.push(line.unwrap());
        if said.last().unwrap().contains("http://") {
            break;
        }
    }
    while !opened.exists() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        said.concat().contains("the API key may do everything"),
        "{said:?}"
    );
    let link = said.last().unwrap().split(' ').next_back().unwrap();
    assert_eq!(std::fs::read_to_string(opened).unwrap().trim(), link);
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
