//! The TLS identity: it is read when the settings are, so that a check finds what a start would.

use std::fs;

use super::TlsFiles;
use crate::transport;

/// Looks like a certificate, and like a private key.
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----";
const KEY: &str = "PRIVATE KEY-----";

/// The files of the identity, if they are one.
pub(super) fn files(cert: Option<String>, key: Option<String>, errors: &mut Vec<String>) -> Option<TlsFiles> {
    let (cert, key) = match (cert, key) {
        (Some(cert), Some(key)) => (cert, key),
        (None, None) => return None,
        (Some(_), None) => {
            errors.push("tls-key: must be given with tls-cert; is absent".to_owned());
            return None;
        }
        (None, Some(_)) => {
            errors.push("tls-cert: must be given with tls-key; is absent".to_owned());
            return None;
        }
    };
    let count = errors.len();
    check("tls-cert", &cert, CERTIFICATE, KEY, errors);
    check("tls-key", &key, KEY, CERTIFICATE, errors);
    let files = TlsFiles { cert: cert.into(), key: key.into() };
    if errors.len() == count
        && let Err(error) = transport::acceptor(&files.cert, &files.key)
    {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        errors.push(format!("tls-cert, tls-key: {error}{cause}"));
    }
    Some(files)
}

/// Notes that the file of the setting `name` cannot be read, or does not hold `wanted`. What is in it is not repeated.
fn check(name: &str, path: &str, wanted: &str, other: &str, errors: &mut Vec<String>) {
    match fs::read(path) {
        Err(error) => errors.push(format!("{name}: cannot read {path}: {error}")),
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            if !text.contains(wanted) {
                let swapped = if text.contains(other) { "; are tls-cert and tls-key swapped?" } else { "" };
                let what = if name == "tls-cert" { "certificate" } else { "private key" };
                errors.push(format!("{name}: {path} holds no {what} in PEM form{swapped}"));
            }
        }
    }
}
