//! From Go's syntax to that of the `regex` crate, in one pass.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::RegexError;
use super::escape;
use super::group::{self, Names, Opened};
use super::scanner::Scanner;
use super::{NEST_LIMIT, SIZE_LIMIT, class};

/// The largest count in braces, alone or multiplied through nested ones.
const MAX_REPEAT: u32 = 1000;

/// Each may take 5 KiB before the engine looks at its size limit, which fewer than these would reach.
const MAX_UNICODE_CLASSES: usize = 256;

/// The same pattern in the engine's syntax.
pub(super) fn to_rust(pattern: &str) -> Result<String, RegexError> {
    let mut rewrite = Rewrite {
        scan: Scanner::new(pattern),
        out: String::with_capacity(pattern.len()),
        names: Names::default(),
        open: Vec::new(),
        last: Last::Nothing,
        heaviest: 1,
    };
    while rewrite.step()? {}
    if let Some(open) = rewrite.open.first() {
        return Err(rewrite
            .scan
            .refuse(open.at, "a group has no closing parenthesis"));
    }
    let classes = rewrite
        .out
        .match_indices(r"\p{")
        .chain(rewrite.out.match_indices(r"\P{"));
    if classes.count() > MAX_UNICODE_CLASSES {
        return Err(RegexError::TooLarge { limit: SIZE_LIMIT });
    }
    Ok(rewrite.out)
}

struct Rewrite<'a> {
    scan: Scanner<'a>,
    out: String,
    names: Names<'a>,
    /// Groups that are not closed, outermost first.
    open: Vec<Group>,
    last: Last,
    /// The largest weight in the group that is being read.
    heaviest: u32,
}

struct Group {
    /// Where its parenthesis is.
    at: usize,
    /// [`Rewrite::heaviest`] of the group around it.
    heaviest_outside: u32,
}

/// What a repetition would repeat.
#[derive(Clone, Copy)]
enum Last {
    /// The start of an alternative.
    Nothing,
    /// An atom whose nested counts multiply to this much.
    Atom { weight: u32 },
    /// A repetition, which began here. It cannot be repeated again.
    Repetition { at: usize },
}

