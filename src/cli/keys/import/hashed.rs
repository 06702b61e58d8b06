//! Entries whose plaintext stays here: their digest goes in its stead.

use super::Line;
use crate::grpc::pb::api_key_import::Material;
use crate::grpc::pb::{ApiKeyImport, DigestAlgorithm};
use crate::key::imported;
use crate::key::secret::Secret;
use crate::key::verifier::sha256;

/// The line with its plaintext hashed; other material goes as it is. What the server would refuse of the plaintext is refused
/// here, for it will not see it.
pub fn line(line: Line) -> Line {
    Line { number: line.number, entry: line.entry.and_then(entry) }
}

fn entry(mut entry: ApiKeyImport) -> Result<ApiKeyImport, String> {
    let Some(Material::Plaintext(text)) = entry.material.take_if(|material| matches!(material, Material::Plaintext(_)))
    else {
        return Ok(entry);
    };
    let text = Secret::new(text);
    imported::plaintext(text.expose()).map_err(|must| format!("plaintext: must {must}"))?;
    if !entry.lookup_prefix.is_empty() {
        return Err("lookup_prefix: must be empty with --hash-locally, as a digest finds the key by itself".to_owned());
    }
    let value = sha256(text.expose()).as_bytes().to_vec();
    entry.material = Some(Material::Digest(super::SecretDigest { algorithm: DigestAlgorithm::Sha256.into(), value }));
    Ok(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plaintext_is_sent_as_its_digest_and_what_is_none_is_refused() {
        let of = |text: &str, lookup_prefix: &str| {
            let material = Some(Material::Plaintext(text.to_owned()));
            entry(ApiKeyImport { material, lookup_prefix: lookup_prefix.to_owned(), ..Default::default() })
        };
        let hashed = of("acme_live_w8tR2kQz71mVb0Xy", "").unwrap();
        let Some(Material::Digest(digest)) = hashed.material else { panic!("no digest") };
        assert_eq!((digest.algorithm(), digest.value.len()), (DigestAlgorithm::Sha256, 32));
        assert!(of("short", "").unwrap_err().starts_with("plaintext: must "));
        assert!(of("acme_live_w8tR2kQz71mVb0Xy", "acme_liv").unwrap_err().starts_with("lookup_prefix: must be empty"));
        let phc = ApiKeyImport { material: Some(Material::Phc("$2b$".to_owned())), ..Default::default() };
        assert!(matches!(entry(phc).unwrap().material, Some(Material::Phc(_))));
    }
}
