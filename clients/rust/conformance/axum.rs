//! One guarded route a profile.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use axum::routing::get;
use axum::{Json, Router};
use portcullis_client::Client;
use portcullis_client::guard::{HttpGuard, Identity};
use tokio::net::TcpListener;

use crate::stage::{self, Stage};

pub async fn serve(stage: &Stage, clients: &BTreeMap<String, Client>) -> io::Result<SocketAddr> {
    let whoami = |identity: Identity| async move { Json(stage::json(&identity)) };
    let mut router = Router::new();
    for (name, profile) in &stage.profiles {
        let guard = HttpGuard::new(&clients[&profile.server], profile.rule())
            .dangerously_allow_when_unavailable(profile.dangerously_allow_when_unavailable);
        router = router.route(&format!("/{name}"), get(whoami).post(whoami).layer(guard));
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    Ok(address)
}
