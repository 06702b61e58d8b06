//! Portcullis: a self-hosted API-key service.
#![forbid(unsafe_code)]

pub mod clock;
pub mod grpc;
pub mod hashing;
pub mod key;
pub mod manage;
pub mod store;
pub mod verify;
