//! Character classes: `[` begins no class within a class, and there are no set operations.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::RegexError;
use super::escape;
use super::scanner::Scanner;

const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

const OPEN: &str = "a class has no closing bracket";
const RANGE: &str = "invalid character class range";

/// Reads a class after its `[`, which is at `start`.
pub(super) fn translate(
    scan: &mut Scanner<'_>,
    into: &mut String,
    start: usize,
) -> Result<(), RegexError> {
    into.push('[');
    if scan.eat("^") {
        into.push('^');
    }
    let mut first = true;
    loop {
        match scan.peek() {
            None => return Err(scan.refuse(start, OPEN)),
            Some(']') if !first => break,
            Some(_) => {}
        }
        first = false;
        if !posix(scan, into)? && !named(scan, into)? {
            range(scan, into, start)?;
        }
    }
    scan.next();
    into.push(']');
    Ok(())
}

/// `[:alpha:]` or `[:^alpha:]`.
fn posix(scan: &mut Scanner<'_>, into: &mut String) -> Result<bool, RegexError> {
    let start = scan.at();
    let mut ahead = *scan;
    if !ahead.eat("[:") {
        return Ok(false);
    }
    let Some(name) = ahead.until(":]") else {
        return Ok(false);
    };
    *scan = ahead;
    if !POSIX.contains(&name.strip_prefix('^').unwrap_or(name)) {
        return Err(scan.refuse(start, RANGE));
    }
    into.push_str(&format!("[:{name}:]"));
    Ok(true)
}

/// `\d`, `\pL` and their like.
fn named(scan: &mut Scanner<'_>, into: &mut String) -> Result<bool, RegexError> {
    let start = scan.at();
    let mut ahead = *scan;
    if !ahead.eat("\\") {
        return Ok(false);
    }
    match ahead.next() {
        Some(letter @ ('p' | 'P')) => {
            let class = escape::unicode_class(&mut ahead, start, letter == 'P')?;
            into.push_str(&class);
        }
        Some(letter) => match escape::perl_class(letter) {
            Some(class) => into.push_str(class),
            None => return Ok(false),
        },
        None => return Ok(false),
    }
    *scan = ahead;
    Ok(true)
}

/// One character, or two with a `-` between them.
fn range(scan: &mut Scanner<'_>, into: &mut String, class: usize) -> Result<(), RegexError> {
    let start = scan.at();
    let low = character(scan, class)?;
    escape::push_literal(into, low);
    let mut after = scan.rest().chars();
    if after.next() != Some('-') || matches!(after.next(), None | Some(']')) {
        return Ok(());
    }
    scan.next();
    let high = character(scan, class)?;
    if high < low {
        return Err(scan.refuse(start, RANGE));
    }
    into.push('-');
    escape::push_literal(into, high);
    Ok(())
}

fn character(scan: &mut Scanner<'_>, class: usize) -> Result<char, RegexError> {
    let start = scan.at();
    match scan.next() {
        None => Err(scan.refuse(class, OPEN)),
        Some('\\') => escape::character(scan, start),
        Some(c) => Ok(c),
    }
}
