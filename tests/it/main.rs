//! The integration tests, as one binary: it links once, and one PostgreSQL serves them all.

mod cli;
mod key_format;
mod service;
mod store;
mod support;
