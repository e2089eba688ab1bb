//! What a backslash means.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::RegexError;
use super::scanner::Scanner;

/// A class with a letter as its name, such as `\d`: ASCII, unlike the engine's own.
pub(super) fn perl_class(letter: char) -> Option<&'static str> {
    Some(match letter {
        'd' => "[0-9]",
        'D' => "[^0-9]",
        'w' => "[0-9A-Za-z_]",
        'W' => "[^0-9A-Za-z_]",
        's' => r"[\t\n\f\r ]",
        'S' => r"[^\t\n\f\r ]",
        _ => return None,
    })
}

/// Reads what follows `\p` or `\P` and gives the engine's form of the class.
pub(super) fn unicode_class(
    scan: &mut Scanner<'_>,
    start: usize,
    mut negated: bool,
) -> Result<String, RegexError> {
    let unknown = "no such Unicode class";
    let name = match scan.next() {
        None => return Err(scan.refuse(start, unknown)),
        Some('{') => {
            let name = scan
                .until("}")
                .ok_or_else(|| scan.refuse(start, "a Unicode class has no closing brace"))?;
            match name.strip_prefix('^') {
                Some(name) => {
                    negated = !negated;
                    name.to_owned()
                }
                None => name.to_owned(),
            }
        }
        Some(c) => c.to_string(),
    };
    let p = if negated { 'P' } else { 'p' };
    if is_surrogates(&name) {
        // No text has them, so the engine has no such class.
        return Ok(if negated { EVERY_CHAR } else { NO_CHAR }.to_owned());
    }
    // Neither the engine's `\p{Script=Greek}` nor its properties, such as `\p{Alphabetic}`, are Go's.
    if name.contains(|c: char| !c.is_ascii_alphanumeric() && !"_- ".contains(c)) {
        return Err(scan.refuse(start, unknown));
    }
    let known = ["gc", "sc"].map(|kind| format!("\\{p}{{{kind}={name}}}"));
    known
        .into_iter()
        .find(|class| regex_syntax::parse(class).is_ok())
        .ok_or_else(|| scan.refuse(start, unknown))
}

const EVERY_CHAR: &str = r"[\x{0}-\x{10FFFF}]";
const NO_CHAR: &str = r"[^\x{0}-\x{10FFFF}]";

/// Whether it is the class of surrogates. Go and Unicode compare names loosely.
fn is_surrogates(name: &str) -> bool {
    let loose: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    loose == "cs" || loose == "surrogate"
}

/// Reads what follows a backslash that stands for one character.
pub(super) fn character(scan: &mut Scanner<'_>, start: usize) -> Result<char, RegexError> {
    let Some(c) = scan.next() else {
        return Err(scan.refuse(start, "a backslash ends the pattern"));
    };
    match c {
        '0'..='7' => octal(scan, start, c),
        'x' => hexadecimal(scan, start),
        'a' => Ok('\x07'),
        'f' => Ok('\x0C'),
        'n' => Ok('\n'),
        'r' => Ok('\r'),
        't' => Ok('\t'),
        'v' => Ok('\x0B'),
        _ if c.is_ascii() && !c.is_ascii_alphanumeric() => Ok(c),
        _ => Err(invalid(scan, start)),
    }
}

/// Up to three digits. One digit but `\0` would be a back reference, which RE2 does not have.
fn octal(scan: &mut Scanner<'_>, start: usize, first: char) -> Result<char, RegexError> {
    let digit = |c: Option<char>| c.and_then(|c| c.to_digit(8));
    if first != '0' && digit(scan.peek()).is_none() {
        return Err(invalid(scan, start));
    }
    let mut value = digit(Some(first)).unwrap_or(0);
    for _ in 0..2 {
        let Some(next) = digit(scan.peek()) else {
            break;
        };
        scan.next();
        value = value.saturating_mul(8).saturating_add(next);
    }
    char::from_u32(value).ok_or_else(|| invalid(scan, start))
}

/// `\xFF` or `\x{10FFFF}`.
fn hexadecimal(scan: &mut Scanner<'_>, start: usize) -> Result<char, RegexError> {
    let digits = if scan.eat("{") {
        scan.until("}").ok_or_else(|| invalid(scan, start))?
    } else {
        let two = scan.rest().get(..2).ok_or_else(|| invalid(scan, start))?;
        scan.eat(two);
        two
    };
    if digits.is_empty() {
        return Err(invalid(scan, start));
    }
    let mut value = 0_u32;
    for c in digits.chars() {
        let digit = c.to_digit(16).ok_or_else(|| invalid(scan, start))?;
        value = value.saturating_mul(16).saturating_add(digit);
    }
    char::from_u32(value).ok_or_else(|| invalid(scan, start))
}

fn invalid(scan: &Scanner<'_>, start: usize) -> RegexError {
    scan.refuse(start, "invalid escape sequence")
}

/// Writes a character so that it stands for itself, in a class as outside of one.
pub(super) fn push_literal(into: &mut String, c: char) {
    if c.is_ascii() && !c.is_ascii_alphanumeric() {
        into.push_str(&format!("\\x{{{:x}}}", u32::from(c)));
    } else {
        into.push(c);
    }
}
