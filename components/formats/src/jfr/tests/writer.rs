//! Writes recordings, as recorders do and as they should not.

/// A field: name, type, and `p` if it is the id of a constant, `a` if there are several.
pub(super) type Field = (&'static str, u64, &'static str);

/// Bytes of a chunk.
pub(super) struct Writer {
    pub(super) compact: bool,
    pub(super) bytes: Vec<u8>,
}

pub(super) const LONG: u64 = 1_001;
pub(super) const INT: u64 = 1_002;
pub(super) const TEXT: u64 = 1_003;
pub(super) const BOOLEAN: u64 = 1_004;
pub(super) const DOUBLE: u64 = 1_005;
pub(super) const FLOAT: u64 = 1_006;
pub(super) const SHORT: u64 = 1_007;
const PRIMITIVES: [(u64, &str); 7] = [
    (LONG, "long"),
    (INT, "int"),
    (TEXT, "java.lang.String"),
    (BOOLEAN, "boolean"),
    (DOUBLE, "double"),
    (FLOAT, "float"),
    (SHORT, "short"),
];

impl Writer {
    pub(super) fn new(compact: bool) -> Self {
        Self {
            compact,
            bytes: Vec::new(),
        }
    }

    pub(super) fn long(&mut self, value: u64) -> &mut Self {
        if self.compact {
            self.varint(value);
        } else {
            self.bytes.extend(value.to_be_bytes());
        }
        self
    }

    pub(super) fn int(&mut self, value: u32) -> &mut Self {
        if self.compact {
            self.varint(value.into());
        } else {
            self.bytes.extend(value.to_be_bytes());
        }
        self
    }

    fn varint(&mut self, mut value: u64) {
        for _ in 0..8 {
            if value < 0x80 {
                self.bytes.push(value as u8);
                return;
            }
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    pub(super) fn byte(&mut self, value: u8) -> &mut Self {
        self.bytes.push(value);
        self
    }

    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.byte(3).int(text.len() as u32);
        self.bytes.extend(text.bytes());
        self
    }

    /// A string as UTF-16.
    pub(super) fn wide(&mut self, text: &str) -> &mut Self {
        let units: Vec<u16> = text.encode_utf16().collect();
        self.byte(4).int(units.len() as u32);
        for unit in units {
            match self.compact {
                true => self.varint(unit.into()),
                false => self.bytes.extend(unit.to_be_bytes()),
            }
        }
        self
    }

    /// An event: its size, its type, its fields.
    pub(super) fn event(&mut self, kind: u64, fields: impl FnOnce(&mut Self)) -> &mut Self {
        let mut body = Self::new(self.compact);
        body.long(kind);
        fields(&mut body);
        let size = body.bytes.len() + 4;
        if self.compact {
            // Padded, as async-profiler does it.
            let size = size as u32;
            let parts = [
                size & 0x7f | 0x80,
                size >> 7 & 0x7f | 0x80,
                size >> 14 & 0x7f | 0x80,
                size >> 21,
            ];
            self.bytes.extend(parts.map(|part| part as u8));
        } else {
            self.bytes.extend((size as u32).to_be_bytes());
        }
        self.bytes.extend(body.bytes);
        self
    }
}

/// Types of a chunk, its constants and its events.
#[derive(Clone)]
pub(super) struct Chunk {
    pub(super) compact: bool,
    pub(super) types: Vec<(u64, &'static str, Vec<Field>)>,
    /// Events with constants, first to last; each is the number of pools and their content.
    pub(super) pools: Vec<(u32, Vec<u8>)>,
    pub(super) events: Vec<u8>,
}

impl Chunk {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new(self.compact);
        out.bytes = vec![0; 68];
        out.bytes.extend(&self.events);
        let mut last = 0_usize;
        for (count, content) in &self.pools {
            let at = out.bytes.len();
            let back = if last == 0 {
                0
            } else {
                last as i64 - at as i64
            };
            last = at;
            out.event(1, |body| {
                body.long(7)
                    .long(0)
                    .long(back.cast_unsigned())
                    .byte(1)
                    .int(*count);
                body.bytes.extend(content);
            });
        }
        let metadata = out.bytes.len();
        self.metadata(&mut out);
        let size = out.bytes.len();
        let mut header = b"FLR\0\0\x02\0\x01".to_vec();
        for value in [size, last, metadata, 1, 2, 3, 1_000_000_000] {
            header.extend((value as u64).to_be_bytes());
        }
        header.extend(u32::from(self.compact).to_be_bytes());
        out.bytes.splice(..68, header);
        out.bytes
    }

    fn metadata(&self, out: &mut Writer) {
        let mut strings: Vec<String> = Vec::new();
        let mut tree = Writer::new(self.compact);
        let mut string = |text: &str| -> u32 {
            let found = strings.iter().position(|string| string == text);
            found.unwrap_or_else(|| {
                strings.push(text.to_owned());
                strings.len() - 1
            }) as u32
        };
        let primitives = PRIMITIVES.map(|(id, name)| (id, name, Vec::new()));
        let types: Vec<_> = self.types.iter().chain(&primitives).collect();
        let (root, metadata, class) = (string("root"), string("metadata"), string("class"));
        tree.int(root)
            .int(0)
            .int(1)
            .int(metadata)
            .int(0)
            .int(types.len() as u32);
        for (id, name, fields) in types {
            tree.int(class).int(2);
            tree.int(string("name")).int(string(name));
            tree.int(string("id")).int(string(&id.to_string()));
            tree.int(fields.len() as u32);
            for (name, class, how) in fields {
                tree.int(string("field")).int(4);
                tree.int(string("name")).int(string(name));
                tree.int(string("class")).int(string(&class.to_string()));
                tree.int(string("constantPool"))
                    .int(string(if how.contains('p') { "true" } else { "false" }));
                tree.int(string("dimension"))
                    .int(string(if how.contains('a') { "1" } else { "0" }));
                tree.int(0);
            }
        }
        out.event(0, |body| {
            body.long(1).long(2).long(3).int(strings.len() as u32);
            for string in &strings {
                // The JDK writes them so.
                match body.compact {
                    true => body.text(string),
                    false => body.wide(string),
                };
            }
            body.bytes.extend(&tree.bytes);
        });
    }
}
