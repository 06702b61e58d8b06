//! Certificates.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use portcullis_client::Client;
use portcullis_client::guard::{Guard, Rule};
use portcullis_client::pb::VerifyRequest;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tonic::{Code, Status};

use crate::played::{Act, NEVER, Played};

/// A server for `localhost`, and its certificate as PEM.
async fn start() -> (Played, String) {
    start_playing(|_| Act::valid()).await
}

async fn start_playing(acts: impl Fn(usize) -> Act + Send + Sync + 'static) -> (Played, String) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let tls = TlsAcceptor::from(Arc::new(config));
    (Played::listen("127.0.0.1:0", Some(tls), acts).await, cert.pem())
}

async fn verify(server: &Played, host: &str, pem: &str) -> Result<(), Status> {
    let address = format!("https://{host}:{}", server.address.port());
    let builder = Client::builder().address(address).root_key("k").ca_certificates(pem).timeout(NEVER);
    builder.build().unwrap().verification().verify(VerifyRequest::default()).await.map(drop)
}

#[tokio::test]
async fn a_server_of_a_trusted_authority_is_believed() {
    let (server, pem) = start().await;
    verify(&server, "localhost", &pem).await.unwrap();
}

#[tokio::test]
async fn health_is_asked_over_tls_too() {
    let hang = |_| Act::Hang;
    let (server, pem) = start_playing(hang).await;
    let address = format!("https://localhost:{}", server.address.port());
    let timeout = Duration::from_millis(50);
    let client =
        Client::builder().address(address).root_key("k").ca_certificates(pem).timeout(timeout).build().unwrap();
    let headers = HeaderMap::from_iter([(http::header::AUTHORIZATION, "Bearer ak_1".parse().unwrap())]);
    let guard = Guard::new(&client).dangerously_allow_when_unavailable(true);
    while server.health_calls().is_empty() {
        drop(guard.check(&Rule::new("default"), &headers, None).await);
    }
}

#[tokio::test]
async fn nobody_else_is() {
    let (server, pem) = start().await;
    let (_, other) = start().await;
    let not_signed = "is not signed by an authority that is trusted here: give its CA by ca_certificates";
    for (host, pem, says) in [("localhost", &other, not_signed), ("127.0.0.1", &pem, "certificate")] {
        let status = verify(&server, host, pem).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert!(status.message().contains(says), "{}", status.message());
    }
    assert!(server.calls().is_empty());
}

#[tokio::test]
async fn http_to_a_server_of_tls_is_told() {
    let (over_tls, _) = start().await;
    let at = format!("localhost:{}", over_tls.address.port());
    let client = Client::builder().address(format!("http://{at}")).root_key("k").timeout(NEVER).build().unwrap();
    let status = client.verification().verify(VerifyRequest::default()).await.unwrap_err();
    let says = format!("the server at {at} speaks TLS: use https://{at}");
    assert!(status.code() == Code::Unavailable && status.message().contains(&says), "{}", status.message());
}
