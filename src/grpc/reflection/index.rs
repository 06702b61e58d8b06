//! What is served, by file and by symbol, encoded once.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use prost::Message;
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto};
use tonic_reflection::pb::v1::{FileDescriptorResponse, ListServiceResponse, ServiceResponse};

/// The descriptors, each as an encoded FileDescriptorResponse.
pub struct Index {
    files: HashMap<String, Bytes>,
    symbols: HashMap<String, Bytes>,
    services: Bytes,
}

/// A FileDescriptorSet whose files stay encoded: prost would drop options that it does not know.
#[derive(Clone, PartialEq, Message)]
struct EncodedSet {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    file: Vec<Bytes>,
}

impl Index {
    /// An index of these encoded FileDescriptorSets. Of files that are in several, the first counts.
    ///
    /// # Panics
    /// If one is no such set: they are compiled with the program.
    pub fn new(sets: &[&'static [u8]]) -> Self {
        let built = "descriptors were compiled with the program";
        let (mut files, mut symbols, mut services) = (HashMap::new(), HashMap::new(), Vec::new());
        for set in sets {
            for encoded in EncodedSet::decode(Bytes::from_static(set)).expect(built).file {
                let file = FileDescriptorProto::decode(encoded.clone()).expect(built);
                if files.contains_key(file.name()) {
                    continue;
                }
                let response = FileDescriptorResponse { file_descriptor_proto: vec![encoded.to_vec()] };
                let response = Bytes::from(response.encode_to_vec());
                files.insert(file.name().to_owned(), response.clone());
                symbols.extend(symbols_of(&file).into_iter().map(|symbol| (symbol, response.clone())));
                services.extend(file.service.iter().map(|service| below(file.package(), service.name())));
            }
        }
        services.sort();
        let services = services.into_iter().map(|name| ServiceResponse { name }).collect();
        let services = Bytes::from(ListServiceResponse { service: services }.encode_to_vec());
        Self { files, symbols, services }
    }

    /// The encoded ListServiceResponse.
    pub fn services(&self) -> Bytes {
        self.services.clone()
    }

    /// The file of this name.
    pub fn file(&self, name: &str) -> Option<Bytes> {
        self.files.get(name).cloned()
    }

    /// The file that has this symbol.
    pub fn file_of(&self, symbol: &str) -> Option<Bytes> {
        self.symbols.get(symbol).cloned()
    }
}

/// The full names of all that is in a file.
fn symbols_of(file: &FileDescriptorProto) -> HashSet<String> {
    let mut symbols = HashSet::new();
    for message in &file.message_type {
        add_message(file.package(), message, &mut symbols);
    }
    for kind in &file.enum_type {
        add_enum(file.package(), kind, &mut symbols);
    }
    for service in &file.service {
        let name = below(file.package(), service.name());
        symbols.extend(service.method.iter().map(|method| below(&name, method.name())));
        symbols.insert(name);
    }
    symbols
}

fn add_message(scope: &str, message: &DescriptorProto, symbols: &mut HashSet<String>) {
    let name = below(scope, message.name());
    for nested in &message.nested_type {
        add_message(&name, nested, symbols);
    }
    for kind in &message.enum_type {
        add_enum(&name, kind, symbols);
    }
    symbols.extend(message.field.iter().map(|field| below(&name, field.name())));
    symbols.extend(message.oneof_decl.iter().map(|oneof| below(&name, oneof.name())));
    symbols.insert(name);
}

/// The values of an enum are siblings of it.
fn add_enum(scope: &str, kind: &EnumDescriptorProto, symbols: &mut HashSet<String>) {
    symbols.insert(below(scope, kind.name()));
    symbols.extend(kind.value.iter().map(|value| below(scope, value.name())));
}

fn below(scope: &str, name: &str) -> String {
    if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::pb;

    #[test]
    fn everything_of_the_contract_has_its_file() {
        let index = Index::new(&[pb::FILE_DESCRIPTOR_SET]);
        let of = |symbol: &str| index.file_of(symbol).unwrap_or_else(|| panic!("{symbol}"));
        for symbol in [
            "portcullis.v1.ApiKeyService",
            "portcullis.v1.ApiKeyService.CreateApiKey",
            "portcullis.v1.VerifyRequest",
            "portcullis.v1.VerifyRequest.required_scopes",
            "portcullis.v1.RevokeApiKeyRequest.target",
            "portcullis.v1.ErrorReason",
            "portcullis.v1.ERROR_REASON_INTERNAL",
            "google.protobuf.Struct.FieldsEntry",
        ] {
            let response = FileDescriptorResponse::decode(of(symbol)).unwrap();
            let file = FileDescriptorProto::decode(&response.file_descriptor_proto[0][..]).unwrap();
            assert_eq!(index.file(file.name()), Some(of(symbol)), "{symbol}");
        }
        assert!(index.file_of("portcullis.v1.Nothing").is_none());
    }
}
