//! The program as a person or a script runs it: what it prints, its exit codes, what it refuses.

mod audit;
mod completions;
mod connection;
mod import;
mod keys;
mod keyspaces;
mod limits;
mod lists;
mod output;
mod program;
mod root_keys;
mod usage;
mod verify;
