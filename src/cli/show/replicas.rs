//! Replicas.

use super::lines;
use crate::cli::output::{self, Shown};
use crate::grpc::pb;

impl Shown for pb::ListReplicasResponse {
    const NAME: &'static str = "portcullis.v1.ListReplicasResponse";

    fn table(&self) -> String {
        let header = &["NAME", "STATE", "LEASE AGE", "LEASE", "APPLIED", "LAG"];
        let rows = self.replicas.iter().map(|replica| {
            let state = match (replica.dead, replica.is_self) {
                (true, _) => "dead",
                (false, true) => "answering",
                (false, false) => "alive",
            };
            vec![
                replica.name.clone(),
                state.to_owned(),
                seconds(replica.lease_age.as_ref()),
                seconds(replica.lease.as_ref()),
                replica.applied_seq.to_string(),
                replica.lag.to_string(),
            ]
        });
        output::Rows::new(header).page(rows.collect())
    }

    fn quiet(&self) -> String {
        lines(self.replicas.iter().map(|replica| replica.name.clone()))
    }
}

fn seconds(length: Option<&prost_types::Duration>) -> String {
    length.map_or_else(|| "-".to_owned(), |d| format!("{}.{:03}s", d.seconds, d.nanos / 1_000_000))
}
