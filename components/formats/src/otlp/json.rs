//! OTLP/JSON as protobuf, without anything in between: names in camelCase, numbers that may be strings, ids in
//! hexadecimal (or base64, as protobuf's own JSON has them), unknown fields skipped.
//!
//! A value takes at most 11 bytes, or its own and 6; nesting is bounded by serde_json.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{
    DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor,
};

use super::schema::{Field, Kind, Message};

/// Protobuf's ways to say where a field ends.
pub(super) mod wire {
    pub(in super::super) const VARINT: u64 = 0;
    pub(in super::super) const FIXED64: u64 = 1;
    pub(in super::super) const LENGTH: u64 = 2;
    pub(in super::super) const FIXED32: u64 = 5;
}

/// # Errors
/// Text that is no JSON, or a value of the wrong type, with its line and column.
pub(super) fn to_protobuf(
    text: &str,
    message: &'static Message,
) -> Result<Vec<u8>, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(text);
    let mut out = Vec::new();
    Object {
        message,
        out: &mut out,
    }
    .deserialize(&mut json)?;
    json.end()?;
    Ok(out)
}

pub(super) fn put_varint(out: &mut Vec<u8>, value: u64) {
    prost::encoding::encode_varint(value, out);
}

pub(super) fn put_key(out: &mut Vec<u8>, tag: u32, wire_type: u64) {
    put_varint(out, u64::from(tag) << 3 | wire_type);
}

pub(super) fn put_bytes(out: &mut Vec<u8>, tag: u32, bytes: &[u8]) {
    put_key(out, tag, wire::LENGTH);
    put_varint(out, u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    out.extend_from_slice(bytes);
}

/// An object that is to be this message.
struct Object<'a> {
    message: &'static Message,
    out: &'a mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            match self.message.by_name(&name) {
                Some(field) => map.next_value_seed(Value {
                    field,
                    element: false,
                    out: self.out,
                })?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// The value of a field, or an element of it.
struct Value<'a> {
    field: &'static Field,
    /// Whether this is inside of the field's array.
    element: bool,
    out: &'a mut Vec<u8>,
}

impl Value<'_> {
    fn is_single(&self) -> bool {
        self.element || !self.field.repeated
    }

    fn unexpected<E: Error>(&self, text: &str) -> E {
        let shown = crate::error::preview(text.as_bytes());
        E::invalid_type(Unexpected::Other(&shown), self)
    }

    fn number<E: Error>(self, number: i128) -> Result<(), E> {
        let Field {
            name, tag, kind, ..
        } = *self.field;
        let out_of_range = || E::custom(format_args!("{number} is out of range for `{name}`"));
        // Both as 64 bits: what has a sign is extended.
        let bits = || {
            let signed = i64::try_from(number).map(i64::cast_unsigned);
            signed
                .or_else(|_| u64::try_from(number))
                .map_err(|_| out_of_range())
        };
        match kind {
            _ if !self.is_single() => {
                return Err(E::invalid_type(Unexpected::Other("a number"), &self));
            }
            Kind::Index => {
                let index = i32::try_from(number).map_err(|_| out_of_range())?;
                put_key(self.out, tag, wire::VARINT);
                put_varint(self.out, i64::from(index).cast_unsigned());
            }
            Kind::Number => {
                let bits = bits()?;
                put_key(self.out, tag, wire::VARINT);
                put_varint(self.out, bits);
            }
            Kind::Fixed64 => {
                let bits = bits()?;
                put_key(self.out, tag, wire::FIXED64);
                self.out.extend_from_slice(&bits.to_le_bytes());
            }
            Kind::Text | Kind::Id | Kind::Message(_) => {
                return Err(E::invalid_type(Unexpected::Other("a number"), &self));
            }
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.field.kind {
            _ if !self.is_single() => "an array",
            Kind::Text => "a string",
            Kind::Index | Kind::Number | Kind::Fixed64 => "a whole number or a string with one",
            Kind::Id => "a string in hexadecimal",
            Kind::Message(_) => "an object",
        };
        write!(f, "{what} for `{}`", self.field.name)
    }

    /// `null` is no value; in an array it would move all that follows.
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        if self.element {
            return Err(E::invalid_type(Unexpected::Unit, &self));
        }
        Ok(())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.number(i128::from(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.number(i128::from(number))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        if number.fract() != 0.0 {
            return Err(E::invalid_type(Unexpected::Float(number), &self));
        }
        // Saturates, and is out of range then.
        self.number(number as i128)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let tag = self.field.tag;
        match self.field.kind {
            _ if !self.is_single() => Err(self.unexpected(text)),
            Kind::Text => {
                put_bytes(self.out, tag, text.as_bytes());
                Ok(())
            }
            Kind::Id => {
                let bytes = id(text).ok_or_else(|| self.unexpected(text))?;
                put_bytes(self.out, tag, &bytes);
                Ok(())
            }
            Kind::Index | Kind::Number | Kind::Fixed64 => match text.parse() {
                Ok(number) => self.number(number),
                Err(_) => Err(self.unexpected(text)),
            },
            Kind::Message(_) => Err(self.unexpected(text)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self { field, out, .. } = self;
        if self.element || !field.repeated {
            return Err(A::Error::invalid_type(
                Unexpected::Seq,
                &Value {
                    field,
                    element: true,
                    out,
                },
            ));
        }
        while seq
            .next_element_seed(Value {
                field,
                element: true,
                out: &mut *out,
            })?
            .is_some()
        {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        match self.field.kind {
            Kind::Message(message) if self.is_single() => {
                let mut body = Vec::new();
                Object {
                    message,
                    out: &mut body,
                }
                .visit_map(map)?;
                put_bytes(self.out, self.field.tag, &body);
                Ok(())
            }
            _ => Err(A::Error::invalid_type(Unexpected::Map, &self)),
        }
    }
}

/// An id of a trace or a span. The lengths tell hexadecimal and base64 apart.
fn id(text: &str) -> Option<Vec<u8>> {
    match text.len() {
        0 => Some(Vec::new()),
        16 | 32 => text.as_bytes().chunks(2).map(byte).collect(),
        _ => STANDARD.decode(text).ok(),
    }
}

fn byte(digits: &[u8]) -> Option<u8> {
    // `from_str_radix` takes a sign.
    let digits = str::from_utf8(digits)
        .ok()
        .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
    u8::from_str_radix(digits, 16).ok()
}
