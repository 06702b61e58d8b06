//! What the tests stand on.

pub mod backend;
pub mod postgres;
pub mod process;
pub mod reflection;
pub mod service;
