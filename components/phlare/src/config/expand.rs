//! `${VAR}` in a configuration file: `-config.expand-env`.
//!
//! Works on the text before YAML is read, but on its scalars: what a variable holds is one text, whatever characters are
//! in it, so an address that ends in `::` needs no quotes. An unset variable is empty, `${VAR:-text}` and `${VAR:=text}`
//! give a text for it. Anything else with a dollar sign stays: `$1` belongs to relabel rules. Comments stay, too.

mod scan;

use scan::Scan;

/// Why variables cannot be expanded: a line number, from 1, and what is wrong there.
pub(super) type Problem = (usize, &'static str);

/// Expands all variables.
pub(super) fn expand(
    text: &str,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<String, Problem> {
    Scan::new(text, variable).run()
}

/// The text that `text`, which begins with `${`, stands for, and how many bytes of it that takes.
fn reference(
    text: &str,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<(String, usize), &'static str> {
    let end = text.find('}').ok_or("`${` without `}`")?;
    let inside = text.get(2..end).unwrap_or_default();
    let (name, default) = match inside.find(":-").or_else(|| inside.find(":=")) {
        Some(at) => (&inside[..at], &inside[at + 2..]),
        None => (inside, ""),
    };
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_name {
        return Err("between `${` and `}` goes the name of a variable: letters, digits and `_`");
    }
    let value = variable(name)
        .filter(|value| !value.is_empty())
        .unwrap_or_else(|| default.to_owned());
    if value.contains(['\n', '\r']) {
        return Err("the variable's value has a line break");
    }
    Ok((value, end + 1))
}

#[cfg(test)]
mod tests;
