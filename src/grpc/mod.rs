//! The wire, and the only place that knows it. Handlers are thin: who calls, may they, convert, call, convert back.

pub mod api_keys;
pub mod audit;
pub mod caller;
pub mod convert;
pub mod deadline;
pub mod details;
pub mod door;
pub mod health;
pub mod json;
pub mod keyspaces;
pub mod pb;
pub mod replicas;
pub mod status;
pub mod usage;
pub mod verification;
pub mod web;
