//! How many fields a message has, its parts included: counted in its bytes, before it is decoded. An empty part takes two
//! bytes of a message and up to a kilobyte of memory.

use tonic::Status;

use super::status;
use super::verification::{Malformed, Value, read_fields};
use crate::admission::Kind;

/// Most fields of a request. The largest key that can be made has some 2,000.
const FIELDS_MAX: usize = 16_384;
/// Most fields of an import: of 1,000 entries with 130 each.
const IMPORT_FIELDS_MAX: usize = 131_072;
/// How deep parts may lie in each other: what the decoder takes.
const DEPTH_MAX: usize = 100;

/// More fields than there may be.
#[derive(Debug)]
struct TooMany;

/// As many fields may a text seem to have, or a digest.
const TEXT_FIELDS_MAX: usize = 64;
/// How many times as many fields may be looked at: texts are tried as messages, and mostly are none.
const TRIED_TIMES: usize = 8;

/// Refuses a message with more fields than a call of `kind` needs. A text counts as a message where it could be one; one
/// without control characters has no part of fewer than 32 bytes, and is not looked into.
///
/// # Errors
/// INVALID_ARGUMENT.
pub fn check(message: &[u8], kind: Kind) -> Result<(), Status> {
    let max = if kind == Kind::Import { IMPORT_FIELDS_MAX } else { FIELDS_MAX };
    let mut count = Count { left: max, tries_left: TRIED_TIMES * max };
    count.add(message, DEPTH_MAX).map_err(|TooMany| status::too_many_fields(max))
}

/// What may still be counted.
struct Count {
    left: usize,
    tries_left: usize,
}

impl Count {
    /// Counts the fields of `message`, and of what could be messages in it.
    fn add(&mut self, message: &[u8], depth: usize) -> Result<(), TooMany> {
        let (before, mut is_over) = (self.left, false);
        let read = read_fields(message, |_, value| {
            let is_counted = self.take().is_ok();
            let inner = match value {
                Value::Bytes(part) if is_counted && depth > 0 && has_control(part) => self.add(part, depth - 1),
                _ => Ok(()),
            };
            is_over |= !is_counted || inner.is_err();
            if is_over { Err(Malformed) } else { Ok(()) }
        });
        if is_over {
            return Err(TooMany);
        }
        if read.is_err() && before - self.left <= TEXT_FIELDS_MAX {
            // It is no message. With more fields it may be one that goes wrong late: until there it is decoded.
            self.left = before;
        }
        Ok(())
    }

    fn take(&mut self) -> Result<(), TooMany> {
        self.left = self.left.checked_sub(1).ok_or(TooMany)?;
        self.tries_left = self.tries_left.checked_sub(1).ok_or(TooMany)?;
        Ok(())
    }
}

fn has_control(part: &[u8]) -> bool {
    part.iter().any(|byte| *byte < b' ')
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::grpc::pb;

    #[test]
    fn parts_are_counted_however_deep_they_lie() {
        let entries = |count| pb::ImportApiKeysRequest {
            entries: vec![pb::ApiKeyImport::default(); count],
            ..Default::default()
        };
        check(&entries(IMPORT_FIELDS_MAX).encode_to_vec(), Kind::Import).unwrap();
        check(&entries(IMPORT_FIELDS_MAX + 1).encode_to_vec(), Kind::Import).unwrap_err();
        check(&entries(FIELDS_MAX + 1).encode_to_vec(), Kind::Creation).unwrap_err();
        // 99 parts in each other, and in the last one more than may be.
        let mut deep = [0x0a, 0].repeat(FIELDS_MAX);
        for _ in 0..99 {
            let mut outer = Vec::new();
            prost::encoding::bytes::encode(1, &deep, &mut outer);
            deep = outer;
        }
        check(&deep, Kind::Creation).unwrap_err();
    }

    #[test]
    fn what_goes_wrong_behind_many_parts_is_counted() {
        let mut message = [0x12, 0].repeat(FIELDS_MAX + 1);
        message.push(0xff);
        check(&message, Kind::Creation).unwrap_err();
        let mut outer = Vec::new();
        prost::encoding::bytes::encode(1, &message, &mut outer);
        check(&outer, Kind::Creation).unwrap_err();
    }

    #[test]
    fn a_full_import_has_room() {
        use pb::api_key_import::Material;
        let entry = |nth: u32| pb::ApiKeyImport {
            name: format!("Key number {nth}"),
            subject: format!("user_{nth}"),
            lookup_prefix: format!("sk_live_{nth}"),
            scopes: (0..8).map(|n| format!("orders:{n}")).collect(),
            metadata: (0..12).map(|n| (format!("label{n}"), format!("value\t{n}"))).collect(),
            material: Some(Material::Digest(pb::SecretDigest {
                value: rand::random::<[u8; 32]>().to_vec(),
                ..Default::default()
            })),
            ..Default::default()
        };
        let request = pb::ImportApiKeysRequest {
            keyspace: "default".into(),
            entries: (0..1_000).map(entry).collect(),
            ..Default::default()
        };
        check(&request.encode_to_vec(), Kind::Import).unwrap();
    }

    #[test]
    fn the_largest_key_has_few_fields_and_texts_count_little() {
        let metadata = (0..64).map(|n| (format!("label-{n}"), "(x)".repeat(800))).collect();
        let scopes = (0..64).map(|n| format!("scope:{n}")).collect();
        let request = pb::CreateApiKeyRequest {
            description: "A text that is no message.\n".repeat(40),
            metadata,
            scopes,
            ..Default::default()
        };
        let message = request.encode_to_vec();
        let mut count = Count { left: FIELDS_MAX, tries_left: FIELDS_MAX };
        count.add(&message, DEPTH_MAX).unwrap();
        assert!(FIELDS_MAX - count.left < 500, "{}", FIELDS_MAX - count.left);
        check(&message, Kind::Creation).unwrap();
    }

    #[test]
    fn what_is_no_message_is_left_to_the_decoder() {
        check(&[0xff; 1_000], Kind::Creation).unwrap();
    }
}
