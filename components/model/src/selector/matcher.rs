//! One condition on one label.

use ::regex::Regex;

use super::regex::{self, RegexError};
use super::values::{self, Shape};

/// How a value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`: the whole value matches.
    Regex,
    /// `!~`
    NotRegex,
}

impl MatchOp {
    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
        }
    }

    fn is_negative(self) -> bool {
        matches!(self, Self::NotEqual | Self::NotRegex)
    }
}

/// One condition on one label. A label that is absent has the empty value.
#[derive(Clone, Debug)]
pub struct Matcher {
    name: String,
    op: MatchOp,
    value: String,
    test: Test,
}

/// What the operator, without its negation, asks of a value.
#[derive(Clone, Debug)]
enum Test {
    /// One of these, sorted.
    OneOf(Vec<String>),
    /// Any value.
    Any,
    /// Any value but the empty one.
    NotEmpty,
    /// This at the start, then anything.
    Prefix(String),
    /// The general case.
    Regex(Regex),
}

impl Matcher {
    /// Compiles a condition.
    ///
    /// # Errors
    /// A regular expression that is none, or that is too large.
    pub fn new(
        name: impl Into<String>,
        op: MatchOp,
        value: impl Into<String>,
    ) -> Result<Self, RegexError> {
        Self::within(name.into(), op, value.into(), regex::SIZE_LIMIT)
    }

    /// As [`new`](Self::new), with a bound in bytes on the compiled expression.
    pub(super) fn within(
        name: String,
        op: MatchOp,
        value: String,
        size_limit: usize,
    ) -> Result<Self, RegexError> {
        let test = match op {
            MatchOp::Equal | MatchOp::NotEqual => Test::OneOf(vec![value.clone()]),
            MatchOp::Regex | MatchOp::NotRegex => Test::of_regex(&value, size_limit)?,
        };
        Ok(Self {
            name,
            op,
            value,
            test,
        })
    }

    /// `name="value"`.
    #[must_use]
    pub fn equal(name: impl Into<String>, value: impl Into<String>) -> Self {
        let value = value.into();
        Self {
            name: name.into(),
            op: MatchOp::Equal,
            test: Test::OneOf(vec![value.clone()]),
            value,
        }
    }

    /// The label.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it is compared.
    #[must_use]
    pub fn op(&self) -> MatchOp {
        self.op
    }

    /// The right-hand side as it was written, without quotes and escapes.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether a value satisfies the condition.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        self.test.holds(value) != self.op.is_negative()
    }

    /// Whether a series without the label satisfies the condition.
    #[must_use]
    pub fn matches_empty(&self) -> bool {
        self.matches("")
    }

    /// All values that satisfy a condition that is not negative, sorted, if they are few:
    /// of `=`, and of a regular expression that is an alternation of literals.
    #[must_use]
    pub fn set_values(&self) -> Option<&[String]> {
        match &self.test {
            Test::OneOf(values) if !self.op.is_negative() => Some(values),
            Test::OneOf(_) | Test::Any | Test::NotEmpty | Test::Prefix(_) | Test::Regex(_) => None,
        }
    }
}

impl PartialEq for Matcher {
    /// As written: two expressions that mean the same are not equal.
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.op, &self.value) == (&other.name, other.op, &other.value)
    }
}

impl Eq for Matcher {}

impl Test {
    fn of_regex(pattern: &str, size_limit: usize) -> Result<Self, RegexError> {
        Ok(match values::shape(&regex::parse(pattern)?) {
            Shape::Values(values) => Self::OneOf(values),
            Shape::Any => Self::Any,
            Shape::NotEmpty => Self::NotEmpty,
            Shape::Prefix(prefix) => Self::Prefix(prefix),
            Shape::Other => Self::Regex(regex::compile_within(pattern, size_limit)?),
        })
    }

    fn holds(&self, value: &str) -> bool {
        match self {
            Self::OneOf(values) => match values.as_slice() {
                [only] => only == value,
                several => several
                    .binary_search_by(|one| one.as_str().cmp(value))
                    .is_ok(),
            },
            Self::Any => true,
            Self::NotEmpty => !value.is_empty(),
            Self::Prefix(prefix) => value.starts_with(prefix.as_str()),
            Self::Regex(regex) => regex.is_match(value),
        }
    }
}
