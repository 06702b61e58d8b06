//! What a key is: its string, its secret, its record, its rights.
//!
//! Pure: nothing here waits, reads a clock, or knows the store or the wire.

pub mod credits;
pub mod field;
pub mod id;
pub mod imported;
pub mod keyspace;
pub mod network;
pub mod pasted;
pub mod permission;
pub mod phc;
pub mod rate_card;
pub mod rate_limit;
pub mod recognize;
pub mod record;
pub mod root_token;
pub mod scope;
pub mod secret;
pub mod token;
pub mod usage;
pub mod verifier;
