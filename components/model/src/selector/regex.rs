//! Regular expressions as Go's RE2 reads them, run by the `regex` crate.
//!
//! Prometheus matches `^(?s:PATTERN)$`. The two engines differ in syntax and in
//! what is Unicode: a pattern is first rewritten (deps.md section 4), and what Go
//! refuses is refused here, with the position.

mod class;
mod escape;
mod group;
mod rewrite;
mod scanner;

use ::regex::{Regex, RegexBuilder};
use regex_syntax::hir::Hir;

/// Bytes that one compiled expression may take.
pub const SIZE_LIMIT: usize = 1 << 20;

/// Groups within groups.
const NEST_LIMIT: u32 = 250;

/// Why a text is no regular expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegexError {
    /// Not RE2's syntax.
    #[error("at byte {at} of the regular expression: {problem}: `{found}`")]
    Syntax {
        /// Where in the pattern.
        at: usize,
        /// What is wrong.
        problem: &'static str,
        /// The text that is wrong.
        found: String,
    },
    /// Groups within groups within groups.
    #[error("regular expression nests deeper than {NEST_LIMIT} levels")]
    Nesting,
    /// Too large once compiled.
    #[error(
        "regular expression needs more than {limit} bytes once compiled: repeat less, or use smaller classes than \\pL"
    )]
    TooLarge {
        /// What it may need.
        limit: usize,
    },
    /// The engine refuses what was read as valid.
    #[error("regular expression is not supported: {0}")]
    Unsupported(String),
}

/// Compiles a pattern that has to match a value as a whole; `.` matches line breaks, too.
///
/// # Errors
/// What [`RegexError`] lists.
pub fn compile(pattern: &str) -> Result<Regex, RegexError> {
    compile_within(pattern, SIZE_LIMIT)
}

/// As [`compile`], with another bound in bytes.
pub(super) fn compile_within(pattern: &str, size_limit: usize) -> Result<Regex, RegexError> {
    let translated = rewrite::to_rust(pattern)?;
    RegexBuilder::new(&format!("^(?:{translated})$"))
        .dot_matches_new_line(true)
        .size_limit(size_limit)
        .nest_limit(NEST_LIMIT)
        .build()
        .map_err(|e| match e {
            ::regex::Error::CompiledTooBig(limit) => RegexError::TooLarge { limit },
            other => unsupported(&translated, &other),
        })
}

/// The structure of a pattern, without anchors.
pub(super) fn parse(pattern: &str) -> Result<Hir, RegexError> {
    let translated = rewrite::to_rust(pattern)?;
    parser().parse(&translated).map_err(|e| classify(&e))
}

fn parser() -> regex_syntax::Parser {
    regex_syntax::ParserBuilder::new()
        .dot_matches_new_line(true)
        .nest_limit(NEST_LIMIT)
        .build()
}

fn unsupported(translated: &str, other: &::regex::Error) -> RegexError {
    match parser().parse(translated) {
        Err(e) => classify(&e),
        Ok(_) => RegexError::Unsupported(other.to_string()),
    }
}

fn classify(error: &regex_syntax::Error) -> RegexError {
    match error {
        regex_syntax::Error::Parse(e)
            if matches!(e.kind(), regex_syntax::ast::ErrorKind::NestLimitExceeded(_)) =>
        {
            RegexError::Nesting
        }
        regex_syntax::Error::Parse(e) => RegexError::Unsupported(e.kind().to_string()),
        regex_syntax::Error::Translate(e) => RegexError::Unsupported(e.kind().to_string()),
        other => RegexError::Unsupported(other.to_string()),
    }
}

#[cfg(test)]
mod tests;
