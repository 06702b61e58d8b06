//! The wire, and the only place that knows it. Handlers are thin: who calls, may they, convert, call, convert back.

/// Largest request, in bytes. Each call in flight may hold one.
pub const REQUEST_SIZE_MAX: usize = 1024 * 1024;
/// Largest request that takes next to nothing. For services that anyone may call see [`small_messages`].
pub const SMALL_REQUEST_SIZE_MAX: usize = 16 * 1024;

pub mod admitted;
pub mod api_keys;
pub mod audit;
pub mod caller;
pub mod codec;
pub mod convert;
pub mod deadline;
pub mod details;
pub mod door;
pub mod health;
pub mod json;
pub mod keyspaces;
pub mod message_fields;
pub mod pb;
pub mod reflection;
pub mod replicas;
pub mod request_message;
pub mod small_messages;
pub mod status;
pub mod usage;
pub mod verification;
pub mod web;
