//! Trees as bytes: nodes in pre-order, each name, own value, number of children (api.md 1.12).
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::index::NameTable;
use super::layout::{Children, siblings_differ};
use super::{Names, Tree};
use crate::error::{Classify, ErrorKind};

/// Why something is no tree.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// Bytes that no writer of trees makes.
    #[error("malformed tree bytes: {what} at byte {offset}; the sender's version may not fit")]
    Malformed {
        /// Where, from the start.
        offset: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// A flame graph whose nodes do not nest.
    #[error("malformed flame graph: {what} in level {level}; the sender's version may not fit")]
    Unnested {
        /// Where; 0 is the root's level.
        level: usize,
        /// What is wrong there.
        what: &'static str,
    },
}

impl Classify for TreeError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Malformed { .. } | Self::Unnested { .. } => ErrorKind::Internal,
        }
    }
}

/// The smallest node: no name, a value and a number of one byte each.
const MIN_NODE_BYTES: usize = 3;

impl Tree {
    /// The tree as bytes, siblings by descending name as upstream writes them; nothing for an empty tree.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        if self.total() == 0 {
            return Vec::new();
        }
        let kept = self.kept(0);
        let children = Children::by_name(self.names(), &kept.parents, &kept.name_ids);
        let mut bytes = Vec::with_capacity(kept.len().saturating_mul(16));
        let mut open = vec![0u32];
        while let Some(node) = open.pop() {
            let below = children.of(node);
            let (id, own) = kept.node(node);
            let name = if node == 0 { "" } else { self.names.get(id) };
            write_uvarint(&mut bytes, name.len() as u64);
            bytes.extend_from_slice(name.as_bytes());
            write_uvarint(&mut bytes, own.unsigned_abs());
            write_uvarint(&mut bytes, below.len() as u64);
            open.extend_from_slice(below);
        }
        bytes
    }

    /// Reads [`Self::to_bytes`] of any writer: siblings in any order, equal ones become one. The root's name and value
    /// are ignored; a name that is not UTF-8 gets replacement characters. Memory and time are linear in the bytes.
    ///
    /// # Errors
    /// [`TreeError::Malformed`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TreeError> {
        if bytes.len() < 2 {
            return Ok(Self::new());
        }
        let mut reader = Reader { bytes, offset: 0 };
        let root = reader.node()?;
        let mut names = Names::new();
        let mut table = NameTable::default();
        let (mut parents, mut name_ids, mut selves) = (vec![0], vec![0], vec![0]);
        let mut open: Vec<(u32, u64)> = vec![(0, root.children)];
        while let Some((parent, left)) = open.last_mut() {
            let Some(rest) = left.checked_sub(1) else {
                open.pop();
                continue;
            };
            *left = rest;
            let parent = *parent;
            let place = u32::try_from(parents.len())
                .map_err(|_| reader.malformed("more than 2^32 nodes"))?;
            let node = reader.node()?;
            parents.push(parent);
            name_ids.push(table.intern(&mut names, &String::from_utf8_lossy(node.name)));
            selves.push(node.own);
            if node.children > 0 {
                open.push((place, node.children));
            }
        }
        if reader.offset != bytes.len() {
            return Err(reader.malformed("more bytes than the nodes have"));
        }
        if siblings_differ(names.len(), &parents, &name_ids) {
            Ok(Self::from_parts(names, parents, name_ids, selves))
        } else {
            Ok(Self::from_unmerged_parts(
                &names, &parents, &name_ids, &selves,
            ))
        }
    }
}

struct Node<'a> {
    name: &'a [u8],
    own: i64,
    children: u64,
}

struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    fn node(&mut self) -> Result<Node<'a>, TreeError> {
        let name_len = self.uvarint()?;
        let end = usize::try_from(name_len)
            .ok()
            .and_then(|len| self.offset.checked_add(len));
        let Some(name) = end.and_then(|end| self.bytes.get(self.offset..end)) else {
            return Err(self.malformed("a name longer than what is left"));
        };
        self.offset = self.offset.saturating_add(name.len());
        let value_offset = self.offset;
        let own = i64::try_from(self.uvarint()?).map_err(|_| TreeError::Malformed {
            offset: value_offset,
            what: "a negative value",
        })?;
        let count_offset = self.offset;
        let children = self.uvarint()?;
        let room = self.bytes.len().saturating_sub(self.offset) / MIN_NODE_BYTES;
        if children > room as u64 {
            return Err(TreeError::Malformed {
                offset: count_offset,
                what: "more children than what is left can hold",
            });
        }
        Ok(Node {
            name,
            own,
            children,
        })
    }

    fn uvarint(&mut self) -> Result<u64, TreeError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let Some(&byte) = self.bytes.get(self.offset) else {
                return Err(self.malformed("the bytes end inside a node"));
            };
            let bits = u64::from(byte & 0x7f);
            let shifted = bits << shift;
            if shifted >> shift != bits {
                break;
            }
            self.offset = self.offset.saturating_add(1);
            value |= shifted;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.malformed("a number of more than 64 bits"))
    }

    fn malformed(&self, what: &'static str) -> TreeError {
        TreeError::Malformed {
            offset: self.offset,
            what,
        }
    }
}

fn write_uvarint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}
