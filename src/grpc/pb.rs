//! The generated messages, clients and servers of `portcullis.v1`.

#![allow(missing_docs, clippy::pedantic, reason = "generated; documented in proto/")]

use std::fmt;

tonic::include_proto!("portcullis.v1");

/// The descriptors of `portcullis.v1` and of all it imports, for reflection and for JSON.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/portcullis.bin"));

const REDACTED: &str = "[redacted]";

impl fmt::Debug for CreateApiKeyResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateApiKeyResponse").field("api_key", &self.api_key).field("secret", &REDACTED).finish()
    }
}

impl fmt::Debug for ApiKeyImport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeyImport")
            .field("name", &self.name)
            .field("subject", &self.subject)
            .field("material", &self.material)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for api_key_import::Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plaintext(_) => f.debug_tuple("Plaintext").field(&REDACTED).finish(),
            Self::Digest(digest) => f.debug_tuple("Digest").field(digest).finish(),
            Self::Phc(_) => f.debug_tuple("Phc").field(&REDACTED).finish(),
        }
    }
}

impl fmt::Debug for SecretDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretDigest").field("algorithm", &self.algorithm).field("value", &REDACTED).finish()
    }
}

impl fmt::Debug for RotateApiKeyResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RotateApiKeyResponse")
            .field("api_key", &self.api_key)
            .field("secret", &REDACTED)
            .field("previous_secret_expire_time", &self.previous_secret_expire_time)
            .finish()
    }
}

impl fmt::Debug for revoke_api_key_request::Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => f.debug_tuple("Id").field(id).finish(),
            Self::Secret(_) => f.debug_tuple("Secret").field(&REDACTED).finish(),
        }
    }
}

impl fmt::Debug for RevokeApiKeyRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevokeApiKeyRequest")
            .field("target", &self.target)
            .field("reason", &self.reason)
            .field("comment", &self.comment)
            .field("allow_last_admin", &self.allow_last_admin)
            .finish()
    }
}

impl fmt::Debug for VerifyApiKeyRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyApiKeyRequest")
            .field("key", &REDACTED)
            .field("required_scopes", &self.required_scopes)
            .field("any_of_scopes", &self.any_of_scopes)
            .field("keyspace", &self.keyspace)
            .finish()
    }
}

impl fmt::Debug for VerifyRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyRequest")
            .field("key", &REDACTED)
            .field("required_scopes", &self.required_scopes)
            .field("any_of_scopes", &self.any_of_scopes)
            .field("keyspace", &self.keyspace)
            .finish()
    }
}
