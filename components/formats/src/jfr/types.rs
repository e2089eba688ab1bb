//! The types of a chunk: what fields events and constants have.
//!
//! Everything in a chunk can be skipped with them, whatever a recorder adds; only a few are looked at.

use std::borrow::Cow;
use std::collections::HashMap;

use super::chunk::{Chunk, Event};
use super::cursor::Cursor;
use crate::error::Error;

/// Elements inside of each other; real ones have 5.
const MOST_DEPTH: usize = 16;
/// Strings of the metadata; a JDK has some 7 000.
const MOST_STRINGS: usize = 1 << 20;
/// Types, and fields of all types; a JDK has some 300 and 2 000.
const MOST_TYPES: usize = 1 << 16;
const MOST_FIELDS: usize = 1 << 19;

/// How a value is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One byte.
    Byte,
    /// 16 bits.
    Short,
    /// 32 bits.
    Int,
    /// 64 bits, among them the id of a constant.
    Long,
    /// 4 bytes.
    Float,
    /// 8 bytes.
    Double,
    /// A string.
    Text,
    /// The fields of another type, by place in [`Types`].
    Fields(usize),
    /// Of a type that the recording does not describe.
    Unknown,
}

/// A field that takes at least a byte.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field<'a> {
    pub(super) name: &'a str,
    pub(super) form: Form,
    /// Whether there are several, after their number.
    pub(super) array: bool,
}

/// A type.
#[derive(Debug)]
pub(super) struct Type<'a> {
    pub(super) id: u64,
    pub(super) name: &'a str,
    pub(super) fields: Vec<Field<'a>>,
}

/// The types of a chunk.
#[derive(Debug)]
pub(super) struct Types<'a> {
    types: Vec<Type<'a>>,
    by_id: HashMap<u64, usize>,
}

/// The strings that a chunk's types consist of, and where the types begin. The JDK writes all of them as UTF-16.
#[derive(Debug)]
pub(super) struct Names<'a> {
    strings: Vec<Cow<'a, str>>,
    tree: Cursor<'a>,
}

impl<'a> Names<'a> {
    pub(super) fn read(chunk: &Chunk<'a>) -> Result<Self, Error> {
        let Event { kind, mut body, .. } = chunk.event(chunk.metadata())?;
        if kind != 0 {
            return Err(body.error(format_args!(
                "types expected, there is an event of type {kind}"
            )));
        }
        // Start, length, id.
        for _ in 0..3 {
            body.long()?;
        }
        let count = body.count("strings")?;
        if count > MOST_STRINGS {
            return Err(body.error(format_args!(
                "{count} strings in the types, at most {MOST_STRINGS} can be"
            )));
        }
        let mut strings = Vec::new();
        for _ in 0..count {
            strings.push(body.text()?.decode().unwrap_or_default());
        }
        Ok(Self {
            strings,
            tree: body,
        })
    }
}

/// A field as the metadata has it.
struct Raw<'a> {
    name: &'a str,
    class: u64,
    pooled: bool,
    array: bool,
}

impl<'a> Types<'a> {
    /// Reads the types of a chunk, given the names in it.
    pub(super) fn read(names: &'a Names<'a>) -> Result<Self, Error> {
        let mut body = names.tree;
        let mut tree = Tree {
            strings: &names.strings,
            classes: Vec::new(),
            fields: 0,
        };
        tree.element(&mut body, 0, false)?;
        Ok(Self::link(tree.classes))
    }

