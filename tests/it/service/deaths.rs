//! A task that must not end dies: the server ends as in order, and nothing that it owes is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use portcullis::clock::{Clock, SystemClock, Timestamp};
use portcullis::grpc::pb::{
    self, CreateApiKeyRequest, ListReplicasRequest, QueryUsageRequest, UsageGranularity, UsageGroup, Verdict,
};
use portcullis::server::ServerError;

use super::{Backend, over_both_stores};
use crate::support::service::{Service, new_key};

over_both_stores![nothing_is_lost_with_a_task];

/// A clock on which the next task that looks at it dies.
#[derive(Debug, Default)]
struct DeadlyClock(AtomicBool);

impl Clock for DeadlyClock {
    fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    fn elapsed(&self) -> Duration {
        assert!(!self.0.swap(false, Ordering::SeqCst), "a task is to die");
        SystemClock.elapsed()
    }
}

async fn nothing_is_lost_with_a_task(backend: Backend) {
    let clock = Arc::new(DeadlyClock::default());
    let service = Service::start_with(backend, clock.clone()).await;
    let mut admin = service.admin();
    let credits = Some(pb::Credits { remaining: Some(1_000), ..Default::default() });
    let (key, secret) = admin.create(CreateApiKeyRequest { credits, ..new_key("k") }).await;
    for _ in 0..20 {
        assert_eq!(admin.verdict(&secret).await, Verdict::Valid);
    }
    clock.0.store(true, Ordering::SeqCst);
    let root_key = service.root_key.clone();
    let (ended, fixture) = service.ended().await;
    assert!(matches!(ended, Err(ServerError::Task(_))), "{ended:?}");

    let service = Service::start_over(fixture, Some(root_key)).await;
    let mut admin = service.admin();
    let replicas = admin.replicas.list_replicas(ListReplicasRequest {}).await.expect("a list").into_inner().replicas;
    assert_eq!(replicas.len(), 1, "{replicas:?}");
    let total = QueryUsageRequest {
        granularity: UsageGranularity::Total.into(),
        group_by: UsageGroup::Keyspace.into(),
        ..Default::default()
    };
    let usage = admin.usage.query_usage(total).await.expect("usage").into_inner();
    let verifications: i64 = usage.rows.iter().flat_map(|row| &row.counts).map(|counted| counted.count).sum();
    assert_eq!(verifications, 20, "{usage:?}");
    let left = admin.get(&key.id).await.expect("the key").credits.expect("credits").remaining;
    assert_eq!(left, Some(980));
    service.stop().await;
}
