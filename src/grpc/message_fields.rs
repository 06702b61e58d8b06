//! How many fields a message has, its parts included: counted in its bytes, before it is decoded. An empty part takes two
//! bytes of a message and up to a kilobyte of memory.

use tonic::Status;

use super::status;
use super::verification::{Value, read_fields};
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

/// Refuses a message with more fields than a call of `kind` needs. Texts count as messages where they could be one, which
/// those of a few thousand bytes hardly are.
///
/// # Errors
/// INVALID_ARGUMENT.
pub fn check(message: &[u8], kind: Kind) -> Result<(), Status> {
    let max = if kind == Kind::Import { IMPORT_FIELDS_MAX } else { FIELDS_MAX };
    count(message, &mut { max }, DEPTH_MAX).map_err(|TooMany| status::too_many_fields(max))
}

/// Takes as many as the fields of `message`, and of what could be messages in it, from what is `left`.
fn count(message: &[u8], left: &mut usize, depth: usize) -> Result<(), TooMany> {
    let mut is_over = false;
    // What cannot be read is no message, and is refused where it is decoded.
    let _ = read_fields(message, |_, value| {
        let is_counted = left.checked_sub(1).map(|rest| *left = rest).is_some();
        let inner = match value {
            Value::Bytes(part) if is_counted && depth > 0 => count(part, left, depth - 1),
            _ => Ok(()),
        };
        is_over |= !is_counted || inner.is_err();
        if is_over { Err(super::verification::Malformed) } else { Ok(()) }
    });
    if is_over { Err(TooMany) } else { Ok(()) }
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
    fn the_largest_key_has_few_fields_and_texts_count_little() {
        let metadata = (0..64).map(|n| (format!("label-{n}"), "(x)".repeat(800))).collect();
        let scopes = (0..64).map(|n| format!("scope:{n}")).collect();
        let request = pb::CreateApiKeyRequest {
            description: "A text that is no message. ".repeat(40),
            metadata,
            scopes,
            ..Default::default()
        };
        let message = request.encode_to_vec();
        let mut left = FIELDS_MAX;
        count(&message, &mut left, DEPTH_MAX).unwrap();
        assert!(FIELDS_MAX - left < 4_000, "{}", FIELDS_MAX - left);
        check(&message, Kind::Creation).unwrap();
    }

    #[test]
    fn what_is_no_message_is_left_to_the_decoder() {
        check(&[0xff; 1_000], Kind::Creation).unwrap();
    }
}
