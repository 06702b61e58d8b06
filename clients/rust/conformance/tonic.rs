//! A health service behind the guard of one profile.

use std::io;
use std::net::SocketAddr;

use portcullis_client::Client;
use portcullis_client::guard::{GrpcGuard, Identity};
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::stage::{self, Profile};

pub async fn serve(profile: &Profile, client: &Client) -> io::Result<SocketAddr> {
    let guard = GrpcGuard::new(client, profile.rule())
        .dangerously_allow_when_unavailable(profile.dangerously_allow_when_unavailable);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = Server::builder().layer(guard).add_service(HealthServer::new(Whoami));
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    Ok(address)
}

struct Whoami;

#[tonic::async_trait]
impl Health for Whoami {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        let identity = request.extensions().get::<Identity>().ok_or_else(|| Status::internal("no guard"))?;
        let json = stage::json(identity).to_string().parse().map_err(|_| Status::internal("not ASCII"))?;
        let mut response = Response::new(HealthCheckResponse { status: ServingStatus::Serving.into() });
        response.metadata_mut().insert("x-identity", json);
        Ok(response)
    }

    type WatchStream = tokio_stream::Empty<Result<HealthCheckResponse, Status>>;

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("only Check"))
    }
}
