//! Messages as ProtoJSON, by the descriptors that `build.rs` keeps: for the command line, and for calls that speak JSON.

mod once;
mod wanted;

use std::io::{self, Write};
use std::sync::LazyLock;

use prost::Message;
use prost_reflect::{
    DescriptorPool, DeserializeOptions, DynamicMessage, MessageDescriptor, MethodDescriptor, SerializeOptions,
};
use prost_types::{FileDescriptorSet, Struct};
use serde::de::DeserializeSeed as _;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};
use serde_json::{Map, Value};
use serde_path_to_error::Path;

use super::pb;
use once::{Check, Fault, VALUES_MAX};

/// Of all that is served, and of the details of errors, which say their types themselves.
static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let built = "a crate was built with it";
    let mut pool = DescriptorPool::decode(pb::FILE_DESCRIPTOR_SET).expect(built);
    for set in [tonic_health::pb::FILE_DESCRIPTOR_SET, tonic_types::pb::FILE_DESCRIPTOR_SET] {
        let mut files = FileDescriptorSet::decode(set).expect(built).file;
        // The first has what Google's status.proto says, and the last has it again.
        files.retain(|file| !file.name().ends_with("status.proto"));
        pool.add_file_descriptor_protos(files).expect(built);
    }
    pool
});

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

/// The message of this full name that the JSON object says; `None` if it says none. What serde says of one that is none
/// repeats its values, which may be secrets: it is left out.
pub fn parse_message<M: Message + Default>(name: &str, object: &Map<String, Value>) -> Option<M> {
    DynamicMessage::deserialize(descriptor(name), object).ok()?.transcode_to().ok()
}

/// Whether there is a service of this full name.
pub fn is_service(name: &str) -> bool {
    POOL.get_service_by_name(name).is_some()
}

/// The method at `path`, `/SERVICE/METHOD`.
pub fn method(path: &str) -> Option<MethodDescriptor> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    POOL.get_service_by_name(service)?.methods().find(|known| known.name() == method)
}

/// Every method.
#[cfg(test)]
pub fn methods() -> impl Iterator<Item = MethodDescriptor> {
    POOL.services().flat_map(|service| service.methods().collect::<Vec<_>>())
}

/// What is wrong with JSON that should be a message. It repeats no value: one may be a secret.
#[derive(Debug)]
pub struct Misfit {
    /// The path of the field, as it was sent; empty: the whole.
    pub field: String,
    /// What is wrong with it.
    pub description: String,
}

/// The bytes of the message of type `kind` that `json` says. Fields that it does not have, or has twice, are refused.
pub fn to_bytes(json: &[u8], kind: &MessageDescriptor) -> Result<Vec<u8>, Misfit> {
    let (mut left, mut fault) = (VALUES_MAX, None);
    let checked = read(json, |tracked| Check::new(kind.clone(), &mut left, &mut fault).deserialize(tracked));
    checked.map_err(|(path, error)| Misfit::of(&path, &error, fault, kind))?;
    let options = DeserializeOptions::new().deny_unknown_fields(true);
    let message = read(json, |tracked| DynamicMessage::deserialize_with_options(kind.clone(), tracked, &options));
    let message = message.map_err(|(path, error)| Misfit::of(&path, &error, None, kind))?;
    Ok(message.encode_to_vec())
}

type Tracked<'a, 'json> =
    serde_path_to_error::Deserializer<'a, 'a, &'a mut serde_json::Deserializer<serde_json::de::SliceRead<'json>>>;

/// What `visit` makes of all of `json`, or where it went wrong.
fn read<T>(
    json: &[u8],
    visit: impl FnOnce(Tracked<'_, '_>) -> Result<T, serde_json::Error>,
) -> Result<T, (serde_path_to_error::Path, serde_json::Error)> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let mut track = serde_path_to_error::Track::new();
    let visited = visit(serde_path_to_error::Deserializer::new(&mut reader, &mut track));
    visited.and_then(|value| reader.end().map(|()| value)).map_err(|error| (track.path(), error))
}

impl Misfit {
    fn of(path: &Path, error: &serde_json::Error, fault: Option<Fault>, kind: &MessageDescriptor) -> Self {
        /// The longest path that is repeated, in characters.
        const PATH_LEN_MAX: usize = 200;
        let is_whole = path.iter().next().is_none();
        let path_text = if is_whole { String::new() } else { path.to_string() };
        let below = |name: String| if is_whole { name } else { format!("{path_text}.{name}") };
        let (field, description) = match fault {
            Some(Fault::Unknown(name)) => (below(name), "is no field of this message".to_owned()),
            Some(Fault::Twice(name)) => (below(name), "must be there once; is there twice".to_owned()),
            Some(Fault::TooMany) => (String::new(), format!("must have at most {VALUES_MAX} values")),
            None if !error.is_data() => {
                (String::new(), format!("must be JSON; is none at line {}, column {}", error.line(), error.column()))
            }
            None if error.to_string().starts_with("multiple fields provided for oneof") => {
                (path_text, "must have only one of the fields that exclude each other".to_owned())
            }
            None if is_whole => (String::new(), "must be a JSON object".to_owned()),
            None => match wanted::at(path, kind) {
                Some(wanted) => (path_text, format!("must be {wanted}")),
                None => (path_text, "does not take this value".to_owned()),
            },
        };
        Self { field: field.chars().take(PATH_LEN_MAX).collect(), description }
    }
}

/// The JSON of the message of type `kind` in `bytes`; `None` if that is not what they are.
pub fn from_bytes(bytes: &[u8], kind: MessageDescriptor) -> Option<Vec<u8>> {
    Some(write_dynamic(&DynamicMessage::decode(kind, bytes).ok()?, CompactFormatter))
}

/// The JSON of the message of type `name` in `bytes`, if that is a type that is known and what they are.
pub fn known_from_bytes(bytes: &[u8], name: &str) -> Option<Value> {
    let kind = POOL.get_message_by_name(name)?;
    serde_json::from_slice(&from_bytes(bytes, kind)?).ok()
}

fn descriptor(name: &str) -> MessageDescriptor {
    POOL.get_message_by_name(name).expect("a message of proto/")
}

fn write(name: &str, message: &impl Message, form: impl Formatter) -> String {
    let mut dynamic = DynamicMessage::new(descriptor(name));
    dynamic.transcode_from(message).expect("`name` is the name of `message`");
    String::from_utf8(write_dynamic(&dynamic, form)).expect("JSON is UTF-8")
}

fn write_dynamic(message: &DynamicMessage, form: impl Formatter) -> Vec<u8> {
    let mut json = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut json, PlainNumbers(form));
    message.serialize_with_options(&mut serializer, &OPTIONS).expect("no field is out of its range");
    json
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
        let json = "{\n  \"apiKeys\": [],\n  \"nextPageToken\": \"\",\n  \"totalSize\": \"7\",\n  \
                    \"totalSizeIsLowerBound\": false\n}\n";
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
