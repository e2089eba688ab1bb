//! A position in a pattern.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::selector::regex::RegexError;

/// Reads a pattern from left to right.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scanner<'a> {
    pattern: &'a str,
    /// Never inside a character.
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(pattern: &'a str) -> Self {
        Self { pattern, at: 0 }
    }

    /// Bytes read.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn rest(&self) -> &'a str {
        self.pattern.get(self.at..).unwrap_or("")
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    /// Reads `text` if it comes next.
    pub(super) fn eat(&mut self, text: &str) -> bool {
        let there = self.rest().starts_with(text);
        if there {
            self.at += text.len();
        }
        there
    }

    /// Reads up to `end` and over it; `None`, reading nothing, if it does not come.
    pub(super) fn until(&mut self, end: &str) -> Option<&'a str> {
        let (before, _) = self.rest().split_once(end)?;
        self.at += before.len() + end.len();
        Some(before)
    }

    /// Reads all that is left.
    pub(super) fn all(&mut self) -> &'a str {
        let rest = self.rest();
        self.at = self.pattern.len();
        rest
    }

    /// A refusal of what was read since `start`; of one character if that is nothing.
    pub(super) fn refuse(&self, start: usize, problem: &'static str) -> RegexError {
        const SHOWN: usize = 40;
        let end = if self.at > start { self.at } else { self.at + self.peek().map_or(0, char::len_utf8) };
        let found = self.pattern.get(start..end).unwrap_or("");
        let found = match found.char_indices().nth(SHOWN) {
            Some((cut, _)) => format!("{}…", found.get(..cut).unwrap_or("")),
            None => found.to_owned(),
        };
        RegexError::Syntax { at: start, problem, found }
    }
}