    /// Resolves types of fields to places, and leaves out fields that take no byte.
    fn link(classes: Vec<(u64, &'a str, Vec<Raw<'a>>)>) -> Self {
        let by_id: HashMap<u64, usize> = classes
            .iter()
            .enumerate()
            .map(|(place, (id, ..))| (*id, place))
            .collect();
        let form = |raw: &Raw<'a>| {
            if raw.pooled {
                return Form::Long;
            }
            let place = by_id.get(&raw.class).copied().unwrap_or(usize::MAX);
            let Some((_, name, _)) = classes.get(place) else {
                return Form::Unknown;
            };
            match *name {
                "boolean" | "byte" => Form::Byte,
                "short" | "char" => Form::Short,
                "int" => Form::Int,
                "long" => Form::Long,
                "float" => Form::Float,
                "double" => Form::Double,
                "java.lang.String" => Form::Text,
                _ => Form::Fields(place),
            }
        };
        let solid = solid(&classes, &form);
        let takes_bytes = |field: &Field<'a>| match field.form {
            Form::Fields(place) => field.array || solid.get(place).copied().unwrap_or(false),
            _ => true,
        };
        let types = classes.iter().map(|(id, name, fields)| {
            let fields = fields.iter().map(|raw| Field {
                name: raw.name,
                form: form(raw),
                array: raw.array,
            });
            Type {
                id: *id,
                name,
                fields: fields.filter(takes_bytes).collect(),
            }
        });
        Self {
            types: types.collect(),
            by_id,
        }
    }

    pub(super) fn by_id(&self, id: u64) -> Option<&Type<'a>> {
        self.types.get(*self.by_id.get(&id)?)
    }

    pub(super) fn at(&self, place: usize) -> &[Field<'a>] {
        self.types.get(place).map_or(&[], |found| &found.fields)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Type<'a>> {
        self.types.iter()
    }

    /// Skips a field.
    pub(super) fn skip(&self, field: &Field<'a>, body: &mut Cursor<'a>) -> Result<(), Error> {
        self.skip_at(field, body, 0)
    }

    fn skip_at(&self, field: &Field<'a>, body: &mut Cursor<'a>, depth: usize) -> Result<(), Error> {
        if !field.array {
            return self.skip_one(field.form, body, depth);
        }
        let count = body.count("elements")?;
        // Elements without a field take no byte, however many there are.
        if let Form::Fields(place) = field.form
            && self.at(place).is_empty()
        {
            return Ok(());
        }
        for _ in 0..count {
            self.skip_one(field.form, body, depth)?;
        }
        Ok(())
    }

    fn skip_one(&self, form: Form, body: &mut Cursor<'a>, depth: usize) -> Result<(), Error> {
        match form {
            Form::Byte => body.byte().map(drop),
            Form::Short => body.skip_short(),
            Form::Int => body.int().map(drop),
            Form::Long => body.long().map(drop),
            Form::Float => body.skip(4, "a number"),
            Form::Double => body.skip(8, "a number"),
            Form::Text => body.text().map(drop),
            Form::Unknown => {
                Err(body.error("a field of a type that the recording does not describe"))
            }
            Form::Fields(_) if depth > MOST_DEPTH => {
                Err(body.error(format_args!("types are nested more than {MOST_DEPTH} deep")))
            }
            Form::Fields(place) => {
                for field in self.at(place) {
                    self.skip_at(field, body, depth.saturating_add(1))?;
                }
                Ok(())
            }
        }
    }
}

/// Which types take at least a byte: those with a field that does. The others are skipped by doing nothing.
fn solid<'a>(
    classes: &[(u64, &'a str, Vec<Raw<'a>>)],
    form: &impl Fn(&Raw<'a>) -> Form,
) -> Vec<bool> {
    let mut solid = vec![false; classes.len()];
    // Each round reaches one level further; deeper ones are refused when they are met.
    for _ in 0..=MOST_DEPTH {
        for (place, (_, _, fields)) in classes.iter().enumerate() {
            let takes_bytes = fields.iter().any(|raw| match form(raw) {
                Form::Fields(inner) => raw.array || solid.get(inner).copied().unwrap_or(false),
                _ => true,
            });
            if let Some(solid) = solid.get_mut(place) {
                *solid = takes_bytes;
            }
        }
    }
    solid
}

/// The tree of elements in which types are written.
struct Tree<'a> {
    strings: &'a [Cow<'a, str>],
    classes: Vec<(u64, &'a str, Vec<Raw<'a>>)>,
    fields: usize,
}

impl<'a> Tree<'a> {
    fn string(&self, body: &mut Cursor<'a>) -> Result<&'a str, Error> {
        let start = *body;
        let index = body.int()?;
        let string = usize::try_from(index)
            .ok()
            .and_then(|index| self.strings.get(index));
        string.map(Cow::as_ref).ok_or_else(|| {
            let count = self.strings.len();
            start.error(format_args!("string {index} of {count} in the types"))
        })
    }

    /// Reads an element and those inside of it.
    fn element(
        &mut self,
        body: &mut Cursor<'a>,
        depth: usize,
        in_class: bool,
    ) -> Result<(), Error> {
        if depth > MOST_DEPTH {
            return Err(body.error(format_args!(
                "elements are nested more than {MOST_DEPTH} deep"
            )));
        }
        let element = self.string(body)?;
        let (mut id, mut name, mut class, mut pooled, mut array) = (None, "", None, false, false);
        for _ in 0..body.count("attributes")? {
            let (key, value) = (self.string(body)?, self.string(body)?);
            match key {
                "id" => id = value.parse::<u64>().ok(),
                "name" => name = value,
                "class" => class = value.parse::<u64>().ok(),
                "constantPool" => pooled = value == "true",
                "dimension" => array = value != "0",
                _ => {}
            }
        }
        let is_class = element == "class";
        match (element, id, class) {
            ("class", Some(id), _) => {
                self.classes.push((id, name, Vec::new()));
            }
            ("field", _, Some(class)) if in_class => {
                self.fields = self.fields.saturating_add(1);
                let raw = Raw {
                    name,
                    class,
                    pooled,
                    array,
                };
                if let Some((.., fields)) = self.classes.last_mut() {
                    fields.push(raw);
                }
            }
            ("class" | "field", ..) => {
                return Err(body.error(format_args!("the {element} `{name}` has no type")));
            }
            _ => {}
        }
        if self.classes.len() > MOST_TYPES || self.fields > MOST_FIELDS {
            return Err(body.error(format_args!(
                "more than {MOST_TYPES} types or {MOST_FIELDS} fields"
            )));
        }
        for _ in 0..body.count("elements")? {
            self.element(body, depth.saturating_add(1), is_class)?;
        }
        Ok(())
    }
}
