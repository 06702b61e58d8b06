//! The client and the guards, before servers that the tests play and before a real one.

mod building;
mod calls;
mod fleet;
mod guards;
mod outage;
mod played;
mod real;
mod tls;
