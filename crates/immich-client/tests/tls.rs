//! HTTPS: a certificate of the user's own making is trusted when given, and only then.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test")]

mod support;

use std::sync::Arc;

use immich_client::{ApiKey, BaseUrl, Client, ClientOptions, Error, ErrorKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// Answers every connection with pong; returns the port and the certificate in PEM.
async fn https_server() -> (u16, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
                    content-length: 14\r\nconnection: close\r\n\r\n{\"res\":\"pong\"}";
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        }
    });
    (port, made.cert.pem())
}

fn client(port: u16, extra_roots_pem: &[u8]) -> Result<Client, Error> {
    let base = BaseUrl::parse(&format!("https://localhost:{port}")).unwrap();
    let options = ClientOptions {
        extra_roots_pem: extra_roots_pem.to_vec(),
        ..support::fast()
    };
    Client::new(base, ApiKey::new("k").unwrap(), options)
}

#[tokio::test]
async fn own_certificates_are_trusted_when_given() {
    let (port, pem) = https_server().await;
    client(port, pem.as_bytes()).unwrap().ping().await.unwrap();
}

#[tokio::test]
async fn other_certificates_are_not_trusted() {
    let (port, _) = https_server().await;
    let (_, other) = https_server().await;
    let error = client(port, other.as_bytes())
        .unwrap()
        .ping()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Outage);
}

#[test]
fn unreadable_certificates_are_refused_at_the_door() {
    let broken = b"-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n";
    let error = client(1, broken).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Setup);
}
