//! What a server tells about its own messages.

use prost_reflect::DescriptorPool;
use tonic::Status;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

use super::service::{Authorized, Service};

/// Asks one thing by reflection, with the first root key.
pub async fn reflect(service: &Service, ask: MessageRequest) -> MessageResponse {
    try_reflect(service.admin().channel, ask).await.expect("an answer")
}

/// Asks one thing by reflection.
pub async fn try_reflect(channel: Authorized, ask: MessageRequest) -> Result<MessageResponse, Status> {
    let request = ServerReflectionRequest { host: "h".to_owned(), message_request: Some(ask) };
    let mut client = ServerReflectionClient::new(channel);
    let mut answers = client.server_reflection_info(tokio_stream::once(request.clone())).await?.into_inner();
    let answer: ServerReflectionResponse = answers.message().await?.expect("one");
    assert_eq!((answer.valid_host.as_str(), &answer.original_request), ("h", &Some(request)));
    assert!(answers.message().await?.is_none());
    Ok(answer.message_response.expect("it"))
}

/// The descriptor of a message and of all it needs, from reflection alone: what a tool has to print it with.
pub async fn descriptors_of(service: &Service, symbol: &str) -> DescriptorPool {
    let mut pool = DescriptorPool::new();
    let mut asked = vec![MessageRequest::FileContainingSymbol(symbol.to_owned())];
    let mut files = Vec::new();
    while let Some(ask) = asked.pop() {
        let answer = reflect(service, ask).await;
        let MessageResponse::FileDescriptorResponse(found) = answer else { panic!("{symbol}: {answer:?}") };
        for bytes in found.file_descriptor_proto {
            let file: prost_types::FileDescriptorProto = prost::Message::decode(&bytes[..]).expect("a descriptor");
            asked.extend(file.dependency.iter().cloned().map(MessageRequest::FileByFilename));
            files.push(file);
        }
    }
    // What a file needs was asked for after it.
    files.reverse();
    pool.add_file_descriptor_protos(files).expect("all it needs");
    pool
}
