//! The messages of a request by the names and numbers of their fields: those that we use, and all strings.
//!
//! The generated messages know neither OTLP/JSON (numbers as strings, ids in hexadecimal) nor strings that are
//! not UTF-8; [`super::json`] and [`super::repair`] get by with this table. A test holds it to the messages.

/// A message type.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) fields: &'static [Field],
}

/// A field of a message.
#[derive(Debug)]
pub(super) struct Field {
    /// As in JSON.
    pub(super) name: &'static str,
    /// As in protobuf.
    pub(super) tag: u32,
    pub(super) kind: Kind,
    pub(super) repeated: bool,
}

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Text,
    /// A varint of at most 32 bits with a sign.
    Index,
    /// A varint of 64 bits, with a sign or without.
    Number,
    Fixed64,
    /// Bytes of a trace's or a span's id.
    Id,
    Message(&'static Message),
}

impl Message {
    pub(super) fn by_tag(&self, tag: u64) -> Option<&'static Field> {
        self.fields.iter().find(|field| u64::from(field.tag) == tag)
    }

    /// By the name in JSON; as protobuf's own JSON does, takes that of the schema too, with underscores.
    pub(super) fn by_name(&self, name: &str) -> Option<&'static Field> {
        let same = |field: &&Field| match name.contains('_') {
            false => field.name == name,
            true => is_same(field.name, name),
        };
        self.fields.iter().find(same)
    }
}

/// Whether `camelCase` and `snake_case` are one name.
fn is_same(camel: &str, snake: &str) -> bool {
    let mut letters = camel.chars().flat_map(|letter| {
        let underscore = letter.is_ascii_uppercase().then_some('_');
        underscore.into_iter().chain([letter.to_ascii_lowercase()])
    });
    let mut others = snake.chars();
    others.by_ref().all(|letter| letters.next() == Some(letter)) && letters.next().is_none()
}

const fn one(name: &'static str, tag: u32, kind: Kind) -> Field {
    Field {
        name,
        tag,
        kind,
        repeated: false,
    }
}

const fn many(name: &'static str, tag: u32, kind: Kind) -> Field {
    Field {
        name,
        tag,
        kind,
        repeated: true,
    }
}

use Kind::{Fixed64, Id, Index, Message as Of, Number, Text};

pub(super) static REQUEST: Message = Message {
    fields: &[
        many("resourceProfiles", 1, Of(&RESOURCE_PROFILES)),
        one("dictionary", 2, Of(&DICTIONARY)),
    ],
};

static RESOURCE_PROFILES: Message = Message {
    fields: &[
        one("resource", 1, Of(&RESOURCE)),
        many("scopeProfiles", 2, Of(&SCOPE_PROFILES)),
        one("schemaUrl", 3, Text),
    ],
};

static RESOURCE: Message = Message {
    fields: &[
        many("attributes", 1, Of(&KEY_VALUE)),
        many("entityRefs", 3, Of(&ENTITY_REF)),
    ],
};

static ENTITY_REF: Message = Message {
    fields: &[
        one("schemaUrl", 1, Text),
        one("type", 2, Text),
        many("idKeys", 3, Text),
        many("descriptionKeys", 4, Text),
    ],
};

static SCOPE_PROFILES: Message = Message {
    fields: &[
        one("scope", 1, Of(&SCOPE)),
        many("profiles", 2, Of(&PROFILE)),
        one("schemaUrl", 3, Text),
    ],
};

static SCOPE: Message = Message {
    fields: &[
        one("name", 1, Text),
        one("version", 2, Text),
        many("attributes", 3, Of(&KEY_VALUE)),
    ],
};

static KEY_VALUE: Message = Message {
    fields: &[
        one("key", 1, Text),
        one("value", 2, Of(&ANY_VALUE)),
        one("keyStrindex", 3, Index),
    ],
};

/// Values that can be no label are left out.
static ANY_VALUE: Message = Message {
    fields: &[
        one("stringValue", 1, Text),
        one("intValue", 3, Number),
        one("arrayValue", 5, Of(&ARRAY)),
        one("kvlistValue", 6, Of(&KEY_VALUES)),
        one("stringValueStrindex", 8, Index),
    ],
};

static ARRAY: Message = Message {
    fields: &[many("values", 1, Of(&ANY_VALUE))],
};

static KEY_VALUES: Message = Message {
    fields: &[many("values", 1, Of(&KEY_VALUE))],
};

static PROFILE: Message = Message {
    fields: &[
        one("sampleType", 1, Of(&VALUE_TYPE)),
        many("samples", 2, Of(&SAMPLE)),
        one("timeUnixNano", 3, Fixed64),
        one("durationNano", 4, Number),
        one("periodType", 5, Of(&VALUE_TYPE)),
        one("period", 6, Number),
        one("originalPayloadFormat", 9, Text),
    ],
};

static VALUE_TYPE: Message = Message {
    fields: &[one("typeStrindex", 1, Index), one("unitStrindex", 2, Index)],
};

static SAMPLE: Message = Message {
    fields: &[
        one("stackIndex", 1, Index),
        many("attributeIndices", 2, Index),
        one("linkIndex", 3, Index),
        many("values", 4, Number),
        many("timestampsUnixNano", 5, Fixed64),
    ],
};

static DICTIONARY: Message = Message {
    fields: &[
        many("mappingTable", 1, Of(&MAPPING)),
        many("locationTable", 2, Of(&LOCATION)),
        many("functionTable", 3, Of(&FUNCTION)),
        many("linkTable", 4, Of(&LINK)),
        many("stringTable", 5, Text),
        many("attributeTable", 6, Of(&ATTRIBUTE)),
        many("stackTable", 7, Of(&STACK)),
    ],
};

static MAPPING: Message = Message {
    fields: &[
        one("memoryStart", 1, Number),
        one("memoryLimit", 2, Number),
        one("fileOffset", 3, Number),
        one("filenameStrindex", 4, Index),
        many("attributeIndices", 5, Index),
    ],
};

static LOCATION: Message = Message {
    fields: &[
        one("mappingIndex", 1, Index),
        one("address", 2, Number),
        many("lines", 3, Of(&LINE)),
        many("attributeIndices", 4, Index),
    ],
};

static LINE: Message = Message {
    fields: &[
        one("functionIndex", 1, Index),
        one("line", 2, Number),
        one("column", 3, Number),
    ],
};

static FUNCTION: Message = Message {
    fields: &[
        one("nameStrindex", 1, Index),
        one("systemNameStrindex", 2, Index),
        one("filenameStrindex", 3, Index),
        one("startLine", 4, Number),
    ],
};

static LINK: Message = Message {
    fields: &[one("traceId", 1, Id), one("spanId", 2, Id)],
};

static ATTRIBUTE: Message = Message {
    fields: &[
        one("keyStrindex", 1, Index),
        one("value", 2, Of(&ANY_VALUE)),
        one("unitStrindex", 3, Index),
    ],
};

static STACK: Message = Message {
    fields: &[many("locationIndices", 1, Index)],
};
