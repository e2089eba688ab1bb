//! What begins with `(`: groups, their names and flags.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::collections::BTreeSet;

use super::RegexError;
use super::scanner::Scanner;

/// The names that a pattern gave to its groups.
#[derive(Debug, Default)]
pub(super) struct Names<'a>(BTreeSet<&'a str>);

/// What the parenthesis was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opened {
    /// A group: its `)` is still to come.
    Group,
    /// `(?i)`: flags for the rest of the group around it.
    Flags,
}

/// Reads what follows the `(` at `start`.
pub(super) fn translate<'a>(
    scan: &mut Scanner<'a>,
    into: &mut String,
    names: &mut Names<'a>,
    start: usize,
) -> Result<Opened, RegexError> {
    if !scan.eat("?") {
        into.push('(');
        return Ok(Opened::Group);
    }
    if scan.eat("P<") || scan.eat("<") {
        let name = scan.until(">").ok_or_else(|| scan.refuse(start, NAME))?;
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(scan.refuse(start, NAME));
        }
        names.open(name, into);
        return Ok(Opened::Group);
    }
    flags(scan, into, start)
}

const NAME: &str = "invalid name of a group";

impl<'a> Names<'a> {
    /// Opens a group with a name. The engine takes no name that begins with a digit and none twice,
    /// while Go does: such a group keeps its number only.
    fn open(&mut self, name: &'a str, into: &mut String) {
        if name.starts_with(|c: char| c.is_ascii_digit()) || !self.0.insert(name) {
            into.push('(');
        } else {
            into.push_str(&format!("(?P<{name}>"));
        }
    }
}

/// `(?flags)`, `(?flags:` with flags of `imsU`, those after a `-` switched off.
fn flags(scan: &mut Scanner<'_>, into: &mut String, start: usize) -> Result<Opened, RegexError> {
    const PROBLEM: &str = "invalid or unsupported syntax after `(?`";
    let mut states: Vec<(char, bool)> = Vec::new();
    let mut on = true;
    let mut flag_since_minus = false;
    loop {
        let c = scan.next();
        match c {
            Some(flag @ ('i' | 'm' | 's' | 'U')) => {
                states.retain(|(known, _)| *known != flag);
                states.push((flag, on));
                flag_since_minus = true;
            }
            Some('-') if on => {
                on = false;
                flag_since_minus = false;
            }
            Some(end @ (':' | ')')) if on || flag_since_minus => {
                push_flags(into, &states, end);
                return Ok(if end == ':' {
                    Opened::Group
                } else {
                    Opened::Flags
                });
            }
            _ => return Err(scan.refuse(start, PROBLEM)),
        }
    }
}

fn push_flags(into: &mut String, states: &[(char, bool)], end: char) {
    if states.is_empty() && end == ')' {
        // An empty group that changes nothing; the engine refuses `(?)`.
        into.push_str("(?:)");
        return;
    }
    into.push_str("(?");
    into.extend(states.iter().filter(|(_, on)| *on).map(|(flag, _)| *flag));
    if states.iter().any(|(_, on)| !on) {
        into.push('-');
        into.extend(states.iter().filter(|(_, on)| !on).map(|(flag, _)| *flag));
    }
    into.push(end);
}
