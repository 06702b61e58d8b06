//! TLS, by rustls over ring.

use std::error::Error;
use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{self, CertificateError, ClientConfig, RootCertStore};

use super::resolution::Origin;

const HTTP_2: &[u8] = b"h2";

/// Encrypts connections to hosts whose certificate some authority has signed.
#[derive(Clone)]
pub struct Tls(TlsConnector);

impl Tls {
    /// Trusts the authorities in `pem`, or else those of the system. Says why if there are none.
    pub fn new(pem: Option<&[u8]>) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        match pem {
            Some(pem) => {
                for certificate in CertificateDer::pem_slice_iter(pem) {
                    let certificate = certificate.map_err(|error| error.to_string())?;
                    roots.add(certificate).map_err(|error| error.to_string())?;
                }
            }
            // Some of a system's may be of a kind that rustls does not read.
            None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
        }
        if roots.is_empty() {
            let whose = if pem.is_some() { "no certificate in PEM form" } else { "the system has none" };
            return Err(whose.to_owned());
        }
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![HTTP_2.to_vec()];
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Encrypts `stream`, if the other end proves to be the host of `origin`.
    pub async fn connect(
        &self,
        origin: &Origin,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, Box<dyn Error + Send + Sync>> {
        let name = ServerName::try_from(origin.host.clone())?;
        let stream = self.0.connect(name, stream).await.map_err(|error| diagnosed(error, origin))?;
        if stream.get_ref().1.alpn_protocol() != Some(HTTP_2) {
            return Err("the server does not speak HTTP/2".into());
        }
        Ok(stream)
    }
}

/// What to do about a handshake that failed, where the scheme of the address or the certificate is the reason.
fn diagnosed(error: io::Error, origin: &Origin) -> Box<dyn Error + Send + Sync> {
    let at = &origin.authority;
    match error.get_ref().and_then(|cause| cause.downcast_ref()) {
        Some(rustls::Error::InvalidMessage(_)) => format!(
            "the server at {at} does not speak TLS: use http://{at}, and allow_plaintext(true) or \
             PORTCULLIS_ALLOW_PLAINTEXT=true if it is another machine"
        )
        .into(),
        // A CA of the same name has another key; a certificate that signs itself may be `Other`.
        Some(rustls::Error::InvalidCertificate(
            why @ (CertificateError::UnknownIssuer | CertificateError::BadSignature | CertificateError::Other(_)),
        )) => format!(
            "the certificate of {at} is not signed by an authority that is trusted here: give its CA by ca_certificates \
             ({why:?})"
        )
        .into(),
        _ => error.into(),
    }
}
