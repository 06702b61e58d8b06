//! What a server tells about its own messages.

use prost_reflect::DescriptorPool;
use tonic::transport::Channel;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

/// Asks one thing by reflection.
pub async fn reflect(channel: &Channel, ask: MessageRequest) -> MessageResponse {
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(ask) };
    let mut client = ServerReflectionClient::new(channel.clone());
    let mut answers = client.server_reflection_info(tokio_stream::once(request)).await.expect("v1").into_inner();
    let answer: ServerReflectionResponse = answers.message().await.expect("an answer").expect("one");
    answer.message_response.expect("it")
}

/// The descriptor of a message and of all it needs, from reflection alone: what a tool has to print it with.
pub async fn descriptors_of(channel: &Channel, symbol: &str) -> DescriptorPool {
    let mut pool = DescriptorPool::new();
    let mut asked = vec![MessageRequest::FileContainingSymbol(symbol.to_owned())];
    let mut files = Vec::new();
    while let Some(ask) = asked.pop() {
        let answer = reflect(channel, ask).await;
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
