//! The integration tests, as one binary: it links once, and one PostgreSQL serves them all.

mod process;
mod service;
mod support;
