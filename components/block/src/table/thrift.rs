//! Thrift's compact protocol, as far as Parquet files need it.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::fields::{Fields, unzigzag};

/// How deep structures may lie in each other.
const DEPTH: u32 = 16;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    True,
    False,
    Byte,
    /// Any integer of more than 8 bits.
    Integer,
    Double,
    Binary,
    List,
    Map,
    Structure,
}

impl Kind {
    fn of(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::True,
            2 => Self::False,
            3 => Self::Byte,
            4..=6 => Self::Integer,
            7 => Self::Double,
            8 => Self::Binary,
            9 | 10 => Self::List,
            11 => Self::Map,
            12 => Self::Structure,
            _ => return None,
        })
    }
}

/// Reads values; `None` is what is not one, or ends early.
#[derive(Debug)]
pub(super) struct Compact<'a> {
    fields: Fields<'a>,
    depth: u32,
}

impl<'a> Compact<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            fields: Fields::new(bytes),
            depth: 0,
        }
    }

    /// How many bytes were read.
    pub(super) fn position(&self) -> usize {
        self.fields.position()
    }

    /// Reads a structure; `field` gets each field's number and kind, and says whether it has read the value.
    pub(super) fn structure(
        &mut self,
        mut field: impl FnMut(&mut Self, i64, Kind) -> Option<bool>,
    ) -> Option<()> {
        self.deeper(|this| {
            let mut number = 0_i64;
            loop {
                let header = this.fields.u8()?;
                if header == 0 {
                    return Some(());
                }
                number = match header >> 4 {
                    0 => this.integer()?,
                    delta => number.checked_add(i64::from(delta))?,
                };
                let kind = Kind::of(header & 15)?;
                if !field(this, number, kind)? {
                    this.skip(kind)?;
                }
            }
        })
    }

    /// Reads a list of structures or binaries; `element` reads one.
    pub(super) fn list(&mut self, mut element: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        let (_, size) = self.list_header()?;
        for _ in 0..size {
            element(self)?;
        }
        Some(())
    }

    pub(super) fn integer(&mut self) -> Option<i64> {
        self.fields.varint().map(unzigzag)
    }

    pub(super) fn binary(&mut self) -> Option<&'a [u8]> {
        let length = self.fields.varint()?;
        self.fields.take(usize::try_from(length).ok()?)
    }

    /// What the elements are, and how many there are: no more than bytes, so that a list of nothing ends.
    fn list_header(&mut self) -> Option<(u8, u64)> {
        let header = self.fields.u8()?;
        let size = match header >> 4 {
            15 => self.fields.varint()?,
            size => u64::from(size),
        };
        (size <= self.fields.left() as u64).then_some((header & 15, size))
    }

    fn skip(&mut self, kind: Kind) -> Option<()> {
        match kind {
            Kind::True | Kind::False => Some(()),
            Kind::Byte => self.fields.u8().map(drop),
            Kind::Integer => self.fields.varint().map(drop),
            Kind::Double => self.fields.take(8).map(drop),
            Kind::Binary => self.binary().map(drop),
            Kind::Structure => self.structure(|_, _, _| Some(false)),
            Kind::List => self.deeper(|this| {
                let (element, size) = this.list_header()?;
                for _ in 0..size {
                    this.skip_element(element)?;
                }
                Some(())
            }),
            Kind::Map => self.deeper(|this| {
                let size = this.fields.varint()?;
                if size == 0 {
                    return Some(());
                }
                let kinds = this.fields.u8()?;
                for _ in 0..size {
                    this.skip_element(kinds >> 4)?;
                    this.skip_element(kinds & 15)?;
                }
                Some(())
            }),
        }
    }

    /// Elements that are booleans take a byte, unlike fields.
    fn skip_element(&mut self, code: u8) -> Option<()> {
        match Kind::of(code)? {
            Kind::True | Kind::False => self.fields.u8().map(drop),
            kind => self.skip(kind),
        }
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        self.depth = self.depth.saturating_add(1);
        let value = (self.depth <= DEPTH).then(|| read(self)).flatten();
        self.depth = self.depth.saturating_sub(1);
        value
    }
}
