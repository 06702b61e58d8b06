//! Messages as ProtoJSON, by the descriptors that `build.rs` keeps.

use std::io::{self, Write};
use std::sync::LazyLock;

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, SerializeOptions};
use prost_types::Struct;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};
use serde_json::{Map, Value};

use crate::grpc::pb;

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(pb::FILE_DESCRIPTOR_SET).expect("build.rs wrote it"));

const STRUCT: &str = "google.protobuf.Struct";

/// Fields that are false, zero or empty are written too: `.valid` is `false`, not `null`, to whoever asks with jq.
const OPTIONS: SerializeOptions = SerializeOptions::new().skip_default_fields(false);

/// `message`, whose full name is `name`, on several lines.
pub fn pretty(name: &str, message: &impl Message) -> String {
    write(name, message, PrettyFormatter::new()) + "\n"
}

/// An object on one line; empty if there is none, or nothing in it.
pub fn object(object: Option<&Struct>) -> String {
    object
        .filter(|object| !object.fields.is_empty())
        .map(|object| write(STRUCT, object, CompactFormatter))
        .unwrap_or_default()
}

/// The object that `text` is.
pub fn parse_object(text: &str) -> Result<Struct, String> {
    let mut json = serde_json::Deserializer::from_str(text);
    let object = DynamicMessage::deserialize(descriptor(STRUCT), &mut json)
        .and_then(|object| json.end().map(|()| object))
        .map_err(|error| format!("not a JSON object: {error}"))?;
    object.transcode_to().map_err(|_| "nested too deeply".to_owned())
}

/// The message of this full name that the JSON object says. What serde says of one that is none repeats its values, which
/// may be secrets: it is left out.
pub fn parse_message<M: Message + Default>(name: &str, object: &Map<String, Value>) -> Result<M, ()> {
    let message = DynamicMessage::deserialize(descriptor(name), object).map_err(drop)?;
    message.transcode_to().map_err(drop)
}

fn descriptor(name: &str) -> MessageDescriptor {
    POOL.get_message_by_name(name).expect("a message of proto/")
}

fn write(name: &str, message: &impl Message, form: impl Formatter) -> String {
    let mut dynamic = DynamicMessage::new(descriptor(name));
    dynamic.transcode_from(message).expect("`name` is the name of `message`");
    let mut json = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut json, PlainNumbers(form));
    dynamic.serialize_with_options(&mut serializer, &OPTIONS).expect("no field is out of its range");
    String::from_utf8(json).expect("JSON is UTF-8")
}

/// Numbers in a `Struct` are doubles; this writes a whole one as it was given, `3` and not `3.0`.
struct PlainNumbers<F>(F);

impl<F: Formatter> Formatter for PlainNumbers<F> {
    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        /// Beyond this, not every whole number has a double.
        const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
        if value.fract() == 0.0 && value.abs() <= EXACT_MAX {
            return write!(writer, "{value:.0}");
        }
        self.0.write_f64(writer, value)
    }

    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}

#[cfg(test)]
mod tests {
    use prost_types::Timestamp;

    use super::*;

    #[test]
    fn fields_have_their_json_names_and_defaults_are_written() {
        let response = pb::VerifyResponse {
            verdict: pb::Verdict::NotFound.into(),
            expire_time: Some(Timestamp { seconds: 0, nanos: 500_000_000 }),
            ..pb::VerifyResponse::default()
        };
        let json: serde_json::Value = serde_json::from_str(&pretty("portcullis.v1.VerifyResponse", &response)).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "valid": false, "verdict": "VERDICT_NOT_FOUND", "keyId": "", "keyspace": "", "subject": "",
                "scopes": [], "expireTime": "1970-01-01T00:00:00.500Z", "missingScopes": [],
            })
        );
    }

    #[test]
    fn pretty_is_pretty() {
        let response = pb::ListApiKeysResponse { total_size: 7, ..pb::ListApiKeysResponse::default() };
        let json = "{\n  \"apiKeys\": [],\n  \"nextPageToken\": \"\",\n  \"totalSize\": \"7\"\n}\n";
        assert_eq!(pretty("portcullis.v1.ListApiKeysResponse", &response), json);
    }

    #[test]
    fn objects_survive_a_round_trip() {
        for json in [
            r#"{"flags":[true,null],"plan":"pro","seats":3}"#,
            r#"{"a":-1,"b":0.5,"c":1e+300,"d":9007199254740992,"e":{}}"#,
            r#"{"ü\u0007":"\"é\\"}"#,
        ] {
            assert_eq!(object(Some(&parse_object(json).unwrap())), json);
        }
        assert_eq!(object(None), "");
        assert_eq!(object(Some(&Struct::default())), "");
    }

    #[test]
    fn what_is_no_object() {
        for bad in ["", "[]", "3", "null", "{", "{} {}", r#"{"a":1}x"#] {
            assert!(parse_object(bad).is_err(), "{bad}");
        }
        let deep = format!("{}1{}", r#"{"a":"#.repeat(120), "}".repeat(120));
        assert!(parse_object(&deep).is_err());
    }
}
