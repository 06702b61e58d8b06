//! The program as a process: how it starts, how it ends, and what its bad days cost.

mod crash;
mod disk;
mod lists;
mod load;
mod metrics;
mod migration;
mod outage;
mod refusals;
mod secrecy;
mod settings;
mod shutdown;
mod startup;
mod tls;
