//! Quoting as Go's `strconv.Quote`: what stands in label-set strings, and so in ring tokens.

use std::fmt::{self, Write as _};
use std::sync::LazyLock;

use regex_syntax::hir::{Class, ClassUnicode, HirKind};

/// Displays a text in double quotes, with Go's escapes.
#[derive(Clone, Copy, Debug)]
pub struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            quote_char(f, c)?;
        }
        f.write_char('"')
    }
}

fn quote_char(f: &mut fmt::Formatter<'_>, c: char) -> fmt::Result {
    match c {
        '"' => f.write_str("\\\""),
        '\\' => f.write_str("\\\\"),
        ' '..='~' => f.write_char(c),
        '\x07' => f.write_str("\\a"),
        '\x08' => f.write_str("\\b"),
        '\x0C' => f.write_str("\\f"),
        '\n' => f.write_str("\\n"),
        '\r' => f.write_str("\\r"),
        '\t' => f.write_str("\\t"),
        '\x0B' => f.write_str("\\v"),
        '\0'..='\x1F' | '\x7F' => write!(f, "\\x{:02x}", u32::from(c)),
        _ if is_printable(c) => f.write_char(c),
        '\u{80}'..='\u{FFFF}' => write!(f, "\\u{:04x}", u32::from(c)),
        _ => write!(f, "\\U{:08x}", u32::from(c)),
    }
}

/// Go's `unicode.IsPrint` beyond ASCII: letters, marks, numbers, punctuation, symbols. No space but the ASCII one.
fn is_printable(c: char) -> bool {
    static PRINTABLE: LazyLock<Option<ClassUnicode>> = LazyLock::new(|| {
        let hir = regex_syntax::parse(r"[\pL\pM\pN\pP\pS]").ok()?;
        match hir.into_kind() {
            HirKind::Class(Class::Unicode(class)) => Some(class),
            _ => None,
        }
    });
    let Some(class) = PRINTABLE.as_ref() else {
        return false;
    };
    let ranges = class.ranges();
    let after = ranges.partition_point(|range| range.start() <= c);
    after
        .checked_sub(1)
        .and_then(|i| ranges.get(i))
        .is_some_and(|range| c <= range.end())
}
