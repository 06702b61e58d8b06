//! Portcullis: a self-hosted API-key service.
#![forbid(unsafe_code)]

pub mod cli;
pub mod clock;
pub mod config;
pub mod grpc;
pub mod key;
pub mod store;
