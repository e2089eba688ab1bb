//! Strings that are not UTF-8, replaced before the messages are read: the generated code would refuse the request.

use std::borrow::Cow;

use super::json::{put_bytes, put_key, put_varint, wire};
use super::schema::{Kind, Message, REQUEST};
use crate::varint::Reader;

/// How deep messages may lie in each other: as prost has it.
const DEPTH: usize = 100;

/// The request with every string in UTF-8, and how many were not. `None` if it is all strings' no fault.
pub(super) fn strings(request: &[u8]) -> Option<(Vec<u8>, u64)> {
    let mut repaired = 0;
    let request = message(request, &REQUEST, DEPTH, &mut repaired)?;
    (repaired > 0).then_some((request, repaired))
}

fn message(bytes: &[u8], schema: &Message, depth: usize, repaired: &mut u64) -> Option<Vec<u8>> {
    let depth = depth.checked_sub(1)?;
    let mut reader = Reader::new(bytes);
    let mut out = Vec::with_capacity(bytes.len());
    while reader.remaining() > 0 {
        let key = reader.uvarint("a key").ok()?;
        let tag = u32::try_from(key >> 3).ok()?;
        match key & 7 {
            wire::VARINT => {
                put_key(&mut out, tag, wire::VARINT);
                put_varint(&mut out, reader.uvarint("a number").ok()?);
            }
            wire::LENGTH => {
                let length = reader.uvarint("a length").ok()?;
                let content = reader.take(length, "a field").ok()?;
                let content = match schema.by_tag(u64::from(tag)).map(|field| field.kind) {
                    Some(Kind::Text) => text(content, repaired),
                    Some(Kind::Message(schema)) => {
                        Cow::Owned(message(content, schema, depth, repaired)?)
                    }
                    Some(Kind::Index | Kind::Number | Kind::Fixed64 | Kind::Id) | None => {
                        Cow::Borrowed(content)
                    }
                };
                put_bytes(&mut out, tag, &content);
            }
            fixed @ (wire::FIXED64 | wire::FIXED32) => {
                let length = if fixed == wire::FIXED64 { 8 } else { 4 };
                put_key(&mut out, tag, fixed);
                out.extend_from_slice(reader.take(length, "a fixed number").ok()?);
            }
            _ => return None,
        }
    }
    Some(out)
}

fn text<'a>(bytes: &'a [u8], repaired: &mut u64) -> Cow<'a, [u8]> {
    match String::from_utf8_lossy(bytes) {
        Cow::Borrowed(_) => Cow::Borrowed(bytes),
        Cow::Owned(text) => {
            *repaired = repaired.saturating_add(1);
            Cow::Owned(text.into_bytes())
        }
    }
}
