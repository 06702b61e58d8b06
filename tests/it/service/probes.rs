//! What Kubernetes and grpcurl ask: health, for which nobody needs a root key, and reflection.

use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use portcullis::config::Flags;
use portcullis::grpc::pb;
use prost_reflect::DescriptorPool;
use tonic_types::StatusExt as _;

use super::Backend;
use crate::support::http::Http;
use crate::support::reflection::{reflect, try_reflect};
use crate::support::service::Service;

#[tokio::test]
async fn every_name_is_healthy() {
    let service = Service::start(Backend::Sqlite).await;
    let mut health = HealthClient::new(service.channel.clone());
    let pool = DescriptorPool::decode(pb::FILE_DESCRIPTOR_SET).expect("descriptors");
    let services: Vec<_> = pool.services().map(|service| service.full_name().to_owned()).collect();
    assert!(services.contains(&"portcullis.v1.UsageService".to_owned()), "{services:?}");
    let services = services.iter().map(String::as_str);
    for name in ["", "liveness", "readiness", "grpc.health.v1.Health"].into_iter().chain(services) {
        let status = health.check(HealthCheckRequest { service: name.into() }).await.expect(name).into_inner().status();
        assert_eq!(status, ServingStatus::Serving, "{name}");
    }
    let unknown = health.check(HealthCheckRequest { service: "nobody".into() }).await;
    assert_eq!(unknown.unwrap_err().code(), tonic::Code::NotFound);
    service.stop().await;
}

#[tokio::test]
async fn health_of_an_unknown_service_is_not_watched() {
    let service = Service::start(Backend::Sqlite).await;
    let mut health = HealthClient::new(service.channel.clone());
    let unknown = health.watch(HealthCheckRequest { service: "nobody".into() }).await;
    assert_eq!(unknown.unwrap_err().code(), tonic::Code::NotFound);
    let mut watched = health.watch(HealthCheckRequest { service: String::new() }).await.expect("a stream").into_inner();
    assert_eq!(watched.message().await.expect("an answer").expect("one").status(), ServingStatus::Serving);
    service.stop().await;
    assert_eq!(watched.message().await.expect("an answer").expect("one").status(), ServingStatus::NotServing);
}

/// A stranger who sends half a request, or a large one, must not make the server hold it.
#[tokio::test]
async fn a_large_request_for_health_is_refused() {
    let service = Service::start(Backend::Sqlite).await;
    let mut health = HealthClient::new(service.channel.clone());
    let largest = |name_len: usize| HealthCheckRequest { service: "x".repeat(name_len) };
    assert_eq!(health.check(largest(1021)).await.unwrap_err().code(), tonic::Code::NotFound);
    for size in [1022, 10_000] {
        let refused = health.check(largest(size)).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::ResourceExhausted, "{refused:?}");
        assert_eq!(refused.get_details_error_info().expect("a reason").reason, "ERROR_REASON_REQUEST_TOO_LARGE");
    }
    let mut http = Http::connect(service.addr).await;
    let json = [("content-type", "application/json")];
    let body = format!("{{\"service\":\"{}\"}}", "x".repeat(1024));
    assert_eq!(http.call("POST", "/grpc.health.v1.Health/Check", &json, body.as_bytes()).await.status, 429);
    service.stop().await;
}

#[tokio::test]
async fn reflection_tells_services_and_error_details() {
    let service = Service::start(Backend::Sqlite).await;
    let listed = reflect(&service, MessageRequest::ListServices(String::new())).await;
    let MessageResponse::ListServicesResponse(listed) = listed else { panic!("{listed:?}") };
    let names: Vec<_> = listed.service.iter().map(|service| service.name.as_str()).collect();
    for name in ["portcullis.v1.ApiKeyService", "portcullis.v1.VerificationService", "grpc.health.v1.Health"] {
        assert!(names.contains(&name), "{names:?}");
    }
    for symbol in ["google.rpc.BadRequest", "google.rpc.ErrorInfo", "portcullis.v1.ErrorReason"] {
        let found = reflect(&service, MessageRequest::FileContainingSymbol(symbol.into())).await;
        assert!(matches!(found, MessageResponse::FileDescriptorResponse(_)), "{symbol}: {found:?}");
    }
    let found = reflect(&service, MessageRequest::FileByFilename("nothing.proto".into())).await;
    let MessageResponse::ErrorResponse(error) = found else { panic!("{found:?}") };
    assert_eq!(error.error_code, tonic::Code::NotFound as i32);
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
    let ask = || tokio_stream::once(request.clone());
    let mut client = ServerReflectionClient::new(service.admin().channel);
    let mut answers = client.server_reflection_info(ask()).await.expect("v1alpha").into_inner();
    assert!(answers.message().await.expect("an answer").is_some());
    let refused = ServerReflectionClient::new(service.stranger().channel).server_reflection_info(ask()).await;
    assert_eq!(refused.unwrap_err().code(), tonic::Code::Unauthenticated);
    service.stop().await;
}

/// To strangers it is closed unless the operator opens it.
#[tokio::test]
async fn reflection_is_for_whom_the_operator_says() {
    use tonic::Code;
    for (setting, stranger, caller) in [
        (None, Err(Code::Unauthenticated), Ok(())),
        (Some("open"), Ok(()), Ok(())),
        (Some("off"), Err(Code::Unimplemented), Err(Code::Unimplemented)),
    ] {
        let flags = Flags { reflection: setting.map(str::to_owned), ..Flags::default() };
        let service = Service::start_set(Backend::Sqlite, flags).await;
        for (channel, expect) in [(service.stranger().channel, stranger), (service.admin().channel, caller)] {
            let answer = try_reflect(channel, MessageRequest::ListServices(String::new())).await;
            assert_eq!(answer.map(drop).map_err(|status| status.code()), expect, "{setting:?}");
        }
        service.stop().await;
    }
}
