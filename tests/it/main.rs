//! The integration tests, as one binary: it links once, and one PostgreSQL serves them all.

mod key_format;
mod process;
mod service;
mod store;
mod support;
