//! Replicas behind a pgbouncer that gives its sessions away between transactions, as `deploy/pgbouncer.ini` says.

use std::time::Duration;

use super::load::Load;
use super::rig::{LEASE, Rig};
use super::{Times, median};
use crate::support::pgbouncer::Pgbouncer;
use crate::support::postgres;
use crate::support::service::eventually;

const UNHEARD: &str = "hints at changes do not arrive";
const UNLIMITED: &str = "the database does not take the time limits of this server";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_revoked_behind_pgbouncer_is_accepted_nowhere() {
    let Some(program) = Pgbouncer::program() else { return };
    let cluster = postgres::shared();
    let database = cluster.fresh_name().await;
    let pgbouncer = Pgbouncer::start(program, cluster, &database).await;
    let rig = Rig::start_by(&pgbouncer.socket(), &database, &cluster.url(&database), 3, LEASE).await;
    let load = Load::start(&rig, 80).await;
    load.ends(60).await;
    let (history, counts) = load.stop_and_check("pgbouncer").await;
    assert!(counts.ended >= 60 && counts.after > 0, "{counts:?}");
    println!("behind pgbouncer {}", Times::of(history.times(Duration::ZERO, Duration::MAX)));
    for log in rig.logs() {
        assert!(!log.contains(UNHEARD), "{log}");
        assert!(log.contains(UNLIMITED), "{log}");
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_hears_no_hints_behind_pgbouncer_says_so() {
    let Some(program) = Pgbouncer::program() else { return };
    let cluster = postgres::shared();
    let database = cluster.fresh_name().await;
    let pgbouncer = Pgbouncer::start(program, cluster, &database).await;
    let rig = Rig::start_by(&pgbouncer.socket(), &database, "", 3, LEASE).await;
    eventually("the warning", async || rig.logs().iter().all(|log| log.contains(UNHEARD)).then_some(())).await;
    let load = Load::start(&rig, 80).await;
    load.ends(20).await;
    let (history, counts) = load.stop_and_check("pgbouncer without hints").await;
    assert!(counts.ended >= 20, "{counts:?}");
    println!("without hints {:.1?} in the median", median(&history.times(Duration::ZERO, Duration::MAX)));
    rig.end().await;
}
