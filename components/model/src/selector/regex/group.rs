//! What begins with `(`: groups, their names and flags.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::RegexError;
use super::scanner::Scanner;

/// The names that a pattern gave to its groups.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Go's name, the engine's name.
    given: Vec<(String, String)>,
}

/// What the parenthesis was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opened {
    /// A group: its `)` is still to come.
    Group,
    /// `(?i)`: flags for the rest of the group around it.
    Flags,
}

/// Reads what follows the `(` at `start`.
pub(super) fn translate(
    scan: &mut Scanner<'_>,
    into: &mut String,
    names: &mut Names,
    start: usize,
) -> Result<Opened, RegexError> {
    if !scan.eat("?") {
        into.push('(');
        return Ok(Opened::Group);
    }
    if scan.eat("P<") || scan.eat("<") {
        let name = scan.until(">").ok_or_else(|| scan.refuse(start, NAME))?;
        into.push_str(&format!("(?P<{}>", names.add(name).ok_or_else(|| scan.refuse(start, NAME))?));
        return Ok(Opened::Group);
    }
    flags(scan, into, start)
}

const NAME: &str = "invalid or repeated name of a group";

impl Names {
    /// The engine's name for a group; `None` if Go does not allow the name or has it already.
    fn add(&mut self, name: &str) -> Option<String> {
        let valid = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !valid || self.given.iter().any(|(go, _)| go == name) {
            return None;
        }
        let mut ours = name.to_owned();
        // The engine wants no digit first, and no name twice.
        while ours.starts_with(|c: char| c.is_ascii_digit()) || self.given.iter().any(|(_, taken)| *taken == ours) {
            ours.insert(0, '_');
        }
        self.given.push((name.to_owned(), ours.clone()));
        Some(ours)
    }
}

/// `(?flags)`, `(?flags:` with flags of `imsU`, those after a `-` switched off.
fn flags(scan: &mut Scanner<'_>, into: &mut String, start: usize) -> Result<Opened, RegexError> {
    const PROBLEM: &str = "invalid or unsupported syntax after `(?`";
    let mut states: Vec<(char, bool)> = Vec::new();
    let mut on = true;
    let mut since_minus = 0;
    loop {
        let c = scan.next();
        match c {
            Some(flag @ ('i' | 'm' | 's' | 'U')) => {
                states.retain(|(known, _)| *known != flag);
                states.push((flag, on));
                since_minus += 1;
            }
            Some('-') if on => {
                on = false;
                since_minus = 0;
            }
            Some(end @ (':' | ')')) if on || since_minus > 0 => {
                push_flags(into, &states, end);
                return Ok(if end == ':' { Opened::Group } else { Opened::Flags });
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
