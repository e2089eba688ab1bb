//! The dictionary of a request: every index is looked up here, and checked.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::profiles::v1development as proto;

use super::error::Error;

/// What has an index: its kind and its place, for errors.
#[derive(Clone, Copy, Debug)]
pub(super) struct From(pub(super) &'static str, pub(super) usize);

#[derive(Clone, Copy, Debug)]
pub(super) struct Tables<'a> {
    dictionary: &'a proto::ProfilesDictionary,
}

/// An attribute with its key resolved.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attribute<'a> {
    pub(super) key: &'a str,
    pub(super) value: Option<&'a Value>,
}

impl<'a> Tables<'a> {
    pub(super) fn new(dictionary: &'a proto::ProfilesDictionary) -> Self {
        Self { dictionary }
    }

    pub(super) fn string(&self, index: i32, from: From) -> Result<&'a str, Error> {
        let entry = entry(&self.dictionary.string_table, "string_table", index, from)?;
        Ok(entry.map_or("", String::as_str))
    }

    pub(super) fn stack(&self, index: i32, from: From) -> Result<&'a [i32], Error> {
        let entry = entry(&self.dictionary.stack_table, "stack_table", index, from)?;
        Ok(entry.map_or(&[], |stack| &stack.location_indices))
    }

    pub(super) fn location(
        &self,
        index: i32,
        from: From,
    ) -> Result<Option<&'a proto::Location>, Error> {
        entry(
            &self.dictionary.location_table,
            "location_table",
            index,
            from,
        )
    }

    pub(super) fn function(
        &self,
        index: i32,
        from: From,
    ) -> Result<Option<&'a proto::Function>, Error> {
        entry(
            &self.dictionary.function_table,
            "function_table",
            index,
            from,
        )
    }

    /// `None` for index 0: no mapping is known.
    pub(super) fn mapping(
        &self,
        index: i32,
        from: From,
    ) -> Result<Option<&'a proto::Mapping>, Error> {
        let entry = entry(&self.dictionary.mapping_table, "mapping_table", index, from)?;
        Ok(entry.filter(|_| index != 0))
    }

    /// `None` for index 0: there is no link.
    pub(super) fn link(&self, index: i32, from: From) -> Result<Option<&'a proto::Link>, Error> {
        let entry = entry(&self.dictionary.link_table, "link_table", index, from)?;
        Ok(entry.filter(|_| index != 0))
    }

    pub(super) fn attribute(&self, index: i32, from: From) -> Result<Attribute<'a>, Error> {
        let entry = entry(
            &self.dictionary.attribute_table,
            "attribute_table",
            index,
            from,
        )?;
        let Some(proto::KeyValueAndUnit {
            key_strindex,
            value,
            ..
        }) = entry
        else {
            return Ok(Attribute {
                key: "",
                value: None,
            });
        };
        let at = usize::try_from(index).unwrap_or_default();
        Ok(Attribute {
            key: self.string(*key_strindex, From("attribute", at))?,
            value: value.as_ref().and_then(|value| value.value.as_ref()),
        })
    }

    /// The key of an attribute that is not in the table; it may be in the string table all the same.
    pub(super) fn key(&self, attribute: &'a KeyValue, from: From) -> Result<&'a str, Error> {
        match attribute.key_strindex {
            0 => Ok(&attribute.key),
            index => self.string(index, from),
        }
    }

    /// A string value. `None` for a value of another type.
    pub(super) fn text(
        &self,
        value: Option<&'a Value>,
        from: From,
    ) -> Result<Option<&'a str>, Error> {
        match value {
            Some(Value::StringValue(text)) => Ok(Some(text)),
            Some(Value::StringValueStrindex(index)) => self.string(*index, from).map(Some),
            _ => Ok(None),
        }
    }

    /// The value of a label: a string, a whole number, or an array of just one of these.
    pub(super) fn label(
        &self,
        value: Option<&'a AnyValue>,
        from: From,
    ) -> Result<Option<String>, Error> {
        let mut value = value.and_then(|value| value.value.as_ref());
        if let Some(Value::ArrayValue(array)) = value {
            let [only] = array.values.as_slice() else {
                return Ok(None);
            };
            value = only.value.as_ref();
        }
        match value {
            Some(Value::IntValue(number)) => Ok(Some(number.to_string())),
            value => Ok(self.text(value, from)?.map(str::to_owned)),
        }
    }
}

/// An entry of a table; `None` if the table is empty and the index 0, which is then nobody's.
fn entry<'a, T>(
    table: &'a [T],
    name: &'static str,
    index: i32,
    from: From,
) -> Result<Option<&'a T>, Error> {
    let found = usize::try_from(index)
        .ok()
        .and_then(|index| table.get(index));
    if found.is_none() && (index != 0 || !table.is_empty()) {
        let From(kind, at) = from;
        return Err(Error::Reference {
            from: format!("{kind} {at}"),
            index,
            table: name,
            length: table.len(),
        });
    }
    Ok(found)
}
