//! What the tests stand on.

pub mod backend;
pub mod disk;
pub mod frames;
pub mod http;
pub mod pgbouncer;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod raw;
pub mod reflection;
pub mod service;
pub mod talk;
