//! The words of a selector.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::error::SelectorError;

/// Reads a selector from left to right. Between the words it skips white space and comments (`#` to the end of the line).
#[derive(Clone, Copy, Debug)]
pub(super) struct Lexer<'a> {
    text: &'a str,
    /// What is not read yet.
    rest: &'a str,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, rest: text }
    }

    /// Bytes read.
    fn at(&self) -> usize {
        self.text.len().saturating_sub(self.rest.len())
    }

    /// Goes to the next word and says where it is.
    pub(super) fn next_word(&mut self) -> usize {
        loop {
            self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
            if !self.rest.starts_with('#') {
                return self.at();
            }
            self.rest = self.rest.split_once('\n').map_or("", |(_, after)| after);
        }
    }

    /// Whether nothing is left.
    pub(super) fn is_at_end(&mut self) -> bool {
        self.next_word();
        self.rest.is_empty()
    }

    /// Reads `symbol` if it comes next.
    pub(super) fn eat(&mut self, symbol: &str) -> bool {
        self.next_word();
        match self.rest.strip_prefix(symbol) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// A label name without quotes.
    pub(super) fn label_name(&mut self) -> Option<&'a str> {
        self.name(|c| c.is_ascii_alphabetic() || c == '_')
    }

    /// A metric name, which may hold colons.
    pub(super) fn metric_name(&mut self) -> Option<&'a str> {
        self.name(|c| c.is_ascii_alphabetic() || c == '_' || c == ':')
    }

    fn name(&mut self, may_begin: impl Fn(char) -> bool) -> Option<&'a str> {
        self.next_word();
        if !self.rest.starts_with(&may_begin) {
            return None;
        }
        let after = self
            .rest
            .trim_start_matches(|c: char| may_begin(c) || c.is_ascii_digit());
        let name = self.rest.strip_suffix(after)?;
        self.rest = after;
        Some(name)
    }

    /// A text in quotes of any of the three kinds, without them; `None` if none comes next.
    pub(super) fn text(&mut self) -> Result<Option<String>, SelectorError> {
        let at = self.next_word();
        let text = if self.eat("`") {
            self.raw(at)
        } else if self.eat("\"") {
            self.escaped(at, '"')
        } else if self.eat("'") {
            self.escaped(at, '\'')
        } else {
            return Ok(None);
        };
        text.map(Some)
    }

    fn raw(&mut self, at: usize) -> Result<String, SelectorError> {
        let Some((text, rest)) = self.rest.split_once('`') else {
            return Err(SelectorError::OpenQuote {
                at,
                quote: '`',
                newline: false,
            });
        };
        self.rest = rest;
        Ok(text.to_owned())
    }

    fn escaped(&mut self, at: usize, quote: char) -> Result<String, SelectorError> {
        let mut bytes = Vec::new();
        loop {
            let escape_at = self.at();
            match self.take() {
                Some('\\') => self.escape(&mut bytes, escape_at, quote)?,
                Some(c) if c == quote => break,
                Some('\n') => {
                    return Err(SelectorError::OpenQuote {
                        at,
                        quote,
                        newline: true,
                    });
                }
                Some(c) => push(&mut bytes, c),
                None => {
                    return Err(SelectorError::OpenQuote {
                        at,
                        quote,
                        newline: false,
                    });
                }
            }
        }
        String::from_utf8(bytes).map_err(|_| SelectorError::NotUtf8 { at })
    }

    fn take(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next()?;
        self.rest = chars.as_str();
        Some(c)
    }

    /// Reads what follows a backslash at `at`.
    fn escape(&mut self, bytes: &mut Vec<u8>, at: usize, quote: char) -> Result<(), SelectorError> {
        let expected = "one of `a b f n r t v \\`, the quote, `xHH`, `uHHHH`, `UHHHHHHHH` or three octal digits";
        let after_backslash = self.rest;
        match self.take() {
            Some('a') => bytes.push(0x07),
            Some('b') => bytes.push(0x08),
            Some('f') => bytes.push(0x0C),
            Some('n') => bytes.push(b'\n'),
            Some('r') => bytes.push(b'\r'),
            Some('t') => bytes.push(b'\t'),
            Some('v') => bytes.push(0x0B),
            Some('\\') => bytes.push(b'\\'),
            Some(c) if c == quote => push(bytes, c),
            Some('0'..='7') => {
                self.rest = after_backslash;
                bytes.push(self.byte(at, 3, 8, "three octal digits of at most 377")?);
            }
            Some('x') => bytes.push(self.byte(at, 2, 16, "two hexadecimal digits")?),
            Some('u') => push(bytes, self.scalar(at, 4)?),
            Some('U') => push(bytes, self.scalar(at, 8)?),
            _ => return Err(self.bad_escape(at, expected)),
        }
        Ok(())
    }

    fn byte(
        &mut self,
        at: usize,
        digits: usize,
        radix: u32,
        expected: &'static str,
    ) -> Result<u8, SelectorError> {
        let value = self.digits(at, digits, radix, expected)?;
        u8::try_from(value).map_err(|_| self.bad_escape(at, expected))
    }

    fn scalar(&mut self, at: usize, digits: usize) -> Result<char, SelectorError> {
        let expected = "a Unicode code point: `u` with four or `U` with eight hexadecimal digits";
        let value = self.digits(at, digits, 16, expected)?;
        char::from_u32(value).ok_or_else(|| self.bad_escape(at, expected))
    }

    /// At most eight digits, so that the value fits.
    fn digits(
        &mut self,
        at: usize,
        count: usize,
        radix: u32,
        expected: &'static str,
    ) -> Result<u32, SelectorError> {
        let mut value = 0_u32;
        for _ in 0..count {
            let digit = self
                .take()
                .and_then(|c| c.to_digit(radix))
                .ok_or_else(|| self.bad_escape(at, expected))?;
            value = value.wrapping_mul(radix).wrapping_add(digit);
        }
        Ok(value)
    }

    fn bad_escape(&self, at: usize, expected: &'static str) -> SelectorError {
        let found = format!("`{}`", self.text.get(at..self.at()).unwrap_or("\\"));
        SelectorError::Escape {
            at,
            found,
            expected,
        }
    }

    /// A refusal of the next word.
    pub(super) fn unexpected(&mut self, expected: &'static str) -> SelectorError {
        const SHOWN: usize = 32;
        let at = self.next_word();
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let mut rest = self.rest.chars();
        let found = match rest.next() {
            None => "the end".to_owned(),
            Some(c) if is_word(c) => {
                format!(
                    "`{c}{}`",
                    rest.take(SHOWN)
                        .take_while(|c| is_word(*c))
                        .collect::<String>()
                )
            }
            Some(c) => format!("`{c}`"),
        };
        SelectorError::Unexpected {
            at,
            found,
            expected,
        }
    }
}

fn push(bytes: &mut Vec<u8>, c: char) {
    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}
