//! The protobuf encoding (protobuf.dev/programming-guides/encoding), as far as these messages need it, over bytes that
//! stay where they are.

use bytes::Buf as _;
use prost::encoding::{self, DecodeContext, WireType};

/// How long what stands before each message of gRPC is: whether it is compressed, and its length in four bytes.
pub const FRAME_HEAD_LEN: usize = 5;

/// The bytes are no message of this type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Text, or a message.
    Bytes(&'a [u8]),
    /// A number that is written as a varint.
    Number(u64),
}

/// Reads the fields of `message`, each by its number. Fields of other types are passed over, as unknown ones must be.
pub fn read_fields<'a>(
    message: &'a [u8],
    mut field: impl FnMut(u32, Value<'a>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut rest = message;
    while !rest.is_empty() {
        let (number, wire_type) = encoding::decode_key(&mut rest).map_err(|_| Malformed)?;
        match wire_type {
            WireType::LengthDelimited => {
                let length = encoding::decode_varint(&mut rest).map_err(|_| Malformed)?;
                let length = usize::try_from(length).map_err(|_| Malformed)?;
                let (value, behind) = rest.split_at_checked(length).ok_or(Malformed)?;
                field(number, Value::Bytes(value))?;
                rest = behind;
            }
            WireType::Varint => {
                let value = encoding::decode_varint(&mut rest).map_err(|_| Malformed)?;
                field(number, Value::Number(value))?;
            }
            _ => {
                encoding::skip_field(wire_type, number, &mut rest, DecodeContext::default()).map_err(|_| Malformed)?;
            }
        }
        debug_assert!(rest.remaining() < message.len(), "it goes on");
    }
    Ok(())
}

/// The text of a field.
pub fn text(value: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(value).map_err(|_| Malformed)
}

/// Writes field `number` as a varint.
pub fn put_varint(number: u32, value: u64, out: &mut Vec<u8>) {
    encoding::encode_key(number, WireType::Varint, out);
    encoding::encode_varint(value, out);
}

/// Writes field `number` as bytes, text or an encoded message. Written even if empty.
pub fn put_bytes(number: u32, value: &[u8], out: &mut Vec<u8>) {
    encoding::encode_key(number, WireType::LengthDelimited, out);
    encoding::encode_varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

/// Writes field `number` as the message that `write` writes.
pub fn put_message(number: u32, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    encoding::encode_key(number, WireType::LengthDelimited, out);
    // Most messages here are shorter than 128 bytes, and their length takes one; else all moves on.
    let at = out.len();
    out.push(0);
    write(out);
    let length = out.len() - at - 1;
    if let Ok(short) = u8::try_from(length)
        && short < 0x80
    {
        out[at] = short;
    } else {
        let mut prefix = Vec::with_capacity(10);
        encoding::encode_varint(length as u64, &mut prefix);
        out.splice(at..=at, prefix);
    }
}
