//! Portcullis: a self-hosted API-key service.
#![forbid(unsafe_code)]

pub mod clock;
pub mod grpc;
pub mod key;
pub mod store;
