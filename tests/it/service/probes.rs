//! What Kubernetes and grpcurl ask: health and reflection. Neither needs a root key.

use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use super::Backend;
use crate::support::reflection::reflect;
use crate::support::service::Service;

#[tokio::test]
async fn every_name_is_healthy() {
    let service = Service::start(Backend::Sqlite).await;
    let mut health = HealthClient::new(service.channel.clone());
    for name in [
        "",
        "liveness",
        "readiness",
        "portcullis.v1.ApiKeyService",
        "portcullis.v1.AuditService",
        "portcullis.v1.KeyspaceService",
        "portcullis.v1.ReplicaService",
        "portcullis.v1.VerificationService",
    ] {
        let status = health.check(HealthCheckRequest { service: name.into() }).await.expect(name).into_inner().status();
        assert_eq!(status, ServingStatus::Serving, "{name}");
    }
    let unknown = health.check(HealthCheckRequest { service: "nobody".into() }).await;
    assert_eq!(unknown.unwrap_err().code(), tonic::Code::NotFound);
    service.stop().await;
}

#[tokio::test]
async fn reflection_tells_services_and_error_details() {
    let service = Service::start(Backend::Sqlite).await;
    let listed = reflect(&service.channel, MessageRequest::ListServices(String::new())).await;
    let MessageResponse::ListServicesResponse(listed) = listed else { panic!("{listed:?}") };
    let names: Vec<_> = listed.service.iter().map(|service| service.name.as_str()).collect();
    for name in ["portcullis.v1.ApiKeyService", "portcullis.v1.VerificationService", "grpc.health.v1.Health"] {
        assert!(names.contains(&name), "{names:?}");
    }
    for symbol in ["google.rpc.BadRequest", "google.rpc.ErrorInfo", "portcullis.v1.ErrorReason"] {
        let found = reflect(&service.channel, MessageRequest::FileContainingSymbol(symbol.into())).await;
        assert!(matches!(found, MessageResponse::FileDescriptorResponse(_)), "{symbol}: {found:?}");
    }
    service.stop().await;
}

#[tokio::test]
async fn the_older_reflection_is_answered_too() {
    use tonic_reflection::pb::v1alpha::ServerReflectionRequest;
    use tonic_reflection::pb::v1alpha::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1alpha::server_reflection_request::MessageRequest;
    let service = Service::start(Backend::Sqlite).await;
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(service.channel.clone());
    let mut answers = client.server_reflection_info(tokio_stream::once(request)).await.expect("v1alpha").into_inner();
    assert!(answers.message().await.expect("an answer").is_some());
    service.stop().await;
}
