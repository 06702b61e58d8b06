//! An API whose orders are for those who may read them.

use std::env;
use std::error::Error;
use std::net::SocketAddr;

use axum::routing::get;
use axum::{Json, Router};
use portcullis_client::Client;
use portcullis_client::guard::{HttpGuard, Identity, Rule};
use serde_json::{Value, json};
use tokio::net::TcpListener;

async fn orders(caller: Identity) -> Json<Value> {
    Json(json!({"subject": caller.subject, "orders": [{"id": 1, "item": "lamp"}, {"id": 2, "item": "chair"}]}))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let client = Client::builder().build()?;
    let guard = HttpGuard::new(&client, Rule::new("default").scopes(["orders:read"]));
    let router = Router::new().route("/orders", get(orders)).layer(guard);

    let port = env::var("PORT").unwrap_or_else(|_| "8080".to_owned());
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>()).await?;
    Ok(())
}
