//! Why a text is no selector.

use super::regex::RegexError;
use crate::error::{Classify, ErrorKind};
use crate::profile_type::ProfileTypeError;

/// Why a text is no selector. Positions are bytes from the start, the first is 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// Too long to look at.
    #[error("selector is too long: {bytes} bytes, at most {limit}")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The longest that is read.
        limit: usize,
    },
    /// Something else was expected.
    #[error("selector: at byte {at}: found {found}, expected {expected}")]
    Unexpected {
        /// Where.
        at: usize,
        /// What is there.
        found: String,
        /// What may be there.
        expected: &'static str,
    },
    /// A quoted text that does not end.
    #[error("selector: at byte {at}: the text in quotes that begins here has no closing {quote}{}", if *newline { " on its line" } else { "" })]
    OpenQuote {
        /// Where the opening quote is.
        at: usize,
        /// The quote that is missing.
        quote: char,
        /// Whether a line break ended the text; only back quotes span lines.
        newline: bool,
    },
    /// An escape sequence that means nothing.
    #[error("selector: at byte {at}: {found} is no escape sequence here, expected {expected}")]
    Escape {
        /// Where the backslash is.
        at: usize,
        /// The sequence as far as it was read.
        found: String,
        /// What may follow the backslash.
        expected: &'static str,
    },
    /// Escapes for single bytes that make no text.
    #[error(
        "selector: at byte {at}: the escapes of the text that begins here give bytes that are not valid UTF-8"
    )]
    NotUtf8 {
        /// Where the opening quote is.
        at: usize,
    },
    /// A name without a character.
    #[error("selector: at byte {at}: a name is empty")]
    EmptyName {
        /// Where the opening quote is.
        at: usize,
    },
    /// Two names, such as `a{"b"}`.
    #[error("selector: at byte {at}: a second name {name:?}; the first is {first:?}")]
    SecondName {
        /// Where the second one is.
        at: usize,
        /// The second one.
        name: String,
        /// The first one.
        first: String,
    },
    /// A regular expression that cannot be used.
    #[error("selector: at byte {at}: the regular expression in quotes")]
    Regex {
        /// Where the opening quote is.
        at: usize,
        /// What is wrong with it.
        source: RegexError,
    },
    /// No profile type where there must be one.
    #[error(
        "query selects no profile type: expected `<name>:<sample-type>:<sample-unit>:<period-type>:<period-unit>{{…}}`"
    )]
    NoProfileType,
    /// The metric name is no profile type.
    #[error(transparent)]
    ProfileType(#[from] ProfileTypeError),
}

impl Classify for SelectorError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::TooLong { .. }
            | Self::Unexpected { .. }
            | Self::OpenQuote { .. }
            | Self::Escape { .. }
            | Self::NotUtf8 { .. }
            | Self::EmptyName { .. }
            | Self::SecondName { .. }
            | Self::Regex { .. }
            | Self::NoProfileType
            | Self::ProfileType(_) => ErrorKind::InvalidArgument,
        }
    }
}
