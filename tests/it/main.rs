//! The integration tests, as one binary: it links once, and one PostgreSQL serves them all.

mod cli;
mod clients;
mod fleet;
mod hostile_clients;
mod house_rules;
mod key_format;
mod process;
mod readme;
mod service;
mod store;
mod support;
mod web;