impl Rewrite<'_> {
    /// Reads one item; `false` at the end.
    fn step(&mut self) -> Result<bool, RegexError> {
        let start = self.scan.at();
        let Some(c) = self.scan.next() else {
            return Ok(false);
        };
        match c {
            '\\' => self.escaped(start)?,
            '[' => {
                class::translate(&mut self.scan, &mut self.out, start)?;
                self.atom();
            }
            '(' => self.open_group(start)?,
            ')' => self.close_group(start)?,
            '|' => {
                self.out.push('|');
                self.last = Last::Nothing;
            }
            '*' | '+' | '?' => {
                self.out.push(c);
                self.repetition(start, None)?;
            }
            '{' => self.brace(start)?,
            '.' | '^' | '$' => {
                self.out.push(c);
                self.atom();
            }
            _ => self.literal(c),
        }
        Ok(true)
    }

    fn atom(&mut self) {
        self.last = Last::Atom { weight: 1 };
    }

    fn literal(&mut self, c: char) {
        escape::push_literal(&mut self.out, c);
        self.atom();
    }

    fn escaped(&mut self, start: usize) -> Result<(), RegexError> {
        let mut ahead = self.scan;
        match ahead.next() {
            Some('A') => self.out.push_str("\\A"),
            Some('z') => self.out.push_str("\\z"),
            Some('b') => self.out.push_str("(?-u:\\b)"),
            Some('B') => self.out.push_str("(?-u:\\B)"),
            Some('Q') => {
                self.scan = ahead;
                self.quoted();
                return Ok(());
            }
            Some(letter @ ('p' | 'P')) => {
                let class = escape::unicode_class(&mut ahead, start, letter == 'P')?;
                self.out.push_str(&class);
            }
            Some(letter) if escape::perl_class(letter).is_some() => {
                self.out
                    .push_str(escape::perl_class(letter).unwrap_or_default());
            }
            _ => {
                let c = escape::character(&mut self.scan, start)?;
                self.literal(c);
                return Ok(());
            }
        }
        self.scan = ahead;
        self.atom();
        Ok(())
    }

    /// `\Q…\E`, to the end of the pattern if there is no `\E`.
    fn quoted(&mut self) {
        let text = match self.scan.until("\\E") {
            Some(text) => text,
            None => self.scan.all(),
        };
        for c in text.chars() {
            self.literal(c);
        }
    }

    fn open_group(&mut self, start: usize) -> Result<(), RegexError> {
        match group::translate(&mut self.scan, &mut self.out, &mut self.names, start)? {
            Opened::Flags => self.last = Last::Nothing,
            Opened::Group if self.open.len() >= NEST_LIMIT as usize => {
                return Err(RegexError::Nesting);
            }
            Opened::Group => {
                self.open.push(Group {
                    at: start,
                    heaviest_outside: self.heaviest,
                });
                self.heaviest = 1;
                self.last = Last::Nothing;
            }
        }
        Ok(())
    }

    fn close_group(&mut self, start: usize) -> Result<(), RegexError> {
        let group = self
            .open
            .pop()
            .ok_or_else(|| self.scan.refuse(start, "no group is open here"))?;
        self.out.push(')');
        self.last = Last::Atom {
            weight: self.heaviest,
        };
        self.heaviest = self.heaviest.max(group.heaviest_outside);
        Ok(())
    }

    /// After an operator: what it repeats must be there, and must not be a repetition itself.
    fn repetition(
        &mut self,
        start: usize,
        count: Option<(u32, Option<u32>)>,
    ) -> Result<(), RegexError> {
        let weight = match self.last {
            Last::Nothing => {
                return Err(self
                    .scan
                    .refuse(start, "nothing to repeat before the operator"));
            }
            Last::Repetition { at } => {
                return Err(self.scan.refuse(at, "a repetition of a repetition"));
            }
            Last::Atom { weight } => weight,
        };
        if let Some((min, max)) = count {
            self.weigh(start, weight, min, max)?;
        }
        if self.scan.eat("?") {
            self.out.push('?');
        }
        self.last = Last::Repetition { at: start };
        Ok(())
    }

    /// Bounds the product of nested counts, as Go does.
    fn weigh(
        &mut self,
        start: usize,
        weight: u32,
        min: u32,
        max: Option<u32>,
    ) -> Result<(), RegexError> {
        let product = match max.unwrap_or(min) {
            0 if max.is_some() => 1,
            0 => weight,
            count => count.saturating_mul(weight),
        };
        if product > MAX_REPEAT {
            return Err(self.scan.refuse(start, COUNT));
        }
        self.heaviest = self.heaviest.max(product);
        Ok(())
    }

    /// `{2}`, `{2,}`, `{2,3}`; whatever else begins with a brace is text.
    fn brace(&mut self, start: usize) -> Result<(), RegexError> {
        let mut ahead = self.scan;
        let Some((min, max)) = counts(&mut ahead) else {
            self.literal('{');
            return Ok(());
        };
        self.scan = ahead;
        if min > MAX_REPEAT || max.is_some_and(|max| max > MAX_REPEAT || max < min) {
            return Err(self.scan.refuse(start, COUNT));
        }
        match max {
            Some(max) if max == min => self.out.push_str(&format!("{{{min}}}")),
            Some(max) => self.out.push_str(&format!("{{{min},{max}}}")),
            None => self.out.push_str(&format!("{{{min},}}")),
        }
        self.repetition(start, Some((min, max)))
    }
}

const COUNT: &str = "invalid repeat count (at most 1000, nested counts multiplied)";

/// Reads the counts after `{`, over the `}`; the second is `None` if there is no bound.
fn counts(scan: &mut Scanner<'_>) -> Option<(u32, Option<u32>)> {
    let min = number(scan)?;
    let max = if !scan.eat(",") {
        Some(min)
    } else if scan.peek() == Some('}') {
        None
    } else {
        Some(number(scan)?)
    };
    scan.eat("}").then_some((min, max))
}

/// Decimal digits without a leading zero.
fn number(scan: &mut Scanner<'_>) -> Option<u32> {
    let rest = scan.rest();
    let digits = rest.get(..rest.bytes().take_while(u8::is_ascii_digit).count())?;
    if digits.is_empty() || (digits.len() > 1 && digits.starts_with('0')) {
        return None;
    }
    scan.eat(digits);
    Some(digits.parse().unwrap_or(u32::MAX))
}
