//! What a field takes, in words.

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_path_to_error::{Path, Segment};

/// What the place at `path` of a message of type `kind` takes; `None` if there is no such place.
pub fn at(path: &Path, kind: &MessageDescriptor) -> Option<String> {
    let mut message = kind.clone();
    let mut field: Option<FieldDescriptor> = None;
    let mut is_element = false;
    for segment in path {
        match segment {
            Segment::Seq { .. } => is_element = true,
            // An entry of a map takes what all of them do.
            Segment::Map { .. } if field.as_ref().is_some_and(FieldDescriptor::is_map) => is_element = true,
            Segment::Map { key } => {
                let next = message.get_field_by_json_name(key).or_else(|| message.get_field_by_name(key))?;
                if let Kind::Message(inner) = next.kind() {
                    message = inner;
                }
                (field, is_element) = (Some(next), false);
            }
            Segment::Enum { .. } | Segment::Unknown => return None,
        }
    }
    let field = field?;
    Some(match () {
        () if field.is_list() && !is_element => "a list".to_owned(),
        () if field.is_map() && !is_element => "an object of strings".to_owned(),
        () if field.is_map() => "a string".to_owned(),
        () => one(&field.kind()),
    })
}

fn one(kind: &Kind) -> String {
    match kind {
        Kind::String => "a string".to_owned(),
        Kind::Bytes => "bytes in base64".to_owned(),
        Kind::Bool => "true or false".to_owned(),
        Kind::Double | Kind::Float => "a number".to_owned(),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => "a whole number of 32 bits".to_owned(),
        Kind::Uint32 | Kind::Fixed32 => "a whole number of 32 bits, not negative".to_owned(),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => "a whole number of 64 bits".to_owned(),
        Kind::Uint64 | Kind::Fixed64 => "a whole number of 64 bits, not negative".to_owned(),
        Kind::Enum(kind) => {
            let names: Vec<_> = kind.values().map(|value| value.name().to_owned()).collect();
            format!("one of {}", names.join(", "))
        }
        Kind::Message(kind) => match kind.full_name() {
            "google.protobuf.Timestamp" => r#"a time such as "2026-11-22T09:36:22Z""#,
            "google.protobuf.Duration" => r#"a duration such as "3600s""#,
            "google.protobuf.FieldMask" => r#"names of fields such as "name,scopes""#,
            _ => "an object",
        }
        .to_owned(),
    }
}
