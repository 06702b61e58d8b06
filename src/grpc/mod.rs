//! The wire, and the only place that knows it.

pub mod pb;
