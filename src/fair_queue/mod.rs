//! Fair waiting: queues in which keys (callers, keyspaces) take turns, so that no key waits behind all that another has sent.
//!
//! [`Turns`] is the data structure; [`Places`] are async places with limits on top of it.

mod places;
mod turns;

pub use places::{Busy, Limits, Place, Places, Ticket, Wait};
pub use turns::{Bounds, Turns};
