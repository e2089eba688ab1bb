//! Selectors: which series a query is about.
//!
//! Grammar and meaning: api.md 1.9, Prometheus' series selector.

pub mod regex;

mod error;
mod lexer;
mod matcher;
mod parse;
mod values;

use std::fmt;

use crate::labels::{Labels, name_in_selector, names, quote::Quoted};
use crate::profile_type::ProfileType;

pub use self::error::SelectorError;
pub use self::matcher::{MatchOp, Matcher};

/// Conditions on labels that must all hold; none of them holds for every label set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// In the order in which they were written; several may be about one name.
    pub matchers: Vec<Matcher>,
}

impl Selector {
    /// What every label set satisfies: `{}`.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// Reads `name{label="value", …}`; the name, a matcher on `__name__`, or the braces may be absent.
    ///
    /// # Errors
    /// What [`SelectorError`] lists. An empty text is none: what selects everything is `{}`.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        parse::selector(text)
    }

    /// Reads a selector whose metric name is a profile type: `process_cpu:cpu:nanoseconds:cpu:nanoseconds{…}`.
    /// Only `/render`, `/render-diff` and the query analysis write it so. The selector is what is left.
    ///
    /// # Errors
    /// What [`SelectorError`] lists.
    pub fn parse_with_profile_type(text: &str) -> Result<(ProfileType, Self), SelectorError> {
        let mut selector = parse::selector(text)?;
        let is_type = |m: &Matcher| m.name() == names::NAME && m.op() == MatchOp::Equal;
        let at = selector
            .matchers
            .iter()
            .position(is_type)
            .ok_or(SelectorError::NoProfileType)?;
        let profile_type = selector.matchers.remove(at).value().parse()?;
        Ok((profile_type, selector))
    }

    /// Whether all conditions hold. O(matchers × labels).
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.matchers
            .iter()
            .all(|matcher| matcher.matches(labels.get(matcher.name()).unwrap_or("")))
    }

    /// Whether it selects everything.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.matchers.is_empty()
    }
}

impl From<Vec<Matcher>> for Selector {
    fn from(matchers: Vec<Matcher>) -> Self {
        Self { matchers }
    }
}

impl fmt::Display for Selector {
    /// `{a="x",b=~"y"}`, which parses to an equal selector.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, matcher) in self.matchers.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            write!(f, "{matcher}")?;
        }
        f.write_str("}")
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}{}{}",
            name_in_selector(self.name()),
            self.op().as_str(),
            Quoted(self.value())
        )
    }
}

#[cfg(test)]
mod tests;
