//! The grammar of selectors.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::lexer::Lexer;
use super::matcher::{MatchOp, Matcher};
use super::{Selector, SelectorError, regex};
use crate::labels::names;

/// The longest selector that is read.
const MAX_BYTES: usize = 64 << 10;

/// Bytes that all compiled expressions of one selector may take.
const MAX_REGEX_BYTES: usize = 16 << 20;

/// One condition as written.
struct Condition {
    name: String,
    op: MatchOp,
    value: String,
    /// Where the value's opening quote is.
    value_at: usize,
}

/// Reads a whole selector.
pub(super) fn selector(text: &str) -> Result<Selector, SelectorError> {
    if text.len() > MAX_BYTES {
        return Err(SelectorError::TooLong {
            bytes: text.len(),
            limit: MAX_BYTES,
        });
    }
    let mut parse = Parse {
        lexer: Lexer::new(text),
        metric: None,
        conditions: Vec::new(),
    };
    parse.selector()?;
    parse.compile()
}

struct Parse<'a> {
    lexer: Lexer<'a>,
    /// The metric name, wherever it stands.
    metric: Option<String>,
    conditions: Vec<Condition>,
}

impl Parse<'_> {
    fn selector(&mut self) -> Result<(), SelectorError> {
        self.metric = self.lexer.metric_name().map(str::to_owned);
        if self.lexer.eat("{") {
            self.braces()?;
            if !self.lexer.is_at_end() {
                return Err(self.lexer.unexpected("nothing after the closing `}`"));
            }
        } else if self.metric.is_none() {
            return Err(self
                .lexer
                .unexpected("a name or `{`; what selects everything is `{}`"));
        } else if !self.lexer.is_at_end() {
            return Err(self.lexer.unexpected("`{` or the end after the name"));
        }
        Ok(())
    }

    /// What follows the opening brace, up to the closing one. A comma may be last, but not alone.
    fn braces(&mut self) -> Result<(), SelectorError> {
        while !self.lexer.eat("}") {
            self.condition()?;
            if self.lexer.eat("}") {
                break;
            }
            if !self.lexer.eat(",") {
                return Err(self.lexer.unexpected("`,` or `}`"));
            }
        }
        Ok(())
    }

    fn condition(&mut self) -> Result<(), SelectorError> {
        let at = self.lexer.next_word();
        let (name, quoted) = match self.lexer.label_name() {
            Some(name) => (name.to_owned(), false),
            None => match self.lexer.text()? {
                Some(name) => (name, true),
                None => return Err(self.lexer.unexpected("a label name or `}`")),
            },
        };
        if name.is_empty() {
            return Err(SelectorError::EmptyName { at });
        }
        let Some(op) = self.operator() else {
            if quoted && self.is_end_of_condition() {
                return self.metric_name(at, name);
            }
            return Err(self.lexer.unexpected("one of `=`, `!=`, `=~`, `!~`"));
        };
        let value_at = self.lexer.next_word();
        let Some(value) = self.lexer.text()? else {
            return Err(self.lexer.unexpected("a value in quotes"));
        };
        self.conditions.push(Condition {
            name,
            op,
            value,
            value_at,
        });
        Ok(())
    }

    fn operator(&mut self) -> Option<MatchOp> {
        let longest_first = [
            MatchOp::NotEqual,
            MatchOp::Regex,
            MatchOp::NotRegex,
            MatchOp::Equal,
        ];
        longest_first
            .into_iter()
            .find(|op| self.lexer.eat(op.as_str()))
    }

    fn is_end_of_condition(&self) -> bool {
        let mut ahead = self.lexer;
        ahead.eat(",") || ahead.eat("}")
    }

    fn metric_name(&mut self, at: usize, name: String) -> Result<(), SelectorError> {
        match &self.metric {
            Some(first) => Err(SelectorError::SecondName {
                at,
                name,
                first: first.clone(),
            }),
            None => {
                self.metric = Some(name);
                Ok(())
            }
        }
    }

    fn compile(self) -> Result<Selector, SelectorError> {
        let is_regex = |c: &&Condition| matches!(c.op, MatchOp::Regex | MatchOp::NotRegex);
        let expressions = self.conditions.iter().filter(is_regex).count().max(1);
        let size_limit = MAX_REGEX_BYTES
            .checked_div(expressions)
            .unwrap_or(0)
            .min(regex::SIZE_LIMIT);
        let mut matchers: Vec<_> = self
            .metric
            .into_iter()
            .map(|name| Matcher::equal(names::NAME, name))
            .collect();
        for Condition {
            name,
            op,
            value,
            value_at,
        } in self.conditions
        {
            let matcher = Matcher::within(name, op, value, size_limit).map_err(|source| {
                SelectorError::Regex {
                    at: value_at,
                    source,
                }
            })?;
            matchers.push(matcher);
        }
        Ok(Selector { matchers })
    }
}
