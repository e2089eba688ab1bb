//! Whether an `Accept` header can be read at all: upstream refuses one that cannot.
//!
//! The rules are those of Go's `mime.ParseMediaType`, for each part between commas.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

/// What is wrong with the header, if anything.
pub(super) fn check(header: &str) -> Result<(), String> {
    header
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .try_for_each(check_media_type)
}

fn check_media_type(part: &str) -> Result<(), String> {
    let (media_type, parameters) = match part.split_once(';') {
        Some((media_type, parameters)) => (media_type.trim(), Some(parameters)),
        None => (part, None),
    };
    let (kind, subtype) = match media_type.split_once('/') {
        Some((kind, subtype)) => (kind, Some(subtype)),
        None => (media_type, None),
    };
    if !is_token(kind) || subtype.is_some_and(|subtype| !is_token(subtype)) {
        return Err(format!(
            "malformed media type {media_type:?} in the Accept header"
        ));
    }
    let Some(mut rest) = parameters else {
        return Ok(());
    };
    // One semicolon at the very end is let through.
    while !rest.trim().is_empty() {
        rest = parameter(rest.trim_start())
            .ok_or_else(|| format!("malformed parameters {rest:?} in the Accept header"))?;
    }
    Ok(())
}

/// Reads `name=value` or `name="value"`; returns what follows the next semicolon.
fn parameter(text: &str) -> Option<&str> {
    let (name, value) = text.split_once('=')?;
    if !is_token(name.trim_end()) {
        return None;
    }
    let value = value.trim_start();
    let rest = match value.strip_prefix('"') {
        Some(quoted) => after_quote(quoted)?,
        None => {
            let end = value
                .find(|c: char| !is_token_char(c))
                .unwrap_or(value.len());
            value.get(end..).filter(|_| end > 0)?
        }
    };
    let rest = rest.trim_start();
    if rest.is_empty() {
        Some(rest)
    } else {
        rest.strip_prefix(';')
    }
}

fn after_quote(quoted: &str) -> Option<&str> {
    let mut escaped = false;
    for (at, c) in quoted.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return quoted.get(at.saturating_add(1)..),
            _ => {}
        }
    }
    None
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_token_char)
}

fn is_token_char(c: char) -> bool {
    c.is_ascii_graphic() && !"()<>@,;:\\\"/[]?=".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        let check = |header: &str, expected: bool| {
            assert_eq!(check(header).is_ok(), expected, "{header:?}")
        };
        check("*/*", true);
        check("", true);
        check("application/json, text/plain;q=0.5, */*", true);
        check("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", true);
        check("*/*; allow-utf8-labelnames=true", true);
        check("application/json;profile=\"a;\\\"b\"; q=1", true);
        check("text/html;", true);
        check("a/b/c;;=", false);
        check("text/html;;;", false);
        check("text/html;q", false);
        check("text/html;q=", false);
        check("text/html;q=\"", false);
        check("a b/c", false);
        check("/", false);
    }
}
