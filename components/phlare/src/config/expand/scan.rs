//! Walks through YAML and tells scalars from what is between them. It knows as much of YAML as that needs; what it takes
//! for a scalar and is none comes out as it went in, unless there are variables in it.

use super::{Problem, reference};

pub(super) struct Scan<'a, V> {
    rest: &'a str,
    out: String,
    variable: V,
    line: usize,
    /// Brackets and braces that are open.
    depth: usize,
    /// What came before in this line.
    before: Before,
}

/// What a line has had so far.
#[derive(Clone, Copy, Default)]
struct Before {
    /// Characters.
    column: usize,
    /// Where the last `-` stands.
    dash: usize,
    /// Where the first scalar begins: of a block scalar's line, that is its key.
    key: Option<usize>,
    /// The last character was none, or a space.
    space: bool,
}

const START: Before = Before {
    column: 0,
    dash: 0,
    key: None,
    space: true,
};

impl<'a, V: Fn(&str) -> Option<String>> Scan<'a, V> {
    pub(super) fn new(text: &'a str, variable: V) -> Self {
        Self {
            rest: text,
            out: String::with_capacity(text.len()),
            variable,
            line: 1,
            depth: 0,
            before: START,
        }
    }

    pub(super) fn run(mut self) -> Result<String, Problem> {
        while let Some(first) = self.rest.chars().next() {
            match first {
                '#' if self.before.space => self.copy(self.line_end()),
                '"' | '\'' => self.quoted(first)?,
                '[' | '{' => {
                    self.depth += 1;
                    self.copy(1);
                }
                ']' | '}' => {
                    self.depth = self.depth.saturating_sub(1);
                    self.copy(1);
                }
                '-' if self.is_indicator() => {
                    self.before.dash = self.before.column;
                    self.copy(1);
                }
                '?' | ':' if self.is_indicator() => self.copy(1),
                '|' | '>' if self.depth == 0 => self.block()?,
                '&' | '*' | '!' => self.copy(self.word_end()),
                ',' => self.copy(1),
                c if c.is_whitespace() => self.copy(c.len_utf8()),
                _ => self.plain()?,
            }
        }
        Ok(self.out)
    }

    fn line_end(&self) -> usize {
        self.rest.find('\n').unwrap_or(self.rest.len())
    }

    fn word_end(&self) -> usize {
        let flow = self.depth > 0;
        let ends =
            |c: char| c.is_whitespace() || (flow && matches!(c, ',' | '[' | ']' | '{' | '}'));
        self.rest.find(ends).unwrap_or(self.rest.len())
    }

    /// Whether the character here stands alone, as an indicator does.
    fn is_indicator(&self) -> bool {
        let next = self.rest.chars().nth(1);
        next.is_none_or(|next| self.ends_indicator(next))
    }

    fn ends_indicator(&self, next: char) -> bool {
        next.is_whitespace() || (self.depth > 0 && matches!(next, ',' | '[' | ']' | '{' | '}'))
    }

    /// Takes `length` bytes as they are.
    fn copy(&mut self, length: usize) {
        let taken = self.skip(length);
        self.out.push_str(taken);
    }

    /// Goes on by `length` bytes.
    fn skip(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .unwrap_or((self.rest, ""));
        for c in taken.chars() {
            if c == '\n' {
                self.line += 1;
                self.before = START;
            } else {
                self.before.column += 1;
                self.before.space = c.is_whitespace();
            }
        }
        self.rest = rest;
        taken
    }

    fn begin_scalar(&mut self) {
        let column = self.before.column;
        self.before.key.get_or_insert(column);
    }

    /// The value of the variable here.
    fn value(&mut self) -> Result<String, Problem> {
        let (value, length) =
            reference(self.rest, &self.variable).map_err(|problem| (self.line, problem))?;
        self.skip(length);
        Ok(value)
    }

    /// A scalar in quotes, up to its end or that of the text.
    fn quoted(&mut self, quote: char) -> Result<(), Problem> {
        self.begin_scalar();
        self.copy(1);
        while let Some(c) = self.rest.chars().next() {
            if self.rest.starts_with("${") {
                let value = self.value()?;
                match quote {
                    '"' => escape(&value, &mut self.out),
                    _ => self.out.push_str(&value.replace('\'', "''")),
                }
            } else if c == '\\' && quote == '"' {
                let escaped = self.rest.chars().nth(1).map_or(0, char::len_utf8);
                self.copy(1 + escaped);
            } else {
                // A doubled single quote ends here and begins anew, which is the same.
                self.copy(c.len_utf8());
                if c == quote {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// A scalar of lines that are indented more than what holds it.
    fn block(&mut self) -> Result<(), Problem> {
        let parent = self.before.key.unwrap_or(self.before.dash);
        let in_sequence_or_mapping = self.before.column > 0;
        self.copy(self.line_end());
        while !self.rest.is_empty() {
            // The line's own break belongs to what was before.
            let next = self.rest.get(1..).unwrap_or_default();
            let content = next.trim_start_matches(' ');
            let indent = next.len() - content.len();
            let blank = content.is_empty() || content.starts_with(['\n', '\r']);
            if in_sequence_or_mapping && !blank && indent <= parent {
                return Ok(());
            }
            self.copy(1);
            while !self.rest.is_empty() && !self.rest.starts_with('\n') {
                if self.rest.starts_with("${") {
                    let value = self.value()?;
                    self.out.push_str(&value);
                } else {
                    let c = self.rest.chars().next().map_or(1, char::len_utf8);
                    self.copy(c);
                }
            }
        }
        Ok(())
    }

    /// A scalar without quotes, as far as it goes in this line. With variables in it, it gets quotes if it needs them.
    fn plain(&mut self) -> Result<(), Problem> {
        self.begin_scalar();
        let (mut text, mut expanded) = (String::new(), false);
        while let Some(c) = self.rest.chars().next() {
            if self.rest.starts_with("${") {
                expanded = true;
                let value = self.value()?;
                text.push_str(&value);
                continue;
            }
            let comment = c == '#' && self.before.space;
            let key = c == ':' && self.is_indicator();
            let flow = self.depth > 0 && matches!(c, ',' | '[' | ']' | '{' | '}');
            if c == '\n' || comment || key || flow {
                break;
            }
            text.push_str(self.skip(c.len_utf8()));
        }
        if !expanded {
            self.out.push_str(&text);
            return Ok(());
        }
        let scalar = text.trim();
        if is_plain(scalar) || (scalar.is_empty() && self.depth == 0) {
            self.out.push_str(scalar);
        } else {
            self.out.push('"');
            escape(scalar, &mut self.out);
            self.out.push('"');
        }
        // Spaces before a comment make it one.
        let spaces = text.len() - text.trim_end().len();
        self.out
            .push_str(text.get(text.len() - spaces..).unwrap_or_default());
        Ok(())
    }
}

/// Whether a text is a scalar as it is, wherever it stands: numbers and switches have to stay what they are.
fn is_plain(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_-./+:@=".contains(c);
    let first = text.strip_prefix(['-', '.', '+']).unwrap_or(text);
    let begins = first.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/' || c == '_');
    begins && text.chars().all(fits) && !text.ends_with(':')
}

/// A text as it stands between double quotes.
fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() || c == '\u{feff}' => {
                out.push_str(&format!("\\U{:08x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
}
