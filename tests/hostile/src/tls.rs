//! A certificate with an RSA key of 4096 bits: the dearest handshake that an operator is likely to offer.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

use crate::Error;

/// Its files, and a client that trusts it.
#[derive(Debug)]
pub struct Certificate {
    pub chain: PathBuf,
    pub key: PathBuf,
    pub client: Arc<ClientConfig>,
}

impl Certificate {
    /// Makes one for 127.0.0.1 with OpenSSL: no library of ours makes RSA keys.
    pub fn create(dir: &Path) -> Result<Self, Error> {
        let (chain, key) = (dir.join("cert.pem"), dir.join("key.pem"));
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-newkey", "rsa:4096", "-nodes", "-days", "2", "-subj", "/CN=localhost"]);
        command.args(["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"]);
        command.arg("-keyout").arg(&key).arg("-out").arg(&chain).stdin(Stdio::null()).stderr(Stdio::null());
        let made = command.status().map_err(|error| format!("the TLS attacks need openssl on the PATH: {error}"))?;
        if !made.success() {
            return Err(format!("{command:?} failed").into());
        }
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&fs::read(&chain)?)?)?;
        let provider = Arc::new(crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut client = builder.with_root_certificates(roots).with_no_client_auth();
        client.alpn_protocols = vec![b"h2".to_vec()];
        // Every handshake is to be a whole one.
        client.resumption = tokio_rustls::rustls::client::Resumption::disabled();
        Ok(Self { chain, key, client: Arc::new(client) })
    }
}
