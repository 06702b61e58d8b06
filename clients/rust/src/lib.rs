//! Asks [Portcullis](https://github.com/portcullis/portcullis), a self-hosted API-key service: may this key do this?
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use portcullis_client::guard::{HttpGuard, Identity, Rule};
//!
//! # #[cfg(feature = "axum")]
//! # fn routes() -> Result<Router, portcullis_client::BuildError> {
//! let client = portcullis_client::Client::builder().build()?;
//! let guard = HttpGuard::new(&client, Rule::new("default").scopes(["orders:read"]));
//! let orders = |caller: Identity| async move { format!("orders of {:?}", caller.subject) };
//! # Ok(
//! Router::new().route("/orders", get(orders)).layer(guard)
//! # )
//! # }
//! ```
//!
//! [`Client`] has the stubs of every service, over a [`Channel`] that spreads calls over replicas and retries them.
//! [`guard`] has the layers that stand before routes of axum and other tower services, and before servers of tonic.
//!
//! | feature | |
//! |---|---|
//! | `axum` | the peer's address from axum's `ConnectInfo`; `Identity` as an extractor |
//! | `tonic-server` | the peer's address from a tonic server |

mod channel;
mod client;
pub mod guard;
pub mod pb;
mod root_key;

pub use channel::{Answer, Channel};
pub use client::{BuildError, Client, ClientBuilder};
pub use root_key::RootKey;
