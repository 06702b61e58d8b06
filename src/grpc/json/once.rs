//! What JSON may not say although a message could be read from it: a field that the message does not have, a field twice,
//! and more than there is memory for. Read before the message is, which takes some hundred times the text's size.

use std::collections::HashSet;
use std::fmt;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// Most values in one request, those of lists, maps and claims included: some 80 MiB while they are read.
pub const VALUES_MAX: usize = 100_000;

/// Why JSON is refused.
#[derive(Debug, PartialEq)]
pub enum Fault {
    /// The message has no field of this name.
    Unknown(String),
    /// This name is there twice in one object, perhaps in two spellings.
    Twice(String),
    /// More than [`VALUES_MAX`].
    TooMany,
}

/// Reads JSON that should be a message, and keeps nothing of it.
pub struct Check<'a> {
    within: Within,
    left: &'a mut usize,
    fault: &'a mut Option<Fault>,
}

/// What a value is part of.
#[derive(Clone)]
enum Within {
    /// A message, or a list of them.
    Message(MessageDescriptor),
    /// A map with such values.
    Map(Box<Within>),
    /// JSON of any form.
    Free,
    /// A field that takes one value, or a list of them.
    Plain,
}

impl<'a> Check<'a> {
    /// A check against `kind` that may go on for `left` values and says what is wrong by `fault`.
    pub fn new(kind: MessageDescriptor, left: &'a mut usize, fault: &'a mut Option<Fault>) -> Self {
        Self { within: Within::of_message(kind), left, fault }
    }

    fn below(&mut self, within: Within) -> Check<'_> {
        Check { within, left: self.left, fault: self.fault }
    }

    fn refuse<E: serde::de::Error>(&mut self, fault: Fault) -> E {
        *self.fault = Some(fault);
        E::custom("refused")
    }

    fn count<E: serde::de::Error>(&mut self) -> Result<(), E> {
        match self.left.checked_sub(1) {
            Some(left) => {
                *self.left = left;
                Ok(())
            }
            None => Err(self.refuse(Fault::TooMany)),
        }
    }
}

impl Within {
    fn of_message(kind: MessageDescriptor) -> Self {
        match kind.full_name() {
            "google.protobuf.Struct"
            | "google.protobuf.Value"
            | "google.protobuf.ListValue"
            | "google.protobuf.Any" => Self::Free,
            // Written as one value.
            name if name.starts_with("google.protobuf.") => Self::Plain,
            _ => Self::Message(kind),
        }
    }

    fn of_field(field: &FieldDescriptor) -> Self {
        match field.kind() {
            Kind::Message(entry) if field.is_map() => {
                Self::Map(Box::new(Self::of_field(&entry.map_entry_value_field())))
            }
            Kind::Message(kind) => Self::of_message(kind),
            _ => Self::Plain,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Check<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Check<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E: serde::de::Error>(mut self, _: bool) -> Result<(), E> {
        self.count()
    }

    fn visit_i64<E: serde::de::Error>(mut self, _: i64) -> Result<(), E> {
        self.count()
    }

    fn visit_u64<E: serde::de::Error>(mut self, _: u64) -> Result<(), E> {
        self.count()
    }

    fn visit_f64<E: serde::de::Error>(mut self, _: f64) -> Result<(), E> {
        self.count()
    }

    fn visit_str<E: serde::de::Error>(mut self, _: &str) -> Result<(), E> {
        self.count()
    }

    fn visit_unit<E: serde::de::Error>(mut self) -> Result<(), E> {
        self.count()
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        self.count()?;
        let within = self.within.clone();
        while list.next_element_seed(self.below(within.clone()))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        self.count()?;
        let within = self.within.clone();
        let Within::Message(kind) = within else {
            let value = if let Within::Map(value) = within { *value } else { Within::Free };
            let mut seen = HashSet::new();
            while let Some(name) = map.next_key::<String>()? {
                if seen.contains(&name) {
                    return Err(self.refuse(Fault::Twice(name)));
                }
                seen.insert(name);
                self.count()?;
                map.next_value_seed(self.below(value.clone()))?;
            }
            return Ok(());
        };
        let mut seen = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            let field = kind.get_field_by_json_name(&name).or_else(|| kind.get_field_by_name(&name));
            let Some(field) = field else { return Err(self.refuse(Fault::Unknown(name))) };
            if !seen.insert(field.number()) {
                return Err(self.refuse(Fault::Twice(name)));
            }
            map.next_value_seed(self.below(Within::of_field(&field)))?;
        }
        Ok(())
    }
}
