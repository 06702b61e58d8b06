//! The integration tests, as one binary: it links once, and one PostgreSQL serves them all.

mod service;
mod support;
