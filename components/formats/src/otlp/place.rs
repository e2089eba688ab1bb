//! Where bytes stop to be a request: the generated code names the field, and not where it stands.

use super::json::wire;
use super::schema::{Field, Kind, Message, REQUEST};
use crate::varint::Reader;

/// How deep messages may lie in each other: as prost has it.
const DEPTH: usize = 100;

/// Offset of the first field that is not what it should be; `None` if all are.
pub(super) fn first_fault(request: &[u8]) -> Option<usize> {
    message(request, &REQUEST, 0, DEPTH).err()
}

fn message(bytes: &[u8], schema: &Message, base: usize, depth: usize) -> Result<(), usize> {
    let depth = depth.checked_sub(1).ok_or(base)?;
    let mut reader = Reader::new(bytes);
    while reader.remaining() > 0 {
        let at = base.saturating_add(reader.position());
        let here = |_| at;
        let key = reader.uvarint("a key").map_err(here)?;
        let field = schema.by_tag(key >> 3);
        let wire_type = key & 7;
        if key >> 3 == 0 || field.is_some_and(|field| !fits(field, wire_type)) {
            return Err(at);
        }
        let length = match wire_type {
            wire::VARINT => reader.uvarint("a number").map(|_| 0),
            wire::FIXED64 => Ok(8),
            wire::FIXED32 => Ok(4),
            wire::LENGTH => reader.uvarint("a length"),
            _ => return Err(at),
        };
        let content = reader
            .take(length.map_err(here)?, "a field")
            .map_err(here)?;
        match field.map(|field| field.kind) {
            Some(Kind::Message(schema)) => {
                let end = base.saturating_add(reader.position());
                message(content, schema, end.saturating_sub(content.len()), depth)?;
            }
            Some(Kind::Text) if str::from_utf8(content).is_err() => return Err(at),
            _ => {}
        }
    }
    Ok(())
}

/// Whether a field may be written so; lists of numbers may be packed.
fn fits(field: &Field, wire_type: u64) -> bool {
    match field.kind {
        Kind::Text | Kind::Id | Kind::Message(_) => wire_type == wire::LENGTH,
        Kind::Index | Kind::Number => {
            wire_type == wire::VARINT || (field.repeated && wire_type == wire::LENGTH)
        }
        Kind::Fixed64 => {
            wire_type == wire::FIXED64 || (field.repeated && wire_type == wire::LENGTH)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_the_first_fault_is_found() {
        // resource_profiles { resource {} }, dictionary { string_table "ab" }
        let request = b"\x0a\x02\x0a\x00\x12\x04\x2a\x02ab";
        assert_eq!(first_fault(request), None);
        assert_eq!(first_fault(&request[..9]), Some(4));
        let faulty = |at: usize, byte: u8| {
            let mut faulty = request.to_vec();
            faulty[at] = byte;
            first_fault(&faulty)
        };
        assert_eq!(faulty(0, 0x08), Some(0), "a number instead of a message");
        assert_eq!(faulty(2, 0x02), Some(2), "a field 0");
        assert_eq!(faulty(7, 0x03), Some(6), "longer than its message");
        assert_eq!(faulty(9, 0xff), Some(6), "not UTF-8");
    }
}
