//! A position in a pattern.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::selector::regex::RegexError;

/// Reads a pattern from left to right.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scanner<'a> {
    pattern: &'a str,
    /// What is not read yet.
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(pattern: &'a str) -> Self {
        Self {
            pattern,
            rest: pattern,
        }
    }

    /// Bytes read.
    pub(super) fn at(&self) -> usize {
        self.pattern.len().saturating_sub(self.rest.len())
    }

    pub(super) fn rest(&self) -> &'a str {
        self.rest
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next()?;
        self.rest = chars.as_str();
        Some(c)
    }

    /// Reads `text` if it comes next.
    pub(super) fn eat(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Reads up to `end` and over it; `None`, reading nothing, if it does not come.
    pub(super) fn until(&mut self, end: &str) -> Option<&'a str> {
        let (before, rest) = self.rest.split_once(end)?;
        self.rest = rest;
        Some(before)
    }

    /// Reads all that is left.
    pub(super) fn all(&mut self) -> &'a str {
        std::mem::take(&mut self.rest)
    }

    /// A refusal of what was read since `start`; of one character if that is nothing.
    pub(super) fn refuse(&self, start: usize, problem: &'static str) -> RegexError {
        const SHOWN: usize = 40;
        let mut end = *self;
        if end.at() <= start {
            end.next();
        }
        let found = self.pattern.get(start..end.at()).unwrap_or("");
        let found = match found.char_indices().nth(SHOWN) {
            Some((cut, _)) => format!("{}…", found.get(..cut).unwrap_or("")),
            None => found.to_owned(),
        };
        RegexError::Syntax {
            at: start,
            problem,
            found,
        }
    }
}
