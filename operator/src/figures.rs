//! Texts of metrics, as pods answer them.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

/// One series: its labels as they are written, without braces, and its value. None in place of it if it has none.
pub type Series<'a> = Option<(&'a str, f64)>;

/// The series of a figure, by its whole name.
pub fn series<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = Series<'a>> {
    text.lines().filter_map(move |line| {
        let rest = line.strip_prefix(name)?;
        match rest.strip_prefix('{') {
            None if rest.starts_with(' ') => Some(value(rest).map(|value| ("", value))),
            // The name is longer.
            None => None,
            Some(rest) => Some(labelled(rest)),
        }
    })
}

/// The value of a label. Those with escapes in them are none that anyone asks for.
#[must_use]
pub fn label<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = labels;
    loop {
        let (found, after) = rest.split_once("=\"")?;
        let (value, after) = after.split_once('"')?;
        if found.trim_start_matches([',', ' ']) == name {
            return Some(value);
        }
        rest = after;
    }
}

fn labelled(rest: &str) -> Series<'_> {
    let (labels, rest) = labels(rest)?;
    Some((labels, value(rest)?))
}

/// After the value there may be a time, and an exemplar.
fn value(rest: &str) -> Option<f64> {
    rest.split_whitespace().next()?.parse().ok()
}

/// Labels, and what comes after the brace that ends them, of which there may be more in quotes.
fn labels(text: &str) -> Option<(&str, &str)> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, letter) in text.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '}' if !quoted => {
                let (labels, rest) = text.split_at_checked(at)?;
                return Some((labels, rest.strip_prefix('}')?));
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_found_by_name() {
        let labels = r#"method="POST",route="push_v1",status_code="200",ws="false""#;
        assert_eq!(label(labels, "route"), Some("push_v1"));
        assert_eq!(label(labels, "method"), Some("POST"));
        assert_eq!(label(labels, "code"), None);
        assert_eq!(label("", "route"), None);
        assert_eq!(label("route=\"", "route"), None);
    }
}
